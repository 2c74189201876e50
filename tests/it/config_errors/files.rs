//! Errors in configuration files: their TOML, their keys, and their includes.

use super::{mode, one, site, told, told_of};

#[test]
fn invalid_toml_is_reported() {
    insta::assert_snapshot!(one("[[roster]]\npath = /services/web\nmin =\n[[template]\nsrc = \"good.tera\"\n"), @r#"
    rosterd: invalid configuration
    error: this is not a value
     --> rosterd.toml:3:8
      |
    3 | path = /services/web
      |        ^^^^^^^^^^^^^
      |
      = help: put text in quotes, as in "text"; a line has one key and one value

    error: a value is missing
     --> rosterd.toml:4:6
      |
    4 | min =
      |      ^
      |
      = help: write one after the =

    error: unclosed array table, expected `]`
     --> rosterd.toml:5:12
      |
    5 | [[template]
      |            ^
      |
      = help: expected KEY = VALUE, [NAME] for a table, or [[NAME]] for an element of a list of tables

    3 problems
    "#);
}

#[test]
fn the_configuration_of_confd_is_recognized() {
    let said =
        one("backend = \"zookeeper\"\nconfdir = \"/etc/confd\"\nnodes = [\"zk1:2181\"]\n[template]\nsrc = \"x\"\n");
    for key in ["backend", "confdir", "nodes"] {
        assert!(said.contains(&format!("`{key}` is a setting of confd.toml, not of rosterd")), "{said}");
    }
    assert!(said.contains("docs/migrating.md"), "{said}");
}

#[test]
fn an_unclosed_string_is_reported() {
    insta::assert_snapshot!(one("[[roster]]\npath = \"/services/web\nmin = 2\n"), @r#"
    rosterd: invalid configuration
    error: invalid basic string, expected `"`
     --> rosterd.toml:3:22
      |
    3 | path = "/services/web
      |                      ^
      |
      = help: expected KEY = VALUE, [NAME] for a table, or [[NAME]] for an element of a list of tables

    1 problem
    "#);
}

#[test]
fn a_duplicate_key_is_reported() {
    insta::assert_snapshot!(one("[agent]\nname = \"a\"\n[[roster]]\npath = \"/a\"\npath = \"/b\"\n[agent]\n"), @r#"
    rosterd: invalid configuration
    error: duplicate key
     --> rosterd.toml:6:1
      |
    6 | path = "/b"
      | ^^^^
      |
      = help: a key may appear only once: remove one

    error: duplicate key
     --> rosterd.toml:7:2
      |
    7 | [agent]
      |  ^^^^^
      |
      = help: a key may appear only once: remove one

    2 problems
    "#);
}

#[test]
fn unknown_keys_are_reported() {
    insta::assert_snapshot!(one("[agnet]\nname = \"x\"\n[[roster]]\npath = \"/services/web\"\nmim = 2\ncolour = \"red\"\n"), @r#"
    rosterd: invalid configuration
    error: unknown key `agnet` in the top-level table
     --> rosterd.toml:2:2
      |
    2 | [agnet]
      |  ^^^^^
      |
      = help: did you mean `agent`?

    error: unknown key `mim` in [[roster]]
     --> rosterd.toml:6:1
      |
    6 | mim = 2
      | ^^^
      |
      = help: did you mean `min`?

    error: unknown key `colour` in [[roster]]
     --> rosterd.toml:7:1
      |
    7 | colour = "red"
      | ^^^^^^
      |
      = help: known keys: above_max, hold_max, max, max_shrink, min, name, order, path, payload, pick, registry, slot_keep, wait, where

    3 problems
    "#);
}

#[test]
fn a_table_in_place_of_an_array_of_tables_is_reported() {
    insta::assert_snapshot!(one("[roster]\npath = \"/services/web\"\n[[agent]]\nname = \"x\"\n"), @"
    rosterd: invalid configuration
    error: `roster` must be a list of tables, not a table
     --> rosterd.toml:2:1
      |
    2 | [roster]
      | ^^^^^^^^
      |
      = help: write [[roster]] with two brackets

    error: `agent` must be a table, not a list
     --> rosterd.toml:4:1
      |
    4 | [[agent]]
      | ^^^^^^^^^
      |
      = help: write [agent] with one bracket, and its keys under it

    2 problems
    ");
}

#[test]
fn invalid_addresses_of_http_are_reported() {
    insta::assert_snapshot!(one("[[roster]]\npath = \"/s/web\"\n[status]\nlisten = \":9189\"\n"), @r#"
    rosterd: invalid configuration
    error: ":9189" has no IP address
     --> rosterd.toml:5:10
      |
    5 | listen = ":9189"
      |          ^^^^^^^
      |
      = help: write "127.0.0.1:9189", or "0.0.0.0:9189" if every host may read the state

    1 problem
    "#);
}

#[test]
fn invalid_includes_are_reported() {
    insta::assert_snapshot!(told(&[
        ("rosterd.toml", "include = [\"conf.d/*.toml\", \"more.toml\", \"[\"]\nregistry.url = \"zk://zk1\"\n"),
        ("conf.d/a.toml", "include = [\"b.toml\"]\n"),
    ]), @r#"
    rosterd: invalid configuration
    error: the included file "more.toml" does not exist
     --> rosterd.toml:1:29
      |
    1 | include = ["conf.d/*.toml", "more.toml", "["]
      |                             ^^^^^^^^^^^
      |
      = help: create it, or write a pattern with *, which need not match any file

    error: "[" is not a valid pattern: invalid range pattern
     --> rosterd.toml:1:42
      |
    1 | include = ["conf.d/*.toml", "more.toml", "["]
      |                                          ^^^
      |
      = help: write a path; a * in it matches any part of a name

    error: an included file cannot include other files
     --> conf.d/a.toml:1:11
      |
    1 | include = ["b.toml"]
      |           ^^^^^^^^^^
      |
      = help: add this pattern to `include` in the main file

    3 problems
    "#);
}

#[test]
fn credentials_readable_by_others_are_refused() {
    let site = site(&[
        (
            "rosterd.toml",
            "[registry]\nurl = \"zk://zk1\"\nauth = [{ scheme = \"digest\", file = \"open.auth\" },\n{ scheme = \"digest\", file = \"none.auth\" }]\ntls = { ca = \"none.pem\" }\n",
        ),
        ("open.auth", "user:hunter2\n"),
    ]);
    mode(&site, "open.auth", 0o644);
    let said = told_of(&site, &["check"]);
    assert!(!said.contains("hunter2"), "a password is shown: {said}");
    insta::assert_snapshot!(said, @r#"
    rosterd: invalid configuration
    error: open.auth contains a password, but others may read or write it (mode 0644)
     --> rosterd.toml:3:37
      |
    3 | auth = [{ scheme = "digest", file = "open.auth" },
      |                                     ^^^^^^^^^^^
      |
      = help: chmod 640 open.auth, or defaultMode: 0440 on a Kubernetes Secret

    error: none.auth cannot be read: No such file or directory (os error 2)
     --> rosterd.toml:4:29
      |
    4 | { scheme = "digest", file = "none.auth" }]
      |                             ^^^^^^^^^^^
      |
      = help: create the file with one line, user:password, readable only by rosterd's user

    error: tls is set, but zk://zk1:2181 does not use it
     --> rosterd.toml:5:7
      |
    5 | tls = { ca = "none.pem" }
      |       ^^^^^^^^^^^^^^^^^^^
      |
      = help: write zks:// in url, or remove tls: rosterd never falls back to plain text

    error: none.pem cannot be read: No such file or directory (os error 2)
     --> rosterd.toml:5:14
      |
    5 | tls = { ca = "none.pem" }
      |              ^^^^^^^^^^
      |
      = help: name a PEM file that rosterd's user may read

    4 problems
    "#);
}

#[test]
fn world_writable_files_are_refused() {
    let site =
        site(&[("rosterd.toml", "registry.url = \"zk://zk1\"\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/a\"\n")]);
    mode(&site, "templates/good.tera", 0o666);
    mode(&site, "rosterd.toml", 0o646);
    insta::assert_snapshot!(told_of(&site, &["check"]), @r#"
    rosterd: invalid configuration
    error: the configuration file rosterd.toml is writable by everyone
    --> rosterd.toml
     = help: chmod o-w rosterd.toml, or mount it read-only

    error: the template templates/good.tera is writable by everyone
     --> rosterd.toml:3:7
      |
    3 | src = "good.tera"
      |       ^^^^^^^^^^^
      |
      = help: chmod o-w templates/good.tera, or mount it read-only, or add its directory to `trust` in [agent]

    2 problems
    "#);
}

#[test]
fn a_missing_file_is_reported() {
    insta::assert_snapshot!(told_of(&site(&[]), &["check", "-c", "rosterd.tmol"]), @"
    rosterd: invalid configuration
    error: the configuration file cannot be read: No such file or directory (os error 2)
    --> rosterd.tmol
     = help: write one with `rosterd init`, or specify another file with -c FILE or $ROSTERD_CONFIG

    1 problem
    ");
}
