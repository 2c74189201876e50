//! Errors state what failed, on what, and what to do.
//!
//! There are two kinds. A [`Fatal`] ends the program with a documented exit code. A [`Setback`] belongs to one
//! template, member or command: it is reported and retried, and everything else continues.

use std::fmt;

use serde::{Deserialize, Serialize};

pub mod os;
#[cfg(test)]
mod tests;

/// The documented exit codes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Exit {
    /// Success, nothing to do, or stopped by TERM or INT.
    #[default]
    Done = 0,
    /// A render, check, write or reload failed.
    Failed = 1,
    /// Something differs. Only `diff` and `--detailed-exitcode` return it.
    Differs = 2,
    /// Too few members, held, or paused.
    Held = 3,
    /// A registry could not be reached in time or its root is missing, and no last known-good members can be used.
    Unreached = 4,
    /// Another agent holds the state directory.
    Locked = 5,
    /// Wrong usage (`EX_USAGE` of sysexits.h).
    Usage = 64,
    /// No agent is listening on the control socket (`EX_UNAVAILABLE` of sysexits.h).
    NoAgent = 69,
    /// Wrong configuration (`EX_CONFIG` of sysexits.h).
    Config = 78,
}

impl Exit {
    /// The code as the operating system takes it.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Returns the more serious of two results of one pass: 1, then 4, 3, 2, 0. Other codes end the program before any
    /// pass.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        fn rank(exit: Exit) -> u8 {
            match exit {
                Exit::Done => 0,
                Exit::Differs => 1,
                Exit::Held => 2,
                Exit::Unreached => 3,
                Exit::Failed => 4,
                _ => 5,
            }
        }
        if rank(other) > rank(self) { other } else { self }
    }
}

/// An error that ends the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fatal {
    /// The exit code.
    pub exit: Exit,
    /// The text for standard error, without a final line break.
    pub message: String,
    /// What kind of error it is, as far as callers need to know.
    pub cause: Cause,
}

/// What kind of error a [`Fatal`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cause {
    /// Any other.
    #[default]
    Other,
    /// What it is about does not exist.
    Missing,
    /// The credentials do not suffice.
    Denied,
    /// It is larger than a request may be.
    TooLarge,
}

impl Fatal {
    /// Creates the error.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), cause: Cause::Other }
    }

    /// The same of a kind.
    #[must_use]
    pub fn of(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fatal {}

/// A failed operation that will be retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setback {
    /// What was tried, and on what: "rename /etc/x/.rosterd-1.tmp to /etc/x/y".
    pub tried: String,
    /// Why it failed: "No space left on device (os error 28)".
    pub why: String,
    /// What the operator can do, if known.
    pub hint: Option<String>,
    /// The number of the system's error, if that is the cause.
    pub errno: Option<i32>,
}

impl Setback {
    /// Creates a setback without a hint.
    pub fn new(tried: impl Into<String>, why: impl fmt::Display) -> Self {
        Self { tried: tried.into(), why: why.to_string(), hint: None, errno: None }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Setback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.tried, self.why)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Setback {}
