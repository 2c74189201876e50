use std::path::PathBuf;

use super::*;
use crate::load::host::Host;
use crate::model::registry_event::NodeContent;
use crate::payload::{Format, decode};
use serde_json::json;

fn globals() -> Globals {
    let host = Host { name: "h1".into(), fqdn: "h1.example.com".into(), ip: [192, 0, 2, 1].into() };
    let vars = json!({ "zone": "a", "zones": ["a", "b"], "deep": { "er": 1 } });
    Globals {
        host,
        vars: vars.as_object().unwrap().clone(),
        names: BTreeMap::new(),
        paths: BTreeMap::new(),
        complete: true,
    }
}

fn written(text: &str) -> Where {
    let source = format!("x = 1\nwhere = '{text}'\n");
    let span = 14..source.len() - 1;
    let file = PathBuf::from("rosterd.toml");
    Where { roster: "web".into(), is_keyed: false, text: text.into(), file, source: source.into(), span }
}

fn member(data: &str) -> Member {
    decode(&Format::Nextdoor, "10.0.0.1:80", &Ok(NodeContent::ephemeral(data.as_bytes()))).unwrap().member().unwrap()
}

#[test]
fn where_selects_members_by_fields_and_data() {
    let one = member(r#"{"zone": "a", "weight": 5, "host": "liar", "m": 1, "on": true, "tags": ["x"], "yes": "true"}"#);
    for (text, wanted) in [
        ("zone == vars.zone", Ok(true)),
        ("zone in vars.zones and m.weight >= 5", Ok(true)),
        ("weight > 5", Ok(false)),
        ("m.host == \"10.0.0.1\" and port == 80", Ok(true)),
        ("m.data.host == \"liar\"", Ok(true)),
        ("m.data.m == 1", Ok(true)),
        ("host.name == \"h1\"", Ok(true)),
        ("\"x\" in tags", Ok(true)),
        ("on", Ok(true)),
        ("rack == \"r1\"", Ok(false)),
        ("rack is defined and rack > 3", Ok(false)),
        ("name is starting_with(pat=\"10.\")", Ok(true)),
        ("rack > 3", Err("Cannot compare `undefined` with `i64`")),
        ("zone", Err("the expression evaluates to \"a\", not to true or false")),
        ("rack", Err("Variable `rack` is not defined.")),
    ] {
        let filter =
            compile_where(&written(text), &globals()).unwrap_or_else(|problems| panic!("{text}: {problems:?}")).filter;
        assert_eq!(filter.matches("", &one), wanted.map_err(str::to_owned), "{text}");
        assert_eq!(filter.to_string(), text);
    }
}

#[test]
fn key_is_the_key_of_the_member_and_chooses_keys() {
    let one = member(r#"{"key": "own"}"#);
    let compile =
        |text: &str, is_keyed| compile_where(&Where { is_keyed, ..written(text) }, &globals()).unwrap().filter;
    // Whether the members of "web" match, and whether the keys "web" and "legacy" do.
    for (text, matches, web, legacy) in [
        ("key != \"legacy\" and m.port == 81", false, true, false),
        ("m.port == 80 and key == \"web\"", true, true, false),
        ("key in vars.zones", false, false, false),
        ("key == \"web\" or m.port == 80", true, true, true),
        ("key != m.data.key and m.data.key == \"own\"", true, true, true),
        // A part that fails decides nothing of the key: each member is excluded, with the reason.
        ("port == 80 and key > 3", false, true, true),
    ] {
        let filter = compile(text, true);
        assert_eq!(filter.matches("web", &one).unwrap_or(false), matches, "{text}");
        assert_eq!((filter.matches_key("web"), filter.matches_key("legacy")), (web, legacy), "{text}");
    }
    // Without keys it is the key of the data, if any.
    let plain = compile("key == \"own\"", false);
    assert_eq!((plain.matches("", &one), plain.matches_key("")), (Ok(true), true));
}

#[test]
fn problems_are_reported_at_load_with_their_position() {
    for (text, part, words) in [
        ("zone == vars.zon", "zon", "vars has no zon"),
        ("zone = 1", "=", ""),
        ("zone ==", "", "the expression ends here, but Tera expected one of"),
        ("zone | sort_bi(attribute=1)", "sort_bi", "unknown filter sort_bi"),
        ("zone is defind", "defind", "unknown test defind"),
        ("now() > 1", "now", "unknown function now"),
        ("host == \"a\"", "host", "host is a map"),
        ("host.nam == \"a\"", "nam", "host has no nam"),
        ("slot == 1", "slot", "there is no slot"),
        ("m.slot == 1", "m", "a member has no slot yet"),
        ("loop.index == 1", "loop", "there is no loop"),
        ("1 }}{% if x %}", "'1 }}{% if x %}'", "is not allowed in `where`"),
    ] {
        let written = written(text);
        let problems = compile_where(&written, &globals()).map(|_| ()).unwrap_err();
        let problem = &problems[0];
        assert!(
            problem.message.starts_with("`where` of web: ") && problem.message.contains(words),
            "{text}: {problem:?}"
        );
        assert_eq!(written.source.get(problem.span.clone()), Some(part), "{text}: {problem:?}");
        assert!(problem.hint.as_ref().is_some_and(|hint| !hint.is_empty()), "{text}");
    }
    // A value in another notation is marked as a whole.
    let escaped = Where { text: "zone == \"b\" and vars.x".into(), ..written("zone == \\\"b\\\"") };
    let problems = compile_where(&escaped, &globals()).map(|_| ()).unwrap_err();
    assert_eq!(problems[0].span, escaped.span);
}

#[test]
fn a_filter_changes_when_a_variable_that_it_uses_changes() {
    let filter = |text: &str, globals: &Globals| compile_where(&written(text), globals).unwrap().filter;
    let (one, mut other) = (globals(), globals());
    other.vars.insert("zone".into(), json!("b"));
    assert_eq!(filter("zone == 1", &one), filter("zone == 1", &other));
    assert_ne!(filter("zone == vars.zone", &one), filter("zone == vars.zone", &other));
    assert_ne!(filter("zone == 1", &one), filter("zone == 2", &one));
    other.host.name = "h2".into();
    assert_ne!(filter("name == host.name", &one), filter("name == host.name", &other));
    assert!(compile_where(&written("name == host.fqdn"), &one).unwrap().uses_fqdn);
}
