//! Errors in the files that templates refer to: includes, parents, components.

use super::templates::of;

#[test]
fn missing_includes_are_reported() {
    insta::assert_snapshot!(of("{% include \"headr\" %}\n{% include '../secret' %}\n{% include '/etc/passwd' %}\n", &[("header", "")]), @r#"
    rosterd: invalid configuration
    error: templates/headr cannot be read: No such file or directory (os error 2)
     --> templates/t:1:12
      |
    1 | {% include "headr" %}
      |            ^^^^^^^
      |
      = help: did you mean header?

    error: "../secret" is not a valid template name
     --> templates/t:2:12
      |
    2 | {% include '../secret' %}
      |            ^^^^^^^^^^^
      |
      = help: names are relative to the template directory, without . or ..

    error: "/etc/passwd" is not a valid template name
     --> templates/t:3:12
      |
    3 | {% include '/etc/passwd' %}
      |            ^^^^^^^^^^^^^
      |
      = help: names are relative to the template directory, without . or ..

    3 problems
    "#);
}

#[test]
fn an_include_cycle_is_reported() {
    insta::assert_snapshot!(of("{% include 'a' %}\n", &[("a", "-\n{% include 'b' %}\n"), ("b", "{% include 't' %}\n")]), @"
    rosterd: invalid configuration
    error: a template cannot include or extend itself: t → a → b → t
     --> templates/b:1:12
      |
    1 | {% include 't' %}
      |            ^^^
      |
      = help: remove this, or another include or extends of the cycle

    1 problem
    ");
}

#[test]
fn an_error_in_an_included_file_is_reported() {
    insta::assert_snapshot!(of("{% include 'a' %}\n{% include 'b' %}\n", &[("a", "one\ntwo {{ webb }}\n"), ("b", "{% if %}\n")]), @"
    rosterd: invalid configuration
    error: there is no roster, key or variable named webb
     --> templates/a:2:8
      |
    2 | two {{ webb }}
      |        ^^^^
      |
      = help: did you mean web?

    error: Found `%}` but expected one of: integer, float, string, bool, ident, `-`, `not`, `<`, `{`, `[` or `(`
     --> templates/b:1:7
      |
    1 | {% if %}
      |       ^^
      |
      = help: templates are Tera 2: {{ VALUE | FILTER }}, {% for m in ROSTER %} … {% endfor %}; see docs/templates.md

    2 problems
    ");
}

#[test]
fn invalid_components_are_reported() {
    insta::assert_snapshot!(of(
        "{{ <servr m={web} /> }}\n{{ <line n=\"a\" /> }}\n",
        &[("lib", "{% component server(m) %}{{ m }}{% endcomponent %}\n{% component line(n) %}\n{{ n }} {{ web }}\n{% endcomponent %}\n")],
    ), @"
    rosterd: invalid configuration
    error: web is not an argument of this component, and a component sees only its arguments
     --> templates/lib:3:12
      |
    3 | {{ n }} {{ web }}
      |            ^^^
      |
      = help: pass it where the component is used, or declare it as @web

    error: unknown component servr
     --> templates/t:1:5
      |
    1 | {{ <servr m={web} /> }}
      |     ^^^^^
      |
      = help: did you mean server?

    2 problems
    ");
}

#[test]
fn unknown_blocks_are_reported() {
    insta::assert_snapshot!(of("{% extends 'base' %}\n{% block bdy %}{% endblock %}\n", &[("base", "{% block body %}{% endblock %}")]), @"
    rosterd: invalid configuration
    error: Block `bdy` is not defined in any parent template
     --> templates/t:2:10
      |
    2 | {% block bdy %}{% endblock %}
      |          ^
      |
      = help: use the name of a block in the parent, or add this block to the parent

    1 problem
    ");
}
