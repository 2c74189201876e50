use super::*;

#[test]
fn both_placeholder_spellings_are_substituted() {
    for text in ["c -f {{ src }} {{ dest }}", "c -f {{.src}} {{.dest}}", "c -f {{src}} {{ .dest }}"] {
        assert_eq!(Command::Shell(text.into()).fill("/a/.t", "/a/b").to_string(), "c -f /a/.t /a/b");
    }
    let odd = Command::Exec(vec!["c".into(), "{{ other }} {{".into()]);
    assert_eq!(odd.fill("s", "d"), odd);
}
