//! `[exec]`: which program runs, and which settings are invalid.

use std::time::Duration;

use crate::config::{Command, Config, ExecConfig, OnExit, Overrides, Reload};

use super::Home;

const FILE: &str = r#"
registry.url = "zk://zk1"
[[template]]
src = "a.tera"
dest = "/etc/a"
[[template]]
src = "a.tera"
dest = "/etc/b"
reload_cmd = "reload b"
"#;

/// A configuration for `run -- CMD`, for `run` without CMD (empty), or for another command (`None`).
fn load(table: &str, program: Option<&[&str]>) -> Result<Config, String> {
    let home = Home::new(&[("rosterd.toml", &format!("{FILE}{table}")), ("templates/a.tera", "")]);
    let program = program.map(|words| words.iter().map(|&word| word.to_owned()).collect());
    let loaded = home.load_with(&Overrides { program, ..Overrides::default() });
    loaded.map(|loaded| loaded.config).map_err(|problems| home.stable(&problems.to_string()))
}

fn exec(table: &str, program: &[&str]) -> ExecConfig {
    (**load(table, Some(program)).unwrap().exec.as_ref().unwrap()).clone()
}

#[test]
fn every_key_has_a_default_and_can_be_set() {
    let plain = ExecConfig::new(Command::Shell("x".into()));
    assert_eq!(exec("[exec]\ncmd = \"x\"", &[]), plain);
    let table = r#"
[exec]
cmd = ["x", "-y"]
env = { A = "b" }
reload_signal = "sighup"
kill_signal = "QUIT"
kill_timeout = "1m"
splay = "10s"
on_exit = "stop"
lock = "leader"

[[lock]]
path = "/leader"
"#;
    let all = ExecConfig {
        cmd: Command::Exec(vec!["x".into(), "-y".into()]),
        env: [("A".to_owned(), "b".to_owned())].into(),
        reload_signal: Some("HUP".into()),
        kill_signal: "QUIT".into(),
        kill_timeout: Duration::from_mins(1),
        splay: Duration::from_secs(10),
        on_exit: OnExit::Stop,
        lock: Some("leader".into()),
        must_start: false,
    };
    assert_eq!(exec(table, &[]), all);
    // The program of the command line runs with the settings of the table.
    let given = ExecConfig { cmd: Command::Exec(vec!["z".into(), "{{ src }}".into()]), ..all };
    assert_eq!(exec(table, &["z", "{{ src }}"]), given);
    let bare = "[exec]\nkill_signal = \"QUIT\"";
    assert_eq!(exec(bare, &["z"]).kill_signal, "QUIT");
    let plain = ExecConfig::new(Command::Exec(vec!["z".into()]));
    assert_eq!(exec("", &["z"]), ExecConfig { must_start: true, ..plain.clone() });
    assert_eq!(exec("[exec]\non_exit = \"restart\"", &["z"]), plain);
}

#[test]
fn a_template_without_a_reload_belongs_to_the_program_if_there_is_one() {
    let reloads = |config: Config| config.templates.iter().map(|it| it.reload.clone()).collect::<Vec<_>>();
    let own = Some(Reload::Command(Command::Shell("reload b".into())));
    let with = load("[exec]\ncmd = \"x\"", Some(&[])).unwrap();
    assert_eq!(reloads(with), [Some(Reload::Program), own.clone()]);
    for (table, program) in [("", Some(&[][..])), ("[exec]\ncmd = \"x\"", None), ("[exec]\nsplay = \"1s\"", None)] {
        let config = load(table, program).unwrap();
        assert_eq!(config.exec, None, "{table}");
        assert_eq!(reloads(config), [None, own.clone()], "{table}");
    }
}

#[test]
fn every_invalid_setting_is_reported() {
    let table = r#"
[exec]
cmd = "x -f {{ dest }}"
env = { ROSTERD_X = "y" }
reload_signal = "RELOAD"
kill_timeout = 30
on_exit = "restrt"
kill_signl = "TERM"
"#;
    insta::assert_snapshot!(load(table, Some(&[])).unwrap_err(), @r#"
    error: {{ dest }} is not available in `cmd`, which does not run for a single file
      --> rosterd.toml:12:13
       |
    12 | cmd = "x -f {{ dest }}"
       |             ^^^^^^^^^^
       |
       = help: write the file's path

    error: "ROSTERD_X" is reserved
      --> rosterd.toml:13:9
       |
    13 | env = { ROSTERD_X = "y" }
       |         ^^^^^^^^^
       |
       = help: write letters, digits and _, not beginning with a digit; names that begin with ROSTERD_ are reserved

    error: "RELOAD" is not a valid signal
      --> rosterd.toml:14:17
       |
    14 | reload_signal = "RELOAD"
       |                 ^^^^^^^^
       |
       = help: write a name from `kill -l`, such as HUP, USR1 or USR2

    error: `kill_timeout` must be a string, not a whole number
      --> rosterd.toml:15:16
       |
    15 | kill_timeout = 30
       |                ^^
       |
       = help: write kill_timeout = "30s"

    error: `on_exit` cannot be "restrt"
      --> rosterd.toml:16:11
       |
    16 | on_exit = "restrt"
       |           ^^^^^^^^
       |
       = help: did you mean "restart"?

    error: unknown key `kill_signl` in [exec]
      --> rosterd.toml:17:1
       |
    17 | kill_signl = "TERM"
       | ^^^^^^^^^^
       |
       = help: did you mean `kill_signal`?

    6 problems
    "#);
    let none = load("[exec]\nsplay = \"1s\"", Some(&[])).unwrap_err();
    assert!(none.contains("[exec] has no `cmd`") && none.contains("rosterd run -- CMD"), "{none}");
}
