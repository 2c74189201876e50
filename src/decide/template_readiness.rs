//! Whether a template can be rendered with the current views.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::key::Key;
use super::roster::Roster;
use super::template::Template;
use super::{Engine, Moment};

/// Whether a template and all others of its unit can be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// The registries of these rosters and keys have not answered. With each, the age of its members, if known.
    Unreached(BTreeMap<Arc<str>, Option<Duration>>),
    /// Changes have arrived and are not evaluated yet.
    Settling,
    /// The registries have answered, but these rosters and keys never had a known-good view.
    Held(BTreeSet<Arc<str>>),
    /// Everything that it needs is known.
    Ready,
}

/// Whether a template can be rendered. `uses_saved` says whether saved members of a registry, of this age, can be used
/// while the registry is not reached.
pub fn readiness(
    engine: &Engine,
    template: &Template,
    now: Moment,
    uses_saved: impl Fn(&Arc<str>, Option<Duration>) -> bool,
) -> Readiness {
    let (mut is_settling, mut held) = (false, BTreeSet::new());
    // A file that is to be removed needs nothing.
    for peer in engine.unit_templates(template).filter(|peer| !peer.is_removing()) {
        let mut unreached = BTreeMap::new();
        for roster in rosters(engine, peer).chain(each_roster(engine, peer)) {
            let (config, is_reached, age) = (roster.config(), roster.is_reached(), roster.age(now));
            if !(is_reached || roster.value().is_some() && uses_saved(&config.registry, age)) {
                unreached.insert(Arc::clone(&config.name), age);
            }
            is_settling |= is_reached && roster.settles().is_some();
            held.extend(roster.value().is_none().then(|| Arc::clone(&config.name)));
        }
        for key in keys(engine, peer) {
            let (config, age) = (key.config(), key.age(now));
            let is_reached = key.is_seen() && engine.is_reached(&config.registry);
            if !(is_reached || key.value().is_some() && uses_saved(&config.registry, age)) {
                unreached.insert(Arc::clone(&config.name), age);
            }
            held.extend(key.value().is_none().then(|| Arc::clone(&config.name)));
        }
        if !unreached.is_empty() {
            return Readiness::Unreached(unreached);
        }
    }
    match held.is_empty() {
        _ if is_settling => Readiness::Settling,
        true => Readiness::Ready,
        false => Readiness::Held(held),
    }
}

/// Whether a template is rendered with other members or data than its registries have.
pub fn is_held(engine: &Engine, template: &Template) -> bool {
    let key = template.plan().config.file_of().map(|(_, key)| key);
    let is_each_held = |roster: &Roster| key.map_or(roster.is_held(), |key| roster.is_key_held(key));
    each_roster(engine, template).is_some_and(is_each_held)
        || rosters(engine, template).any(Roster::is_held)
        || keys(engine, template).any(|key| key.hold().is_some())
}

/// The rosters that a template names.
pub fn rosters<'a>(engine: &'a Engine, template: &'a Template) -> impl Iterator<Item = &'a Roster> {
    let needs = &template.plan().needs;
    let all = needs.all.then(|| engine.rosters().values()).into_iter().flatten();
    needs.names.iter().filter_map(|name| engine.rosters().get(name)).chain(all)
}

/// The roster of a template's `each`.
fn each_roster<'a>(engine: &'a Engine, template: &'a Template) -> Option<&'a Roster> {
    engine.rosters().get(&template.plan().config.each.as_ref()?.roster)
}

/// The keys that a template names.
pub fn keys<'a>(engine: &'a Engine, template: &'a Template) -> impl Iterator<Item = &'a Key> {
    template.plan().needs.names.iter().filter_map(|name| engine.keys().get(name))
}
