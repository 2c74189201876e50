//! The signals that the agent handles itself.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Exit, Fatal};

/// The signals.
pub struct Signals {
    pub hup: Signal,
    pub term: Signal,
    pub int: Signal,
}

impl Signals {
    /// Installs handlers, so that the signals no longer end the process.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new() -> Result<Self, Fatal> {
        let listen = |kind| signal(kind).map_err(|why| Fatal::new(Exit::Failed, format!("listen for signals: {why}")));
        Ok(Self {
            hup: listen(SignalKind::hangup())?,
            term: listen(SignalKind::terminate())?,
            int: listen(SignalKind::interrupt())?,
        })
    }

    /// Returns on TERM and INT, with the name.
    pub async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "TERM",
            _ = self.int.recv() => "INT",
        }
    }
}
