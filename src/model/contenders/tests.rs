use super::*;

#[test]
fn a_contender_is_what_the_pattern_of_kazoo_finds() {
    for (name, wanted) in [
        ("0123456789abcdef0123456789abcdef__lock__0000000007", Some(("0000000007", false))),
        ("0123456789abcdef0123456789abcdef__rlock__0000000007", Some(("0000000007", true))),
        // Whatever stands before it counts, too.
        ("__lock__0000000000", Some(("0000000000", false))),
        ("x__lock__-2147483648", Some(("-2147483648", false))),
        ("ü__lock__0000000001", Some(("0000000001", false))),
        ("__lock__000000001", None),
        ("__lock__00000000001", None),
        ("__lock__--2147483648", None),
        ("__lock__-000000001", None),
        ("__lock__000000000x", None),
        ("__lock__0000000001 ", None),
        ("__LOCK__0000000001", None),
        ("_c_0123-lock-0000000001", None),
        ("lock__0000000001", None),
        ("__lock__", None),
        ("0000000001", None),
        ("ü000000000", None),
        ("", None),
    ] {
        let parsed = Contender::parse(name).map(|contender| (contender.number, contender.is_shared));
        assert_eq!(parsed, wanted, "{name}");
    }
}

#[test]
fn contenders_are_in_the_order_of_their_numbers_whatever_their_kind() {
    let names = ["a__lock__0000000010", "z__rlock__0000000002", "nodes", "m__lock__-2147483647", "b__lock__0000000003"];
    let numbers: Vec<&str> = in_order(names).iter().map(|contender| contender.number).collect();
    assert_eq!(numbers, ["-2147483647", "0000000002", "0000000003", "0000000010"]);
}
