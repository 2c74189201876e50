use super::*;

#[test]
fn an_invalid_path_is_refused() {
    for (text, wrong) in [
        ("services", InvalidPath::Relative),
        ("", InvalidPath::Relative),
        ("/a//b", InvalidPath::EmptySegment),
        ("/a/", InvalidPath::EmptySegment),
        ("/a/../b", InvalidPath::Dots),
        ("/a/b\nc", InvalidPath::Control),
    ] {
        assert_eq!(NodePath::parse(text), Err(wrong), "{text:?}");
    }
    assert_eq!(NodePath::parse("/a/b").unwrap().name(), "b");
    assert_eq!(NodePath::root().child("a").as_str(), "/a");
}

#[test]
fn a_prefix_is_not_a_parent() {
    let path = NodePath::parse("/svc/a").unwrap();
    assert_eq!(path.segments_below("/svc/ab"), None);
    assert_eq!(path.segments_below("/svc/a"), Some(vec![]));
    assert_eq!(path.segments_below("/svc/a/b/c"), Some(vec!["b", "c"]));
    assert_eq!(NodePath::root().segments_below("/x"), Some(vec!["x"]));
}

#[test]
fn a_star_makes_a_roster_keyed() {
    let subject = Subject::parse("/services/*/live").unwrap();
    assert_eq!(subject.top().as_str(), "/services");
    assert_eq!(subject.members_of("web").as_str(), "/services/web/live");
    assert_eq!(subject.to_string(), "/services/*/live");
}

#[test]
fn a_star_within_a_segment_selects_keys() {
    for (path, keys, others) in [
        ("/services/*", &["web", "mem.a", ".hidden", "a*b"][..], &[][..]),
        ("/services/mem*", &["mem", "memcached", "mem.eu-1"], &["", "Mem", "amem", "me"]),
        ("/services/*-prod/nodes", &["web-prod", "-prod", ".-prod"], &["web-prod2", "web"]),
        ("/m*-*", &["m-", "mem-a-b"], &["mem", "am-b"]),
        ("/a.b*", &["a.b", "a.bc"], &["axb", "ab"]),
    ] {
        let subject = Subject::parse(path).unwrap();
        assert_eq!(subject.to_string(), path);
        for (names, expected) in [(keys, true), (others, false)] {
            for name in names {
                assert_eq!(subject.is_key(name), expected, "{path}: {name}");
            }
        }
    }
    let subject = Subject::parse("/services/*-prod/nodes").unwrap();
    assert_eq!(
        (subject.top().as_str(), &*subject.members_of("web-prod").to_string()),
        ("/services", "/services/web-prod/nodes")
    );
    assert_ne!(subject, Subject::parse("/services/*/nodes").unwrap());
    // A path without `*` is plain, whatever else it contains.
    assert!(matches!(Subject::parse("/services/web?[1]"), Ok(Subject::Members(_))));
}

#[test]
fn another_glob_than_one_segment_with_stars_is_refused() {
    for (path, wrong) in [
        ("/*/*", InvalidPath::Wildcards),
        ("/a*/b/*c", InvalidPath::Wildcards),
        ("/**", InvalidPath::WildcardSyntax),
        ("/a**", InvalidPath::WildcardSyntax),
        ("/mem?*", InvalidPath::WildcardSyntax),
        ("/*[0-9]", InvalidPath::WildcardSyntax),
        ("/{a,b}*/nodes", InvalidPath::WildcardSyntax),
    ] {
        assert_eq!(Subject::parse(path), Err(wrong), "{path}");
    }
}
