use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::decide::{RosterValue, SlottedMember};
use crate::model::registry_event::NodeContent;
use crate::payload::{Format, decode};

mod guide;
mod hostile;
mod member_at_fault;
mod million;
mod problems;
mod quoting;
mod staged;
mod warnings;

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
        paths: BTreeMap::from([
            ("web".into(), Subject::parse("/services/web").unwrap()),
            ("services".into(), Subject::parse("/services/*/live").unwrap()),
        ]),
        complete: true,
    }
}

fn load(dir: &TempDir, srcs: &[&str]) -> Result<Library, Problems> {
    let templates: Vec<_> = srcs.iter().map(template).collect();
    Library::load(&templates, dir.path(), globals())
}

/// Every problem with its position, as `file:line:column "the text at that position": message (hint)`.
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
        let member = decode(&Format::Nextdoor, name, &Ok(NodeContent::ephemeral(data.as_bytes())));
        SlottedMember { member: Arc::new(member.unwrap().member().unwrap()), slot }
    });
    RosterValue::List(seats.collect())
}

fn snapshot() -> Snapshot {
    let web = seats(&[("a:80", r#"{"zone": "a"}"#), ("b:81", "")]);
    let RosterValue::List(list) = &web else { panic!() };
    let services = RosterValue::Map(BTreeMap::from([("api".into(), Arc::clone(list))]));
    Snapshot {
        rosters: BTreeMap::from([("web".into(), web), ("services".into(), services), ("memcached".into(), seats(&[]))]),
        keys: BTreeMap::from([
            ("settings".into(), Arc::new(json!({"b": 1, "a": [true]}))),
            ("locks.a".into(), Arc::new(json!({"held": true, "holder": "web1"}))),
            ("locks.b".into(), Arc::new(json!({"held": false, "holder": null}))),
        ]),
        ..Snapshot::default()
    }
}

/// The output of a template, with `include` files next to it.
fn render_with(text: &str, more: &[(&str, &str)]) -> Result<String, String> {
    let mut files = vec![("t", text)];
    files.extend(more);
    let dir = dir(&files);
    let library = load(&dir, &["t"]).map_err(|problems| format!("{problems:?}"))?;
    let bytes = library.render(Path::new("t"), &snapshot(), None).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(bytes).unwrap())
}

fn render(text: &str) -> Result<String, String> {
    render_with(text, &[])
}

#[test]
fn null_prints_as_nothing_and_default_replaces_it() {
    let text = "{% for m in web %}[{{ m.weight }}|{{ m.weight | default(value=1) }}|{{ m.id is none }}]{% endfor %}";
    assert_eq!(render(text).as_deref(), Ok("[|1|true][|1|true]"));
}

#[test]
fn the_output_size_is_limited() {
    let error = render(
        "{% for a in range(end=1000) %}{% for b in range(end=1000) %}0123456789012345678{% endfor %}{% endfor %}",
    );
    assert_eq!(error.unwrap_err(), "t: the output is larger than 16 MiB");
}

#[test]
fn a_panic_in_tera_is_an_error() {
    let mut tera = Tera::new();
    tera.register_filter("boom", |_: i64, _: tera::Kwargs, _: &tera::State<'_>| -> i64 { panic!("no way out") });
    tera.add_raw_template("t", "{{ 1 | boom }}").unwrap();
    let error = output::render(&tera, "t", &tera::Context::new(), Path::new("t")).unwrap_err();
    assert_eq!(error.to_string(), "t: Tera panicked: no way out");
}

#[test]
fn needs_are_the_names_that_a_template_and_its_files_use() {
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
        let needs = load(&dir, &["t"]).unwrap().needs(&template("t"));
        assert_eq!((needs.names.into_iter().collect::<Vec<_>>().join(" "), needs.all), (names.into(), all), "{text}");
    }
}

#[test]
fn a_template_needs_ports_if_it_reads_them_and_has_no_default() {
    let cases = [
        ("{% for m in web %}{{ m.host }}:{{ m.port }}{% endfor %}", true),
        ("{% for m in web %}{% if m.host is hostname and m.port %}{{ m.address }}{% endif %}{% endfor %}", true),
        ("{{ [m for m in web if m.port] | length }}", true),
        ("{% for m in web %}{% include 'line' %}{% endfor %}", true),
        ("{% for m in web %}{{ <server m={m} /> }}{% endfor %}", true),
        ("{% for m in web %}{{ m.host }} {{ m.port | default(value=80) }}{% endfor %}", false),
        ("{% for m in web %}{{ m.host }}{% endfor %} {{ settings.port }} m.port", false),
        // An `if` for the port alone is a default. One that leaves the whole member out is none.
        ("{% for m in web %}{% if m.port %}{{ m.address }}{% endif %}{% endfor %}", true),
        ("{% for m in web %}{% if m.port %}{{ m.host }}:{{ m.port }}{% endif %}{% endfor %}", true),
        ("{% for m in web %}{% if m.port %}{{ <server m={m} /> }}{% endif %}{% endfor %}", true),
        (
            "{% for m in web %}{% if m.port %}{{ m.host }}:{{ m.port }}{% else %}{{ m.host }}{% endif %}{% endfor %}",
            false,
        ),
        ("{% for m in web %}{{ m.host }}{% if m.port %}:{{ m.port }}{% endif %}{% endfor %}", false),
        ("{% for m in web %}{% if not m.port %}80{% else %}{{ m.port }}{% endif %}{% endfor %}", false),
        ("{% for m in web %}{% if m.port and m.port != 80 %}:{{ m.port }}{% endif %}{% endfor %}", false),
        ("{% for m in web %}{% if m.id %}x{% elif m.port %}:{{ m.port }}{% endif %}{% endfor %}", false),
        ("{% for m in web %}{% include 'asks' %}{% endfor %}", false),
        ("{% for m in web %}{% if m.port %}x{% endif %}{{ m.port }}{% endfor %}", true),
        ("{% for m in web %}{% if m.port != 80 %}:{{ m.port }}{% endif %}{% endfor %}", true),
        ("{% for m in web %}{% for b in web %}{% if b.port %}{{ m.port }}{% endif %}{% endfor %}{% endfor %}", true),
        // Members come from rosters.
        ("{% for b in vars.deep %}{{ b.port }}{% endfor %}{{ web | length }}", false),
        ("{% for b in settings %}{{ b.port }}{% endfor %}{% set b = vars.zone %}{{ b.port }}", false),
        ("{% for b in vars.deep %}{% include 'b' %}{{ <server m={b} /> }}{% endfor %}", false),
        ("{{ [b.port for b in vars.deep] }}{% for i in range(end=3) %}{{ i.port }}{% endfor %}", false),
        ("{% for m in web %}{% set b = vars.deep[m.name] %}{{ b.port }}{% endfor %}", false),
        ("{% for name, all in services %}{% for m in all %}{{ m.port }}{% endfor %}{% endfor %}", true),
        ("{% for m in rosters.web | where(attribute='status', value='up') %}{{ m.port }}{% endfor %}", true),
        ("{% set up = [m for m in web if m.status == 'up'] %}{% for m in up %}{{ m.port }}{% endfor %}", true),
        ("{% for b in web %}{% include 'b' %}{% endfor %}", true),
        ("{{ <all members={web} /> }}", true),
        ("{% for m in web %}{% set b = {'port': m.id} %}{{ b.port }}{% endfor %}", false),
    ];
    let more = [
        ("line", "{{ m.port }}"),
        ("asks", "{% if m.port %}:{{ m.port }}{% endif %}"),
        ("b", "{{ b.port }}"),
        ("lib", "{% component server(m) %}{{ m.port }}{% endcomponent %}"),
        ("libs", "{% component all(members) %}{% for m in members %}{{ m.port }}{% endfor %}{% endcomponent %}"),
    ];
    for (text, reads) in cases {
        let mut files = vec![("t", text)];
        files.extend(more);
        assert_eq!(load(&dir(&files), &["t"]).unwrap().needs(&template("t")).reads_port, reads, "{text}");
    }
}

#[test]
fn the_full_host_name_is_resolved_only_if_it_is_used() {
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

/// Tera reports the free names of a template without their positions, which is enough to verify the scanner.
#[test]
fn the_scanner_finds_the_same_names_as_tera() {
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
        let free = uses.body.variables.iter().filter(|name| !name.local).map(|name| &*name.ident.text);
        assert_eq!(free.collect::<BTreeSet<&str>>(), theirs, "{text}");
    }
}

#[test]
fn the_digest_covers_a_template_and_the_files_it_includes() {
    let digest = |files: &[(&str, &str)]| {
        let dir = dir(files);
        load(&dir, &["t"]).unwrap().digest(Path::new("t"))
    };
    let one = digest(&[("t", "{% include 'a' %}"), ("a", "x"), ("other", "y")]);
    assert_eq!(one, digest(&[("t", "{% include 'a' %}"), ("a", "x"), ("other", "changed")]));
    assert_ne!(one, digest(&[("t", "{% include 'a' %}"), ("a", "xx")]));
    assert_ne!(one, digest(&[("t", "{% include 'a' %} "), ("a", "x")]));
    // The digest is saved on disk across versions, so it must not change.
    assert_eq!(digest(&[("t", "x")]), 8_626_044_241_689_415_147);
}

#[test]
fn a_template_is_found_by_an_absolute_path_too() {
    let dir = dir(&[("t", "{% include 'sub/a' %}"), ("sub/a", ""), ("other", "{{ broken")]);
    let elsewhere = TempDir::new().unwrap();
    let absolute = elsewhere.path().join("b");
    fs::write(&absolute, "{% include 'sub/a' %}").unwrap();
    let templates = [template("t"), template(&absolute), template(dir.path().join("t"))];
    let library = Library::load(&templates, dir.path(), globals()).unwrap();
    assert_eq!(library.render(&absolute, &snapshot(), None).unwrap(), b"");
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
        library.render(Path::new("t"), &snapshot, None).unwrap()
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

#[test]
fn a_byte_order_mark_is_not_copied_into_the_file() {
    let included = [("p", "\u{feff}y")];
    assert_eq!(render_with("\u{feff}x{% include \"p\" %}", &included).as_deref(), Ok("xy"));
}

#[test]
fn a_template_depends_on_the_locks_that_it_names() {
    let load = |text: &str| {
        let mut globals = globals();
        globals.names.extend(["locks.a", "locks.b"].map(|name| (name.into(), NameKind::Key)));
        let dir = dir(&[("t", text)]);
        Library::load(&[template("t")], dir.path(), globals)
    };
    let needs = |text: &str| {
        let needs = load(text).unwrap().needs(&template("t"));
        needs.names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(needs("{% if locks.a.held %}x{% endif %}"), ["locks.a"]);
    assert_eq!(needs("{{ locks[\"b\"].holder }}"), ["locks.b"]);
    assert_eq!(needs("{% for name, it in locks %}{{ name }}{% endfor %}"), ["locks.a", "locks.b"]);
    let text = "{% if locks.a.held %}{{ locks.a.holder }}{% endif %}{% if locks.b.held %}b{% endif %}";
    let bytes = load(text).unwrap().render(Path::new("t"), &snapshot(), None).unwrap();
    assert_eq!(bytes, b"web1");
    let Problems(problems) = load("{{ locks.c.held }}").unwrap_err();
    assert_eq!(problems[0].message, "no [[lock]] is named c");
    assert_eq!(problems[0].hint.as_deref(), Some("available: a, b"));
}
