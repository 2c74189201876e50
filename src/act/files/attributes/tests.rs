use super::*;

fn acl(entries: &[(u8, u8)]) -> Vec<u8> {
    let entries = entries.iter().flat_map(|(tag, permissions)| [*tag, 0, *permissions, 0, 0xff, 0xff, 0xff, 0xff]);
    [2, 0, 0, 0].into_iter().chain(entries).collect()
}

#[test]
fn an_acl_gets_the_permissions_of_a_mode() {
    let cases = [
        // Owner, a named user, the group, the mask, others.
        (&[(1, 6), (2, 6), (4, 4), (0x10, 6), (0x20, 4)][..], &[(1, 6), (2, 6), (4, 4), (0x10, 4), (0x20, 0)][..]),
        (&[(1, 6), (4, 6), (0x20, 4)], &[(1, 6), (4, 4), (0x20, 0)]),
        (&[], &[]),
    ];
    for (before, after) in cases {
        let mut bytes = acl(before);
        fit_acl_to_mode(&mut bytes, 0o640);
        assert_eq!(bytes, acl(after));
    }
    for mut broken in [vec![], vec![2, 0], vec![2, 0, 0, 0, 1, 0, 6]] {
        let before = broken.clone();
        fit_acl_to_mode(&mut broken, 0);
        assert_eq!(broken, before);
    }
}
