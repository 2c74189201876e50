use std::fs;

use insta::assert_snapshot;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::decide::{RosterValue, Seated};
use crate::payload::{Format, decode};

/// A template directory with these files.
fn dir(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn template(src: impl Into<PathBuf>) -> Arc<TemplateConfig> {
    Arc::new(TemplateConfig::new("t", src, "/nowhere"))
}

fn globals() -> Globals {
    Globals {
        host: Host { name: "h1".into(), fqdn: "h1.example.com".into(), ip: [10, 0, 0, 9].into() },
        vars: json!({"zone": "a", "deep": {"x": 1}}).as_object().unwrap().clone(),
        names: BTreeMap::from([
            ("web".into(), NameKind::List),
            ("memcached".into(), NameKind::List),
            ("services".into(), NameKind::Map),
            ("settings".into(), NameKind::Key),
        ]),
        complete: true,
    }
}

fn load(dir: &TempDir, srcs: &[&str]) -> Result<Library, Problems> {
    let templates: Vec<_> = srcs.iter().map(template).collect();
    Library::load(&templates, dir.path(), globals())
}

/// Every problem with its place, as `file:line:column "what it points at": message (hint)`.
fn problems(files: &[(&str, &str)]) -> String {
    let dir = dir(files);
    let Problems(problems) = load(&dir, &[files[0].0]).unwrap_err();
    let shown = problems.iter().map(|problem| {
        let before = &problem.text[..problem.span.start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let file = problem.file.strip_prefix(dir.path()).unwrap().display();
        let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let pointed = &problem.text[problem.span.clone()];
        format!("{file}:{line}:{column} {pointed:?}: {}{hint}", problem.message)
    });
    shown.collect::<Vec<_>>().join("\n").replace(&dir.path().display().to_string(), "DIR")
}

fn seats(members: &[(&str, &str)]) -> RosterValue {
    let seats = members.iter().zip(0..).map(|((name, data), slot)| {
        let member = decode(&Format::Nextdoor, name, &Ok(Arc::from(data.as_bytes())));
        Seated { member: Arc::new(member.unwrap().member().unwrap()), slot }
    });
    RosterValue::List(seats.collect())
}

fn snapshot() -> Snapshot {
    let web = seats(&[("a:80", r#"{"zone": "a"}"#), ("b:81", "")]);
    let RosterValue::List(list) = &web else { panic!() };
    let services = RosterValue::Map(BTreeMap::from([("api".into(), Arc::clone(list))]));
    Snapshot {
        rosters: BTreeMap::from([("web".into(), web), ("services".into(), services), ("memcached".into(), seats(&[]))]),
        keys: BTreeMap::from([("settings".into(), Arc::new(json!({"b": 1, "a": [true]})))]),
        ..Snapshot::default()
    }
}

/// What a template renders to, with `include` files beside it.
fn render_with(text: &str, more: &[(&str, &str)]) -> Result<String, String> {
    let mut files = vec![("t", text)];
    files.extend(more);
    let dir = dir(&files);
    let library = load(&dir, &["t"]).map_err(|problems| format!("{problems:?}"))?;
    let bytes = library.render(Path::new("t"), &snapshot()).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(bytes).unwrap())
}

fn render(text: &str) -> Result<String, String> {
    render_with(text, &[])
}

#[test]
fn every_problem_has_its_place_and_a_hint() {
    assert_snapshot!(problems(&[("t", "a\n{{ memcachd }}\n{% for m in webb %}{{ mm }}{% endfor %}")]), @r#"
    t:2:4 "memcachd": there is no roster, key or variable named memcachd (did you mean memcached?)
    t:3:13 "webb": there is no roster, key or variable named webb (did you mean web?)
    t:3:23 "mm": there is no roster, key or variable named mm (did you mean m?)
    "#);
    assert_snapshot!(problems(&[("t", "{% for m in web %}\n{{ m.name }\n{% endfor %}")]), @r#"
    t:2:11 "}": Found `}` but expected }}. (templates are Tera 2: {{ VALUE | FILTER }}, {% for m in ROSTER %} … {% endfor %}; docs/templates.md has all of it)
    "#);
    assert_snapshot!(problems(&[("t", "{% for m in web %}\n{{ m.name }}\n")]), @r#"t:3:1 "": Unexpected end of input (a tag that was opened is not closed: {% endfor %}, {% endif %}, }} or %})"#);
    assert_snapshot!(problems(&[("t", "é {{ web | jsn }} {{ web | tojson }} {{ web | zzz }}")]), @r#"
    t:1:12 "jsn": there is no filter named jsn (did you mean json?)
    t:1:28 "tojson": there is no filter named tojson (did you mean json?)
    t:1:47 "zzz": there is no filter named zzz (there are: abs, base, capitalize, default, dir, escape, escape_html, escape_xml, first, float, get, group_by, haproxy, haproxy_name, hosts_name, indent, int, join, json, keys, last, length, lower, newlines_to_br, nginx, nth, pairs, pgpool, pluck, pluralize, replace, reverse, round, safe, shell, sort, sort_by, split, str, title, toml, trim, trim_end, trim_start, truncate, unique, upper, values, where, wordcount, yaml)
    "#);
    assert_snapshot!(problems(&[("t", "{% if web is defind %}{% endif %}{{ now() }}{{ rnge(end=1) }}")]), @r#"
    t:1:14 "defind": there is no test named defind (did you mean defined?)
    t:1:37 "now": there is no function named now (what varies without cause is not there: the same members always give the same file)
    t:1:48 "rnge": there is no function named rnge (did you mean range?)
    "#);
    assert_snapshot!(problems(&[("t", "{{ host.nmae }}\n{{ vars.zon }} {{ vars.deep.y }}\n{% if vars.q %}{% endif %}")]), @r#"
    t:1:9 "nmae": host has no nmae (it has fqdn, ip, name)
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
    t:2:31 "'../x'": "../x" is no name of a template in the template directory (names are relative to the template directory, and have no . or .. in them)
    t:2:51 "'/etc/passwd'": "/etc/passwd" is no name of a template in the template directory (names are relative to the template directory, and have no . or .. in them)
    "#);
    assert_snapshot!(problems(&[("t", "{% include 'line' %}"), ("line", "{{ m.x }}\n{{ typo }}")]), @r#"
    line:1:4 "m": there is no roster, key or variable named m (there are: memcached, services, settings, web, host, rosters, vars)
    line:2:4 "typo": there is no roster, key or variable named typo (there are: memcached, services, settings, web, host, rosters, vars)
    "#);
    assert_snapshot!(problems(&[("t", "{{ <servr m={web} /> }}"), ("lib", "{% component server(m) %}{{ m }}{% endcomponent %}")]), @r#"t:1:5 "servr": there is no component named servr (did you mean server?)"#);
    assert_snapshot!(problems(&[("t", "{% component server(m) %}{{ web }}{{ host.name }}{% endcomponent %}{{ <server m=\"a\" /> }}")]), @r#"
    t:1:29 "web": web is no argument of this component, and a component sees its arguments only (pass it where the component is used, or take it from there with @web)
    t:1:38 "host": host is no argument of this component, and a component sees its arguments only (pass it where the component is used, or take it from there with @host)
    "#);
    assert_snapshot!(problems(&[("t", "{% extends 'base' %}\n{% block bdy %}{% endblock %}"), ("base", "{% block body %}{% endblock %}")]), @r#"
    t:2:10 "": Block `bdy` is not defined in any parent template (name a block that a parent has, or put a block of this name into the parent)
    "#);
    assert_snapshot!(problems(&[("t", "{% include 'a' %}"), ("a", "{% include 't' %}")]), @r#"
    a:1:12 "'t'": this leads back into itself: t → a → t (no template can be within itself: take this out, or one that leads here)
    "#);
    assert_snapshot!(problems(&[("t", "{{ <x /> }}"), ("a", "{% component x() %}{% endcomponent %}"), ("b", "{% component x() %}{% endcomponent %}")]), @r#"t:1:5 "x": the component x is defined in both a and b (rename one of them)"#);
    assert_snapshot!(problems(&[("t", "{{ __tera_context }}{{ loop.index }}{{ env.HOME }}{{ quite_other }}")]), @r#"
    t:1:4 "__tera_context": there is no roster, key or variable named __tera_context (name the rosters that you want to see)
    t:1:24 "loop": there is no roster, key or variable named loop (loop is there inside of a for only)
    t:1:40 "env": there is no roster, key or variable named env (put the value under [vars] in the configuration, where {{ env.X }} is filled in)
    t:1:54 "quite_other": there is no roster, key or variable named quite_other (there are: memcached, services, settings, web, host, rosters, vars)
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
    assert_snapshot!(first("haproxy.cfg.tea"), @r#"template t: its source cannot be read: No such file or directory (os error 2) (did you mean haproxy.cfg.tera?)"#);
    assert_snapshot!(first("sub"), @r#"template t: its source cannot be read: it is a directory (src is looked for in DIR)"#);
    assert_snapshot!(first("../x"), @r#"template t: src = "../x" leads out of the template directory (src is looked for in DIR; outside of it an absolute path is needed)"#);
}

#[test]
fn problems_of_all_templates_come_at_once_in_order() {
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
fn right_templates_are_let_through() {
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
fn what_is_undefined_is_an_error_with_its_place() {
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
    shell takes a text or a number, and this is a list: take one field of it
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
}

#[test]
fn null_prints_as_nothing_and_default_stands_in() {
    let text = "{% for m in web %}[{{ m.weight }}|{{ m.weight | default(value=1) }}|{{ m.id is none }}]{% endfor %}";
    assert_eq!(render(text).as_deref(), Ok("[|1|true][|1|true]"));
}

#[test]
fn the_output_has_an_end() {
    let error = render(
        "{% for a in range(end=1000) %}{% for b in range(end=1000) %}0123456789012345678{% endfor %}{% endfor %}",
    );
    assert_eq!(error.unwrap_err(), "t: the output is over 16 MiB");
}

#[test]
fn a_panic_does_not_get_out() {
    let mut tera = Tera::new();
    tera.register_filter("boom", |_: i64, _: tera::Kwargs, _: &tera::State<'_>| -> i64 { panic!("no way out") });
    tera.add_raw_template("t", "{{ 1 | boom }}").unwrap();
    let error = output::render(&tera, "t", &tera::Context::new(), Path::new("t")).unwrap_err();
    assert_eq!(error.to_string(), "t: Tera broke down on it: no way out");
}

#[test]
fn needs_are_what_a_template_and_its_files_name() {
    let cases = [
        ("{{ web | length }}", "web", false),
        ("plain {# web #} {% raw %}{{ web }}{% endraw %} {{ 'web' }}", "", false),
        ("{% include 'inner' %}", "memcached", false),
        ("{{ <show /> }}", "settings", false),
        ("{% for k, v in rosters %}{{ k }}{% endfor %}{{ services | length }}", "services", true),
        ("{% if vars.zone %}{% set web = [] %}{% endif %}{{ web }}", "web", false),
        ("{% for web in web %}{{ web.name }}{% endfor %}", "web", false),
        ("{% extends 'base' %}{% block b %}{{ web | length }}{% endblock %}", "memcached web", false),
    ];
    let more = [
        ("inner", "{{ memcached | length }}"),
        ("base", "{{ memcached | length }}{% block b %}{% endblock %}"),
        ("lib", "{{ web | length }}{% component show(@settings) %}{{ settings | json }}{% endcomponent %}"),
    ];
    for (text, names, all) in cases {
        let mut files = vec![("t", text)];
        files.extend(more);
        let dir = dir(&files);
        let needs = load(&dir, &["t"]).unwrap().needs(Path::new("t"));
        assert_eq!((needs.names.into_iter().collect::<Vec<_>>().join(" "), needs.all), (names.into(), all), "{text}");
    }
}

#[test]
fn the_full_host_name_is_asked_for_only_where_it_is_shown() {
    let cases = [
        ("{{ host.fqdn }}", true),
        ("{{ host['fqdn'] }}", true),
        ("{{ host | json }}", true),
        ("{% set key = 'fqdn' %}{{ host[key] }}", true),
        ("{% include 'deep/er/line' %}", true),
        ("{{ <whole /> }}", true),
        ("{% if vars.zone %}{% set host = web[0] %}{% endif %}{{ host.fqdn }}", true),
        ("{{ host.name }} {{ host.ip }} fqdn {# host.fqdn #}{{ 'host.fqdn' }}", false),
        ("{{ <server host='fqdn' /> }}", false),
        ("{% for m in web %}{{ m.host }}{{ m.fqdn | default(value='') }}{% endfor %}", false),
    ];
    let more = [
        ("deep/er/line", "{{ host.fqdn }}"),
        ("unused", "{{ host.fqdn }}"),
        (
            "lib",
            "{% component server(host) %}{{ host }}{% endcomponent %}{% component whole(@host) %}{% endcomponent %}",
        ),
    ];
    for (text, uses) in cases {
        let mut files = vec![("t", text)];
        files.extend(more);
        assert_eq!(load(&dir(&files), &["t"]).unwrap().uses_fqdn(), uses, "{text}");
    }
}

/// Tera tells the free names of a template without their places, which is enough to check the scanner with.
#[test]
fn tera_finds_the_same_names() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut texts: Vec<String> =
        fs::read_dir(shipped).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    let more = [
        "{{ a.b['c'].d }} {{ e[f].g?.h }} {{ range(end=j)[0] }}{{ -k }}{{- -l -}}",
        "{% for m in web %}{{ m.x }}{{ loop.index }}{% else %}{{ n }}{% endfor %}",
        "{% for web in web %}{% set x = web %}{{ x }}{% endfor %}{% set_global y = z %}{{ y }}",
        "{{ [m.x for m in a if m.y == b] | join(sep=c) }}{{ [web for web in web] }}{{ {'k': d, ...e} }}",
        "{{ a if b is not defined and c in d else e[1:f:g] }}{{ h < i }}{{ (j | default(value=k))['l'] }}",
        "{% set x | upper | replace(from=a, to='}}') %}{{ b }}{% endset %}{% filter lower %}{{ c }}{% endfilter %}",
        "{% component box(p, q=1) %}{{ p }}{% endcomponent %}{% <box p={a} q={2}> %}{{ b }}{% </box> %}{{ <box p /> }}",
        "{% if a and not (b or c) %}{% elif d ~ 'x {{ y }}' %}{% endif %}{% raw %}{{ z }}{% endraw %}{# {{ z }} #}",
    ];
    texts.extend(more.map(str::to_owned));
    for text in texts {
        let mut tera = filter::tera();
        tera.add_raw_template("t", &text).unwrap();
        let theirs: BTreeSet<&str> = tera.get_template_variables("t").unwrap().into_iter().collect();
        let uses = uses::Uses::of(&text);
        let free = uses.body.names.iter().filter(|name| !name.local).map(|name| &*name.word.text);
        assert_eq!(free.collect::<BTreeSet<&str>>(), theirs, "{text}");
    }
}

#[test]
fn a_digest_follows_a_template_and_what_it_reaches() {
    let digest = |files: &[(&str, &str)]| {
        let dir = dir(files);
        load(&dir, &["t"]).unwrap().digest(Path::new("t"))
    };
    let one = digest(&[("t", "{% include 'a' %}"), ("a", "x"), ("other", "y")]);
    assert_eq!(one, digest(&[("t", "{% include 'a' %}"), ("a", "x"), ("other", "changed")]));
    assert_ne!(one, digest(&[("t", "{% include 'a' %}"), ("a", "xx")]));
    assert_ne!(one, digest(&[("t", "{% include 'a' %} "), ("a", "x")]));
    // Kept on disk across versions: this number may not change.
    assert_eq!(digest(&[("t", "x")]), 8_626_044_241_689_415_147);
}

#[test]
fn files_are_those_that_were_read() {
    let dir = dir(&[("t", "{% include 'sub/a' %}"), ("sub/a", ""), ("other", "{{ broken")]);
    let elsewhere = TempDir::new().unwrap();
    let absolute = elsewhere.path().join("b");
    fs::write(&absolute, "{% include 'sub/a' %}").unwrap();
    let templates = [template("t"), template(&absolute), template(dir.path().join("t"))];
    let library = Library::load(&templates, dir.path(), globals()).unwrap();
    let mut expected = vec![absolute.clone(), dir.path().join("sub/a"), dir.path().join("t")];
    expected.sort();
    assert_eq!(library.files(), expected);
    assert_eq!(library.render(&absolute, &snapshot()).unwrap(), b"");
}

#[test]
fn the_same_members_give_the_same_bytes() {
    let data: Vec<(String, String)> =
        (0..50).map(|n| (format!("m{n}:80"), format!(r#"{{"z": "{}", "k{n}": {n}}}"#, n % 7))).collect();
    let pairs: Vec<(&str, &str)> = data.iter().map(|(a, b)| (&**a, &**b)).collect();
    let text = "{{ web }}{% for k, l in web | group_by(attribute='z') %}{{ k }}{{ l | length }}{% endfor %}\
                {% for m in web %}{{ m.data | keys | json }}{{ m | pairs | json }}{{ m | values | json }}{% endfor %}\
                {{ settings }}{{ web[0] | yaml }}{{ [...web, ...web] | length }}{{ {...web[0], 'a': 1} | json }}";
    let once = || {
        let dir = dir(&[("t", text)]);
        let library = load(&dir, &["t"]).unwrap();
        let snapshot = Snapshot { rosters: BTreeMap::from([("web".into(), seats(&pairs))]), ..snapshot() };
        library.render(Path::new("t"), &snapshot).unwrap()
    };
    let first = once();
    for _ in 0..5 {
        assert_eq!(String::from_utf8(once()), String::from_utf8(first.clone()));
    }
}

#[test]
fn a_library_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Library>();
}
