//! Errors in registries, rosters, keys and variables.

use std::time::Duration;

use super::{Home, told};

#[test]
fn invalid_durations_are_reported() {
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
    ), @r#"
    error: the quiet period (2s) is longer than the maximum wait (1s)
     --> rosterd.toml:5:8
      |
    5 | wait = "2s:1s"
      |        ^^^^^^^
      |
      = help: write QUIET:MAX, as in "1s:2s"

    error: "-5m" is not a valid duration
     --> rosterd.toml:6:12
      |
    6 | hold_max = "-5m"
      |            ^^^^^
      |
      = help: write a number and its unit, as in "500ms", "2s" or "5m"

    error: `max` must be a string, not a whole number
     --> rosterd.toml:9:28
      |
    9 | wait = { min = "1s", max = 4 }
      |                            ^
      |
      = help: write max = "2s"

    error: `check_timeout` must be a string, not a whole number
      --> rosterd.toml:13:17
       |
    13 | check_timeout = 30
       |                 ^^
       |
       = help: write check_timeout = "30s"

    error: `reload_timeout` is 0; it must be greater than 0
      --> rosterd.toml:14:18
       |
    14 | reload_timeout = "0s"
       |                  ^^^^
       |
       = help: write a duration greater than 0, as in "30s"

    error: "5 parsecs" is not a valid duration
      --> rosterd.toml:15:19
       |
    15 | reload_interval = "5 parsecs"
       |                   ^^^^^^^^^^^
       |
       = help: write a number and its unit, as in "500ms", "2s" or "5m"

    6 problems
    "#);
}

#[test]
fn invalid_registries_are_reported() {
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
    .told(), @r#"
    error: "99999" is not a valid port
     --> rosterd.toml:3:7
      |
    3 | url = "zk://zk1:99999"
      |       ^^^^^^^^^^^^^^^^
      |
      = help: write HOST:PORT, or [::1]:2181 for an IPv6 address; separate servers with commas

    error: a server name is missing
     --> rosterd.toml:6:7
      |
    6 | url = "zk://,zk2"
      |       ^^^^^^^^^^^
      |
      = help: write HOST:PORT, or [::1]:2181 for an IPv6 address; separate servers with commas

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
      = help: give one of them another `name`

    error: the chroot "//x" is not a valid path: a registry path has no empty segment and no trailing /
      --> rosterd.toml:10:7
       |
    10 | url = "zk://zk1//x"
       |       ^^^^^^^^^^^^^
       |
       = help: write zk://HOST:PORT/PATH

    error: `session_timeout` is 0; it must be greater than 0
      --> rosterd.toml:11:19
       |
    11 | session_timeout = "0s"
       |                   ^^^^
       |
       = help: write a duration greater than 0, as in "10s"

    error: [registry] has no `url`
      --> rosterd.toml:12:1
       |
    12 | [[registry]]
       | ^^^^^^^^^^^^
       |
       = help: add url = "zk://zk1:2181,zk2:2181"

    7 problems
    "#);
}

#[test]
fn invalid_paths_and_names_are_reported() {
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
    ), @r#"
    error: "services/web" is not a valid path: a registry path starts with /
     --> rosterd.toml:4:8
      |
    4 | path = "services/web"
      |        ^^^^^^^^^^^^^^
      |
      = help: write path = "/services/web"

    error: "web-2" (derived from the path) is not a valid variable name in templates
     --> rosterd.toml:5:1
      |
    5 | [[roster]]
      | ^^^^^^^^^^
      |
      = help: write name = "web_2": letters, digits and _, not beginning with a digit

    error: "/services/*/*" is not a valid path: only one segment of a path may contain *, as in /services/* or /services/mem*
     --> rosterd.toml:8:8
      |
    8 | path = "/services/*/*"
      |        ^^^^^^^^^^^^^^^
      |
      = help: write path = "/services/*", with a single *

    error: "" (derived from the path) is not a valid variable name in templates
     --> rosterd.toml:9:1
      |
    9 | [[roster]]
      | ^^^^^^^^^^
      |
      = help: write name = "services": letters, digits and _, not beginning with a digit

    error: "vars" is reserved in templates
      --> rosterd.toml:12:8
       |
    12 | name = "vars"
       |        ^^^^^^
       |
       = help: write another name, as in name = "vars_members"

    error: "9lives" is not a valid variable name in templates
      --> rosterd.toml:15:8
       |
    15 | name = "9lives"
       |        ^^^^^^^^
       |
       = help: write name = "_9lives": letters, digits and _, not beginning with a digit

    error: a [[key]] watches a single node, but its path "/config/*" contains a *
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
    "#);
}

#[test]
fn words_of_the_template_language_are_reserved() {
    for word in ["true", "True", "false", "False", "none", "None", "null", "not", "loop", "body"] {
        for table in ["roster", "key"] {
            let said = told(&format!("[[{table}]]\npath = \"/services/{word}\"\n"));
            assert!(said.contains(&format!("{word:?} is reserved in templates")), "{said}");
        }
    }
}

#[test]
fn duplicate_names_are_reported() {
    insta::assert_snapshot!(Home::new(&[
        ("rosterd.toml", "registry.url = \"zk://a\"\n[[roster]]\npath = \"/s/web\"\n[[template]]\nsrc = \"a.tera\"\ndest = \"/x/a\"\n"),
        ("conf.d/web.toml", "[[key]]\npath = \"/config/web\"\n[[template]]\nsrc = \"a.tera\"\ndest = \"/x/y/../a\"\n"),
    ])
    .told(), @r#"
    error: the name "web" is taken by the roster at rosterd.toml:2
     --> conf.d/web.toml:1:1
      |
    1 | [[key]]
      | ^^^^^^^
      |
      = help: give one of them another `name`

    error: /x/y/../a is already written by the template at rosterd.toml:6
     --> conf.d/web.toml:5:8
      |
    5 | dest = "/x/y/../a"
      |        ^^^^^^^^^^^
      |
      = help: only one template can write a file: give one of them another dest

    2 problems
    "#);
}

#[test]
fn invalid_variables_are_reported() {
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
    ), @r#"
    error: the variable `bad` has a number that templates cannot represent
     --> rosterd.toml:6:1
      |
    6 | bad = nan
      | ^^^
      |
      = help: write it as a string; inf, nan and whole numbers of more than 64 bits are not supported in templates

    error: `vars.zome` is not set
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
       = help: use a string, a number or a boolean

    error: `host.ip` is not available in the configuration
      --> rosterd.toml:14:12
       |
    14 | path = "/s/{{ host.ip }}"
       |            ^^^^^^^^^^^^^
       |
       = help: only {{ vars.NAME }}, {{ host.name }} and {{ env.NAME }} are available

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
    "#);
}

#[test]
fn values_of_the_wrong_type_are_reported() {
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
    ), @r#"
    error: `roster` must be a list of tables, not a string
     --> rosterd.toml:3:10
      |
    3 | roster = "web"
      |          ^^^^^
      |
      = help: write [[roster]] with two brackets

    error: "../x" cannot be used in /var/lib/NAME and /run/NAME
     --> rosterd.toml:5:8
      |
    5 | name = "../x"
      |        ^^^^^^
      |
      = help: write up to 64 letters, digits, -, . and _, not beginning with a .

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
      = help: create it, write a numeric ID, or remove this setting to leave the file's group as it is

    error: `template` must be a list of tables, not a table
      --> rosterd.toml:10:1
       |
    10 | [template]
       | ^^^^^^^^^^
       |
       = help: write [[template]] with two brackets

    6 problems
    "#);
}

#[test]
fn credentials_must_not_be_readable_by_others() {
    insta::assert_snapshot!({
        let auth = |file| format!("{{ scheme = \"digest\", file = \"{file}\" }}");
        let list = ["open.auth", "two.auth", "none.auth", "user.auth"].map(auth).join(",\n");
        let home = Home::new(&[
            ("rosterd.toml", &format!("[registry]\nurl = \"zk://a\"\nauth = [{list},\n{{ scheme = \"x509\" }}]\n")),
            ("open.auth", "u:hunter2\n"),
            ("two.auth", "u:hunter2\nv:x\n"),
            ("user.auth", "hunter2\n"),
        ]);
        home.mode("open.auth", 0o644).mode("two.auth", 0o600).mode("user.auth", 0o600);
        let told = home.told();
        assert!(!told.contains("hunter2"), "a password is shown: {told}");
        told
    }, @r#"
    error: open.auth contains a password, but others may read or write it (mode 0644)
     --> rosterd.toml:3:37
      |
    3 | auth = [{ scheme = "digest", file = "open.auth" },
      |                                     ^^^^^^^^^^^
      |
      = help: chmod 640 open.auth, or defaultMode: 0440 on a Kubernetes Secret

    error: two.auth does not consist of one line with user:password
     --> rosterd.toml:4:29
      |
    4 | { scheme = "digest", file = "two.auth" },
      |                             ^^^^^^^^^^
      |
      = help: write one line, user:password

    error: none.auth cannot be read: No such file or directory (os error 2)
     --> rosterd.toml:5:29
      |
    5 | { scheme = "digest", file = "none.auth" },
      |                             ^^^^^^^^^^^
      |
      = help: create the file with one line, user:password, readable only by rosterd's user

    error: user.auth does not consist of one line with user:password
     --> rosterd.toml:6:29
      |
    6 | { scheme = "digest", file = "user.auth" },
      |                             ^^^^^^^^^^^
      |
      = help: write one line, user:password

    error: [registry] auth has no `file`
     --> rosterd.toml:7:1
      |
    7 | { scheme = "x509" }]
      | ^^^^^^^^^^^^^^^^^^^
      |
      = help: add file = "/etc/rosterd/zk.auth"

    error: `scheme` cannot be "x509"
     --> rosterd.toml:7:12
      |
    7 | { scheme = "x509" }]
      |            ^^^^^^
      |
      = help: write one of "digest", "sasl"

    6 problems
    "#);
}

#[test]
fn invalid_tls_files_are_reported() {
    insta::assert_snapshot!(Home::new(&[(
        "rosterd.toml",
        r#"
[[registry]]
name = "a"
url = "zk://a"
tls = { ca = "no.pem", cert = "templates" }
"#,
    )])
    .told(), @r#"
    error: tls is set, but zk://a:2181 does not use it
     --> rosterd.toml:5:7
      |
    5 | tls = { ca = "no.pem", cert = "templates" }
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write zks:// in url, or remove tls: rosterd never falls back to plain text

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
      = help: add key = "agent-key.pem", or remove both

    4 problems
    "#);
}

#[test]
fn a_secret_must_not_be_readable_by_others() {
    let config = "[registry]\nurl = \"zks://a\"\ntls = { cert = \"agent.pem\", key = \"agent.key\" }\n\
                  auth = [{ scheme = \"digest\", file = \"zk.auth\" }]\n";
    let home = Home::new(&[("rosterd.toml", config), ("agent.pem", ""), ("agent.key", ""), ("zk.auth", "u:p\n")]);
    for (file, what) in [("agent.key", "is a private key"), ("zk.auth", "contains a password")] {
        home.mode("agent.key", 0o600).mode("zk.auth", 0o600);
        for (mode, is_refused) in [
            (0o644, true),
            (0o660, true),
            (0o604, true),
            (0o640, false),
            (0o440, false),
            (0o600, false),
            (0o400, false),
        ] {
            home.mode(file, mode);
            let said = home.load().map_err(|problems| problems.to_string()).map(|_| ());
            let words = format!("{file} {what}, but others may read or write it (mode {mode:04o})");
            assert_eq!(said.is_err(), is_refused, "{mode:o}: {said:?}");
            assert!(said.is_ok() || said.as_ref().is_err_and(|said| said.contains(&words)), "{mode:o}: {said:?}");
        }
    }
}

#[test]
fn a_registry_has_at_most_one_sasl_credential() {
    let auth = |scheme: &str| format!("{{ scheme = \"{scheme}\", file = \"u.auth\" }}");
    let load = |schemes: &[&str]| {
        let list: Vec<String> = schemes.iter().map(|scheme| auth(scheme)).collect();
        let config = format!("[registry]\nurl = \"zk://a\"\nauth = [{}]\n", list.join(", "));
        let home = Home::new(&[("rosterd.toml", &config), ("u.auth", "u:p\n")]);
        home.mode("u.auth", 0o600);
        home.load().map(|loaded| loaded.config.registries[0].auth.len()).map_err(|problems| problems.to_string())
    };
    assert_eq!(load(&["sasl", "digest", "digest"]), Ok(3));
    let said = load(&["sasl", "digest", "sasl"]).unwrap_err();
    assert!(said.contains("a registry can have only one sasl credential") && said.contains("1 problem"), "{said}");
}

#[test]
fn a_web_registry_has_its_own_keys() {
    let load = |keys: &str| {
        let config = format!("[registry]\nurl = {keys}\n");
        let home = Home::new(&[("rosterd.toml", &config), ("x.auth", "X-Token: a b\n"), ("y.auth", "a b: c\n")]);
        home.mode("x.auth", 0o600).mode("y.auth", 0o600);
        let registry = home.load().map(|loaded| loaded.config.registries[0].clone());
        registry.map_err(|problems| problems.to_string().lines().next().unwrap_or_default().to_owned())
    };
    let auth = |scheme: &str, file: &str| format!("auth = [{{ scheme = \"{scheme}\", file = \"{file}\" }}]");
    let registry = load(&format!("\"https://a/x\"\ninterval = \"100ms\"\n{}", auth("header", "x.auth"))).unwrap();
    assert_eq!((registry.interval, registry.timeout), (Duration::from_millis(100), Duration::from_secs(10)));
    assert_eq!(crate::config::web::header(&registry.auth[0].secret), Some(("X-Token", "a b")));
    for (keys, expected) in [
        ("\"https://a/x\"\ninterval = \"99ms\"", "`interval` is shorter than 100 ms"),
        ("\"https://a/x\"\nwatches = \"auto\"", "`watches` does not apply to a web registry"),
        ("\"zk://a\"\ninterval = \"1m\"", "`interval` applies to a web registry only"),
        ("\"dir:x\"\ntimeout = \"1m\"", "`timeout` applies to a web registry only"),
        ("\"http://a/x\"\ntls = {}", "tls is set, but http://a/x does not use it"),
        (&format!("\"https://a/x\"\n{}", auth("digest", "x.auth")), "`scheme`"),
        (&format!("\"zk://a\"\n{}", auth("header", "x.auth")), "`scheme`"),
        (
            &format!("\"https://a/x\"\n{}", auth("header", "y.auth")),
            "y.auth does not consist of one line with Name: value",
        ),
    ] {
        let problem = load(keys).unwrap_err();
        assert!(problem.contains(expected), "{keys}: {problem}");
    }
}

#[test]
fn invalid_exhibitors_are_reported() {
    insta::assert_snapshot!(Home::new(&[(
        "rosterd.toml",
        r#"
[[registry]]
name = "a"
url = "zks://a"
exhibitor = ["https://e", "http://e/x", 5]

[[registry]]
name = "b"
url = "dir:x"
exhibitor = "http://e"
"#,
    )])
    .told(), @r#"
    error: Exhibitor is queried without TLS; with the system's CAs any host that it lists would be trusted
     --> rosterd.toml:5:13
      |
    5 | exhibitor = ["https://e", "http://e/x", 5]
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: set the ensemble's own CA: tls = { ca = "ca.pem" }

    error: rosterd uses http for Exhibitor, not https
     --> rosterd.toml:5:14
      |
    5 | exhibitor = ["https://e", "http://e/x", 5]
      |              ^^^^^^^^^^^
      |
      = help: write http://HOST:PORT

    error: rosterd uses /exhibitor/v1/cluster/list of Exhibitor, not /x
     --> rosterd.toml:5:27
      |
    5 | exhibitor = ["https://e", "http://e/x", 5]
      |                           ^^^^^^^^^^^^
      |
      = help: write http://HOST:PORT

    error: an element of `exhibitor` must be a string, not a whole number
     --> rosterd.toml:5:41
      |
    5 | exhibitor = ["https://e", "http://e/x", 5]
      |                                         ^
      |
      = help: write exhibitor = "http://exhibitor:8080"

    error: exhibitor is set, but a directory has no servers
      --> rosterd.toml:10:13
       |
    10 | exhibitor = "http://e"
       |             ^^^^^^^^^^
       |
       = help: remove exhibitor

    error: `exhibitor` must be a list, not a string
      --> rosterd.toml:10:13
       |
    10 | exhibitor = "http://e"
       |             ^^^^^^^^^^
       |
       = help: write exhibitor = ["http://exhibitor:8080"]

    6 problems
    "#);
}
