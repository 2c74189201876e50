//! Other software reads what rosterd registered, and rosterd reads what other software registered.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::zk_watcher::ZkWatcher;
use super::*;

/// Prints what the `get` of nd_service_registry returns: the names of the children of a directory, and the data of a
/// node.
const ND_SERVICE_REGISTRY: &str = r#"
import json, sys
from nd_service_registry import KazooServiceRegistry
servers, username, password, directory, node = sys.argv[1:]
registry = KazooServiceRegistry(server=servers, username=username, password=password)
print(json.dumps([registry.get(directory)["children"], registry.get(node)["data"]]))
"#;

/// Reads a node, sets its data and deletes it. Prints the data, and whether each write was authorized.
const KAZOO: &str = r#"
import json, sys
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError, NoNodeError
servers, credential, node = sys.argv[1:]
client = KazooClient(hosts=servers, auth_data=[("digest", credential)] if credential else None)
client.start()
data = json.loads(client.get(node)[0])

def is_authorized(write):
    try:
        write()
    except NoAuthError:
        return False
    except NoNodeError:
        pass  # The agent is about to restore the node.
    return True

writes = [lambda: client.set(node, b"{}"), lambda: client.delete(node)]
print(json.dumps([data, [is_authorized(write) for write in writes]]))
client.stop()
"#;

/// Reads the members of a directory as a client of each format does. Prints the host, the port and the zone of each.
const DECODE: &str = r#"
import json, sys, uuid
from kazoo.client import KazooClient

def serverset(name, data):
    if name.startswith("member_") and int(name[len("member_"):]) >= 0 and data.get("status") == "ALIVE":
        assert data["additionalEndpoints"] == {}
        return data["serviceEndpoint"]["host"], data["serviceEndpoint"]["port"], data["zone"]

def nerve(name, data):
    host, _, number = name.rpartition("_")
    assert len(number) == 10 and int(number) >= 0 and host == data["name"]
    return data["host"], data["port"], data["zone"]

def curator(name, data):
    assert str(uuid.UUID(name)) == name == data["id"] and data["name"] == "web"
    assert data["serviceType"] == "DYNAMIC" and data["registrationTimeUTC"] > 1600000000000
    port = data["port"] if data["port"] is not None else data["sslPort"]
    if data.get("enabled", True):
        return data["address"], port, data["payload"]["zone"]

servers, decoder, directory = sys.argv[1:]
client = KazooClient(hosts=servers)
client.start()
names = client.get_children(directory)
print(json.dumps([globals()[decoder](name, json.loads(client.get(directory + "/" + name)[0])) for name in names]))
client.stop()
"#;

/// The JSON that a Python program prints.
fn run(program: &str, arguments: &[&str]) -> Value {
    let mut python3 = Command::new("python3");
    python3.args(["-c", program]).args(arguments).env("PYTHONPATH", python()).stdin(Stdio::null());
    let output = python3.output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{arguments:?}: {why}: {text}{errors}"))
}

/// Two services in one directory, each with data.
fn services() -> String {
    let one = format!("{}data = {{ zone = \"a\", weight = 5 }}\n", service(1));
    format!("{one}{}", service(2).replace("\"web\"", "\"two\""))
}

/// Checks what `nd_service_registry` and kazoo see of `services()`.
fn check_readers(scene: &Scene, agent: &Agent, user: [&str; 2]) {
    agent.says_times("service registered", 2);
    let seen = run(ND_SERVICE_REGISTRY, &[&scene.servers, user[0], user[1], DIRECTORY, NODE]);
    let mut names: Vec<&str> = seen[0].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["h:1", "h:2"]);
    let data = &seen[1];
    assert_eq!((&data["pid"], &data["zone"], &data["weight"]), (&agent.pid().into(), &"a".into(), &5.into()), "{data}");
    assert!(data["created"].as_str().unwrap().len() == "2026-11-20 10:07:29".len(), "{data}");
    assert_eq!(data.as_object().unwrap().len(), 4, "{data}");
}

#[test]
fn nd_service_registry_and_kazoo_read_open_nodes_and_may_change_them() {
    let scene = Scene::new(&services());
    let agent = scene.site.start();
    check_readers(&scene, &agent, ["", ""]);
    let data: Value = serde_json::from_str(&scene.node(NODE).unwrap().0).unwrap();
    assert_eq!(run(KAZOO, &[&scene.servers, "", NODE]), json!([data, [true, true]]));
    agent.says("registered node changed by another client; restored: /services/web/h:1");
}

#[test]
fn with_a_digest_everyone_reads_and_only_the_credential_may_change() {
    let scene = Scene::new("");
    scene.configure_with_digest(&services());
    let agent = scene.site.start();
    check_readers(&scene, &agent, ["", ""]);
    check_readers(&scene, &agent, ["username", "123456"]);
    let before = scene.node(NODE).unwrap();
    let data: Value = serde_json::from_str(&before.0).unwrap();
    for credential in ["", "username:guessed"] {
        assert_eq!(run(KAZOO, &[&scene.servers, credential, NODE]), json!([data, [false, false]]), "{credential}");
    }
    assert_eq!(scene.node(NODE).unwrap(), before);
    assert_eq!(run(KAZOO, &[&scene.servers, "username:123456", NODE]), json!([data, [true, true]]));
    agent.says("registered node changed by another client; restored: /services/web/h:1");
}

#[test]
fn kazoo_reads_server_sets_nerve_and_curator_nodes() {
    for format in ["serverset", "nerve", "curator"] {
        let scene = Scene::new(&format!("{}format = \"{format}\"\ndata = {{ zone = \"a\" }}\n", service(8080)));
        let agent = scene.site.start();
        agent.says("service registered");
        let seen = run(DECODE, &[&scene.servers, format, DIRECTORY]);
        assert_eq!(seen, json!([["h", 8080, "a"]]), "{format}");
    }
}

#[test]
fn get_reads_what_zk_watcher_wrote_with_a_digest() {
    let scene = Scene::new("");
    let watcher = format!(
        "[auth]\nuser: username\npassword: 123456\n[web]\ncmd: true\nrefresh: 1\nservice_port: 1\nservice_hostname: h\n\
         zookeeper_path: {DIRECTORY}\nzookeeper_data: zone=a\n"
    );
    scene.site.file("watcher.cfg", &watcher);
    let _watcher = ZkWatcher::start(&scene.site.path("watcher.cfg"), &scene.servers);
    assert!(holds(PATIENCE, || scene.names() == ["h:1"]));
    let shown = format!("{:?}", scene.acl(NODE));
    assert!(shown.contains("username"), "{shown}");
    let url = format!("zk://{}", scene.servers);
    let without = ["get", DIRECTORY, "--registry", &url, "--format", "members"];
    scene.configure_with_digest("");
    let with = ["get", DIRECTORY, "--format", "members"];
    for ended in [scene.site.run_without_config(&without), scene.site.run(&with)] {
        let members: Value = serde_json::from_str(&ended.expect(0).stdout()).unwrap();
        assert_eq!(members.as_array().unwrap().len(), 1, "{members}");
        let member = &members[0];
        let seen = (&member["host"], &member["port"], &member["zone"]);
        assert_eq!(seen, (&"h".into(), &1.into(), &"a".into()), "{member}");
    }
}
