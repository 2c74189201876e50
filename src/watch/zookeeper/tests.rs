//! Tests against a fake server that records requests and misbehaves on demand.

use std::collections::BTreeMap;

use tokio::time::{sleep, timeout};

use super::*;
use crate::config::RegistryUrl;
use crate::model::node_path::Subject;
use crate::model::registry_event::{Change, Seen, Unreachable, Update, View};
use crate::model::version::Versions;
use fake::Fake;

mod changes;
mod fake;
mod lost;
mod unreadable;

const LONG: Duration = Duration::from_secs(20);

/// Follows a registry and applies its updates.
struct Subscriber {
    events: mpsc::Receiver<RegistryEvent>,
    subjects: watch::Sender<Subjects>,
    views: BTreeMap<Subject, BTreeMap<String, String>>,
    versions: BTreeMap<Subject, Versions>,
    /// The updates received, in short.
    log: Vec<String>,
}

impl Subscriber {
    fn follow(fake: &Fake, paths: &[&str], change: impl FnOnce(&mut ZooKeeper)) -> Self {
        let url = RegistryUrl::ZooKeeper { servers: vec![fake.address.clone()], chroot: None, tls: false };
        let mut registry = ZooKeeper::new(RegistryConfig::new(url), StateAccess::None);
        registry.config.session_timeout = Duration::from_secs(3);
        change(&mut registry);
        let wanted: Subjects = paths.iter().map(|path| (Subject::parse(path).unwrap(), 0)).collect();
        let (subjects, asked) = watch::channel(wanted);
        let (out, events) = mpsc::channel(8);
        tokio::spawn(Arc::new(registry).follow(asked, out, CancellationToken::new()));
        let (views, versions) = (BTreeMap::new(), BTreeMap::new());
        Self { events, subjects, views, versions, log: Vec::new() }
    }

    /// Follows one more path.
    fn add(&self, path: &str) {
        self.subjects.send_modify(|wanted| {
            wanted.insert(Subject::parse(path).unwrap(), 1);
        });
    }

    async fn receive(&mut self) {
        let event = timeout(LONG, self.events.recv()).await.expect("an update in time").expect("the registry runs");
        match event.update {
            Update::Suspended => self.log.push("suspended".into()),
            Update::Connected => self.log.push("connected".into()),
            Update::Unreachable(Unreachable { reason, is_final }) => {
                self.log.push(format!("{}unreachable: {reason}", if is_final { "finally " } else { "" }));
            }
            Update::Reset { subject, view, versions } => {
                self.log.push(format!("reset {subject}"));
                let members = match view {
                    View::Members(Seen::Present(members)) => members,
                    View::Members(Seen::Absent) => {
                        self.log.push("absent".into());
                        BTreeMap::new()
                    }
                    View::Members(Seen::Unreadable(why)) => {
                        self.log.push(format!("unreadable: {why}"));
                        BTreeMap::new()
                    }
                    view => panic!("{view:?}"),
                };
                let members = members.iter().map(|(name, data)| (name.to_string(), text(data))).collect();
                self.views.insert(subject.clone(), members);
                self.versions.insert(subject, versions);
            }
            Update::Changed { subject, changes, versions } => {
                self.log.push(format!("update {subject}"));
                let view = self.views.get_mut(&subject).expect("a reset came before");
                for change in changes {
                    match change {
                        Change::Put { name, reading, .. } => {
                            view.insert(name.to_string(), text(&reading));
                        }
                        Change::Removed { name, .. } => {
                            view.remove(&*name);
                        }
                        change => panic!("{change:?}"),
                    }
                }
                self.versions.entry(subject).or_default().extend(versions);
            }
        }
    }

    /// Receives updates until a path has these members: `a=1 b=2`.
    async fn becomes(&mut self, path: &str, wanted: &str) {
        while self.members(path) != wanted {
            self.receive().await;
        }
    }

    fn members(&self, path: &str) -> String {
        let Some(view) = self.views.get(&Subject::parse(path).unwrap()) else { return "unknown".into() };
        view.iter().map(|(name, data)| format!("{name}={data}")).collect::<Vec<_>>().join(" ")
    }

    fn version(&self, path: &str) -> i64 {
        self.versions[&Subject::parse(path).unwrap()][""].0
    }

    /// Receives updates until the log has one with this text.
    async fn receives(&mut self, word: &str) {
        while !self.log.iter().any(|received| received.contains(word)) {
            self.receive().await;
        }
    }
}

fn text(reading: &crate::model::registry_event::Reading) -> String {
    reading.as_ref().map_or_else(ToString::to_string, |node| String::from_utf8_lossy(&node.data).into_owned())
}

/// Waits until the server has received this many requests of a kind, and a little longer: there must be no more.
async fn stays_at(fake: &Fake, op: i32, count: usize) {
    let reached = async {
        while fake.count(op) < count {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, reached).await.unwrap_or_else(|_| panic!("{:?}", fake.state().requests));
    sleep(Duration::from_millis(100)).await;
    assert_eq!(fake.count(op), count, "{:?}", fake.state().requests);
}
