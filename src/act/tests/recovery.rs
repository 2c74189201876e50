//! How the next agent handles a damaged journal, a replaced state directory, and replacements that it cannot finish at
//! once.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::act::files::{CurrentConfig, Writer, drifted, recover, remove, retry_unfinished};
use crate::config::{Method, Reload, TemplateConfig};
use crate::decide::{Outcome, Stage};
use crate::state::journal::{Entry, Journal};
use crate::state::owned_files::Claim;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::bench::{Bench, is_again, passes_again, staged_in};
use super::journals::{next, noted, reloaded, reloads, take_over};

/// A directory whose agent replaced `a`, then `b`, and ended before their reloads; and its journal.
async fn scene() -> (Bench, [TemplateConfig; 2], Vec<u8>) {
    let bench = Bench::new();
    let templates = ["a", "b"].map(|name| reloaded(&bench, name));
    take_over(&bench, &[]).await;
    for template in &templates {
        assert_eq!(bench.publish(template, b"new").await, Outcome::Replaced);
    }
    let journal = fs::read(bench.path("state/journal")).unwrap();
    (bench, templates, journal)
}

/// The pending reloads of an agent that finds this journal and has only these templates configured.
async fn owed(bench: &Bench, templates: &[TemplateConfig], lay: impl FnOnce(&Path)) -> Vec<String> {
    let _ = fs::remove_dir_all(bench.path("state"));
    fs::create_dir(bench.path("state")).unwrap();
    lay(&bench.path("state/journal"));
    let templates = templates.iter().cloned().map(Arc::new).collect();
    let (writer, present) = (Writer::start().unwrap(), CurrentConfig { templates, files: Vec::new() });
    reloads(&recover(&writer, &bench.path("state"), present).await.unwrap())
}

/// Puts something where the journal should be.
type Lay = Box<dyn Fn(&Path)>;

/// Where each line ends.
fn ends(journal: &[u8]) -> Vec<usize> {
    (0..journal.len()).filter(|at| journal[*at] == b'\n').map(|at| at + 1).collect()
}

#[tokio::test]
async fn every_intact_entry_of_a_truncated_journal_is_pending() {
    let (bench, [a, _], journal) = scene().await;
    let lines = ends(&journal);
    assert_eq!(lines.len(), 3, "a header, and a line for each batch");
    for cut in (lines[0]..=journal.len()).step_by(crate::support::random::count(7, 1)) {
        let owed = owed(&bench, std::slice::from_ref(&a), |file| fs::write(file, &journal[..cut]).unwrap()).await;
        // An incomplete entry counts as not recorded.
        let expected = &["reload a", "reload b"][..lines[1..].iter().filter(|end| **end <= cut).count()];
        assert!(owed == expected || cut + 1 == journal.len() || cut + 1 == lines[1], "cut at {cut}: {owed:?}");
    }
}

#[tokio::test]
async fn a_damaged_journal_loses_no_configured_reload() {
    let (bench, [a, _], journal) = scene().await;
    let lines = ends(&journal);
    let mut known = 0;
    for at in (0..journal.len()).step_by(crate::support::random::count(7, 1)) {
        for bit in (0..8).skip(at % 8).take(crate::support::random::count(1, 8)) {
            let mut bytes = journal.clone();
            bytes[at] ^= 1 << bit;
            let owed = owed(&bench, std::slice::from_ref(&a), |file| fs::write(file, &bytes).unwrap()).await;
            assert!(owed.contains(&"reload a".to_owned()), "byte {at}, bit {bit}: {owed:?}");
            // A template that is no longer configured is known from its own line only.
            let is_known = owed.contains(&"reload b".to_owned());
            assert!(is_known || at < lines[0] || at + 1 >= lines[1], "byte {at}, bit {bit}: {owed:?}");
            known += usize::from(is_known);
        }
    }
    assert!(known > 0);
}

#[tokio::test]
async fn a_file_that_is_not_a_journal_is_kept_and_every_reload_runs_once() {
    let (bench, templates, journal) = scene().await;
    let twice = [&journal[..], &journal[ends(&journal)[0]..]].concat();
    let large = [&b"rosterd journal 1\n"[..], &vec![b'x'; crate::support::random::count(1, 100) << 20]].concat();
    let many = [&journal[..], &vec![b'\n'; crate::support::random::count(1, 100) << 16]].concat();
    let lays: [(&str, Lay); 8] = [
        ("nothing", Box::new(|file| fs::write(file, "").unwrap())),
        ("twice", Box::new(move |file| fs::write(file, &twice).unwrap())),
        ("large", Box::new(move |file| fs::write(file, &large).unwrap())),
        ("many lines", Box::new(move |file| fs::write(file, &many).unwrap())),
        ("a directory", Box::new(|file| fs::create_dir(file).unwrap())),
        ("a link", Box::new(|file| std::os::unix::fs::symlink("elsewhere", file).unwrap())),
        ("a link to itself", Box::new(|file| std::os::unix::fs::symlink("journal", file).unwrap())),
        ("a pipe", Box::new(|file| mkfifo(file, Mode::S_IRWXU).unwrap())),
    ];
    for (name, lay) in &lays {
        let now = owed(&bench, &templates, lay).await;
        // Without lines after the header nothing is lost.
        let expected: &[&str] = if *name == "large" { &[] } else { &["reload a", "reload b"] };
        assert_eq!(now, expected, "{name}");
        let found = Journal::open(&bench.path("state")).0.entries().count();
        assert_eq!(found, expected.len(), "and the next agent reads it: {name}");
    }
}

#[tokio::test]
async fn an_unreadable_journal_is_read_at_a_later_start() {
    let (bench, [a, _], journal) = scene().await;
    let owed = owed(&bench, std::slice::from_ref(&a), |file| fs::create_dir(file).unwrap()).await;
    assert_eq!(owed, ["reload a"], "the other entries are lost");
    // The file can be read again.
    let aside = bench.path("state/journal.unread1");
    fs::remove_dir(&aside).unwrap();
    fs::write(&aside, &journal).unwrap();
    let (bench, owed) = next(bench, &[a]).await;
    assert_eq!(owed, ["reload a", "reload b"]);
    bench.writer.reload_succeeded(bench.writer.begin_reload(&[reloaded(&bench, "a"), reloaded(&bench, "b")]));
    assert_eq!(next(bench, &[]).await.1, [""; 0]);
    assert!(!aside.exists());
}

#[tokio::test]
async fn a_state_directory_removed_while_an_agent_runs_loses_no_reload() {
    let (bench, [a, b], journal) = scene().await;
    // All of it is removed; or a file system with another journal is mounted on it.
    for others in [None, Some(journal)] {
        fs::remove_dir_all(bench.path("state")).unwrap();
        if let Some(journal) = &others {
            fs::create_dir(bench.path("state")).unwrap();
            fs::write(bench.path("state/journal"), journal).unwrap();
        }
        bench.writer.ensure_journal();
        // Earlier jobs are done by then.
        let _ = bench.publish(&bench.template("plain"), b"new").await;
        let (journal, _) = Journal::open(&bench.path("state"));
        assert_eq!(journal.entries().count(), 2, "{}", others.is_some());
        // And when a file needs an entry.
        fs::remove_dir_all(bench.path("state")).unwrap();
        let text = format!("newer {}", others.is_some());
        assert_eq!(bench.publish(&b, text.as_bytes()).await, Outcome::Replaced);
        assert_eq!(noted(&bench).len(), 2);
    }
    assert_eq!(next(bench, &[a]).await.1, ["reload a", "reload b"]);
}

#[tokio::test]
async fn a_file_staged_for_one_template_does_not_replace_anothers() {
    let bench = Bench::new();
    let a = reloaded(&bench, "a");
    take_over(&bench, &[]).await;
    for text in ["old", "new"] {
        assert_eq!(bench.publish(&a, text.as_bytes()).await, Outcome::Replaced);
        bench.writer.reload_succeeded(bench.writer.begin_reload([&a].into_iter().filter(|_| text == "old")));
    }
    let entry = Entry { earlier_pending: false, ..noted(&bench).remove(0) };
    let staged = waiting(&bench, &entry);
    let note = |file: &Path| Journal::open(file.parent().unwrap()).0.record(vec![entry.clone()]).unwrap();
    let renamed = TemplateConfig { name: Arc::from("other"), ..a.clone() };
    let moved = TemplateConfig { dest: bench.path("moved"), ..a.clone() };
    for (now, is_finished) in [(vec![renamed], false), (vec![moved], true), (vec![], true), (vec![a.clone()], true)] {
        fs::write(&a.dest, "old").unwrap();
        fs::write(&staged, "new").unwrap();
        let owed = owed(&bench, &now, note).await;
        assert_eq!(owed.len(), usize::from(is_finished));
        assert_eq!(fs::read_to_string(&a.dest).unwrap(), if is_finished { "new" } else { "old" });
        assert_eq!(staged_in(bench.directory.path()), [""; 0]);
    }
    // A file that is in place already is reloaded, whichever template writes it now.
    fs::write(&a.dest, "new").unwrap();
    let renamed = TemplateConfig { name: Arc::from("other"), ..a.clone() };
    assert_eq!(owed(&bench, &[renamed], note).await, ["reload a"]);
}

/// A directory whose agent replaced its file `f`, and the entry of that.
async fn hindered(method: Method) -> (Bench, TemplateConfig, Entry) {
    let bench = Bench::new();
    let mut template = reloaded(&bench, "f");
    template.placing.write = method;
    fs::write(&template.dest, "an old one").unwrap();
    take_over(&bench, std::slice::from_ref(&template)).await;
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
    let entry = noted(&bench).remove(0);
    (bench, template, entry)
}

fn waiting(bench: &Bench, entry: &Entry) -> std::path::PathBuf {
    bench.path(entry.staged_name().unwrap().to_str().unwrap())
}

#[tokio::test]
async fn an_overwrite_that_cannot_be_finished_at_the_start_is_finished_later() {
    let (mut bench, template, entry) = hindered(Method::InPlace).await;
    let staged = waiting(&bench, &entry);
    for is_same_agent in [true, false] {
        fs::write(&staged, "new").unwrap();
        fs::remove_file(&template.dest).unwrap();
        fs::create_dir(&template.dest).unwrap();
        let templates = std::slice::from_ref(&template);
        let (agent, owed) = next(bench, templates).await;
        assert_eq!(owed, [""; 0], "no software must load a part of a file");
        let (owed, left) = retry_unfinished(&agent.writer).await.unwrap();
        assert_eq!((reloads(&owed), left), (vec![], 1));
        assert!(staged.exists());
        fs::remove_dir(&template.dest).unwrap();
        fs::write(&template.dest, "newld one").unwrap();
        let owed = if is_same_agent {
            let (owed, left) = retry_unfinished(&agent.writer).await.unwrap();
            assert_eq!(left, 0);
            bench = agent;
            reloads(&owed)
        } else {
            let (next, owed) = next(agent, templates).await;
            bench = next;
            owed
        };
        assert_eq!(owed, ["reload f"]);
        assert_eq!(fs::read_to_string(&template.dest).unwrap(), "new");
        assert!(!staged.exists());
    }
}

#[tokio::test]
async fn a_replacement_that_was_corrected_or_superseded_is_not_finished() {
    for method in [Method::InPlace, Method::Atomic] {
        let (bench, template, entry) = hindered(method).await;
        let (staged, templates) = (waiting(&bench, &entry), std::slice::from_ref(&template));
        // The staged file cannot be read.
        let lay = || {
            fs::write(&template.dest, "an old one").unwrap();
            fs::create_dir(&staged).unwrap();
        };
        lay();
        let (bench, owed) = next(bench, templates).await;
        assert_eq!(owed, [""; 0], "{method:?}");
        fs::write(&template.dest, "by hand").unwrap();
        fs::remove_dir(&staged).unwrap();
        fs::write(&staged, "new").unwrap();
        let (owed, left) = retry_unfinished(&bench.writer).await.unwrap();
        assert_eq!((reloads(&owed), left), (vec!["reload f".to_owned()], 0), "{method:?}");
        assert_eq!(fs::read_to_string(&template.dest).unwrap(), "by hand");
        assert!(!staged.exists(), "{method:?}");
        lay();
        let (bench, _) = next(bench, templates).await;
        fs::remove_dir(&staged).unwrap();
        fs::write(&staged, "new").unwrap();
        assert_eq!(bench.publish(&template, b"newer").await, Outcome::Replaced);
        assert!(!staged.exists(), "{method:?}");
        assert_eq!(retry_unfinished(&bench.writer).await.unwrap().1, 0);
        assert_eq!(fs::read_to_string(&template.dest).unwrap(), "newer");
        assert_eq!(next(bench, &[]).await.1, ["reload f"]);
    }
}

#[tokio::test]
async fn a_finished_overwrite_without_a_reload_is_reported() {
    const NAME: &str = "act::tests::recovery::a_finished_overwrite_without_a_reload_is_reported";
    if !is_again() {
        let traced = ["-e", "trace=ftruncate", "-e", "inject=ftruncate:error=EIO:when=1"];
        return passes_again(NAME, &[&["strace", "-f", "-qq", "-o", "/dev/null"], &traced[..]].concat());
    }
    let bench = Bench::new();
    let mut template = TemplateConfig { reload: Some(Reload::Program), ..bench.template("f") };
    template.placing.write = Method::InPlace;
    fs::write(&template.dest, "an old one").unwrap();
    take_over(&bench, std::slice::from_ref(&template)).await;
    let _ = bench.failure_at(&template, b"new", Stage::Write).await;
    let (finished, left) = retry_unfinished(&bench.writer).await.unwrap();
    let finished: Vec<_> = finished.iter().map(|it| (&*it.name, &it.dest, it.reload.is_some())).collect();
    assert_eq!((finished, left), (vec![(&*template.name, &template.dest, false)], 0));
    assert!(noted(&bench).is_empty());
}

#[tokio::test]
async fn a_failed_overwrite_is_not_drift() {
    const NAME: &str = "act::tests::recovery::a_failed_overwrite_is_not_drift";
    if !is_again() {
        let traced = ["-e", "trace=ftruncate", "-e", "inject=ftruncate:error=EIO:when=2"];
        return passes_again(NAME, &[&["strace", "-f", "-qq", "-o", "/dev/null"], &traced[..]].concat());
    }
    let (bench, template, _) = hindered(Method::InPlace).await;
    let name = || vec![Arc::clone(&template.name)];
    let _ = bench.failure_at(&template, b"newest", Stage::Write).await;
    assert_eq!(drifted(&bench.writer, name(), || {}).await, []);
    assert_eq!(retry_unfinished(&bench.writer).await.unwrap().1, 0);
    assert_eq!(drifted(&bench.writer, name(), || {}).await, []);
    assert_eq!(bench.publish(&template, b"newest").await, Outcome::Unchanged);
    fs::write(&template.dest, "by hand").unwrap();
    assert_eq!(drifted(&bench.writer, name(), || {}).await.len(), 1);
}

#[tokio::test]
async fn an_up_to_date_file_is_not_replaced_by_an_earlier_replacement() {
    for method in [Method::InPlace, Method::Atomic] {
        let (bench, template, entry) = hindered(method).await;
        let (staged, templates) = (waiting(&bench, &entry), std::slice::from_ref(&template));
        // The staged file cannot be read.
        fs::write(&template.dest, "an old one").unwrap();
        fs::create_dir(&staged).unwrap();
        let (bench, _) = next(bench, templates).await;
        fs::remove_dir(&staged).unwrap();
        fs::write(&staged, "new").unwrap();
        assert_eq!(bench.publish(&template, b"an old one").await, Outcome::Unchanged);
        assert_eq!(retry_unfinished(&bench.writer).await.unwrap().1, 0, "{method:?}");
        assert_eq!(fs::read_to_string(&template.dest).unwrap(), "an old one", "{method:?}");
        assert!(!staged.exists(), "{method:?}");
        bench.writer.reload_succeeded(bench.writer.begin_reload([&template]));
        assert_eq!(next(bench, templates).await.1, [""; 0]);
    }
}

#[tokio::test]
async fn a_replacement_for_a_removed_key_is_not_finished() {
    for (claim, outcome) in [(Claim::Intended(1), Outcome::Unchanged), (Claim::Written, Outcome::Removed)] {
        let bench = Bench::new();
        let template = reloaded(&bench, "f");
        take_over(&bench, std::slice::from_ref(&template)).await;
        assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
        let staged = waiting(&bench, &noted(&bench)[0]);
        // It was killed before that, and the staged file cannot be read.
        fs::remove_file(&template.dest).unwrap();
        fs::create_dir(&staged).unwrap();
        let (bench, _) = next(bench, std::slice::from_ref(&template)).await;
        fs::remove_dir(&staged).unwrap();
        fs::write(&staged, "new").unwrap();
        assert_eq!(remove(&bench.writer, &template, Some(claim), true, &bench.stop).await, outcome);
        assert_eq!(retry_unfinished(&bench.writer).await.unwrap().1, 0);
        assert!(!template.dest.exists() && !staged.exists(), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_replacement_finished_during_a_reload_needs_another() {
    let (bench, template, entry) = hindered(Method::InPlace).await;
    let templates = std::slice::from_ref(&template);
    fs::write(waiting(&bench, &entry), "new").unwrap();
    fs::remove_file(&template.dest).unwrap();
    fs::create_dir(&template.dest).unwrap();
    let (bench, _) = next(bench, templates).await;
    fs::remove_dir(&template.dest).unwrap();
    fs::write(&template.dest, "newld one").unwrap();
    let began = bench.writer.begin_reload([&template]);
    assert_eq!(reloads(&retry_unfinished(&bench.writer).await.unwrap().0), ["reload f"]);
    bench.writer.reload_succeeded(began);
    let (bench, owed) = next(bench, templates).await;
    assert_eq!(owed, ["reload f"], "the software may have loaded a part of the file");
    bench.writer.reload_succeeded(bench.writer.begin_reload([&template]));
    assert_eq!(next(bench, templates).await.1, [""; 0]);
}

#[tokio::test]
async fn a_failed_overwrite_is_finished_by_the_next_attempt() {
    const NAME: &str = "act::tests::recovery::a_failed_overwrite_is_finished_by_the_next_attempt";
    if !is_again() {
        // The four syncs before the fifth are of the staged file, its name, the journal and its name.
        for call in ["ftruncate:error=EIO:when=1", "fsync:error=EIO:when=5"] {
            let (name, inject) = (call.split(':').next().unwrap(), format!("inject={call}"));
            let trace = format!("trace={name}");
            passes_again(NAME, &["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject]);
        }
        return;
    }
    let bench = Bench::new();
    let mut template = reloaded(&bench, "f");
    template.placing.write = Method::InPlace;
    fs::write(&template.dest, "an old one").unwrap();
    take_over(&bench, std::slice::from_ref(&template)).await;
    let _ = bench.failure_at(&template, b"new", Stage::Write).await;
    assert_eq!(staged_in(bench.directory.path()).len(), 1, "it is kept for the next attempt");
    // The agent was killed then, and the next one may meet the same fault.
    let (bench, owed) = next(bench, std::slice::from_ref(&template)).await;
    let owed = [owed, reloads(&retry_unfinished(&bench.writer).await.unwrap().0)].concat();
    assert_eq!(owed, ["reload f"]);
    assert_eq!(fs::read_to_string(&template.dest).unwrap(), "new");
    assert_eq!(staged_in(bench.directory.path()), [""; 0]);
}

#[tokio::test]
async fn an_entry_that_could_not_be_synced_is_not_read_at_the_next_start() {
    const NAME: &str = "act::tests::recovery::an_entry_that_could_not_be_synced_is_not_read_at_the_next_start";
    if !is_again() {
        // The second and third sync create the journal; the sixth is that of its next line.
        for nth in [3, 6] {
            let inject = format!("inject=fsync:error=EIO:when={nth}");
            passes_again(NAME, &["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", &inject]);
        }
        return;
    }
    let bench = Bench::new();
    let template = reloaded(&bench, "f");
    take_over(&bench, &[]).await;
    let mut done = 0;
    for text in ["one", "two"] {
        match bench.publish(&template, text.as_bytes()).await {
            Outcome::Replaced => done += 1,
            outcome => {
                assert!(matches!(outcome, Outcome::Failed(_)));
                assert_eq!(noted(&bench).iter().map(|entry| entry.batch).collect::<Vec<_>>(), vec![1; done]);
            }
        }
    }
    assert_eq!(done, 1);
}
