//! Reloads: one command for all files that need it, or a signal to a real process.

use std::fs;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::act::process::reload::reload;
use crate::config::{Command, Reload, TemplateConfig, Verify};
use crate::decide::{ReloadJob, ReloadOutcome};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::bench::{Bench, Ended, is_again, passes_again, shell, until};

fn job(reload: Reload, templates: Vec<TemplateConfig>) -> ReloadJob {
    let verifies = templates.iter().filter_map(|template| template.verify.clone()).collect();
    let templates = templates.into_iter().map(Arc::new).collect();
    ReloadJob { reload, timeout: Duration::from_secs(10), verifies, templates }
}

#[tokio::test]
async fn one_reload_gets_all_changed_files() {
    let bench = Bench::new();
    let (mut first, mut second) = (bench.template("one"), bench.template("two"));
    first.env = [("A".to_owned(), "first".to_owned())].into();
    second.env = [("A".to_owned(), "second".to_owned()), ("B".to_owned(), "b".to_owned())].into();
    let out = bench.path("out");
    let text = format!("echo $ROSTERD_TEMPLATE $ROSTERD_SRC $ROSTERD_DEST $ROSTERD_CHANGED $A $B > {}", out.display());
    let job = job(Reload::Command(shell(text)), vec![first, second]);
    assert_eq!(reload(&job, &bench.stop).await, ReloadOutcome::Succeeded);
    let (one, two) = (bench.path("one"), bench.path("two"));
    let (one, two) = (one.display(), two.display());
    assert_eq!(fs::read_to_string(out).unwrap(), format!("one {one} {one} {one}:{two} first b\n"));
}

#[tokio::test]
async fn a_reload_for_very_many_files_starts() {
    let bench = Bench::new();
    let many = |count: usize| (0..count).map(|at| bench.template(&format!("{at:0200}"))).collect();
    let text = format!("test -n \"$ROSTERD_DEST\" && echo ${{#ROSTERD_CHANGED}} > {}", bench.path("length").display());
    let length = async |job: ReloadJob| {
        let (ran, written) = (reload(&job, &bench.stop).await, fs::read_to_string(bench.path("length")).unwrap());
        (ran, written.trim().parse::<usize>().unwrap())
    };
    let own = bench.path(&"0".repeat(200)).display().to_string().len();
    let command = |text: &str| Reload::Command(shell(text.to_owned()));
    let few = length(job(command(&text), many(300))).await;
    assert_eq!(few, (ReloadOutcome::Succeeded, 300 * (own + 1) - 1), "all files are named if they fit");
    let very_many = job(command(&text), many(1000));
    assert_eq!(reload(&very_many, &bench.stop).await, ReloadOutcome::Succeeded);
    assert_eq!(fs::read_to_string(bench.path("length")).unwrap(), "0\n", "otherwise none is named");
}

#[tokio::test]
async fn a_failed_or_interrupted_reload_is_not_successful() {
    let bench = Bench::new();
    let with = |text: &str| job(Reload::Command(shell(text)), vec![bench.template("f")]);
    let ReloadOutcome::Failed(message) = reload(&with("echo no; exit 1"), &bench.stop).await else { panic!() };
    assert_eq!(message, "reload \"echo no; exit 1\" exited with 1:\n  no");
    let mut slow = with("sleep 100");
    slow.timeout = Duration::from_millis(50);
    let ReloadOutcome::Failed(message) = reload(&slow, &bench.stop).await else { panic!() };
    assert!(message.contains("did not exit within 50ms"), "{message}");
    let running = bench.path("running");
    let cut = with(&format!("touch {}; sleep 100", running.display()));
    let (ran, ()) = tokio::join!(reload(&cut, &bench.stop), async {
        until("it runs", || running.exists()).await;
        bench.stop.cancel();
    });
    assert_eq!(ran, ReloadOutcome::Abandoned);
    assert_eq!(reload(&with("true"), &bench.stop).await, ReloadOutcome::Abandoned);
}

#[tokio::test]
async fn verify_cmd_runs_after_the_reload_and_its_failure_is_the_reloads() {
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
    assert_eq!(reload(&passes, &bench.stop).await, ReloadOutcome::Succeeded);
    assert_eq!(fs::read_to_string(&log).unwrap(), "reload\na\nb\n", "each once, and after the reload");
    fs::remove_file(&log).unwrap();
    let fails = with(says("reload"), &[shell("echo not yet up; exit 3"), says("z")]);
    let ReloadOutcome::Failed(message) = reload(&fails, &bench.stop).await else { panic!() };
    assert_eq!(message, "verify \"echo not yet up; exit 3\" exited with 3:\n  not yet up");
    assert_eq!(fs::read_to_string(&log).unwrap(), "reload\n");
    fs::remove_file(&log).unwrap();
    let ReloadOutcome::Failed(message) = reload(&with(shell("exit 1"), &[says("a")]), &bench.stop).await else {
        panic!()
    };
    assert!(
        message.starts_with("reload ") && !log.exists(),
        "after a failed reload verify_cmd does not run: {message}"
    );
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
    assert_eq!(reload(&job(with("HUP"), vec![bench.template("f")]), &bench.stop).await, ReloadOutcome::Succeeded);
    until("the signal came", || got.exists()).await;
    drop(process);
    // A zombie still accepts signals.
    let mut dead = Ended(Process::new("true").spawn().unwrap());
    let stat = format!("/proc/{}/stat", dead.0.id());
    until("it is dead", || fs::read_to_string(&stat).is_ok_and(|text| text.contains(") Z "))).await;
    fs::write(&pid_file, format!("{}\n", dead.0.id())).unwrap();
    let ran = reload(&job(with("HUP"), vec![bench.template("f")]), &bench.stop).await;
    assert!(matches!(&ran, ReloadOutcome::Failed(why) if why.contains("it has ended, and its parent")), "{ran:?}");
    dead.0.wait().unwrap();
    fs::write(&pid_file, format!("{}\n", dead.0.id())).unwrap();
    let failures = [
        (None, "HUP", "there is no such process (the software is not running, or left an old pid file behind)"),
        (Some(""), "HUP", "the file is empty"),
        (Some("nginx\n"), "HUP", "\"nginx\" is not a process ID"),
        (Some("1\n"), "HUP", "1 is not a process that may be signalled"),
        (Some("4711\n"), "RELOAD", "unknown signal"),
    ];
    for (text, signal, part) in failures {
        if let Some(text) = text {
            fs::write(&pid_file, text).unwrap();
        }
        let ran = reload(&job(with(signal), vec![bench.template("f")]), &bench.stop).await;
        let ReloadOutcome::Failed(message) = ran else { panic!("{part}") };
        assert!(message.contains(part), "{message}");
        assert!(message.contains("x.pid") || signal == "RELOAD", "{message}");
    }
    // None of these is read forever or completely.
    let make = |program: &str| assert!(Process::new(program).arg(&pid_file).status().unwrap().success());
    let odd: [(&dyn Fn(), &str); 3] = [
        (&|| make("mkfifo"), "the file is empty"),
        (&|| make("mkdir"), "Is a directory"),
        (&|| fs::write(&pid_file, vec![b'9'; 50_000_000]).unwrap(), "99…\" is not a process ID"),
    ];
    for (make, part) in odd {
        let _ = fs::remove_file(&pid_file).or_else(|_| fs::remove_dir(&pid_file));
        make();
        let ran = reload(&job(with("HUP"), vec![bench.template("f")]), &bench.stop).await;
        assert!(matches!(&ran, ReloadOutcome::Failed(why) if why.contains(part) && why.len() < 1000), "{ran:?}");
    }
    fs::remove_file(&pid_file).unwrap();
    let ReloadOutcome::Failed(message) = reload(&job(with("HUP"), vec![bench.template("f")]), &bench.stop).await else {
        panic!()
    };
    assert!(message.contains("x.pid: No such file") && message.contains("is the software running"), "{message}");
}

#[tokio::test]
async fn a_pid_file_that_cannot_be_read_in_time_signals_no_process() {
    const NAME: &str = "act::tests::reloads::a_pid_file_that_cannot_be_read_in_time_signals_no_process";
    const PID_FILE: &str = "ROSTERD_ACT_TEST_PID_FILE";
    let bench = Bench::new();
    if is_again() {
        let reload_by = Reload::Signal { signal: "HUP".into(), pid_file: std::env::var_os(PID_FILE).unwrap().into() };
        let mut job = job(reload_by, vec![bench.template("f")]);
        job.timeout = Duration::from_millis(100);
        let ran = reload(&job, &bench.stop).await;
        assert!(matches!(&ran, ReloadOutcome::Failed(why) if why.contains("timed out after 100ms")), "{ran:?}");
        // The next reload waits until the first read has returned.
        job.timeout = Duration::from_mins(1);
        assert_eq!(reload(&job, &bench.stop).await, ReloadOutcome::Succeeded);
        return;
    }
    let (pid_file, heard) = (bench.path("x.pid"), bench.path("heard"));
    let script = "trap 'echo hup >> HEARD' HUP; trap 'echo usr1 >> HEARD' USR1; echo $$ > PID; \
                  while :; do sleep 0.02; done";
    let script = script.replace("HEARD", &heard.display().to_string()).replace("PID", &pid_file.display().to_string());
    let process = Ended(Process::new("sh").args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap());
    until("the pid is written", || fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n'))).await;
    let (named, file) = (format!("{PID_FILE}={}", pid_file.display()), pid_file.display().to_string());
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", &file, "-e", "trace=openat"];
    passes_again(NAME, &[&["env", &named], &strace[..], &["-e", "inject=openat:delay_enter=1000000"]].concat());
    kill(Pid::from_raw(process.0.id().try_into().unwrap()), Signal::SIGUSR1).unwrap();
    let heard = || fs::read_to_string(&heard).unwrap_or_default();
    until("the last signal is heard", || heard().ends_with("usr1\n")).await;
    assert_eq!(heard(), "hup\nusr1\n");
}
