//! Fills a [`Report`].

use std::sync::Arc;

use super::Engine;
use crate::decide::key::Key;
use crate::decide::lock::Lock;
use crate::decide::moment::Moment;
use crate::decide::report::{
    DriftReport, FailureReport, IsolatedReport, KeyReport, PinReport, RegistryReport, Report, Retry, TemplateReport,
};
use crate::decide::template::Template;
use crate::decide::template_readiness::{keys, rosters};

impl Engine {
    /// The current state.
    pub fn report(&self, now: Moment) -> Report {
        let registries = self.origins.iter().map(|(name, url)| {
            let (reached, error) = (self.is_reached(name), self.unreachable.get(name).map(|it| it.reason.clone()));
            (Arc::clone(name), RegistryReport { url: Arc::clone(url), reached, error })
        });
        Report {
            now,
            paused_until: self.paused,
            registries: registries.collect(),
            rosters: self.rosters.iter().map(|(name, it)| (Arc::clone(name), it.report(&self.host))).collect(),
            keys: self.keys.iter().map(|(name, it)| (Arc::clone(name), report_key(it))).collect(),
            templates: self.templates.iter().map(|(name, it)| (Arc::clone(name), self.report_template(it))).collect(),
            reloads: self
                .pending_reloads
                .iter()
                .filter_map(|(reload, it)| Some((reload.clone(), it.report()?)))
                .collect(),
        }
    }

    fn report_template(&self, template: &Template) -> TemplateReport {
        let config = &template.plan().config;
        let retry = match template.retry() {
            _ if template.is_searching() => Retry::AfterSearch,
            _ if template.is_in_flight() => Retry::Now,
            Some(at) => Retry::At(at),
            None => Retry::OnChange,
        };
        let failure = template.failure().cloned();
        let drift = template.drift().cloned();
        let isolated = template.isolated().iter();
        let unit_templates = self.unit_templates(template).filter(|_| template.is_queued());
        let unit_templates = unit_templates.filter(|peer| peer.plan().config.name != config.name);
        let waiting_for = unit_templates.filter_map(|peer| {
            let missing = peer.missing(&self.rosters, &self.keys);
            (!missing.is_empty()).then(|| (Arc::clone(&peer.plan().config.name), missing))
        });
        let without_file = self.without_file(&config.name);
        TemplateReport {
            config: Arc::clone(config),
            rosters: rosters(self, template).map(|it| Arc::clone(&it.config().name)).collect(),
            keys: keys(self, template).map(|it| Arc::clone(&it.config().name)).collect(),
            rendered: template.rendered(),
            queued: template.is_queued(),
            in_flight: template.is_in_flight(),
            removing: template.is_removing(),
            failure: failure.map(|failure| FailureReport { failure, times: template.failures(), retry }),
            pin: template.pin().map(|pin| PinReport {
                generation: pin.generation,
                since: pin.since,
                uid: pin.uid,
                reason: pin.reason.clone(),
                withheld: template.withheld(),
            }),
            drift: drift.map(|it| DriftReport { since: it.since, what: it.what, disputed: it.deferred }),
            isolated: isolated
                .map(|(member, out)| IsolatedReport {
                    member: member.clone(),
                    failure: out.failure.clone(),
                    retry: out.retry_at,
                })
                .collect(),
            without_port: template.without_port().to_vec(),
            waiting_for: waiting_for.collect(),
            without_file: without_file.map(|(key, why)| (Arc::clone(key), why.clone())).collect(),
        }
    }
}

fn report_key(key: &Key) -> KeyReport {
    KeyReport {
        config: Arc::clone(key.config()),
        known: key.value().is_some(),
        entries: key.value().and_then(|value| value.as_object()).map(serde_json::Map::len),
        mapping: key.mapping().cloned(),
        freshness: key.freshness(),
        hold: key.hold().cloned(),
        lock: key.lock().and_then(Lock::report),
    }
}
