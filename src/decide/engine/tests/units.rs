//! Units are published completely or not at all, and reloads stay pending until they succeed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::decide::{Failure, Input, Outcome, ReloadOutcome, RunMode, SavedState, Stage, TemplatePlan};
use crate::model::node_path::Subject;
use proptest::prelude::*;

use super::harness::{Bench, path, plan, present, put, roster, seconds, template, web};

fn other() -> Subject {
    Subject::Members(path("/services/other"))
}

/// A template of the unit "edge".
fn of_edge(name: &str, needs: &[&str], reload: &str) -> TemplatePlan {
    let mut planned = template(name, needs, reload);
    Arc::make_mut(&mut planned.config).unit = Some("edge".into());
    planned
}

/// Three templates of a unit over two rosters, and one without a unit.
fn bench() -> Bench {
    let templates = vec![
        of_edge("a", &["web"], "ra"),
        of_edge("b", &["web"], "rb"),
        of_edge("c", &["other"], "ra"),
        template("alone", &["web"], "ra"),
    ];
    Bench::new(plan(vec![roster("web", web()), roster("other", other())], vec![], templates))
}

fn failed(stage: Stage) -> Outcome {
    Outcome::Failed(Failure::new(stage, "no"))
}

/// Answers every open publication: the named template with `outcome`, the others of its unit accordingly.
fn answer(bench: &mut Bench, culprit: &str, stage: Stage) {
    for publication in std::mem::take(&mut bench.publications) {
        let own = &*publication.template.name == culprit;
        let outcome = match (own, publication.template.unit.is_some()) {
            (true, _) => failed(stage),
            (false, true) => failed(Stage::Unit),
            (false, false) => Outcome::Replaced,
        };
        bench.input(Input::Published(publication.id, outcome));
    }
}

fn begun(bench: &Bench) -> Vec<&str> {
    bench.publications.iter().map(|publication| &*publication.template.name).collect()
}

#[test]
fn a_unit_waits_for_all_views_and_is_published_as_a_whole() {
    let mut bench = bench();
    bench.reset(&web(), present(&["a:1"]));
    assert_eq!(begun(&bench), ["alone"], "c has no good view yet");
    bench.reset(&other(), present(&["x:1"]));
    assert_eq!(begun(&bench), ["alone", "a", "b", "c"]);
    let units: Vec<_> = bench.groups.iter().map(|(unit, ids)| (unit.as_deref(), ids.len())).collect();
    assert_eq!(units, [(None, 1), (Some("edge"), 3)]);
}

#[test]
fn a_change_publishes_its_unit_and_nothing_else() {
    let mut bench = bench();
    bench.reset(&web(), present(&["a:1"]));
    bench.reset(&other(), present(&["x:1"]));
    while !bench.publications.is_empty() {
        bench.publish(Outcome::Unchanged);
    }
    bench.reset(&other(), present(&["x:1", "y:1"]));
    bench.pass(seconds(1));
    assert_eq!(begun(&bench), ["a", "b", "c"]);
    bench.reset(&other(), present(&["x:1", "y:1", "z:1"]));
    bench.pass(seconds(1));
    bench.publish(Outcome::Unchanged);
    bench.publish(Outcome::Unchanged);
    assert_eq!(begun(&bench), ["c"], "the next one waits for the end of this one");
    bench.publish(Outcome::Unchanged);
    assert_eq!(begun(&bench), ["a", "b", "c"]);
}

#[test]
fn a_retried_template_publishes_its_unit() {
    for stage in [Stage::Check, Stage::Write, Stage::Render] {
        let mut bench = bench();
        bench.reset(&web(), present(&["a:1"]));
        bench.reset(&other(), present(&["x:1"]));
        answer(&mut bench, "b", stage);
        bench.fail_probes();
        while let Some(job) = bench.reloads.pop() {
            bench.input(Input::Reloaded(job.reload, ReloadOutcome::Succeeded));
        }
        bench.pass(seconds(20));
        if stage == Stage::Render {
            assert!(bench.is_idle(), "the same members would fail again");
            bench.change(vec![put("b:1")]);
            bench.pass(seconds(1));
            assert_eq!(&*bench.publish(Outcome::Unchanged).template.name, "alone");
        }
        assert_eq!(begun(&bench), ["a", "b", "c"], "{stage:?}");
        for _ in 0..3 {
            bench.publish(Outcome::Replaced);
        }
        bench.pass(seconds(10));
        let reloads: BTreeSet<String> = bench.reloads.iter().map(|job| job.reload.to_string()).collect();
        assert_eq!((bench.reloads.len(), reloads), (2, BTreeSet::from(["ra".into(), "rb".into()])), "each once");
    }
}

#[test]
fn a_unit_is_in_place_before_any_of_its_reloads_runs() {
    let mut bench = bench();
    bench.reset(&web(), present(&["a:1"]));
    bench.publish(Outcome::Unchanged);
    bench.reset(&other(), present(&["x:1"]));
    bench.publish(Outcome::Replaced);
    bench.publish(Outcome::Replaced);
    bench.pass(seconds(10));
    assert!(bench.reloads.is_empty(), "c is not in place, although rb is not its reload");
    bench.publish(Outcome::Replaced);
    assert_eq!(bench.reloads.len(), 2);
}

#[test]
fn a_requested_render_includes_the_unit() {
    let mut bench = bench();
    bench.reset(&web(), present(&["a:1"]));
    bench.reset(&other(), present(&["x:1"]));
    while !bench.publications.is_empty() {
        bench.publish(Outcome::Unchanged);
    }
    bench.input(Input::Render { templates: BTreeSet::from(["c".into()]), reload: false });
    assert_eq!(begun(&bench), ["a", "b", "c"]);
    for _ in 0..3 {
        bench.publish(Outcome::Replaced);
    }
    bench.pass(seconds(10));
    assert!(bench.reloads.is_empty(), "none was requested");
}

#[test]
fn templates_with_the_same_reload_are_published_together() {
    let templates = ["a", "b", "c", "d", "e"].map(|name| match name {
        "a" | "d" => template(name, &["web"], "x"),
        "b" => template(name, &["web"], "y"),
        _ => template(name, &["web"], ""),
    });
    let mut bench = Bench::new(plan(vec![roster("web", web())], vec![], templates.to_vec()));
    bench.reset(&web(), present(&["a:1"]));
    let of: BTreeMap<_, _> = bench.publications.iter().map(|it| (it.id, it.template.name.to_string())).collect();
    let groups: Vec<String> =
        bench.groups.iter().map(|(_, ids)| ids.iter().map(|id| of[id].as_str()).collect()).collect();
    assert_eq!(groups, ["ad", "b", "c", "e"]);
}

#[derive(Debug, Clone)]
enum Op {
    Web(u8),
    Other(u8),
    Pass(u64),
    /// Ends the unit's publications, one of which may fail.
    Unit(Option<usize>),
    Alone,
    Reloaded(bool),
    Configure,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => any::<u8>().prop_map(Op::Web),
        3 => any::<u8>().prop_map(Op::Other),
        3 => (0u64..4000).prop_map(Op::Pass),
        4 => proptest::option::of(0usize..3).prop_map(Op::Unit),
        2 => Just(Op::Alone),
        3 => any::<bool>().prop_map(Op::Reloaded),
        1 => Just(Op::Configure),
    ]
}

/// The content of the unit's destinations.
struct World {
    bench: Bench,
    /// The snapshot in each template's file.
    files: BTreeMap<String, String>,
    /// The number of replacements so far.
    replacements: usize,
    /// Files that were replaced since their last successful reload, with the number of their last replacement.
    owed: BTreeMap<String, usize>,
    /// The number of replacements when each running reload started.
    began: BTreeMap<String, usize>,
}

impl World {
    fn new() -> Self {
        let (files, owed, began) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { bench: bench(), files, replacements: 0, owed, began }
    }

    fn shown(publication: &crate::decide::Publication) -> String {
        format!("{:?}", publication.snapshot)
    }

    fn end_unit(&mut self, culprit: Option<usize>) {
        let (unit, rest): (Vec<_>, Vec<_>) =
            self.bench.publications.drain(..).partition(|it| it.template.unit.is_some());
        self.bench.publications = rest;
        assert!(unit.is_empty() || unit.len() == 3, "a part of the unit is being published");
        for (at, publication) in unit.iter().enumerate() {
            let name = publication.template.name.to_string();
            let outcome = match culprit {
                Some(culprit) if culprit == at => failed(Stage::Check),
                Some(_) => failed(Stage::Unit),
                None if self.files.get(&name) == Some(&Self::shown(publication)) => Outcome::Unchanged,
                None => {
                    self.files.insert(name.clone(), Self::shown(publication));
                    self.replacements += 1;
                    self.owed.insert(name, self.replacements);
                    Outcome::Replaced
                }
            };
            self.bench.input(Input::Published(publication.id, outcome));
        }
    }

    fn apply(&mut self, op: &Op) {
        let view = |n: u8| present(&["a:1", "b:1", "c:1", "d:1"][..=usize::from(n % 3)]);
        match *op {
            Op::Web(n) => self.bench.reset(&web(), view(n)),
            Op::Other(n) => self.bench.reset(&other(), view(n)),
            Op::Pass(millis) => self.bench.pass(std::time::Duration::from_millis(millis)),
            Op::Unit(culprit) => self.end_unit(culprit),
            Op::Alone => {
                let alone = self.bench.publications.iter().position(|it| it.template.unit.is_none());
                if let Some(at) = alone {
                    let publication = self.bench.publications.remove(at);
                    self.bench.input(Input::Published(publication.id, Outcome::Unchanged));
                }
            }
            Op::Reloaded(well) => {
                if let Some(job) = self.bench.reloads.pop() {
                    let before = self.began.remove(&job.reload.to_string()).unwrap_or(0);
                    for template in job.templates.iter().filter(|_| well) {
                        if self.owed.get(&*template.name).is_some_and(|at| *at <= before) {
                            self.owed.remove(&*template.name);
                        }
                    }
                    let ran = if well { ReloadOutcome::Succeeded } else { ReloadOutcome::Failed("no".into()) };
                    self.bench.input(Input::Reloaded(job.reload, ran));
                }
            }
            Op::Configure => {
                let plans = self.bench.engine.templates().values().map(|it| it.plan().clone()).collect();
                let rosters = vec![roster("web", web()), roster("other", other())];
                self.bench.input(Input::Configured(plan(rosters, vec![], plans)));
            }
        }
        for job in &self.bench.reloads {
            self.began.entry(job.reload.to_string()).or_insert(self.replacements);
        }
    }
}

proptest! {
    #![proptest_config(crate::support::random::config(200, 10_000))]

    /// Whatever happens in between: a unit is published completely, from one moment, and its reloads are not lost.
    #[test]
    fn a_unit_is_all_or_nothing(ops in proptest::collection::vec(op(), 1..60)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
            let open = world.bench.publications.iter().filter(|it| it.template.unit.is_some()).count();
            prop_assert!(open == 0 || open == 3, "{open} of the unit are being published");
            for name in world.owed.keys() {
                let includes = world.bench.engine.pending_reloads().values().any(|pending| pending.includes(&Arc::from(name.as_str())));
                prop_assert!(includes, "the pending reload of {name} is lost");
            }
        }
        world.bench.reset(&web(), present(&["end:1"]));
        world.bench.reset(&other(), present(&["end:1"]));
        for _ in 0..10 {
            world.bench.pass(seconds(100));
            world.end_unit(None);
            world.apply(&Op::Alone);
            world.apply(&Op::Reloaded(true));
            world.apply(&Op::Reloaded(true));
        }
        prop_assert!(world.bench.is_idle() && world.files.values().all(|shown| shown.contains("end")), "{:?}", world.files);
        prop_assert!(world.bench.engine.pending_reloads().values().all(|pending| !pending.is_pending()));
    }
}

#[test]
fn a_single_pass_ignores_the_splay() {
    let mut planned = template("a", &["web"], "r");
    Arc::make_mut(&mut planned.config).splay = seconds(60);
    let plan = plan(vec![roster("web", web())], vec![], vec![planned]);
    for mode in [RunMode::Once { max_stale: None }, RunMode::Continuous] {
        let mut bench = Bench::in_mode(mode, plan.clone(), SavedState::new());
        bench.reset(&web(), present(&["a:1"]));
        bench.publish(Outcome::Replaced);
        assert!(bench.reloads.is_empty());
        bench.input(Input::Stopping);
        assert_eq!(bench.reloads.len(), 1, "{mode:?}");
    }
    let mut bench = Bench::new(plan);
    bench.reset(&web(), present(&["a:1"]));
    bench.publish(Outcome::Replaced);
    let due = bench.engine.next_wake().unwrap();
    assert!(due > bench.now && due < bench.now + seconds(60), "{due:?}");
    bench.pass(due.since(bench.now));
    assert_eq!(bench.reloads.len(), 1, "it runs after the interval");
}
