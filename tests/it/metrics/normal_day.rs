//! Nothing fires through a day without faults.

use nix::sys::signal::Signal;

use super::Scene;
use crate::harness::site::{Agent, Site};

use super::promtool::{Cases, History};

const CONFIG: &str = r#"
[[roster]]
name = "web"
path = "/services/web"

[[key]]
name = "settings"
path = "/config/app"
format = "json"

[[template]]
src = "web.tera"
dest = "out/web"
check_cmd = "test -s {{ src }}"
reload_cmd = "echo reloaded >> SITE/reloads"
reload_interval = "0s"

[[service]]
name = "own"
path = "/services/own"
host = "h"
port = 1
check = { cmd = "true" }
interval = "200ms"
"#;

/// Minutes of quiet between two events.
const QUIET: usize = 90;

#[test]
fn no_alert_fires_through_a_normal_day() {
    let scene = Scene::new(CONFIG);
    let site = &scene.site;
    site.file("templates/web.tera", "{{ settings.a }}\n{% for m in web %}{{ m.address }}\n{% endfor %}");
    let mut agent = scene.up();
    // What Prometheus sees at once after each event, and once it is quiet again.
    let mut history = History::default();
    let mut happened = |agent: &Agent, minutes: usize| {
        let at_once = scene.scrape();
        let settled = [
            ("rosterd_template_files{template=\"web\",state=\"up_to_date\"}", 1.0),
            ("rosterd_template_pending_reloads{template=\"web\"}", 0.0),
            ("rosterd_service_registered{service=\"own\"}", 1.0),
        ];
        let after = scene.until_all(agent, &settled);
        history = std::mem::take(&mut history).then(at_once.as_ref(), minutes).then(Some(&after), QUIET);
    };
    happened(&agent, 1);
    for round in 0..2 {
        let (member, lines) =
            (format!("/services/web/10.0.1.{round}:80"), |site: &Site| site.read("out/web").lines().count());
        scene.client.put(&member, b"");
        happened(&agent, 1);
        agent.until("the member is there", || lines(site) == 6);
        scene.client.remove(&member);
        happened(&agent, 1);
        agent.until("the member is gone", || lines(site) == 5);
        scene.client.put("/config/app", format!("{{\"a\": {round}}}").as_bytes());
        happened(&agent, 1);
        scene.configure(&format!("{CONFIG}\n[vars]\nround = {round}\n"));
        agent.signal(Signal::SIGHUP).says_times("event=config_changed", round + 1);
        happened(&agent, 1);
        site.run(&["pause", "--for", "1h", "--reason", "work"]).expect(0);
        scene.client.put("/services/web/10.0.0.1:80", format!("{{\"weight\": {round}}}").as_bytes());
        scene.until(&agent, "rosterd_paused", 1.0);
        site.run(&["resume"]).expect(0);
        happened(&agent, 4);
    }
    for _ in 0..2 {
        assert!(agent.stop().success());
        agent = scene.up();
        happened(&agent, 1);
    }
    let mut cases = Cases::default();
    cases.never_fire(&history);
    cases.check();
}
