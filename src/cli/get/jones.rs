//! `jones get --host`: what a host reads of a service of Jones, once, without a configuration. It follows the host as an
//! agent does, and never replaces a good answer in the cache with a bad one.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::flags::duration;
use crate::config::{KeyConfig, KeyFormat, Unmapped};
use crate::decide::Moment;
use crate::decide::key::Key;
use crate::error::Exit;
use crate::jones::json::Json;
use crate::jones::path::Service;
use crate::model::node_path::Subject;
use crate::model::registry_event::{Bytes, Seen, View};
use crate::watch::Registry;

use super::{GetArgs, Wanted, cache, gather_all, print, say};

/// The options of the cache.
#[derive(Debug, Clone, clap::Args)]
pub struct CacheArgs {
    /// Cache the last good view of the host in FILE, and use it if the registry is unreachable
    #[arg(long, value_name = "FILE", requires = "host")]
    pub cache: Option<PathBuf>,
    /// The maximum age of a cached view
    #[arg(long, value_name = "DURATION", default_value = "48h", value_parser = duration, requires = "cache")]
    pub cache_max_age: Duration,
}

/// What is asked for.
#[derive(Debug)]
pub struct HostQuery<'a> {
    /// The service.
    pub service: &'a Service,
    /// The name of the host in `nodemaps`.
    pub host: &'a str,
    /// Only the value of this key.
    pub key: Option<&'a str>,
    /// How long to wait for the registry.
    pub timeout: Duration,
    /// The cache.
    pub cache: &'a CacheArgs,
}

/// Prints the view, or the value of a key. `out` gets nothing unless the exit code is 0.
pub async fn get(query: &HostQuery<'_>, registry: Arc<dyn Registry>, out: &mut dyn Write) -> Exit {
    let subject = Subject::Mapped { service: query.service.path(), host: Arc::from(query.host) };
    let wanted = Wanted { text: subject.to_string(), subject: subject.clone() };
    let args = GetArgs { timeout: query.timeout, ..GetArgs::default() };
    let known = gather_all(&args, BTreeSet::from([subject.clone()]), registry).await;
    let now = SystemTime::now();
    let found = if let Some(view) = known.views.get(&subject) {
        usable(&subject, view).map(|bytes| (bytes, Some(view))).map_err(|why| (Exit::Held, why))
    } else {
        let waited = humantime::format_duration(query.timeout);
        let away = known.away.as_ref().filter(|away| away.reason != known.reported);
        let reason = away.map(|away| format!(": {}", away.reason)).unwrap_or_default();
        Err((Exit::Unreached, format!("{subject}: the registry did not answer within {waited}{reason}")))
    };
    let found = match (found, &query.cache.cache) {
        (Err((exit, why)), Some(file)) => {
            let cached = cache::load(file, &wanted, now, query.cache.cache_max_age);
            match cached.and_then(|(view, age)| Ok((usable(&subject, &view)?, age))) {
                Ok((bytes, age)) => {
                    say(&format!("stale, {} s old, from {}: {why}", age.as_secs(), file.display()));
                    Ok((bytes, None))
                }
                Err(unusable) => Err((exit, format!("{why}; {unusable}"))),
            }
        }
        (found, _) => found,
    };
    let answer = found.and_then(|(bytes, fresh)| {
        if let (Some(view), Some(file)) = (fresh, &query.cache.cache)
            && let Err(why) = cache::store(file, &[(&wanted, view)], now, |members| Some(members.clone()))
        {
            say(&format!("this answer is not cached: {why}"));
        }
        text(&bytes, query.key).map_err(|why| (Exit::Held, format!("{subject}: {why}")))
    });
    match answer {
        Ok(text) => print(out, &text).unwrap_or(Exit::Done),
        Err((exit, why)) => {
            say(&why);
            exit
        }
    }
}

/// The data of a view.
///
/// # Errors
/// Why a `[[key]]` would hold it.
fn usable(subject: &Subject, view: &View) -> Result<Bytes, String> {
    let (name, registry) = (Arc::from("view"), Arc::from(""));
    let format = KeyFormat::Jones(Unmapped::Root);
    let mut key = Key::new(Arc::new(KeyConfig { name, registry, subject: subject.clone(), format }), None, "");
    key.reset(Moment::START, view, &mut Vec::new());
    match (key.hold(), view) {
        (None, View::Mapped { data: Seen::Present(bytes), .. }) => Ok(Arc::clone(bytes)),
        (Some(hold), _) => Err(hold.reason.describe(subject)),
        (None, _) => Err(format!("{subject} is not known")),
    }
}

/// A view as JSON with its keys sorted, or the value of one key.
fn text(bytes: &[u8], key: Option<&str>) -> Result<String, String> {
    let object = Json::parse_object(bytes)?;
    Ok(match key {
        None => Json::Object(object).pretty() + "\n",
        Some(key) => format!("{}\n", object.get(key).ok_or_else(|| format!("there is no key {key:?}"))?),
    })
}
