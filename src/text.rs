//! Small helpers on text.

pub mod nearest;
pub mod yaml;
