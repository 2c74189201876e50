//! Which requests are refused.

use std::io::Write as _;
use std::time::Instant;

use super::client::{Events, connect, finish, get, request, send, status_of_host};
use super::{site, up, with_listen};
use crate::main_job::site_with;
use crate::support::zookeeper::free_port;

#[test]
fn another_host_is_forbidden() {
    let port = free_port();
    let site = site_with(&with_listen(port, "hosts = [\"status.example.com\"]\n"), 1);
    let _agent = up(&site, port);
    let own = format!("127.0.0.1:{port}");
    for host in ["localhost", "LOCALHOST:80", &own, "[::1]:9189", "status.example.com:8080"] {
        assert_eq!(status_of_host(port, host), 200, "{host}");
    }
    for host in
        ["evil.example", "evil.example:9189", "localhost.evil.example", "localhost@evil.example", "10.0.0.1", ""]
    {
        assert_eq!(status_of_host(port, host), 403, "{host}");
    }
    let evil =
        |path: &str| send(port, &format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"));
    for path in ["/", "/status.json", "/events", "/ready", "/nothing"] {
        let answer = evil(path);
        assert!(answer.status == 403 && !answer.body.contains("web"), "{path}: {answer:?}");
    }
    let absolute = "GET http://evil.example/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(send(port, absolute).status, 403, "the host of the target counts too");
    let post = "POST /live HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(send(port, post).status, 403, "also with another method");
    for head in ["", "Host: localhost\r\nHost: evil.example\r\n", "Host: evil.example\r\nHost: localhost\r\n"] {
        let answer = send(port, &format!("GET /live HTTP/1.1\r\nConnection: close\r\n{head}\r\n"));
        assert_eq!(answer.status, 400, "{head}");
    }
    assert_eq!(send(port, "GET /live HTTP/1.0\r\n\r\n").status, 200, "HTTP/1.0 has no host, and no browser sends it");
}

#[test]
fn nothing_but_get_and_head_is_allowed() {
    let (site, port) = site(1);
    let _agent = up(&site, port);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "ACCEPT"] {
        let target = if method == "CONNECT" { "localhost:80" } else { "/status.json" };
        let answer = send(port, &request(method, target, ""));
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("allow: get, head"), "{answer:?}");
    }
    // The body is not read, and its end is not taken for another request.
    let body = "x".repeat(100_000) + "GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for head in [format!("Content-Length: {}\r\n", body.len()), "Transfer-Encoding: chunked\r\n".to_owned()] {
        let sent = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{head}\r\n{body}");
        let answer = send(port, &sent);
        assert!(answer.status == 405 && answer.head.contains("connection: close"), "{answer:?}");
        assert!(!answer.body.contains("HTTP/1.1"), "{answer:?}");
    }
}

#[test]
fn a_long_or_malformed_head_is_refused() {
    let (site, port) = site(1);
    let _agent = up(&site, port);
    assert_eq!(send(port, &request("GET", "/live", &format!("X: {}\r\n", "a".repeat(7000)))).status, 200);
    for head in
        [format!("X: {}\r\n", "a".repeat(8192)), "X: a\r\n".repeat(3000), format!("X: {}\r\n", "a".repeat(1_000_000))]
    {
        assert_eq!(send(port, &request("GET", "/live", &head)).status, 431, "{} bytes", head.len());
    }
    assert_eq!(send(port, &request("GET", &format!("/{}", "a".repeat(8192)), "")).status, 431);
    for bytes in ["\r\n\r\nnonsense\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}", "GET / HTTP/9.9\r\n\r\n", "GET  \r\n\r\n"] {
        let status = send(port, bytes).status;
        assert!([0, 400, 505].contains(&status), "{bytes:?}: {status}");
    }
    assert_eq!(get(port, "/live").status, 200);
}

#[test]
fn a_slow_head_and_an_idle_connection_end_after_five_seconds() {
    let (site, port) = site(1);
    let _agent = up(&site, port);
    let (mut slow, mut kept, idle) = (connect(port), connect(port), connect(port));
    let began = Instant::now();
    slow.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n").unwrap();
    kept.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let (slow, kept, idle) = (finish(slow), finish(kept), finish(idle));
    assert_eq!((slow.status, kept.status, idle.status), (408, 200, 0));
    assert_eq!(kept.body, "ok\n", "an idle connection is closed without another answer");
    let took = began.elapsed().as_secs_f32();
    assert!((4.5..9.0).contains(&took), "{took} s");
}

#[test]
fn one_connection_too_many_is_closed_and_streams_leave_room() {
    let (site, port) = site(1);
    let agent = up(&site, port);
    let streams: Vec<Events> = (0..8).map(|_| Events::open(port, "/events", "")).collect();
    let more = get(port, "/events");
    assert!(more.status == 429 && more.head.contains("retry-after: "), "{more:?}");
    assert_eq!(get(port, "/live").status, 200);
    let others: Vec<_> = (0..8).map(|_| connect(port)).collect();
    let answer = finish(connect(port));
    assert!([0, 503].contains(&answer.status), "{answer:?}");
    drop(others);
    agent.until("room for one", || get(port, "/live").status == 200);
    drop(streams);
    agent.until("room for a stream", || send(port, &request("HEAD", "/events", "")).status == 200);
    agent.until("a stream", || {
        let mut stream = connect(port);
        stream.write_all(request("GET", "/events", "").as_bytes()).unwrap();
        let mut head = [0; 12];
        std::io::Read::read_exact(&mut stream, &mut head).is_ok() && head == *b"HTTP/1.1 200"
    });
}
