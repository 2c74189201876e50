//! Follows a registry as the agent does, and applies its updates.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::config::RegistryConfig;
use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{Members, NodeKind, Reading, Seen, Unreachable, Update, View};
use crate::watch::Subjects;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::LONG;
use crate::support::wait::eventually;

/// The applied updates of a registry. A change before the first reset is a fault, as is a change that changes nothing.
#[derive(Debug, Default)]
pub struct Received {
    pub views: BTreeMap<Subject, View>,
    pub resets: usize,
    pub updates: usize,
    pub suspensions: usize,
    pub unreachable_reasons: Vec<String>,
    pub is_unreachable: bool,
    pub faults: Vec<String>,
}

/// Follows a registry on its own thread.
pub struct Mirror {
    received: Arc<Mutex<Received>>,
    subjects: watch::Sender<Subjects>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// Parses a subject: `node /path` is a [`Subject::Node`], anything else the path of a roster.
pub fn subject(text: &str) -> Subject {
    match text.strip_prefix("node ") {
        Some(path) => Subject::Node(NodePath::parse(path).unwrap()),
        None => Subject::parse(text).unwrap(),
    }
}

fn subjects(texts: &[&str]) -> Subjects {
    texts.iter().map(|text| (subject(text), 0)).collect()
}

impl Mirror {
    /// Follows subjects.
    pub fn follow(config: &RegistryConfig, texts: &[&str]) -> Self {
        let received = Arc::new(Mutex::new(Received::default()));
        let (sender, receiver) = watch::channel(subjects(texts));
        let stop = CancellationToken::new();
        let registry = crate::watch::open(config, &crate::watch::StateAccess::None);
        let thread = std::thread::spawn({
            let (received, stop) = (Arc::clone(&received), stop.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async move {
                    let (out, mut events) = mpsc::channel(16);
                    let following = tokio::spawn(registry.follow(receiver, out, stop));
                    while let Some(event) = events.recv().await {
                        received.lock().unwrap().apply(event.update);
                    }
                    following.await.unwrap();
                });
            }
        });
        Self { received, subjects: sender, stop, thread: Some(thread) }
    }

    /// Changes the subjects.
    pub fn set_subjects(&self, texts: &[&str]) {
        self.subjects.send_replace(subjects(texts));
    }

    /// Reads what was received.
    pub fn received<T>(&self, read: impl FnOnce(&Received) -> T) -> T {
        read(&self.received.lock().unwrap())
    }

    /// The state of a subject in a line: `absent`, `unreadable: reason`, `a=1 b/=2` (b has children), `k:(a=1) l:absent`, or `unknown`.
    pub fn line(&self, text: &str) -> String {
        self.received(|received| received.views.get(&subject(text)).map_or_else(|| "unknown".into(), line))
    }

    /// Waits until the state of a subject is this line. Returns how long it took.
    #[track_caller]
    pub fn becomes(&self, text: &str, wanted: &str) -> Duration {
        let mut last = String::new();
        let began = std::time::Instant::now();
        while began.elapsed() < LONG {
            last = self.line(text);
            if last == wanted {
                return began.elapsed();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        last.truncate(300);
        panic!(
            "{text} is {last:?}, not {wanted:.300?}; received: {:?}",
            self.received(|received| (received.resets, received.unreachable_reasons.clone()))
        );
    }

    /// Waits until the registry is unreachable, and returns the reason.
    #[track_caller]
    pub fn becomes_unreachable(&self) -> String {
        eventually(LONG, "away", || self.received(|received| received.is_unreachable));
        self.received(|received| received.unreachable_reasons.last().cloned().unwrap())
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "following ended badly");
            assert_eq!(self.received(|received| received.faults.clone()), Vec::<String>::new());
        }
    }
}

impl Received {
    fn apply(&mut self, update: Update) {
        match update {
            Update::Suspended => self.suspensions += 1,
            Update::Connected => self.is_unreachable = false,
            Update::Unreachable(Unreachable { reason, .. }) => {
                self.is_unreachable = true;
                self.unreachable_reasons.push(reason);
            }
            Update::Reset { subject, view, .. } => {
                self.is_unreachable = false;
                self.resets += 1;
                self.views.insert(subject, view);
            }
            Update::Changed { subject, changes, .. } => {
                self.updates += 1;
                let Some(view) = self.views.get_mut(&subject) else {
                    self.faults.push(format!("update of {subject} before its reset"));
                    return;
                };
                for change in changes {
                    let before = view.clone();
                    view.apply(change.clone());
                    if *view == before {
                        self.faults.push(format!("{change:?} changes nothing in {before:?}"));
                    }
                }
            }
        }
    }
}

fn line(view: &View) -> String {
    match view {
        View::Members(seen) => seen_line(seen, members_line),
        View::Node(seen) | View::Mapped { data: seen, .. } => {
            seen_line(seen, |bytes| String::from_utf8_lossy(bytes).into_owned())
        }
        View::Keyed(seen) => seen_line(seen, |keys| {
            let keys = keys.iter().map(|(key, seen)| match seen {
                Seen::Present(members) => format!("{key}:({})", members_line(members)),
                seen => format!("{key}:{}", seen_line(seen, members_line)),
            });
            keys.collect::<Vec<_>>().join(" ")
        }),
    }
}

fn seen_line<T>(seen: &Seen<T>, present: impl FnOnce(&T) -> String) -> String {
    match seen {
        Seen::Absent => "absent".into(),
        Seen::Unreadable(reason) => format!("unreadable: {reason}"),
        Seen::Present(value) => present(value),
    }
}

fn members_line(members: &Members) -> String {
    let node = |name: &str, reading: &Reading| match reading {
        Ok(node) => {
            let parent = if node.kind == NodeKind::Parent { "/" } else { "" };
            format!("{name}{parent}={}", String::from_utf8_lossy(&node.data))
        }
        Err(reason) => format!("{name}=!{reason}"),
    };
    members.iter().map(|(name, reading)| node(name, reading)).collect::<Vec<_>>().join(" ")
}
