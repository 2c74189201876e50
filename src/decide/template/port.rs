//! The members without a port in the file of a template that reads it. They stay members: what the file shows of them is
//! the template's decision, and many leave them out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Event, MemberRef, SlottedMembers, Snapshot, Template};
use crate::decide::hold::plural;
use crate::decide::isolate::lists;
use crate::decide::publication::SlottedMember;

/// The most names in an event.
const NAMED: usize = 10;

impl Template {
    /// The members in its file without a port, which it reads.
    pub fn without_port(&self) -> &[MemberRef] {
        &self.without_port
    }

    /// Finds them in a snapshot. They are logged if they differ from the last ones.
    pub fn find_members_without_port(&mut self, snapshot: &Snapshot, events: &mut Vec<Event>) {
        if !self.plan.needs.reads_port {
            self.without_port.clear();
            return;
        }
        let found = members_without_port(snapshot, self.each());
        if found == self.without_port {
            return;
        }
        self.without_port = found;
        let mut by_roster: BTreeMap<_, Vec<&MemberRef>> = BTreeMap::new();
        for it in &self.without_port {
            by_roster.entry(&it.roster).or_default().push(it);
        }
        for (roster, all) in by_roster {
            let names: Vec<&str> = all.iter().take(NAMED).map(|it| &*it.member).collect();
            let more = if all.len() > NAMED { format!(" and {} more", all.len() - NAMED) } else { String::new() };
            let has = if all.len() == 1 { "has" } else { "have" };
            let reason = format!("{} {has} no port: {}{more}", plural(all.len(), "member"), names.join(", "));
            let (template, roster, members) = (Arc::clone(&self.plan.config.name), Arc::clone(roster), all.len());
            events.push(Event::MembersWithoutPort { template, roster, members, reason });
        }
    }
}

/// A list without any port does not need them if another list of the same file has some: the template reads those.
fn members_without_port(snapshot: &Snapshot, each: Option<&Arc<str>>) -> Vec<MemberRef> {
    let has_port = |it: &SlottedMember| it.member.fields().port.is_some();
    let has_any = |slotted: &&SlottedMembers| slotted.iter().any(has_port);
    let lists = lists(snapshot, each);
    let is_any = lists.values().any(has_any);
    let mut all = Vec::new();
    for ((roster, key), slotted) in lists.iter().filter(|(_, slotted)| !is_any || has_any(slotted)) {
        all.extend(slotted.iter().filter(|it| !has_port(it)).map(|it| MemberRef {
            roster: Arc::clone(roster),
            key: key.clone(),
            member: Arc::from(it.member.name()),
        }));
    }
    all
}
