//! Errors in whole files, in their TOML and in their keys.

use std::fs;
use std::os::unix::fs::symlink;

use super::{Home, told};
use crate::config::{Overrides, PathOverrides};

#[test]
fn broken_toml_and_unknown_keys_are_reported_together() {
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
    ), @r#"
    error: a value is missing
     --> rosterd.toml:5:6
      |
    5 | min =
      |      ^
      |
      = help: write one after the =

    error: unknown key `mim` in [[roster]]
     --> rosterd.toml:6:1
      |
    6 | mim = 2
      | ^^^
      |
      = help: did you mean `min`?

    error: this is not a value
     --> rosterd.toml:7:7
      |
    7 | max = 5 5
      |       ^^^
      |
      = help: put text in quotes, as in "text"; a line has one key and one value

    error: unclosed array table, expected `]`
     --> rosterd.toml:8:12
      |
    8 | [[template]
      |            ^
      |
      = help: expected KEY = VALUE, [NAME] for a table, or [[NAME]] for an element of a list of tables

    4 problems
    "#);
}

#[test]
fn a_duplicate_key_is_reported() {
    insta::assert_snapshot!(told("[[roster]]\npath = \"/a\"\npath = \"/b\"\n[[template]]\nsrc = \"a.tera\"\ndest = \"/etc/a\"\ndst = \"/etc/b\"\n"), @r#"
    error: duplicate key
     --> rosterd.toml:4:1
      |
    4 | path = "/b"
      | ^^^^
      |
      = help: a key may appear only once: remove one

    error: `dst` means the same as `dest`
     --> rosterd.toml:8:1
      |
    8 | dst = "/etc/b"
      | ^^^
      |
      = help: remove one of them; rosterd's own name is `dest`

    2 problems
    "#);
}

#[test]
fn errors_in_two_files_are_reported_together() {
    insta::assert_snapshot!(Home::new(&[
        ("rosterd.toml", "registry.url = \"zk://a\"\n[agent]\nnam = \"x\"\n"),
        ("conf.d/b.toml", "include = [\"x\"]\n[[roster]]\npath = \"x\"\n[agent]\n"),
        ("conf.d/a.toml", "[vars]\na = 1\n[[roster]]\nmin = \"1\"\npath = \"/x\"\n"),
    ])
    .told(), @r#"
    error: unknown key `nam` in [agent]
     --> rosterd.toml:3:1
      |
    3 | nam = "x"
      | ^^^
      |
      = help: did you mean `name`?

    error: `min` must be a whole number, not a string
     --> conf.d/a.toml:4:7
      |
    4 | min = "1"
      |       ^^^
      |
      = help: write min = 1

    error: an included file cannot include other files
     --> conf.d/b.toml:1:11
      |
    1 | include = ["x"]
      |           ^^^^^
      |
      = help: add this pattern to `include` in the main file

    error: "x" is not a valid path: a registry path starts with /
     --> conf.d/b.toml:3:8
      |
    3 | path = "x"
      |        ^^^
      |
      = help: write path = "/services/web"

    error: [agent] is already defined at rosterd.toml:2
     --> conf.d/b.toml:4:1
      |
    4 | [agent]
      | ^^^^^^^
      |
      = help: merge the two tables

    5 problems
    "#);
}

#[test]
fn a_missing_include_is_reported() {
    insta::assert_snapshot!(Home::new(&[("rosterd.toml", "include = [\"extra.toml\", \"none-*.toml\", \"a***\", 5]\nregistry.url = \"zk://a\"\n")]).told(), @r#"
    error: the included file "extra.toml" does not exist
     --> rosterd.toml:1:12
      |
    1 | include = ["extra.toml", "none-*.toml", "a***", 5]
      |            ^^^^^^^^^^^^
      |
      = help: create it, or write a pattern with *, which need not match any file

    error: "a***" is not a valid pattern: wildcards are either regular `*` or recursive `**`
     --> rosterd.toml:1:41
      |
    1 | include = ["extra.toml", "none-*.toml", "a***", 5]
      |                                         ^^^^^^
      |
      = help: write a path; a * in it matches any part of a name

    error: an element of `include` must be a string, not a whole number
     --> rosterd.toml:1:49
      |
    1 | include = ["extra.toml", "none-*.toml", "a***", 5]
      |                                                 ^
      |
      = help: write include = ["conf.d/*.toml"]

    3 problems
    "#);
}

#[test]
fn a_missing_file_is_reported() {
    insta::assert_snapshot!(Home::new(&[]).told(), @"
    error: the configuration file cannot be read: No such file or directory (os error 2)
    --> rosterd.toml
     = help: write one with `rosterd init`, or specify another file with -c FILE or $ROSTERD_CONFIG

    1 problem
    ");
}

#[test]
fn a_file_that_is_not_utf8_is_reported() {
    insta::assert_snapshot!({
        let home = Home::new(&[("rosterd.toml", "")]);
        fs::write(home.path("rosterd.toml"), b"a = 1\nb = \"\xff\"\n").unwrap();
        home.told()
    }, @r#"
    error: these bytes are not UTF-8
     --> rosterd.toml:2:6
      |
    2 | b = "�"
      |      ^
      |
      = help: TOML is UTF-8: save the file in that encoding

    1 problem
    "#);
}

#[test]
fn files_writable_by_everyone_are_rejected() {
    insta::assert_snapshot!({
        let home = Home::new(&[(
            "rosterd.toml",
            "registry.url = \"zk://a\"\n[[template]]\nsrc = \"a.tera\"\ndest = \"/etc/a\"\n",
        )]);
        home.mode("rosterd.toml", 0o666).mode("templates", 0o777).mode("templates/a.tera", 0o646).told()
    }, @r#"
    error: template_dir templates is writable by everyone
    --> rosterd.toml
     = help: chmod o-w templates, or mount it read-only, or add its directory to `trust` in [agent]

    error: the configuration file rosterd.toml is writable by everyone
    --> rosterd.toml
     = help: chmod o-w rosterd.toml, or mount it read-only

    error: the template templates/a.tera is writable by everyone
     --> rosterd.toml:3:7
      |
    3 | src = "a.tera"
      |       ^^^^^^^^
      |
      = help: chmod o-w templates/a.tera, or mount it read-only, or add its directory to `trust` in [agent]

    3 problems
    "#);
}

#[test]
fn invalid_addresses_and_hosts_of_http_are_rejected() {
    insta::assert_snapshot!(told(
        r#"
[[roster]]
path = "/s/web"
[status]
listen = "localhost:9189"
hosts = ["a.example", "a.example:80", 5, "*.example"]
"#,
    ), @r#"
    error: "localhost:9189" is not an IP address and port
     --> rosterd.toml:6:10
      |
    6 | listen = "localhost:9189"
      |          ^^^^^^^^^^^^^^^^
      |
      = help: write "127.0.0.1:9189", or "[::1]:9189" for IPv6

    error: "a.example:80" is not a valid host name
     --> rosterd.toml:7:23
      |
    7 | hosts = ["a.example", "a.example:80", 5, "*.example"]
      |                       ^^^^^^^^^^^^^^
      |
      = help: write a name or an IP address without a port, as in "monitoring.example.com"

    error: an element of `hosts` must be a string, not a whole number
     --> rosterd.toml:7:39
      |
    7 | hosts = ["a.example", "a.example:80", 5, "*.example"]
      |                                       ^
      |
      = help: write hosts = "monitoring.example.com"

    error: "*.example" is not a valid host name
     --> rosterd.toml:7:42
      |
    7 | hosts = ["a.example", "a.example:80", 5, "*.example"]
      |                                          ^^^^^^^^^^^
      |
      = help: write a name or an IP address without a port, as in "monitoring.example.com"

    4 problems
    "#);
    for (listen, message, hint) in [
        ("127.0.0.1", "\"127.0.0.1\" has no port", "write \"127.0.0.1:9189\""),
        ("::1", "\"::1\" has no port", "write \"[::1]:9189\""),
        (":9189", "\":9189\" has no IP address", "write \"127.0.0.1:9189\", or \"0.0.0.0:9189\""),
        ("127.0.0.1:0", "\"127.0.0.1:0\" has no usable port", "as in \"127.0.0.1:9189\""),
        ("[::1]:0", "\"[::1]:0\" has no usable port", "as in \"[::1]:9189\""),
        ("127.0.0.1:99999", "is not an IP address and port", "write \"127.0.0.1:9189\""),
        ("localhost:9189", "\"localhost:9189\" is not an IP address and port", "write \"127.0.0.1:9189\""),
        ("http://127.0.0.1:9189/", "is not an IP address and port", "write \"127.0.0.1:9189\""),
        ("", "`listen` is empty", "write listen = \"127.0.0.1:9189\""),
    ] {
        let said = told(&format!("[status]\nlisten = {listen:?}\n"));
        assert!(said.contains(message) && said.contains(hint), "{said}");
    }
    let said = told("[status]\nhosts = [\"a.example\"]\n");
    assert!(said.contains("`hosts` has no effect without `listen`"), "{said}");
}

#[test]
fn an_address_that_others_reach_is_used_with_a_warning() {
    for (listen, is_warned) in [
        ("127.0.0.1:1", false),
        ("[::1]:1", false),
        ("127.9.9.9:1", false),
        ("0.0.0.0:1", true),
        ("[::]:1", true),
        ("10.0.0.1:1", true),
    ] {
        let text = format!(
            "registry.url = \"zk://zk1\"\n[status]\nlisten = {listen:?}\nhosts = [\"A.Example\", \"FD00::1\"]\n"
        );
        let loaded = Home::new(&[("rosterd.toml", &text)]).load().unwrap();
        let http = loaded.config.status.http.unwrap();
        assert_eq!(
            (http.listen.to_string(), http.hosts),
            (listen.to_owned(), vec!["a.example".to_owned(), "fd00::1".to_owned()])
        );
        let warned = loaded.warnings.iter().filter(|it| it.contains("not a loopback address")).count();
        assert_eq!(warned, usize::from(is_warned), "{listen}: {:?}", loaded.warnings);
    }
}

#[test]
fn confd_resources_belong_in_included_files() {
    insta::assert_snapshot!(Home::new(&[
        ("rosterd.toml", "registry.url = \"zk://a\"\n[template]\nsrc = \"a.tera\"\ndest = \"/etc/a\"\n"),
        (
            "conf.d/nginx.toml",
            "[template]\nsrc = \"b.tera\"\ndest = \"/etc/b\"\nkeys = \"/x\"\nprefix = 5\nuid = 0\nowner = \"root\"\n",
        ),
    ])
    .told(), @r#"
    error: `template` must be a list of tables, not a table
     --> rosterd.toml:2:1
      |
    2 | [template]
      | ^^^^^^^^^^
      |
      = help: write [[template]] with two brackets

    error: `keys` must be a list, not a string
     --> conf.d/nginx.toml:4:8
      |
    4 | keys = "/x"
      |        ^^^^
      |
      = help: write keys = ["/services/web"]

    error: `prefix` must be a string, not a whole number
     --> conf.d/nginx.toml:5:10
      |
    5 | prefix = 5
      |          ^
      |
      = help: write prefix = "/production"

    error: `uid` means the same as `owner`
     --> conf.d/nginx.toml:6:7
      |
    6 | uid = 0
      |       ^
      |
      = help: remove one of them; rosterd's own name is `owner`

    4 problems
    "#);
}

#[test]
fn a_pattern_of_include_does_not_match_backups() {
    let one = "[vars]\none = 1\n";
    let home = Home::new(&[
        ("rosterd.toml", "include = [\"conf.d/*\", \"named.bak\"]\nregistry.url = \"zk://a\"\n"),
        ("conf.d/one.toml", one),
        ("conf.d/one.toml~", one),
        ("conf.d/one.toml.rpmsave", one),
        ("conf.d/#one.toml#", one),
        ("named.bak", "[vars]\ntwo = 2\n"),
    ]);
    let loaded = home.load().unwrap();
    assert_eq!(loaded.files.len(), 3, "{:?}", loaded.files);
    assert_eq!(loaded.config.vars.len(), 2);
}

#[test]
fn what_a_trusted_directory_holds_may_be_writable_by_everyone() {
    let config = |trust: &str| {
        format!("{trust}\nregistry.url = \"zk://a\"\n[[template]]\nsrc = \"a.tera\"\ndest = \"/etc/a\"\n")
    };
    let included = ("conf.d/one.toml", "[vars]\none = 1\n");
    let home = Home::new(&[("rosterd.toml", ""), included]);
    for (trust, refused) in [
        ("", &["template_dir", "the template ", "one.toml"][..]),
        ("agent.trust = [\"templates\"]", &["one.toml"]),
        ("agent.trust = [\"templates\", \"conf.d\"]", &[]),
        ("agent.trust = [\".\"]", &[]),
        ("agent.trust = [\"temp\"]", &["template_dir", "the template ", "one.toml"]),
    ] {
        home.write("rosterd.toml", &config(trust));
        home.mode("templates", 0o777).mode("templates/a.tera", 0o666).mode("conf.d/one.toml", 0o666);
        let told = home.load().map_or_else(|problems| problems.to_string(), |_| String::new());
        assert_eq!(told.matches("is writable by everyone").count(), refused.len(), "{trust}: {told}");
        assert!(refused.iter().all(|part| told.contains(part)), "{trust}: {told}");
    }
}

#[test]
fn no_file_of_the_configuration_vouches_for_itself() {
    let home = Home::new(&[
        ("rosterd.toml", "agent.trust = [\".\"]\nregistry.url = \"zk://a\"\n"),
        ("conf.d/one.toml", "[vars]\none = 1\n"),
    ]);
    assert!(home.mode("rosterd.toml", 0o666).told().contains("rosterd.toml is writable by everyone"));
    home.write("rosterd.toml", "registry.url = \"zk://a\"\n");
    home.write("conf.d/one.toml", "agent.trust = [\".\"]\n").mode("conf.d/one.toml", 0o666);
    let told = home.told();
    assert!(told.contains("an included file cannot set `trust`"), "{told}");
    assert!(told.contains("one.toml is writable by everyone"), "{told}");
}

#[test]
fn a_config_map_is_judged_by_the_directory_that_its_links_lead_to() {
    let config = "registry.url = \"zk://a\"\n[[template]]\nsrc = \"c.tera\"\ndest = \"/etc/c\"\n";
    let home = Home::new(&[("rosterd.toml", config), ("templates/..1/c.tera", "")]);
    symlink("..1", home.path("templates/..data")).unwrap();
    symlink("..data/c.tera", home.path("templates/c.tera")).unwrap();
    home.mode("templates", 0o777).load().unwrap();
    assert!(home.mode("templates/..1", 0o777).told().contains("template_dir templates is writable by everyone"));
}

#[test]
fn paths_of_the_command_line_override_those_of_the_configuration() {
    let home =
        Home::new(&[("rosterd.toml", "registry.url = \"zk://a\"\nagent.state_dir = \"/a\"\nstatus.socket = \"/b\"\n")]);
    let paths = |state_dir: Option<&str>, socket: Option<&str>| {
        let paths = PathOverrides { state_dir: state_dir.map(Into::into), socket: socket.map(Into::into) };
        home.load_with(&Overrides { paths, ..Overrides::default() })
    };
    let config = paths(None, Some("/d")).unwrap().config;
    assert_eq!((config.agent.state_dir, config.status.socket), ("/a".into(), "/d".into()));
    let config = paths(Some("/c"), None).unwrap().config;
    assert_eq!((config.agent.state_dir, config.status.socket), ("/c".into(), "/b".into()));
    let told = paths(None, Some(&format!("/{}", "x".repeat(107)))).unwrap_err().to_string();
    assert!(told.contains("ROSTERD_SOCKET") && told.contains("108 bytes"), "{told}");
}
