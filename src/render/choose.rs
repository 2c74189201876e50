//! `where`: a Tera expression over one member, vetted at load and made into a [`Filter`].
//!
//! It sees the member's fields and the keys of its data by their own names, and all of it as `m`; `host` and `vars` are
//! what they are in templates. What it gives is true or false: anything else is an error, and so is what is undefined
//! and is more than compared.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use serde_json::Value as Json;
use tera::{ErrorKind, ReportError, Tera, Value};

use crate::config::{Problem, Where};
use crate::model::digest::digest;
use crate::model::filter::Filter;
use crate::model::member::Member;

use super::names::{Found, Known};
use super::uses::{Name, Uses};
use super::{Globals, filter, host_value, names, output, value, vet};

#[cfg(test)]
mod tests;

/// What the expression is put between to be a template.
const OPEN: &str = "{{ ";
const CLOSE: &str = " }}";

/// What ends an expression, or begins another, wherever it stands.
const ENDS: [&str; 6] = ["{{", "}}", "{%", "%}", "{#", "#}"];

/// What to do where nothing better is known.
const SEE: &str = "write one expression, as in 'zone == vars.zone and weight > 0'";

/// What no member has, and templates or other software do.
const ELSEWHERE: [(&str, &str); 4] = [
    ("slot", "a number is given to those that `where` takes; a key of the data with this name is m.data.slot"),
    ("rosters", "one member is looked at, and nothing else: its fields, vars and host"),
    ("loop", "one member is looked at, and nothing else: its fields, vars and host"),
    ("__tera_context", "name the fields that you want to look at"),
];

/// A `where`, and whether it shows the host's full name.
#[derive(Debug)]
pub struct Chosen {
    /// The filter.
    pub filter: Filter,
    /// Whether it names `host.fqdn`.
    pub uses_fqdn: bool,
}

/// Vets an expression and makes a filter of it.
///
/// # Errors
/// Everything that is wrong with it: what Tera cannot parse; filters, tests and functions that are not there; what
/// `host` and `vars` do not have; names that no member has. Other names may be keys of a member's data.
pub fn choose(written: &Where, globals: &Globals) -> Result<Chosen, Vec<Problem>> {
    if let Some(end) = ENDS.iter().find(|end| written.text.contains(**end)) {
        let hint = "write one expression without brackets around it, as in 'zone == vars.zone'";
        return Err(vec![problem(written, 0..0, &format!("{end} has no place in `where`"), hint)]);
    }
    let text = format!("{OPEN}{}{CLOSE}", written.text);
    // One without our filters: it says what cannot be parsed, and what is not there is said better below.
    if let Err(error) = Tera::new().add_raw_template("where", &text)
        && let ErrorKind::SyntaxError(report) = error.kind()
    {
        return Err(vec![unparsed(written, report)]);
    }
    let uses = Uses::of(&text);
    let problems = vet(written, &uses, globals);
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut tera = filter::tera();
    if let Err(error) = tera.add_raw_template("where", &text) {
        return Err(vec![problem(written, 0..0, &error.to_string(), SEE)]);
    }
    let looks_at = |name: &str| uses.body.names.iter().any(|it| it.word.text == name);
    // A filter is another one when something that it looks at is.
    let host = format!("{:?}", globals.host);
    let vars = Json::Object(globals.vars.clone()).to_string();
    let with =
        digest([("host", &*host), ("vars", &*vars)].into_iter().filter(|(name, _)| looks_at(name)).map(|(_, it)| it));
    let names: BTreeSet<String> = uses.body.names.iter().map(|name| name.word.text.clone()).collect();
    let beside: BTreeMap<&str, Value> =
        BTreeMap::from([("host", host_value(globals.host.clone())), ("vars", value::object(&globals.vars))]);
    let uses_fqdn = uses.body.names.iter().any(|name| !name.local && name.is_fqdn());
    let takes = move |member: &Member| {
        let context = context(&names, &beside, member);
        let given = output::render(&tera, "where", &context, Path::new("where")).map_err(|error| error.message)?;
        match &*given {
            b"true" => Ok(true),
            b"false" => Ok(false),
            other => Err(format!("it gives {:?}, which is neither true nor false", String::from_utf8_lossy(other))),
        }
    };
    Ok(Chosen { filter: Filter::new(&*written.text, with, takes), uses_fqdn })
}

/// What the expression sees of one member: no more than it names.
fn context(names: &BTreeSet<String>, beside: &BTreeMap<&str, Value>, member: &Member) -> tera::Context {
    let all = value::fields(member, None);
    let mut context = tera::Context::new();
    for name in names {
        let own = || all.get(&tera::value::Key::from(name.clone())).cloned();
        if let Some(value) = beside.get(&**name).cloned().or_else(own) {
            context.insert_value(name.clone(), value);
        }
    }
    if names.contains("m") {
        context.insert_value("m", Value::from(all));
    }
    context
}

fn vet(written: &Where, uses: &Uses, globals: &Globals) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut words = |words: &[super::uses::Word], kind, known: &[&str]| {
        for word in words {
            if let Some((message, hint)) = vet::unknown_word(kind, &word.text, known) {
                problems.push(problem(written, word.span.clone(), &message, &hint));
            }
        }
    };
    words(&uses.filters, "filter", &filter::filters().collect::<Vec<_>>());
    words(&uses.tests, "test", &filter::tests().collect::<Vec<_>>());
    words(&uses.functions, "function", &filter::FUNCTIONS);
    if let Some(call) = uses.body.calls.first() {
        let message = format!("`where` has no component {}", call.word.text);
        problems.push(problem(
            written,
            call.word.span.clone(),
            &message,
            "write an expression of this member's fields",
        ));
    }
    let none = BTreeMap::new();
    let known = Known { names: &none, vars: &globals.vars, complete: globals.complete };
    for name in uses.body.names.iter().filter(|name| !name.local) {
        if let Some((span, message, hint)) = wrong_name(name, &known) {
            problems.push(problem(written, span, &message, &hint));
        }
    }
    problems
}

/// What is wrong with a name, if anything can be known to be.
fn wrong_name(name: &Name, known: &Known<'_>) -> Option<(Range<usize>, String, String)> {
    let text = &*name.word.text;
    let word = |message: String, hint: &str| Some((name.word.span.clone(), message, hint.to_owned()));
    match (text, name.fields.first()) {
        ("host", None) => word("host is this host, and no text".into(), "write m.host for the member's, or host.name"),
        ("vars", None) => word("vars is a table, and no text".into(), "name one of [vars], as in vars.zone"),
        ("host" | "vars", _) => match known.find(name) {
            Found::Wrong { field, message, hint } => Some((field.span.clone(), message, hint.unwrap_or_default())),
            Found::Right | Found::Unknown => None,
        },
        ("m", Some(field)) if field.text == "slot" => word("a member has no slot yet".into(), ELSEWHERE[0].1),
        _ => {
            let (_, hint) = ELSEWHERE.iter().find(|(other, _)| *other == text)?;
            word(format!("there is no {text} in `where`"), hint)
        }
    }
}

fn unparsed(written: &Where, report: &ReportError) -> Problem {
    let (at, end) = (report.span().range.clone(), OPEN.len() + written.text.len());
    // What Tera finds in place of something is the end of the expression, as a person sees it.
    let span = if at.start >= end { end..end } else { at };
    problem(written, span, &names::in_place_of(report.message(), CLOSE.trim()), SEE)
}

/// A problem at a place of the expression as a template; with all of the value where the file has it in other words.
fn problem(written: &Where, span: Range<usize>, message: &str, hint: &str) -> Problem {
    let Where { roster, text, file, source, span: whole } = written;
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
