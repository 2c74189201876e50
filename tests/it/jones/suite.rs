//! Jones's own tests, with `rosterd jones` in the place of its server, and `jones get --host` and both versions of its
//! client in the place of its client. Each test has the name of Jones's. Those of its HTTP routes are elsewhere.

use crate::support::zookeeper::ZooKeeper;

use super::{Scene, Site};

/// `testservice`, as in Jones's tests: `parent/child1` overrides `a` of `parent`, and 127.0.0.1 reads it.
fn testservice() -> Scene {
    let scene = Scene::new();
    scene.ok(&["init", "testservice"]);
    scene.write(&["create", "testservice/parent"]);
    scene.write(&["set", "testservice/parent", "a=1", "b=[1,2,3]", "c={\"x\":0}"]);
    scene.write(&["create", "testservice/parent/child1"]);
    scene.write(&["set", "testservice/parent/child1", "a=2"]);
    scene.write(&["associate", "testservice/parent/child1", "127.0.0.1"]);
    scene
}

const CHILD: &str = "/services/testservice/views/parent/child1";

#[test]
fn creates_root() {
    let scene = Scene::new();
    scene.ok(&["init", "testservice"]);
    assert_eq!(scene.server("testservice", "get_config", &[""]), "[{}, 0]\n");
    assert_eq!(scene.ok(&["get", "testservice"]), "{}\n");
}

#[test]
fn create_service_creates_stubs() {
    let scene = Scene::new();
    scene.ok(&["init", "testservice"]);
    for (path, data) in [("conf", "{}"), ("views", "{}"), ("nodemaps", "")] {
        assert_eq!(scene.text(&format!("/services/testservice/{path}")), data);
    }
}

#[test]
fn service_exists() {
    let scene = Scene::new();
    assert_eq!(scene.ok(&["ls"]), "");
    let missing = scene.jones(&["ls", "testservice"]);
    assert!(missing.expect(1).stderr().contains("there is no service testservice"), "{}", missing.stderr());
    scene.ok(&["init", "testservice"]);
    assert_eq!(scene.ok(&["ls"]), "testservice  1 environment  0 hosts\n");
    let again = scene.refused(&["init", "testservice"], 1);
    assert!(again.contains("the service testservice exists already"), "{again}");
}

#[test]
fn delete_service() {
    let scene = testservice();
    scene.refused(&["delete", "testservice", "-y"], 1);
    scene.write(&["dissociate", "testservice", "127.0.0.1"]);
    scene.write(&["delete", "testservice/parent/child1"]);
    scene.write(&["delete", "testservice/parent"]);
    scene.write(&["delete", "testservice"]);
    assert!(scene.node("/services/testservice").is_none());
    assert_eq!(scene.ok(&["ls"]), "");
    // What was there is still known, and a new service of that name goes on with its revisions.
    scene.ok(&["init", "testservice"]);
    let newest = scene.ok(&["history", "testservice", "-n", "1"]);
    assert!(newest.starts_with("r10 "), "{newest}");
}

#[test]
fn host_gets_merged_view() {
    let scene = testservice();
    let view = scene.ok(&["get", "testservice", "--host", "127.0.0.1"]);
    assert_eq!(view, scene.ok(&["get", "testservice/parent/child1"]));
    assert_eq!(scene.text(CHILD), r#"{"a": 2, "b": [1, 2, 3], "c": {"x": 0}}"#);
}

#[test]
fn overwrites_replace_a_value_as_a_whole() {
    let scene = testservice();
    scene.write(&["set", "testservice/parent/child1", "c={\"y\":1}", "b=[]"]);
    assert_eq!(scene.text(CHILD), r#"{"a": 2, "b": [], "c": {"y": 1}}"#);
    scene.write(&["set", "testservice/parent/child1", "--unset", "c"]);
    assert_eq!(scene.text(CHILD), r#"{"a": 2, "b": [], "c": {"x": 0}}"#);
}

#[test]
fn parent_changed_propagates() {
    let scene = testservice();
    scene.write(&["set", "testservice", "k=\"v\""]);
    assert_eq!(scene.text(CHILD), r#"{"k": "v", "a": 2, "b": [1, 2, 3], "c": {"x": 0}}"#);
    scene.write(&["set", "testservice/parent", "b=1", "a=9"]);
    assert_eq!(scene.text(CHILD), r#"{"k": "v", "a": 2, "b": 1, "c": {"x": 0}}"#);
}

#[test]
fn conflicts() {
    let scene = testservice();
    let stderr = scene.refused(&["set", "testservice/parent", "a=3", "--if-version", "0", "-y"], 3);
    assert!(stderr.contains("it has version 2, not version 0"), "{stderr}");
    scene.write(&["set", "testservice/parent", "a=3", "--if-version", "2"]);
}

/// Of the environment, of its view, and of what its hosts read.
#[test]
fn delete_config_leaves_no_node_of_an_environment() {
    let scene = testservice();
    let stderr = scene.refused(&["delete", "testservice/parent/child1", "-y"], 1);
    assert!(stderr.contains("is read by 1 host: 127.0.0.1; dissociate them first"), "{stderr}");
    let stderr = scene.refused(&["delete", "testservice/parent", "-y"], 1);
    assert!(stderr.contains("has environments below it: testservice/parent/child1"), "{stderr}");
    scene.write(&["dissociate", "testservice", "127.0.0.1"]);
    scene.write(&["delete", "testservice/parent/child1"]);
    assert!(scene.node("/services/testservice/conf/parent/child1").is_none() && scene.node(CHILD).is_none());
    let gone = scene.jones(&["get", "testservice/parent/child1"]);
    assert!(gone.expect(3).stderr().contains("does not exist"), "{}", gone.stderr());
    let gone = scene.refused(&["delete", "testservice/parent/child1", "-y"], 1);
    assert!(gone.contains("there is no environment testservice/parent/child1"), "{gone}");
}

#[test]
fn conf_is_mapping() {
    let scene = testservice();
    for conf in ["\"nope\"", "[]", "1", "null", "{\"a\": NaN}", "{", ""] {
        scene.site.file("conf.json", conf);
        scene.refused(&["create", "testservice/other", "conf.json", "-y"], 1);
        scene.refused(&["apply", "testservice/parent", "conf.json", "-y"], 1);
    }
}

#[test]
fn create_config_needs_its_parent() {
    let scene = testservice();
    let stderr = scene.refused(&["create", "testservice/no/where", "-y"], 1);
    assert!(stderr.contains("its parent testservice/no does not exist"), "{stderr}");
    scene.refused(&["create", "testservice/parent", "-y"], 1);
}

#[test]
fn get_associations() {
    let scene = testservice();
    let wanted = format!("[{{\"127.0.0.1\": \"{CHILD}\"}}, 1]\n");
    assert_eq!(scene.server("testservice", "associations", &[]), wanted);
    assert!(scene.ok(&["export", "testservice", "-"]).contains(&format!("\"127.0.0.1\": \"{CHILD}\"")));
    // Unlike Jones: the environment must exist.
    let stderr = scene.refused(&["associate", "testservice/none", "h2", "-y"], 1);
    assert!(stderr.contains("there is no environment testservice/none; create it"), "{stderr}");
}

#[test]
fn delete_associations() {
    let scene = testservice();
    scene.write(&["dissociate", "testservice", "127.0.0.1"]);
    assert_eq!(scene.server("testservice", "associations", &[]), "[{}, 2]\n");
}

/// `ZNodeMap`: what is set is read again, beside what was there, in either encoding.
#[test]
fn znode_map_set_and_get() {
    for encoding in ["json", "arrows"] {
        let scene = testservice();
        scene.write(&["associate", "testservice/parent", "h2", "h3", "--nodemaps", encoding]);
        for (host, a) in [("127.0.0.1", "2\n"), ("h2", "1\n"), ("h3", "1\n")] {
            assert_eq!(scene.ok(&["get", "testservice", "a", "--host", host]), a, "{encoding} {host}");
        }
        scene.write(&["associate", "testservice/parent/child1", "h2"]);
        assert_eq!(scene.ok(&["get", "testservice", "a", "--host", "h2"]), "2\n");
        assert_eq!(scene.ok(&["get", "testservice", "a", "--host", "h3"]), "1\n");
    }
}

#[test]
fn walk_is_depth_first_and_parents_come_first() {
    let scene = testservice();
    for env in ["alone", "parent/child0", "parent/child1/deep", "z"] {
        scene.write(&["create", &format!("testservice/{env}")]);
    }
    let listed = scene.ok(&["ls", "testservice"]);
    let names: Vec<&str> = listed.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(names, ["testservice", "alone", "parent", "child0", "child1", "deep", "z"]);
}

#[test]
fn client_gets_config() {
    let scene = testservice();
    let view = r#"{"a": 2, "b": [1, 2, 3], "c": {"x": 0}}"#;
    scene.client("testservice", "127.0.0.1", "1.0").uses(view);
    assert_eq!(scene.ok(&["get", "testservice", "b", "--host", "127.0.0.1"]), "[1, 2, 3]\n");
    scene.write(&["associate", "testservice/parent/child1", "127.0.0.1", "--nodemaps", "arrows"]);
    scene.client("testservice", "127.0.0.1", "0.5.4").uses(view);
}

/// A caller tells a missing key from one that is null, and takes its default.
#[test]
fn client_default_value() {
    let scene = testservice();
    scene.write(&["set", "testservice", "nothing=null"]);
    assert_eq!(scene.ok(&["get", "testservice", "nothing", "--host", "127.0.0.1"]), "null\n");
    let missing = scene.jones(&["get", "testservice", "none", "--host", "127.0.0.1"]);
    assert_eq!(
        (missing.expect(3).stdout(), missing.stderr().contains("there is no key \"none\"")),
        (String::new(), true)
    );
}

#[test]
fn client_raises_with_no_environment() {
    let scene = Scene::new();
    let none = scene.jones(&["get", "testservice", "--host", "127.0.0.1"]);
    assert!(none.expect(3).stderr().contains("/services/testservice/nodemaps does not exist"), "{}", none.stderr());
}

#[test]
fn client_responds_to_remap() {
    let scene = testservice();
    let client = scene.client("testservice", "127.0.0.1", "1.0");
    client.uses(r#"{"a": 2, "b": [1, 2, 3], "c": {"x": 0}}"#);
    scene.write(&["associate", "testservice/parent", "127.0.0.1"]);
    client.uses(r#"{"a": 1, "b": [1, 2, 3], "c": {"x": 0}}"#);
    assert_eq!(scene.ok(&["get", "testservice", "a", "--host", "127.0.0.1"]), "1\n");
}

#[test]
fn client_defaults_to_root_then_reads_its_association() {
    let scene = testservice();
    scene.write(&["set", "testservice", "a=0"]);
    let client = scene.client("testservice", "other", "1.0");
    client.uses(r#"{"a": 0}"#);
    assert_eq!(scene.ok(&["get", "testservice", "a", "--host", "other"]), "0\n");
    scene.write(&["associate", "testservice/parent", "other"]);
    client.uses(r#"{"a": 1, "b": [1, 2, 3], "c": {"x": 0}}"#);
    assert_eq!(scene.ok(&["get", "testservice", "a", "--host", "other"]), "1\n");
    scene.write(&["dissociate", "testservice", "other"]);
    client.uses(r#"{"a": 0}"#);
}

#[test]
fn client_resets_watches() {
    let scene = testservice();
    let client = scene.client("testservice", "127.0.0.1", "1.0");
    for value in 1..=3 {
        scene.write(&["set", "testservice/parent", &format!("b={value}")]);
        client.uses(&format!(r#"{{"a": 2, "b": {value}, "c": {{"x": 0}}}}"#));
        assert_eq!(scene.ok(&["get", "testservice", "b", "--host", "127.0.0.1"]), format!("{value}\n"));
    }
}

#[test]
fn client_works_if_zk_down() {
    let mut zookeeper = ZooKeeper::one();
    let (client, site) = (zookeeper.client(""), Site::new(""));
    client.put("/services/testservice/conf", br#"{"a": 1}"#);
    client.put("/services/testservice/nodemaps", b"");
    let url = format!("zk://{}", zookeeper.connect_string());
    let get = |timeout: &str| {
        let cached = ["--host", "h1", "--registry", &url, "--cache", "cache", "--timeout", timeout];
        site.run_without_config(&[&["jones", "get", "testservice", "a"], &cached[..]].concat())
    };
    assert_eq!(get("1m").expect(0).stdout(), "1\n");
    zookeeper.stop(0);
    let old = get("2s");
    assert_eq!((old.expect(0).stdout(), old.stderr().contains("stale, ")), ("1\n".to_owned(), true));
}
