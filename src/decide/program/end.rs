//! How a program ended.

use std::fmt;

use nix::sys::signal::Signal;

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Exited(i32),
    /// It was killed by this signal.
    Signalled(i32),
    /// It did not start, with the reason.
    NotStarted(String),
}

impl End {
    /// The exit code that a shell reports.
    pub fn code(&self) -> u8 {
        let code = match self {
            Self::Exited(code) => *code,
            Self::Signalled(number) => number.saturating_add(128),
            Self::NotStarted(_) => 127,
        };
        u8::try_from(code).unwrap_or(u8::MAX)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit {code}"),
            Self::Signalled(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {number}"),
            },
            Self::NotStarted(why) => write!(f, "did not start: {why}"),
        }
    }
}
