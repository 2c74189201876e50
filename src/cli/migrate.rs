//! `rosterd migrate`: leaves confd, consul-template or zk_watcher.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::agent_commands::print;
use super::{Global, load};
use crate::config::flags::working_dir;
use crate::error::{Exit, Fatal};
use crate::load::setup::ConfigSource;
use crate::migrate::{Migration, Options, confd, consul_template, files, zk_watcher};

/// The report, in the output directory.
const REPORT: &str = "REPORT.md";

/// The command line of `migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// The program to migrate from
    #[arg(value_enum)]
    from: Tool,
    /// confd's configuration directory, or the configuration file of consul-template or zk_watcher
    path: PathBuf,
    /// The directory to write, which must be new or empty
    #[arg(long, alias = "to", value_name = "DIR")]
    output: PathBuf,
    /// confd: the value of its -prefix option. consul-template: the path above the services [default: /services]
    #[arg(long, value_name = "PATH")]
    prefix: Option<String>,
}

/// A program to migrate from.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Tool {
    #[value(name = "confd")]
    Confd,
    #[value(name = "consul-template")]
    ConsulTemplate,
    #[value(name = "zk_watcher", alias = "zk-watcher")]
    ZkWatcher,
}

/// Migrates, writes the result, and prints what is left to do.
pub fn migrate(global: &Global, args: &MigrateArgs) -> Result<Exit, Fatal> {
    let options = Options { registry: global.registry(), prefix: args.prefix.clone() };
    let migrated = match args.from {
        Tool::Confd => confd::migrate(&args.path, &options),
        Tool::ConsulTemplate => consul_template::migrate(&args.path, &options),
        Tool::ZkWatcher => zk_watcher::migrate(&args.path, &global.overrides()),
    };
    let mut migration = migrated.map_err(|why| Fatal::new(Exit::Config, why))?;
    let output = working_dir().join(&args.output);
    let config = output.join("rosterd.toml");
    let compare = match args.from {
        Tool::ZkWatcher => format!("rosterd check -c {}", config.display()),
        Tool::Confd | Tool::ConsulTemplate => format!("rosterd diff -c {}", config.display()),
    };
    let report = migration.report.to_markdown(&args.path, &compare);
    migration.add(REPORT, report);
    files::write(&output, &migration.files).map_err(|why| Fatal::new(Exit::Usage, why))?;
    let problems = problems(&config);
    let text = summary(&migration, &output, &compare, problems.as_ref());
    print(&text)?;
    Ok(if migration.report.todo.is_empty() && problems.is_none() { Exit::Done } else { Exit::Failed })
}

/// Why the new configuration cannot be used on this host, if so.
fn problems(config: &Path) -> Option<Fatal> {
    load(&ConfigSource { file: Some(config.to_owned()), ..ConfigSource::default() }).err()
}

/// What is printed.
fn summary(migration: &Migration, output: &Path, compare: &str, problems: Option<&Fatal>) -> String {
    let report = &migration.report;
    let mut lines: Vec<String> =
        migration.files.iter().map(|file| format!("wrote {}", output.join(&file.path).display())).collect();
    let place = |file: &str, line: usize| if line == 0 { file.to_owned() } else { format!("{file}:{line}") };
    for item in &report.todo {
        lines.push(format!("to do: {}: {}", place(&item.file, item.line), item.text));
    }
    for item in &report.check {
        lines.push(format!("to check: {}: {}", place(&item.file, item.line), item.text));
    }
    if let Some(problems) = problems {
        lines.push(format!("this host cannot use the new configuration yet: {}", problems.message));
    }
    lines.push(format!("compare: {compare}"));
    lines.join("\n") + "\n"
}
