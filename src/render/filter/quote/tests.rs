use super::*;
use crate::render::filter::tests::render;

#[test]
fn each_format_quotes_in_its_own_way() {
    let cases = [
        ("odd.q | shell", r#"'a'\''b "c" $d\ {{ e }} #;é'"#),
        ("odd.q | haproxy", r#"'a'\''b "c" $d\ {{ e }} #;é'"#),
        ("odd.q | haproxy_name", "a_b__c___d_____e_______"),
        ("odd.q | hosts_name", "a-b--c---d-----e-------"),
        ("odd.q | replace(from='$', to='') | nginx", r#""a'b \"c\" d\\ {{ e }} #;é""#),
        ("odd.q | pgpool", r#"'a''b "c" $d\\ {{ e }} #;é'"#),
        ("odd.nl | pgpool", r"'a\nb'"),
        ("odd.q | json", r#""a'b \"c\" $d\\ {{ e }} #;é""#),
        ("odd.n | json", "1.0"),
        ("web | where(attribute='zone') | pluck(attribute='name') | json", r#"["b:1","a:1"]"#),
        ("web[0].deep | json(pretty=true)", "{\n  \"k\": 1\n}"),
        ("web[0] | yaml", "\"deep\":\n  \"k\": 1\n\"name\": \"b:1\"\n\"weight\": 2\n\"zone\": \"x\""),
        ("['no', '10:20', 'a', {1: 'y'}] | yaml", "- \"no\"\n- \"10:20\"\n- \"a\"\n- 1: \"y\""),
        ("web[0] | toml", "name = \"b:1\"\nweight = 2\nzone = \"x\"\n\n[deep]\nk = 1"),
        ("odd.q | toml", "'''a'b \"c\" $d\\ {{ e }} #;é'''"),
        ("'10.0.0.1:80' | shell", "10.0.0.1:80"),
        ("'' | shell", "''"),
        ("'-rf' | shell", "-rf"),
        ("80 | haproxy", "80"),
        ("'/a/b/c' | base", "c"),
        ("'/a/b/c' | dir", "/a/b"),
        ("'/a' | dir", "/"),
        ("'a' | dir", "."),
        ("odd.none | str", ""),
    ];
    for (expression, expected) in cases {
        assert_eq!(render(&format!("{{{{ {expression} }}}}")).as_deref(), Ok(expected), "{expression}");
    }
}

#[test]
fn values_that_cannot_be_written_are_reported() {
    let cases = [
        (
            "odd.none | shell",
            "`shell` takes a string or a number, but got null: use default(value=…) before this filter",
        ),
        ("web | haproxy", "`haproxy` takes a string or a number, but got a list: use one of its fields"),
        ("odd.q | nginx", "nginx cannot escape $: leave out values that contain $"),
    ];
    for (expression, expected) in cases {
        assert_eq!(render(&format!("{{{{ {expression} }}}}")), Err(expected.to_owned()), "{expression}");
    }
    assert!(render("{{ odd | toml }}").unwrap_err().starts_with("cannot write this as TOML, which has no null"));
}

#[test]
fn hosts_are_distinguished_from_other_texts() {
    let good = ["a", "web-1.example.com", "a.b.", "x_y", "10.0.0.1", "::1", "2001:db8::1"];
    let bad = ["", ".", "a..b", "-a", "a b", "a;b", "a\"", "é", "a:80", "[::1]", "a/b"];
    for text in good {
        assert!(is_hostname(&Value::from(text)), "{text}");
    }
    for text in bad {
        assert!(!is_hostname(&Value::from(text)), "{text}");
    }
    assert!(!is_hostname(&Value::from("a".repeat(64))));
    assert!(!is_hostname(&Value::none()));
    assert!(!is_ip(&Value::from("a")) && is_ip(&Value::from("::1")));
}
