//! Changes that are too large for one transaction.

use super::Scene;

/// 350 environments whose views of 3.5 kB all change with the root environment.
fn large() -> Scene {
    let scene = Scene::new();
    scene.ok(&["init", "big"]);
    let mut nodes = Vec::new();
    for number in 0..350 {
        nodes.push((format!("/services/big/conf/e{number:03}"), b"{}".to_vec()));
        nodes.push((format!("/services/big/views/e{number:03}"), b"{}".to_vec()));
    }
    scene.client.put_all(&nodes);
    scene.site.file("big.json", &format!("{{\"text\": \"{}\", \"n\": 1}}", "x".repeat(3500)));
    scene
}

#[test]
fn a_change_of_1_2_mb_is_refused_before_it_is_sent_and_staged_completes_it() {
    let scene = large();
    let stderr = scene.refused(&["apply", "big", "big.json", "-y"], 1);
    assert!(stderr.contains("the transaction with 1 environments and 351 views has 13"), "{stderr}");
    assert!(
        stderr.contains("over the limit of 1000000 bytes for a request; nothing was written; --staged"),
        "{stderr}"
    );
    scene.write(&["apply", "big", "big.json", "--staged"]);
    let view = scene.text("/services/big/conf");
    for env in ["", "/e000", "/e349"] {
        assert_eq!(scene.text(&format!("/services/big/views{env}")), view);
    }
    assert!(scene.node("/rosterd/jones/big/pending").is_none());
    assert_eq!(scene.ok(&["check", "big"]), "");

    scene.site.file("huge.json", &format!("{{\"text\": \"{}\"}}", "x".repeat(1_200_000)));
    for more in [&["-y"][..], &["-y", "--staged"]] {
        let stderr = scene.refused(&[&["apply", "big/e000", "huge.json"], more].concat(), 1);
        assert!(stderr.contains("/services/big/conf/e000 would have 1200012 bytes: over the limit"), "{stderr}");
    }
}

#[test]
fn the_next_writer_finishes_a_staged_change() {
    let scene = large();
    // As a writer leaves it that was killed after its first transaction.
    let conf = scene.site.read("big.json");
    let staged = || {
        scene.client.put("/services/big/conf", conf.as_bytes());
        scene.client.put("/rosterd/jones/big/pending", b"id");
    };
    staged();
    let found = scene.jones(&["check", "big"]).expect(1).stdout();
    assert!(found.starts_with("big: a staged change was not finished\n"), "{found}");
    scene.write(&["set", "big/e007", "n=2"]);
    let text = "x".repeat(3500);
    assert_eq!(scene.text("/services/big/views/e007"), format!("{{\"text\": \"{text}\", \"n\": 2}}"));
    assert_eq!(scene.text("/services/big/views/e349"), format!("{{\"text\": \"{text}\", \"n\": 1}}"));
    assert!(scene.node("/rosterd/jones/big/pending").is_none());
    assert_eq!(scene.ok(&["check", "big"]), "");
    scene.client.put("/services/big/conf", b"{}");
    scene.client.put("/rosterd/jones/big/pending", b"id");
    scene.ok(&["check", "big", "--repair", "-y"]);
    assert_eq!(scene.text("/services/big/views/e349"), "{}");
    assert!(scene.node("/rosterd/jones/big/pending").is_none());
}
