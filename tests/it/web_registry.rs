//! A registry that is one web object, served by the real nginx: what each failure looks like, and that none of them
//! changes a file.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::harness::nginx::Nginx;
use crate::harness::site::{Agent, Site};
use crate::support::authority::{Authority, Valid};

mod hosts;

const CONFIG: &str = r#"
[registry]
url = "URL"
interval = "100ms"
timeout = "1s"

[[roster]]
name = "web"
path = "/services/web"
min = 2
wait = "0s:0s"

[[template]]
src = "list.tera"
dest = "out/list"
"#;

/// A configuration with this URL and these further keys of the registry.
fn site(url: &str, keys: &str) -> Site {
    let site = Site::new(&CONFIG.replace("URL", url).replace("timeout = \"1s\"", &format!("timeout = \"1s\"\n{keys}")));
    site.file("templates/list.tera", "{% for m in web %}{{ m.name }}\n{% endfor %}");
    site
}

/// The object with these members.
fn object(members: &[&str]) -> String {
    serde_json::json!({ "/services/web": members }).to_string()
}

/// Waits until the file has exactly these members.
fn shows(agent: &Agent, site: &Site, members: &[&str]) {
    let lines: String = members.iter().fold(String::new(), |lines, member| lines + member + "\n");
    agent.until(&format!("the file has {members:?}"), || site.read("out/list") == lines);
}

/// Expects that the registry is unreachable for this reason, that `status` and `explain` say so, and that the file stays
/// as it is.
fn is_unreachable(agent: &Agent, site: &Site, reason: &str) {
    let before = site.fingerprint("out/list");
    agent.until(&format!("the reason is {reason}"), || {
        let is_logged = |line: &String| line.contains("event=registry_unreachable") && line.contains(reason);
        agent.log().iter().rev().any(is_logged) && site.run(&["status"]).stdout().contains(reason)
    });
    for command in [vec!["status"], vec!["explain", "list"]] {
        let shown = site.run(&command).stdout();
        assert!(shown.contains(reason), "{command:?} does not say {reason:?}: {shown}");
    }
    assert_eq!(site.fingerprint("out/list"), before, "{reason}");
}

/// Expects that the registry is reached again, for the given time, and that the file stays as it is.
fn is_reached(agent: &Agent, site: &Site, times: usize) {
    let before = site.fingerprint("out/list");
    agent.says_times("event=registry_connected", times);
    assert!(site.run(&["explain", "list"]).stdout().contains("up to date"));
    assert_eq!(site.fingerprint("out/list"), before);
}

#[test]
fn nginx_is_followed_and_no_failure_changes_the_file() {
    let mut nginx = Nginx::start();
    nginx.publish(&object(&["a:1", "b:1", "c:1"]));
    let site = site(&nginx.url(), "");
    let mut agent = site.start();
    shows(&agent, &site, &["a:1", "b:1", "c:1"]);
    agent.until("an unchanged object is not sent again", || nginx.answered(304) >= 3);
    assert_eq!(nginx.answered(200), 1);
    nginx.publish(&object(&["a:1", "c:1", "d:1"]));
    shows(&agent, &site, &["a:1", "c:1", "d:1"]);

    let good = object(&["a:1", "c:1", "d:1"]);
    nginx.remove();
    is_unreachable(&agent, &site, "status 404 Not Found, expected 200");
    nginx.publish(&good);
    is_reached(&agent, &site, 1);

    nginx.set("fail", true);
    is_unreachable(&agent, &site, "status 500 Internal Server Error, expected 200");
    nginx.set("fail", false);
    is_reached(&agent, &site, 2);

    nginx.set("slow", true);
    nginx.publish(&object(&["e:1", "f:1"]));
    is_unreachable(&agent, &site, "no complete response within 1s");
    nginx.publish(&good);
    nginx.set("slow", false);
    is_reached(&agent, &site, 3);

    nginx.publish(&format!("[\"{}\"]", "x".repeat(20_000_000)));
    is_unreachable(&agent, &site, "the response is larger than 16777216 bytes");
    nginx.publish(&good);
    is_reached(&agent, &site, 4);

    nginx.publish(&good[..good.len() - 3]);
    is_unreachable(&agent, &site, "the object cannot be parsed: EOF");
    nginx.publish(&good);
    is_reached(&agent, &site, 5);

    nginx.publish("");
    is_unreachable(&agent, &site, "the object is empty, which is not a list");
    nginx.publish(&good);
    is_reached(&agent, &site, 6);

    nginx.stop();
    is_unreachable(&agent, &site, "Connection refused");
    nginx.restart();
    is_reached(&agent, &site, 7);

    // What the object says is a fact, which the bounds judge.
    for (held, reason) in [(object(&[]), "/services/web has 0 members"), ("{}".to_owned(), "the path does not exist")] {
        let holds = agent.said("event=roster_held");
        let before = site.fingerprint("out/list");
        nginx.publish(&held);
        agent.says_times("event=roster_held", holds + 1);
        let shown = site.run(&["explain", "list"]).stdout();
        assert!(shown.contains(reason), "{shown}");
        assert_eq!(site.fingerprint("out/list"), before);
        nginx.publish(&good);
        agent.says_times("event=hold_released", holds + 1);
    }
    nginx.publish(&object(&["a:1", "c:1", "d:1", "e:1"]));
    shows(&agent, &site, &["a:1", "c:1", "d:1", "e:1"]);
    assert!(agent.stop().success());
}

#[test]
fn a_change_within_the_second_of_the_change_before_it_is_seen() {
    let nginx = Nginx::start();
    // To nginx, a file with the same time in seconds and the same size is the same version.
    let modified = SystemTime::now() + Duration::from_mins(1);
    nginx.publish_at(modified, &object(&["a:1", "b:1"]));
    let site = site(&nginx.url(), "");
    let agent = site.start();
    shows(&agent, &site, &["a:1", "b:1"]);
    nginx.publish_at(modified, &object(&["a:1", "c:1"]));
    shows(&agent, &site, &["a:1", "c:1"]);
}

#[test]
fn the_certificate_of_the_server_is_verified_and_a_header_is_sent() {
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    let (cert, key) = own.sign("good", "IP:127.0.0.1", Valid::Now);
    let refuse = "if ($http_x_token != \"s3cret\") { return 403; }";
    let mut nginx = Nginx::with(refuse, Some((&cert, &key)));
    nginx.publish(&object(&["a:1", "b:1"]));
    let keys =
        format!("tls = {{ ca = \"{}\" }}\nauth = [{{ scheme = \"header\", file = \"web.auth\" }}]", own.ca().display());
    let site = site(&nginx.url(), &keys);
    site.file("web.auth", "X-Token: s3cret\n");
    std::fs::set_permissions(site.path("web.auth"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let agent = site.start();
    shows(&agent, &site, &["a:1", "b:1"]);
    assert_eq!(agent.said("s3cret"), 0);
    let wrong = [
        (other.sign("other", "IP:127.0.0.1", Valid::Now), "is not signed by a trusted authority"),
        (own.sign("name", "DNS:web.test", Valid::Now), "is not for 127.0.0.1, but for web.test"),
        (own.sign("old", "IP:127.0.0.1", Valid::NoMore), "the server's certificate expired on 2020-12-31"),
    ];
    for (times, ((wrong_cert, wrong_key), reason)) in wrong.into_iter().enumerate() {
        nginx.certify(&wrong_cert, &wrong_key);
        nginx.restart();
        is_unreachable(&agent, &site, reason);
        let refused = site.run(&["get", "/services/web"]);
        assert!(refused.expect(4).stderr().contains(reason), "{}", refused.stderr());
        nginx.certify(&cert, &key);
        nginx.restart();
        is_reached(&agent, &site, times + 1);
    }
    site.file("web.auth", "X-Token: other\n");
    std::fs::set_permissions(site.path("web.auth"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let refused = site.run(&["get", "/services/web"]);
    assert!(refused.expect(4).stderr().contains("status 403 Forbidden, expected 200"), "{}", refused.stderr());
}

/// A server that sends these bytes for each request, and closes the connection.
struct RawServer {
    port: u16,
    answer: Arc<Mutex<String>>,
}

impl RawServer {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), answer: Arc::default() };
        let answer = Arc::clone(&server.answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer = answer.lock().unwrap().clone();
                let _ = send(stream, &answer);
            }
        });
        server
    }

    fn answers(&self, head: &str, body: &str) {
        *self.answer.lock().unwrap() = format!("HTTP/1.1 200 OK\r\n{head}\r\n{body}");
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/ensemble.json", self.port)
    }
}

fn send(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut part = [0; 4096];
        let length = stream.read(&mut part)?;
        if length == 0 {
            return Ok(());
        }
        request.extend_from_slice(&part[..length]);
    }
    stream.write_all(answer.as_bytes())
}

#[test]
fn a_response_that_is_cut_off_is_not_a_list() {
    let server = RawServer::start();
    let list = "a:1\nb:1\nc:1\n";
    let length = |length: usize| format!("Content-Length: {length}\r\n");
    server.answers(&length(list.len()), list);
    let site = site(&server.url(), "");
    site.configure(&CONFIG.replace("URL", &server.url()).replace("/services/web", "/"));
    let agent = site.start();
    shows(&agent, &site, &["a:1", "b:1", "c:1"]);
    let chunked = "Transfer-Encoding: chunked\r\n";
    let cut = [
        // Each of these is a shorter list in itself.
        (length(list.len()), "a:1\nb:1\n", "the response was cut off after 8 of 12 bytes"),
        (length(list.len()), "", "the response was cut off after 0 of 12 bytes"),
        (chunked.to_owned(), "8\r\na:1\nb:1\n\r\n4\r\n", "the response was cut off after 8 bytes"),
        (chunked.to_owned(), "4\r\na:1\n\r\n", "the response was cut off after 4 bytes"),
        (String::new(), "a:1\nb:1\n", "the response has neither Content-Length nor chunks"),
        (
            "Transfer-Encoding: not-chunked\r\n".to_owned(),
            "a:1\nb:1\n",
            "the response has neither Content-Length nor chunks",
        ),
        (
            format!("Content-Encoding: identity\r\nContent-Encoding: gzip\r\n{}", length(8)),
            "a:1\nb:1\n",
            "the response is compressed (gzip)",
        ),
        (format!("Content-Encoding: gzip\r\n{}", length(8)), "a:1\nb:1\n", "the response is compressed (gzip)"),
        (length(8), "a:1\nb\n1\n", "line 2 is neither JSON nor HOST:PORT: \"b\""),
    ];
    for (times, (head, body, reason)) in cut.iter().enumerate() {
        server.answers(head, body);
        is_unreachable(&agent, &site, reason);
        if times % 2 == 0 {
            server.answers(&length(list.len()), list);
        } else {
            server.answers(chunked, "8\r\na:1\nb:1\n\r\n4\r\nc:1\n\r\n0\r\n\r\n");
        }
        is_reached(&agent, &site, times + 1);
    }
    *server.answer.lock().unwrap() = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na:1\nb:1\n".into();
    is_unreachable(&agent, &site, "the response has neither Content-Length nor chunks");
    server.answers(&length(list.len()), list);
    is_reached(&agent, &site, cut.len() + 1);
    *server.answer.lock().unwrap() =
        "HTTP/1.1 302 Found\r\nLocation: http://evil.test/\r\nContent-Length: 0\r\n\r\n".into();
    is_unreachable(&agent, &site, "it redirects to another host, evil.test");
    *server.answer.lock().unwrap() = "HTTP/1.1 304 Not Modified\r\n\r\n".into();
    agent.until("a 304 without a version is no answer", || {
        site.run(&["get", "/", "--timeout", "10s"]).stderr().contains("status 304 Not Modified, expected 200")
    });
}

#[test]
fn commands_read_the_object_as_any_registry() {
    let mut nginx = Nginx::with("location = /old { return 301 /ensemble.json; }", None);
    let mut text = String::from("{\"/config/web\": \"timeout 30s\",\n \"/services/web\": {");
    for n in 1..=3 {
        write!(text, "{}\"10.0.0.{n}:80\": {{\"weight\": {n}}}", if n > 1 { ", " } else { "" }).unwrap();
    }
    text.push_str("},\n \"/services/db\": [\"10.0.1.1:5432\"]}");
    nginx.publish(&text);
    let url = nginx.url().replace("ensemble.json", "old");
    let site = site(&url, "");
    let get = |args: &[&str]| site.run(&[&["get"], args].concat()).expect(0).stdout();
    assert_eq!(get(&["/services/web"]), "10.0.0.1:80\n10.0.0.2:80\n10.0.0.3:80\n");
    assert_eq!(get(&["/services/*"]).lines().next(), Some("db\t10.0.1.1:5432"));
    // What it prints as members is an object, too.
    let members = get(&["/services/web", "/services/db", "--format", "members"]);
    nginx.publish(&members);
    assert_eq!(get(&["/services/web", "/services/db", "--format", "members"]), members);
    nginx.publish(&text);
    let bare = site.run_without_config(&["--registry", &url, "ls", "-R", "/"]);
    let listed = bare.expect(0).stdout();
    for line in ["/", "  config", "    web              timeout 30s", "      10.0.1.1:5432"] {
        assert!(listed.lines().any(|shown| shown.starts_with(line)), "{line:?} is missing:\n{listed}");
    }
    site.run(&["check"]).expect(0);
    site.run(&["render"]).expect(0);
    assert_eq!(site.read("out/list"), "10.0.0.1:80\n10.0.0.2:80\n10.0.0.3:80\n");
    nginx.remove();
    // Nothing is waited for.
    let refused = site.run(&["render", "--timeout", "80s"]);
    let said = refused.expect(4).stderr();
    assert!(said.contains("event=registry_unusable") && said.contains("status 404"), "{said}");
    let gone = site.run_without_config(&["--registry", &url, "ls"]);
    assert!(gone.expect(4).stderr().contains("status 404"), "{}", gone.stderr());
    nginx.stop();
    let away = site.run(&["get", "/services/web", "--timeout", "1s"]);
    assert!(away.expect(4).stderr().contains("Connection refused"), "{}", away.stderr());
}
