//! `pick = "spread"`: a change affects as few hosts as possible.

use std::collections::BTreeSet;

use crate::config::{AboveMax, Bounds, Guard, Pick};
use crate::decide::{Engine, Input, Outcome, Plan, RunMode};
use proptest::prelude::*;

use super::harness::{Bench, left, names, plan, present, put, roster, seconds, template, web};

const MAX: usize = 4;
const HOSTS: usize = 8;

#[derive(Debug, Clone)]
enum Op {
    Join(usize),
    Leave(usize),
    Resync,
    /// The agent is killed, and another one starts.
    Kill,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0usize..16).prop_map(Op::Join),
        4 => (0usize..16).prop_map(Op::Leave),
        1 => Just(Op::Resync),
        1 => Just(Op::Kill),
    ]
}

fn name(which: usize) -> String {
    format!("10.0.0.{which}:80")
}

fn spread() -> Plan {
    let mut config = roster("web", web());
    config.bounds = Bounds::new(0, Some(MAX), AboveMax::Cut).unwrap();
    config.guard = Guard { max_shrink_percent: 100, ..Guard::DEFAULT };
    config.pick = Pick::Spread;
    plan(vec![config], vec![], vec![template("a", &["web"], "")])
}

/// An agent on its own host, and the members in its file.
struct Agent {
    host: String,
    bench: Bench,
    taken: BTreeSet<String>,
    files: usize,
}

impl Agent {
    fn new(host: usize) -> Self {
        let bench = Bench::new(plan(vec![], vec![], vec![]));
        let mut agent = Self { host: format!("web{host}"), bench, taken: BTreeSet::new(), files: 0 };
        agent.begin();
        agent
    }

    fn begin(&mut self) {
        self.bench.engine = Engine::new(RunMode::Continuous, &self.host, self.bench.saved.clone());
        self.bench.publications.clear();
        self.bench.input(Input::Configured(spread()));
    }

    fn resync(&mut self, real: &BTreeSet<usize>) {
        let real: Vec<String> = real.iter().map(|which| name(*which)).collect();
        self.bench.reset(&web(), present(&real.iter().map(String::as_str).collect::<Vec<_>>()));
    }

    /// The members in the file once all changes have settled.
    fn settle(&mut self) {
        self.bench.pass(seconds(3));
        while !self.bench.publications.is_empty() {
            self.taken = names(&self.bench.publish(Outcome::Replaced), "web").into_iter().collect();
            self.files += 1;
        }
    }
}

proptest! {
    #![proptest_config(crate::support::random::config(150, 20_000))]

    #[test]
    fn a_change_moves_one_member_on_affected_hosts(
        first in prop::collection::btree_set(0usize..16, 0..16),
        ops in prop::collection::vec(op(), 1..30),
    ) {
        let mut real = first;
        let mut agents: Vec<Agent> = (0..HOSTS).map(Agent::new).collect();
        for agent in &mut agents {
            agent.resync(&real);
            agent.settle();
        }
        for op in ops {
            let before = real.clone();
            match op {
                Op::Join(which) => _ = real.insert(which),
                Op::Leave(which) => _ = real.remove(&which),
                Op::Resync | Op::Kill => {}
            }
            for agent in &mut agents {
                let (taken, files) = (agent.taken.clone(), agent.files);
                match op {
                    Op::Join(which) => agent.bench.change(vec![put(&name(which))]),
                    Op::Leave(which) => agent.bench.change(vec![left(&name(which))]),
                    Op::Resync => agent.resync(&real),
                    Op::Kill => {
                        agent.begin();
                        agent.resync(&real);
                    }
                }
                agent.settle();
                let (host, now) = (&agent.host, &agent.taken);
                prop_assert_eq!(now.len(), real.len().min(MAX), "{}", host);
                let gone: Vec<&String> = taken.difference(now).collect();
                let new: Vec<&String> = now.difference(&taken).collect();
                match op {
                    Op::Leave(which) if before.contains(&which) && taken.contains(&name(which)) => {
                        prop_assert_eq!(&gone, &[&name(which)], "{} was removed", host);
                        prop_assert_eq!(new.len(), usize::from(before.len() > MAX), "one member takes its slot: {:?}", new);
                    }
                    Op::Join(which) if !before.contains(&which) && now.contains(&name(which)) => {
                        prop_assert_eq!(&new, &[&name(which)], "{} was added", host);
                        prop_assert_eq!(gone.len(), usize::from(before.len() >= MAX), "one member is dropped for it: {:?}", gone);
                    }
                    Op::Join(_) | Op::Leave(_) => {
                        prop_assert!(gone.is_empty() && new.is_empty(), "{}: {:?} -> {:?}", host, taken, now);
                        prop_assert_eq!(agent.files, files, "{}: a member that is not picked causes no write", host);
                    }
                    Op::Resync | Op::Kill => prop_assert!(gone.is_empty() && new.is_empty(), "{}: {:?}", host, op),
                }
            }
        }
    }
}

/// With many hosts, each member serves its share of them, and removing it affects only that share.
#[test]
fn each_member_is_picked_by_its_share_of_hosts() {
    let real: BTreeSet<usize> = (0..16).collect();
    let mut agents: Vec<Agent> = (0..400).map(Agent::new).collect();
    let mut served = [0usize; 16];
    for agent in &mut agents {
        agent.resync(&real);
        agent.settle();
        real.iter().filter(|which| agent.taken.contains(&name(**which))).for_each(|which| served[*which] += 1);
    }
    // 400 hosts pick 4 of 16 members: 100 hosts for each, within a third.
    assert!(served.iter().all(|hosts| (67..=133).contains(hosts)), "{served:?}");
    let mut moved = 0;
    for agent in &mut agents {
        let before = agent.taken.clone();
        agent.bench.change(vec![left(&name(7))]);
        agent.settle();
        moved += usize::from(agent.taken != before);
    }
    assert_eq!(moved, served[7]);
}
