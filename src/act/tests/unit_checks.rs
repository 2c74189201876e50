//! Checks that read the new files of their unit.

use std::fs;
use std::sync::Arc;

use crate::act::files::{Batch, RenderCopy, Rendered, probe, publish};
use crate::config::{TemplateConfig, UnitPaths};
use crate::decide::{Failure, Outcome, Stage};
use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::bench::{Bench, identity, shell, staged_in};

/// Two files of a unit: `main` includes `part`, and its check requires that the included file says "good".
fn two(bench: &Bench) -> [TemplateConfig; 2] {
    let mut main = bench.template("main");
    main.check = Some(shell("grep -q good \"$(sed -n 's/^include //p' {{ src }})\""));
    [main, bench.template("part")]
}

/// `main`, which prints the path of `part` as it is given.
fn main_text(bench: &Bench) -> Rendered {
    let render = |path: &str| format!("include {path}\n").into_bytes();
    let bytes = render(bench.path("part").to_str().unwrap());
    let copy = move |paths: Arc<UnitPaths>| async move { Ok(render(paths["part"].to_str().unwrap())) }.boxed();
    Rendered { bytes, copy: Some(RenderCopy(Box::new(copy))) }
}

/// Publishes what each template renders to. An error is what rendering failed with.
async fn publish_unit(bench: &Bench, files: Vec<(&TemplateConfig, Result<Rendered, &str>)>) -> Vec<Outcome> {
    let (batch, places) = Batch::new(files.len(), Some("edge".into()), true, &bench.stop);
    let one = async |template: &TemplateConfig, rendered: Result<Rendered, &str>, place| {
        let mut place = Some(place);
        let outcome = match rendered {
            Ok(rendered) => publish(&bench.writer, template, rendered, &bench.stop, &mut place).await,
            Err(why) => Outcome::Failed(Failure::new(Stage::Render, why)),
        };
        if let Some(place) = place {
            place.finish(template, &outcome);
        }
        outcome
    };
    let all = files.into_iter().zip(places).map(|((template, rendered), place)| one(template, rendered, place));
    tokio::join!(join_all(all), batch.commit(bench.writer.clone())).0
}

fn failure(outcome: &Outcome) -> (Stage, &str) {
    let Outcome::Failed(Failure { stage, message, .. }) = outcome else { panic!("{outcome:?}") };
    (*stage, message)
}

#[tokio::test]
async fn a_check_reads_the_new_files_and_the_files_name_their_destinations() {
    let bench = Bench::new();
    let [main, part] = two(&bench);
    let both = |text: &str| vec![(&main, Ok(main_text(&bench))), (&part, Ok(text.as_bytes().to_vec().into()))];
    let written = publish_unit(&bench, both("good")).await;
    assert_eq!(written, [Outcome::Replaced, Outcome::Replaced], "the first time neither file is there");
    let shown = format!("include {}\n", bench.path("part").display());
    assert_eq!(fs::read_to_string(bench.path("main")).unwrap(), shown);
    assert_eq!(publish_unit(&bench, both("good")).await, [Outcome::Unchanged, Outcome::Unchanged]);
    assert_eq!(publish_unit(&bench, both("good 2")).await, [Outcome::Unchanged, Outcome::Replaced]);
    assert_eq!(staged_in(bench.directory.path()), [""; 0]);
}

#[tokio::test]
async fn a_file_that_stays_as_it_is_is_checked_against_the_new_files_that_it_names() {
    let bench = Bench::new();
    let [main, part] = two(&bench);
    let both = |text: &str| vec![(&main, Ok(main_text(&bench))), (&part, Ok(text.as_bytes().to_vec().into()))];
    publish_unit(&bench, both("good")).await;
    let before = ["main", "part"].map(|name| identity(&bench.path(name)));
    let outcomes = publish_unit(&bench, both("bad")).await;
    assert_eq!(failure(&outcomes[0]).0, Stage::Refused);
    assert_eq!(failure(&outcomes[1]).0, Stage::Unit);
    assert_eq!(["main", "part"].map(|name| identity(&bench.path(name))), before);
    assert_eq!(staged_in(bench.directory.path()), [""; 0]);
}

#[tokio::test]
async fn a_check_command_names_the_new_files() {
    let bench = Bench::new();
    let [mut main, part] = two(&bench);
    main.check = Some(shell("grep -qx good {{ staged.part }} && grep -qx main {{ staged['main'] }}"));
    let both = |text: &str| vec![(&main, Ok(b"main\n".to_vec().into())), (&part, Ok(text.as_bytes().to_vec().into()))];
    assert_eq!(publish_unit(&bench, both("good\n")).await, [Outcome::Replaced, Outcome::Replaced]);
    assert_eq!(failure(&publish_unit(&bench, both("bad\n")).await[0]).0, Stage::Refused, "main itself is unchanged");
    assert_eq!(staged_in(bench.directory.path()), [""; 0]);
}

#[tokio::test]
async fn two_files_may_name_each_other() {
    let bench = Bench::new();
    let other = |name: &'static str, dest: std::path::PathBuf| {
        let copy = move |paths: Arc<UnitPaths>| async move { Ok(paths[name].to_str().unwrap().into()) }.boxed();
        Rendered { bytes: dest.to_str().unwrap().into(), copy: Some(RenderCopy(Box::new(copy))) }
    };
    let [mut one, two] = ["one", "two"].map(|name| bench.template(name));
    // Its copy names the copy of the other, which names this copy.
    one.check = Some(shell("test \"$(cat $(cat {{ src }}))\" = {{ src }}"));
    let files = vec![(&one, Ok(other("two", bench.path("two")))), (&two, Ok(other("one", bench.path("one"))))];
    assert_eq!(publish_unit(&bench, files).await, [Outcome::Replaced, Outcome::Replaced]);
    assert_eq!(fs::read_to_string(bench.path("one")).unwrap(), bench.path("two").to_str().unwrap());
    assert_eq!(staged_in(bench.directory.path()), [""; 0]);
}

#[tokio::test]
async fn what_is_checked_is_what_is_put_in_place() {
    let bench = Bench::new();
    let [main, part] = two(&bench);
    let copy = |paths: Arc<UnitPaths>| async move { Ok(format!("# good {:?}", paths["part"]).into()) }.boxed();
    let other = Rendered { bytes: b"something else".to_vec(), copy: Some(RenderCopy(Box::new(copy))) };
    let outcomes = publish_unit(&bench, vec![(&main, Ok(other)), (&part, Ok(b"good".to_vec().into()))]).await;
    let (stage, message) = failure(&outcomes[0]);
    assert!(stage == Stage::Render && message.contains("print `staged` values as they are"), "{message}");
    assert_eq!(failure(&outcomes[1]).0, Stage::Unit);
    assert!(!bench.path("main").exists() && !bench.path("part").exists());
    assert_eq!(staged_in(bench.directory.path()), [""; 0]);
}

#[tokio::test]
async fn no_file_waits_for_one_that_failed() {
    let bench = Bench::new();
    let [main, part] = two(&bench);
    for (rendered, why) in [(Err("no such field"), "template part: render failed: no such field"), (Ok(()), "copy")] {
        let part_text = rendered.map(|()| {
            let copy = |_| async { Err("no copy".to_owned()) }.boxed();
            Rendered { bytes: b"good".to_vec(), copy: Some(RenderCopy(Box::new(copy))) }
        });
        let outcomes = publish_unit(&bench, vec![(&main, Ok(main_text(&bench))), (&part, part_text)]).await;
        let (stage, message) = failure(&outcomes[0]);
        assert!(stage == Stage::Unit && message.contains(why), "{message}");
        assert_eq!(failure(&outcomes[1]).0, Stage::Render);
        assert_eq!(staged_in(bench.directory.path()), [""; 0]);
    }
    // One whose task ended without a word.
    let (batch, mut places) = Batch::new(2, Some("edge".into()), true, &bench.stop);
    let one = async {
        let mut place = places.pop();
        places.clear();
        publish(&bench.writer, &main, main_text(&bench), &bench.stop, &mut place).await
    };
    let outcome = tokio::join!(one, batch.commit(bench.writer.clone())).0;
    assert!(failure(&outcome).1.contains("interrupted"), "{outcome:?}");
}

#[tokio::test]
async fn a_probe_reads_the_files_of_the_unit_and_replaces_none() {
    let bench = Bench::new();
    let [main, part] = two(&bench).map(Arc::new);
    let both =
        |text: &str| vec![(Arc::clone(&main), main_text(&bench)), (Arc::clone(&part), text.as_bytes().to_vec().into())];
    let passed = probe(&bench.writer, &main, both("good"), &bench.stop).await;
    assert_eq!(passed, Outcome::WouldReplace);
    let refused = probe(&bench.writer, &main, both("bad"), &bench.stop).await;
    assert_eq!(failure(&refused).0, Stage::Refused);
    assert_eq!(fs::read_dir(bench.directory.path()).unwrap().count(), 0);
}
