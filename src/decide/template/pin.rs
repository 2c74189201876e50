//! A template whose file is pinned to a generation.

use std::sync::Arc;

use super::Template;
use crate::decide::pin::Pin;
use crate::decide::pinning::Pinning;
use crate::decide::publication::{Failure, Stage};

impl Template {
    /// Whether its file is pinned, or is being rolled back.
    pub fn is_pinned(&self) -> bool {
        self.pinning.is_pinned()
    }

    /// The pin in force.
    pub fn pin(&self) -> Option<&Arc<Pin>> {
        self.pinning.in_force()
    }

    /// How many changes since the rollback are not in the file.
    pub fn withheld(&self) -> u32 {
        self.withheld
    }

    /// Whether a rollback is in progress.
    pub fn is_rolling_back(&self) -> bool {
        self.pinning.is_trial()
    }

    /// The pin of an earlier run, or of the template of the same name in an earlier configuration. With `publish`, its
    /// content is put in place.
    pub fn restore_pin(&mut self, pin: Arc<Pin>, publish: bool) {
        self.pinning = Pinning::Pinned(pin);
        if publish {
            self.publish.queue();
        } else {
            self.publish = super::Publish::default();
        }
    }

    /// A person rolls its file back.
    pub fn begin_rollback(&mut self, pin: Arc<Pin>) {
        if !self.is_pinned() {
            self.withheld = u32::from(self.publish.is_queued());
        }
        self.rollback = None;
        self.pinning.begin_trial(pin);
        self.republish();
    }

    /// Ends a rollback that has not begun.
    pub fn cancel_rollback(&mut self, failure: Failure) {
        self.pinning.cancel_trial(failure);
    }

    /// The result of the rollback in progress, once its publication ended.
    pub fn trial_result(&self) -> Option<&Result<(), Failure>> {
        self.pinning.trial_result()
    }

    /// A publication succeeded. If it was a rollback, the newest content may not have been in the file before.
    pub(super) fn withhold_failed(&mut self) {
        if self.trial_result().is_some() && self.failure().is_some_and(|failure| failure.stage != Stage::Rollback) {
            self.withheld = self.withheld.max(1);
        }
    }

    /// Settles a rollback. After a failure, the file holds what it held before, and changes since are not lost.
    pub fn settle_rollback(&mut self, result: Result<(), Failure>) -> Option<Arc<Pin>> {
        let pin = self.pinning.settle(result.is_ok())?;
        if !self.is_pinned() && std::mem::take(&mut self.withheld) > 0 {
            self.queue();
        } else if result.is_err() && self.failure().is_some() {
            // Its retry was dropped when the rollback began.
            self.republish();
        }
        self.rollback = Some(result);
        Some(pin)
    }

    /// The result of the last rollback, until the next one begins.
    pub fn rollback(&self) -> Option<&Result<(), Failure>> {
        self.rollback.as_ref()
    }

    /// A person ends the pin: the file is rendered again.
    pub fn unpin(&mut self) {
        self.end_pin(None, true);
    }

    /// The reload of pinned content failed, and the file is as before: the pin `earlier` is in force again, or none.
    pub fn end_failed_pin(&mut self, earlier: Option<Arc<Pin>>) {
        let failure = self.failure().filter(|_| !self.is_rolling_back()).cloned();
        self.rollback = failure.map(Err).or(self.rollback.take());
        self.end_pin(earlier, false);
    }

    /// Ends the pin. With `publish`, the file is rendered again, otherwise only if something has changed since.
    fn end_pin(&mut self, earlier: Option<Arc<Pin>>, publish: bool) {
        self.pinning.end_pin(earlier);
        if !self.is_pinned() && (std::mem::take(&mut self.withheld) > 0 || publish) {
            self.queue();
        }
    }

    /// Publishes it again although nothing that it depends on changed. Earlier failures no longer count.
    pub fn republish(&mut self) {
        self.publish.queue();
        self.retry = None;
        self.failures = 0;
    }
}
