//! A writer of HTML. Text and the values of attributes are only ever added escaped, so nothing from a registry, a
//! command or a file becomes markup.

#[cfg(test)]
mod tests;

/// HTML, written element by element.
#[derive(Debug, Default)]
pub struct Html(String);

/// The attributes of an element. Their names are constant.
pub type Attributes<'a> = &'a [(&'static str, &'a str)];

impl Html {
    /// A document with this content of its `html` element.
    pub fn document(content: impl FnOnce(&mut Self)) -> String {
        let mut html = Self("<!doctype html>\n".to_owned());
        html.element("html", &[("lang", "en")], content);
        html.0
    }

    /// An element with content.
    pub fn element(&mut self, tag: &'static str, attributes: Attributes<'_>, content: impl FnOnce(&mut Self)) {
        self.void(tag, attributes);
        content(self);
        self.0.extend(["</", tag, ">"]);
    }

    /// An element that contains only text.
    pub fn leaf(&mut self, tag: &'static str, attributes: Attributes<'_>, text: &str) {
        self.element(tag, attributes, |html| html.text(text));
    }

    /// An element without content and without an end tag.
    pub fn void(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.0.extend(["<", tag]);
        for (name, value) in attributes {
            self.0.extend([" ", name, "=\""]);
            self.text(value);
            self.0.push('"');
        }
        self.0.push('>');
    }

    /// Text.
    pub fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                c if c.is_control() || is_direction(c) => self.0.extend(c.escape_unicode()),
                c => self.0.push(c),
            }
        }
    }
}

/// Whether a character has no shape of its own and changes the direction of the text around it (Unicode Standard Annex
/// 9, 2). Shown as it is, it could make one name look like another.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
