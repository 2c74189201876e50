//! `serve`: services over HTTP.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use crate::cli::{DEFAULT_CONFIG, Global};
use crate::config::flags::working_dir;
use crate::config::{JonesConfig, LogFormat};
use crate::decide::Event;
use crate::error::{Exit, Fatal};
use crate::jones::web::{Pool, Web, check_access};
use crate::log;
use crate::watch::StateAccess;

/// The most time that a request waits for the ensemble.
const MAX_TIMEOUT: Duration = Duration::from_secs(10);

/// The command line of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[arg(long, value_name = "ADDRESS:PORT")]
    #[arg(help = "Where to listen [default: listen in [jones], else 127.0.0.1:8889]")]
    listen: Option<SocketAddr>,
    /// Let users change services. Without it, and without write = true in [jones], nothing is ever written
    #[arg(long)]
    write: bool,
    /// Before each change, render the templates of this rosterd.toml with the new views, and run their checks. Repeatable
    #[arg(long = "try", value_name = "CONFIG")]
    trials: Vec<PathBuf>,
}

/// Runs `serve`. It ends with a signal.
///
/// # Errors
/// The configuration is wrong, or the port cannot be used.
pub async fn serve(
    global: &Global,
    auth: Option<PathBuf>,
    timeout: Duration,
    max_request: usize,
    args: ServeArgs,
) -> Result<Exit, Fatal> {
    let (registry, state) = global.registry_with_auth(auth)?;
    // Otherwise the registry is not that of the configuration.
    let mut config = if let StateAccess::ReadOnly(_) = state {
        global.loaded()?.jones
    } else {
        refuse_unused(&global.config().unwrap_or_else(|| DEFAULT_CONFIG.into()))?;
        JonesConfig::default()
    };
    config.web.write |= args.write;
    let default = SocketAddr::from(([127, 0, 0, 1], 8889));
    let listen = args.listen.or(config.web.listen).unwrap_or(default);
    check_access(&config.web, listen)?;
    let pool = Pool::new(&registry, &state, timeout.min(MAX_TIMEOUT), max_request)?;
    let trials = args.trials.into_iter().map(|file| working_dir().join(file)).collect();
    let unusable = |why| Fatal::new(Exit::Failed, format!("cannot listen on {listen}: {why}"));
    let listener = TcpListener::bind(listen).await.map_err(unusable)?;
    log::init(LogFormat::Text, None);
    let address = listener.local_addr().map_err(unusable)?;
    log::emit(Event::HttpListening { listen: address.to_string() });
    Err(LocalSet::new().run_until(Web::new(config, pool, trials).run(&listener)).await)
}

/// Refuses to serve beside a configuration that is not read: whom it keeps out would be let in.
fn refuse_unused(file: &Path) -> Result<(), Fatal> {
    if matches!(file.try_exists(), Ok(false)) {
        return Ok(());
    }
    let file = file.display();
    let message = format!(
        "{file} is not read, because a registry is given and no -c: its users, editors, masks and checks in [jones] would \
         have no effect. Add -c {file}; the registry that is given still counts"
    );
    Err(Fatal::new(Exit::Config, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_is_not_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rosterd.toml");
        assert!(refuse_unused(&file).is_ok());
        std::fs::write(&file, "[jones]\nauth = \"basic\"\n").unwrap();
        let refused = refuse_unused(&file).unwrap_err();
        assert!(refused.message.contains("Add -c ") && refused.exit == Exit::Config, "{}", refused.message);
    }
}
