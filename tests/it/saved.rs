//! Templates without a registry: `get --save`, `render --from`, `render --output` and `test`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use crate::harness::site::Site;
use crate::support::docs::blocks;
use crate::support::zookeeper::ZooKeeper;

/// A roster, one with `*`, a key, and a template of them. `URL` stands for the registry.
const CONFIG: &str = r#"
[registry]
url = "URL"

[vars]
zone = "a"

[[roster]]
name = "web"
path = "/services/web"
min = 2

[[roster]]
name = "all"
path = "/services/*"

[[key]]
name = "app"
path = "/config/app"
format = "json"

[[template]]
src = "list.tera"
dest = "SITE/out/list"
mode = "0640"
check_cmd = "echo checked >> SITE/commands"
reload_cmd = "echo reloaded >> SITE/commands"

[[template]]
src = "each.tera"
name = "each"
each = "all"
dest = "SITE/out/{{ key }}.conf"
"#;

const LIST: &str = "{{ vars.zone }} {{ app.limit }}\n{% for m in web %}{{ m.slot }} {{ m.address }} {% if m.weight %}{{ m.weight }}{% endif %}\n{% endfor %}\
                    {% for key, members in all %}{{ key }}={{ members | length }}\n{% endfor %}";

fn site(url: &str) -> Site {
    let site = Site::new(&CONFIG.replace("URL", url));
    site.file("templates/list.tera", LIST).file("templates/each.tera", "{{ members | length }} of {{ key }}\n");
    site
}

/// The rendered files of a directory.
fn files(site: &Site, directory: &str) -> Vec<(String, u32, String)> {
    let entries = fs::read_dir(site.path(directory)).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .map(|entry| {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            (entry.file_name().into_string().unwrap(), mode, fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn saved_members_give_the_same_bytes_with_no_server_running() {
    let mut server = ZooKeeper::one();
    let client = server.client("");
    client.put("/services/web/10.0.0.2:80", b"");
    client.put("/services/web/10.0.0.1:80", b"{\"weight\": 5}");
    client.put("/services/web/nodemaps", b"");
    client.put("/services/web/odd:1", b"\xff\xfe");
    client.put("/services/db/10.1.0.1:5432", b"");
    client.put("/config/app", b"{\"limit\": 7}");
    let site = site(&format!("zk://{}", server.connect_string()));
    let saved = site.run(&["get", "--save", "members.json"]);
    assert!(saved.expect(0).stderr().contains("saved 3 paths to members.json"), "{}", saved.stderr());
    assert_eq!(saved.stdout(), "");
    let text = site.read("members.json");
    site.run(&["get", "--save", "members.json", "--quiet"]).expect(0);
    assert_eq!(site.read("members.json"), text, "the same members have the same text");
    site.run(&["render"]).expect(0);
    let written = files(&site, "out");
    assert_eq!(written.len(), 3, "{written:?}");
    server.stop(0);
    drop(server);

    let commands = site.read("commands");
    let refused = site.run(&["render", "--from", "members.json"]);
    assert!(refused.expect(64).stderr().contains("add --output DIR or --dry-run"), "{}", refused.stderr());
    let args = ["render", "--from", "members.json", "--output", "review", "--detailed-exitcode"];
    site.run(&args).expect(2);
    site.run(&args).expect(0);
    let review = format!("review{}", site.path("out").display());
    assert_eq!(files(&site, &review), written);
    site.run(&["render", "--from", "members.json", "--dry-run", "--detailed-exitcode"]).expect(0);
    assert_eq!(site.read("commands"), commands, "nothing is checked or reloaded");

    // A failure never replaces the file.
    site.run(&["get", "--save", "members.json", "--timeout", "300ms"]).expect(4);
    assert_eq!(site.read("members.json"), text);
    // What was not saved is unknown, not empty.
    site.file("part.json", &text.replace("/services/*", "/services/x*"));
    let part = site.run(&["render", "list", "--from", "part.json", "--output", "part"]);
    assert!(part.expect(3).stderr().contains("part.json (rosterd get --save) does not have it"), "{}", part.stderr());
    site.file("part.json", "{}");
    site.run(&["render", "--from", "part.json", "--output", "part"]).expect(78);
    assert!(!site.path("part").exists());
}

#[test]
fn one_path_is_saved_for_a_template_of_the_command_line() {
    let site = Site::new("");
    site.file("registry/services/web/a:1", "").file("registry/services/web/b:1", "");
    site.file("web.tera", "{% for m in web %}{{ m.name }}\n{% endfor %}");
    let get = ["get", "/services/web", "--registry", "dir:registry", "--save", "web.json"];
    assert_eq!(site.run_without_config(&get).expect(0).stdout(), "a:1\nb:1\n");
    let before = site.read("web.json");
    site.run_without_config(&[&get[..], &["--min", "3"]].concat()).expect(3);
    assert_eq!(site.read("web.json"), before, "too few members replace nothing");
    let render =
        ["render", "--from", "web.json", "--registry", "zk://none", "--roster", "web=/services/web", "--template"];
    site.run_without_config(&[&render[..], &["web.tera:list"]].concat()).expect(0);
    assert_eq!(site.read("list"), "a:1\nb:1\n");
    site.run_without_config(&["get"]).expect(64);
}

#[test]
fn output_renders_a_site_elsewhere_and_leaves_this_host_alone() {
    let site = site("dir:registry");
    for node in ["web/a:1", "web/b:1", "db/c:1"] {
        site.file(&format!("registry/services/{node}"), "");
    }
    site.file("registry/config/app", "{\"limit\": 1}");
    let before = site.tree();
    site.run(&["render", "--output", "review", "--timeout", "5s"]).expect(0);
    let review = format!("review{}", site.path("out").display());
    let names: Vec<_> = files(&site, &review).into_iter().map(|(name, mode, _)| (name, mode)).collect();
    assert_eq!(names, [("db.conf".into(), 0o644), ("list".into(), 0o640), ("web.conf".into(), 0o644)]);
    let mut after = site.tree();
    after.retain(|path, _| !path.starts_with(site.path("review")));
    assert_eq!(after, before, "no file, state or command of this host");
    site.run(&["render", "--output", "review", "--diff"]).expect(64);
    // Beside a running agent, too.
    let mut agent = site.start();
    agent.until("the files", || site.path("out/web.conf").exists() && site.path("out/list").exists());
    site.remove("registry/services/db/c:1").file("registry/services/db/d:1", "");
    site.run(&["render", "--output", "again"]).expect(0);
    assert_eq!(files(&site, &format!("again{}", site.path("out").display())), files(&site, "out"));
    assert!(agent.stop().success());
    // What only its owner may read here is not shown to others there.
    fs::set_permissions(site.path("out/web.conf"), Permissions::from_mode(0o600)).unwrap();
    site.run(&["render", "--output", "private"]).expect(0);
    let private = files(&site, &format!("private{}", site.path("out").display()));
    assert_eq!(private.iter().find(|(name, ..)| name == "web.conf").unwrap().1, 0o600);
    // A link does not lead to the files of this host.
    let top = site.path("out").iter().nth(1).unwrap().to_owned();
    fs::create_dir(site.path("linked")).unwrap();
    symlink(Path::new("/").join(&top), site.path("linked").join(&top)).unwrap();
    site.file("registry/services/web/c:1", "");
    let before = files(&site, "out");
    let linked = site.run(&["render", "--output", "linked"]);
    assert!(linked.expect(1).stderr().contains("is a symbolic link, which may lead"), "{}", linked.stderr());
    assert_eq!(files(&site, "out"), before);
}

/// The cases of a template with the members that it is rendered with.
const CASES: &str = r#"
[[case]]
name = "two members"
template = "list"
vars = { zone = "b" }
members.web = { "10.0.0.2:80" = "", "10.0.0.1:80" = { weight = 5 } }
members.all = { web = ["a:1", "b:1"], db = ["c:1"] }
keys.app = { limit = 3 }
expected = """
b 3
0 10.0.0.1:80 5
1 10.0.0.2:80 
db=1
web=2
"""

[[case]]
name = "one member is too few"
template = "list"
members.web = ["a:1"]
members.all = { web = ["a:1"] }
keys.app = { limit = 3 }
hold = "needs at least 2"

[[case]]
name = "no limit"
template = "list"
members.web = ["a:1", "b:1"]
members.all = { web = ["b:1"] }
keys.app = {}
error = "limit"

[[case]]
name = "the file of a key"
template = "each[db]"
members.all = { web = ["a:1"], db = ["c:1", "d:1"] }
contains = ["2 of db"]
lacks = ["web"]
"#;

#[test]
fn a_test_case_fails_on_one_wrong_byte_with_a_diff() {
    // Nothing of the registry is used, not even its credentials.
    let site = site("zk://127.0.0.1:1");
    let config = site.read("rosterd.toml");
    site.file("rosterd.toml", &config.replace("[vars]", "auth = [{ scheme = \"digest\", file = \"none\" }]\n[vars]"));
    site.file("tests/list.toml", CASES);
    let passed = site.run(&["test"]);
    let shown = passed.expect(0).stdout();
    assert!(shown.ends_with("4 passed, 0 failed\n"), "{shown}");
    assert!(shown.contains("tests/list.toml: two members\n"), "{shown}");
    assert_eq!(passed.stderr(), "");

    site.file("tests/list.toml", &CASES.replace("0 10.0.0.1:80 5", "0 10.0.0.1:80 6"));
    let failed = site.run(&["test", "tests/list.toml"]);
    let shown = failed.expect(1).stdout();
    let diff = "two members: the file differs\n--- expected\n+++ rendered\n@@ -1,5 +1,5 @@\n b 3\n-0 10.0.0.1:80 6\n+0 10.0.0.1:80 5\n";
    assert!(shown.contains(diff), "{shown}");
    assert!(shown.ends_with("3 passed, 1 failed\n"), "{shown}");

    for (from, to, wanted) in [
        ("members.web = [\"a:1\"]", "members.wbe = [\"a:1\"]", "no roster is named wbe; known rosters: web, all"),
        ("members.web = [\"a:1\"]", "", "needs at least 2"),
        ("template = \"each[db]\"", "template = \"each\"", "write template = \"each[KEY]\""),
        ("template = \"each[db]\"", "template = \"none\"", "no template is named none"),
        ("hold = \"needs at least 2\"", "contains = [\"a\"]", "held: /services/web has 1 member"),
    ] {
        site.file("tests/list.toml", &CASES.replace(from, to));
        let shown = site.run(&["test"]).expect(1).stdout();
        assert!(shown.contains(wanted), "{to}: {shown}");
    }
    site.file("tests/list.toml", "[[case]]\nname = \"n\"\ntemplate = \"list\"\nexpect = \"\"\n");
    assert!(site.run(&["test"]).expect(78).stderr().contains("unknown field `expect`"));
    site.file("tests/list.toml", "");
    site.run(&["test"]).expect(78);
    site.file("templates/list.tera", "{{ nothing }}");
    site.run(&["test"]).expect(78);
    assert_eq!(fs::read_dir(site.path("out")).unwrap().count(), 0);
    assert!(!site.path("state").exists() && !site.path("commands").exists());
}

#[test]
fn the_documented_test_cases_pass() {
    let cases = blocks("docs/commands.md").into_iter().find(|block| block.heading == "test").unwrap().text;
    let site = Site::new(web!(
        "min = 2",
        "[vars]\nzone = \"a\"\n\n[[template]]\nsrc = \"h.tera\"\ndest = \"out/haproxy.cfg\"\n"
    ));
    let server = "server web{{ m.slot }} {{ m.address }}{% if m.weight %} weight {{ m.weight }}{% endif %}\n";
    site.file("templates/h.tera", &format!("{{% for m in web %}}{server}{{% endfor %}}"));
    site.file("cases.toml", &cases);
    assert!(site.run(&["test", "cases.toml"]).expect(0).stdout().ends_with("2 passed, 0 failed\n"));
}
