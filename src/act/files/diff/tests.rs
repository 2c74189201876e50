use super::*;

#[test]
fn differences_read_as_diff_shows_them() {
    type Case<'a> = (Option<&'a [u8]>, &'a [u8], &'a str);
    let cases: [Case; 7] = [
        (Some(b"a\nb\nc\n"), b"a\nB\nc\n", "--- /e/x\n+++ /e/x\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"),
        (None, b"a\n", "--- /dev/null\n+++ /e/x\n@@ -0,0 +1 @@\n+a\n"),
        (None, b"", "--- /dev/null\n+++ /e/x\n"),
        (Some(b"a\n"), b"a\n", ""),
        (Some(b"a"), b"a\n", "--- /e/x\n+++ /e/x\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"),
        (Some(b"\xff"), b"a\n", "Binary files /e/x and /e/x (new) differ\n"),
        (None, b"a\0", "Binary files /dev/null and /e/x (new) differ\n"),
    ];
    for (old, new, shown) in cases {
        assert_eq!(unified_diff(old, new, Path::new("/e/x")), shown);
    }
}
