//! Reloads that hang, daemonize, ignore signals, write endlessly, or fail at first: each is handled without delaying
//! the others, uses little memory, and leaves no process behind.

use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid};

use crate::harness::site::{Agent, PATIENCE, Site};
use crate::support::wait::{eventually, holds};

/// Templates with a reload each, which first appends its pid to a file.
const RELOADS: [(&str, &str); 5] = [
    ("hangs", "sleep 1000 & test -e SITE/mended || sleep 1000"),
    ("deaf", "trap \"\" TERM; while :; do sleep 1000; done"),
    ("loud", "yes | head -c 300000000; echo the last words; exit 4"),
    ("fails", "test $(wc -l < SITE/fails) -ge 3"),
    ("forks", "setsid sh -c \"exec sleep 1000\" &"),
];

/// Living processes that were started for this site.
fn alive(site: &Site) -> Vec<Pid> {
    let dest = format!("ROSTERD_DEST={}", site.path("out").display());
    let numbers = fs::read_dir("/proc").unwrap().flatten().filter_map(|it| it.file_name().to_str()?.parse().ok());
    let is_own = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|one| one.starts_with(dest.as_bytes()))
    };
    numbers.filter(is_own).map(Pid::from_raw).collect()
}

/// The pids of a reload's runs so far. Each led a process group.
fn runs(site: &Site, name: &str) -> Vec<Pid> {
    site.read(name).lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw).collect()
}

/// Whether no process of a run's group is alive.
fn is_gone(site: &Site, run: Pid) -> bool {
    alive(site).into_iter().all(|pid| getpgid(Some(pid)) != Ok(run))
}

/// Kills what a test leaves running, on purpose or not.
struct Sweep<'a>(&'a Site);

impl Drop for Sweep<'_> {
    fn drop(&mut self) {
        for pid in alive(self.0) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

/// Software that handles a signal by writing it down.
struct Software(Child);

impl Software {
    fn start(site: &Site) -> Self {
        let script = "trap 'echo hup >> heard' HUP; echo $$ > pid; while :; do sleep 0.02; done";
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(site.path("")).stdin(Stdio::null());
        let software = Self(command.spawn().unwrap());
        eventually(PATIENCE, "the software runs", || site.read("pid").ends_with('\n'));
        software
    }
}

impl Drop for Software {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn site() -> Site {
    let mut config = "[registry]\nurl = \"dir:registry\"\n\n\
                      [[roster]]\nname = \"web\"\npath = \"/web\"\nwait = \"0s:0s\"\n"
        .to_owned();
    let mut template = |name: &str, reload: &str| {
        let _ = writeln!(config, "\n[[template]]\nname = \"{name}\"\nsrc = \"web.tera\"\ndest = \"out/{name}\"");
        let _ = writeln!(config, "reload_interval = \"0s\"\n{reload}");
    };
    for (name, command) in RELOADS {
        let timeout = if name == "loud" { "60s" } else { "1s" };
        template(
            name,
            &format!("reload_timeout = \"{timeout}\"\nreload_cmd = '''echo $$ >> SITE/{name}; {command}'''"),
        );
    }
    template("told", "reload_cmd = { signal = \"HUP\", pid_file = \"SITE/pid\" }");
    let site = Site::new(&config);
    site.file("templates/web.tera", "{% for m in web %}{{ m.name }}\n{% endfor %}").file("registry/web/a:1", "");
    site
}

/// Whether a reload has succeeded.
fn is_done(agent: &Agent, name: &str) -> bool {
    agent.said(&format!("reload succeeded: {name} event=reload_succeeded ")) > 0
}

#[test]
fn each_reload_is_handled_without_delaying_others() {
    let site = site();
    let (_sweep, _software) = (Sweep(&site), Software::start(&site));
    let mut agent = site.start();
    agent.until("a signal is handled", || site.read("heard") == "hup\n" && is_done(&agent, "told"));
    agent.until("a daemon is left running", || is_done(&agent, "forks"));
    // It fails twice, and then succeeds.
    agent.until("it succeeds in the end", || is_done(&agent, "fails"));
    assert_eq!(runs(&site, "fails").len(), 3, "{}", agent.log().join("\n"));
    // A run has ended, with all its processes, before the next one begins.
    let again = |name: &str| {
        agent.until(&format!("{name} is retried"), || runs(&site, name).len() >= 2);
        assert!(is_gone(&site, runs(&site, name)[0]), "the first run of {name} has left processes");
    };
    again("hangs");
    agent.says("did not exit within 1s");
    assert!(!is_done(&agent, "hangs"));
    site.file("mended", "");
    agent.until("the corrected reload succeeds", || is_done(&agent, "hangs"));
    // The end of its output is kept, the rest is not.
    agent.says("the last words");
    agent.says("exited with 4");
    let memory = agent.memory();
    println!("{memory:?}");
    assert!(memory.peak < 64 << 10, "{memory:?}");
    // It is stopped during a run that ignores signals.
    again("deaf");
    assert!(agent.stop().success());
    assert!(runs(&site, "deaf").into_iter().all(|run| is_gone(&site, run)), "a process is left");
    assert_eq!(runs(&site, "fails").len(), 3);
    // The daemon, and the process that a successful reload has left on purpose.
    let left = || alive(&site).len();
    assert!(holds(PATIENCE, || left() == 2), "{:?}", alive(&site));
}

/// The log line for processes that a command has left.
const LEFT: &str = "command left processes running: ";

/// A site of templates with these reloads, by name.
fn site_of(reloads: &[(&str, &str)]) -> Site {
    let mut config = "[registry]\nurl = \"dir:registry\"\n\n\
                      [[roster]]\nname = \"web\"\npath = \"/web\"\nwait = \"0s:0s\"\n"
        .to_owned();
    for (name, reload) in reloads {
        let _ = writeln!(config, "\n[[template]]\nname = \"{name}\"\nsrc = \"web.tera\"\ndest = \"out/{name}\"");
        let _ = writeln!(config, "reload_interval = \"0s\"\nreload_timeout = \"2s\"\nreload_cmd = '''{reload}'''");
    }
    let site = Site::new(&config);
    site.file("templates/web.tera", "{% for m in web %}{{ m.name }}\n{% endfor %}").file("registry/web/a:1", "");
    site
}

#[test]
fn processes_that_left_the_group_of_a_killed_reload_are_named() {
    let site = site_of(&[("strays", "setsid sh -c \"echo \\$\\$ >> SITE/stray; exec sleep 1000\" & sleep 1000")]);
    let _sweep = Sweep(&site);
    let mut agent = site.start();
    let names = || {
        let strays = site.read("stray");
        strays
            .lines()
            .map(|pid| format!("; still running outside its process group: sleep 1000 (pid {pid})"))
            .collect::<Vec<_>>()
    };
    let tells = |text: &str| {
        names().iter().any(|name| text.contains("was terminated (see reload_timeout)") && text.contains(name))
    };
    agent.until("the log names it", || agent.log().iter().any(|line| line.contains("reload failed") && tells(line)));
    agent.until("status names it", || tells(&site.run(&["status", "--json"]).stdout()));
    agent.until("explain names it", || tells(&site.run(&["explain", "strays"]).stdout()));
    // When the agent is stopped during a run, only the log can report it.
    let runs = || site.read("stray").lines().count();
    let before = runs();
    let is_asleep = |pid: &str| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n");
    agent.until("it runs once more", || runs() > before && site.read("stray").lines().all(is_asleep));
    assert!(agent.stop().success());
    let last = names().pop().unwrap();
    assert!(agent.log().iter().any(|line| line.contains(&last)), "{last}: {}", agent.log().join("\n"));
}

#[test]
fn processes_left_by_a_reload_that_exited_are_neither_killed_nor_logged() {
    let site = site_of(&[("quiet", "setsid sleep 1000 > /dev/null 2>&1 &"), ("noisy", "sleep 1000 &")]);
    let _sweep = Sweep(&site);
    let mut agent = site.start();
    agent.until("both have run", || is_done(&agent, "quiet") && is_done(&agent, "noisy"));
    assert!(agent.stop().success());
    assert_eq!(alive(&site).len(), 2, "{}", agent.log().join("\n"));
    assert_eq!(agent.said(LEFT), 0, "{}", agent.log().join("\n"));
}

#[test]
fn processes_of_the_next_reload_are_not_attributed_to_the_previous_one() {
    let site = site_of(&[("slow", "sleep 0.4")]);
    let mut agent = site.start();
    for number in 0..12 {
        let begun = Instant::now();
        site.file(&format!("registry/web/m{number}:1"), "");
        agent.until("it is in the file", || site.read("out/slow").contains(&format!("m{number}:1\n")));
        let _ = holds(Duration::from_millis(250).saturating_sub(begun.elapsed()), || false);
    }
    let reloads = || agent.log().iter().filter(|line| line.contains("event=reload_succeeded")).count();
    agent.until("it was reloaded often", || reloads() >= 4);
    assert!(agent.stop().success());
    assert_eq!(agent.said("left processes"), 0, "{}", agent.log().join("\n"));
}

#[test]
fn a_daemon_that_writes_endlessly_uses_little_cpu() {
    let site = site_of(&[("flood", "setsid yes &")]);
    let _sweep = Sweep(&site);
    let mut agent = site.start();
    agent.until("only the daemon runs", || is_done(&agent, "flood") && alive(&site).len() == 1);
    // Everything it writes would have to be read by the agent.
    let read = || -> u64 {
        let io = fs::read_to_string(format!("/proc/{}/io", agent.pid())).unwrap();
        io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
    };
    let (before, begun) = (read(), Instant::now());
    agent.until("a megabyte is read", || read() > before + (1 << 20));
    let _ = holds(Duration::from_secs(1), || false);
    let rate = u128::from(read() - before) * 1000 / begun.elapsed().as_millis();
    assert!(rate < 20_000_000, "{rate} bytes a second");
    let yes = alive(&site);
    assert!(yes.len() == 1 && agent.stop().success(), "{yes:?}");
}
