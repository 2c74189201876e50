use super::*;

const TERMS: Terms =
    Terms { timeout: Duration::from_secs(30), interval: Duration::from_secs(5), retries: None, splay: Duration::ZERO };

fn debt(terms: Terms) -> PendingReload {
    PendingReload::new(terms, Share::HALF)
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
fn it_runs_once_for_all_that_began_together() {
    let mut debt = debt(TERMS);
    debt.owe(at(0), &template("a"), BTreeSet::from([2]));
    debt.arrived(1);
    assert_eq!(debt.due(), None, "b is not in place yet");
    debt.owe(at(0), &template("b"), BTreeSet::new());
    debt.arrived(2);
    assert_eq!(debt.due(), Some(Moment::START));
    assert_eq!(debt.begin(at(1)).len(), 2);
    assert_eq!(debt.end(at(1), &Ran::Done), None);
    assert!(!debt.is_owed());
}

#[test]
fn a_change_during_a_reload_makes_another_one_interval_later() {
    let mut debt = debt(TERMS);
    debt.owe(at(0), &template("a"), BTreeSet::new());
    debt.begin(at(10));
    debt.owe(at(0), &template("a"), BTreeSet::new());
    assert_eq!(debt.due(), None, "one at a time");
    debt.end(at(12), &Ran::Done);
    assert!(debt.owes(&name("a")), "the reload had begun before the change");
    assert_eq!(debt.due(), Some(at(15)), "deferred by the interval, not dropped");
}

#[test]
fn a_failed_one_stays_owed_and_backs_off() {
    let mut debt = debt(Terms { interval: Duration::ZERO, ..TERMS });
    debt.owe(at(0), &template("a"), BTreeSet::new());
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        debt.begin(now);
        let pause = debt.end(now, &Ran::Failed("no".into())).unwrap();
        pauses.push(pause.as_secs());
        assert!(debt.owes(&name("a")));
        now = now + pause;
        assert_eq!(debt.due(), Some(now));
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    debt.begin(now);
    debt.end(now, &Ran::Done);
    assert!(debt.report().is_none());
}

#[test]
fn retries_end_and_the_debt_stays() {
    let mut debt = debt(Terms { retries: Some(2), ..TERMS });
    debt.owe(at(0), &template("a"), BTreeSet::new());
    debt.begin(at(0));
    assert!(debt.end(at(0), &Ran::Failed("no".into())).is_some());
    debt.begin(at(5));
    assert_eq!(debt.end(at(5), &Ran::Failed("no".into())), None);
    assert_eq!((debt.due(), debt.is_owed()), (None, true));
    debt.owe(at(0), &template("a"), BTreeSet::new());
    assert!(debt.due().is_some(), "new content is tried again");
}

#[test]
fn changed_terms_hold_for_what_is_owed_already() {
    let hour = Duration::from_hours(1);
    let mut debt = debt(Terms { splay: hour, interval: hour, ..TERMS });
    debt.owe(at(100), &template("a"), BTreeSet::new());
    assert_eq!(debt.due().map(|due| due.since_start().as_secs()), Some(100 + 30 * 60 - 1));
    debt.set_terms(TERMS);
    assert_eq!(debt.due(), Some(at(100)), "no splay any more");
    debt.begin(at(100));
    debt.owe(at(101), &template("a"), BTreeSet::new());
    debt.end(at(102), &Ran::Done);
    assert_eq!(debt.due(), Some(at(105)));
    debt.set_terms(Terms { interval: hour, ..TERMS });
    assert_eq!(debt.due(), Some(at(3700)), "a longer interval");
}

#[test]
fn the_splay_counts_from_the_first_change_and_a_retry_has_none() {
    let splay = Duration::from_secs(20);
    let mut debt = debt(Terms { splay, interval: Duration::ZERO, ..TERMS });
    debt.owe(at(100), &template("a"), BTreeSet::new());
    let due = debt.due().unwrap();
    assert!(due > at(109) && due < at(110), "half of it: {due:?}");
    debt.owe(at(105), &template("b"), BTreeSet::new());
    assert_eq!(debt.due(), Some(due), "a further change defers it no more");
    assert!(matches!(debt.report().unwrap().state, ReloadState::Due { splayed: true, .. }));
    debt.begin(due);
    debt.end(due, &Ran::Failed("no".into()));
    assert_eq!(debt.due(), Some(due + Duration::from_secs(1)), "the pause of a first failure, and nothing beside");
    debt.begin(due);
    debt.end(due, &Ran::Done);
    debt.owe(at(200), &template("a"), BTreeSet::new());
    debt.hurry();
    assert_eq!(debt.due(), Some(Moment::START), "at the end nothing is deferred");
}
