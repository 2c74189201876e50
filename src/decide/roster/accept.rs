//! What a roster tells a person, and what a person may let through.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::accept::{Acceptance, Shown, Withheld};
use super::super::hold::Hold;
use super::super::member::Quarantine;
use super::super::moment::Moment;
use super::super::publication::Seats;
use super::Roster;
use crate::node::NodePath;
use crate::payload::{Format, Payload};

/// The hold of one path of a roster.
#[derive(Debug)]
pub struct Held<'a> {
    /// The path.
    pub path: NodePath,
    /// Why, and since when.
    pub hold: &'a Hold,
    /// The last good members, which stand in.
    pub good: Option<&'a Seats>,
    /// What is kept back, where a person may let it through.
    pub withheld: Option<Withheld>,
}

impl Roster {
    /// The holds of its paths, each with what it keeps back.
    pub fn held(&self) -> impl Iterator<Item = Held<'_>> {
        self.musters.iter().filter_map(|(key, muster)| {
            Some(Held {
                path: self.config.subject.members_of(key),
                hold: muster.hold()?,
                good: muster.good(),
                withheld: muster.withheld(&self.config),
            })
        })
    }

    /// All that is kept back and may be let through.
    pub fn shown(&self) -> Shown {
        let withheld = self.musters.iter().map(|(key, muster)| (key, muster.withheld(&self.config)));
        let keys = self.held_keys().into_iter().map(|key| (key, None));
        withheld.filter_map(|(key, withheld)| Some((Arc::clone(key), Some(withheld?)))).chain(keys).collect()
    }

    /// Whether all that it keeps back may be let through, when this is what a person was shown of it.
    pub fn acceptance(&self, shown: Option<&Shown>) -> Acceptance {
        let Some((path, hold)) = self.holds().into_iter().next().filter(|_| self.is_held()) else {
            return Acceptance::NotHeld;
        };
        let present = self.shown();
        let why = if !self.reached {
            "what it keeps back may be out of date, because its registry is not reached".to_owned()
        } else if present.is_empty() {
            format!("{}, and nobody can let that through", hold.reason.describe(&path))
        } else {
            match shown {
                None => "nobody was shown yet what it keeps back".to_owned(),
                Some(shown) if *shown != present => "what it keeps back is no longer what was shown last".to_owned(),
                Some(_) => return Acceptance::AsShown,
            }
        };
        Acceptance::Refused(why)
    }

    /// When the changes that were seen last are judged; `None` when there are none.
    pub fn settles(&self) -> Option<Moment> {
        self.unsettled.iter().filter_map(|key| self.musters.get(key)?.settles(&self.config)).min()
    }

    /// Whether its registry is reached and has said something of it since: what is known may be judged.
    pub fn is_reached(&self) -> bool {
        self.reached
    }

    /// What each path is read by, where that is known: the configuration's word, or what `auto` has chosen.
    pub fn formats(&self) -> BTreeMap<Format, Vec<NodePath>> {
        let mut formats: BTreeMap<Format, Vec<NodePath>> = BTreeMap::new();
        for (key, muster) in &self.musters {
            let format = match &self.config.payload {
                Payload::As(format) => Some(format),
                Payload::Auto => muster.chosen(),
            };
            if let Some(format) = format {
                formats.entry(format.clone()).or_default().push(self.config.subject.members_of(key));
            }
        }
        formats
    }

    /// The nodes that `where` leaves out, with the reason where it cannot be asked of them.
    pub fn apart(&self) -> impl Iterator<Item = (NodePath, Option<&str>)> {
        self.musters.iter().flat_map(|(key, muster)| {
            let path = self.config.subject.members_of(key);
            muster.apart().map(move |(name, why)| (path.child(name), why))
        })
    }

    /// The nodes that name the same host and port as another, each with the one that stands for it.
    pub fn doubles(&self) -> impl Iterator<Item = (NodePath, Arc<str>)> {
        self.musters.iter().flat_map(|(key, muster)| {
            let path = self.config.subject.members_of(key);
            muster.doubles().into_iter().map(move |(name, first)| (path.child(&name), first))
        })
    }

    /// What is left out as unfit, with the reason: members, and keys for their names.
    pub fn unfit(&self) -> impl Iterator<Item = (NodePath, Quarantine)> {
        let members = self.musters.iter().flat_map(|(key, muster)| {
            let path = self.config.subject.members_of(key);
            muster.unfit().map(move |(name, why)| (path.child(name), why.clone()))
        });
        let key = |key: &Arc<str>| {
            (self.config.subject.members_of(key), Quarantine::Control { place: "its name".to_owned() })
        };
        members.chain(self.unfit_keys.keys().map(key))
    }
}
