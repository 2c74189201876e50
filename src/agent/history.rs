//! The requests for the history.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::Agent;
use crate::control::Answer;
use crate::error::Exit;
use crate::history::Trail;

impl Agent {
    /// Answers with the entries since a time (in milliseconds since 1970) about a template, roster or service.
    pub fn history(&self, name: Option<String>, since: u64, answer: oneshot::Sender<Answer>) {
        self.ask_history(answer, move |trail| Answer::History(trail.select(name.as_deref(), since)));
    }

    /// Answers with one entry.
    pub fn history_entry(&self, number: u64, answer: oneshot::Sender<Answer>) {
        self.ask_history(answer, move |trail| match trail.find(number) {
            Ok((entry, is_kept)) => Answer::Entry { entry: Box::new(Arc::unwrap_or_clone(entry)), is_kept },
            Err(why) => Answer::failed(Exit::Usage, why),
        });
    }

    /// Answers with the difference between two generations.
    pub fn history_diff(&self, from: u64, to: u64, answer: oneshot::Sender<Answer>) {
        self.ask_history(answer, move |trail| match trail.diff(from, to) {
            Ok(diff) => Answer::done(diff),
            Err((exit, why)) => Answer::failed(exit, why),
        });
    }

    fn ask_history(&self, answer: oneshot::Sender<Answer>, question: impl FnOnce(&Trail) -> Answer + Send + 'static) {
        let Some(history) = self.driver.history.clone() else {
            let _ = answer.send(Answer::failed(Exit::Failed, "no history is recorded: see the log of the agent"));
            return;
        };
        // The history is read on its own thread.
        tokio::spawn(async move {
            let found = history.ask(question).await;
            let ended = || Answer::failed(Exit::Failed, "the history cannot be read: its thread ended");
            // The client may have disconnected.
            let _ = answer.send(found.unwrap_or_else(ended));
        });
    }
}
