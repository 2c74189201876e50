//! What a host reads of a service of Jones.

use std::sync::Arc;

use crate::config::{KeyConfig, KeyFormat, Unmapped};
use crate::decide::{Outcome, Plan};
use crate::model::node_path::Subject;
use crate::model::registry_event::{Mapping, Seen, View};

use super::harness::{Bench, path, plan, seconds, template};
use super::reports::explained;

fn subject() -> Subject {
    Subject::Mapped { service: path("/services/pycon"), host: Arc::from("h1") }
}

fn with(unmapped: Unmapped) -> Plan {
    let (name, registry) = (Arc::from("settings"), Arc::from("default"));
    let key = KeyConfig { name, registry, subject: subject(), format: KeyFormat::Jones(unmapped) };
    plan(vec![], vec![key], vec![template("a", &["settings"], "")])
}

fn present(text: &str) -> Seen<Arc<[u8]>> {
    Seen::Present(Arc::from(text.as_bytes()))
}

fn view(node: &str, is_listed: bool, data: Seen<Arc<[u8]>>) -> View {
    View::Mapped { mapping: Some(Mapping { path: path(&format!("/services/pycon/{node}")), is_listed }), data }
}

const CHILD: &str = "views/parent/child1";

#[test]
fn a_view_that_cannot_be_used_is_held_and_the_reason_names_host_environment_and_path() {
    let absent = View::Mapped { mapping: None, data: Seen::Absent };
    let why = |why: &str| View::Mapped { mapping: None, data: Seen::Unreadable(why.into()) };
    let node = "/services/pycon/views/parent/child1";
    let cases = [
        (absent, "/services/pycon/nodemaps does not exist (host h1)".to_owned()),
        (why("/services/pycon/nodemaps is garbage"), "/services/pycon/nodemaps is garbage (host h1)".to_owned()),
        (view(CHILD, true, Seen::Absent), format!("{node} does not exist (host h1, environment parent/child1)")),
        (view(CHILD, true, present("")), format!("the data of {node} is empty (host h1, environment parent/child1)")),
        (view(CHILD, true, present("[1]")), format!("the data of {node} is not a JSON object (host h1, ")),
        (view(CHILD, true, present("null")), format!("the data of {node} is not a JSON object (host h1, ")),
        (view(CHILD, true, present("{\"a\": NaN}")), format!("the data of {node} is not valid JSON: expected value")),
        (
            view("pins/r12/parent", true, Seen::Unreadable("not authorized".into())),
            "/services/pycon/pins/r12/parent cannot be read: not authorized (host h1, environment parent, pinned to r12)"
                .to_owned(),
        ),
    ];
    for (seen, reason) in cases {
        let mut bench = Bench::new(with(Unmapped::Root));
        bench.reset(&subject(), seen.clone());
        assert!(bench.is_idle(), "{reason}");
        bench.reset(&subject(), view(CHILD, true, present(r#"{"n": 1}"#)));
        assert_eq!(bench.publish(Outcome::Unchanged).snapshot.keys["settings"]["n"], 1);
        bench.reset(&subject(), seen);
        bench.pass(seconds(60));
        assert!(bench.is_idle(), "{reason}");
        assert_eq!(bench.holds().len(), 2, "{:?}", bench.holds());
        assert!(bench.holds()[0].contains(&reason), "{:?} lacks {reason}", bench.holds());
        bench.reset(&subject(), view("views", true, present(r#"{"n": 2}"#)));
        assert_eq!(bench.publish(Outcome::Unchanged).snapshot.keys["settings"]["n"], 2);
    }
}

#[test]
fn a_host_without_an_association_reads_the_root_or_keeps_what_it_has() {
    let conf = || view("conf", false, present(r#"{"n": 0}"#));
    let mut root = Bench::new(with(Unmapped::Root));
    root.reset(&subject(), conf());
    assert_eq!(root.publish(Outcome::Unchanged).snapshot.keys["settings"]["n"], 0);

    let mut hold = Bench::new(with(Unmapped::Hold));
    hold.reset(&subject(), conf());
    assert!(hold.is_idle(), "it has nothing to keep");
    hold.reset(&subject(), view(CHILD, true, present(r#"{"n": 1}"#)));
    assert_eq!(hold.publish(Outcome::Unchanged).snapshot.keys["settings"]["n"], 1);
    hold.reset(&subject(), conf());
    assert!(hold.is_idle());
    let reason = "/services/pycon/nodemaps does not name the host (unmapped = \"hold\") (host h1)";
    assert!(hold.holds()[1].contains(reason), "{:?}", hold.holds());
    // An association with the root is one.
    hold.reset(&subject(), view("conf", true, present(r#"{"n": 0}"#)));
    assert_eq!(hold.publish(Outcome::Unchanged).snapshot.keys["settings"]["n"], 0);
}

#[test]
fn numbers_keep_their_digits_and_the_order_of_keys_does_not_count() {
    let mut bench = Bench::new(with(Unmapped::Root));
    bench.reset(
        &subject(),
        view(CHILD, true, present(r#"{"z": 1, "n": 1180591620717411303424, "a": {"y": 1, "b": 2}}"#)),
    );
    let publication = bench.publish(Outcome::Unchanged);
    let value = publication.snapshot.keys["settings"].to_string();
    assert_eq!(value, r#"{"a":{"b":2,"y":1},"n":"1180591620717411303424","z":1}"#, "sorted by key");
    // The same in another order, with a key that occurs twice: the last one counts.
    let same = r#"{"n": 1180591620717411303424, "a": {"b": 2, "y": 1}, "z": 2, "z": 1}"#;
    bench.reset(&subject(), view(CHILD, true, present(same)));
    assert!(bench.is_idle());
    // In another environment, too.
    bench.reset(&subject(), view("views", true, present(same)));
    assert!(bench.is_idle());
}

#[test]
fn a_key_of_jones_is_explained() {
    let mut bench = Bench::new(with(Unmapped::Root));
    let first = |bench: &Bench| explained(bench, "settings").lines().next().unwrap_or_default().to_owned();
    assert_eq!(first(&bench), "key settings: pycon, host h1 in registry default");
    bench.reset(&subject(), view("pins/r12/parent/child1", true, present(r#"{"a": 1, "b": 2}"#)));
    bench.publish(Outcome::Unchanged);
    assert_eq!(
        first(&bench),
        "key settings: pycon, host h1 → parent/child1, pinned to r12, 2 keys in registry default"
    );
    bench.reset(&subject(), view("conf", false, present(r#"{"a": 1}"#)));
    assert_eq!(
        first(&bench),
        "key settings: pycon, host h1 → (root) (nodemaps does not name the host), 1 key in registry default"
    );
}
