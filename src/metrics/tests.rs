use std::sync::Arc;

use super::*;

fn metrics() -> Metrics {
    let metrics = Metrics { counters: Mutex::default(), started: SystemTime::UNIX_EPOCH };
    for name in ["vhosts", "odd[name]"] {
        metrics.counters().templates.entry(Arc::from(name)).or_default();
    }
    metrics.counters().services.entry("web".into()).or_default();
    metrics.counters().rosters.entry("web".into()).or_default();
    metrics
}

fn assert_shows(metrics: &Metrics, lines: &[&str]) {
    let text = metrics.encode(Snapshot::empty(), Format::Text);
    for line in lines {
        assert!(text.lines().any(|it| it == *line), "{line} is not in:\n{text}");
    }
}

#[test]
fn every_outcome_begins_at_zero() {
    assert_shows(
        &metrics(),
        &[
            "rosterd_template_writes_total{template=\"vhosts\",outcome=\"failed\"} 0",
            "rosterd_service_checks_total{service=\"web\",outcome=\"failed\"} 0",
            "rosterd_config_loads_total{part=\"configuration\",outcome=\"refused\"} 0",
            "rosterd_events_total{event=\"state_write_failed\",level=\"warn\"} 0",
            "rosterd_roster_holds_total{roster=\"web\"} 0",
        ],
    );
}

#[test]
fn the_files_of_a_template_with_each_count_under_its_name() {
    let metrics = metrics();
    for file in ["vhosts[a]", "vhosts[b]", "odd[name]", "odd[name][key]", "removed", "removed[a]"] {
        metrics.record(&Event::FileUnchanged { template: file.into(), dest: "/x".into() });
    }
    let templates = ["vhosts[a]".into(), "vhosts[b]".into(), "odd[name]".into()].to_vec();
    metrics.record(&Event::ReloadSucceeded { command: "reload".into(), templates, took_ms: 1500 });
    metrics.counters().templates.values_mut().for_each(|it| it.has_reload = true);
    assert_shows(
        &metrics,
        &[
            "rosterd_template_writes_total{template=\"vhosts\",outcome=\"unchanged\"} 2",
            "rosterd_template_writes_total{template=\"odd[name]\",outcome=\"unchanged\"} 2",
            "rosterd_template_reloads_total{template=\"vhosts\",outcome=\"succeeded\"} 1",
            "rosterd_template_reload_duration_seconds_sum{template=\"vhosts\"} 1.5",
        ],
    );
}

#[test]
fn durations_and_errors_are_counted() {
    let metrics = metrics();
    let (template, dest) = (Arc::from("vhosts[a]"), "/x".into());
    metrics.record(&Event::RenderFinished { template, dest, outcome: "failed", took_us: 40_000 });
    for errno in [Some(28), Some(28), None] {
        let (template, dest, reason) = ("vhosts".into(), "/x".into(), "no space".into());
        metrics.record(&Event::WriteFailed { template, dest, reason, errno, retry_in_s: None });
    }
    metrics.record(&Event::ServiceChecked { service: "web".into(), outcome: "passed", took_us: 250_000 });
    assert_shows(
        &metrics,
        &[
            "rosterd_template_renders_total{template=\"vhosts\",outcome=\"failed\"} 1",
            "rosterd_template_render_duration_seconds_sum{template=\"vhosts\"} 0.04",
            "rosterd_template_render_duration_seconds_bucket{template=\"vhosts\",le=\"0.05\"} 1",
            "rosterd_write_errors_total{errno=\"ENOSPC\"} 2",
            "rosterd_write_errors_total{errno=\"none\"} 1",
            "rosterd_service_checks_total{service=\"web\",outcome=\"passed\"} 1",
            "rosterd_service_check_duration_seconds_sum{service=\"web\"} 0.25",
            "rosterd_events_total{event=\"write_failed\",level=\"error\"} 3",
        ],
    );
}

#[test]
fn openmetrics_is_sent_to_a_client_that_asks_for_it() {
    // What Prometheus 2.42, curl and a browser send.
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
    assert_eq!(Format::accepted("text/plain, Application/OpenMetrics-Text ; q=0.1"), Format::OpenMetrics);
    for other in ["", "*/*", "text/html,application/xml;q=0.9", "application/openmetrics"] {
        assert_eq!(Format::accepted(other), Format::Text, "{other:?}");
    }
    assert!(metrics().encode(Snapshot::empty(), Format::OpenMetrics).ends_with("# EOF\n"));
    assert!(!metrics().encode(Snapshot::empty(), Format::Text).contains("# EOF"));
}
