//! Many passes beside an agent whose members change all the time.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::main_job::{member, site_with};
use crate::support::random::{count, rng};

const CONFIG: &str = web!(
    r#"wait = "5ms:20ms""#,
    r#"
[[template]]
src = "list.tera"
dest = "out/list"
reload_cmd = "echo reloaded >> SITE/reloads"
reload_interval = "0s"
"#
);

/// Whether a file is complete: the number of members, each of them, and the end.
fn is_whole(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let members = lines.len().saturating_sub(2);
    lines.first().is_some_and(|first| *first == members.to_string()) && lines.last() == Some(&"end")
}

#[test]
fn passes_beside_a_busy_agent_tear_no_file_and_cause_no_reload() {
    let site = site_with(CONFIG, 4);
    site.file("templates/list.tera", "{{ web | length }}\n{% for m in web %}{{ m.address }}\n{% endfor %}end\n");
    let mut agent = site.start();
    agent.until("the first reload", || site.reloads() == 1);
    let (is_over, mut random) = (AtomicBool::new(false), rng());
    let codes = thread::scope(|scope| {
        let changing = scope.spawn(|| {
            let mut changes = 0;
            while !is_over.load(Ordering::Relaxed) {
                let path = site.path(&member(random.u32(5..=12)));
                if path.exists() {
                    fs::remove_file(path).unwrap();
                } else {
                    fs::write(path, "").unwrap();
                }
                changes += 1;
                for _ in 0..100 {
                    let text = fs::read_to_string(site.path("out/list")).unwrap();
                    assert!(is_whole(&text), "{text:?}");
                }
            }
            changes
        });
        let passes = 0..count(20, 1000);
        let codes: Vec<i32> = passes.map(|_| site.run(&["render", "--detailed-exitcode"]).code()).collect();
        is_over.store(true, Ordering::Relaxed);
        println!("{} passes, {} changes", codes.len(), changing.join().unwrap());
        codes
    });
    assert!(codes.iter().all(|code| [0, 2, 3].contains(code)), "{codes:?}");
    assert!(agent.stop().success());
    agent.says("event=agent_stopped");
    let (written, reloads) = (agent.said("event=file_written"), site.reloads());
    println!("{written} files written, {reloads} reloads");
    assert!(reloads <= written, "{reloads} reloads for {written} files");
    assert!(is_whole(&site.read("out/list")) && site.leftovers().is_empty());
}
