//! `rosterd register`: an agent that only registers services.

use clap::Args;

use super::{Global, load_or_stop};
use crate::agent::{self, BlockedSignals, signals};
use crate::config::zk_watcher::SERVER;
use crate::error::{Exit, Fatal};
use crate::load::setup::{ConfigSource, RegisterSource};

/// The command line of `register`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent options")]
pub struct RegisterArgs {
    /// The ZooKeeper servers to use with a zk_watcher INI file: HOST:PORT,…[/chroot]
    #[arg(short, long, value_name = "SERVERS", default_value = SERVER)]
    server: String,
    /// Instead of a file, read one service from the environment variables that the zk_watcher container uses
    #[arg(long)]
    from_env: bool,
    /// Keep spaces around keys and values of an INI file's `zookeeper_data`, as zk_watcher does: `a=1, b=2` has the key ` b`
    #[arg(long)]
    legacy_untrimmed_keys: bool,
    /// Ignored; accepted for compatibility with zk_watcher
    #[arg(short, long, hide_short_help = true)]
    verbose: bool,
    /// Ignored; accepted for compatibility with zk_watcher (log lines always go to standard error)
    #[arg(short = 'l', long, hide_short_help = true)]
    syslog: bool,
    /// Ignored, as in zk_watcher
    #[arg(hide = true)]
    rest: Vec<String>,
}

/// An INI file as `register` reads it without options.
pub fn default_source() -> RegisterSource {
    RegisterSource::File { server: SERVER.to_owned(), trims: true }
}

/// Runs the agent.
pub async fn register(global: &Global, args: RegisterArgs, blocked: Option<BlockedSignals>) -> Result<u8, Fatal> {
    let register = if args.from_env {
        RegisterSource::Environment
    } else {
        RegisterSource::File { server: args.server, trims: !args.legacy_untrimmed_keys }
    };
    let source = ConfigSource { register: Some(register), ..global.source(vec![]) };
    signals::drop_forwarded()?;
    let Some((setup, signals)) = load_or_stop(&source, blocked).await? else {
        return Ok(Exit::Done.code());
    };
    agent::run(source, setup, signals).await
}
