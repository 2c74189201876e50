//! Services with their checks, their data and their formats, up to the file of another agent.

use std::collections::BTreeSet;
use std::time::Instant;

use super::*;
use crate::harness::backend::Backend;
use crate::harness::meter::peak;
use crate::support::proxy::Proxy;
use crate::support::random::count;

#[test]
fn each_format_is_read_back_by_its_payload() {
    for format in ["nextdoor", "serverset", "nerve", "curator"] {
        let scene = Scene::new(&format!("{}format = \"{format}\"\ndata = {{ zone = \"a\" }}\n", service(8080)));
        let agent = scene.site.start();
        agent.says("service registered");
        let url = format!("zk://{}", scene.servers);
        let arguments = ["get", DIRECTORY, "--registry", &url, "--payload", format, "--format", "members"];
        let members = scene.site.run_without_config(&arguments).expect(0).stdout();
        let members: serde_json::Value = serde_json::from_str(&members).unwrap();
        assert_eq!((&members[0]["host"], &members[0]["port"]), (&"h".into(), &8080.into()), "{format}: {members}");
        assert_eq!(members.as_array().unwrap().len(), 1);
        // A continued session finds its node again, also one whose name has a number of the server.
        let names = scene.names();
        drop(agent);
        let mut agent = scene.site.start();
        agent.says("session resumed from the previous run").says("service registered");
        assert_eq!(scene.names(), names, "{format}");
        assert!(agent.stop().success());
        assert_eq!(scene.names(), [""; 0], "{format}");
    }
}

#[test]
fn data_comes_from_the_configuration_and_from_a_command() {
    let scene = Scene::new("");
    scene.site.file("weight", "{\"weight\": 5}");
    let data = "data = { zone = \"{{ vars.zone }}\", host = \"{{ host.name }}\" }\n\
                data_cmd = { cmd = \"cat SITE/weight\", interval = \"100ms\" }\n";
    scene.configure(&format!("[vars]\nzone = \"us-west-2b\"\n{}{data}", service(1)));
    let agent = scene.site.start();
    let has = |text: &str| scene.node(NODE).is_some_and(|(data, _)| data.contains(text));
    agent.until("the node has both", || has("\"zone\":\"us-west-2b\"") && has("\"weight\":5"));
    let first = scene.node(NODE).unwrap().1.czxid;
    scene.site.file("weight", "weight=7, rack=r1\n");
    agent.until("the data follows the command", || has("\"weight\":\"7\",\"rack\":\"r1\""));
    scene.site.remove("weight");
    agent.says("data_cmd failed; its previous output, if any, stays in use");
    assert!(has("\"weight\":\"7\"") && scene.node(NODE).unwrap().1.czxid == first);
    scene.site.file("weight", "[1]");
    agent.says("its output is JSON that is not an object");
}

#[test]
fn a_failing_check_takes_the_member_out_of_another_agents_file() {
    let scene = Scene::new("");
    let check = "check = { cmd = \"test -e SITE/healthy\" }\ninterval = \"100ms\"\nfall = 1\n";
    scene.configure(&service(1).replace("check = { cmd = \"true\" }\n", check));
    scene.site.file("healthy", "");
    scene.client.put("/services/web/other:2", b"{\"keep\":1}");
    let reader = Site::new(&format!(
        "[registry]\nurl = \"zk://{}\"\n\n[[roster]]\npath = \"{DIRECTORY}\"\nwait = \"20ms:200ms\"\nmax_shrink = \"100%\"\n\n\
         [[template]]\nsrc = \"list.tera\"\ndest = \"out/list\"\n",
        scene.servers
    ));
    reader.file("templates/list.tera", "{% for m in web %}{{ m.address }}\n{% endfor %}");
    let (agent, follower) = (scene.site.start(), reader.start());
    follower.until("both are there", || reader.read("out/list") == "h:1\nother:2\n");
    let mut slowest = Duration::ZERO;
    for _ in 0..count(3, 20) {
        let began = Instant::now();
        scene.site.remove("healthy");
        follower.until("it is gone", || reader.read("out/list") == "other:2\n");
        slowest = slowest.max(began.elapsed());
        scene.site.file("healthy", "");
        follower.until("it is back", || reader.read("out/list") == "h:1\nother:2\n");
    }
    println!("slowest: {slowest:?}");
    // interval + wait + 100 ms, and what the check and a loaded machine take.
    assert!(slowest < Duration::from_secs(3), "{slowest:?}\n{}", agent.log().join("\n"));
}

/// How soon many services are registered after a start.
const UP: Duration = Duration::from_secs(3);

/// How long a session lives in the test with many services.
const SESSION: Duration = Duration::from_secs(4);

#[test]
fn two_hundred_services_are_up_at_once_in_one_session() {
    let mut zookeeper = ZooKeeper::one();
    let (proxy, server) = (Proxy::to(&zookeeper.servers()[0]), Backend::start());
    let check = format!("{{ tcp = \"{}\" }}\ninterval = \"1s\"", server.name());
    let one =
        |port: u16| service(port).replace("\"web\"", &format!("\"s{port}\"")).replace("{ cmd = \"true\" }", &check);
    let services: String = (1..=200).map(one).collect();
    let registry = format!("[registry]\nurl = \"zk://{}\"\nsession_timeout = \"4s\"\n", proxy.address());
    let site = Site::new(&format!("{registry}{services}"));
    let client = zookeeper.client("");
    let before = zookeeper.sessions().len();
    // A busy machine may take longer, but not each time.
    let start = || {
        let (began, agent) = (Instant::now(), site.start());
        agent.until("all are registered", || registered(&client) == 200);
        (agent, began.elapsed())
    };
    let (mut agent, mut up) = start();
    for _ in 0..4 {
        if up < UP {
            break;
        }
        agent.signal(nix::sys::signal::Signal::SIGTERM).until("all are gone", || registered(&client) == 0);
        assert!(agent.ends(PATIENCE).success());
        (agent, up) = start();
    }
    assert_eq!(zookeeper.sessions().len(), before + 1);
    let first = owners(&client);
    assert_eq!(first.len(), 1);

    zookeeper.stop(0);
    // The server gives the session its whole timeout again. Until that is over, only the test has the server.
    proxy.turn_to("127.0.0.1:1");
    zookeeper.start(0);
    zookeeper.wait_ready();
    let client = zookeeper.client("");
    assert!(holds(PATIENCE, || registered(&client) == 0), "the session expires");
    proxy.turn_to(&zookeeper.servers()[0]);
    let returned = Instant::now();
    agent.until("all are back", || registered(&client) == 200);
    let back = returned.elapsed();
    let second = owners(&client);
    assert!(second.len() == 1 && second != first, "{first:?}, {second:?}");
    let memory = peak(agent.pid());
    println!("up after {up:?}, back after {back:?}, {memory:.1} MiB");
    assert!(up < UP, "{up:?}");
    // Within the timeout, and what a busy machine may add.
    assert!(back < SESSION * 2, "{back:?}");
    // Most of it is the code, of which a debug build has far more.
    assert!(memory < if cfg!(debug_assertions) { 60.0 } else { 40.0 }, "{memory:.1} MiB");
    assert!(agent.stop().success());
    assert_eq!(registered(&client), 0);
}

/// How many services are registered.
fn registered(client: &Zk) -> usize {
    match client.run(|client| async move { client.list_children(DIRECTORY).await }) {
        Err(zookeeper_client::Error::NoNode) => 0,
        names => names.unwrap().len(),
    }
}

/// The sessions of the registered services.
fn owners(client: &Zk) -> BTreeSet<i64> {
    client.run(|client| async move {
        let mut owners = BTreeSet::new();
        for name in client.list_children(DIRECTORY).await.unwrap() {
            let stat = client.check_stat(&format!("{DIRECTORY}/{name}")).await.unwrap().unwrap();
            owners.insert(stat.ephemeral_owner);
        }
        owners
    })
}

#[test]
fn wrong_services_are_refused_with_their_place() {
    let scene = Scene::new("");
    for (from, to, wanted) in [
        ("port = 1", "port = 0", "`port` is 0"),
        ("port = 1", "port = \"http\"", "`port` must be a whole number"),
        ("port = 1\n", "", "[[service]] has no `port`"),
        ("check = { cmd = \"true\" }\n", "", "[[service]] has no `check`"),
        ("{ cmd = \"true\" }", "{ cmd = \"true\", tcp = \"a:1\" }", "`check` has more than one kind of check"),
        ("{ cmd = \"true\" }", "{}", "`check` does not say what to check"),
        ("{ cmd = \"true\" }", "{ tcp = \"a\" }", "\"a\" is not HOST:PORT"),
        ("{ cmd = \"true\" }", "{ tcp = \"a:1\", expect = 200 }", "`expect` is only for http"),
        ("{ cmd = \"true\" }", "{ http = \"ftp://a\" }", "is not an http or https URL"),
        ("/services/web", "/services/*", "without *"),
        ("/services/web", "/services/../web", "no . or .. segment"),
        ("host = \"h\"", "host = \"a/b\"", "is not a valid host"),
        ("host = \"h\"", "rise = 0", "`rise` is 0"),
        ("host = \"h\"", "format = \"dubbo\"", "`format` cannot be \"dubbo\""),
        ("host = \"h\"", "data = 7", "`data` must be a string"),
    ] {
        assert!(service(1).contains(from), "{from}");
        scene.configure(&service(1).replace(from, to));
        let refused = scene.site.run(&["check"]);
        let text = refused.expect(78).stderr();
        assert!(text.contains(wanted) && text.contains("rosterd.toml:"), "{to}: {text}");
    }
    scene.configure(&format!("{}{}", service(1), service(1).replace("\"web\"", "\"two\"")));
    let same = scene.site.run(&["check"]);
    assert!(same.expect(78).stderr().contains("two registers the same node as web"), "{}", same.stderr());
    scene.site.configure(&format!("[registry]\nurl = \"dir:reg\"\n{}", service(1)));
    let refused = scene.site.run(&["check"]);
    assert!(refused.expect(78).stderr().contains("a directory registry has no sessions"), "{}", refused.stderr());
}
