//! The search for members at fault: each probe is a check of the file without some of them.
//!
//! It is taken that a check which refuses some members refuses them with others beside them, too. What has passed stays
//! in, and a part that is refused is halved, until each one that is refused has been alone with all that pass: for k of
//! n members about k·log₂(n) probes, and never more than twice as many.
//!
//! A search is about the members as they were when it began, so that a registry which is never quiet cannot keep it from
//! its end. What has changed since is for the publication after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::member_ref::{MemberRef, Place, lists, over, without};
use super::{AllLeftOut, LeftOut};
use crate::decide::publication::{SlottedMember, Snapshot};

/// The most probes of one search.
pub const MOST_PROBES: u32 = 200;

/// Into how many parts suspects are divided at most, where nothing passes without any of them.
const MOST_PARTS: usize = 8;

/// Members that are suspected together.
#[derive(Debug, Clone, Default)]
struct Candidates {
    members: Vec<(MemberRef, SlottedMember)>,
    /// Some of them are known to be refused.
    refused: bool,
    /// The other half is the next on the stack, and of the two together some are known to be refused.
    is_half: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Whether it passes without any suspect.
    Without,
    /// A list is empty without suspects, which the check may refuse as such: whether it passes with a part of them.
    Part { of: usize, number: usize },
    /// What is known to pass grows, and what is suspected is halved.
    Halve,
    /// Members are not at fault.
    Over,
}

/// What is to be done next.
#[derive(Debug, Clone)]
pub enum Step {
    /// Whether this passes is to be found out.
    Probe(Snapshot),
    /// All that are refused are known.
    Found(AllLeftOut),
    /// Nobody is left out, and why, where that is not just that no member is at fault.
    Stands(Option<String>),
}

/// A search under way.
#[derive(Debug, Clone)]
pub struct Search {
    full: Snapshot,
    each: Option<Arc<str>>,
    /// Who was left out before.
    known: AllLeftOut,
    phase: Phase,
    /// What is suspected, and in no probe until it is asked about.
    stack: Vec<Candidates>,
    /// What the probe under way is about.
    asked: Candidates,
    found: AllLeftOut,
    probes: u32,
}

impl Search {
    /// Begins: everybody is suspected who was not, as he is now, in what `passed` last, and is not left out. `None` where that is nobody.
    pub fn begin(
        full: Snapshot,
        each: Option<&Arc<str>>,
        known: &AllLeftOut,
        passed: Option<&Snapshot>,
    ) -> Option<Self> {
        // Who has changed since is suspected like anybody else, and who is gone is not left out.
        let present = lists(&full, each);
        let known = known.iter().filter(|(spot, out)| spot.find(&present) == Some(&out.seated));
        let known = known.map(|(spot, out)| (spot.clone(), out.clone())).collect();
        let mut search = Self {
            full,
            each: each.cloned(),
            known,
            phase: Phase::Without,
            stack: Vec::new(),
            asked: Candidates::default(),
            found: AllLeftOut::new(),
            probes: 0,
        };
        let members = search.suspects(passed);
        let some = !members.is_empty();
        search.stack.push(Candidates { members, ..Candidates::default() });
        some.then_some(search)
    }

    /// What it is about.
    pub fn full(&self) -> &Snapshot {
        &self.full
    }

    /// Everybody who was not in what passed, and is not left out.
    fn suspects(&self, passed: Option<&Snapshot>) -> Vec<(MemberRef, SlottedMember)> {
        let passed = passed.map(|passed| lists(passed, self.each.as_ref())).unwrap_or_default();
        let mut all = Vec::new();
        for (place, seats) in lists(&self.full, self.each.as_ref()) {
            let good: BTreeMap<&str, &SlottedMember> = passed
                .get(&place)
                .into_iter()
                .flat_map(|seats| seats.iter())
                .map(|it| (it.member.name(), it))
                .collect();
            for seated in seats.iter().filter(|seated| good.get(seated.member.name()) != Some(seated)) {
                let (roster, key) = place.clone();
                let spot = MemberRef { roster, key, member: Arc::from(seated.member.name()) };
                if !self.known.contains_key(&spot) {
                    all.push((spot, seated.clone()));
                }
            }
        }
        all
    }

    /// What is to be done now. `min` is what a roster must have at least.
    pub fn next(&mut self, min: impl Fn(&str) -> usize) -> Step {
        let out = self.known.keys().chain(self.found.keys());
        if let Some(over) = over(&lists(&self.full, self.each.as_ref()), out, min).first() {
            return Step::Stands(Some(over.to_string()));
        }
        if self.probes >= MOST_PROBES {
            return Step::Stands(Some(format!("none is left out: {MOST_PROBES} checks did not find who is refused")));
        }
        match self.phase {
            Phase::Over => return Step::Stands(None),
            Phase::Without => {}
            Phase::Part { of, number } => self.ask_part(of, number),
            Phase::Halve => {
                if !self.ask_half() {
                    return Step::Found(std::mem::take(&mut self.found));
                }
            }
        }
        self.probes += 1;
        Step::Probe(self.probe())
    }

    /// What has passed, and what is asked about.
    fn probe(&self) -> Snapshot {
        let suspects = self.stack.iter().flat_map(|suspects| suspects.members.iter().map(|(spot, _)| spot));
        let gone = suspects.chain(self.known.keys()).chain(self.found.keys()).collect();
        without(&self.full, self.each.as_ref(), &gone)
    }

    /// Asks about every `of`-th member of each list.
    fn ask_part(&mut self, of: usize, number: usize) {
        let all = self.stack.pop().unwrap_or_default().members;
        let lengths = lengths(&all);
        let mut seen: BTreeMap<Place, usize> = BTreeMap::new();
        let (asked, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(spot, _)| {
            let place = spot.place();
            // A short list has a member in each part.
            let of = of.min(lengths.get(&place).copied().unwrap_or(1)).max(1);
            let index = seen.entry(place).or_default();
            let is_in = *index % of == number % of;
            *index += 1;
            is_in
        });
        self.asked = Candidates { members: asked, ..Candidates::default() };
        self.stack.push(Candidates { members: rest, ..Candidates::default() });
    }

    /// Asks about the next suspects, if there are any.
    fn ask_half(&mut self) -> bool {
        while let Some(mut next) = self.stack.pop() {
            if next.members.is_empty() {
                continue;
            }
            next.is_half = false;
            // One alone is asked about even if it is known to be refused: for the check's words, and to be sure.
            if next.refused && next.members.len() > 1 {
                let other = next.members.split_off(next.members.len() / 2);
                self.stack.push(Candidates { members: other, ..Candidates::default() });
                next = Candidates { is_half: true, refused: false, ..next };
            }
            self.asked = next;
            return true;
        }
        false
    }

    /// The probe passed.
    pub fn passed(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        match self.phase {
            Phase::Halve if asked.is_half => self.stack.last_mut().into_iter().for_each(|other| other.refused = true),
            Phase::Halve | Phase::Over => {}
            Phase::Without | Phase::Part { .. } => {
                self.stack.iter_mut().for_each(|rest| rest.refused = true);
                self.phase = Phase::Halve;
            }
        }
    }

    /// The probe was refused, and so was what the search began with.
    pub fn refused(&mut self, why: &str) {
        let mut asked = std::mem::take(&mut self.asked);
        match self.phase {
            Phase::Without => {
                let is_part = self.empties_a_list() && self.most_parts() > 1;
                self.phase = if is_part { Phase::Part { of: 2, number: 0 } } else { Phase::Over };
            }
            Phase::Part { of, number } => {
                let all = self.stack.iter_mut().flat_map(|rest| std::mem::take(&mut rest.members));
                let mut members: Vec<_> = all.chain(asked.members).collect();
                members.sort_by(|(a, _), (b, _)| a.cmp(b));
                self.stack = vec![Candidates { members, ..Candidates::default() }];
                self.phase = match () {
                    () if number + 1 < of => Phase::Part { of, number: number + 1 },
                    () if of < self.most_parts() => Phase::Part { of: of * 2, number: 0 },
                    () => Phase::Over,
                };
            }
            Phase::Halve => match asked.members.pop() {
                Some((spot, seated)) if asked.members.is_empty() => {
                    self.found.insert(spot, LeftOut::new(seated, why));
                }
                last => {
                    asked.members.extend(last);
                    self.stack.push(Candidates { refused: true, is_half: false, ..asked });
                }
            },
            Phase::Over => {}
        }
    }

    /// Whether a list that has members has none without the suspects.
    fn empties_a_list(&self) -> bool {
        let probe = self.probe();
        let left = lists(&probe, self.each.as_ref());
        let is_emptied = |place: &Place| left.get(place).is_some_and(|seats| seats.is_empty());
        self.stack.iter().flat_map(|suspects| &suspects.members).any(|(spot, _)| is_emptied(&spot.place()))
    }

    /// How many parts make sense: no more than the longest list has suspects.
    fn most_parts(&self) -> usize {
        let lengths = self.stack.first().map(|all| lengths(&all.members)).unwrap_or_default();
        lengths.into_values().max().unwrap_or(0).min(MOST_PARTS)
    }
}

/// How many suspects each list has.
fn lengths(members: &[(MemberRef, SlottedMember)]) -> BTreeMap<Place, usize> {
    let mut lengths = BTreeMap::new();
    for (spot, _) in members {
        *lengths.entry(spot.place()).or_default() += 1;
    }
    lengths
}
