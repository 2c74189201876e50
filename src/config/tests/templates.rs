//! Errors in templates and their commands.

use std::os::unix::fs::symlink;

use super::{Home, told};

#[test]
fn invalid_modes_are_reported() {
    insta::assert_snapshot!(told(
        r#"
[[template]]
src = "a.tera"
dest = "/etc/a"
mode = 644
[[template]]
src = "a.tera"
dest = "/etc/b"
mode = 0o640
[[template]]
src = "a.tera"
dest = "/etc/c"
mode = "u=rw"
[[template]]
src = "a.tera"
dest = "/etc/d"
mode = "10000"
"#,
    ), @r#"
    error: `mode` must be a string of octal digits, not a whole number
     --> rosterd.toml:6:8
      |
    6 | mode = 644
      |        ^^^
      |
      = help: write mode = "0644"

    error: `mode` must be a string of octal digits, not a whole number
      --> rosterd.toml:10:8
       |
    10 | mode = 0o640
       |        ^^^^^
       |
       = help: write mode = "0640"

    error: "u=rw" is not a valid file mode
      --> rosterd.toml:14:8
       |
    14 | mode = "u=rw"
       |        ^^^^^^
       |
       = help: write octal digits as for chmod, such as "0644"

    error: "10000" is not a valid file mode
      --> rosterd.toml:18:8
       |
    18 | mode = "10000"
       |        ^^^^^^^
       |
       = help: write octal digits as for chmod, such as "0644"

    4 problems
    "#);
}

#[test]
fn invalid_commands_are_reported() {
    insta::assert_snapshot!(told(
        r#"
[[template]]
src = "a.tera"
dest = "/etc/a"
check_cmd = ""
reload_cmd = []
[[template]]
src = "a.tera"
dest = "/etc/b"
check_cmd = "haproxy -f {{ source }}"
reload_cmd = ["systemctl", 1]
[[template]]
src = "a.tera"
dest = "/etc/c"
check_cmd = 5
reload_cmd = { signal = "HUPP", pid = "/run/x.pid" }
"#,
    ), @r#"
    error: `check_cmd` is empty
     --> rosterd.toml:6:13
      |
    6 | check_cmd = ""
      |             ^^
      |
      = help: write a command, or remove `check_cmd`

    error: `reload_cmd` is an empty list
     --> rosterd.toml:7:14
      |
    7 | reload_cmd = []
      |              ^^
      |
      = help: name the program and its arguments, or remove `reload_cmd`

    error: {{ source }} is not a variable of this command
      --> rosterd.toml:11:25
       |
    11 | check_cmd = "haproxy -f {{ source }}"
       |                         ^^^^^^^^^^^^
       |
       = help: {{ src }} is the staged file and {{ dest }} the destination; ROSTERD_CHANGED and others are in the command's environment; to write literal braces, put a space between them: { {

    error: an element of `reload_cmd` must be a string, not a whole number
      --> rosterd.toml:12:28
       |
    12 | reload_cmd = ["systemctl", 1]
       |                            ^
       |
       = help: write reload_cmd = ["haproxy", "-c", "-f", "{{ src }}"]

    error: `check_cmd` must be a string or a list of strings, not a whole number
      --> rosterd.toml:16:13
       |
    16 | check_cmd = 5
       |             ^
       |
       = help: write check_cmd = "haproxy -c -f {{ src }}"

    error: [[template]] reload_cmd has no `pid_file`
      --> rosterd.toml:17:14
       |
    17 | reload_cmd = { signal = "HUPP", pid = "/run/x.pid" }
       |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: add pid_file = "/run/x.pid"

    error: "HUPP" is not a valid signal
      --> rosterd.toml:17:25
       |
    17 | reload_cmd = { signal = "HUPP", pid = "/run/x.pid" }
       |                         ^^^^^^
       |
       = help: write a name from `kill -l`, such as HUP, USR1 or USR2

    error: unknown key `pid` in [[template]] reload_cmd
      --> rosterd.toml:17:33
       |
    17 | reload_cmd = { signal = "HUPP", pid = "/run/x.pid" }
       |                                 ^^^
       |
       = help: known keys: pid_file, signal

    8 problems
    "#);
}

#[test]
fn a_path_with_shell_characters_is_reported() {
    insta::assert_snapshot!(told("[[template]]\nsrc = \"a.tera\"\ndest = \"/etc/a;b\"\ncheck_cmd = \"check {{ src }}\"\n"), @r#"
    error: the path "/etc/a;b" has ';', which may be special to the shell that runs `check_cmd`
     --> rosterd.toml:4:8
      |
    4 | dest = "/etc/a;b"
      |        ^^^^^^^^^^
      |
      = help: write check_cmd as a list, which is run without a shell: ["program", "{{ dest }}"]

    1 problem
    "#);
}

#[test]
fn invalid_owners_are_reported() {
    insta::assert_snapshot!(told(
        r#"
[[template]]
src = "a.tera"
dest = "/etc/a"
owner = "nobody-has-this-name"
group = "nor-this"
[[template]]
src = "a.tera"
dest = "/etc/b"
owner = -1
group = "4294967295"
"#,
    ), @r#"
    error: there is no user "nobody-has-this-name" on this host
     --> rosterd.toml:6:9
      |
    6 | owner = "nobody-has-this-name"
      |         ^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: create it, write a numeric ID, or remove this setting to leave the file's owner as it is

    error: there is no group "nor-this" on this host
     --> rosterd.toml:7:9
      |
    7 | group = "nor-this"
      |         ^^^^^^^^^^
      |
      = help: create it, write a numeric ID, or remove this setting to leave the file's group as it is

    error: `owner` is -1, which is out of range
      --> rosterd.toml:11:9
       |
    11 | owner = -1
       |         ^^
       |
       = help: write owner = 0

    error: 4294967295 is not a valid ID
      --> rosterd.toml:12:9
       |
    12 | group = "4294967295"
       |         ^^^^^^^^^^^^
       |
       = help: remove `group` to keep the current group

    4 problems
    "#);
}

#[test]
fn invalid_destinations_and_sources_are_reported() {
    insta::assert_snapshot!(told(
        r#"
[[template]]
src = "no.tera"
dest = "/etc/"
[[template]]
src = "."
dest = "."
[[template]]
dest = ""
"#,
    ), @r#"
    error: the template "no.tera" cannot be found: No such file or directory (os error 2)
     --> rosterd.toml:4:7
      |
    4 | src = "no.tera"
      |       ^^^^^^^^^
      |
      = help: src is relative to template_dir, which is templates

    error: dest "/etc/" names a directory, but a template writes one file
     --> rosterd.toml:5:8
      |
    5 | dest = "/etc/"
      |        ^^^^^^^
      |
      = help: add the file's name

    error: the template templates/. is a directory
     --> rosterd.toml:7:7
      |
    7 | src = "."
      |       ^^^
      |
      = help: name a file in it

    error: dest "." names a directory, but a template writes one file
     --> rosterd.toml:8:8
      |
    8 | dest = "."
      |        ^^^
      |
      = help: add the file's name

    error: [[template]] has no `src`
     --> rosterd.toml:9:1
      |
    9 | [[template]]
      | ^^^^^^^^^^^^
      |
      = help: add src = "haproxy.cfg.tera"

    error: `dest` is empty
      --> rosterd.toml:10:8
       |
    10 | dest = ""
       |        ^^
       |
       = help: write dest = "/etc/haproxy/haproxy.cfg"

    6 problems
    "#);
}

#[test]
fn an_empty_template_is_reported() {
    insta::assert_snapshot!(told("[[template]]\n"), @r#"
    error: [[template]] has no `src`
     --> rosterd.toml:2:1
      |
    2 | [[template]]
      | ^^^^^^^^^^^^
      |
      = help: add src = "haproxy.cfg.tera"

    error: [[template]] has no `dest`
     --> rosterd.toml:2:1
      |
    2 | [[template]]
      | ^^^^^^^^^^^^
      |
      = help: add dest = "/etc/haproxy/haproxy.cfg"

    2 problems
    "#);
}

#[test]
fn invalid_environments_are_reported() {
    insta::assert_snapshot!(told("[[template]]\nsrc = \"a.tera\"\ndest = \"/etc/a\"\nenv = { \"A-B\" = \"x\", ROSTERD_DEST = \"x\", N = 1 }\nreload_retries = 0\n"), @r#"
    error: "A-B" is not a valid name of an environment variable
     --> rosterd.toml:5:9
      |
    5 | env = { "A-B" = "x", ROSTERD_DEST = "x", N = 1 }
      |         ^^^^^
      |
      = help: write letters, digits and _, not beginning with a digit; names that begin with ROSTERD_ are reserved

    error: "ROSTERD_DEST" is reserved
     --> rosterd.toml:5:22
      |
    5 | env = { "A-B" = "x", ROSTERD_DEST = "x", N = 1 }
      |                      ^^^^^^^^^^^^
      |
      = help: write letters, digits and _, not beginning with a digit; names that begin with ROSTERD_ are reserved

    error: `N` must be a string, not a whole number
     --> rosterd.toml:5:42
      |
    5 | env = { "A-B" = "x", ROSTERD_DEST = "x", N = 1 }
      |                                          ^
      |
      = help: write N = "…"

    error: `reload_retries` is 0, so no reload would ever run
     --> rosterd.toml:6:18
      |
    6 | reload_retries = 0
      |                  ^
      |
      = help: write the number of attempts, 1 or more; to run no reload, remove reload_cmd

    4 problems
    "#);
}

#[test]
fn invalid_per_key_templates_are_reported() {
    insta::assert_snapshot!(told(
        r#"
[[roster]]
name = "members"
path = "/services/*"
[[roster]]
name = "web"
path = "/services/web"
[[template]]
each = "web"
src = "a.tera"
dest = "/etc/a/{{ key }}"
[[template]]
each = "member"
src = "a.tera"
dest = "/etc/b/{{key}}.cfg"
[[template]]
name = "c"
each = "members"
src = "a.tera"
dest = "/etc/c"
on_gone = "stay"
[[template]]
name = "d"
each = "members"
src = "a.tera"
dest = "/etc/{{ key }}/d"
[[template]]
src = "a.tera"
dest = "/etc/e"
on_gone = "keep"
[[template]]
src = "a.tera"
dest = "/etc/f/{{ key }}"
"#,
    ), @r#"
    error: roster web has no keys: its path /services/web has no *
      --> rosterd.toml:10:8
       |
    10 | each = "web"
       |        ^^^^^
       |
       = help: name a roster whose path has a *, as in "/services/*"

    error: a roster or key is named "members", which is reserved in a template with `each`
      --> rosterd.toml:10:8
       |
    10 | each = "web"
       |        ^^^^^
       |
       = help: give the roster or key another `name`

    error: there is no roster "member"
      --> rosterd.toml:14:8
       |
    14 | each = "member"
       |        ^^^^^^^^
       |
       = help: did you mean "members"?

    error: a roster or key is named "members", which is reserved in a template with `each`
      --> rosterd.toml:14:8
       |
    14 | each = "member"
       |        ^^^^^^^^
       |
       = help: give the roster or key another `name`

    error: a roster or key is named "members", which is reserved in a template with `each`
      --> rosterd.toml:19:8
       |
    19 | each = "members"
       |        ^^^^^^^^^
       |
       = help: give the roster or key another `name`

    error: `dest` has no {{ key }}, so all keys would share one file
      --> rosterd.toml:21:8
       |
    21 | dest = "/etc/c"
       |        ^^^^^^^^
       |
       = help: write {{ key }} in the file name, as in "/etc/x/{{ key }}.cfg"

    error: `on_gone` cannot be "stay"
      --> rosterd.toml:22:11
       |
    22 | on_gone = "stay"
       |           ^^^^^^
       |
       = help: write one of "remove", "keep"

    error: a roster or key is named "members", which is reserved in a template with `each`
      --> rosterd.toml:25:8
       |
    25 | each = "members"
       |        ^^^^^^^^^
       |
       = help: give the roster or key another `name`

    error: {{ key }} must not be in a directory name of `dest`
      --> rosterd.toml:27:8
       |
    27 | dest = "/etc/{{ key }}/d"
       |        ^^^^^^^^^^^^^^^^^^
       |
       = help: write {{ key }} in the file name, as in "/etc/x/{{ key }}.cfg"

    error: `on_gone` needs `each`
      --> rosterd.toml:31:11
       |
    31 | on_gone = "keep"
       |           ^^^^^^
       |
       = help: remove `on_gone`; it applies only to the files of a template with `each`

    error: `key` is not available in the configuration
      --> rosterd.toml:34:16
       |
    34 | dest = "/etc/f/{{ key }}"
       |                ^^^^^^^^^
       |
       = help: only {{ vars.NAME }}, {{ host.name }} and {{ env.NAME }} are available

    11 problems
    "#);
}

#[test]
fn two_names_of_one_file_are_reported() {
    let pair = |first: &str, second: &str| {
        format!(
            "[agent]\nstate_dir = \"state\"\n[[template]]\nname = \"a\"\nsrc = \"a.tera\"\ndest = {first}\n\
             [[template]]\nname = \"b\"\nsrc = \"b.tera\"\ndest = {second}\n"
        )
    };
    let home = |text: &str| {
        let home = Home::new(&[
            ("rosterd.toml", &format!("registry.url = \"zk://zk1\"\n{text}")),
            ("out/f", ""),
            ("state2/f", ""),
        ]);
        symlink("out", home.path("link")).unwrap();
        symlink("f", home.path("out/g")).unwrap();
        symlink("nothing", home.path("out/h")).unwrap();
        home
    };
    let own = "only one template can write a file";
    let longest = "n".repeat(255);
    for (first, second, why) in [
        ("\"out/f\"", "\"link/f\"", own),
        ("\"out/new/f\"", "\"link/./new//f\"", own),
        ("\"link/f\"", "\"out/none/../f\"", own),
        ("\"link/../x\"", "\"x\"", own),
        ("\"out/f\"", "\"out/g\"\nsymlink = \"follow\"", own),
        ("\"out/f\"\nblock = \"x\"", "\"link/f\"\nblock = \"x\"", "block x of"),
        ("\"out/f\"", "\"templates/b.tera\"", "is the source of a template"),
        ("\"templates/b.tera\"", "\"out/f\"", "is the source of a template"),
        ("\"out/f\"", "\"link/../rosterd.toml\"", "is a configuration file"),
        ("\"state/journal\"", "\"out/f\"", "is in state_dir"),
        ("\".\"", "\"out/f\"", "names a directory"),
        ("\"out/.\"", "\"out/f\"", "names a directory"),
        (&format!("\"{longest}n\""), "\"f\"", "the file name has 256 bytes"),
        (&format!("\"{longest}\"\nbackup = 2"), "\"f\"", "has 255 bytes, and 15 more with `backup`"),
    ] {
        let said = home(&pair(first, second)).told();
        assert!(said.contains(why) && said.matches("error: ").count() == 1, "{first} {second}: {said}");
    }
    for (first, second) in [
        ("\"out/f\"", "\"out/g\""),
        ("\"out/h\"\nsymlink = \"follow\"", "\"out/f\""),
        ("\"out/f\"\nblock = \"x\"", "\"link/f\"\nblock = \"y\""),
        ("\"out/../out/f.\"", "\"state2/f\""),
        (&*format!("\"{longest}\""), "\"f\""),
    ] {
        let said = home(&pair(first, second)).told();
        assert_eq!(said, "loaded, with []", "{first} {second}");
    }
}

/// Two templates, the first with these keys and the second with those.
fn both(first: &str, second: &str) -> String {
    let template =
        |name, keys| format!("[[template]]\nname = \"{name}\"\nsrc = \"a.tera\"\ndest = \"/etc/a\"\n{keys}\n");
    format!("{}{}", template("a", first), template("b", second))
}

#[test]
fn one_file_can_have_several_blocks() {
    let text = both("block = \"one\"\nmode = \"0644\"\nbackup = 2", "block = \"two\"\nmode = \"644\"\nbackup = 2");
    let config = Home::new(&[("rosterd.toml", &format!("registry.url = \"zk://zk1\"\n{text}"))]).load().unwrap().config;
    let blocks = config.templates.iter().map(|template| template.placing.block.clone().unwrap().to_string());
    assert_eq!(blocks.collect::<Vec<_>>(), ["one", "two"]);
    assert!(config.templates.iter().all(|template| template.placing.backup == 2));
    for (first, second, why) in [
        ("block = \"x\"", "block = \"x\"", "block x of /etc/a is already written by the template at rosterd.toml:"),
        ("block = \"x\"", "", "templates can share a file only if each has its own `block`"),
        ("", "block = \"x\"", "templates can share a file only if each has its own `block`"),
        ("", "", "only one template can write a file: give one of them another dest"),
        ("block = \"x\"", "block = \"y\"\nmode = \"0600\"", "sets a different `mode`"),
        ("block = \"x\"", "block = \"y\"\nwrite = \"auto\"", "sets a different `write`"),
        ("block = \"x\"", "block = \"y\"\nsymlink = \"follow\"", "sets a different `symlink`"),
        ("block = \"x\"", "block = \"y\"\nbackup = 1", "sets a different `backup`"),
        ("block = \"x\"", "block = \"y\"\nblock_comment = \";\"", "sets a different `block_comment`"),
    ] {
        let said = told(&both(first, second));
        assert!(said.contains(why) && said.matches("error: ").count() == 1, "{first} {second}: {said}");
    }
}

#[test]
fn settings_of_how_files_are_written_are_checked() {
    for (keys, why) in [
        ("block = \"two words\"", "\"two words\" is not a valid block name"),
        ("block = \"\"", "`block` is empty"),
        ("block_comment = \";\"", "`block_comment` needs `block`"),
        ("block = \"x\"\nblock_comment = \"# \"", "`block_comment` cannot be \"# \""),
        ("block = \"x\"\nblock_comment = \"<!--\"", "which would comment out the lines of the block too"),
        ("backup = 100", "write at most 99"),
        ("backup = -1", "is -1, which is out of range"),
        ("write = \"in-place\"", "did you mean \"inplace\"?"),
        ("symlink = \"yes\"", "write one of \"refuse\", \"follow\""),
    ] {
        let said = told(&format!("[[template]]\nsrc = \"a.tera\"\ndest = \"/etc/a\"\n{keys}\n"));
        assert!(said.contains(why) && said.matches("error: ").count() == 1, "{keys}: {said}");
    }
    let each = "[[roster]]\nname = \"r\"\npath = \"/s/*\"\n[[template]]\nsrc = \"a.tera\"\neach = \"r\"\nblock = \"x\"\n\
        dest = \"/etc/{{ key }}\"\n";
    assert!(told(each).contains("`block` cannot be combined with `each`"));
}

#[test]
fn settings_that_cannot_be_rolled_back_exclude_unit() {
    for (keys, why) in [
        ("block = \"x\"", "`unit` cannot be combined with `block`"),
        ("write = \"inplace\"", "`unit` cannot be combined with a `write` other than \"atomic\""),
        ("write = \"auto\"", "`unit` cannot be combined with a `write` other than \"atomic\""),
    ] {
        let said = told(&format!("[[template]]\nsrc = \"a.tera\"\ndest = \"/etc/a\"\nunit = \"edge\"\n{keys}\n"));
        assert!(said.contains(why) && said.matches("error: ").count() == 1, "{keys}: {said}");
    }
    let keys = "block = \"x\"\nreload_cmd = \"true\"\non_reload_failure = \"rollback\"";
    let said = told(&format!("[[template]]\nsrc = \"a.tera\"\ndest = \"/etc/a\"\n{keys}\n"));
    let why = "on_reload_failure = \"rollback\" cannot be combined with `block`";
    assert!(said.contains(why) && said.matches("error: ").count() == 1, "{said}");
}

#[test]
fn settings_of_what_follows_a_reload_are_checked() {
    insta::assert_snapshot!(told(
        r#"
[[template]]
src = "a.tera"
dest = "/etc/a"
verify_cmd = "curl -f http://127.0.0.1/"
[[template]]
src = "a.tera"
dest = "/etc/b"
reload_cmd = "true"
verify_cmd = ""
verify_timeout = "0s"
splay = 30
"#,
    ), @r#"
    error: `verify_cmd` needs `reload_cmd`
     --> rosterd.toml:6:14
      |
    6 | verify_cmd = "curl -f http://127.0.0.1/"
      |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: add a reload_cmd, or remove `verify_cmd`

    error: `verify_cmd` is empty
      --> rosterd.toml:11:14
       |
    11 | verify_cmd = ""
       |              ^^
       |
       = help: write a command, or remove `verify_cmd`

    error: `verify_timeout` is 0; it must be greater than 0
      --> rosterd.toml:12:18
       |
    12 | verify_timeout = "0s"
       |                  ^^^^
       |
       = help: write a duration greater than 0, as in "30s"

    error: `splay` must be a string, not a whole number
      --> rosterd.toml:13:9
       |
    13 | splay = 30
       |         ^^
       |
       = help: write splay = "30s"

    4 problems
    "#);
}

#[test]
fn invalid_units_are_reported() {
    insta::assert_snapshot!(told(
        r#"
[[roster]]
path = "/services/*"
name = "services"
[[template]]
src = "a.tera"
dest = "/etc/a"
unit = "the edge"
[[template]]
src = "a.tera"
dest = "/etc/{{ key }}"
each = "services"
unit = "edge"
"#,
    ), @r#"
    error: "the edge" is not a valid unit name
     --> rosterd.toml:9:8
      |
    9 | unit = "the edge"
      |        ^^^^^^^^^^
      |
      = help: write letters, digits and _, not beginning with a digit, as in "edge"

    error: `unit` cannot be combined with `each`
      --> rosterd.toml:14:8
       |
    14 | unit = "edge"
       |        ^^^^^^
       |
       = help: remove one of them; the files of a template with `each` are added and removed one by one

    2 problems
    "#);
}

#[test]
fn staged_files_are_named_within_a_unit_and_for_checks_only() {
    insta::assert_snapshot!(told(
        r#"
[[template]]
src = "a.tera"
dest = "/etc/h.cfg"
check_cmd = "c {{ src }} {{ staged['b.mpa'] }}"
reload_cmd = "r {{ staged.x }}"
unit = "edge"
[[template]]
src = "a.tera"
dest = "/etc/odd dir/b.map"
unit = "edge"
[[template]]
src = "a.tera"
dest = "/etc/alone"
check_cmd = ["c", "{{ staged['h.cfg'] }}"]
"#,
    ), @r#"
    error: unit edge has no template "b.mpa"
     --> rosterd.toml:6:26
      |
    6 | check_cmd = "c {{ src }} {{ staged['b.mpa'] }}"
      |                          ^^^^^^^^^^^^^^^^^^^^^
      |
      = help: did you mean staged['b.map']?

    error: {{ staged.x }} is not a variable of this command
     --> rosterd.toml:7:17
      |
    7 | reload_cmd = "r {{ staged.x }}"
      |                 ^^^^^^^^^^^^^^
      |
      = help: `staged` is available in check_cmd only: later the files are at their destinations

    error: `staged` needs `unit`
      --> rosterd.toml:16:20
       |
    16 | check_cmd = ["c", "{{ staged['h.cfg'] }}"]
       |                    ^^^^^^^^^^^^^^^^^^^^^
       |
       = help: give this template, and the one that it names, the same `unit`

    3 problems
    "#);
    insta::assert_snapshot!(told(
        r#"
[[roster]]
path = "/services/staged"
[[template]]
src = "a.tera"
dest = "/etc/h.cfg"
check_cmd = "c {{ staged['b.map'] }}"
unit = "edge"
[[template]]
src = "a.tera"
dest = "/etc/odd dir/b.map"
unit = "edge"
"#,
    ), @r#"
    error: the path "/etc/odd dir/b.map" has ' ', which may be special to the shell that runs `check_cmd`
     --> rosterd.toml:8:13
      |
    8 | check_cmd = "c {{ staged['b.map'] }}"
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write check_cmd as a list, which is run without a shell: ["program", "{{ dest }}"]

    error: a roster or key is named "staged", which is reserved in a template with `unit`
     --> rosterd.toml:9:8
      |
    9 | unit = "edge"
      |        ^^^^^^
      |
      = help: give the roster or key another `name`

    error: a roster or key is named "staged", which is reserved in a template with `unit`
      --> rosterd.toml:13:8
       |
    13 | unit = "edge"
       |        ^^^^^^
       |
       = help: give the roster or key another `name`

    3 problems
    "#);
}
