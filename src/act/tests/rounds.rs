//! Files that change together share their syncs and nothing else.

use std::fs;
use std::sync::mpsc;

use crate::config::TemplateConfig;
use crate::decide::{Failure, Outcome, Stage};
use futures_util::future::join_all;

use super::bench::{Bench, again, is_again, passes_again, shell, staged_in};
use super::order::calls;

const FILES: [&str; 5] = ["a/1", "a/2", "b/3", "a/4", "b/5"];

fn directories(bench: &Bench) -> Vec<TemplateConfig> {
    for directory in ["a", "b"] {
        fs::create_dir(bench.path(directory)).unwrap();
    }
    FILES.map(|name| bench.template(name)).to_vec()
}

/// Publishes these bytes to all destinations in one batch: the file thread is blocked until all are queued.
async fn publish_all(bench: &Bench, templates: &[TemplateConfig], bytes: &[u8]) -> Vec<Outcome> {
    let (go, kept) = mpsc::channel::<()>();
    bench.writer.in_order(move || _ = kept.recv());
    let queued = async { drop(go) };
    let publications = join_all(templates.iter().map(|template| bench.publish(template, bytes)));
    tokio::join!(publications, queued).0
}

/// For each file, whether it was replaced, or the stage at which it failed.
fn told(outcomes: Vec<Outcome>) -> Vec<Result<(), Stage>> {
    let told = |outcome| match outcome {
        Outcome::Replaced => Ok(()),
        Outcome::Failed(Failure { stage, .. }) => Err(stage),
        other => panic!("{other:?}"),
    };
    outcomes.into_iter().map(told).collect()
}

#[tokio::test]
async fn files_that_change_together_share_their_syncs() {
    const NAME: &str = "act::tests::rounds::files_that_change_together_share_their_syncs";
    if is_again() {
        let bench = Bench::new();
        assert_eq!(told(publish_all(&bench, &directories(&bench), b"new").await), [Ok(()); 5]);
        return;
    }
    let trace = tempfile::NamedTempFile::new().unwrap();
    let traced = "trace=write,fchown,fchmod,fadvise64,fsync,renameat";
    let output =
        again(NAME, &["strace", "-f", "-qq", "-y", "-s", "0", "-e", traced, "-o", trace.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let trace = fs::read_to_string(trace.path()).unwrap();
    let calls = calls(&trace);
    let mut expected = ["write staged", "fchown staged", "fchmod staged"].repeat(5);
    expected.extend(["fadvise64 staged"; 5]);
    expected.extend(["fsync staged"; 5]);
    expected.extend(["renameat staged"; 5]);
    expected.extend(["fsync directory"; 2]);
    assert_eq!(calls.iter().map(|(_, call)| call.as_str()).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_failure_of_one_file_does_not_affect_others() {
    const NAME: &str = "act::tests::rounds::a_failure_of_one_file_does_not_affect_others";
    if !is_again() {
        for call in ["fchown", "fchmod", "fsync", "renameat"] {
            with_fault(NAME, call, 2);
        }
        return;
    }
    let bench = Bench::new();
    let templates = directories(&bench);
    let outcomes = told(publish_all(&bench, &templates, b"new").await);
    assert_eq!(outcomes, [Ok(()), Err(Stage::Write), Ok(()), Ok(()), Ok(())]);
    for (template, outcome) in templates.iter().zip(&outcomes) {
        assert_eq!(template.dest.exists(), outcome.is_ok(), "{}", template.dest.display());
        assert_eq!(staged_in(template.dest.parent().unwrap()), [""; 0]);
    }
    assert_eq!(told(publish_all(&bench, &templates, b"newer").await), [Ok(()); 5], "the fault is over");
}

#[tokio::test]
async fn a_directory_that_cannot_be_synced_fails_for_its_own_files() {
    const NAME: &str = "act::tests::rounds::a_directory_that_cannot_be_synced_fails_for_its_own_files";
    if !is_again() {
        return with_fault(NAME, "fsync", 6);
    }
    let bench = Bench::new();
    let templates = directories(&bench);
    let outcomes = told(publish_all(&bench, &templates, b"new").await);
    let failed =
        |directory: &str| FILES.map(|name| if name.starts_with(directory) { Err(Stage::Write) } else { Ok(()) });
    assert!(outcomes == failed("a") || outcomes == failed("b"), "{outcomes:?}");
    // These are in place but may not last: the retry replaces them, makes their reload pending, and leaves the others
    // alone.
    let again = publish_all(&bench, &templates, b"new").await;
    let expected = outcomes.iter().map(|outcome| if outcome.is_ok() { Outcome::Unchanged } else { Outcome::Replaced });
    assert_eq!(again, expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_failed_check_delays_no_other_file() {
    let bench = Bench::new();
    let mut templates = directories(&bench);
    templates[1].check = Some(shell("false"));
    templates[2].check = Some(shell("true"));
    let outcomes = told(publish_all(&bench, &templates, b"new").await);
    assert_eq!(outcomes, [Ok(()), Err(Stage::Refused), Ok(()), Ok(()), Ok(())]);
}

/// Runs a test again with the n-th call of a kind failing.
fn with_fault(test: &str, call: &str, nth: u32) {
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error=EIO:when={nth}"));
    passes_again(test, &["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject]);
}
