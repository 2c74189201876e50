use super::acl;

#[test]
fn an_acl_is_a_scheme_an_id_and_permissions() {
    for (text, perms, scheme, id) in [
        ("world:anyone:cdrwa", 31, "world", "anyone"),
        ("world:anyone:r", 1, "world", "anyone"),
        ("auth::cdrwa", 31, "auth", ""),
        ("ip:10.0.0.0/8:cr", 5, "ip", "10.0.0.0/8"),
        ("ip:::1:wa", 18, "ip", "::1"),
        ("sasl:alice@EXAMPLE:d", 8, "sasl", "alice@EXAMPLE"),
        ("digest:u:GCLqzu7HVAH8rpOFBgdM7c7N9iU=:cdrwa", 31, "digest", "u:GCLqzu7HVAH8rpOFBgdM7c7N9iU="),
    ] {
        let parsed = acl(text).unwrap();
        assert_eq!((parsed.perms, &*parsed.scheme, &*parsed.id), (perms, scheme, id), "{text}");
    }
}

#[test]
fn an_invalid_acl_is_refused_with_the_form_to_write() {
    for (text, wanted) in [
        ("", "write SCHEME:ID:PERMS"),
        ("world", "write SCHEME:ID:PERMS"),
        ("world:anyone", "write SCHEME:ID:PERMS"),
        ("all:anyone:r", "unknown scheme \"all\""),
        ("world:everyone:r", "world:anyone:PERMS"),
        ("auth:me:r", "auth::PERMS"),
        ("world:anyone:", "the permissions are missing"),
        ("world:anyone:rx", "letters of cdrwa"),
        ("ip::r", "the id is missing"),
        // A password where the hash belongs would lock everyone out.
        ("digest:user:password:cdrwa", "digest:USER:HASH:PERMS"),
    ] {
        let refused = acl(text).unwrap_err();
        assert!(refused.contains(wanted), "{text}: {refused}");
    }
}
