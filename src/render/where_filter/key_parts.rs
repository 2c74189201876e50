//! The parts of a `where` that choose keys.

use crate::render::lex::{Kind, tokens};
use crate::render::uses::Uses;

#[cfg(test)]
mod tests;

/// The names that are the same for all members of a key.
const OF_KEYS: [&str; 3] = ["key", "vars", "host"];

/// The parts that `and` joins at the top level of an expression, as far as they use `key` and no field of a member. Each
/// is a template with a name. `text` is the expression as a template.
pub fn key_parts(text: &str) -> Vec<(String, String)> {
    let parts = conjuncts(text).into_iter().map(|part| format!("{{{{ {part} }}}}"));
    let parts = parts.filter(|part| {
        let uses = Uses::of(part).body.variables;
        let names = || uses.iter().filter(|name| !name.local).map(|name| &*name.ident.text);
        names().all(|name| OF_KEYS.contains(&name)) && names().any(|name| name == "key")
    });
    parts.enumerate().map(|(number, part)| (format!("key {number}"), part)).collect()
}

/// The parts that `and` joins at the top level. With an `or` or an `if` there, which bind less tightly, the whole
/// expression is one part.
fn conjuncts(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut is_field) = (Vec::new(), 0, 0_usize, false);
    let tokens = tokens(text);
    let end = tokens.last().map_or(text.len(), |token| token.span.start);
    for token in &tokens {
        match (token.kind, token.text) {
            (Kind::Output, _) => start = token.span.end,
            (Kind::Op, "(" | "[" | "{" | "?[") => depth += 1,
            (Kind::Op, ")" | "]" | "}") => depth = depth.saturating_sub(1),
            (Kind::Ident, "or" | "if") if depth == 0 && !is_field => return vec![&text[tokens[0].span.end..end]],
            (Kind::Ident, "and") if depth == 0 && !is_field => {
                parts.push(&text[start..token.span.start]);
                start = token.span.end;
            }
            (Kind::Close, _) => parts.push(&text[start..token.span.start]),
            _ => {}
        }
        is_field = token.is(".") || token.is("?.");
    }
    parts
}
