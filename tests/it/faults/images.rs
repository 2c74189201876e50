//! The power fails on a real file system: what is on the disk when an agent is killed before any of its calls is copied,
//! and the copy looked at, and started on, as after a power cut.
//!
//! It takes the right to mount images, which few have: the same is held on a model of a disk wherever the tests run, and
//! here where the documentation's numbers are proved.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::kill::{BACKED_UP, OF_A_UNIT, Point, ProgramEffect, REMOVAL, ROLLBACK, SHORTENED, UPDATE, kill_at, record};
use crate::harness::site::Site;
use crate::support::inside::{is_inside, run};

/// It writes nothing by itself for five minutes, and no bytes because of a rename.
const LAZY: &str = "loop,noauto_da_alloc,commit=300";

/// What of a site is on the disk that loses its power.
const FOLDERS: [&str; 2] = ["out", "state"];

/// A disk with folders of a site on it.
struct Mounted<'a> {
    site: &'a Site,
    folder: TempDir,
}

impl<'a> Mounted<'a> {
    fn new(site: &'a Site, image: &Path) -> Self {
        let mounted = Self { site, folder: TempDir::new().unwrap() };
        let disk = mounted.folder.path();
        run(Command::new("mount").args(["-o", LAZY]).args([image, disk]));
        for name in FOLDERS {
            if !disk.join(name).exists() {
                run(Command::new("cp").arg("-a").arg(site.path(name)).arg(disk));
            }
            run(Command::new("mount").arg("--bind").args([&disk.join(name), &site.path(name)]));
        }
        run(Command::new("sync").arg("-f").arg(disk));
        mounted
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let folders = FOLDERS.map(|name| self.site.path(name));
        for folder in folders.iter().map(std::path::PathBuf::as_path).chain([self.folder.path()]) {
            let _ = Command::new("umount").arg("-l").arg(folder).status();
        }
    }
}

/// The files that software reads.
fn files(site: &Site) -> BTreeMap<String, String> {
    let names = fs::read_dir(site.path("out")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let shown = names.filter(|name| !name.starts_with('.'));
    shown.map(|name| (name.clone(), site.read(&format!("out/{name}")))).collect()
}

/// The power fails before this call.
fn cut_at(deed: &ProgramEffect, site: &Site, point: &Point) {
    deed.set(site);
    let old = files(site);
    let folder = TempDir::new().unwrap();
    let (image, cut) = (folder.path().join("image"), folder.path().join("cut"));
    fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
    run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
    let mounted = Mounted::new(site, &image);
    kill_at(site, point);
    run(Command::new("cp").arg("--sparse=always").args([&image, &cut]));
    drop(mounted);
    let name = format!("{}, the power cut before {point:?}", deed.name);
    let _mounted = Mounted::new(site, &cut);
    let now = files(site);
    // What is overwritten may be a part of itself; what was rolled back was whole before.
    if !deed.config.contains("inplace") && !deed.fails {
        for (file, text) in &now {
            let is_right = deed.right.iter().any(|(right, new)| right == file && new == text);
            assert!(is_right || old.get(file) == Some(text), "{name}: {now:?}");
        }
        let is_gone = |file: &&String| !now.contains_key(*file) && deed.right.iter().any(|(right, _)| right == *file);
        assert_eq!(old.keys().find(is_gone), None, "{name}: {now:?}");
    }
    site.run(&["render"]).expect(i32::from(deed.fails));
    deed.check(site, &name);
}

#[test]
fn the_power_fails_on_ext4() {
    if crate::support::random::count(0, 1) == 0 || !is_inside("faults::images::the_power_fails_on_ext4", &["--mount"]) {
        return;
    }
    for deed in [&UPDATE, &BACKED_UP, &REMOVAL, &OF_A_UNIT, &ROLLBACK, &SHORTENED] {
        let (site, points) = record(deed);
        for point in &points {
            cut_at(deed, &site, point);
        }
        println!("{}: the power cut before {} calls", deed.name, points.len());
    }
}
