//! A path that is too large to be read is reported as such, and read again when it is smaller.

use std::time::{Duration, Instant};

use super::{becomes, site};
use crate::ensemble::member;
use crate::harness::site::{Agent, Site};
use crate::support::zookeeper::ZooKeeper;

/// Creates or deletes many nodes, a thousand in one transaction.
fn change(server: &ZooKeeper, count: usize, pad: &'static str, is_made: bool) {
    let client = server.client("");
    for start in (0..count).step_by(1000) {
        client.run(move |client| async move {
            let options = zookeeper_client::CreateMode::Persistent.with_acls(zookeeper_client::Acls::anyone_all());
            let mut writer = client.new_multi_writer();
            for number in start..count.min(start + 1000) {
                let path = format!("/services/x/n{pad}{number}");
                if is_made {
                    writer.add_create(&path, b"", &options).unwrap();
                } else {
                    writer.add_delete(&path, None).unwrap();
                }
            }
            writer.commit().await.unwrap();
        });
    }
}

/// A directory for a busy server, with a configuration that admits any loss at once.
fn patient(server: &ZooKeeper) -> Site {
    let site = site(&format!("zk://{}", server.connect_string()), "");
    let config = site.read("rosterd.toml");
    let config = config.replace("\"4s\"", "\"30s\"").replace("wait = ", "max_shrink = \"100%\"\nwait = ");
    let other = "[[roster]]\nname = \"y\"\npath = \"/services/y\"\nmin = 0\n\n\
        [[template]]\nsrc = \"other.tera\"\ndest = \"out/other\"\n";
    site.file("templates/other.tera", "{{ y | length }}\n");
    site.file("rosterd.toml", &format!("{config}\n{other}"));
    site
}

/// Checks that the agent reports `words` about the path once, and keeps the file and the session whatever else changes
/// there. Returns how much CPU time that took.
fn is_kept(server: &ZooKeeper, site: &Site, agent: &Agent, words: &str) -> Duration {
    agent.says(words);
    // The last known-good members may still be on their way to the file.
    agent.until("the file has the last known-good members", || {
        let kept = agent.log().into_iter().rfind(|line| line.contains(words));
        let kept = kept.and_then(|line| line.split(" kept=").nth(1)?.split(' ').next()?.parse().ok());
        site.read("out/list").lines().count() == kept.unwrap_or(1)
    });
    let own = server.client("");
    let (before, sessions) = (site.fingerprint("out/list"), server.sessions());
    let cpu = agent.cpu();
    change(server, 5000, "more", true);
    change(server, 5000, "more", false);
    // The last change is seen, so everything before it has been handled.
    own.put("/services/y/10.0.0.1:1", b"");
    agent.until("the other path is seen", || site.read("out/other") == "1\n");
    assert_eq!(site.fingerprint("out/list"), before);
    assert!(sessions.is_subset(&server.sessions()), "the agent's session was replaced");
    assert_eq!((agent.said(words), agent.said(super::AWAY)), (1, 0), "{}", agent.log().join("\n"));
    let (cpu, memory) = (agent.cpu().checked_sub(cpu).unwrap(), agent.memory());
    println!("{cpu:?} of the processor for 10,000 changes, {memory:?}");
    cpu
}

#[test]
fn a_hundred_thousand_members_are_too_many() {
    let server = ZooKeeper::one_with_java("", &["-Xmx400m"], |_| {});
    server.client("").put(&member(1), b"");
    let site = patient(&server);
    let mut agent = site.start();
    becomes(&agent, &site, &[1]);
    let made = Instant::now();
    change(&server, 100_001, "", true);
    println!("made in {:?}", made.elapsed());
    let cpu = is_kept(&server, &site, &agent, "/services/x cannot be read: too large: ");
    assert!(cpu < Duration::from_secs(1), "{cpu:?}");
    change(&server, 100_001, "", false);
    server.client("").put(&member(2), b"");
    becomes(&agent, &site, &[1, 2]);
    assert_eq!(agent.said(super::AWAY), 0);
    assert!(agent.stop().success());
}

#[test]
fn a_list_larger_than_a_frame_is_too_large() {
    // 50,000 names of 200 bytes: 10 MB in one reply.
    let pad: &str = Box::leak("p".repeat(195).into_boxed_str());
    let server = ZooKeeper::one_with_java("", &["-Xmx400m"], |_| {});
    server.client("").put(&member(1), b"");
    let site = patient(&server);
    site.run(&["render"]).expect(0);
    change(&server, 50_000, pad, true);
    let mut agent = site.start();
    let cpu = is_kept(&server, &site, &agent, "/services/x cannot be read: too large: ");
    assert!(cpu < Duration::from_secs(1), "{cpu:?}");
    change(&server, 50_000, pad, false);
    server.client("").put(&member(2), b"");
    becomes(&agent, &site, &[1, 2]);
    assert_eq!(agent.said(super::AWAY), 0);
    assert!(agent.stop().success());
}

#[test]
fn a_path_has_at_most_ten_thousand_members() {
    let server = ZooKeeper::one_with_java("", &["-Xmx400m"], |_| {});
    server.client("").put(&member(1), b"");
    let site = patient(&server);
    let mut agent = site.start();
    becomes(&agent, &site, &[1]);
    change(&server, 10_000, "", true);
    is_kept(&server, &site, &agent, "/services/x is too large: it has more than 10000 nodes");
    change(&server, 10_000, "", false);
    server.client("").put(&member(2), b"");
    becomes(&agent, &site, &[1, 2]);
    assert_eq!(agent.said(super::AWAY), 0);
    assert!(agent.stop().success());
}

#[test]
fn data_is_at_most_16_mebibytes_and_a_too_large_key_is_held_alone() {
    let server = ZooKeeper::one_with_java("", &["-Xmx400m"], |_| {});
    let client = server.client("");
    client.put(&member(1), b"");
    client.put("/services/y/10.0.0.1:1", b"");
    let site = patient(&server);
    let all = "[[roster]]\nname = \"all\"\npath = \"/services/*\"\nmax_shrink = \"100%\"\n\n\
        [[template]]\nsrc = \"all.tera\"\ndest = \"out/all\"\n";
    site.file("rosterd.toml", &format!("{}\n{all}", site.read("rosterd.toml")));
    site.file("templates/all.tera", "{% for key, members in all %}{{ key }}={{ members | length }} {% endfor %}\n");
    let mut agent = site.start();
    agent.until("both keys", || site.read("out/all") == "x=1 y=1 \n");
    let names: Vec<String> = (0..300).map(|number| format!("/services/x/10.0.1.1:{}", number + 1)).collect();
    let large = vec![b' '; 60 * 1024];
    for name in &names {
        client.put(name, &large);
    }
    let plain = "/services/x cannot be read: too large: the nodes under /services/x have more than 16 MiB of data";
    let keyed = "/services/x is too large: it has more than 16 MiB of data";
    agent.says(plain);
    agent.says(keyed);
    client.put("/services/y/10.0.0.2:1", b"");
    agent.until("the other key", || site.read("out/all").ends_with("y=2 \n"));
    // The path that is followed by itself may report both, because it exceeded the limit before all of it was read
    // again.
    let of_keys = agent.log().iter().filter(|line| line.contains(keyed) && line.contains("roster=all")).count();
    assert_eq!((agent.said(plain), of_keys), (1, 1), "{}", agent.log().join("\n"));
    for name in &names {
        client.remove(name);
    }
    client.put(&member(2), b"");
    becomes(&agent, &site, &[1, 2]);
    agent.until("both keys again", || site.read("out/all") == "x=2 y=2 \n");
    assert_eq!(agent.said(super::AWAY), 0);
    assert!(agent.stop().success());
}
