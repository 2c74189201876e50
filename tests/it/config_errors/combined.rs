//! Errors in the configuration and in templates are reported together, so that one round of edits corrects them all.

use super::told;

#[test]
fn errors_in_a_key_and_a_template_are_reported_together() {
    insta::assert_snapshot!(told(&[
        ("rosterd.toml", "registry.url = \"zk://zk1\"\n[[roster]]\npath = \"/s/web\"\nmni = 2\n[[template]]\nsrc = \"t\"\ndest = \"/x/a\"\n"),
        ("templates/t", "{{ wbe | jsn }}\n{% include 'none' %}\n"),
    ]), @"
    rosterd: invalid configuration
    error: unknown key `mni` in [[roster]]
     --> rosterd.toml:4:1
      |
    4 | mni = 2
      | ^^^
      |
      = help: did you mean `min`?

    error: there is no roster, key or variable named wbe
     --> templates/t:1:4
      |
    1 | {{ wbe | jsn }}
      |    ^^^
      |
      = help: did you mean web?

    error: unknown filter jsn
     --> templates/t:1:10
      |
    1 | {{ wbe | jsn }}
      |          ^^^
      |
      = help: did you mean json?

    error: templates/none cannot be read: No such file or directory (os error 2)
     --> templates/t:2:12
      |
    2 | {% include 'none' %}
      |            ^^^^^^
      |
      = help: templates are read from templates

    4 problems
    ");
}

#[test]
fn errors_in_several_files_of_both_kinds_are_reported_together() {
    insta::assert_snapshot!(told(&[
        ("rosterd.toml", "registry.url = \"zk://zk1:0\"\n[agent]\nlog_format = \"xml\"\n"),
        ("conf.d/a.toml", "[[roster]]\npath = \"/s/web\"\nmin = 3\nmax = 2\n[[template]]\nsrc = \"a\"\ndest = \"/x/a\"\nreload_interval = \"soon\"\n"),
        ("conf.d/b.toml", "[[template]]\nsrc = \"b\"\ndest = \"/x/a\"\n[[template]]\nsrc = \"none\"\ndest = \"/x/c\"\n[[template]]\nsrc = \"b\"\ndest = \"/x/d\"\n"),
        ("templates/a", "{% for m in web %}{{ m.name }}\n"),
        ("templates/b", "{{ host.nmae }}\n{{ web | nope }}\n"),
    ]), @r#"
    rosterd: invalid configuration
    error: "0" is not a valid port
     --> rosterd.toml:1:16
      |
    1 | registry.url = "zk://zk1:0"
      |                ^^^^^^^^^^^^
      |
      = help: write HOST:PORT, or [::1]:2181 for an IPv6 address; separate servers with commas

    error: `log_format` cannot be "xml"
     --> rosterd.toml:3:14
      |
    3 | log_format = "xml"
      |              ^^^^^
      |
      = help: write one of "text", "json"

    error: `min` (3) is greater than `max` (2)
     --> conf.d/a.toml:3:7
      |
    3 | min = 3
      |       ^
      |
      = help: write min = 2 or less, or remove max

    error: "soon" is not a valid duration
     --> conf.d/a.toml:8:19
      |
    8 | reload_interval = "soon"
      |                   ^^^^^^
      |
      = help: write a number and its unit, as in "500ms", "2s" or "5m"

    error: /x/a is already written by the template at conf.d/a.toml:7
     --> conf.d/b.toml:3:8
      |
    3 | dest = "/x/a"
      |        ^^^^^^
      |
      = help: only one template can write a file: give one of them another dest

    error: the template "none" cannot be found: No such file or directory (os error 2)
     --> conf.d/b.toml:5:7
      |
    5 | src = "none"
      |       ^^^^^^
      |
      = help: src is relative to template_dir, which is templates

    error: Unexpected end of input
     --> templates/a:1:32
      |
    1 | {% for m in web %}{{ m.name }}
      |                               ^
      |
      = help: a tag or block is not closed: {% endfor %}, {% endif %}, }} or %}

    error: host has no nmae
     --> templates/b:1:9
      |
    1 | {{ host.nmae }}
      |         ^^^^
      |
      = help: its fields are fqdn, ip, name

    error: unknown filter nope
     --> templates/b:2:10
      |
    2 | {{ web | nope }}
      |          ^^^^
      |
      = help: available: abs, b64encode, base, capitalize, default, dir, escape, escape_html, escape_xml, first, float, get, group_by, haproxy, haproxy_name, hosts_name, indent, int, join, json, keys, last, length, lower, md5, newlines_to_br, nginx, nth, pairs, pgpool, pluck, pluralize, regex_replace, replace, reverse, round, safe, shell, sort, sort_by, split, str, title, toml, trim, trim_end, trim_start, truncate, unique, upper, values, where, wordcount, yaml

    9 problems
    "#);
}

#[test]
fn broken_toml_and_a_broken_template_are_reported_together() {
    insta::assert_snapshot!(told(&[
        ("rosterd.toml", "registry.url = \"zk://zk1\"\n[[template]]\nsrc = \"t\"\ndest = \"/x/a\"\n[[roster]]\npath = /s/web\n"),
        ("templates/t", "{{ web | jsn }}\n{{ later }}\n"),
    ]), @r#"
    rosterd: invalid configuration
    error: this is not a value
     --> rosterd.toml:6:8
      |
    6 | path = /s/web
      |        ^^^^^^
      |
      = help: put text in quotes, as in "text"; a line has one key and one value

    error: unknown filter jsn
     --> templates/t:1:10
      |
    1 | {{ web | jsn }}
      |          ^^^
      |
      = help: did you mean json?

    2 problems
    "#);
}

#[test]
fn a_refused_roster_is_not_reported_as_undefined() {
    insta::assert_snapshot!(told(&[
        ("rosterd.toml", "registry.url = \"zk://zk1\"\n[vars]\nbad = nan\n[[roster]]\npath = \"s/web\"\n[[template]]\nsrc = \"t\"\ndest = \"/x/a\"\n"),
        ("templates/t", "{{ web | length }} {{ vars.bad }}\n{{ host.ipp }}\n"),
    ]), @r#"
    rosterd: invalid configuration
    error: the variable `bad` has a number that templates cannot represent
     --> rosterd.toml:3:1
      |
    3 | bad = nan
      | ^^^
      |
      = help: write it as a string; inf, nan and whole numbers of more than 64 bits are not supported in templates

    error: "s/web" is not a valid path: a registry path starts with /
     --> rosterd.toml:5:8
      |
    5 | path = "s/web"
      |        ^^^^^^^
      |
      = help: write path = "/services/web"

    error: host has no ipp
     --> templates/t:2:9
      |
    2 | {{ host.ipp }}
      |         ^^^
      |
      = help: its fields are fqdn, ip, name

    3 problems
    "#);
}

#[test]
fn errors_in_a_confd_resource_and_its_template_are_reported_together() {
    insta::assert_snapshot!(told(&[
        ("rosterd.toml", "registry.url = \"zk://zk1\"\n[[roster]]\npath = \"/s/web\"\n"),
        ("conf.d/web.toml", "[template]\nsrc = \"web.tmpl\"\ndest = \"/x/web\"\nmode = 0644\nkeys = [\"/s/web\", 5]\nchek_cmd = \"true {{.src}}\"\n"),
        ("templates/web.tmpl", "{{range gets \"/s/web/*\"}}\nserver {{.Value}}\n{{end}}\n"),
    ]), @r#"
    rosterd: invalid configuration
    error: unexpected leading zero, expected nothing
     --> conf.d/web.toml:4:8
      |
    4 | mode = 0644
      |        ^
      |
      = help: expected KEY = VALUE, [NAME] for a table, or [[NAME]] for an element of a list of tables

    error: an element of `keys` must be a string, not a whole number
     --> conf.d/web.toml:5:19
      |
    5 | keys = ["/s/web", 5]
      |                   ^
      |
      = help: write keys = ["/services/web"]

    error: unknown key `chek_cmd` in [[template]]
     --> conf.d/web.toml:6:1
      |
    6 | chek_cmd = "true {{.src}}"
      | ^^^^^^^^
      |
      = help: did you mean `check_cmd`?

    error: Found identifier but expected }}.
     --> templates/web.tmpl:1:9
      |
    1 | {{range gets "/s/web/*"}}
      |         ^^^^
      |
      = help: this is Go template syntax, which confd and consul-template use: `rosterd migrate` converts it, see docs/migrating.md; text with {{, {% or {# that is meant for another program goes between {% raw %} and {% endraw %}

    4 problems
    "#);
}
