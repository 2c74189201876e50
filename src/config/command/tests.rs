use super::*;

#[test]
fn both_placeholder_spellings_are_substituted() {
    for text in ["c -f {{ src }} {{ dest }}", "c -f {{.src}} {{.dest}}", "c -f {{src}} {{ .dest }}"] {
        assert_eq!(
            Command::Shell(text.into()).fill(&|placeholder| Some(value(placeholder))).to_string(),
            "c -f /a/.t /a/b"
        );
    }
    let odd = Command::Exec(vec!["c".into(), "{{ other }} {{".into()]);
    assert_eq!(odd.fill(&|placeholder| Some(value(placeholder))), odd);
}

fn value(placeholder: Placeholder<'_>) -> String {
    match placeholder {
        Placeholder::Src => "/a/.t".to_owned(),
        Placeholder::Dest => "/a/b".to_owned(),
        Placeholder::Staged(name) => format!("/a/.{name}"),
    }
}

#[test]
fn a_staged_file_is_named_as_a_template_names_it() {
    for text in ["{{ staged['b.map'] }}", "{{staged[\"b.map\"]}}", "{{ staged [ 'b.map' ] }}"] {
        assert_eq!(
            Command::Shell(text.into()).fill(&|placeholder| Some(value(placeholder))).to_string(),
            "/a/.b.map",
            "{text}"
        );
    }
    assert_eq!(
        Command::Exec(vec!["{{ staged.map }}".into()]).fill(&|placeholder| Some(value(placeholder))).to_string(),
        "/a/.map"
    );
    for text in ["{{ staged.b.map }}", "{{ staged }}", "{{ staged['b.map\"] }}", "{{ stagedmap }}"] {
        assert_eq!(Command::Shell(text.into()).fill(&|placeholder| Some(value(placeholder))).to_string(), text);
        assert!(unknown_placeholder(text, true).is_some(), "{text}");
    }
    assert_eq!(unknown_placeholder("{{ staged.map }} {{ src }}", true), None);
    let (part, wrong) = unknown_placeholder("x {{ staged.b.map }}", true).unwrap();
    assert_eq!((part, wrong.hint.unwrap().as_str()), ("{{ staged.b.map }}", "write {{ staged['b.map'] }}"));
    assert!(unknown_placeholder("{{ staged.map }}", false).unwrap().1.hint.unwrap().contains("check_cmd only"));
}
