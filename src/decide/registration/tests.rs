use super::super::service::Service;
use super::*;
use crate::config::{Check, ServiceConfig};
use crate::model::node_path::NodePath;
use crate::model::registration::NodeName;

fn at(seconds: u64) -> Moment {
    Moment::after_start(Duration::from_secs(seconds))
}

fn id(port: u16) -> NodeId {
    NodeId { directory: NodePath::parse("/s").unwrap(), name: NodeName::Fixed(format!("h:{port}")) }
}

fn spec(port: u16, data: &str) -> Arc<NodeSpec> {
    Arc::new(NodeSpec { id: id(port), data: data.as_bytes().into(), volatile: &[] })
}

/// What is wanted: the service and its port.
fn wants(all: &[(&str, u16)]) -> BTreeMap<NodeId, (Arc<str>, Want)> {
    all.iter().map(|(service, port)| (id(*port), (Arc::from(*service), Want::Registered(spec(*port, ""))))).collect()
}

/// Effects as text: `+1` writes the node of port 1, `-1` deletes it, events by their name.
fn shown(effects: &[NodeEffect]) -> String {
    let port = |id: &NodeId| id.to_string().replace("/s/h:", "");
    let one = |effect: &NodeEffect| match effect {
        NodeEffect::Write(spec) => format!("+{}", port(&spec.id)),
        NodeEffect::Delete(id) => format!("-{}", port(id)),
        NodeEffect::Emit(event) => event.kind().name.to_owned(),
    };
    effects.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Registrations with a session, in which nothing was written yet.
fn connected() -> Registrations {
    let mut all = Registrations::new([], at(0));
    all.connected(at(0), 7, false, at(0));
    all
}

#[test]
fn a_wanted_node_is_written_and_one_that_is_no_longer_wanted_is_deleted() {
    let mut all = Registrations::new([], at(0));
    assert_eq!(shown(&all.want(at(0), wants(&[("a", 1)]))), "", "there is no session");
    assert_eq!(shown(&all.connected(at(1), 7, false, at(1))), "+1");
    assert_eq!(shown(&all.want(at(1), wants(&[("a", 1)]))), "", "it is being written");
    assert_eq!(shown(&all.done(at(1), &id(1), Outcome::Created)), "registered");
    assert_eq!(shown(&all.want(at(2), BTreeMap::new())), "-1");
    assert_eq!(shown(&all.done(at(2), &id(1), Outcome::Deleted)), "deregistered");
    assert!(all.is_empty());
}

#[test]
fn what_changes_during_a_write_follows_it() {
    let mut all = connected();
    all.want(at(0), wants(&[("a", 1)]));
    assert_eq!(shown(&all.want(at(0), BTreeMap::new())), "");
    assert_eq!(shown(&all.done(at(0), &id(1), Outcome::Created)), "registered -1");
    assert_eq!(shown(&all.want(at(0), wants(&[("a", 1)]))), "");
    assert_eq!(shown(&all.done(at(0), &id(1), Outcome::Deleted)), "deregistered +1");
}

#[test]
fn the_old_node_stays_until_the_new_one_is_there() {
    let mut all = connected();
    all.want(at(0), wants(&[("a", 1)]));
    all.done(at(0), &id(1), Outcome::Created);
    assert_eq!(shown(&all.want(at(1), wants(&[("a", 2)]))), "+2");
    assert_eq!(shown(&all.want(at(1), wants(&[("a", 3)]))), "+3", "2 is being written");
    assert_eq!(shown(&all.done(at(1), &id(2), Outcome::Created)), "registered");
    assert_eq!(shown(&all.done(at(1), &id(3), Outcome::Created)), "registered -1 -2");
    // A node that another service takes over is not deleted.
    assert_eq!(shown(&all.want(at(2), wants(&[("b", 3)]))), "");
}

#[test]
fn the_nodes_of_an_earlier_process_stay_until_the_health_is_known() {
    let mut all = Registrations::new([(id(1), Arc::from("a")), (id(2), Arc::from("gone"))], at(0));
    assert_eq!(shown(&all.connected(at(0), 7, false, at(0))), "");
    let kept = BTreeMap::from([(id(1), (Arc::from("a"), Want::Kept))]);
    assert_eq!(shown(&all.want(at(0), kept)), "-2", "its service is no longer configured");
    assert_eq!(shown(&all.want(at(1), wants(&[("a", 1)]))), "+1");
    assert_eq!(shown(&all.done(at(1), &id(1), Outcome::Unchanged)), "registered");
}

#[test]
fn every_node_is_looked_at_again_with_a_new_connection() {
    let mut all = connected();
    all.want(at(0), wants(&[("a", 1), ("b", 2)]));
    all.done(at(0), &id(1), Outcome::Created);
    all.disconnected();
    assert_eq!(shown(&all.done(at(1), &id(2), Outcome::Lost)), "");
    assert_eq!(shown(&all.connected(at(2), 7, true, at(9))), "+1 +2");
    assert_eq!(shown(&all.done(at(2), &id(1), Outcome::Unchanged)), "", "it was registered all the time");
    assert_eq!(shown(&all.done(at(2), &id(2), Outcome::Unchanged)), "registered");
    // A new session begins a little later, so that a fleet does not write at once.
    all.disconnected();
    assert_eq!(shown(&all.connected(at(3), 8, false, at(4))), "");
    assert_eq!((all.next_wake(at(3)), shown(&all.tick(at(4)))), (Some(at(4)), "+1 +2".into()));
    assert_eq!(shown(&all.done(at(4), &id(1), Outcome::TakenOver(7))), "taken_over");
}

#[test]
fn the_node_of_another_client_is_told_once_and_registered_when_it_goes() {
    let mut all = connected();
    all.want(at(0), wants(&[("a", 1)]));
    assert_eq!(shown(&all.done(at(0), &id(1), Outcome::Foreign(99))), "foreign_node");
    assert_eq!(all.next_wake(at(0)), Some(at(300)), "its end is an event");
    assert_eq!(shown(&all.changed(at(5), &id(1))), "+1");
    assert_eq!(shown(&all.done(at(5), &id(1), Outcome::Foreign(99))), "");
    assert_eq!(shown(&all.changed(at(6), &id(1))), "+1");
    assert_eq!(shown(&all.done(at(6), &id(1), Outcome::Created)), "registered");
}

#[test]
fn the_event_of_an_own_write_is_no_dispute() {
    let mut all = connected();
    all.want(at(0), wants(&[("a", 1)]));
    all.done(at(0), &id(1), Outcome::Created);
    let other = BTreeMap::from([(id(1), (Arc::from("a"), Want::Registered(spec(1, "new"))))]);
    assert_eq!(shown(&all.want(at(1), other)), "+1");
    assert_eq!(shown(&all.changed(at(1), &id(1))), "");
    assert_eq!(shown(&all.done(at(1), &id(1), Outcome::Updated)), "registration_updated +1");
    assert_eq!(shown(&all.done(at(1), &id(1), Outcome::Unchanged)), "");
    // It may also be heard after the write is done.
    assert_eq!(shown(&all.changed(at(1), &id(1))), "+1");
    assert_eq!(shown(&all.done(at(1), &id(1), Outcome::Unchanged)), "");
}

#[test]
fn failures_are_told_once_and_retried_with_a_growing_pause() {
    let mut all = connected();
    all.want(at(0), wants(&[("a", 1)]));
    assert_eq!(shown(&all.done(at(0), &id(1), Outcome::Failed("no".into()))), "registration_failed");
    assert_eq!((all.next_wake(at(0)), shown(&all.tick(at(0)))), (Some(at(1)), String::new()));
    assert_eq!(shown(&all.tick(at(1))), "+1");
    assert_eq!(shown(&all.done(at(1), &id(1), Outcome::Failed("no".into()))), "");
    assert_eq!(all.next_wake(at(1)), Some(at(3)));
    assert_eq!(shown(&all.tick(at(3))), "+1");
    assert_eq!(shown(&all.done(at(3), &id(1), Outcome::Created)), "registered");
}

#[test]
fn a_node_that_another_client_changes_again_and_again_is_restored_less_and_less_often() {
    let mut all = connected();
    all.want(at(0), wants(&[("a", 1)]));
    all.done(at(0), &id(1), Outcome::Created);
    assert_eq!(shown(&all.changed(at(10), &id(1))), "+1");
    assert_eq!(shown(&all.done(at(10), &id(1), Outcome::Created)), "registration_disputed");
    assert_eq!(shown(&all.changed(at(20), &id(1))), "", "it waits");
    assert_eq!(all.next_wake(at(20)), Some(at(30)));
    assert_eq!(shown(&all.tick(at(30))), "+1");
    assert_eq!(shown(&all.done(at(30), &id(1), Outcome::Updated)), "", "it is told once");
    all.changed(at(40), &id(1));
    assert_eq!(all.next_wake(at(40)), Some(at(60)));
    all.tick(at(60));
    all.done(at(60), &id(1), Outcome::Created);
    // Left alone for long enough, the next change counts as the first.
    assert_eq!(shown(&all.changed(at(1000), &id(1))), "+1");
    assert_eq!(shown(&all.done(at(1000), &id(1), Outcome::Created)), "registration_disputed");
}

/// This many services.
fn many(count: u16) -> BTreeMap<NodeId, (Arc<str>, Want)> {
    let all: Vec<(String, u16)> = (0..count).map(|port| (format!("s{port}"), port)).collect();
    wants(&all.iter().map(|(name, port)| (&**name, *port)).collect::<Vec<_>>())
}

#[test]
fn a_bounded_number_of_writes_waits_for_the_registry() {
    let mut all = connected();
    let mut started = all.want(at(0), many(200)).len();
    for second in 1..10 {
        started += all.tick(at(second)).len();
    }
    assert_eq!(started, MAX_WRITES);
    let ids: Vec<NodeId> =
        all.nodes().iter().filter(|(_, it)| it.state != NodeState::Unknown).map(|(id, _)| id.clone()).collect();
    let next: usize =
        ids.iter().zip(10..).map(|(id, second)| all.done(at(second), id, Outcome::Created).len() - 1).sum();
    assert_eq!(next, MAX_WRITES, "each one that is done makes room");
}

#[test]
fn registrations_are_limited_and_deletions_are_not() {
    let mut all = connected();
    let mut now = at(0);
    let (mut times, mut effects) = (Vec::new(), all.want(now, many(200)));
    assert_eq!(effects.len(), BURST as usize);
    // Each write is done at once.
    while times.len() < 200 {
        for effect in std::mem::take(&mut effects) {
            if let NodeEffect::Write(spec) = effect {
                times.push(now);
                effects.extend(all.done(now, &spec.id, Outcome::Created));
            }
        }
        if let Some(wake) = all.next_wake(now) {
            assert!(wake > now, "it does not wake for nothing");
            now = wake;
            effects.extend(all.tick(now));
        }
    }
    let within = |time: Moment, from: Moment| time >= from && time.since(from) < Duration::from_secs(1);
    let busiest = times.iter().map(|from| times.iter().filter(|time| within(**time, *from)).count()).max().unwrap();
    assert!(busiest <= (REGISTRATIONS_PER_SECOND + BURST) as usize, "{busiest} in one second");
    assert_eq!(now.since(at(0)), Duration::from_millis(900), "200 services");
    assert_eq!(all.next_wake(now), None);
    let deleted = all.want(now, BTreeMap::new());
    assert_eq!(deleted.len(), MAX_WRITES, "clients wait for them");
}

/// Checks and nodes of services with different intervals, on a clock of their own.
struct Simulation {
    services: Vec<Service>,
    /// The check that runs for each service, and when it ends.
    running: Vec<Option<(u64, Moment)>>,
    starts: Vec<Vec<Moment>>,
    nodes: Registrations,
    now: Moment,
    random: fastrand::Rng,
}

impl Simulation {
    fn new(count: u16) -> Self {
        let service = |port: u16| {
            let path = NodePath::parse("/s").unwrap();
            let config = ServiceConfig::new(&port.to_string(), "default", path, port, Check::Tcp("a:1".into()));
            let interval = Duration::from_secs(5 + u64::from(port));
            Service::new(Arc::new(ServiceConfig { interval, fall: 1, ..config }), at(0))
        };
        Self {
            services: (1..=count).map(service).collect(),
            running: vec![None; usize::from(count)],
            starts: vec![Vec::new(); usize::from(count)],
            nodes: connected(),
            now: at(0),
            random: fastrand::Rng::with_seed(7),
        }
    }

    fn port(&self, index: usize) -> u16 {
        self.services[index].config().port
    }

    /// Runs until `end`. `passes` tells whether the check of a port passes; writes end as `answer` tells, if it does.
    /// Returns the writes and deletions.
    fn run(&mut self, end: Moment, passes: impl Fn(u16) -> bool, answer: impl Fn(u16) -> Option<Outcome>) -> String {
        let mut done = Vec::new();
        loop {
            for index in 0..self.services.len() {
                let (port, now) = (self.port(index), self.now);
                if let Some((number, _)) = self.running[index].take_if(|(_, ends)| *ends <= now) {
                    let result = if passes(port) { Ok(()) } else { Err("refused".to_owned()) };
                    self.services[index].checked(now, number, result, self.random.f64());
                }
                if let Some(number) = self.services[index].start_check(now) {
                    let takes = self.services[index].config().interval.mul_f64(0.5 * self.random.f64());
                    self.running[index] = Some((number, now + takes));
                    self.starts[index].push(now);
                }
            }
            let up = self.services.iter().filter(|service| service.is_up() == Some(true));
            let names: Vec<(String, u16)> = up.map(|it| (it.config().name.to_string(), it.config().port)).collect();
            let names: Vec<(&str, u16)> = names.iter().map(|(name, port)| (&**name, *port)).collect();
            let mut effects = self.nodes.want(self.now, wants(&names));
            while !effects.is_empty() {
                for effect in std::mem::take(&mut effects) {
                    let (is_write, id) = match &effect {
                        NodeEffect::Write(spec) => (true, spec.id.clone()),
                        NodeEffect::Delete(id) => (false, id.clone()),
                        NodeEffect::Emit(_) => continue,
                    };
                    let port = shown(std::slice::from_ref(&effect)).trim_matches(['+', '-']).parse().unwrap();
                    done.push(effect);
                    if let Some(outcome) = answer(port) {
                        let outcome = if is_write { outcome } else { Outcome::Deleted };
                        effects.extend(self.nodes.done(self.now, &id, outcome));
                    }
                }
            }
            let next = self.services.iter().filter_map(Service::next_check);
            let next = next.chain(self.running.iter().flatten().map(|(_, ends)| *ends));
            let next = next.chain(self.nodes.next_wake(self.now)).min().unwrap();
            if next > end {
                self.now = end;
                return shown(&done);
            }
            assert!(next > self.now, "it does not wake for nothing");
            self.now = next;
        }
    }
}

#[test]
fn an_hour_without_the_registry_delays_no_check_and_deregisters_nothing() {
    let mut all = Simulation::new(50);
    let created = |_| Some(Outcome::Created);
    // Port 50 is down at first.
    let first = all.run(at(100), |port| port != 50, created);
    assert!(first.split(' ').count() == 49 && !first.contains('-') && !first.contains("+50"), "{first}");
    // Frozen: no write ends, and after a while the connection is lost. 1 to 9 die, and 50 comes up.
    let passes = |port| port > 9;
    all.starts.iter_mut().for_each(Vec::clear);
    all.run(at(103), |port| port != 50, |_| None);
    let waiting = all.run(at(110), passes, |_| None);
    assert!(waiting.contains("-1"), "the deletion waits for the registry: {waiting}");
    all.nodes.disconnected();
    for text in waiting.split(' ') {
        let port = text.trim_matches(['+', '-']).parse().unwrap();
        all.nodes.done(all.now, &id(port), Outcome::Lost);
    }
    assert_eq!(all.run(at(3700), passes, created), "", "there is no connection");
    for (index, starts) in all.starts.iter().enumerate() {
        let interval = all.services[index].config().interval;
        let slowest = starts.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
        assert!(slowest <= interval.mul_f64(1.05), "{interval:?}: {slowest:?}");
        assert!(at(3700).since(*starts.last().unwrap()) <= interval.mul_f64(1.05), "they go on");
    }
    // Another session, because this one has expired.
    assert_eq!(shown(&all.nodes.connected(all.now, 8, false, all.now + Duration::from_millis(300))), "");
    let back = all.run(at(3701), passes, created);
    let mut writes: Vec<u16> = back.split(' ').filter_map(|it| it.strip_prefix('+')?.parse().ok()).collect();
    writes.sort_unstable();
    assert_eq!(writes, (10..=50).collect::<Vec<u16>>(), "exactly those that are up: {back}");
}
