//! `ls` and `get`: what services there are, and what a host reads.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;

use crate::cli::agent_commands::print;
use crate::cli::get::jones::{CacheArgs, HostQuery};
use crate::error::{Exit, Fatal};
use crate::jones::check::marks;
use crate::jones::json::{Json, Object};
use crate::jones::path::{Env, Kind, Service};
use crate::jones::store::reader::Reader;
use crate::jones::tree::{Node, Tree};
use crate::jones::words::{hosts, name};
use crate::jones::{past, tree};
use crate::log::plain;

use super::common::{Target, host, revision, say, service, target};

/// The command line of `ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// The service whose environments are listed [default: all services]
    #[arg(value_parser = service)]
    service: Option<Service>,
}

/// The command line of `get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// SERVICE or SERVICE/ENVIRONMENT
    #[arg(value_parser = target)]
    target: Target,
    /// Print only the value of this key
    key: Option<String>,
    /// Print the own configuration of the environment, without what it inherits
    #[arg(long, conflicts_with_all = ["view", "host"])]
    own: bool,
    /// Print the view of the environment (the default)
    #[arg(long)]
    view: bool,
    /// Print what this host reads
    #[arg(long, value_name = "HOST", value_parser = host)]
    host: Option<String>,
    #[command(flatten)]
    cache: CacheArgs,
    /// Print it as it was at a revision
    #[arg(long, value_name = "REV", value_parser = revision)]
    at: Option<u64>,
    /// Show for each key the environment that its value comes from
    #[arg(long, conflicts_with = "own")]
    trace: bool,
}

impl GetArgs {
    /// What a host reads now, which is found out as an agent does.
    pub fn of_host(&self, timeout: Duration) -> Option<HostQuery<'_>> {
        let host = self.host.as_deref().filter(|_| self.at.is_none() && !self.trace)?;
        let (service, key) = (&self.target.service, self.key.as_deref());
        Some(HostQuery { service, host, key, timeout, cache: &self.cache })
    }
}

/// Runs `ls`.
pub async fn ls(reader: &mut Reader<'_>, args: &LsArgs) -> Result<Exit, Fatal> {
    let mut rows = Vec::new();
    match &args.service {
        Some(service) => rows = env_rows(&reader.tree(service).await?),
        None => {
            for name in reader.services().await? {
                let Ok(service) = Service::parse(&name) else { continue };
                let tree = reader.any_tree(&service).await?;
                // Other directories are those of service discovery.
                if tree.envs.contains_key(&Env::ROOT) {
                    rows.push(service_row(&tree));
                }
            }
        }
    }
    print(&table(&rows))?;
    Ok(Exit::Done)
}

/// Rows in columns. The last one is not padded.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        out.push_str(&plain(line.trim_end()));
        out.push('\n');
    }
    out
}

fn service_row(tree: &Tree) -> Vec<String> {
    let envs = match tree.envs.len() {
        1 => "1 environment".to_owned(),
        count => format!("{count} environments"),
    };
    let stale = tree.envs.keys().filter(|env| tree.is_stale(env)).count();
    let mut marks = Vec::new();
    if stale > 0 {
        marks.push(format!("stale views: {stale}"));
    }
    vec![tree.service.to_string(), envs, hosts(tree.hosts().count()), marks.join(", ")]
}

fn env_rows(tree: &Tree) -> Vec<Vec<String>> {
    let row = |(env, nodes): (&Env, &tree::EnvNodes)| {
        let conf = &nodes.conf;
        let depth = env.lineage().count() - 1;
        let shown = if env.is_root() { tree.service.to_string() } else { env.name().to_owned() };
        vec![
            format!("{}{shown}", "  ".repeat(depth)),
            format!("version {}", conf.stat.version),
            format!("{} bytes", conf.data.len()),
            hosts(tree.readers(env).len()),
            marks(tree, env).join(", "),
        ]
    };
    tree.envs.iter().map(row).collect()
}

/// What `get` is to print.
struct Answer {
    object: Object,
    /// The environment that it belongs to.
    env: Env,
}

/// Runs `get`.
pub async fn get(reader: &mut Reader<'_>, args: &GetArgs) -> Result<Exit, Fatal> {
    let tree = reader.any_tree(&args.target.service).await?;
    let past = match args.at {
        Some(revision) => {
            let history = reader.history(&args.target.service).await?;
            let entries = history.iter().filter_map(|(number, it)| Some((*number, it.entry.as_ref().ok()?))).collect();
            match past::at(&entries, revision, &tree) {
                Ok(past) => Some(past),
                Err(why) => return Ok(missing(&why)),
            }
        }
        None => None,
    };
    let answer = match &past {
        Some(past) => then(&tree, past, args),
        None => now(&tree, args),
    };
    let Answer { object, env } = match answer {
        Ok(answer) => answer,
        Err(why) => return Ok(missing(&why)),
    };
    if let Some(key) = &args.key {
        let Some(value) = object.get(key) else {
            return Ok(missing(&format!("{}: there is no key {key:?}", name(&args.target.service, &env))));
        };
        if !args.trace {
            print(&format!("{value}\n"))?;
            return Ok(Exit::Done);
        }
    }
    if args.trace {
        let confs = |env: &Env| match &past {
            Some(past) => past.confs.get(env),
            None => tree.envs.get(env).map(|nodes| &nodes.conf.object),
        };
        print(&trace(&tree, &env, &object, args.key.as_deref(), confs))?;
    } else {
        print(&(Json::Object(object).pretty() + "\n"))?;
    }
    Ok(Exit::Done)
}

/// Nothing is printed, as by `rosterd get` for too few members.
fn missing(why: &str) -> Exit {
    say(why);
    Exit::Held
}

fn now(tree: &Tree, args: &GetArgs) -> Result<Answer, String> {
    let service = &args.target.service;
    let usable = |node: Option<&Node>, path: String, env: Env| match node.map(|node| &node.object) {
        Some(Ok(object)) => Ok(Answer { object: object.clone(), env }),
        Some(Err(why)) => Err(format!("{path} is not an object: {why}")),
        None => Err(format!("{path} does not exist")),
    };
    let env = args.target.env.clone();
    if let Some(host) = &args.host {
        let found = tree.destination(host).map_err(|why| format!("{service}: host {host} is associated with {why}"))?;
        let path = found.path.to_string();
        let nodes = |env: &Env| tree.envs.get(env);
        return match found.kind {
            Kind::Conf(env) => usable(nodes(&env).map(|nodes| &nodes.conf), path, env),
            Kind::View(env) => usable(nodes(&env).and_then(|nodes| nodes.view.as_ref()), path, env),
            Kind::Pin(_, env) | Kind::Canary(_, env) => usable(tree.frozen.get(&found.path), path, env),
            Kind::Other => Err(format!("{service}: host {host} is associated with {path}, which is not a view")),
        };
    }
    let nodes = tree.envs.get(&env);
    if args.own {
        usable(nodes.map(|nodes| &nodes.conf), service.conf(&env).to_string(), env)
    } else {
        usable(nodes.and_then(|nodes| nodes.view.as_ref()), service.view(&env).to_string(), env)
    }
}

fn then(tree: &Tree, past: &past::Past, args: &GetArgs) -> Result<Answer, String> {
    let service = &args.target.service;
    let env = match &args.host {
        None => args.target.env.clone(),
        Some(host) => match past.hosts.get(host) {
            None => Env::ROOT,
            Some(path) => match tree.service.destination(path)?.kind {
                Kind::Conf(env) | Kind::View(env) => env,
                Kind::Pin(revision, _) => return Err(format!("host {host} was pinned to r{revision} then")),
                Kind::Canary(id, _) => return Err(format!("host {host} was in the canary {id} then")),
                Kind::Other => return Err(format!("host {host} was associated with {path} then, which is not a view")),
            },
        },
    };
    let shown = name(service, &env);
    let object = if args.own {
        let conf = past.confs.get(&env).ok_or("the environment did not exist at that revision".to_owned());
        conf.and_then(Clone::clone)
    } else {
        past.view(&env)
    };
    Ok(Answer { object: object.map_err(|why| format!("{shown}: {why}"))?, env })
}

/// Each key with the environment that its value comes from, and the environments whose value it hides.
fn trace<'a>(
    tree: &Tree,
    env: &Env,
    object: &Object,
    only: Option<&str>,
    conf: impl Fn(&Env) -> Option<&'a Result<Object, String>>,
) -> String {
    let keys: BTreeSet<&String> = object.keys().filter(|key| only.is_none_or(|only| only == *key)).collect();
    let mut rows = Vec::new();
    for key in keys {
        let has = |env: &Env| matches!(conf(env), Some(Ok(object)) if object.contains_key(key));
        let mut origins: Vec<String> = env.lineage().filter(has).map(|env| name(&tree.service, &env)).collect();
        let origin = origins.pop().unwrap_or_else(|| "(no environment: the view is stale)".to_owned());
        let hidden = if origins.is_empty() { String::new() } else { format!("hides {}", origins.join(", ")) };
        rows.push(vec![key.clone(), origin, object[key].to_string(), hidden]);
    }
    table(&rows)
}
