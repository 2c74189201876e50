use super::*;

#[test]
fn only_the_end_of_the_output_is_kept() {
    for chunk in [1, 7, 1000, MAX_OUTPUT - 1, MAX_OUTPUT, MAX_OUTPUT + 1, 3 * MAX_OUTPUT] {
        let all: Vec<u8> = (0..=250).cycle().take(3 * MAX_OUTPUT + 5).collect();
        let mut tail = OutputTail::default();
        for part in all.chunks(chunk) {
            tail.push(part);
            assert!(tail.bytes.len() <= MAX_OUTPUT);
        }
        assert_eq!(tail.bytes(), &all[all.len() - MAX_OUTPUT..], "{chunk}");
        assert_eq!(tail.dropped(), (all.len() - MAX_OUTPUT) as u64, "{chunk}");
    }
}

#[test]
fn shown_output_is_short_and_escaped() {
    let shown = |bytes: &[u8]| {
        let mut tail = OutputTail::default();
        tail.push(bytes);
        tail.last_lines()
    };
    assert_eq!(shown(b""), "");
    assert_eq!(shown(b"one\n\ntwo\r\n"), "\n  one\n  two");
    assert_eq!(
        shown("caf\u{e9} \u{1b}[31m\ta\u{202e}b\u{85}\0".as_bytes()),
        "\n  café \\u{1b}[31m\\ta\\u{202e}b\\u{85}\\u{0}"
    );
    assert_eq!(shown(b"\xff"), "\n  \u{fffd}");
    let many: String = (0..100).fold(String::new(), |all, n| all + &n.to_string() + "\n");
    assert!(shown(many.as_bytes()).starts_with("\n  …\n  80\n"));
    assert!(shown(many.as_bytes()).ends_with("\n  99"));
    assert_eq!(shown("é".repeat(600).as_bytes()).chars().count(), 3 + 500 + 1);
}
