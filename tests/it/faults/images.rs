//! The power fails on a real file system: what is on the disk when an agent is killed before any of its calls is copied,
//! and the copy looked at, and started on, as after a power cut.
//!
//! It takes the right to mount images, which few have: the same is held on a model of a disk wherever the tests run, and
//! here where the documentation's numbers are proved.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::kill::{Deed, Point, UPDATE, kill_at, record};
use super::rounds;
use crate::harness::inside::{is_inside, run};
use crate::harness::site::Site;

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

/// The power fails before this call.
fn cut_at(deed: &Deed, point: &Point) {
    let site = deed.scene();
    let old = site.read("out/list");
    let folder = TempDir::new().unwrap();
    let (image, cut) = (folder.path().join("image"), folder.path().join("cut"));
    fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
    run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
    let mounted = Mounted::new(&site, &image);
    kill_at(&site, point);
    run(Command::new("cp").arg("--sparse=always").args([&image, &cut]));
    drop(mounted);
    let name = format!("the power cut before {point:?}");
    let _mounted = Mounted::new(&site, &cut);
    let now = site.read("out/list");
    assert!([old.as_str(), deed.right[0].1].contains(&now.as_str()), "{name}: {now:?}");
    site.run(&["render"]).expect(0);
    deed.check(&site, &name);
}

#[test]
fn the_power_fails_on_ext4() {
    if rounds(0, 1) == 0 || !is_inside("faults::images::the_power_fails_on_ext4", &["--mount"]) {
        return;
    }
    let points = record(&UPDATE);
    for point in &points {
        cut_at(&UPDATE, point);
    }
    println!("{}: the power cut before {} calls", UPDATE.name, points.len());
}
