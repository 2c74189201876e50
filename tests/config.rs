//! Configurations that are wrong, and what is said of them: the message, the file, line and column, carets, a hint.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rosterd::config::{Loaded, Overrides, Problems, load};
use tempfile::TempDir;

/// A folder with a configuration in it.
struct Home(TempDir);

impl Home {
    /// A folder with these files, and a template for those that need one.
    fn new(files: &[(&str, &str)]) -> Self {
        let home = Self(TempDir::new().unwrap());
        home.write("templates/a.tera", "").write("templates/b.tera", "");
        for (name, text) in files {
            home.write(name, text);
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.mode(name, 0o644)
    }

    fn mode(&self, name: &str, mode: u32) -> &Self {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
        self
    }

    fn load_with(&self, overrides: &Overrides) -> Result<Loaded, Problems> {
        load(&self.path("rosterd.toml"), overrides)
    }

    fn load(&self) -> Result<Loaded, Problems> {
        self.load_with(&Overrides { host_name: "web1".into(), ..Overrides::default() })
    }

    /// What is said, with this folder's own name left out of it: the same on every host and every run.
    fn told(&self) -> String {
        let said = match self.load() {
            Ok(loaded) => format!("loaded, with {:?}", loaded.warnings),
            Err(problems) => problems.to_string(),
        };
        let home = self.0.path().to_str().unwrap();
        let said = said.replace(&format!("{home}/"), "").replace(home, "HOME");
        said.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

/// What is said of one file, which names a registry in its first line.
fn told(text: &str) -> String {
    Home::new(&[("rosterd.toml", &format!("registry.url = \"zk://zk1\"\n{text}"))]).told()
}

#[test]
fn unknown_keys_are_told_with_what_was_meant() {
    insta::assert_snapshot!(told(
        r#"
[agnet]
name = "x"
[[roster]]
path = "/services/web"
mim = 2
colour = "red"
"#,
    ), @r##"
    error: unknown key `agnet` in top level
     --> rosterd.toml:3:2
      |
    3 | [agnet]
      |  ^^^^^
      |
      = help: did you mean `agent`?

    error: unknown key `mim` in [[roster]]
     --> rosterd.toml:7:1
      |
    7 | mim = 2
      | ^^^
      |
      = help: did you mean `min`?

    error: unknown key `colour` in [[roster]]
     --> rosterd.toml:8:1
      |
    8 | colour = "red"
      | ^^^^^^
      |
      = help: [[roster]] takes above_max, hold_max, max, max_shrink, min, name, order, path, payload, pick, registry, slot_keep, wait, where

    3 problems
    "##);
}

#[test]
fn min_over_max() {
    insta::assert_snapshot!(told("[[roster]]\npath = \"/s/web\"\nmin = 5\nmax = 3\n[[roster]]\npath = \"/s/db\"\nmax = 0\n"), @r##"
    error: min (5) is over max (3)
     --> rosterd.toml:4:7
      |
    4 | min = 5
      |       ^
      |
      = help: write min = 3 or less, or leave max out

    error: max is 0, and would leave no member
     --> rosterd.toml:8:7
      |
    8 | max = 0
      |       ^
      |
      = help: write max = 1 or more, or leave max out

    2 problems
    "##);
}

#[test]
fn durations() {
    insta::assert_snapshot!(told(
        r#"
[[roster]]
path = "/s/web"
wait = "2s:1s"
hold_max = "-5m"
[[roster]]
path = "/s/db"
wait = { min = "1s", max = 4 }
[[template]]
src = "a.tera"
dest = "/etc/a"
check_timeout = 30
reload_timeout = "0s"
reload_interval = "5 parsecs"
"#,
    ), @r##"
    error: the quiet time (2s) is over the longest wait (1s)
     --> rosterd.toml:5:8
      |
    5 | wait = "2s:1s"
      |        ^^^^^^^
      |
      = help: write "1s:2s": quiet for the first, but never later than the second

    error: "-5m" is no duration
     --> rosterd.toml:6:12
      |
    6 | hold_max = "-5m"
      |            ^^^^^
      |
      = help: write a number and its unit, as in "500ms", "2s" or "5m"

    error: `max` is a whole number, and must be a string
     --> rosterd.toml:9:28
      |
    9 | wait = { min = "1s", max = 4 }
      |                            ^
      |
      = help: write max = "2s"

    error: `check_timeout` is a whole number, and must be a string
      --> rosterd.toml:13:17
       |
    13 | check_timeout = 30
       |                 ^^
       |
       = help: write check_timeout = "30s"

    error: `reload_timeout` is 0, and nothing is done in no time
      --> rosterd.toml:14:18
       |
    14 | reload_timeout = "0s"
       |                  ^^^^
       |
       = help: write a longer one

    error: "5 parsecs" is no duration
      --> rosterd.toml:15:19
       |
    15 | reload_interval = "5 parsecs"
       |                   ^^^^^^^^^^^
       |
       = help: write a number and its unit, as in "500ms", "2s" or "5m"

    6 problems
    "##);
}

#[test]
fn modes() {
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
    ), @r##"
    error: `mode` is a whole number, and must be a string of octal digits
     --> rosterd.toml:6:8
      |
    6 | mode = 644
      |        ^^^
      |
      = help: write mode = "0644"

    error: `mode` is a whole number, and must be a string of octal digits
      --> rosterd.toml:10:8
       |
    10 | mode = 0o640
       |        ^^^^^
       |
       = help: write mode = "0640"

    error: "u=rw" is no mode
      --> rosterd.toml:14:8
       |
    14 | mode = "u=rw"
       |        ^^^^^^
       |
       = help: write octal digits as chmod takes them, as in "0644"

    error: "10000" is no mode
      --> rosterd.toml:18:8
       |
    18 | mode = "10000"
       |        ^^^^^^^
       |
       = help: write octal digits as chmod takes them, as in "0644"

    4 problems
    "##);
}

#[test]
fn registries() {
    insta::assert_snapshot!(Home::new(&[(
        "rosterd.toml",
        r#"
[[registry]]
url = "zk://zk1:99999"
[[registry]]
name = "b"
url = "zk://,zk2"
watches = "always"
[[registry]]
name = "b"
url = "zk://zk1//x"
session_timeout = "0s"
[[registry]]
name = "c"
"#,
    )])
    .told(), @r##"
    error: "99999" is no port
     --> rosterd.toml:3:7
      |
    3 | url = "zk://zk1:99999"
      |       ^^^^^^^^^^^^^^^^
      |
      = help: write HOST:PORT, or [::1]:2181 for an IPv6 address, with commas between

    error: a server's name is missing
     --> rosterd.toml:6:7
      |
    6 | url = "zk://,zk2"
      |       ^^^^^^^^^^^
      |
      = help: write HOST:PORT, or [::1]:2181 for an IPv6 address, with commas between

    error: `watches` cannot be "always"
     --> rosterd.toml:7:11
      |
    7 | watches = "always"
      |           ^^^^^^^^
      |
      = help: write one of "auto", "recursive", "oneshot"

    error: the name "b" is taken by the registry at rosterd.toml:5
     --> rosterd.toml:9:8
      |
    9 | name = "b"
      |        ^^^
      |
      = help: give one of the two another `name`

    error: the chroot "//x" is no path: a path in the registry has no empty segment, and no / at its end
      --> rosterd.toml:10:7
       |
    10 | url = "zk://zk1//x"
       |       ^^^^^^^^^^^^^
       |
       = help: write zk://HOST:PORT/name/of/it

    error: `session_timeout` is 0, and nothing is done in no time
      --> rosterd.toml:11:19
       |
    11 | session_timeout = "0s"
       |                   ^^^^
       |
       = help: write a longer one

    error: [registry] has no `url`
      --> rosterd.toml:12:1
       |
    12 | [[registry]]
       | ^^^^^^^^^^^^
       |
       = help: add url = "zk://zk1:2181,zk2:2181"

    7 problems
    "##);
}

#[test]
fn no_registry() {
    insta::assert_snapshot!(Home::new(&[("rosterd.toml", "[agent]\nname = \"x\"\n")]).told(), @r##"
    error: no registry is named
    --> rosterd.toml
     = help: add [registry] with url = "zk://zk1:2181,zk2:2181", or give --registry URL

    1 problem
    "##);
}

#[test]
fn a_registry_that_is_not_there() {
    insta::assert_snapshot!(told("[[roster]]\npath = \"/s/web\"\nregistry = \"defualt\"\n"), @r##"
    error: there is no registry "defualt"
     --> rosterd.toml:4:12
      |
    4 | registry = "defualt"
      |            ^^^^^^^^^
      |
      = help: did you mean "default"?

    1 problem
    "##);
}

#[test]
fn paths_and_names() {
    insta::assert_snapshot!(told(
        r#"
[[roster]]
path = "services/web"
[[roster]]
path = "/services/web-2"
[[roster]]
path = "/services/*/*"
[[roster]]
path = "/"
[[roster]]
name = "vars"
path = "/x"
[[roster]]
name = "9lives"
path = "/x"
[[key]]
path = "/config/*"
[[key]]
format = "ini"
"#,
    ), @r##"
    error: "services/web" cannot be followed: a path in the registry begins with /
     --> rosterd.toml:4:8
      |
    4 | path = "services/web"
      |        ^^^^^^^^^^^^^^
      |
      = help: write path = "/services/web"

    error: "web-2", which the path gives, cannot be a variable's name in templates
     --> rosterd.toml:5:1
      |
    5 | [[roster]]
      | ^^^^^^^^^^
      |
      = help: write name = "web_2": letters, digits and _, and no digit first

    error: "/services/*/*" cannot be followed: only one whole segment of a path may be *, as in /services/*
     --> rosterd.toml:8:8
      |
    8 | path = "/services/*/*"
      |        ^^^^^^^^^^^^^^^
      |
      = help: write path = "/services/web"

    error: "", which the path gives, cannot be a variable's name in templates
     --> rosterd.toml:9:1
      |
    9 | [[roster]]
      | ^^^^^^^^^^
      |
      = help: write name = "services": letters, digits and _, and no digit first

    error: "vars" has a meaning of its own in templates
      --> rosterd.toml:12:8
       |
    12 | name = "vars"
       |        ^^^^^^
       |
       = help: write another name, as in name = "vars_members"

    error: "9lives" cannot be a variable's name in templates
      --> rosterd.toml:15:8
       |
    15 | name = "9lives"
       |        ^^^^^^^^
       |
       = help: write name = "_9lives": letters, digits and _, and no digit first

    error: a key is one node, and "/config/*" has a *
      --> rosterd.toml:18:8
       |
    18 | path = "/config/*"
       |        ^^^^^^^^^^^
       |
       = help: name the node; only a roster's path may have a *

    error: [[key]] has no `path`
      --> rosterd.toml:19:1
       |
    19 | [[key]]
       | ^^^^^^^
       |
       = help: add path = "/config/app"

    error: `format` cannot be "ini"
      --> rosterd.toml:20:10
       |
    20 | format = "ini"
       |          ^^^^^
       |
       = help: write one of "text", "json", "toml", "yaml"

    9 problems
    "##);
}

#[test]
fn names_are_taken_once() {
    insta::assert_snapshot!(Home::new(&[
        ("rosterd.toml", "registry.url = \"zk://a\"\n[[roster]]\npath = \"/s/web\"\n[[template]]\nsrc = \"a.tera\"\ndest = \"/x/a\"\n"),
        ("conf.d/web.toml", "[[key]]\npath = \"/config/web\"\n[[template]]\nsrc = \"a.tera\"\ndest = \"/x/y/../a\"\n"),
    ])
    .told(), @r##"
    error: the name "web" is taken by the roster at rosterd.toml:2
     --> conf.d/web.toml:1:1
      |
    1 | [[key]]
      | ^^^^^^^
      |
      = help: give one of the two another `name`

    error: /x/y/../a is written by the template at rosterd.toml:6 already
     --> conf.d/web.toml:5:8
      |
    5 | dest = "/x/y/../a"
      |        ^^^^^^^^^^^
      |
      = help: a file has one template: give one of the two another dest

    error: the name "a" is taken by the template at rosterd.toml:6
     --> conf.d/web.toml:5:8
      |
    5 | dest = "/x/y/../a"
      |        ^^^^^^^^^^^
      |
      = help: give one of the two another `name`

    3 problems
    "##);
}

#[test]
fn variables() {
    insta::assert_snapshot!(told(
        r#"
[vars]
zone = "west"
list = [1]
bad = nan
[[roster]]
path = "/s/{{ vars.zome }}/web"
[[roster]]
name = "b"
path = "/s/{{ vars.list }}"
[[roster]]
name = "c"
path = "/s/{{ host.ip }}"
[[template]]
src = "a.tera"
dest = "/etc/{{ env.STAGE }}/x"
[[template]]
src = "a.tera"
dest = "/etc/{{ vars.zone"
"#,
    ), @r##"
    error: the variable `bad` has a number that templates cannot hold
     --> rosterd.toml:6:1
      |
    6 | bad = nan
      | ^^^
      |
      = help: write it as a string; inf, nan and whole numbers of more than 64 bits are none to a template

    error: `vars.zome` is not known
     --> rosterd.toml:8:12
      |
    8 | path = "/s/{{ vars.zome }}/web"
      |            ^^^^^^^^^^^^^^^
      |
      = help: [vars] has list, zone

    error: `vars.list` is a list or a table
      --> rosterd.toml:11:12
       |
    11 | path = "/s/{{ vars.list }}"
       |            ^^^^^^^^^^^^^^^
       |
       = help: name a text, a number, true or false

    error: `host.ip` is not known when the configuration is read
      --> rosterd.toml:14:12
       |
    14 | path = "/s/{{ host.ip }}"
       |            ^^^^^^^^^^^^^
       |
       = help: here {{ vars.NAME }}, {{ host.name }} and {{ env.NAME }} are filled in, and nothing else

    error: $STAGE is not set
      --> rosterd.toml:17:14
       |
    17 | dest = "/etc/{{ env.STAGE }}/x"
       |              ^^^^^^^^^^^^^^^
       |
       = help: set STAGE in rosterd's own environment, or write the value here

    error: `{{` is not closed
      --> rosterd.toml:20:14
       |
    20 | dest = "/etc/{{ vars.zone"
       |              ^^^^^^^^^^^^
       |
       = help: write }} after the variable

    6 problems
    "##);
}

#[test]
fn commands() {
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
    ), @r##"
    error: `check_cmd` is empty
     --> rosterd.toml:6:13
      |
    6 | check_cmd = ""
      |             ^^
      |
      = help: write a command, or leave `check_cmd` out

    error: `reload_cmd` is an empty list
     --> rosterd.toml:7:14
      |
    7 | reload_cmd = []
      |              ^^
      |
      = help: name the program and its arguments, or leave `reload_cmd` out

    error: a command has no "source" to fill in
      --> rosterd.toml:11:25
       |
    11 | check_cmd = "haproxy -f {{ source }}"
       |                         ^^^^^^^^^^^^
       |
       = help: {{ src }} is the staged file and {{ dest }} the destination; ROSTERD_CHANGED and others are in the command's environment; braces that are meant as they are take a space between: { {

    error: `reload_cmd` is a whole number, and must be a string
      --> rosterd.toml:12:28
       |
    12 | reload_cmd = ["systemctl", 1]
       |                            ^
       |
       = help: write reload_cmd = "haproxy -c -f {{ src }}"

    error: `check_cmd` is a whole number, and must be a string or a list of strings
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

    error: "HUPP" is no signal
      --> rosterd.toml:17:25
       |
    17 | reload_cmd = { signal = "HUPP", pid = "/run/x.pid" }
       |                         ^^^^^^
       |
       = help: write a name as `kill -l` has it: HUP, USR1, USR2

    error: unknown key `pid` in [[template]] reload_cmd
      --> rosterd.toml:17:33
       |
    17 | reload_cmd = { signal = "HUPP", pid = "/run/x.pid" }
       |                                 ^^^
       |
       = help: [[template]] reload_cmd takes pid_file, signal

    8 problems
    "##);
}

#[test]
fn a_path_with_shell_characters() {
    insta::assert_snapshot!(told("[[template]]\nsrc = \"a.tera\"\ndest = \"/etc/a;b\"\ncheck_cmd = \"check {{ src }}\"\n"), @r##"
    error: the path "/etc/a;b" has ';', which may mean something to the shell that runs `check_cmd`
     --> rosterd.toml:4:8
      |
    4 | dest = "/etc/a;b"
      |        ^^^^^^^^^^
      |
      = help: write check_cmd as a list, which no shell reads: ["program", "{{ dest }}"]

    1 problem
    "##);
}

#[test]
fn owners() {
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
    ), @r##"
    error: there is no user "nobody-has-this-name" on this host
     --> rosterd.toml:6:9
      |
    6 | owner = "nobody-has-this-name"
      |         ^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: make it, write its number, or leave it out to keep the file's user as it is

    error: there is no group "nor-this" on this host
     --> rosterd.toml:7:9
      |
    7 | group = "nor-this"
      |         ^^^^^^^^^^
      |
      = help: make it, write its number, or leave it out to keep the file's group as it is

    error: `owner` is -1, which cannot be counted
      --> rosterd.toml:11:9
       |
    11 | owner = -1
       |         ^^
       |
       = help: write owner = 0

    error: 4294967295 is nobody's id
      --> rosterd.toml:12:9
       |
    12 | group = "4294967295"
       |         ^^^^^^^^^^^^
       |
       = help: leave `group` out to keep it as it is

    4 problems
    "##);
}

#[test]
fn destinations_and_sources() {
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
    ), @r##"
    error: the template "no.tera" cannot be found: No such file or directory (os error 2)
     --> rosterd.toml:4:7
      |
    4 | src = "no.tera"
      |       ^^^^^^^^^
      |
      = help: a relative src is looked for in template_dir, which is templates

    error: dest "/etc/" names a folder, and a template writes one file
     --> rosterd.toml:5:8
      |
    5 | dest = "/etc/"
      |        ^^^^^^^
      |
      = help: add the file's name

    error: the template templates/. is a folder
     --> rosterd.toml:7:7
      |
    7 | src = "."
      |       ^^^
      |
      = help: name a file in it

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

    5 problems
    "##);
}

#[test]
fn a_template_without_anything() {
    insta::assert_snapshot!(told("[[template]]\n"), @r##"
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
    "##);
}

#[test]
fn wrong_kinds() {
    insta::assert_snapshot!(told(
        r#"
roster = "web"
[agent]
name = "../x"
log_format = "xml"
on_stop = "explode"
[status]
group = "nobody-has-this-group"
[template]
src = "a.tera"
"#,
    ), @r##"
    error: `roster` is a string, and there may be several
     --> rosterd.toml:3:10
      |
    3 | roster = "web"
      |          ^^^^^
      |
      = help: write [[roster]] with two brackets

    error: "../x" cannot name /var/lib/NAME and /run/NAME
     --> rosterd.toml:5:8
      |
    5 | name = "../x"
      |        ^^^^^^
      |
      = help: write up to 64 letters, digits, -, . and _, and no . first

    error: `log_format` cannot be "xml"
     --> rosterd.toml:6:14
      |
    6 | log_format = "xml"
      |              ^^^^^
      |
      = help: write one of "text", "json"

    error: `on_stop` cannot be "explode"
     --> rosterd.toml:7:11
      |
    7 | on_stop = "explode"
      |           ^^^^^^^^^
      |
      = help: write one of "deregister", "keep"

    error: there is no group "nobody-has-this-group" on this host
     --> rosterd.toml:9:9
      |
    9 | group = "nobody-has-this-group"
      |         ^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: make it, write its number, or leave it out to keep the file's group as it is

    error: `template` is a table, and there may be several
      --> rosterd.toml:10:1
       |
    10 | [template]
       | ^^^^^^^^^^
       |
       = help: write [[template]] with two brackets

    6 problems
    "##);
}

#[test]
fn what_comes_later_is_not_passed_over() {
    insta::assert_snapshot!(told(
        r#"
[[roster]]
path = "/s/web"
where = "zone == 'a'"
[[template]]
src = "a.tera"
dest = "/etc/a"
write = "inplace"
symlink = "refuse"
on_reload_failure = "rollback"
block = "x"
[[service]]
name = "x"
port = 1
[exec]
cmd = "x"
[status]
listen = "127.0.0.1:9189"
"#,
    ), @r##"
    error: `where` is not supported by this version
     --> rosterd.toml:5:1
      |
    5 | where = "zone == 'a'"
      | ^^^^^
      |
      = help: take `where` out: rosterd does not pass over what it cannot do

    error: write = "inplace" is not supported by this version
     --> rosterd.toml:9:1
      |
    9 | write = "inplace"
      | ^^^^^
      |
      = help: leave it out, or write write = "atomic"

    error: on_reload_failure = "rollback" is not supported by this version
      --> rosterd.toml:11:1
       |
    11 | on_reload_failure = "rollback"
       | ^^^^^^^^^^^^^^^^^
       |
       = help: leave it out, or write on_reload_failure = "retry"

    error: `block` is not supported by this version
      --> rosterd.toml:12:1
       |
    12 | block = "x"
       | ^^^^^
       |
       = help: take `block` out: rosterd does not pass over what it cannot do

    error: `service` is not supported by this version
      --> rosterd.toml:13:3
       |
    13 | [[service]]
       |   ^^^^^^^
       |
       = help: take `service` out: rosterd does not pass over what it cannot do

    error: `exec` is not supported by this version
      --> rosterd.toml:16:2
       |
    16 | [exec]
       |  ^^^^
       |
       = help: take `exec` out: rosterd does not pass over what it cannot do

    error: `listen` is not supported by this version
      --> rosterd.toml:19:1
       |
    19 | listen = "127.0.0.1:9189"
       | ^^^^^^
       |
       = help: take `listen` out: rosterd does not pass over what it cannot do

    7 problems
    "##);
}

#[test]
fn broken_toml_and_unknown_keys_at_once() {
    insta::assert_snapshot!(told(
        r#"
[[roster]]
path = "/s/web"
min =
mim = 2
max = 5 5
[[template]
src = "a.tera"
mode = 0644
dset = "x"
"#,
    ), @r##"
    error: string values must be quoted, expected literal string
     --> rosterd.toml:5:6
      |
    5 | min =
      |      ^

    error: unknown key `mim` in [[roster]]
     --> rosterd.toml:6:1
      |
    6 | mim = 2
      | ^^^
      |
      = help: did you mean `min`?

    error: string values must be quoted, expected literal string
     --> rosterd.toml:7:7
      |
    7 | max = 5 5
      |       ^^^

    error: unclosed array table, expected `]`
     --> rosterd.toml:8:12
      |
    8 | [[template]
      |            ^

    error: unknown key `dset` in top level
      --> rosterd.toml:11:1
       |
    11 | dset = "x"
       | ^^^^
       |
       = help: top level takes agent, exec, include, key, registry, roster, service, status, template, vars

    5 problems
    "##);
}

#[test]
fn a_key_stands_once() {
    insta::assert_snapshot!(told("[[roster]]\npath = \"/a\"\npath = \"/b\"\n[[template]]\nsrc = \"a.tera\"\ndest = \"/etc/a\"\ndst = \"/etc/b\"\n"), @r##"
    error: duplicate key
     --> rosterd.toml:4:1
      |
    4 | path = "/b"
      | ^^^^
      |
      = help: each key stands once: leave one out

    error: `dst` says the same as `dest`
     --> rosterd.toml:8:1
      |
    8 | dst = "/etc/b"
      | ^^^
      |
      = help: leave one of the two out; rosterd's own word is `dest`

    2 problems
    "##);
}

#[test]
fn two_files_at_once() {
    insta::assert_snapshot!(Home::new(&[
        ("rosterd.toml", "registry.url = \"zk://a\"\n[agent]\nnam = \"x\"\n"),
        ("conf.d/b.toml", "include = [\"x\"]\n[[roster]]\npath = \"x\"\n[agent]\n"),
        ("conf.d/a.toml", "[vars]\na = 1\n[[roster]]\nmin = \"1\"\npath = \"/x\"\n"),
    ])
    .told(), @r##"
    error: unknown key `nam` in [agent]
     --> rosterd.toml:3:1
      |
    3 | nam = "x"
      | ^^^
      |
      = help: did you mean `name`?

    error: `min` is a string, and must be a whole number
     --> conf.d/a.toml:4:7
      |
    4 | min = "1"
      |       ^^^
      |
      = help: write min = 1

    error: an included file includes nothing itself
     --> conf.d/b.toml:1:11
      |
    1 | include = ["x"]
      |           ^^^^^
      |
      = help: write this pattern into `include` of the main file

    error: "x" cannot be followed: a path in the registry begins with /
     --> conf.d/b.toml:3:8
      |
    3 | path = "x"
      |        ^^^
      |
      = help: write path = "/services/web"

    error: [agent] stands at rosterd.toml:2 already
     --> conf.d/b.toml:4:1
      |
    4 | [agent]
      | ^^^^^^^
      |
      = help: write all of it in one place

    5 problems in 3 files
    "##);
}

#[test]
fn an_include_that_is_not_there() {
    insta::assert_snapshot!(Home::new(&[("rosterd.toml", "include = [\"extra.toml\", \"none-*.toml\", \"a***\", 5]\nregistry.url = \"zk://a\"\n")]).told(), @r##"
    error: the included file "extra.toml" does not exist
     --> rosterd.toml:1:12
      |
    1 | include = ["extra.toml", "none-*.toml", "a***", 5]
      |            ^^^^^^^^^^^^
      |
      = help: make it, or write a pattern with a *, which may match nothing

    error: "a***" is no pattern: wildcards are either regular `*` or recursive `**`
     --> rosterd.toml:1:41
      |
    1 | include = ["extra.toml", "none-*.toml", "a***", 5]
      |                                         ^^^^^^
      |
      = help: write a path, in which * stands for any part of a name

    error: `include` is a whole number, and must be a string
     --> rosterd.toml:1:49
      |
    1 | include = ["extra.toml", "none-*.toml", "a***", 5]
      |                                                 ^
      |
      = help: write include = ["conf.d/*.toml"]

    3 problems
    "##);
}

#[test]
fn a_file_that_is_not_there() {
    insta::assert_snapshot!(Home::new(&[]).told(), @r##"
    error: the configuration file cannot be read: No such file or directory (os error 2)
    --> rosterd.toml
     = help: name another with -c FILE or $ROSTERD_CONFIG, or see to it that rosterd's user may read this one

    1 problem
    "##);
}

#[test]
fn a_file_that_is_no_text() {
    insta::assert_snapshot!({
        let home = Home::new(&[("rosterd.toml", "")]);
        fs::write(home.path("rosterd.toml"), b"a = 1\nb = \"\xff\"\n").unwrap();
        home.told()
    }, @r##"
    error: line 2 holds bytes that are not UTF-8
    --> rosterd.toml
     = help: TOML is UTF-8: save the file in that encoding

    1 problem
    "##);
}

#[test]
fn what_everyone_may_write_is_refused() {
    insta::assert_snapshot!({
        let home = Home::new(&[(
            "rosterd.toml",
            "registry.url = \"zk://a\"\n[[template]]\nsrc = \"a.tera\"\ndest = \"/etc/a\"\n",
        )]);
        home.mode("rosterd.toml", 0o666).mode("templates", 0o777).mode("templates/a.tera", 0o646).told()
    }, @r##"
    error: the configuration file rosterd.toml can be written by everyone
    --> rosterd.toml
     = help: chmod o-w rosterd.toml

    error: template_dir templates can be written by everyone
    --> rosterd.toml
     = help: chmod o-w templates

    error: the template templates/a.tera can be written by everyone
     --> rosterd.toml:3:7
      |
    3 | src = "a.tera"
      |       ^^^^^^^^
      |
      = help: chmod o-w templates/a.tera

    3 problems
    "##);
}

#[test]
fn credentials_are_for_one_pair_of_eyes() {
    insta::assert_snapshot!({
        let auth = |file| format!("{{ scheme = \"digest\", file = \"{file}\" }}");
        let list = ["open.auth", "two.auth", "none.auth", "user.auth"].map(auth).join(",\n");
        let home = Home::new(&[
            ("rosterd.toml", &format!("[registry]\nurl = \"zk://a\"\nauth = [{list},\n{{ scheme = \"sasl\" }}]\n")),
            ("open.auth", "u:hunter2\n"),
            ("two.auth", "u:hunter2\nv:x\n"),
            ("user.auth", "hunter2\n"),
        ]);
        home.mode("open.auth", 0o640).mode("two.auth", 0o600).mode("user.auth", 0o600);
        let told = home.told();
        assert!(!told.contains("hunter2"), "a password is shown: {told}");
        told
    }, @r##"
    error: open.auth holds a password, and others may read or write it (mode 0640)
     --> rosterd.toml:3:37
      |
    3 | auth = [{ scheme = "digest", file = "open.auth" },
      |                                     ^^^^^^^^^^^
      |
      = help: chmod 600 open.auth

    error: two.auth is not one line of user:password
     --> rosterd.toml:4:29
      |
    4 | { scheme = "digest", file = "two.auth" },
      |                             ^^^^^^^^^^
      |
      = help: write user:password into it

    error: none.auth cannot be read: No such file or directory (os error 2)
     --> rosterd.toml:5:29
      |
    5 | { scheme = "digest", file = "none.auth" },
      |                             ^^^^^^^^^^^
      |
      = help: make the file with one line, user:password, that rosterd's user alone may read

    error: user.auth is not one line of user:password
     --> rosterd.toml:6:29
      |
    6 | { scheme = "digest", file = "user.auth" },
      |                             ^^^^^^^^^^^
      |
      = help: write user:password into it

    error: [registry] auth has no `file`
     --> rosterd.toml:7:1
      |
    7 | { scheme = "sasl" }]
      | ^^^^^^^^^^^^^^^^^^^
      |
      = help: add file = "/etc/rosterd/zk.auth"

    error: `scheme` cannot be "sasl"
     --> rosterd.toml:7:12
      |
    7 | { scheme = "sasl" }]
      |            ^^^^^^
      |
      = help: write one of "digest"

    6 problems
    "##);
}

#[test]
fn tls_files() {
    insta::assert_snapshot!(Home::new(&[(
        "rosterd.toml",
        r#"
[[registry]]
name = "a"
url = "zk://a"
tls = { ca = "no.pem", cert = "templates" }
"#,
    )])
    .told(), @r##"
    error: tls is set, and zk://a:2181 does not use it
     --> rosterd.toml:5:7
      |
    5 | tls = { ca = "no.pem", cert = "templates" }
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write zks:// in url, or leave tls out: nothing is sent in the clear where TLS is asked for

    error: no.pem cannot be read: No such file or directory (os error 2)
     --> rosterd.toml:5:14
      |
    5 | tls = { ca = "no.pem", cert = "templates" }
      |              ^^^^^^^^
      |
      = help: name a PEM file that rosterd's user may read

    error: templates cannot be read: is a directory
     --> rosterd.toml:5:31
      |
    5 | tls = { ca = "no.pem", cert = "templates" }
      |                               ^^^^^^^^^^^
      |
      = help: name a PEM file that rosterd's user may read

    error: tls has `cert` without `key`
     --> rosterd.toml:5:31
      |
    5 | tls = { ca = "no.pem", cert = "templates" }
      |                               ^^^^^^^^^^^
      |
      = help: add key = "agent-key.pem", or leave both out

    4 problems
    "##);
}

#[test]
fn confd_resources_belong_into_included_files() {
    insta::assert_snapshot!(Home::new(&[
        ("rosterd.toml", "registry.url = \"zk://a\"\n[template]\nsrc = \"a.tera\"\ndest = \"/etc/a\"\n"),
        (
            "conf.d/nginx.toml",
            "[template]\nsrc = \"b.tera\"\ndest = \"/etc/b\"\nkeys = \"/x\"\nprefix = 5\nuid = 0\nowner = \"root\"\n",
        ),
    ])
    .told(), @r##"
    error: `template` is a table, and there may be several
     --> rosterd.toml:2:1
      |
    2 | [template]
      | ^^^^^^^^^^
      |
      = help: write [[template]] with two brackets

    error: `keys` is a string, and must be a list
     --> conf.d/nginx.toml:4:8
      |
    4 | keys = "/x"
      |        ^^^^
      |
      = help: write keys = ["/services/web"]

    error: `prefix` is a whole number, and must be a string
     --> conf.d/nginx.toml:5:10
      |
    5 | prefix = 5
      |          ^
      |
      = help: write prefix = "/production"

    error: `uid` says the same as `owner`
     --> conf.d/nginx.toml:6:7
      |
    6 | uid = 0
      |       ^
      |
      = help: leave one of the two out; rosterd's own word is `owner`

    4 problems in 2 files
    "##);
}

#[test]
fn environments() {
    insta::assert_snapshot!(told("[[template]]\nsrc = \"a.tera\"\ndest = \"/etc/a\"\nenv = { \"A-B\" = \"x\", ROSTERD_DEST = \"x\", N = 1 }\nreload_retries = 0\n"), @r##"
    error: "A-B" cannot be set for commands
     --> rosterd.toml:5:9
      |
    5 | env = { "A-B" = "x", ROSTERD_DEST = "x", N = 1 }
      |         ^^^^^
      |
      = help: write letters, digits and _, and no digit first; what begins with ROSTERD_ is rosterd's own

    error: "ROSTERD_DEST" cannot be set for commands
     --> rosterd.toml:5:22
      |
    5 | env = { "A-B" = "x", ROSTERD_DEST = "x", N = 1 }
      |                      ^^^^^^^^^^^^
      |
      = help: write letters, digits and _, and no digit first; what begins with ROSTERD_ is rosterd's own

    error: `N` is a whole number, and must be a string
     --> rosterd.toml:5:42
      |
    5 | env = { "A-B" = "x", ROSTERD_DEST = "x", N = 1 }
      |                                          ^
      |
      = help: write N = "…"

    error: `reload_retries` is 0, and no reload would ever run
     --> rosterd.toml:6:18
      |
    6 | reload_retries = 0
      |                  ^
      |
      = help: write how many tries a reload gets, 1 or more; without any leave reload_cmd out

    4 problems
    "##);
}
