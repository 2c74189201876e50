//! An attacker who owns a directory above the destination and replaces parts of its path.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process};
use std::time::{Duration, Instant};

use crate::act::files::Writer;
use crate::config::TemplateConfig;
use crate::decide::{Outcome, Stage};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::bench::{Bench, identity, is_again, is_root, passes_again, set_mode, staged_in, template};

/// The id of `nobody`.
const NOBODY: u32 = 65534;
/// The variable that tells the attacker's process its directory.
const PREY: &str = "ROSTERD_ACT_TEST_PREY";

/// A directory `yard` that belongs to the attacker, with `conf` in it, where the file `f` is to be written; and a
/// directory `victim` that does not, with a file of that name.
struct Yard {
    bench: Bench,
    victim: (u64, i64, i64, Vec<String>),
    kept: (u64, Vec<u8>, i64, i64),
}

impl Yard {
    fn new() -> Self {
        let bench = Bench::new();
        set_mode(bench.directory.path(), 0o755);
        for directory in ["yard", "yard/conf", "victim"] {
            fs::create_dir(bench.path(directory)).unwrap();
        }
        fs::write(bench.path("victim/f"), "kept").unwrap();
        symlink(bench.path("victim"), bench.path("yard/link")).unwrap();
        if is_root() {
            chown(bench.path("yard"), Some(NOBODY), Some(NOBODY)).unwrap();
            std::os::unix::fs::lchown(bench.path("yard/link"), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let victim = seen(&bench.path("victim"));
        let kept = identity(&bench.path("victim/f"));
        Self { bench, victim, kept }
    }

    fn template(&self) -> TemplateConfig {
        template(self.bench.path("yard/conf/f"))
    }

    /// Exchanges the directory and the link.
    fn swap(&self) {
        swap(&self.bench.path("yard")).unwrap();
    }

    /// A file that was created shows in the directory's times, even if it was removed again.
    #[track_caller]
    fn victim_is_untouched(&self) {
        assert_eq!(seen(&self.bench.path("victim")), self.victim);
        assert_eq!(identity(&self.bench.path("victim/f")), self.kept);
    }
}

fn seen(directory: &Path) -> (u64, i64, i64, Vec<String>) {
    let stat = fs::metadata(directory).unwrap();
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    (stat.ino(), stat.mtime(), stat.mtime_nsec(), names.collect())
}

fn swap(yard: &Path) -> nix::Result<()> {
    let (conf, link) = (yard.join("conf"), yard.join("link"));
    renameat2(AT_FDCWD, &conf, AT_FDCWD, &link, RenameFlags::RENAME_EXCHANGE)
}

/// The attacker: this test in another process, as `nobody` if possible. It ends when `yard/go` is removed.
fn attack(test: &str, yard: &Path) -> Child {
    let mut words = Vec::new();
    if is_root() {
        words.extend(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(PathBuf::from));
    }
    words.push(std::env::current_exe().unwrap());
    fs::write(yard.join("go"), "").unwrap();
    let mut process = Process::new(&words[0]);
    process.args(&words[1..]).args(["--exact", test]).env(PREY, yard).stdout(std::process::Stdio::null());
    process.spawn().unwrap()
}

/// Whether this process is the attacker. Returns when the attack is over.
fn was_attacker() -> bool {
    let Some(yard) = std::env::var_os(PREY).map(PathBuf::from) else { return false };
    while yard.join("go").exists() {
        // The whole directory may be removed by now.
        let _ = swap(&yard);
    }
    true
}

#[tokio::test]
async fn nothing_is_written_where_a_replaced_directory_leads() {
    const NAME: &str = "act::tests::attack::nothing_is_written_where_a_replaced_directory_leads";
    if was_attacker() {
        return;
    }
    let writes = crate::support::random::count(300, 10_000);
    let mut yard = Yard::new();
    let template = yard.template();
    assert_eq!(yard.bench.publish(&template, b"first").await, Outcome::Replaced);
    let mut attacker = attack(NAME, &yard.bench.path("yard"));
    let (mut tried, mut written, mut refused) = (0, 0, 0);
    let end = Instant::now() + Duration::from_mins(5);
    // Until both the directory and the link were met often enough, however rarely the attacker is scheduled.
    while tried < writes || written < 20 || refused < 20 {
        assert!(Instant::now() < end, "{written} of {tried} written, {refused} refused");
        match yard.bench.publish(&template, format!("{tried}").as_bytes()).await {
            Outcome::Replaced => written += 1,
            Outcome::Failed(failure) => {
                assert_eq!(failure.stage, Stage::Write, "{failure:?}");
                refused += u32::from(failure.message.contains("symbolic link"));
            }
            outcome => panic!("{outcome:?}"),
        }
        tried += 1;
        // As root, even the first use follows none of the attacker's links, so an agent may also start in the middle of
        // the attack.
        if is_root() && tried % 10 == 0 {
            yard.bench.writer = Writer::start().unwrap();
        }
    }
    fs::remove_file(yard.bench.path("yard/go")).unwrap();
    assert!(attacker.wait().unwrap().success());
    println!("{tried} writes, {written} done, {refused} met a link");
    yard.victim_is_untouched();
    if fs::symlink_metadata(yard.bench.path("yard/conf")).unwrap().is_symlink() {
        yard.swap();
    }
    assert_eq!(yard.bench.publish(&template, b"at last").await, Outcome::Replaced);
    assert_eq!(fs::read(&template.dest).unwrap(), b"at last");
    assert_eq!(staged_in(&yard.bench.path("yard/conf")), [""; 0]);
}

#[tokio::test]
async fn a_directory_that_becomes_a_link_is_followed_only_after_a_reload() {
    const NAME: &str = "act::tests::attack::a_directory_that_becomes_a_link_is_followed_only_after_a_reload";
    if !is_again() {
        // With openat2, and without it.
        passes_again(NAME, &["env"]);
        for error in ["ENOSYS", "EPERM"] {
            let inject = format!("inject=openat2:error={error}");
            passes_again(NAME, &["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=openat2", "-e", &inject]);
        }
        return;
    }
    let yard = Yard::new();
    let template = yard.template();
    assert_eq!(yard.bench.publish(&template, b"old").await, Outcome::Replaced);
    yard.swap();
    let message = yard.bench.failure_at(&template, b"new", Stage::Write).await;
    let link = yard.bench.path("yard/conf");
    let part = format!("{} has become a symbolic link to {}", link.display(), yard.bench.path("victim").display());
    assert!(message.contains(&part) && message.contains("send HUP"), "{message}");
    yard.victim_is_untouched();
    yard.swap();
    assert_eq!(yard.bench.publish(&template, b"new").await, Outcome::Replaced, "the directory is back");
    yard.swap();
    yard.bench.writer.forget_directories();
    if is_root() {
        let message = yard.bench.failure_at(&template, b"newer", Stage::Write).await;
        assert!(message.contains("users other than root can change it"), "{message}");
        yard.victim_is_untouched();
        for path in ["yard", "yard/conf"] {
            std::os::unix::fs::lchown(yard.bench.path(path), Some(0), Some(0)).unwrap();
        }
    }
    assert_eq!(yard.bench.publish(&template, b"newer").await, Outcome::Replaced);
    assert_eq!(fs::read(yard.bench.path("victim/f")).unwrap(), b"newer");
}

#[tokio::test]
async fn a_link_in_the_path_that_changed_is_refused() {
    let bench = Bench::new();
    for directory in ["one", "two"] {
        fs::create_dir(bench.path(directory)).unwrap();
    }
    symlink("one", bench.path("current")).unwrap();
    let mut template = bench.template("current/f");
    assert_eq!(bench.publish(&template, b"first").await, Outcome::Replaced);
    for (leads, to) in [("two", "two"), ("gone/there", "gone/there")] {
        fs::remove_file(bench.path("current")).unwrap();
        symlink(leads, bench.path("current")).unwrap();
        for make_dirs in [false, true] {
            template.make_dirs = make_dirs;
            let message = bench.failure_at(&template, b"second", Stage::Write).await;
            let (one, to) = (bench.path("one"), bench.path(to));
            let part = format!("resolved to {} and now resolves to {}", one.display(), to.display());
            assert!(message.contains(&part) && message.contains("send HUP"), "{message}");
        }
        assert_eq!(fs::read(bench.path("one/f")).unwrap(), b"first");
    }
    bench.writer.forget_directories();
    assert_eq!(bench.publish(&template, b"second").await, Outcome::Replaced);
    assert_eq!(fs::read(bench.path("gone/there/f")).unwrap(), b"second");
}

#[tokio::test]
async fn root_refuses_a_world_writable_parent_directory() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("open/conf")).unwrap();
    set_mode(&bench.path("open"), 0o777);
    let template = bench.template("open/conf/f");
    if is_root() {
        let message = bench.failure(&template, b"new", Stage::Write).await;
        let part = format!("write to the directory {}: it is world-writable", bench.path("open").display());
        assert!(message.contains(&part), "{message}");
        set_mode(&bench.path("open"), 0o775);
    }
    assert_eq!(bench.publish(&template, b"new").await, Outcome::Replaced);
}
