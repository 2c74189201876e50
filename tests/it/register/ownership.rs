//! Only nodes of this agent's sessions are changed.

use super::*;

#[test]
fn a_foreign_node_is_left_alone_and_registered_when_it_goes() {
    let scene = Scene::new(&service(1));
    let other = foreign(&scene, b"theirs");
    let before = scene.node(NODE).unwrap();
    let agent = scene.site.start();
    agent.says("not registered; the node exists and is not this agent's");
    let status = scene.site.run(&["status"]).expect(0).stdout();
    assert!(status.contains("NOT REGISTERED: its node belongs to session 0x"), "{status}");
    // A failing check deletes nothing of it either, and neither does a stop.
    scene.configure(&service(1).replace("\"true\"", "\"false\"").replace("check", "fall = 1\ncheck"));
    agent.signal(nix::sys::signal::Signal::SIGHUP).says("service is down");
    assert_eq!(scene.node(NODE), Some(before.clone()));
    scene.configure(&service(1));
    agent.signal(nix::sys::signal::Signal::SIGHUP).says_times("service is up", 2);
    assert_eq!(scene.node(NODE), Some(before));
    drop(other);
    agent.says("service registered: /services/web/h:1");
    assert!(scene.node(NODE).unwrap().0.starts_with("{\"pid\":"));
    // At most once for each time that the service was up.
    assert!(agent.said("the node exists and is not this agent's") <= 2);
}

#[test]
fn a_persistent_node_in_the_way_is_named() {
    let scene = Scene::new(&service(1));
    scene.client.put(NODE, b"");
    let agent = scene.site.start();
    agent.says("not registered; the node exists and is not this agent's");
    let explained = scene.site.run(&["explain", "web"]).expect(0).stdout();
    assert!(explained.contains("its node already exists and is persistent"), "{explained}");
    scene.client.remove(NODE);
    agent.says("service registered");
}

#[test]
fn two_agents_on_one_node_do_not_fight() {
    let (one, two) = (Scene::new(&service(1)), Site::new(""));
    let first = one.site.start();
    first.says("service registered");
    two.configure(&format!("[registry]\nurl = \"zk://{}\"\nsession_timeout = \"4s\"\n{}", one.servers, service(1)));
    let second = two.start();
    second.says("the node exists and is not this agent's");
    let before = one.node(NODE);
    assert!(holds(PATIENCE, || one.site.run(&["status"]).stdout().contains("registered")));
    assert_eq!(one.node(NODE), before);
    // The second one registers as soon as the first one stops.
    let mut first = first;
    assert!(first.stop().success());
    second.says("service registered");
    assert_ne!(one.node(NODE).unwrap().1.ephemeral_owner, before.unwrap().1.ephemeral_owner);
}

#[test]
fn a_node_that_another_client_deletes_or_overwrites_is_restored_and_that_is_logged_once() {
    let scene = Scene::new(&service(1));
    let agent = scene.site.start();
    agent.says("service registered");
    let data = scene.node(NODE).unwrap().0;
    scene.client.remove(NODE);
    agent.says("registered node changed by another client; restored: /services/web/h:1: node deleted");
    assert_eq!(scene.node(NODE).unwrap().0, data);
    scene.client.put(NODE, b"{\"zone\":\"theirs\"}");
    // The second time it waits 10 s before it writes again.
    agent.until("the data is restored", || scene.node(NODE).is_some_and(|node| node.0 == data));
    assert_eq!(agent.said("registered node changed by another client"), 1);
}

#[test]
fn with_a_digest_the_directory_and_the_node_belong_to_it() {
    let scene = Scene::new("");
    scene.configure_with_digest(&service(1));
    let agent = scene.site.start();
    agent.says("service registered");
    // Who is not authenticated does not see the hash.
    let shown = |path| scene.acl(path).iter().map(|acl| format!("{acl:?}")).collect::<Vec<_>>().join(" ");
    for path in [DIRECTORY, NODE] {
        assert!(shown(path).contains("username") && shown(path).contains("anyone"), "{}", shown(path));
    }
    assert!(!shown("/services").contains("username"), "{}", shown("/services"));
    // An agent without the credential says what is missing.
    let other = Site::new("");
    let config = format!("[registry]\nurl = \"zk://{}\"\n{}", scene.servers, service(2));
    other.configure(&config);
    other.start().says("not authorized: the ACL of /services/web does not allow this agent's credentials to write it");
}
