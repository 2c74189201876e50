//! What is asked, and what is answered.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pass::{PassReport, PassRequest};
use crate::error::Exit;
use crate::report::status::Status;

/// The version of the protocol. Another one is answered in words, never guessed at.
pub const VERSION: u32 = 1;

/// One request line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`].
    pub v: u32,
    /// What is asked.
    #[serde(rename = "ask")]
    pub body: RequestBody,
}

/// One answer line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Response {
    /// [`VERSION`].
    pub v: u32,
    /// The answer.
    pub answer: Answer,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestBody {
    /// How it is with everything.
    Status,
    /// Why a template, a roster or a key is as it is.
    Explain {
        /// Its name.
        name: String,
    },
    /// Let through what a roster keeps back.
    Accept {
        /// Its name.
        roster: String,
    },
    /// Replace nothing for a while.
    Pause {
        /// How long.
        length: Duration,
        /// Why, for the others.
        reason: Option<String>,
    },
    /// Replace files again.
    Resume,
    /// Make one pass.
    Render {
        /// The state directory of the configuration that the pass is for: an agent with another one is another agent.
        state_dir: PathBuf,
        /// That configuration and its templates as a number.
        fingerprint: u64,
        /// The pass.
        request: PassRequest,
    },
}

impl RequestBody {
    /// Whether it changes anything, or shows what is in files that not everybody may read.
    pub fn is_command(&self) -> bool {
        !matches!(self, Self::Status | Self::Explain { .. })
    }
}

/// What can be answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`RequestBody::Status`].
    Status(Box<Status>),
    /// Words for a terminal.
    #[serde(rename = "told")]
    Message(Message),
    /// To [`RequestBody::Render`]: how the pass ended.
    Rendered(PassReport),
    /// To [`RequestBody::Render`]: this agent is not the one to ask, for this reason.
    #[serde(rename = "elsewhere")]
    Declined(String),
}

impl Answer {
    /// It is done, and this is what there is to say.
    pub fn done(text: impl Into<String>) -> Self {
        Self::Message(Message { exit: Exit::Done, text: text.into() })
    }

    /// It is not done.
    pub fn failed(exit: Exit, why: impl Into<String>) -> Self {
        Self::Message(Message { exit, text: why.into() })
    }
}

/// Words for a terminal, and the exit code that goes with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// For standard output with [`Exit::Done`], for standard error otherwise.
    pub exit: Exit,
    /// The words.
    pub text: String,
}
