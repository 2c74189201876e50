//! Files of a batch: all are staged and checked before the first is replaced; of a unit either all are replaced or
//! none.

use std::fs;

use crate::act::files::{Batch, publish, retry_unfinished};
use crate::config::{Block, Method, TemplateConfig};
use crate::decide::{Failure, Outcome, Stage};
use futures_util::future::join_all;

use super::bench::{Bench, again, identity, is_again, passes_again, shell, staged_in};
use super::journals::{next, noted, reloaded, take_over};

/// Publishes these bytes to all destinations as one batch.
async fn publish_group(bench: &Bench, unit: Option<&str>, templates: &[TemplateConfig], bytes: &[u8]) -> Vec<Outcome> {
    let (joint, seats) = Batch::new(templates.len(), unit.map(Into::into), false, &bench.stop);
    let bring = async |template: &TemplateConfig, seat| {
        let mut seat = Some(seat);
        let outcome = publish(&bench.writer, template, bytes.to_owned(), &bench.stop, &mut seat).await;
        if let Some(seat) = seat {
            seat.finish(template, &outcome);
        }
        outcome
    };
    let all = join_all(templates.iter().zip(seats).map(|(template, seat)| bring(template, seat)));
    tokio::join!(all, joint.commit(bench.writer.clone())).0
}

fn stage(outcome: &Outcome) -> Option<Stage> {
    match outcome {
        Outcome::Failed(Failure { stage, .. }) => Some(*stage),
        _ => None,
    }
}

/// Three files that exist, and one that does not.
fn four(bench: &Bench) -> Vec<TemplateConfig> {
    for name in ["a", "b", "c"] {
        fs::write(bench.path(name), "old").unwrap();
    }
    ["a", "b", "c", "d"].map(|name| bench.template(name)).to_vec()
}

#[tokio::test]
async fn a_failed_check_keeps_its_whole_unit_unchanged() {
    let bench = Bench::new();
    let mut templates = four(&bench);
    let before: Vec<_> = ["a", "b", "c"].map(|name| identity(&bench.path(name))).to_vec();
    templates[1].check = Some(shell("echo line 7; exit 1"));
    let outcomes = publish_group(&bench, Some("edge"), &templates, b"new").await;
    let stages: Vec<_> = outcomes.iter().map(stage).collect();
    assert_eq!(stages, [Some(Stage::Unit), Some(Stage::Refused), Some(Stage::Unit), Some(Stage::Unit)]);
    let Outcome::Failed(Failure { message, .. }) = &outcomes[0] else { panic!() };
    assert_eq!(message, "unit edge: template b: check failed: check \"echo line 7; exit 1\" exited with 1:\n  line 7");
    assert_eq!(["a", "b", "c"].map(|name| identity(&bench.path(name))).to_vec(), before);
    assert!(!bench.path("d").exists() && staged_in(bench.directory.path()).is_empty());
    templates[1].check = Some(shell("true"));
    assert_eq!(publish_group(&bench, Some("edge"), &templates, b"new").await, [const { Outcome::Replaced }; 4]);
    assert_eq!(staged_in(bench.directory.path()), [""; 0]);
    assert_eq!(publish_group(&bench, Some("edge"), &templates, b"new").await, [const { Outcome::Unchanged }; 4]);
}

#[tokio::test]
async fn a_failed_rename_restores_its_whole_unit() {
    const NAME: &str = "act::tests::units::a_failed_rename_restores_its_whole_unit";
    if !is_again() {
        for nth in ["1", "2", "3", "4"] {
            // The last file is new: there is nothing to exchange it with, so it is renamed, as is one whose exchange
            // fails.
            let renames = if nth == "4" { "1" } else { "1..2" };
            let exchange = format!("inject=renameat2:error=EIO:when={nth}");
            let rename = format!("inject=renameat:error=EIO:when={renames}");
            let traced = ["-e", "trace=renameat,renameat2", "-e", &exchange, "-e", &rename];
            passes_again(NAME, &[&["strace", "-f", "-qq", "-o", "/dev/null"], &traced[..]].concat());
        }
        return;
    }
    let bench = Bench::new();
    let templates = four(&bench);
    let before: Vec<_> = ["a", "b", "c"].map(|name| identity(&bench.path(name))).to_vec();
    let outcomes = publish_group(&bench, Some("edge"), &templates, b"new").await;
    let stages: Vec<_> = outcomes.iter().map(stage).collect();
    assert_eq!(stages.iter().filter(|stage| **stage == Some(Stage::Write)).count(), 1, "{outcomes:?}");
    assert_eq!(stages.iter().filter(|stage| **stage == Some(Stage::Unit)).count(), 3, "{outcomes:?}");
    assert_eq!(["a", "b", "c"].map(|name| identity(&bench.path(name))).to_vec(), before, "the same files, by inode");
    assert!(!bench.path("d").exists());
    assert_eq!(staged_in(bench.directory.path()), [""; 0]);
}

#[tokio::test]
async fn a_unit_is_exchanged_with_the_old_files() {
    const NAME: &str = "act::tests::units::a_unit_is_exchanged_with_the_old_files";
    if is_again() {
        let bench = Bench::new();
        assert_eq!(publish_group(&bench, Some("edge"), &four(&bench), b"new").await, [const { Outcome::Replaced }; 4]);
        return;
    }
    // Proves that files are exchanged at all; otherwise the test above would prove nothing.
    let inject = "inject=renameat2:error=EIO:when=1";
    let output = again(NAME, &["strace", "-f", "-qq", "-e", "trace=renameat2", "-e", inject]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("RENAME_EXCHANGE") && said.contains("(INJECTED)"), "{said}");
}

#[tokio::test]
async fn without_a_unit_all_are_checked_before_the_first_is_replaced() {
    let bench = Bench::new();
    let mut templates = four(&bench);
    // Each check sees only old files beside its own, however long the other checks take.
    let look = |log: &str| {
        let (directory, log) = (bench.directory.path().display().to_string(), bench.path(log));
        shell(format!("cat {directory}/a {directory}/b {directory}/c > {}", log.display()))
    };
    templates[0].check = Some(look("log.a"));
    templates[1].check = Some(look("log.b"));
    templates[2].check = Some(shell("false"));
    let outcomes = publish_group(&bench, None, &templates, b"new").await;
    assert_eq!(outcomes.iter().map(stage).collect::<Vec<_>>(), [None, None, Some(Stage::Refused), None]);
    for log in ["log.a", "log.b"] {
        assert_eq!(fs::read_to_string(bench.path(log)).unwrap(), "oldoldold");
    }
    let now = ["a", "b", "c", "d"].map(|name| fs::read_to_string(bench.path(name)).unwrap());
    assert_eq!(now, ["new", "new", "old", "new"]);
}

#[tokio::test]
async fn a_batch_may_have_more_files_than_descriptors() {
    const NAME: &str = "act::tests::units::a_batch_may_have_more_files_than_descriptors";
    if !is_again() {
        return passes_again(NAME, &["prlimit", "--nofile=300:300"]);
    }
    let bench = Bench::new();
    let templates: Vec<_> = (0..400).map(|number| bench.template(&format!("f{number}"))).collect();
    let outcomes = publish_group(&bench, None, &templates, b"new").await;
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Replaced));
}

#[tokio::test]
async fn blocks_of_one_file_are_written_together_or_one_after_the_other() {
    let bench = Bench::new();
    let templates = ["a", "b", "c"].map(|name| {
        let mut template = bench.template("f");
        template.name = name.into();
        template.placing.block = Some(Block::new(name));
        template.check = Some(shell("true"));
        template
    });
    // The first replacement changes what the others were made from: these leave the batch and are rebuilt.
    assert_eq!(publish_group(&bench, None, &templates, b"new").await, [const { Outcome::Replaced }; 3]);
    let now = fs::read_to_string(bench.path("f")).unwrap();
    for name in ["a", "b", "c"] {
        assert!(now.contains(&format!("# BEGIN rosterd {name}\nnew\n# END rosterd {name}\n")), "{now}");
    }
    assert_eq!(publish_group(&bench, None, &templates, b"new").await, [const { Outcome::Unchanged }; 3]);
    assert!(staged_in(bench.directory.path()).is_empty());
}

#[tokio::test]
async fn a_unit_that_is_restored_supersedes_nothing() {
    const NAME: &str = "act::tests::units::a_unit_that_is_restored_supersedes_nothing";
    if !is_again() {
        // Each overwritten file is truncated: the second one by the second agent, on another thread.
        let traced = ["-e", "trace=ftruncate", "-e", "inject=ftruncate:error=EIO:when=2"];
        passes_again(NAME, &[&["strace", "-f", "-qq", "-o", "/dev/null"], &traced[..]].concat());
        return;
    }
    let bench = Bench::new();
    let templates = ["a", "b"].map(|name| {
        let mut template = reloaded(&bench, name);
        (template.placing.write, template.unit) = (Method::InPlace, Some("edge".into()));
        template
    });
    fs::write(&templates[0].dest, "an old one").unwrap();
    take_over(&bench, &templates).await;
    assert_eq!(publish_group(&bench, Some("edge"), &templates, b"new").await, [const { Outcome::Replaced }; 2]);
    let entries = noted(&bench);
    let entry = entries.iter().find(|entry| entry.dest == templates[0].dest).unwrap();
    let staged = bench.path(entry.staged_name().unwrap().to_str().unwrap());
    // It was killed in the middle of the first, and the staged file cannot be read.
    fs::write(&templates[0].dest, "newld one").unwrap();
    fs::create_dir(&staged).unwrap();
    let (bench, _) = next(bench, &templates).await;
    fs::remove_dir(&staged).unwrap();
    fs::write(&staged, "new").unwrap();
    let outcomes = publish_group(&bench, Some("edge"), &templates, b"newer").await;
    assert_eq!(outcomes.iter().map(stage).collect::<Vec<_>>(), [Some(Stage::Unit), Some(Stage::Write)]);
    assert_eq!(fs::read_to_string(bench.path("a")).unwrap(), "newld one", "as it was");
    assert_eq!(retry_unfinished(&bench.writer).await.unwrap().1, 0);
    assert_eq!(["a", "b"].map(|name| fs::read_to_string(bench.path(name)).unwrap()), ["new", "new"]);
}
