//! The signals that are passed on to the command.

use std::fs;
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
    /// From now on, these signals do not end the process. One that is ignored at the start (`nohup`, `&` in a script) stays
    /// so, for the command, too.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> Result<Self, Fatal> {
        let listen = |number| match signal(SignalKind::from_raw(number as i32)) {
            Ok(listener) => Ok((number, listener)),
            Err(why) => Err(Fatal::new(Exit::Failed, format!("cannot listen for {number}: {why}"))),
        };
        // Without `/proc`, none counts as ignored.
        let ignored = fs::read_to_string("/proc/self/status").map_or(0, |status| ignored(&status));
        SIGNALS.into_iter().filter(|number| !is_in(ignored, *number)).map(listen).collect::<Result<_, _>>().map(Self)
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
        let heard: Vec<_> = heard.collect();
        if heard.is_empty() {
            return pending().await;
        }
        futures_util::future::select_all(heard).await.0
    }
}

/// The set of ignored signals in `/proc/PID/status` (`proc_pid_status(5)`): the lowest bit stands for signal 1.
fn ignored(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

fn is_in(set: u64, number: Number) -> bool {
    (set >> (number as i32 - 1)) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_are_ignored_at_the_start_are_not_listened_for() {
        // The first two are of `nohup` and of a command in the background of a script.
        for (status, expected) in [
            ("Name:\tx\nSigBlk:\t0000000000000007\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000002\n", "SIGHUP"),
            ("SigIgn:\t0000000000001006\n", "SIGINT SIGQUIT"),
            ("SigIgn:\t0000000000004a00\n", "SIGTERM SIGUSR1 SIGUSR2"),
            ("SigIgn:\t0000000000001000\n", ""),
            ("SigIgn:\tx\n", ""),
            ("", ""),
        ] {
            let mut found: Vec<&str> =
                SIGNALS.iter().filter(|it| is_in(ignored(status), **it)).map(|it| it.as_str()).collect();
            found.sort_unstable();
            assert_eq!(found.join(" "), expected, "{status}");
        }
    }
}
