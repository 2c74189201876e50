//! The signals that the agent handles.

use nix::sys::signal::{SigSet, Signal as Number};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Exit, Fatal};

/// The signals that the agent uses itself.
const OWN: [Number; 3] = [Number::SIGHUP, Number::SIGTERM, Number::SIGINT];

/// The signals that are forwarded to the agent's program: those that an operator can send to a program, and that the
/// agent does not use. They are dropped while no program runs.
pub const FORWARDED: [Number; 6] =
    [Number::SIGUSR1, Number::SIGUSR2, Number::SIGQUIT, Number::SIGWINCH, Number::SIGALRM, Number::SIGCONT];

/// Signals that are blocked because they have no handlers yet: the kernel keeps them until this is dropped. No other
/// thread or process may be started before that: it would inherit the block.
#[must_use]
pub struct BlockedSignals(SigSet);

impl BlockedSignals {
    /// Blocks every signal that the agent handles.
    pub fn block() -> Self {
        let all: SigSet = OWN.into_iter().chain(FORWARDED).collect();
        // This fails only with an invalid argument.
        let _ = all.thread_block();
        Self(all)
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        let _ = self.0.thread_unblock();
    }
}

/// The signals that the agent uses itself.
pub struct Signals {
    pub hup: Signal,
    pub term: Signal,
    pub int: Signal,
    /// Stops an agent with services, whose nodes stay for the next one. Also forwarded.
    pub usr2: Signal,
}

impl Signals {
    /// Installs handlers, so that these signals no longer end the process.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new() -> Result<Self, Fatal> {
        let [hup, term, int] = OWN.map(listen);
        Ok(Self { hup: hup?, term: term?, int: int?, usr2: listen(Number::SIGUSR2)? })
    }

    /// Returns on TERM and INT, with the name.
    pub async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "TERM",
            _ = self.int.recv() => "INT",
        }
    }
}

/// Installs handlers for the signals that are forwarded, which drop each signal until it has a listener.
///
/// # Errors
/// The system refuses.
pub fn drop_forwarded() -> Result<(), Fatal> {
    // The handler outlives the listener.
    FORWARDED.into_iter().try_for_each(|number| listen(number).map(drop))
}

fn listen(number: Number) -> Result<Signal, Fatal> {
    let listening = signal(SignalKind::from_raw(number as i32));
    listening.map_err(|why| Fatal::new(Exit::Failed, format!("cannot listen for {number}: {why}")))
}
