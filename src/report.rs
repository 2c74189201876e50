//! The report of the engine in words: `status`, its JSON, and `explain`.

pub mod explain;
pub mod program;
pub mod status;
pub mod why;
pub mod words;
