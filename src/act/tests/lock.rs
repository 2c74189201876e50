//! One agent for each state directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use crate::act::files::{CurrentConfig, Writer, compare, publish, recover};
use crate::config::{Block, TemplateConfig, Trust};
use crate::decide::{Event, Outcome};
use crate::error::Exit;
use crate::state::lock::StateLock;
use tokio_util::sync::CancellationToken;

use super::bench::{Bench, Ended, again, identity, is_again, is_root, mode, passes_again, set_mode, until};

const WAIT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn the_second_agent_names_the_pid_of_the_first() {
    let bench = Bench::new();
    let state = bench.path("a/state");
    let first = StateLock::acquire(&state, WAIT, &Trust::default()).await.unwrap();
    assert_eq!((mode(&state), mode(&state.join("lock"))), (0o700, 0o600));
    let begun = Instant::now();
    let fatal = StateLock::acquire(&state, WAIT, &Trust::default()).await.unwrap_err();
    assert!(begun.elapsed() >= WAIT);
    assert_eq!(fatal.exit, Exit::Locked);
    let pid = std::process::id();
    let expected = format!(
        "waited 200ms, but another agent (process {pid}) is still using the state directory {0} (it holds the lock {0}/lock): stop it, or \
         give this agent its own `state_dir`",
        state.display()
    );
    assert_eq!(fatal.message, expected);
    drop(first);
    assert!(state.join("lock").exists());
    StateLock::acquire(&state, Duration::ZERO, &Trust::default()).await.unwrap();
}

#[tokio::test]
async fn a_lock_is_released_however_its_process_ends() {
    let bench = Bench::new();
    let lock = bench.path("lock");
    fs::write(&lock, "").unwrap();
    set_mode(bench.directory.path(), 0o700);
    let script = format!("echo $$ > {0}; exec sleep 100", lock.display());
    let holder = Ended(
        Process::new("flock")
            .arg("--no-fork")
            .arg(&lock)
            .args(["sh", "-c", &script])
            .stdin(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let pid = holder.0.id();
    until("the lock is held", || fs::read_to_string(&lock).is_ok_and(|text| text.trim() == pid.to_string())).await;
    let fatal = StateLock::acquire(bench.directory.path(), Duration::ZERO, &Trust::default()).await.unwrap_err();
    assert!(fatal.message.contains(&format!("(process {pid})")), "{fatal}");
    let trust = Trust::default();
    let waiting = StateLock::acquire(bench.directory.path(), Duration::from_secs(10), &trust);
    let (lock_now, ()) = tokio::join!(waiting, async {
        // KILL, as `Ended` sends it: nothing of the holder runs any more.
        drop(holder);
    });
    assert!(lock_now.is_ok());
    assert_eq!(fs::read_to_string(&lock).unwrap(), format!("{}\n", std::process::id()));
}

#[tokio::test]
async fn an_unusable_state_directory_is_reported_with_a_remedy() {
    let bench = Bench::new();
    fs::write(bench.path("file"), "").unwrap();
    fs::create_dir(bench.path("open")).unwrap();
    set_mode(&bench.path("open"), 0o777);
    fs::create_dir(bench.path("linked")).unwrap();
    set_mode(&bench.path("linked"), 0o700);
    symlink(bench.path("file"), bench.path("linked/lock")).unwrap();
    let mut cases = vec![
        ("file", "use the state directory"),
        ("file/below", "another state_dir"),
        ("open", "it is world-writable"),
        ("linked", "lock: Too many levels of symbolic links"),
    ];
    if !is_root() {
        fs::create_dir(bench.path("barred")).unwrap();
        set_mode(&bench.path("barred"), 0o500);
        cases.push(("barred/state", "Permission denied"));
    }
    for (name, part) in cases {
        let fatal = StateLock::acquire(&bench.path(name), Duration::ZERO, &Trust::default()).await.unwrap_err();
        assert_eq!(fatal.exit, Exit::Failed);
        assert!(fatal.message.contains(part) && fatal.message.contains(name), "{fatal}");
    }
    let open = bench.path("open");
    StateLock::acquire(&open, Duration::ZERO, &Trust::new([open.clone()])).await.unwrap();
}

/// An agent with a state directory and its files in the bench's directory.
struct Agent {
    writer: Writer,
    lock: StateLock,
}

impl Agent {
    async fn new(state_dir: &Path) -> Self {
        let lock = StateLock::acquire(state_dir, Duration::ZERO, &Trust::default()).await.unwrap();
        let writer = Writer::start().unwrap();
        recover(&writer, state_dir, CurrentConfig { templates: Vec::new(), files: Vec::new() }).await.unwrap();
        Self { writer, lock }
    }

    async fn publish(&self, template: &TemplateConfig, text: &str) -> Outcome {
        publish(&self.writer, template, text.as_bytes().to_owned(), &CancellationToken::new(), &mut None).await
    }
}

#[tokio::test]
async fn two_agents_do_not_write_one_file() {
    let bench = Bench::new();
    let template = bench.template("f");
    let one = Agent::new(&bench.path("one")).await;
    assert_eq!(one.publish(&template, "one").await, Outcome::Replaced);
    let two = Agent::new(&bench.path("two")).await;
    let before = identity(&template.dest);
    for text in ["two", "one"] {
        let Outcome::Failed(failure) = two.publish(&template, text).await else { panic!("it did not fail") };
        let pid = std::process::id();
        let part = format!("another agent writes it (pid {pid}, state directory");
        assert!(failure.message.contains(&part) && failure.message.contains("setfattr -x"), "{}", failure.message);
        let said = compare(&two.writer, &template, text.as_bytes()).await.unwrap_err();
        assert_eq!(said.to_string(), failure.message);
        assert_eq!(identity(&template.dest), before);
    }
    // The agent's own file may be replaced, and so may a copy of another's with all attributes.
    assert_eq!(one.publish(&template, "again").await, Outcome::Replaced);
    let copied = Process::new("cp").arg("-a").args([bench.path("f"), bench.path("g")]).status().unwrap();
    assert!(copied.success());
    assert_eq!(two.publish(&bench.template("g"), "two").await, Outcome::Replaced);
    // It is refused while the other agent runs.
    drop(one.lock);
    assert_eq!(two.publish(&template, "two").await, Outcome::Replaced);
    let three = Agent::new(&bench.path("one")).await;
    assert!(matches!(three.publish(&template, "one").await, Outcome::Failed(_)));
    // Each agent has its own block in a file with blocks.
    let mut block = bench.template("hosts");
    for (agent, name) in [(&two, "two"), (&three, "three")] {
        block.placing.block = Some(Block::new(name));
        assert_eq!(agent.publish(&block, name).await, Outcome::Replaced);
    }
}

#[tokio::test]
async fn a_new_state_directory_is_synced_before_it_is_used() {
    const NAME: &str = "act::tests::lock::a_new_state_directory_is_synced_before_it_is_used";
    if is_again() {
        let bench = Bench::new();
        let state = bench.path("a/state");
        // Each time the sync of another parent fails.
        let (mut tries, mut refused) = (0, 0);
        while tries == refused {
            tries += 1;
            refused += usize::from(StateLock::acquire(&state, WAIT, &Trust::default()).await.is_err());
        }
        assert_eq!(refused, 2);
        return;
    }
    let trace = tempfile::NamedTempFile::new().unwrap();
    let inject = "inject=fsync:error=EIO:when=1..3+2";
    let traced = ["strace", "-f", "-qq", "-y", "-e", "trace=fsync", "-e", inject, "-o"];
    let output = again(NAME, &[&traced[..], &[trace.path().to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let trace = fs::read_to_string(trace.path()).unwrap();
    let kept: Vec<&str> = trace.lines().filter(|line| line.ends_with(" = 0")).collect();
    let is_kept = |below: &str| {
        let directories = kept.iter().filter_map(|line| line.split_once("/rosterd-act-")?.1.split_once('>'));
        directories.into_iter().any(|(path, _)| path.split_once('/').map_or("", |(_, below)| below) == below)
    };
    assert!(is_kept("a") && is_kept(""), "{trace}");
}

#[tokio::test]
async fn state_that_root_left_is_reported_with_the_command_that_returns_it() {
    const NAME: &str = "act::tests::lock::state_that_root_left_is_reported_with_the_command_that_returns_it";
    const STATE: &str = "ROSTERD_TEST_STATE_OF_ROOT";
    if !is_root() || is_again() {
        let Some(state) = std::env::var_os(STATE).map(std::path::PathBuf::from) else { return };
        let mut events = crate::log::subscribe();
        let said = match StateLock::acquire(&state, Duration::ZERO, &Trust::default()).await {
            Err(fatal) => fatal.message,
            Ok(_) => match &*events.try_recv().unwrap() {
                Event::StateNotOwned { reason, .. } => reason.clone(),
                other => panic!("{other:?}"),
            },
        };
        let wanted =
            format!("belongs to uid 0, and rosterd runs as uid 12345: run `chown -R 12345 {}`", state.display());
        assert!(said.contains(&wanted), "{said}");
        return;
    }
    let bench = Bench::new();
    set_mode(bench.directory.path(), 0o755);
    let names = ["all of it", "the lock", "the rosters"];
    for (at, name) in names.iter().enumerate() {
        let state = bench.path(name);
        drop(StateLock::acquire(&state, Duration::ZERO, &Trust::default()).await.unwrap());
        // Root rendered once where another user's agent runs.
        fs::create_dir(state.join("rosters")).unwrap();
        for path in [state.clone(), state.join("lock")].iter().take(at) {
            std::os::unix::fs::chown(path, Some(12345), Some(12345)).unwrap();
        }
        let state = format!("{STATE}={}", state.display());
        passes_again(NAME, &["env", &state, "setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]);
    }
}
