//! Commands that end by themselves: `render`, `diff`, `check`, `get` and `ls`, for Puppet, Chef and shell scripts.

use crate::harness::site::Site;

const CONFIG: &str = web!(
    r#""#,
    r#"
[[roster]]
name = "db"
path = "/services/db"

[[template]]
name = "web"
src = "web.tera"
dest = "out/web"
reload_cmd = "echo web >> SITE/reloads"

[[template]]
name = "db"
src = "db.tera"
dest = "out/db"
reload_cmd = "echo db >> SITE/reloads"
"#
);

fn site() -> Site {
    let site = Site::new(CONFIG);
    site.file("templates/web.tera", "{% for m in web %}{{ m.address }}\n{% endfor %}");
    site.file("templates/db.tera", "{% for m in db %}{{ m.slot }} {{ m.address }}\n{% endfor %}");
    site.file("registry/services/web/10.0.0.2:80", "").file("registry/services/web/10.0.0.1:80", "");
    site.file("registry/services/db/10.1.0.1:5432", r#"{"zone": "a"}"#);
    site
}

#[test]
fn render_exits_2_after_a_change_and_then_0() {
    let site = site();
    site.run(&["render", "--detailed-exitcode"]).expect(2);
    assert_eq!(site.read("out/web"), "10.0.0.1:80\n10.0.0.2:80\n");
    assert_eq!(site.read("out/db"), "0 10.1.0.1:5432\n");
    let reloads = site.read("reloads");
    assert!(reloads == "web\ndb\n" || reloads == "db\nweb\n", "{reloads}");
    let before = site.fingerprint("out/web");
    site.run(&["render", "--detailed-exitcode"]).expect(0);
    assert_eq!(site.fingerprint("out/web"), before);
    assert_eq!(site.read("reloads"), reloads);
    site.run(&["render"]).expect(0);
}

#[test]
fn slots_are_kept_across_starts() {
    let site = site();
    let db = |n: u8| format!("registry/services/db/10.1.0.{n}:5432");
    site.file(&db(2), "").file(&db(3), "");
    site.run(&["render"]).expect(0);
    site.remove(&db(1));
    site.run(&["diff"]).expect(2);
    site.run(&["render"]).expect(0);
    assert_eq!(site.read("out/db"), "1 10.1.0.2:5432\n2 10.1.0.3:5432\n", "members that stay keep their slots");
    site.run(&["render", "web"]).expect(0);
    site.run(&["diff"]).expect(0);
    site.file(&db(1), "").file(&db(4), "");
    let mut agent = site.start();
    let expected = "0 10.1.0.1:5432\n1 10.1.0.2:5432\n2 10.1.0.3:5432\n3 10.1.0.4:5432\n";
    agent.until("the free number first", || site.read("out/db") == expected);
    site.remove(&db(2));
    agent.until("one less", || site.read("out/db").lines().count() == 3);
    assert!(agent.stop().success());
    let before = site.fingerprint("out/db");
    let mut agent = site.start();
    agent.says_times("event=file_unchanged", 2);
    assert_eq!(site.fingerprint("out/db"), before);
    assert!(agent.stop().success() && site.leftovers().is_empty());
}

#[test]
fn diff_exits_2_and_shows_changes_without_writing() {
    let site = site();
    let first = site.run(&["diff"]);
    first.expect(2);
    assert!(first.stdout().contains("+10.0.0.1:80\n"), "{}", first.stdout());
    assert!(!site.path("out/web").exists() && !site.path("reloads").exists());
    site.run(&["render"]).expect(0);
    site.run(&["diff"]).expect(0);
    let before = (site.fingerprint("out/web"), site.read("reloads"));
    site.remove("registry/services/web/10.0.0.2:80");
    let second = site.run(&["diff"]);
    second.expect(2);
    assert!(second.stdout().contains("-10.0.0.2:80\n"), "{}", second.stdout());
    site.run(&["-onetime", "-noop"]).expect(0);
    site.run(&["render", "--dry-run", "--diff", "--detailed-exitcode"]).expect(2);
    assert_eq!((site.fingerprint("out/web"), site.read("reloads")), before);
}

#[test]
fn too_few_members_exit_3_and_other_templates_are_written() {
    let site = site();
    site.run(&["render"]).expect(0);
    let before = site.fingerprint("out/web");
    site.remove("registry/services/web/10.0.0.1:80").remove("registry/services/web/10.0.0.2:80");
    site.file("registry/services/db/10.1.0.2:5432", "");
    let held = site.run(&["render"]);
    held.expect(3);
    assert!(
        held.stderr().contains("hold in effect: /services/web has 0 members but needs at least 1"),
        "{}",
        held.stderr()
    );
    assert_eq!(site.fingerprint("out/web"), before);
    assert_eq!(site.read("out/db"), "0 10.1.0.1:5432\n1 10.1.0.2:5432\n");
    let dry = site.run(&["render", "--dry-run"]);
    assert_eq!(dry.expect(3).stderr().matches("event=roster_held").count(), 1, "{}", dry.stderr());
    site.run(&["render", "--held-ok"]).expect(0);
    site.run(&["render", "db"]).expect(0);
    site.run(&["render", "web"]).expect(3);
    let unknown = site.run(&["render", "nobody"]);
    assert_eq!(unknown.expect(64).stderr(), "rosterd: no template is named nobody; known templates: web, db\n");
}

#[test]
fn a_key_that_never_had_enough_members_is_left_out() {
    let site = site();
    site.file("rosterd.toml", &site.read("rosterd.toml").replace("/services/web\"", "/services/*\"\nmin = 2"));
    site.file("templates/web.tera", "{% for k, members in web %}{{ k }}: {{ members | length }}\n{% endfor %}");
    site.run(&["render", "web"]).expect(0);
    assert_eq!(site.read("out/web"), "web: 2\n", "db has one member");
    site.remove("out/web").remove("registry/services/web/10.0.0.1:80");
    site.run(&["render", "web"]).expect(3);
    assert_eq!(site.read("out/web"), "web: 2\n", "it had enough members before, and they are saved");
    site.remove("out/web").remove("state/rosters/web.roster");
    site.run(&["render", "web"]).expect(3);
    assert!(!site.path("out/web").exists());
}

#[test]
fn a_stopped_pass_exits_1() {
    let site = site();
    let mut pass = site.start_with(&["render", "--registry", "zk://127.0.0.1:1", "--timeout", "1h"]);
    pass.says("registry unreachable");
    assert_eq!(pass.stop().code(), Some(1), "{:?}", pass.log());
    pass.says("pass interrupted");
}

#[test]
fn an_unreachable_registry_exits_4_and_nothing_is_written() {
    let site = site();
    site.run(&["render"]).expect(0);
    let before = site.fingerprint("out/web");
    // What a retry would not mend is not waited for.
    site.file("file", "");
    for (url, timeout, reason) in [
        ("zk://127.0.0.1:1", "300ms", "Connection refused"),
        ("dir:nowhere", "1h", "/nowhere does not exist; create it, or correct the registry's url"),
        ("dir:file", "1h", "/file is not a directory"),
    ] {
        let words = |event| if timeout == "1h" { "event=registry_unusable" } else { event };
        for args in [&["render"][..], &["render", "--dry-run"], &["diff"]] {
            let away = site.run(&[args, &["--timeout", timeout, "--registry", url]].concat());
            let stderr = away.expect(4).stderr();
            assert!(stderr.contains("registry unreachable; files that depend on it stay as they are"), "{stderr}");
            assert!(stderr.contains(words("event=registry_timed_out")), "{stderr}");
            assert_eq!(stderr.matches(reason).count(), 1, "{stderr}");
        }
        for args in [&["get", "/services/web", "/services/db"][..], &["ls"]] {
            let away = site.run(&[args, &["--timeout", timeout, "--registry", url]].concat());
            let stderr = away.expect(4).stderr();
            assert_eq!((&*away.stdout(), stderr.matches(reason).count()), ("", 1), "{stderr}");
        }
    }
    assert_eq!(site.fingerprint("out/web"), before);
}

#[test]
fn failures_exit_1() {
    let site = site();
    let config = site.read("rosterd.toml");
    site.file("rosterd.toml", &config.replace("src = \"web.tera\"", "src = \"web.tera\"\ncheck_cmd = \"false\""));
    site.run(&["render"]).expect(1);
    assert!(!site.path("out/web").exists(), "a failed check writes nothing");
    assert_eq!(site.read("out/db"), "0 10.1.0.1:5432\n", "other templates are not affected");
    site.file("rosterd.toml", &config.replace("echo web >>", "false && echo web >>"));
    let reload = site.run(&["render"]);
    reload.expect(1);
    assert!(reload.stderr().contains("reload failed; still pending"), "{}", reload.stderr());
    site.file("rosterd.toml", &config.replace("out/db", "missing/db"));
    for command in ["render", "diff"] {
        let write = site.run(&[command]);
        write.expect(1);
        assert!(write.stderr().contains("event=write_failed template=db"), "{}", write.stderr());
    }
    assert!(site.leftovers().is_empty());
}

#[test]
fn no_reload_replaces_and_runs_nothing() {
    let site = site();
    site.run(&["render", "--no-reload"]).expect(0);
    assert!(site.path("out/web").exists() && !site.path("reloads").exists());
}

#[test]
fn a_template_on_the_command_line_needs_no_file() {
    let site = site();
    site.file("in.tera", "{{ host.name }}\n");
    let spec = format!("in.tera:{0}/one:echo {{{{ dest }}}} > {0}/ran", site.path("").display());
    let args = ["render", "-template", &spec, "-registry", "dir:registry"];
    site.run_without_config(&args).expect(0);
    assert!(!site.read("one").trim().is_empty());
    assert!(site.read("ran").trim().ends_with("/one"), "{}", site.read("ran"));
}

#[test]
fn a_roster_on_the_command_line_needs_no_file() {
    let site = site();
    site.file("web.tera", "{% for m in front %}{{ m.address }} {% endfor %}\n");
    site.file(
        "all.tera",
        "{% for key, members in all %}{{ key }}:{{ members | length }} {% endfor %}{{ front | length }}\n",
    );
    let (rosters, templates) = (
        ["--roster", "front=/services/web", "--roster", "all=/services/*b"],
        ["--template", "web.tera:1", "--template", "all.tera:2"],
    );
    let render = |registry: &[&str], more: &[&str]| site.run_without_config(&[&["render"], registry, more].concat());
    let registry = ["--registry", "dir:registry"];
    render(&registry, &[rosters, templates].concat()).expect(0);
    assert_eq!((&*site.read("1"), &*site.read("2")), ("10.0.0.1:80 10.0.0.2:80 \n", "db:1 web:2 2\n"));
    site.run(&[&["render", "--roster", "front=/services/web", "--template", "web.tera:3"][..]].concat()).expect(0);
    assert_eq!(site.read("3"), site.read("1"), "with a configuration file, in its first registry");
    let held = render(&registry, &["--roster", "front=/services/none", "--template", "web.tera:4"]);
    assert!(
        held.expect(3).stderr().contains("/services/none has 0 members but needs at least 1: the path does not exist"),
        "{}",
        held.stderr()
    );
    let template = ["--template", "web.tera:5"];
    for (registry, more, exit, wanted) in [
        (&[][..], &[&["--roster", "front=/s"][..], &template].concat()[..], 78, "there is no registry"),
        (&registry, &["--roster", "front=/s"], 64, "--template <IN:OUT[:CMD]>"),
        (
            &registry,
            &[&["--roster", "/s"][..], &template].concat(),
            78,
            "write NAME=PATH, as in --roster web=/services/web",
        ),
        (&registry, &[&["--roster", "9=/s"][..], &template].concat(), 78, "\"9\" is not a valid variable name"),
        (&registry, &[&["--roster", "host=/s"][..], &template].concat(), 78, "\"host\" is reserved"),
        (
            &registry,
            &[&["--roster", "front=s"][..], &template].concat(),
            78,
            "\"s\" is not a valid path: a registry path starts with /",
        ),
        (
            &registry,
            &[&["--roster", "front=/s", "--roster", "front=/t"][..], &template].concat(),
            78,
            "the name \"front\" is taken",
        ),
    ] {
        let refused = render(registry, more);
        assert!(refused.expect(exit).stderr().contains(wanted), "{more:?}: {}", refused.stderr());
    }
    let taken = site.run(&["render", "--roster", "web=/s", "--template", "web.tera:5"]);
    assert!(taken.expect(78).stderr().contains("give the roster another NAME"), "{}", taken.stderr());
    assert!(!site.path("5").exists());
}

#[test]
fn get_below_min_exits_3_and_prints_nothing() {
    let site = site();
    let all = site.run(&["get", "/services/web"]);
    assert_eq!(all.expect(0).stdout(), "10.0.0.1:80\n10.0.0.2:80\n");
    let first = site.run(&["get", "/services/web", "--min", "2", "--max", "2", "--format", "json"]);
    assert_eq!(first.expect(0).stdout().trim(), r#"["10.0.0.1:80","10.0.0.2:80"]"#);
    assert_eq!(site.run(&["get", "/services/web", "--max", "1"]).expect(0).stdout(), "10.0.0.1:80\n");
    let none = site.run(&["get", "/services/web", "--max", "0"]);
    assert!(none.expect(64).stderr().contains("write a whole number, 1 or more"), "{}", none.stderr());
    let whole = site.run(&["get", "/services/db", "--format", "members"]);
    let whole: serde_json::Value = serde_json::from_str(&whole.expect(0).stdout()).unwrap();
    assert_eq!((&whole[0]["address"], &whole[0]["zone"]), (&"10.1.0.1:5432".into(), &"a".into()));
    for args in [["get", "/services/web", "--min", "3"], ["get", "/services/void", "--min", "1"]] {
        let few = site.run(&args);
        assert_eq!(few.expect(3).stdout(), "", "{args:?}");
        assert!(!few.stderr().is_empty());
    }
    assert_eq!(site.run(&["get", "/services/void", "--min", "0", "--format", "json"]).expect(0).stdout().trim(), "[]");
    let asks = ["get", "/services/web", "--registry", "dir:registry"];
    assert_eq!(site.run_without_config(&asks).expect(0).stdout(), "10.0.0.1:80\n10.0.0.2:80\n");
}

#[test]
fn with_a_registry_option_the_file_of_the_environment_may_be_invalid() {
    let site = site();
    let named = ["get", "/services/web", "--registry", "dir:registry"];
    for config in
        ["nonsense = 1", "[registry]\nurl = \"dir:registry\"\nauth = [{ scheme = \"digest\", file = \"none\" }]"]
    {
        site.file("rosterd.toml", config);
        site.run(&named).expect(0);
        site.run(&["ls", "/", "--registry", "dir:registry"]).expect(0);
        // A file that is named on the command line, or together with the registry in the environment, is read.
        site.run(&[&named[..], &["-c", "rosterd.toml"]].concat()).expect(78);
        site.run_with_env(&[("ROSTERD_REGISTRY", "dir:registry")], &named[..2]).expect(78);
        site.run(&named[..2]).expect(78);
    }
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let site = site();
    site.run_with_env(&[("ROSTERD_REGISTRY", ""), ("ROSTERD_LOG", "")], &["render"]).expect(0);
    site.run_with_env(&[("ROSTERD_REGISTRY", "")], &["get", "/services/web"]).expect(0);
    let asks = ["get", "/services/web", "--registry", "dir:registry"];
    site.run_with_env(&[("ROSTERD_CONFIG", "")], &asks).expect(0);
    // The default file, which does not exist on a machine that runs this test.
    let none = site.run_with_env(&[("ROSTERD_CONFIG", ""), ("ROSTERD_REGISTRY", "")], &["check"]);
    assert!(none.expect(78).stderr().contains("/etc/rosterd/rosterd.toml"), "{}", none.stderr());
    let quiet = [("ROSTERD_LOG", ""), ("RUST_LOG", "error")];
    let checked = site.run_with_env(&quiet, &["check"]);
    assert_eq!(checked.expect(0).stderr(), "");
}

#[test]
fn a_timeout_may_exceed_the_range_of_the_clock() {
    let site = site();
    for command in [&["render"][..], &["diff"], &["get", "/services/web"], &["ls", "/services/web"]] {
        for timeout in ["18446744073709551615s", "9223372036854775807s", "400days"] {
            site.run(&[command, &["--timeout", timeout]].concat()).expect(0);
        }
        let refused = site.run(&[command, &["--timeout", "1x"]].concat());
        assert!(refused.expect(64).stderr().contains("'--timeout <DURATION>': write a number and its unit, as in"));
    }
    let kept = ["get", "/services/web", "--cache", "kept", "--cache-max-age", "18446744073709551615s"];
    site.run(&kept).expect(0);
    site.run(&[&kept[..], &["--registry", "dir:nowhere", "--timeout", "300ms"]].concat()).expect(0);
}

#[test]
fn ls_shows_nodes_and_their_decoded_members() {
    let site = site();
    let shown = site.run(&["ls", "/services/db"]);
    let shown = shown.expect(0).stdout();
    assert!(shown.contains("10.1.0.1:5432") && shown.contains("zone"), "{shown}");
    assert!(site.run(&["ls", "-R", "/"]).expect(0).stdout().contains("10.0.0.2:80"));
}

#[test]
fn check_is_offline_and_wrong_usage_exits_64() {
    let site = site();
    site.run(&["check"]).expect(0);
    site.run(&["check", "--registry", "zk://127.0.0.1:1"]).expect(0);
    site.run(&["-c", "nowhere.toml", "check"]).expect(78);
    site.run(&["check", "--nonsense"]).expect(64);
    site.run(&["fly"]).expect(64);
    site.run(&[]).expect(64);
    site.run(&["--help"]).expect(0);
    site.run(&["-version"]).expect(0);
}

#[test]
fn a_pass_that_fails_says_what_to_do_and_promises_no_retry() {
    let site = Site::new(web!(
        "",
        r#"
[[template]]
src = "web"
dest = "out/checked"
check_cmd = "! grep bad {{ src }}"
isolate = false

[[template]]
src = "web"
dest = "out/reloaded"
reload_cmd = "false"
"#
    ));
    site.file("templates/web", "{% for m in web %}{{ m.name }}{% endfor %}").file("registry/services/web/bad:1", "");
    // A dry run runs neither, and says so.
    let diff = site.run(&["diff"]);
    assert!(
        diff.expect(2)
            .stderr()
            .contains("it may still reject the files of these templates: checked event=checks_not_run\n"),
        "{}",
        diff.stderr()
    );
    let pass = site.run(&["render"]);
    let said = pass.expect(1).stderr();
    for event in ["check_refused", "reload_failed", "pass_reload_pending", "pass_failed"] {
        assert_eq!(
            said.matches(&format!("event={event} ")).count() + said.matches(&format!("event={event}\n")).count(),
            1,
            "{said}"
        );
    }
    assert!(said.contains("correct the cause and run rosterd render again") && !said.contains("retry_in_s"), "{said}");
    site.remove("registry/services/web/bad:1").file("registry/services/web/good:1", "");
    let said = site.run(&["render", "checked"]);
    assert!(!said.expect(0).stderr().contains("pass_failed"), "{}", said.stderr());
}

#[test]
fn check_warns_of_what_is_valid_and_rarely_meant() {
    let site = Site::new(web!(
        "",
        r#"
[[template]]
src = "web"
dest = "out/missing/web"
check_cmd = "sh -n {{ dest }}"

[[template]]
src = "web"
dest = "out/made/other"
make_dirs = true
check_cmd = "test -s $ROSTERD_SRC"
"#
    ));
    site.file("templates/web", "a=${#x}\nb=1 #}\n");
    let said = site.run(&["check"]).expect(0).stderr();
    let wanted = ["check_cmd has no {{ src }}", "the directory of dest, ", "this {# begins a comment"];
    assert_eq!(said.matches("event=config_warning").count(), wanted.len(), "{said}");
    for text in wanted {
        assert_eq!(said.matches(text).count(), 1, "{text}: {said}");
    }
    assert!(said.contains("rosterd.toml:19: check_cmd") && said.contains("templates/web:1: this"), "{said}");
}

/// What a command prints to a terminal, which is both of its outputs.
fn on_terminal(site: &Site, args: &str) -> String {
    let command = format!("{} {args}", env!("CARGO_BIN_EXE_rosterd"));
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).stdin(std::process::Stdio::null()).current_dir(site.path(""));
    let output = script.env("ROSTERD_CONFIG", site.path("rosterd.toml")).output().expect("script is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_long_wait_is_shown_on_a_terminal() {
    let site = site();
    let away = "--registry zk://127.0.0.1:1 --timeout 2500ms";
    std::thread::scope(|scope| {
        let quiet = scope.spawn(|| on_terminal(&site, &format!("get /services/web --quiet {away}")));
        let get = scope.spawn(|| on_terminal(&site, &format!("get /services/web /services/db {away}")));
        let render = scope.spawn(|| on_terminal(&site, &format!("render {away}")));
        let wanted = "rosterd: waiting for /services/db, /services/web (";
        for shown in [get.join().unwrap(), render.join().unwrap()] {
            assert_eq!(shown.matches(wanted).count(), 1, "{shown}");
        }
        let shown = quiet.join().unwrap();
        assert!(!shown.contains("waiting for"), "{shown}");
        let words: Vec<&str> = away.split(' ').collect();
        let piped = site.run(&[&["get", "/services/web"], &words[..]].concat());
        assert!(!piped.expect(4).stderr().contains("waiting for"), "{}", piped.stderr());
    });
    assert!(!on_terminal(&site, "get /services/web").contains("waiting"));
}
