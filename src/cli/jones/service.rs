//! `init`, `adopt`, `acl` and `credential`: services as a whole, and who may write them.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;

use clap::Args;

use crate::cli::agent_commands::print;
use crate::cli::prime_chroot;
use crate::config::flags::working_dir;
use crate::error::{Exit, Fatal};
use crate::jones::acl::jones_credential;
use crate::jones::entry::{Before, Entry, EnvChange};
use crate::jones::outside::outside;
use crate::jones::path::{Env, Service};
use crate::jones::plan::Step;
use crate::jones::tree::Tree;
use crate::zk::Acl;

use super::common::{Context, WriteOptions, ask, entry, say, service};
use super::view::table;

/// The most bytes of configuration in one entry of `adopt`.
const MAX_ADOPTED: usize = 300_000;

/// The command line of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// SERVICE
    #[arg(value_parser = service)]
    service: Service,
    #[arg(long, value_name = "SCHEME:ID:PERMS", value_parser = prime_chroot::acl)]
    #[arg(
        help = "An entry of the access control list of each node: auth::cdrwa, world:anyone:r, … Repeatable [default: \
                  the list of /services]"
    )]
    acl: Vec<Acl>,
    #[arg(long, value_name = "SCHEME:ID", value_parser = auditor)]
    #[arg(help = "Who may prune the history: digest:USER:HASH. Writers can then add to it, but not change it")]
    auditor: Option<Acl>,
    /// The reason, which is kept in the history
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
}

/// The command line of `adopt`.
#[derive(Debug, Args)]
pub struct AdoptArgs {
    /// The services
    #[arg(value_parser = service, required_unless_present = "all")]
    services: Vec<Service>,
    /// All services
    #[arg(long, conflicts_with = "services")]
    all: bool,
    #[arg(long, value_name = "SCHEME:ID", value_parser = auditor)]
    #[arg(help = "Who may prune the history: digest:USER:HASH. Writers can then add to it, but not change it")]
    auditor: Option<Acl>,
    #[command(flatten)]
    write: WriteOptions,
}

/// The command line of `acl`.
#[derive(Debug, Args)]
pub struct AclArgs {
    /// SERVICE
    #[arg(value_parser = service)]
    service: Service,
    #[arg(long, value_name = "SCHEME:ID:PERMS", value_parser = prime_chroot::acl)]
    #[arg(help = "Add an entry to the access control list of each node of the service: digest:USER:HASH:cdrwa, … \
                  Repeatable")]
    grant: Vec<Acl>,
    #[arg(long, value_name = "SCHEME:ID", value_parser = auditor)]
    #[arg(help = "Name who may prune the history: digest:USER:HASH. Writers can then add to it, but not change it")]
    auditor: Option<Acl>,
    /// Write without asking
    #[arg(short, long)]
    yes: bool,
}

/// The command line of `credential`.
#[derive(Debug, Args)]
pub struct CredentialArgs {
    /// A file with the digest password of Jones [default: standard input]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

fn auditor(text: &str) -> Result<Acl, String> {
    prime_chroot::acl(&format!("{text}:cdrwa"))
}

/// Runs `init`.
pub async fn init(context: &mut Context, args: InitArgs) -> Result<Exit, Fatal> {
    context.store.auditor = args.auditor;
    let list = (!args.acl.is_empty()).then_some(args.acl);
    let options = WriteOptions { message: args.message, ..WriteOptions::default() };
    context.check_new(&args.service).await?;
    let revision = context.store.init(&args.service, list.as_deref(), entry("init", &options)).await?;
    say(&format!("{}: created in r{revision}", args.service));
    Ok(Exit::Done)
}

/// Runs `adopt`.
pub async fn adopt(context: &mut Context, args: AdoptArgs) -> Result<Exit, Fatal> {
    context.store.auditor = args.auditor;
    let services = if args.all { all(context).await? } else { args.services };
    for service in services {
        let tree = context.store.tree(&service).await?;
        let history = context.store.history(&service).await?;
        let is_new = history.is_empty();
        let count = if is_new {
            tree.envs.len()
        } else {
            if let Some(auditor) = context.store.auditor.clone()
                && !context.store.is_audited(&service).await?
            {
                set_auditor(context, &service, &auditor, &args.write).await?;
            }
            outside(&tree, &history).len()
        };
        if count == 0 {
            say(&format!("{service}: the history has everything already"));
            continue;
        }
        let what = if is_new { "begin the history" } else { "record what was changed outside of the history" };
        if args.write.dry_run {
            say(&format!("{service}: would {what} with {count} environments"));
            continue;
        }
        if !args.write.yes && !ask(&format!("{service}: {what} with {count} environments?")).await? {
            return Err(Fatal::new(Exit::Failed, "nothing was written"));
        }
        let (mut revisions, mut done) = (Vec::new(), Ok(()));
        if is_new {
            for envs in chunks(&tree) {
                let (steps, entry) = recording(&tree, &envs, entry("adopt", &args.write));
                revisions.push(context.store.record(&service, &steps, &entry).await?);
            }
        } else {
            let mut recorded = BTreeMap::new();
            let entry = entry("outside", &args.write);
            done = context.store.record_outside(&service, &entry, &mut recorded).await;
            revisions.extend(recorded.into_keys());
        }
        for revision in revisions {
            say(&format!("{service}: recorded as r{revision}"));
        }
        done?;
    }
    Ok(Exit::Done)
}

async fn set_auditor(
    context: &mut Context,
    service: &Service,
    auditor: &Acl,
    options: &WriteOptions,
) -> Result<(), Fatal> {
    let what = format!("make {}:{} the auditor of the history", auditor.scheme, auditor.id);
    if options.dry_run {
        say(&format!("{service}: would {what}"));
        return Ok(());
    }
    if !options.yes && !ask(&format!("{service}: {what}?")).await? {
        return Err(Fatal::new(Exit::Failed, "nothing was written"));
    }
    context.store.set_auditor(service, auditor).await?;
    say(&format!("{service}: done: {what}"));
    Ok(())
}

/// Environments in groups that fit in an entry.
fn chunks(tree: &Tree) -> Vec<Vec<Env>> {
    let mut chunks: Vec<(usize, Vec<Env>)> = Vec::new();
    for (env, nodes) in &tree.envs {
        let bytes = nodes.conf.data.len() + 200;
        match chunks.last_mut() {
            Some((sum, chunk)) if *sum + bytes <= MAX_ADOPTED => {
                *sum += bytes;
                chunk.push(env.clone());
            }
            _ => chunks.push((bytes, vec![env.clone()])),
        }
    }
    chunks.into_iter().map(|(_, chunk)| chunk).collect()
}

fn recording(tree: &Tree, envs: &[Env], entry: Entry) -> (Vec<Step>, Entry) {
    let mut steps = Vec::new();
    let mut changes = Vec::new();
    for env in envs {
        let Some(nodes) = tree.envs.get(env) else { continue };
        let version = nodes.conf.stat.version;
        steps.push(Step::Check(tree.service.conf(env), version));
        let after = Some(nodes.conf.object.clone().unwrap_or_default());
        changes.push(EnvChange { env: env.clone(), before: Some(Before { version, conf: None }), after });
    }
    (steps, Entry { changes, ..entry })
}

/// The services of Jones.
pub async fn all(context: &mut Context) -> Result<Vec<Service>, Fatal> {
    context.store.jones_services().await?.into_iter().map(|(_, tree)| Ok(tree?.service)).collect()
}

/// Runs `acl`.
pub async fn acl(context: &mut Context, args: AclArgs) -> Result<Exit, Fatal> {
    let tree = context.store.tree(&args.service).await?;
    let lists = context.store.lists(&tree).await?;
    if args.grant.is_empty() && args.auditor.is_none() {
        let rows: Vec<Vec<String>> =
            lists.iter().map(|(path, list)| vec![path.to_string(), crate::jones::acl::text(list)]).collect();
        print(&table(&rows))?;
        return Ok(Exit::Done);
    }
    let granted = crate::jones::acl::text(&args.grant);
    let mut what = Vec::new();
    if !args.grant.is_empty() {
        what.push(format!("grant {granted} on {} nodes", lists.len()));
    }
    if let Some(auditor) = &args.auditor {
        what.push(format!("make {}:{} the auditor of the history", auditor.scheme, auditor.id));
    }
    let what = what.join(", and ");
    if !args.yes && !ask(&format!("{}: {what}?", args.service)).await? {
        return Err(Fatal::new(Exit::Failed, "nothing was written"));
    }
    if !args.grant.is_empty() {
        context.store.grant(&args.service, &lists, &args.grant).await?;
    }
    if let Some(auditor) = &args.auditor {
        context.store.set_auditor(&args.service, auditor).await?;
    }
    say(&format!("{}: done: {what}", args.service));
    Ok(Exit::Done)
}

/// Runs `credential`.
pub fn credential(args: &CredentialArgs) -> Result<Exit, Fatal> {
    let wrong = |why: String| Fatal::new(Exit::Failed, why);
    let mut text = String::new();
    if let Some(file) = &args.file {
        let read = std::fs::read_to_string(working_dir().join(file));
        text = read.map_err(|why| wrong(format!("cannot read {}: {why}", file.display())))?;
    } else {
        if io::stdin().is_terminal() {
            say("type the password that Jones has in ZK_DIGEST_PASSWORD, then Enter and Ctrl-D");
        }
        io::stdin().lock().read_to_string(&mut text).map_err(|why| wrong(why.to_string()))?;
    }
    let password = text.strip_suffix('\n').unwrap_or(&text);
    if password.is_empty() || password.contains('\n') {
        return Err(wrong("the password is one line".to_owned()));
    }
    let (line, id) = jones_credential(password);
    print(&format!("{line}\n"))?;
    say(&format!("the line above goes into the file of `auth`; nodes of Jones have it as digest:{id}"));
    Ok(Exit::Done)
}
