//! What only a directory has: editors, links, a root that comes and goes.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rosterd::config::{RegistryConfig, RegistryUrl};
use tempfile::TempDir;

use super::suite::suite;
use super::{Mirror, Tree, config};

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
    assert!(why.contains(&format!("the folder {} does not exist", folder.root.display())), "{why}");
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
    let outside = "is a link to a folder outside of the registry, which is not followed";
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
            .args(["--exact", "registry::directory::without_inotify_the_tree_is_read_again_and_again"])
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
