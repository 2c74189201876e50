//! Who is refused: pages of other sites, other hosts, addresses without users. And that nothing is written by reading.

use std::time::{Duration, Instant};

use super::super::Scene;
use super::{ANY, FORM, JSON, WANTS_JSON};
use crate::serve::client::send;
use crate::support::zookeeper::free_port;

#[test]
fn a_cross_site_post_or_a_wrong_origin_writes_nothing() {
    let scene = Scene::pycon();
    let server = scene.serve(&["--write"]);
    let before = scene.dump();
    for from in [
        "Origin: http://evil.test\r\n",
        "Origin: null\r\n",
        "Origin: http://127.0.0.1:1\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
    ] {
        for (method, path, kind, body) in [
            ("POST", "/service/evil/", FORM, ""),
            ("POST", "/service/evil/", "", ""),
            ("PUT", "/service/pycon/", FORM, "data=%7B%7D&version=1"),
            ("DELETE", "/service/pycon/parent/child1/", "", ""),
            ("PUT", "/service/pycon/association/h2", FORM, "env=parent"),
            ("PUT", "/api/v1/services/pycon/envs/", ANY, r#"{"text": "{}"}"#),
            ("POST", "/api/v1/services", ANY, r#"{"service": "evil"}"#),
            ("DELETE", "/api/v1/services/pycon/hosts/h1", ANY, ""),
        ] {
            let answer = server.ask(method, path, &format!("{kind}{from}"), body);
            assert_eq!(answer.status, 403, "{method} {path} {from}: {answer:?}");
        }
    }
    // What a form of another site can send, with a browser that names no origin.
    for (kind, more) in [
        (FORM, "Cookie: session=1\r\n"),
        (FORM, "Authorization: Basic YTph\r\n"),
        (FORM, "Referer: http://evil.test/\r\n"),
        ("Content-Type: text/plain\r\n", ""),
        ("Content-Type: multipart/form-data; boundary=x\r\n", ""),
    ] {
        for path in ["/service/evil/", "/api/v1/services"] {
            let answer = server.ask("POST", path, &format!("{kind}{more}"), r#"{"service": "evil"}"#);
            assert_eq!(answer.status, 415, "{path} {kind} {more}: {answer:?}");
        }
    }
    assert_eq!(scene.dump(), before);
    let ours = format!("{JSON}Origin: http://127.0.0.1:{}\r\nSec-Fetch-Site: same-origin\r\n", server.port);
    assert_eq!(server.ask("POST", "/api/v1/services", &ours, r#"{"service": "ours"}"#).status, 201);
}

#[test]
fn reading_writes_nothing_whatever_is_asked_for() {
    let scene = Scene::pycon();
    scene.client.put("/services/web/10.0.0.1:80", b"");
    let server = scene.serve(&["--write"]);
    let before = scene.dump();
    for (path, status) in [
        ("/", 200),
        ("/service/pycon/", 200),
        ("/service/pycon", 200),
        ("/service/pycon/parent/child1/", 200),
        ("/service/pycon/association/h1", 200),
        ("/service/pycon/association/unlisted", 200),
        ("/service/pycno/", 404),
        ("/service/web/", 404),
        ("/service/pycon/nowhere/", 404),
        ("/service/pycno/association/h1", 404),
        ("/export", 200),
        ("/check", 200),
        ("/history/pycon", 200),
        ("/history/pycon/r1", 200),
        ("/history/pycon/r99", 404),
        ("/review/pycon", 200),
        ("/frozen/pycon", 200),
        ("/api/v1/services", 200),
        ("/api/v1/services/pycon", 200),
        ("/api/v1/services/pycon/envs/", 200),
        ("/api/v1/services/pycon/envs/parent%2Fchild1", 200),
        ("/api/v1/services/pycon/hosts/h1", 200),
        ("/api/v1/services/pycon/history", 200),
        ("/api/v1/services/pycon/history/4", 200),
        ("/api/v1/services/pycon/check", 200),
        ("/api/v1/services/pycno", 404),
        ("/api/v1/services/pycon/rollback", 404),
        ("/nothing", 404),
    ] {
        for (method, accept) in [("GET", "Accept: text/html\r\n"), ("GET", WANTS_JSON), ("GET", ""), ("HEAD", "")] {
            let answer = server.ask(method, path, accept, "");
            assert_eq!(answer.status, status, "{method} {path} {accept}: {answer:?}");
            for line in ["default-src 'none'; ", "frame-ancestors 'none'", "nosniff", "cache-control: no-store"] {
                assert!(answer.head.contains(line), "{path}: {}", answer.head);
            }
        }
    }
    for line in scene.ok(&["ls"]).lines() {
        assert!(line.starts_with("pycon "), "{line}");
    }
    assert_eq!(scene.dump(), before, "no node was created, changed or deleted");
}

#[test]
fn another_host_is_refused() {
    let scene = Scene::pycon();
    scene.configure_jones("hosts = [\"jones.example.com\"]\n");
    let server = scene.serve(&[]);
    for (host, status) in [
        ("localhost", 200),
        ("127.0.0.1:1", 200),
        ("jones.example.com", 200),
        ("evil.test", 403),
        ("10.0.0.1", 403),
        ("", 403),
        ("jones.example.com.evil.test", 403),
    ] {
        let request = format!("GET /service/pycon/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(send(server.port, &request).status, status, "{host}");
    }
    let twice = "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\nConnection: close\r\n\r\n";
    assert_eq!(send(server.port, twice).status, 400);
}

#[test]
fn an_address_that_is_not_loopback_is_refused_without_users() {
    let scene = Scene::pycon();
    let listen = format!("0.0.0.0:{}", free_port());
    let refused = scene.jones(&["serve", "--listen", &listen]);
    let stderr = refused.expect(78).stderr();
    assert!(stderr.contains("is not a loopback address") && stderr.contains("set `auth` in [jones]"), "{stderr}");
}

#[test]
fn without_write_nothing_can_be_written() {
    let scene = Scene::pycon();
    let server = scene.serve(&[]);
    let before = scene.dump();
    for (method, path, head, body) in [
        ("PUT", "/service/pycon/", FORM, "data=%7B%7D&version=1"),
        ("POST", "/service/new/", FORM, ""),
        ("DELETE", "/service/pycon/parent/child1/", "", ""),
        ("PUT", "/api/v1/services/pycon/envs/", ANY, r#"{"text": "{}"}"#),
        ("POST", "/api/v1/services/pycon/review", JSON, r#"{"text": "{}"}"#),
    ] {
        let answer = server.ask(method, path, head, body);
        assert_eq!(answer.status, 403, "{method} {path}: {answer:?}");
        assert!(answer.body.contains("this server only reads"), "{answer:?}");
    }
    assert_eq!(scene.dump(), before);
}

#[test]
fn a_zookeeper_that_does_not_answer_is_told_and_is_never_an_empty_list() {
    let scene = Scene::pycon();
    scene.site.configure(&format!("[registry]\nurl = \"zk://127.0.0.1:{}\"\n", free_port()));
    let server = scene.serve(&["--write", "--timeout", "1s"]);
    for (path, accept) in [("/", "Accept: text/html\r\n"), ("/api/v1/services", ""), ("/service/pycon/", WANTS_JSON)] {
        let began = Instant::now();
        let answer = server.ask("GET", path, accept, "");
        assert_eq!(answer.status, 503, "{path}: {answer:?}");
        assert!(answer.body.contains("cannot use zk://127.0.0.1"), "{answer:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
    let answer = server.ask("PUT", "/service/pycon/", FORM, "data=%7B%7D&version=1");
    assert_eq!(answer.status, 503, "{answer:?}");
}
