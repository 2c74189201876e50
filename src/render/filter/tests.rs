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
    assert_eq!(render("{{ web | json(prety=true) }}"), Err("json takes pretty, not prety".into()));
    assert_eq!(render("{{ 'a' | shell(x=1) }}"), Err("shell takes no arguments, but got x".into()));
}

#[test]
fn filters_reject_undefined_values() {
    for filter in ["json", "yaml", "shell", "str", "haproxy_name", "nginx"] {
        let error = render(&format!("{{{{ odd.typo | {filter} }}}}")).unwrap_err();
        assert_eq!(error, format!("{filter} got an undefined value"));
    }
    let error = render("{{ [m.zone for m in web] | join(sep=',') }}").unwrap_err();
    assert_eq!(error, "join got an undefined value in a list or a map");
}
