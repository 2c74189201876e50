//! `[[key]]` with `jones`.

use super::{Home, told};
use crate::config::{KeyFormat, Unmapped};

#[test]
fn a_key_of_jones_has_a_service_a_host_and_no_path() {
    let text = "registry.url = \"zk://zk1\"\n\
                [[key]]\njones = \"pycon\"\n\
                [[key]]\nname = \"a\"\njones = \"pycon\"\nhost = \"{{ host.fqdn }}\"\nunmapped = \"hold\"\n\
                [[key]]\nname = \"b\"\njones = \"{{ host.name }}\"\nhost = \"x-{{ host.name }}\"\n";
    let mut config = Home::new(&[("rosterd.toml", text)]).load().unwrap().config;
    config.set_jones_host(|| "web1.example.com".to_owned());
    let keys: Vec<_> = config.keys.iter().map(|key| (&*key.name, key.subject.to_string(), key.format)).collect();
    let of_pycon = "/services/pycon/nodemaps[web1.example.com]";
    assert_eq!(
        keys,
        [
            ("pycon", of_pycon.to_owned(), KeyFormat::Jones(Unmapped::Root)),
            ("a", of_pycon.to_owned(), KeyFormat::Jones(Unmapped::Hold)),
            ("b", "/services/web1/nodemaps[x-web1]".to_owned(), KeyFormat::Jones(Unmapped::Root)),
        ]
    );
}

#[test]
fn invalid_keys_of_jones_are_reported() {
    for (lines, error) in [
        ("jones = \"a\"\npath = \"/a\"", "a [[key]] with `jones` has no `path`"),
        ("jones = \"a\"\nformat = \"json\"", "a [[key]] with `jones` has no `format`"),
        ("jones = \"a/b\"", "\"a/b\" is not the name of a service: the name of a service contains no /"),
        ("jones = \"..\"", "\"..\" is not the name of a service"),
        ("jones = \"my-app\"", "\"my-app\" (derived from the path) is not a valid variable name"),
        ("jones = \"a\"\nunmapped = \"conf\"", "unmapped"),
        ("path = \"/a\"\nhost = \"h1\"", "`host` needs `jones`"),
        ("path = \"/a\"\nunmapped = \"hold\"", "`unmapped` needs `jones`"),
        ("name = \"a\"", "[[key]] has no `path`"),
    ] {
        let said = told(&format!("[[key]]\n{lines}\n"));
        assert!(said.contains(error), "{lines}: {said}");
    }
}
