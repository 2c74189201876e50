//! docs/quickstart.md, typed as printed, with a real `ZooKeeper` and a real haproxy.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::harness::haproxy::HaProxy;
use crate::harness::site::{PATIENCE, Site};
use crate::support::docs::blocks;
use crate::support::wait::holds;
use crate::support::zookeeper::{Zk, ZooKeeper};

/// The reader's terminal. `/etc` and the state are in a directory of the test.
struct Reader {
    site: Site,
    client: Zk,
    /// The servers, which the page has at `127.0.0.1:2181`.
    servers: String,
}

impl Reader {
    /// Types a line, and returns what it prints.
    fn type_line(&self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["zkCli.sh", "-server", "127.0.0.1:2181", what, path] = words[..] {
            if what == "create" {
                self.client.put(path, b"");
            } else {
                self.client.remove(path);
            }
            return String::new();
        }
        let line = line.replace("127.0.0.1:2181", &self.servers).replace("/etc/haproxy", &self.path("etc/haproxy"));
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).stdin(Stdio::null()).current_dir(self.site.path("")).envs(self.environment());
        let path = std::env::var("PATH").unwrap();
        let output = shell.env("PATH", format!("{}:{path}", self.path("bin"))).output().unwrap();
        let code = output.status.code();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert!(!matches!(code, Some(64..=127) | None), "{line}: {code:?}: {said}");
        said.replace(&format!(" -c {}", self.path("rosterd.toml")), "").replace(&self.path(""), "/etc/rosterd/")
    }

    fn path(&self, name: &str) -> String {
        self.site.path(name).display().to_string()
    }

    /// In place of the default paths.
    fn environment(&self) -> [(&'static str, String); 3] {
        let of = |name, file| (name, self.path(file));
        [of("ROSTERD_CONFIG", "rosterd.toml"), of("ROSTERD_STATE_DIR", "state"), of("ROSTERD_SOCKET", "sock")]
    }
}

/// The text in one line, without times.
fn plain(text: &str) -> String {
    let is_time = |word: &str| word.starts_with("202") && word.contains('T');
    let words = text.split_whitespace().map(|word| if is_time(word) { "TIME" } else { word });
    let words: Vec<&str> = words.filter(|word| !word.ends_with("ago),") && !word.starts_with('(')).collect();
    words.join(" ")
}

#[test]
fn the_quickstart_works_as_printed() {
    let shared = ZooKeeper::shared();
    let chroot = shared.chroot();
    let (site, haproxy) = (Site::new(""), HaProxy::new());
    site.remove("rosterd.toml").file("etc/haproxy/haproxy.cfg", "global\n    maxconn 10\n").file("bin/.keep", "");
    symlink(env!("CARGO_BIN_EXE_rosterd"), site.path("bin/rosterd")).unwrap();
    let servers = format!("{}{chroot}", shared.connect_string());
    let reader = Reader { site, client: shared.client(&chroot), servers };
    let mut agent = None;
    let blocks: Vec<_> = blocks("docs/quickstart.md").into_iter().filter(|block| block.language != "toml").collect();
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.language == "sh") {
        if block.text == "rosterd run\n" {
            // What a reader who has no systemd and no free port 80 changes.
            let config = reader.site.read("rosterd.toml");
            let reload = config.lines().find(|line| line.starts_with("reload_cmd")).unwrap();
            let own = format!("reload_cmd = \"{}\"", haproxy.reload_command("{{ dest }}"));
            let config = config.replace(reload, &own).replace("\":80\"", &format!("\"127.0.0.1:{}\"", haproxy.port()));
            reader.site.file("rosterd.toml", &config);
            let environment = reader.environment().map(|(name, value)| format!("{name}={value}"));
            let run: Vec<&str> = ["env"].into_iter().chain(environment.iter().map(String::as_str)).collect();
            agent = Some(reader.site.start_by(&run));
            agent.as_ref().unwrap().says("event=reload_succeeded");
            continue;
        }
        let (once, again): (Vec<&str>, Vec<&str>) =
            block.text.lines().partition(|line| line.starts_with("zkCli.sh") || line.starts_with("rosterd init"));
        let first: String = once.iter().map(|line| reader.type_line(line)).collect();
        if first.contains("wrote ") {
            let config = reader.site.read("rosterd.toml").replace("/etc/haproxy", &reader.path("etc/haproxy"));
            reader.site.file("rosterd.toml", &config);
        }
        // On a busy machine the agent may need longer than a reader.
        let shown = blocks.get(at + 1).filter(|next| next.language == "text" || next.language == "diff");
        let mut said = String::new();
        let matches = holds(PATIENCE, || {
            said = first.clone() + &again.iter().map(|line| reader.type_line(line)).collect::<String>();
            shown.is_none_or(|shown| match &*shown.language {
                "diff" => shown.text.lines().filter(|line| line.starts_with('+')).all(|line| said.contains(line)),
                _ => plain(&said).contains(&plain(&shown.text)),
            })
        });
        assert!(matches, "{}: expected\n{}\nbut it printed\n{said}", block.place, shown.unwrap().text);
    }
    let mut agent = agent.unwrap();
    assert!(agent.said("event=roster_held") == 1 && agent.said("event=reload_succeeded") >= 1, "{:?}", agent.log());
    assert!(agent.stop().success());
}
