//! `check`: what is wrong with the nodes of services, and its repair.

use clap::Args;

use crate::cli::agent_commands::print;
use crate::error::{Exit, Fatal};
use crate::jones::check::{Finding, unused_views};
use crate::jones::path::{Env, Service};
use crate::log::plain;
use crate::model::node_path::NodePath;

use super::common::{Context, ask, say, service};
use super::service::all;

/// The command line of `check`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option")]
pub struct CheckArgs {
    /// The services
    #[arg(value_parser = service, required_unless_present = "all")]
    services: Vec<Service>,
    /// All services, and nodes that Jones left in other directories below /services
    #[arg(long, conflicts_with = "services")]
    all: bool,
    /// Write views that are stale, empty or missing, and delete views without an environment that no host reads
    #[arg(long)]
    repair: bool,
    /// With --repair: also delete what Jones left in other directories below /services
    #[arg(long, requires = "repair", requires = "all")]
    strays: bool,
    /// Repair without asking
    #[arg(short, long)]
    yes: bool,
}

/// A node that Jones created in a directory of something else, or a service that nobody wanted.
struct Stray {
    /// The nodes to delete, those below others first.
    paths: Vec<NodePath>,
    text: String,
}

/// Runs `check`. Returns 1 if something is wrong that was not repaired.
pub async fn check(context: &mut Context, args: CheckArgs) -> Result<Exit, Fatal> {
    let services = if args.all { all_with_halves(context).await? } else { args.services.clone() };
    let mut wrong = Vec::new();
    for service in &services {
        match context.store.check(service).await {
            Ok((found, notes)) => {
                for note in &notes {
                    say(note);
                }
                wrong.extend(found.into_iter().map(|finding| (service.clone(), finding)));
            }
            Err(fatal) if fatal.exit == Exit::Failed => {
                let finding = Finding { text: fatal.message, is_repairable: false };
                wrong.push((service.clone(), finding));
            }
            Err(fatal) => return Err(fatal),
        }
    }
    let strays = if args.all { strays(context).await? } else { Vec::new() };
    let texts = wrong.iter().map(|(_, finding)| &finding.text).chain(strays.iter().map(|stray| &stray.text));
    print(&texts.map(|text| plain(text).into_owned() + "\n").collect::<String>())?;
    let mut left = wrong.iter().filter(|(_, finding)| !finding.is_repairable).count();
    let mut repairable: Vec<Service> =
        wrong.into_iter().filter(|(_, finding)| finding.is_repairable).map(|(service, _)| service).collect();
    repairable.dedup();
    let has_work = !repairable.is_empty() || (args.strays && !strays.is_empty());
    if args.repair && has_work {
        if !args.yes && !ask("Repair what can be repaired?").await? {
            return Err(Fatal::new(Exit::Failed, "nothing was written"));
        }
        for service in &repairable {
            repair(context, service).await?;
        }
        if args.strays {
            for stray in &strays {
                context.store.delete_unchanged(&stray.paths).await?;
                say(&format!("deleted {}", stray.paths.iter().map(NodePath::as_str).collect::<Vec<_>>().join(", ")));
            }
        } else {
            left += strays.len();
        }
    } else {
        left += repairable.len() + strays.len();
    }
    if left == 0 {
        let count = services.len();
        say(&format!("{count} {} checked: nothing is wrong", if count == 1 { "service" } else { "services" }));
    }
    Ok(if left == 0 { Exit::Done } else { Exit::Failed })
}

/// The services of Jones, with those that lack some of their nodes.
async fn all_with_halves(context: &mut Context) -> Result<Vec<Service>, Fatal> {
    let mut services = all(context).await?;
    for name in context.store.services().await? {
        let Ok(service) = Service::parse(&name) else { continue };
        let below = context.store.children(&service.path()).await?;
        let is_half = !below.iter().any(|name| name == "conf") && below.iter().any(|name| name == "views");
        if is_half && !services.contains(&service) {
            services.push(service);
        }
    }
    services.sort();
    Ok(services)
}

async fn repair(context: &mut Context, service: &Service) -> Result<(), Fatal> {
    context.store.finish_pending(service).await?;
    let written = context.store.repair(service, &Env::ROOT).await?;
    let tree = context.store.any_tree(service).await?;
    let unused: Vec<NodePath> = unused_views(&tree).iter().map(|env| service.view(env)).collect();
    context.store.delete_unchanged(&unused).await?;
    let mut done = vec![format!("{written} views written")];
    if !unused.is_empty() {
        done.push(format!("{} views deleted", unused.len()));
    }
    if tree.nodemaps.as_ref().is_ok_and(|node| node.stat.is_none()) {
        context.store.create_like(&service.nodemaps(), &service.conf(&Env::ROOT)).await?;
        done.push("nodemaps created".to_owned());
    }
    say(&format!("{service}: {}", done.join(", ")));
    Ok(())
}

/// What Jones leaves where it only showed a page: `nodemaps` in the directories of service discovery, and services by
/// typing errors.
async fn strays(context: &mut Context) -> Result<Vec<Stray>, Fatal> {
    let mut found = Vec::new();
    for name in context.store.services().await? {
        let Ok(service) = Service::parse(&name) else { continue };
        let below = context.store.children(&service.path()).await?;
        let has = |name: &str| below.iter().any(|other| other == name);
        if !has("nodemaps") || has("conf") || has("views") {
            continue;
        }
        let nodemaps = service.nodemaps();
        if !context.store.is_bare(&nodemaps).await? {
            continue;
        }
        if below.len() == 1 && context.store.has_no_data(&service.path()).await? {
            let text =
                format!("{}: an empty service, as Jones creates it when a page of that name is opened", service.path());
            found.push(Stray { paths: vec![nodemaps, service.path()], text });
        } else {
            let text = format!("{nodemaps}: Jones created it in a directory that is not one of its services");
            found.push(Stray { paths: vec![nodemaps], text });
        }
    }
    Ok(found)
}
