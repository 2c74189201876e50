//! Masks credentials in URLs.

use std::borrow::Cow;

#[cfg(test)]
mod tests;

const MASK: &str = "***";

/// Whether the character ends a URL within other text.
fn ends_url(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>' | '`' | '\\')
}

/// Masks the password of every URL in the text: `postgres://user:***@host`. If in doubt, it masks too much, because an
/// unencoded password may contain `/`, `:` and `@`. Logs, `ls` and `status` show masked text; templates see the
/// original.
#[must_use]
pub fn mask_credentials(text: &str) -> Cow<'_, str> {
    if !text.contains("://") && !text.contains("password=") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, behind) = rest.split_at(at + 3);
        out.push_str(before);
        let url = behind.split(ends_url).next().unwrap_or_default();
        let secret = url.rfind('@').unwrap_or(0);
        match url[..secret].split_once(':') {
            Some((user, _)) => out.extend([user, ":", MASK]),
            // A token without a user, or no credential at all.
            None if secret > 0 => out.push_str(MASK),
            None => {}
        }
        rest = &behind[secret..];
    }
    out.push_str(rest);
    Cow::Owned(without_passwords(&out))
}

/// Masks `password=` in a query, as libpq accepts it.
fn without_passwords(text: &str) -> String {
    let mut parts = text.split("password=");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c| ends_url(c) || c == '&').unwrap_or(part.len());
        out.extend(["password=", if end > 0 { MASK } else { "" }, &part[end..]]);
    }
    out
}
