//! Older views of the registry, and starts without a registry.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{AboveMax, Bounds, KeyConfig, KeyFormat};
use crate::decide::{Event, Input, Moment, Outcome, Plan, RunMode, SavedState};
use crate::model::node_path::Subject;
use crate::model::registry_event::{Change, Seen, Unreachable, Update, View};

use super::harness::{
    Bench, left, members, names, names_by_key, path, plan, present, put, roster, seconds, slots, template, versions,
    web,
};

const EIGHT: [&str; 8] = ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1", "g:1", "h:1"];
const OLDER: &str = "the ensemble shows an older state";

fn with_min(min: usize) -> Plan {
    let mut config = roster("web", web());
    config.bounds = Bounds::new(min, None, AboveMax::Cut).unwrap();
    plan(vec![config], vec![], vec![template("a", &["web"], "")])
}

fn absent() -> View {
    View::Members(Seen::Absent)
}

/// An engine that has published `a b c` at 0x80.
fn settled(min: usize) -> Bench {
    let mut bench = Bench::new(with_min(min));
    bench.reset_at(present(&["a:1", "b:1", "c:1"]), 0x80);
    bench.publish(Outcome::Replaced);
    bench
}

/// An engine that starts this long after another one published these members and ended.
fn ended(names: &[&str], ago: Duration) -> SavedState {
    let mut bench = Bench::new(with_min(1));
    bench.reset_at(present(names), 0x80);
    bench.publish(Outcome::Replaced);
    aged(bench.saved, Some(ago))
}

fn aged(mut all: SavedState, age: Option<Duration>) -> SavedState {
    for recalled in all.values_mut() {
        recalled.age = age;
    }
    all
}

fn stale(bench: &Bench) -> Vec<(String, Option<u64>)> {
    let stale = bench.events.iter().filter_map(|event| match event {
        Event::RosterStale { roster, age_s, .. } => Some((roster.to_string(), *age_s)),
        _ => None,
    });
    stale.collect()
}

#[test]
fn an_older_view_that_loses_members_is_held_without_a_time_limit() {
    for view in [present(&["a:1", "b:1"]), present(&["a:1", "b:1", "x:1", "y:1"]), present(&[]), absent()] {
        for min in [0, 1] {
            let mut bench = settled(min);
            bench.away();
            bench.reset_at(view.clone(), 0x50);
            bench.pass(seconds(30 * 24 * 3600));
            assert!(bench.is_idle(), "{view:?} was published");
            assert_eq!(bench.holds().len(), 1);
            assert!(bench.holds()[0].contains(OLDER), "{:?}", bench.holds());
        }
    }
    let mut bench = settled(1);
    bench.reset_at(present(&["a:1"]), 0x50);
    bench.pass(seconds(1));
    assert_eq!(
        bench.holds(),
        [
            "2 of 3 members of /services/web would be lost, and the ensemble shows an older state (zxid 0x50 after 0x80): \
          it may have been restored from a backup, or be a different ensemble"
        ]
    );
    // The hold continues and is not reported again.
    bench.change_at(vec![put("x:1")], 0x51);
    bench.pass(seconds(1));
    bench.change_at(vec![left("x:1")], 0x52);
    bench.pass(seconds(1));
    assert_eq!((bench.holds().len(), bench.is_idle()), (1, true));
}

#[test]
fn the_hold_of_an_older_view_ends_when_it_has_caught_up() {
    let mut bench = settled(1);
    bench.reset_at(present(&["a:1"]), 0x50);
    bench.pass(seconds(60));
    bench.change_at(vec![put("x:1")], 0x80);
    bench.pass(seconds(1));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["a:1", "x:1"]);
    // Later views are compared with it.
    bench.reset_at(present(&["a:1"]), 0x7f);
    bench.pass(seconds(60));
    assert!(bench.is_idle());
}

#[test]
fn the_hold_of_an_older_view_ends_when_nothing_is_lost() {
    let mut bench = settled(1);
    bench.reset_at(present(&["a:1"]), 0x50);
    bench.pass(seconds(60));
    bench.change_at(vec![put("b:1"), put("c:1"), put("d:1")], 0x53);
    bench.pass(seconds(1));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["a:1", "b:1", "c:1", "d:1"]);
    bench.change_at(vec![left("d:1")], 0x54);
    bench.pass(seconds(1));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["a:1", "b:1", "c:1"], "0x54 is later than 0x53");
    let mut next = Bench::with_saved(with_min(1), bench.saved);
    next.reset_at(present(&["a:1", "b:1"]), 0x55);
    assert_eq!(names(&next.publish(Outcome::Replaced), "web"), ["a:1", "b:1"], "and the same after a restart");
}

#[test]
fn an_older_view_with_the_same_members_is_accepted() {
    let mut bench = settled(1);
    bench.reset_at(present(&["a:1", "b:1", "c:1"]), 0x50);
    bench.pass(seconds(1));
    assert!(bench.is_idle() && bench.holds().is_empty());
    bench.change_at(vec![left("c:1")], 0x51);
    bench.pass(seconds(1));
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["a:1", "b:1"]);
}

#[test]
fn versions_are_compared_across_restarts_but_not_across_urls() {
    let recalled = ended(&["a:1", "b:1", "c:1"], seconds(24 * 3600));
    let mut bench = Bench::with_saved(with_min(1), recalled.clone());
    bench.reset_at(present(&["a:1", "b:1"]), 0x50);
    bench.pass(seconds(24 * 3600));
    assert_eq!(
        names(&bench.publish(Outcome::Unchanged), "web"),
        ["a:1", "b:1", "c:1"],
        "the last known-good members are kept"
    );
    assert!(bench.is_idle() && bench.holds()[0].contains(OLDER), "{:?}", bench.holds());
    let mut moved = with_min(1);
    moved.rosters[0].origin = "zk://b".into();
    let mut bench = Bench::with_saved(moved.clone(), recalled);
    bench.reset_at(present(&["a:1", "b:1"]), 0x50);
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["a:1", "b:1"]);
    // Nor when the url changes while the agent runs.
    let mut bench = settled(1);
    bench.input(Input::Configured(moved));
    bench.reset_at(present(&["a:1"]), 0x10);
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["a:1"]);
}

#[test]
fn only_an_older_view_or_a_mass_loss_can_be_accepted() {
    let accept = |bench: &mut Bench| {
        // `Input::Tick` evaluates the view, as the agent does.
        let now = bench.now;
        let accepted = bench.engine.accept(now, "web");
        bench.input(Input::Tick);
        accepted
    };
    let mut bench = settled(1);
    bench.reset_at(present(&["a:1"]), 0x50);
    bench.pass(seconds(60));
    assert_eq!(accept(&mut bench), ["/services/web"]);
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["a:1"]);
    bench.change_at(vec![put("b:1")], 0x51);
    bench.change_at(vec![left("b:1")], 0x52);
    bench.pass(seconds(60));
    assert!(bench.holds().len() == 1 && bench.is_idle(), "this is now the current state");

    let mut bench = Bench::new(with_min(1));
    bench.reset_at(present(&EIGHT), 1);
    bench.publish(Outcome::Replaced);
    bench.reset_at(present(&EIGHT[..3]), 2);
    bench.pass(seconds(60));
    assert!(bench.is_idle());
    assert_eq!(accept(&mut bench), ["/services/web"]);
    assert_eq!(names(&bench.publish(Outcome::Replaced), "web").len(), 3);
    bench.reset_at(present(&EIGHT[..2]), 3);
    bench.pass(seconds(1));
    bench.publish(Outcome::Replaced);

    // Both together are accepted at once. A view below min is never accepted.
    let mut bench = Bench::new(with_min(2));
    bench.reset_at(present(&EIGHT), 9);
    bench.publish(Outcome::Replaced);
    bench.reset_at(present(&EIGHT[..2]), 2);
    bench.pass(seconds(1));
    assert_eq!(accept(&mut bench).len(), 1);
    bench.publish(Outcome::Replaced);
    bench.reset_at(present(&EIGHT[..1]), 3);
    bench.pass(seconds(1));
    assert!(accept(&mut bench).is_empty());
    bench.pass(seconds(60));
    assert!(bench.is_idle());
    bench.away();
    assert!(bench.engine.accept(bench.now, "web").is_empty() && bench.engine.accept(bench.now, "none").is_empty());
}

fn star() -> Subject {
    Subject::parse("/services/*").unwrap()
}

fn globbed() -> Plan {
    let mut config = roster("all", star());
    config.bounds = Bounds::new(0, None, AboveMax::Cut).unwrap();
    plan(vec![config], vec![], vec![template("a", &["all"], "")])
}

fn keyed(keys: &[(&str, &[&str])]) -> View {
    View::Keyed(Seen::Present(keys.iter().map(|(k, n)| (Arc::from(*k), Seen::Present(members(n)))).collect()))
}

fn shown(bench: &mut Bench) -> Vec<(String, usize)> {
    let seen: BTreeMap<_, _> = names_by_key(&bench.publish(Outcome::Replaced), "all");
    seen.into_iter().map(|(key, names)| (key, names.len())).collect()
}

#[test]
fn each_key_has_its_own_version_and_a_removed_one_its_parents() {
    let begin = |recalled| {
        let mut bench = Bench::with_saved(globbed(), recalled);
        if bench.saved.is_empty() {
            let view = keyed(&[("db", &["d:1"]), ("web", &["w:1", "w:2"])]);
            let versions = versions(&[("", 0x60), ("db", 0x20), ("web", 0x80)]);
            bench.registry_update(Update::Reset { subject: star(), view, versions });
            bench.publish(Outcome::Replaced);
        }
        bench
    };
    let saved = begin(SavedState::new()).saved;
    for recalled in [SavedState::new(), saved] {
        let restarted = !recalled.is_empty();
        // web lost a member in an older state, db is unchanged, and cache is new.
        let mut bench = begin(recalled.clone());
        let view = keyed(&[("cache", &["c:1"]), ("db", &["d:1"]), ("web", &["w:1"])]);
        let late = versions(&[("", 0x70), ("cache", 0x10), ("db", 0x20), ("web", 0x50)]);
        bench.registry_update(Update::Reset { subject: star(), view, versions: late });
        bench.pass(seconds(3600));
        let wanted = [("cache", 1), ("db", 1), ("web", 2)].map(|(key, count)| (key.to_owned(), count));
        assert_eq!(shown(&mut bench), wanted, "restarted: {restarted}");
        assert!(bench.holds()[0].starts_with("1 of 2 members of /services/web would be lost"), "{:?}", bench.holds());
        // db disappears with an older state of its parent, although db's own version is even older.
        let mut bench = begin(recalled.clone());
        let late = versions(&[("", 0x30), ("web", 0x80)]);
        bench.registry_update(Update::Reset {
            subject: star(),
            view: keyed(&[("web", &["w:1", "w:2"])]),
            versions: late,
        });
        bench.pass(seconds(3600));
        assert!(bench.holds()[0].starts_with("1 of 1 members of /services/db would be lost"), "{:?}", bench.holds());
        bench.publications.clear();
        // The parent disappears too, in another ensemble. Then db is really gone.
        let mut bench = begin(recalled);
        for (zxid, held) in [(0x05, true), (0x90, false)] {
            bench.registry_update(Update::Reset {
                subject: star(),
                view: View::Keyed(Seen::Absent),
                versions: versions(&[("", zxid)]),
            });
            bench.pass(seconds(3600));
            assert_eq!(bench.engine.rosters()["all"].is_held(), held, "{zxid:#x}");
        }
        let mut last = shown(&mut bench);
        while !bench.is_idle() {
            last = shown(&mut bench);
        }
        assert_eq!(last, [], "restarted: {restarted}");
    }
}

#[test]
fn a_legitimately_removed_key_is_removed() {
    let mut bench = Bench::new(globbed());
    let view = keyed(&[("db", &["d:1"]), ("web", &["w:1"])]);
    let late = versions(&[("", 0x60), ("db", 0x70), ("web", 0x80)]);
    bench.registry_update(Update::Reset { subject: star(), view, versions: late });
    bench.publish(Outcome::Replaced);
    let changes = vec![Change::KeyRemoved { key: "db".into() }];
    bench.registry_update(Update::Changed { subject: star(), changes, versions: versions(&[("", 0x90)]) });
    bench.pass(seconds(1));
    assert_eq!(shown(&mut bench), [("web".to_owned(), 1)]);
    assert_eq!(bench.saved["all"].paths.keys().map(|key| &**key).collect::<Vec<_>>(), ["", "web"]);
}

#[test]
fn saved_members_are_rendered_only_if_the_registry_is_unreachable() {
    let mut bench = Bench::with_saved(with_min(1), ended(&["a:1", "b:1"], seconds(300)));
    bench.pass(seconds(60));
    assert!(bench.is_idle(), "the registry has not been tried yet");
    let web = |bench: &Bench| {
        let roster = &bench.engine.rosters()["web"];
        (roster.is_fresh(), roster.age(bench.now).map(|age| age.as_secs()))
    };
    assert_eq!(web(&bench), (false, Some(300 + 160)), "160 s have gone by on the bench");
    bench.away();
    bench.away();
    assert_eq!(stale(&bench), [("web".to_owned(), Some(460))]);
    assert_eq!(slots(&bench.publish(Outcome::Unchanged), "web"), [("a:1", 0), ("b:1", 1)]);
    assert!(bench.holds().is_empty());
    // Another or an edited template is rendered from the saved members too.
    let mut more = with_min(1);
    more.templates.push(template("z", &["web"], ""));
    bench.input(Input::Configured(more));
    assert_eq!(bench.publications.len(), 2);
    bench.publish(Outcome::Unchanged);
    bench.publish(Outcome::Replaced);
    // The first view of the registry replaces them at once.
    bench.reset_at(present(&["b:1", "c:1"]), 0x90);
    assert_eq!(web(&bench), (true, Some(0)));
    assert_eq!(slots(&bench.publish(Outcome::Replaced), "web"), [("b:1", 1), ("c:1", 0)]);
    bench.away();
    bench.pass(seconds(7));
    assert_eq!((web(&bench), stale(&bench).len()), ((false, Some(7)), 1));
}

#[test]
fn saved_members_of_another_url_or_below_min_are_not_used() {
    let recalled = ended(&["a:1", "b:1"], seconds(1));
    let mut url = with_min(1);
    url.rosters[0].origin = "zk://b".into();
    let other = roster("web", Subject::Members(path("/services/other")));
    let other = plan(vec![other], vec![], vec![template("a", &["web"], "")]);
    for plan in [url, other, with_min(3)] {
        let mut bench = Bench::with_saved(plan, recalled.clone());
        bench.away();
        bench.pass(seconds(3600));
        assert!(bench.is_idle() && stale(&bench).is_empty());
    }
}

#[test]
fn a_mass_loss_across_a_restart_is_held() {
    for (ago, held) in [(Some(0), true), (Some(890), true), (Some(910), false), (None, true)] {
        let recalled = aged(ended(&EIGHT, Duration::ZERO), ago.map(seconds));
        let mut bench = Bench::with_saved(with_min(1), recalled);
        bench.reset_at(present(&EIGHT[..3]), 0x90);
        let first = names(&bench.publish(Outcome::Unchanged), "web").len();
        assert_eq!(first, if held { 8 } else { 3 }, "{ago:?}");
        assert_eq!(bench.holds().iter().any(|why| why.starts_with("3 of 8 members")), held, "{ago:?}");
        bench.pass(seconds(16 * 60));
        if held {
            assert_eq!(names(&bench.publish(Outcome::Replaced), "web").len(), 3, "hold_max is over");
        }
        assert!(bench.is_idle());
    }
}

#[test]
fn saved_members_are_kept_below_min_after_a_restart() {
    for view in [present(&[]), absent(), View::Members(Seen::Unreadable("not authorized".into()))] {
        let mut bench = Bench::with_saved(with_min(1), ended(&["a:1", "b:1"], seconds(24 * 3600)));
        bench.reset(&web(), view);
        assert_eq!(names(&bench.publish(Outcome::Unchanged), "web"), ["a:1", "b:1"]);
        assert!(bench.engine.rosters()["web"].is_held());
        bench.pass(seconds(3600));
        assert!(bench.is_idle());
    }
}

#[test]
fn an_unreadable_view_is_stale_and_a_held_one_is_fresh() {
    let mut bench = settled(1);
    let age = |bench: &Bench| bench.engine.rosters()["web"].age(bench.now).unwrap().as_secs();
    bench.reset(&web(), View::Members(Seen::Unreadable("not authorized".into())));
    bench.pass(seconds(5));
    bench.reset(&web(), View::Members(Seen::Unreadable("not authorized".into())));
    bench.pass(seconds(5));
    assert_eq!((age(&bench), bench.engine.rosters()["web"].is_fresh()), (10, false));
    bench.reset(&web(), absent());
    bench.pass(seconds(5));
    assert_eq!((age(&bench), bench.engine.rosters()["web"].is_fresh()), (0, true));
    assert_eq!(bench.engine.ages(bench.now)["web"], Duration::ZERO);
}

#[test]
fn the_data_of_a_key_is_saved() {
    let node = Subject::Node(path("/app"));
    let key = |format| KeyConfig { name: "app".into(), registry: "default".into(), subject: node.clone(), format };
    let plan = || plan(vec![], vec![key(KeyFormat::Json)], vec![template("a", &["app"], "")]);
    let data = |text: &str| View::Node(Seen::Present(Arc::from(text.as_bytes())));
    let mut bench = Bench::new(plan());
    bench.reset(&node, data(r#"{"n": 1}"#));
    bench.publish(Outcome::Replaced);
    bench.reset(&node, data("{"));
    let saved = aged(bench.saved, Some(seconds(60)));
    let mut next = Bench::with_saved(plan(), saved.clone());
    assert!(next.is_idle(), "its registry has not been tried yet");
    next.away();
    assert_eq!(next.publish(Outcome::Unchanged).snapshot.keys["app"]["n"], 1);
    assert_eq!(stale(&next), [("app".to_owned(), Some(160))]);
    next.reset(&node, data(r#"{"n": 2}"#));
    assert_eq!(next.publish(Outcome::Replaced).snapshot.keys["app"]["n"], 2);
    assert!(next.engine.report(next.now).keys["app"].freshness.is_live());
    let mut held = Bench::with_saved(plan(), saved.clone());
    held.reset(&node, View::Node(Seen::Absent));
    assert_eq!(held.publish(Outcome::Unchanged).snapshot.keys["app"]["n"], 1);
    let mut text = plan();
    text.keys[0].config = Arc::new(key(KeyFormat::Toml));
    let mut unfit = Bench::with_saved(text, saved);
    unfit.away();
    assert!(unfit.is_idle(), "the data is not TOML");
}

#[test]
fn a_single_pass_uses_only_saved_members_within_max_stale() {
    for (age, max, uses_saved) in [(Some(60), 3600, true), (Some(4000), 3600, false), (None, 3600, false)] {
        let recalled = aged(ended(&["a:1", "b:1"], Duration::ZERO), age.map(seconds));
        let mut bench = Bench::in_mode(RunMode::Once { max_stale: None }, with_min(1), recalled);
        bench.away();
        bench.pass(seconds(30));
        assert!(bench.is_idle(), "saved members are not used before that is requested");
        bench.input(Input::UseSaved(seconds(max)));
        assert_eq!(!bench.is_idle(), uses_saved, "{age:?}");
        if uses_saved {
            assert_eq!(names(&bench.publish(Outcome::Replaced), "web"), ["a:1", "b:1"]);
        }
    }
    // A failure that lasts is not waited for.
    for (max_stale, is_final, uses_saved) in [(3600, true, true), (3600, false, false), (30, true, false)] {
        let recalled = aged(ended(&["a:1", "b:1"], Duration::ZERO), Some(seconds(60)));
        let mode = RunMode::Once { max_stale: Some(seconds(max_stale)) };
        let mut bench = Bench::in_mode(mode, with_min(1), recalled);
        bench.registry_update(Update::Unreachable(Unreachable { reason: "no chroot".into(), is_final }));
        assert_eq!(!bench.is_idle(), uses_saved, "{max_stale} {is_final}");
    }
    // A view that was received is not affected.
    let mut bench =
        Bench::in_mode(RunMode::Once { max_stale: None }, with_min(3), ended(&["a:1", "b:1", "c:1"], seconds(1)));
    bench.reset(&web(), present(&["a:1"]));
    bench.publish(Outcome::Unchanged);
    bench.input(Input::UseSaved(seconds(3600)));
    assert!(bench.is_idle() && bench.engine.rosters()["web"].is_held());
    assert_eq!(bench.engine.rosters()["web"].age(Moment::START + seconds(100)), Some(Duration::ZERO));
}

#[test]
fn a_moved_registry_is_tried_before_saved_members_are_used() {
    let recalled = ended(&["a:1", "b:1"], seconds(1));
    let mut elsewhere = with_min(1);
    elsewhere.rosters[0].origin = "zk://b".into();
    let mut bench = Bench::with_saved(elsewhere, recalled);
    bench.away();
    bench.input(Input::Configured(with_min(1)));
    assert!(bench.is_idle(), "zk://b was unreachable, but zk://a has not been tried");
    bench.away();
    assert_eq!(names(&bench.publish(Outcome::Unchanged), "web"), ["a:1", "b:1"]);
}
