use super::*;

#[test]
fn the_first_name_with_a_dot_is_the_full_name() {
    let hosts = "127.0.0.1 localhost\n# 10.0.0.1 old.example.com\n10.0.0.1\tweb1 www # w.old\n\
                     10.0.0.2 web2 web2.example.com web2.example.org\n2001:db8::1 web3.example.com web3\n";
    for (reverse, ip, full) in [
        ("web1", "10.0.0.1", "web1"),
        ("web2", "10.0.0.2", "web2.example.com"),
        ("web2.example.net", "10.0.0.2", "web2.example.net"),
        ("web3", "2001:db8:0::1", "web3.example.com"),
        ("web9", "10.0.0.9", "web9"),
    ] {
        assert_eq!(first_full_name(reverse.to_owned(), hosts, ip.parse().unwrap()), full);
    }
}

#[test]
fn this_machine_has_a_name_and_an_address() {
    let host = ThisHost::find();
    assert!(!host.name.is_empty());
    assert_eq!(host.short().fqdn, host.name);
    assert!(!host.short().ip.is_unspecified());
    assert!(host.fqdn.get().is_none(), "the name has not been resolved");
}

#[test]
fn a_resolved_name_is_kept_and_an_unresolved_one_retried() {
    let known = Host { name: "h1".into(), fqdn: "h1.example.com".into(), ip: [192, 0, 2, 9].into() };
    let host = ThisHost::from(known.clone());
    assert_eq!(host.full(), known);
    assert_eq!(host.again().full(), known);
    let lost = ThisHost { name: "h1".into(), ip: None, fqdn: Arc::new(OnceLock::from(None)) };
    let short = Host { name: "h1".into(), fqdn: "h1".into(), ip: [127, 0, 0, 1].into() };
    assert_eq!(lost.full(), short);
    assert!(lost.again().fqdn.get().is_none(), "the name is resolved again");
    let unasked = ThisHost { name: "h1".into(), ip: None, fqdn: Arc::default() };
    let later = unasked.again();
    later.fqdn.set(Some("h1.example.com".into())).unwrap();
    assert_eq!(unasked.full().fqdn, "h1.example.com", "clones share the resolved name");
}
