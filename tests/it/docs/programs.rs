//! Every configuration that the documentation shows with its template is accepted by the program that it is for.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::rosterd;
use crate::support::docs::{Block, blocks, pages, root};
use crate::support::wait::{PATIENCE, holds};

/// The file that a block is, from the comment in its first line.
fn file_name(block: &Block) -> Option<&str> {
    let first = block.text.lines().next()?;
    let comment = match block.language.as_str() {
        "toml" => first.strip_prefix("# "),
        "jinja" => first.strip_prefix("{#- ").and_then(|rest| rest.strip_suffix(" -#}")),
        _ => None,
    };
    let name = comment?.trim_start_matches("/etc/rosterd/");
    (!name.contains(' ') && name.contains('.')).then_some(name)
}

/// The blocks that are files, by the heading that they are under.
fn shown(page: &str) -> Vec<(String, Vec<Block>)> {
    let mut shown: Vec<(String, Vec<Block>)> = Vec::new();
    for block in blocks(page) {
        if file_name(&block).is_none() {
            let template = block.language == "jinja" && page != "docs/templates.md";
            assert!(!template, "{}: a template's first line is {{#- templates/NAME -#}}", block.place);
            continue;
        }
        match shown.last_mut().filter(|(heading, _)| *heading == block.heading) {
            Some((_, files)) => files.push(block),
            None => shown.push((block.heading.clone(), vec![block])),
        }
    }
    shown
}

/// The nodes that a page shows, or some for every path that occurs on the other pages.
fn nodes(page: &str) -> Map<String, Value> {
    let shown = blocks(page).into_iter().find(|block| block.language == "json").map(|block| block.text);
    let nodes = shown.filter(|_| page == "docs/recipes.md").map(|text| serde_json::from_str(&text).unwrap());
    let members = json!({"10.0.0.1:8080": "10.0.0.1:8080", "10.0.0.2:8080": "10.0.0.2:8080"});
    let usual = json!({"/services/web": members, "/services/production/web": members, "/services/api": members});
    nodes.unwrap_or(usual).as_object().unwrap().clone()
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn data(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Renders the files of one heading, each checked by its `check_cmd` as printed. Their destinations are under `root`.
fn render(page: &str, files: &[Block], dir: &Path) {
    for (path, value) in nodes(page) {
        let path = dir.join(format!("registry{path}"));
        match value.as_object() {
            Some(children) => children.iter().for_each(|(name, value)| write(&path.join(name), &data(value))),
            None => write(&path, &data(&value)),
        }
    }
    let url = format!("url = \"dir:{}/registry\"", dir.display());
    for block in files {
        let local = |line: &str| match line.split_once(" = ") {
            Some(("url", _)) => url.clone(),
            Some(("dest", dest)) => format!("dest = \"{}/root{}\nmake_dirs = true", dir.display(), &dest[1..]),
            _ => line.to_owned(),
        };
        let name = file_name(block).unwrap();
        let mut text = block.text.clone();
        if block.language == "toml" {
            text = text.lines().map(local).collect::<Vec<_>>().join("\n");
        }
        if name == "rosterd.toml" {
            let registry = if text.contains("[registry]") { "" } else { &format!("[registry]\n{url}\n") };
            text = format!("agent.state_dir = \"state\"\nstatus.socket = \"state/sock\"\n{registry}{text}\n");
        }
        write(&dir.join(name), &text);
    }
    let config = dir.join("rosterd.toml");
    let output = rosterd(&["-c", config.to_str().unwrap(), "render", "--no-reload"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", files[0].place);
    assert!(said.contains("event=file_written"), "{}: {said}", files[0].place);
    assert!(!said.contains(" WARN "), "{}: {said}", files[0].place);
}

#[test]
fn every_shown_template_passes_its_check_as_printed() {
    let mut checks = 0;
    for page in pages() {
        for (_, files) in shown(&page) {
            render(&page, &files, TempDir::new().unwrap().path());
            checks += usize::from(files.iter().any(|block| block.text.contains("check_cmd = ")));
        }
    }
    assert!(checks >= 7, "only {checks} were found");
}

#[test]
fn a_recipe_has_the_template_that_init_writes() {
    let mut same = 0;
    for block in blocks("docs/recipes.md").iter().filter(|block| block.language == "jinja") {
        let shipped = file_name(block).and_then(|name| fs::read_to_string(root().join(name)).ok());
        if let Some(shipped) = shipped {
            let (_, body) = shipped.split_once("-#}\n").unwrap();
            assert_eq!(block.text.split_once('\n').unwrap().1, body, "{}", block.place);
            same += 1;
        }
    }
    assert!(same >= 4, "only {same} were found");
}

/// A server that is ended with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

#[test]
fn pgbouncer_starts_with_its_file() {
    let page = "docs/recipes.md";
    let (_, files) = shown(page).into_iter().find(|(heading, _)| heading == "PgBouncer").unwrap();
    let dir = TempDir::new().unwrap();
    render(page, &files, dir.path());
    // PgBouncer does not run as root.
    let run = TempDir::new().unwrap();
    let at = run.path().display();
    fs::copy(dir.path().join("root/etc/pgbouncer/databases.ini"), run.path().join("databases.ini")).unwrap();
    write(&run.path().join("users"), "\"test\" \"\"\n");
    let settings = format!(
        "%include {at}/databases.ini\n[pgbouncer]\nunix_socket_dir = {at}\nlisten_port = 6432\nauth_type = trust\n\
         auth_file = {at}/users\nadmin_users = test\n"
    );
    write(&run.path().join("pgbouncer.ini"), &settings);
    let mut command = Command::new("pgbouncer");
    if nix::unistd::geteuid().is_root() {
        Command::new("chown").args(["-R", "nobody"]).arg(run.path()).status().unwrap();
        command.args(["-u", "nobody"]);
    }
    command.arg(run.path().join("pgbouncer.ini")).stdin(Stdio::null()).stderr(Stdio::null());
    let _running = Running(command.spawn().expect("pgbouncer is missing: apt-get install pgbouncer"));
    let show = || {
        let mut psql = Command::new("psql");
        psql.args([
            "-h",
            run.path().to_str().unwrap(),
            "-p",
            "6432",
            "-U",
            "test",
            "-Atc",
            "SHOW DATABASES",
            "pgbouncer",
        ]);
        String::from_utf8(psql.output().unwrap().stdout).unwrap()
    };
    assert!(holds(PATIENCE, || show().contains("app|10.0.2.1,10.0.2.2|5432|app|")), "{}", show());
}
