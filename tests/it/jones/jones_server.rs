//! Beside a Jones: its server and clients go on, and its races are found and repaired.

use super::Scene;

/// The credential that Jones sends for the password `changeme`.
const JONES: &str = "Jones:nFDMj9dz3hZ2tkur7ElnBlBogKU=";

/// A service that Jones 1.0 has written, and rosterd with its credential.
fn pycon() -> Scene {
    let scene = Scene::new();
    scene.server("pycon", "create_service", &[]);
    scene.server("pycon", "set_config", &["", r#"{"locale": "Canada"}"#]);
    scene.server("pycon", "create_config", &["parent", "{}"]);
    scene.server("pycon", "create_config", &["parent/child1", "{}"]);
    scene.server("pycon", "associate", &["h1", "parent/child1"]);
    scene.authenticate(JONES);
    scene
}

#[test]
fn a_change_is_seen_by_jones_clients_and_jones_edits_on() {
    let scene = pycon();
    let client = scene.client("pycon", "h1", "1.0");
    client.uses(r#"{"locale": "Canada"}"#);
    scene.ok(&["adopt", "--all", "-y"]);
    scene.write(&["set", "pycon/parent", "locale=\"fr\""]);
    client.uses(r#"{"locale": "fr"}"#);
    let stat = |path: &str| scene.node(path).unwrap().1;
    let entry = stat("/rosterd/jones/pycon/history/r-0000000001");
    let (conf, view) = (stat("/services/pycon/conf/parent"), stat("/services/pycon/views/parent/child1"));
    assert_eq!((conf.mzxid, view.mzxid), (entry.czxid, entry.czxid), "one zxid");

    scene.server("pycon", "set_config", &["parent", r#"{"locale": "de"}"#, &conf.version.to_string()]);
    client.uses(r#"{"locale": "de"}"#);
    let outside = "pycon/parent: changed outside of the history at 20";
    assert!(scene.ok(&["history", "pycon"]).starts_with(outside), "{}", scene.ok(&["history", "pycon"]));
    let diff = scene.jones(&["diff", "pycon"]);
    assert!(diff.expect(2).stdout().contains("-  \"locale\": \"fr\"\n+  \"locale\": \"de\"\n"), "{}", diff.stdout());
    scene.ok(&["adopt", "pycon", "-y", "-m", "by hand"]);
    assert!(!scene.ok(&["history", "pycon"]).contains("changed outside"), "it is recorded now");
    // Created by rosterd, with the list of its parent, so that Jones can write it.
    scene.write(&["create", "pycon/parent/child2"]);
    scene.server("pycon", "set_config", &["parent/child2", r#"{"a": 1}"#, "0"]);
    assert_eq!(scene.text("/services/pycon/views/parent/child2"), r#"{"locale": "de", "a": 1}"#);
}

#[test]
fn arrows_stay_arrows_until_json_is_asked_for() {
    let scene = Scene::pycon();
    scene.client.put("/services/pycon/nodemaps", b"h1 -> /services/pycon/views/parent/child1");
    let client = scene.client("pycon", "h2", "0.5.4");
    client.uses(r#"{"locale": "Canada", "times": 0}"#);
    scene.write(&["set", "pycon/parent", "locale=\"fr\""]);
    scene.write(&["associate", "pycon/parent", "h2"]);
    let wanted = "h1 -> /services/pycon/views/parent/child1\nh2 -> /services/pycon/views/parent";
    assert_eq!(scene.text("/services/pycon/nodemaps"), wanted, "without a final line end, which 0.5.4 does not read");
    client.uses(r#"{"locale": "fr", "times": 0}"#);
    scene.write(&["dissociate", "pycon", "h1"]);
    assert_eq!(scene.text("/services/pycon/nodemaps"), "h2 -> /services/pycon/views/parent");
    // No lines are no data, and lines come back.
    scene.write(&["dissociate", "pycon", "h2"]);
    assert_eq!(scene.text("/services/pycon/nodemaps"), "");
    scene.write(&["associate", "pycon/parent", "h2"]);
    assert_eq!(scene.text("/services/pycon/nodemaps"), "h2 -> /services/pycon/views/parent");
    scene.write(&["associate", "pycon", "h2", "--nodemaps", "json"]);
    assert_eq!(scene.text("/services/pycon/nodemaps"), r#"{"h2": "/services/pycon/views"}"#);
}

#[test]
fn what_jones_leaves_behind_is_found_and_repaired() {
    let scene = pycon();
    assert!(scene.jones(&["check", "--all"]).expect(0).stderr().contains("no history yet"));
    // Two edits at once leave a view stale; a kill leaves one empty; a deletion leaves an association.
    scene.client.run(|client| async move {
        client.auth("digest", JONES.as_bytes()).await.unwrap();
        client.set_data("/services/pycon/conf/parent", br#"{"y": 2}"#, None).await.unwrap();
        client.set_data("/services/pycon/views/parent/child1", b"", None).await.unwrap();
    });
    scene.server("pycon", "create_config", &["old", "{}"]);
    scene.server("pycon", "associate", &["h9", "old"]);
    scene.server("pycon", "delete_config", &["old"]);
    // Every page creates nodemaps below each child of /services, and services by typo.
    scene.client.put("/services/web/10.0.0.1:80", b"");
    scene.server("web", "view_page", &[]);
    scene.server("pycno", "view_page", &[]);
    let before = scene.dump();
    let found = scene.jones(&["check", "--all"]).expect(1).stdout();
    assert_eq!(scene.dump(), before, "a check only reads");
    for words in [
        "pycon/parent: the view is stale; read by 0 hosts",
        "pycon/parent/child1: the view is empty; read by 1 host",
        "1 host is associated with /services/pycon/views/old, which does not exist: h9",
        "/services/web/nodemaps: Jones created it in a directory that is not one of its services",
        "/services/pycno: an empty service, as Jones creates it",
    ] {
        assert!(found.contains(words), "{words}: {found}");
    }
    assert_eq!(found.lines().count(), 5, "{found}");
    scene.jones(&["check", "pycon", "--repair", "-y"]).expect(1);
    assert_eq!(scene.text("/services/pycon/views/parent/child1"), r#"{"locale": "Canada", "y": 2}"#);
    scene.write(&["associate", "pycon/parent", "h9"]);
    scene.ok(&["check", "--all", "--repair", "--strays", "-y"]);
    assert!(scene.node("/services/web/nodemaps").is_none() && scene.node("/services/pycno").is_none());
    assert!(scene.node("/services/web/10.0.0.1:80").is_some());
    assert_eq!(scene.ok(&["check", "--all"]), "");
}
