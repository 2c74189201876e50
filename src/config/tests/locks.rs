//! `[[lock]]`, and the `lock` of `[exec]`.

use super::{Home, told};

#[test]
fn a_lock_has_a_name_a_path_and_an_identifier() {
    let text = "registry.url = \"zk://zk1\"\n[exec]\ncmd = \"x\"\nlock = \"b\"\n\
                [[lock]]\npath = \"/app/leader\"\n\
                [[lock]]\nname = \"b\"\npath = \"/x/{{ host.name }}/\"\nidentifier = \"{{ host.name }}:1\"\n";
    let mut config = Home::new(&[("rosterd.toml", text)]).load().unwrap().config;
    config.set_lock_identifiers(|| "web1.example.com".to_owned());
    let locks: Vec<_> =
        config.locks.iter().map(|it| (&*it.name, it.path.as_str(), it.identifier.as_deref().unwrap())).collect();
    assert_eq!(locks, [("leader", "/app/leader", "web1.example.com"), ("b", "/x/web1", "web1:1")]);
    let keys: Vec<String> = config.all_keys().map(|key| key.name.to_string()).collect();
    assert_eq!(keys, ["locks.leader", "locks.b"]);
}

#[test]
fn invalid_locks_are_reported() {
    for (lines, error) in [
        ("[[lock]]\nname = \"a\"", "[[lock]] has no `path`"),
        ("[[lock]]\npath = \"/a-b\"", "\"a-b\" is not a valid variable name"),
        ("[[lock]]\npath = \"/a/*\"", "is not a valid path"),
        ("[[lock]]\npath = \"/a\"\n[[lock]]\npath = \"/b/a\"", "the name \"a\" is taken by the lock at"),
        ("[[lock]]\npath = \"/a\"\n[[lock]]\nname = \"b\"\npath = \"/a/\"", "another [[lock]] has this path"),
        ("[[lock]]\npath = \"/a\"\n[[roster]]\npath = \"/locks\"", "cannot tell a lock from the roster or key `locks`"),
        ("[exec]\ncmd = \"x\"\nlock = \"a\"", "no [[lock]] is named \"a\""),
        ("[[lock]]\npath = \"/a\"\nmin = 1", "min"),
    ] {
        let said = told(&format!("{lines}\n"));
        assert!(said.contains(error), "{lines}: {said}");
    }
    let text = "[[registry]]\nname = \"z\"\nurl = \"zk://zk1\"\n[[registry]]\nname = \"d\"\nurl = \"dir:r\"\n\
                [[lock]]\npath = \"/a\"\nregistry = \"d\"\n";
    let said = Home::new(&[("rosterd.toml", text)]).told();
    assert!(said.contains("a directory registry has no sessions, so no lock can be held in it"), "{said}");
}
