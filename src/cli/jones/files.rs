//! `export` and `import`: services as files, one for each environment, fit for version control.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::agent_commands::print;
use crate::error::{Exit, Fatal};
use crate::jones::hosts::path_of;
use crate::jones::json::{Json, Object};
use crate::jones::path::{Env, Kind, Service};
use crate::jones::proposal::{ConfEdit, HostEdit, Proposal};
use crate::jones::records;
use crate::jones::tree::Tree;
use crate::jones::words::{listed, name};

use super::common::{Context, WriteOptions, entry, say, service};
use super::service::all;

/// The file with the configuration of an environment, in the directory of the environment.
const CONF: &str = "conf.json";

/// The file with the associations, in the directory of the service.
const HOSTS: &str = "hosts.json";

/// Why a link is refused: the files may come from anywhere.
const LINK: &str = "it is a link, which is not followed";

/// The command line of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The service, unless --all is given; then the directory to write, or - for one JSON document on standard output
    #[arg(value_names = ["SERVICE", "DIR"], num_args = 1..=2, required = true)]
    arguments: Vec<String>,
    /// All services
    #[arg(long)]
    all: bool,
    /// Write the entries of the history, too
    #[arg(long)]
    history: bool,
}

/// The command line of `import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The directory of an export, or - for its document on standard input
    #[arg(value_name = "DIR")]
    input: PathBuf,
    #[command(flatten)]
    write: WriteOptions,
}

/// A service in files.
#[derive(Debug, Default, PartialEq)]
struct Files {
    confs: BTreeMap<Env, Object>,
    hosts: BTreeMap<String, String>,
}

fn failed(path: &Path, why: impl std::fmt::Display) -> Fatal {
    Fatal::new(Exit::Failed, format!("{}: {why}", path.display()))
}

/// Runs `export`.
pub async fn export(context: &mut Context, args: ExportArgs) -> Result<Exit, Fatal> {
    let wrong = |why: String| Fatal::new(Exit::Usage, why);
    let (services, output) = match (&args.arguments[..], args.all) {
        ([output], true) => (all(context).await?, PathBuf::from(output)),
        ([name, output], false) => (vec![service(name).map_err(wrong)?], PathBuf::from(output)),
        _ => return Err(wrong("write `export SERVICE DIR`, or `export --all DIR`".to_owned())),
    };
    let mut document = Object::new();
    for service in services {
        let tree = context.store.tree(&service).await?;
        let mut confs = Object::new();
        for (env, nodes) in &tree.envs {
            let conf = nodes.conf.object.clone();
            let conf = conf.map_err(|why| Fatal::new(Exit::Failed, format!("{}: {why}", service.conf(env))))?;
            confs.insert(env.to_string(), Json::Object(conf));
        }
        let hosts: Object = tree.hosts().map(|(host, path)| (host.to_owned(), path.into())).collect();
        if output == Path::new("-") {
            let parts = [("confs".to_owned(), Json::Object(confs)), ("hosts".to_owned(), Json::Object(hosts))];
            document.insert(service.to_string(), Json::Object(parts.into_iter().collect()));
            continue;
        }
        let directory = output.join(service.as_str());
        // The names are those of a server.
        for (env, conf) in &confs {
            Env::parse(env)
                .map_err(|why| Fatal::new(Exit::Failed, format!("{service}: environment {env:?}: {why}")))?;
            write(&output, &directory.join(env).join(CONF), &(conf.pretty() + "\n"))?;
        }
        remove_deleted(&directory, &Env::ROOT, &confs)?;
        write(&output, &directory.join(HOSTS), &(Json::Object(hosts).pretty() + "\n"))?;
        if args.history {
            for (revision, recorded) in context.store.history(&service).await? {
                let Ok(entry) = recorded.entry else { continue };
                let name = records::entry(&service, revision).name().to_owned() + ".json";
                let text = String::from_utf8_lossy(&entry.write()).into_owned() + "\n";
                write(&output, &directory.join("history").join(name), &text)?;
            }
        }
    }
    if output == Path::new("-") {
        print(&(Json::Object(document).pretty() + "\n"))?;
    }
    Ok(Exit::Done)
}

/// Writes a file within a directory, and through no link there.
fn write(output: &Path, path: &Path, text: &str) -> Result<(), Fatal> {
    let mut within = path.ancestors().take_while(|above| *above != output);
    if let Some(link) = within.find(|above| above.is_symlink()) {
        return Err(failed(link, LINK));
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    let written = fs::create_dir_all(directory).and_then(|()| fs::write(path, text));
    written.map_err(|why| failed(path, why))
}

/// Removes the configurations of environments that are no longer there.
fn remove_deleted(directory: &Path, env: &Env, confs: &Object) -> Result<(), Fatal> {
    for (name, below) in directories(directory)? {
        remove_deleted(&below, &env.child(&name), confs)?;
    }
    let conf = directory.join(CONF);
    if !confs.contains_key(&env.to_string()) && conf.exists() {
        fs::remove_file(&conf).map_err(|why| failed(&conf, why))?;
    }
    Ok(())
}

/// Runs `import`.
pub async fn import(context: &mut Context, args: ImportArgs) -> Result<Exit, Fatal> {
    let services = if args.input == Path::new("-") { from_document()? } else { from_directory(&args.input)? };
    if services.is_empty() {
        return Err(failed(&args.input, "it has no service: an export has DIR/SERVICE/conf.json"));
    }
    for (service, files) in &services {
        associations(&context.store.any_tree(service).await?, files)?;
    }
    let mut exit = Exit::Done;
    for (service, files) in services {
        let mut tree = context.store.any_tree(&service).await?;
        if !tree.envs.contains_key(&Env::ROOT) {
            if args.write.dry_run {
                say(&format!("{service}: would be created with {} environments", files.confs.len()));
                continue;
            }
            context.store.init(&service, None, entry("import", &args.write)).await?;
            tree = context.store.tree(&service).await?;
        }
        let proposal = proposal(&tree, &files)?;
        exit = exit.worse(context.submit(tree, proposal, "import", &args.write).await?);
    }
    Ok(exit)
}

/// The associations of the files.
///
/// # Errors
/// One is neither with an environment of the service nor with a node that holds a view, and is not there already.
fn associations(tree: &Tree, files: &Files) -> Result<BTreeMap<String, HostEdit>, Fatal> {
    let service = &tree.service;
    let exists = |env: &Env| tree.envs.contains_key(env) || files.confs.contains_key(env);
    let edit = |(host, path): (&String, &String)| {
        let wrong = |why: String| {
            let text = format!("{service}: host {host} would be associated with {why}; nothing was written");
            Fatal::new(Exit::Failed, text)
        };
        let base = path_of(tree, host);
        let env = if base.as_ref() == Some(path) {
            None
        } else {
            let found = service.destination(path).map_err(wrong)?;
            let is_frozen = tree.frozen.get(&found.path).is_some_and(|node| node.object.is_ok());
            match found.kind {
                Kind::View(env) | Kind::Conf(env) if exists(&env) => Some(env),
                _ if is_frozen => None,
                _ => return Err(wrong(format!("{path}, which is no environment, pin or canary of the service"))),
            }
        };
        Ok((host.clone(), HostEdit { base, wanted: Some(path.clone()), env }))
    };
    files.hosts.iter().map(edit).collect()
}

fn proposal(tree: &Tree, files: &Files) -> Result<Proposal, Fatal> {
    let mut proposal = Proposal { hosts: associations(tree, files)?, ..Proposal::default() };
    for (env, conf) in &files.confs {
        let base = tree.envs.get(env).map(|nodes| nodes.conf.object.clone().unwrap_or_default());
        proposal.confs.insert(env.clone(), ConfEdit { base, wanted: Some(conf.clone()), version: None });
    }
    let others: Vec<String> =
        tree.envs.keys().filter(|env| !files.confs.contains_key(env)).map(|env| name(&tree.service, env)).collect();
    if !others.is_empty() {
        say(&format!("left as they are, because the import does not have them: {}", listed(&others)));
    }
    Ok(proposal)
}

fn from_document() -> Result<BTreeMap<Service, Files>, Fatal> {
    let stdin = Path::new("standard input");
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).map_err(|why| failed(stdin, why))?;
    let document = Json::parse_object(&bytes).map_err(|why| failed(stdin, why))?;
    let mut services = BTreeMap::new();
    for (name, parts) in document {
        let service = Service::parse(&name).map_err(|why| failed(stdin, format!("{name:?}: {why}")))?;
        let part = |key: &str| parts.as_object().and_then(|parts| parts.get(key)).and_then(Json::as_object);
        let mut files = Files { confs: BTreeMap::new(), hosts: hosts(stdin, part("hosts"))? };
        for (env, conf) in part("confs").into_iter().flatten() {
            let wrong = |why: String| failed(stdin, format!("{name}/{env}: {why}"));
            let object = conf.as_object().ok_or_else(|| wrong(format!("{}, not an object", conf.kind())))?;
            files.confs.insert(Env::parse(env).map_err(|why| wrong(why.to_string()))?, object.clone());
        }
        services.insert(service, files);
    }
    Ok(services)
}

fn hosts(source: &Path, object: Option<&Object>) -> Result<BTreeMap<String, String>, Fatal> {
    let one = |(host, path): (&String, &Json)| match path.as_str() {
        Some(path) => Ok((host.clone(), path.to_owned())),
        None => Err(failed(source, format!("host {host}: {}, not a path", path.kind()))),
    };
    object.into_iter().flatten().map(one).collect()
}

fn from_directory(root: &Path) -> Result<BTreeMap<Service, Files>, Fatal> {
    let mut services = BTreeMap::new();
    for (name, directory) in directories(root)? {
        // What version control keeps there is none.
        if name.starts_with('.') || !directory.join(CONF).exists() {
            continue;
        }
        let service = Service::parse(&name).map_err(|why| failed(&directory, why))?;
        let mut files = Files::default();
        collect(&directory, &Env::ROOT, &mut files)?;
        let path = directory.join(HOSTS);
        if path.exists() {
            files.hosts = hosts(&path, Some(&object(&path)?))?;
        }
        services.insert(service, files);
    }
    Ok(services)
}

fn collect(directory: &Path, env: &Env, files: &mut Files) -> Result<(), Fatal> {
    // Lists them first, which refuses links.
    let all = directories(directory)?;
    let conf = directory.join(CONF);
    if conf.exists() {
        files.confs.insert(env.clone(), object(&conf)?);
    }
    for (name, below) in all {
        if env.is_root() && name == "history" && !below.join(CONF).exists() {
            continue;
        }
        Env::parse(&name).map_err(|why| failed(&below, why))?;
        collect(&below, &env.child(&name), files)?;
    }
    Ok(())
}

fn object(path: &Path) -> Result<Object, Fatal> {
    let bytes = fs::read(path).map_err(|why| failed(path, why))?;
    Json::parse_object(&bytes).map_err(|why| failed(path, why))
}

/// The directories in a directory, by name.
///
/// # Errors
/// It has a link, which is not followed, or cannot be read.
fn directories(path: &Path) -> Result<BTreeMap<String, PathBuf>, Fatal> {
    let entries = fs::read_dir(path).map_err(|why| failed(path, why))?;
    let mut found = BTreeMap::new();
    for entry in entries.flatten() {
        let kind = entry.file_type().map_err(|why| failed(&entry.path(), why))?;
        if kind.is_symlink() {
            return Err(failed(&entry.path(), LINK));
        }
        if !kind.is_dir() {
            continue;
        }
        let name = entry.file_name().into_string().map_err(|_| failed(&entry.path(), "the name is not UTF-8"))?;
        found.insert(name, entry.path());
    }
    Ok(found)
}
