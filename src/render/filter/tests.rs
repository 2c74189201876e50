use super::*;
use tera::Context;

/// Renders a template with `web`, three members of which one lacks some data, and a few odd values.
pub fn render(template: &str) -> Result<String, String> {
    let mut context = Context::new();
    let web = serde_json::json!([
        {"name": "b:1", "zone": "x", "weight": 2, "deep": {"k": 1}},
        {"name": "a:1", "zone": "y", "weight": 10, "deep": {"k": 2}},
        {"name": "c:1", "weight": null, "up": true},
    ]);
    context.insert("web", &web);
    context
        .insert("odd", &serde_json::json!({"q": "a'b \"c\" $d\\ {{ e }} #;é", "nl": "a\nb", "none": null, "n": 1.0}));
    tera().render_str(template, &context, false).map_err(|error| match error.kind() {
        tera::ErrorKind::RenderingError(report) => report.message().to_owned(),
        other => other.to_string(),
    })
}

#[test]
fn tera_has_the_listed_filters_and_tests() {
    let tera = Tera::new();
    let has = |text: String| {
        !tera.render_str(&text, &Context::new(), false).is_err_and(|e| e.to_string().contains("Unknown"))
    };
    for name in TERA_FILTERS {
        assert!(has(format!("{{{{ 1 | {name} }}}}")), "filter {name}");
    }
    for name in TERA_TESTS {
        assert!(has(format!("{{{{ 1 is {name} }}}}")), "test {name}");
    }
    assert!(!has("{{ 1 | json }}".into()), "json is a filter of Tera itself now");
}

#[test]
fn an_unknown_filter_argument_is_an_error() {
    assert_eq!(render("{{ web | json(prety=true) }}"), Err("`json` takes pretty, not prety".into()));
    assert_eq!(render("{{ 'a' | shell(x=1) }}"), Err("`shell` takes no arguments, but got x".into()));
}

#[test]
fn filters_reject_undefined_values() {
    for filter in ["json", "yaml", "shell", "str", "haproxy_name", "nginx"] {
        let error = render(&format!("{{{{ odd.typo | {filter} }}}}")).unwrap_err();
        assert_eq!(error, format!("`{filter}` was given an undefined value"));
    }
    let error = render("{{ [m.zone for m in web] | join(sep=',') }}").unwrap_err();
    assert_eq!(error, "`join` was given an undefined value in a list or a map");
}

#[test]
fn text_is_digested_encoded_and_matched() {
    let cases = [
        (r#"{{ 'web-12' | regex_replace(pattern="-[0-9]+$", rep="") }}"#, "web"),
        (r#"{{ 'a.b' | regex_replace(pattern="(\\w)\\.(\\w)", rep="$2.$1") }}"#, "b.a"),
        ("{{ 'a' | md5 }} {{ 1 | md5 }}", "0cc175b9c0f1b6a831c399e269772661 c4ca4238a0b923820dcc509a6f75849b"),
        ("{{ 'é?>' | b64encode }} {{ '' | b64encode }}", "w6k/Pg== "),
        ("{{ [m.name for m in web if m.name is matching(pat='[ab]:*')] | json }}", r#"["b:1","a:1"]"#),
        ("{{ 'web10' is matching(pat='web?') }} {{ 'a/b' is matching(pat='*') }}", "false true"),
        ("{{ 'web' is not matching(pat='WEB') }} {{ 80 is matching(pat='8*') }}", "true true"),
    ];
    for (template, expected) in cases {
        assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
    }
    let errors = [
        (
            r#"{{ 'a' | regex_replace(pattern="(", rep="") }}"#,
            "`regex_replace` was given an invalid regular expression, (: found open group without closing ')'",
        ),
        ("{{ web[2].zone | md5 }}", "`md5` was given an undefined value"),
        ("{{ web | b64encode }}", "`b64encode` takes a string or a number, but got a list: use one of its fields"),
        ("{{ web[2].zone is matching(pat='*') }}", "`matching` was given an undefined value"),
        ("{{ 'a' is matching(pat='[') }}", "`matching` was given an invalid pattern, [: invalid range pattern"),
        ("{{ 'a' is matching(pat='*', x=1) }}", "`matching` takes pat, not x"),
        ("{{ 'a' is ip(x=1) }}", "`ip` takes no arguments, but got x"),
    ];
    for (template, expected) in errors {
        assert_eq!(render(template), Err(expected.into()), "{template}");
    }
    for pattern in ["^a", "a$"] {
        let error = render(&format!("{{{{ 'a' is matching(pat='{pattern}') }}}}")).unwrap_err();
        assert!(error.contains("not a regular expression"), "{error}");
    }
}
