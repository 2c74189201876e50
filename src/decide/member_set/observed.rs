//! What a registry shows of one path, decoded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::RosterConfig;
use crate::decide::dedup::{ByName, distinct};
use crate::decide::size::{Excess, Size};
use crate::model::filter::Filter;
use crate::model::member::Member;
use crate::model::registry_event::{Members, Reading, Seen};
use crate::payload::{DecodedChildren, Difference, Format};

/// What the registry shows now.
#[derive(Debug, Clone, PartialEq)]
pub enum Observed {
    /// Nothing yet. Everything known is saved state.
    Unseen,
    /// The path does not exist.
    Absent,
    /// The path exists, but cannot be read.
    Unreadable(Arc<str>),
    /// The path has these nodes.
    Present(Box<FilteredMembers>),
}

impl Observed {
    /// Decodes a view by the configured format, or by the one that `auto` has chosen.
    pub fn read(
        key: &str,
        seen: &Seen<Members>,
        config: &RosterConfig,
        chosen: Option<&Format>,
        before: Option<&DecodedChildren>,
    ) -> Self {
        match seen {
            Seen::Absent => Self::Absent,
            Seen::Unreadable(why) => Self::Unreadable(Arc::clone(why)),
            Seen::Present(nodes) => {
                let children = DecodedChildren::read(&config.payload, chosen, nodes, before);
                let filtered = FilteredMembers::new(children, Size::from_nodes(nodes), KeyFilter::new(config, key));
                Self::Present(Box::new(filtered))
            }
        }
    }

    /// The nodes, if the path could be read.
    pub fn filtered(&self) -> Option<&FilteredMembers> {
        match self {
            Self::Present(filtered) => Some(filtered),
            Self::Unseen | Self::Absent | Self::Unreadable(_) => None,
        }
    }

    /// The decoded nodes, if the path could be read.
    pub fn children(&self) -> Option<&DecodedChildren> {
        self.filtered().map(|filtered| &filtered.children)
    }

    /// The members that count towards the bounds, if the path could be read.
    pub fn members(&self) -> Option<Cow<'_, ByName>> {
        self.filtered().map(FilteredMembers::members)
    }
}

/// The `where` of a roster, for the members of one key.
#[derive(Debug, Clone, Copy)]
pub struct KeyFilter<'a> {
    filter: &'a Filter,
    key: &'a str,
}

impl<'a> KeyFilter<'a> {
    /// `None` if the roster has no `where`.
    pub fn new(config: &'a RosterConfig, key: &'a str) -> Option<Self> {
        config.filter.as_ref().map(|filter| Self { filter, key })
    }

    fn matches(self, member: &Member) -> Result<bool, String> {
        self.filter.matches(self.key, member)
    }
}

/// The nodes of a path, and the members that `where` excludes.
#[derive(Debug, Clone, PartialEq)]
pub struct FilteredMembers {
    children: DecodedChildren,
    /// With the error if `where` could not be evaluated.
    excluded: BTreeMap<Arc<str>, Option<String>>,
    /// The size of all nodes.
    size: Size,
}

impl FilteredMembers {
    fn new(children: DecodedChildren, size: Size, filter: Option<KeyFilter<'_>>) -> Self {
        let mut filtered = Self { children, excluded: BTreeMap::new(), size };
        filtered.apply_filter(filter);
        filtered
    }

    /// A node was added or changed. Returns whether the members differ.
    pub fn put(&mut self, name: &Arc<str>, reading: &Reading, filter: Option<KeyFilter<'_>>) -> bool {
        let before = self.size.excess();
        self.size.put(name, reading);
        let difference = self.children.put(name, reading);
        self.apply(name, difference, filter) || before != self.size.excess()
    }

    /// A node was removed. Returns whether the members differ.
    pub fn remove(&mut self, name: &Arc<str>, filter: Option<KeyFilter<'_>>) -> bool {
        let before = self.size.excess();
        self.size.remove(name);
        let difference = self.children.remove(name);
        self.apply(name, difference, filter) || before != self.size.excess()
    }

    fn apply(&mut self, name: &Arc<str>, difference: Difference, filter: Option<KeyFilter<'_>>) -> bool {
        match difference {
            Difference::None => false,
            Difference::Node => {
                let before = self.excluded.remove(name);
                self.apply_filter_to(name, filter);
                before.is_none() || before.as_ref() != self.excluded.get(name)
            }
            Difference::All => {
                self.apply_filter(filter);
                true
            }
        }
    }

    fn apply_filter(&mut self, filter: Option<KeyFilter<'_>>) {
        self.excluded.clear();
        if filter.is_some() {
            let names: Vec<Arc<str>> = self.children.members().keys().cloned().collect();
            for name in &names {
                self.apply_filter_to(name, filter);
            }
        }
    }

    fn apply_filter_to(&mut self, name: &Arc<str>, filter: Option<KeyFilter<'_>>) {
        let (Some(filter), Some(member)) = (filter, self.children.members().get(name)) else {
            return;
        };
        let why = match filter.matches(member) {
            Ok(true) => return,
            Ok(false) => None,
            Err(why) => Some(why),
        };
        self.excluded.insert(Arc::clone(name), why);
    }

    /// The size limit that the path exceeds, if any.
    pub fn excess(&self) -> Option<Excess> {
        self.size.excess()
    }

    /// The decoded nodes.
    pub fn children(&self) -> &DecodedChildren {
        &self.children
    }

    /// The members that `where` excludes, with the error if it could not be evaluated.
    pub fn excluded(&self) -> &BTreeMap<Arc<str>, Option<String>> {
        &self.excluded
    }

    /// The members that `where` includes, with duplicates.
    pub fn taken(&self) -> Cow<'_, ByName> {
        let all = self.children.members();
        if self.excluded.is_empty() {
            return Cow::Borrowed(all);
        }
        let taken = all.iter().filter(|(name, _)| !self.excluded.contains_key(*name));
        Cow::Owned(taken.map(|(name, member)| (Arc::clone(name), Arc::clone(member))).collect())
    }

    /// The members that count towards the bounds: included by `where`, without duplicates.
    pub fn members(&self) -> Cow<'_, ByName> {
        distinct(self.taken())
    }
}
