use super::*;
use crate::model::registry_event::{Bytes, Mapping, Seen};

const NODEMAPS: &str = "/services/s/nodemaps";

fn path(text: &str) -> NodePath {
    NodePath::parse(text).unwrap()
}

fn mapped(host: &str) -> Subject {
    Subject::Mapped { service: path("/services/s"), host: Arc::from(host) }
}

/// A translator, and what the other registry follows.
struct Bench {
    translator: Translator,
    nodes: Subjects,
}

impl Bench {
    fn new(wanted: &[(Subject, u64)]) -> Self {
        let mut bench = Self { translator: Translator::default(), nodes: Subjects::new() };
        bench.want(wanted);
        bench
    }

    fn want(&mut self, wanted: &[(Subject, u64)]) {
        self.translator.set_wanted(&wanted.iter().cloned().collect());
        self.nodes = self.translator.nodes();
    }

    fn followed(&self) -> Vec<String> {
        self.nodes.keys().map(ToString::to_string).collect()
    }

    /// Reads a node. Returns the nodes that are to be read anew, and the events as text.
    fn read(&mut self, node: &str, data: &str) -> (Vec<String>, Vec<String>) {
        let view = View::Node(Seen::Present(Arc::from(data.as_bytes())));
        let update = Update::Reset { subject: Subject::Node(path(node)), view, versions: Versions::new() };
        self.update(update)
    }

    fn update(&mut self, update: Update) -> (Vec<String>, Vec<String>) {
        let events = self.translator.translate(RegistryEvent { registry: Arc::from("r"), update });
        let before = std::mem::replace(&mut self.nodes, self.translator.nodes());
        let is_new = |(subject, number): &(&Subject, &u64)| before.get(*subject) != Some(*number);
        let anew = self.nodes.iter().filter(is_new).map(|(subject, _)| subject.to_string()).collect();
        (anew, events.iter().map(|event| text(&event.update)).collect())
    }
}

fn text(update: &Update) -> String {
    let data = |seen: &Seen<Bytes>| match seen {
        Seen::Present(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Seen::Absent => "absent".to_owned(),
        Seen::Unreadable(why) => why.to_string(),
    };
    match update {
        Update::Reset { subject, view: View::Node(seen), .. } => format!("{subject}: {}", data(seen)),
        Update::Reset { subject, view: View::Mapped { mapping, data: seen }, .. } => {
            let node = mapping.as_ref().map(|Mapping { path, .. }| path.to_string());
            format!("{subject}: {} of {}", data(seen), node.as_deref().unwrap_or("nothing"))
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn a_host_is_followed_through_nodemaps() {
    let mut bench = Bench::new(&[(mapped("h1"), 0)]);
    assert_eq!(bench.followed(), [NODEMAPS]);
    let a = "/services/s/views/a";
    let maps = r#"{"h1": "/services/s/views/a"}"#;
    assert_eq!(bench.read(NODEMAPS, maps), (vec![a.to_owned()], vec![]));
    assert_eq!(bench.read(a, "1"), (vec![NODEMAPS.to_owned()], vec![]));
    assert_eq!(bench.read(NODEMAPS, maps), (vec![], vec!["/services/s/nodemaps[h1]: 1 of /services/s/views/a".into()]));

    // After a remap, the former node is not followed.
    bench.read(NODEMAPS, "h1 -> /services/s/views/b");
    assert_eq!(bench.followed(), [NODEMAPS, "/services/s/views/b"]);
    assert_eq!(bench.read(a, "2"), (vec![], vec![]));

    // After a lost connection everything is read again.
    let (_, events) = bench.update(Update::Suspended);
    assert_eq!((bench.followed(), events), (vec![NODEMAPS.to_owned()], vec!["Suspended".to_owned()]));
    assert_eq!(bench.read(NODEMAPS, maps).0, [a]);
}

#[test]
fn a_host_that_moves_to_a_node_that_is_followed_already_reads_it() {
    let mut bench = Bench::new(&[(mapped("h1"), 0), (mapped("h2"), 0)]);
    let (a, b) = ("/services/s/views/a", "/services/s/views/b");
    let maps = format!("h1 -> {a}\nh2 -> {b}");
    for (node, data) in [(NODEMAPS, &*maps), (a, "1"), (b, "2"), (NODEMAPS, &*maps)] {
        bench.read(node, data);
    }
    let maps = format!("h1 -> {b}\nh2 -> {b}");
    assert_eq!(bench.read(NODEMAPS, &maps).0, [b]);
    assert_eq!(bench.read(b, "2").0, [NODEMAPS]);
    let (_, events) = bench.read(NODEMAPS, &maps);
    assert!(events.contains(&format!("{NODEMAPS}[h1]: 2 of {b}")), "{events:?}");
}

#[test]
fn plain_nodes_are_followed_beside_hosts() {
    let plain = Subject::Node(path(NODEMAPS));
    let mut bench = Bench::new(&[(mapped("h1"), 0), (mapped("h2"), 0), (plain.clone(), 0)]);
    let maps = "h1 -> /services/s/views/a\nh2 -> /services/s/views/b";
    let (anew, events) = bench.read(NODEMAPS, maps);
    assert_eq!(anew, ["/services/s/views/a", "/services/s/views/b"]);
    assert_eq!(events, [format!("{NODEMAPS}: {maps}")]);
    // A host that is no longer followed leaves the other one.
    bench.want(&[(mapped("h2"), 0)]);
    assert_eq!(bench.followed(), [NODEMAPS, "/services/s/views/b"]);
    let (_, events) = bench.read(NODEMAPS, maps);
    assert_eq!(events, Vec::<String>::new(), "the plain node is no longer followed");
    // One that was removed and added again is read from the start.
    let before = bench.nodes.clone();
    bench.want(&[(mapped("h2"), 1)]);
    assert_eq!(bench.followed(), [NODEMAPS]);
    assert!(bench.nodes.values().ne(before.values()));
}
