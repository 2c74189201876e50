use super::*;
use std::fs::File;

#[test]
fn a_directory_that_replaces_an_open_one_is_left_alone() {
    let dir = tempfile::TempDir::new().unwrap();
    let (own, other) = (dir.path().join("own"), dir.path().join("other"));
    let tag = Tag::new(dir.path());
    let staged = format!("{}x{SUFFIX}", tag.prefix());
    for directory in [&own, &other] {
        fs::create_dir(directory).unwrap();
        fs::write(directory.join(&staged), "").unwrap();
        fs::write(directory.join("kept"), "").unwrap();
    }
    let open = OwnedFd::from(File::open(&own).unwrap());
    fs::rename(&own, dir.path().join("moved")).unwrap();
    std::os::unix::fs::symlink("other", &own).unwrap();
    tag.sweep(&open, &own, &BTreeSet::new());
    let names = |directory: &str| fs::read_dir(dir.path().join(directory)).unwrap().count();
    assert_eq!((names("moved"), names("other")), (1, 2));
}
