//! Errors in templates, with their position and a hint.

use insta::assert_snapshot;

use super::*;

#[test]
fn a_go_template_is_recognized() {
    for text in [
        "{{range gets \"/services/web/*\"}}server {{base .Key}}\n{{end}}",
        "{{ getv \"/x\" }}",
        "{{ range service \"web\" }}{{ .Address }}{{ end }}",
        "{{- with $x }}{{ else }}",
        "{{ if exists \"/x\" }}",
    ] {
        let said = problems(&[("t", text)]);
        assert!(said.contains("this is Go template syntax"), "{text}: {said}");
    }
    for text in ["{{ key }} {{ m.x }", "{{ range(start=1) }", "{{ template if x", "{% if x %}{{ end.x }"] {
        let said = problems(&[("t", text)]);
        assert!(!said.contains("this is Go template syntax"), "{text}: {said}");
    }
}

#[test]
fn every_problem_has_a_position_and_a_hint() {
    assert_snapshot!(problems(&[("t", "a\n{{ memcachd }}\n{% for m in webb %}{{ mm }}{% endfor %}")]), @r#"
    t:2:4 "memcachd": there is no roster, key or variable named memcachd (did you mean memcached?)
    t:3:13 "webb": there is no roster, key or variable named webb (did you mean web?)
    t:3:23 "mm": there is no roster, key or variable named mm (did you mean m?)
    "#);
    assert_snapshot!(problems(&[("t", "{% for m in web %}\n{{ m.name }\n{% endfor %}")]), @r#"
    t:2:11 "}": Found `}` but expected }}. (templates are Tera 2: {{ VALUE | FILTER }}, {% for m in ROSTER %} … {% endfor %}; see docs/templates.md)
    "#);
    assert_snapshot!(problems(&[("t", "{% for m in web %}\n{{ m.name }}\n")]), @r#"t:3:1 "": Unexpected end of input (a tag or block is not closed: {% endfor %}, {% endif %}, }} or %})"#);
    assert_snapshot!(problems(&[("t", "é {{ web | jsn }} {{ web | tojson }} {{ web | zzz }}")]), @r#"
    t:1:12 "jsn": unknown filter jsn (did you mean json?)
    t:1:28 "tojson": unknown filter tojson (did you mean json?)
    t:1:47 "zzz": unknown filter zzz (available: abs, b64encode, base, capitalize, default, dir, escape, escape_html, escape_xml, first, float, get, group_by, haproxy, haproxy_name, hosts_name, indent, int, join, json, keys, last, length, lower, md5, newlines_to_br, nginx, nth, pairs, pgpool, pluck, pluralize, regex_replace, replace, reverse, round, safe, shell, sort, sort_by, split, str, title, toml, trim, trim_end, trim_start, truncate, unique, upper, values, where, wordcount, yaml)
    "#);
    assert_snapshot!(problems(&[("t", "{% if web is defind %}{% endif %}{{ now() }}{{ rnge(end=1) }}")]), @r#"
    t:1:14 "defind": unknown test defind (did you mean defined?)
    t:1:37 "now": unknown function now (functions that vary between renders are not available: the same members always give the same file)
    t:1:48 "rnge": unknown function rnge (did you mean range?)
    "#);
    assert_snapshot!(problems(&[("t", "{{ host.nmae }}\n{{ vars.zon }} {{ vars.deep.y }}\n{% if vars.q %}{% endif %}")]), @r#"
    t:1:9 "nmae": host has no nmae (its fields are fqdn, ip, name)
    t:2:9 "zon": vars has no zon (did you mean zone?)
    t:2:29 "y": vars.deep has no y (set it under [vars] in the configuration)
    t:3:12 "q": vars has no q (set it under [vars] in the configuration)
    "#);
    assert_snapshot!(problems(&[("t", "{% if web.typo %}{{ web['host'] }}{% endif %}")]), @r#"
    t:1:11 "typo": web is a list of members and has no typo (loop over it: {% for m in web %}{{ m.typo }}{% endfor %})
    t:1:25 "'host'": web is a list of members and has no host (loop over it: {% for m in web %}{{ m.host }}{% endfor %})
    "#);
    assert_snapshot!(problems(&[("t", "\n{% include \"lin\" %}{% include '../x' %}{% include '/etc/passwd' %}"), ("line", "")]), @r#"
    t:2:12 "\"lin\"": DIR/lin cannot be read: No such file or directory (os error 2) (did you mean line?)
    t:2:31 "'../x'": "../x" is not a valid template name (names are relative to the template directory, without . or ..)
    t:2:51 "'/etc/passwd'": "/etc/passwd" is not a valid template name (names are relative to the template directory, without . or ..)
    "#);
    assert_snapshot!(problems(&[("t", "{% include 'line' %}"), ("line", "{{ m.x }}\n{{ typo }}")]), @r#"
    line:1:4 "m": there is no roster, key or variable named m (available: memcached, services, settings, web, host, rosters, vars)
    line:2:4 "typo": there is no roster, key or variable named typo (available: memcached, services, settings, web, host, rosters, vars)
    "#);
    assert_snapshot!(problems(&[("t", "{{ <servr m={web} /> }}"), ("lib", "{% component server(m) %}{{ m }}{% endcomponent %}")]), @r#"t:1:5 "servr": unknown component servr (did you mean server?)"#);
    assert_snapshot!(problems(&[("t", "{% component server(m) %}{{ web }}{{ host.name }}{% endcomponent %}{{ <server m=\"a\" /> }}")]), @r#"
    t:1:29 "web": web is not an argument of this component, and a component sees only its arguments (pass it where the component is used, or declare it as @web)
    t:1:38 "host": host is not an argument of this component, and a component sees only its arguments (pass it where the component is used, or declare it as @host)
    "#);
    assert_snapshot!(problems(&[("t", "{% extends 'base' %}\n{% block bdy %}{% endblock %}"), ("base", "{% block body %}{% endblock %}")]), @r#"
    t:2:10 "": Block `bdy` is not defined in any parent template (use the name of a block in the parent, or add this block to the parent)
    "#);
    assert_snapshot!(problems(&[("t", "{% include 'a' %}"), ("a", "{% include 't' %}")]), @r#"
    a:1:12 "'t'": a template cannot include or extend itself: t → a → t (remove this, or another include or extends of the cycle)
    "#);
    assert_snapshot!(problems(&[("t", "{{ <x /> }}"), ("a", "{% component x() %}{% endcomponent %}"), ("b", "{% component x() %}{% endcomponent %}")]), @r#"t:1:5 "x": the component x is defined in both a and b (rename one of them)"#);
    assert_snapshot!(problems(&[("t", "{{ __tera_context }}{{ loop.index }}{{ env.HOME }}{{ quite_other }}")]), @r#"
    t:1:4 "__tera_context": there is no roster, key or variable named __tera_context (use the names of the rosters)
    t:1:24 "loop": there is no roster, key or variable named loop (loop is available only inside a for)
    t:1:40 "env": there is no roster, key or variable named env (set a variable under [vars] in the configuration, where {{ env.X }} is available)
    t:1:54 "quite_other": there is no roster, key or variable named quite_other (available: memcached, services, settings, web, host, rosters, vars)
    "#);
}

#[test]
fn a_source_that_cannot_be_read_is_a_problem() {
    let dir = dir(&[("haproxy.cfg.tera", ""), ("sub/x", "")]);
    let first = |src: &str| {
        let Problems(mut problems) = load(&dir, &[src]).unwrap_err();
        let problem = problems.remove(0);
        format!("{} ({})", problem.message, problem.hint.unwrap()).replace(&dir.path().display().to_string(), "DIR")
    };
    assert_snapshot!(first("haproxy.cfg.tea"), @r#"template t: cannot read its source: No such file or directory (os error 2) (did you mean haproxy.cfg.tera?)"#);
    assert_snapshot!(first("sub"), @r#"template t: cannot read its source: it is a directory (src is relative to DIR)"#);
    assert_snapshot!(first("../x"), @r#"template t: src = "../x" is outside the template directory (src is relative to DIR; use an absolute path for a file outside it)"#);
}

#[test]
fn problems_of_all_templates_are_reported_together_in_order() {
    let dir = dir(&[
        ("b", "{{ x }}{{ y }}{% include 'shared' %}"),
        ("a", "{{ z }}{% include 'shared' %}"),
        ("shared", "{{ q }}"),
    ]);
    let Problems(problems) = load(&dir, &["b", "a"]).unwrap_err();
    let places: Vec<_> =
        problems.iter().map(|p| (p.file.file_name().unwrap().to_str().unwrap(), &p.text[p.span.clone()])).collect();
    assert_eq!(places, [("a", "z"), ("b", "x"), ("b", "y"), ("shared", "q")]);
}

#[test]
fn valid_templates_are_accepted() {
    let line = ("line", "{% for n in range(end=2) %}{{ m.name }}{{ n }}{% endfor %}");
    let lib = ("lib/parts", "{% component server(m, @vars) %}{{ m.name }} {{ vars.zone }}{% endcomponent server %}");
    let base = ("base", "{% set x = 1 %}[{% block body %}{% endblock body %}]");
    let cases = [
        (
            "{% for m in web %}{% include 'line' %}{% endfor %}",
            "a:80a:80a:80b:81b:81".replacen("a:80a:80a:80", "a:800a:801", 1).replacen("b:81b:81", "b:810b:811", 1),
        ),
        ("{{ <server m={web[0]} /> }}", "a:80 a".into()),
        ("{% extends 'base' %}{% block body %}{{ x }}{{ web | length }}{% endblock %}", "[12]".into()),
        (
            "{{ typo | default(value='d') }}{% if vars.q is defined %}x{% endif %}{{ vars.q?.z | default(value='e') }}",
            "de".into(),
        ),
        (
            "{% if typo is not defined %}x{% else %}{{ typo }}{% endif %}{% if vars.q is defined %}{{ vars.q }}{% endif %}\
             {{ (vars.q) | default(value='y') }}",
            "xy".into(),
        ),
        ("{{ host.ip }} {{ host.fqdn }} {{ vars.deep.x }}", "10.0.0.9 h1.example.com 1".into()),
        ("{% for k, v in services %}{{ k }}={{ v | length }}{% endfor %}", "api=2".into()),
        ("{% for k, v in rosters %}{{ k }} {% endfor %}", "memcached services web ".into()),
        ("{{ settings | json }}{{ web | pluck(attribute='port') | json }}", r#"{"a":[true],"b":1}[80,81]"#.into()),
        ("<a href=\"{{ '&<' }}\">", "<a href=\"&<\">".into()),
    ];
    for (text, expected) in cases {
        assert_eq!(render_with(text, &[line, lib, base]), Ok(expected), "{text}");
    }
}

#[test]
fn an_undefined_value_is_an_error_with_its_position() {
    assert_snapshot!(render("{% for m in web %}\n  zone {{ m.zone }}\n{% endfor %}").unwrap_err(), @r#"
    Field `zone` is not defined. Available fields: address, data, host, id, name, port, slot, status, weight
     --> t:2:13
      |
    2 |   zone {{ m.zone }}
      |             ^^^^
    "#);
    assert_snapshot!(render("{{ web[0].typo.x }}").unwrap_err(), @r#"
    Field `x` is not defined
     --> t:1:11
      |
    1 | {{ web[0].typo.x }}
      |           ^^^^
    "#);
    assert_snapshot!(render("{{ web[7].name }}").unwrap_err(), @r#"
    Field `name` is not defined
     --> t:1:4
      |
    1 | {{ web[7].name }}
      |    ^^^^^
    "#);
    assert_snapshot!(render("{{ settings.a | shell }}").unwrap_err(), @r#"
    `shell` takes a string or a number, but got a list: use one of its fields
     --> t:1:17
      |
    1 | {{ settings.a | shell }}
      |                 ^^^^^
    "#);
    let line = ("line", "{{ m.zone }}");
    assert_snapshot!(render_with("{% for m in web %}{% include 'line' %}{% endfor %}", &[line]).unwrap_err(), @r#"
    Field `zone` is not defined. Available fields: address, data, host, id, name, port, slot, status, weight
     --> line:1:6
      |
    1 | {{ m.zone }}
      |      ^^^^

    note: called from t:1:30
      |
    1 | {% for m in web %}{% include 'line' %}{% endfor %}
      |                              ^^^^^^
    "#);
    let error = render("{{ 'x' in web[0].tags }}").unwrap_err();
    let hint = "undefined: `in` takes a list, a string or a map; write X in LIST | default(value=[])\n --> t:1:";
    assert!(error.starts_with(hint), "{error}");
}

#[test]
fn what_other_languages_write_is_answered_with_what_to_write_here() {
    let cases = [
        ("{{ web | join(\",\") }}", "arguments have names: write join(sep=\",\")"),
        ("{{ web | where ( 'zone', value=1) }}", "arguments have names: write where(attribute='zone')"),
        ("{{ web | replace(from='a', 'b') }}", "arguments have names: write replace(NAME='b')"),
        ("{{ range(3) }}", "arguments have names: write range(end=3)"),
        ("{% for k, v in vars.items() %}{% endfor %}", "{% for key, value in MAP %}"),
        ("{{ web[0].name.upper() }}", "write VALUE | upper"),
        ("{% if web %}a{% elsif host %}b{% endif %}", "write {% elif CONDITION %}"),
        ("{% if web %}a{% elseif host %}b{% endif %}", "write {% elif CONDITION %}"),
        ("{% if web %}a{%- else if host %}b{% endif %}", "write {% elif CONDITION %}"),
        ("{{ {'a': {'b': host.name}} | json }}", "write `} }`"),
        ("{% for m in web if m.x %}{% endfor %}", "{% for m in LIST %}{% if CONDITION %}"),
        ("{% do web.append(1) %}", "write {% set NAME = VALUE %}"),
        ("{% macro f(x) %}{% endmacro %}", "Tera 2 has components instead"),
        ("{% if web && host %}{% endif %}", "write `and`"),
        ("{% if !web %}{% endif %}", "write `not`"),
    ];
    for (text, hint) in cases {
        let said = problems(&[("t", text)]);
        assert!(said.contains(hint) && said.contains("\"Coming from Tera 1 or Jinja\""), "{text}: {said}");
    }
    for text in ["{{ $labels.instance }}", "a=${#x}\n"] {
        let said = problems(&[("t", text)]);
        assert!(said.contains("between {% raw %} and {% endraw %}"), "{text}: {said}");
    }
}
