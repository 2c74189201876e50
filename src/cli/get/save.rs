//! `get --save`: saves members in a file, for `render --from`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::config::Config;
use crate::error::Exit;
use crate::model::node_path::Subject;
use crate::model::registry_event::{Seen, View};
use crate::model::saved_view::SavedViews;
use crate::watch;
use crate::watch::StateAccess;

use super::{GetArgs, cache, gather_all, say};

/// Saves the views of one registry.
///
/// # Errors
/// The file cannot be written.
pub fn save(file: &Path, registry: &str, views: &BTreeMap<Subject, View>) -> Result<(), String> {
    let mut saved = SavedViews::default();
    for (subject, view) in views {
        saved.insert(registry, subject, view);
    }
    write(file, &saved)
}

fn write(file: &Path, saved: &SavedViews) -> Result<(), String> {
    let written = cache::replace(file, saved.to_text().as_bytes());
    written.map_err(|why| format!("cannot write {}: {why}", file.display()))
}

/// Saves all rosters and keys of a configuration. Nothing is saved if one of them cannot be read.
pub async fn save_all(args: &GetArgs, file: &Path, config: &Config) -> Exit {
    let args = GetArgs { wait_for: None, ..args.clone() };
    let (mut saved, mut exit, mut count) = (SavedViews::default(), Exit::Done, 0);
    for registry in &config.registries {
        let rosters = config.rosters.iter().filter(|roster| roster.registry == registry.name);
        let keys = config.keys.iter().filter(|key| key.registry == registry.name);
        let subjects = rosters.map(|roster| roster.subject.clone());
        let subjects: BTreeSet<Subject> = subjects.chain(keys.map(|key| key.subject.clone())).collect();
        if subjects.is_empty() {
            continue;
        }
        let state = StateAccess::ReadOnly(config.agent.state_dir.clone());
        let mut known = gather_all(&args, subjects.clone(), watch::open(registry, &state)).await;
        for subject in &subjects {
            let Some(view) = known.views.get(subject) else {
                let away = known.away.take().filter(|away| away.reason != known.reported);
                let reason = away.map(|away| format!(": {}", away.reason)).unwrap_or_default();
                say(&format!("{subject}: the registry did not answer{reason}"));
                exit = exit.worse(Exit::Unreached);
                continue;
            };
            if let Some(why) = unreadable(view) {
                say(&format!("{subject} cannot be read: {why}"));
                exit = exit.worse(Exit::Held);
            }
            saved.insert(&registry.name, subject, view);
            count += 1;
        }
    }
    if exit != Exit::Done {
        return exit;
    }
    match write(file, &saved) {
        Ok(()) if args.quiet => {}
        Ok(()) => say(&format!("saved {count} paths to {}", file.display())),
        Err(why) => {
            say(&why);
            exit = Exit::Failed;
        }
    }
    exit
}

/// Why a view, or that of one of its keys, is not known.
fn unreadable(view: &View) -> Option<&str> {
    match view {
        View::Members(Seen::Unreadable(why))
        | View::Keyed(Seen::Unreadable(why))
        | View::Node(Seen::Unreadable(why))
        | View::Mapped { data: Seen::Unreadable(why), .. } => Some(why),
        View::Keyed(Seen::Present(keys)) => keys.values().find_map(|seen| match seen {
            Seen::Unreadable(why) => Some(&**why),
            Seen::Absent | Seen::Present(_) => None,
        }),
        View::Members(_) | View::Keyed(Seen::Absent) | View::Node(_) | View::Mapped { .. } => None,
    }
}
