//! `[[key]]` with `jones`, and `[jones]`.

use super::{Home, told};
use crate::config::{KeyFormat, Unmapped, WebAuth};

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

#[test]
fn the_web_server_of_jones_has_users_roles_and_masks() {
    let text = "registry.url = \"zk://zk1\"\n[jones]\nlisten = \"10.0.0.5:8889\"\nwrite = true\nauth = \"header\"\n\
                proxies = [\"10.0.0.4\", \"::ffff:10.0.0.6\"]\nhosts = [\"Jones.example.com\"]\n\
                editors = { \"web-*\" = [\"ada\", \"*\"] }\nmask = [\"*password*\"]\n";
    let web = Home::new(&[("rosterd.toml", text)]).load().unwrap().config.jones.web;
    assert_eq!((web.listen.map(|at| at.to_string()).as_deref(), web.write), (Some("10.0.0.5:8889"), true));
    let proxies = ["10.0.0.4", "10.0.0.6"].map(|proxy| proxy.parse().unwrap()).to_vec();
    assert_eq!(web.auth, Some(WebAuth::Header { name: "x-forwarded-user".to_owned(), proxies }));
    assert_eq!((web.hosts, web.viewers), (vec!["jones.example.com".to_owned()], None));
    assert_eq!(web.editors.unwrap()["web-*"], ["ada", "*"]);
    assert!(web.mask[0].matches("db_password_2"));
    let off = Home::new(&[("rosterd.toml", "registry.url = \"zk://zk1\"\n")]).load().unwrap().config.jones.web;
    assert!(!off.write && off.auth.is_none() && off.listen.is_none());
}

#[test]
fn invalid_keys_of_the_web_server_of_jones_are_reported() {
    for (lines, error) in [
        ("listen = \"localhost:1\"", "is not an IP address and port"),
        ("write = 1", "`write` must be true or false"),
        ("auth = \"digest\"", "`auth` cannot be \"digest\""),
        ("auth = \"basic\"", "users"),
        ("auth = \"header\"", "proxies"),
        ("users = \"a\"", "`users` has no effect without `auth`"),
        ("auth = \"basic\"\nusers = \"a\"\nproxies = [\"::1\"]", "`proxies` has no effect without auth = \"header\""),
        ("auth = \"header\"\nproxies = [\"proxy1\"]", "\"proxy1\" is not an IP address"),
        ("auth = \"header\"\nproxies = [\"::1\"]\nheader = \"a b\"", "\"a b\" is not the name of a header"),
        ("editors = [\"ada\"]", "`editors` must be a table of services"),
        ("viewers = { a = \"ada\" }", "must be a list"),
        ("mask = [\"[\"]", "is not a pattern"),
        ("role = 1", "unknown key `role` in [jones]"),
    ] {
        let said = told(&format!("[jones]\n{lines}\n"));
        assert!(said.contains(error), "{lines}: {said}");
    }
}
