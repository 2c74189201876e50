//! Paths that exceed the size limits.

use std::sync::Arc;

use crate::config::RosterConfig;
use crate::decide::Outcome;
use crate::model::node_path::Subject;
use crate::model::registry_event::{Bytes, Change, Members, NodeContent, Seen, Update, View};
use crate::model::version::Versions;
use crate::payload::Format;

use super::harness::{Bench, names_by_key, plan, roster, seconds, template};

fn services() -> Subject {
    Subject::parse("/services/*").unwrap()
}

fn name(number: usize) -> Arc<str> {
    Arc::from(format!("10.0.0.1:{}", number + 1))
}

fn data(bytes: usize) -> Bytes {
    vec![b' '; bytes].into()
}

fn nodes(count: usize, each: usize) -> Seen<Members> {
    Seen::Present((0..count).map(|number| (name(number), Ok(NodeContent::ephemeral(data(each))))).collect())
}

fn put(key: &str, number: usize, each: usize) -> Change {
    Change::Put { key: Some(Arc::from(key)), name: name(number), reading: Ok(NodeContent::ephemeral(data(each))) }
}

fn left(key: &str, number: usize) -> Change {
    Change::Removed { key: Some(Arc::from(key)), name: name(number) }
}

fn change(bench: &mut Bench, changes: Vec<Change>) {
    bench.registry_update(Update::Changed { subject: services(), changes, versions: Versions::new() });
}

fn counts(bench: &mut Bench) -> Vec<(String, usize)> {
    let found = names_by_key(&bench.publish(Outcome::Replaced), "all");
    found.into_iter().map(|(key, names)| (key, names.len())).collect()
}

/// Whichever way it becomes too large, and whichever way it shrinks again.
#[test]
fn a_too_large_path_is_held_until_it_is_smaller() {
    for (most, each, words) in [(10_000, 0, "10000 nodes"), (273, 60 * 1024, "16 MiB of data")] {
        for at_once in [true, false] {
            // Only the size of the data counts.
            let config = RosterConfig { payload: Format::HostPort.into(), ..roster("all", services()) };
            let mut bench = Bench::new(plan(vec![config], vec![], vec![template("t", &["all"], "")]));
            let both = |a| View::Keyed(Seen::Present([(Arc::from("a"), a), (Arc::from("b"), nodes(1, 0))].into()));
            bench.reset(&services(), both(nodes(most, each)));
            assert_eq!(counts(&mut bench), [("a".to_owned(), most), ("b".to_owned(), 1)], "that many are allowed");

            if at_once {
                bench.reset(&services(), both(nodes(most + 1, each)));
            } else {
                change(&mut bench, vec![put("a", most, each)]);
            }
            bench.pass(seconds(5));
            assert!(bench.publications.is_empty());
            assert_eq!(bench.holds(), [format!("/services/a is too large: it has more than {words}")]);

            // Further growth is not reported again, no timeout ends the hold, and the other key is published.
            change(&mut bench, vec![put("a", most + 1, each), put("b", 1, 0)]);
            bench.pass(seconds(3600));
            assert_eq!(counts(&mut bench), [("a".to_owned(), most), ("b".to_owned(), 2)]);
            assert_eq!(bench.holds().len(), 1);
            assert!(bench.roster("all").holds.iter().all(|held| !held.acceptable), "accept does not apply");

            if at_once {
                change(&mut bench, vec![left("a", 0), left("a", 1), left("a", 2)]);
            } else {
                bench.reset(&services(), both(nodes(most - 1, each)));
            }
            bench.pass(seconds(5));
            assert_eq!(counts(&mut bench)[0], ("a".to_owned(), most - 1));
            assert!(!bench.engine.rosters()["all"].is_held());
        }
    }
}
