//! What to write instead of what another template language, or another program, has.

use std::ops::Range;

/// Where the guide lists them.
const TABLE: &str = "docs/templates.md, \"Coming from Tera 1 or Jinja\"";

/// The hint if there is no better one.
pub const SEE_GUIDE: &str =
    "templates are Tera 2: {{ VALUE | FILTER }}, {% for m in ROSTER %} … {% endfor %}; see docs/templates.md";

/// How to write braces that are not Tera's.
pub const RAW: &str =
    "text with {{, {% or {# that is meant for another program goes between {% raw %} and {% endraw %}";

/// The argument that other languages give to these filters and functions without its name.
const FIRST_ARGUMENTS: [(&str, &str); 16] = [
    ("bucket", "id"),
    ("default", "value"),
    ("group_by", "attribute"),
    ("in_share", "roster"),
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

/// Functions of confd's and consul-template's templates, and keywords of Go's, that take an argument.
const GO_FUNCTIONS: [&str; 18] = [
    "base",
    "block",
    "cget",
    "cgets",
    "define",
    "dir",
    "exists",
    "get",
    "getenv",
    "gets",
    "getv",
    "getvs",
    "json",
    "key",
    "keyOrDefault",
    "ls",
    "lsdir",
    "template",
];

/// The hint for a template in Go's syntax.
const GO_TEMPLATE: &str = "this is Go template syntax, which confd and consul-template use: `rosterd migrate` converts it, see docs/migrating.md";

/// The hint for a syntax error of Tera at this place of a template.
pub fn syntax_hint(message: &str, text: &str, span: &Range<usize>) -> String {
    if is_go_template(text) {
        return format!("{GO_TEMPLATE}; {RAW}");
    }
    known_cause(message, text, span).unwrap_or_else(|| general_hint(message).to_owned())
}

/// The hint for a known cause of an error.
fn known_cause(message: &str, text: &str, span: &Range<usize>) -> Option<String> {
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

/// Whether a text has a tag of Go's text/template: one about `.` or a `$variable`, `end` or `else`, or a function with an
/// argument that is not in parentheses.
fn is_go_template(text: &str) -> bool {
    text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()).any(|tag| {
        let tag = tag.trim_matches(|c: char| c == '-' || c.is_whitespace());
        let (word, argument) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        let begins = |first: &[char]| argument.trim_start().starts_with(first);
        match word {
            "end" | "else" => argument.is_empty(),
            "range" | "if" | "with" => !argument.is_empty(),
            _ => word.starts_with(['.', '$']) || (GO_FUNCTIONS.contains(&word) && begins(&['"', '.', '$'])),
        }
    })
}

/// The hint for any other syntax error.
fn general_hint(message: &str) -> &'static str {
    match message {
        "Unexpected end of input" => "a tag or block is not closed: {% endfor %}, {% endif %}, }} or %}",
        _ => SEE_GUIDE,
    }
}
