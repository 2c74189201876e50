//! The faults of a running agent, one after the other.

use std::cell::RefCell;
use std::fs;

use nix::sys::signal::Signal;
use zookeeper_client::{Acl, AuthId, CreateMode, Permission};

use super::{Metrics, Scene, state};
use crate::harness::site::{Agent, PATIENCE};
use crate::support::wait::holds;

pub const CONFIG: &str = r#"
[[roster]]
name = "web"
path = "/services/web"
wait = "0s:0s"

[[roster]]
name = "zones"
path = "/services/zones"
wait = "0s:0s"

[[roster]]
name = "zoned"
path = "/services/zones"
where = 'zone | upper == "A"'
wait = "0s:0s"

[[roster]]
name = "held"
path = "/services/held"
min = 4
wait = "0s:0s"

[[key]]
name = "settings"
path = "/config/app"
format = "json"

[[template]]
name = "strict"
src = "zones.tera"
dest = "out/strict"
isolate = false

[[template]]
name = "isolating"
src = "zones.tera"
dest = "out/isolating"

[[template]]
name = "checked"
src = "web.tera"
dest = "out/checked"
check_cmd = "! grep poison {{ src }}"
isolate = false

[[template]]
name = "written"
src = "web.tera"
dest = "out/written"

[[template]]
name = "reloaded"
src = "web.tera"
dest = "out/reloaded"
reload_cmd = "test ! -e SITE/broken"
reload_interval = "0s"

[[template]]
name = "rolled"
src = "web.tera"
dest = "out/rolled"
reload_cmd = "! grep poison {{ dest }}"
reload_interval = "0s"
on_reload_failure = "rollback"

[[template]]
name = "late"
src = "web.tera"
dest = "out/late"
reload_cmd = "true"
reload_interval = "2h"

[[template]]
name = "drifting"
src = "settings.tera"
dest = "out/drifting"
on_drift = "report"

[[service]]
name = "own"
path = "/services/own"
host = "h"
port = 1
check = { cmd = "test ! -e SITE/down" }
interval = "100ms"
fall = 1

[[service]]
name = "drained"
path = "/services/own"
host = "h"
port = 2
check = { cmd = "true" }
"#;

/// What a HUP adds.
const MORE: &str = r#"
[[roster]]
name = "closed"
path = "/services/closed"

[[service]]
name = "foreign"
path = "/services/own"
host = "h"
port = 3
check = { cmd = "true" }
"#;

/// An agent, and what its metrics are expected to show: everything that was brought about so far.
pub struct Faults {
    pub scene: Scene,
    pub agent: Agent,
    shown: RefCell<Vec<(&'static str, f64)>>,
}

impl Faults {
    /// An agent without faults.
    pub fn new() -> Self {
        let scene = Scene::new(CONFIG);
        scene.site.file("templates/web.tera", "{% for m in web %}{{ m.address }}\n{% endfor %}");
        scene.site.file("templates/zones.tera", "{% for m in zones %}{{ m.zone }}\n{% endfor %}");
        scene.site.file("templates/settings.tera", "{{ settings.a }}\n");
        let agent = scene.up();
        let names = ["strict", "isolating", "checked", "written", "reloaded", "rolled", "late", "drifting"];
        let settled = |metrics: &Metrics| {
            let count = |family: &str, state: &str, name: &&str| {
                metrics.get(&format!("rosterd_{family}{{template=\"{name}\"{state}}}"))
            };
            names.iter().all(|name| {
                count("template_files", ",state=\"up_to_date\"", name) == Some(1.0)
                    && count("template_pending_reloads", "", name) == Some(0.0)
            }) && ["own", "drained"]
                .iter()
                .all(|name| metrics.get(&format!("rosterd_service_registered{{service=\"{name}\"}}")) == Some(1.0))
        };
        agent.until("everything is up to date", || scene.scrape().is_some_and(|metrics| settled(&metrics)));
        Self { scene, agent, shown: RefCell::default() }
    }

    /// The metrics, once they show this and everything before. -1 stands for any value above 0.
    fn shows(&self, series: &[(&'static str, f64)]) -> Metrics {
        self.shown.borrow_mut().extend_from_slice(series);
        let all = self.shown.borrow();
        // What is not yet as expected.
        let differs = |metrics: &Metrics| {
            let is = |(name, value): &&(&str, f64)| match metrics.get(&format!("rosterd_{name}")) {
                Some(found) if *value < 0.0 => found > 0.0,
                found => found == Some(*value),
            };
            all.iter().find(|expected| !is(expected)).copied()
        };
        let (mut last, mut wrong) = (None, Vec::new());
        let is_shown = holds(PATIENCE, || {
            let (metrics, differences) = state::compared(&self.scene);
            wrong = differences;
            wrong.extend(differs(&metrics).map(|(name, value)| format!("{name} is not {value}")));
            last = Some(metrics);
            wrong.is_empty()
        });
        assert!(is_shown, "{wrong:?}:\n{}", self.agent.log().join("\n"));
        last.unwrap()
    }

    fn put(&self, path: &str, data: &[u8]) {
        self.scene.client.put(path, data);
    }

    fn reload_config(&self, config: &str) {
        self.scene.configure(config);
        self.agent.signal(Signal::SIGHUP);
    }

    /// Each fault: what it is, the metrics that show it, and the alerts that it adds.
    pub fn each(&self) -> Vec<(&'static str, Metrics, &'static [&'static str])> {
        let (scene, site) = (&self.scene, &self.scene.site);
        let mut all: Vec<(&'static str, Metrics, &'static [&'static str])> = Vec::new();

        self.put("/services/web/10.0.0.9:80", &vec![b'x'; 70_000]);
        let shown = self.shows(&[("roster_quarantined_nodes{roster=\"web\"}", 1.0)]);
        all.push(("a node of 70 kB", shown, &["RosterdMembersQuarantined"]));

        self.put("/services/zones/10.0.0.9:80", b"{}");
        let shown = self.shows(&[
            ("roster_filter_errors{roster=\"zoned\"}", 1.0),
            ("template_failed_files{template=\"strict\",stage=\"render\"}", 1.0),
            ("template_isolated_members{template=\"isolating\"}", 1.0),
        ]);
        let alerts = &["RosterdFilterErrors", "RosterdRenderFailed", "RosterdMembersIsolated"];
        all.push(("a member without a field", shown, alerts));

        self.put("/services/web/poison:1", b"");
        let shown = self.shows(&[
            ("template_failed_files{template=\"checked\",stage=\"check_rejected\"}", 1.0),
            ("template_failed_files{template=\"rolled\",stage=\"rollback\"}", 1.0),
            ("template_pending_reloads{template=\"rolled\"}", 0.0),
        ]);
        all.push(("a member that the software refuses", shown, &["RosterdCheckFailed", "RosterdRolledBack"]));

        site.file("broken", "");
        self.put("/services/web/10.0.0.5:80", b"");
        let shown = self.shows(&[("template_reload_failures{template=\"reloaded\"}", -1.0)]);
        all.push(("a reload that fails", shown, &["RosterdReloadFailing"]));

        site.remove("out/written");
        fs::create_dir(site.path("out/written")).unwrap();
        let shown = self.shows(&[("template_failed_files{template=\"written\",stage=\"write\"}", 1.0)]);
        all.push(("a directory in place of a file", shown, &["RosterdWriteFailed", "RosterdFileDrift"]));

        scene.client.remove("/services/held/10.0.0.4:80");
        let shown = self.shows(&[("roster_held{roster=\"held\"}", 1.0)]);
        all.push(("fewer members than min", shown, &["RosterdHeld"]));

        site.file("down", "");
        let shown = self.shows(&[("service_up{service=\"own\"}", 0.0), ("service_registered{service=\"own\"}", 0.0)]);
        all.push(("a service whose check fails", shown, &["RosterdServiceDown"]));

        self.put("/services/own/h:3", b"");
        scene.client.run(|client| async move {
            let acl = [Acl::new(Permission::ADMIN, AuthId::anyone())];
            client.create("/services/closed", b"", &CreateMode::Persistent.with_acls((&acl[..]).into())).await.unwrap();
        });
        self.reload_config(&format!("{CONFIG}{MORE}"));
        let shown = self.shows(&[
            ("roster_fresh{roster=\"closed\"}", 0.0),
            ("registry_connected{registry=\"default\"}", 1.0),
            ("service_up{service=\"foreign\"}", 1.0),
            ("service_registered{service=\"foreign\"}", 0.0),
            ("service_registrations_total{service=\"foreign\",outcome=\"foreign\"}", 1.0),
        ]);
        all.push((
            "a closed path, and a node of another client",
            shown,
            &["RosterdViewNotFresh", "RosterdServiceNotRegistered"],
        ));

        // Not before: a new configuration is written over it.
        fs::write(site.path("out/drifting"), "by hand\n").unwrap();
        let shown = self.shows(&[("template_drifted_files{template=\"drifting\"}", 1.0)]);
        all.push(("a file that was edited by hand", shown, &[]));

        site.run(&["drain", "drained"]).expect(0);
        site.run(&["pause", "--for", "2d"]).expect(0);
        fs::remove_dir_all(site.path("state")).unwrap();
        site.file("state", "not a directory");
        self.put("/services/web/10.0.0.6:80", b"");
        let shown = self.shows(&[
            ("service_drained{service=\"drained\"}", 1.0),
            ("paused", 1.0),
            ("events_total{event=\"state_write_failed\",level=\"warn\"}", -1.0),
        ]);
        all.push(("a state directory that was replaced", shown, &["RosterdStateNotSaved"]));

        self.reload_config("[[roster]]\nnothing = 1\n");
        let shown = self.shows(&[("config_last_load_successful{part=\"configuration\"}", 0.0)]);
        all.push(("a configuration that is refused", shown, &["RosterdConfigRefused"]));
        all
    }
}
