//! The registries that are followed: one task each, started, changed and stopped as the configuration says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch as channel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::RegistryConfig;
use crate::decide::{Event, Plan};
use crate::log::emit;
use crate::model::node_path::Subject;
use crate::model::registry_event::{News, RegistryEvent};
use crate::watch;
use crate::watch::{Keep, Registry, Wanted};

#[cfg(test)]
mod tests;

/// How many sightings may wait for the loop. A registry with more to say waits, and joins what comes meanwhile.
const QUEUE: usize = 8;

/// How long after a sudden end a registry is begun anew.
const RESTART: Duration = Duration::from_secs(1);

/// Sightings of every registry, and the tasks that they come from.
#[derive(Debug)]
pub struct Registries {
    running: BTreeMap<Arc<str>, Running>,
    next_generation: u64,
    out: mpsc::Sender<(u64, RegistryEvent)>,
    news: mpsc::Receiver<(u64, RegistryEvent)>,
    tasks: TaskTracker,
    keep: Keep,
}

#[derive(Debug)]
struct Running {
    config: Arc<RegistryConfig>,
    /// Tells this task's sightings from those of one that had the same name before.
    generation: u64,
    subjects: channel::Sender<Wanted>,
    /// How often the subjects changed: the number of those that came with the last change.
    changes: u64,
    stop: CancellationToken,
}

impl Running {
    fn follow(&mut self, wanted: &BTreeSet<Subject>) {
        self.changes += 1;
        let number = self.changes;
        self.subjects.send_if_modified(|known| {
            let count = known.len();
            known.retain(|subject, _| wanted.contains(subject));
            let mut differs = known.len() != count;
            for subject in wanted {
                known.entry(subject.clone()).or_insert_with(|| {
                    differs = true;
                    number
                });
            }
            differs
        });
    }
}

impl Registries {
    /// No registries. What they learn of themselves is kept as `keep` says.
    pub fn new(keep: Keep) -> Self {
        let (out, news) = mpsc::channel(QUEUE);
        Self { running: BTreeMap::new(), next_generation: 0, out, news, tasks: TaskTracker::new(), keep }
    }

    /// Follows just what the plan asks for. A registry that did not change keeps its session, a subject that did not
    /// change keeps its watch.
    pub fn follow(&mut self, configs: &[Arc<RegistryConfig>], plan: &Plan) {
        let wanted = subjects(plan);
        self.running.retain(|name, running| {
            let same = configs.contains(&running.config) && wanted.contains_key(name);
            if !same {
                running.stop.cancel();
            }
            same
        });
        for config in configs {
            let Some(wanted) = wanted.get(&config.name) else {
                continue;
            };
            if let Some(running) = self.running.get_mut(&config.name) {
                running.follow(wanted);
            } else {
                self.start(config, wanted);
            }
        }
    }

    fn start(&mut self, config: &Arc<RegistryConfig>, wanted: &BTreeSet<Subject>) {
        self.next_generation += 1;
        let generation = self.next_generation;
        let (subjects, asked) = channel::channel(wanted.iter().map(|subject| (subject.clone(), 0)).collect());
        let (tell, mut told) = mpsc::channel(1);
        let stop = CancellationToken::new();
        self.tasks.spawn(supervise(
            watch::open(config, &self.keep),
            Arc::clone(&config.name),
            asked,
            tell,
            stop.clone(),
        ));
        let out = self.out.clone();
        self.tasks.spawn(async move {
            while let Some(sighting) = told.recv().await {
                if out.send((generation, sighting)).await.is_err() {
                    return;
                }
            }
        });
        let running = Running { config: Arc::clone(config), generation, subjects, changes: 0, stop };
        self.running.insert(Arc::clone(&config.name), running);
    }

    /// The next news. What a registry that is no longer followed had still to say is left out.
    pub async fn next(&mut self) -> RegistryEvent {
        loop {
            // The queue never closes: `out` is here.
            let Some((generation, sighting)) = self.news.recv().await else {
                return std::future::pending().await;
            };
            if self.running.get(&sighting.registry).is_some_and(|running| running.generation == generation) {
                return sighting;
            }
        }
    }

    /// Closes every session, and waits until that is done.
    pub async fn close(mut self) {
        for running in self.running.values() {
            running.stop.cancel();
        }
        self.tasks.close();
        // Sightings are taken and left, so that no registry waits for room in the queue while it is to stop.
        tokio::select! {
            () = self.tasks.wait() => {}
            () = async { while self.news.recv().await.is_some() {} } => {}
        }
    }
}

/// Follows a registry for as long as it is wanted. One that ends unasked, which is a fault of this program, is said to
/// be away and begun anew: an agent that hears nothing must not believe that nothing changes.
async fn supervise(
    registry: Arc<dyn Registry>,
    name: Arc<str>,
    asked: channel::Receiver<Wanted>,
    tell: mpsc::Sender<RegistryEvent>,
    stop: CancellationToken,
) {
    loop {
        // A task of its own, so that a panic ends no more than it.
        let following = tokio::spawn(Arc::clone(&registry).follow(asked.clone(), tell.clone(), stop.clone()));
        let ended = following.await;
        if stop.is_cancelled() || tell.is_closed() {
            return;
        }
        let why = match ended {
            Ok(()) => "following it ended unasked".to_owned(),
            Err(why) => format!("following it broke off: {why}"),
        };
        emit(Event::RegistryRestarted { registry: Arc::clone(&name), reason: why.clone() });
        let away = RegistryEvent { registry: Arc::clone(&name), news: News::Away { why } };
        // Nobody may be listening any more; the next round finds that out.
        let _ = tell.send(away).await;
        if stop.run_until_cancelled(tokio::time::sleep(RESTART)).await.is_none() {
            return;
        }
    }
}

impl Default for Registries {
    /// None, which keep nothing.
    fn default() -> Self {
        Self::new(Keep::Nothing)
    }
}

fn subjects(plan: &Plan) -> BTreeMap<Arc<str>, BTreeSet<Subject>> {
    let mut wanted: BTreeMap<Arc<str>, BTreeSet<Subject>> = BTreeMap::new();
    for roster in &plan.rosters {
        wanted.entry(Arc::clone(&roster.config.registry)).or_default().insert(roster.config.subject.clone());
    }
    for key in &plan.keys {
        wanted.entry(Arc::clone(&key.config.registry)).or_default().insert(Subject::Node(key.config.path.clone()));
    }
    wanted
}
