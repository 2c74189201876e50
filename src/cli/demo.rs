//! `rosterd demo`: runs an agent on a registry of files, to try it.

use std::path::{Path, PathBuf};

use clap::Args;

use super::agent_commands::print;
use super::first_steps::{create, program};
use super::load_or_stop;
use crate::agent::{self, BlockedSignals, signals};
use crate::config::flags::working_dir;
use crate::error::{Exit, Fatal};
use crate::load::setup::ConfigSource;

/// The command line of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The directory to create the files in, new or empty [default: a new temporary directory]
    dir: Option<PathBuf>,
}

macro_rules! quickstart {
    ($($file:literal),*) => {
        [$(($file, include_str!(concat!("../../examples/quickstart/", $file)))),*]
    };
}

/// The files of the demonstration, by their path in its directory.
const FILES: [(&str, &str); 5] = quickstart!(
    "registry/config/web",
    "registry/services/web/10.0.0.1:8080",
    "registry/services/web/10.0.0.2:8080",
    "templates/web.cfg.tera",
    "rosterd.toml"
);

/// Creates the files, prints what to try, and runs the agent until TERM or INT.
pub async fn demo(args: DemoArgs, blocked: Option<BlockedSignals>) -> Result<u8, Fatal> {
    let directory = match args.dir {
        Some(directory) => empty(working_dir().join(directory))?,
        None => temporary()?,
    };
    let files = FILES.map(|(name, text)| (directory.join(name), text));
    // Only the configuration begins with a comment, which is about a clone of the repository.
    let config = FILES[4]
        .1
        .lines()
        .skip_while(|line| line.starts_with('#'))
        .fold(String::new(), |text, line| text + line + "\n");
    let mut texts = files.each_ref().map(|(path, text)| (path.as_path(), *text));
    texts[4].1 = config.trim_start();
    create(&texts)?;
    print(&introduction(&directory))?;
    crate::text::command::set_files(Some(&directory.join("rosterd.toml")), None);
    let source =
        ConfigSource { file: Some(directory.join("rosterd.toml")), program: Some(vec![]), ..ConfigSource::default() };
    signals::drop_forwarded()?;
    let Some((setup, signals)) = load_or_stop(&source, blocked).await? else {
        return Ok(Exit::Done.code());
    };
    agent::run(source, setup, signals).await
}

/// The directory, if it is new or empty.
fn empty(directory: PathBuf) -> Result<PathBuf, Fatal> {
    if std::fs::read_dir(&directory).is_ok_and(|mut entries| entries.next().is_some()) {
        let message = format!("{} is not empty: name a new or empty directory, or none", directory.display());
        return Err(Fatal::new(Exit::Usage, message));
    }
    Ok(directory)
}

fn temporary() -> Result<PathBuf, Fatal> {
    let created = tempfile::Builder::new().prefix("rosterd-demo-").tempdir();
    let created = created.map_err(|why| Fatal::new(Exit::Failed, format!("cannot create a directory: {why}")))?;
    Ok(created.keep())
}

/// What to type in another terminal.
fn introduction(directory: &Path) -> String {
    let rosterd = program();
    let directory = directory.display();
    format!(
        "This agent keeps one file up to date: {directory}/out/web.cfg
Its registry is a directory, {directory}/registry. It touches nothing else.

In another terminal:

  cd {directory}
  cat out/web.cfg
  touch registry/services/web/10.0.0.3:8080     # a member joins: the file changes within a second
  rm registry/services/web/10.0.0.2:8080        # a member leaves
  rm registry/services/web/*                    # all leave, which is fewer than min: a hold, the file stays
  {rosterd} -c rosterd.toml status
  {rosterd} -c rosterd.toml explain web.cfg     # why the file is as it is
  touch registry/services/web/10.0.0.4:8080     # enough members again: the hold ends
  echo '{{% if %}}' >> templates/web.cfg.tera     # a template with an error: the previous one stays in use
  {rosterd} -c rosterd.toml check

Ctrl-C stops the agent. The directory stays; remove it with: rm -r {directory}

"
    )
}
