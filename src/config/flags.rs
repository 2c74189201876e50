//! Configuration from the command line: `--template IN:OUT[:CMD]`, `--roster NAME=PATH` and `--registry URL`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::command::{shell_path, unknown_placeholder};
use super::dest::{is_directory, resolved};
use super::file::check_owner_and_mode;
use super::path::canonical;
use super::problem::{Problem, Problems, ValueError};
use super::resolve::{AGENT_NAME, Overrides, default_socket};
use super::roster::check_roster_name;
use super::scalar::any_duration;
use super::template::is_template;
use super::{
    Agent, Command, Config, HistoryConfig, JonesConfig, LogFormat, OnStop, RegistryConfig, RegistryUrl, Reload,
    RosterConfig, StatusConfig, TemplateConfig, Trust,
};
use crate::model::node_path::Subject;

/// The value of an option such as `--timeout`, of any length.
///
/// # Errors
/// It is not a duration. The text says what to write.
pub fn duration(text: &str) -> Result<Duration, String> {
    any_duration(text).map_err(|wrong| wrong.hint.unwrap_or(wrong.message))
}

impl Config {
    /// A configuration without a file: the defaults and the registry of the overrides, without rosters and keys.
    ///
    /// # Errors
    /// The registry is invalid.
    pub fn without_file(overrides: &Overrides) -> Result<Self, Problems> {
        let url = overrides.registry.as_deref().map(|text| RegistryUrl::parse(text, &working_dir())).transpose();
        let url = url.map_err(|wrong| Problems(vec![Problem::whole("--registry or $ROSTERD_REGISTRY", wrong)]))?;
        let paths = overrides.paths.clone();
        Ok(Self {
            registries: url.map(|url| Arc::new(RegistryConfig::new(url))).into_iter().collect(),
            agent: Agent {
                name: AGENT_NAME.to_owned(),
                state_dir: paths.state_dir.unwrap_or_else(|| Path::new("/var/lib").join(AGENT_NAME)),
                template_dir: working_dir(),
                trust: Trust::default(),
                log_format: LogFormat::Text,
                on_stop: OnStop::Deregister,
            },
            status: StatusConfig {
                socket: paths.socket.unwrap_or_else(|| default_socket(AGENT_NAME)),
                group: None,
                http: None,
            },
            history: HistoryConfig::default(),
            vars: serde_json::Map::new(),
            rosters: Vec::new(),
            wheres: Vec::new(),
            keys: Vec::new(),
            templates: Vec::new(),
            services: Vec::new(),
            locks: Vec::new(),
            exec: None,
            jones: JonesConfig::default(),
        })
    }

    /// Adds the rosters of the command line, with the defaults. They are in the first registry.
    ///
    /// # Errors
    /// Every invalid roster, and every roster whose name is taken.
    pub fn add_flag_rosters(&mut self, specs: &[String]) -> Result<(), Problems> {
        let mut problems = Vec::new();
        let rosters = self.rosters.iter().map(|roster| Arc::clone(&roster.name));
        let mut names: BTreeSet<Arc<str>> = rosters.chain(self.keys.iter().map(|key| Arc::clone(&key.name))).collect();
        for spec in specs {
            let read = roster(spec).and_then(|(name, subject)| {
                let registry = self.registries.first().ok_or_else(|| {
                    ValueError::new("there is no registry", "add --registry zk://HOST:2181, or set $ROSTERD_REGISTRY")
                })?;
                if names.insert(Arc::from(name)) {
                    return Ok(RosterConfig::new(name, &registry.name, subject));
                }
                Err(ValueError::new(format!("the name {name:?} is taken"), "give the roster another NAME"))
            });
            match read {
                Ok(roster) => self.rosters.push(Arc::new(roster)),
                Err(wrong) => problems.push(Problem::whole(format!("--roster {spec}"), wrong)),
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }

    /// Adds the templates of the command line. Relative paths start at the working directory.
    ///
    /// # Errors
    /// Every invalid template, and every template that writes the file of another one.
    pub fn add_flag_templates(&mut self, specs: &[String]) -> Result<(), Problems> {
        let mut problems = Vec::new();
        let mut names: BTreeSet<Arc<str>> = self.templates.iter().map(|template| Arc::clone(&template.name)).collect();
        let at = |template: &TemplateConfig| resolved(&template.dest, &template.placing);
        let mut dests: BTreeSet<PathBuf> = self.templates.iter().map(|template| at(template)).collect();
        for spec in specs {
            let read = template(spec, &working_dir(), &self.agent.trust).and_then(|template| {
                if dests.insert(at(&template)) && names.insert(Arc::clone(&template.name)) {
                    return Ok(template);
                }
                let message = format!("another template writes {} or a file of the same name", template.dest.display());
                Err(ValueError::new(message, "give one of them another OUT, or add it to the configuration file"))
            });
            match read {
                Ok(template) => self.templates.push(Arc::new(template)),
                Err(wrong) => problems.push(Problem::whole(format!("--template {spec}"), wrong)),
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }
}

/// The directory that relative paths of the command line start at.
pub fn working_dir() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
}

/// Parses one `NAME=PATH`.
fn roster(spec: &str) -> Result<(&str, Subject), ValueError> {
    let example = "write NAME=PATH, as in --roster web=/services/web";
    let Some((name, path)) = spec.split_once('=') else {
        return Err(ValueError::new(format!("{spec:?} is not NAME=PATH"), example));
    };
    check_roster_name(name).map_err(|message| ValueError::new(message, example))?;
    let subject = Subject::parse(path);
    Ok((name, subject.map_err(|why| ValueError::new(format!("{path:?} is not a valid path: {why}"), example))?))
}

/// Parses one `IN:OUT[:CMD]`. Everything after the second colon is the command.
fn template(spec: &str, here: &Path, trust: &Trust) -> Result<TemplateConfig, ValueError> {
    let mut parts = spec.splitn(3, ':');
    let (src, dest, command) = match (parts.next(), parts.next(), parts.next()) {
        (Some(src), Some(dest), command) if !src.is_empty() && !is_directory(dest) => (src, dest, command),
        _ => {
            return Err(ValueError::new(
                format!("{spec:?} is not IN:OUT or IN:OUT:CMD"),
                "write IN:OUT, or IN:OUT:CMD with a reload command",
            ));
        }
    };
    is_template(src, &here.join(src), "IN is relative to the working directory")?;
    check_owner_and_mode(&here.join(src), "the template", Some(trust))?;
    let dest = here.join(dest);
    if canonical(&here.join(src)) == canonical(&dest) {
        return Err(ValueError::new(format!("{spec:?} would overwrite its own template"), "use another OUT"));
    }
    let reload = match command.filter(|text| !text.trim().is_empty()).map(|text| Command::Shell(text.to_owned())) {
        None => None,
        Some(command) => {
            if let Some((_, wrong)) = unknown_placeholder(&command.to_string(), false) {
                return Err(wrong);
            }
            let plainer = "use an OUT that contains only letters, digits and /._:@+=,-";
            shell_path(&command, "CMD", &dest).map_err(|wrong| ValueError::new(wrong.message, plainer))?;
            Some(Reload::Command(command).filled(&dest))
        }
    };
    let name = dest.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(TemplateConfig { reload, ..TemplateConfig::new(&name, here.join(src), dest) })
}
