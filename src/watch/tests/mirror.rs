//! Follows a registry as the agent does, and keeps what it says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::config::RegistryConfig;
use crate::model::node_path::{NodePath, Subject};
use crate::model::registry_event::{Change, Members, Reading, Seen, Update, View};
use crate::watch::Subjects;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::LONG;
use crate::support::wait::eventually;

/// What a registry said, applied to what it said before. An update of something that was never whole is a fault, and
/// so is a change that changes nothing.
#[derive(Debug, Default)]
pub struct Said {
    pub views: BTreeMap<Subject, View>,
    pub resets: usize,
    pub updates: usize,
    pub suspensions: usize,
    pub aways: Vec<String>,
    pub is_away: bool,
    pub faults: Vec<String>,
}

/// A registry that is followed on a thread of its own.
pub struct Mirror {
    said: Arc<Mutex<Said>>,
    subjects: watch::Sender<Subjects>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// `node /path` is a [`Subject::Node`], all else is a roster's path.
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
    /// Follows these subjects.
    pub fn follow(config: &RegistryConfig, texts: &[&str]) -> Self {
        let said = Arc::new(Mutex::new(Said::default()));
        let (sender, receiver) = watch::channel(subjects(texts));
        let stop = CancellationToken::new();
        let registry = crate::watch::open(config, &crate::watch::StateAccess::None);
        let thread = std::thread::spawn({
            let (said, stop) = (Arc::clone(&said), stop.clone());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async move {
                    let (out, mut events) = mpsc::channel(16);
                    let following = tokio::spawn(registry.follow(receiver, out, stop));
                    while let Some(event) = events.recv().await {
                        said.lock().unwrap().hear(event.update);
                    }
                    following.await.unwrap();
                });
            }
        });
        Self { said, subjects: sender, stop, thread: Some(thread) }
    }

    /// Follows these subjects from now on.
    pub fn change(&self, texts: &[&str]) {
        self.subjects.send_replace(subjects(texts));
    }

    /// Looks at what was said.
    pub fn said<T>(&self, look: impl FnOnce(&Said) -> T) -> T {
        look(&self.said.lock().unwrap())
    }

    /// What a subject is, in a line: `absent`, `unreadable: why`, `a=1 b=2`, `k:(a=1) l:absent`, or `unheard`.
    pub fn line(&self, text: &str) -> String {
        self.said(|said| said.views.get(&subject(text)).map_or_else(|| "unheard".into(), line))
    }

    /// Waits until a subject is this line. Says how long it took.
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
            "{text} is {last:?}, not {wanted:.300?}; said: {:?}",
            self.said(|said| (said.resets, said.aways.clone()))
        );
    }

    /// Waits until the registry is said to be away, and gives why.
    #[track_caller]
    pub fn goes_away(&self) -> String {
        eventually(LONG, "away", || self.said(|said| said.is_away));
        self.said(|said| said.aways.last().cloned().unwrap())
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "following ended badly");
            assert_eq!(self.said(|said| said.faults.clone()), Vec::<String>::new());
        }
    }
}

impl Said {
    fn hear(&mut self, update: Update) {
        match update {
            Update::Suspended => self.suspensions += 1,
            Update::Unreachable { reason } => {
                self.is_away = true;
                self.aways.push(reason);
            }
            Update::Reset { subject, view, .. } => {
                self.is_away = false;
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
                    apply(view, change.clone());
                    if *view == before {
                        self.faults.push(format!("{change:?} changes nothing in {before:?}"));
                    }
                }
            }
        }
    }
}

fn apply(view: &mut View, change: Change) {
    match (view, change) {
        (View::Members(Seen::Present(members)), Change::Put { key: None, name, reading }) => {
            members.insert(name, reading);
        }
        (View::Members(Seen::Present(members)), Change::Removed { key: None, name }) => {
            members.remove(&name);
        }
        (View::Keyed(Seen::Present(keys)), Change::KeyPut { key, members }) => {
            keys.insert(key, members);
        }
        (View::Keyed(Seen::Present(keys)), Change::KeyRemoved { key }) => {
            keys.remove(&key);
        }
        (View::Keyed(Seen::Present(keys)), Change::Put { key: Some(key), name, reading }) => {
            if let Some(Seen::Present(members)) = keys.get_mut(&key) {
                members.insert(name, reading);
            }
        }
        (View::Keyed(Seen::Present(keys)), Change::Removed { key: Some(key), name }) => {
            if let Some(Seen::Present(members)) = keys.get_mut(&key) {
                members.remove(&name);
            }
        }
        _ => {}
    }
}

fn line(view: &View) -> String {
    match view {
        View::Members(seen) => seen_line(seen, members_line),
        View::Node(seen) => seen_line(seen, |bytes| String::from_utf8_lossy(bytes).into_owned()),
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
        Seen::Unreadable(why) => format!("unreadable: {why}"),
        Seen::Present(value) => present(value),
    }
}

fn members_line(members: &Members) -> String {
    let data = |reading: &Reading| match reading {
        Ok(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Err(why) => format!("!{why}"),
    };
    members.iter().map(|(name, reading)| format!("{name}={}", data(reading))).collect::<Vec<_>>().join(" ")
}
