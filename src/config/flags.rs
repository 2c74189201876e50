//! `--template IN:OUT[:CMD]`: a configuration without a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::command::{shell_path, unknown_place};
use super::file::only_ours;
use super::problem::{Problem, Problems, Wrong};
use super::registry::from_url;
use super::resolve::{AGENT_NAME, Overrides};
use super::template::{RELOAD_INTERVAL, TIMEOUT, filled, is_folder, is_template, normal};
use super::{Agent, Command, Config, LogFormat, RegistryUrl, Reload, StatusConfig, TemplateConfig};

impl Config {
    /// A configuration of templates on the command line, and of the overrides' registry; everything else has its
    /// default, and nothing is followed. Relative paths start where the command was given.
    ///
    /// # Errors
    /// Every template that is wrong, and a registry that is missing or wrong.
    pub fn from_flag_templates(specs: &[String], overrides: &Overrides) -> Result<Self, Problems> {
        let here = std::env::current_dir().unwrap_or_default();
        let mut problems = Vec::new();
        let url = match &overrides.registry {
            Some(text) => RegistryUrl::parse(text, &here),
            None => Err(Wrong::new("no registry is named", "add --registry zk://HOST:PORT, or dir:PATH")),
        };
        let url = url.map_err(|wrong| problems.push(Problem::whole("--registry or $ROSTERD_REGISTRY", wrong))).ok();
        let (mut names, mut dests) = (BTreeSet::new(), BTreeSet::new());
        let mut templates = Vec::new();
        for spec in specs {
            let read = template(spec, &here).and_then(|template| {
                if dests.insert(normal(&template.dest)) && names.insert(template.name.clone()) {
                    return Ok(template);
                }
                let message = format!("another template writes {}, or a file of this name", template.dest.display());
                Err(Wrong::new(message, "give one of the two another OUT, or write a configuration file"))
            });
            match read {
                Ok(template) => templates.push(Arc::new(template)),
                Err(wrong) => problems.push(Problem::whole(format!("--template {spec}"), wrong)),
            }
        }
        let Some(url) = url.filter(|_| problems.is_empty()) else { return Err(Problems(problems)) };
        Ok(Self {
            registries: vec![Arc::new(from_url(url))],
            agent: Agent {
                name: AGENT_NAME.to_owned(),
                state_dir: Path::new("/var/lib").join(AGENT_NAME),
                template_dir: here,
                log_format: LogFormat::Text,
            },
            status: StatusConfig { socket: PathBuf::from(format!("/run/{AGENT_NAME}/{AGENT_NAME}.sock")) },
            vars: serde_json::Map::new(),
            rosters: Vec::new(),
            keys: Vec::new(),
            templates,
        })
    }
}

/// One `IN:OUT[:CMD]`; what follows the second colon is the command, whatever is in it.
fn template(spec: &str, here: &Path) -> Result<TemplateConfig, Wrong> {
    let mut parts = spec.splitn(3, ':');
    let (src, dest, command) = match (parts.next(), parts.next(), parts.next()) {
        (Some(src), Some(dest), command) if !src.is_empty() && !is_folder(dest) => (src, dest, command),
        _ => return Err(Wrong::new(format!("{spec:?} is no IN:OUT or IN:OUT:CMD"), "write TEMPLATE:FILE:COMMAND")),
    };
    is_template(src, &here.join(src), "IN is a path, and a relative one starts where the command is given")?;
    only_ours(&here.join(src), "the template")?;
    let dest = here.join(dest);
    let reload = match command.filter(|text| !text.trim().is_empty()).map(|text| Command::Shell(text.to_owned())) {
        None => None,
        Some(command) => {
            if let Some((_, wrong)) = unknown_place(&command.to_string()) {
                return Err(wrong);
            }
            let plainer = "choose an OUT of letters, digits and /._:@+=,-";
            shell_path(&command, "CMD", &dest).map_err(|wrong| Wrong::new(wrong.message, plainer))?;
            Some(filled(Reload::Command(command), &dest))
        }
    };
    Ok(TemplateConfig {
        name: Arc::from(dest.file_name().unwrap_or_default().to_string_lossy()),
        src: here.join(src),
        dest,
        mode: None,
        owner: None,
        group: None,
        check: None,
        reload,
        check_timeout: TIMEOUT,
        reload_timeout: TIMEOUT,
        reload_interval: RELOAD_INTERVAL,
        reload_retries: None,
        make_dirs: false,
        env: BTreeMap::new(),
    })
}
