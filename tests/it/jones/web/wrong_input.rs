//! Every wrong input has its status, and writes nothing.

use zookeeper_client::{Acl, Acls, AuthId, CreateMode, Permission};

use super::super::Scene;
use super::{ANY, FORM, JSON, Serving, WANTS_JSON};

const V0: &str = "Content-Type: application/json\r\nIf-Match: \"0\"\r\n";

fn refused(server: &Serving, method: &str, path: &str, head: &str, body: &str, status: u16, words: &str) {
    let head = format!("{head}{WANTS_JSON}");
    let answer = server.ask(method, path, &head, body);
    let shown = body.chars().take(80).collect::<String>();
    assert_eq!(answer.status, status, "{method} {path} {shown}: {answer:?}");
    assert!(answer.body.contains(words), "{method} {path} {shown}: {words}: {answer:?}");
    assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["status"], status);
}

#[test]
fn every_wrong_input_has_its_status_and_writes_nothing() {
    let scene = Scene::pycon();
    let server = scene.serve(&["--write"]);
    let before = scene.dump();
    let large = format!("data=%7B%22a%22%3A%22{}%22%7D&version=1", "x".repeat(1_200_000));
    // Jones's routes, where Jones answers 500 to all of these, or accepts them.
    for (method, path, body, status, words) in [
        ("POST", "/service/a%00b/", "", 422, "is not the name of a service"),
        ("POST", "/service/../", "", 422, "a name cannot be . or .."),
        ("POST", "/service/%EF%BF%BF/", "", 422, "is not the name of a service"),
        ("POST", "/service/pycon/a%01/", "", 422, "is not the name of an environment"),
        ("POST", "/service/pycon/", "", 409, "exists already"),
        ("POST", "/service/pycon/parent/", "", 409, "exists already"),
        ("POST", "/service/pycon/no/where/", "", 422, "its parent pycon/no does not exist"),
        ("POST", "/service/nothing/parent/", "", 404, "there is no service nothing"),
        ("PUT", "/service/pycon/", "data=%7B%7D", 422, "the field version is missing"),
        ("PUT", "/service/pycon/", "version=1", 422, "the field data is missing"),
        ("PUT", "/service/pycon/", "data=%7B%7D&version=x", 422, "is not a number"),
        ("PUT", "/service/pycon/", "data=%22a%22&version=1", 422, "a string, not an object"),
        ("PUT", "/service/pycon/", "data=%7B%22a%22%3ANaN%7D&version=1", 422, "NaN is not a finite number"),
        ("PUT", "/service/pycon/", "data=%7B%22a%22%3A1e999%7D&version=1", 422, "not a finite number"),
        ("PUT", "/service/pycon/", "data=%7B&version=1", 422, "not a valid configuration"),
        ("PUT", "/service/pycon/", "data=%7B%22a%22%3A1%7D&version=0", 409, "version 2, not version 0"),
        ("PUT", "/service/pycon/nowhere/", "data=%7B%7D&version=0", 404, "there is no environment"),
        ("PUT", "/service/pycon/", large.as_str(), 413, "more than 1048576 bytes"),
        ("DELETE", "/service/pycon/", "", 422, "has environments below"),
        ("DELETE", "/service/pycon/parent/", "", 422, "has environments below it: pycon/parent/child1"),
        ("DELETE", "/service/pycon/parent/child1/", "", 422, "is read by 1 host: h1"),
        ("DELETE", "/service/pycon/nowhere/", "", 404, "there is no environment"),
        ("DELETE", "/service/nothing/", "", 404, "there is no service nothing"),
        ("PUT", "/service/pycon/association/h2", "env=nowhere", 404, "there is no environment pycon/nowhere"),
        ("PUT", "/service/pycon/association/h2", "", 422, "the field env is missing"),
        ("PUT", "/service/pycon/association/h2", "x=y", 422, "the field env is missing"),
        ("PUT", "/service/pycon/association/a%20b", "env=parent", 422, "no spaces"),
        ("DELETE", "/service/pycon/association/h2", "", 404, "host h2 has no association"),
    ] {
        let head = if body.is_empty() && method != "POST" { "" } else { FORM };
        refused(&server, method, path, head, body, status, words);
    }
    let text = |text: &str| serde_json::json!({ "text": text }).to_string();
    let own = "/api/v1/services/pycon/envs/";
    for (method, path, head, body, status, words) in [
        ("PUT", own, JSON, text("{}"), 428, "If-Match"),
        ("PUT", own, V0, text("{\"n\": 1}"), 409, "version 2, not version 0"),
        ("PUT", own, "Content-Type: application/json\r\nIf-Match: \"x\"\r\n", text("{}"), 422, "not the version"),
        ("PUT", own, ANY, "{".to_owned(), 422, "the body of the request"),
        ("PUT", own, ANY, "{}".to_owned(), 422, "the field text is missing"),
        ("PUT", own, ANY, r#"{"text": "{}", "txet": 1}"#.to_owned(), 422, "txet"),
        ("PUT", own, ANY, text("{\n  \"a\": 1,\n  \"b\" 2}"), 422, r#""column":7,"line":3"#),
        ("PUT", own, ANY, text("{\"a\":\n 1e999}"), 422, r#""column":2,"line":2"#),
        ("PUT", own, ANY, text("[]"), 422, "an array, not an object"),
        ("DELETE", own, ANY, String::new(), 422, "goes with its service only"),
        ("DELETE", "/api/v1/services/pycon/envs/parent/child1", JSON, String::new(), 428, "If-Match"),
        ("POST", "/api/v1/services/pycon/envs", JSON, r#"{"env": "parent"}"#.to_owned(), 409, "exists already"),
        ("POST", "/api/v1/services", JSON, r#"{"service": "a/b"}"#.to_owned(), 422, "no /"),
        ("POST", "/api/v1/services", JSON, r#"{"service": "pycon"}"#.to_owned(), 409, "exists already"),
        ("PUT", "/api/v1/services/pycon/hosts/h1", JSON, r#"{"env": ""}"#.to_owned(), 428, "If-Match"),
        ("PUT", "/api/v1/services/pycon/hosts/h1", V0, r#"{"env": ""}"#.to_owned(), 409, "changed by somebody else"),
        ("PUT", "/api/v1/services/pycon/hosts/h1", ANY, r#"{"env": "x"}"#.to_owned(), 404, "no environment pycon/x"),
        ("DELETE", "/api/v1/services/pycon/hosts/h2", ANY, String::new(), 404, "has no association"),
        ("POST", "/api/v1/services/pycon/rollback", JSON, r#"{"revision": 1}"#.to_owned(), 428, "If-Match"),
        ("POST", "/api/v1/services/pycon/rollback", ANY, r#"{"revision": 99}"#.to_owned(), 404, "no revision r99"),
        ("POST", "/api/v1/services/pycon/pins", ANY, r#"{"hosts": ["h1"], "revision": 99}"#.to_owned(), 404, "r99"),
        ("POST", "/api/v1/services/pycon/pins", V0, r#"{"hosts": ["h1"], "revision": 4}"#.to_owned(), 409, "changed"),
        ("DELETE", "/api/v1/services/pycon/pins", ANY, r#"{"hosts": ["h1"]}"#.to_owned(), 422, "is not pinned"),
        (
            "POST",
            "/api/v1/services/pycon/canaries",
            ANY,
            r#"{"text": "{}"}"#.to_owned(),
            422,
            "either hosts, or percent",
        ),
        ("POST", "/api/v1/services/pycon/canaries/x/promote", ANY, String::new(), 404, "no canary x"),
        ("POST", "/api/v1/services/pycon/review", JSON, r#"{"op": "x"}"#.to_owned(), 422, "unknown variant"),
        ("PUT", "/api/v1/services/pycon/history", ANY, "{}".to_owned(), 405, "method"),
        ("PUT", "/api/v1/nothing", ANY, "{}".to_owned(), 404, "nothing here"),
    ] {
        refused(&server, method, path, head, &body, status, words);
    }
    assert_eq!(scene.dump(), before, "nothing was written");
}

#[test]
fn a_view_over_the_limit_of_a_request_is_refused_before_it_is_sent() {
    let scene = Scene::pycon();
    let server = scene.serve(&["--write", "--max-request", "20000"]);
    let before = scene.dump();
    let body = format!("data=%7B%22a%22%3A%22{}%22%7D&version=-1", "x".repeat(30_000));
    refused(&server, "PUT", "/service/pycon/", FORM, &body, 413, "over the limit of 20000 bytes");
    assert_eq!(scene.dump(), before);
}

#[test]
fn a_view_that_a_check_refuses_is_422_in_its_own_words() {
    let scene = Scene::pycon();
    scene.configure_jones("[jones.check.pycon]\ncmd = \"echo no good; false\"\n");
    let server = scene.serve(&["--write"]);
    let before = scene.dump();
    refused(&server, "PUT", "/service/pycon/", FORM, "data=%7B%22a%22%3A1%7D&version=-1", 422, "no good");
    assert_eq!(scene.dump(), before);
    let review = server.write("POST", "/pycon/review", JSON, &serde_json::json!({"text": "{\"a\": 1}"}));
    assert!(review.status == 200 && review.body.contains("no good"), "{review:?}");
}

#[test]
fn a_node_that_may_not_be_read_or_written_is_403() {
    let scene = Scene::pycon();
    scene.client.run(|client| async move {
        client.auth("digest", b"other:secret").await.unwrap();
        let readers = Acl::new(Permission::READ, AuthId::anyone());
        let owner = Acl::new(Permission::ALL, AuthId::new("auth", ""));
        let list = [readers, owner.clone()];
        let options = CreateMode::Persistent.with_acls(Acls::from(&list[..]));
        client.create("/services/locked", b"", &options).await.unwrap();
        for (path, data) in [("conf", &b"{}"[..]), ("views", b"{}"), ("nodemaps", b"")] {
            client.create(&format!("/services/locked/{path}"), data, &options).await.unwrap();
        }
        let list = [owner];
        let options = CreateMode::Persistent.with_acls(Acls::from(&list[..]));
        client.create("/services/hidden", b"", &CreateMode::Persistent.with_acls(Acls::anyone_all())).await.unwrap();
        client.create("/services/hidden/conf", b"{}", &options).await.unwrap();
    });
    let server = scene.serve(&["--write"]);
    let before = scene.dump();
    refused(&server, "GET", "/service/hidden/", "", "", 403, "not authorized");
    refused(&server, "PUT", "/service/locked/", FORM, "data=%7B%22a%22%3A1%7D&version=0", 403, "");
    assert_eq!(server.get("/service/locked/").status, 200);
    // The others are shown, and that this one is not.
    for path in ["/api/v1/services", "/export", "/check", "/"] {
        let answer = server.get(path);
        assert!(answer.status == 200 && answer.body.contains("pycon"), "{path}: {answer:?}");
        assert!(answer.body.contains("/services/hidden/conf: not authorized"), "{path}: {answer:?}");
    }
    assert_eq!(scene.dump(), before);
}
