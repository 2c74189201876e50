//! Credentials in URLs, as they are shown to people.

use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// What stands in a secret's place.
const MASK: &str = "***";

/// What ends a URL within other text.
fn ends_url(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>' | '`' | '\\')
}

/// The same text with the password of every URL in it masked: `postgres://user:***@host`. Rather too much is masked
/// than too little: a password may hold `/`, `:` and `@` where its writer did not encode them. Templates see the text
/// as it is; logs, `ls` and `status` show it like this.
#[must_use]
pub fn masked(text: &str) -> Cow<'_, str> {
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

/// `password=` in a query (libpq takes it there).
fn without_passwords(text: &str) -> String {
    let mut parts = text.split("password=");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c| ends_url(c) || c == '&').unwrap_or(part.len());
        out.extend(["password=", if end > 0 { MASK } else { "" }, &part[end..]]);
    }
    out
}
