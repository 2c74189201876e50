//! Every fault between the agent and its registries, with the real binary and real servers: what the file is then, how
//! soon it is correct again, and what that costs.

use std::time::{Duration, Instant};

use crate::ensemble::{AWAY, CONFIG};
use crate::harness::site::{Agent, Site};

mod changes;
mod cut_off_server;
mod errno;
mod ext4;
mod full_disk;
mod hostile_server;
mod kill;
mod power_cut;
mod reconnect;
mod restored;
mod several_registries;
mod slow;
mod state_dir;
mod storm;

/// With another session timeout.
fn with_session(timeout: &str) -> String {
    CONFIG.replace("session_timeout = \"4s\"", &format!("session_timeout = \"{timeout}\""))
}

/// Waits until the file has this content. Returns how long it took.
#[track_caller]
fn file_becomes(agent: &Agent, site: &Site, name: &str, wanted: &str) -> Duration {
    let began = Instant::now();
    agent.until(&format!("{name} is {wanted:?}"), || site.read(name) == wanted);
    began.elapsed()
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    println!("{of:?}");
    of[of.len() / 2]
}
