//! consul-template: its configuration in HCL or JSON, and its templates.

use std::path::Path;

use super::convert::{Context, Dialect};
use super::hcl::{self, Kind, Value};
use super::output::Output;
use super::site::quoted;
use super::{Migration, Options, files};

/// The path above services if none is given.
const SERVICES: &str = "/services";

/// Keys that need nothing in rosterd.
const NOT_NEEDED: [&str; 9] = [
    "block_query_wait",
    "kill_signal",
    "max_stale",
    "once",
    "pid_file",
    "reload_signal",
    "retry",
    "syslog",
    "log_file",
];

/// Migrates a configuration file.
///
/// # Errors
/// The file cannot be read, or is neither HCL nor JSON.
pub fn migrate(file: &Path, options: &Options) -> Result<Migration, String> {
    let text = files::read(file)?;
    let parsed = hcl::parse(&text).map_err(|(line, why)| format!("{}:{line}: {why}", file.display()))?;
    let shown = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
    let mut output = Output::default();
    let services = options.prefix.clone().unwrap_or_else(|| SERVICES.to_owned());
    let services = format!("/{}", services.trim_matches('/'));
    let registry = options.registry.clone().unwrap_or_else(|| {
        output.report().todo("rosterd.toml", 0, "set [registry] url to the ZooKeeper that has the services and keys");
        "zk://localhost:2181".to_owned()
    });
    let note = format!(
        "services are read below {services} and keys from /, because consul-template reads Consul: register them there, or use --prefix"
    );
    output.report().check("rosterd.toml", 0, note);
    let templates = parsed.blocks("template");
    if templates.is_empty() {
        return Err(format!("{} has no template", file.display()));
    }
    for block in templates {
        template(file, &shown, block, &services, &mut output);
    }
    for (key, value) in parsed.entries() {
        if let Err(reason) = option(key, value, &mut output) {
            output.report().todo(&shown, value.line, format!("`{key}` is not converted: {reason}"));
        }
    }
    Ok(output.finish("consul-template", &registry))
}

/// A key outside of templates.
fn option(key: &str, value: &Value, output: &mut Output) -> Result<(), String> {
    let value = value.object();
    match key {
        "template" => {}
        "wait" => {
            let (Some(min), max) = (value.text("min"), value.text("max")) else { return Ok(()) };
            output.site.set_wait(&max.map_or(min.to_owned(), |max| format!("{min}:{max}")));
        }
        "exec" => exec(value, output)?,
        "consul" | "vault" | "nomad" => {
            return Err("rosterd reads ZooKeeper; its credentials are [registry] auth and tls".to_owned());
        }
        "log_level" => return Err("in rosterd, the environment variable ROSTERD_LOG".to_owned()),
        _ if NOT_NEEDED.contains(&key) => {}
        _ => return Err("it has no counterpart".to_owned()),
    }
    Ok(())
}

/// `exec`: the program that the agent runs.
fn exec(value: &Value, output: &mut Output) -> Result<(), String> {
    let command = value.get("command").and_then(command).ok_or("it has no command")?;
    output.tables.push_str("\n[exec]\n");
    output.entry("cmd", &command);
    for key in ["splay", "reload_signal", "kill_signal", "kill_timeout"] {
        if let Some(text) = value.text(key) {
            let text = text.strip_prefix("SIG").unwrap_or(text);
            output.entry(key, &quoted(text));
        }
    }
    Ok(())
}

/// A command: a string for a shell, or a list.
fn command(value: &Value) -> Option<String> {
    match &value.kind {
        Kind::Text(text) => Some(quoted(text)),
        Kind::List(list) => {
            let words = list.iter().map(|word| match &word.kind {
                Kind::Text(text) => Some(text.clone()),
                _ => None,
            });
            let words: Vec<String> = words.collect::<Option<_>>()?;
            // A list of one string runs in a shell, too.
            match &words[..] {
                [one] => Some(quoted(one)),
                words => Some(toml::Value::from(words.to_vec()).to_string()),
            }
        }
        _ => None,
    }
}

/// One `template`.
fn template(file: &Path, shown: &str, block: &Value, services: &str, output: &mut Output) {
    let Some(dest) = block.text("destination") else {
        return output.report().todo(shown, block.line, "this template has no destination");
    };
    let delimiters = (block.text("left_delimiter").unwrap_or("{{"), block.text("right_delimiter").unwrap_or("}}"));
    let source = block.text("source");
    let text = match (source, block.text("contents")) {
        (Some(source), _) => read(file, source),
        (None, Some(text)) => Ok(text.to_owned()),
        (None, None) => Err("this template has neither source nor contents".to_owned()),
    };
    let text = match text {
        Ok(text) => text,
        Err(why) => return output.report().todo(shown, block.line, format!("{why}; this template is left out")),
    };
    let own = format!("{shown}, contents of {dest}");
    let context = Context {
        dialect: Dialect::ConsulTemplate,
        prefix: String::new(),
        services: services.to_owned(),
        file: source.unwrap_or(&own),
        delimiters,
    };
    let target = output.template(source.unwrap_or(dest), &text, &context);
    output.tables.push_str("\n[[template]]\n");
    output.entry("src", &quoted(&target));
    output.entry("dest", &quoted(dest));
    if !matches!(block.get("create_dest_dirs").map(|value| &value.kind), Some(Kind::Bool(false))) {
        output.entry("make_dirs", "true");
    }
    for (key, value) in block.entries() {
        if let Err(reason) = template_option(key, value, output) {
            output.report().todo(shown, value.line, format!("`{key}` is not converted: {reason}"));
        }
    }
    output.report().converted(format!("{shown}:{}: {} is templates/{target}, for {dest}", block.line, context.file));
}

/// A template's file, which may be relative to the configuration or to the working directory.
fn read(config: &Path, source: &str) -> Result<String, String> {
    let beside = config.parent().unwrap_or(Path::new("")).join(source);
    if beside.is_file() { files::read(&beside) } else { files::read(Path::new(source)) }
}

/// A key of a template other than those of its text.
fn template_option(key: &str, value: &Value, output: &mut Output) -> Result<(), String> {
    match (key, &value.kind) {
        // The last ones are not needed: rosterd never renders without the keys that a template needs.
        (
            "source"
            | "destination"
            | "contents"
            | "left_delimiter"
            | "right_delimiter"
            | "create_dest_dirs"
            | "error_on_missing_key"
            | "error_fatal"
            | "sandbox_path"
            | "function_denylist"
            | "function_blacklist",
            _,
        ) => {}
        ("command", _) => output.entry("reload_cmd", &command(value).ok_or("it is neither a string nor a list")?),
        ("command_timeout", Kind::Text(text)) => output.entry("reload_timeout", &quoted(text)),
        ("exec", _) => {
            let value = value.object();
            output.entry("reload_cmd", &value.get("command").and_then(command).ok_or("it has no command")?);
            if let Some(text) = value.text("timeout") {
                output.entry("reload_timeout", &quoted(text));
            }
        }
        ("perms", Kind::Text(text) | Kind::Number(text)) => output.entry("mode", &quoted(text)),
        ("user" | "uid", Kind::Text(text) | Kind::Number(text)) => output.entry("owner", &quoted(text)),
        ("group" | "gid", Kind::Text(text) | Kind::Number(text)) => output.entry("group", &quoted(text)),
        ("backup", Kind::Bool(yes)) => output.entry("backup", if *yes { "1" } else { "0" }),
        ("wait", _) => return Err("in rosterd, wait is a key of [[roster]]".to_owned()),
        _ => return Err("it has no counterpart in [[template]]".to_owned()),
    }
    Ok(())
}
