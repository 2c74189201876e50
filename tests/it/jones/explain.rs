//! `explain` of a key: which revision its host reads.

use super::{Scene, Site};

/// The first line of `explain`, once it has these words.
#[track_caller]
fn explained(site: &Site, words: &str) -> String {
    let first = || site.run(&["explain", "settings"]).stdout().lines().next().unwrap_or_default().to_owned();
    crate::support::wait::eventually(crate::support::wait::PATIENCE, words, || first().contains(words));
    first()
}

#[test]
fn explain_names_the_revision_that_a_host_reads_and_its_author() {
    let scene = Scene::pycon();
    let key = "[[key]]\nname = \"settings\"\njones = \"pycon\"\nhost = \"h1\"\n\n\
               [[template]]\nsrc = \"t.tera\"\ndest = \"SITE/out/t\"\n";
    let site = Site::new(&format!("[registry]\nurl = \"zk://{}\"\n\n{key}", scene.servers));
    site.file("templates/t.tera", "{{ settings | json }}\n");
    let agent = site.start();
    scene.write(&["set", "pycon/parent", "n=1"]);
    // Another environment's change is not that of this view.
    scene.write(&["create", "pycon/parent/other"]);
    let line = explained(&site, "3 keys");
    let start = "key settings: pycon, host h1 → parent/child1 (revision 5, by ada@";
    assert!(line.starts_with(start) && line.contains("s ago), 3 keys in registry default"), "{line}");

    scene.client.put("/services/pycon/views/parent/child1", b"{}");
    let line = explained(&site, "0 keys");
    assert!(line.contains("→ parent/child1 (changed ") && line.contains("s ago, outside of the history), 0"), "{line}");

    scene.write(&["pin", "pycon", "h1", "--rev", "r5"]);
    let line = explained(&site, "pinned to r5");
    assert!(line.contains("→ parent/child1, pinned to r5 (revision 5, by ada@"), "{line}");
    scene.write(&["unpin", "pycon", "h1"]);
    scene.write(&["dissociate", "pycon", "h1"]);
    let line = explained(&site, "does not name");
    // A new environment writes the configuration of its parent again, as it is.
    assert!(line.contains("(nodemaps does not name the host) (revision 2, by ada@"), "{line}");
    agent.until("the root is used", || site.read("out/t") == "{\"locale\":\"Canada\",\"times\":0}\n");
}
