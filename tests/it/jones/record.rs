//! Changes by others: an agent adds them to the history.

use super::{Scene, Site};
use crate::harness::site::Agent;

const KEY: &str = "[jones]\nrecord = true\n\n[[key]]\nname = \"settings\"\njones = \"pycon\"\nhost = \"h1\"\n\n\
                   [[template]]\nsrc = \"t.tera\"\ndest = \"SITE/out/t\"\n";

/// The directory of an agent that records, and renders the locale.
fn recorder(scene: &Scene, auth: &str) -> Site {
    let site = Site::new(&format!("[registry]\nurl = \"zk://{}\"\n{auth}\n\n{KEY}", scene.servers));
    site.file("templates/t.tera", "{{ settings.locale }}\n");
    site
}

/// Waits until an agent has recorded something that has these words.
fn records(agents: &[Agent], words: &str) {
    let said =
        |agent: &Agent| agent.log().iter().any(|line| line.contains("event=jones_recorded") && line.contains(words));
    agents[0].until(&format!("{words} is recorded"), || agents.iter().any(said));
}

/// The newest revision, and how many there are.
fn newest(scene: &Scene) -> (String, usize) {
    let history = scene.ok(&["history", "pycon"]);
    (history.lines().next().unwrap_or_default().to_owned(), history.lines().count())
}

#[test]
fn several_agents_record_a_change_by_others_once_with_what_was_before_and_after() {
    let scene = Scene::pycon();
    let (sites, count): (Vec<Site>, _) = ((0..3).map(|_| recorder(&scene, "")).collect(), newest(&scene).1);
    let agents: Vec<Agent> = sites.iter().map(Site::start).collect();
    for (agent, site) in agents.iter().zip(&sites) {
        agent.until("it has rendered", || site.read("out/t") == "Canada\n");
    }
    // What rosterd writes has an entry already.
    scene.write(&["set", "pycon/parent", "locale=\"fr\""]);
    scene.client.put("/services/pycon/conf/parent", br#"{"locale": "de"}"#);
    records(&agents, "pycon/parent: changed outside of the history at 20");
    let zxid = scene.node("/services/pycon/conf/parent").unwrap().1.mzxid;
    let (row, now) = newest(&scene);
    assert_eq!(now, count + 2, "{}", scene.ok(&["history", "pycon"]));
    assert!(row.contains("  unknown  ") && row.contains("outside parent"), "{row}");
    assert!(row.contains(&format!("zxid {zxid:#x}")), "{row}");
    let shown = scene.ok(&["show", "pycon", row.split_whitespace().next().unwrap()]);
    assert!(shown.contains("-  \"locale\": \"fr\"\n+  \"locale\": \"de\"\n"), "{shown}");
    assert!(shown.contains("via      rosterd run on "), "{shown}");

    // A new environment, and one that goes.
    scene.client.put("/services/pycon/conf/new", b"{\"n\": 1}");
    records(&agents, "pycon/new: changed outside");
    scene.client.remove("/services/pycon/conf/new");
    records(&agents, "pycon/new: deleted outside");
    assert_eq!(newest(&scene).1, count + 4, "{}", scene.ok(&["history", "pycon"]));
    assert_eq!(scene.jones(&["diff", "pycon"]).code(), 0, "nothing is left to be recorded");
    let recorded: usize = agents.iter().map(|agent| agent.said("event=jones_recorded")).sum();
    assert_eq!(recorded, 3, "each change once");
}

#[test]
fn what_was_changed_while_no_agent_ran_is_recorded_at_its_start() {
    let scene = Scene::pycon();
    let site = recorder(&scene, "");
    let mut agent = site.start();
    agent.until("it has rendered", || site.read("out/t") == "Canada\n");
    agent.stop();
    scene.client.put("/services/pycon/conf/parent/child1", br#"{"a": 1}"#);
    records(&[site.start()], "pycon/parent/child1: changed outside");
    assert_eq!(scene.ok(&["get", "pycon/parent/child1", "--own", "--at", "r5"]), "{\n  \"a\": 1\n}\n");
}

#[test]
fn an_agent_that_may_not_record_says_so_and_goes_on_rendering() {
    let scene = Scene::new();
    scene.authenticate("ada:secret");
    scene.ok(&["init", "pycon", "--acl", "auth::cdrwa", "--acl", "world:anyone:r"]);
    scene.write(&["set", "pycon", "locale=\"Canada\""]);
    let site = recorder(&scene, "auth = [{ scheme = \"digest\", file = \"auth\" }]");
    site.file("auth", "eve:other\n");
    std::fs::set_permissions(site.path("auth"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let agent = site.start();
    agent.until("it has rendered", || site.read("out/t") == "Canada\n");
    scene.client.run(|client| async move {
        client.auth("digest", b"ada:secret").await.unwrap();
        client.set_data("/services/pycon/conf", br#"{"locale": "fr"}"#, None).await.unwrap();
    });
    agent.until("it has rendered", || site.read("out/t") == "fr\n");
    agent.says("event=jones_record_failed service=pycon");
    let count = scene.ok(&["history", "pycon"]).lines().count();
    assert_eq!(count, 3, "what was changed outside, and two revisions");
    scene.write(&["set", "pycon", "locale=\"de\""]);
    agent.until("it renders on", || site.read("out/t") == "de\n");
}

#[test]
fn several_writers_that_record_a_change_at_once_add_one_entry() {
    let scene = Scene::pycon();
    let count = newest(&scene).1;
    for round in 1..=3 {
        scene.client.put("/services/pycon/conf/parent", format!("{{\"n\": {round}}}").as_bytes());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| scene.write(&["adopt", "pycon"]));
            }
        });
        assert_eq!(newest(&scene).1, count + round, "{}", scene.ok(&["history", "pycon"]));
    }
}

#[test]
fn a_conf_too_deep_for_an_entry_is_named_and_the_others_are_recorded() {
    let scene = Scene::pycon();
    let (site, count) = (recorder(&scene, ""), newest(&scene).1);
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(126), "]".repeat(126));
    scene.site.file("deep.json", &deep);
    let stderr = scene.refused(&["apply", "pycon/parent", "deep.json", "-y"], 1);
    assert!(stderr.contains("its entry in the history could not be read again"), "{stderr}");
    let agents = [site.start()];
    agents[0].until("it has rendered", || site.read("out/t") == "Canada\n");
    scene.client.put("/services/pycon/conf/deep", deep.as_bytes());
    scene.client.put("/services/pycon/conf/parent", b"{\"n\": 1}");
    records(&agents, "pycon/parent: changed outside");
    agents[0].says("event=jones_record_failed service=pycon");
    let history = scene.ok(&["history", "pycon"]);
    assert_eq!(history.lines().count(), count + 2, "one entry, after the line on what is not recorded: {history}");
    assert!(history.starts_with("pycon/deep: changed outside"), "{history}");
}

#[test]
fn old_entries_are_deleted_when_a_change_by_others_is_recorded() {
    let scene = Scene::pycon();
    let count = newest(&scene).1;
    let more = (count..210)
        .map(|number| (format!("/rosterd/jones/pycon/history/r-{number:010}"), b"{\"op\": \"set\"}".to_vec()));
    scene.client.put_all(&more.collect::<Vec<_>>());
    scene.client.put("/services/pycon/conf/parent", b"{\"n\": 1}");
    scene.write(&["adopt", "pycon"]);
    let (row, now) = newest(&scene);
    assert!(row.starts_with("r210 "), "{row}");
    assert_eq!(now, 200, "the documented limit");
}
