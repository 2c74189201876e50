//! A template whose file is pinned to a generation.

use std::sync::Arc;

use super::Template;
use crate::decide::pin::Pin;
use crate::decide::pinning::Pinning;
use crate::decide::publication::Failure;

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

    /// Ends the pin. With `publish`, the file is rendered again.
    pub fn unpin(&mut self, publish: bool) -> Option<Arc<Pin>> {
        let pin = self.pinning.in_force().cloned()?;
        self.pinning = Pinning::No;
        self.withheld = 0;
        if publish {
            self.queue();
        }
        Some(pin)
    }

    /// Publishes it again although nothing that it depends on changed. Earlier failures no longer count.
    pub fn republish(&mut self) {
        self.publish.queue();
        self.retry = None;
        self.failures = 0;
    }
}
