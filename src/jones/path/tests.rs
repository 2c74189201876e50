use super::*;

fn service() -> Service {
    Service::parse("pycon").unwrap()
}

#[test]
fn the_nodes_of_an_environment_are_where_jones_puts_them() {
    let env = Env::parse("parent/child1").unwrap();
    let paths = [
        service().path(),
        service().nodemaps(),
        service().conf(&Env::ROOT),
        service().conf(&env),
        service().view(&env),
        service().pin(12, &Env::ROOT),
        service().pin(12, &env),
        service().canary("c1", &env),
        service().records(),
    ];
    let expected = [
        "/services/pycon",
        "/services/pycon/nodemaps",
        "/services/pycon/conf",
        "/services/pycon/conf/parent/child1",
        "/services/pycon/views/parent/child1",
        "/services/pycon/pins/r12",
        "/services/pycon/pins/r12/parent/child1",
        "/services/pycon/canary/c1/parent/child1",
        "/rosterd/jones/pycon",
    ];
    assert_eq!(paths.map(|path| path.to_string()), expected);
    // Each is a valid path.
    assert!(expected.iter().all(|path| NodePath::parse(path).is_ok()));
}

#[test]
fn an_environment_knows_its_ancestors() {
    let env = Env::parse("parent/child1").unwrap();
    let lineage: Vec<String> = env.lineage().map(|env| env.to_string()).collect();
    assert_eq!(lineage, ["", "parent", "parent/child1"]);
    assert_eq!(env.parent(), Some(Env::parse("parent").unwrap()));
    assert_eq!(env.parent().unwrap().child("child1"), env);
    assert_eq!((env.name(), Env::ROOT.name()), ("child1", ""));
    assert_eq!(Env::ROOT.parent(), None);
    assert!(env.is_within(&Env::ROOT) && env.is_within(&env) && !Env::parse("parent/child10").unwrap().is_within(&env));
}

#[test]
fn names_that_zookeeper_refuses_are_refused() {
    for name in ["", ".", "..", "a\u{7}", "a\0", "a\u{85}", "\u{e000}", "\u{ffff}", "\u{1f600}"] {
        assert!(Service::parse(name).is_err(), "{name:?}");
        assert!(Env::parse(&format!("a/{name}")).is_err(), "{name:?}");
    }
    assert_eq!(Service::parse("a/b"), Err(InvalidName::Slash));
    for env in ["/a", "a/", "a//b"] {
        assert_eq!(Env::parse(env), Err(InvalidName::Empty), "{env}");
    }
    for name in ["a b", "é", "{x}", "<img src=x>", "a:b", "..."] {
        assert!(Service::parse(name).is_ok() && Env::parse(name).is_ok(), "{name:?}");
    }
}

#[test]
fn a_destination_is_recognized_by_its_path() {
    let env = |text: &str| Env::parse(text).unwrap();
    let cases = [
        ("/services/pycon/conf", Kind::Conf(Env::ROOT)),
        ("/services/pycon/views", Kind::View(Env::ROOT)),
        ("/services/pycon/views/parent/child1", Kind::View(env("parent/child1"))),
        ("/services/pycon/pins/r12/parent", Kind::Pin(12, env("parent"))),
        ("/services/pycon/pins/12", Kind::Other),
        ("/services/pycon/canary/c1", Kind::Canary(Arc::from("c1"), Env::ROOT)),
        ("/services/pycon/other", Kind::Other),
    ];
    for (path, kind) in cases {
        assert_eq!(service().destination(path).map(|it| it.kind), Ok(kind), "{path}");
    }
    let shown = |path| service().destination(path).unwrap().kind.to_string();
    assert_eq!(shown("/services/pycon/conf"), "(root)");
    assert_eq!(shown("/services/pycon/conf/a"), "a, without what it inherits");
    assert_eq!(shown("/services/pycon/pins/r12/a/b"), "a/b, pinned to r12");
    assert_eq!(shown("/services/pycon/canary/c1"), "(root), canary c1");
    for path in
        ["/services/pycon", "/services/pycon2/views", "/services/other/views/a", "/", "/services/pycon/nodemaps"]
    {
        assert!(service().destination(path).is_err(), "{path}");
    }
    for path in
        ["", "views/a", "/services/pycon/views/", "/services/pycon/views/../../x/views", "/services/pycon//views"]
    {
        assert!(service().destination(path).unwrap_err().contains("not a valid path"), "{path}");
    }
    assert_eq!(service().default_destination().path.as_str(), "/services/pycon/conf");
}
