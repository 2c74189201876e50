//! Errors that name the member with which a template cannot be rendered.

use super::*;
use crate::config::{Each, OnGone};

/// The error of a template for these members of `web` and of the key `api` of `services`.
fn error(text: &str, web: &[(&str, &str)], api: &[(&str, &str)]) -> String {
    let more = [
        ("server", "{{ m.data.host }}"),
        ("lib", "{% component show(m) %}{{ m.data.host }}{% endcomponent %}"),
        ("t", text),
    ];
    let dir = dir(&more);
    let library = load(&dir, &["t"]).unwrap();
    let RosterValue::List(list) = seats(api) else { panic!() };
    let services = RosterValue::Map(BTreeMap::from([("api".into(), list)]));
    let rosters = BTreeMap::from([("web".into(), seats(web)), ("services".into(), services)]);
    let snapshot = Snapshot { rosters, ..snapshot() };
    let error = library.render_or_name_member(&template("t"), &snapshot, None).unwrap_err();
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

const GOOD: &str = r#"{"host": "h", "note": "x,y", "n": 1}"#;

#[test]
fn an_error_names_the_first_member_for_which_it_occurs() {
    let web = [("a:80", GOOD), ("b:80", GOOD), ("c:80", r#"{"note": 5}"#), ("d:80", GOOD), ("e:80", "{}")];
    let cases = [
        "{% for m in web %}{{ m.data.host }}{% endfor %}",
        "{% for m in web %}{% include 'server' %}{% endfor %}",
        "{% for m in web %}{{ <show m={m} /> }}{% endfor %}",
        "{% for m in web %}{{ m.note | split(pat=',') }}{% endfor %}",
        "{% for m in web %}{{ m.n + 1 }}{% endfor %}",
        "{% for k, v in services %}{% for m in v %}{{ m.name }}{% endfor %}{% endfor %}\
         {% for m in web %}{{ m.data.host }}{% endfor %}",
        "{% if web | length > 0 %}{% for m in web %}{{ m.data.host }}{% endfor %}{% endif %}",
    ];
    for text in cases {
        let error = error(text, &web, &[("x:1", GOOD), ("y:1", GOOD)]);
        assert!(error.starts_with("at member /services/web/c:80: "), "{text}: {error}");
    }
}

#[test]
fn an_error_is_that_of_the_member_that_it_names() {
    // The first loop fails first, and the first member fails in the second one.
    let text = "{% for m in web %}{{ m.data.host }}{% endfor %}{% for m in web %}{{ m.data.n }}{% endfor %}";
    let web = [("a:80", GOOD), ("b:80", r#"{"host": "h"}"#), ("c:80", r#"{"n": 1}"#)];
    assert_eq!(
        error(text, &web, &[]),
        "at member /services/web/b:80: Field `n` is not defined. Available fields: host"
    );
}

#[test]
fn a_member_of_a_key_is_named_with_its_key() {
    let text = "{% for k, v in services %}{% for m in v %}{{ m.data.host }}{% endfor %}{% endfor %}{{ web | length }}";
    let found = error(text, &[("a:80", "{}")], &[("x:1", GOOD), ("y:1", "{}")]);
    assert!(found.starts_with("at member /services/api/live/y:1: "), "{found}");

    let dir = dir(&[("t", "{% for m in members %}{{ m.data.host }}{% endfor %}")]);
    let each = Each { key: Some("api".into()), ..Each::new("t", "services", OnGone::Remove) };
    let config = Arc::new(TemplateConfig { each: Some(each), ..TemplateConfig::new("t", "t", "/nowhere") });
    let library = Library::load(&[Arc::clone(&config)], dir.path(), globals()).unwrap();
    let RosterValue::List(list) = seats(&[("x:1", GOOD), ("y:1", "{}")]) else { panic!() };
    let snapshot = Snapshot { own: Some(("api".into(), list)), ..Snapshot::default() };
    let error = library.render_or_name_member(&config, &snapshot, None).unwrap_err().to_string();
    assert!(error.starts_with("at member /services/api/live/y:1: "), "{error}");
}

#[test]
fn no_member_is_named_for_a_template_that_fails_without_members() {
    let cases = [
        "{{ settings.typo.x }}{% for m in web %}{{ m.name }}{% endfor %}",
        "{{ web[0].data.typo }}",
        "{% for m in memcached %}{{ m.data.host }}{% endfor %}{{ settings.typo.x }}",
    ];
    for text in cases {
        let error = error(text, &[("a:80", "{}"), ("b:80", "{}")], &[]);
        assert!(!error.contains("at member"), "{text}: {error}");
    }
}
