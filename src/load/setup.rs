//! Loads the configuration and its templates, and makes a plan of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::config;
use crate::config::zk_watcher;
use crate::config::{Config, Each, Overrides, PathOverrides, Problems, Refused, TemplateConfig};
use crate::decide::{Event, Needs, Plan, Planned, TemplatePlan};
use crate::load::host::{Host, ThisHost};
use crate::log::emit;
use crate::model::digest::digest;
use crate::model::filter::Filter;
use crate::render::{Globals, Library, compile_where};

#[cfg(test)]
mod tests;

/// Where the command line gets the configuration from.
#[derive(Debug, Clone, Default)]
pub struct ConfigSource {
    /// The main file; `None` if none was given and the command does not need one.
    pub file: Option<PathBuf>,
    /// `--registry`.
    pub registry: Option<String>,
    /// `--state-dir` and `--socket`.
    pub paths: PathOverrides,
    /// `--roster NAME=PATH`, in addition to those of the file.
    pub rosters: Vec<String>,
    /// `--template IN:OUT[:CMD]`, in addition to those of the file.
    pub templates: Vec<String>,
    /// `run -- CMD`; empty if not given; `None` for commands that run no program.
    pub program: Option<Vec<String>>,
    /// Only services are used: for `register`.
    pub register: Option<RegisterSource>,
    /// Replace variables of `[vars]`.
    pub vars: Map<String, Value>,
    /// No registry is contacted.
    pub is_offline: bool,
}

/// Where `register` gets its services from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegisterSource {
    /// The configuration, which may be an INI file of zk_watcher.
    File {
        /// The servers of an INI file.
        server: String,
        /// Spaces around keys and values of an INI file's data do not count.
        trims: bool,
    },
    /// The variables of zk_watcher's container.
    Environment,
}

/// A valid configuration with its templates.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The configuration.
    pub config: Config,
    /// The templates.
    pub library: Arc<Library>,
    /// This host.
    pub host: ThisHost,
    /// The warnings of the configuration.
    pub warnings: Vec<String>,
    /// Whether there is a configuration file, and therefore a state directory.
    pub stateful: bool,
    /// A hash of the text of the configuration files.
    written: u64,
}

impl Setup {
    /// Loads everything. `known` has the facts about this host from an earlier load; they do not change.
    ///
    /// # Errors
    /// Every problem of every file, each with its position.
    pub fn load(source: &ConfigSource, known: Option<&ThisHost>) -> Result<Self, Problems> {
        let host = known.map_or_else(ThisHost::find, ThisHost::again);
        let overrides = Overrides {
            registry: source.registry.clone(),
            env: environment(),
            host_name: host.name.clone(),
            paths: source.paths.clone(),
            program: source.program.clone(),
            vars: source.vars.clone(),
            is_offline: source.is_offline,
        };
        let (mut config, warnings, written) = match registered(source, &overrides) {
            Some(config) => {
                let config = config?;
                let warnings = source.file.as_deref().and_then(|file| zk_watcher::warning(file, &config));
                (config, warnings.into_iter().collect(), 0)
            }
            None => match &source.file {
                Some(file) => match config::read(file, &overrides) {
                    Ok(loaded) => (loaded.config, loaded.warnings, loaded.digest),
                    Err(refused) => return Err(with_templates(refused, &host)),
                },
                None => (Config::without_file(&overrides)?, Vec::new(), 0),
            },
        };
        config.add_flag_rosters(&source.rosters)?;
        if source.register.is_some() {
            config.keep_only_services(&source.paths);
        }
        let needs_host = config.services.iter().any(|service| service.host.is_none());
        config.set_service_host(&if needs_host { host.full().fqdn } else { String::new() })?;
        config.set_jones_host(|| host.full().fqdn);
        config.set_lock_identifiers(|| host.full().fqdn);
        config.add_flag_templates(&source.templates)?;
        let filters = filters(&config, &host, true);
        let library = match (filters, load_library(&config, &host)) {
            (Ok(filters), Ok(library)) => {
                config.set_filters(filters);
                library
            }
            (Err(problems), Ok(_)) | (Ok(_), Err(problems)) => return Err(problems),
            (Err(mut problems), Err(more)) => {
                problems.0.extend(more.0);
                return Err(problems);
            }
        };
        Ok(Self { config, library: Arc::new(library), host, warnings, stateful: source.file.is_some(), written })
    }

    /// Logs the trusted directories, and the warnings of the configuration and its templates.
    pub fn warn(&self) {
        for dir in self.config.agent.trust.directories() {
            emit(Event::DirectoryTrusted { dir: dir.clone() });
        }
        for reason in self.warnings.iter().chain(self.library.warnings()) {
            emit(Event::ConfigWarning { reason: reason.clone() });
        }
    }

    /// Reloads the templates, with the current configuration; `None` if none of them has changed.
    ///
    /// # Errors
    /// Every problem of every template.
    pub fn reload_templates(&self) -> Result<Option<Library>, Problems> {
        let library = load_library(&self.config, &self.host)?;
        let mut sources = self.config.templates.iter().map(|template| &template.src);
        let changed = sources.any(|src| library.digest(src) != self.library.digest(src));
        Ok(changed.then_some(library))
    }

    /// The same configuration with other templates.
    #[must_use]
    pub fn with_library(&self, library: Library) -> Self {
        Self { library: Arc::new(library), ..self.clone() }
    }

    /// The plan for the templates in `only` and all others of their units, with only the rosters and keys that they
    /// name. If `only` is empty, the plan has everything.
    pub fn plan(&self, only: &[String]) -> Plan {
        let asked = |name: &str| only.iter().any(|other| is_or_has(name, other));
        let units = self.config.templates.iter().filter(|template| asked(&template.name));
        let units: BTreeSet<&Arc<str>> = units.filter_map(|template| template.unit.as_ref()).collect();
        let of_asked = |it: &TemplateConfig| it.unit.as_ref().is_some_and(|unit| units.contains(unit));
        let wanted = |it: &TemplateConfig| only.is_empty() || asked(&it.name) || of_asked(it);
        let templates: Vec<TemplatePlan> = self
            .config
            .templates
            .iter()
            .filter(|template| wanted(template))
            .map(|template| {
                let src = &template.src;
                let needs = if template.each.is_some() {
                    self.library.needs_per_key(src)
                } else {
                    self.library.needs(template)
                };
                TemplatePlan { config: asked_of(template, only), needs }
            })
            .collect();
        let needed = |name: &Arc<str>, is_roster: bool| {
            let needs = |needs: &Needs| needs.names.contains(name) || (is_roster && needs.all);
            let each = |config: &TemplateConfig| is_roster && config.each.as_ref().is_some_and(|it| it.roster == *name);
            only.is_empty() || templates.iter().any(|template| needs(&template.needs) || each(&template.config))
        };
        let origin = |registry: &str| {
            let found = self.config.registries.iter().find(|config| &*config.name == registry);
            Arc::from(found.map(|config| config.url.to_string()).unwrap_or_default())
        };
        let rosters = self.config.rosters.iter().filter(|roster| needed(&roster.name, true));
        let keys = self.config.all_keys().filter(|key| needed(&key.name, false));
        Plan {
            rosters: rosters
                .map(|config| Planned { config: Arc::clone(config), origin: origin(&config.registry) })
                .collect(),
            keys: keys.map(|config| Planned { origin: origin(&config.registry), config }).collect(),
            templates,
        }
    }

    /// A hash of the text of the configuration and of the templates, and of nothing else. Two processes with the same
    /// fingerprint have the same configuration.
    pub fn fingerprint(&self) -> u64 {
        let templates = self.config.templates.iter().map(|template| self.library.digest(&template.src));
        let all: Vec<String> = [self.written].into_iter().chain(templates).map(|number| number.to_string()).collect();
        digest(all.iter().map(String::as_str))
    }

    /// The names in `only` that no template has.
    pub fn unknown<'a>(&self, only: &'a [String]) -> Vec<&'a str> {
        let known = |name: &str| {
            let mut templates = self.config.templates.iter();
            templates.any(|it| *it.name == *name || (it.each.is_some() && is_or_has(&it.name, name)))
        };
        only.iter().map(String::as_str).filter(|name| !known(name)).collect()
    }
}

/// The configuration of `register` if it is not TOML.
fn registered(source: &ConfigSource, overrides: &Overrides) -> Option<Result<Config, Problems>> {
    match source.register.as_ref()? {
        RegisterSource::Environment => Some(zk_watcher::from_env(overrides)),
        RegisterSource::File { server, trims } => {
            let file = source.file.as_ref()?;
            // What cannot be read is a problem of the configuration.
            Some(zk_watcher::read(file, &zk_watcher::text(file)?, server, *trims, overrides))
        }
    }
}

/// A template with `each`, limited to the requested files. Other templates are returned unchanged.
fn asked_of(template: &Arc<TemplateConfig>, only: &[String]) -> Arc<TemplateConfig> {
    let whole = only.is_empty() || only.iter().any(|name| **name == *template.name);
    let Some(each) = template.each.as_ref().filter(|_| !whole) else {
        return Arc::clone(template);
    };
    let key =
        |asked: &String| Some(Arc::from(asked.strip_prefix(&*template.name)?.strip_prefix('[')?.strip_suffix(']')?));
    let each = Each { only: Some(only.iter().filter_map(key).collect()), ..each.clone() };
    Arc::new(TemplateConfig { each: Some(each), ..(**template).clone() })
}

/// Whether `asked` is the name of this template or, as `name[key]`, of one of its files.
pub fn is_or_has(name: &str, asked: &str) -> bool {
    let key = asked.strip_prefix(name);
    key.is_some_and(|key| key.is_empty() || (key.starts_with('[') && key.ends_with(']')))
}

/// The problems of an invalid configuration and of its templates, so that all can be fixed at once.
fn with_templates(refused: Refused, host: &ThisHost) -> Problems {
    let Refused { mut problems, rest, complete } = refused;
    if let Some(config) = rest {
        if let Err(more) = filters(&config, host, complete) {
            problems.0.extend(more.0);
        }
        let globals = Globals { complete, ..Globals::new(&config, host.short()) };
        if let Err(more) = Library::load(&config.templates, &config.agent.template_dir, globals) {
            problems.0.extend(more.0);
        }
    }
    problems
}

/// The compiled `where` of each roster, by the name of the roster.
fn filters(config: &Config, host: &ThisHost, complete: bool) -> Result<BTreeMap<Arc<str>, Filter>, Problems> {
    let globals = |host: Host| Globals { complete, ..Globals::new(config, host) };
    let (mut filters, mut problems) = (BTreeMap::new(), Vec::new());
    for written in &config.wheres {
        let chosen = match compile_where(written, &globals(host.short())) {
            // The full name requires the resolver.
            Ok(chosen) if chosen.uses_fqdn => compile_where(written, &globals(host.full())),
            other => other,
        };
        match chosen {
            Ok(chosen) => _ = filters.insert(Arc::clone(&written.roster), chosen.filter),
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() { Ok(filters) } else { Err(Problems(problems)) }
}

fn load_library(config: &Config, host: &ThisHost) -> Result<Library, Problems> {
    let globals = Globals::new(config, host.short());
    let library = Library::load(&config.templates, &config.agent.template_dir, globals)?;
    Ok(if library.uses_fqdn() { library.with_host(host.full()) } else { library })
}

/// The variables for `{{ env.X }}`. Those that are not UTF-8 are left out.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
