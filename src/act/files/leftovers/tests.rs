use super::*;
use std::fs::File;

#[test]
fn what_takes_the_name_of_an_open_folder_is_left_alone() {
    let dir = tempfile::TempDir::new().unwrap();
    let (own, other) = (dir.path().join("own"), dir.path().join("other"));
    let tag = Tag::of(dir.path());
    let staged = format!("{}x{END}", tag.prefix());
    for folder in [&own, &other] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join(&staged), "").unwrap();
        fs::write(folder.join("kept"), "").unwrap();
    }
    let open = OwnedFd::from(File::open(&own).unwrap());
    fs::rename(&own, dir.path().join("moved")).unwrap();
    std::os::unix::fs::symlink("other", &own).unwrap();
    tag.sweep(&open, &own, &BTreeSet::new());
    let names = |folder: &str| fs::read_dir(dir.path().join(folder)).unwrap().count();
    assert_eq!((names("moved"), names("other")), (1, 2));
}
