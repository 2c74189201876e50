use super::*;

#[test]
fn differences_have_the_unified_diff_format() {
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

#[test]
fn changes_with_overlapping_context_share_a_hunk() {
    let numbered = |count: u32| (1..=count).fold(String::new(), |all, n| all + &n.to_string() + "\n");
    let cases = [
        (numbered(8), numbered(8).replace("6\n", "x\n"), "@@ -3,6 +3,6 @@\n 3\n 4\n 5\n-6\n+x\n 7\n 8\n"),
        (numbered(9), numbered(9).replace("1\n", "x\n1\n"), "@@ -1,3 +1,4 @@\n+x\n 1\n 2\n 3\n"),
        (numbered(9), numbered(8), "@@ -6,4 +6,3 @@\n 6\n 7\n 8\n-9\n"),
        (
            numbered(9),
            numbered(9).replace("1\n", "x\n").replace("8\n", ""),
            "@@ -1,9 +1,8 @@\n-1\n+x\n 2\n 3\n 4\n 5\n 6\n 7\n-8\n 9\n",
        ),
        (
            numbered(9),
            numbered(9).replace("1\n", "x\n").replace("9\n", ""),
            "@@ -1,4 +1,4 @@\n-1\n+x\n 2\n 3\n 4\n@@ -6,4 +6,3 @@\n 6\n 7\n 8\n-9\n",
        ),
        ("a\n".to_owned(), String::new(), "@@ -1 +0,0 @@\n-a\n"),
        // Too many equal lines to search for the smallest difference.
        ("a\n".repeat(30_000) + "b\n", "a\n".repeat(30_001), "@@ -29998,4 +29998,4 @@\n a\n a\n a\n-b\n+a\n"),
    ];
    for (old, new, shown) in cases {
        let diff = unified_diff(Some(old.as_bytes()), new.as_bytes(), Path::new("x"));
        assert_eq!(diff, format!("--- x\n+++ x\n{shown}"));
    }
}
