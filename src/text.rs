//! Small helpers on text.

pub mod nearest;
pub mod time;
pub mod yaml;
