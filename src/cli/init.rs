//! `rosterd init`: writes a configuration and a template to start from. They are those of examples/ and templates/.

use std::path::{Path, PathBuf};

use clap::Args;

use super::agent_commands::print;
use super::first_steps::{create, program};
use super::{DEFAULT_CONFIG, Global, bare_registry, load};
use crate::config::flags::working_dir;
use crate::error::{Exit, Fatal};
use crate::load::setup::ConfigSource;
use crate::model::node_path::Subject;

/// The command line of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The software to write a configuration for [default: list them]
    software: Option<String>,
    /// The directory to write to [default: that of the configuration file, /etc/rosterd]
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// The path of the members in the registry
    #[arg(long, value_name = "PATH", requires = "software")]
    path: Option<String>,
}

/// A software with an example.
struct Software {
    name: &'static str,
    /// The configuration of the example.
    example: &'static str,
    /// The template and its name.
    template: (&'static str, &'static str),
}

macro_rules! software {
    ($name:literal, $template:literal) => {
        Software {
            name: $name,
            example: include_str!(concat!("../../examples/", $name, "/rosterd.toml")),
            template: ($template, include_str!(concat!("../../templates/", $template))),
        }
    };
}

static SOFTWARE: [Software; 10] = [
    software!("haproxy", "haproxy.cfg.tera"),
    software!("hosts", "hosts.tera"),
    software!("keepalived", "keepalived.conf.tera"),
    software!("memcached", "memcached.json.tera"),
    software!("nginx", "nginx-upstream.conf.tera"),
    software!("pgpool", "pgpool.conf.tera"),
    software!("prometheus", "targets.json.tera"),
    software!("redis", "redis.cfg.tera"),
    software!("twemproxy", "twemproxy.yaml.tera"),
    software!("varnish", "default.vcl.tera"),
];

/// Precedes the value of a line for a host, in the configuration of an example. The value `omit` leaves the line out.
const ON_A_HOST: &str = "# in production: ";

impl Software {
    /// What the file is for: the first line of the example.
    fn purpose(&self) -> &'static str {
        self.example.lines().next().unwrap_or_default().trim_start_matches("# ")
    }

    /// Refuses a path with which the template cannot be rendered.
    fn accepts(&self, path: &str) -> Result<(), Fatal> {
        let refused = |why: String| Fatal::new(Exit::Usage, format!("--path {path}: {why}"));
        Subject::parse(path).map_err(|why| refused(why.to_string()))?;
        let of_many = self.example.contains("/*\"");
        match (of_many, path.contains('*')) {
            (true, false) => Err(refused(format!("the template for {} is for many services: /services/*", self.name))),
            (false, true) => Err(refused(format!("the template for {} is for one service: write no *", self.name))),
            _ => Ok(()),
        }
    }

    /// The whole configuration for a host.
    fn config(&self, registry: Option<&str>, path: Option<&str>) -> String {
        let head = format!("# {}\n# Written by `rosterd init {}`.\n", self.purpose(), self.name);
        let lines = self.example.lines().skip_while(|line| line.starts_with('#'));
        let mut text =
            lines.filter_map(|line| on_a_host(line, registry, path)).fold(head, |text, line| text + &line + "\n");
        // The lines around a table that is left out.
        while text.contains("\n\n\n") {
            text = text.replace("\n\n\n", "\n\n");
        }
        text
    }

    /// The same to be included in a configuration: without a registry, and without the roster if that has one of its
    /// name.
    fn included_config(&self, rosters: &[String], path: Option<&str>) -> String {
        let text = self.config(None, path);
        let is_known = |part: &str| rosters.iter().any(|name| part.contains(&format!("[[roster]]\nname = \"{name}\"")));
        let parts = text.split("\n\n").filter(|part| !part.starts_with("[registry]") && !is_known(part));
        parts.collect::<Vec<_>>().join("\n\n")
    }
}

/// A line of an example as it is on a host; `None` if it is left out there.
fn on_a_host(line: &str, registry: Option<&str>, path: Option<&str>) -> Option<String> {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let (written, value) = line.split_once(ON_A_HOST).map_or((line, None), |(written, value)| (written, Some(value)));
    let key = written.split(" = ").next().unwrap_or_default();
    let given = match key {
        "url" => registry.map(quoted),
        "path" => path.map(quoted),
        _ => None,
    };
    match (given.as_deref().or(value), key) {
        (Some("omit"), _) => None,
        (Some(value), "") => Some(value.to_owned()),
        (Some(value), key) => Some(format!("{key} = {value}")),
        (None, _) => Some(written.to_owned()),
    }
}

/// Writes the files, and prints them with the next commands. Without a software, prints the list of them.
pub fn init(global: &Global, args: &InitArgs) -> Result<Exit, Fatal> {
    let Some(wanted) = &args.software else {
        let lines = SOFTWARE.iter().map(|it| format!("{:<12}{}\n", it.name, it.purpose()));
        return print(&(lines.collect::<String>() + "\nNext: rosterd init haproxy\n")).map(|()| Exit::Done);
    };
    let software = find(wanted)?;
    let registry = registry(global)?;
    args.path.as_deref().map_or(Ok(()), |path| software.accepts(path))?;
    let config = match &args.dir {
        Some(directory) => directory.join("rosterd.toml"),
        None => global.config().unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG)),
    };
    let config = working_dir().join(config);
    let (name, template) = software.template;
    let template_file = config.with_file_name("templates").join(name);
    let is_first = config.symlink_metadata().is_err();
    let (file, text) = if is_first {
        (config.clone(), software.config(registry.as_deref(), args.path.as_deref()))
    } else {
        let file = config.with_file_name("conf.d").join(software.name).with_extension("toml");
        (file, addition(software, &config, global, args)?)
    };
    create(&[(&template_file, template), (&file, &text)])?;
    print(&format!("wrote {}\nwrote {}\n", template_file.display(), file.display()))?;
    print(&next_steps(&config, &file, is_first && registry.is_none()))?;
    // Such as a variable that an existing configuration has under the same name.
    load(&source(&config, global)).map(|_| Exit::Done)
}

fn find(wanted: &str) -> Result<&'static Software, Fatal> {
    SOFTWARE.iter().find(|software| software.name == wanted).ok_or_else(|| {
        let known: Vec<&str> = SOFTWARE.iter().map(|software| software.name).collect();
        let known = known.join(", ");
        let message =
            format!("init has no {wanted:?}; it has: {known}. For any other file, docs/recipes.md has examples");
        Fatal::new(Exit::Usage, message)
    })
}

/// The URL to write. As for other commands, a relative directory starts at the working directory; in a file it would
/// start at that of the file.
fn registry(global: &Global) -> Result<Option<String>, Fatal> {
    let Some(url) = global.registry() else {
        return Ok(None);
    };
    bare_registry(&url)?;
    Ok(Some(match url.strip_prefix("dir:") {
        Some(directory) => format!("dir:{}", working_dir().join(directory).display()),
        None => url,
    }))
}

/// What is included in a configuration that exists.
fn addition(software: &Software, config: &Path, global: &Global, args: &InitArgs) -> Result<String, Fatal> {
    let rosters = load(&source(config, global))?.config.rosters;
    let rosters: Vec<String> = rosters.iter().map(|roster| roster.name.to_string()).collect();
    let text = software.included_config(&rosters, args.path.as_deref());
    let unused = match (&global.registry, &args.path) {
        (Some(_), _) => "--registry",
        (_, Some(_)) if !text.contains("[[roster]]") => "--path",
        _ => return Ok(text),
    };
    Err(Fatal::new(Exit::Usage, format!("{} exists, and has that already: omit {unused}", config.display())))
}

/// The registry may be in the environment only.
fn source(config: &Path, global: &Global) -> ConfigSource {
    ConfigSource { file: Some(config.to_owned()), registry: global.registry(), ..ConfigSource::default() }
}

/// What to do next.
fn next_steps(config: &Path, file: &Path, needs_registry: bool) -> String {
    let option = if config == Path::new(DEFAULT_CONFIG) { String::new() } else { format!(" -c {}", config.display()) };
    let included = if config == file {
        String::new()
    } else {
        format!("{} exists: it stays as it is, and includes the new file.\n", config.display())
    };
    let url = if needs_registry { "url, " } else { "" };
    let rosterd = program();
    format!(
        "{included}
Next, adapt {url}path, min and dest in {}. Then:
  {rosterd}{option} check   # checks the configuration and the template, without a registry
  {rosterd}{option} diff    # shows what would change, and changes nothing
  {rosterd}{option} run     # keeps the file up to date
",
        file.display()
    )
}
