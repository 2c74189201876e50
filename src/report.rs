//! Text from the engine's report: `status`, its JSON, and `explain`.

pub mod conditions;
pub mod context;
pub mod explain;
pub mod program;
pub mod status;
pub mod words;
