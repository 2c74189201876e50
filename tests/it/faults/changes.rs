//! Many changes at unfavourable moments: none is lost.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::file_becomes;
use crate::ensemble::{CONFIG, becomes, list, member, site};
use crate::support::zookeeper::ZooKeeper;

/// Reads the file at once, as software does, and is then busy for a while.
const SLOW_RELOAD: &str =
    "cat {{ dest }} > SITE/begun; sleep 0.3; cat SITE/begun > SITE/seen; echo reloaded >> SITE/reloads";

/// The pause between two of the five changes. All of them fall into one reload.
const APART: Duration = Duration::from_millis(50);

/// The software uses what it read when its last reload began.
#[test]
fn no_change_during_a_reload_is_lost() {
    let shared = ZooKeeper::shared();
    let chroot = shared.chroot();
    let client = shared.client(&chroot);
    for number in 100..110 {
        client.put(&member(number), b"");
    }
    let reload = CONFIG.lines().find(|line| line.starts_with("reload_cmd")).unwrap();
    let config = CONFIG.replace(reload, &format!("reload_cmd = \"{SLOW_RELOAD}\""));
    let site = site(&config, &format!("{}{chroot}", shared.connect_string()));
    let mut agent = site.start();
    becomes(&agent, &site, 100..110);
    for round in 0..crate::support::random::count(5, 200) {
        // One change begins a reload, and five more follow while it runs. They are joins, and removals in the next
        // round.
        let change = |number| {
            if round % 2 == 0 { client.put(&member(number), b"") } else { client.remove(&member(number)) }
        };
        let before = site.reloads();
        change(110);
        let first = if round % 2 == 0 { list(100..=110) } else { list((100..110).chain(111..=115)) };
        file_becomes(&agent, &site, "begun", &first);
        for number in 111..=115 {
            change(number);
            sleep(APART);
        }
        let last = list(100..if round % 2 == 0 { 116 } else { 110 });
        agent.until(&format!("round {round}: the software has loaded the last change"), || site.read("seen") == last);
        assert_eq!(site.read("out/list"), last, "round {round}");
        // No change is pending: the next round begins with its own reload.
        agent.until("the reload has ended", || site.reloads() > before + 1);
    }
    assert!(agent.stop().success());
    assert_eq!(site.read("seen"), site.read("out/list"), "no reload is pending");
}

#[test]
fn three_bursts_of_ten_deletions_reach_the_file() {
    let shared = ZooKeeper::shared();
    let chroot = shared.chroot();
    let client = shared.client(&chroot);
    // The minimum that remains when the last ten are gone, so that the loss is not held.
    for number in 100..160 {
        client.put(&member(number), b"");
    }
    let site = site(CONFIG, &format!("{}{chroot}", shared.connect_string()));
    let mut agent = site.start();
    becomes(&agent, &site, 100..160);
    for burst in [100..110, 110..120, 120..130] {
        let after = burst.end;
        let began = Instant::now();
        for number in burst {
            client.remove(&member(number));
        }
        let made = began.elapsed();
        becomes(&agent, &site, after..160);
        println!("ten deletions in {made:?}, taken up after {:?}", began.elapsed());
        assert_eq!(site.read("out/list"), list(after..160));
    }
    assert_eq!(agent.said("hold in effect: "), 0, "{}", agent.log().join("\n"));
    assert!(agent.stop().success());
    assert_eq!(site.read("seen"), list(130..160));
}
