use super::*;

#[test]
fn only_top_level_parts_without_fields_of_members_choose_keys() {
    for (text, wanted) in [
        ("key != 'a' and m.port == 80", &["key != 'a'"][..]),
        (
            "port == 80 and not key in vars.old and key is matching(pat='and*')",
            &["not key in vars.old", "key is matching(pat='and*')"],
        ),
        ("key == 'a' or key == host.name", &["key == 'a' or key == host.name"]),
        ("key == 'a' or port == 80", &[]),
        ("key == 'a' or port == 80 and key == 'b'", &[]),
        ("(key == 'a' or key == 'b') and port == 80", &["(key == 'a' or key == 'b')"]),
        ("(key != 'a' and port == 80)", &[]),
        ("key != 'x and y' and zone == 'a'", &["key != 'x and y'"]),
        ("vars.and and key != vars.or", &["key != vars.or"]),
        ("[k for k in vars.old if k == key] == [] and port == 80", &["[k for k in vars.old if k == key] == []"]),
        ("key == 'a' if vars.on else port == 80", &[]),
        ("zone == key", &[]),
        ("host.name == 'a'", &[]),
        ("m.key == 'a'", &[]),
    ] {
        let parts: Vec<String> = key_parts(&format!("{{{{ {text} }}}}")).into_iter().map(|(_, part)| part).collect();
        let wanted: Vec<String> = wanted.iter().map(|part| format!("{{{{ {part} }}}}")).collect();
        let plain = |parts: &[String]| {
            parts.iter().map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        };
        assert_eq!(plain(&parts), plain(&wanted), "{text}");
    }
}
