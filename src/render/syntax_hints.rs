//! What to write instead of what another template language, or another program, has.

use std::ops::Range;

/// Where the guide lists them.
const TABLE: &str = "docs/templates.md, \"Coming from Tera 1 or Jinja\"";

/// How to write braces that are not Tera's.
pub const RAW: &str =
    "text with {{, {% or {# that is meant for another program goes between {% raw %} and {% endraw %}";

/// The argument that other languages give to these filters and functions without its name.
const FIRST_ARGUMENTS: [(&str, &str); 14] = [
    ("default", "value"),
    ("group_by", "attribute"),
    ("join", "sep"),
    ("matching", "pat"),
    ("nth", "n"),
    ("pluck", "attribute"),
    ("range", "end"),
    ("replace", "from"),
    ("round", "precision"),
    ("sort", "attribute"),
    ("sort_by", "attribute"),
    ("split", "pat"),
    ("truncate", "length"),
    ("where", "attribute"),
];

/// The hint for a syntax error of Tera at this place of a template; `None` if the cause is not a known one.
pub fn syntax_hint(message: &str, text: &str, span: &Range<usize>) -> Option<String> {
    let (before, after) = (text.get(..span.start)?, text.get(span.start..)?);
    // Tera marks an unexpected character with an empty span.
    let found = if span.is_empty() { after.get(..after.chars().next()?.len_utf8())? } else { text.get(span.clone())? };
    let tag = before.rfind("{%").map_or("", |open| before[open + 2..].trim_start_matches('-').trim_start());
    let hint = match (message, found) {
        ("Unknown tag", "elsif" | "elseif") => "write {% elif CONDITION %}".to_owned(),
        ("Unknown tag", "macro" | "import" | "call") => {
            "Tera 2 has components instead: {% component NAME(ARGUMENTS) %}, {{ <NAME argument={1} /> }}".to_owned()
        }
        ("Unknown tag", "with" | "do") => "write {% set NAME = VALUE %}".to_owned(),
        (_, "if") if tag.starts_with("else") => "write {% elif CONDITION %}".to_owned(),
        (_, "$") => return Some(RAW.to_owned()),
        (_, "&") => "write `and`".to_owned(),
        (_, "!") => "write `not`".to_owned(),
        (_, "?") => "write A if CONDITION else B".to_owned(),
        (_, "}}") if message.ends_with("but expected ,.") => "`}}` ends the expression: write `} }`".to_owned(),
        (_, "%}") if message.ends_with("but expected else.") && tag.starts_with("for") => {
            "write {% for m in LIST %}{% if CONDITION %}, or use the filter `where`".to_owned()
        }
        _ if message.starts_with("Closing comment tag") => return Some(format!("{{# begins a comment; {RAW}")),
        _ if message.starts_with("Function calls are only allowed") => method(found),
        _ if message.ends_with("but expected identifier.") => argument(found, before)?,
        _ => return None,
    };
    Some(format!("{hint}; see {TABLE}"))
}

/// What to write instead of a method.
fn method(name: &str) -> String {
    match name {
        "items" => "loop over the map itself: {% for key, value in MAP %}".to_owned(),
        "get" => "write MAP[KEY] | default(value=…)".to_owned(),
        name => format!("values have no methods: write VALUE | {name}, if there is such a filter"),
    }
}

/// What to write instead of an argument without its name.
fn argument(found: &str, before: &str) -> Option<String> {
    let (before, is_first) = (before.trim_end(), before.trim_end().ends_with('('));
    let call = if is_first { before } else { &before[..=before.strip_suffix(',')?.rfind('(')?] };
    let call = call.trim_end_matches('(').trim_end();
    let start = call.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map_or(0, |at| at + 1);
    let name = &call[start..];
    Some(match FIRST_ARGUMENTS.iter().find(|(known, _)| *known == name) {
        Some((_, argument)) if is_first => format!("arguments have names: write {name}({argument}={found})"),
        _ => format!("arguments have names: write {name}(NAME={found})"),
    })
}
