//! The first steps of a new user: the README's "Try it", exactly as written.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::site::{Agent, Site};

/// The files that exist when the README's first command is typed, and the README.
struct Newcomer {
    site: Site,
    readme: String,
}

impl Newcomer {
    fn new() -> Self {
        let clone = Path::new(env!("CARGO_MANIFEST_DIR"));
        let site = Site::new("");
        // The directories `out` and `state` may be left from trying it in this clone.
        for part in ["rosterd.toml", "registry", "templates"] {
            copy(&site, &format!("examples/quickstart/{part}"), clone);
        }
        Self { site, readme: fs::read_to_string(clone.join("README.md")).unwrap() }
    }

    /// The lines after this command in the README, up to the next command or the end of the block.
    fn shown(&self, command: &str) -> Vec<&str> {
        let lines = self.readme.lines().skip_while(|line| *line != format!("$ {command}")).skip(1);
        let shown: Vec<&str> = lines.take_while(|line| !line.starts_with("```") && !line.starts_with("$ ")).collect();
        assert!(!shown.is_empty(), "the README shows nothing after {command}");
        shown
    }

    fn start(&self) -> Agent {
        let command = "cargo run --release -- -c examples/quickstart/rosterd.toml run";
        assert!(self.readme.contains(command));
        let args: Vec<&str> = command.split(' ').skip_while(|word| *word != "--").skip(1).collect();
        self.site.start_with(&args)
    }

    fn out(&self) -> String {
        self.site.read("examples/quickstart/out/web.cfg")
    }

    /// The log lines as the README shows them: without the time, and in a clone under /src.
    fn said(&self, agent: &Agent) -> Vec<String> {
        let root = self.site.path("");
        agent.log().iter().map(|line| timeless(line).replace(root.to_str().unwrap(), "/src/rosterd/")).collect()
    }
}

/// Copies a file or directory of the clone to the same place here.
fn copy(site: &Site, name: &str, clone: &Path) {
    let from = clone.join(name);
    if from.is_dir() {
        for entry in fs::read_dir(from).unwrap() {
            copy(site, &format!("{name}/{}", entry.unwrap().file_name().to_str().unwrap()), clone);
        }
    } else {
        site.file(name, &fs::read_to_string(from).unwrap());
    }
}

/// A log line without its time, and without the numbers that differ from run to run.
fn timeless(line: &str) -> String {
    let (_, rest) = line.split_once("Z ").unwrap_or_else(|| panic!("no time in {line:?}"));
    let fields = rest.split(' ').map(|word| match word.split_once('=') {
        Some((name @ ("pid" | "took_ms"), _)) => format!("{name}=N"),
        _ => word.to_owned(),
    });
    fields.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_first_file_is_written_within_a_second() {
    // The machine may be busy with other tests, so the best of three counts.
    let took = (0..3).map(|_| {
        let newcomer = Newcomer::new();
        let began = Instant::now();
        let agent = newcomer.start();
        agent.until("the first file", || !newcomer.out().is_empty());
        began.elapsed()
    });
    let best = took.min().unwrap();
    assert!(best < Duration::from_secs(1), "the first file took {best:?}");
}

#[test]
fn the_readme_is_correct() {
    let newcomer = Newcomer::new();
    let mut agent = newcomer.start();
    agent.says("event=reload_succeeded");
    let said = newcomer.said(&agent);
    let shown = newcomer.shown("cargo run --release -- -c examples/quickstart/rosterd.toml run");
    assert_eq!(said, shown.into_iter().map(timeless).collect::<Vec<_>>());

    // The commands of the README, run by the shell they are for.
    let there = newcomer.site.path("examples/quickstart");
    let type_in = |command: &str| {
        assert!(newcomer.readme.contains(&format!("$ {command}\n")), "the README has no {command}");
        let status = std::process::Command::new("sh").args(["-c", command]).current_dir(&there).status().unwrap();
        assert!(status.success());
    };
    type_in("touch registry/services/web/10.0.0.3:8080");
    agent.until("the new member", || newcomer.out().contains("10.0.0.3:8080"));
    type_in("rm registry/services/web/10.0.0.2:8080");
    agent.until("its removal", || !newcomer.out().contains("10.0.0.2:8080"));
    assert_eq!(newcomer.out().lines().collect::<Vec<_>>(), newcomer.shown("cat out/web.cfg"));

    let site = &newcomer.site;
    fs::write(site.path("examples/quickstart/registry/services/web/10.0.0.3:8080"), r#"{"zone": "us-west-2c"}"#)
        .unwrap();
    agent.until("an edited member", || newcomer.out().contains("# us-west-2c"));
    fs::write(site.path("examples/quickstart/registry/config/web"), r#"{"balance": "first", "timeout": "5s"}"#)
        .unwrap();
    agent.until("an edited key", || newcomer.out().contains("balance first"));
    let template = "examples/quickstart/templates/web.cfg.tera";
    site.file(template, &format!("# edited\n{}", site.read(template)));
    agent.until("an edited template", || newcomer.out().starts_with("# edited\n"));

    let before = site.fingerprint("examples/quickstart/out/web.cfg");
    for member in ["10.0.0.1:8080", "10.0.0.3:8080"] {
        site.remove(&format!("examples/quickstart/registry/services/web/{member}"));
    }
    let held = newcomer.readme.lines().find(|line| line.contains(" WARN roster or key held: ")).map(timeless).unwrap();
    agent.says(&held);
    assert_eq!(site.fingerprint("examples/quickstart/out/web.cfg"), before);
    assert!(agent.stop().success());
}
