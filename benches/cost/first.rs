//! The time from the start of the program to the first file, with 10,000 members.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::confd::Confd;
use crate::harness::floor;
use crate::harness::meter::{median, peak};
use crate::harness::scene::{Scene, State};
use crate::harness::usage::cpu;
use crate::support::zookeeper::ZooKeeper;
use crate::table::{Table, mib, ms, times};

const MEMBERS: usize = 10_000;
const ROUNDS: usize = 7;

/// Measures each program.
pub fn measure(zookeeper: &ZooKeeper, confd: Option<&Path>) -> Table {
    let mut table = Table::new(&["10,000 members", "", "median", "× floor", "CPU", "peak memory"]);
    let scene = Scene::new(zookeeper, MEMBERS, 1);
    let mut tell = |who: &str, took: &[Duration], floor: Duration, cost: [String; 2]| {
        let head = ["start → first file".to_owned(), who.to_owned(), ms(median(took)), times(median(took), floor)];
        table.row(head.into_iter().chain(cost));
    };
    let (address, bytes) = (zookeeper.connect_string(), scene.bytes(State::First));
    let folder = scene.site.path("floor");
    std::fs::create_dir(&folder).unwrap();
    let bare = |_| {
        let began = Instant::now();
        floor::first_read(&address, &scene.top, &bytes, &folder, "first");
        began.elapsed()
    };
    let took: Vec<Duration> = (0..ROUNDS).map(bare).collect();
    let floor = median(&took);
    tell("floor", &took, floor, [String::new(), String::new()]);

    let mut costs = Vec::new();
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        std::fs::remove_dir_all(scene.site.path("out")).unwrap();
        std::fs::create_dir(scene.site.path("out")).unwrap();
        let began = Instant::now();
        let mut agent = scene.site.start_with(&["--registry", &Scene::url(&address), "run"]);
        took.push(scene.await_files("out", State::First) - began);
        costs.push((cpu(agent.pid()), peak(agent.pid())));
        agent.stop();
    }
    let used: Vec<Duration> = costs.iter().map(|(used, _)| *used).collect();
    let memory = costs.iter().map(|(_, memory)| *memory).fold(0.0, f64::max);
    tell("rosterd", &took, floor, [ms(median(&used)), mib(memory)]);

    if let Some(confd) = confd {
        let began = Instant::now();
        let agent = Confd::start(confd, &scene, &address);
        let took = scene.await_files("confd", State::First) - began;
        tell("confd", &[took], floor, [ms(cpu(agent.pid())), mib(peak(agent.pid()))]);
    } else {
        table.row(["start → first file", "confd", "not run", "", "", ""].map(str::to_owned));
    }
    table
}
