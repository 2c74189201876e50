//! `where`: a Tera expression over one member, validated at load and compiled to a [`Filter`].
//!
//! It sees the fields of the member and the keys of its data by their own names, all of them as `m`, `host` and `vars`
//! as in templates, and in a roster with keys the key of the member as `key`. It must evaluate to true or false. Any other result is an error, and so is an undefined
//! value that is used for more than a comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use tera::{ErrorKind, ReportError, Tera, Value};

use crate::config::{Problem, Where};
use crate::model::digest::digest;
use crate::model::filter::Filter;
use crate::model::member::Member;

use super::names::{KnownNames, Lookup};
use super::uses::{Uses, Variable};
use key_parts::key_parts;

use super::{Globals, filter, host_value, names, output, validate, value};

mod key_parts;
#[cfg(test)]
mod tests;

/// The delimiters that make the expression a template.
const OPEN: &str = "{{ ";
const CLOSE: &str = " }}";

/// Delimiters of Tera: not allowed in an expression, even in a string.
const DELIMITERS: [&str; 6] = ["{{", "}}", "{%", "%}", "{#", "#}"];

/// The hint if there is no better one.
const EXAMPLE_HINT: &str = "write one expression, as in 'zone == vars.zone and weight > 0'";

/// Names that are not available in `where`, but in templates or other software, with a hint.
const UNAVAILABLE: [(&str, &str); 4] = [
    ("slot", "slots are assigned after `where`; for a data key with this name, write m.data.slot"),
    ("rosters", "`where` can use only the fields of one member, vars and host"),
    ("loop", "`where` can use only the fields of one member, vars and host"),
    ("__tera_context", "use the names of the fields"),
];

/// A compiled `where`.
#[derive(Debug)]
pub struct CompiledWhere {
    pub filter: Filter,
    /// Whether it uses `host.fqdn`.
    pub uses_fqdn: bool,
}

/// Validates and compiles an expression.
///
/// # Errors
/// Every problem: syntax errors; unknown filters, tests and functions; unknown fields of `host` and `vars`; names that
/// members cannot have. Other names may be keys of the data.
pub fn compile_where(written: &Where, globals: &Globals) -> Result<CompiledWhere, Vec<Problem>> {
    if let Some(end) = DELIMITERS.iter().find(|end| written.text.contains(**end)) {
        let hint = "write one expression without delimiters, as in 'zone == vars.zone'";
        return Err(vec![problem(written, 0..0, &format!("{end} is not allowed in `where`"), hint)]);
    }
    let text = format!("{OPEN}{}{CLOSE}", written.text);
    // A plain Tera reports syntax errors. Unknown names are reported below with better hints.
    if let Err(error) = Tera::new().add_raw_template("where", &text)
        && let ErrorKind::SyntaxError(report) = error.kind()
    {
        return Err(vec![syntax_problem(written, report)]);
    }
    let uses = Uses::of(&text);
    let problems = validate_names(written, &uses, globals);
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut tera = filter::tera();
    if let Err(error) = tera.add_raw_template("where", &text) {
        return Err(vec![problem(written, 0..0, &error.to_string(), EXAMPLE_HINT)]);
    }
    let uses_name = |name: &str| uses.body.variables.iter().any(|it| it.ident.text == name);
    // The filter counts as changed if `host` or `vars` changes and the expression uses it.
    let host = format!("{:?}", globals.host);
    let vars = Json::Object(globals.vars.clone()).to_string();
    let with =
        digest([("host", &*host), ("vars", &*vars)].into_iter().filter(|(name, _)| uses_name(name)).map(|(_, it)| it));
    let names: BTreeSet<String> = uses.body.variables.iter().map(|name| name.ident.text.clone()).collect();
    let globals: BTreeMap<&str, Value> =
        BTreeMap::from([("host", host_value(globals.host.clone())), ("vars", value::object(&globals.vars))]);
    let uses_fqdn = uses.body.variables.iter().any(|name| !name.local && name.is_fqdn());
    let parts = if written.is_keyed { key_parts(&text) } else { Vec::new() };
    for (name, part) in &parts {
        if let Err(error) = tera.add_raw_template(name, part) {
            return Err(vec![problem(written, 0..0, &error.to_string(), EXAMPLE_HINT)]);
        }
    }
    let (tera, names, globals, is_keyed) = (Arc::new(tera), Arc::new(names), Arc::new(globals), written.is_keyed);
    let includes_key = {
        let (tera, names, globals) = (Arc::clone(&tera), Arc::clone(&names), Arc::clone(&globals));
        move |key: &str| {
            let context = context(&names, &globals, Some(key), None);
            let is_false =
                |name: &str| output::render(&tera, name, &context, Path::new(name)).is_ok_and(|it| it == b"false");
            !parts.iter().any(|(name, _)| is_false(name))
        }
    };
    let accepts = move |key: &str, member: &Member| {
        let context = context(&names, &globals, is_keyed.then_some(key), Some(member));
        let given = output::render(&tera, "where", &context, Path::new("where")).map_err(|error| error.message)?;
        match &*given {
            b"true" => Ok(true),
            b"false" => Ok(false),
            other => {
                Err(format!("the expression evaluates to {:?}, not to true or false", String::from_utf8_lossy(other)))
            }
        }
    };
    let filter = Filter::new(&*written.text, with, accepts).with_keys(includes_key);
    Ok(CompiledWhere { filter, uses_fqdn })
}

/// The context for a key, if the roster has keys, and for one member: only the names that the expression uses.
fn context(
    names: &BTreeSet<String>,
    globals: &BTreeMap<&str, Value>,
    key: Option<&str>,
    member: Option<&Member>,
) -> tera::Context {
    let all = member.map(|member| value::fields(member, None)).unwrap_or_default();
    let key = key.map(Value::from);
    let mut context = tera::Context::new();
    for name in names {
        let given = if name == "key" { key.as_ref() } else { None };
        let own = || all.get(&tera::value::Key::from(name.clone()));
        if let Some(value) = given.or_else(|| globals.get(&**name)).or_else(own) {
            context.insert_value(name.clone(), value.clone());
        }
    }
    if names.contains("m") {
        context.insert_value("m", Value::from(all));
    }
    context
}

fn validate_names(written: &Where, uses: &Uses, globals: &Globals) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut check = |idents: &[super::uses::Ident], kind, known: &[&str]| {
        for ident in idents {
            if let Some((message, hint)) = validate::unknown_builtin(kind, &ident.text, known) {
                problems.push(problem(written, ident.span.clone(), &message, &hint));
            }
        }
    };
    check(&uses.filters, "filter", &filter::filters().collect::<Vec<_>>());
    check(&uses.tests, "test", &filter::tests().collect::<Vec<_>>());
    check(&uses.functions, "function", &filter::FUNCTIONS);
    if let Some(call) = uses.body.calls.first() {
        let message = format!("`where` cannot use components: {}", call.ident.text);
        problems.push(problem(
            written,
            call.ident.span.clone(),
            &message,
            "write an expression over the fields of the member",
        ));
    }
    let none = BTreeMap::new();
    let known = KnownNames { names: &none, vars: &globals.vars, unit: None, complete: globals.complete };
    for name in uses.body.variables.iter().filter(|name| !name.local) {
        if let Some((span, message, hint)) = check_variable(name, &known) {
            problems.push(problem(written, span, &message, &hint));
        }
    }
    problems
}

/// Checks one variable; returns the span, the message and the hint of a problem.
fn check_variable(name: &Variable, known: &KnownNames<'_>) -> Option<(Range<usize>, String, String)> {
    let text = &*name.ident.text;
    let at_name = |message: String, hint: &str| Some((name.ident.span.clone(), message, hint.to_owned()));
    match (text, name.fields.first()) {
        ("host", None) => at_name(
            "host is a map, not a string".into(),
            "write m.host for the member's host, or host.name for this host's name",
        ),
        ("vars", None) => at_name("vars is a table, not a string".into(), "use one of its keys, as in vars.zone"),
        ("host" | "vars", _) => match known.lookup(name) {
            Lookup::UnknownField { field, message, hint } => {
                Some((field.span.clone(), message, hint.unwrap_or_default()))
            }
            Lookup::Defined | Lookup::Undefined => None,
        },
        ("m", Some(field)) if field.text == "slot" => at_name("a member has no slot yet".into(), UNAVAILABLE[0].1),
        _ => {
            let (_, hint) = UNAVAILABLE.iter().find(|(other, _)| *other == text)?;
            at_name(format!("there is no {text} in `where`"), hint)
        }
    }
}

fn syntax_problem(written: &Where, report: &ReportError) -> Problem {
    let (at, end) = (report.span().range.clone(), OPEN.len() + written.text.len());
    // To the user, the closing delimiter is the end of the expression.
    let span = if at.start >= end { end..end } else { at };
    problem(written, span, &names::in_place_of(report.message(), CLOSE.trim()), EXAMPLE_HINT)
}

/// Creates a problem. `span` is in the expression as a template. The whole value is marked if the file spells the
/// expression differently.
fn problem(written: &Where, span: Range<usize>, message: &str, hint: &str) -> Problem {
    let Where { roster, text, file, source, span: whole, .. } = written;
    let inside = source.get(whole.clone()).and_then(|value| value.find(&**text));
    let part = inside.filter(|_| span != (0..0)).map(|at| {
        let place = |byte: usize| whole.start + at + byte.saturating_sub(OPEN.len()).min(text.len());
        place(span.start)..place(span.end)
    });
    Problem {
        file: file.clone(),
        text: source.clone(),
        span: part.unwrap_or_else(|| whole.clone()),
        message: format!("`where` of {roster}: {message}"),
        hint: Some(hint.to_owned()),
    }
}
