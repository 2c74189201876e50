//! What the agent does outside itself: files and processes.

pub mod files;
pub mod process;
#[cfg(test)]
mod tests;
