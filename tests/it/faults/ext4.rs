//! Power cuts on a real file system: the disk is copied when an agent is killed before any of its calls. The copy is
//! checked and used for the next start, as after a power cut.
//!
//! This needs permission to mount images. Elsewhere the tests in `power_cut` check the same with a model of a disk;
//! here it runs only to prove the numbers in the documentation.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::kill::{BACKED_UP, OF_A_UNIT, Point, ProgramEffect, REMOVAL, ROLLBACK, SHORTENED, UPDATE, kill_at, record};
use crate::harness::site::Site;
use crate::support::inside::{is_inside, run};

/// The file system writes nothing by itself for five minutes, and no data because of a rename.
const LAZY: &str = "loop,noauto_da_alloc,commit=300";

/// The directories of a site that are on this disk.
const FOLDERS: [&str; 2] = ["out", "state"];

/// A disk with directories of a site on it.
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

/// Cuts the power before this call.
fn cut_at(deed: &ProgramEffect, site: &Site, point: &Point) {
    deed.set(site);
    let old = files(site);
    let folder = TempDir::new().unwrap();
    let (image, cut) = (folder.path().join("image"), folder.path().join("cut"));
    fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
    run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
    let mounted = Mounted::new(site, &image);
    kill_at(site, point, || {});
    run(Command::new("cp").arg("--sparse=always").args([&image, &cut]));
    drop(mounted);
    let name = format!("{}, the power cut before {point:?}", deed.name);
    let _mounted = Mounted::new(site, &cut);
    let now = files(site);
    // An overwritten file may be incomplete, and a version that is rolled back was complete before.
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
fn a_power_cut_on_ext4_loses_no_file() {
    if crate::support::random::count(0, 1) == 0
        || !is_inside("faults::ext4::a_power_cut_on_ext4_loses_no_file", &["--mount"])
    {
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
