//! One agent a state directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use rosterd::act::StateLock;
use rosterd::error::Exit;

use crate::bench::{Bench, is_root, mode, set_mode, until};

const WAIT: Duration = Duration::from_millis(200);

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_second_agent_is_told_who_is_first() {
    let bench = Bench::new();
    let state = bench.path("a/state");
    let first = StateLock::acquire(&state, WAIT).await.unwrap();
    assert_eq!((mode(&state), mode(&state.join("lock"))), (0o700, 0o600));
    let begun = Instant::now();
    let fatal = StateLock::acquire(&state, WAIT).await.unwrap_err();
    assert!(begun.elapsed() >= WAIT);
    assert_eq!(fatal.exit, Exit::Locked);
    let pid = std::process::id();
    let expected = format!(
        "another agent, process {pid}, has the state directory {0} (it holds {0}/lock), also after 200ms: stop it, or \
         give this one its own state_dir",
        state.display()
    );
    assert_eq!(fatal.message, expected);
    drop(first);
    assert!(state.join("lock").exists());
    StateLock::acquire(&state, Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_lock_is_had_as_soon_as_its_process_ends_in_any_way() {
    let bench = Bench::new();
    let lock = bench.path("lock");
    fs::write(&lock, "").unwrap();
    set_mode(bench.folder.path(), 0o700);
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
    let fatal = StateLock::acquire(bench.folder.path(), Duration::ZERO).await.unwrap_err();
    assert!(fatal.message.contains(&format!("process {pid},")), "{fatal}");
    let waiting = StateLock::acquire(bench.folder.path(), Duration::from_secs(10));
    let (lock_now, ()) = tokio::join!(waiting, async {
        // KILL, as `Ended` sends it: nothing of the holder runs any more.
        drop(holder);
    });
    assert!(lock_now.is_ok());
    assert_eq!(fs::read_to_string(&lock).unwrap(), format!("{}\n", std::process::id()));
}

#[tokio::test]
async fn a_directory_that_cannot_serve_is_told_with_the_way_out() {
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
        ("open", "everybody may write there"),
        ("linked", "lock: Too many levels of symbolic links"),
    ];
    if !is_root() {
        fs::create_dir(bench.path("barred")).unwrap();
        set_mode(&bench.path("barred"), 0o500);
        cases.push(("barred/state", "Permission denied"));
    }
    for (name, part) in cases {
        let fatal = StateLock::acquire(&bench.path(name), Duration::ZERO).await.unwrap_err();
        assert_eq!(fatal.exit, Exit::Failed);
        assert!(fatal.message.contains(part) && fatal.message.contains(name), "{fatal}");
    }
}
