//! Fills the report of a roster.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ParentState, Roster};
use crate::decide::accept::HeldMembers;
use crate::decide::hold::{Hold, Reason};
use crate::decide::member_set::MemberSet;
use crate::decide::publication::RosterValue;
use crate::decide::report::{HoldReport, RosterReport};
use crate::model::node_path::NodePath;
use crate::model::quarantine::Quarantine;

impl Roster {
    /// The state of the roster. `host` is this host's name, for `pick = "spread"`.
    pub fn report(&self, host: &str) -> RosterReport {
        let kept_keys = self.held_keys();
        let whole = |hold: &Hold| HoldReport {
            path: self.config.subject.to_string(),
            kept: match hold.reason {
                Reason::KeysGone { from, .. } => Some(from),
                _ => self.value.as_ref().map(RosterValue::count),
            },
            acceptable: hold.reason.is_acceptable(),
            hold: hold.clone(),
            change: None,
        };
        let mut report = RosterReport {
            config: Arc::clone(&self.config),
            value: self.value.clone(),
            in_registry: matches!(self.parent, ParentState::Absent | ParentState::Present).then_some(0),
            freshness: self.freshness,
            reached: self.reached,
            held: self.is_held(),
            holds: self.hold.iter().chain(self.removed_keys.hold()).map(whole).collect(),
            settles: self.settles().filter(|_| self.reached),
            formats: BTreeMap::new(),
            filtered: Vec::new(),
            duplicates: Vec::new(),
            quarantined: Vec::new(),
            data_errors: Vec::new(),
            not_members: Vec::new(),
            held_members: kept_keys.iter().map(|key| (Arc::clone(key), None)).collect(),
            kept_keys,
        };
        for (key, members) in &self.member_sets {
            let path = self.config.subject.members_of(key);
            self.report_path(members, &path, &mut report);
            if let Some(hold) = members.hold() {
                let (good, held_members) = (members.good(), members.held_members(&self.config));
                let outcome = |it: &HeldMembers| it.outcome(good.map_or(&[], |good| &good[..]), &self.config, host);
                report.holds.push(HoldReport {
                    path: path.to_string(),
                    hold: hold.clone(),
                    kept: good.map(|good| good.len()),
                    acceptable: held_members.is_some(),
                    change: held_members.as_ref().map(outcome),
                });
                report.held_members.extend(held_members.map(|held_members| (Arc::clone(key), Some(held_members))));
            }
        }
        let control = || Quarantine::Control { place: "its name".to_owned() };
        let unfit = self.invalid_keys.keys().map(|key| (self.config.subject.members_of(key), control()));
        report.quarantined.extend(unfit);
        report
    }

    /// Adds the nodes of one path.
    fn report_path(&self, members: &MemberSet, path: &NodePath, report: &mut RosterReport) {
        if let Some(format) = self.config.payload.format.as_ref().or(members.chosen()) {
            report.formats.entry(format.clone()).or_default().push(path.clone());
        }
        if let Some((count, duplicates)) = members.counts() {
            report.in_registry = report.in_registry.map(|so_far| so_far + count);
            report.duplicates.extend(duplicates.into_iter().map(|(name, first)| (path.child(&name), first)));
        }
        report.filtered.extend(members.excluded().map(|(name, why)| (path.child(name), why.map(str::to_owned))));
        report.quarantined.extend(members.quarantined().map(|(name, why)| (path.child(name), why.clone())));
        report.data_errors.extend(members.data_errors().map(|(name, why)| (path.child(name), why)));
        report.not_members.extend(members.not_members().map(|(name, why)| (path.child(name), why)));
    }
}
