//! Against a server that counts what it is asked, and misbehaves on demand.

use std::collections::BTreeMap;

use tokio::time::{sleep, timeout};

use super::*;
use crate::config::RegistryUrl;
use crate::node::Subject;
use crate::sighting::{Change, News, Seen, Stamps, View, Zxid};
use fake::{ADD_WATCH, CHILDREN, DATA, EXISTS, Fake, MULTI_READ, SYNC};

mod fake;

const LONG: Duration = Duration::from_secs(20);

/// Somebody who listens to a registry, and applies what it says.
struct Listener {
    news: mpsc::Receiver<Sighting>,
    subjects: watch::Sender<Wanted>,
    views: BTreeMap<Subject, BTreeMap<String, String>>,
    stamps: BTreeMap<Subject, Stamps>,
    /// The news as they came, in a word each.
    words: Vec<String>,
}

impl Listener {
    fn follow(fake: &Fake, paths: &[&str], change: impl FnOnce(&mut ZooKeeper)) -> Self {
        let url = RegistryUrl::ZooKeeper { servers: vec![fake.address.clone()], chroot: None, tls: false };
        let mut registry = ZooKeeper::new(RegistryConfig::at(url), Keep::Nothing);
        registry.config.session_timeout = Duration::from_secs(3);
        change(&mut registry);
        let wanted: Wanted = paths.iter().map(|path| (Subject::roster(path).unwrap(), 0)).collect();
        let (subjects, asked) = watch::channel(wanted);
        let (out, news) = mpsc::channel(8);
        tokio::spawn(Arc::new(registry).follow(asked, out, CancellationToken::new()));
        let (views, stamps) = (BTreeMap::new(), BTreeMap::new());
        Self { news, subjects, views, stamps, words: Vec::new() }
    }

    /// Follows one more path from now on.
    fn also(&self, path: &str) {
        self.subjects.send_modify(|wanted| {
            wanted.insert(Subject::roster(path).unwrap(), 1);
        });
    }

    async fn hear(&mut self) {
        let sighting = timeout(LONG, self.news.recv()).await.expect("news").expect("it goes on");
        match sighting.news {
            News::Suspended => self.words.push("suspended".into()),
            News::Away { why } => self.words.push(format!("away: {why}")),
            News::Reset { subject, view, stamps } => {
                self.words.push(format!("reset {subject}"));
                let members = match view {
                    View::Members(Seen::Present(members)) => members,
                    View::Members(Seen::Absent) => {
                        self.words.push("absent".into());
                        BTreeMap::new()
                    }
                    View::Members(Seen::Unreadable(why)) => {
                        self.words.push(format!("unreadable: {why}"));
                        BTreeMap::new()
                    }
                    view => panic!("{view:?}"),
                };
                let members = members.iter().map(|(name, data)| (name.to_string(), text(data))).collect();
                self.views.insert(subject.clone(), members);
                self.stamps.insert(subject, stamps);
            }
            News::Update { subject, changes, stamps } => {
                self.words.push(format!("update {subject}"));
                let view = self.views.get_mut(&subject).expect("a reset came before");
                for change in changes {
                    match change {
                        Change::Put { name, reading, .. } => {
                            view.insert(name.to_string(), text(&reading));
                        }
                        Change::Left { name, .. } => {
                            view.remove(&*name);
                        }
                        change => panic!("{change:?}"),
                    }
                }
                self.stamps.entry(subject).or_default().extend(stamps);
            }
        }
    }

    /// Listens until a path's members are these: `a=1 b=2`.
    async fn becomes(&mut self, path: &str, wanted: &str) {
        while self.line(path) != wanted {
            self.hear().await;
        }
    }

    fn line(&self, path: &str) -> String {
        let Some(view) = self.views.get(&Subject::roster(path).unwrap()) else { return "unheard".into() };
        view.iter().map(|(name, data)| format!("{name}={data}")).collect::<Vec<_>>().join(" ")
    }

    fn stamp(&self, path: &str) -> i64 {
        self.stamps[&Subject::roster(path).unwrap()][""].0
    }

    /// Listens until a news of this kind comes.
    async fn until(&mut self, word: &str) {
        while !self.words.iter().any(|heard| heard.contains(word)) {
            self.hear().await;
        }
    }
}

fn text(reading: &crate::sighting::Reading) -> String {
    reading.as_ref().map_or_else(ToString::to_string, |data| String::from_utf8_lossy(data).into_owned())
}

/// Waits until the server has been asked for something as often as this, and for a little longer: then for no more.
async fn settles(fake: &Fake, op: i32, count: usize) {
    let reached = async {
        while fake.count(op) < count {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, reached).await.unwrap_or_else(|_| panic!("{:?}", fake.state().asked));
    sleep(Duration::from_millis(100)).await;
    assert_eq!(fake.count(op), count, "{:?}", fake.state().asked);
}

#[tokio::test]
async fn without_an_answer_to_sync_nothing_is_known() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.state().mute.insert(SYNC);
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.until("it does not answer: nothing for 3s").await;
    assert_eq!(listener.words.len(), 1, "{:?}", listener.words);
    assert_eq!((fake.count(CHILDREN), fake.count(MULTI_READ)), (0, 0), "{:?}", fake.state().asked);
    fake.state().mute.clear();
    listener.becomes("/s", "a=1").await;
    // The same on a connection that follows one that was good.
    fake.cut(|state| {
        state.mute.insert(SYNC);
        state.remove("/s/a", false);
    });
    listener.until("suspended").await;
    let heard = listener.words.len();
    listener.until("nothing for 3s").await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(listener.line("/s"), "a=1", "{:?}", &listener.words[heard..]);
    fake.state().mute.clear();
    listener.becomes("/s", "").await;
}

#[tokio::test]
async fn one_change_among_a_thousand_is_one_request() {
    let fake = Fake::start().await;
    for number in 0..1000 {
        fake.put(&format!("/s/m{number:03}"), "x");
    }
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.until("reset").await;
    assert_eq!(listener.stamp("/s"), fake.state().zxid);
    sleep(Duration::from_millis(50)).await;
    for round in 0..3 {
        fake.state().asked.clear();
        match round {
            0 => fake.put("/s/m500", "y"),
            1 => fake.put("/s/new", "1"),
            _ => fake.remove("/s/new"),
        }
        let heard = listener.words.len();
        listener.hear().await;
        assert_eq!(listener.words[heard..], ["update /s"]);
        sleep(Duration::from_millis(50)).await;
        // The node above, whose number of children and pzxid say that nothing was missed, and the one that changed.
        assert_eq!(fake.state().asked, [(MULTI_READ, "2".to_owned())]);
    }
    let zxid = fake.state().zxid;
    assert_eq!(listener.stamp("/s"), zxid, "as late as the last change of the names");
    fake.put("/s/m500", "z");
    listener.hear().await;
    assert_eq!(listener.stamp("/s"), zxid, "data changes it not");
    // A heavy node above is not read for it.
    fake.put("/s", &"x".repeat(5000));
    fake.put("/s/m500", "1");
    listener.hear().await;
    sleep(Duration::from_millis(50)).await;
    fake.state().asked.clear();
    fake.put("/s/m500", "2");
    listener.hear().await;
    let mut asked = fake.state().asked.clone();
    asked.sort();
    assert_eq!(asked, [(EXISTS, "/s".to_owned()), (MULTI_READ, "1".to_owned())]);
}

#[tokio::test]
async fn a_session_that_survived_is_verified_with_one_read_a_path() {
    let fake = Fake::start().await;
    for path in ["/a", "/b", "/c"] {
        for number in 0..50 {
            fake.put(&format!("{path}/m{number:02}"), "x");
        }
    }
    let mut listener = Listener::follow(&fake, &["/a", "/b", "/c"], |_| {});
    for path in ["/a", "/b", "/c"] {
        listener.until(&format!("reset {path}")).await;
    }
    sleep(Duration::from_millis(50)).await;
    listener.words.clear();
    fake.cut(|_| {});
    while listener.words.len() < 4 {
        listener.hear().await;
    }
    assert_eq!(listener.words[0], "suspended");
    assert!(listener.words.iter().all(|word| !word.contains("away")), "{:?}", listener.words);
    // The names of each, and one look at the data of each.
    settles(&fake, MULTI_READ, 3).await;
    let counts = [ADD_WATCH, SYNC, CHILDREN, EXISTS].map(|op| fake.count(op));
    assert_eq!(counts, [3, 1, 3, 0], "{:?}", fake.state().asked);
    assert_eq!(fake.count(DATA), 1, "the ensemble's own servers: {:?}", fake.state().asked);
}

#[tokio::test]
async fn what_changed_while_the_connection_was_lost_is_found() {
    let fake = Fake::start().await;
    for name in ["a", "b", "c"] {
        fake.put(&format!("/s/{name}"), "1");
    }
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.becomes("/s", "a=1 b=1 c=1").await;
    sleep(Duration::from_millis(50)).await;
    fake.cut(|state| {
        state.remove("/s/a", false);
        state.put("/s/b", "2", false);
        state.put("/s/d", "1", false);
        // With another node in its place, and the same name.
        state.remove("/s/c", false);
        state.put("/s/c", "2", false);
    });
    listener.words.clear();
    listener.becomes("/s", "b=2 c=2 d=1").await;
    assert_eq!(listener.words, ["suspended", "reset /s", "update /s"], "the names at once, the data after that");
    fake.cut(|state| state.remove("/s", false));
    listener.until("absent").await;
    assert_eq!(listener.stamp("/s"), fake.state().zxid, "by the answer that said so");
}

#[tokio::test]
async fn the_session_goes_on_at_another_server_and_nobody_is_told_of_an_outage() {
    let one = Fake::start().await;
    let servers = [one.clone(), one.another().await, one.another().await];
    one.put("/s/a", "0");
    let addresses: Vec<String> = servers.iter().map(|server| server.address.clone()).collect();
    let url = RegistryUrl::ZooKeeper { servers: addresses, chroot: None, tls: false };
    let mut listener = Listener::follow(&one, &["/s"], |registry| registry.config.url = url);
    listener.becomes("/s", "a=0").await;
    for round in 1..=3 {
        let data = round.to_string();
        one.cut(|state| {
            state.down = [state.last.clone()].into();
            state.put("/s/a", &data, false);
        });
        listener.becomes("/s", &format!("a={round}")).await;
    }
    assert_eq!(one.state().sessions(), 1);
    assert!(listener.words.iter().all(|word| !word.contains("away")), "{:?}", listener.words);
}

#[tokio::test]
async fn an_address_that_swallows_everything_does_not_eat_the_session() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    // It takes connections, and never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let servers = vec![silent.local_addr().unwrap().to_string(), fake.address.clone()];
    let url = RegistryUrl::ZooKeeper { servers, chroot: None, tls: false };
    let mut listener = Listener::follow(&fake, &["/s"], |registry| {
        registry.config.url = url;
        registry.config.session_timeout = Duration::from_secs(10);
    });
    listener.becomes("/s", "a=1").await;
    for round in 0..3 {
        fake.cut(|state| state.put("/s/a", &round.to_string(), false));
        let began = Instant::now();
        listener.becomes("/s", &format!("a={round}")).await;
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
    assert_eq!(fake.state().sessions(), 1);
}

#[tokio::test]
async fn a_session_that_is_over_is_said_and_everything_is_read() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.becomes("/s", "a=1").await;
    fake.cut(|state| {
        state.expire();
        state.put("/s/a", "2", false);
    });
    listener.words.clear();
    listener.becomes("/s", "a=2").await;
    assert_eq!(listener.words.len(), 3, "{:?}", listener.words);
    assert_eq!((&*listener.words[0], &*listener.words[2]), ("suspended", "reset /s"));
    assert!(listener.words[1].ends_with("it closed the connection; the session expired"), "{:?}", listener.words);
}

#[tokio::test]
async fn a_path_that_is_not_there_is_looked_for_once_after_a_reconnect() {
    let fake = Fake::start().await;
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.until("absent").await;
    sleep(Duration::from_millis(50)).await;
    listener.words.clear();
    fake.cut(|_| {});
    listener.until("absent").await;
    settles(&fake, EXISTS, 1).await;
}

#[tokio::test]
async fn what_was_read_under_another_session_is_never_told_again() {
    let fake = Fake::start().await;
    fake.put("/s/a", "old");
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.becomes("/s", "a=old").await;
    fake.cut(|state| {
        state.expire();
        state.put("/s/a", "new", false);
        state.hangs_up.insert(MULTI_READ);
    });
    // A new session is had, and its first connection breaks before anything is read.
    while fake.count(MULTI_READ) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    fake.state().hangs_up.clear();
    let heard = listener.words.len();
    listener.until("suspended").await;
    while !listener.words[heard..].contains(&"reset /s".to_owned()) {
        listener.hear().await;
    }
    assert_eq!(listener.line("/s"), "a=new", "{:?}", listener.words);
    assert_eq!(fake.state().sessions(), 2);
}

#[tokio::test]
async fn one_path_whose_sync_is_refused_does_not_end_the_connection() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.becomes("/s", "a=1").await;
    fake.put("/t/a", "1");
    // Throttled, once.
    fake.state().refuses.insert((SYNC, "/".into()), (-127, 1));
    listener.also("/t");
    listener.until("unreadable").await;
    assert!(listener.words.last().is_some_and(|word| word.contains("too much to do")), "{:?}", listener.words);
    listener.becomes("/t", "a=1").await;
    assert_eq!(fake.state().connections, 1, "{:?}", listener.words);
}

#[tokio::test]
async fn what_has_grown_too_large_unheard_is_neither_read_nor_told() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.becomes("/s", "a=1").await;
    let large = "x".repeat(1_000_000);
    fake.cut(|state| (0..60).for_each(|number| state.put(&format!("/s/m{number}"), &large, false)));
    listener.words.clear();
    while !listener.words.contains(&"reset /s".to_owned()) {
        listener.hear().await;
    }
    assert!(listener.words.last().is_some_and(|word| word.contains("too large")), "{:?}", listener.words);
    let nodes: usize = {
        let state = fake.state();
        state.asked.iter().filter(|(op, _)| *op == MULTI_READ).map(|(_, count)| count.parse::<usize>().unwrap()).sum()
    };
    assert!(nodes < 60, "{nodes}");
}

#[tokio::test]
async fn with_one_shot_watches_a_session_that_survived_is_read_once() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    let mut listener = Listener::follow(&fake, &["/s"], |registry| registry.config.watches = Watches::Oneshot);
    listener.becomes("/s", "a=1").await;
    sleep(Duration::from_millis(50)).await;
    fake.cut(|state| state.put("/s/a", "2", false));
    listener.becomes("/s", "a=2").await;
    settles(&fake, CHILDREN, 1).await;
}

#[tokio::test]
async fn a_number_of_children_that_does_not_fit_leads_to_a_new_listing() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.put("/s/b", "1");
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.becomes("/s", "a=1 b=1").await;
    sleep(Duration::from_millis(50)).await;
    fake.put_unheard("/s/hidden", "1");
    let before = listener.stamp("/s");
    fake.put("/s/a", "2");
    listener.becomes("/s", "a=2 b=1").await;
    assert_eq!(listener.stamp("/s"), before, "it is not as late as what was not seen");
    listener.becomes("/s", "a=2 b=1 hidden=1").await;
    assert_eq!(listener.stamp("/s"), fake.state().zxid - 1);
    fake.remove_unheard("/s/b");
    fake.put("/s/a", "3");
    listener.becomes("/s", "a=3 hidden=1").await;
    sleep(Duration::from_millis(50)).await;
    fake.state().asked.clear();
    fake.put("/s/a", "4");
    settles(&fake, MULTI_READ, 1).await;
    assert_eq!(fake.count(CHILDREN), 0);
}

#[tokio::test]
async fn what_no_event_tells_of_is_found_in_time_and_costs_a_request_a_path() {
    let fake = Fake::start().await;
    for number in 0..300 {
        fake.put(&format!("/s/m{number:03}"), "1");
    }
    let mut listener = Listener::follow(&fake, &["/s"], |registry| registry.reconcile = Duration::from_millis(300));
    listener.until("reset").await;
    sleep(Duration::from_millis(400)).await;
    fake.state().asked.clear();
    sleep(Duration::from_secs(1)).await;
    let asked = fake.state().asked.clone();
    assert!(
        (2..=5).contains(&asked.len()) && asked.iter().all(|asked| *asked == (MULTI_READ, "301".to_owned())),
        "{asked:?}"
    );
    assert_eq!(listener.words, ["reset /s"]);
    fake.put_unheard("/s/m007", "2");
    listener.until("update").await;
    assert!(listener.line("/s").contains("m007=2"));
    fake.remove_unheard("/s/m007");
    fake.put_unheard("/s/new", "1");
    while !listener.line("/s").ends_with("new=1") || listener.line("/s").contains("m007") {
        listener.hear().await;
    }
    fake.remove_unheard("/s");
    listener.until("absent").await;
}

#[tokio::test]
async fn a_storm_is_read_by_place_and_not_by_event() {
    let fake = Fake::start().await;
    for number in 0..10 {
        fake.put(&format!("/s/m{number}"), "0");
    }
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.until("reset").await;
    fake.state().asked.clear();
    let began = Instant::now();
    for change in 1..=10_000 {
        fake.put(&format!("/s/m{}", change % 10), &change.to_string());
        if change % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let wanted: Vec<String> = (0..10).map(|n| format!("m{n}={}", if n == 0 { 10_000 } else { 9990 + n })).collect();
    listener.becomes("/s", &wanted.join(" ")).await;
    // A reading may take two requests, and comes every 10 ms at most.
    let most = 2 * usize::try_from(began.elapsed().as_millis() / 10).unwrap() + 4;
    assert!(fake.count(MULTI_READ) <= most, "{} in {:?}", fake.count(MULTI_READ), began.elapsed());
}

#[tokio::test]
async fn what_is_too_large_is_not_listed() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.put("/t/a", "1");
    fake.state().claims.insert("/s".into(), 100_001);
    let mut listener = Listener::follow(&fake, &["/s", "/t"], |_| {});
    listener.until("unreadable: too large: more than 100000 nodes").await;
    listener.becomes("/t", "a=1").await;
    assert!(!fake.state().asked.contains(&(CHILDREN, "/s".to_owned())), "{:?}", fake.state().asked);
    assert_eq!(fake.state().connections, 1);
}

#[tokio::test]
async fn a_server_that_hangs_up_on_a_reading_is_not_stormed() {
    let fake = Fake::start().await;
    fake.put("/s/a", "1");
    fake.state().hangs_up.insert(MULTI_READ);
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.until("away").await;
    sleep(Duration::from_secs(2)).await;
    let connections = fake.state().connections;
    assert!((3..=6).contains(&connections), "{connections}");
    fake.state().hangs_up.clear();
    listener.becomes("/s", "a=1").await;
}

#[tokio::test]
async fn a_stamp_never_falls() {
    let fake = Fake::start().await;
    let mut listener = Listener::follow(&fake, &["/s"], |_| {});
    listener.until("absent").await;
    let mut last = listener.stamp("/s");
    assert_eq!(last, fake.state().zxid);
    for round in 0..200 {
        let name = format!("/s/m{}", fastrand::u8(..5));
        if fastrand::bool() {
            fake.put(&name, &round.to_string());
        } else if round % 50 == 0 {
            fake.cut(|_| {});
        } else if fake.state().has(&name) {
            fake.remove(if fastrand::u8(..10) == 0 { "/s" } else { &name });
        }
        if fastrand::u8(..4) == 0 {
            let _ = timeout(Duration::from_millis(20), listener.hear()).await;
            let now = listener.stamp("/s");
            assert!(Zxid(now) >= Zxid(last), "{now} after {last}: {:?}", listener.words);
            last = now;
        }
    }
}
