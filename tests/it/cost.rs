//! The cost of a change: requests, time, CPU, memory.
//!
//! The documented figures apply to a release build. `make prove` runs these tests on one. Other builds and busy
//! machines get wider bounds, which still distinguish a cost that depends on the change from one that depends on the
//! number of members.

use std::time::{Duration, Instant};

use crate::harness::floor;
use crate::harness::meter::{Meter, median, peak, resident};
use crate::harness::scene::{Scene, State};
use crate::harness::site::Site;
use crate::support::proxy::Proxy;
use crate::support::zookeeper::ZooKeeper;

/// Whether the documented figures apply: in a release build with nothing else running.
fn is_exact() -> bool {
    !cfg!(debug_assertions) && crate::support::random::count(false, true)
}

/// A documented bound, or this many times that.
fn bound(promised: Duration, times: u32) -> Duration {
    if is_exact() { promised } else { promised * times }
}

#[test]
fn a_change_among_a_thousand_members_in_twenty_files_is_fast() {
    let zookeeper = ZooKeeper::one();
    let scene = Scene::new(&zookeeper, 1000, 20);
    let mut agent = scene.site.start_with(&["--registry", &Scene::url(&zookeeper.connect_string()), "run"]);
    scene.await_files("out", State::First);
    scene.latencies("out", 4);
    let changes = if is_exact() { 40 } else { 10 };
    let meter = Meter::start(agent.pid());
    let times = scene.latencies("out", changes);
    let used = meter.used() / u32::try_from(changes).unwrap();

    let alone = scene.site.path("alone");
    std::fs::create_dir(&alone).unwrap();
    let bytes = scene.bytes(State::First);
    let writes: Vec<Duration> = (0..changes)
        .map(|_| {
            let began = Instant::now();
            floor::replace(&alone, scene.names(), &bytes).unwrap();
            began.elapsed()
        })
        .collect();
    let limit = Duration::from_millis(100).max(median(&writes) * 3 / 2);
    let (took, memory) = (median(&times), peak(agent.pid()));
    println!("{took:?} (writes alone {:?}), {used:?} of processor, {memory:.1} MiB", median(&writes));
    assert!(took <= bound(limit, 10), "{took:?}, but the limit is {limit:?}");
    assert!(used <= bound(Duration::from_millis(100), 10), "{used:?} of CPU time for each change");
    assert!(memory <= if is_exact() { 30.0 } else { 90.0 }, "{memory} MiB");
    assert!(agent.stop().success());
}

#[test]
fn a_change_needs_few_requests_for_any_number_of_members_and_templates() {
    let zookeeper = ZooKeeper::one();
    for (members, templates) in [(1, 1), (1000, 20)] {
        let scene = Scene::new(&zookeeper, members, templates);
        let proxy = Proxy::to(&zookeeper.servers()[0]);
        let agent = scene.site.start_with(&["--registry", &Scene::url(&proxy.address()), "run"]);
        scene.await_files("out", State::First);
        let before = proxy.requests();
        scene.latencies("out", 10);
        let requests = proxy.requests() - before;
        assert!((10..=40).contains(&requests), "{requests} for 10 changes of {members}:\n{}", agent.log().join("\n"));
    }
}

#[test]
fn one_member_in_one_file_is_as_fast_as_a_bare_program() {
    let zookeeper = ZooKeeper::one();
    let scene = Scene::new(&zookeeper, 1, 1);
    let (turns, changes) = if is_exact() { (5, 100) } else { (2, 30) };
    let (mut times, mut floor) = (Vec::new(), Vec::new());
    // In turns, so that other load on the machine slows both.
    for _ in 0..turns {
        let bare = scene.start_floor(&zookeeper, "floor");
        floor.extend(scene.latencies("floor", changes));
        bare.stop();
        let mut agent = scene.site.start_with(&["--registry", &Scene::url(&zookeeper.connect_string()), "run"]);
        scene.await_files("out", State::First);
        times.extend(scene.latencies("out", changes));
        assert!(agent.stop().success());
    }
    let (took, floor) = (median(&times), median(&floor));
    println!("{took:?}, floor {floor:?}");
    assert!(took <= bound(floor * 3 / 2, 10), "{took:?}, but a bare program takes {floor:?}");
}

#[test]
fn ten_thousand_members_are_read_in_a_second() {
    let zookeeper = ZooKeeper::one();
    let scene = Scene::new(&zookeeper, 10_000, 1);
    let began = Instant::now();
    floor::first_read(
        &zookeeper.servers()[0],
        &scene.top,
        &scene.bytes(State::First),
        &scene.site.path("out"),
        "floor",
    );
    let floor = began.elapsed();
    let began = Instant::now();
    let agent = scene.site.start_with(&["--registry", &Scene::url(&zookeeper.connect_string()), "run"]);
    let took = scene.await_files("out", State::First) - began;
    println!("{took:?} from the start of the process (floor {floor:?}), {:.1} MiB", peak(agent.pid()));
    assert!(took <= bound(Duration::from_secs(1), 15), "{took:?}");
}

#[test]
fn a_thousand_unchanged_paths_use_no_cpu() {
    let zookeeper = ZooKeeper::one();
    let paths = if is_exact() { 1000 } else { 200 };
    let site = Scene::of_many_paths(&zookeeper, paths);
    let agent = site.start();
    agent.until("the file", || site.read("out/all").lines().count() == paths);
    // It is idle once it has used no CPU for a while, and then stays idle.
    let rest = Duration::from_secs(if is_exact() { 60 } else { 3 });
    let limit = bound(Duration::from_millis(100), 3);
    Meter::rests(agent.pid(), Duration::from_millis(200), Duration::from_secs(30));
    let used = Meter::over(agent.pid(), rest);
    println!("{used:?} in {rest:?}, {:.1} MiB, at most {:.1}", resident(agent.pid()), peak(agent.pid()));
    assert!(used < limit, "{used:?} of CPU time in {rest:?}");
}

/// The highest resident memory of a process so far, in MiB; `None` once it has ended.
fn peak_of(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()? / 1024.0)
}

#[test]
fn a_cold_get_takes_at_most_three_times_a_bare_process_with_a_session() {
    let zookeeper = ZooKeeper::one();
    let client = zookeeper.client("");
    for number in 1..=10 {
        client.put(&format!("/services/web/10.0.0.{number}:80"), b"{\"weight\": 1}");
    }
    let site = Site::new("");
    let registry = format!("zk://{}", zookeeper.connect_string());
    let get = ["get", "/services/web", "--registry", &registry];
    let (mut times, mut starts, mut handshakes, mut floor) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // In turns, so that other load on the machine slows both.
    for _ in 0..if is_exact() { 100 } else { 5 } {
        // A program that does nothing else: its start, one TCP connection and one session.
        let began = Instant::now();
        assert!(std::process::Command::new("true").status().unwrap().success());
        starts.push(began.elapsed());
        handshakes.push(crate::harness::floor::handshake(&zookeeper.servers()[0]));
        floor.push(starts[starts.len() - 1] + handshakes[handshakes.len() - 1]);
        let began = Instant::now();
        site.run_without_config(&get).expect(0);
        times.push(began.elapsed());
    }
    // While it waits, it has read everything.
    let mut waiting = site.start_with(&[&get[..], &["--wait-for", "1000", "--timeout", "1s"]].concat());
    let mut memory = 0.0_f64;
    while waiting.is_running() {
        memory = peak_of(waiting.pid()).map_or(memory, |peak| peak.max(memory));
    }
    for (what, times) in [("get", &times), ("process", &starts), ("session", &handshakes), ("floor", &floor)] {
        println!("{what}: median {:?}, fastest {:?}", median(times), times.iter().min().unwrap());
    }
    println!("{memory:.1} MiB");
    let (took, floor) = (median(&times), median(&floor));
    assert!(took <= bound(floor * 3, 100), "{took:?}, but a process with a session takes {floor:?}");
    assert!(memory > 0.0 && memory <= if is_exact() { 15.0 } else { 90.0 }, "{memory} MiB");
}
