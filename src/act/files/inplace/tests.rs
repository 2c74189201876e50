use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn an_overwrite_can_be_finished_twice() {
    let dir = tempfile::TempDir::new().unwrap();
    let (staged, dest) = (dir.path().join(".rosterd-x.tmp"), dir.path().join("f"));
    let configured = ModeAndOwner { mode: Some(0o640), ..ModeAndOwner::default() };
    let over = Overwrite { staged: staged.clone(), configured };
    let finish = |new: &str| {
        let mut directories = DirectoryCache::default();
        let place = Place::open(&dest, &mut directories).unwrap().unwrap();
        super::finish(&over, digest_bytes(new.as_bytes()), &place, &mut directories)
    };
    fs::write(&dest, "new te").unwrap();
    assert!(!finish("new text").unwrap());
    assert_eq!(fs::read_to_string(&dest).unwrap(), "new te", "nothing was written");
    for begun in ["an old text that is longer", "new te", ""] {
        fs::write(&staged, "new text").unwrap();
        fs::write(&dest, begun).unwrap();
        assert!(!finish("another text").unwrap(), "the staged file is not the checked one");
        for is_there in [true, false] {
            assert_eq!(finish("new text").unwrap(), is_there);
            assert_eq!(fs::read_to_string(&dest).unwrap(), "new text");
            assert_eq!(fs::metadata(&dest).unwrap().permissions().mode() & 0o7777, 0o640);
            assert!(!staged.exists());
        }
    }
    fs::write(&staged, "new text").unwrap();
    fs::remove_file(&dest).unwrap();
    finish("new text").unwrap_err();
    assert!(staged.exists());
    // Another file's hard link was put there meanwhile.
    fs::write(dir.path().join("victim"), "kept").unwrap();
    fs::hard_link(dir.path().join("victim"), &dest).unwrap();
    finish("new text").unwrap_err();
    assert_eq!(fs::read_to_string(dir.path().join("victim")).unwrap(), "kept");
}

#[test]
fn a_mount_point_is_described_by_its_source() {
    let mounts = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
                      90 22 254:0 /data/my\\040file /etc/a\\040b rw shared:7 master:1 - ext4 /dev/vda rw\n";
    assert_eq!(mount_on(mounts, Path::new("/etc/a b")).as_deref(), Some("/data/my file of /dev/vda"));
    assert_eq!(mount_on(mounts, Path::new("/etc/a")), None);
    assert_eq!(mount_on("nonsense\n- - -", Path::new("/")), None);
}
