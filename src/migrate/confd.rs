//! confd: `confd.toml`, the template resources in `conf.d`, and the templates in `templates`.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::convert::{Context, Dialect};
use super::output::Output;
use super::site::quoted;
use super::{Migration, Options, files};

/// Options of `confd.toml` that need nothing in rosterd.
const NOT_NEEDED: [&str; 5] = ["confdir", "interval", "noop", "sync-only", "watch"];

/// The keys of a resource that `[[template]]` has too: confd's name, and rosterd's.
const SAME: [(&str, &str); 6] = [
    ("mode", "mode"),
    ("owner", "owner"),
    ("group", "group"),
    ("uid", "owner"),
    ("gid", "group"),
    ("min_reload_interval", "reload_interval"),
];

/// Migrates the directory of confd, by default `/etc/confd`.
///
/// # Errors
/// A file that cannot be read, or that is not confd's.
pub fn migrate(dir: &Path, options: &Options) -> Result<Migration, String> {
    let mut output = Output::default();
    let main = dir.join("confd.toml");
    let main = if main.is_file() { table(&main)?.1 } else { Table::new() };
    let registry = registry(&main, options, &mut output);
    let prefix = options.prefix.clone().or_else(|| text(&main, "prefix"));
    let resources = resources(dir)?;
    for file in resources {
        resource(dir, &file, prefix.as_deref(), &mut output)?;
    }
    Ok(output.finish("confd", &registry))
}

/// The resources, by name.
fn resources(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let dir = dir.join("conf.d");
    let entries = fs::read_dir(&dir).map_err(|why| {
        format!("cannot read {}: {why}; specify the confd directory that contains conf.d and templates", dir.display())
    })?;
    let mut files: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "toml"));
    files.sort();
    if files.is_empty() {
        return Err(format!("{} has no template resource (*.toml)", dir.display()));
    }
    Ok(files)
}

fn table(file: &Path) -> Result<(String, Table), String> {
    let text = files::read(file)?;
    let table = text.parse().map_err(|why| format!("{} is not valid TOML: {why}", file.display()))?;
    Ok((text, table))
}

fn text(table: &Table, key: &str) -> Option<String> {
    table.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// The URL of the registry.
fn registry(main: &Table, options: &Options, output: &mut Output) -> String {
    let known = ["backend", "nodes", "prefix"];
    for key in main.keys().filter(|key| !known.contains(&key.as_str()) && !NOT_NEEDED.contains(&key.as_str())) {
        let instead = match key.as_str() {
            "client_cakeys" | "client_cert" | "client_key" => "[registry] tls with a zks:// url",
            "log-level" => "the environment variable ROSTERD_LOG",
            "srv_domain" | "srv_record" => "[registry] url with every server",
            _ => "no counterpart",
        };
        output.report().todo("confd.toml", 0, format!("`{key}` is not converted: in rosterd, {instead}"));
    }
    if let Some(url) = &options.registry {
        return url.clone();
    }
    let nodes = main.get("nodes").and_then(Value::as_array);
    let nodes: Vec<&str> = nodes.into_iter().flatten().filter_map(Value::as_str).collect();
    let backend = text(main, "backend").unwrap_or_default();
    if backend == "zookeeper" && !nodes.is_empty() {
        return format!("zk://{}", nodes.join(","));
    }
    let found = if backend.is_empty() {
        "confd.toml names no backend".to_owned()
    } else {
        format!("confd's backend is {backend}")
    };
    output.report().todo("rosterd.toml", 0, format!("set [registry] url to the ZooKeeper that has the keys: {found}"));
    "zk://localhost:2181".to_owned()
}

/// One file of `conf.d`.
fn resource(dir: &Path, file: &Path, prefix: Option<&str>, output: &mut Output) -> Result<(), String> {
    let (source, all) = table(file)?;
    let shown = file.strip_prefix(dir).unwrap_or(file).display().to_string();
    let Some(template) = all.get("template").and_then(Value::as_table) else {
        output.report().todo(&shown, 0, "there is no [template]");
        return Ok(());
    };
    let (Some(src), Some(dest)) = (text(template, "src"), text(template, "dest")) else {
        output.report().todo(&shown, 0, "[template] has no src or no dest");
        return Ok(());
    };
    for key in all.keys().filter(|key| *key != "template") {
        output.report().todo(
            &shown,
            line_of(&source, key),
            format!("`{key}` is not converted: in rosterd, [registry]"),
        );
    }
    let name = Path::new("templates").join(&src).display().to_string();
    let prefix = prefix.map(str::to_owned).or_else(|| text(template, "prefix")).unwrap_or_default();
    let context =
        Context { dialect: Dialect::Confd, prefix, services: String::new(), file: &name, delimiters: ("{{", "}}") };
    let target = match files::read(&dir.join(&name)) {
        Ok(text) => output.template(&src, &text, &context),
        Err(why) => {
            output.report().todo(&shown, line_of(&source, "src"), format!("{why}; this template is left out"));
            return Ok(());
        }
    };
    output.tables.push_str("\n[[template]]\n");
    output.entry("src", &quoted(&target));
    output.entry("dest", &quoted(&dest));
    for (key, value) in template {
        if let Err(reason) = option(key, value, output) {
            output.report().todo(&shown, line_of(&source, key), format!("`{key}` is not converted: {reason}"));
        }
    }
    output.report().converted(format!("{shown}: {name} is templates/{target}, for {dest}"));
    Ok(())
}

/// A key of a resource other than `src` and `dest`.
fn option(key: &str, value: &Value, output: &mut Output) -> Result<(), String> {
    match (key, value) {
        // Rosters and keys define what is read.
        ("src" | "dest" | "keys" | "prefix", _) => {}
        ("check_cmd" | "reload_cmd", Value::String(command)) => output.entry(key, &quoted(&placeholders(command))),
        ("check_cmd_timeout" | "reload_cmd_timeout", Value::String(_)) => {
            output.entry(&key.replace("_cmd", ""), &value.to_string());
        }
        _ => {
            let (_, own) =
                SAME.iter().find(|(theirs, _)| *theirs == key).ok_or("it has no counterpart in [[template]]")?;
            output.entry(own, &value.to_string());
        }
    }
    Ok(())
}

/// A command with rosterd's form of `{{.src}}` and `{{.dest}}`.
fn placeholders(command: &str) -> String {
    ["src", "dest"].iter().fold(command.to_owned(), |command, name| {
        let own = format!("{{{{ {name} }}}}");
        command.replace(&format!("{{{{.{name}}}}}"), &own).replace(&format!("{{{{ .{name} }}}}"), &own)
    })
}

/// The line of a key; 0 if it is written in another form.
fn line_of(text: &str, key: &str) -> usize {
    let is_key = |line: &str| {
        let line = line.trim_start().trim_start_matches(['[', '"']);
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start_matches('"').trim_start().starts_with(['=', ']']))
    };
    text.lines().position(is_key).map_or(0, |at| at + 1)
}
