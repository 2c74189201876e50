//! The answer of `get`: the output, the messages and the exit code. It writes only the cache.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;

use crate::decide::hold::Reason;
use crate::decide::slotted_member::to_json;
use crate::decide::{RosterValue, SlottedMember, SlottedMembers};
use crate::error::Exit;
use crate::model::quarantine::is_breaking;
use crate::model::registry_event::{Members, Seen, Unreachable, View};
use crate::payload::{DecodedChildren, Payload};

use super::{Gathered, GetArgs, Output, Wanted, cache};

/// The answer of `get`.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// For standard output; empty unless `exit` is 0.
    pub out: String,
    /// The lines for standard error.
    pub notes: Vec<String>,
    /// The exit code.
    pub exit: Exit,
}

/// Whether a view has the members that `--wait-for` requires. For a path with `*`, all keys count together.
pub fn enough(args: &GetArgs, view: &View) -> bool {
    args.wait_for.is_none_or(|wanted| count(view, &args.payload()) >= wanted)
}

fn count(view: &View, payload: &Payload) -> usize {
    let valid = |members: &Members| DecodedChildren::read(payload, None, members, None).members().len();
    match view {
        View::Members(Seen::Present(members)) => valid(members),
        View::Keyed(Seen::Present(keys)) => {
            keys.values().map(|key| if let Seen::Present(members) = key { valid(members) } else { 0 }).sum()
        }
        _ => 0,
    }
}

/// Checks every path against `--min`, using the cache for paths that are unknown.
pub fn answer(args: &GetArgs, known: &Gathered, now: SystemTime) -> Answer {
    let mut notes = Vec::new();
    let mut exit = Exit::Done;
    let mut good = Vec::new();
    let mut fresh = Vec::new();
    let mut unreported = known.away.as_ref().filter(|away| away.reason != known.reported);
    for path in &args.paths {
        match one(args, path, known, now, &mut unreported, &mut notes) {
            Ok((value, source)) => {
                let is_stale = match source {
                    Source::Registry(view) => {
                        fresh.push((path, view));
                        false
                    }
                    Source::Stale => true,
                };
                good.push(Good { path, value, is_stale });
            }
            Err((worse, why)) => {
                exit = exit.worse(worse);
                notes.push(why);
            }
        }
    }
    if let Some(file) = &args.cache
        && let Err(why) = cache::store(file, &fresh, now, |members| valid_of(args, members))
    {
        notes.push(format!("this answer is not cached: {why}"));
    }
    let out = if exit == Exit::Done { written(args.format, &good) } else { String::new() };
    Answer { out, notes, exit }
}

/// The members of a path that are printed.
struct Good<'a> {
    path: &'a Wanted,
    value: RosterValue,
    /// They may be out of date.
    is_stale: bool,
}

/// The origin of a view.
enum Source<'v> {
    Registry(&'v View),
    /// The cache, or an agent that does not reach the registry.
    Stale,
}

/// The members of one path, or the exit code with the reason. `unreported` is why the registry cannot be reached, until
/// that was reported.
fn one<'v>(
    args: &GetArgs,
    path: &Wanted,
    known: &'v Gathered,
    now: SystemTime,
    unreported: &mut Option<&Unreachable>,
    notes: &mut Vec<String>,
) -> Result<(RosterValue, Source<'v>), (Exit, String)> {
    let unknown = match known.views.get(&path.subject) {
        Some(View::Members(Seen::Unreadable(why)) | View::Keyed(Seen::Unreadable(why))) => {
            (Exit::Held, format!("{} cannot be read: {why}", path.text))
        }
        Some(view) => {
            let found = count(view, &args.payload());
            if let Some(wanted) = args.wait_for.filter(|wanted| found < *wanted) {
                let waited = humantime::format_duration(args.timeout);
                notes.push(format!("{} has {found} of {wanted} members after {waited}", path.text));
            }
            match known.stale.get(&path.subject) {
                Some((age, why)) if *age > args.cache_max_age => {
                    let (age, max) = (age.as_secs(), humantime::format_duration(args.cache_max_age));
                    let why =
                        format!("{}: the answer of the agent is {age} s old; the maximum is {max}: {why}", path.text);
                    (Exit::Unreached, why)
                }
                stale => {
                    let value = judge(args, path, view, notes).map_err(|why| (Exit::Held, why))?;
                    let Some((age, why)) = stale else { return Ok((value, Source::Registry(view))) };
                    notes.push(format!("stale, {} s old, from the agent: {}: {why}", age.as_secs(), path.text));
                    return Ok((value, Source::Stale));
                }
            }
        }
        None => {
            let why = match &known.away {
                Some(away) if away.is_final => format!("{} cannot be read", path.text),
                _ => {
                    let waited = humantime::format_duration(args.timeout);
                    format!("{}: the registry did not answer within {waited}", path.text)
                }
            };
            // Several paths have one reason, which is reported once.
            let reason = unreported.take().map(|away| format!(": {}", away.reason)).unwrap_or_default();
            (known.exit.unwrap_or(Exit::Unreached), why + &reason)
        }
    };
    let Some(file) = &args.cache else {
        return Err(unknown);
    };
    let (exit, why) = unknown;
    match cache::load(file, path, now, args.cache_max_age) {
        Ok((view, age)) => {
            let value = judge(args, path, &view, notes).map_err(|few| (exit, format!("{why}; in the cache, {few}")))?;
            notes.push(format!("stale, {} s old, from {}: {why}", age.as_secs(), file.display()));
            Ok((value, Source::Stale))
        }
        Err(unusable) => Err((exit, format!("{why}; {unusable}"))),
    }
}

/// The first `max` members of a view by name, or the reason why there are too few.
fn judge(args: &GetArgs, path: &Wanted, view: &View, notes: &mut Vec<String>) -> Result<RosterValue, String> {
    match view {
        View::Members(seen) => seats(args, &path.text, seen, notes).map(RosterValue::List),
        View::Keyed(Seen::Present(keys)) => {
            let mut map = BTreeMap::new();
            for (key, seen) in keys {
                let place = path.subject.members_of(key);
                if key.chars().any(is_breaking) {
                    notes.push(format!("left out: {place}: its name contains a control character or a line break"));
                    continue;
                }
                if is_no_key(args, seen) {
                    continue;
                }
                match seats(args, place.as_str(), seen, notes) {
                    Ok(seats) => {
                        map.insert(Arc::clone(key), seats);
                    }
                    Err(few) => notes.push(format!("left out: {few}")),
                }
            }
            if map.is_empty() && args.min > 0 {
                return Err(Reason::NoKeys { min: args.min, absent: false }.describe(&path.text));
            }
            Ok(RosterValue::Map(map))
        }
        View::Keyed(_) | View::Node(_) | View::Mapped { .. } if args.min == 0 => Ok(RosterValue::Map(BTreeMap::new())),
        View::Keyed(_) | View::Node(_) | View::Mapped { .. } => {
            Err(Reason::NoKeys { min: args.min, absent: true }.describe(&path.text))
        }
    }
}

/// Whether none of the children of a name below the `*` is a member.
fn is_no_key(args: &GetArgs, seen: &Seen<Members>) -> bool {
    let Seen::Present(members) = seen else { return false };
    DecodedChildren::read(&args.payload(), None, members, None).has_only_non_members()
}

fn seats(args: &GetArgs, place: &str, seen: &Seen<Members>, notes: &mut Vec<String>) -> Result<SlottedMembers, String> {
    let few = |have, quarantined, not_members, absent| {
        Reason::BelowMin { have, min: args.min, quarantined, not_members, filtered: 0, absent }.describe(&place)
    };
    let members = match seen {
        Seen::Present(members) => members,
        // The members are unknown, which is an error even with `--min 0`.
        Seen::Unreadable(why) => return Err(format!("{place} cannot be read: {why}")),
        Seen::Absent if args.min == 0 => return Ok(Arc::from([])),
        Seen::Absent => return Err(few(0, 0, 0, true)),
    };
    let children = DecodedChildren::read(&args.payload(), None, members, None);
    let (valid, left_out) = (children.members(), children.quarantined());
    notes.extend(left_out.iter().map(|(name, why)| format!("left out: {place}/{name}: {why}")));
    if valid.len() < args.min {
        return Err(few(valid.len(), left_out.len(), children.not_members().len(), false));
    }
    let max = args.max.map_or(usize::MAX, std::num::NonZeroUsize::get);
    // The members are sorted bytewise by name. Without a history, the slots are consecutive.
    let seated = |(slot, member)| SlottedMember { member: Arc::clone(member), slot };
    Ok((0..).zip(valid.values().take(max)).map(seated).collect())
}

/// The nodes of a group without those that are left out; `None` if there are too few to be cached.
fn valid_of(args: &GetArgs, members: &Members) -> Option<Members> {
    let children = DecodedChildren::read(&args.payload(), None, members, None);
    let found = children.members().len();
    let fit = || members.iter().filter(|(name, _)| children.contains(name));
    (found > 0 && found >= args.min).then(|| fit().map(|(name, reading)| (Arc::clone(name), reading.clone())).collect())
}

/// Formats the answers. Several paths are an object by path, except in the format `lines`, where they are concatenated.
fn written(format: Output, good: &[Good<'_>]) -> String {
    if format == Output::Lines {
        return good.iter().map(|one| lines(&one.value)).collect();
    }
    let value = match good {
        [one] => value(format, one),
        several => Value::Object(several.iter().map(|one| (one.path.text.clone(), value(format, one))).collect()),
    };
    if format == Output::Yaml {
        // Strings, lists and maps can always be written as YAML.
        return crate::text::yaml::to_string(&value).unwrap_or_default();
    }
    format!("{value}\n")
}

fn lines(value: &RosterValue) -> String {
    let mut out = String::new();
    match value {
        RosterValue::List(seats) => {
            for seat in seats.iter() {
                out.extend([seat.member.name(), "\n"]);
            }
        }
        RosterValue::Map(map) => {
            for (key, seats) in map {
                for seat in seats.iter() {
                    out.extend([key, "\t", seat.member.name(), "\n"]);
                }
            }
        }
    }
    out
}

fn value(format: Output, good: &Good<'_>) -> Value {
    let list = |seats: &SlottedMembers| -> Value {
        let one = |seat: &SlottedMember| match format {
            Output::Members => {
                let mut member = to_json(seat);
                member["stale"] = Value::from(good.is_stale);
                member
            }
            _ => Value::from(seat.member.name()),
        };
        seats.iter().map(one).collect()
    };
    match &good.value {
        RosterValue::List(seats) => list(seats),
        RosterValue::Map(map) => Value::Object(map.iter().map(|(key, seats)| (key.to_string(), list(seats))).collect()),
    }
}
