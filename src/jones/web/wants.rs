//! What a client wants to read.

use hyper::header::{self, HeaderMap};

#[cfg(test)]
mod tests;

/// What a client wants to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// A page.
    Html,
    /// JSON.
    Json,
    /// Whatever it is.
    Any,
}

impl Wants {
    /// What the header `Accept` prefers. As in Jones, only a client that names JSON gets it.
    pub fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let (mut html, mut json) = (0.0, 0.0);
        for range in accept.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
            match &*kind {
                "text/html" | "application/xhtml+xml" => html = quality.max(html),
                "application/json" => json = quality.max(json),
                _ => {}
            }
        }
        if json > html {
            Self::Json
        } else if html > 0.0 {
            Self::Html
        } else {
            Self::Any
        }
    }
}
