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
    assert_eq!(Subject::parse("/a*"), Err(InvalidPath::Wildcard));
    assert_eq!(Subject::parse("/*/*"), Err(InvalidPath::Wildcard));
}
