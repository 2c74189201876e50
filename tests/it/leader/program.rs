//! `[exec] lock`: the program runs only while its lock is held.

use super::*;

const EXEC: &str = "\n[exec]\ncmd = [\"/bin/sh\", \"SITE/program.sh\"]\nlock = \"leader\"\n";

/// Tells when it starts and when it is asked to end.
const PROGRAM: &str =
    "trap 'echo term >> SITE/said; exit 0' TERM\necho started >> SITE/said\nwhile :; do sleep 0.02; done\n";

fn configure(scene: &Scene) {
    for (at, site) in scene.sites.iter().enumerate() {
        site.configure(&scene.config(at, EXEC));
        let dir = site.path("").to_string_lossy().trim_end_matches('/').to_owned();
        site.file("program.sh", &PROGRAM.replace("SITE", &dir));
    }
}

#[test]
fn the_program_runs_only_where_the_lock_is_held() {
    let scene = Scene::new(2);
    configure(&scene);
    let mut agents = scene.start();
    agents[0].until("runs", || scene.sites[0].read("said") == "started\n");
    agents[1].until("waits", || scene.shows(1, "2 of 2, web1 holds\n"));
    assert!(stays(|| scene.sites[1].read("said").is_empty()));
    let shown = scene.sites[1].run(&["status"]).stdout();
    assert!(shown.contains("WAITING for lock leader"), "{shown}");
    assert!(agents[0].stop().success());
    assert_eq!(scene.sites[0].read("said"), "started\nterm\n");
    agents[1].until("runs", || scene.sites[1].read("said") == "started\n");
}

#[test]
fn a_lock_that_hup_changes_is_released_when_the_program_has_ended() {
    let scene = Scene::new(2);
    configure(&scene);
    let program = scene.sites[0].read("program.sh").replace("echo term", "sleep 1; echo term");
    scene.sites[0].file("program.sh", &program);
    let agents = scene.start();
    agents[0].until("runs", || scene.sites[0].read("said") == "started\n");
    agents[1].until("waits", || scene.shows(1, "2 of 2, web1 holds\n"));
    scene.sites[0].configure(&scene.config(0, EXEC).replace("web1", "web9"));
    agents[0].signal(Signal::SIGHUP);
    agents[1].until("runs", || scene.sites[1].read("said") == "started\n");
    assert_eq!(scene.sites[0].read("said"), "started\nterm\n");
    agents[0].until("contends anew", || scene.line() == ["web2", "web9"]);
}

#[test]
fn the_program_is_stopped_when_the_lock_is_lost_and_started_when_it_is_got_again() {
    let scene = Scene::new(1);
    configure(&scene);
    let agents = scene.start();
    let said = |text: &str| scene.sites[0].read("said") == text;
    agents[0].until("runs", || said("started\n"));
    scene.zookeeper.freeze(0);
    agents[0].until("is stopped", || said("started\nterm\n"));
    scene.zookeeper.thaw(0);
    agents[0].until("runs again", || said("started\nterm\nstarted\n"));
}
