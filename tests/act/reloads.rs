//! Reloads: a command for all the files that owe it, or a signal to a real process.

use std::fs;
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rosterd::act::reload;
use rosterd::config::{Command, Reload, TemplateConfig, Verify};
use rosterd::decide::{Ran, ReloadJob};

use crate::bench::{Bench, shell, until};

fn job(reload: Reload, templates: Vec<TemplateConfig>) -> ReloadJob {
    let verifies = templates.iter().filter_map(|template| template.verify.clone()).collect();
    let templates = templates.into_iter().map(Arc::new).collect();
    ReloadJob { reload, timeout: Duration::from_secs(10), verifies, templates }
}

#[tokio::test]
async fn one_command_learns_of_all_the_files() {
    let bench = Bench::new();
    let (mut first, mut second) = (bench.template("one"), bench.template("two"));
    first.env = [("A".to_owned(), "first".to_owned())].into();
    second.env = [("A".to_owned(), "second".to_owned()), ("B".to_owned(), "b".to_owned())].into();
    let out = bench.path("out");
    let text = format!("echo $ROSTERD_TEMPLATE $ROSTERD_SRC $ROSTERD_DEST $ROSTERD_CHANGED $A $B > {}", out.display());
    let job = job(Reload::Command(shell(text)), vec![first, second]);
    assert_eq!(reload(&job, &bench.stop).await, Ran::Done);
    let (one, two) = (bench.path("one"), bench.path("two"));
    let (one, two) = (one.display(), two.display());
    assert_eq!(fs::read_to_string(out).unwrap(), format!("one {one} {one} {one}:{two} first b\n"));
}

#[tokio::test]
async fn a_command_that_fails_or_is_cut_off_is_not_done() {
    let bench = Bench::new();
    let with = |text: &str| job(Reload::Command(shell(text)), vec![bench.template("f")]);
    let Ran::Failed(message) = reload(&with("echo no; exit 1"), &bench.stop).await else { panic!() };
    assert_eq!(message, "reload \"echo no; exit 1\" exited with 1:\n  no");
    let mut slow = with("sleep 100");
    slow.timeout = Duration::from_millis(50);
    let Ran::Failed(message) = reload(&slow, &bench.stop).await else { panic!() };
    assert!(message.contains("had not ended after 50ms"), "{message}");
    let running = bench.path("running");
    let cut = with(&format!("touch {}; sleep 100", running.display()));
    let (ran, ()) = tokio::join!(reload(&cut, &bench.stop), async {
        until("it runs", || running.exists()).await;
        bench.stop.cancel();
    });
    assert_eq!(ran, Ran::Abandoned);
    assert_eq!(reload(&with("true"), &bench.stop).await, Ran::Abandoned);
}

#[tokio::test]
async fn what_proves_a_reload_runs_after_it_and_its_failure_is_the_reloads() {
    let bench = Bench::new();
    let log = bench.path("log");
    let says = |word: &str| shell(format!("echo {word} >> {}", log.display()));
    let with = |reload: Command, verifies: &[Command]| {
        let proven = verifies.iter().enumerate().map(|(at, command)| TemplateConfig {
            verify: Some(Verify { command: command.clone(), timeout: Duration::from_secs(10) }),
            ..bench.template(&format!("f{at}"))
        });
        job(Reload::Command(reload), proven.collect())
    };
    let passes = with(says("reload"), &[says("b"), says("a"), says("b")]);
    assert_eq!(reload(&passes, &bench.stop).await, Ran::Done);
    assert_eq!(fs::read_to_string(&log).unwrap(), "reload\na\nb\n", "each once, and after the reload");
    fs::remove_file(&log).unwrap();
    let fails = with(says("reload"), &[shell("echo not yet up; exit 3"), says("z")]);
    let Ran::Failed(message) = reload(&fails, &bench.stop).await else { panic!() };
    assert_eq!(message, "verify \"echo not yet up; exit 3\" exited with 3:\n  not yet up");
    assert_eq!(fs::read_to_string(&log).unwrap(), "reload\n");
    fs::remove_file(&log).unwrap();
    let Ran::Failed(message) = reload(&with(shell("exit 1"), &[says("a")]), &bench.stop).await else { panic!() };
    assert!(message.starts_with("reload ") && !log.exists(), "after a failed reload nothing is proven: {message}");
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_signal_reaches_the_process_of_the_pid_file() {
    let bench = Bench::new();
    let (pid_file, got) = (bench.path("x.pid"), bench.path("got"));
    let script =
        format!("trap 'touch {}' HUP; echo $$ > {}; while :; do sleep 0.05; done", got.display(), pid_file.display());
    let process = Ended(Process::new("sh").args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap());
    until("the pid is written", || fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n'))).await;
    let with = |signal: &str| Reload::Signal { signal: signal.to_owned(), pid_file: pid_file.clone() };
    assert_eq!(reload(&job(with("HUP"), vec![bench.template("f")]), &bench.stop).await, Ran::Done);
    until("the signal came", || got.exists()).await;
    drop(process);
    let failures = [
        (None, "HUP", "there is no such process (the software is not running, or left an old pid file behind)"),
        (Some(""), "HUP", "the file is empty"),
        (Some("nginx\n"), "HUP", "\"nginx\" is no number of a process"),
        (Some("1\n"), "HUP", "1 is no process that may be signalled"),
        (Some("4711\n"), "RELOAD", "there is no signal of this name"),
    ];
    for (text, signal, part) in failures {
        if let Some(text) = text {
            fs::write(&pid_file, text).unwrap();
        }
        let ran = reload(&job(with(signal), vec![bench.template("f")]), &bench.stop).await;
        let Ran::Failed(message) = ran else { panic!("{part}") };
        assert!(message.contains(part), "{message}");
        assert!(message.contains("x.pid") || signal == "RELOAD", "{message}");
    }
    fs::remove_file(&pid_file).unwrap();
    let Ran::Failed(message) = reload(&job(with("HUP"), vec![bench.template("f")]), &bench.stop).await else {
        panic!()
    };
    assert!(message.contains("x.pid: No such file") && message.contains("is the software running"), "{message}");
}
