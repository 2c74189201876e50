//! TODO
pub mod command;
pub mod escaped;
pub mod output;
pub mod process_group;
pub mod processes;
pub mod program;
pub mod reaper;
pub mod reload;
pub mod running;
