//! What the journal records of a replacement: before it, on disk, and read by the next agent.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use crate::act::files::{CurrentConfig, Writer, recover};
use crate::config::{Block, Method, Reload, Symlink, TemplateConfig};
use crate::decide::{Outcome, Stage};
use crate::state::journal::{Entry, Journal};

use super::bench::{Bench, again, identity, is_again, passes_again, set_mode, shell, staged_in};

pub fn reloaded(bench: &Bench, name: &str) -> TemplateConfig {
    TemplateConfig { reload: Some(Reload::Command(shell(format!("reload {name}")))), ..bench.template(name) }
}

/// Lets the agent take over its state directory with these templates; returns the pending reloads.
pub async fn take_over(bench: &Bench, templates: &[TemplateConfig]) -> Vec<String> {
    let templates = templates.iter().cloned().map(Arc::new).collect();
    fs::create_dir_all(bench.path("state")).unwrap();
    let owed =
        recover(&bench.writer, &bench.path("state"), CurrentConfig { templates, files: Vec::new() }).await.unwrap();
    reloads(&owed)
}

/// The reloads of these templates.
pub fn reloads(owed: &[Arc<TemplateConfig>]) -> Vec<String> {
    owed.iter().map(|template| template.reload.as_ref().unwrap().to_string()).collect()
}

/// The next agent of the same directory.
pub async fn next(bench: Bench, templates: &[TemplateConfig]) -> (Bench, Vec<String>) {
    // The one before it has done all its jobs.
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    bench.writer.in_order(move || drop(tell));
    told.await.unwrap_err();
    let bench = Bench { writer: Writer::start().unwrap(), ..bench };
    let owed = take_over(&bench, templates).await;
    (bench, owed)
}

pub fn noted(bench: &Bench) -> Vec<Entry> {
    Journal::open(&bench.path("state")).0.entries().cloned().collect()
}

/// The system calls on the destinations' directory and the state directory while two files are replaced.
#[tokio::test]
async fn a_batch_costs_one_journal_sync_with_reloads_and_none_without() {
    const NAME: &str = "act::tests::journals::a_batch_costs_one_journal_sync_with_reloads_and_none_without";
    if is_again() {
        let bench = Bench::new();
        let (a, b, plain) = (reloaded(&bench, "a"), reloaded(&bench, "b"), bench.template("plain"));
        take_over(&bench, &[]).await;
        // The journal is created.
        assert_eq!(bench.publish(&a, b"one").await, Outcome::Replaced);
        for text in ["two", "three"] {
            fs::read(bench.path("beginning")).unwrap_err();
            let all = [&a, &b, &plain].map(|template| bench.publish(template, text.as_bytes()));
            let (go, kept) = std::sync::mpsc::channel::<()>();
            bench.writer.in_order(move || _ = kept.recv());
            let [a, b, plain] = all;
            let (a, b, plain, ()) = tokio::join!(a, b, plain, async { drop(go) });
            assert_eq!([a, b, plain], [Outcome::Replaced, Outcome::Replaced, Outcome::Replaced]);
        }
        fs::read(bench.path("beginning")).unwrap_err();
        assert_eq!(bench.publish(&plain, b"alone").await, Outcome::Replaced);
        return;
    }
    let trace = tempfile::NamedTempFile::new().unwrap();
    let traced = "trace=openat,fsync,renameat";
    let output =
        again(NAME, &["strace", "-f", "-qq", "-y", "-s", "64", "-e", traced, "-o", trace.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let trace = fs::read_to_string(trace.path()).unwrap();
    let steps = |part: &str| {
        let lines = part.lines().filter(|line| line.contains("rosterd-act-") && !line.contains("openat("));
        lines.fold(Vec::new(), |mut steps: Vec<&str>, line| {
            let step = match line {
                _ if line.contains("renameat(") => "rename",
                _ if line.contains("/state/journal") => "sync journal",
                _ if line.contains(".rosterd-") => "sync file",
                _ => "sync directory",
            };
            steps.push(step);
            steps
        })
    };
    let parts: Vec<&str> = trace.split("/beginning\"").collect();
    let of_a_round =
        ["sync file", "sync file", "sync file", "sync journal", "rename", "rename", "rename", "sync directory"];
    assert_eq!(steps(parts[1]), of_a_round);
    assert_eq!(steps(parts[2]), of_a_round);
    assert_eq!(steps(parts[3]), ["sync file", "rename", "sync directory"], "without a reload nothing is recorded");
}

#[tokio::test]
async fn files_that_need_an_entry_stay_unchanged_if_the_journal_cannot_be_written() {
    let bench = Bench::new();
    let (template, plain) = (reloaded(&bench, "a"), bench.template("plain"));
    fs::write(&template.dest, "old").unwrap();
    take_over(&bench, &[]).await;
    // It cannot be created.
    fs::create_dir(bench.path("state/journal.tmp")).unwrap();
    let before = identity(&template.dest);
    let message = bench.failure(&template, b"new", Stage::Write).await;
    assert!(
        message.contains("state/journal") && message.contains("record the replacement and its reload"),
        "{message}"
    );
    assert_eq!(identity(&template.dest), before);
    assert_eq!(bench.publish(&plain, b"new").await, Outcome::Replaced);
    fs::remove_dir(bench.path("state/journal.tmp")).unwrap();
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
}

#[tokio::test]
async fn pending_reloads_survive_a_changed_configuration() {
    let bench = Bench::new();
    let templates = ["a", "b", "c"].map(|name| reloaded(&bench, name));
    assert_eq!(take_over(&bench, &templates).await, [""; 0]);
    for template in &templates {
        assert_eq!(bench.publish(template, b"new").await, Outcome::Replaced);
    }
    bench.writer.reload_succeeded(bench.writer.begin_reload(&templates[1..2]));
    // One is unchanged, and one is no longer configured: its reload was recorded.
    let (bench, owed) = next(bench, &templates[..1]).await;
    assert_eq!(owed, ["reload a", "reload c"]);
    // It stays pending until it has run, also if a person changed the file meanwhile.
    fs::write(&templates[2].dest, "by hand").unwrap();
    let (bench, owed) = next(bench, &[]).await;
    assert_eq!(owed, ["reload a", "reload c"]);
    bench.writer.reload_succeeded(bench.writer.begin_reload(&templates));
    assert_eq!(next(bench, &templates).await.1, [""; 0]);
}

#[tokio::test]
async fn each_block_of_a_file_has_its_own_pending_reload() {
    let bench = Bench::new();
    let templates = ["a", "b"].map(|name| {
        let mut template = TemplateConfig { dest: bench.path("shared"), ..reloaded(&bench, name) };
        template.placing.block = Some(Block::new(name));
        template
    });
    take_over(&bench, &templates).await;
    let [a, b] = &templates;
    let both = tokio::join!(bench.publish(a, b"new\n"), bench.publish(b, b"new\n"));
    assert_eq!(<[Outcome; 2]>::from(both), [Outcome::Replaced, Outcome::Replaced]);
    let (bench, owed) = next(bench, &templates).await;
    assert_eq!(owed, ["reload a", "reload b"]);
    bench.writer.reload_succeeded(bench.writer.begin_reload(&templates[..1]));
    let (bench, owed) = next(bench, &templates).await;
    assert_eq!(owed, ["reload b"]);
    bench.writer.reload_succeeded(bench.writer.begin_reload(&templates));
    assert_eq!(next(bench, &templates).await.1, [""; 0]);
}

#[tokio::test]
async fn a_file_without_a_reload_needs_no_entry_unless_one_is_pending() {
    let bench = Bench::new();
    let (template, quiet) = (reloaded(&bench, "a"), bench.template("a"));
    take_over(&bench, &[]).await;
    assert_eq!(bench.publish(&quiet, b"one").await, Outcome::Replaced);
    assert_eq!(noted(&bench), []);
    assert_eq!(bench.publish(&template, b"two").await, Outcome::Replaced);
    // Back to the earlier content: it is still unknown which content the software has loaded.
    assert_eq!(bench.publish(&quiet, b"one").await, Outcome::Replaced);
    assert_eq!(next(bench, &[]).await.1, ["reload a"]);
}

#[tokio::test]
async fn a_failed_rename_leaves_no_pending_reload() {
    const NAME: &str = "act::tests::journals::a_failed_rename_leaves_no_pending_reload";
    if !is_again() {
        let inject = "inject=renameat:error=EIO:when=1";
        passes_again(NAME, &["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat", "-e", inject]);
        return;
    }
    let bench = Bench::new();
    let template = reloaded(&bench, "a");
    take_over(&bench, &[]).await;
    bench.failure(&template, b"new", Stage::Write).await;
    assert_eq!(noted(&bench), []);
    assert_eq!(next(bench, &[]).await.1, [""; 0]);
}

#[tokio::test]
async fn an_interrupted_replacement_is_finished_and_one_that_never_began_is_dropped() {
    let bench = Bench::new();
    let template = reloaded(&bench, "a");
    fs::write(&template.dest, "old").unwrap();
    take_over(&bench, std::slice::from_ref(&template)).await;
    // The journal as it is between the entry and the rename.
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
    let entry = noted(&bench).remove(0);
    let staged = bench.path(entry.staged.as_ref().unwrap());
    for (there, waits, owed, becomes) in [
        ("old", Some("new"), true, "new"),
        // Not the bytes that were checked.
        ("old", Some("ne"), false, "old"),
        ("old", None, false, "old"),
        ("by hand", Some("new"), true, "by hand"),
        ("new", None, true, "new"),
    ] {
        fs::write(&template.dest, there).unwrap();
        if let Some(text) = waits {
            fs::write(&staged, text).unwrap();
        }
        let pending_reloads = after(&bench, vec![entry.clone()]).await;
        assert_eq!(pending_reloads.len(), usize::from(owed), "{there} {waits:?}");
        assert_eq!(fs::read_to_string(&template.dest).unwrap(), becomes, "{there} {waits:?}");
        assert_eq!(staged_in(bench.directory.path()), [""; 0], "{there} {waits:?}");
    }
}

/// The pending reloads of an agent that finds these entries last in its journal.
async fn after(bench: &Bench, entries: Vec<Entry>) -> Vec<Arc<TemplateConfig>> {
    fs::remove_dir_all(bench.path("state")).unwrap();
    fs::create_dir(bench.path("state")).unwrap();
    Journal::open(&bench.path("state")).0.record(entries).unwrap();
    let (writer, present) = (Writer::start().unwrap(), CurrentConfig { templates: Vec::new(), files: Vec::new() });
    recover(&writer, &bench.path("state"), present).await.unwrap()
}

#[tokio::test]
async fn a_replacement_behind_a_link_is_finished() {
    let bench = Bench::new();
    set_mode(bench.directory.path(), 0o755);
    fs::create_dir(bench.path("real")).unwrap();
    symlink("real/f", bench.path("link")).unwrap();
    let mut template = reloaded(&bench, "link");
    template.placing.symlink = Symlink::Follow;
    take_over(&bench, &[]).await;
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
    let entry = noted(&bench).remove(0);
    let staged = bench.path("real").join(entry.staged.as_ref().unwrap());
    fs::remove_file(bench.path("real/f")).unwrap();
    fs::write(&staged, "new").unwrap();
    // Of a replacement that was never recorded.
    fs::write(staged.with_extension("x.tmp"), "newer").unwrap();
    after(&bench, vec![entry]).await;
    assert_eq!(fs::read_to_string(bench.path("real/f")).unwrap(), "new");
    assert!(fs::symlink_metadata(bench.path("link")).unwrap().is_symlink());
    assert_eq!(staged_in(&bench.path("real")), [""; 0]);
}

#[tokio::test]
async fn of_two_interrupted_block_overwrites_the_one_on_disk_stays() {
    let bench = Bench::new();
    let [a, b] = ["a", "b"].map(|name| {
        let mut template = TemplateConfig { dest: bench.path("shared"), ..bench.template(name) };
        template.placing.block = Some(Block::new(name));
        template.placing.write = Method::InPlace;
        // The entries are still there when both are done.
        TemplateConfig { reload: reloaded(&bench, name).reload, ..template }
    });
    fs::write(&a.dest, "").unwrap();
    take_over(&bench, &[]).await;
    let mut entries = Vec::new();
    for template in [&a, &b] {
        fs::write(&a.dest, "").unwrap();
        assert_eq!(bench.publish(template, b"x\n").await, Outcome::Replaced);
        entries.push((noted(&bench).pop().unwrap(), fs::read_to_string(&a.dest).unwrap()));
    }
    let [(of_a, text_a), (of_b, text_b)] = <[_; 2]>::try_from(entries).unwrap();
    let waits = |entry: &Entry, text: &str| fs::write(&entry.overwrite.as_ref().unwrap().staged, text).unwrap();
    for (there, a_waits, becomes) in [(&*text_a, false, &*text_a), ("# BEGI", true, &text_a), ("", false, &text_b)] {
        fs::write(&a.dest, there).unwrap();
        waits(&of_b, &text_b);
        if a_waits {
            waits(&of_a, &text_a);
        }
        after(&bench, vec![of_a.clone(), of_b.clone()]).await;
        assert_eq!(fs::read_to_string(&a.dest).unwrap(), becomes, "{there:?}");
        assert_eq!(staged_in(bench.directory.path()), [""; 0], "{there:?}");
    }
}

#[tokio::test]
async fn a_journal_of_a_newer_version_is_renamed_and_every_reload_runs_once() {
    let bench = Bench::new();
    let templates = [reloaded(&bench, "a"), bench.template("plain"), reloaded(&bench, "b")];
    fs::create_dir(bench.path("state")).unwrap();
    fs::write(bench.path("state/journal"), "rosterd journal 2\nwhatever\n").unwrap();
    assert_eq!(take_over(&bench, &templates).await, ["reload a", "reload b"]);
    assert!(bench.path("state/journal.newer").exists());
    // Until they have run.
    let (bench, owed) = next(bench, &[]).await;
    assert_eq!(owed, ["reload a", "reload b"]);
    bench.writer.reload_succeeded(bench.writer.begin_reload(&templates));
    assert_eq!(next(bench, &templates).await.1, [""; 0]);
}

#[tokio::test]
async fn only_the_killed_agents_own_staged_files_are_removed() {
    let bench = Bench::new();
    let template = bench.template("a");
    take_over(&bench, &[]).await;
    let mut seen = template.clone();
    seen.check = Some(shell(format!("ls -A {0} > {0}/listed", bench.directory.path().display())));
    assert_eq!(bench.publish(&seen, b"new").await, Outcome::Replaced);
    let listed = fs::read_to_string(bench.path("listed")).unwrap();
    let staged = listed.lines().find(|name| name.starts_with(".rosterd-")).unwrap().to_owned();
    let other = ".rosterd-00000000-abcdefghijkl.tmp";
    for name in [&*staged, other, "state/.rosterd-x.tmp"] {
        fs::write(bench.path(name), "half of").unwrap();
    }
    // At the start, if a template names the directory.
    let (bench, _) = next(bench, std::slice::from_ref(&template)).await;
    assert_eq!(staged_in(bench.directory.path()), [other]);
    assert_eq!(staged_in(&bench.path("state")), [""; 0]);
    // Otherwise before the first file is staged there.
    fs::write(bench.path(&staged), "half of").unwrap();
    let (bench, _) = next(bench, &[]).await;
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Unchanged);
    assert_eq!(staged_in(bench.directory.path()), [other]);
}
