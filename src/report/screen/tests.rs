use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::report::health::HealthStatus;
use crate::report::status::{LockStatus, ReloadStatus};

const AT: &str = "1970-01-01T00:16:40Z";

fn template(waiting_for: Option<&str>) -> TemplateStatus {
    TemplateStatus {
        name: "a".to_owned(),
        dest: "/etc/a".to_owned(),
        rendered_at: Some(AT.to_owned()),
        owed_reload: false,
        reload: None,
        last_error: None,
        state: if waiting_for.is_some() { TemplateState::NotUpToDate } else { TemplateState::UpToDate },
        waiting_for: waiting_for.map(str::to_owned),
        pinned: None,
        drifted_since: None,
        left_out: Vec::new(),
        warnings: Vec::new(),
    }
}

/// A status of an agent with these templates and rosters, started 1000 s after the epoch.
fn status(templates: Vec<TemplateStatus>, rosters: Vec<RosterStatus>, health: Health, problems: &[&str]) -> Status {
    Status {
        version: "1.2.3".to_owned(),
        pid: 7,
        started: AT.to_owned(),
        health: HealthStatus { state: health, problems: problems.iter().map(|it| (*it).to_owned()).collect() },
        refused: Vec::new(),
        paused: None,
        program: None,
        registries: Vec::new(),
        rosters,
        keys: Vec::new(),
        templates,
        services: Vec::new(),
    }
}

fn held(members: usize) -> RosterStatus {
    let hold = HoldStatus {
        path: "/services/web".to_owned(),
        reason: "2 of 8 members of /services/web remain".to_owned(),
        since: AT.to_owned(),
        until: None,
        release: "ends when enough members return".to_owned(),
        acceptable: true,
    };
    RosterStatus {
        name: "web".to_owned(),
        registry: "default".to_owned(),
        path: "/services/web".to_owned(),
        members,
        in_registry: Some(2),
        payload: "nextdoor".to_owned(),
        view_age_s: Some(0),
        fresh: true,
        hold: Some(hold.clone()),
        holds: vec![hold],
        quarantined: 0,
        data_errors: 0,
        left_out: 0,
        not_members: 0,
        filtered: 0,
        filter_errors: 0,
        duplicates: 0,
    }
}

/// The screen 15 minutes later.
fn text(status: &Status) -> String {
    Screen { now: UNIX_EPOCH + Duration::from_secs(1900), zone: Zone::utc() }.text(status)
}

#[test]
fn a_held_roster_shows_what_is_in_use_and_what_the_registry_has() {
    let shown = text(&status(vec![], vec![held(8)], Health::Warning, &["web held"]));
    assert_eq!(
        shown,
        "rosterd 1.2.3, process 7, running since 1970-01-01T00:16:40Z (15m ago): WARNING, 1 problem\n\
         roster web /services/web: HELD, 8 in use (last known-good), 2 in the registry, fresh, payload nextdoor\n\
         \x20 held since 1970-01-01T00:16:40Z (15m ago): 2 of 8 members of /services/web remain; ends when enough members return\n\
         \x20 review: rosterd explain web; if the loss is real: rosterd accept web\n"
    );
    let shown = text(&status(vec![], vec![held(0)], Health::Critical, &["web held"]));
    assert!(shown.contains(": HELD, none in use, 2 in the registry, fresh"), "{shown}");
}

#[test]
fn a_reason_is_shown_to_its_end() {
    let command = "x".repeat(500);
    let why = format!("check failed; retry at {AT} (in 1s): check \"{command}\" exited with 1:\n  first\n  second");
    let shown = text(&status(vec![template(Some(&why))], vec![], Health::Critical, &["a"]));
    assert!(shown.contains("xx\" exited with 1:\n    first\n    second\n  details: rosterd explain a\n"), "{shown}");
    let many = (1..=20).fold(String::new(), |text, n| text + &format!("\n  line {n}"));
    let shown = text(&status(vec![template(Some(&format!("check failed:{many}")))], vec![], Health::Critical, &["a"]));
    assert!(shown.contains("  check failed:\n    …\n    line 15\n") && shown.contains("    line 20\n"), "{shown}");
}

#[test]
fn a_reload_that_waits_for_its_time_leaves_a_file_up_to_date() {
    let reload = ReloadStatus {
        command: "nginx -s reload".to_owned(),
        failures: 0,
        next: Some(AT.to_owned()),
        given_up: false,
        text: "reload pending: `nginx -s reload`; runs soon".to_owned(),
    };
    let it = TemplateStatus { owed_reload: true, reload: Some(reload), ..template(None) };
    assert_eq!(
        text(&status(vec![it], vec![], Health::Ok, &[])).split_once('\n').unwrap().1,
        "template a /etc/a: up to date, rendered at 1970-01-01T00:16:40Z (15m ago)\n  \
         reload pending: `nginx -s reload`; runs soon\n"
    );
}

#[test]
fn a_plugin_gets_one_line_without_performance_data() {
    let well = status(vec![template(None)], vec![held(2)], Health::Ok, &[]);
    assert_eq!(plugin_line(&well), "ROSTERD OK: 1 template, 1 roster, 2 members\n");
    let one = status(vec![], vec![], Health::Critical, &["template a: check \"x | y\" exited with 1"]);
    assert_eq!(plugin_line(&one), "ROSTERD CRITICAL: template a: check \"x ¦ y\" exited with 1\n");
    let more = status(vec![], vec![], Health::Warning, &["first", "second", "third"]);
    assert_eq!(plugin_line(&more), "ROSTERD WARNING: first; 2 more problems: run rosterd status\n");
}

#[test]
fn a_key_that_was_not_read_lately_is_stale() {
    let key = |view_age_s, fresh| KeyStatus {
        node: None,
        lock: None,
        name: "settings".to_owned(),
        registry: "default".to_owned(),
        path: "/config/web".to_owned(),
        known: true,
        view_age_s,
        fresh,
        hold: None,
    };
    for (key, state) in [
        (key(Some(0), true), "loaded, fresh"),
        (key(Some(75), false), "loaded, STALE (read 1m 15s ago)"),
        (KeyStatus { known: false, ..key(None, false) }, "NOT READ YET"),
    ] {
        let shown = text(&Status { keys: vec![key], ..status(vec![], vec![], Health::Ok, &[]) });
        assert_eq!(shown.lines().last(), Some(&*format!("key settings /config/web: {state}")));
    }
}

#[test]
fn a_lock_is_held_or_has_a_place_in_the_line() {
    let lock = |text: &str| LockStatus {
        held: false,
        since: String::new(),
        position: None,
        contenders: 0,
        holder: None,
        text: text.to_owned(),
    };
    let key = |lock: Option<LockStatus>, fresh| KeyStatus {
        node: None,
        known: lock.is_some(),
        lock,
        name: "locks.leader".to_owned(),
        registry: "default".to_owned(),
        path: "/leader".to_owned(),
        view_age_s: Some(0),
        fresh,
        hold: None,
    };
    for (key, state) in [
        (key(Some(lock("held since a")), true), "held since a, fresh"),
        (key(None, true), "waiting for its place in the line"),
        (key(None, false), "NOT READ YET"),
    ] {
        let shown = text(&Status { keys: vec![key], ..status(vec![], vec![], Health::Ok, &[]) });
        assert_eq!(shown.lines().last(), Some(&*format!("lock leader /leader: {state}")));
    }
}
