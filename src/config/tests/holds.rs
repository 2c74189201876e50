//! Valid configurations and their result: values, defaults, overrides and differences.

use std::fs;

use crate::config::resolve::Loaded;
use crate::config::{Command, Config, Overrides, delta};

use super::Home;

/// A configuration that uses every kind of setting.
const GOOD: &str = r#"
include = ["conf.d/*.toml", "none/*.toml"]

[registry]
url = "zk://zk1,[::1]:2182/{{ env.STAGE }}"
session_timeout = "6s"
auth = [{ scheme = "digest", file = "zk.auth" }]
watches = "oneshot"

[agent]
name = "rosterd-b"
log_format = "json"
on_stop = "keep"

[vars]
zone = "west"
ports = [1, 2.5, true, 2026-11-20]

[[roster]]
path = "/services/{{ vars.zone }}/memcached"
payload = "nextdoor"
min = 2
max = 5
above_max = "hold"
pick = "spread"
wait = "1s"
max_shrink = "30%"
hold_max = "1h"

[[roster]]
path = "/services/*/live"
payload = { host = "ip", port = "svc.port" }
min = 0
wait = { min = "1s", max = "3s" }

[[key]]
name = "settings"
path = "/config/app"
format = "json"

[[template]]
src = "a.tera"
dest = "/etc/{{ host.name }}/a.cfg"
perms = "0640"
user = "root"
check_cmd = "check {{ src }}"
command = ["reload", "{{.dest}}"]
command_timeout = "5s"
reload_retries = 3
create_dest_dirs = true
env = { TZ = "UTC" }
write = "atomic"
"#;

fn good() -> Home {
    let home = Home::new(&[
        ("rosterd.toml", GOOD),
        ("zk.auth", "user:pass:word\n"),
        ("conf.d/out/b", ""),
        (
            "conf.d/confd.toml",
            "[template]\nsrc = \"b.tera\"\ndest = \"out/b\"\nkeys = [\"/x\"]\nprefix = \"/p\"\nuid = 0\ngid = 0\nmode = \"0600\"\n\
             reload_cmd = { signal = \"SIGHUP\", pid_file = \"/run/b.pid\" }\n",
        ),
    ]);
    home.mode("zk.auth", 0o600);
    home
}

fn overrides() -> Overrides {
    let env = [("STAGE".to_owned(), "prod".to_owned())].into();
    Overrides { registry: None, env, host_name: "web1".into(), ..Overrides::default() }
}

/// The same templates and rosters with only the required settings.
const PLAIN: &str = r#"
[registry]
url = "zk://zk1"

[[roster]]
path = "/memcached"

[[roster]]
path = "/services/*"

[[key]]
name = "settings"
path = "/config"

[[template]]
src = "b.tera"
dest = "a.cfg"

[[template]]
src = "a.tera"
dest = "b"
"#;

#[test]
fn written_values_are_resolved() {
    let home = good();
    let Loaded { config, warnings, files, .. } = home.load_with(&overrides()).unwrap();
    assert_eq!(warnings, [""; 0]);
    assert_eq!(files, [home.path("rosterd.toml"), home.path("conf.d/confd.toml")]);
    assert!(!format!("{config:?}").contains("pass:word"), "the secret is shown");
    assert_eq!(config.registries[0].auth[0].secret, b"user:pass:word");
    assert_eq!(config.templates[0].env, [("TZ".to_owned(), "UTC".to_owned())].into());
    // The placeholders of a check are substituted for each staged file, those of a reload once.
    assert_eq!(config.templates[0].check, Some(Command::Shell("check {{ src }}".into())));

    // Every default, and the value that replaces it.
    let plain = Home::new(&[("rosterd.toml", PLAIN)]);
    let defaults = plain.load().unwrap().config;
    let differences = delta(&defaults, &config).join("\n");
    insta::assert_snapshot!(home.stable(&plain.stable(&differences)), @r#"
    agent log_format: "text" → "json"
    agent name: "rosterd" → "rosterd-b"
    agent on_stop: "deregister" → "keep"
    agent state_dir: "/var/lib/rosterd" → "/var/lib/rosterd-b"
    agent template_dir: "templates" → "templates"
    key settings format: "text" → "json"
    key settings path: "/config" → "/config/app"
    registry default auth 0 added
    registry default session_timeout: "10s" → "6s"
    registry default url: "zk://zk1:2181" → "zk://zk1:2181,[::1]:2182/prod"
    registry default watches: "auto" → "oneshot"
    roster memcached above_max: "cut" → "hold"
    roster memcached hold_max: "15m" → "1h"
    roster memcached max: none → 5
    roster memcached max_shrink_percent: 50 → 30
    roster memcached min: 1 → 2
    roster memcached path: "/memcached" → "/services/west/memcached"
    roster memcached payload: "auto" → "nextdoor"
    roster memcached pick: "first" → "spread"
    roster memcached wait max: "2s" → "4s"
    roster memcached wait quiet: "200ms" → "1s"
    roster services min: 1 → 0
    roster services path: "/services/*" → "/services/*/live"
    roster services payload: "auto" → "{ host = \"ip\", port = \"svc.port\" }"
    roster services wait max: "2s" → "3s"
    roster services wait quiet: "200ms" → "1s"
    status socket: "/run/rosterd/rosterd.sock" → "/run/rosterd-b/rosterd-b.sock"
    template a.cfg check_cmd: none → "check {{ src }}"
    template a.cfg dest: "a.cfg" → "/etc/web1/a.cfg"
    template a.cfg env TZ changed
    template a.cfg make_dirs: false → true
    template a.cfg mode: none → "0640"
    template a.cfg owner: none → 0
    template a.cfg reload_cmd: none → ["reload","/etc/web1/a.cfg"]
    template a.cfg reload_retries: none → 3
    template a.cfg reload_timeout: "30s" → "5s"
    template a.cfg src: "b.tera" → "a.tera"
    template b dest: "b" → "conf.d/out/b"
    template b group: none → 0
    template b mode: none → "0600"
    template b owner: none → 0
    template b reload_cmd added
    template b src: "a.tera" → "b.tera"
    vars ports: none → [1,2.5,true,"2026-11-20"]
    vars zone: none → "west"
    "#);
}

#[test]
fn the_command_line_overrides_the_registry() {
    let home = good();
    let registry = Some("zk://other:1".to_owned());
    let config = home.load_with(&Overrides { registry, ..overrides() }).unwrap().config;
    assert_eq!(config.registries[0].url.to_string(), "zk://other:1");
    assert_eq!(config.registries[0].session_timeout.as_secs(), 6, "the other settings stay");

    let bare = Home::new(&[("rosterd.toml", "[[roster]]\npath = \"/s/web\"\n")]);
    let with = |url: &str| bare.load_with(&Overrides { registry: Some(url.to_owned()), ..overrides() });
    assert_eq!(&*with("dir:/srv/reg").unwrap().config.rosters[0].registry, "default");
    insta::assert_snapshot!(bare.stable(&with("zk:/zk1").unwrap_err().to_string()), @r#"
    error: "zk:/zk1" is not a valid registry URL
    --> --registry or $ROSTERD_REGISTRY
     = help: write zk://HOST:PORT,HOST:PORT, zks:// for TLS, dir:PATH, or https://HOST/PATH

    1 problem
    "#);
}

#[test]
fn differences_are_described() {
    let home = good();
    let old = home.load_with(&overrides()).unwrap().config;
    assert_eq!(delta(&old, &old), [""; 0]);
    let text = GOOD
        .replace("min = 2", "min = 3")
        .replace("max = 5", "# max")
        .replace("zone = \"west\"", "zone = \"east\"")
        .replace("\"/services/*/live\"", "\"/other/*/live\"")
        .replace("TZ = \"UTC\"", "TZ = \"CET\"")
        .replace("session_timeout = \"6s\"", "")
        .replace("log_format = \"json\"", "");
    home.write("rosterd.toml", &text);
    fs::remove_file(home.path("conf.d/confd.toml")).unwrap();
    let new = home.load_with(&overrides()).unwrap().config;
    insta::assert_snapshot!(home.stable(&delta(&old, &new).join("\n")), @r#"
    agent log_format: "json" → "text"
    registry default session_timeout: "6s" → "10s"
    roster memcached max: 5 → none
    roster memcached min: 2 → 3
    roster memcached path: "/services/west/memcached" → "/services/east/memcached"
    roster other added
    roster services removed
    template a.cfg env TZ changed
    template b removed
    vars zone: "west" → "east"
    "#);

    home.write("zk.auth", "user:other\n").mode("zk.auth", 0o600);
    let newest = home.load_with(&overrides()).unwrap().config;
    insta::assert_snapshot!(home.stable(&delta(&new, &newest).join("\n")), @"registry default auth 0 secret changed");
}

#[test]
fn a_file_of_another_user_gives_a_warning() {
    let home = Home::new(&[("rosterd.toml", "registry.url = \"zk://a\"\n")]);
    if std::os::unix::fs::chown(home.path("rosterd.toml"), Some(12345), None).is_err() {
        // Only root can change the owner of a file.
        return;
    }
    let warnings = home.load().unwrap().warnings.join("\n");
    insta::assert_snapshot!(home.stable(&warnings), @"the configuration file rosterd.toml belongs to user 12345, who is neither root nor rosterd's user, but can change what rosterd does");
}

#[test]
fn templates_can_be_given_on_the_command_line() {
    let home = Home::new(&[]);
    let dest = |name: &str| home.path(name).display().to_string();
    let src = dest("templates/a.tera");
    let registry = Some("zk://zk1/x".to_owned());
    let overrides = Overrides { registry, ..overrides() };
    let config = |specs: &[String]| {
        let mut config = Config::without_file(&overrides)?;
        config.add_flag_templates(specs).map(|()| config)
    };

    let two = config(&[format!("{src}:{}", dest("out/a")), format!("{src}:{}:kill -HUP 1: {{{{ dest }}}}", dest("b"))]);
    let two = two.unwrap();
    assert_eq!(two.registries[0].url.to_string(), "zk://zk1:2181/x");
    assert_eq!((&*two.templates[0].name, &two.templates[0].reload), ("a", &None));
    assert_eq!(two.templates[1].reload.as_ref().unwrap().to_string(), format!("kill -HUP 1: {}", dest("b")));

    let wrong = config(&[
        src.clone(),
        format!("{}:{}", dest("none.tera"), dest("c")),
        format!("{src}:{}", dest("b")),
        format!("{src}:{}:reload {{{{ dest }}}}", dest("b;")),
        format!("{src}:{}/b", dest("x/..")),
    ]);
    insta::assert_snapshot!(home.stable(&wrong.unwrap_err().to_string()), @r#"
    error: "templates/a.tera" is not IN:OUT or IN:OUT:CMD
    --> --template templates/a.tera
     = help: write IN:OUT, or IN:OUT:CMD with a reload command

    error: the template "none.tera" cannot be found: No such file or directory (os error 2)
    --> --template none.tera:c
     = help: IN is relative to the working directory

    error: the path "b;" has ';', which may be special to the shell that runs `CMD`
    --> --template templates/a.tera:b;:reload {{ dest }}
     = help: use an OUT that contains only letters, digits and /._:@+=,-

    error: another template writes x/../b or a file of the same name
    --> --template templates/a.tera:x/../b
     = help: give one of them another OUT, or add it to the configuration file

    4 problems
    "#);
    let wrong = Overrides { registry: Some("zookeeper".into()), ..overrides.clone() };
    assert!(Config::without_file(&wrong).is_err(), "the registry is checked");
}
