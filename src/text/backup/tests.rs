use super::*;

#[test]
fn backups_are_told_from_files_by_their_names() {
    for name in ["x.tera~", "x.bak", "x.tera.orig", "x.rpmsave", "x.dpkg-dist", "#x.tera#", ".x.swp", "10.0.0.1:80.bak"]
    {
        assert!(is_backup(name), "{name}");
    }
    for name in ["x.tera", "x.bak.tera", "backup", "x.old", "#x", "x#", "10.0.0.1:80", "host~1"] {
        assert!(!is_backup(name), "{name}");
    }
}
