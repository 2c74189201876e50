//! The commands that read and write a service, on a service that only rosterd writes.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::Scene;

#[test]
fn a_change_is_one_transaction_of_conf_views_and_entry() {
    let scene = Scene::pycon();
    let stdout = scene.write(&["set", "pycon/parent", "locale=\"fr\"", "-m", "French by default"]);
    assert!(stdout.starts_with("pycon/parent: own configuration\n@@"), "{stdout}");
    assert!(stdout.contains("1 more view changes in the same way, read by 1 host: pycon/parent/child1"), "{stdout}");
    let (conf, conf_stat) = scene.node("/services/pycon/conf/parent").unwrap();
    let (view, view_stat) = scene.node("/services/pycon/views/parent/child1").unwrap();
    assert_eq!((&*conf, &*view), (r#"{"locale": "fr"}"#, r#"{"locale": "fr", "times": 0}"#));
    let (entry, entry_stat) = scene.node("/rosterd/jones/pycon/history/r-0000000005").unwrap();
    assert_eq!((conf_stat.mzxid, view_stat.mzxid), (entry_stat.czxid, entry_stat.czxid), "one zxid");
    let start = r#"{"op": "set", "env": "parent", "before": {"version": 1, "conf": {}}, "after": {"conf": {"locale": "fr"}}, "author": "ada@"#;
    assert!(entry.starts_with(start), "{entry}");
    assert!(entry.contains(r#""comment": "French by default""#), "{entry}");
    // The root environment and its view were not written.
    assert_eq!(scene.node("/services/pycon/conf").unwrap().1.version, 2, "set once, and once with parent");
    let history = scene.ok(&["history", "pycon/parent"]);
    assert!(history.starts_with("r5  20") && history.contains("French by default"), "{history}");
    assert!(!history.contains("associate"), "{history}");
    let shown = scene.ok(&["show", "pycon", "r5"]);
    assert!(shown.contains(&format!("zxid     {:#x}\n", entry_stat.czxid)), "{shown}");
    assert!(shown.contains("+  \"locale\": \"fr\"\n"), "{shown}");
}

#[test]
fn get_tells_what_a_host_reads_and_where_each_key_comes_from() {
    let scene = Scene::pycon();
    scene.write(&["set", "pycon/parent", "locale=\"fr\"", "big=1180591620717411303424"]);
    assert_eq!(scene.ok(&["get", "pycon", "locale", "--host", "h1"]), "\"fr\"\n");
    assert_eq!(scene.ok(&["get", "pycon", "locale", "--host", "unlisted"]), "\"Canada\"\n");
    assert_eq!(
        scene.ok(&["get", "pycon/parent/child1", "big"]),
        "1180591620717411303424\n",
        "numbers keep their digits"
    );
    assert_eq!(scene.ok(&["get", "pycon/parent/child1", "--own"]), "{}\n");
    let trace = scene.ok(&["get", "pycon/parent/child1", "--trace"]);
    let wanted = "big     pycon/parent  1180591620717411303424\nlocale  pycon/parent  \"fr\"                    hides pycon\n\
                  times   pycon         0\n";
    assert_eq!(trace, wanted);
    assert_eq!(scene.ok(&["get", "pycon/parent/child1", "locale", "--at", "r3"]), "\"Canada\"\n");
    assert_eq!(scene.ok(&["get", "pycon", "locale", "--host", "h1", "--at", "r4"]), "\"Canada\"\n");
    let ls = scene.ok(&["ls", "pycon"]);
    let names: Vec<&str> = ls.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(names, ["pycon", "parent", "child1"], "{ls}");
    scene.client.put("/services/web/10.0.0.1:80", b"");
    assert_eq!(scene.ok(&["ls"]), "pycon  3 environments  1 host\n", "a directory of service discovery is no service");
    for args in [&["get", "pycon", "no"][..], &["get", "pycon/no"], &["get", "no"], &["get", "pycon", "--at", "r99"]] {
        let ended = scene.jones(args);
        ended.expect(3);
        assert_eq!(ended.stdout(), "", "{args:?}");
    }
}

#[test]
fn wrong_input_is_refused_with_its_reason_and_nothing_is_written() {
    let scene = Scene::pycon();
    scene.site.file("nan.json", "{\"a\": 1,\n \"b\": NaN}");
    scene.site.file("list.json", "[1]");
    for (code, words, args) in [
        (64, "a name cannot be . or ..", &["set", "pycon/../x", "a=1"][..]),
        (64, "ZooKeeper accepts no '\\u{1}'", &["create", "pycon/a\u{1}b"]),
        (64, "a name is missing", &["create", "pycon//b"]),
        (64, "not a JSON value", &["set", "pycon", "a=fr"]),
        (64, "NaN is not a finite number", &["set", "pycon", "a=NaN"]),
        (64, "write KEY=JSON", &["set", "pycon", "a"]),
        (64, "standard input is not a terminal", &["set", "pycon", "a=1"]),
        (1, "nan.json: NaN is not a finite number (expected value at line 2", &["apply", "pycon", "nan.json", "-y"]),
        (1, "list.json: an array, not an object", &["apply", "pycon", "list.json", "-y"]),
        (1, "gone.json: No such file", &["apply", "pycon", "gone.json", "-y"]),
        (
            1,
            "there is no environment pycon/no; create it with `rosterd jones create pycon/no -c ",
            &["set", "pycon/no", "a=1", "-y"],
        ),
        (1, "pycon/x/y: its parent pycon/x does not exist; create it first", &["create", "pycon/x/y", "-y"]),
        (1, "pycon/parent: the environment exists already", &["create", "pycon/parent", "-y"]),
        (1, "has environments below it: pycon/parent/child1; delete them first", &["delete", "pycon/parent", "-y"]),
        (1, "is read by 1 host: h1; dissociate them first", &["delete", "pycon/parent/child1", "-y"]),
        (1, "has environments below its root environment", &["delete", "pycon", "-y"]),
        (1, "there is no environment pycon/no", &["associate", "pycon/no", "h2", "-y"]),
        (1, "host h9 has no association", &["dissociate", "pycon", "h9", "-y"]),
        (
            3,
            "pycon/parent: it has version 1, not version 7",
            &["set", "pycon/parent", "a=1", "--if-version", "7", "-y"],
        ),
        (1, "there is no service no; create it with `rosterd jones init no -c ", &["set", "no", "a=1", "-y"]),
        (1, "the service pycon exists already", &["init", "pycon"]),
        (1, "there is no revision r77: the history of pycon has r0 to r4", &["rollback", "pycon", "r77", "-y"]),
        (1, "there is no canary canary: there is none", &["promote", "pycon", "-y"]),
        (1, "host h1 is not pinned", &["unpin", "pycon", "h1", "-y"]),
        (0, "nothing to change", &["set", "pycon", "times=0", "-y"]),
    ] {
        let stderr = scene.refused(args, code);
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
    assert_eq!(scene.jones(&["set", "pycon", "a=1", "--dry-run", "--detailed-exitcode"]).code(), 2);
    assert_eq!(scene.jones(&["set", "pycon", "times=0", "--dry-run", "--detailed-exitcode"]).code(), 0);
    let away = scene.site.run_without_config(&["jones", "ls", "--registry", "zk://127.0.0.1:1", "--timeout", "1s"]);
    assert!(away.expect(4).stderr().contains("cannot use zk://127.0.0.1:1"), "{}", away.stderr());
    let directory = scene.site.run_without_config(&["jones", "set", "s", "a=1", "--registry", "dir:/tmp"]);
    assert!(directory.expect(64).stderr().contains("cannot be edited"), "{}", directory.stderr());
}

#[test]
fn keys_that_only_one_side_touched_are_kept_and_a_conflict_keeps_the_text() {
    let scene = Scene::pycon();
    // An editor that appends a key, while somebody else writes another one or the same one.
    let editor = |name: &str, other: &str| {
        let rosterd = env!("CARGO_BIN_EXE_rosterd");
        let script = format!(
            "#!/bin/sh\nset -e\n'{rosterd}' jones set pycon/parent '{other}' -y >/dev/null\necho '{{\"mine\": 1}}' >\"$1\"\n"
        );
        scene.site.file(name, &script);
        set_permissions(scene.site.path(name), Permissions::from_mode(0o755)).unwrap();
        scene.site.path(name).to_string_lossy().into_owned()
    };
    let run = |editor: &str| {
        scene.site.run_with_env(&[("VISUAL", editor), ("USER", "ada")], &["jones", "edit", "pycon/parent", "-y"])
    };
    run(&editor("other", "theirs=2")).expect(0);
    assert_eq!(scene.text("/services/pycon/conf/parent"), r#"{"theirs": 2, "mine": 1}"#);

    scene.write(&["set", "pycon/parent", "mine=0"]);
    let ended = run(&editor("same", "mine=7"));
    let stderr = ended.expect(3).stderr();
    assert!(stderr.contains("mine: it was 0; now 7; this change has 1"), "{stderr}");
    let (_, path) = stderr.trim().rsplit_once("your text is kept in ").unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), "{\"mine\": 1}\n");
    std::fs::remove_file(path).unwrap();
    assert_eq!(scene.text("/services/pycon/conf/parent"), r#"{"theirs": 2, "mine": 7}"#);
}

#[test]
fn a_rollback_is_a_new_revision_made_of_an_old_one() {
    let scene = Scene::pycon();
    scene.write(&["set", "pycon", "times=1"]);
    scene.write(&["set", "pycon/parent", "locale=\"fr\""]);
    scene.write(&["create", "pycon/new"]);
    let ended = scene.jones(&["rollback", "pycon", "r4", "-y", "-m", "as before"]);
    assert!(
        ended.expect(0).stderr().contains("left as they are, because r4 does not have them: pycon/new"),
        "{}",
        ended.stderr()
    );
    assert_eq!(scene.text("/services/pycon/conf"), r#"{"locale": "Canada", "times": 0}"#);
    assert_eq!(scene.text("/services/pycon/views/parent/child1"), r#"{"locale": "Canada", "times": 0}"#);
    let history = scene.ok(&["history", "pycon", "-n", "1"]);
    assert!(history.contains("rollback to r4 (root), parent") && history.contains("as before"), "{history}");
    let (entry, root) = (
        scene.node("/rosterd/jones/pycon/history/r-0000000008").unwrap().1,
        scene.node("/services/pycon/conf").unwrap().1,
    );
    assert_eq!((entry.czxid, scene.node("/services/pycon/conf/parent").unwrap().1.mzxid), (root.mzxid, root.mzxid));
    // One environment only, and one that was deleted since.
    scene.write(&["dissociate", "pycon", "h1"]);
    scene.write(&["delete", "pycon/parent/child1"]);
    scene.write(&["rollback", "pycon", "r7", "--env", "parent/child1"]);
    assert_eq!(scene.text("/services/pycon/views/parent/child1"), r#"{"locale": "Canada", "times": 0}"#);
    assert_eq!(scene.jones(&["diff", "pycon", "--rev", "r4..r6"]).code(), 2);
    assert_eq!(scene.jones(&["diff", "pycon", "--rev", "r3..r4"]).code(), 0, "hosts are no configuration");
}

#[test]
fn an_export_is_imported_elsewhere_and_has_the_same_bytes() {
    let scene = Scene::pycon();
    scene.write(&["set", "pycon/parent", "n={\"b\": [1, {\"z\": 1, \"y\": 1e22}], \"a\": null}", "ü=\"é\""]);
    scene.ok(&["export", "--all", "out/tree", "--history"]);
    let conf = "{\n  \"n\": {\n    \"a\": null,\n    \"b\": [\n      1,\n      {\n        \"y\": 1e22,\n        \"z\": 1\n      }\n    ]\n  },\n  \"ü\": \"é\"\n}\n";
    assert_eq!(scene.site.read("out/tree/pycon/parent/conf.json"), conf);
    assert_eq!(
        scene.site.read("out/tree/pycon/hosts.json"),
        "{\n  \"h1\": \"/services/pycon/views/parent/child1\"\n}\n"
    );
    assert!(scene.site.path("out/tree/pycon/history/r-0000000005.json").exists());
    let other = Scene::new();
    let tree = scene.site.path("out/tree").to_string_lossy().into_owned();
    other.write(&["import", &tree]);
    let view = ["get", "pycon/parent/child1"];
    assert_eq!(other.ok(&view), scene.ok(&view));
    other.ok(&["export", "pycon", "out/again"]);
    let read = |scene: &Scene, dir: &str, file: &str| scene.site.read(&format!("out/{dir}/pycon/{file}"));
    for file in ["conf.json", "parent/conf.json", "parent/child1/conf.json", "hosts.json"] {
        assert_eq!(read(&other, "again", file), read(&scene, "tree", file), "{file}");
    }
    assert!(other.jones(&["import", &tree, "-y"]).expect(0).stderr().contains("nothing to change"));
    assert_eq!(other.ok(&["check", "--all"]), "");
}

#[test]
fn an_import_refuses_associations_that_lead_nowhere_and_links() {
    let scene = Scene::pycon();
    scene.ok(&["export", "pycon", "out"]);
    scene.write(&["create", "pycon/gone"]);
    scene.ok(&["export", "pycon", "out"]);
    scene.write(&["delete", "pycon/gone"]);
    scene.ok(&["export", "pycon", "out"]);
    assert!(!scene.site.path("out/pycon/gone/conf.json").exists(), "the environment was deleted meanwhile");
    let (out, other) = (scene.site.path("out").to_string_lossy().into_owned(), Scene::new());
    for path in ["/services/pycon/views/nowhere", "/services/other/views", "/services/pycon/pins/r1", "x"] {
        scene.site.file("out/pycon/hosts.json", &format!("{{\"h2\": \"{path}\"}}"));
        for scene in [&scene, &other] {
            let stderr = scene.refused(&["import", &out, "-y"], 1);
            assert!(stderr.contains("pycon: host h2 would be associated with"), "{path}: {stderr}");
        }
    }
    scene.site.file("out/pycon/hosts.json", "{}");
    symlink(scene.site.path("out/pycon/parent"), scene.site.path("out/pycon/link")).unwrap();
    for args in [&["import", "out", "-y"][..], &["export", "pycon", "out"]] {
        let stderr = scene.refused(args, 1);
        assert!(stderr.contains("out/pycon/link: it is a link"), "{stderr}");
    }
    std::fs::remove_file(scene.site.path("out/pycon/link")).unwrap();
    std::fs::rename(scene.site.path("out/pycon/parent"), scene.site.path("elsewhere")).unwrap();
    symlink(scene.site.path("elsewhere"), scene.site.path("out/pycon/parent")).unwrap();
    scene.write(&["set", "pycon/parent", "n=1"]);
    let stderr = scene.refused(&["export", "pycon", "out"], 1);
    assert!(stderr.contains("out/pycon/parent: it is a link"), "{stderr}");
    assert_eq!(scene.site.read("elsewhere/conf.json"), "{}\n", "nothing was written through it");
}

#[test]
fn an_edit_outside_of_the_history_stays_visible_after_a_child_was_created() {
    let scene = Scene::pycon();
    scene.client.put("/services/pycon/conf/parent", b"{\"x\": 1}");
    let is_shown = || {
        let shown = scene.ok(&["history", "pycon"]);
        // The comment of the entry that records it has the same words.
        shown.lines().any(|line| line.starts_with("pycon/parent: changed outside of the history"))
    };
    assert!(is_shown());
    scene.write(&["create", "pycon/parent/child2"]);
    assert!(is_shown());
    scene.write(&["adopt", "pycon"]);
    assert!(!is_shown());
}

#[test]
fn a_text_that_cannot_be_used_is_kept() {
    let scene = Scene::pycon();
    let editors = [("printf lost >\"$1\"; exit 1", "lost".as_bytes()), ("printf '\\377' >\"$1\"", &b"\xff"[..])];
    for (script, text) in editors {
        scene.site.file("editor", script);
        let editor = format!("sh {}", scene.site.path("editor").display());
        let ended = scene.site.run_with_env(&[("VISUAL", &*editor)], &["jones", "edit", "pycon", "-y"]);
        let stderr = ended.expect(1).stderr();
        let (_, kept) = stderr.trim_end().rsplit_once("your text is kept in ").expect("the file");
        assert_eq!(std::fs::read(kept).unwrap(), text);
        std::fs::remove_file(kept).unwrap();
    }
}

#[test]
fn garbage_of_others_is_named_and_can_be_replaced() {
    let scene = Scene::pycon();
    scene.client.put("/services/pycon/nodemaps", b"garbage");
    let stderr = scene.refused(&["associate", "pycon", "h2", "-y"], 1);
    assert!(stderr.contains("/services/pycon/nodemaps cannot be used: neither a JSON object nor"), "{stderr}");
    scene.write(&["set", "pycon/parent", "a=1"]);
    scene.client.put("/services/pycon/nodemaps", b"{}");

    scene.client.put("/services/pycon/conf/parent", b"{\"a\": Infinity}");
    let stderr = scene.refused(&["set", "pycon/parent", "a=1", "-y"], 1);
    assert!(
        stderr.contains("/services/pycon/conf/parent is not an object (Infinity is not a finite number"),
        "{stderr}"
    );
    assert!(stderr.contains("`rosterd jones apply pycon/parent FILE -c "), "{stderr}");
    let stderr = scene.refused(&["set", "pycon/parent/child1", "a=1", "-y"], 1);
    assert!(stderr.contains("/services/pycon/conf/parent is not a valid configuration"), "{stderr}");
    assert!(scene.ok(&["ls", "pycon"]).contains("not an object"));
    scene.site.file("good.json", "{\"a\": 2}");
    scene.write(&["apply", "pycon/parent", "good.json"]);
    assert_eq!(scene.ok(&["get", "pycon/parent/child1", "a"]), "2\n");
    assert_eq!(scene.ok(&["check", "pycon"]), "");
    // Control characters of others do not reach the terminal.
    scene.client.put("/services/pycon/conf", "{\"k\\u001b[31m\": \"\\u202e\"}".as_bytes());
    for args in [&["get", "pycon", "--own"][..], &["diff", "pycon"], &["history", "pycon"], &["export", "pycon", "-"]] {
        let stdout = scene.jones(args).stdout();
        assert!(!stdout.contains(['\u{1b}', '\u{202e}']), "{args:?}: {stdout}");
    }
    scene.ok(&["check", "pycon", "--repair", "-y"]);
    let trace = scene.ok(&["get", "pycon", "--trace"]);
    assert!(!trace.contains(['\u{1b}', '\u{202e}']), "{trace}");
}
