//! `generate`: prints man pages, shell completions, an annotated configuration, and its JSON Schema.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::agent_commands::print;
use crate::config::schema::schema;
use crate::error::{Exit, Fatal};

mod annotated;
#[cfg(test)]
mod tests;

/// What `generate` makes.
#[derive(Debug, Subcommand)]
pub enum GenerateArgs {
    /// Write a man page for each command to DIR, or print rosterd(1) without DIR
    Man {
        /// The directory, which must exist
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print the completions of a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print a configuration with every key and its description, commented out
    Config,
    /// Print the JSON Schema of the configuration
    Schema,
}

/// Runs `generate`. `cli` is the command line of rosterd.
pub fn generate(args: GenerateArgs, mut cli: Command) -> Result<Exit, Fatal> {
    let text = match args {
        GenerateArgs::Man { dir } => {
            let mut cli = cli.disable_help_subcommand(true);
            cli.build();
            match dir {
                Some(dir) => return write_pages(&cli, &dir).map(|()| Exit::Done),
                None => page(cli).map_err(|why| failed("the man page", &why))?,
            }
        }
        GenerateArgs::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut cli, "rosterd", &mut script);
            String::from_utf8_lossy(&script).into_owned()
        }
        GenerateArgs::Config => annotated::annotated(),
        GenerateArgs::Schema => format!("{:#}\n", schema()),
    };
    print(&text).map(|()| Exit::Done)
}

fn failed(what: &str, why: &io::Error) -> Fatal {
    Fatal::new(Exit::Failed, format!("cannot write {what}: {why}"))
}

/// Writes the pages of a command and of its subcommands.
fn write_pages(command: &Command, dir: &Path) -> Result<(), Fatal> {
    let file = dir.join(Man::new(command.clone()).get_filename());
    let written = page(command.clone()).and_then(|text| fs::write(&file, text));
    written.map_err(|why| failed(&file.display().to_string(), &why))?;
    command.get_subcommands().try_for_each(|command| write_pages(command, dir))
}

/// The man page of a command. Its examples and exit codes follow the options, as in `--help`.
fn page(command: Command) -> io::Result<String> {
    let has_subcommands = command.has_subcommands();
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command).source(concat!("rosterd ", env!("CARGO_PKG_VERSION")));
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if has_subcommands {
        man.render_subcommands_section(&mut out)?;
    }
    let mut rest = Roff::new();
    for line in after.lines() {
        match line.strip_suffix(':').filter(|line| !line.starts_with(' ')) {
            // As man-pages(7) calls it.
            Some("Exit codes") => _ = rest.control("SH", ["EXIT STATUS"]).control("nf", []),
            Some(title) => _ = rest.control("SH", [&*title.to_uppercase()]).control("nf", []),
            None => _ = rest.text([roman(line)]),
        }
    }
    rest.control("fi", []);
    rest.to_writer(&mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}
