//! `where`, `order`, patterns of keys and duplicate nodes, with the real binary.

use std::fs;

use crate::harness::site::Site;

const CONFIG: &str = r#"
[registry]
url = "dir:registry"

[vars]
zone = "a"

[[roster]]
name = "web"
path = "/services/web"
where = 'zone == vars.zone and weight > 0'
order = "weight"
slot_keep = "10m"
wait = "20ms:200ms"

[[template]]
src = "list.tera"
dest = "out/list"
"#;

fn site() -> Site {
    let site = Site::new(CONFIG);
    site.file("templates/list.tera", "{% for m in web %}{{ m.name }} {% endfor %}\n");
    for (name, data) in [
        ("a:1", r#"{"zone": "a", "weight": 9}"#),
        ("b:1", r#"{"zone": "a", "weight": 3}"#),
        ("b:01", r#"{"zone": "a", "weight": 3}"#),
        ("c:1", r#"{"zone": "b", "weight": 1}"#),
        ("d:1", r#"{"zone": "a"}"#),
        ("e:1", ""),
    ] {
        site.file(&format!("registry/services/web/{name}"), data);
    }
    site
}

#[test]
fn members_are_selected_and_excluded_ones_are_named() {
    let site = site();
    let agent = site.start();
    agent.until("the file", || site.read("out/list") == "b:01 a:1 \n");
    agent.until("the socket", || site.path("agent.sock").exists() && site.run(&["status"]).code() == 0);
    let told = site.run(&["explain", "web"]).expect(0).stdout();
    for line in [
        "  web: 1 node excluded because `where` failed; see below",
        "  payload nextdoor (detected)\n  ordered by weight, then by name\n  members (2):\n    b:01 (b:1), weight 3\n    a:1, weight 9\n",
        "  excluded by `where` (3): zone == vars.zone and weight > 0\n    /services/web/c:1\n    /services/web/d:1: `where` failed: ",
        "  duplicates of a host and port (1):\n    /services/web/b:1: same as b:01\n",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
    let status: serde_json::Value = serde_json::from_str(&site.run(&["status", "--json"]).expect(0).stdout()).unwrap();
    let roster = &status["rosters"][0];
    assert_eq!(roster["payload"], "nextdoor");
    assert_eq!(
        (&roster["filtered"], &roster["filter_errors"], &roster["duplicates"]),
        (&3.into(), &1.into(), &1.into())
    );
    // A member whose zone changes is included or excluded.
    site.file("registry/services/web/c:1", r#"{"zone": "a", "weight": 1}"#);
    agent.until("one more", || site.read("out/list") == "c:1 b:01 a:1 \n");
    site.remove("registry/services/web/b:01");
    agent.until("the duplicate node in its place", || site.read("out/list") == "c:1 b:1 a:1 \n");
    // A changed zone in [vars] changes `where`.
    site.configure(&CONFIG.replace("zone = \"a\"", "zone = \"b\""));
    agent.signal(nix::sys::signal::Signal::SIGHUP).says("configuration changed: ");
    agent.says("hold in effect: /services/web has 0 members but needs at least 1 (");
}

#[test]
fn an_invalid_where_is_refused_with_its_position() {
    let site = site();
    site.configure(&CONFIG.replace("vars.zone and", "vars.zon and"));
    let refused = site.run(&["check"]);
    let said = refused.expect(78).stderr();
    assert!(said.contains("error: `where` of web: vars has no zon\n"), "{said}");
    assert!(said.contains("where = 'zone == vars.zon and weight > 0'\n"), "{said}");
    assert!(said.contains("|                       ^^^\n") && said.contains("did you mean zone?"), "{said}");
}

#[test]
fn keys_are_chosen_by_the_path_and_by_where() {
    let site = Site::new(
        r#"
[registry]
url = "dir:registry"

[[roster]]
name = "caches"
path = "/services/mem*"
where = 'key != "mem-old" and port == 11211'
wait = "20ms:200ms"

[[template]]
src = "list.tera"
dest = "out/list"
"#,
    );
    site.file(
        "templates/list.tera",
        "{% for key, all in caches %}{{ key }}:{% for m in all %} {{ m.host }}{% endfor %}\n{% endfor %}",
    );
    for node in ["mem/a:11211", "mem/b:80", "mem.eu/c:11211", "mem-old/d:11211", "mem-admin/e:80", "web/f:11211"] {
        site.file(&format!("registry/services/{node}"), "");
    }
    let agent = site.start();
    agent.until("the file", || site.read("out/list") == "mem: a\nmem.eu: c\n");
    agent.until("the socket", || site.path("agent.sock").exists() && site.run(&["status"]).code() == 0);
    let told = site.run(&["explain", "caches"]).expect(0).stdout();
    assert!(told.contains("/services/mem-admin has 0 members but needs at least 1 (1 excluded by `where`)"), "{told}");
    assert!(!told.contains("/services/mem-old"), "{told}");
    for node in ["web2/g:11211", "mem-old/h:11211", "mem2/i:11211"] {
        site.file(&format!("registry/services/{node}"), "");
    }
    agent.until("the new key", || site.read("out/list") == "mem: a\nmem.eu: c\nmem2: i\n");
    let got = site.run(&["get", "/services/mem*", "--format", "json"]).expect(0).stdout();
    assert_eq!(
        got.trim(),
        r#"{"mem":["a:11211","b:80"],"mem-admin":["e:80"],"mem-old":["d:11211","h:11211"],"mem.eu":["c:11211"],"mem2":["i:11211"]}"#
    );
    assert_eq!(site.run(&["get", "/services/*-prod"]).expect(3).stdout(), "");
    // A key that a changed `where` excludes leaves the file.
    let config = fs::read_to_string(site.path("rosterd.toml")).unwrap();
    site.file("rosterd.toml", &config.replace("key != \"mem-old\"", "key not in [\"mem-old\", \"mem\"]"));
    agent.signal(nix::sys::signal::Signal::SIGHUP);
    agent.until("the file without it", || site.read("out/list") == "mem.eu: c\nmem2: i\n");
}
