//! Requests and answers.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pass::{PassReport, PassRequest};
use crate::error::Exit;
use crate::history::Entry;
use crate::model::saved_view::SavedView;
use crate::report::status::Status;

/// The version of the protocol. A request of another version is refused.
pub const VERSION: u32 = 1;

/// One request line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`].
    pub v: u32,
    /// The request.
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

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestBody {
    /// The state of everything, for a person: `accept` admits what it showed.
    Status,
    /// The state of everything, for a monitoring plugin, which shows nobody what `accept` would admit.
    Probe,
    /// The state of a template, roster or key, with the reasons.
    Explain {
        /// Its name.
        name: String,
    },
    /// Accept the held view of a roster.
    Accept {
        /// Its name.
        roster: String,
    },
    /// Pause replacements.
    Pause {
        /// The duration.
        length: Duration,
        /// The reason, for status and explain.
        reason: Option<String>,
    },
    /// End the pause.
    Resume,
    /// End the pin of a template.
    Unpin {
        /// The template.
        template: String,
    },
    /// Roll a file back to a generation, and pin it.
    Rollback {
        /// The template.
        template: String,
        /// The number of the generation.
        generation: u64,
        /// The reason, for status and explain.
        reason: Option<String>,
    },
    /// The history.
    History {
        /// Only entries about this template, roster or service.
        name: Option<String>,
        /// Only entries since this time, in milliseconds since 1970.
        since: u64,
    },
    /// One entry of the history.
    HistoryEntry {
        /// Its number.
        number: u64,
    },
    /// The difference between two generations.
    HistoryDiff {
        /// The number of the old one.
        from: u64,
        /// The number of the new one.
        to: u64,
    },
    /// Take a service out.
    Drain {
        /// Its name.
        service: String,
        /// For how long; until [`RequestBody::Undrain`] if `None`.
        length: Option<Duration>,
        /// The reason, for status and explain.
        reason: Option<String>,
    },
    /// Bring a service back.
    Undrain {
        /// Its name.
        service: String,
    },
    /// The members of paths.
    Get {
        /// The paths.
        paths: Vec<String>,
    },
    /// Run one pass.
    Render {
        /// The state directory of the pass. An agent with another one declines.
        state_dir: PathBuf,
        /// The fingerprint of the configuration and its templates.
        fingerprint: u64,
        /// The pass.
        request: PassRequest,
    },
}

impl RequestBody {
    /// Whether it changes anything, or shows the content of files that not everybody may read.
    pub fn is_command(&self) -> bool {
        !matches!(self, Self::Status | Self::Probe | Self::Explain { .. } | Self::Get { .. })
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`RequestBody::Status`].
    Status(Box<Status>),
    /// To [`RequestBody::Get`]: one for each path.
    Views(Vec<PathView>),
    /// To [`RequestBody::History`]: the oldest first.
    History(Vec<Entry>),
    /// To [`RequestBody::HistoryEntry`].
    Entry {
        /// The entry.
        entry: Box<Entry>,
        /// Whether its content is kept, if it is a generation.
        is_kept: bool,
    },
    /// Text for a terminal.
    #[serde(rename = "told")]
    Message(Message),
    /// To [`RequestBody::Render`]: the result of the pass.
    Rendered(PassReport),
    /// To [`RequestBody::Render`]: the agent cannot run this pass, with the reason.
    #[serde(rename = "elsewhere")]
    Declined(String),
}

impl Answer {
    /// The request succeeded, with this output.
    pub fn done(text: impl Into<String>) -> Self {
        Self::Message(Message { exit: Exit::Done, text: text.into() })
    }

    /// The request failed.
    pub fn failed(exit: Exit, why: impl Into<String>) -> Self {
        Self::Message(Message { exit, text: why.into() })
    }
}

/// What the agent knows of a path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathView {
    /// A roster follows the path, alone or as one of several keys.
    pub is_followed: bool,
    /// The registry, if it is not the first one.
    #[serde(default)]
    pub registry: Option<String>,
    /// The last view; `None` before the first.
    pub view: Option<SavedView>,
    /// For how long the view may be out of date; `None` if it is current.
    pub stale: Option<Duration>,
    /// Why the registry is not reached, if that is known.
    pub reason: Option<String>,
}

/// Text for a terminal, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The exit code. With [`Exit::Done`] the text is for standard output, otherwise for standard error.
    pub exit: Exit,
    /// The text.
    pub text: String,
}
