//! `/live` while the event loop hangs.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use super::client::get;
use super::site;
use crate::support::wait::{PATIENCE, eventually};

#[test]
fn a_hanging_event_loop_is_not_alive_until_it_continues() {
    let (site, port) = site(1);
    let log = site.path("log");
    nix::unistd::mkfifo(&log, Mode::S_IRWXU).unwrap();
    let reader = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&log).unwrap();
    let agent = site.start_by(&["sh", "-c", "exec \"$@\" 2>log", "sh"]);
    agent.until("it is ready", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() && get(port, "/ready").status == 200
    });
    assert_eq!(get(port, "/live").status, 200);
    // The report of this configuration is longer than the pipe of the log, which nobody reads: the agent waits for a
    // reader, as for a terminal that is stopped or a log collector that hangs.
    let nonsense: String = (0..2000).fold(String::new(), |text, number| text + &format!("[nonsense{number}]\n"));
    site.file("rosterd.toml", &(site.read("rosterd.toml") + &nonsense));
    agent.signal(Signal::SIGHUP);
    eventually(PATIENCE, "/live fails", || get(port, "/live").status == 503);
    assert_eq!(get(port, "/status.json").status, 503);
    assert_eq!(get(port, "/").status, 503, "the page shows the state, or nothing");
    // It is read again.
    let mut log = std::fs::File::open(&log).unwrap();
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    eventually(PATIENCE, "/live succeeds", || get(port, "/live").status == 200);
    assert_eq!(get(port, "/ready").body.lines().count(), 1, "the configuration was rejected");
    drop(reader);
}
