//! Wrong configurations.

use super::{mode, site, told, told_of};

/// One file, which names a registry in its first line.
fn one(text: &str) -> String {
    told(&[("rosterd.toml", &format!("registry.url = \"zk://zk1\"\n{text}"))])
}

#[test]
fn keys_that_nobody_knows() {
    insta::assert_snapshot!(one("[agnet]\nname = \"x\"\n[[roster]]\npath = \"/services/web\"\nmim = 2\ncolour = \"red\"\n"), @r#"
    rosterd: wrong configuration
    error: unknown key `agnet` in the top level
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
      = help: [[roster]] takes above_max, hold_max, max, max_shrink, min, name, path, payload, pick, registry, wait

    3 problems
    "#);
}

#[test]
fn toml_that_is_none() {
    insta::assert_snapshot!(one("[[roster]]\npath = /services/web\nmin =\n[[template]\nsrc = \"good.tera\"\n"), @r#"
    rosterd: wrong configuration
    error: this is no value
     --> rosterd.toml:3:8
      |
    3 | path = /services/web
      |        ^^^^^^^^^^^^^
      |
      = help: a text stands in quotes, as in "text"; a line holds one key and one value

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
      = help: a line is KEY = VALUE, a table begins with [NAME], and one of several with [[NAME]]

    3 problems
    "#);
}

#[test]
fn a_text_that_is_not_closed() {
    insta::assert_snapshot!(one("[[roster]]\npath = \"/services/web\nmin = 2\n"), @r#"
    rosterd: wrong configuration
    error: invalid basic string, expected `"`
     --> rosterd.toml:3:22
      |
    3 | path = "/services/web
      |                      ^
      |
      = help: a line is KEY = VALUE, a table begins with [NAME], and one of several with [[NAME]]

    1 problem
    "#);
}

#[test]
fn a_key_that_stands_twice() {
    insta::assert_snapshot!(one("[agent]\nname = \"a\"\n[[roster]]\npath = \"/a\"\npath = \"/b\"\n[agent]\n"), @r#"
    rosterd: wrong configuration
    error: the key is there already
     --> rosterd.toml:6:1
      |
    6 | path = "/b"
      | ^^^^
      |
      = help: each key stands once: leave one out

    error: the key is there already
     --> rosterd.toml:7:2
      |
    7 | [agent]
      |  ^^^^^
      |
      = help: each key stands once: leave one out

    2 problems
    "#);
}

#[test]
fn values_of_another_kind() {
    insta::assert_snapshot!(one("roster = \"web\"\n[[key]]\npath = 5\n[[template]]\nsrc = [\"good.tera\"]\ndest = \"/x/a\"\nmake_dirs = \"yes\"\ncheck_cmd = [\"true\", 1]\n"), @r#"
    rosterd: wrong configuration
    error: `roster` is a string, and there may be several
     --> rosterd.toml:2:10
      |
    2 | roster = "web"
      |          ^^^^^
      |
      = help: write [[roster]] with two brackets

    error: `path` is a whole number, and must be a string
     --> rosterd.toml:4:8
      |
    4 | path = 5
      |        ^
      |
      = help: write path = "/config/app"

    error: `src` is a list, and must be a string
     --> rosterd.toml:6:7
      |
    6 | src = ["good.tera"]
      |       ^^^^^^^^^^^^^
      |
      = help: write src = "haproxy.cfg.tera"

    error: an element of `check_cmd` is a whole number, and must be a string
     --> rosterd.toml:9:22
      |
    9 | check_cmd = ["true", 1]
      |                      ^
      |
      = help: write check_cmd = ["haproxy", "-c", "-f", "{{ src }}"]

    4 problems
    "#);
}

#[test]
fn a_table_where_there_may_be_several() {
    insta::assert_snapshot!(one("[roster]\npath = \"/services/web\"\n[[agent]]\nname = \"x\"\n"), @"
    rosterd: wrong configuration
    error: `roster` is a table, and there may be several
     --> rosterd.toml:2:1
      |
    2 | [roster]
      | ^^^^^^^^
      |
      = help: write [[roster]] with two brackets

    error: `agent` is a list, and must be a table
     --> rosterd.toml:4:1
      |
    4 | [[agent]]
      | ^^^^^^^^^
      |
      = help: write agent = [agent]

    2 problems
    ");
}

#[test]
fn min_over_max() {
    insta::assert_snapshot!(one("[[roster]]\npath = \"/s/web\"\nmin = 5\nmax = 3\n[[roster]]\npath = \"/s/db\"\nmin = -1\nmax = 0\n"), @"
    rosterd: wrong configuration
    error: min (5) is over max (3)
     --> rosterd.toml:4:7
      |
    4 | min = 5
      |       ^
      |
      = help: write min = 3 or less, or leave max out

    error: `min` is -1, which cannot be counted
     --> rosterd.toml:8:7
      |
    8 | min = -1
      |       ^^
      |
      = help: write min = 1

    2 problems
    ");
}

#[test]
fn words_that_no_key_takes() {
    insta::assert_snapshot!(one("[agent]\nlog_format = \"jsno\"\n[[roster]]\npath = \"/s/web\"\npayload = \"xml\"\npick = \"random\"\nabove_max = \"Hold\"\n"), @r#"
    rosterd: wrong configuration
    error: `log_format` cannot be "jsno"
     --> rosterd.toml:3:14
      |
    3 | log_format = "jsno"
      |              ^^^^^^
      |
      = help: did you mean "json"?

    error: `payload` cannot be "xml"
     --> rosterd.toml:6:11
      |
    6 | payload = "xml"
      |           ^^^^^
      |
      = help: write one of "auto", "nextdoor", "hostport"

    error: `pick` cannot be "random"
     --> rosterd.toml:7:8
      |
    7 | pick = "random"
      |        ^^^^^^^^
      |
      = help: write one of "first", "spread"

    error: `above_max` cannot be "Hold"
     --> rosterd.toml:8:13
      |
    8 | above_max = "Hold"
      |             ^^^^^^
      |
      = help: did you mean "hold"?

    4 problems
    "#);
}

#[test]
fn durations() {
    insta::assert_snapshot!(one("[[roster]]\npath = \"/s/web\"\nwait = \"2s:1s\"\nhold_max = \"15 parsecs\"\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/a\"\ncheck_timeout = 30\nreload_timeout = \"0s\"\n"), @r#"
    rosterd: wrong configuration
    error: the quiet time (2s) is over the longest wait (1s)
     --> rosterd.toml:4:8
      |
    4 | wait = "2s:1s"
      |        ^^^^^^^
      |
      = help: write "1s:2s": quiet for the first, but never later than the second

    error: "15 parsecs" is no duration
     --> rosterd.toml:5:12
      |
    5 | hold_max = "15 parsecs"
      |            ^^^^^^^^^^^^
      |
      = help: write a number and its unit, as in "500ms", "2s" or "5m"

    error: `check_timeout` is a whole number, and must be a string
     --> rosterd.toml:9:17
      |
    9 | check_timeout = 30
      |                 ^^
      |
      = help: write check_timeout = "30s"

    error: `reload_timeout` is 0, and nothing is done in no time
      --> rosterd.toml:10:18
       |
    10 | reload_timeout = "0s"
       |                  ^^^^
       |
       = help: write a longer one

    4 problems
    "#);
}

#[test]
fn shares_that_are_none() {
    insta::assert_snapshot!(one("[[roster]]\npath = \"/s/web\"\nmax_shrink = \"150%\"\n[[roster]]\npath = \"/s/db\"\nmax_shrink = 0.5\n"), @r#"
    rosterd: wrong configuration
    error: "150%" is no percentage
     --> rosterd.toml:4:14
      |
    4 | max_shrink = "150%"
      |              ^^^^^^
      |
      = help: write "0%" to "100%"; "100%" turns the guard off

    error: `max_shrink` is a number with a fraction, and must be a string
     --> rosterd.toml:7:14
      |
    7 | max_shrink = 0.5
      |              ^^^
      |
      = help: write max_shrink = "50%"

    2 problems
    "#);
}

#[test]
fn modes_and_owners() {
    insta::assert_snapshot!(one("[[template]]\nsrc = \"good.tera\"\ndest = \"/x/a\"\nmode = 644\nowner = \"nobody-has-this-name\"\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/b\"\nmode = \"0999\"\n"), @r#"
    rosterd: wrong configuration
    error: `mode` is a whole number, and must be a string of octal digits
     --> rosterd.toml:5:8
      |
    5 | mode = 644
      |        ^^^
      |
      = help: write mode = "0644"

    error: there is no user "nobody-has-this-name" on this host
     --> rosterd.toml:6:9
      |
    6 | owner = "nobody-has-this-name"
      |         ^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: make it, write its number, or leave it out to keep the file's user as it is

    error: "0999" is no mode
      --> rosterd.toml:10:8
       |
    10 | mode = "0999"
       |        ^^^^^^
       |
       = help: write octal digits as chmod takes them, as in "0644"

    3 problems
    "#);
}

#[test]
fn registries() {
    insta::assert_snapshot!(told(&[("rosterd.toml", "[[registry]]\nname = \"a\"\nurl = \"etcd://zk1\"\n[[registry]]\nname = \"b\"\nurl = \"zk://zk1:99999\"\n[[registry]]\nname = \"c\"\nurl = \"zk://u:secret@zk1\"\n[[registry]]\nname = \"d\"\n")]), @r#"
    rosterd: wrong configuration
    error: "etcd://zk1" is no registry
     --> rosterd.toml:3:7
      |
    3 | url = "etcd://zk1"
      |       ^^^^^^^^^^^^
      |
      = help: write zk://HOST:PORT,HOST:PORT, zks:// for TLS, or dir:PATH

    error: "99999" is no port
     --> rosterd.toml:6:7
      |
    6 | url = "zk://zk1:99999"
      |       ^^^^^^^^^^^^^^^^
      |
      = help: write HOST:PORT, or [::1]:2181 for an IPv6 address, with commas between

    error: a server's name has an @ in it
     --> rosterd.toml:9:7
      |
    9 | url = "zk://u:secret@zk1"
      |       ^^^^^^^^^^^^^^^^^^^
      |
      = help: credentials stand in a file of their own: auth = [{ scheme = "digest", file = "zk.auth" }]

    error: [registry] has no `url`
      --> rosterd.toml:10:1
       |
    10 | [[registry]]
       | ^^^^^^^^^^^^
       |
       = help: add url = "zk://zk1:2181,zk2:2181"

    4 problems
    "#);
}

#[test]
fn no_registry() {
    insta::assert_snapshot!(told(&[("rosterd.toml", "[[roster]]\npath = \"/s/web\"\n")]), @r#"
    rosterd: wrong configuration
    error: no registry is named
    --> rosterd.toml
     = help: add [registry] with url = "zk://zk1:2181,zk2:2181", or give --registry URL

    1 problem
    "#);
}

#[test]
fn a_registry_that_is_not_there() {
    insta::assert_snapshot!(told(&[("rosterd.toml", "[[registry]]\nname = \"west\"\nurl = \"zk://zk1\"\n[[roster]]\npath = \"/s/web\"\nregistry = \"wset\"\n")]), @r#"
    rosterd: wrong configuration
    error: there is no registry "wset"
     --> rosterd.toml:6:12
      |
    6 | registry = "wset"
      |            ^^^^^^
      |
      = help: did you mean "west"?

    1 problem
    "#);
}

#[test]
fn paths_in_the_registry() {
    insta::assert_snapshot!(one("[[roster]]\npath = \"services/web\"\n[[roster]]\npath = \"/services/*/*\"\n[[roster]]\npath = \"/services/web-2/\"\n[[key]]\npath = \"/config/*\"\n"), @r#"
    rosterd: wrong configuration
    error: "services/web" cannot be followed: a path in the registry begins with /
     --> rosterd.toml:3:8
      |
    3 | path = "services/web"
      |        ^^^^^^^^^^^^^^
      |
      = help: write path = "/services/web"

    error: "/services/*/*" cannot be followed: only one whole segment of a path may be *, as in /services/*
     --> rosterd.toml:5:8
      |
    5 | path = "/services/*/*"
      |        ^^^^^^^^^^^^^^^
      |
      = help: write path = "/services/web"

    error: "/services/web-2/" cannot be followed: a path in the registry has no empty segment, and no / at its end
     --> rosterd.toml:7:8
      |
    7 | path = "/services/web-2/"
      |        ^^^^^^^^^^^^^^^^^^
      |
      = help: write path = "/services/web"

    error: a key is one node, and "/config/*" has a *
     --> rosterd.toml:9:8
      |
    9 | path = "/config/*"
      |        ^^^^^^^^^^^
      |
      = help: name the node; only a roster's path may have a *

    4 problems
    "#);
}

#[test]
fn names_that_templates_cannot_use() {
    insta::assert_snapshot!(one("[[roster]]\npath = \"/services/web-2\"\n[[roster]]\nname = \"vars\"\npath = \"/x\"\n[[roster]]\nname = \"9lives\"\npath = \"/x\"\n"), @r#"
    rosterd: wrong configuration
    error: "web-2", which the path gives, cannot be a variable's name in templates
     --> rosterd.toml:2:1
      |
    2 | [[roster]]
      | ^^^^^^^^^^
      |
      = help: write name = "web_2": letters, digits and _, and no digit first

    error: "vars" has a meaning of its own in templates
     --> rosterd.toml:5:8
      |
    5 | name = "vars"
      |        ^^^^^^
      |
      = help: write another name, as in name = "vars_members"

    error: "9lives" cannot be a variable's name in templates
     --> rosterd.toml:8:8
      |
    8 | name = "9lives"
      |        ^^^^^^^^
      |
      = help: write name = "_9lives": letters, digits and _, and no digit first

    3 problems
    "#);
}

#[test]
fn one_name_for_two() {
    insta::assert_snapshot!(told(&[
        ("rosterd.toml", "registry.url = \"zk://zk1\"\n[[roster]]\npath = \"/s/web\"\n[[template]]\nname = \"x\"\nsrc = \"good.tera\"\ndest = \"/x/a\"\n"),
        ("conf.d/web.toml", "[[key]]\npath = \"/config/web\"\n[[template]]\nname = \"x\"\nsrc = \"good.tera\"\ndest = \"/x/b\"\n"),
    ]), @r#"
    rosterd: wrong configuration
    error: the name "web" is taken by the roster at rosterd.toml:2
     --> conf.d/web.toml:1:1
      |
    1 | [[key]]
      | ^^^^^^^
      |
      = help: give one of the two another `name`

    error: the name "x" is taken by the template at rosterd.toml:5
     --> conf.d/web.toml:4:8
      |
    4 | name = "x"
      |        ^^^
      |
      = help: give one of the two another `name`

    2 problems
    "#);
}

#[test]
fn one_destination_for_two() {
    insta::assert_snapshot!(one("[[template]]\nname = \"a\"\nsrc = \"good.tera\"\ndest = \"/x/a\"\n[[template]]\nname = \"b\"\nsrc = \"good.tera\"\ndest = \"/x/y/../a\"\n"), @r#"
    rosterd: wrong configuration
    error: /x/y/../a is written by the template at rosterd.toml:5 already
     --> rosterd.toml:9:8
      |
    9 | dest = "/x/y/../a"
      |        ^^^^^^^^^^^
      |
      = help: a file has one template: give one of the two another dest

    1 problem
    "#);
}

#[test]
fn sources_and_destinations() {
    insta::assert_snapshot!(one("[[template]]\nsrc = \"godo.tera\"\ndest = \"/x/a\"\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/\"\n[[template]]\nsrc = \"good.tera\"\n"), @r#"
    rosterd: wrong configuration
    error: the template "godo.tera" cannot be found: No such file or directory (os error 2)
     --> rosterd.toml:3:7
      |
    3 | src = "godo.tera"
      |       ^^^^^^^^^^^
      |
      = help: a relative src is looked for in template_dir, which is templates

    error: dest "/x/" names a folder, and a template writes one file
     --> rosterd.toml:7:8
      |
    7 | dest = "/x/"
      |        ^^^^^
      |
      = help: add the file's name

    error: [[template]] has no `dest`
     --> rosterd.toml:8:1
      |
    8 | [[template]]
      | ^^^^^^^^^^^^
      |
      = help: add dest = "/etc/haproxy/haproxy.cfg"

    3 problems
    "#);
}

#[test]
fn commands() {
    insta::assert_snapshot!(one("[[template]]\nsrc = \"good.tera\"\ndest = \"/x/a b\"\ncheck_cmd = \"check {{ src }}\"\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/c\"\ncheck_cmd = \"check {{ soruce }}\"\nreload_cmd = []\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/d\"\nreload_cmd = { signal = \"HPU\", pid_file = \"/run/x.pid\" }\n"), @r#"
    rosterd: wrong configuration
    error: the path "/x/a b" has ' ', which may mean something to the shell that runs `check_cmd`
     --> rosterd.toml:4:8
      |
    4 | dest = "/x/a b"
      |        ^^^^^^^^
      |
      = help: write check_cmd as a list, which no shell reads: ["program", "{{ dest }}"]

    error: a command has no "soruce" to fill in
     --> rosterd.toml:9:20
      |
    9 | check_cmd = "check {{ soruce }}"
      |                    ^^^^^^^^^^^^
      |
      = help: {{ src }} is the staged file and {{ dest }} the destination; ROSTERD_CHANGED and others are in the command's environment; braces that are meant as they are take a space between: { {

    error: `reload_cmd` is an empty list
      --> rosterd.toml:10:14
       |
    10 | reload_cmd = []
       |              ^^
       |
       = help: name the program and its arguments, or leave `reload_cmd` out

    error: "HPU" is no signal
      --> rosterd.toml:14:25
       |
    14 | reload_cmd = { signal = "HPU", pid_file = "/run/x.pid" }
       |                         ^^^^^
       |
       = help: write a name as `kill -l` has it: HUP, USR1, USR2

    4 problems
    "#);
}

#[test]
fn variables() {
    insta::assert_snapshot!(one("[vars]\nzone = \"west\"\n[[roster]]\npath = \"/s/{{ vars.zome }}/web\"\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/{{ env.ROSTERD_NEVER_SET }}\"\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/{{ host.name\"\n"), @r#"
    rosterd: wrong configuration
    error: `vars.zome` is not known
     --> rosterd.toml:5:12
      |
    5 | path = "/s/{{ vars.zome }}/web"
      |            ^^^^^^^^^^^^^^^
      |
      = help: [vars] has zone

    error: $ROSTERD_NEVER_SET is not set
     --> rosterd.toml:8:12
      |
    8 | dest = "/x/{{ env.ROSTERD_NEVER_SET }}"
      |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: set ROSTERD_NEVER_SET in rosterd's own environment, or write the value here

    error: `{{` is not closed
      --> rosterd.toml:11:12
       |
    11 | dest = "/x/{{ host.name"
       |            ^^^^^^^^^^^^
       |
       = help: write }} after the variable

    3 problems
    "#);
}

#[test]
fn what_this_version_does_not_do_yet() {
    insta::assert_snapshot!(one("[[roster]]\npath = \"/s/web\"\nwhere = \"zone == vars.zone\"\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/a\"\nblock = \"cluster\"\nwrite = \"inplace\"\nsymlink = \"refuse\"\n[[service]]\nname = \"memcached\"\nport = 11211\n"), @r#"
    rosterd: wrong configuration
    error: `where` is not supported by this version
     --> rosterd.toml:4:1
      |
    4 | where = "zone == vars.zone"
      | ^^^^^
      |
      = help: take `where` out: rosterd does not pass over what it cannot do

    error: `block` is not supported by this version
     --> rosterd.toml:8:1
      |
    8 | block = "cluster"
      | ^^^^^
      |
      = help: take `block` out: rosterd does not pass over what it cannot do

    error: write = "inplace" is not supported by this version
     --> rosterd.toml:9:1
      |
    9 | write = "inplace"
      | ^^^^^
      |
      = help: leave it out; this version does write = atomic

    error: `service` is not supported by this version
      --> rosterd.toml:11:3
       |
    11 | [[service]]
       |   ^^^^^^^
       |
       = help: take `service` out: rosterd does not pass over what it cannot do

    4 problems
    "#);
}

#[test]
fn includes() {
    insta::assert_snapshot!(told(&[
        ("rosterd.toml", "include = [\"conf.d/*.toml\", \"more.toml\", \"[\"]\nregistry.url = \"zk://zk1\"\n"),
        ("conf.d/a.toml", "include = [\"b.toml\"]\n"),
    ]), @r#"
    rosterd: wrong configuration
    error: the included file "more.toml" does not exist
     --> rosterd.toml:1:29
      |
    1 | include = ["conf.d/*.toml", "more.toml", "["]
      |                             ^^^^^^^^^^^
      |
      = help: make it, or write a pattern with a *, which may match nothing

    error: "[" is no pattern: invalid range pattern
     --> rosterd.toml:1:42
      |
    1 | include = ["conf.d/*.toml", "more.toml", "["]
      |                                          ^^^
      |
      = help: write a path, in which * stands for any part of a name

    error: an included file includes nothing itself
     --> conf.d/a.toml:1:11
      |
    1 | include = ["b.toml"]
      |           ^^^^^^^^^^
      |
      = help: write this pattern into `include` of the main file

    3 problems
    "#);
}

#[test]
fn credentials_that_others_may_read() {
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
    rosterd: wrong configuration
    error: open.auth holds a password, and others may read or write it (mode 0644)
     --> rosterd.toml:3:37
      |
    3 | auth = [{ scheme = "digest", file = "open.auth" },
      |                                     ^^^^^^^^^^^
      |
      = help: chmod 600 open.auth

    error: none.auth cannot be read: No such file or directory (os error 2)
     --> rosterd.toml:4:29
      |
    4 | { scheme = "digest", file = "none.auth" }]
      |                             ^^^^^^^^^^^
      |
      = help: make the file with one line, user:password, that rosterd's user alone may read

    error: tls is set, and zk://zk1:2181 does not use it
     --> rosterd.toml:5:7
      |
    5 | tls = { ca = "none.pem" }
      |       ^^^^^^^^^^^^^^^^^^^
      |
      = help: write zks:// in url, or leave tls out: nothing is sent in the clear where TLS is asked for

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
fn files_that_everyone_may_write() {
    let site =
        site(&[("rosterd.toml", "registry.url = \"zk://zk1\"\n[[template]]\nsrc = \"good.tera\"\ndest = \"/x/a\"\n")]);
    mode(&site, "templates/good.tera", 0o666);
    mode(&site, "rosterd.toml", 0o646);
    insta::assert_snapshot!(told_of(&site, &["check"]), @r#"
    rosterd: wrong configuration
    error: the configuration file rosterd.toml can be written by everyone
    --> rosterd.toml
     = help: chmod o-w rosterd.toml

    error: the template templates/good.tera can be written by everyone
     --> rosterd.toml:3:7
      |
    3 | src = "good.tera"
      |       ^^^^^^^^^^^
      |
      = help: chmod o-w templates/good.tera

    2 problems
    "#);
}

#[test]
fn a_file_that_is_not_there() {
    insta::assert_snapshot!(told_of(&site(&[]), &["check", "-c", "rosterd.tmol"]), @"
    rosterd: wrong configuration
    error: the configuration file cannot be read: No such file or directory (os error 2)
    --> rosterd.tmol
     = help: name another with -c FILE or $ROSTERD_CONFIG, or see to it that rosterd's user may read this one

    1 problem
    ");
}
