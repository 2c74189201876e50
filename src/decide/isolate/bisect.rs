//! The search for members at fault. Each probe renders the file without some of them, and checks it.
//!
//! It assumes that a file that fails with some members also fails with them and others. Members that pass stay in,
//! and a part that is refused is halved, until each refused member has been checked alone with all that pass. For k of
//! n members that takes about k·log₂(n) probes, and never more than twice as many.
//!
//! A search uses the members at its start, so that constant changes cannot prevent its end. Later changes wait for the
//! next publication.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::member_ref::{ListRef, MemberRef, lists, over_limit, without};
use super::{IsolatedMember, IsolatedMembers};
use crate::decide::publication::{Failure, SlottedMember, Snapshot};

/// The maximum number of probes in one search.
pub const MAX_PROBES: u32 = 200;

/// The maximum number of parts, if nothing passes without the candidates.
const MAX_PARTS: usize = 8;

/// Members that can be at fault.
#[derive(Debug, Clone, Default)]
struct Candidates {
    members: Vec<(MemberRef, SlottedMember)>,
    /// At least one of them is known to be refused.
    refused: bool,
    /// The other half is next on the stack, and at least one member of both halves is known to be refused.
    is_half: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Probe without any candidate.
    Without,
    /// A list is empty without candidates, and the file can fail for that alone. Probe with a part of them.
    Part { of: usize, number: usize },
    /// Halve what is refused, and keep what passes.
    Halve,
    /// No member is at fault.
    Done,
}

/// The next step of a search.
#[derive(Debug, Clone)]
pub enum BisectStep {
    /// Render and check this snapshot.
    Probe(Snapshot),
    /// These members are refused.
    Found(IsolatedMembers),
    /// No member is left out, with the reason unless it is that no member is at fault.
    NotFound(Option<String>),
}

/// A search in progress.
#[derive(Debug, Clone)]
pub struct Bisection {
    full: Snapshot,
    each: Option<Arc<str>>,
    /// The members that were left out before.
    known: IsolatedMembers,
    phase: Phase,
    /// The candidates that are not in the current probe.
    stack: Vec<Candidates>,
    /// The candidates that the current probe is about.
    probing: Candidates,
    found: IsolatedMembers,
    probes: u32,
}

impl Bisection {
    /// Starts a search. The candidates are the members that are not left out and were not in `passed` unchanged.
    /// Returns `None` if there are none.
    pub fn new(
        full: Snapshot,
        each: Option<&Arc<str>>,
        known: &IsolatedMembers,
        passed: Option<&Snapshot>,
    ) -> Option<Self> {
        // Changed members are candidates, and members that are gone are not left out.
        let present = lists(&full, each);
        let known = known.iter().filter(|(member_ref, out)| member_ref.find(&present) == Some(&out.member));
        let known = known.map(|(member_ref, out)| (member_ref.clone(), out.clone())).collect();
        let mut search = Self {
            full,
            each: each.cloned(),
            known,
            phase: Phase::Without,
            stack: Vec::new(),
            probing: Candidates::default(),
            found: IsolatedMembers::new(),
            probes: 0,
        };
        let members = search.candidates(passed);
        let some = !members.is_empty();
        search.stack.push(Candidates { members, ..Candidates::default() });
        some.then_some(search)
    }

    /// The snapshot that is searched.
    pub fn full(&self) -> &Snapshot {
        &self.full
    }

    /// The members that are not in `passed` and not left out.
    fn candidates(&self, passed: Option<&Snapshot>) -> Vec<(MemberRef, SlottedMember)> {
        let passed = passed.map(|passed| lists(passed, self.each.as_ref())).unwrap_or_default();
        let mut all = Vec::new();
        for (place, slotted) in lists(&self.full, self.each.as_ref()) {
            let good: BTreeMap<&str, &SlottedMember> = passed
                .get(&place)
                .into_iter()
                .flat_map(|slotted| slotted.iter())
                .map(|it| (it.member.name(), it))
                .collect();
            for entry in slotted.iter().filter(|entry| good.get(entry.member.name()) != Some(entry)) {
                let (roster, key) = place.clone();
                let member_ref = MemberRef { roster, key, member: Arc::from(entry.member.name()) };
                if !self.known.contains_key(&member_ref) {
                    all.push((member_ref, entry.clone()));
                }
            }
        }
        all
    }

    /// The next step. `min` gives the minimum of a roster.
    pub fn next(&mut self, min: impl Fn(&str) -> usize) -> BisectStep {
        let out = self.known.keys().chain(self.found.keys());
        if let Some(over) = over_limit(&lists(&self.full, self.each.as_ref()), out, min).first() {
            return BisectStep::NotFound(Some(over.to_string()));
        }
        if self.probes >= MAX_PROBES {
            return BisectStep::NotFound(Some(format!(
                "no member is left out: {MAX_PROBES} attempts did not find the members at fault"
            )));
        }
        match self.phase {
            Phase::Done => return BisectStep::NotFound(None),
            Phase::Without => {}
            Phase::Part { of, number } => self.take_part(of, number),
            Phase::Halve => {
                if !self.take_half() {
                    return BisectStep::Found(std::mem::take(&mut self.found));
                }
            }
        }
        self.probes += 1;
        BisectStep::Probe(self.probe())
    }

    /// What has passed, with the candidates in question.
    fn probe(&self) -> Snapshot {
        let candidates =
            self.stack.iter().flat_map(|candidates| candidates.members.iter().map(|(member_ref, _)| member_ref));
        let gone = candidates.chain(self.known.keys()).chain(self.found.keys()).collect();
        without(&self.full, self.each.as_ref(), &gone)
    }

    /// Selects every `of`-th member of each list.
    fn take_part(&mut self, of: usize, number: usize) {
        let all = self.stack.pop().unwrap_or_default().members;
        let lengths = lengths(&all);
        let mut seen: BTreeMap<ListRef, usize> = BTreeMap::new();
        let (probing, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(member_ref, _)| {
            let place = member_ref.place();
            // A short list has a member in each part.
            let of = of.min(lengths.get(&place).copied().unwrap_or(1)).max(1);
            let index = seen.entry(place).or_default();
            let is_in = *index % of == number % of;
            *index += 1;
            is_in
        });
        self.probing = Candidates { members: probing, ..Candidates::default() };
        self.stack.push(Candidates { members: rest, ..Candidates::default() });
    }

    /// Selects the next candidates. Returns false if there are none.
    fn take_half(&mut self) -> bool {
        while let Some(mut next) = self.stack.pop() {
            if next.members.is_empty() {
                continue;
            }
            next.is_half = false;
            // A single member is checked even if it is known to be refused: for the output of the check, and to be
            // sure.
            if next.refused && next.members.len() > 1 {
                let other = next.members.split_off(next.members.len() / 2);
                self.stack.push(Candidates { members: other, ..Candidates::default() });
                next = Candidates { is_half: true, refused: false, ..next };
            }
            self.probing = next;
            return true;
        }
        false
    }

    /// The probe passed.
    pub fn passed(&mut self) {
        let probing = std::mem::take(&mut self.probing);
        match self.phase {
            Phase::Halve if probing.is_half => self.stack.last_mut().into_iter().for_each(|other| other.refused = true),
            Phase::Halve | Phase::Done => {}
            Phase::Without | Phase::Part { .. } => {
                self.stack.iter_mut().for_each(|rest| rest.refused = true);
                self.phase = Phase::Halve;
            }
        }
    }

    /// The probe failed, as did the snapshot at the start.
    pub fn refused(&mut self, failure: Failure) {
        let mut probing = std::mem::take(&mut self.probing);
        match self.phase {
            Phase::Without => {
                let is_part = self.empties_a_list() && self.max_parts() > 1;
                self.phase = if is_part { Phase::Part { of: 2, number: 0 } } else { Phase::Done };
            }
            Phase::Part { of, number } => {
                let all = self.stack.iter_mut().flat_map(|rest| std::mem::take(&mut rest.members));
                let mut members: Vec<_> = all.chain(probing.members).collect();
                members.sort_by(|(a, _), (b, _)| a.cmp(b));
                self.stack = vec![Candidates { members, ..Candidates::default() }];
                self.phase = match () {
                    () if number + 1 < of => Phase::Part { of, number: number + 1 },
                    () if of < self.max_parts() => Phase::Part { of: of * 2, number: 0 },
                    () => Phase::Done,
                };
            }
            Phase::Halve => match probing.members.pop() {
                Some((member_ref, entry)) if probing.members.is_empty() => {
                    self.found.insert(member_ref, IsolatedMember::new(entry, failure));
                }
                last => {
                    probing.members.extend(last);
                    self.stack.push(Candidates { refused: true, is_half: false, ..probing });
                }
            },
            Phase::Done => {}
        }
    }

    /// Whether a list that has members has none without the candidates.
    fn empties_a_list(&self) -> bool {
        let probe = self.probe();
        let left = lists(&probe, self.each.as_ref());
        let is_emptied = |place: &ListRef| left.get(place).is_some_and(|slotted| slotted.is_empty());
        self.stack
            .iter()
            .flat_map(|candidates| &candidates.members)
            .any(|(member_ref, _)| is_emptied(&member_ref.place()))
    }

    /// The maximum number of useful parts: the longest list has that many candidates.
    fn max_parts(&self) -> usize {
        let lengths = self.stack.first().map(|all| lengths(&all.members)).unwrap_or_default();
        lengths.into_values().max().unwrap_or(0).min(MAX_PARTS)
    }
}

/// The number of candidates in each list.
fn lengths(members: &[(MemberRef, SlottedMember)]) -> BTreeMap<ListRef, usize> {
    let mut lengths = BTreeMap::new();
    for (member_ref, _) in members {
        *lengths.entry(member_ref.place()).or_default() += 1;
    }
    lengths
}
