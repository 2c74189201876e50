//! Runs commands, reloads and the program that the agent supervises, each in a process group of its own.

pub mod command;
pub mod environment;
pub mod escaped;
pub mod launch;
pub mod output;
pub mod process_group;
pub mod processes;
pub mod program;
pub mod reaper;
pub mod reload;
pub mod running;
pub mod stream;
