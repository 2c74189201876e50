//! A block in the /etc/hosts of a mount namespace: a mount point that also has lines of other processes.

use std::fs;

use crate::harness::site::Site;

const CONFIG: &str = r#"
[registry]
url = "dir:registry"

[[roster]]
name = "zk"
path = "/zk"
wait = "0s:0s"

[[template]]
src = "hosts.tera"
dest = "/etc/hosts"
block = "cluster"
write = "auto"
check_cmd = "grep -q localhost {{ src }}"
reload_cmd = "cat {{ dest }} > SITE/seen"
reload_interval = "0s"
"#;

/// The file with the lines of these members.
fn hosts(block: &str) -> String {
    format!("127.0.0.1 localhost\n10.9.9.9 zk1\n# BEGIN rosterd cluster\n{block}# END rosterd cluster\n")
}

#[test]
fn the_block_in_etc_hosts_follows_its_members_and_other_lines_stay() {
    let site = Site::new(CONFIG);
    site.file("templates/hosts.tera", "{% for m in zk %}{{ m.name }} {{ m.data.name }}\n{% endfor %}");
    site.file("registry/zk/10.0.0.1", "{\"name\": \"zk1\"}");
    // The last line has no line break.
    fs::write(site.path("hosts"), "127.0.0.1 localhost\n10.9.9.9 zk1").unwrap();
    let inode = site.fingerprint("hosts").0;
    let own = site.path("hosts").display().to_string();
    let script = "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";
    let mut agent =
        site.start_by(&["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", script, "sh", &own]);
    let one = hosts("10.0.0.1 zk1\n");
    agent.until("the block is there", || site.read("seen") == one);
    agent.says("event=written_in_place");
    agent.says("host_shadowed template=hosts block=cluster");
    site.file("registry/zk/10.0.0.2", "{\"name\": \"zk2\"}");
    let two = hosts("10.0.0.1 zk1\n10.0.0.2 zk2\n");
    agent.until("the second member is there", || site.read("seen") == two);
    assert_eq!((site.read("hosts"), site.fingerprint("hosts").0), (two, inode));
    assert_eq!(agent.said("event=host_shadowed"), 1, "reported once");
    assert!(agent.stop().success());
    assert_eq!(site.leftovers(), [""; 0].map(std::path::PathBuf::from));
}

#[test]
fn diff_shows_the_whole_file_and_broken_markers_are_reported() {
    let site = Site::new(&CONFIG.replace("/etc/hosts", "out/hosts"));
    site.file("templates/hosts.tera", "{% for m in zk %}{{ m.name }} {{ m.data.name }}\n{% endfor %}");
    site.file("registry/zk/10.0.0.1", "{\"name\": \"zk1\"}");
    site.file("out/hosts", "127.0.0.1 localhost\n");
    let before = site.fingerprint("out/hosts");
    let diff = site.run(&["diff"]);
    let shown = " 127.0.0.1 localhost\n+# BEGIN rosterd cluster\n+10.0.0.1 zk1\n+# END rosterd cluster\n";
    assert!(diff.stdout().contains(shown), "{}{}", diff.stdout(), diff.stderr());
    assert_eq!(site.fingerprint("out/hosts"), before);
    site.run(&["render"]).expect(0);
    assert_eq!(
        site.read("out/hosts"),
        "127.0.0.1 localhost\n# BEGIN rosterd cluster\n10.0.0.1 zk1\n# END rosterd cluster\n"
    );
    site.file("out/hosts", "127.0.0.1 localhost\n# END rosterd cluster\n");
    let broken = site.run(&["render"]);
    let why = "line 2 ends block cluster, and no line above it begins it";
    assert!(broken.expect(1).stderr().contains(why), "{}", broken.stderr());
    assert_eq!(site.read("out/hosts"), "127.0.0.1 localhost\n# END rosterd cluster\n");
}
