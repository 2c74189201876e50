//! Rollback with the engine and real files. In any order of events no file is lost, no failed version is written again,
//! and only confirmed versions are restored.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::act::files;
use crate::act::files::{Batch, CurrentConfig, Writer, publish, recover};
use crate::config::{Method, OnReloadFailure, Reload, TemplateConfig};
use crate::decide::{
    Failure, Group, Input, Outcome, Publication, ReloadJob, ReloadOutcome, Restoration, RunMode, SavedState, Stage,
    TemplatePlan,
};
use crate::error::Setback;
use crate::model::node_path::Subject;
use crate::state::journal::{Journal, ReloadRun};
use proptest::prelude::*;

use super::bench::{Bench as Files, is_again, mode, passes_again, set_mode, shell, staged_in};
use super::engine::{self, names, path, plan, present, roster, template};

/// Restores files. Returns the names of those that changed.
async fn restore(writer: &Writer, job: &Restoration) -> Result<BTreeSet<Arc<str>>, Setback> {
    files::restore(writer, job).await.map(|files| files.into_keys().collect())
}

/// The files: a unit with two reloads, one of which a single file shares, and a file that is never rolled back.
const ALL: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Their rosters.
const ROSTERS: [&str; 3] = ["web", "other", "third"];

fn subject(roster: &str) -> Subject {
    Subject::Members(path(&format!("/services/{roster}")))
}

fn planned(files: &Files, name: &str) -> TemplatePlan {
    let (needs, reload) = match name {
        "a" | "d" => ("web", "ra"),
        "b" => ("other", "rb"),
        "c" => ("third", ""),
        _ => ("other", "re"),
    };
    let mut planned = template(name, &[needs], reload);
    let config = Arc::make_mut(&mut planned.config);
    config.dest = files.path(name);
    config.unit = ["a", "b", "c"].contains(&name).then(|| "edge".into());
    if name != "e" {
        config.on_reload_failure = OnReloadFailure::Rollback;
    }
    planned
}

/// The content that a publication renders.
fn rendered(publication: &Publication) -> String {
    let roster = publication.template.name.to_string();
    let of = publication.snapshot.rosters.keys().next().unwrap();
    let members = names(publication, of);
    assert!(!members.is_empty(), "nothing is published below min");
    format!("{roster} {}\n", members.join(" "))
}

type Contents = BTreeMap<&'static str, Option<String>>;

#[derive(Debug, Clone)]
enum Op {
    /// The members of a roster change; there are always enough.
    Members(usize, u8),
    Pass(u64),
    /// The oldest group ends; which of its files fails its check, if any.
    Publish(Option<usize>),
    /// A reload ends.
    Reload(usize, bool),
    Restore,
    /// Another process changes a file, and that is noticed.
    Edit(usize),
    /// The agent is killed, and another one starts.
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0usize..3, 0u8..8).prop_map(|(roster, n)| Op::Members(roster, n)),
        4 => (0u64..8000).prop_map(Op::Pass),
        8 => proptest::option::weighted(0.15, 0usize..3).prop_map(Op::Publish),
        6 => (0usize..3, any::<bool>()).prop_map(|(at, well)| Op::Reload(at, well)),
        4 => Just(Op::Restore),
        1 => (0usize..5).prop_map(Op::Edit),
        1 => Just(Op::Restart),
    ]
}

/// A running reload.
struct Running {
    job: ReloadJob,
    mark: ReloadRun,
    began: Began,
}

/// The state when a reload began.
#[derive(Clone)]
struct Began {
    /// The content of the files.
    shown: Contents,
    /// The last change of each.
    changed: BTreeMap<&'static str, usize>,
    /// Files whose last change was not a rollback.
    published: BTreeSet<&'static str>,
}

struct World {
    files: Files,
    engine: engine::Bench,
    groups: Vec<Group>,
    running: Vec<Running>,
    views: BTreeMap<&'static str, Vec<&'static str>>,
    /// The number of changes, and the last of each file.
    changes: usize,
    /// The number of edits by another process, each with other content.
    edits: usize,
    changed: BTreeMap<&'static str, usize>,
    published: BTreeSet<&'static str>,
    owed: BTreeSet<&'static str>,
    /// All contents that the unit was meant to have as a whole.
    whole: BTreeSet<Contents>,
    /// The state at each reload's beginning, and the last confirmed change of each file.
    began: Vec<Began>,
    taken_up: BTreeSet<(&'static str, usize)>,
    /// The confirmed contents of the unit, and the last confirmed content of the single file.
    proven: BTreeSet<Contents>,
    last_proven: Contents,
    /// The contents of the unit and of the single file that failed and must not be written again.
    blocked: BTreeMap<bool, Contents>,
}

const UNIT: [&str; 3] = ["a", "b", "c"];

fn part(contents: &Contents, of_unit: bool) -> Contents {
    let own = |name: &&str| if of_unit { UNIT.contains(name) } else { *name == "d" };
    contents.iter().filter(|(name, _)| own(name)).map(|(name, text)| (*name, text.clone())).collect()
}

fn is_edited(contents: &Contents) -> bool {
    contents.values().flatten().any(|text| text.contains("by hand"))
}

impl World {
    async fn new() -> Self {
        let files = Files::new();
        let engine = Self::engine(&files, Vec::new());
        let mut world = Self {
            files,
            engine,
            groups: Vec::new(),
            running: Vec::new(),
            views: ROSTERS.into_iter().map(|name| (name, vec![])).collect(),
            changes: 0,
            edits: 0,
            changed: BTreeMap::new(),
            published: BTreeSet::new(),
            owed: BTreeSet::new(),
            whole: BTreeSet::new(),
            began: Vec::new(),
            taken_up: BTreeSet::new(),
            proven: BTreeSet::new(),
            last_proven: Contents::new(),
            blocked: BTreeMap::new(),
        };
        let nothing = world.contents();
        world.whole.insert(part(&nothing, true));
        world.proven.insert(part(&nothing, true));
        world.last_proven = part(&nothing, false);
        world.restart().await;
        world
    }

    fn engine(files: &Files, owed: Vec<TemplateConfig>) -> engine::Bench {
        let templates = ALL.map(|name| planned(files, name)).to_vec();
        let rosters = ROSTERS.map(|name| roster(name, subject(name))).to_vec();
        engine::Bench::owing(RunMode::Continuous, plan(rosters, vec![], templates), SavedState::new(), owed)
    }

    fn contents(&self) -> Contents {
        ALL.into_iter().map(|name| (name, fs::read_to_string(self.files.path(name)).ok())).collect()
    }

    /// Waits for all jobs of the file thread.
    async fn flush(&self) {
        let (tell, told) = tokio::sync::oneshot::channel::<()>();
        self.files.writer.in_order(move || drop(tell));
        told.await.unwrap_err();
    }

    async fn restart(&mut self) {
        (self.groups, self.running) = (Vec::new(), Vec::new());
        self.flush().await;
        self.files.writer = Writer::start().unwrap();
        let state = self.files.path("state");
        fs::create_dir_all(&state).unwrap();
        let templates = ALL.map(|name| planned(&self.files, name).config).to_vec();
        let owed = recover(&self.files.writer, &state, CurrentConfig { templates, files: Vec::new() }).await.unwrap();
        self.engine = Self::engine(&self.files, owed.iter().map(|it| TemplateConfig::clone(it)).collect());
        for (name, members) in self.views.clone() {
            if !members.is_empty() {
                self.engine.reset(&subject(name), present(&members));
            }
        }
        self.collect();
    }

    fn input(&mut self, input: Input) {
        self.engine.input(input);
        self.collect();
    }

    /// Collects the engine's effects.
    fn collect(&mut self) {
        let mut open: BTreeMap<_, _> = self.engine.publications.drain(..).map(|it| (it.id, it)).collect();
        for (unit, ids) in std::mem::take(&mut self.engine.groups) {
            let publications = ids.iter().filter_map(|id| open.remove(id)).collect();
            self.groups.push(Group { publications, unit });
        }
        for job in std::mem::take(&mut self.engine.reloads) {
            let mark = self.files.writer.begin_reload(job.templates.iter().map(Arc::as_ref));
            let (changed, published) = (self.changed.clone(), self.published.clone());
            self.running.push(Running { job, mark, began: Began { shown: self.contents(), changed, published } });
        }
    }

    async fn publish(&mut self, culprit: Option<usize>) {
        if self.groups.is_empty() {
            return;
        }
        let Group { publications, unit } = self.groups.remove(0);
        let before = self.contents();
        if unit.is_some() {
            let of = |it: &Publication| {
                (UNIT.into_iter().find(|name| **name == *it.template.name).unwrap(), Some(rendered(it)))
            };
            self.whole.insert(publications.iter().map(of).collect());
        }
        let (joint, seats) = Batch::new(publications.len(), unit, false, &self.files.stop);
        let files = &self.files;
        let bring = async |at: usize, publication: &Publication, seat| {
            let mut seat = Some(seat);
            let outcome = if culprit == Some(at) {
                Outcome::Failed(Failure::new(Stage::Check, "no"))
            } else {
                let bytes = rendered(publication).into_bytes();
                publish(&files.writer, &publication.template, bytes, &files.stop, &mut seat).await
            };
            if let Some(seat) = seat {
                seat.finish(&publication.template, &outcome);
            }
            outcome
        };
        let all = publications.iter().zip(seats).enumerate().map(|(at, (it, seat))| bring(at, it, seat));
        let all = futures_util::future::join_all(all);
        let (outcomes, ()) = tokio::join!(all, joint.commit(files.writer.clone()));
        self.note_changes(&before, true);
        for (publication, outcome) in publications.iter().zip(outcomes) {
            self.input(Input::Published(publication.id, outcome));
        }
    }

    fn note_changes(&mut self, before: &Contents, published: bool) {
        let now = self.contents();
        self.changes += 1;
        for name in ALL.into_iter().filter(|name| before[name] != now[name]) {
            self.changed.insert(name, self.changes);
            if published {
                self.published.insert(name)
            } else {
                self.published.remove(name)
            };
            if name != "c" {
                self.owed.insert(name);
            }
        }
    }

    fn end_reload(&mut self, at: usize, well: bool) {
        if self.running.is_empty() {
            return;
        }
        let Running { job, mark, began } = self.running.remove(at % self.running.len());
        let names = ALL.into_iter().filter(|name| job.templates.iter().any(|it| *it.name == **name));
        let names: BTreeSet<&str> = names.collect();
        if well {
            self.files.writer.reload_succeeded(mark);
            self.prove(&names, began);
        } else {
            drop(mark);
        }
        let ran = if well { ReloadOutcome::Succeeded } else { ReloadOutcome::Failed("line 7 is wrong".into()) };
        self.input(Input::Reloaded(job.reload, ran));
    }

    /// A reload of these files succeeded.
    fn prove(&mut self, names: &BTreeSet<&'static str>, began: Began) {
        let at = |began: &Began, name: &str| began.changed.get(name).copied().unwrap_or(0);
        for name in names {
            if at(&began, name) == self.changed.get(name).copied().unwrap_or(0) {
                self.owed.remove(name);
            }
            self.taken_up.insert((*name, at(&began, name)));
        }
        for of_unit in [true, false] {
            let own = part(&began.shown, of_unit);
            let is_other = |failed: &Contents| {
                let new = names.iter().filter(|name| began.published.contains(*name));
                new.into_iter().any(|name| failed.get(name).is_some_and(|text| *text != own[name]))
            };
            if self.blocked.get(&of_unit).is_some_and(is_other) {
                self.blocked.remove(&of_unit);
            }
        }
        if names.contains("d") {
            self.last_proven = part(&began.shown, false);
        }
        self.began.push(began);
        let is_proven = |it: &&Began| {
            ["a", "b"].into_iter().all(|name| at(it, name) == 0 || self.taken_up.contains(&(name, at(it, name))))
        };
        self.proven.extend(self.began.iter().filter(is_proven).map(|it| part(&it.shown, true)));
    }

    async fn restore(&mut self) {
        if self.engine.restorations.is_empty() {
            return;
        }
        let job = self.engine.restorations.remove(0);
        let before = self.contents();
        let back = restore(&self.files.writer, &job).await.unwrap();
        self.note_changes(&before, false);
        self.judge(&job, &back, &before);
        self.input(Input::Restored(job.id, Ok(back)));
    }

    /// Checks that the restored contents are the right ones.
    fn judge(&mut self, job: &Restoration, back: &BTreeSet<Arc<str>>, before: &Contents) {
        let now = self.contents();
        for of_unit in [true, false] {
            let (was, is) = (part(before, of_unit), part(&now, of_unit));
            let goes = is.keys().any(|name| back.contains(*name));
            assert!(goes || was == is, "a file that was not restored is unchanged");
            if !goes {
                continue;
            }
            let proven = if of_unit { self.proven.contains(&is) } else { self.last_proven == is };
            assert!(proven || is_edited(&is), "{is:?} was not confirmed: {:?} {:?}", self.proven, self.last_proven);
            if job.reload.is_some() {
                self.blocked.insert(of_unit, was);
            }
        }
    }

    async fn apply(&mut self, op: &Op) {
        match *op {
            Op::Members(at, n) => {
                // Few enough that no loss is held.
                let is_there = |(at, _): &(usize, &'static str)| n & (1 << at) != 0;
                let members = ["a:1", "b:1", "c:1"].into_iter().enumerate().filter(is_there);
                let members: Vec<_> = members.map(|(_, name)| name).collect();
                self.engine.reset(&subject(ROSTERS[at]), present(&members));
                self.views.insert(ROSTERS[at], members);
                self.collect();
            }
            Op::Pass(millis) => {
                self.engine.pass(Duration::from_millis(millis));
                self.collect();
            }
            Op::Publish(culprit) => self.publish(culprit).await,
            Op::Reload(at, well) => self.end_reload(at, well),
            Op::Restore => self.restore().await,
            Op::Edit(at) => {
                let (name, file) = (ALL[at], self.files.path(ALL[at]));
                if let Ok(before) = fs::read_to_string(&file) {
                    self.edits += 1;
                    fs::write(&file, format!("{name} by hand {}\n", self.edits)).unwrap();
                    self.input(Input::Drifted(name.into(), Some(format!("edited: {}", self.edits))));
                    self.quiet().await;
                    let text = fs::read_to_string(&file).unwrap_or_default();
                    let template = &self.engine.engine.templates()[name];
                    // A file that was corrected often waits before it is corrected again.
                    let waits = template.is_queued() || template.drift().is_some_and(|drift| drift.deferred.is_some());
                    // If the edited content was restored, because it was there when the file was corrected, it is the
                    // right one.
                    let is_gone_back_to = text == before;
                    assert!(waits || is_gone_back_to || !text.contains("by hand"), "{name} is not corrected");
                }
            }
            Op::Restart => self.restart().await,
        }
    }

    /// Does everything that is under way, except reloads.
    async fn quiet(&mut self) {
        while !self.groups.is_empty() || !self.engine.restorations.is_empty() {
            self.restore().await;
            self.publish(None).await;
        }
    }

    fn check(&self) {
        let now = self.contents();
        let unit = part(&now, true);
        assert!(is_edited(&unit) || self.whole.contains(&unit), "a part of the unit: {unit:?}");
        for of_unit in [true, false] {
            let failed = self.blocked.get(&of_unit);
            assert_ne!(Some(&part(&now, of_unit)), failed, "a failed version is written again");
        }
        for name in &self.owed {
            let owes = self.engine.engine.pending_reloads().values().any(|debt| debt.includes(&Arc::from(*name)));
            assert!(owes, "the pending reload of {name} is lost");
        }
    }
}

proptest! {
    #![proptest_config(crate::support::random::config(48, 1_000))]

    /// In any order: a unit is replaced as a whole, a failed version is not written again until another is confirmed, a
    /// restored version is a confirmed one, a pending reload stays pending, and in the end all files match the members.
    #[test]
    fn no_version_is_lost_and_none_that_failed_is_written_again(ops in proptest::collection::vec(op(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for op in &ops {
                world.apply(op).await;
                world.check();
            }
            for name in ROSTERS {
                world.engine.reset(&subject(name), present(&["end:1"]));
                world.views.insert(name, vec!["end:1"]);
            }
            for _ in 0..12 {
                world.apply(&Op::Pass(100_000)).await;
                world.quiet().await;
                while !world.running.is_empty() {
                    world.end_reload(0, true);
                    world.quiet().await;
                }
            }
            world.check();
            for (name, text) in world.contents() {
                assert_eq!(text, Some(format!("{name} end:1\n")));
            }
            assert!(world.engine.is_idle() && world.owed.is_empty());
            assert!(world.engine.engine.pending_reloads().values().all(|debt| !debt.is_pending()));
            world.flush().await;
            let journal = Journal::open(&world.files.path("state")).0;
            // A file without a reload is kept until its unit has one again.
            let left = journal.entries().filter(|entry| entry.dest != world.files.path("c") || entry.reload_template().is_some());
            let left: Vec<_> = left.map(|entry| entry.dest.clone()).collect();
            assert!(left.is_empty() && journal.blocked().is_empty(), "{left:?} {:?}", journal.blocked());
            assert!(fs::read_dir(world.files.path("state/saved")).map_or(0, Iterator::count) <= 1);
            assert_eq!(staged_in(world.files.directory.path()), [""; 0]);
        });
    }
}

/// A template with rollback and a reload.
fn going_back(files: &Files, name: &str) -> TemplateConfig {
    let reload = Some(Reload::Command(shell("reload")));
    TemplateConfig { reload, on_reload_failure: OnReloadFailure::Rollback, ..files.template(name) }
}

/// The agent of the directory starts, or the next one; the names of the templates with pending reloads.
async fn take_over(files: &mut Files, templates: &[TemplateConfig]) -> Vec<String> {
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    files.writer.in_order(move || drop(tell));
    told.await.unwrap_err();
    files.writer = Writer::start().unwrap();
    fs::create_dir_all(files.path("state")).unwrap();
    let templates = templates.iter().cloned().map(Arc::new).collect();
    let owed =
        recover(&files.writer, &files.path("state"), CurrentConfig { templates, files: Vec::new() }).await.unwrap();
    owed.iter().map(|template| template.name.to_string()).collect()
}

/// A restoration of these templates, because their reload failed or without a reload.
fn job(templates: &[TemplateConfig], failed: bool) -> Restoration {
    let templates: Vec<_> = templates.iter().cloned().map(Arc::new).collect();
    let reload = templates[0].reload.clone().filter(|_| failed);
    Restoration { id: 1, reload, templates, why: "line 7 is wrong".into() }
}

#[tokio::test]
async fn an_overwritten_file_is_rolled_back_with_its_unit_or_not_at_all() {
    const NAME: &str = "act::tests::rollback::an_overwritten_file_is_rolled_back_with_its_unit_or_not_at_all";
    if !is_again() {
        // The third and fourth truncation are those of the restored files, and the next ones undo them.
        for (torn, when) in [("no", "4"), ("yes", "4..5")] {
            let inject = format!("inject=ftruncate:error=EIO:when={when}");
            let traced = ["-e", "trace=ftruncate", "-e", &inject];
            let torn = format!("TORN={torn}");
            passes_again(NAME, &[&["env", &torn, "strace", "-f", "-qq", "-o", "/dev/null"], &traced[..]].concat());
        }
        return;
    }
    let mut files = Files::new();
    let mut templates = ["new", "renamed", "first", "second"].map(|name| going_back(&files, name));
    for template in &mut templates[2..] {
        template.placing.write = Method::InPlace;
    }
    // What is left of a longer file, if it is not truncated, shows that it is incomplete.
    let old = [None, Some("old"), Some("old"), Some("long ago")];
    for (template, text) in templates.iter().zip(old) {
        if let Some(text) = text {
            fs::write(&template.dest, text).unwrap();
        }
    }
    take_over(&mut files, &templates).await;
    for template in &templates {
        assert_eq!(files.publish(template, b"later").await, Outcome::Replaced);
    }
    let now =
        |files: &Files| ["new", "renamed", "first", "second"].map(|name| fs::read_to_string(files.path(name)).ok());
    let why = restore(&files.writer, &job(&templates, true)).await.unwrap_err().to_string();
    assert!(why.contains("truncate") && why.contains("second in place"), "{why}");
    let is_torn = std::env::var("TORN").unwrap() == "yes";
    let second = if is_torn { "laterago" } else { "later" };
    assert_eq!(now(&files), ["later", "later", "later", second].map(|text| Some(text.to_owned())));
    assert!(Journal::open(&files.path("state")).0.blocked().is_empty(), "the current content is not blocked");
    if is_torn {
        // The next agent finishes the file that could be neither restored nor written.
        assert_eq!(staged_in(files.directory.path()).len(), 1);
        assert_eq!(take_over(&mut files, &templates).await, ["first", "new", "renamed", "second"]);
        assert_eq!(now(&files), ["later", "later", "later", "long ago"].map(|text| Some(text.to_owned())));
    }
    assert_eq!(staged_in(files.directory.path()), [""; 0]);
    restore(&files.writer, &job(&templates, true)).await.unwrap();
    assert_eq!(now(&files), old.map(|text| text.map(str::to_owned)));
}

#[tokio::test]
async fn a_file_can_be_rolled_back_again_while_its_failed_version_is_blocked() {
    let mut files = Files::new();
    let templates = ["one", "new"].map(|name| going_back(&files, name));
    fs::write(files.path("one"), "old").unwrap();
    set_mode(&files.path("one"), 0o640);
    take_over(&mut files, &templates).await;
    for template in &templates {
        assert_eq!(files.publish(template, b"wrong").await, Outcome::Replaced);
    }
    assert_eq!(restore(&files.writer, &job(&templates, true)).await.unwrap().len(), 2);
    let noted = fs::read_to_string(files.path("state/journal")).unwrap();
    let back: Vec<_> = noted.lines().filter(|line| line.contains("\"back\":true")).collect();
    assert!(
        back.len() == 1 && back[0].contains("\"blocked\":[{"),
        "in one line, in case of a kill in between: {noted}"
    );
    files.writer.reload_succeeded(files.writer.begin_reload(&templates));
    for next in [false, true] {
        if next {
            assert_eq!(take_over(&mut files, &templates).await, [""; 0], "no reload is pending");
        }
        for template in &templates {
            let why = files.failure(template, b"wrong", Stage::Rollback).await;
            assert_eq!(why, "line 7 is wrong");
        }
        assert!(restore(&files.writer, &job(&templates, false)).await.unwrap().is_empty());
        fs::write(files.path("one"), "by hand").unwrap();
        set_mode(&files.path("one"), 0o600);
        fs::write(files.path("new"), "by hand").unwrap();
        let right = restore(&files.writer, &job(&templates, false)).await.unwrap();
        assert_eq!(right, BTreeSet::from(["one".into()]), "another process's file stays if none is restored");
        assert_eq!((fs::read_to_string(files.path("one")).unwrap().as_str(), mode(&files.path("one"))), ("old", 0o640));
        fs::remove_file(files.path("new")).unwrap();
        files.writer.reload_succeeded(files.writer.begin_reload(&templates));
    }
    // An explicit request writes it again, and then no copy is kept for that.
    files.writer.unblock(BTreeSet::from([files.path("one"), files.path("new")]));
    assert_eq!(files.publish(&templates[0], b"wrong").await, Outcome::Replaced);
    files.writer.reload_succeeded(files.writer.begin_reload(&templates));
    take_over(&mut files, &templates).await;
    let journal = Journal::open(&files.path("state")).0;
    assert!(journal.entries().next().is_none() && journal.blocked().is_empty());
    assert_eq!(fs::read_dir(files.path("state/saved")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_blocked_file_blocks_no_other_file_of_its_batch() {
    let mut files = Files::new();
    let (blocked, other) = (going_back(&files, "blocked"), files.template("other"));
    fs::write(&blocked.dest, "old").unwrap();
    let own = [blocked.clone()];
    take_over(&mut files, &own).await;
    assert_eq!(files.publish(&blocked, b"wrong").await, Outcome::Replaced);
    assert_eq!(restore(&files.writer, &job(&own, true)).await.unwrap().len(), 1);
    files.writer.reload_succeeded(files.writer.begin_reload(&own));
    // One batch: the file thread is blocked until both are queued.
    let (go, kept) = std::sync::mpsc::channel::<()>();
    files.writer.in_order(move || _ = kept.recv());
    let queued = async { drop(go) };
    let (first, second, ()) = tokio::join!(files.publish(&blocked, b"wrong"), files.publish(&other, b"new"), queued);
    assert!(matches!(first, Outcome::Failed(Failure { stage: Stage::Rollback, .. })), "{first:?}");
    assert_eq!(second, Outcome::Replaced);
}

#[tokio::test]
async fn an_unchanged_file_of_a_rolled_back_unit_can_be_corrected() {
    let mut files = Files::new();
    let templates = ["one", "two"].map(|name| TemplateConfig { unit: Some("edge".into()), ..going_back(&files, name) });
    for name in ["one", "two"] {
        fs::write(files.path(name), "old").unwrap();
    }
    take_over(&mut files, &templates).await;
    assert_eq!(files.publish(&templates[0], b"wrong").await, Outcome::Replaced);
    assert_eq!(restore(&files.writer, &job(&templates, true)).await.unwrap(), BTreeSet::from(["one".into()]));
    files.writer.reload_succeeded(files.writer.begin_reload(&templates));
    for next in [false, true] {
        if next {
            assert_eq!(take_over(&mut files, &templates).await, [""; 0], "no reload is pending");
        }
        fs::write(files.path("two"), "by hand").unwrap();
        let right = restore(&files.writer, &job(&templates, false)).await.unwrap();
        assert_eq!(right, BTreeSet::from(["two".into()]));
        assert_eq!(fs::read_to_string(files.path("two")).unwrap(), "old");
        files.writer.reload_succeeded(files.writer.begin_reload(&templates));
    }
    files.writer.unblock(BTreeSet::from([files.path("one")]));
    take_over(&mut files, &templates).await;
    assert!(Journal::open(&files.path("state")).0.entries().next().is_none());
}

#[tokio::test]
async fn a_failed_version_without_a_reload_is_not_written_again_but_may_be_removed() {
    let mut files = Files::new();
    let template = going_back(&files, "one");
    fs::write(files.path("one"), "old").unwrap();
    take_over(&mut files, std::slice::from_ref(&template)).await;
    assert_eq!(files.publish(&template, b"wrong").await, Outcome::Replaced);
    assert_eq!(restore(&files.writer, &job(std::slice::from_ref(&template), true)).await.unwrap().len(), 1);
    let quiet = TemplateConfig { reload: None, ..template.clone() };
    files.failure(&quiet, b"wrong", Stage::Rollback).await;
    // The key is gone, so the file is removed for good.
    let claim = Some(crate::state::owned_files::Claim::Written);
    assert_eq!(crate::act::files::remove(&files.writer, &template, claim, true, &files.stop).await, Outcome::Removed);
    assert!(restore(&files.writer, &job(&[template], true)).await.unwrap().is_empty());
    assert!(!files.path("one").exists());
}
