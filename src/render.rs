//! Tera templates. They are read and validated once at load; rendering turns a template and a snapshot into bytes, or
//! into an error with its position. Pure, and called off the event loop.
//!
//! Nothing is escaped for HTML. A template sees its [`Snapshot`] and the [`Globals`], and nothing that varies between
//! renders: no time, random number, environment or other file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use tera::Tera;

use crate::config::{Config, LOCAL_NAMES, LOCKS, Problem, Problems, STAGED, TemplateConfig, UnitPaths};
use crate::decide::{Needs, Snapshot};
use crate::load::host::Host;
use crate::model::digest::digest;
use crate::model::node_path::Subject;
use crate::text::nearest::nearest;

mod error;
mod filter;
mod lex;
mod member_at_fault;
mod names;
mod output;
mod scan;
mod source;
mod syntax_hints;
#[cfg(test)]
mod tests;
mod units;
mod uses;
mod validate;
mod value;
mod warnings;
mod where_filter;

pub use error::RenderError;
pub use names::NameKind;
pub use units::Unit;
pub use where_filter::compile_where;

use names::KnownNames;
use source::{Source, SourceError, Sources};
use units::units;
use validate::Files;
use value::ValueCache;

/// What templates see besides rosters and keys. It is constant for a configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Globals {
    /// `host`.
    pub host: Host,
    /// `vars`.
    pub vars: Map<String, Value>,
    /// The names of rosters and keys.
    pub names: BTreeMap<Arc<str>, NameKind>,
    /// The paths of rosters, for messages.
    pub paths: BTreeMap<Arc<str>, Subject>,
    /// Whether `names` is complete; false if a part of the configuration was refused.
    pub complete: bool,
}

impl Globals {
    /// Returns the globals of a configuration.
    pub fn new(config: &Config, host: Host) -> Self {
        let rosters = config.rosters.iter().map(|roster| {
            let keyed = matches!(roster.subject, Subject::Keyed { .. });
            (Arc::clone(&roster.name), if keyed { NameKind::Map } else { NameKind::List })
        });
        let keys = config.all_keys().map(|key| (Arc::clone(&key.name), NameKind::Key));
        let paths = config.rosters.iter().map(|roster| (Arc::clone(&roster.name), roster.subject.clone())).collect();
        Self { host, vars: config.vars.clone(), names: rosters.chain(keys).collect(), paths, complete: true }
    }
}

/// The compiled templates of a configuration. It is immutable: each load creates a new one.
pub struct Library {
    entries: BTreeMap<PathBuf, CompiledTemplate>,
    /// Templates with `each`: they also see `key` and `members`.
    per_key: BTreeMap<PathBuf, CompiledTemplate>,
    /// The units in which a template or a check names files of its unit with `staged`.
    units: BTreeMap<Arc<str>, Unit>,
    warnings: Vec<String>,
    host: tera::Value,
    vars: tera::Value,
    paths: BTreeMap<Arc<str>, Subject>,
    values: ValueCache,
}

/// A compiled template. Each has its own Tera, so that two templates may use the same name for different components.
struct CompiledTemplate {
    tera: Tera,
    name: String,
    needs: Needs,
    uses_fqdn: bool,
    uses_staged: bool,
    digest: u64,
}

impl Library {
    /// Reads and validates the sources of `templates` and everything that they include, extend and use components from.
    ///
    /// # Errors
    /// Every problem of every template, ordered by file and position: syntax errors; unknown names, filters, tests,
    /// functions, components and templates; unknown fields of `host` and `vars`. Fields of members are not checked,
    /// because any key of their data is one.
    pub fn load(templates: &[Arc<TemplateConfig>], template_dir: &Path, globals: Globals) -> Result<Self, Problems> {
        let known = KnownNames { names: &globals.names, vars: &globals.vars, unit: None, complete: globals.complete };
        let mut sources = Sources::new(template_dir);
        let mut per_key_names = globals.names.clone();
        per_key_names.extend(LOCAL_NAMES.map(Arc::from).into_iter().zip([NameKind::Key, NameKind::List]));
        let known_per_key = KnownNames { names: &per_key_names, ..known };
        let mut units = units(templates);
        let (mut entries, mut per_key) = (BTreeMap::new(), BTreeMap::new());
        let (mut problems, mut compiled): (Vec<Problem>, _) = (Vec::new(), BTreeSet::new());
        let mut warnings = BTreeSet::new();
        for template in templates {
            let (entries, known) =
                if template.each.is_some() { (&mut per_key, &known_per_key) } else { (&mut entries, &known) };
            let unit = template.unit.as_ref().and_then(|unit| Some((&**unit, &units.get(unit)?.dests)));
            // A source that two units share is checked against the names of each.
            if !compiled.insert((&template.src, template.each.is_some(), &template.unit)) {
                continue;
            }
            match compile(template, &mut sources, &KnownNames { unit, ..*known }) {
                Ok((entry, files)) => {
                    warnings.extend(files.values().flat_map(|file| warnings::of_file(file, template, unit)));
                    let uses_staged = entries.get(&template.src).is_some_and(|it: &CompiledTemplate| it.uses_staged);
                    let entry = CompiledTemplate { uses_staged: uses_staged || entry.uses_staged, ..entry };
                    entries.insert(template.src.clone(), entry);
                }
                // A problem in a shared file is reported once.
                Err(more) => {
                    for problem in more {
                        if !problems.contains(&problem) {
                            problems.push(problem);
                        }
                    }
                }
            }
        }
        if !problems.is_empty() {
            problems.sort_by(|a, b| (&a.file, a.span.start).cmp(&(&b.file, b.span.start)));
            return Err(Problems(problems));
        }
        let uses_staged = |template: &Arc<TemplateConfig>| {
            entries.get(&template.src).is_some_and(|entry| entry.uses_staged) || template.check_names_staged()
        };
        units.retain(|_, unit| unit.templates.iter().any(uses_staged));
        Ok(Self {
            entries,
            per_key,
            units,
            warnings: warnings.into_iter().collect(),
            host: host_value(globals.host),
            vars: value::object(&globals.vars),
            paths: globals.paths,
            values: ValueCache::default(),
        })
    }

    /// What is valid and rarely meant, each with its position.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether a template uses `host.fqdn`, or `host` as a whole.
    pub fn uses_fqdn(&self) -> bool {
        self.all().any(|entry| entry.uses_fqdn)
    }

    /// Replaces `host`.
    #[must_use]
    pub fn with_host(self, host: Host) -> Self {
        Self { host: host_value(host), ..self }
    }

    fn all(&self) -> impl Iterator<Item = &CompiledTemplate> {
        self.entries.values().chain(self.per_key.values())
    }

    /// The names that a template depends on; all of them if it is not loaded. A template whose check reads the new
    /// files of its unit depends on what they depend on: a member in one of them can be why the check rejects its own.
    pub fn needs(&self, template: &TemplateConfig) -> Needs {
        let of = |src: &Path| {
            self.entries.get(src).map_or(Needs { all: true, ..Needs::default() }, |entry| entry.needs.clone())
        };
        let mut needs = of(&template.src);
        for other in self.checked_with(template).into_iter().flat_map(|unit| &unit.templates) {
            let Needs { names, all, .. } = of(&other.src);
            needs.names.extend(names);
            needs.all |= all;
        }
        needs
    }

    /// The names that a template with `each` depends on, besides the members of its key.
    pub fn needs_per_key(&self, src: &Path) -> Needs {
        let mut needs =
            self.per_key.get(src).map_or(Needs { all: true, ..Needs::default() }, |entry| entry.needs.clone());
        needs.names.retain(|name| !LOCAL_NAMES.contains(&&**name));
        needs
    }

    /// A hash of the source of the template and of everything it includes.
    pub fn digest(&self, src: &Path) -> u64 {
        self.entries.get(src).or_else(|| self.per_key.get(src)).map_or(0, |entry| entry.digest)
    }

    /// Renders a template. `staged` has the paths of the files of its unit. The same arguments always give the same
    /// bytes.
    ///
    /// # Errors
    /// The position and the reason: an undefined value is printed or accessed, a filter gets an invalid value, or the
    /// output is larger than [`MAX_OUTPUT`].
    pub fn render(&self, src: &Path, snapshot: &Snapshot, staged: Option<&UnitPaths>) -> Result<Vec<u8>, RenderError> {
        let entries = if snapshot.own.is_some() { &self.per_key } else { &self.entries };
        let Some(entry) = entries.get(src) else {
            return Err(RenderError::without_position(
                src,
                "the template is not loaded: this is a bug in rosterd, please report it",
            ));
        };
        let mut context = self.context(&entry.needs, snapshot);
        if let Some(paths) = staged.filter(|_| entry.uses_staged) {
            let paths = paths.iter().map(|(name, path)| (name.to_string(), path.to_string_lossy().into_owned()));
            context.insert_value(STAGED, tera::Value::from(paths.collect::<BTreeMap<_, _>>()));
        }
        output::render(&entry.tera, &entry.name, &context, src)
    }

    fn context(&self, needs: &Needs, snapshot: &Snapshot) -> tera::Context {
        let mut context = tera::Context::new();
        context.insert_value("host", self.host.clone());
        context.insert_value("vars", self.vars.clone());
        let mut all = tera::Map::new();
        for (name, roster) in &snapshot.rosters {
            let named = needs.names.contains(name);
            if needs.all || named {
                let value = self.values.roster(name, roster);
                if needs.all {
                    all.insert(tera::value::Key::String(Arc::clone(name)), value.clone());
                }
                if named {
                    context.insert_value(name.to_string(), value);
                }
            }
        }
        if needs.all {
            context.insert_value("rosters", tera::Value::from(all));
        }
        if let Some((key, members)) = &snapshot.own {
            context.insert_value("key", tera::Value::from(&**key));
            context.insert_value("members", value::list(members));
        }
        let mut locks = tera::Map::new();
        for (name, value) in snapshot.keys.iter().filter(|(name, _)| needs.names.contains(*name)) {
            match names::lock_of(name) {
                Some(lock) => _ = locks.insert(tera::value::Key::from(lock.to_owned()), value::json(value)),
                None => context.insert_value(name.to_string(), value::json(value)),
            }
        }
        if !locks.is_empty() {
            context.insert_value(LOCKS, tera::Value::from(locks));
        }
        context
    }
}

/// The syntax error of a template, if it has one.
#[cfg(any(test, fuzzing))]
pub fn syntax_error(text: &str) -> Option<String> {
    filter::tera().add_raw_templates([("t", text)]).err().map(|error| error.to_string())
}

/// `host` as templates see it.
fn host_value(host: Host) -> tera::Value {
    let Host { name, fqdn, ip } = host;
    tera::Value::from(BTreeMap::from([("name", name), ("fqdn", fqdn), ("ip", ip.to_string())]))
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.keys().chain(self.per_key.keys())).finish()
    }
}

/// Reads, validates and compiles one template. Also returns the files that it consists of.
fn compile(
    template: &TemplateConfig,
    sources: &mut Sources,
    known: &KnownNames<'_>,
) -> Result<(CompiledTemplate, Files), Vec<Problem>> {
    let source = find_source(template, sources).map_err(|problem| vec![problem])?;
    let validated = validate::validate(&source, sources, known)?;
    let mut tera = filter::tera();
    let texts = validated.files.values().map(|file| (&*file.name, &*file.text));
    if let Err(error) = tera.add_raw_templates(texts) {
        return Err(error::at_load(&error, &validated.files, &source));
    }
    let digest = digest(validated.files.values().flat_map(|file| [&*file.name, &*file.text]));
    let entry = CompiledTemplate {
        tera,
        name: source.name.clone(),
        needs: validated.needs,
        uses_fqdn: validated.uses_fqdn,
        uses_staged: validated.uses_staged,
        digest,
    };
    Ok((entry, validated.files))
}

/// Reads the file that `src` names. The problem has no position, because the configuration text is not known here.
fn find_source(template: &TemplateConfig, sources: &mut Sources) -> Result<Arc<Source>, Problem> {
    let src = &template.src;
    let without_position = |file: PathBuf, message: String, hint: Option<String>| Problem {
        file,
        text: Arc::from(""),
        span: 0..0,
        message,
        hint,
    };
    // A file of the template directory must have one name however `src` is spelled. Under two names its components
    // would conflict with themselves.
    let inside = src.strip_prefix(sources.dir()).unwrap_or(src);
    let name = if inside.is_absolute() { inside.to_str().map(str::to_owned) } else { source::plain(&tidy(inside)) };
    let Some(name) = name else {
        let message =
            format!("template {}: src = \"{}\" is outside the template directory", template.name, src.display());
        let hint =
            format!("src is relative to {}; use an absolute path for a file outside it", sources.dir().display());
        return Err(without_position(sources.dir().join(src), message, Some(hint)));
    };
    sources.get(&name).map_err(|error| match error {
        SourceError::Syntax(problem) => problem,
        SourceError::Unreadable(why) => {
            let message = format!("template {}: cannot read its source: {why}", template.name);
            let near = nearest(&name, sources.names().iter().map(String::as_str))
                .filter(|near| *near != name)
                .map(names::did_you_mean);
            let hint = near.unwrap_or_else(|| format!("src is relative to {}", sources.dir().display()));
            without_position(sources.path(&name), message, Some(hint))
        }
    })
}

/// Removes `.` from the path.
fn tidy(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != std::path::Component::CurDir).collect()
}
