//! A program that the agent runs: its start, changes of its files, and its end.

use std::fs;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::site::{Agent, PATIENCE, Site};
use crate::support::wait::holds;

mod exit;
mod inherited;
pub mod orphans;

const CONFIG: &str = web!(
    r#"wait = "20ms:200ms""#,
    r#"
[[template]]
src = "web.tera"
dest = "out/web.cfg"
reload_interval = "0s"
"#
);

/// Writes to `said` at its start, with the content of its file, and for each signal. `sh` runs a trap between two
/// commands, so none of them takes long.
const PROGRAM: &str = r#"
trap 'echo "hup $(cat SITE/out/web.cfg)" >> SITE/said' HUP
trap 'echo usr1 >> SITE/said' USR1
trap 'echo quit >> SITE/said' QUIT
trap 'echo usr2 >> SITE/said' USR2
trap 'echo term >> SITE/said; exit 5' TERM
echo $$ > SITE/pid
echo "started $(cat SITE/out/web.cfg) $GREETING" >> SITE/said
while :; do sleep 0.02; done
"#;

/// The table that runs [`PROGRAM`], with additional keys.
fn running(more: &str) -> String {
    format!("[exec]\ncmd = [\"/bin/sh\", \"SITE/program.sh\"]\nenv = {{ GREETING = \"hello\" }}\n{more}\n")
}

/// A directory with [`PROGRAM`] in it.
fn site(config: &str) -> Site {
    let site = Site::new(config);
    let folder = site.path("").to_string_lossy().trim_end_matches('/').to_owned();
    site.file("program.sh", &PROGRAM.replace("SITE", &folder));
    site.file("templates/web.tera", "{% for m in web %}{{ m.name }}{% endfor %}");
    fs::create_dir_all(site.path("registry/services/web")).unwrap();
    site
}

fn join(site: &Site, member: &str) {
    site.file(&format!("registry/services/web/{member}"), "-");
}

fn status(site: &Site) -> serde_json::Value {
    serde_json::from_str(&site.run(&["status", "--json"]).stdout()).unwrap_or_default()
}

fn says(agent: &Agent, site: &Site, said: &str) {
    let is_said = holds(PATIENCE, || site.read("said") == said);
    assert!(is_said, "{said:?} and not {:?}:\n{}", site.read("said"), agent.log().join("\n"));
}

fn is_gone(pid: &str) -> bool {
    kill(Pid::from_raw(pid.trim().parse().unwrap()), None) == Err(Errno::ESRCH)
}

#[test]
fn it_starts_with_its_files_and_is_signalled_after_changes() {
    let site = site(&format!("{CONFIG}{}", running("reload_signal = \"HUP\"")));
    site.file(
        "program.sh",
        &format!("trap 'echo cont >> {}' CONT\n{}", site.path("said").display(), site.read("program.sh")),
    );
    let mut agent = site.start();
    agent.until("waits for its file", || {
        site.run(&["status"]).stdout().contains("WAITING for files to be up to date: web.cfg")
    });
    assert_eq!(status(&site)["program"]["waiting_for"][0], "web.cfg");
    join(&site, "a");
    says(&agent, &site, "started a hello\n");
    join(&site, "b");
    says(&agent, &site, "started a hello\nhup ab\n");
    agent.says("signal sent to program: web.cfg event=program_signalled").says("signal=SIGHUP");
    // One signal at a time, because a shell runs several pending traps in any order.
    let mut said = site.read("said");
    let passed_on =
        [(Signal::SIGUSR1, "usr1"), (Signal::SIGUSR2, "usr2"), (Signal::SIGQUIT, "quit"), (Signal::SIGCONT, "cont")];
    for (signal, word) in passed_on {
        agent.signal(signal);
        said = format!("{said}{word}\n");
        says(&agent, &site, &said);
    }
    assert_eq!(status(&site)["program"]["pid"].to_string(), site.read("pid").trim());
    assert!(agent.stop().success(), "the agent exits with 0, whatever its program's exit code");
    assert_eq!(site.read("said"), format!("{said}term\n"));
    assert!(is_gone(&site.read("pid")));
}

#[test]
fn changes_together_restart_it_once() {
    let second = "[[template]]\nsrc = \"web.tera\"\ndest = \"out/two.cfg\"\nreload_interval = \"0s\"\n";
    let own = "[[template]]\nsrc = \"web.tera\"\ndest = \"out/own.cfg\"\nreload_cmd = \"echo reloaded >> SITE/own\"\n";
    let site = site(&format!("{CONFIG}{second}{own}{}", running("splay = \"50ms\"")));
    join(&site, "a");
    let mut agent = site.start();
    says(&agent, &site, "started a hello\n");
    join(&site, "b");
    says(&agent, &site, "started a hello\nterm\nstarted ab hello\n");
    agent.says("signal sent to program: two.cfg, web.cfg event=program_signalled");
    agent.until("reloads its own", || site.read("own").lines().count() == 2);
    let owes = |it: &serde_json::Value| it["owed_reload"] == true;
    agent.until("all changes are applied", || !status(&site)["templates"].as_array().unwrap().iter().any(owes));
    assert_eq!(status(&site)["program"]["starts"], 2);
    assert!(agent.stop().success());
}

#[test]
fn a_splay_delays_changes_but_not_the_start() {
    let site = site(&format!("{CONFIG}{}", running("splay = \"300h\"")));
    join(&site, "a");
    let mut agent = site.start();
    says(&agent, &site, "started a hello\n");
    join(&site, "b");
    agent.until("shows the splay", || site.run(&["status"]).stdout().contains("applies changes in "));
    assert_eq!(status(&site)["templates"][0]["owed_reload"], true);
    assert!(agent.stop().success(), "stopping does not wait for the splay");
    assert_eq!(agent.said("still pending"), 0, "the next start applies the file");
    assert_eq!(site.read("said"), "started a hello\nterm\n");
}

#[test]
fn it_is_killed_with_its_group_after_kill_timeout() {
    let site = site(&format!("{CONFIG}{}", running("kill_signal = \"USR2\"\nkill_timeout = \"200ms\"")));
    // Its child is in its group, and outlives the shell.
    let child = format!("sleep 300 & echo $! > {}\nwhile :;", site.path("child").display());
    site.file("program.sh", &site.read("program.sh").replace("while :;", &child));
    join(&site, "a");
    let mut agent = site.start();
    let has_child = || site.read("child").trim().parse::<i32>().is_ok();
    agent.until("has a child", has_child);
    let (pid, child) = (site.read("pid"), site.read("child"));
    join(&site, "b");
    says(&agent, &site, "started a hello\nusr2\nstarted ab hello\n");
    agent.until("ends all of the first", || is_gone(&pid) && is_gone(&child));
    agent.until("has another child", || has_child() && site.read("child") != child);
    assert!(agent.stop().success());
    assert_eq!(site.read("said"), "started a hello\nusr2\nstarted ab hello\nusr2\n");
    agent.until("ends all", || is_gone(&site.read("pid")) && is_gone(&site.read("child")));
    assert_eq!(agent.said("program killed"), 2);
}

#[test]
fn a_program_that_exits_at_once_is_restarted_and_files_stay_up_to_date() {
    let site = site(&format!("{CONFIG}[exec]\ncmd = \"echo start >> SITE/starts; exit 3\"\n"));
    join(&site, "a");
    let mut agent = site.start();
    agent
        .says("program exited: exit 3 event=program_exited exit=3 retry_in_s=1")
        .says("program exited: exit 3 event=program_exited exit=3 retry_in_s=2");
    join(&site, "b");
    agent.until("files are still updated", || site.read("out/web.cfg") == "ab");
    agent.until("is started a third time", || site.read("starts").lines().count() >= 3);
    agent.until("status shows the exit", || {
        let program = &status(&site)["program"];
        program["starts"].as_u64() >= Some(3) && program["next"].is_string()
    });
    agent.until("status shows the text", || site.run(&["status"]).stdout().contains("STOPPED: exit 3 at "));
    assert!(agent.stop().success());
}

#[test]
fn with_on_exit_stop_the_agent_exits_with_its_program() {
    let cases = [("exit 7", "run", 7), ("kill -KILL $$", "run", 137), ("exit 7", "run -- /bin/sh -c", 9)];
    for (cmd, args, code) in cases {
        let site = site(&format!("{CONFIG}[exec]\ncmd = \"{cmd}\"\non_exit = \"stop\"\n"));
        join(&site, "a");
        let mut args: Vec<&str> = args.split(' ').collect();
        if args.len() > 1 {
            args.push("exit 9");
        }
        assert_eq!(site.run(&args).code(), code, "{cmd} {args:?}");
        assert_eq!(site.read("out/web.cfg"), "a");
    }
}

#[test]
fn a_program_of_the_command_line_that_does_not_start_ends_the_agent_as_a_shell_ends() {
    let alone = site(CONFIG);
    join(&alone, "a");
    for program in ["nosuchprog", "/nosuch/prog", "/etc/passwd"] {
        let ended = alone.run(&["run", "--", program]);
        assert!(ended.expect(127).stderr().contains("event=program_start_failed"), "{}", ended.stderr());
    }
    // The configuration decides otherwise, or names the program itself.
    for (exec, program) in [("on_exit = \"restart\"", "nosuchprog"), ("cmd = [\"nosuchprog\"]", "")] {
        let site = site(&format!("{CONFIG}[exec]\n{exec}\n"));
        join(&site, "a");
        let args: &[&str] = if program.is_empty() { &["run"] } else { &["run", "--", program] };
        let mut agent = site.start_with(args);
        agent.says_times("event=program_start_failed", 2);
        assert!(agent.stop().success());
    }
}

#[test]
fn one_line_says_why_the_program_has_not_started() {
    let failing = CONFIG.replace("dest =", "check_cmd = \"exit 3\"\ndest =");
    let held = CONFIG.to_owned();
    for (config, members, why) in [
        (failing, &["a"][..], "web.cfg: check failed"),
        (held, &[][..], "web.cfg: web has no known-good data yet: it is held"),
    ] {
        let site = site(&format!("{config}{}", running("")));
        for member in members {
            join(&site, member);
        }
        let mut agent = site.start();
        agent.says(&format!("waiting for files before starting the program: {why} event=program_waiting"));
        assert!(agent.stop().success());
        assert_eq!(agent.said("event=program_waiting"), 1);
    }
}

#[test]
fn without_its_registry_it_starts_with_existing_files() {
    let config = CONFIG.replace("dir:registry", "zk://127.0.0.1:1");
    let there = site(&format!("{config}{}", running("")));
    there.file("out/web.cfg", "old");
    let mut agent = there.start();
    says(&agent, &there, "started old hello\n");
    assert!(agent.stop().success());

    let missing = site(&format!("{config}{}", running("")));
    let mut agent = missing.start();
    agent.says(
        "waiting for files before starting the program: web.cfg: web has no known-good data yet: its registry is unreachable \
         event=program_waiting",
    );
    agent.until("waits", || missing.run(&["status"]).stdout().contains("WAITING for files to be up to date: web.cfg"));
    assert!(agent.stop().success());
    assert_eq!(missing.read("said"), "");
}

#[test]
fn hup_changes_removes_and_adds_a_program() {
    let site = site(&format!("{CONFIG}{}", running("")));
    join(&site, "a");
    let mut agent = site.start();
    says(&agent, &site, "started a hello\n");
    let hup = |table: &str, log: &str| {
        let before = agent.said(log);
        site.configure(&format!("{CONFIG}{table}"));
        agent.signal(Signal::SIGHUP).says_times(log, before + 1);
    };
    hup(&running("kill_signl = \"TERM\""), "configuration rejected");
    hup(&running("kill_timeout = \"9s\""), "configuration changed: exec kill_timeout: \"30s\" → \"9s\"");
    assert_eq!(status(&site)["program"]["starts"], 1, "the change takes effect without a restart");
    hup(&running("").replace("hello", "bye"), "configuration changed: exec env GREETING changed");
    says(&agent, &site, "started a hello\nterm\nstarted a bye\n");
    hup("", "configuration changed: exec removed");
    says(&agent, &site, "started a hello\nterm\nstarted a bye\nterm\n");
    agent.until("no program", || status(&site)["program"].is_null());
    join(&site, "b");
    agent.until("goes on", || site.read("out/web.cfg") == "ab");
    hup(&running(""), "configuration changed: exec added");
    says(&agent, &site, "started a hello\nterm\nstarted a bye\nterm\nstarted ab hello\n");
    assert!(agent.stop().success());
}

#[test]
fn another_command_waits_for_its_files() {
    let site = site(&format!("{CONFIG}{}", running("")));
    join(&site, "a");
    let mut agent = site.start();
    says(&agent, &site, "started a hello\n");
    let pid = site.read("pid");
    let more = "[[roster]]\nname = \"more\"\npath = \"/services/more\"\nwait = \"20ms:200ms\"\n\n\
                [[template]]\nsrc = \"more.tera\"\ndest = \"out/more.cfg\"\n";
    site.file("templates/more.tera", "{% for m in more %}{{ m.name }}{% endfor %}");
    let with_more = running("").replace("hello\" }", "$(cat SITE/out/more.cfg)\" }").replace("program.sh", "more.sh");
    let text = site.read("program.sh").replace("$GREETING", &format!("$(cat {})", site.path("out/more.cfg").display()));
    site.file("more.sh", &text).configure(&format!("{CONFIG}{more}{with_more}"));
    agent.signal(Signal::SIGHUP).says("configuration changed: exec cmd: [");
    agent.until("waits for the new file", || {
        site.run(&["status"]).stdout().contains("new command WAITING for files to be up to date: more.cfg")
    });
    assert_eq!(status(&site)["program"]["waiting_for"][0], "more.cfg");
    join(&site, "b");
    says(&agent, &site, "started a hello\nterm\nstarted ab hello\n");
    assert_ne!(site.read("pid"), pid, "the old command was restarted for the changed file");
    site.file("registry/services/more/c", "-");
    says(&agent, &site, "started a hello\nterm\nstarted ab hello\nterm\nstarted ab c\n");
    assert!(agent.stop().success());
}

#[test]
fn a_single_pass_runs_no_program() {
    let site = site(&format!("{CONFIG}[exec]\ncmd = \"echo ran >> SITE/ran\"\n"));
    join(&site, "a");
    site.run(&["render"]).expect(0);
    assert_eq!((site.read("out/web.cfg").as_str(), site.read("ran").as_str()), ("a", ""));
}

#[test]
fn a_second_signal_ends_the_agent_without_its_program() {
    let site = site(&format!("{CONFIG}{}", running("kill_signal = \"USR2\"\nkill_timeout = \"1h\"")));
    join(&site, "a");
    let mut agent = site.start();
    says(&agent, &site, "started a hello\n");
    agent.signal(Signal::SIGTERM);
    says(&agent, &site, "started a hello\nusr2\n");
    join(&site, "b");
    agent.until("files are still updated", || site.read("out/web.cfg") == "ab");
    assert!(agent.stop().success());
    agent.until("is killed", || is_gone(&site.read("pid")));
}
