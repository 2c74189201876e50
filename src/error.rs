//! Errors are facts with the place and the way out.
//!
//! Two kinds: a [`Fatal`] ends the program with an exit code of the contract; a [`Setback`] belongs to one template,
//! member or command, is shown, and is tried again, while everything else goes on.

use std::fmt;

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// The exit codes, as users rely on them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do, or stopped by TERM or INT.
    #[default]
    Done = 0,
    /// A render, check, write or reload failed.
    Failed = 1,
    /// Something differs; only `diff` and `--detailed-exitcode` say so.
    Differs = 2,
    /// Too few members, held, or paused.
    Held = 3,
    /// A registry was not reached in time, or its root is missing, and nothing usable stands in for it.
    Unreached = 4,
    /// Another agent has the state directory.
    Locked = 5,
    /// Wrong usage (`EX_USAGE` of sysexits.h).
    Usage = 64,
    /// No agent answers (`EX_UNAVAILABLE` of sysexits.h).
    NoAgent = 69,
    /// Wrong configuration (`EX_CONFIG` of sysexits.h).
    Config = 78,
}

impl Exit {
    /// The number for the operating system.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Of two ends of one pass the more serious one: 1, then 4, 3, 2, 0. Others end a program before any pass.
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

/// Ends the program: what was wrong, in full, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fatal {
    /// The exit code.
    pub exit: Exit,
    /// The whole text for standard error, without a line break at its end.
    pub message: String,
}

impl Fatal {
    /// A fatal error with this text.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fatal {}

/// Something that did not work and will be tried again: what was tried, on what, why it failed, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setback {
    /// What was tried and on what: "rename /etc/x/.rosterd-1.tmp to /etc/x/y".
    pub tried: String,
    /// What came of it: "No space left on device (os error 28)".
    pub why: String,
    /// What a person can do about it, where that is known.
    pub hint: Option<String>,
}

impl Setback {
    /// A setback without a hint.
    pub fn new(tried: impl Into<String>, why: impl fmt::Display) -> Self {
        Self { tried: tried.into(), why: why.to_string(), hint: None }
    }

    /// The same with a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Setback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.tried, self.why)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Setback {}
