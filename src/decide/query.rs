//! What a pass depends on: whether a template's members are there, and whether they are what the registry shows.

use std::sync::Arc;
use std::time::Duration;

use crate::decide::key::Key;
use crate::decide::roster::Roster;
use crate::decide::template::Template;
use crate::decide::{Engine, Moment};

/// Why a template is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// The registry has not answered yet.
    Unseen,
    /// It has, and the roster holds without a last good view.
    Held,
}

/// Whether something that a template needs, or another of its unit, is lacking for this reason.
pub fn lacks(engine: &Engine, template: &Template, lack: Lack) -> bool {
    let mut missing = engine.mates(template).flat_map(|mate| mate.missing(engine.rosters(), engine.keys()));
    missing.any(|name| {
        let roster = engine.rosters().get(&name).map(Roster::is_seen);
        let key = engine.keys().get(&name).map(Key::is_seen);
        let seen = roster.or(key).unwrap_or_default();
        (if seen { Lack::Held } else { Lack::Unseen }) == lack
    })
}

/// Whether it could not be rendered, or was rendered with something else than the registry shows.
pub fn is_held(engine: &Engine, template: &Template) -> bool {
    let mut rosters = engine.rosters().iter();
    let mut keys = engine.keys().iter();
    lacks(engine, template, Lack::Held)
        || engine.is_each_held(template)
        || rosters.any(|(name, roster)| template.needs(name, true) && roster.is_held())
        || keys.any(|(name, key)| template.needs(name, false) && key.hold().is_some())
}

/// Whether changes of something that it needs, or another of its unit, have been seen and not judged yet.
pub fn is_settling(engine: &Engine, template: &Template) -> bool {
    let settling = |roster: &Roster| roster.is_reached() && roster.settles().is_some();
    let leans_on = |name| engine.mates(template).any(|mate| mate.leans_on(name, true));
    engine.rosters().iter().any(|(name, roster)| settling(roster) && leans_on(name))
}

/// Whether something that it needs, or another of its unit, is not known from its registry now, and may not stand in for that: only what was
/// last good at most `max_stale` ago may, of a registry that is known to be away.
pub fn is_stale(engine: &Engine, template: &Template, now: Moment, max_stale: Option<Duration>) -> bool {
    let stands_in = |registry: &Arc<str>, age: Option<Duration>| {
        engine.away().contains_key(registry) && age.zip(max_stale).is_some_and(|(age, max)| age <= max)
    };
    let roster = |it: &Roster| {
        let known = it.is_reached() || (it.value().is_some() && stands_in(&it.config().registry, it.age(now)));
        !known
    };
    let key = |it: &Key| {
        let registry = &it.config().registry;
        let known = engine.is_reached(registry) || (it.value().is_some() && stands_in(registry, it.age(now)));
        !known
    };
    let leans_on = |name| engine.mates(template).any(|mate| mate.leans_on(name, true));
    let needs = |name| engine.mates(template).any(|mate| mate.needs(name, false));
    engine.rosters().iter().any(|(name, it)| roster(it) && leans_on(name))
        || engine.keys().iter().any(|(name, it)| key(it) && needs(name))
}
