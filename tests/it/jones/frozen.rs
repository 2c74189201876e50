//! Pins and canaries, under clients of Jones.

use std::collections::BTreeMap;

use super::Scene;
use crate::support::wait::{PATIENCE, eventually};

#[test]
fn a_pinned_host_keeps_its_revision_while_others_go_on() {
    let scene = Scene::pycon();
    scene.write(&["associate", "pycon/parent/child1", "h2"]);
    scene.write(&["set", "pycon/parent", "n=1"]);
    let (pinned, other) = (scene.client("pycon", "h1", "1.0"), scene.client("pycon", "h2", "1.0"));
    let config = |n: u8| format!(r#"{{"locale": "Canada", "n": {n}, "times": 0}}"#);
    pinned.uses(&config(1));
    scene.write(&["pin", "pycon", "h1", "--rev", "r6"]);
    assert_eq!(
        scene.text("/services/pycon/nodemaps"),
        r#"{"h1": "/services/pycon/pins/r6/parent/child1", "h2": "/services/pycon/views/parent/child1"}"#
    );
    assert!(scene.ok(&["ls", "pycon"]).contains("pinned to r6: 1 host"));
    // The client of Python still watches the view, and takes it; then the pin is written again, and it is back.
    scene.write(&["set", "pycon/parent", "n=2"]);
    other.uses(&config(2));
    pinned.uses(&config(1));
    assert_eq!(scene.ok(&["get", "pycon", "n", "--host", "h1"]), "1\n");
    let refused = scene.refused(&["delete", "pycon/parent/child1", "-y"], 1);
    assert!(refused.contains("is read by 2 hosts"), "{refused}");
    scene.write(&["unpin", "pycon", "h1"]);
    pinned.uses(&config(2));
    assert!(scene.node("/services/pycon/pins/r6").is_none(), "nobody reads it any more");
    // A host that was not listed is not listed again.
    scene.write(&["pin", "pycon", "h3", "--rev", "r1"]);
    assert_eq!(scene.ok(&["get", "pycon", "times", "--host", "h3"]), "0\n");
    // Another pin to the same revision leaves what h3 reads.
    scene.client.put("/services/pycon/pins/r1", b"{\"times\": 7}");
    scene.write(&["pin", "pycon", "h4", "--rev", "r1"]);
    assert_eq!(scene.text("/services/pycon/pins/r1"), "{\"times\": 7}");
    scene.write(&["unpin", "pycon", "h3", "h4"]);
    assert!(!scene.text("/services/pycon/nodemaps").contains("h3"));
    assert_eq!(scene.ok(&["check", "--all"]), "");
}

#[test]
fn a_canary_reaches_its_hosts_only_until_it_is_promoted_or_aborted() {
    let scene = Scene::pycon();
    let hosts: Vec<String> = (0..200).map(|number| format!("web{number:03}")).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    scene.write(&[&["associate", "pycon/parent"], &hosts[..]].concat());
    let before = scene.text("/services/pycon/nodemaps");
    let out = scene.write(&["canary", "pycon/parent", "--percent", "10", "--set", "n=1"]);
    assert!(out.contains("pycon/parent: own configuration, for 21 hosts\n"), "a tenth of 201, rounded up: {out}");
    let maps = scene.text("/services/pycon/nodemaps");
    let maps: BTreeMap<String, String> = serde_json::from_str(&maps).unwrap();
    let (chosen, others): (Vec<&String>, Vec<&String>) = maps.keys().partition(|host| maps[*host].contains("/canary/"));
    assert_eq!(chosen.len(), 21);
    let read = |host: &str| scene.jones(&["get", "pycon", "n", "--host", host]).code();
    assert!(chosen.iter().take(8).all(|host| read(host) == 0), "they read the change");
    assert!(others.iter().take(8).all(|host| read(host) == 3), "the others do not");
    assert_eq!(scene.text("/services/pycon/conf/parent"), "{}", "the configuration itself is as it was");
    scene.refused(&["canary", "pycon/parent", "--percent", "10", "--set", "n=2", "-y"], 1);
    scene.write(&["abort", "pycon"]);
    assert_eq!(scene.text("/services/pycon/nodemaps"), before);
    assert!(scene.node("/services/pycon/canary/canary").is_none());

    let (inside, outside) = (scene.client("pycon", "web001", "1.0"), scene.client("pycon", "h1", "1.0"));
    inside.uses(r#"{"locale": "Canada", "times": 0}"#);
    scene.write(&["canary", "pycon/parent", "web001", "--set", "locale=\"fr\"", "--id", "french"]);
    inside.uses(r#"{"locale": "fr", "times": 0}"#);
    // Another key, changed meanwhile, is kept by the promotion.
    scene.write(&["set", "pycon/parent", "other=1"]);
    outside.uses(r#"{"locale": "Canada", "other": 1, "times": 0}"#);
    scene.write(&["promote", "pycon", "french", "-m", "works"]);
    inside.uses(r#"{"locale": "fr", "other": 1, "times": 0}"#);
    outside.uses(r#"{"locale": "fr", "other": 1, "times": 0}"#);
    assert_eq!(scene.text("/services/pycon/nodemaps"), before);
    let stat = |path: &str| scene.node(path).unwrap().1;
    assert_eq!(stat("/services/pycon/conf/parent").mzxid, stat("/services/pycon/nodemaps").mzxid, "one transaction");
    // A host that was not listed is not listed again.
    scene.write(&["canary", "pycon", "h9", "--set", "n=1"]);
    scene.write(&["abort", "pycon"]);
    assert_eq!(scene.text("/services/pycon/nodemaps"), before);
    assert_eq!(scene.ok(&["check", "--all"]), "");
}

#[test]
fn a_promotion_is_refused_if_its_canary_was_aborted_meanwhile() {
    let scene = Scene::pycon();
    scene.write(&["canary", "pycon/parent", "h1", "--set", "n=1"]);
    // The promotion has read the canary, and waits for the check of its views.
    let check = "touch SITE/checked; until test -e SITE/go; do sleep 0.05; done; test -f {{ src }}";
    scene.configure("", &format!("[jones.check.pycon]\ncmd = \"{check}\"\n"));
    std::thread::scope(|scope| {
        let promotion = scope.spawn(|| scene.jones(&["promote", "pycon", "-y"]));
        eventually(PATIENCE, "the views are checked", || scene.site.path("checked").exists());
        scene.write(&["abort", "pycon"]);
        let before = scene.dump();
        scene.site.file("go", "");
        let stderr = promotion.join().unwrap().expect(3).stderr();
        assert!(stderr.contains("canary: it was changed by somebody else meanwhile"), "{stderr}");
        assert_eq!(scene.dump(), before);
    });
    let stderr = scene.refused(&["promote", "pycon", "-y"], 1);
    assert!(stderr.contains("there is no canary canary: there is none"), "{stderr}");
}
