//! The command line: parses it, runs the command, prints the error, and returns the exit code.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::agent::{BlockedSignals, Signals, signals};
use crate::config::flags::duration;
use crate::config::{Config, LogFormat, Overrides, PathOverrides, Problems, RegistryConfig, RegistryUrl};
use crate::decide::Event;
use crate::error::{Exit, Fatal};
use crate::load::setup::{ConfigSource, Setup};
use crate::load::{host, setup};
use crate::watch::{Registry, StateAccess};
use crate::{agent, config, log, text, watch};

mod agent_commands;
mod demo;
mod first_steps;
mod generate;
pub mod get;
mod help;
mod history;
mod init;
mod jones;
mod lock;
pub mod ls;
mod migrate;
mod prime_chroot;
mod register;
mod render;
mod spelling;
mod status;
mod test;

/// The default path of the configuration file.
pub const DEFAULT_CONFIG: &str = "/etc/rosterd/rosterd.toml";

/// The version, with the commit and its date. See build.rs.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!("{} ({})", env!("CARGO_PKG_VERSION"), option_env!("ROSTERD_COMMIT").unwrap_or("development build"))
});

/// The version, and what this build can do.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{}\nregistries: zk, zks, dir, http, https\nfeatures: TLS 1.2 and 1.3 (rustls, ring), SASL DIGEST-MD5, Tera 2, inotify",
        *VERSION
    )
});

/// The maximum timeout.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// Keeps config files in step with the live membership in ZooKeeper.
#[derive(Debug, Parser)]
#[command(name = "rosterd", version = VERSION.as_str(), long_version = LONG_VERSION.as_str(), max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = help::MAIN)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
struct Global {
    #[arg(short, long, global = true, value_name = "FILE")]
    #[arg(help = "Path to the configuration file [env: ROSTERD_CONFIG] [default: /etc/rosterd/rosterd.toml]")]
    config: Option<PathBuf>,
    #[arg(long, global = true, value_name = "URL")]
    #[arg(help = "URL of the registry (overrides the configuration): zk://a:2181,b:2181/chroot, zks://…, dir:PATH, \
                  https://HOST/PATH [env: ROSTERD_REGISTRY]")]
    registry: Option<String>,
    #[arg(long, global = true, value_name = "DIR")]
    #[arg(help = "Path to the state directory (overrides the configuration) [env: ROSTERD_STATE_DIR]")]
    state_dir: Option<PathBuf>,
    #[arg(long, global = true, value_name = "PATH")]
    #[arg(help = "Path to the control socket (overrides the configuration) [env: ROSTERD_SOCKET]")]
    socket: Option<PathBuf>,
}

// Deferred: the options of one command are needed, and those of all take longer than the rest of the start.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Command {
    /// Try rosterd: run an agent on a registry of files, and print what to change in it
    Demo(demo::DemoArgs),
    /// Write a configuration and a template for a software, to start from
    #[command(after_help = help::INIT)]
    Init(init::InitArgs),
    /// Run the agent: keep the files up to date until SIGTERM or SIGINT
    #[command(after_help = help::RUN)]
    Run(RunArgs),
    /// Render the templates once, then exit (also: rosterd --once, --onetime)
    #[command(after_help = help::RENDER)]
    Render(render::RenderArgs),
    /// Show what render would change, without writing anything
    #[command(after_help = help::DIFF)]
    Diff(render::DiffArgs),
    /// Check the configuration and the templates without contacting a registry
    Check,
    /// Render templates with the members of test cases, and compare the files with what is expected
    #[command(after_help = help::TEST)]
    Test(test::TestArgs),
    /// Show the state of the running agent
    Status(status::StatusArgs),
    /// Explain the state of a template, roster, key or service of the running agent
    Explain(agent_commands::ExplainArgs),
    /// Accept the held change of a roster, as shown by status or explain
    Accept(agent_commands::AcceptArgs),
    /// Pause the replacement of files
    Pause(agent_commands::PauseArgs),
    /// Resume the replacement of files, or of the file of a template that was rolled back
    Resume(agent_commands::ResumeArgs),
    /// Show what changed, when, why, and who asked for it
    #[command(after_help = help::HISTORY)]
    History(history::HistoryArgs),
    /// Put an earlier content of a file in place again, and keep it until the template is resumed
    #[command(after_help = help::ROLLBACK)]
    Rollback(agent_commands::RollbackArgs),
    /// Register the services of this host while they are healthy, without rendering templates, until SIGTERM or SIGINT
    #[command(after_help = help::REGISTER)]
    Register(register::RegisterArgs),
    /// Keep a service deregistered until it is undrained, or for a given time
    Drain(agent_commands::DrainArgs),
    /// End the drain of a service, and register it again if it is up
    Undrain(agent_commands::UndrainArgs),
    /// Print the members of a path
    #[command(after_help = help::GET)]
    Get(get::GetArgs),
    /// List the nodes below a path, and show how each is read as a member
    Ls(ls::LsArgs),
    /// Show and edit the configuration trees of Jones in ZooKeeper
    #[command(after_help = help::JONES)]
    Jones(jones::JonesArgs),
    /// Run a command while holding a lock in ZooKeeper, as kazoo's, or list who holds it
    #[command(after_help = help::LOCK)]
    Lock(lock::LockArgs),
    /// Create the chroot of a ZooKeeper URL, if it is missing
    #[command(after_help = help::PRIME_CHROOT)]
    PrimeChroot(prime_chroot::PrimeArgs),
    /// Convert the configuration and the templates of confd, consul-template or zk_watcher
    #[command(after_help = help::MIGRATE)]
    Migrate(migrate::MigrateArgs),
    /// Print man pages, shell completions, an annotated configuration, or its JSON Schema
    #[command(subcommand, after_help = help::GENERATE)]
    Generate(generate::GenerateArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The program to run as soon as every file is up to date (overrides [exec] cmd)
    #[arg(last = true, value_name = "CMD")]
    program: Vec<String>,
}

/// Parses the command line, runs the command, and returns the exit code.
pub fn main<Args: IntoIterator<Item = OsString>>(args: impl FnOnce() -> Args) -> u8 {
    // Before anything else, even before a long command line is copied: without its handlers, most signals would end the
    // agent.
    let blocked = BlockedSignals::block();
    let args = match spelling::modern(args().into_iter().collect(), Cli::command) {
        Ok(args) => args,
        Err(wrong) => {
            complain(&Fatal::new(Exit::Usage, wrong));
            return Exit::Usage.code();
        }
    };
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(wrong) => {
            // Prints to standard output for --help and --version, and to standard error otherwise. Errors of a closed
            // pipe are ignored.
            let _ = wrong.print();
            return if wrong.use_stderr() { Exit::Usage } else { Exit::Done }.code();
        }
    };
    match dispatch(cli, blocked) {
        Ok(exit) => exit,
        Err(fatal) => {
            complain(&fatal);
            fatal.exit.code()
        }
    }
}

fn complain(fatal: &Fatal) {
    // Standard error may be closed.
    let _ = writeln!(io::stderr().lock(), "rosterd: {fatal}");
}

/// Makes a write over the file size limit fail with an error instead of ending the process.
fn outlive_limits() -> Result<(), Fatal> {
    // With a handler installed, the signal no longer ends the process.
    let heard = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(nix::libc::SIGXFSZ));
    heard.map(drop).map_err(|why| Fatal::new(Exit::Failed, format!("cannot ignore SIGXFSZ: {why}")))
}

fn dispatch(cli: Cli, blocked: BlockedSignals) -> Result<u8, Fatal> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| Fatal::new(Exit::Failed, format!("cannot start the event loop: {why}")))?;
    let exit = runtime.block_on(async {
        outlive_limits()?;
        execute(cli, blocked).await
    });
    // A thread that still renders or resolves a name must not delay the exit.
    runtime.shutdown_background();
    exit
}

async fn execute(cli: Cli, blocked: BlockedSignals) -> Result<u8, Fatal> {
    let Cli { global, command } = cli;
    // A signal ends any other command.
    let has_handlers = matches!(
        command,
        Command::Demo(_)
            | Command::Run(_)
            | Command::Register(_)
            | Command::Render(_)
            | Command::Diff(_)
            | Command::Lock(_)
    );
    let blocked = has_handlers.then_some(blocked);
    // Messages name the same files.
    if !matches!(command, Command::Demo(_)) {
        let config = global.config().filter(|file| file != Path::new(DEFAULT_CONFIG));
        text::command::set_files(config.as_deref(), global.paths().socket.as_deref());
    }
    let exit = match command {
        Command::Demo(args) => return demo::demo(args, blocked).await,
        Command::Init(args) => init::init(&global, &args),
        Command::Run(args) => return run(&global, args, blocked).await,
        Command::Register(args) => return register::register(&global, args, blocked).await,
        Command::Drain(args) => agent_commands::drain(&global, args).await,
        Command::Undrain(args) => agent_commands::undrain(&global, args).await,
        Command::Render(args) => render::render(&global, args, blocked).await,
        Command::Diff(args) => render::diff(&global, args, blocked).await,
        Command::Check => {
            let mut source = global.source(vec![]);
            if source.file.as_deref().is_some_and(|file| config::zk_watcher::text(file).is_some()) {
                source.register = Some(register::default_source());
            }
            let setup = load(&source)?;
            log::init(LogFormat::Text, None);
            setup.warn();
            let config = &setup.config;
            log::emit(Event::ConfigValid {
                roster_count: config.rosters.len(),
                key_count: config.keys.len(),
                template_count: config.templates.len(),
                service_count: config.services.len(),
            });
            Ok(Exit::Done)
        }
        Command::Test(args) => test::test(&global, args).await,
        Command::Status(args) => return status::status(&global, args).await,
        Command::Explain(args) => agent_commands::explain(&global, args).await,
        Command::Accept(args) => agent_commands::accept(&global, args).await,
        Command::Pause(args) => agent_commands::pause(&global, args).await,
        Command::Resume(args) => agent_commands::resume(&global, args).await,
        Command::History(args) => history::history(&global, args).await,
        Command::Rollback(args) => agent_commands::rollback(&global, args).await,
        Command::Get(args) => get(&global, args).await,
        Command::Ls(args) => {
            log::init(LogFormat::Text, None);
            Ok(ls::ls(&args, global.open()?, &mut io::stdout().lock()).await)
        }
        Command::Lock(args) => return lock::lock(&global, args, blocked).await,
        Command::PrimeChroot(args) => {
            log::init(LogFormat::Text, None);
            let global = Global { registry: args.registry().or(global.registry), ..global };
            prime_chroot::prime_chroot(&global, args).await
        }
        Command::Jones(args) => jones::jones(&global, args).await,
        Command::Migrate(args) => migrate::migrate(&global, &args),
        Command::Generate(args) => generate::generate(args, Cli::command()),
    };
    exit.map(Exit::code)
}

/// Prints or saves the members of paths.
async fn get(global: &Global, mut args: get::GetArgs) -> Result<Exit, Fatal> {
    // Its notes give the reason of a failure, too.
    if !args.quiet {
        log::init(LogFormat::Text, None);
    }
    if let Some(file) = args.save.as_ref().filter(|_| args.paths.is_empty()) {
        return Ok(get::save::save_all(&args, file, &global.loaded()?).await);
    }
    let mut out = io::stdout().lock();
    if args.agent {
        if global.registry.is_some() {
            let message = "--agent uses the registries of the running agent: omit --registry";
            return Err(Fatal::new(Exit::Usage, message));
        }
        return Ok(get::agent::get(&args, global, &mut out).await);
    }
    let (config, state) = global.registry_of_exhibitors(&args.exhibitor)?;
    args.registry_name = config.name.to_string();
    Ok(get::get(&args, watch::open(&config, &state), &mut out).await)
}

/// Runs the agent.
async fn run(global: &Global, args: RunArgs, blocked: Option<BlockedSignals>) -> Result<u8, Fatal> {
    let source = ConfigSource { program: Some(args.program), ..global.source(vec![]) };
    signals::drop_forwarded()?;
    let Some((setup, signals)) = load_or_stop(&source, blocked).await? else {
        return Ok(Exit::Done.code());
    };
    agent::run(source, setup, signals).await
}

/// Loads the configuration, unless a signal stops the process before. Signals have handlers from here on.
async fn load_or_stop(
    source: &ConfigSource,
    blocked: Option<BlockedSignals>,
) -> Result<Option<(Setup, Signals)>, Fatal> {
    let mut signals = Signals::new()?;
    drop(blocked);
    // On a thread of its own: a file system or a resolver that hangs must not delay a stop.
    let source = source.clone();
    let loading = tokio::task::spawn_blocking(move || load(&source));
    let setup = tokio::select! {
        setup = loading => setup.map_err(|why| Fatal::new(Exit::Failed, format!("cannot load the configuration: {why}")))??,
        _ = signals.stop() => return Ok(None),
    };
    log::init(setup.config.agent.log_format, None);
    Ok(Some((setup, signals)))
}

fn load(source: &ConfigSource) -> Result<Setup, Fatal> {
    Setup::load(source, None).map_err(|problems| wrong_config(&problems))
}

fn wrong_config(problems: &Problems) -> Fatal {
    // See https://no-color.org.
    let color = io::stderr().is_terminal() && set("NO_COLOR").is_none();
    Fatal::new(Exit::Config, format!("invalid configuration\n{}", problems.draw(color)))
}

impl Global {
    /// Where the configuration comes from. With `--template` the default file may be missing.
    fn source(&self, templates: Vec<String>) -> ConfigSource {
        let default = Path::new(DEFAULT_CONFIG);
        let file = match self.config() {
            Some(file) => Some(file),
            None if !templates.is_empty() && !default.exists() => None,
            None => Some(default.to_owned()),
        };
        let (registry, paths) = (self.registry(), self.paths());
        ConfigSource { file, registry, paths, templates, ..ConfigSource::default() }
    }

    /// The overrides from the environment and the command line, for commands that only read the configuration.
    fn overrides(&self) -> Overrides {
        Overrides {
            registry: self.registry(),
            env: setup::environment(),
            host_name: host::name(),
            paths: self.paths(),
            ..Overrides::default()
        }
    }

    fn config(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| set("ROSTERD_CONFIG").map(PathBuf::from))
    }

    /// Relative paths start at the working directory.
    fn paths(&self) -> PathOverrides {
        let path = |option: &Option<PathBuf>, name| {
            let path = option.clone().or_else(|| set(name).map(PathBuf::from))?;
            Some(config::flags::working_dir().join(path))
        };
        PathOverrides {
            state_dir: path(&self.state_dir, "ROSTERD_STATE_DIR"),
            socket: path(&self.socket, "ROSTERD_SOCKET"),
        }
    }

    fn registry(&self) -> Option<String> {
        // A URL that is not UTF-8 is invalid, and is reported with U+FFFD.
        self.registry.clone().or_else(|| set("ROSTERD_REGISTRY").map(|url| url.to_string_lossy().into_owned()))
    }

    /// The registry for a command that needs no configuration file. It is read from the file, with its credentials, if
    /// no URL is given, or if the file is given as explicitly as the URL. Otherwise errors in the file have no effect.
    fn open(&self) -> Result<Arc<dyn Registry>, Fatal> {
        let (config, state) = self.registry_config()?;
        Ok(watch::open(&config, &state))
    }

    fn registry_config(&self) -> Result<(RegistryConfig, StateAccess), Fatal> {
        let is_bare = self.config.is_none() && (self.registry.is_some() || self.config().is_none());
        match self.registry() {
            Some(url) if is_bare => Ok((bare_registry(&url)?, StateAccess::None)),
            _ => self.configured_registry(),
        }
    }

    /// The same, with the digest credentials in a file.
    fn registry_with_auth(&self, auth: Option<PathBuf>) -> Result<(RegistryConfig, StateAccess), Fatal> {
        let (mut config, state) = self.registry_config()?;
        if let Some(file) = auth.or_else(|| set("ROSTERD_AUTH").map(PathBuf::from)) {
            config.auth.push(prime_chroot::credential(&file)?);
        }
        Ok((config, state))
    }

    /// The same, with Exhibitors that list its servers. They suffice if no registry is configured.
    fn registry_of_exhibitors(&self, exhibitors: &[String]) -> Result<(RegistryConfig, StateAccess), Fatal> {
        let is_configured = self.registry().is_some() || self.config().is_some() || Path::new(DEFAULT_CONFIG).exists();
        let (mut config, state) = if exhibitors.is_empty() || is_configured {
            self.registry_config()?
        } else {
            let url = RegistryUrl::ZooKeeper { servers: vec![], chroot: None, tls: false };
            (RegistryConfig::new(url), StateAccess::None)
        };
        if exhibitors.is_empty() {
            return Ok((config, state));
        }
        let has_ca = config.tls.as_ref().is_some_and(|tls| tls.ca.is_some());
        match &config.url {
            RegistryUrl::ZooKeeper { tls, .. } if !tls || has_ca => config.exhibitor.extend_from_slice(exhibitors),
            _ => {
                let message = "--exhibitor needs a registry zk://…, or zks://… with its own CA in the configuration";
                return Err(Fatal::new(Exit::Usage, message));
            }
        }
        Ok((config, state))
    }

    fn configured_registry(&self) -> Result<(RegistryConfig, StateAccess), Fatal> {
        let config = self.loaded()?;
        let file = || self.config().unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG)).display().to_string();
        let first = config.registries.into_iter().next();
        let first = first.ok_or_else(|| Fatal::new(Exit::Config, format!("{} has no registry", file())))?;
        Ok((RegistryConfig::clone(&first), StateAccess::ReadOnly(config.agent.state_dir)))
    }

    /// The configuration, without its templates.
    fn loaded(&self) -> Result<Config, Fatal> {
        let named = self.config();
        let file = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG));
        if named.is_none() && !file.exists() {
            let hint = "use --registry zk://HOST:2181, $ROSTERD_REGISTRY, or -c FILE";
            let message = format!("no registry is configured, and {} does not exist: {hint}", file.display());
            return Err(Fatal::new(Exit::Config, message));
        }
        let loaded = config::load(&file, &self.overrides()).map_err(|problems| wrong_config(&problems))?;
        let mut config = loaded.config;
        config.set_jones_host(|| host::ThisHost::find().full().fqdn);
        Ok(config)
    }
}

/// Parses a timeout, limited to [`LONGEST`], which can be added to any instant.
fn timeout(text: &str) -> Result<Duration, String> {
    duration(text).map(|wanted| wanted.min(LONGEST))
}

/// An environment variable. An empty one counts as unset, because unit files can create empty ones.
fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn bare_registry(url: &str) -> Result<RegistryConfig, Fatal> {
    let parsed = RegistryUrl::parse(url, &config::flags::working_dir());
    parsed.map(RegistryConfig::new).map_err(|wrong| {
        let hint = wrong.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        Fatal::new(Exit::Usage, format!("--registry {url}: {wrong}{hint}"))
    })
}
