//! The act room on real files, real commands and a real kernel, one file a promise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // Clippy knows of tests only inside their functions.

mod bench;
mod commands;
mod faults;
mod files;
mod lock;
mod order;
mod readers;
mod reloads;
