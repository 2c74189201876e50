//! Notifications to the service manager, as in `sd_notify(3)`: when the agent is ready, reloads or stops, its status, and
//! that its event loop makes progress.

use std::env;
use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often the status is sent, if it has changed.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

/// The most bytes of undelivered notifications.
const MAX_UNSENT: usize = 4096;

/// The service manager, if there is one.
pub struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    phase: Phase,
    has_watchdog: bool,
    ticks: Interval,
    status: String,
    /// What could not be delivered yet, because the manager is slow to read.
    unsent: String,
}

/// What the service manager was last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    Reloading,
    Stopping,
}

impl ServiceManager {
    /// The one that started this process.
    pub fn from_env() -> Self {
        let address = env::var_os("NOTIFY_SOCKET").and_then(|name| address(&name));
        let socket = address.and_then(|address| {
            let socket = UnixDatagram::unbound().ok()?;
            // The event loop must not wait for the manager.
            socket.set_nonblocking(true).ok()?;
            Some((socket, address))
        });
        let watchdog = watchdog();
        let limit = watchdog.map_or(STATUS_INTERVAL, |limit| STATUS_INTERVAL.min(limit / 2));
        let mut ticks = interval(limit.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (status, unsent) = (String::new(), String::new());
        Self { socket, phase: Phase::Starting, has_watchdog: watchdog.is_some(), ticks, status, unsent }
    }

    /// Returns when [`Self::alive`] is to be called: at least twice in the time of the watchdog. Cancel safe.
    pub async fn due(&mut self) {
        if !self.is_present() {
            return std::future::pending().await;
        }
        self.ticks.tick().await;
    }

    /// Whether there is one.
    pub fn is_present(&self) -> bool {
        self.socket.is_some()
    }

    /// Whether the start is complete.
    pub fn is_ready(&self) -> bool {
        self.phase != Phase::Starting
    }

    /// The agent is started, or a reload has ended.
    pub fn ready(&mut self) {
        if matches!(self.phase, Phase::Starting | Phase::Reloading) {
            self.phase = Phase::Ready;
            self.send("READY=1\n");
        }
    }

    /// A reload begins.
    pub fn reloading(&mut self) {
        if self.phase == Phase::Ready {
            self.phase = Phase::Reloading;
            let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
            self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}\n", now.as_micros()));
        }
    }

    /// The agent begins to stop.
    pub fn stopping(&mut self) {
        if self.phase != Phase::Stopping {
            self.phase = Phase::Stopping;
            self.send("STOPPING=1\n");
        }
    }

    /// The event loop makes progress. `status` is one line.
    pub fn alive(&mut self, status: &str) {
        let mut message = String::new();
        if self.status != status {
            status.clone_into(&mut self.status);
            message = format!("STATUS={status}\n");
        }
        if self.has_watchdog {
            message.push_str("WATCHDOG=1\n");
        }
        self.send(&message);
    }

    fn send(&mut self, message: &str) {
        let Some((socket, address)) = &self.socket else { return };
        self.unsent.push_str(message);
        let is_sent = self.unsent.is_empty() || socket.send_to_addr(self.unsent.as_bytes(), address).is_ok();
        // A manager that reads nothing for long has missed everything that matters.
        if is_sent || self.unsent.len() > MAX_UNSENT {
            self.unsent.clear();
        }
    }
}

/// The address of a socket: a path, or an abstract name that begins with `@`.
fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        _ => None,
    }
}

/// After how long without a sign of life the manager ends this process, as in `sd_watchdog_enabled(3)`.
fn watchdog() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    if env::var_os("WATCHDOG_PID").is_some() && number("WATCHDOG_PID") != Some(std::process::id().into()) {
        return None;
    }
    number("WATCHDOG_USEC").filter(|limit| *limit > 0).map(Duration::from_micros)
}
