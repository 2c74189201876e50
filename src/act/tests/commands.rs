//! Commands get what they need and nothing more, and never escape.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::act::process::command::{CommandResult, Title};
use crate::act::process::environment::{Environment, Variables, environment};
use crate::act::process::launch::Termination;
use crate::act::process::output::MAX_OUTPUT;
use crate::config::Command;
use nix::sys::signal::{Signal, kill};
use tokio_util::sync::CancellationToken;

use super::bench::{Bench, Sweep, alive, is_again, passes_again, shell, until};

const LONG: Duration = Duration::from_mins(1);

/// An environment variable by which a test finds its processes. Dropping it kills them.
fn marked(name: &str) -> (Environment, Sweep) {
    let name = format!("{name}-{}", std::process::id());
    let variables = Variables { template: &name, src: "/s", dest: "/d", changed: "/d:/e" };
    (environment(&BTreeMap::new(), &variables), Sweep(format!("ROSTERD_TEMPLATE={name}")))
}

async fn run(command: &Command, environment: &Environment, limit: Duration, stop: &CancellationToken) -> CommandResult {
    crate::act::process::command::run(Title { what: "check", command }, command, environment, limit, stop).await
}

async fn run_shell(text: &str, environment: &Environment, limit: Duration) -> CommandResult {
    run(&shell(text), environment, limit, &CancellationToken::new()).await
}

fn said(end: &CommandResult) -> String {
    String::from_utf8(end.output.bytes()).unwrap()
}

#[tokio::test]
async fn a_command_gets_a_clean_environment() {
    let variables = Variables { template: "t", src: "/s", dest: "/d", changed: "/d:/e" };
    let own = BTreeMap::from([("MINE".to_owned(), "$(touch x) ü".to_owned()), ("LANG".to_owned(), "de_DE".to_owned())]);
    let environment = environment(&own, &variables);
    let path = std::env::var("PATH").unwrap();
    let end = run(&Command::Exec(vec!["env".into()]), &environment, LONG, &CancellationToken::new()).await;
    let text = said(&end);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let expected = [
        "LANG=de_DE",
        "MINE=$(touch x) ü",
        &format!("PATH={path}"),
        "ROSTERD_CHANGED=/d:/e",
        "ROSTERD_DEST=/d",
        "ROSTERD_SRC=/s",
        "ROSTERD_TEMPLATE=t",
    ];
    assert_eq!(lines, expected);
    let open = std::fs::File::open("/etc/passwd").unwrap();
    let end = run_shell("pwd; cat; cat /proc/$$/stat; ls /proc/$$/fd", &environment, LONG).await;
    drop(open);
    let text = said(&end);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "/");
    let passed_on: Vec<&str> = lines[2..].iter().copied().filter(|fd| !is_inherited(fd)).collect();
    assert_eq!(passed_on, ["0", "1", "2"]);
    let stat: Vec<&str> = lines[1].rsplit_once(')').unwrap().1.split_whitespace().collect();
    let pid = lines[1].split_once(' ').unwrap().0;
    assert_eq!(stat[2], pid, "it leads its own process group");
}

/// Whether this descriptor was inherited from the test's parent: one that this process opens closes on exec.
fn is_inherited(fd: &str) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or_default();
    let closes = u32::from_str_radix(flags.trim(), 8).is_ok_and(|flags| flags & 0o2_000_000 != 0);
    fd.parse::<u32>().unwrap() > 2 && !info.is_empty() && !closes
}

#[tokio::test]
async fn exit_codes_signals_and_timeouts_are_distinguished() {
    let (environment, _sweep) = marked("ends");
    let none = CancellationToken::new();
    let list = |words: &[&str]| Command::Exec(words.iter().map(|word| (*word).to_owned()).collect());
    let cases = [
        (shell("exit 0"), Termination::Exited(0), "check \"exit 0\" exited with 0"),
        (shell("echo why >&2; exit 4"), Termination::Exited(4), "exited with 4:\n  why"),
        (shell("no-such-program-here"), Termination::Exited(127), "usually a program that is not in PATH"),
        (shell("kill -SEGV $$"), Termination::Signalled(11), "was killed by SIGSEGV"),
        (
            list(&["sh", "-c", "exit 5"]),
            Termination::Exited(5),
            "check \"sh -c exit 5\" exited with 5 and printed nothing",
        ),
        (list(&["echo", "$(id)", ";", "id"]), Termination::Exited(0), "exited with 0:\n  $(id) ; id"),
    ];
    for (command, how, part) in cases {
        let end = run(&command, &environment, LONG, &none).await;
        assert_eq!(end.termination, how, "{command}");
        assert!(end.describe("check", &command).contains(part), "{}", end.describe("check", &command));
    }
    let path = environment["PATH"].to_str().unwrap();
    let absent = [
        (list(&["no-such-program-here"]), format!("program no-such-program-here not found in PATH {path} (install it")),
        (list(&["/no/such/program"]), "/no/such/program: not found".to_owned()),
        (list(&["/etc/passwd"]), "/etc/passwd: Permission denied".to_owned()),
        (list(&["a\0b"]), "a\\u{0}b".to_owned()),
        (list(&[]), "the list is empty".to_owned()),
    ];
    for (command, part) in absent {
        let end = run(&command, &environment, LONG, &none).await;
        assert!(matches!(end.termination, Termination::NotStarted(_)), "{:?}", end.termination);
        assert!(end.describe("check", &command).contains(&part), "{}", end.describe("check", &command));
    }
}

#[tokio::test]
async fn a_timeout_ends_the_whole_process_group() {
    let cases = [
        ("plain", "sleep 100", 0..3),
        ("forks", "sleep 100 & sh -c 'sleep 100; true' & sleep 100", 0..3),
        ("leader-ends-first", "sh -c 'trap \"\" TERM; sleep 100; true' & trap 'exit 0' TERM; sleep 100", 5..8),
        ("deaf", "trap '' TERM; sleep 100; sleep 100", 5..8),
        ("noisy", "trap '' TERM; yes & yes", 5..8),
        ("stopped", "kill -STOP $$; sleep 100", 0..3),
    ];
    let all = cases.map(|(name, text, seconds)| async move {
        let (environment, sweep) = marked(name);
        let begun = Instant::now();
        let limit = Duration::from_millis(300);
        let end = run_shell(text, &environment, limit).await;
        assert_eq!(end.termination, Termination::TimedOut(limit), "{name}");
        let message = end.describe("reload", &shell(text));
        assert!(message.contains("did not exit within 300ms") && message.contains("reload_timeout"), "{message}");
        let took = begun.elapsed();
        assert!(seconds.contains(&took.as_secs()), "{name} took {took:?}");
        until("the whole group is gone", || alive(&sweep.0).is_empty()).await;
    });
    futures_of(all).await;
}

/// Waits for all of them at once.
async fn futures_of<F: Future<Output = ()>, const N: usize>(all: [F; N]) {
    let mut waiting: Vec<_> = all.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|one| one.as_mut().poll(context).is_pending());
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Processes that write their pid to a file. They are killed when this is dropped.
struct Strays<'a>(&'a Bench, [&'a str; 2]);

impl Strays<'_> {
    /// A shell command that starts one in its own session.
    fn text(&self, which: usize) -> String {
        let file = self.0.path(self.1[which]);
        format!("setsid /bin/sh -c 'echo $$ > {}; exec sleep 10{which}'", file.display())
    }

    /// How a message names them; `None` until all are running.
    fn names(&self) -> Option<Vec<String>> {
        let names = (0..).zip(self.1).map(|(which, file)| {
            let pid = std::fs::read_to_string(self.0.path(file)).ok()?.trim().to_owned();
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            (line == format!("sleep\x0010{which}\0").as_bytes()).then(|| format!("sleep 10{which} (pid {pid})"))
        });
        names.collect()
    }
}

impl Drop for Strays<'_> {
    fn drop(&mut self) {
        for file in self.1 {
            let pid = std::fs::read_to_string(self.0.path(file)).ok().and_then(|pid| pid.trim().parse().ok());
            let _ = pid.map(|pid| kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL));
        }
    }
}

#[tokio::test]
async fn processes_that_left_the_group_of_an_ended_command_are_named() {
    let (environment, sweep) = marked("strays");
    let bench = Bench::new();
    let strays = Strays(&bench, ["own-session", "clean-environment"]);
    let command = shell(format!("{} & env -i {} & sleep 100", strays.text(0), strays.text(1)));
    let stop = CancellationToken::new();
    let (end, ()) = tokio::join!(run(&command, &environment, LONG, &stop), async {
        until("all are where they are to be", || strays.names().is_some()).await;
        stop.cancel();
    });
    assert_eq!(end.termination, Termination::Abandoned);
    let words = end.describe("check", &command);
    let (_, named) = words.split_once("; still running outside its process group: ").expect(&words);
    let mut named: Vec<&str> = named.split(", ").collect();
    let mut expected = strays.names().unwrap();
    named.sort_unstable();
    expected.sort_unstable();
    assert_eq!(named, expected);
    drop((strays, sweep));
}

#[tokio::test]
async fn a_command_that_ended_while_the_agent_was_suspended_did_not_time_out() {
    let (environment, sweep) = marked("asleep");
    let limit = Duration::from_millis(10);
    for _ in 0..16 {
        let begun = Instant::now();
        let (end, ()) = tokio::join!(run_shell("exit 3", &environment, limit), async {
            // Nothing else happens in this process until both have ended.
            while begun.elapsed() < 2 * limit || !alive(&sweep.0).is_empty() {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        assert_eq!(end.termination, Termination::Exited(3));
    }
}

#[tokio::test]
async fn stopping_ends_a_command_in_time() {
    for text in ["trap '' TERM; sleep 100; sleep 100", "sleep 100 & sleep 100"] {
        let (environment, sweep) = marked("stopping");
        let stop = CancellationToken::new();
        let command = shell(text);
        let mut asked = Instant::now();
        let (end, ()) = tokio::join!(run(&command, &environment, LONG, &stop), async {
            until("both are running", || alive(&sweep.0).len() >= 2).await;
            asked = Instant::now();
            stop.cancel();
        });
        assert_eq!(end.termination, Termination::Abandoned);
        assert!(asked.elapsed() < Duration::from_millis(2500), "{text} took {:?}", asked.elapsed());
        until("the whole group is gone", || alive(&sweep.0).is_empty()).await;
        let end = run(&command, &environment, LONG, &stop).await;
        assert_eq!(
            (end.termination, alive(&sweep.0)),
            (Termination::Abandoned, vec![]),
            "no further command is started"
        );
    }
}

#[tokio::test]
async fn stopping_shortens_the_grace_of_a_timeout() {
    let (environment, sweep) = marked("shorten");
    let stop = CancellationToken::new();
    let dir = tempfile::TempDir::new().unwrap();
    let asked = dir.path().join("asked");
    let command = shell(format!("trap 'touch {}' TERM; while :; do sleep 100; done", asked.display()));
    let limit = Duration::from_millis(100);
    let begun = Instant::now();
    let (end, ()) = tokio::join!(run(&command, &environment, limit, &stop), async {
        until("it is asked to end", || asked.exists()).await;
        stop.cancel();
    });
    assert_eq!(end.termination, Termination::TimedOut(limit));
    assert!(begun.elapsed() < Duration::from_millis(3200), "{:?}", begun.elapsed());
    until("the whole group is gone", || alive(&sweep.0).is_empty()).await;
}

#[tokio::test]
async fn dropping_a_command_kills_its_group() {
    let (environment, sweep) = marked("dropped");
    let command = shell("trap '' TERM; sleep 100 & sleep 100");
    let stop = CancellationToken::new();
    tokio::select! {
        end = run(&command, &environment, LONG, &stop) => panic!("{end:?}"),
        () = until("both sleeps run", || alive(&sweep.0).len() >= 3) => {}
    }
    until("the whole group is gone", || alive(&sweep.0).is_empty()).await;
}

#[tokio::test]
async fn a_descendant_that_keeps_the_output_open_does_not_block() {
    let (environment, sweep) = marked("daemon");
    let bench = Bench::new();
    let go: PathBuf = bench.path("go");
    // It writes again long after its parent ended, and would get SIGPIPE without a reader.
    let daemon = format!(
        "setsid sh -c 'while ! test -e {go}; do sleep 0.05; done; echo late; echo late; touch {go}ne; sleep 100' &",
        go = go.display()
    );
    let begun = Instant::now();
    let end = run_shell(&format!("{daemon} echo done"), &environment, LONG).await;
    assert_eq!((end.termination.clone(), said(&end)), (Termination::Exited(0), "done\n".to_owned()));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(!alive(&sweep.0).is_empty(), "a daemon is left running");
    std::fs::write(&go, "").unwrap();
    until("the daemon has written and lives", || bench.path("gone").exists()).await;
}

#[tokio::test]
async fn endless_output_uses_bounded_memory() {
    const NAME: &str = "act::tests::commands::endless_output_uses_bounded_memory";
    if !is_again() {
        return passes_again(NAME, &["env"]);
    }
    let (environment, _sweep) = marked("endless");
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    run_shell("yes | head -c 1000000", &environment, LONG).await;
    let before = peak();
    let end = run_shell("yes | head -c 100000000; seq 1 50000", &environment, LONG).await;
    let grown = peak() - before;
    assert!(grown < 2048, "{grown} KiB more for 100 MB");
    let numbers: Vec<u8> = (1..=50_000).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    assert_eq!(end.output.bytes(), &numbers[numbers.len() - MAX_OUTPUT..], "exactly the last 64 KiB");
    assert_eq!(end.output.dropped(), (100_000_000 + numbers.len() - MAX_OUTPUT) as u64);
}

#[tokio::test]
async fn commands_leave_no_descriptor_and_no_zombie() {
    let (environment, sweep) = marked("leaks");
    let zombies = || {
        let own = std::process::id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        let state = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        children.split_whitespace().filter(|pid| state(pid).contains(") Z ")).count()
    };
    for _ in 0..20 {
        run_shell("echo x; exit 1", &environment, LONG).await;
        run_shell("sleep 100", &environment, Duration::from_millis(5)).await;
    }
    until("no zombie", || zombies() == 0).await;
    assert_eq!(alive(&sweep.0), []);
    assert!(kill(nix::unistd::Pid::this(), None::<Signal>).is_ok());
}
