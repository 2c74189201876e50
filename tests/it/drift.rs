//! A destination that somebody else has changed is noticed, said, and put right, or left.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::harness::site::{Agent, Site};

const CONFIG: &str = r#"
[registry]
url = "dir:registry"

[[roster]]
name = "web"
path = "/services/web"
wait = "0s:0s"

[[template]]
name = "kept"
src = "list.tera"
dest = "out/kept"
mode = "0640"
reload_cmd = "echo kept >> SITE/reloads"
reload_interval = "0s"

[[template]]
name = "told"
src = "list.tera"
dest = "out/told"
on_drift = "report"
"#;

const RIGHT: &str = "changed by somebody else, it is put right";
const LEFT: &str = "changed by somebody else, it is left so";

fn site() -> Site {
    let site = Site::new(CONFIG);
    site.file("templates/list.tera", "{% for m in web %}{{ m.name }}\n{% endfor %}");
    site.file("registry/services/web/a:1", "").file("registry/services/web/b:2", "");
    site
}

fn started(site: &Site) -> Agent {
    let agent = site.start();
    agent.says("reloaded: ");
    agent.until("both files are written", || agent.said("wrote: ") == 2);
    agent
}

fn template(site: &Site, number: usize) -> Value {
    let status: Value = serde_json::from_str(&site.run(&["status", "--json"]).expect(0).stdout()).unwrap();
    status["templates"][number].clone()
}

fn reloads(site: &Site) -> usize {
    site.read("reloads").lines().count()
}

/// A way to change a file behind the agent's back, and what is said of it.
type Tampering = (fn(&Path), &'static str);

#[test]
fn what_somebody_else_made_of_a_file_is_put_right_and_reloaded() {
    let site = site();
    let agent = started(&site);
    let dest = site.path("out/kept");
    let ways: [Tampering; 5] = [
        (|dest| fs::write(dest, "edited in place").unwrap(), "it was edited: "),
        (
            |dest| {
                let other = dest.with_file_name("other");
                fs::write(&other, "another file").unwrap();
                fs::rename(other, dest).unwrap();
            },
            "it was replaced by a file of mode ",
        ),
        (|dest| fs::remove_file(dest).unwrap(), "it is gone"),
        (|dest| fs::set_permissions(dest, Permissions::from_mode(0o666)).unwrap(), "its mode is 0666, it was 0640"),
        // With the same bytes in another file its mode is what differs.
        (
            |dest| {
                let other = dest.with_file_name("other");
                fs::write(&other, "a:1\nb:2\n").unwrap();
                fs::set_permissions(&other, Permissions::from_mode(0o600)).unwrap();
                fs::rename(other, dest).unwrap();
            },
            "it was replaced by a file of mode 0600",
        ),
    ];
    for (done, (tamper, said)) in ways.into_iter().enumerate() {
        tamper(&dest);
        agent.until(said, || agent.said(said) > 0 && agent.said(RIGHT) > done);
        agent.until("its reload has run", || reloads(&site) == done + 2);
        agent.until("nothing is said of it any more", || template(&site, 0)["waiting_for"] == Value::Null);
        assert_eq!(site.read("out/kept"), "a:1\nb:2\n", "{said}");
        assert_eq!(fs::metadata(&dest).unwrap().permissions().mode() & 0o7777, 0o640, "{said}");
        assert_eq!(template(&site, 0)["drifted_since"], Value::Null, "{said}");
    }
    // A mere touch is no reason to write.
    let (inode, unchanged) = (site.fingerprint("out/kept").0, agent.said("unchanged: "));
    fs::File::options().append(true).open(&dest).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    agent.until("the touched file is compared", || agent.said("unchanged: ") > unchanged);
    assert_eq!((site.fingerprint("out/kept").0, reloads(&site)), (inode, 6));
    assert_eq!(agent.said(LEFT), 0);
}

#[test]
fn with_report_it_is_shown_and_left_until_something_changes() {
    let site = site();
    let agent = started(&site);
    fs::write(site.path("out/told"), "by hand").unwrap();
    agent.says(LEFT);
    // What is put right at once in another file shows that nothing is on its way for this one.
    fs::remove_file(site.path("out/kept")).unwrap();
    agent.until("the other file is put right", || site.read("out/kept") == "a:1\nb:2\n");
    assert_eq!(site.read("out/told"), "by hand");
    let told = template(&site, 1);
    assert!(told["drifted_since"].is_string(), "{told}");
    let explained = site.run(&["explain", "told"]).expect(0).stdout();
    assert!(explained.contains("drifted since") && explained.contains("it was edited: 7 bytes"), "{explained}");
    site.file("registry/services/web/c:3", "");
    agent.until("a change of members replaces it", || site.read("out/told") == "a:1\nb:2\nc:3\n");
    agent.until("and it has not drifted any more", || template(&site, 1)["drifted_since"] == Value::Null);
}

#[test]
fn what_the_agent_writes_itself_is_nobody_elses_doing() {
    let site = site();
    let agent = started(&site);
    for number in 0..20 {
        site.file(&format!("registry/services/web/n:{number}"), "");
        let line = format!("n:{number}\n");
        agent.until(&line, || site.read("out/kept").contains(&line) && site.read("out/told").contains(&line));
    }
    // One that is somebody else's is noticed, by a look after all of that.
    fs::remove_file(site.path("out/told")).unwrap();
    agent.says(LEFT);
    let said = agent.said("changed by somebody else");
    assert_eq!(said, 1, "{}", agent.log().join("\n"));
}

#[test]
fn of_a_file_with_a_block_only_the_block_drifts_and_one_written_in_place_is_known_by_what_was_written() {
    let site = site();
    let more = "\n[[template]]\nname = \"hosts\"\nsrc = \"list.tera\"\ndest = \"out/hosts\"\nblock = \"x\"\n\
                \n[[template]]\nname = \"over\"\nsrc = \"list.tera\"\ndest = \"out/over\"\nwrite = \"inplace\"\n";
    site.file("rosterd.toml", &format!("{}{more}", site.read("rosterd.toml")));
    site.file("out/hosts", "127.0.0.1 localhost\n").file("out/over", "");
    let agent = site.start();
    let all = || agent.said("wrote: ") == 4;
    agent.until("all files are written", all);
    // At once, so that no look finds half of it.
    let put = |name: &str, text: &str| {
        site.file("out/other", text);
        fs::rename(site.path("out/other"), site.path(name)).unwrap();
    };
    for number in 0..5 {
        put("out/hosts", &site.read("out/hosts").replace("localhost", &format!("localhost h{number}")));
        site.file(&format!("registry/services/web/n:{number}"), "");
        let line = format!("n:{number}\n");
        agent.until(&line, || ["out/hosts", "out/over"].iter().all(|file| site.read(file).contains(&line)));
    }
    // One that is somebody else's is noticed, by a look after all of that.
    put("out/hosts", &site.read("out/hosts").replace("a:1\n", ""));
    agent.until("the block is put right", || site.read("out/hosts").contains("a:1\n"));
    put("out/over", "by hand");
    agent.until("the other file is put right", || site.read("out/over").starts_with("a:1\n"));
    assert!(agent.said("hosts: block x of it is not what was written: ") > 0, "{}", agent.log().join("\n"));
    assert_eq!(agent.said("changed by somebody else"), 2, "{}", agent.log().join("\n"));
    assert!(site.read("out/hosts").starts_with("127.0.0.1 localhost h4 h3 h2 h1 h0\n"), "{}", site.read("out/hosts"));
}
