//! What the agent keeps in its state directory across restarts, and the lock on it.

pub mod append_log;
pub mod drains;
pub mod journal;
pub mod last_good;
pub mod lock;
pub mod owned_files;
pub mod pause;
pub mod pins;
pub mod session;
