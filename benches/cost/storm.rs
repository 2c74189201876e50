//! 10,000 changes a second for several seconds.

use std::time::{Duration, Instant};

use crate::harness::meter::{Meter, peak};
use crate::harness::scene::{DATA, Scene, State};
use crate::support::zookeeper::ZooKeeper;
use crate::table::{Table, mib, ms};

const MEMBERS: usize = 1000;
const TEMPLATES: usize = 20;
const SECONDS: u32 = 5;
/// The changes in one transaction, and the interval between transactions.
const AT_ONCE: usize = 500;
const EVERY: Duration = Duration::from_millis(50);

/// Measures rosterd.
pub fn measure(zookeeper: &ZooKeeper) -> Table {
    let scene = Scene::with_wait(zookeeper, MEMBERS, TEMPLATES, "200ms:2s");
    let mut agent = scene.site.start_with(&["--registry", &Scene::url(&zookeeper.connect_string()), "run"]);
    scene.await_files("out", State::First);
    let meter = Meter::start(agent.pid());
    let (began, rounds) = (Instant::now(), SECONDS * 20);
    for round in 0..rounds {
        change_many(&scene, DATA[usize::from(round % 2 == 0)]);
        std::thread::sleep((began + EVERY * (round + 1)).saturating_duration_since(Instant::now()));
    }
    let lasted = began.elapsed();
    let used = meter.used();
    let ended = Instant::now();
    scene.change(State::Second);
    let after = scene.await_files("out", State::Second) - ended;
    let changes = f64::from(rounds) * 500.0 / lasted.as_secs_f64();
    let mut table = Table::new(&["storm", "", "rosterd"]);
    let rows = [
        ("changes a second", format!("{changes:.0}")),
        ("lasted", ms(lasted)),
        ("CPU a second", ms(used.div_f64(lasted.as_secs_f64()))),
        ("files right after its end (wait is 200 ms)", ms(after)),
        ("peak memory", mib(peak(agent.pid()))),
    ];
    for (what, figure) in rows {
        table.row([what.to_owned(), format!("{MEMBERS} × {TEMPLATES}"), figure]);
    }
    agent.stop();
    table
}

/// Sets the data of many members in one transaction.
fn change_many(scene: &Scene, data: &'static str) {
    let paths: Vec<String> = scene.others.iter().take(AT_ONCE).map(|name| format!("{}/{name}", scene.top)).collect();
    scene.client.run(move |client| async move {
        let mut writer = client.new_multi_writer();
        for path in &paths {
            writer.add_set_data(path, data.as_bytes(), None).unwrap();
        }
        writer.commit().await.map(|_| ()).unwrap();
    });
}
