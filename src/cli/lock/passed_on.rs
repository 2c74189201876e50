//! The signals that are passed on to the command.

use std::future::pending;

use nix::sys::signal::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{Exit, Fatal};

/// The signals that are passed on.
const SIGNALS: [Number; 6] =
    [Number::SIGTERM, Number::SIGINT, Number::SIGHUP, Number::SIGQUIT, Number::SIGUSR1, Number::SIGUSR2];

/// The exit code for the end by a signal, as in a shell.
pub fn exit_code(number: i32) -> u8 {
    u8::try_from(128 + number).unwrap_or(u8::MAX)
}

/// The signals that are passed on to the command.
pub struct PassedOn(Vec<(Number, Signal)>);

impl PassedOn {
    /// From now on, these signals do not end the process.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> Result<Self, Fatal> {
        let listen = |number| match signal(SignalKind::from_raw(number as i32)) {
            Ok(listener) => Ok((number, listener)),
            Err(why) => Err(Fatal::new(Exit::Failed, format!("cannot listen for {number}: {why}"))),
        };
        SIGNALS.into_iter().map(listen).collect::<Result<_, _>>().map(Self)
    }

    /// The number of the next signal.
    pub async fn next(&mut self) -> i32 {
        let heard = self.0.iter_mut().map(|(number, listener)| {
            Box::pin(async move {
                match listener.recv().await {
                    Some(()) => *number as i32,
                    None => pending().await,
                }
            })
        });
        futures_util::future::select_all(heard).await.0
    }
}
