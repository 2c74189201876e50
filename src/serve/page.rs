//! The files of the page. They are in the program, and refer to nothing outside of it.

/// The type and the text of a file of the page.
pub fn file(path: &str) -> Option<(&'static str, &'static str)> {
    Some(match path {
        "/" => ("text/html; charset=utf-8", include_str!("page/index.html")),
        _ => return None,
    })
}
