use super::*;

const A: &str = r#"{"h1": "/services/s/views/a"}"#;
const B: &str = r#"{"h1": "/services/s/views/b"}"#;
const NONE: &str = "{}";

/// What a host reads, driven as a registry would drive it.
struct Host(HostView);

impl Host {
    fn new() -> Self {
        Self(HostView::new(Service::parse("s").unwrap(), Arc::from("h1")))
    }

    fn nodemaps(&mut self, text: &str) -> Step {
        self.0.nodemaps_read(&present(text))
    }

    fn node(&mut self, name: &str, text: &str) -> Step {
        self.0.node_read(&path(name), &present(text))
    }

    /// Reads a node, and `nodemaps` again.
    fn settled(&mut self, nodemaps: &str, name: &str, text: &str) -> Step {
        self.nodemaps(nodemaps);
        assert_eq!(self.node(name, text), AGAIN);
        self.nodemaps(nodemaps)
    }
}

const AGAIN: Step = Step { view: None, reads_nodemaps: true };

fn present(text: &str) -> Seen<Bytes> {
    Seen::Present(Arc::from(text.as_bytes()))
}

fn path(name: &str) -> NodePath {
    NodePath::parse(&format!("/services/s/{name}")).unwrap()
}

fn view(name: &str, is_listed: bool, text: &str) -> Step {
    let view = View::Mapped { mapping: Some(Mapping { path: path(name), is_listed }), data: present(text) };
    Step { view: Some(view), reads_nodemaps: false }
}

fn unknown(step: Step) -> String {
    match step {
        Step { view: Some(View::Mapped { mapping: None, data: Seen::Unreadable(why) }), .. } => why.to_string(),
        step => panic!("{step:?}"),
    }
}

#[test]
fn a_view_counts_once_nodemaps_was_read_after_it() {
    let mut host = Host::new();
    assert_eq!(host.0.node(), None);
    assert_eq!(host.nodemaps(A), Step::default());
    assert_eq!(host.0.node(), Some(&path("views/a")));
    assert_eq!(host.node("views/a", "1"), AGAIN);
    assert_eq!(host.nodemaps(A), view("views/a", true, "1"));
    assert_eq!(host.nodemaps(A), Step::default(), "nothing changed");

    // A change of the view is confirmed in the same way. Another one meanwhile comes after it.
    assert_eq!(host.node("views/a", "2"), AGAIN);
    assert_eq!(host.node("views/a", "3"), Step::default());
    assert_eq!(host.nodemaps(A), Step { reads_nodemaps: true, ..view("views/a", true, "2") });
    assert_eq!(host.nodemaps(A), view("views/a", true, "3"));
}

#[test]
fn the_former_node_is_ignored_from_a_remap_on() {
    let mut host = Host::new();
    host.settled(A, "views/a", "1");
    assert_eq!(host.nodemaps(B), Step::default());
    assert_eq!(host.node("views/a", "2"), Step::default(), "it is no longer the host's");
    assert_eq!(host.node("views/b", "10"), AGAIN);
    assert_eq!(host.nodemaps(B), view("views/b", true, "10"));

    // The former node changed after the remap, but its change is seen first.
    assert_eq!(host.node("views/b", "11"), AGAIN);
    assert_eq!(host.nodemaps(A), Step::default(), "11 is never reported");
    assert_eq!(host.node("views/a", "3"), AGAIN);
    assert_eq!(host.nodemaps(A), view("views/a", true, "3"));
}

#[test]
fn nodemaps_that_changed_meanwhile_is_read_once_more() {
    let mut host = Host::new();
    host.nodemaps(A);
    host.node("views/a", "1");
    let others = r#"{"h1": "/services/s/views/a", "h2": "/services/s/views/b"}"#;
    assert_eq!(host.nodemaps(others), AGAIN);
    assert_eq!(host.nodemaps(others), view("views/a", true, "1"));
}

#[test]
fn a_host_without_an_association_reads_the_root_configuration() {
    let mut host = Host::new();
    for nodemaps in ["", NONE, r#"{"h11": "/services/s/views/a"}"#, "h2 -> /services/s/views/a"] {
        host.0.connection_lost();
        assert_eq!(host.settled(nodemaps, "conf", "1"), view("conf", false, "1"), "{nodemaps}");
    }
    // Being mapped to the same node is another fact.
    let listed = r#"{"h1": "/services/s/conf"}"#;
    assert_eq!(host.nodemaps(listed), view("conf", true, "1"));
    assert_eq!(host.nodemaps(NONE), view("conf", false, "1"));
}

#[test]
fn what_nodemaps_does_not_say_is_never_guessed() {
    let cases = [
        ("garbage", "/services/s/nodemaps is neither a JSON object nor `NAME -> PATH` lines: line 1"),
        (
            r#"{"h1": "/services/other/views/a"}"#,
            "/services/s/nodemaps maps the host to /services/other/views/a, which is outside of its service",
        ),
        (
            "h1 -> /services/s/nodemaps",
            "/services/s/nodemaps maps the host to /services/s/nodemaps, which is not a view",
        ),
        ("h1 -> views/a", "maps the host to \"views/a\", which is not a valid path: a registry path starts with /"),
    ];
    for (nodemaps, reason) in cases {
        let mut host = Host::new();
        host.settled(A, "views/a", "1");
        assert!(unknown(host.nodemaps(nodemaps)).contains(reason), "{nodemaps}");
        assert_eq!(host.0.node(), None);
        assert_eq!(host.node("views/a", "2"), Step::default());
        // Another host is not affected.
        let mut other = HostView::new(Service::parse("s").unwrap(), Arc::from("h2"));
        let is_known = other.nodemaps_read(&present(nodemaps)).view.is_none();
        assert_eq!(is_known, nodemaps != "garbage", "{nodemaps}");
        assert_eq!(host.settled(A, "views/a", "1"), view("views/a", true, "1"));
    }
    let mut host = Host::new();
    let absent = View::Mapped { mapping: None, data: Seen::Absent };
    assert_eq!(host.0.nodemaps_read(&Seen::Absent).view, Some(absent));
    let refused = host.0.nodemaps_read(&Seen::Unreadable("not authorized".into()));
    assert_eq!(unknown(refused), "/services/s/nodemaps cannot be read: not authorized");
}

#[test]
fn an_absent_view_is_reported_as_absent() {
    let mut host = Host::new();
    host.nodemaps(A);
    assert_eq!(host.0.node_read(&path("views/a"), &Seen::Absent), AGAIN);
    let mapping = Some(Mapping { path: path("views/a"), is_listed: true });
    assert_eq!(host.nodemaps(A).view, Some(View::Mapped { mapping, data: Seen::Absent }));
}
