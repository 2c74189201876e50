//! Users: passwords, headers of a proxy, roles, and values that viewers do not see.

use std::fs;
use std::io::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::Scene;
use super::{ANY, FORM, JSON, Serving, WANTS_JSON};
use crate::serve::client::connect;
use crate::support::wait::PATIENCE;

/// What `htpasswd -B` writes: ada with lovelace, vera with view, eve with eve.
fn users() -> String {
    let line = |(user, password): (&str, &str)| format!("{user}:{}\n", bcrypt::hash(password, 4).unwrap());
    [("ada", "lovelace"), ("vera", "view"), ("eve", "eve")].map(line).concat()
}

const KEYS: &str = "write = true\nauth = \"basic\"\nusers = \"users\"\nmask = [\"*password*\"]\n\
                    viewers = { pycon = [\"vera\"] }\neditors = { \"py*\" = [\"ada\"] }\n";

fn scene(keys: &str) -> Scene {
    let scene = Scene::pycon();
    scene.write(&["set", "pycon/parent", "db_password=\"hunter2\"", "nested={\"password\": \"hunter2\"}"]);
    scene.site.file("users", &users());
    scene.configure_jones(keys);
    scene
}

fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
}

fn status(server: &Serving, method: &str, path: &str, head: &str, body: &str) -> u16 {
    server.ask(method, path, head, body).status
}

#[test]
fn users_prove_who_they_are_and_do_what_their_role_allows() {
    let scene = scene(KEYS);
    let server = scene.serve(&[]);
    let before = scene.dump();
    let asked = server.get("/service/pycon/");
    assert!(asked.status == 401 && asked.head.contains("www-authenticate: basic realm="), "{asked:?}");
    for (user, password, method, path, wanted) in [
        ("ada", "wrong", "GET", "/service/pycon/", 401),
        ("nobody", "lovelace", "GET", "/service/pycon/", 401),
        ("ada", "lovelace", "GET", "/service/pycon/", 200),
        ("vera", "view", "GET", "/service/pycon/", 200),
        ("eve", "eve", "GET", "/service/pycon/", 403),
        ("eve", "eve", "GET", "/api/v1/services", 200),
        ("eve", "eve", "GET", "/service/nothing/", 403),
        ("vera", "view", "PUT", "/service/pycon/", 403),
        ("vera", "view", "POST", "/service/new/", 403),
        ("vera", "view", "POST", "/api/v1/services/pycon/review", 403),
        ("eve", "eve", "DELETE", "/api/v1/services/pycon/hosts/h1", 403),
        ("ada", "wrong", "PUT", "/service/pycon/", 401),
    ] {
        let head = format!("{}{}", basic(user, password), if method == "GET" { WANTS_JSON } else { ANY });
        assert_eq!(status(&server, method, path, &head, ""), wanted, "{user} {method} {path}");
    }
    assert!(!server.ask("GET", "/api/v1/services", &basic("eve", "eve"), "").body.contains("pycon"));
    assert_eq!(scene.dump(), before);
    let ada = basic("ada", "lovelace");
    let form = "data=%7B%22n%22%3A1%7D&version=-1";
    assert_eq!(status(&server, "PUT", "/service/pycon/", &format!("{ada}{FORM}"), form), 200, "a script of Jones");
    assert_eq!(
        status(&server, "POST", "/service/pyramid/", &format!("{ada}{FORM}"), ""),
        415,
        "a browser could send it"
    );
    assert_eq!(status(&server, "POST", "/service/pyramid/", &format!("{ada}{JSON}"), ""), 201);
    let history = scene.ok(&["history", "pycon", "-n", "1"]);
    assert!(history.contains("  ada  "), "the author is the user: {history}");
    // A user who is removed is gone at once.
    fs::write(scene.site.path("users"), users().replace("ada:", "bob:")).unwrap();
    assert_eq!(status(&server, "GET", "/service/pycon/", &ada, ""), 401);
}

#[test]
fn viewers_do_not_see_the_values_of_masked_keys() {
    let scene = scene(KEYS);
    scene.write(&["associate", "pycon/parent", "h2"]);
    scene.write(&["pin", "pycon", "h2", "--rev", "r6"]);
    scene.write(&["canary", "pycon/parent", "h1", "--set", "db_password=\"hunter2b\""]);
    let server = scene.serve(&[]);
    for path in [
        "/service/pycon/parent/",
        "/service/pycon/",
        "/service/pycon/association/h1",
        "/service/pycon/association/h2",
        "/api/v1/services/pycon",
        "/api/v1/services/pycon/envs/parent",
        "/api/v1/services/pycon/envs/parent/child1",
        "/api/v1/services/pycon/hosts/h1",
        "/api/v1/services/pycon/hosts/h2",
        "/api/v1/services/pycon/history",
        "/api/v1/services/pycon/history/5",
        "/api/v1/services/pycon/history/6",
        "/history/pycon/5",
        "/frozen/pycon",
        "/export",
        "/check",
    ] {
        for accept in [WANTS_JSON, "Accept: text/html\r\n"] {
            let viewed = server.ask("GET", path, &format!("{}{accept}", basic("vera", "view")), "");
            assert!(viewed.status == 200 && !viewed.body.contains("hunter2"), "{path}: {viewed:?}");
        }
    }
    let edited = server.ask("GET", "/api/v1/services/pycon/envs/parent", &basic("ada", "lovelace"), "");
    assert!(edited.body.contains("hunter2"), "{edited:?}");
    let viewed = server.ask("GET", "/api/v1/services/pycon/envs/parent", &basic("vera", "view"), "");
    assert!(viewed.body.contains("********"), "{viewed:?}");
}

#[test]
fn a_header_counts_from_a_named_proxy_only() {
    let from = |proxies: &str| {
        scene(&format!(
            "write = true\nauth = \"header\"\nproxies = [\"{proxies}\"]\neditors = {{ pycon = [\"ada\"] }}\n"
        ))
    };
    let (ours, other) = (from("127.0.0.1"), from("10.0.0.1"));
    let (server, elsewhere) = (ours.serve(&[]), other.serve(&[]));
    let ada = format!("{JSON}X-Forwarded-User: ada\r\n");
    assert_eq!(status(&elsewhere, "GET", "/service/pycon/", &ada, ""), 403);
    assert_eq!(status(&server, "GET", "/service/pycon/", "", ""), 401);
    assert_eq!(status(&server, "GET", "/service/pycon/", &ada, ""), 200);
    assert_eq!(status(&server, "GET", "/service/pycon/", &format!("{ada}X-Forwarded-User: eve\r\n"), ""), 400);
    let write = |user: &str| {
        let head = format!("{ANY}X-Forwarded-User: {user}\r\n");
        status(&server, "PUT", "/api/v1/services/pycon/envs/", &head, r#"{"text": "{\"n\": 1}"}"#)
    };
    assert_eq!((write("eve"), write("ada")), (403, 200));
}

#[test]
fn requests_that_were_given_up_keep_nobody_out() {
    let scene = scene(KEYS);
    let hash = bcrypt::hash("lovelace", 10).unwrap();
    fs::write(scene.site.path("users"), format!("ada:{hash}\n")).unwrap();
    let server = scene.serve(&[]);
    let wrong = format!("{}{WANTS_JSON}", basic("ada", "wrong"));
    // To compare all of their passwords would take longer than the client waits.
    for _ in 0..800 {
        let mut stream = connect(server.port);
        let host = format!("127.0.0.1:{}", server.port);
        let _ = write!(stream, "GET /service/pycon/ HTTP/1.1\r\nHost: {host}\r\n{wrong}\r\n");
    }
    let right = format!("{}{WANTS_JSON}", basic("ada", "lovelace"));
    let asked = Instant::now();
    // No answer: all connections were in use.
    while matches!(status(&server, "GET", "/service/pycon/", &right, ""), 0 | 503) {
        assert!(asked.elapsed() < PATIENCE, "the server stays busy");
        sleep(Duration::from_millis(50));
    }
    assert_eq!(status(&server, "GET", "/service/pycon/", &right, ""), 200);
}
