use super::*;

#[test]
fn only_text_in_tags_is_lexed() {
    let cases = [
        ("a {{ b }} c", "{{ b }}"),
        ("{# {{ x }} #}{{- y -}}", "{{ y }}"),
        ("{% raw %}{{ x }}{% endraw %}{% if y %}", "{% if y %}"),
        ("{%- raw -%}{% x %}{%- endraw -%}{{ y }}", "{{ y }}"),
        (r#"{{ "a }} {{ \" b" ~ c }}"#, r#"{{ a }} {{ \" b ~ c }}"#),
        ("{{ m?.a[1.5] // -2 }}", "{{ m ?. a [ 1.5 ] // - 2 }}"),
        ("{ {{ ü }}", "{{ ü }}"),
        ("{{ never closed", "{{ never closed"),
        ("{{ 'open", "{{"),
        ("plain { text }", ""),
    ];
    for (text, expected) in cases {
        let words: Vec<&str> = tokens(text).iter().map(|token| token.text).collect();
        assert_eq!(words.join(" "), expected, "{text}");
    }
}

#[test]
fn a_span_is_the_position_of_its_token() {
    let text = "é {{ 'a' }}";
    let spans: Vec<&str> = tokens(text).iter().map(|token| &text[token.span.clone()]).collect();
    assert_eq!(spans, ["{{", "'a'", "}}"]);
}

#[test]
fn comments_are_found_outside_of_tags_and_raw_blocks() {
    let text = "é {# a\nb #}{{ '{# c #}' }}{% raw %}{# d #}{% endraw %}x{#- e -#}{# open";
    let found: Vec<&str> = comments(text).into_iter().map(|comment| &text[comment]).collect();
    assert_eq!(found, ["{# a\nb #}", "{#- e -#}"]);
}
