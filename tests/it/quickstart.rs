//! The first steps of a new user: the README's "Try it", exactly as written.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::site::{Agent, Site};
use crate::support::docs::{Block, blocks};

/// The clone when the README's first command is typed, and the blocks of "Try it".
struct Newcomer {
    site: Site,
    blocks: Vec<Block>,
}

impl Newcomer {
    fn new() -> Self {
        let clone = Path::new(env!("CARGO_MANIFEST_DIR"));
        let site = Site::new("");
        // The directories `out` and `state` may be left from trying it in this clone.
        for part in ["rosterd.toml", "registry", "templates"] {
            copy(&site, &format!("examples/quickstart/{part}"), clone);
        }
        let blocks = blocks("README.md").into_iter().filter(|block| block.heading == "Try it").collect();
        Self { site, blocks }
    }

    /// The blocks in this language, in their order.
    fn shown(&self, language: &str) -> Vec<&str> {
        self.blocks.iter().filter(|block| block.language == language).map(|block| block.text.as_str()).collect()
    }

    fn start(&self) -> Agent {
        let args =
            self.shown("sh")[0].strip_prefix("cargo run --release -- ").expect("the first block starts the agent");
        self.site.start_with(&args.split_whitespace().collect::<Vec<_>>())
    }

    fn out(&self) -> String {
        self.site.read("examples/quickstart/out/web.cfg")
    }

    /// The log lines as the README shows them: without the time, and in a clone under /src.
    fn said(&self, agent: &Agent) -> Vec<String> {
        let root = self.site.path("");
        agent.log().iter().map(|line| timeless(line).replace(root.to_str().unwrap(), "/src/rosterd/")).collect()
    }

    fn program(&self, name: &str, script: &str) {
        self.site.file(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(self.site.path(&format!("bin/{name}")), Permissions::from_mode(0o755)).unwrap();
    }

    /// A shell in the clone, in which `cargo run` runs the program that is already built. On a busy machine the agent
    /// may need longer than the README's `sleep`, which therefore also waits until the agent has acted.
    fn terminal(&self) -> Terminal {
        let rosterd = env!("CARGO_BIN_EXE_rosterd");
        self.program("cargo", &format!("while [ \"$1\" != -- ]; do shift; done; shift; exec {rosterd} \"$@\""));
        let (home, path) = (self.site.path(""), std::env::var("PATH").unwrap());
        let here = home.join("examples/quickstart");
        let (members, file) = (here.join("registry/services/web"), here.join("out/web.cfg"));
        let (members, file) = (members.display(), file.display());
        let settled = format!(
            "[ \"$(ls {members})\" = \"$(awk '$1 == \"server\" {{ print $3 }}' {file})\" ] || \
             {rosterd} -c {}/rosterd.toml status | grep -q 'needs at least'",
            here.display()
        );
        let wait = format!("tries=0; until [ $tries = 200 ] || {settled}; do sleep 0.1; tries=$((tries + 1)); done");
        self.program("sleep", &format!("PATH={path}; sleep \"$1\"; {wait}"));
        let mut shell = Command::new("sh");
        shell.current_dir(&home).env("HOME", &home).env("PATH", format!("{}/bin:{path}", home.display()));
        for name in ["ROSTERD_CONFIG", "ROSTERD_REGISTRY", "ROSTERD_LOG", "RUST_LOG"] {
            shell.env_remove(name);
        }
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(shell.stdout.take().unwrap());
        Terminal { shell, answers }
    }
}

/// A shell that reads what is pasted, as one block, from its input.
struct Terminal {
    shell: Child,
    answers: BufReader<ChildStdout>,
}

impl Terminal {
    /// Pastes a block, and returns what its commands print.
    fn paste(&mut self, block: &str) -> String {
        write!(self.shell.stdin.as_mut().unwrap(), "{block}\necho; echo end of block\n").unwrap();
        let mut printed = String::new();
        while !printed.ends_with("\nend of block\n") {
            assert_ne!(self.answers.read_line(&mut printed).unwrap(), 0, "the shell has ended: {printed}");
        }
        printed.trim_end_matches("end of block\n").trim_end().to_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
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
    let (pasted, shown) = (newcomer.shown("sh"), newcomer.shown("text"));
    assert_eq!(newcomer.said(&agent), shown[0].lines().map(timeless).collect::<Vec<_>>());

    let mut terminal = newcomer.terminal();
    assert_eq!(terminal.paste(pasted[1]), shown[1].trim_end());

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
    let status = terminal.paste(pasted[2]);
    assert!(status.contains("/services/web has 0 members but needs at least 1"), "{status}");
    agent.says(&timeless(shown[2].trim_end()));
    assert_eq!(site.fingerprint("examples/quickstart/out/web.cfg"), before);
    assert!(agent.stop().success());
}
