//! The port: it moves with the configuration, and may be in use.

use std::net::{TcpListener, TcpStream};

use nix::sys::signal::Signal;

use super::client::{Events, get, status_of_host};
use super::{site, up};
use crate::harness::site::Site;
use crate::main_job::member;
use crate::support::zookeeper::free_port;

fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Replaces a part of the configuration.
fn edit(site: &Site, from: &str, to: &str) {
    let text = site.read("rosterd.toml");
    assert!(text.contains(from), "{text}");
    site.file("rosterd.toml", &text.replace(from, to));
}

#[test]
fn a_hup_moves_and_closes_and_opens_the_port() {
    let (site, first) = site(1);
    let mut agent = up(&site, first);
    let second = free_port();
    let (old, new) = (format!("listen = \"127.0.0.1:{first}\""), format!("listen = \"127.0.0.1:{second}\""));
    let events = Events::open(first, "/events", "");
    edit(&site, &old, &new);
    agent.signal(Signal::SIGHUP);
    agent.until("the new port", || is_open(second) && get(second, "/ready").status == 200);
    assert!(!is_open(first));
    events.ends();
    assert_eq!(status_of_host(second, "status.example.com"), 403);
    edit(&site, &new, &format!("{new}\nhosts = [\"status.example.com\"]"));
    agent.signal(Signal::SIGHUP);
    agent.until("another host", || is_open(second) && status_of_host(second, "status.example.com") == 200);
    // What happened before the port moved is still known.
    Events::open(second, "/events?after=0", "").until("event: agent_started");
    edit(&site, &format!("{new}\nhosts"), "# hosts");
    agent.signal(Signal::SIGHUP);
    agent.until("no port", || !is_open(second));
    site.run(&["status"]).expect(0);
    edit(&site, "# hosts", &format!("{old}\nhosts"));
    agent.signal(Signal::SIGHUP);
    agent.until("the first port again", || is_open(first) && get(first, "/ready").status == 200);
    // A configuration that is refused changes nothing.
    edit(&site, &old, "listen = \"localhost:1\"");
    agent.signal(Signal::SIGHUP).says("event=config_refused");
    assert_eq!(get(first, "/live").status, 200);
    assert!(agent.stop().success());
    assert!(!is_open(first));
}

#[test]
fn a_port_in_use_is_retried_and_stops_nothing_else() {
    let (site, port) = site(1);
    let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let agent = site.start();
    agent.says(&format!("HTTP unavailable; retrying: cannot listen on 127.0.0.1:{port}: "));
    agent.until("the file", || site.read("out/list") == "10.0.0.1:80\n");
    site.file(&member(2), "");
    agent.until("a change", || site.read("out/list").lines().count() == 2);
    drop(taken);
    agent.says(&format!("HTTP is listening: 127.0.0.1:{port} event=http_listening"));
    assert_eq!((get(port, "/live").status, agent.said("event=http_unavailable")), (200, 1));
}

#[test]
fn an_address_that_others_reach_is_warned_of() {
    let (site, port) = site(1);
    edit(&site, "127.0.0.1:", "0.0.0.0:");
    let agent = up(&site, port);
    agent.says(&format!("`listen` is 0.0.0.0:{port}, which is not a loopback address"));
    assert_eq!(status_of_host(port, "evil.example"), 403);
}
