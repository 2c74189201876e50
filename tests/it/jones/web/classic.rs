//! Jones's own routes: its suite, name by name, and its fields.

use serde_json::{Value, json};

use super::super::Scene;
use super::{FORM, Serving, WANTS_JSON};

impl Serving {
    /// A request of a script of Jones, which must succeed.
    fn jones(&self, method: &str, path: &str, form: &[(&str, &str)], status: u16) -> String {
        let body = form_text(form);
        let head =
            if form.is_empty() && method != "POST" { WANTS_JSON.to_owned() } else { format!("{FORM}{WANTS_JSON}") };
        let answer = self.ask(method, &format!("/service/{path}"), &head, &body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        answer.body
    }

    fn shown(&self, path: &str) -> Value {
        serde_json::from_str(&self.jones("GET", path, &[], 200)).unwrap()
    }
}

fn form_text(form: &[(&str, &str)]) -> String {
    let encode =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    form.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

#[test]
fn the_suite_of_jones_holds_through_its_routes() {
    let scene = Scene::new();
    let server = scene.serve(&["--write"]);
    // test_create_service_creates_stubs, test_creates_root
    assert_eq!(server.jones("POST", "testservice/", &[], 201), r#"{"service":"testservice"}"#);
    for (path, data) in [("conf", "{}"), ("views", "{}"), ("nodemaps", "")] {
        assert_eq!(scene.text(&format!("/services/testservice/{path}")), data);
    }
    // test_create_service: its fields
    let root = json!({
        "env": "", "version": 0, "children": [{"env": "/", "is_leaf": true}], "config": {}, "view": {},
        "service": "testservice", "associations": null,
    });
    assert_eq!(server.shown("testservice/"), root);
    // test_parent_changed, test_overwrites, test_host_gets_merged_view
    server.jones("POST", "testservice/parent/", &[], 201);
    let set = |env: &str, data: &str, version: &str| {
        server.jones("PUT", &format!("testservice/{env}"), &[("data", data), ("version", version)], 200)
    };
    assert_eq!(set("parent", r#"{"a": 1, "b": [1, 2, 3], "c": {"x": 0}}"#, "0"), "parent");
    server.jones("POST", "testservice/parent/child1", &[], 201);
    set("parent/child1", r#"{"a": 2}"#, "0");
    let association = "testservice/association/127.0.0.1";
    assert_eq!(server.jones("PUT", association, &[("env", "parent/child1")], 201), "testservice");
    let wanted = json!({"a": 2, "b": [1, 2, 3], "c": {"x": 0}});
    assert_eq!(server.shown(association), wanted);
    assert_eq!(set("", r#"{"k": "v"}"#, "1"), "", "the creation of parent has written it again, as it was");
    assert_eq!(server.shown(association)["k"], "v");
    let shown = server.shown("testservice/parent/child1/");
    assert_eq!((&shown["version"], &shown["associations"]), (&json!(1), &json!(["127.0.0.1"])));
    assert_eq!(shown["config"], json!({"a": 2}));
    // test_conflicts
    server.jones("PUT", "testservice/parent/child1", &[("data", "{}"), ("version", "0")], 409);
    set("parent/child1", r#"{"a": 3}"#, "-1");
    // test_conf_is_mapping, test_create_config_without_parent
    server.jones("PUT", "testservice/parent", &[("data", "\"hello\""), ("version", "1")], 422);
    server.jones("POST", "testservice/no/where", &[], 422);
    // test_get_associations, test_delete_association
    server.jones("PUT", "testservice/association/h2", &[("env", "/")], 201);
    assert_eq!(
        scene.text("/services/testservice/nodemaps"),
        r#"{"127.0.0.1": "/services/testservice/views/parent/child1", "h2": "/services/testservice/views"}"#
    );
    assert_eq!(server.jones("DELETE", association, &[], 200), "testservice");
    assert_eq!(server.jones("DELETE", "testservice/association/h2", &[], 200), "testservice");
    assert_eq!(server.shown(association), json!({"k": "v"}), "the default is the root environment");
    // test_delete_config
    assert_eq!(server.jones("DELETE", "testservice/parent/child1", &[], 200), "parent/child1");
    server.jones("GET", "testservice/parent/child1", &[], 404);
    // test_delete_service, which asks for its environments first
    server.jones("DELETE", "testservice/parent", &[], 200);
    server.jones("DELETE", "testservice/", &[], 200);
    assert!(scene.node("/services/testservice").is_none());
    server.jones("GET", "testservice/", &[], 404);
}

#[test]
fn numbers_and_characters_stay_as_they_are_written() {
    let scene = Scene::pycon();
    let server = scene.serve(&["--write"]);
    let data = r#"{"n": 1180591620717411303424, "f": 1.50, "e": 1e22, "u": "\u00e9 &=%+", "": {"b": null}}"#;
    server.jones("PUT", "pycon/", &[("data", data), ("version", "-1")], 200);
    let conf = scene.text("/services/pycon/conf");
    for part in [r#""n": 1180591620717411303424"#, r#""f": 1.50"#, r#""u": "\u00e9 &=%+""#, r#""": {"b": null}"#] {
        assert!(conf.contains(part), "{part}: {conf}");
    }
    let shown = server.jones("GET", "pycon/", &[], 200);
    assert!(shown.contains("1180591620717411303424"), "{shown}");
}

#[test]
fn arrows_stay_arrows_and_clients_follow() {
    let scene = Scene::pycon();
    scene.client.put("/services/pycon/nodemaps", b"h1 -> /services/pycon/views/parent/child1");
    let server = scene.serve(&["--write"]);
    let client = scene.client("pycon", "h2", "0.5.4");
    server.jones("PUT", "pycon/association/h2", &[("env", "parent")], 201);
    let wanted = "h1 -> /services/pycon/views/parent/child1\nh2 -> /services/pycon/views/parent";
    assert_eq!(scene.text("/services/pycon/nodemaps"), wanted);
    server.jones("PUT", "pycon/parent/", &[("data", r#"{"locale": "fr"}"#), ("version", "-1")], 200);
    client.uses(r#"{"locale": "fr", "times": 0}"#);
}

#[test]
fn export_has_each_node_and_a_node_that_may_not_be_read_elsewhere_does_not_matter() {
    let scene = Scene::pycon();
    let server = scene.serve(&[]);
    let text = server.ask("GET", "/export", "", "").body;
    for lines in [
        "/\n/services\n  /services/pycon\n",
        "    /services/pycon/conf\n      {\"locale\": \"Canada\", \"times\": 0}\n",
        "        /services/pycon/views/parent/child1\n          {",
        "    /services/pycon/nodemaps\n      {\"h1\": \"/services/pycon/views/parent/child1\"}\n",
    ] {
        assert!(text.contains(lines), "{lines}: {text}");
    }
}
