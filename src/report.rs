//! Text from the engine's report: `status`, its JSON, and `explain`.

pub mod commands;
pub mod conditions;
pub mod context;
pub mod explain;
pub mod health;
pub mod program;
pub mod screen;
pub mod services;
pub mod snapshot;
pub mod status;
pub mod words;
