//! A path with many members, one of which joins and leaves, and the files that list them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use zookeeper_client::{Acls, CreateMode};

use super::file_watch::FileWatch;
use super::floor::Floor;
use super::site::{PATIENCE, Site};
use crate::support::client::Zk;
use crate::support::zookeeper::ZooKeeper;

/// The data of a member, initially and after a change.
pub const DATA: [&str; 2] = [r#"{"weight": 1}"#, r#"{"weight": 2}"#];

/// The member that changes. It sorts into the middle of the others.
const FICKLE: &str = "10.5.0.1:8080";

/// The template of the files.
const TEMPLATE: &str = "{% for m in web %}server {{ m.name }} weight {{ m.weight }}\n{% endfor %}";

/// The pause between two changes, so that each is measured separately. For changes in quick succession the agent waits
/// on purpose.
const REST: Duration = Duration::from_millis(25);

/// A path with members on a server, and a directory with a configuration for a number of files.
pub struct Scene {
    /// The directory of the agent. Its files are in `out`.
    pub site: Site,
    /// The absolute path on the server.
    pub top: String,
    /// The client that makes the changes.
    pub client: Zk,
    /// The members that stay.
    pub others: Vec<String>,
    names: Vec<String>,
}

/// The two states of the changing member: present or absent, or present with other data if it is the only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    First,
    Second,
}

impl State {
    pub const BOTH: [Self; 2] = [Self::Second, Self::First];
}

impl Scene {
    /// This many members, and this many templates that each list all of them.
    pub fn new(zookeeper: &ZooKeeper, members: usize, templates: usize) -> Self {
        Self::with_wait(zookeeper, members, templates, "0s:0s")
    }

    /// The same with another `wait`.
    pub fn with_wait(zookeeper: &ZooKeeper, members: usize, templates: usize, wait: &str) -> Self {
        let top = format!("{}/web", zookeeper.chroot());
        let client = zookeeper.client("");
        client.put(&top, b"");
        let others: Vec<String> =
            (1..members).map(|n| format!("10.{}.{}.{}:8080", n / 62_500 + n % 10, n / 250 % 250, n % 250)).collect();
        let nodes: Vec<_> = others.iter().map(|name| (format!("{top}/{name}"), DATA[0].into())).collect();
        client.put_all(&nodes);
        client.put(&format!("{top}/{FICKLE}"), DATA[0].as_bytes());
        let names: Vec<String> = (0..templates).map(|n| format!("{n}.cfg")).collect();
        let mut config = format!("[[roster]]\nname = \"web\"\npath = \"{top}\"\nwait = \"{wait}\"\n");
        for name in &names {
            write!(config, "\n[[template]]\nsrc = \"list.tera\"\ndest = \"out/{name}\"\n").unwrap();
        }
        let site = Site::new(&config);
        site.file("templates/list.tera", TEMPLATE);
        Self { site, top, client, others, names }
    }

    /// The content of the files in a state.
    pub fn bytes(&self, state: State) -> Vec<u8> {
        let mut members: Vec<(&str, u8)> = self.others.iter().map(|name| (name.as_str(), 1)).collect();
        match state {
            State::First => members.push((FICKLE, 1)),
            State::Second if self.others.is_empty() => members.push((FICKLE, 2)),
            State::Second => {}
        }
        members.sort_unstable();
        members
            .iter()
            .fold(String::new(), |text, (name, weight)| text + &format!("server {name} weight {weight}\n"))
            .into()
    }

    /// Changes to a state, and waits until the server has acknowledged that.
    pub fn change(&self, state: State) {
        let path = format!("{}/{FICKLE}", self.top);
        let is_alone = self.others.is_empty();
        self.client.run(move |client| async move {
            let anyone = CreateMode::Persistent.with_acls(Acls::anyone_all());
            match state {
                State::First if is_alone => client.set_data(&path, DATA[0].as_bytes(), None).await.map(|_| ()),
                State::Second if is_alone => client.set_data(&path, DATA[1].as_bytes(), None).await.map(|_| ()),
                State::First => client.create(&path, DATA[0].as_bytes(), &anyone).await.map(|_| ()),
                State::Second => client.delete(&path, None).await,
            }
            .unwrap();
        });
    }

    /// Waits until the files in this directory have the right content.
    pub fn await_files(&self, folder: &str, state: State) -> Instant {
        let watch = FileWatch::on(&self.site.path(folder));
        let seen = watch.sees(&self.names, &self.bytes(state), PATIENCE * 3);
        seen.unwrap_or_else(|| panic!("the files in {folder} are not right"))
    }

    /// Makes this many changes, there and back, each a pause after the files show the previous one. Returns for each
    /// the time from before the request until the last file shows it.
    pub fn latencies(&self, folder: &str, changes: usize) -> Vec<Duration> {
        let watch = FileWatch::on(&self.site.path(folder));
        let states = State::BOTH.map(|state| (state, self.bytes(state)));
        let time = |(state, bytes): &(State, Vec<u8>)| {
            std::thread::sleep(REST);
            let began = Instant::now();
            self.change(*state);
            let seen = watch.sees(&self.names, bytes, PATIENCE * 3).unwrap_or_else(|| panic!("{state:?} is not shown"));
            seen - began
        };
        states.iter().cycle().take(changes.next_multiple_of(2)).map(time).collect()
    }

    /// This many paths with three members each, and one file with a line for each path.
    pub fn of_many_paths(zookeeper: &ZooKeeper, paths: usize) -> Site {
        let top = zookeeper.chroot();
        let client = zookeeper.client("");
        let path = |n: usize| format!("{top}/{n}");
        client.put_all(&(0..paths).map(|n| (path(n), Vec::new())).collect::<Vec<_>>());
        let member = |n: usize| (format!("{}/10.0.0.{}:80", path(n / 3), n % 3), DATA[0].into());
        client.put_all(&(0..paths * 3).map(member).collect::<Vec<_>>());
        let mut config = format!("[registry]\nurl = \"zk://{}\"\n", zookeeper.connect_string());
        for n in 0..paths {
            write!(config, "\n[[roster]]\nname = \"r{n}\"\npath = \"{}\"\n", path(n)).unwrap();
        }
        config.push_str("\n[[template]]\nsrc = \"all.tera\"\ndest = \"out/all\"\n");
        let site = Site::new(&config);
        site.file(
            "templates/all.tera",
            "{% for name, members in rosters %}{{ name }} {{ members | length }}\n{% endfor %}",
        );
        site
    }

    /// Starts the bare program on the same path. It replaces the same files in its own directory.
    pub fn start_floor(&self, zookeeper: &ZooKeeper, folder: &str) -> Floor {
        let path = self.site.path(folder);
        std::fs::create_dir_all(&path).unwrap();
        let bytes = [State::First, State::Second].map(|state| self.bytes(state));
        Floor::start(&zookeeper.servers()[0], &self.top, DATA[0].as_bytes(), bytes, path, self.names.clone())
    }

    /// The names of the files.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The URL of the registry at this address, for `--registry`.
    pub fn url(address: &str) -> String {
        format!("zk://{address}")
    }
}
