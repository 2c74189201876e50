//! Errors in the source of live state: registries, rosters, keys.

use super::{one, told};

#[test]
fn invalid_registries_are_reported() {
    insta::assert_snapshot!(told(&[("rosterd.toml", "[[registry]]\nname = \"a\"\nurl = \"etcd://zk1\"\n[[registry]]\nname = \"b\"\nurl = \"zk://zk1:99999\"\n[[registry]]\nname = \"c\"\nurl = \"zk://u:secret@zk1\"\n[[registry]]\nname = \"d\"\n")]), @r#"
    rosterd: invalid configuration
    error: "etcd://zk1" is not a valid registry URL
     --> rosterd.toml:3:7
      |
    3 | url = "etcd://zk1"
      |       ^^^^^^^^^^^^
      |
      = help: write zk://HOST:PORT,HOST:PORT, zks:// for TLS, dir:PATH, or https://HOST/PATH

    error: "99999" is not a valid port
     --> rosterd.toml:6:7
      |
    6 | url = "zk://zk1:99999"
      |       ^^^^^^^^^^^^^^^^
      |
      = help: write HOST:PORT, or [::1]:2181 for an IPv6 address; separate servers with commas

    error: a server name contains an @
     --> rosterd.toml:9:7
      |
    9 | url = "zk://u:secret@zk1"
      |       ^^^^^^^^^^^^^^^^^^^
      |
      = help: put credentials in a separate file: auth = [{ scheme = "digest", file = "zk.auth" }]

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
fn a_missing_registry_is_reported() {
    insta::assert_snapshot!(told(&[("rosterd.toml", "[[roster]]\npath = \"/s/web\"\n")]), @r#"
    rosterd: invalid configuration
    error: no registry is configured
    --> rosterd.toml
     = help: add [registry] with url = "zk://zk1:2181,zk2:2181", or give --registry URL

    1 problem
    "#);
}

#[test]
fn an_undefined_registry_is_reported() {
    insta::assert_snapshot!(told(&[("rosterd.toml", "[[registry]]\nname = \"west\"\nurl = \"zk://zk1\"\n[[roster]]\npath = \"/s/web\"\nregistry = \"wset\"\n")]), @r#"
    rosterd: invalid configuration
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
fn invalid_paths_are_reported() {
    insta::assert_snapshot!(one("[[roster]]\npath = \"services/web\"\n[[roster]]\npath = \"/services/*/*\"\n[[roster]]\npath = \"/services/web-2/\"\n[[key]]\npath = \"/config/*\"\n"), @r#"
    rosterd: invalid configuration
    error: "services/web" is not a valid path: a registry path starts with /
     --> rosterd.toml:3:8
      |
    3 | path = "services/web"
      |        ^^^^^^^^^^^^^^
      |
      = help: write path = "/services/web"

    error: "/services/*/*" is not a valid path: only one segment of a path may contain *, as in /services/* or /services/mem*
     --> rosterd.toml:5:8
      |
    5 | path = "/services/*/*"
      |        ^^^^^^^^^^^^^^^
      |
      = help: write path = "/services/*", with a single *

    error: "/services/web-2/" is not a valid path: a registry path has no empty segment and no trailing /
     --> rosterd.toml:7:8
      |
    7 | path = "/services/web-2/"
      |        ^^^^^^^^^^^^^^^^^^
      |
      = help: write path = "/services/web"

    error: a [[key]] watches a single node, but its path "/config/*" contains a *
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
fn names_that_templates_cannot_use_are_reported() {
    insta::assert_snapshot!(one("[[roster]]\npath = \"/services/web-2\"\n[[roster]]\nname = \"vars\"\npath = \"/x\"\n[[roster]]\nname = \"9lives\"\npath = \"/x\"\n"), @r#"
    rosterd: invalid configuration
    error: "web-2" (derived from the path) is not a valid variable name in templates
     --> rosterd.toml:2:1
      |
    2 | [[roster]]
      | ^^^^^^^^^^
      |
      = help: write name = "web_2": letters, digits and _, not beginning with a digit

    error: "vars" is reserved in templates
     --> rosterd.toml:5:8
      |
    5 | name = "vars"
      |        ^^^^^^
      |
      = help: write another name, as in name = "vars_members"

    error: "9lives" is not a valid variable name in templates
     --> rosterd.toml:8:8
      |
    8 | name = "9lives"
      |        ^^^^^^^^
      |
      = help: write name = "_9lives": letters, digits and _, not beginning with a digit

    3 problems
    "#);
}

#[test]
fn duplicate_names_are_reported() {
    insta::assert_snapshot!(told(&[
        ("rosterd.toml", "registry.url = \"zk://zk1\"\n[[roster]]\npath = \"/s/web\"\n[[template]]\nname = \"x\"\nsrc = \"good.tera\"\ndest = \"/x/a\"\n"),
        ("conf.d/web.toml", "[[key]]\npath = \"/config/web\"\n[[template]]\nname = \"x\"\nsrc = \"good.tera\"\ndest = \"/x/b\"\n"),
    ]), @r#"
    rosterd: invalid configuration
    error: the name "web" is taken by the roster at rosterd.toml:2
     --> conf.d/web.toml:1:1
      |
    1 | [[key]]
      | ^^^^^^^
      |
      = help: give one of them another `name`

    error: the name "x" is taken by the template at rosterd.toml:5
     --> conf.d/web.toml:4:8
      |
    4 | name = "x"
      |        ^^^
      |
      = help: give one of them another `name`

    2 problems
    "#);
}

#[test]
fn min_above_max_is_reported() {
    insta::assert_snapshot!(one("[[roster]]\npath = \"/s/web\"\nmin = 5\nmax = 3\n[[roster]]\npath = \"/s/db\"\nmin = -1\nmax = 0\n"), @"
    rosterd: invalid configuration
    error: `min` (5) is greater than `max` (3)
     --> rosterd.toml:4:7
      |
    4 | min = 5
      |       ^
      |
      = help: write min = 3 or less, or remove max

    error: `min` is -1, which is out of range
     --> rosterd.toml:8:7
      |
    8 | min = -1
      |       ^^
      |
      = help: write min = 1

    error: `max` is 0, which would leave no members
     --> rosterd.toml:9:7
      |
    9 | max = 0
      |       ^
      |
      = help: write max = 1 or more, or remove max

    3 problems
    ");
}

#[test]
fn invalid_percentages_are_reported() {
    insta::assert_snapshot!(one("[[roster]]\npath = \"/s/web\"\nmax_shrink = \"150%\"\n[[roster]]\npath = \"/s/db\"\nmax_shrink = 0.5\n"), @r#"
    rosterd: invalid configuration
    error: "150%" is not a valid percentage
     --> rosterd.toml:4:14
      |
    4 | max_shrink = "150%"
      |              ^^^^^^
      |
      = help: write "0%" to "100%"; "100%" disables this check

    error: `max_shrink` must be a string, not a number with a fraction
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
fn unknown_payload_fields_are_reported() {
    insta::assert_snapshot!(one("[[roster]]\npath = \"/s/a\"\npayload = { hots = \"ip\", port = 80, id = \"a..b\" }\n[[roster]]\npath = \"/s/b\"\npayload = {}\n[[roster]]\npath = \"/s/c\"\npayload = [\"nerve\"]\n"), @r#"
    rosterd: invalid configuration
    error: unknown key `hots` in [[roster]] payload
     --> rosterd.toml:4:13
      |
    4 | payload = { hots = "ip", port = 80, id = "a..b" }
      |             ^^^^
      |
      = help: did you mean `host`?

    error: `port` must be a string, not a whole number
     --> rosterd.toml:4:33
      |
    4 | payload = { hots = "ip", port = 80, id = "a..b" }
      |                                 ^^
      |
      = help: write port = "svc.port"

    error: `id` cannot be "a..b": a field path is one or more keys joined with dots; no key may be empty
     --> rosterd.toml:4:42
      |
    4 | payload = { hots = "ip", port = 80, id = "a..b" }
      |                                          ^^^^^^
      |
      = help: write id = "svc.port"

    error: `payload` is a table that sets no field
     --> rosterd.toml:7:11
      |
    7 | payload = {}
      |           ^^
      |
      = help: write payload = { host = "ip", port = "svc.port" }

    error: `payload` must be a string, not a list
      --> rosterd.toml:10:11
       |
    10 | payload = ["nerve"]
       |           ^^^^^^^^^
       |
       = help: write payload = "auto"

    5 problems
    "#);
}

#[test]
fn invalid_choices_are_reported() {
    insta::assert_snapshot!(one("[agent]\nlog_format = \"jsno\"\n[[roster]]\npath = \"/s/web\"\npayload = \"xml\"\npick = \"random\"\nabove_max = \"Hold\"\n"), @r#"
    rosterd: invalid configuration
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
      = help: write one of "auto", "nextdoor", "hostport", "nerve", "serverset", "serverset_all", "curator", "dubbo", "kafka", "hbase", "solr", "patroni", "lock", "party", "shallow_party"

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
