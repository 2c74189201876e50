//! What only a directory has: editors, links, a root that comes and goes.

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

/// A folder of its own.
struct Folder {
    root: PathBuf,
    _above: TempDir,
}

impl Folder {
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

impl Tree for Folder {
    fn config(&self) -> RegistryConfig {
        config(RegistryUrl::Directory(self.root.clone()))
    }

    fn put(&self, path: &str, data: &str) {
        let at = self.at(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(if at.is_dir() { at.join(".data") } else { at }, data).unwrap();
    }

    fn folder(&self, path: &str) {
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
    super::suite!(super::Folder::new());
}

fn sh(folder: &Path, script: &str) {
    let status = Command::new("sh").args(["-ec", script]).current_dir(folder).status().unwrap();
    assert!(status.success(), "{script}");
}

#[test]
fn commands_and_editors_are_followed_at_once() {
    let folder = Folder::new();
    folder.folder("/svc");
    let mirror = Mirror::follow(&folder.config(), &["/svc"]);
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
        ("printf x > svc/m/.data; printf y > svc/m/deep", "b=5 m=x"),
        ("printf z > svc/m/.data", "b=5 m=z"),
        ("mv svc/m svc/n", "b=5 n=z"),
        ("printf q > svc/n/.data", "b=5 n=q"),
        ("rm -r svc/n svc/b", ""),
        ("touch svc/.hidden svc/backup~ 'svc/#x'", "#x="),
    ];
    for (script, wanted) in steps {
        sh(&folder.root, script);
        let took = mirror.becomes("/svc", wanted);
        assert!(took < Duration::from_secs(1), "{script} took {took:?}");
    }
}

#[test]
fn a_file_is_read_when_it_is_closed() {
    let folder = Folder::new();
    folder.put("/svc/a", "whole");
    let mirror = Mirror::follow(&folder.config(), &["/svc"]);
    mirror.becomes("/svc", "a=whole");
    let mut file = File::create(folder.at("/svc/a")).unwrap();
    file.write_all(b"ha").unwrap();
    let mut new = File::create(folder.at("/svc/new")).unwrap();
    new.write_all(b"ha").unwrap();
    // Something else happens, and is seen, while both are being written.
    folder.put("/svc/other", "1");
    mirror.becomes("/svc", "a=whole other=1");
    file.write_all(b"lf").unwrap();
    new.write_all(b"lf").unwrap();
    drop((file, new));
    mirror.becomes("/svc", "a=half new=half other=1");
}

#[test]
fn a_missing_root_is_away_and_comes_back() {
    let folder = Folder::new();
    let elsewhere = folder.root.with_file_name("elsewhere");
    fs::rename(&folder.root, &elsewhere).unwrap();
    let mirror = Mirror::follow(&folder.config(), &["/svc"]);
    let why = mirror.goes_away();
    assert!(why.contains(&format!("the directory {} does not exist", folder.root.display())), "{why}");
    assert_eq!(mirror.line("/svc"), "unheard");
    folder.put("/svc/a", "1");
    mirror.becomes("/svc", "a=1");
    for round in 0..3 {
        // Moved away whole, and another one put in its place: with and without a time between.
        let old = folder.root.with_file_name(format!("old{round}"));
        fs::rename(&folder.root, &old).unwrap();
        if round > 0 {
            mirror.goes_away();
            assert!(mirror.line("/svc").contains("=1"), "nothing is known, so nothing is said");
        }
        folder.put(&format!("/svc/r{round}"), "1");
        mirror.becomes("/svc", &format!("r{round}=1"));
        folder.put("/svc/z", "1");
        mirror.becomes("/svc", &format!("r{round}=1 z=1"));
        folder.remove("/svc/z");
        mirror.becomes("/svc", &format!("r{round}=1"));
    }
}

#[test]
fn a_root_that_is_replaced_while_it_is_read_is_followed() {
    let folder = Folder::new();
    let fill = |root: &Path, round: usize| {
        for i in 0..400 {
            let key = root.join(format!("svc/k{}", i % 20));
            fs::create_dir_all(&key).unwrap();
            fs::write(key.join(format!("m{i}")), round.to_string()).unwrap();
        }
    };
    fill(&folder.root, 0);
    let mirror = Mirror::follow(&folder.config(), &["/svc/*", "/svc/k0"]);
    for round in 1..=60 {
        let (new, old) = (folder.root.with_file_name("new"), folder.root.with_file_name(format!("old{round}")));
        fill(&new, round);
        // All is being read when the root is replaced, each time at another moment of it.
        sh(&folder.root, "mv svc .svc; mv .svc svc");
        let began = Instant::now();
        while began.elapsed() < Duration::from_micros(200) * round.try_into().unwrap() {
            std::hint::spin_loop();
        }
        fs::rename(&folder.root, old).unwrap();
        fs::rename(new, &folder.root).unwrap();
        fs::write(folder.at("/svc/k0/touched"), "").unwrap();
        eventually(LONG, "a new file in the new root", || mirror.line("/svc/k0").contains(" touched="));
        // Only an event says this one: the reading that found the new root may have found the file above as well.
        fs::write(folder.at("/svc/k0/touched"), "2").unwrap();
        eventually(LONG, "a change in the new root", || mirror.line("/svc/k0").contains(" touched=2"));
    }
}

#[test]
fn links_lead_to_files_but_not_out_of_the_tree() {
    let folder = Folder::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("file"), "out").unwrap();
    folder.put("/real/x", "1");
    folder.folder("/svc");
    symlink(outside.path(), folder.at("/svc/away")).unwrap();
    symlink(outside.path().join("file"), folder.at("/svc/file")).unwrap();
    symlink("missing", folder.at("/svc/nowhere")).unwrap();
    symlink("loop", folder.at("/svc/loop")).unwrap();
    symlink("real", folder.at("/linked")).unwrap();
    symlink(outside.path(), folder.at("/out")).unwrap();
    let mirror = Mirror::follow(&folder.config(), &["/svc", "/linked", "/out"]);
    mirror.becomes("/linked", "x=1");
    let at = |path: &str| folder.at(path).display().to_string();
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
fn a_pipe_in_the_tree_stops_nothing() {
    let folder = Folder::new();
    folder.put("/svc/a", "1");
    let mirror = Mirror::follow(&folder.config(), &["/svc", "/later", "node /svc/pipe"]);
    mirror.becomes("/svc", "a=1");
    sh(&folder.root, "mkfifo svc/pipe; chmod 600 svc/pipe; chmod 644 svc/pipe");
    let refused = format!("{}: neither a file nor a directory", folder.at("/svc/pipe").display());
    mirror.becomes("/svc", &format!("a=1 pipe=!{refused}"));
    mirror.becomes("node /svc/pipe", &format!("unreadable: {refused}"));
    // Nothing of it hangs: events come, and new folders are watched.
    folder.put("/later/b", "1");
    mirror.becomes("/later", "b=1");
    folder.put("/later/b", "2");
    mirror.becomes("/later", "b=2");
    sh(&folder.root, "rm svc/pipe; printf 1 > svc/pipe");
    mirror.becomes("/svc", "a=1 pipe=1");
}

#[test]
fn two_names_of_one_folder_are_both_followed() {
    let folder = Folder::new();
    folder.put("/blue/a", "1");
    symlink("blue", folder.at("/current")).unwrap();
    let mirror = Mirror::follow(&folder.config(), &["/blue", "/current", "/blue/*"]);
    mirror.becomes("/blue", "a=1");
    mirror.becomes("/current", "a=1");
    for round in 2..5 {
        folder.put("/blue/a", &round.to_string());
        mirror.becomes("/blue", &format!("a={round}"));
        mirror.becomes("/current", &format!("a={round}"));
    }
    fs::remove_file(folder.at("/current")).unwrap();
    mirror.becomes("/current", "absent");
    folder.put("/blue/b", "1");
    let took = mirror.becomes("/blue", "a=4 b=1");
    assert!(took < Duration::from_secs(1), "its own name is no link: {took:?}");
    mirror.becomes("/blue/*", "a:() b:()");
}

#[test]
fn a_link_to_a_folder_that_is_flipped_is_followed() {
    let folder = Folder::new();
    sh(&folder.root, "mkdir -p .r1/in .r2/in keys; printf 1 > .r1/a; printf 2 > .r2/a; printf 3 > .r2/in/b");
    sh(&folder.root, "ln -s .r1 web; ln -s ../.r1 keys/k; ln -s ../.r1/a keys/file");
    let mirror = Mirror::follow(&folder.config(), &["/web", "/web/in", "/keys", "/keys/*"]);
    mirror.becomes("/web", "a=1 in=");
    mirror.becomes("/web/in", "");
    mirror.becomes("/keys", "file=1 k=");
    mirror.becomes("/keys/*", "file:() k:(a=1 in=)");
    sh(&folder.root, "ln -s .r2 tmp; mv -T tmp web; ln -s ../.r2 tmp; mv -T tmp keys/k");
    mirror.becomes("/web", "a=2 in=");
    mirror.becomes("/web/in", "b=3");
    mirror.becomes("/keys/*", "file:() k:(a=2 in=)");
    // What is behind a link, which has no events of its own.
    sh(&folder.root, "printf 4 > .r2/a; printf 5 > .r2/in/b; printf 6 > .r1/a");
    mirror.becomes("/web", "a=4 in=");
    mirror.becomes("/web/in", "b=5");
    mirror.becomes("/keys", "file=6 k=");
    mirror.becomes("/keys/*", "file:() k:(a=4 in=)");
    sh(&folder.root, "rm web; mkdir web; printf 7 > web/a");
    mirror.becomes("/web", "a=7");
    mirror.becomes("/web/in", "absent");
}

#[test]
fn looking_does_not_go_round_in_circles() {
    let folder = Folder::new();
    folder.put("/top/x", "1");
    for i in 0..4 {
        symlink("..", folder.at(&format!("/top/up{i}"))).unwrap();
    }
    let registry = crate::watch::open(&folder.config(), &crate::watch::StateAccess::None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let looking = async {
        let look = registry.read(NodePath::root(), true);
        tokio::time::timeout(Duration::from_secs(5), look).await
    };
    let looked = runtime.block_on(looking);
    // Before it is looked at, so that a walk without end does not hold the test up.
    runtime.shutdown_background();
    let root = looked.expect("it ends").unwrap().unwrap();
    let top = &root.children.unwrap()[0].1;
    let children: Vec<_> = top.children.as_ref().unwrap().iter().collect();
    assert_eq!(children.len(), 5);
    for (name, child) in children {
        assert_eq!(child.children, Ok(Vec::new()), "{name}");
    }
}

#[test]
fn looking_at_too_many_nodes_says_so() {
    let folder = Folder::new();
    folder.folder("/many");
    sh(&folder.at("/many"), "seq 100100 | xargs touch");
    let registry = crate::watch::open(&folder.config(), &crate::watch::StateAccess::None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let looked = runtime.block_on(registry.read(NodePath::root(), true));
    let why = looked.unwrap_err().to_string();
    assert!(why.contains("too large: more than 100000 nodes"), "{why}");
}

#[test]
fn a_folder_that_is_swapped_by_its_link_is_followed() {
    let folder = Folder::new();
    folder.folder("/svc");
    sh(
        &folder.at("/svc"),
        "mkdir ..v1 ..v2; printf 1 > ..v1/a; printf 2 > ..v2/a; ln -s ..v1 ..data; ln -s ..data/a a",
    );
    let mirror = Mirror::follow(&folder.config(), &["/svc"]);
    mirror.becomes("/svc", "a=1");
    sh(&folder.at("/svc"), "ln -s ..v2 ..tmp; mv -T ..tmp ..data");
    mirror.becomes("/svc", "a=2");
}

#[test]
fn without_inotify_the_tree_is_read_again_and_again() {
    const INSIDE: &str = "ROSTERD_TEST_WITHOUT_INOTIFY";
    if std::env::var_os(INSIDE).is_none() {
        // This test once more, in a namespace whose users may have no inotify.
        let script = "echo 0 > /proc/sys/user/max_inotify_instances; exec \"$@\"";
        let status = Command::new("unshare")
            .args(["--user", "--map-root-user", "sh", "-ec", script, "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "watch::tests::directory::without_inotify_the_tree_is_read_again_and_again"])
            .env(INSIDE, "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let folder = Folder::new();
    let mirror = Mirror::follow(&folder.config(), &["/svc", "/svc/*"]);
    mirror.becomes("/svc", "absent");
    folder.put("/svc/a", "1");
    let took = mirror.becomes("/svc", "a=1");
    mirror.becomes("/svc/*", "a:()");
    folder.put("/svc/a", "2");
    mirror.becomes("/svc", "a=2");
    folder.remove("/svc");
    mirror.becomes("/svc", "absent");
    // Slower than any event: it was indeed polling.
    assert!(took > Duration::from_millis(500), "{took:?}");
}
