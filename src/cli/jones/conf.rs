//! `set`, `apply`, `create`, `delete`, `edit`: change the own configuration of one environment.

use std::fs;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::set as variable;
use crate::error::{Exit, Fatal};
use crate::jones::json::{Json, Object};
use crate::jones::proposal::{ConfEdit, Proposal};
use crate::jones::tree::Tree;
use crate::jones::words::name;
use crate::text::command::rosterd;

use super::common::{Context, Target, WriteOptions, ask, entry, say, target};

/// The command line of `set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// SERVICE or SERVICE/ENVIRONMENT
    #[arg(value_parser = target)]
    target: Target,
    /// Keys with their new values in JSON; a text needs its quotes: 'locale="fr"'
    #[arg(value_name = "KEY=JSON", value_parser = assignment, required_unless_present = "unset")]
    assignments: Vec<(String, Json)>,
    /// Remove a key, so that the value of an ancestor shows. Repeatable
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
    /// Fail with code 3 unless the configuration has this version
    #[arg(long, value_name = "N")]
    if_version: Option<i32>,
    #[command(flatten)]
    write: WriteOptions,
}

/// The command line of `edit`.
#[derive(Debug, Args)]
pub struct EditArgs {
    /// SERVICE or SERVICE/ENVIRONMENT
    #[arg(value_parser = target)]
    target: Target,
    /// Fail with code 3 unless the configuration has this version
    #[arg(long, value_name = "N")]
    if_version: Option<i32>,
    #[command(flatten)]
    write: WriteOptions,
}

/// The command line of `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// SERVICE or SERVICE/ENVIRONMENT
    #[arg(value_parser = target)]
    target: Target,
    /// A file with a JSON object, or - for standard input
    file: PathBuf,
    /// Fail with code 3 unless the configuration has this version
    #[arg(long, value_name = "N")]
    if_version: Option<i32>,
    #[command(flatten)]
    write: WriteOptions,
}

/// The command line of `create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// SERVICE/ENVIRONMENT
    #[arg(value_parser = target)]
    target: Target,
    /// A file with a JSON object, or - for standard input [default: an empty object]
    file: Option<PathBuf>,
    #[command(flatten)]
    write: WriteOptions,
}

/// The command line of `delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// SERVICE/ENVIRONMENT, or SERVICE
    #[arg(value_parser = target)]
    target: Target,
    /// Fail with code 3 unless the configuration has this version
    #[arg(long, value_name = "N")]
    if_version: Option<i32>,
    #[command(flatten)]
    write: WriteOptions,
}

/// Parses `KEY=JSON`.
pub fn assignment(text: &str) -> Result<(String, Json), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=JSON")?;
    if key.is_empty() {
        return Err("the key is missing: write KEY=JSON".to_owned());
    }
    let value = Json::parse(value.as_bytes());
    let value = value.map_err(|why| format!("not a JSON value: {why} (a text needs its quotes: '{key}=\"TEXT\"')"))?;
    Ok((key.to_owned(), value))
}

/// The own configuration of the environment.
///
/// # Errors
/// There is no such environment, or it is not an object.
fn own<'a>(tree: &'a Tree, target: &Target) -> Result<&'a Object, Fatal> {
    let node = tree.envs.get(&target.env).map(|nodes| &nodes.conf);
    let shown = name(&target.service, &target.env);
    let Some(node) = node else {
        let message =
            format!("there is no environment {shown}; create it with `{}`", rosterd(&["jones", "create", &shown]));
        return Err(Fatal::new(Exit::Failed, message));
    };
    node.object.as_ref().map_err(|why| {
        let path = target.service.conf(&target.env);
        let message = format!(
            "{path} is not an object ({why}); replace it with `{}`",
            rosterd(&["jones", "apply", &shown, "FILE"])
        );
        Fatal::new(Exit::Failed, message)
    })
}

fn proposal(target: &Target, base: Option<Object>, wanted: Option<Object>, version: Option<i32>) -> Proposal {
    let edit = ConfEdit { base, wanted, version };
    Proposal { confs: [(target.env.clone(), edit)].into_iter().collect(), ..Proposal::default() }
}

/// Runs `set`.
pub async fn set(context: &mut Context, args: SetArgs) -> Result<Exit, Fatal> {
    let tree = context.store.tree(&args.target.service).await?;
    let base = own(&tree, &args.target)?.clone();
    let mut wanted = base.clone();
    wanted.extend(args.assignments);
    for key in &args.unset {
        if wanted.shift_remove(key).is_none() {
            say(&format!("{} has no key {key:?} of its own", name(&args.target.service, &args.target.env)));
        }
    }
    let proposal = proposal(&args.target, Some(base), Some(wanted), args.if_version);
    context.submit(tree, proposal, "set", &args.write).await
}

/// Runs `apply`.
pub async fn apply(context: &mut Context, args: ApplyArgs) -> Result<Exit, Fatal> {
    let wanted = read_object(&args.file)?;
    let tree = context.store.tree(&args.target.service).await?;
    let node = tree.envs.get(&args.target.env).map(|nodes| &nodes.conf);
    let base = match node {
        // What is not an object is replaced as a whole.
        Some(node) => node.object.clone().unwrap_or_default(),
        None => own(&tree, &args.target)?.clone(),
    };
    let proposal = proposal(&args.target, Some(base), Some(wanted), args.if_version);
    context.submit(tree, proposal, "apply", &args.write).await
}

/// Runs `create`.
pub async fn create(context: &mut Context, args: CreateArgs) -> Result<Exit, Fatal> {
    if args.target.env.is_root() {
        let message = format!(
            "write {0}/ENVIRONMENT, or create the service: {1}",
            args.target.service,
            rosterd(&["jones", "init", args.target.service.as_str()])
        );
        return Err(Fatal::new(Exit::Usage, message));
    }
    let wanted = args.file.as_deref().map(read_object).transpose()?.unwrap_or_default();
    let tree = context.store.tree(&args.target.service).await?;
    let proposal = proposal(&args.target, None, Some(wanted), None);
    context.submit(tree, proposal, "create", &args.write).await
}

/// Runs `delete`.
pub async fn delete(context: &mut Context, args: DeleteArgs) -> Result<Exit, Fatal> {
    let tree = context.store.tree(&args.target.service).await?;
    if args.target.env.is_root() {
        return delete_service(context, &tree, &args.write).await;
    }
    let node = tree.envs.get(&args.target.env).map(|nodes| &nodes.conf);
    // One that is not an object can be deleted, too.
    let base = match node {
        Some(node) => node.object.clone().unwrap_or_default(),
        None => own(&tree, &args.target)?.clone(),
    };
    let proposal = proposal(&args.target, Some(base), None, args.if_version);
    context.submit(tree, proposal, "delete", &args.write).await
}

async fn delete_service(context: &mut Context, tree: &Tree, options: &WriteOptions) -> Result<Exit, Fatal> {
    let service = &tree.service;
    if options.dry_run {
        say(&format!("{service} would be deleted"));
        return Ok(if options.detailed_exitcode { Exit::Differs } else { Exit::Done });
    }
    if !options.yes && !ask(&format!("Delete the service {service}?")).await? {
        return Err(Fatal::new(Exit::Failed, "nothing was written"));
    }
    let revision = context.store.delete_service(tree, entry("delete", options)).await?;
    say(&format!("{service}: deleted in r{revision}"));
    Ok(Exit::Done)
}

/// Reads a file with a JSON object.
///
/// # Errors
/// It cannot be read, or is none.
pub fn read_object(file: &Path) -> Result<Object, Fatal> {
    let is_stdin = file == Path::new("-");
    let shown = if is_stdin { "standard input".to_owned() } else { file.display().to_string() };
    let wrong = |why: String| Fatal::new(Exit::Failed, format!("{shown}: {why}"));
    let mut bytes = Vec::new();
    let read = if is_stdin {
        io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        fs::read(file).map(|read| bytes = read)
    };
    read.map_err(|why| wrong(why.to_string()))?;
    Json::parse_object(&bytes).map_err(wrong)
}

/// Runs `edit`.
pub async fn edit(context: &mut Context, args: EditArgs) -> Result<Exit, Fatal> {
    let failed = |why: String| Fatal::new(Exit::Failed, why);
    let tree = context.store.tree(&args.target.service).await?;
    let base = own(&tree, &args.target)?.clone();
    let before = Json::Object(base.clone()).pretty() + "\n";
    let prefix = format!("rosterd-{}-", name(&args.target.service, &args.target.env).replace('/', "-"));
    let file = tempfile::Builder::new().prefix(&prefix).suffix(".json").tempfile();
    let file = file.map_err(|why| failed(format!("cannot create a file for the editor: {why}")))?;
    fs::write(file.path(), &before).map_err(|why| failed(format!("cannot write {}: {why}", file.path().display())))?;
    let (text, wanted) = loop {
        let text = match edited(file.path()).await {
            Ok(text) => text,
            Err(why) if fs::read(file.path()).is_ok_and(|now| now == before.as_bytes()) => return Err(why),
            Err(why) => return Err(keep(file, &why)),
        };
        match Json::parse_object(text.as_bytes()) {
            Ok(wanted) => break (text, wanted),
            Err(why) => {
                say(&format!("the text is not a valid configuration: {why}"));
                if !io::stdin().is_terminal() || !ask("Edit it again?").await? {
                    return Err(keep(file, &failed("nothing was written".to_owned())));
                }
            }
        }
    };
    if text == before {
        say("the text was not changed: nothing to publish");
        return Ok(Exit::Done);
    }
    let proposal = proposal(&args.target, Some(base), Some(wanted), args.if_version);
    match context.submit(tree, proposal, "edit", &args.write).await {
        Err(why) => Err(keep(file, &why)),
        Ok(exit) => Ok(exit),
    }
}

/// Runs the editor, and reads the text.
async fn edited(file: &Path) -> Result<String, Fatal> {
    run_editor(file).await?;
    fs::read_to_string(file).map_err(|why| Fatal::new(Exit::Failed, format!("{}: {why}", file.display())))
}

/// Keeps the text of a person whose change was not written.
fn keep(file: tempfile::NamedTempFile, why: &Fatal) -> Fatal {
    let kept = match file.keep() {
        Ok((_, path)) => format!("your text is kept in {}", path.display()),
        Err(error) => format!("your text is lost: {error}"),
    };
    Fatal::new(why.exit, format!("{why}\n{kept}"))
}

async fn run_editor(file: &Path) -> Result<(), Fatal> {
    let editor = ["VISUAL", "EDITOR"].into_iter().find_map(variable).unwrap_or_else(|| "vi".into());
    // As git does: the variable may have arguments.
    let script = format!("{} \"$@\"", editor.to_string_lossy());
    let status = tokio::process::Command::new("sh").arg("-c").arg(script).arg("sh").arg(file).status().await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            let message = format!("{} failed ({status}): nothing was written", editor.display());
            Err(Fatal::new(Exit::Failed, message))
        }
        Err(why) => Err(Fatal::new(Exit::Failed, format!("cannot run {}: {why}", editor.display()))),
    }
}
