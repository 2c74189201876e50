//! Tests of the names and calls that are found in a template's text.

use super::*;

/// The names of a template that have no local value, with their fields.
fn free(text: &str) -> String {
    let uses = Uses::of(text);
    let show = |name: &Variable| {
        let mut out = name.ident.text.clone();
        for field in &name.fields {
            out = format!("{out}.{}", field.text);
        }
        if name.guarded { format!("{out}?") } else { out }
    };
    let names: Vec<String> = uses.body.variables.iter().filter(|name| !name.local).map(show).collect();
    names.join(" ")
}

#[test]
fn names_are_found_in_their_scopes() {
    let cases = [
        ("{{ a.b['c'].d }} {{ e[f].g?.h | i(j=1)[0].k }}", "a.b.c.d e f"),
        ("{% for m in web %}{{ m.x }}{{ loop.index }}{% else %}{{ m }}{% endfor %}{{ loop }}", "web m loop"),
        ("{% for k, v in web | where(attribute='a', value=b) %}{{ k }}{{ v }}{% endfor %}", "web b"),
        ("{% for web in web %}{{ web }}{% endfor %}", "web"),
        ("{% set x = a %}{{ x }}{{ y }}", "a y"),
        ("{% if a %}{% set x = 1 %}{% elif b is c %}{% else %}{{ d }}{% endif %}{{ x }}", "a b d"),
        ("{% for m in a %}{% set x = 1 %}{% set_global y = 2 %}{% endfor %}{{ x }}{{ y }}", "a x"),
        ("{% set x | upper %}{{ a }}{% endset %}{{ x }}", "a"),
        ("{{ [m.x for m in web if m.y == z] | join(sep=s) }}{{ m }}", "web z s m"),
        ("{{ [a, b] }}{{ {'k': c, ...d} }}{{ e[1:f] }}", "a b c d e f"),
        ("{{ a if b else c }}{{ not d and e or f in g }}{{ h < i }}{{ true }}{{ none }}", "a b c d e f g h i"),
        ("{{ a | default(value=b) }}{{ c is defined }}{{ d?.e }}{{ f is not defined }}", "a? b c? d.e? f?"),
        ("{{ (a) | default(value=b) }}{{ ((c.d)) is defined }}{{ (e ~ f) | default(value='') }}", "a? b c.d? e f"),
        ("{{ a is containing(b) | default(value=1) }}{% if not (c) | default(value=1) %}{% endif %}", "a b c?"),
        ("{{ a.b }}{{ a.b.c }}{{ a }}{{ a.d }}{% if a.b is not defined %}{% endif %}", "a.b? a.b.c? a a.d a.b?"),
        ("{% set there = a is defined %}{% if there %}{{ a }}{% endif %}{{ b }}", "a? a? b"),
        ("{% component x() %}{% if a is defined %}{% endif %}{% endcomponent x %}{{ a }}", "a"),
        ("{{ <server m={x} y w='z' /> }}{% <box> %}{{ b }}{% </box> %}", "x y b"),
        ("{% filter upper | replace(from=a, to='b') %}{{ c }}{% endfilter %}", "a c"),
        ("{% block one %}{{ a }}{% endblock one %}{{ range(end=n) }}", "a n"),
        ("{% raw %}{{ a }}{% endraw %}{# {{ b }} #}{{ 'c' ~ d }}", "d"),
        ("{% component x(a, @b, c: map = {'q': [1]}, ...r) {'meta': 'x'} %}{{ a }}{% endcomponent x %}{{ e }}", "e"),
    ];
    for (text, expected) in cases {
        assert_eq!(free(text), expected, "{text}");
    }
}

#[test]
fn a_component_sees_only_its_arguments() {
    let uses =
        Uses::of("{% component a.b(m, @web, n=1) %}{{ m }}{{ web }}{{ n }}{{ body }}{{ out }}{% endcomponent %}");
    let component = &uses.components["a.b"];
    assert_eq!(component.implicit[0].text, "web");
    let free: Vec<_> =
        component.body.variables.iter().filter(|name| !name.local).map(|name| &name.ident.text).collect();
    assert_eq!(free, ["out"]);
}

#[test]
fn calls_are_found_with_their_local_names() {
    let uses = Uses::of(
        "{% extends 'base' %}{% for m in web %}{% include \"line\" %}{{ <a.b/> }}{% endfor %}\
         {{ x | f(a=1) | g }}{{ y is not t }}{{ fun(a=b) }}",
    );
    assert_eq!(uses.extends.map(|ident| ident.text), Some("base".into()));
    assert_eq!(uses.body.includes[0].ident.text, "line");
    assert!(uses.body.includes[0].scope.contains_key("m"));
    assert_eq!(uses.body.calls[0].ident.text, "a.b");
    let texts = |words: &[Ident]| words.iter().map(|ident| ident.text.clone()).collect::<Vec<_>>().join(" ");
    assert_eq!(
        (texts(&uses.filters), texts(&uses.tests), texts(&uses.functions)),
        ("f g".into(), "t".into(), "fun".into())
    );
}
