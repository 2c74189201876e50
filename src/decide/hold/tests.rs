use super::*;

#[test]
fn a_hold_is_described_in_plain_words() {
    let below =
        |absent, quarantined| Reason::BelowMin { have: 0, min: 1, quarantined, not_members: 0, filtered: 0, absent };
    let filtered = Reason::BelowMin { have: 1, min: 2, quarantined: 1, not_members: 2, filtered: 3, absent: false };
    let path = "/services/x";
    let cases = [
        (below(true, 0), "/services/x has 0 members but needs at least 1: the path does not exist"),
        (below(false, 0), "/services/x has 0 members but needs at least 1"),
        (below(false, 2), "/services/x has 0 members but needs at least 1 (2 quarantined)"),
        (
            filtered,
            "/services/x has 1 member but needs at least 2 (1 quarantined, 2 non-members, 3 excluded by `where`)",
        ),
        (Reason::AboveMax { have: 9, max: 5 }, "/services/x has 9 members, but at most 5 are allowed (max)"),
        (
            Reason::Shrunk { from: 9, to: 2, percent: 50, until: Moment::START },
            "2 of 9 members of /services/x remain; losing more than 50% at once is treated as suspicious (max_shrink)",
        ),
        (
            Reason::Older { lost: 2, of: 5, shown: Zxid(0x1_0000_0050), highest: Zxid(0x2_0000_0007) },
            "2 of 5 members of /services/x would be lost, and the ensemble shows an older state (zxid 0x100000050 \
                 after 0x200000007): it may have been restored from a backup, or be a different ensemble",
        ),
        (Reason::Unreadable("not authorized".into()), "/services/x cannot be read: not authorized"),
        (
            Reason::NoKeys { min: 1, absent: true },
            "no key of /services/x has at least 1 member: the path does not exist",
        ),
        (Reason::TooLarge(Excess::Nodes), "/services/x is too large: it has more than 10000 nodes"),
        (Reason::TooLarge(Excess::Bytes), "/services/x is too large: it has more than 16 MiB of data"),
        (
            Reason::KeysGone { from: 6, to: 0, cause: KeyLossCause::NoParent },
            "0 of 6 keys of /services/x remain: the parent path does not exist",
        ),
        (Reason::KeyAbsent, "/services/x does not exist"),
        (Reason::KeyMalformed("not valid JSON".into()), "the data of /services/x is not valid JSON"),
    ];
    for (reason, words) in cases {
        assert_eq!(reason.describe(&path), words);
    }
}
