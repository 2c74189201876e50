//! Filling the report of a roster.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Roster, Top};
use crate::decide::accept::Withheld;
use crate::decide::hold::{Hold, Reason};
use crate::decide::member_set::MemberSet;
use crate::decide::publication::RosterValue;
use crate::decide::report::{HoldReport, RosterReport};
use crate::model::member::Quarantine;
use crate::model::node_path::NodePath;
use crate::payload::Payload;

impl Roster {
    /// What is known of it. `host` is this host's name, for `pick = "spread"`.
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
            in_registry: matches!(self.top, Top::Absent | Top::Present).then_some(0),
            freshness: self.freshness,
            reached: self.reached,
            held: self.is_held(),
            holds: self.hold.iter().chain(self.departed.hold()).map(whole).collect(),
            settles: self.settles().filter(|_| self.reached),
            formats: BTreeMap::new(),
            filtered: Vec::new(),
            duplicates: Vec::new(),
            quarantined: Vec::new(),
            withheld: kept_keys.iter().map(|key| (Arc::clone(key), None)).collect(),
            kept_keys,
        };
        for (key, muster) in &self.musters {
            let path = self.config.subject.members_of(key);
            self.report_path(muster, &path, &mut report);
            if let Some(hold) = muster.hold() {
                let (good, withheld) = (muster.good(), muster.withheld(&self.config));
                let outcome = |it: &Withheld| it.outcome(good.map_or(&[], |good| &good[..]), &self.config, host);
                report.holds.push(HoldReport {
                    path: path.to_string(),
                    hold: hold.clone(),
                    kept: good.map(|good| good.len()),
                    acceptable: withheld.is_some(),
                    change: withheld.as_ref().map(outcome),
                });
                report.withheld.extend(withheld.map(|withheld| (Arc::clone(key), Some(withheld))));
            }
        }
        let control = || Quarantine::Control { place: "its name".to_owned() };
        let unfit = self.unfit_keys.keys().map(|key| (self.config.subject.members_of(key), control()));
        report.quarantined.extend(unfit);
        report
    }

    /// Adds what the nodes of one path are read as.
    fn report_path(&self, muster: &MemberSet, path: &NodePath, report: &mut RosterReport) {
        let format = match &self.config.payload {
            Payload::As(format) => Some(format),
            Payload::Auto => muster.chosen(),
        };
        if let Some(format) = format {
            report.formats.entry(format.clone()).or_default().push(path.clone());
        }
        if let Some((count, duplicates)) = muster.seen() {
            report.in_registry = report.in_registry.map(|so_far| so_far + count);
            report.duplicates.extend(duplicates.into_iter().map(|(name, first)| (path.child(&name), first)));
        }
        report.filtered.extend(muster.apart().map(|(name, why)| (path.child(name), why.map(str::to_owned))));
        report.quarantined.extend(muster.unfit().map(|(name, why)| (path.child(name), why.clone())));
    }
}
