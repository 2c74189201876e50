use super::*;

const TERMS: ReloadPolicy = ReloadPolicy {
    timeout: Duration::from_secs(30),
    interval: Duration::from_secs(5),
    retries: None,
    splay: Duration::ZERO,
};

fn pending(policy: ReloadPolicy) -> PendingReload {
    PendingReload::new(policy, SplayShare::HALF)
}

fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

fn name(text: &str) -> Arc<str> {
    Arc::from(text)
}

fn template(text: &str) -> Arc<TemplateConfig> {
    Arc::new(TemplateConfig::new(text, "t.tera", format!("/etc/{text}")))
}

#[test]
fn a_reload_runs_once_for_all_files_of_a_change() {
    let mut pending = pending(TERMS);
    pending.add(at(0), &template("a"), BTreeSet::from([2]));
    pending.publication_ended(1);
    assert_eq!(pending.due(), None, "b is not in place yet");
    pending.add(at(0), &template("b"), BTreeSet::new());
    pending.publication_ended(2);
    assert_eq!(pending.due(), Some(Moment::START));
    assert_eq!(pending.begin(at(1)).len(), 2);
    assert_eq!(pending.end(at(1), &ReloadOutcome::Succeeded), None);
    assert!(!pending.is_pending());
}

#[test]
fn a_change_during_a_reload_needs_another_after_the_interval() {
    let mut pending = pending(TERMS);
    pending.add(at(0), &template("a"), BTreeSet::new());
    pending.begin(at(10));
    pending.add(at(0), &template("a"), BTreeSet::new());
    assert_eq!(pending.due(), None, "one at a time");
    pending.end(at(12), &ReloadOutcome::Succeeded);
    assert!(pending.includes(&name("a")), "the reload had begun before the change");
    assert_eq!(pending.due(), Some(at(15)), "deferred by the interval, not dropped");
}

#[test]
fn a_failed_reload_stays_pending_and_backs_off() {
    let mut pending = pending(ReloadPolicy { interval: Duration::ZERO, ..TERMS });
    pending.add(at(0), &template("a"), BTreeSet::new());
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        pending.begin(now);
        let pause = pending.end(now, &ReloadOutcome::Failed("no".into())).unwrap();
        pauses.push(pause.as_secs());
        assert!(pending.includes(&name("a")));
        now = now + pause;
        assert_eq!(pending.due(), Some(now));
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    pending.begin(now);
    pending.end(now, &ReloadOutcome::Succeeded);
    assert!(pending.report().is_none());
}

#[test]
fn a_reload_that_is_given_up_stays_pending() {
    let mut pending = pending(ReloadPolicy { retries: Some(2), ..TERMS });
    pending.add(at(0), &template("a"), BTreeSet::new());
    pending.begin(at(0));
    assert!(pending.end(at(0), &ReloadOutcome::Failed("no".into())).is_some());
    pending.begin(at(5));
    assert_eq!(pending.end(at(5), &ReloadOutcome::Failed("no".into())), None);
    assert_eq!((pending.due(), pending.is_pending()), (None, true));
    pending.add(at(0), &template("a"), BTreeSet::new());
    assert!(pending.due().is_some(), "new content is retried");
}

#[test]
fn a_changed_policy_applies_to_a_pending_reload() {
    let hour = Duration::from_hours(1);
    let mut pending = pending(ReloadPolicy { splay: hour, interval: hour, ..TERMS });
    pending.add(at(100), &template("a"), BTreeSet::new());
    assert_eq!(pending.due().map(|due| due.since_start().as_secs()), Some(100 + 30 * 60 - 1));
    pending.set_policy(TERMS);
    assert_eq!(pending.due(), Some(at(100)), "no splay any more");
    pending.begin(at(100));
    pending.add(at(101), &template("a"), BTreeSet::new());
    pending.end(at(102), &ReloadOutcome::Succeeded);
    assert_eq!(pending.due(), Some(at(105)));
    pending.set_policy(ReloadPolicy { interval: hour, ..TERMS });
    assert_eq!(pending.due(), Some(at(3700)), "a longer interval");
}

#[test]
fn the_splay_starts_at_the_first_change_and_not_at_a_retry() {
    let splay = Duration::from_secs(20);
    let mut pending = pending(ReloadPolicy { splay, interval: Duration::ZERO, ..TERMS });
    pending.add(at(100), &template("a"), BTreeSet::new());
    let due = pending.due().unwrap();
    assert!(due > at(109) && due < at(110), "half of the splay: {due:?}");
    pending.add(at(105), &template("b"), BTreeSet::new());
    assert_eq!(pending.due(), Some(due), "a further change does not extend the delay");
    assert!(matches!(pending.report().unwrap().state, ReloadState::Due { splayed: true, .. }));
    pending.begin(due);
    pending.end(due, &ReloadOutcome::Failed("no".into()));
    assert_eq!(pending.due(), Some(due + Duration::from_secs(1)), "the backoff of a first failure, and no splay");
    pending.begin(due);
    pending.end(due, &ReloadOutcome::Succeeded);
    pending.add(at(200), &template("a"), BTreeSet::new());
    pending.skip_delays();
    assert_eq!(pending.due(), Some(Moment::START), "a stopping agent defers nothing");
}
