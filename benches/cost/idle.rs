//! 1,000 watched paths without changes.

use std::time::Duration;

use crate::harness::meter::{Meter, peak, resident};
use crate::harness::scene::Scene;
use crate::harness::usage::cpu;
use crate::support::zookeeper::ZooKeeper;
use crate::table::{Table, mib, ms};

const PATHS: usize = 1000;
const REST: Duration = Duration::from_mins(1);

/// Measures rosterd.
pub fn measure(zookeeper: &ZooKeeper) -> Table {
    let site = Scene::of_many_paths(zookeeper, PATHS);
    let mut agent = site.start();
    agent.until("the file", || site.read("out/all").lines().count() == PATHS);
    let started = cpu(agent.pid());
    Meter::rests(agent.pid(), Duration::from_secs(1), Duration::from_mins(1));
    let used = Meter::over(agent.pid(), REST);
    let mut table = Table::new(&["1,000 paths of 3 members", "", "rosterd"]);
    let rows = [
        ("CPU until the first file", ms(started)),
        ("CPU in a minute at rest", ms(used)),
        ("memory at rest", mib(resident(agent.pid()))),
        ("peak memory", mib(peak(agent.pid()))),
    ];
    for (what, figure) in rows {
        table.row([what.to_owned(), String::new(), figure]);
    }
    agent.stop();
    table
}
