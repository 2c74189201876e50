use std::fs;

use super::*;

/// The only case of a file with this text.
fn case(text: &str) -> Result<Case, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, format!("[[case]]\nname = \"n\"\ntemplate = \"web\"\n{text}\n")).unwrap();
    Case::read(file.path()).map(|cases| cases[0].clone())
}

fn judged(text: &str, got: &Got) -> Result<(), String> {
    judge(&case(text).unwrap(), got, Path::new("."))
}

#[test]
fn a_case_passes_only_with_what_it_expects() {
    let file = |text: &str| Got::File(text.as_bytes().to_vec());
    let (held, failed) = (Got::Held("/s has 1 members".into()), Got::Failed("no field port".into()));
    let exact = "expected = \"a\\nb\\n\"";
    for (text, got) in [
        (exact, file("a\nb\n")),
        ("contains = [\"a\", \"b\"]\nlacks = [\"c\"]", file("a\nb\n")),
        ("hold = true", held.clone()),
        ("hold = \"has 1\"", held.clone()),
        ("error = \"port\"", failed.clone()),
        ("error = true\nhold = false", failed.clone()),
    ] {
        assert_eq!(judged(text, &got), Ok(()), "{text}");
    }
    let differs = "the file differs\n--- expected\n+++ rendered\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n";
    for (text, got, wanted) in [
        (exact, file("a\nc\n"), differs),
        (exact, file("a\nb"), "\\ No newline at end of file"),
        (exact, file(""), "-a\n-b\n"),
        (exact, held.clone(), "held: /s has 1 members"),
        (exact, failed.clone(), "no field port"),
        ("contains = [\"a\", \"c\"]", file("a\nb\n"), "does not contain \"c\""),
        ("lacks = [\"b\"]", file("a\nb\n"), "the file contains \"b\""),
        ("hold = true", file("a\n"), "expected a hold, but it was rendered:\na\n"),
        ("hold = \"has 2\"", held, "but the reason is: /s has 1 members"),
        ("hold = true", failed.clone(), "no field port"),
        ("error = true", file("a\n"), "expected an error"),
        ("error = \"host\"", failed, "but the reason is: no field port"),
    ] {
        let why = judged(text, &got).unwrap_err();
        assert!(why.contains(wanted), "{text}: {why}");
    }
}

#[test]
fn an_invalid_case_is_refused() {
    for (text, wanted) in [
        ("", "it expects nothing"),
        ("hold = false", "it expects nothing"),
        ("hold = true\nexpected = \"\"", "exclude each other"),
        ("expected_file = \"f\"\nexpected = \"\"", "exclude each other"),
        ("contain = [\"a\"]", "unknown field `contain`"),
        ("expected = 1", "invalid type"),
    ] {
        let why = case(text).unwrap_err();
        assert!(why.contains(wanted), "{text}: {why}");
    }
}
