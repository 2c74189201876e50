//! `/api/v1`: each write, its review before, and its tags.

use serde_json::{Value, json};

use super::super::Scene;
use super::{ANY, JSON, Serving};
use crate::serve::client::Answer;

/// The JSON of an answer with this status.
#[track_caller]
fn value(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

impl Serving {
    /// Reviews a change, which writes nothing.
    #[track_caller]
    fn review(&self, scene: &Scene, body: &Value) -> Value {
        let before = scene.dump();
        let review = value(&self.write("POST", "/pycon/review", JSON, body), 200);
        assert_eq!(scene.dump(), before, "a review writes nothing");
        review
    }

    /// A write with the tag of the service.
    #[track_caller]
    fn tagged(&self, method: &str, path: &str, body: &Value, status: u16) -> Value {
        let tag = self.api("/pycon")["etag"].as_str().unwrap().to_owned();
        value(&self.write(method, &format!("/pycon{path}"), &format!("{JSON}If-Match: \"{tag}\"\r\n"), body), status)
    }
}

#[test]
fn an_environment_is_reviewed_written_and_read_with_its_origins() {
    let scene = Scene::pycon();
    let server = scene.serve(&["--write"]);
    let text = r#"{"locale": "fr"}"#;
    let review = server.review(&scene, &json!({"env": "parent", "text": text, "base_version": 1}));
    assert_eq!((&review["host_count"], &review["hosts"]), (&json!(1), &json!(["h1"])), "{review}");
    assert_eq!(review["confs"][0]["env"], "parent");
    let views: Vec<&str> = review["views"].as_array().unwrap().iter().map(|row| row["env"].as_str().unwrap()).collect();
    assert_eq!(views, ["parent", "parent/child1"]);
    assert!(review["views"][1]["diff"].as_str().unwrap().contains("-  \"locale\": \"Canada\""), "{review}");
    let read = server.get("/api/v1/services/pycon/envs/parent");
    assert!(read.head.contains("etag: \"1\""), "{}", read.head);
    let tag = format!("{JSON}If-Match: \"1\"\r\n");
    let body = json!({"text": text, "comment": "French"});
    assert_eq!(value(&server.write("PUT", "/pycon/envs/parent", &tag, &body), 200), json!({"revision": 5}));
    value(&server.write("PUT", "/pycon/envs/parent", &tag, &body), 409);
    let shown = server.api("/pycon/envs/parent/child1");
    assert_eq!(shown["view"], json!({"locale": "fr", "times": 0}));
    let locale = json!({"key": "locale", "value": "fr", "origin": "parent", "hides": [""]});
    assert_eq!(shown["keys"][0], locale);
    let history = server.api("/pycon/history");
    assert_eq!(
        (&history["revisions"][0]["comment"], &history["revisions"][0]["op"]),
        (&json!("French"), &json!("set"))
    );
    assert_eq!(history["revisions"][0]["via"], "rosterd jones serve");
    let revision = server.api("/pycon/history/r5");
    assert!(revision["confs"][0]["diff"].as_str().unwrap().contains("+  \"locale\": \"fr\""), "{revision}");
    // A new environment, and its end.
    value(&server.write("POST", "/pycon/envs", JSON, &json!({"env": "new", "text": "{\"a\": 1}"})), 201);
    assert_eq!(scene.text("/services/pycon/views/new"), r#"{"locale": "Canada", "times": 0, "a": 1}"#);
    let tag = format!("{JSON}If-Match: \"7\"\r\n");
    value(&server.write("DELETE", "/pycon/envs/new", &tag, &json!({})), 409);
    let tag = format!("{JSON}If-Match: \"0\"\r\n");
    value(&server.write("DELETE", "/pycon/envs/new", &tag, &json!({})), 200);
    assert!(scene.node("/services/pycon/conf/new").is_none());
    assert_eq!(server.api("/pycon/check")["problems"], json!([]));
}

#[test]
fn a_host_is_associated_under_its_tag_and_explained() {
    let scene = Scene::pycon();
    let server = scene.serve(&["--write"]);
    let review = server.review(&scene, &json!({"op": "associate", "hosts": ["h2"], "env": "parent"}));
    let moved = json!([{"host": "h2", "from": null, "to": "/services/pycon/views/parent"}]);
    assert_eq!(review["moves"], moved);
    let page = server.api("/pycon/hosts/h2");
    assert_eq!((&page["is_listed"], &page["config"]["locale"]), (&json!(false), &json!("Canada")));
    assert!(page["why"].as_str().unwrap().starts_with("h2 has no association"), "{page}");
    let tag = format!("{JSON}If-Match: \"{}\"\r\n", page["etag"].as_str().unwrap());
    value(&server.write("PUT", "/pycon/hosts/h2", &tag, &json!({"env": "parent"})), 200);
    value(&server.write("PUT", "/pycon/hosts/h2", &tag, &json!({"env": "parent/child1"})), 409);
    assert_eq!(server.api("/pycon/hosts/h2")["env"], "parent");
    value(&server.write("DELETE", "/pycon/hosts/h2", ANY, &json!({})), 200);
    assert_eq!(server.api("/pycon/hosts/h2")["is_listed"], false);
}

#[test]
fn rollback_pins_and_canaries_work_over_the_api() {
    let scene = Scene::pycon();
    let server = scene.serve(&["--write"]);
    let client = scene.client("pycon", "h1", "1.0");
    client.uses(r#"{"locale": "Canada", "times": 0}"#);
    // A pin of the host, then a change that it does not see.
    let pin = json!({"op": "pin", "hosts": ["h1"], "revision": 4});
    assert_eq!(server.review(&scene, &pin)["hosts"], json!(["h1"]));
    server.tagged("POST", "/pins", &json!({"hosts": ["h1"], "revision": 3}), 201);
    value(&server.write("PUT", "/pycon/envs/", ANY, &json!({"text": "{\"locale\": \"fr\"}"})), 200);
    let page = server.api("/pycon/hosts/h1");
    assert_eq!((&page["pinned"], &page["config"]["locale"]), (&json!(3), &json!("Canada")));
    server.tagged("DELETE", "/pins", &json!({"hosts": ["h1"]}), 200);
    client.uses(r#"{"locale": "fr"}"#);
    // Back to what it was.
    let back = server.review(&scene, &json!({"op": "rollback", "revision": 3}));
    assert_eq!(back["host_count"], 1, "{back}");
    server.tagged("POST", "/rollback", &json!({"revision": 3, "env": ""}), 201);
    client.uses(r#"{"locale": "Canada", "times": 0}"#);
    // A canary on one host, published for all.
    let canary = json!({"env": "parent", "text": "{\"pool\": 20}", "hosts": ["h1"]});
    server.tagged("POST", "/canaries", &canary, 201);
    client.uses(r#"{"locale": "Canada", "pool": 20, "times": 0}"#);
    let page = server.api("/pycon");
    assert_eq!((&page["canaries"][0]["id"], &page["canaries"][0]["hosts"]), (&json!("canary"), &json!(["h1"])));
    assert_eq!(scene.text("/services/pycon/conf/parent"), "{}");
    server.tagged("POST", "/canaries/canary/promote", &json!({}), 200);
    assert_eq!(scene.text("/services/pycon/conf/parent"), r#"{"pool": 20}"#);
    assert_eq!(server.api("/pycon/hosts/h1")["canary"], Value::Null);
    server.tagged("POST", "/canaries", &json!({"env": "", "text": "{}", "percent": 100, "id": "all"}), 201);
    server.tagged("POST", "/canaries/all/abort", &json!({}), 200);
    client.uses(r#"{"locale": "Canada", "pool": 20, "times": 0}"#);
    assert_eq!(scene.ok(&["check", "pycon"]), "");
}

#[test]
fn what_was_reviewed_is_not_published_after_another_change_of_the_service() {
    let scene = Scene::pycon();
    let server = scene.serve(&["--write"]);
    let edit = json!({"env": "parent", "text": "{\"n\": 1}", "base_version": 1});
    let write = |reviewed: &Value, status: u16| {
        let body = json!({"text": "{\"n\": 1}", "reviewed": reviewed});
        let tag = format!("{JSON}If-Match: \"1\"\r\n");
        value(&server.write("PUT", "/pycon/envs/parent", &tag, &body), status)
    };
    let reviewed = server.review(&scene, &edit)["etag"].clone();
    assert_eq!(reviewed, server.api("/pycon")["etag"]);
    // Another host reads what the edit changes.
    scene.write(&["associate", "pycon/parent", "h2"]);
    let before = scene.dump();
    assert_eq!(write(&reviewed, 409)["version"], 1);
    assert_eq!(scene.dump(), before);
    write(&server.review(&scene, &edit)["etag"], 200);
}

#[test]
fn a_race_during_the_checks_does_not_publish_another_change_than_was_seen() {
    let scene = Scene::pycon();
    scene.write(&["set", "pycon", "locale=\"fr\""]);
    // The check of the first view is somebody else's moment.
    let (script, raced) = (scene.site.path("race.sh"), scene.site.path("raced"));
    let (raced, binary, servers) = (raced.display(), env!("CARGO_BIN_EXE_rosterd"), &scene.servers);
    scene.site.file(
        "race.sh",
        &format!(
            "test -e {raced} && exit 0\ntouch {raced}\n\
             exec {binary} --registry zk://{servers} jones set pycon times=9 --yes\n"
        ),
    );
    scene.configure_jones(&format!("[jones.check.\"pycon\"]\ncmd = \"sh {}\"\n", script.display()));
    let server = scene.serve(&["--write"]);
    let refused = server.tagged("POST", "/rollback", &json!({"revision": 4, "env": ""}), 409);
    assert!(refused["detail"].as_str().unwrap().contains("nothing was written"), "{refused}");
    assert_eq!(scene.text("/services/pycon/conf"), r#"{"locale": "fr", "times": 9}"#);
    server.tagged("POST", "/rollback", &json!({"revision": 4, "env": ""}), 201);
}

#[test]
fn a_service_that_its_check_refuses_is_not_created() {
    let scene = Scene::pycon();
    scene.site.file("new.schema.json", r#"{"required": ["locale"]}"#);
    scene.configure_jones("[jones.check.\"new\"]\nschema = \"new.schema.json\"\n");
    let server = scene.serve(&["--write"]);
    let before = scene.dump();
    let refused = value(&server.write("POST", "", JSON, &json!({"service": "new"})), 422);
    assert!(refused["detail"].as_str().unwrap().contains("new: the view does not match"), "{refused}");
    assert_eq!(server.ask("POST", "/service/new/", JSON, "").status, 422);
    assert_eq!(scene.dump(), before);
    value(&server.write("POST", "", JSON, &json!({"service": "other"})), 201);
}
