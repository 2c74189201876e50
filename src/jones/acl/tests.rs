use super::*;

fn digest(perms: i32, id: &str) -> Acl {
    Acl { perms, scheme: "digest".into(), id: id.to_owned() }
}

#[test]
fn the_credential_of_jones_is_hashed_twice() {
    // Seen in a ZooKeeper that Jones 1.0 has written with the password `changeme`.
    let (line, id) = jones_credential("changeme");
    assert_eq!(line, "Jones:nFDMj9dz3hZ2tkur7ElnBlBogKU=");
    assert_eq!(id, "Jones:oZp/tQzsClcdXOXz4bkJ38wdFrU=");
}

#[test]
fn writers_add_to_the_history_and_do_not_change_it() {
    let jones = [anyone(1), digest(31, "Jones:oZp/tQzsClcdXOXz4bkJ38wdFrU=")];
    let alone = history(&jones, None);
    assert_eq!(text(&alone), "digest:Jones:oZp/tQzsClcdXOXz4bkJ38wdFrU=:cra,world:anyone:r");
    let team = [digest(31, "team:h"), digest(1, "reader:h")];
    let more = extended_history(&alone, &team);
    assert_eq!(text(&more), format!("{},digest:team:h:cra", text(&alone)));
    let auditor = digest(0, "audit:h");
    let closed = history(&jones, Some(&auditor));
    assert_eq!(text(&closed), "digest:Jones:oZp/tQzsClcdXOXz4bkJ38wdFrU=:cr,digest:audit:h:cdrwa,world:anyone:r");
    assert_eq!(text(&entry(&closed)), "world:anyone:r");
    assert_eq!(text(&extended_history(&closed, &team)), format!("{},digest:team:h:cr", text(&closed)));
    let open = [anyone(31)];
    assert_eq!(text(&history(&open, None)), "world:anyone:cdrwa");
    assert_eq!(text(&entry(&open)), "world:anyone:cdrwa");
    let audited = history(&open, Some(&auditor));
    assert_eq!(text(&audited), "world:anyone:cr,digest:audit:h:cdrwa");
    assert_eq!(text(&entry(&audited)), "world:anyone:r");
}

#[test]
fn a_masked_entry_is_recognized() {
    assert!(is_masked(&[anyone(1), digest(31, "Jones:x")]));
    assert!(!is_masked(&[anyone(31), digest(31, "x:oZp/tQzsClcdXOXz4bkJ38wdFrU=")]));
}
