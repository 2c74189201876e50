//! Invalid templates with a valid configuration.

use std::fmt::Write as _;

use super::told;

/// A configuration with a setting of every kind, and a template for each of these names.
fn good(names: &[&str]) -> String {
    let mut config = "registry.url = \"zk://zk1\"\n[vars]\nzone = \"west\"\n[[roster]]\npath = \"/s/web\"\n\
                      [[roster]]\nname = \"services\"\npath = \"/s/*\"\n[[key]]\nname = \"settings\"\npath = \"/config/app\"\n"
        .to_owned();
    for name in names {
        writeln!(config, "[[template]]\nsrc = \"{name}\"\ndest = \"/x/{name}\"").unwrap();
    }
    config
}

/// The report about the template `t`, next to other files of the template directory.
pub(super) fn of(text: &str, others: &[(&str, &str)]) -> String {
    let others: Vec<_> = others.iter().map(|(name, text)| (format!("templates/{name}"), *text)).collect();
    let config = good(&["t"]);
    let mut files = vec![("rosterd.toml", &*config), ("templates/t", text)];
    files.extend(others.iter().map(|(name, text)| (&**name, *text)));
    told(&files)
}

#[test]
fn an_unclosed_tag_is_reported() {
    insta::assert_snapshot!(of("backend web\n{% for m in web %}\n  server {{ m.name }\n{% endfor %}\n", &[]), @"
    rosterd: invalid configuration
    error: Found `}` but expected }}.
     --> templates/t:3:20
      |
    3 |   server {{ m.name }
      |                    ^
      |
      = help: templates are Tera 2: {{ VALUE | FILTER }}, {% for m in ROSTER %} … {% endfor %}; see docs/templates.md

    1 problem
    ");
}

#[test]
fn an_unclosed_loop_is_reported() {
    insta::assert_snapshot!(of("{% for m in web %}\n  server {{ m.name }}\n", &[]), @"
    rosterd: invalid configuration
    error: Unexpected end of input
     --> templates/t:2:23
      |
    2 |   server {{ m.name }}
      |                      ^
      |
      = help: a tag or block is not closed: {% endfor %}, {% endif %}, }} or %}

    1 problem
    ");
}

#[test]
fn syntax_of_another_template_language_is_reported() {
    insta::assert_snapshot!(of("{{ range .web }}\n{{ m.name | to_json }}\n{{ end }}\n", &[]), @"
    rosterd: invalid configuration
    error: there is no roster, key or variable named range
     --> templates/t:1:4
      |
    1 | {{ range .web }}
      |    ^^^^^
      |
      = help: available: services, settings, web, host, rosters, vars

    error: there is no roster, key or variable named m
     --> templates/t:2:4
      |
    2 | {{ m.name | to_json }}
      |    ^
      |
      = help: available: services, settings, web, host, rosters, vars

    error: unknown filter to_json
     --> templates/t:2:13
      |
    2 | {{ m.name | to_json }}
      |             ^^^^^^^
      |
      = help: did you mean json?

    error: there is no roster, key or variable named end
     --> templates/t:3:4
      |
    3 | {{ end }}
      |    ^^^
      |
      = help: available: services, settings, web, host, rosters, vars

    4 problems
    ");
}

#[test]
fn a_macro_of_tera_1_is_reported() {
    insta::assert_snapshot!(of("{% macro server(m) %}{{ m.name }}{% endmacro %}\n", &[]), @r#"
    rosterd: invalid configuration
    error: Unknown tag
     --> templates/t:1:4
      |
    1 | {% macro server(m) %}{{ m.name }}{% endmacro %}
      |    ^^^^^
      |
      = help: Tera 2 has components instead: {% component NAME(ARGUMENTS) %}, {{ <NAME argument={1} /> }}; see docs/templates.md, "Coming from Tera 1 or Jinja"

    1 problem
    "#);
}

#[test]
fn undefined_rosters_are_reported() {
    insta::assert_snapshot!(of("{% for m in wbe %}\n{{ m.name }}\n{% endfor %}\n{{ setings.x }}{{ quite_other }}\n{{ web.name }}\n", &[]), @"
    rosterd: invalid configuration
    error: there is no roster, key or variable named wbe
     --> templates/t:1:13
      |
    1 | {% for m in wbe %}
      |             ^^^
      |
      = help: did you mean web?

    error: there is no roster, key or variable named setings
     --> templates/t:4:4
      |
    4 | {{ setings.x }}{{ quite_other }}
      |    ^^^^^^^
      |
      = help: did you mean settings?

    error: there is no roster, key or variable named quite_other
     --> templates/t:4:19
      |
    4 | {{ setings.x }}{{ quite_other }}
      |                   ^^^^^^^^^^^
      |
      = help: available: services, settings, web, host, rosters, vars

    error: web is a list of members and has no name
     --> templates/t:5:8
      |
    5 | {{ web.name }}
      |        ^^^^
      |
      = help: loop over it: {% for m in web %}{{ m.name }}{% endfor %}

    4 problems
    ");
}

#[test]
fn unknown_filters_tests_and_functions_are_reported() {
    insta::assert_snapshot!(of("{{ web | tojson }}\n{{ web | jsn }}\n{% if web is defind %}{% endif %}\n{{ now() }}{{ rnge(end=3) }}\n", &[]), @"
    rosterd: invalid configuration
    error: unknown filter tojson
     --> templates/t:1:10
      |
    1 | {{ web | tojson }}
      |          ^^^^^^
      |
      = help: did you mean json?

    error: unknown filter jsn
     --> templates/t:2:10
      |
    2 | {{ web | jsn }}
      |          ^^^
      |
      = help: did you mean json?

    error: unknown test defind
     --> templates/t:3:14
      |
    3 | {% if web is defind %}{% endif %}
      |              ^^^^^^
      |
      = help: did you mean defined?

    error: unknown function now
     --> templates/t:4:4
      |
    4 | {{ now() }}{{ rnge(end=3) }}
      |    ^^^
      |
      = help: functions that vary between renders are not available: the same members always give the same file

    error: unknown function rnge
     --> templates/t:4:15
      |
    4 | {{ now() }}{{ rnge(end=3) }}
      |               ^^^^
      |
      = help: did you mean range?

    5 problems
    ");
}

#[test]
fn unknown_fields_of_host_and_vars_are_reported() {
    insta::assert_snapshot!(of("{{ host.nmae }}\n{{ vars.zon }}\n{{ vars.other }} {{ env.HOME }}\n", &[]), @"
    rosterd: invalid configuration
    error: host has no nmae
     --> templates/t:1:9
      |
    1 | {{ host.nmae }}
      |         ^^^^
      |
      = help: its fields are fqdn, ip, name

    error: vars has no zon
     --> templates/t:2:9
      |
    2 | {{ vars.zon }}
      |         ^^^
      |
      = help: did you mean zone?

    error: vars has no other
     --> templates/t:3:9
      |
    3 | {{ vars.other }} {{ env.HOME }}
      |         ^^^^^
      |
      = help: set it under [vars] in the configuration

    error: there is no roster, key or variable named env
     --> templates/t:3:21
      |
    3 | {{ vars.other }} {{ env.HOME }}
      |                     ^^^
      |
      = help: set a variable under [vars] in the configuration, where {{ env.X }} is available

    4 problems
    ");
}

#[test]
fn a_template_that_is_not_utf8_is_reported() {
    let config = good(&["t"]);
    let site = super::site(&[("rosterd.toml", &config)]);
    std::fs::write(site.path("templates/t"), b"one\ntwo \xff\n").unwrap();
    super::mode(&site, "templates/t", 0o644);
    insta::assert_snapshot!(super::told_of(&site, &["check"]), @"
    rosterd: invalid configuration
    error: these bytes are not UTF-8
     --> templates/t:2:5
      |
    2 | two �
      |     ^
      |
      = help: save the template as UTF-8

    1 problem
    ");
}

#[test]
fn errors_in_several_templates_are_reported_together() {
    insta::assert_snapshot!(told(&[
        ("rosterd.toml", &good(&["a", "b", "good.tera"])),
        ("templates/a", "{{ weeb }}\n{% include 'shared' %}"),
        ("templates/b", "{% include 'shared' %}\n{{ host.nam }}"),
        ("templates/shared", "{{ web | lenght }}"),
    ]), @"
    rosterd: invalid configuration
    error: there is no roster, key or variable named weeb
     --> templates/a:1:4
      |
    1 | {{ weeb }}
      |    ^^^^
      |
      = help: did you mean web?

    error: host has no nam
     --> templates/b:2:9
      |
    2 | {{ host.nam }}
      |         ^^^
      |
      = help: its fields are fqdn, ip, name

    error: unknown filter lenght
     --> templates/shared:1:10
      |
    1 | {{ web | lenght }}
      |          ^^^^^^
      |
      = help: did you mean length?

    3 problems
    ");
}
