//! What kazoo's other recipes write, read as rosters and keys.

use std::fmt::Write as _;

use super::*;

/// Writes with each recipe, tells, and waits until its input ends. The first lock is held, the second waits for it.
const WRITER: &str = r#"
import sys, threading
from kazoo.client import KazooClient
client = KazooClient(hosts=sys.argv[1])
client.start()
client.Lock("/lock", "h1:80").acquire()
threading.Thread(target=client.Lock("/lock", "h1:80").acquire, daemon=True).start()
client.ReadLock("/shared", "reader").acquire()
threading.Thread(target=client.Election("/election", "candidate").run, args=(threading.Event().wait,), daemon=True).start()
client.Party("/party", "10.0.0.1:8080").join()
client.ShallowParty("/shallow", "web1-a").join()
counter = client.Counter("/counter")
counter += 41
counter += 1
fraction = client.Counter("/fraction", default=0.0)
fraction += 1.5
client.ensure_path("/barriers")
client.Barrier("/barriers/migration").create()
while len(client.get_children("/lock")) < 2 or not client.exists("/election") or not client.get_children("/election"):
    pass
print("written", flush=True)
sys.stdin.readline()
client.Barrier("/barriers/migration").remove()
sys.stdin.read()
"#;

const ALL: &str = "{% for m in lock %}{{ m.id }} {{ m.host }} {{ m.port }} {{ m.kind }}\n{% endfor -%}
{{ shared[0].id }} {{ shared[0].kind }}\n{{ election[0].id }}\n{{ party[0].address }}\n{{ shallow[0].id }}
{{ counter + 1 }} {{ fraction }}
";

#[test]
fn rosters_and_keys_read_what_kazoo_writes() {
    let zookeeper = ZooKeeper::shared();
    let chroot = zookeeper.chroot();
    let servers = format!("{}{chroot}", zookeeper.connect_string());
    let mut config = format!("[registry]\nurl = \"zk://{servers}\"\n");
    for (name, payload) in
        [("lock", "lock"), ("shared", "lock"), ("election", "lock"), ("party", "party"), ("shallow", "shallow_party")]
    {
        let _ = writeln!(config, "[[roster]]\npath = \"/{name}\"\npayload = \"{payload}\"");
    }
    config += "[[roster]]\npath = \"/barriers\"\nwhere = 'name == \"migration\"'\nmin = 0\n\
               payload = { format = \"hostport\", every_child = true }\n";
    config += "[[key]]\npath = \"/counter\"\nformat = \"json\"\n[[key]]\npath = \"/fraction\"\nformat = \"json\"\n";
    for name in ["all", "closed"] {
        let _ = writeln!(config, "[[template]]\nsrc = \"{name}.tera\"\ndest = \"out/{name}\"");
    }
    let site = Site::new(&config);
    site.file("templates/all.tera", ALL);
    site.file("templates/closed.tera", "{% if barriers %}closed{% else %}open{% endif %}");
    let mut command = python(WRITER);
    let mut child = command.arg(&servers).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "written\n");
    let agent = site.start();
    let expected = "h1:80 h1 80 lock\nh1:80 h1 80 lock\nreader rlock\ncandidate\n10.0.0.1:8080\nweb1-a\n43 1.5\n";
    agent.until("the file is correct", || site.read("out/all") == expected);
    agent.until("the barrier is closed", || site.read("out/closed") == "closed");
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"\n").unwrap();
    agent.until("the barrier is open", || site.read("out/closed") == "open");
    drop(child.stdin.take());
    child.wait().unwrap();
}
