//! The command line: parse, call, and the exit code.

pub mod get;
pub mod ls;
