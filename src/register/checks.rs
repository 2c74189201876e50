//! Runs the checks of services. Each ends within its time limit, whatever the checked service does.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use nix::fcntl::OFlag;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::act::process::command::{self, Title};
use crate::act::process::environment::clean;
use crate::act::process::launch::Termination;
use crate::act::process::output::{MAX_OUTPUT, OutputTail};
use crate::act::process::stream::Streams;
use crate::config::{Check, Command, HttpCheck};
use crate::http::Client;

#[cfg(test)]
mod tests;

/// How many commands and HTTP requests run at once, so that hundreds of services do not start hundreds of processes.
/// The time limit of a check does not include its wait for one of these slots: a service does not fail because the checks
/// of others hang.
const MAX_AT_ONCE: usize = 32;

/// The most bytes of an HTTP response that are searched for a text.
const MAX_BODY: u64 = 1024 * 1024;

/// The most bytes of a PID file that are read.
const MAX_PID_FILE: u64 = 1024;

/// Runs checks.
#[derive(Debug, Clone)]
pub struct Checks {
    slots: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Checks {
    /// Checks that run until `stop`.
    pub fn new(stop: CancellationToken) -> Self {
        Self { slots: Arc::new(Semaphore::new(MAX_AT_ONCE)), stop }
    }

    /// Runs a check.
    ///
    /// # Errors
    /// Why it failed.
    pub fn run<'a>(&'a self, check: &'a Check, limit: Duration) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            match check {
                Check::Cmd(command) => self.command(command, limit).await,
                Check::Systemd(unit) => {
                    let words = ["systemctl", "is-active", "--", unit].map(str::to_owned);
                    let failed = |why| format!("unit {unit}: {why}");
                    self.command(&Command::Exec(words.to_vec()), limit).await.map_err(failed)
                }
                Check::Tcp(address) => tcp(address, limit).await,
                Check::Http(check) => {
                    let _slot = self.slots.acquire().await;
                    let wanted = check.clone();
                    let asked = spawn_blocking(move || http(&wanted, limit)).await;
                    asked
                        .map_err(|why| why.to_string())
                        .and_then(|done| done)
                        .map_err(|why| format!("{}: {why}", check.url))
                }
                Check::PidFile(file) => {
                    let file = file.clone();
                    spawn_blocking(move || pid_file(&file)).await.map_err(|why| why.to_string()).and_then(|done| done)
                }
                Check::All(checks) => {
                    for check in checks {
                        self.run(check, limit).await?;
                    }
                    Ok(())
                }
            }
        })
    }

    async fn command(&self, command: &Command, limit: Duration) -> Result<(), String> {
        self.output(Streams::Together, "check", command, limit).await.map(drop)
    }

    /// Runs a `data_cmd`, and returns its standard output.
    ///
    /// # Errors
    /// It did not exit with 0 in time, or the output is no data.
    pub async fn data(&self, command: &Command, limit: Duration) -> Result<String, String> {
        let output = self.output(Streams::Apart, "data_cmd", command, limit).await?;
        if output.dropped() > 0 {
            return Err(format!("its output is longer than {} KiB", MAX_OUTPUT / 1024));
        }
        String::from_utf8(output.bytes()).map_err(|_| "its output is not UTF-8".to_owned())
    }

    async fn output(
        &self,
        streams: Streams,
        what: &str,
        command: &Command,
        limit: Duration,
    ) -> Result<OutputTail, String> {
        let _slot = self.slots.acquire().await;
        let title = Title { what, command };
        let done = command::run_with(streams, title, command, &clean(), limit, &self.stop).await;
        match done.termination {
            Termination::Exited(0) => Ok(done.output),
            Termination::TimedOut(_) => Err(format!("{title} did not exit within {limit:?} and was terminated")),
            _ => Err(done.describe(what, command)),
        }
    }
}

/// Connects to `host:port`, at any of its addresses.
async fn tcp(address: &str, limit: Duration) -> Result<(), String> {
    match timeout_at(Instant::now() + limit, TcpStream::connect(address)).await {
        // The kernel may pick the same port as the local port, and connect a loopback address to itself.
        Ok(Ok(stream)) if stream.local_addr().ok() == stream.peer_addr().ok() => {
            Err(format!("{address}: nothing is listening on this port"))
        }
        Ok(Ok(_)) => Ok(()),
        Ok(Err(why)) => Err(format!("{address}: {why}")),
        Err(_) => Err(format!("{address}: no connection within {limit:?}")),
    }
}

/// Sends a request and compares the reply with what is expected.
fn http(check: &HttpCheck, limit: Duration) -> Result<(), String> {
    let client = Client { limit, ca: check.ca.as_deref(), identity: None };
    let headers = check.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut response = client.get(&check.url, headers).map_err(|failure| failure.reason)?;
    let status = response.status().as_u16();
    let is_expected = check.expect.map_or((200..300).contains(&status), |expected| expected == status);
    if !is_expected {
        let expected = check.expect.map_or("200 to 299".to_owned(), |expected| expected.to_string());
        return Err(format!("status {status}, expected {expected}"));
    }
    let Some(text) = &check.body else { return Ok(()) };
    let body = client.read(&mut response, MAX_BODY).map_err(|failure| failure.reason)?;
    if String::from_utf8_lossy(&body).contains(text.as_str()) {
        return Ok(());
    }
    Err(format!("the body does not contain {text:?}"))
}

/// Whether the process of a PID file runs.
fn pid_file(file: &Path) -> Result<(), String> {
    let shown = file.display();
    let text = read_pid_file(file).map_err(|why| format!("{shown}: {why}"))?;
    let pid = text.trim().parse::<i32>().ok().filter(|pid| *pid > 0);
    let pid = pid.ok_or_else(|| format!("{shown} contains no process ID"))?;
    match kill(Pid::from_raw(pid), None) {
        // Another user's process runs, too.
        Ok(()) | Err(nix::errno::Errno::EPERM) => Ok(()),
        Err(_) => Err(format!("{shown} names process {pid}, which is not running")),
    }
}

fn read_pid_file(file: &Path) -> io::Result<String> {
    // Without `O_NONBLOCK` a named pipe would block the check until another process writes to it.
    let open = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(file)?;
    if !open.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    open.take(MAX_PID_FILE).read_to_string(&mut text)?;
    Ok(text)
}
