//! Reloads that are pending from earlier runs.

use std::sync::Arc;

use crate::config::{Command, Each, OnGone, Reload, TemplateConfig};
use crate::decide::{Input, Needs, Outcome, ReloadJob, ReloadOutcome, RunMode, SavedState, TemplatePlan};
use crate::model::node_path::Subject;

use super::harness::{Bench, plan, present, roster, seconds, template, web};

fn owed(name: &str, reload: &str) -> TemplateConfig {
    TemplateConfig::clone(&template(name, &[], reload).config)
}

fn start(templates: Vec<TemplatePlan>, owed: Vec<TemplateConfig>) -> Bench {
    let plan = plan(vec![roster("web", web())], vec![], templates);
    Bench::owing(RunMode::Continuous, plan, SavedState::new(), owed)
}

/// Which command runs, and for which files.
fn told(job: &ReloadJob) -> (String, Vec<&str>) {
    (job.reload.to_string(), job.templates.iter().map(|template| &*template.name).collect())
}

#[test]
fn inherited_reloads_run_at_once_with_the_current_command() {
    let mut moved = owed("moved", "old");
    moved.dest = "/elsewhere/moved".into();
    let before = vec![owed("a", "old"), owed("b", "old"), owed("gone", "old"), moved];
    let now = vec![template("a", &["web"], "new"), template("b", &["web"], "old"), template("moved", &["web"], "new")];
    let bench = start(now, before);
    let ran: Vec<_> = bench.reloads.iter().map(told).collect();
    assert_eq!(ran, [("new".to_owned(), vec!["a"]), ("old".to_owned(), vec!["b", "gone", "moved"])]);
    assert!(bench.publications.is_empty(), "no view has been received");
}

#[test]
fn a_template_without_a_reload_has_no_inherited_one() {
    let bench = start(vec![template("a", &["web"], "")], vec![owed("a", "old")]);
    assert!(bench.is_idle());
}

#[test]
fn the_file_of_an_unseen_key_uses_the_current_reload() {
    let svc = |reload: &str| TemplateConfig {
        each: Some(Each::new("svc", "services", OnGone::Remove)),
        reload: Some(Reload::Command(Command::Shell(reload.into()))),
        ..TemplateConfig::new("svc", "svc.tera", "/etc/{{ key }}.cfg")
    };
    let before = svc("old").for_key(&Arc::from("a")).unwrap();
    let services = Subject::parse("/services/*").unwrap();
    let plan = plan(
        vec![roster("services", services)],
        vec![],
        vec![TemplatePlan { config: Arc::new(svc("new {{ dest }}")), needs: Needs::default() }],
    );
    let bench = Bench::owing(RunMode::Continuous, plan, SavedState::new(), vec![before]);
    let ran: Vec<_> = bench.reloads.iter().map(told).collect();
    assert_eq!(ran, [("new /etc/a.cfg".to_owned(), vec!["svc[a]"])]);
}

#[test]
fn a_failed_inherited_reload_stays_pending() {
    let mut bench = start(vec![template("a", &["web"], "R")], vec![owed("a", "R")]);
    bench.reload(ReloadOutcome::Failed("no".into()));
    bench.reset(&web(), present(&["x"]));
    bench.pass(seconds(1));
    bench.publish(Outcome::Unchanged);
    bench.pass(seconds(10));
    assert_eq!(told(&bench.reload(ReloadOutcome::Succeeded)).0, "R", "the file is up to date but was not reloaded");
    bench.pass(seconds(100));
    assert!(bench.is_idle());
}

#[test]
fn a_pass_runs_inherited_reloads_with_its_own() {
    let plan = plan(vec![roster("web", web())], vec![], vec![template("a", &["web"], "R")]);
    let mut bench = Bench::owing(RunMode::Once { max_stale: None }, plan, SavedState::new(), vec![owed("b", "R")]);
    assert!(bench.is_idle());
    bench.reset(&web(), present(&["x"]));
    bench.pass(seconds(30));
    bench.publish(Outcome::Replaced);
    assert!(bench.is_idle());
    bench.input(Input::Stopping);
    assert_eq!(told(&bench.reload(ReloadOutcome::Succeeded)), ("R".to_owned(), vec!["a", "b"]));
}
