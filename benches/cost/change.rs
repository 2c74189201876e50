//! One change among many members, written to one file or to many.

use std::path::Path;
use std::time::Duration;

use crate::confd;
use crate::harness::meter::{Meter, median, peak, percentile};
use crate::harness::scene::{Scene, State};
use crate::support::proxy::Proxy;
use crate::support::zookeeper::ZooKeeper;
use crate::table::{Table, mib, ms, times};

/// The measurements of each program.
pub const COLUMNS: [&str; 8] =
    ["members × templates", "", "median", "p99", "× floor", "CPU a change", "requests a change", "peak memory"];

/// The number of rounds for each program.
const TURNS: usize = 4;

/// Unmeasured changes at the start of each round.
const WARM_UP: usize = 6;

/// How many changes are measured, and for how many the requests are counted.
struct Counts {
    timed: usize,
    counted: usize,
}

fn counts(members: usize, templates: usize) -> Counts {
    match members * templates {
        1 => Counts { timed: 500, counted: 20 },
        2..=1000 => Counts { timed: 200, counted: 20 },
        1001..=20_000 => Counts { timed: 100, counted: 10 },
        _ => Counts { timed: 40, counted: 4 },
    }
}

/// Measures the bare program, rosterd, and confd if it is configured.
pub fn measure(zookeeper: &ZooKeeper, members: usize, templates: usize, confd: Option<&Path>, table: &mut Table) {
    let scene = Scene::new(zookeeper, members, templates);
    let counts = counts(members, templates);
    let what = format!("{members} × {templates}");
    let mut tell = |who: &str, latencies: &[Duration], floor: Duration, cost: [String; 3]| {
        let took = median(latencies);
        let head = [what.clone(), who.to_owned(), ms(took), ms(percentile(latencies, 99)), times(took, floor)];
        table.row(head.into_iter().chain(cost));
    };

    // In alternating rounds: the load of the machine changes over minutes, and should affect all programs equally.
    let (mut bare_times, mut bare_used) = (Vec::new(), Duration::ZERO);
    let (mut times, mut used, mut memory) = (Vec::new(), Duration::ZERO, 0.0_f64);
    let run = |address: &str| scene.site.start_with(&["--registry", &Scene::url(address), "run"]);
    for _ in 0..TURNS {
        let bare = scene.start_floor(zookeeper, "floor");
        bare_times.extend(scene.latencies("floor", counts.timed / TURNS));
        bare_used += bare.stop();

        let mut agent = run(&zookeeper.connect_string());
        scene.await_files("out", State::First);
        scene.latencies("out", WARM_UP);
        let meter = Meter::start(agent.pid());
        times.extend(scene.latencies("out", counts.timed / TURNS));
        used += meter.used();
        memory = memory.max(peak(agent.pid()));
        agent.stop();
    }
    let floor = median(&bare_times);
    tell("floor", &bare_times, floor, [ms(bare_used / count(bare_times.len())), "1.0".into(), String::new()]);
    let proxy = Proxy::to(&zookeeper.servers()[0]);
    let mut agent = run(&proxy.address());
    scene.await_files("out", State::First);
    let requests = requests(&scene, &proxy, "out", counts.counted);
    agent.stop();
    tell("rosterd", &times, floor, [ms(used / count(times.len())), requests, mib(memory)]);

    let Some(confd) = confd else {
        table.row([what, "confd".to_owned(), "not run".to_owned()].into_iter().chain(vec![String::new(); 5]));
        return;
    };
    let address = zookeeper.connect_string();
    let agent = confd::Confd::start(confd, &scene, &address);
    scene.await_files("confd", State::First);
    let meter = Meter::start(agent.pid());
    let times = scene.latencies("confd", counts.counted);
    let used = meter.used() / count(times.len());
    let memory = mib(peak(agent.pid()));
    drop(agent);
    let proxy = Proxy::to(&zookeeper.servers()[0]);
    let agent = confd::Confd::start(confd, &scene, &proxy.address());
    scene.await_files("confd", State::First);
    let requests = self::requests(&scene, &proxy, "confd", 2);
    drop(agent);
    tell("confd", &times, floor, [ms(used), requests, memory]);
}

/// The average number of requests for each change.
fn requests(scene: &Scene, proxy: &Proxy, folder: &str, changes: usize) -> String {
    scene.latencies(folder, 2);
    let before = proxy.requests();
    let changes = scene.latencies(folder, changes).len();
    format!("{:.1}", f64::from(count(proxy.requests() - before)) / f64::from(count(changes)))
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap()
}
