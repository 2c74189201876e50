//! Brings one destination in step, or tells how it differs, and keeps account of whose file it is.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::act::{self, Seat, Writer};
use crate::config::TemplateConfig;
use crate::decide::event::Hex;
use crate::decide::{Event, Failure, Outcome, Stage};
use crate::ledger::Ledger;
use crate::log::emit;

use super::{Manner, Page, Write};

/// Notes on the file thread that a key's file is about to be written, before it is.
pub(super) fn note(writer: &Writer, ledger: Option<Ledger>, template: &Arc<TemplateConfig>, digest: u64) {
    let template = Arc::clone(template);
    if let Some(ledger) = ledger {
        writer.in_order(move || ledger.means(&template, digest));
    }
}

/// Notes that it was.
pub(super) fn confirm(writer: &Writer, ledger: Option<Ledger>, template: &Arc<TemplateConfig>) {
    let template = Arc::clone(template);
    if let Some(ledger) = ledger {
        writer.in_order(move || ledger.wrote(&template));
    }
}

/// Removes the file of a key that is gone, where it is the agent's own.
pub(super) async fn remove(
    writer: &Writer,
    template: &Arc<TemplateConfig>,
    ledger: Option<Ledger>,
    manner: Manner,
    page: &Page,
    stop: &CancellationToken,
) -> Outcome {
    let claim = ledger.as_ref().and_then(|ledger| ledger.claim(template));
    if manner.diff && claim.is_some() {
        let old = act::compare(writer, template, b"").await.ok().and_then(|compared| compared.old);
        if let Some(old) = old
            && let Err(failed) = page.show(Some(old), Vec::new(), template.dest.clone()).await
        {
            return failed;
        }
    }
    let really = manner.write == Write::Really;
    let outcome = act::remove(writer, template, claim, really, stop).await;
    if let (true, Some(ledger), Outcome::Removed | Outcome::Unchanged) = (really, ledger, &outcome) {
        let template = Arc::clone(template);
        writer.in_order(move || ledger.gone(&template));
    }
    outcome
}

pub(super) async fn replace(
    writer: &Writer,
    template: &TemplateConfig,
    bytes: Vec<u8>,
    manner: Manner,
    page: &Page,
    stop: &CancellationToken,
    seat: &mut Option<Seat>,
) -> Outcome {
    if manner.diff || manner.write == Write::DryRun {
        let compared = match act::compare(writer, template, &bytes).await {
            Ok(compared) => compared,
            Err(setback) => {
                return Outcome::Failed(Failure { stage: Stage::Write, message: setback.to_string() });
            }
        };
        if manner.diff && compared.differs {
            if let Err(failed) = page.show(compared.old, compared.new, template.dest.clone()).await {
                return failed;
            }
            if let Some(change) = compared.attributes {
                let (template, dest) = (Arc::clone(&template.name), template.dest.clone());
                emit(Event::AttributesDiffer { template, dest, change });
            }
        }
        if manner.write == Write::DryRun {
            return if compared.differs { Outcome::WouldReplace } else { Outcome::Unchanged };
        }
    }
    act::publish(writer, template, bytes, stop, seat).await
}

/// What became of a publication. Of a failure the engine tells, which knows when it is tried again.
pub(super) fn published(
    config: &TemplateConfig,
    outcome: &Outcome,
    digest: Option<Hex>,
    took_ms: Option<u64>,
) -> Option<Event> {
    let (template, dest) = (Arc::clone(&config.name), config.dest.clone());
    Some(match outcome {
        Outcome::Replaced => Event::FileWritten { template, dest, digest, took_ms },
        Outcome::Unchanged => Event::FileUnchanged { template, dest },
        Outcome::WouldReplace => Event::FileWouldChange { template, dest },
        Outcome::Removed => Event::FileRemoved { template, dest },
        Outcome::WouldRemove => Event::FileWouldBeRemoved { template, dest },
        Outcome::Abandoned => Event::WriteAbandoned { template, dest },
        Outcome::Failed(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[tokio::test]
    async fn a_long_look_for_a_difference_stops_no_timer() {
        let dir = tempfile::TempDir::new().unwrap();
        let template = TemplateConfig::new("t", "t.tera", dir.path().join("t"));
        // The same few lines in both, in another order: the smallest difference is hard to find.
        let text = |seed: u64| {
            let next =
                |n: &u64| Some(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
            let lines = std::iter::successors(Some(seed), next).take(50_000);
            lines
                .map(|n| ["aa\n", "b\n", "ccc\n", "dddd\n", "e\n"][usize::try_from((n >> 40) % 5).unwrap()])
                .collect::<String>()
        };
        std::fs::write(&template.dest, text(1)).unwrap();
        let (writer, stop) = (Writer::start().unwrap(), CancellationToken::new());
        let manner = Manner { write: Write::DryRun, diff: true, reload: false };
        let page = Page::Kept(Arc::default());
        let mut seat = None;
        let mut looking = std::pin::pin!(replace(&writer, &template, text(2).into(), manner, &page, &stop, &mut seat));
        let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
        let outcome = loop {
            tokio::select! {
                outcome = &mut looking => break outcome,
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
            longest = longest.max(last.elapsed());
            last = Instant::now();
        };
        longest = longest.max(last.elapsed());
        assert_eq!(outcome, Outcome::WouldReplace);
        assert!(longest < Duration::from_secs(1), "{longest:?}");
    }
}
