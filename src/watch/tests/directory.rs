//! What only directories have: editors, links, a root that is replaced.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::config::{RegistryConfig, RegistryUrl};
use crate::model::node_path::NodePath;
use tempfile::TempDir;

use super::suite::suite;
use super::{LONG, Mirror, Tree, config};
use crate::support::wait::eventually;

/// A temporary tree.
struct TempTree {
    root: PathBuf,
    _above: TempDir,
}

impl TempTree {
    fn new() -> Self {
        let above = tempfile::tempdir().unwrap();
        let root = above.path().join("registry");
        fs::create_dir(&root).unwrap();
        Self { root, _above: above }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

impl Tree for TempTree {
    fn config(&self) -> RegistryConfig {
        config(RegistryUrl::Directory(self.root.clone()))
    }

    fn put(&self, path: &str, data: &str) {
        let at = self.at(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(if at.is_dir() { at.join(".data") } else { at }, data).unwrap();
    }

    fn create_parent(&self, path: &str) {
        let at = self.at(path);
        if at.is_file() {
            let data = fs::read(&at).unwrap();
            fs::remove_file(&at).unwrap();
            fs::create_dir(&at).unwrap();
            fs::write(at.join(".data"), data).unwrap();
        }
        fs::create_dir_all(at).unwrap();
    }

    fn remove(&self, path: &str) {
        let at = self.at(path);
        if at.is_dir() {
            fs::remove_dir_all(at).unwrap();
        } else {
            fs::remove_file(at).unwrap();
        }
    }
}

mod tree {
    super::suite!(super::TempTree::new());
}

fn sh(tree: &Path, script: &str) {
    let status = Command::new("sh").args(["-ec", script]).current_dir(tree).status().unwrap();
    assert!(status.success(), "{script}");
}

#[test]
fn commands_and_editors_are_followed_at_once() {
    let tree = TempTree::new();
    tree.create_parent("/svc");
    let mirror = Mirror::follow(&tree.config(), &["/svc"]);
    mirror.becomes("/svc", "");
    let steps = [
        ("touch svc/a", "a="),
        ("touch svc/a", "a="),
        ("printf 1 > svc/a", "a=1"),
        ("printf 2 > svc/.a.swp; mv svc/.a.swp svc/a", "a=2"),
        ("cp -p svc/a svc/a~; printf 3 > svc/a", "a=3"),
        ("printf 4 > svc/4913; rm svc/4913; mv svc/a svc/a~; printf 4 > svc/a", "a=4"),
        ("mv svc/a svc/b", "b=4"),
        ("sed -i s/4/5/ svc/b", "b=5"),
        ("ln -s b svc/link", "b=5 link=5"),
        ("rm svc/link; ln svc/b svc/hard", "b=5 hard=5"),
        ("rm svc/hard; install -m 600 /dev/null svc/i", "b=5 i="),
        ("rm svc/i; mkdir svc/m", "b=5 m="),
        ("printf x > svc/m/.data; printf y > svc/m/deep", "b=5 m/=x"),
        ("printf z > svc/m/.data", "b=5 m/=z"),
        ("mv svc/m svc/n", "b=5 n/=z"),
        ("printf q > svc/n/.data", "b=5 n/=q"),
        ("rm -r svc/n svc/b", ""),
        ("touch svc/.hidden svc/backup~ 'svc/#x'", "#x="),
        ("touch svc/a.bak svc/a.orig svc/a.dpkg-old 'svc/#a#' svc/a; rm 'svc/#x'", "a="),
    ];
    for (script, wanted) in steps {
        sh(&tree.root, script);
        let took = mirror.becomes("/svc", wanted);
        assert!(took < Duration::from_secs(1), "{script} took {took:?}");
    }
}

#[test]
fn a_file_is_read_when_it_is_closed() {
    let tree = TempTree::new();
    tree.put("/svc/a", "whole");
    let mirror = Mirror::follow(&tree.config(), &["/svc"]);
    mirror.becomes("/svc", "a=whole");
    let mut file = File::create(tree.at("/svc/a")).unwrap();
    file.write_all(b"ha").unwrap();
    let mut new = File::create(tree.at("/svc/new")).unwrap();
    new.write_all(b"ha").unwrap();
    // Another change is seen while both are being written.
    tree.put("/svc/other", "1");
    mirror.becomes("/svc", "a=whole other=1");
    file.write_all(b"lf").unwrap();
    new.write_all(b"lf").unwrap();
    drop((file, new));
    mirror.becomes("/svc", "a=half new=half other=1");
}

#[test]
fn a_missing_root_is_unreachable_until_it_exists() {
    let tree = TempTree::new();
    let elsewhere = tree.root.with_file_name("elsewhere");
    fs::rename(&tree.root, &elsewhere).unwrap();
    let mirror = Mirror::follow(&tree.config(), &["/svc"]);
    let reason = mirror.becomes_unreachable();
    assert!(reason.contains(&format!("the directory {} does not exist", tree.root.display())), "{reason}");
    assert_eq!(mirror.line("/svc"), "unknown");
    tree.put("/svc/a", "1");
    mirror.becomes("/svc", "a=1");
    for round in 0..3 {
        // Moved away and replaced, with and without a gap between.
        let old = tree.root.with_file_name(format!("old{round}"));
        fs::rename(&tree.root, &old).unwrap();
        if round > 0 {
            mirror.becomes_unreachable();
            assert!(mirror.line("/svc").contains("=1"), "the last view stays");
        }
        tree.put(&format!("/svc/r{round}"), "1");
        mirror.becomes("/svc", &format!("r{round}=1"));
        tree.put("/svc/z", "1");
        mirror.becomes("/svc", &format!("r{round}=1 z=1"));
        tree.remove("/svc/z");
        mirror.becomes("/svc", &format!("r{round}=1"));
    }
}

#[test]
fn a_root_that_is_replaced_during_a_read_is_followed() {
    let tree = TempTree::new();
    let fill = |root: &Path, round: usize| {
        for i in 0..400 {
            let key = root.join(format!("svc/k{}", i % 20));
            fs::create_dir_all(&key).unwrap();
            fs::write(key.join(format!("m{i}")), round.to_string()).unwrap();
        }
    };
    fill(&tree.root, 0);
    let mirror = Mirror::follow(&tree.config(), &["/svc/*", "/svc/k0"]);
    for round in 1..=60 {
        let (new, old) = (tree.root.with_file_name("new"), tree.root.with_file_name(format!("old{round}")));
        fill(&new, round);
        // The root is replaced during a read of everything, each time at another moment.
        sh(&tree.root, "mv svc .svc; mv .svc svc");
        let began = Instant::now();
        while began.elapsed() < Duration::from_micros(200) * round.try_into().unwrap() {
            std::hint::spin_loop();
        }
        fs::rename(&tree.root, old).unwrap();
        fs::rename(new, &tree.root).unwrap();
        fs::write(tree.at("/svc/k0/touched"), "").unwrap();
        eventually(LONG, "a new file in the new root", || mirror.line("/svc/k0").contains(" touched="));
        // Only an event reports this change: the read that found the new root may have found the file above, too.
        fs::write(tree.at("/svc/k0/touched"), "2").unwrap();
        eventually(LONG, "a change in the new root", || mirror.line("/svc/k0").contains(" touched=2"));
    }
}

#[test]
fn links_may_lead_to_files_anywhere_but_not_to_directories_outside() {
    let tree = TempTree::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("file"), "out").unwrap();
    tree.put("/real/x", "1");
    tree.create_parent("/svc");
    symlink(outside.path(), tree.at("/svc/away")).unwrap();
    symlink(outside.path().join("file"), tree.at("/svc/file")).unwrap();
    symlink("missing", tree.at("/svc/nowhere")).unwrap();
    symlink("loop", tree.at("/svc/loop")).unwrap();
    symlink("real", tree.at("/linked")).unwrap();
    symlink(outside.path(), tree.at("/out")).unwrap();
    let mirror = Mirror::follow(&tree.config(), &["/svc", "/linked", "/out"]);
    mirror.becomes("/linked", "x=1");
    let at = |path: &str| tree.at(path).display().to_string();
    let outside = "link to a directory outside of the registry; not followed";
    mirror.becomes("/out", &format!("unreadable: {}: {outside}", at("/out")));
    mirror.becomes(
        "/svc",
        &format!(
            "away=!{}: {outside} file=out loop=!{}: Too many levels of symbolic links (os error 40) \
             nowhere=!{}: No such file or directory (os error 2)",
            at("/svc/away"),
            at("/svc/loop"),
            at("/svc/nowhere"),
        ),
    );
}

#[test]
fn a_pipe_in_the_tree_does_not_block() {
    let tree = TempTree::new();
    tree.put("/svc/a", "1");
    let mirror = Mirror::follow(&tree.config(), &["/svc", "/later", "node /svc/pipe"]);
    mirror.becomes("/svc", "a=1");
    sh(&tree.root, "mkfifo svc/pipe; chmod 600 svc/pipe; chmod 644 svc/pipe");
    let refused = format!("{}: neither a file nor a directory", tree.at("/svc/pipe").display());
    mirror.becomes("/svc", &format!("a=1 pipe=!{refused}"));
    mirror.becomes("node /svc/pipe", &format!("unreadable: {refused}"));
    // Nothing hangs: events arrive, and new directories are watched.
    tree.put("/later/b", "1");
    mirror.becomes("/later", "b=1");
    tree.put("/later/b", "2");
    mirror.becomes("/later", "b=2");
    sh(&tree.root, "rm svc/pipe; printf 1 > svc/pipe");
    mirror.becomes("/svc", "a=1 pipe=1");
}

#[test]
fn a_directory_and_a_link_to_it_are_both_followed() {
    let tree = TempTree::new();
    tree.put("/blue/a", "1");
    symlink("blue", tree.at("/current")).unwrap();
    let mirror = Mirror::follow(&tree.config(), &["/blue", "/current", "/blue/*"]);
    mirror.becomes("/blue", "a=1");
    mirror.becomes("/current", "a=1");
    for round in 2..5 {
        tree.put("/blue/a", &round.to_string());
        mirror.becomes("/blue", &format!("a={round}"));
        mirror.becomes("/current", &format!("a={round}"));
    }
    fs::remove_file(tree.at("/current")).unwrap();
    mirror.becomes("/current", "absent");
    tree.put("/blue/b", "1");
    let took = mirror.becomes("/blue", "a=4 b=1");
    assert!(took < Duration::from_secs(1), "its own name is not behind a link: {took:?}");
    mirror.becomes("/blue/*", "a:() b:()");
}

#[test]
fn a_changed_link_to_a_directory_is_followed() {
    let tree = TempTree::new();
    sh(&tree.root, "mkdir -p .r1/in .r2/in keys; printf 1 > .r1/a; printf 2 > .r2/a; printf 3 > .r2/in/b");
    sh(&tree.root, "ln -s .r1 web; ln -s ../.r1 keys/k; ln -s ../.r1/a keys/file");
    let mirror = Mirror::follow(&tree.config(), &["/web", "/web/in", "/keys", "/keys/*"]);
    mirror.becomes("/web", "a=1 in=");
    mirror.becomes("/web/in", "");
    mirror.becomes("/keys", "file=1 k/=");
    mirror.becomes("/keys/*", "file:() k:(a=1 in=)");
    sh(&tree.root, "ln -s .r2 tmp; mv -T tmp web; ln -s ../.r2 tmp; mv -T tmp keys/k");
    mirror.becomes("/web", "a=2 in/=");
    mirror.becomes("/web/in", "b=3");
    mirror.becomes("/keys/*", "file:() k:(a=2 in/=)");
    // Changes behind a link, which have no events.
    sh(&tree.root, "printf 4 > .r2/a; printf 5 > .r2/in/b; printf 6 > .r1/a");
    mirror.becomes("/web", "a=4 in/=");
    mirror.becomes("/web/in", "b=5");
    mirror.becomes("/keys", "file=6 k/=");
    mirror.becomes("/keys/*", "file:() k:(a=4 in/=)");
    sh(&tree.root, "rm web; mkdir web; printf 7 > web/a");
    mirror.becomes("/web", "a=7");
    mirror.becomes("/web/in", "absent");
}

#[test]
fn a_recursive_read_does_not_follow_link_cycles() {
    let tree = TempTree::new();
    tree.put("/top/x", "1");
    for i in 0..4 {
        symlink("..", tree.at(&format!("/top/up{i}"))).unwrap();
    }
    let registry = crate::watch::open(&tree.config(), &crate::watch::StateAccess::None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let looking = async {
        let look = registry.read(NodePath::root(), true);
        tokio::time::timeout(Duration::from_secs(5), look).await
    };
    let result = runtime.block_on(looking);
    // Before the result is checked, so that an endless walk does not block the test.
    runtime.shutdown_background();
    let root = result.expect("it ends").unwrap().unwrap();
    let top = &root.children.unwrap()[0].1;
    let children: Vec<_> = top.children.as_ref().unwrap().iter().collect();
    assert_eq!(children.len(), 5);
    for (name, child) in children {
        assert_eq!(child.children, Ok(Vec::new()), "{name}");
    }
}

#[test]
fn a_read_of_too_many_nodes_is_refused() {
    let tree = TempTree::new();
    tree.create_parent("/many");
    sh(&tree.at("/many"), "seq 100100 | xargs touch");
    let registry = crate::watch::open(&tree.config(), &crate::watch::StateAccess::None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(registry.read(NodePath::root(), true));
    let reason = result.unwrap_err().to_string();
    assert!(reason.contains("too large: more than 100000 nodes"), "{reason}");
}

#[test]
fn a_directory_swapped_through_a_link_is_followed() {
    let tree = TempTree::new();
    tree.create_parent("/svc");
    sh(&tree.at("/svc"), "mkdir ..v1 ..v2; printf 1 > ..v1/a; printf 2 > ..v2/a; ln -s ..v1 ..data; ln -s ..data/a a");
    let mirror = Mirror::follow(&tree.config(), &["/svc"]);
    mirror.becomes("/svc", "a=1");
    sh(&tree.at("/svc"), "ln -s ..v2 ..tmp; mv -T ..tmp ..data");
    mirror.becomes("/svc", "a=2");
}

#[test]
fn without_inotify_the_tree_is_polled() {
    const INSIDE: &str = "ROSTERD_TEST_WITHOUT_INOTIFY";
    if std::env::var_os(INSIDE).is_none() {
        // This test once more, in a namespace whose users may have no inotify.
        let script = "echo 0 > /proc/sys/user/max_inotify_instances; exec \"$@\"";
        let status = Command::new("unshare")
            .args(["--user", "--map-root-user", "sh", "-ec", script, "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "watch::tests::directory::without_inotify_the_tree_is_polled"])
            .env(INSIDE, "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let tree = TempTree::new();
    let mirror = Mirror::follow(&tree.config(), &["/svc", "/svc/*"]);
    mirror.becomes("/svc", "absent");
    tree.put("/svc/a", "1");
    let took = mirror.becomes("/svc", "a=1");
    mirror.becomes("/svc/*", "a:()");
    tree.put("/svc/a", "2");
    mirror.becomes("/svc", "a=2");
    tree.remove("/svc");
    mirror.becomes("/svc", "absent");
    // Slower than any event: it was indeed polling.
    assert!(took > Duration::from_millis(500), "{took:?}");
}
