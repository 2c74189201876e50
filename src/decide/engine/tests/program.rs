//! The files of a program: which ones its first start waits for, and when changes are pending.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Reload, TemplateConfig};
use crate::decide::{Failure, Input, NotReady, Outcome, ReloadOutcome, Stage, TemplatePlan};

use super::harness::{Bench, plan, present, put, roster, seconds, template, web};

/// A template of the program.
fn of_program(name: &str, needs: &[&str]) -> TemplatePlan {
    let plan = template(name, needs, "");
    let config = TemplateConfig { reload: Some(Reload::Program), ..(*plan.config).clone() };
    TemplatePlan { config: Arc::new(config), ..plan }
}

fn two() -> Bench {
    let templates = vec![of_program("a", &["web"]), of_program("b", &["web"])];
    Bench::new(plan(vec![roster("web", web())], vec![], templates))
}

fn not_ready(bench: &Bench) -> Vec<(String, Option<PathBuf>)> {
    let all = bench.engine.not_ready().into_iter();
    all.map(|NotReady { template, existing_file, .. }| (template.to_string(), existing_file)).collect()
}

#[test]
fn applied_files_are_no_longer_pending_and_later_ones_are() {
    let mut bench = two();
    bench.reset(&web(), present(&["m"]));
    bench.publish(Outcome::Replaced);
    assert!(bench.reloads.is_empty(), "waits for the other file of the same change");
    bench.publish(Outcome::Replaced);
    assert_eq!(bench.reloads[0].reload, Reload::Program);
    // One file changes again before the program is notified. The notification covers that change too.
    bench.change(vec![put("n")]);
    bench.pass(seconds(1));
    bench.publish(Outcome::Replaced);
    bench.publish(Outcome::Failed(Failure::new(Stage::Render, "no")));
    bench.fail_probes();
    bench.reloads.clear();
    bench.input(Input::FilesApplied);
    bench.pass(seconds(60));
    assert!(bench.is_idle() && !bench.engine.is_reloading());
    // A start without a requested reload applies the files as well.
    bench.change(vec![put("o")]);
    bench.pass(Duration::from_millis(200));
    bench.publish(Outcome::Replaced);
    bench.publish(Outcome::Unchanged);
    bench.reload(ReloadOutcome::Succeeded);
    bench.change(vec![put("p")]);
    bench.pass(Duration::from_millis(200));
    bench.publish(Outcome::Replaced);
    bench.publish(Outcome::Unchanged);
    assert!(bench.reloads.is_empty(), "deferred by reload_interval");
    bench.input(Input::FilesApplied);
    bench.pass(seconds(60));
    assert!(bench.is_idle(), "the program was started with it");
    bench.change(vec![put("q")]);
    bench.pass(Duration::from_millis(200));
    bench.publish(Outcome::Replaced);
    bench.publish(Outcome::Unchanged);
    assert_eq!(bench.reloads.len(), 1, "later changes are pending");
}

#[test]
fn a_file_is_not_ready_until_it_was_up_to_date_once() {
    let mut bench = two();
    let nothing_stands = [("a".to_owned(), None), ("b".to_owned(), None)];
    assert_eq!(not_ready(&bench), nothing_stands, "the registry may still answer");
    bench.away();
    assert_eq!(not_ready(&bench), ["a", "b"].map(|name| (name.to_owned(), Some(format!("/etc/{name}").into()))));
    bench.reset(&web(), present(&["m"]));
    assert_eq!(not_ready(&bench), nothing_stands, "they are being written");
    bench.publish(Outcome::Unchanged);
    assert_eq!(not_ready(&bench), nothing_stands[1..]);
    bench.publish(Outcome::Replaced);
    assert_eq!(not_ready(&bench), []);
    bench.away();
    assert_eq!(not_ready(&bench), [], "once is enough");
}

#[test]
fn a_pause_allows_existing_files_and_a_hold_does_not() {
    let mut bench = two();
    bench.reset(&web(), present(&[]));
    assert_eq!(not_ready(&bench)[0], ("a".to_owned(), None), "never a good view");
    bench.input(Input::Paused(bench.now + seconds(60)));
    assert_eq!(not_ready(&bench)[0].1, Some("/etc/a".into()));
}

#[test]
fn a_finished_write_is_pending_for_the_program() {
    let mut bench = two();
    bench.reset(&web(), present(&["m"]));
    bench.publish(Outcome::Replaced);
    bench.publish(Outcome::Replaced);
    bench.input(Input::FilesApplied);
    bench.reloads.clear();
    bench.pass(seconds(60));
    assert!(bench.is_idle());
    let finished = |dest: PathBuf| Input::WritesFinished(vec![Arc::new(TemplateConfig::new("a", "", dest))]);
    bench.input(finished("/elsewhere".into()));
    assert!(bench.is_idle(), "the file no longer belongs to the program");
    bench.input(finished(of_program("a", &[]).config.dest.clone()));
    assert_eq!(bench.reloads[0].reload, Reload::Program);
}
