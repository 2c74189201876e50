//! Ten thousand changes a second: the file must be correct at the end.

use std::time::{Duration, Instant};

use zookeeper_client::{Acls, CreateMode};

use super::file_becomes;
use crate::ensemble::{CONFIG, site};
use crate::support::wait::holds;
use crate::support::zookeeper::{Zk, ZooKeeper};

const MEMBERS: usize = 1000;

/// The number of changes in one transaction, and of transactions in a second.
const AT_ONCE: usize = 500;
const A_SECOND: u32 = 20;

fn name(number: usize) -> String {
    format!("10.1.{}.{}:80", number / 250, number % 250)
}

/// One transaction: each member of this range is deleted and created again with other data.
fn gust(client: &Zk, first: usize, weight: usize) {
    client.run(|client| async move {
        let mut writer = client.new_multi_writer();
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        for number in first..first + AT_ONCE / 2 {
            let path = format!("/services/x/{}", name(number % MEMBERS));
            writer.add_delete(&path, None).unwrap();
            writer.add_create(&path, format!(r#"{{"weight": {weight}}}"#).as_bytes(), &options).unwrap();
        }
        writer.commit().await.expect("gust");
    });
}

#[test]
fn a_storm_of_changes_uses_one_core_and_bounded_memory_and_settles_in_two_seconds() {
    let server = ZooKeeper::one();
    let client = server.client("");
    client.put("/services/x", b"");
    let nodes = (0..MEMBERS).map(|number| (format!("/services/x/{}", name(number)), br#"{"weight": 0}"#.to_vec()));
    client.put_all(&nodes.collect::<Vec<_>>());
    let site = site(CONFIG, &server.connect_string());
    site.file("templates/list.tera", "{% for m in x %}{{ m.address }} {{ m.weight }}\n{% endfor %}");
    let agent = site.start();
    agent.until("the first file", || site.read("seen").lines().count() == MEMBERS);
    let (memory, cpu, began) = (agent.memory(), agent.cpu(), Instant::now());

    let gusts = u32::try_from(crate::support::random::count(3, 15)).unwrap() * A_SECOND;
    for gusted in 0..gusts {
        gust(&client, gusted as usize * 250, 1 + gusted as usize);
        // At a constant rate, as far as the server keeps up.
        let due = began + Duration::from_secs(1) / A_SECOND * (gusted + 1);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let (storm, storm_cpu) = (began.elapsed(), agent.cpu().saturating_sub(cpu));
    client.put("/services/x/10.9.9.9:80", br#"{"weight": 9}"#);
    let ended = Instant::now();

    let mut wanted: Vec<(String, usize)> = (0..MEMBERS).map(|number| (name(number), 0)).collect();
    for gusted in 0..gusts as usize {
        (0..250).for_each(|number| wanted[(gusted * 250 + number) % MEMBERS].1 = 1 + gusted);
    }
    wanted.push(("10.9.9.9:80".into(), 9));
    wanted.sort();
    let text = |site: &crate::harness::site::Site| {
        let file = site.read("out/list");
        let mut lines: Vec<String> = file.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let mut wanted: Vec<String> = wanted.iter().map(|(name, weight)| format!("{name} {weight}")).collect();
    wanted.sort();
    let is_right = holds(Duration::from_secs(20), || text(&site) == wanted);
    let late = ended.elapsed();
    let after = agent.memory();
    println!(
        "{} changes in {storm:?}, correct {late:?} later; CPU {storm_cpu:?}; memory before {memory:?}, after {after:?}",
        gusts as usize * AT_ONCE
    );
    assert!(is_right, "{}", agent.log().join("\n"));
    assert!(late <= Duration::from_secs(2), "{late:?}");
    assert!(storm_cpu <= storm, "{storm_cpu:?} of CPU in {storm:?}");
    assert!(after.peak <= memory.resident + 48 * 1024, "{memory:?} {after:?}");
    // It is idle again.
    client.remove("/services/x/10.9.9.9:80");
    wanted.retain(|line| !line.starts_with("10.9.9.9:80"));
    agent.until("the file has the last members", || text(&site) == wanted);
    let _ = file_becomes(&agent, &site, "seen", &site.read("out/list"));
}
