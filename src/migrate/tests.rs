use super::convert::{Context, Dialect, convert};
use super::go_template::parse;
use super::site::Site;
use super::*;

/// A converted template, the configuration, and the lines of what is left to do.
fn converted(dialect: Dialect, text: &str) -> (String, String, Vec<usize>) {
    let (mut site, mut report) = (Site::default(), Report::default());
    let context = Context {
        dialect,
        prefix: "/p".to_owned(),
        services: "/services".to_owned(),
        file: "t",
        delimiters: ("{{", "}}"),
    };
    let out = convert(text, &context, &mut site, &mut report);
    (out, site.to_toml(), report.todo.iter().map(|item| item.line).collect())
}

#[test]
fn constructs_of_confd_are_converted() {
    for (go, tera) in [
        ("{{getv \"/a/b\"}}", "{{ b }}"),
        ("{{- getv \"/a/b\" -}}", "{{- b -}}"),
        (
            "{{getv \"/a/b\" \"x\\\"y\"}}",
            r#"{{ [entry.string_value for entry in a if entry.name == "b"] | first | default(value="x\"y") }}"#,
        ),
        (
            "{{if exists \"/a/b\"}}{{getv \"/a/b\"}}{{end}}",
            r#"{% if [entry for entry in a if entry.name == "b"] %}{{ [entry.string_value for entry in a if entry.name == "b"] | first }}{% endif %}"#,
        ),
        (
            "{{range gets \"/s/*\"}}{{base .Key}} {{.Key}} {{.Value}}{{end}}",
            r#"{% for m in s %}{{ m.name }} {{ "/s/" ~ m.name }} {{ m.string_value }}{% endfor %}"#,
        ),
        (
            "{{range gets \"/s/n[^a]*\"}}{{dir .Key}}{{end}}",
            r#"{% for m in [entry for entry in s if entry.name is matching(pat="n[!a]*")] %}{{ "/s" }}{% endfor %}"#,
        ),
        (
            "{{range $i, $x := gets \"/s/*\"}}{{$i}}{{else}}no{{end}}",
            "{% for x in s %}{% set i = loop.index0 %}{{ i }}{% else %}no{% endfor %}",
        ),
        (
            "{{range gets \"/s/*/*\"}}{{.Key}}{{end}}",
            r#"{% for key_name, nodes in s %}{% for m in nodes %}{{ "/s/" ~ key_name ~ "/" ~ m.name }}{% endfor %}{% endfor %}"#,
        ),
        (
            "{{range gets \"/s/*/port\"}}{{.Value}}{{end}}",
            r#"{% for key_name, nodes in s %}{% for m in [entry for entry in nodes if entry.name == "port"] %}{{ m.string_value }}{% endfor %}{% endfor %}"#,
        ),
        (
            "{{range lsdir \"/s\"}}{{range gets (printf \"/s/%s/*\" .)}}{{.Value}}{{end}}{{end}}",
            "{% for name in s | keys %}{% for m in s[name] %}{{ m.string_value }}{% endfor %}{% endfor %}",
        ),
        ("{{range ls \"/s\"}}{{.}}{{end}}", r#"{% for name in s | pluck(attribute="name") %}{{ name }}{% endfor %}"#),
        ("{{with json (getv \"/a\")}}{{.b.c}}{{end}}", "{% if a %}{{ a.b.c }}{% endif %}"),
        ("{{(index (json (getv \"/a\")).list 0).x}}", "{{ a.list[0].x }}"),
        (
            "{{(json (getv (print \"/a/\" \"b\") \"{}\")).x}}",
            r#"{% set value = [entry.data for entry in a if entry.name == "b"] | first %}{{ value.x }}"#,
        ),
        (
            "{{range gets \"/s/*\"}}{{$d := json .Value}}{{if .Value}}{{$d.zone}}{{end}}{{end}}",
            "{% for m in s %}{% set d = m.data %}{% if m.data %}{{ d.zone }}{% endif %}{% endfor %}",
        ),
        (
            "{{$x := \"a\"}}{{range seq 1 2}}{{$x = printf \"%s%d\" $x .}}{{end}}{{$x}}",
            "{% set_global x = \"a\" %}{% for item in range(start=1, end=3) %}{% set_global x = x ~ item %}{% endfor %}{{ x }}",
        ),
        (
            "{{if eq 1 2 3}}a{{else if not true}}b{{else}}c{{end}}",
            "{% if 1 == 2 or 1 == 3 %}a{% elif not true %}b{% else %}c{% endif %}",
        ),
        (
            "{{if true}}a{{else if $y := getv \"/a\"}}{{$y}}{{end}}",
            "{% if true %}a{% else %}{% set y = a %}{% if y %}{{ y }}{% endif %}{% endif %}",
        ),
        ("{{and true (or false \"x\")}}", "{{ true and (false or \"x\") }}"),
        ("{{\"a,b\" | split \",\"}}", "{{ throw"),
        ("{{join (split (getv \"/a\") \",\") \"-\" | toUpper}}", r#"{{ a | split(pat=",") | join(sep="-") | upper }}"#),
        ("{{trimSuffix (getv \"/a\") \".x\"}}", r#"{{ a | regex_replace(pattern="\\.x$", rep="") }}"#),
        (
            "{{add 1 2}} {{mul (add (atoi (getv \"/a\")) 1) 3}} {{div 7 2}}",
            "{{ 3 }} {{ (a | int + 1) * 3 }} {{ 7 // 2 }}",
        ),
        ("a { {# b {% c {{\"{{\"}} {", "a { {{ \"{#\" }} b {{ \"{%\" }} c {{ \"{{\" }} {{ \"{\" }}"),
        ("{{/* a #} b */}}", "{# a # } b #}"),
        (
            "{{define \"t\"}}<{{.}}>{{end}}{{template \"t\" getv \"/a\"}}",
            "{# {{define \"t\"}} #}{# {{template \"t\" getv \"/a\"}} #}<{{ a }}>",
        ),
        ("{{printf \"%s:%v %%\" \"a\" 1}}", "{{ \"a:\" ~ 1 ~ \" %\" }}"),
        ("{{getenv \"ZONE\"}}", "{{ vars.zone }}"),
    ] {
        let (out, ..) = converted(Dialect::Confd, go);
        assert!(out == tera || (tera == "{{ throw" && out.starts_with(tera)), "{go}\n{out}\n{tera}");
    }
}

#[test]
fn constructs_of_consul_template_are_converted() {
    for (go, tera) in [
        (
            "{{range service \"web\"}}{{.Address}}:{{.Port}} {{.Name}}{{end}}",
            "{% for m in web %}{{ m.host }}:{{ m.port }} {{ \"web\" }}{% endfor %}",
        ),
        (
            "{{range service \"blue.web@dc1\"}}{{.ServiceMeta.v}}{{end}}",
            r#"{% for m in [entry for entry in web if "blue" in entry.tags | default(value=[])] %}{{ m.data.v }}{% endfor %}"#,
        ),
        (
            "{{range services}}{{range service .Name}}{{.Address}}{{end}}{{end}}",
            "{% for service in services | keys %}{% for m in services[service] %}{{ m.host }}{% endfor %}{% endfor %}",
        ),
        (
            "{{key \"a/b\"}} {{keyOrDefault \"a/c\" \"d\"}}",
            r#"{{ b }} {{ [entry.string_value for entry in a if entry.name == "c"] | first | default(value="d") }}"#,
        ),
        (
            "{{range ls \"a\"}}{{.Key}}={{.Value}} {{.Path}}{{end}}",
            r#"{% for m in a %}{{ m.name }}={{ m.string_value }} {{ "a/" ~ m.name }}{% endfor %}"#,
        ),
        ("{{range .Tags}}{{end}}", "{{ throw"),
        (
            "{{with $d := key \"a\" | parseJSON}}{{range $k, $v := $d}}{{$k}}{{end}}{{end}}",
            "{% set d = a %}{% if d %}{% for k, v in d %}{{ k }}{% endfor %}{% endif %}",
        ),
        ("{{env \"A_B\" | replaceAll \"x\" \"y\" | toLower}}", r#"{{ vars.a_b | replace(from="x", to="y") | lower }}"#),
        ("{{5 | subtract 2}} {{loop 3 | join \",\"}}", "{{ 5 - 2 }} {{ range(start=0, end=3) | join(sep=\",\") }}"),
    ] {
        let (out, ..) = converted(Dialect::ConsulTemplate, go);
        assert!(out == tera || (tera == "{{ throw" && out.starts_with(tera)), "{go}\n{out}\n{tera}");
    }
}

#[test]
fn paths_become_rosters_and_keys() {
    let text = "{{getv \"/a/b\"}}{{json (getv \"/a/b\")}}{{range gets \"/a-x/*\"}}{{else}}{{end}}{{range lsdir \"/s\"}}{{end}}\
                {{range ls \"/s\"}}{{end}}{{getenv \"Z\"}}";
    let (_, toml, _) = converted(Dialect::Confd, text);
    let wanted = "\n[vars]\nz = \"{{ env.Z }}\"\n\
        \n[[roster]]\nname = \"a_x\"\npath = \"/p/a-x\"\npayload = \"nextdoor\"\nmin = 0\n\
        \n[[roster]]\nname = \"s\"\npath = \"/p/s/*\"\npayload = { format = \"nextdoor\", every_child = true }\n\
        \n[[roster]]\nname = \"s_2\"\npath = \"/p/s\"\npayload = { format = \"nextdoor\", every_child = true }\n\
        \n[[key]]\nname = \"b\"\npath = \"/p/a/b\"\n\
        \n[[key]]\nname = \"b_2\"\npath = \"/p/a/b\"\nformat = \"json\"\n";
    assert_eq!(toml, wanted);
}

#[test]
fn what_has_no_counterpart_is_kept_with_its_line() {
    for (go, kept, lines) in [
        ("a\n{{datetime}}\n", "{# rosterd migrate: {{datetime}} #}", &[2][..]),
        (
            "{{if fileExists \"/x\"}}A{{else}}B{{end}}",
            "{# rosterd migrate: {{if fileExists \"/x\"}} #}{% if false %}A{% else %}B{% endif %}",
            &[1],
        ),
        (
            "{{range lookupIP \"x\"}}\n{{.}}{{end}}",
            "{# rosterd migrate: {{range lookupIP \"x\"}} #}{% for item in [] %}\n{{ item }}{% endfor %}",
            &[1],
        ),
        (
            "{{if true}}\n{{- else if cget \"/x\"}}b{{end}}",
            "{#- rosterd migrate: {{- else if cget \"/x\"}} #}{% elif false %}b{% endif %}",
            &[2],
        ),
        ("{{getv (printf \"/a/%s/%s/b\" (getenv \"X\") (getenv \"Y\"))}}", "{# rosterd migrate: ", &[1]),
        ("{{getvs \"/a/*\"}}", "{# rosterd migrate: ", &[1]),
        ("{{printf \"%05d\" 1}}", "{# rosterd migrate: ", &[1]),
        ("{{template \"x\"}}", "{# rosterd migrate: ", &[1]),
        ("{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}", "{# rosterd migrate: ", &[1]),
        ("{{$x}}", "{# rosterd migrate: ", &[1]),
        ("{{.Name}}", "{# rosterd migrate: ", &[1]),
        ("\n{{if}}", "{# rosterd migrate: \n{{if}} #}", &[2]),
    ] {
        let (out, _, todo) = converted(Dialect::Confd, go);
        assert!(out.contains(kept) && out.starts_with("{{ throw("), "{go}\n{out}");
        assert_eq!(todo, lines, "{go}");
    }
}

#[test]
fn deep_templates_end() {
    let nested = format!("{}x{}", "{{range seq 1 2}}".repeat(100), "{{end}}".repeat(100));
    let (out, _, todo) = converted(Dialect::Confd, &nested);
    assert!(todo.is_empty() && out.matches("endfor").count() == 100);
    // Templates that call each other grow exponentially.
    let calls = "{{define \"a\"}}{{template \"b\"}}{{template \"b\"}}{{end}}{{define \"b\"}}{{template \"a\"}}{{template \"a\"}}{{end}}";
    let (out, ..) = converted(Dialect::Confd, &format!("{calls}{{{{template \"a\"}}}}"));
    assert!(out.len() < 1 << 20);
    assert!(parse(&nested, ("{{", "}}")).is_ok());
}

#[test]
fn hcl_and_json_are_parsed() {
    let text = "# c\na = 1 // c\nb \"x\" { c = [\"d\", true,] /* c */ }\nt { u = <<-E\n    a ${b}\n      c\n    E\n}\nt { u = \"\\\"\\u00e9\" }\n";
    let parsed = hcl::parse(text).unwrap();
    let texts: Vec<_> = parsed.blocks("t").iter().map(|block| block.text("u").unwrap().to_owned()).collect();
    assert_eq!(texts, ["a ${b}\n  c\n", "\"é"]);
    assert_eq!((parsed.text("a"), parsed.blocks("t")[1].line), (Some("1"), 9));
    assert!(parsed.get("b").unwrap().get("x").unwrap().get("c").is_some());
    let json = hcl::parse("{\"t\": [{\"u\": \"\\ud83d\\ude00\"}, {\"u\": 2}], \"n\": null}").unwrap();
    assert_eq!(json.blocks("t").iter().filter_map(|block| block.text("u")).collect::<Vec<_>>(), ["\u{1f600}", "2"]);
    for (text, line, said) in [
        ("a = ", 1, "a value is missing"),
        ("\na", 2, "a value is missing after a"),
        ("a = \"b", 1, "a string is not closed"),
        ("a = <<E\nb\n", 3, "a here-document is not closed"),
        ("a {", 1, "a key is missing"),
        ("/* a", 1, "a comment is not closed"),
        ("{} x", 1, "unexpected text after the last }"),
        ("a = [[[[", 1, "a value is missing"),
    ] {
        assert_eq!(hcl::parse(text).unwrap_err(), (line, said.to_owned()), "{text}");
    }
    assert_eq!(hcl::parse("a = [").unwrap_err().1, "a value is missing");
    assert_eq!(hcl::parse(&format!("a = {}", "[".repeat(100_000))).unwrap_err().1, "values are nested too deeply");
}

#[test]
fn a_zk_watcher_file_is_the_same_services() {
    use crate::config::{Overrides, load};
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("config.cfg");
    let text = "[auth]\nuser: u\npassword: p%%1\n[memcache]\ncmd: pgrep  memcached\nrefresh: 30\nservice_port: 11211\n\
                zookeeper_path: /services/prod/memcache/\nzookeeper_data: { \"foo\": \"b'a\\\"r\", \"n\": [null, 1.50] }\n[ssh]\n\
                cmd = true\nrefresh = 5\nservice_port = 22\nservice_hostname = h.example.com\nzookeeper_path = /services/ssh\n\
                zookeeper_data = foo=bar, bah=humbug\n";
    std::fs::write(&file, text).unwrap();
    let overrides =
        Overrides { host_name: "h".into(), registry: Some("zk://zk1:2181/svc".into()), ..Overrides::default() };
    let migration = zk_watcher::migrate(&file, &overrides).unwrap();
    let new = dir.path().join("new");
    files::write(&new, &migration.files).unwrap();
    assert_eq!(std::fs::metadata(new.join("zk.auth")).unwrap().permissions().mode() & 0o777, 0o600);
    let old = crate::config::zk_watcher::read(&file, &text.into(), "", true, &overrides).unwrap();
    let loaded = load(&new.join("rosterd.toml"), &Overrides { registry: None, ..overrides }).unwrap().config;
    let bare = |config: &crate::config::Config| {
        let services = config.services.iter().map(|it| crate::config::ServiceConfig { place: None, ..(**it).clone() });
        services.collect::<Vec<_>>()
    };
    assert_eq!(bare(&loaded), bare(&old));
    let registry = |config: &crate::config::Config| {
        let registry = &config.registries[0];
        (registry.url.to_string(), registry.auth[0].scheme.clone(), registry.auth[0].secret.clone())
    };
    assert_eq!(registry(&loaded), registry(&old));
    assert!(files::write(&new, &[]).unwrap_err().contains("is not empty"));
}
