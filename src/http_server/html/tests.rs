use super::*;

fn text(text: &str) -> String {
    let mut html = Html::default();
    html.text(text);
    html.0
}

#[test]
fn text_and_attributes_are_escaped() {
    for (from, to) in [
        ("a & b", "a &amp; b"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("\"'", "&quot;&#39;"),
        ("&lt;", "&amp;lt;"),
        ("one\n\ttwo", "one\n\ttwo"),
        ("\r\0\u{1b}[2J\u{7f}\u{85}", "\\u{d}\\u{0}\\u{1b}[2J\\u{7f}\\u{85}"),
        ("\u{202e}gnp.exe\u{2066}\u{200f}", "\\u{202e}gnp.exe\\u{2066}\\u{200f}"),
        ("שלום, 東京, é", "שלום, 東京, é"),
    ] {
        assert_eq!(text(from), to);
    }
    let mut html = Html::default();
    html.leaf("a", &[("href", "#\"><script>"), ("title", "' onclick='")], "<b>");
    assert_eq!(html.0, "<a href=\"#&quot;&gt;&lt;script&gt;\" title=\"&#39; onclick=&#39;\">&lt;b&gt;</a>");
}

#[test]
fn elements_are_nested_and_closed() {
    let page = Html::document(|html| {
        html.void("meta", &[("charset", "utf-8")]);
        html.element("p", &[], |html| {
            html.text("one ");
            html.leaf("b", &[("class", "x")], "two");
        });
    });
    assert_eq!(
        page,
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><p>one <b class=\"x\">two</b></p></html>"
    );
}
