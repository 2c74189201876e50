//! Writes the bytes of a file beside its destination.

use std::sync::Arc;

use tokio::sync::oneshot::Sender;
use tokio_util::sync::CancellationToken;

use crate::config::TemplateConfig;
use crate::decide::{Event, Failure, Outcome};
use crate::error::Setback;
use crate::log::emit;
use crate::model::digest::digest_of;

use super::block::named_elsewhere;
use super::content::Content;
use super::drift::Leaves;
use super::errors::unwritten;
use super::file_state::FileState;
use super::place::Place;
use super::stage::{Staged, Wanted, Written};
use super::{inplace, ownership};
use crate::state::journal::Key;

/// Bytes that are to be staged where the destination has not got them.
pub struct Stage {
    pub template: TemplateConfig,
    pub bytes: Vec<u8>,
    /// No more is placed once this is cancelled.
    pub stop: CancellationToken,
    pub then: Then,
}

/// What is to happen to a staged file.
pub enum Then {
    /// It goes back to be checked; `None`: the destination has the bytes already.
    Hand(Sender<Result<Option<Staged>, Setback>>),
    /// It goes back to be checked and no more, also where the destination has the bytes already.
    Probe(Sender<Result<Option<Staged>, Setback>>),
    /// It has no check, and is placed in the same round.
    Place(Sender<Result<Outcome, Failure>>),
}

impl Then {
    /// The destination has the bytes already.
    pub fn unchanged(self) {
        match self {
            Self::Hand(answer) | Self::Probe(answer) => _ = answer.send(Ok(None)),
            Self::Place(answer) => _ = answer.send(Ok(Outcome::Unchanged)),
        }
    }

    /// They could not be staged.
    pub fn failed(self, setback: Setback) {
        match self {
            Self::Hand(answer) | Self::Probe(answer) => _ = answer.send(Err(setback)),
            Self::Place(answer) => _ = answer.send(Err(unwritten(&setback))),
        }
    }
}

/// Writes the bytes beside the destination where it has not got them; `None` where it has.
pub fn prepare(template: &TemplateConfig, bytes: Vec<u8>, desk: &mut FileState) -> Result<Option<Written>, Setback> {
    write(template, bytes, desk, Equal::IsLeft)
}

/// What is done where the destination has the bytes already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Equal {
    IsLeft,
    IsWritten,
}

/// The same, with a choice of that.
pub fn write(
    template: &TemplateConfig,
    bytes: Vec<u8>,
    desk: &mut FileState,
    equal: Equal,
) -> Result<Option<Written>, Setback> {
    let place = Place::open(template, &mut desk.folders)?;
    desk.sweep(&place);
    let mut old = place.look()?;
    if let Some(old) = &old {
        ownership::refuse(old, &place, &desk.tag)?;
    }
    let wanted = Wanted::of(template, old.as_ref());
    let whole = Content::of(template, bytes, &mut old)?;
    warn_of_shadowed_hosts(&whole.bytes, template, desk);
    let leaves = Leaves::of(template, &whole);
    let is_settled = equal == Equal::IsLeft && old.as_ref().is_some_and(|old| wanted.changes(old).is_none());
    if is_settled && !desk.unsettled.contains(&template.dest) && whole.is_there(old.as_mut(), &template.dest)? {
        desk.left.extend(old.map(|old| leaves.at(&place, &old.stat)));
        desk.is_in_step(&Key::of(template), Some(digest_of(&whole.bytes)));
        return Ok(None);
    }
    let configured = old.as_ref().and_then(|_| inplace::is_wanted(template, &place, desk));
    let written = match configured {
        Some(configured) => {
            let state = desk.state()?;
            Staged::write_for_copy(place, wanted, whole, configured, state, &desk.tag)?
        }
        // A file with a block in it is others' too.
        None if template.placing.block.is_some() => Staged::write(place, wanted, whole, old.as_ref(), &desk.tag)?,
        None => Staged::write(place, wanted, whole, old.as_ref(), &desk.tag)?.mark(&desk.tag)?,
    };
    Ok(Some(written.of(template, leaves)))
}

/// Says once of each name in a block of a hosts file that another line of it has the name too.
fn warn_of_shadowed_hosts(whole: &[u8], template: &TemplateConfig, desk: &mut FileState) {
    let (Some(block), Some("hosts")) = (&template.placing.block, template.dest.file_name().and_then(|n| n.to_str()))
    else {
        return;
    };
    for (host, line) in named_elsewhere(whole, block) {
        if desk.told.insert(format!("{host} of {}", template.dest.display())) {
            let (template, dest, block) = (Arc::clone(&template.name), template.dest.clone(), block.to_string());
            emit(Event::HostShadowed { template, dest, block, host, line });
        }
    }
}
