use super::*;
use std::fs;
use std::path::Path;

use crate::decide::Snapshot;

#[test]
fn the_host_is_determined_once_across_reloads_and_edits() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        fs::create_dir_all(dir.path().join("templates/deep")).unwrap();
        fs::write(dir.path().join(name), text).unwrap();
    };
    let template = "[[template]]\nsrc = \"t\"\ndest = \"/nowhere/t\"\n";
    file("rosterd.toml", &format!("registry.url = \"zk://127.0.0.1:1\"\n{template}"));
    file("templates/t", "{{ host.name }} {{ host.ip }}{% include 'deep/line' %}");
    file("templates/deep/line", "\n");
    let source = ConfigSource { file: Some(dir.path().join("rosterd.toml")), ..ConfigSource::default() };
    let known = Host { name: "h1".into(), fqdn: "h1.example.com".into(), ip: [192, 0, 2, 9].into() };
    let setup = Setup::load(&source, Some(&ThisHost::from(known))).unwrap();
    let shown = |library: &Library| {
        String::from_utf8(library.render(Path::new("t"), &Snapshot::default(), None).unwrap()).unwrap()
    };
    assert_eq!(shown(&setup.library), "h1 192.0.2.9\n");
    file("templates/deep/line", " {{ host.fqdn }}\n");
    let edited = setup.reload_templates().unwrap().unwrap();
    assert_eq!(shown(&edited), "h1 192.0.2.9 h1.example.com\n");
    let again = Setup::load(&source, Some(&setup.host)).unwrap();
    assert_eq!(shown(&again.library), shown(&edited));
}
