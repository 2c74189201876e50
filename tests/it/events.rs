//! The log as JSON: every line is an event of the reference, with the fields that the reference lists.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::site::Agent;
use crate::main_job::{member, site_with};
use crate::support::docs::{code, event_rows};

const CONFIG: &str = web!(
    r#"wait = "20ms:200ms""#,
    r#"
[[template]]
src = "list.tera"
dest = "out/list"
check_cmd = "! grep poison {{ src }}"
isolate = false
reload_cmd = "echo reloaded >> SITE/reloads; test ! -e SITE/broken"
reload_interval = "0s"
"#
);

/// Numeric fields.
const NUMBERS: [&str; 14] = [
    "changed",
    "changes",
    "corrections",
    "errno",
    "exit",
    "kept",
    "line",
    "max",
    "members",
    "min",
    "pid",
    "uid",
    "took_ms",
    "took_us",
];

/// List fields.
const LISTS: [&str; 5] = ["added", "needs", "removed", "servers", "templates"];

/// Checks a line against the reference. Returns the name of its event.
fn event_of(line: &str) -> String {
    let object: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
    let object = object.as_object().unwrap_or_else(|| panic!("{line}"));
    let name = object["event"].as_str().unwrap_or_else(|| panic!("no event: {line}"));
    let rows = event_rows(5);
    let row = rows.iter().find(|row| row[0].trim_end_matches('`') == name);
    let [_, level, message, fields, ..] = &row.unwrap_or_else(|| panic!("not in the table: {line}"))[..] else {
        panic!()
    };
    assert_eq!(
        (&object["level"], &object["message"]),
        (&level.to_uppercase().into(), &message.as_str().into()),
        "{line}"
    );
    let known: Vec<&str> = code(fields).collect();
    assert!(object["timestamp"].as_str().is_some_and(|time| humantime::parse_rfc3339(time).is_ok()), "{line}");
    let fields = object.iter().filter(|(name, _)| !["timestamp", "level", "event", "message"].contains(&name.as_str()));
    for (field, value) in fields {
        assert!(known.contains(&field.as_str()), "{field} is not in the table: {line}");
        let is_number = NUMBERS.contains(&field.as_str()) || field.ends_with("_s") || field.ends_with("_count");
        let is_list = LISTS.contains(&field.as_str());
        assert_eq!((value.is_number(), value.is_array()), (is_number, is_list), "{field}: {line}");
        assert!(is_number || is_list || value.is_string() || value.is_boolean(), "{field}: {line}");
    }
    name.to_owned()
}

/// Waits for one more event of this name.
fn happens(agent: &Agent, name: &str, mut what: impl FnMut()) {
    let line = format!("\"event\":\"{name}\"");
    let before = agent.said(&line);
    what();
    agent.says_times(&line, before + 1);
}

#[test]
fn every_log_line_is_an_event_of_the_reference() {
    let site = site_with(&format!("log_format = \"json\"\n\n[status]\nsocket = \"agent.sock\"\n\n{CONFIG}"), 2);
    let mut agent = site.start();
    let began = ["agent_started", "config_loaded", "watch_started", "template_loaded", "roster_loaded", "file_written"];
    for name in began {
        agent.says(&format!("\"event\":\"{name}\""));
    }
    agent.says("\"event\":\"reload_succeeded\"");
    happens(&agent, "members_changed", || _ = site.file(&member(3), ""));
    agent.says("\"added\":[\"10.0.0.3:80\"],\"removed\":[],\"changed\":0,\"members\":3");
    agent.says_times("\"event\":\"reload_succeeded\"", 2);
    // A roster is held and released.
    let (there, away) = (site.path("registry/services/web"), site.path("registry/services/.web"));
    happens(&agent, "roster_held", || fs::rename(&there, &away).unwrap());
    happens(&agent, "hold_released", || fs::rename(&away, &there).unwrap());
    // A check rejects the file.
    happens(&agent, "check_refused", || _ = site.file("registry/services/web/poison:80", ""));
    happens(&agent, "file_unchanged", || _ = site.remove("registry/services/web/poison:80"));
    // A reload fails, and is corrected.
    site.file("broken", "");
    happens(&agent, "reload_failed", || _ = site.file(&member(4), ""));
    happens(&agent, "reload_succeeded", || _ = site.remove("broken"));
    // A registry becomes unreachable, and is reachable again.
    let (there, away) = (site.path("registry"), site.path("elsewhere"));
    happens(&agent, "registry_unreachable", || fs::rename(&there, &away).unwrap());
    happens(&agent, "registry_connected", || fs::rename(&away, &there).unwrap());
    // One configuration is accepted, and one refused.
    let good = site.read("rosterd.toml");
    happens(&agent, "config_loaded", || {
        site.file("rosterd.toml", &good.replace("20ms:200ms", "30ms:200ms"));
        agent.signal(Signal::SIGHUP);
    });
    agent.says("\"event\":\"config_changed\"");
    happens(&agent, "config_refused", || {
        site.file("rosterd.toml", "[[roster]]\nnme = 1\n");
        agent.signal(Signal::SIGHUP);
    });
    site.file("rosterd.toml", &good);
    // Another process edits the file.
    happens(&agent, "drift_corrected", || fs::write(site.path("out/list"), "by hand\n").unwrap());
    happens(&agent, "paused", || _ = site.run(&["pause", "--reason", "a \"test\"\n"]).expect(0));
    happens(&agent, "resumed", || _ = site.run(&["resume"]).expect(0));
    assert!(agent.stop().success());
    agent.says("\"event\":\"agent_stopped\"");

    let log = agent.log();
    let names: BTreeSet<String> = log.iter().map(|line| event_of(line)).collect();
    assert!(names.contains("agent_stopping") && names.contains("drift_detected"), "{names:?}");
    let reasons: Vec<&String> = log.iter().filter(|line| line.contains("\"reason\":")).collect();
    assert!(reasons.len() >= 5, "{reasons:?}");
}

#[test]
fn only_lines_for_the_journal_have_priorities() {
    let site = site_with(CONFIG, 2);
    // systemd sets this variable for the pipe that is the agent's standard error.
    let journal = "export JOURNAL_STREAM=$(stat -Lc %d:%i /dev/stderr); exec \"$@\"";
    let mut agent = site.start_by(&["sh", "-c", journal, "sh"]);
    agent.says("event=reload_succeeded");
    site.file("registry/services/web/poison:80", "");
    agent.says("event=check_refused").says("    | ");
    assert!(agent.stop().success());
    for line in agent.log() {
        let priority = if line.contains("event=check_refused") || line.contains("    | ") { "<3>" } else { "<6>" };
        assert!(line.starts_with(priority), "{line}");
    }
    // The variable belongs to another process: a service with its output elsewhere passes it on.
    let mut agent = site.start_by(&["env", "JOURNAL_STREAM=1:2"]);
    agent.says("event=check_refused");
    assert!(agent.stop().success());
    assert!(agent.log().iter().all(|line| !line.starts_with('<')), "{:?}", agent.log());
}
