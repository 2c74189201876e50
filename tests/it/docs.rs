//! The documentation matches the program.

use std::process::{Command, Output, Stdio};

mod commands;
mod configs;
mod links;
mod programs;
mod running;
mod ten_minutes;

fn rosterd(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
    for name in ["ROSTERD_CONFIG", "ROSTERD_REGISTRY", "ROSTERD_LOG", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null()).output().unwrap()
}
