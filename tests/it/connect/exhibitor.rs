//! Servers that Exhibitor lists.

use super::{becomes, is_not_reached, site};
use crate::ensemble::{list, member};
use crate::harness::exhibitor::Exhibitor;
use crate::support::zookeeper::{ZooKeeper, free_port};

fn port(server: &ZooKeeper) -> u16 {
    server.servers()[0].rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn the_servers_come_from_exhibitor_and_later_from_its_saved_list() {
    let mut server = ZooKeeper::one();
    server.client("").put(&member(1), b"");
    let exhibitor = Exhibitor::naming(&["127.0.0.1"], port(&server));
    let dead = format!("http://127.0.0.1:{}", free_port());
    let url = format!("zk://127.0.0.1:{}", free_port());
    let keys = format!("exhibitor = [\"{dead}\", \"{}\"]", exhibitor.url());
    let site = site(&url, &keys);
    let mut agent = site.start();
    becomes(&agent, &site, &[1]);
    let asked = exhibitor.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].starts_with("GET /exhibitor/v1/cluster/list HTTP/1.1; "), "{asked:?}");
    assert!(asked[0].to_ascii_lowercase().contains("accept: application/json"), "{asked:?}");

    // The ensemble moves, and only Exhibitor lists the new servers.
    server.stop(0);
    server.move_port(0);
    server.start(0);
    server.wait_ready();
    server.client("").put(&member(2), b"");
    exhibitor.names(&["127.0.0.1"], port(&server));
    becomes(&agent, &site, &[1, 2]);
    assert!(agent.stop().success());

    // If Exhibitor is down too, its last list is used.
    for (status, body) in [(500, "{}"), (200, "no list"), (200, r#"{"servers":[],"port":2181}"#)] {
        exhibitor.answers(status, body);
        assert_eq!(site.run(&["get", "/services/x"]).expect(0).stdout(), list([1, 2]), "{status} {body}");
    }
    exhibitor.dies();
    server.client("").put(&member(3), b"");
    let mut agent = site.start();
    agent.says("no Exhibitor answered");
    becomes(&agent, &site, &[1, 2, 3]);
    assert!(agent.stop().success());
}

#[test]
fn without_an_exhibitor_the_configured_servers_are_tried() {
    let shared = ZooKeeper::shared();
    let chroot = shared.chroot();
    shared.client(&chroot).put(&member(1), b"");
    let dead = format!("exhibitor = [\"http://127.0.0.1:{}\"]", free_port());
    let good = site(&format!("zk://{}{chroot}", shared.connect_string()), &dead);
    good.run(&["render"]).expect(0);
    assert_eq!(good.read("out/list"), list([1]));
    // An Exhibitor that lists only dead servers does not replace the configured ones.
    let wrong = Exhibitor::naming(&["127.0.0.1", "no-such-host.invalid"], free_port());
    let keys = format!("exhibitor = [\"{}\"]", wrong.url());
    let good = site(&format!("zk://{}{chroot}", shared.connect_string()), &keys);
    good.run(&["render"]).expect(0);
    assert_eq!(good.read("out/list"), list([1]));
    is_not_reached(&site(&format!("zk://127.0.0.1:{}", free_port()), &keys), &["no-such-host.invalid"]);
}

#[test]
fn get_needs_only_an_exhibitor() {
    let server = ZooKeeper::one();
    server.client("").put("/x/10.0.0.1:80", b"");
    let exhibitor = Exhibitor::naming(&["127.0.0.1"], port(&server));
    let (url, dead) = (exhibitor.url(), format!("http://127.0.0.1:{}", free_port()));
    let site = crate::harness::site::Site::new("");
    let get = |more: &[&str]| site.run_without_config(&[&["get", "/x", "--timeout", "3s"], more].concat());
    assert_eq!(get(&["--exhibitor", &dead, "--exhibitor", &url]).expect(0).stdout(), "10.0.0.1:80\n");
    let registry = format!("zk://127.0.0.1:{}", free_port());
    get(&["--exhibitor", &url, "--registry", &registry]).expect(0);
    let away = get(&["--exhibitor", &dead]);
    assert!(away.expect(4).stderr().contains("no server is known"), "{}", away.stderr());
    get(&["--exhibitor", "https://e"]).expect(64);
    get(&["--exhibitor", &url, "--registry", "dir:."]).expect(64);
    get(&["--exhibitor", &url, "--registry", "zks://e"]).expect(64);
}
