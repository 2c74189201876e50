//! Files that zk_watcher accepts in part, and that rosterd refuses as a whole.

use super::*;

/// A right file. A space at the end of a line would become a part of its value.
const RIGHT: &str = "[auth]\nuser: username\npassword: 123456\n[web]\ncmd: true\nrefresh: 1\nservice_port: 1\n\
                     service_hostname: h\nzookeeper_path: /services/web\n";

/// What is replaced in it by what, and the place and the message of the error.
const WRONG: [(&str, &str, &str, &str); 10] = [
    ("password: 123456\n", "", "config.cfg:1:1", "[auth] needs `user` and `password`"),
    ("refresh: 1\n", "", "config.cfg:4:1", "[web] has no `refresh`"),
    ("service_port: 1", "service_port: http", "config.cfg:7:1", "\"http\", which is not a port"),
    ("cmd: true", "cmd: date +%s", "config.cfg:5:1", "% is followed neither by % nor by (NAME)s"),
    ("password: 123456", "password: 123456%", "config.cfg:3:1", "% is followed neither by % nor by (NAME)s"),
    ("[web]\n", "[web]\n[web]\n", "config.cfg:5:1", "the section [web] appears twice"),
    ("[web]\n", "[web]\ncmd: false\n", "config.cfg:6:1", "`cmd` appears twice in [web]"),
    ("/services/web", "/services/../web", "config.cfg:9:1", "no . or .. segment"),
    ("cmd: true\n", "cmd: true\nwhat\n", "config.cfg:6:1", "neither = nor :"),
    (RIGHT, "# nothing yet\n", "config.cfg:1:1", "the file has no service"),
];

fn wrong() -> impl Iterator<Item = (String, &'static str, &'static str)> {
    WRONG.into_iter().map(|(from, to, place, message)| {
        assert!(RIGHT.contains(from), "{from}");
        (RIGHT.replace(from, to), place, message)
    })
}

#[test]
fn a_wrong_file_registers_nothing() {
    let site = Site::new("");
    let (servers, client) = chroot();
    for (text, place, message) in wrong() {
        site.file("config.cfg", &text);
        let register = site.run(&["register", "-c", "config.cfg", "-s", &servers, "--state-dir", "state"]);
        let check = site.run(&["check", "-c", "config.cfg"]);
        let said = check.expect(78).stderr();
        assert!(said.contains(place) && said.contains(message) && !said.contains("123456"), "{text}: {said}");
        assert_eq!(register.expect(78).stderr(), said);
    }
    assert_eq!(tree(&client).len(), 1);
    site.file("config.cfg", RIGHT);
    let right = site.run(&["check", "-c", "config.cfg"]);
    assert!(right.expect(0).stderr().contains("service_count=1"), "{}", right.stderr());
    site.remove("config.cfg");
    let missing = site.run(&["register", "-c", "config.cfg", "-s", &servers, "--state-dir", "state"]);
    assert!(missing.expect(78).stderr().contains("config.cfg"), "{}", missing.stderr());
}

#[test]
fn a_wrong_file_changes_nothing_on_hup() {
    let site = Site::new("");
    site.file("config.cfg", RIGHT);
    let (servers, client) = chroot();
    let agent = register(&site, &servers);
    agent.says("service registered");
    let node = || client.run(|client| async move { client.get_data(NODE).await.unwrap() });
    let before = node();
    for (number, (text, place, message)) in (1..).zip(wrong()) {
        site.file("config.cfg", &text);
        agent.signal(Signal::SIGHUP).says_times("configuration rejected", number);
        let line = place.rsplit_once(':').unwrap().0;
        agent.until(&format!("it says {line} and {message}"), || agent.said(line) > 0 && agent.said(message) > 0);
    }
    site.remove("config.cfg");
    agent.signal(Signal::SIGHUP).says_times("configuration rejected", WRONG.len() + 1);
    assert_eq!(node(), before);
    assert_eq!(agent.said("service deregistered"), 0);
    assert_eq!(agent.said("123456"), 0);
    let status = site.run(&["status", "-c", "config.cfg", "--socket", &site.path("r.sock").display().to_string()]);
    assert!(status.expect(0).stdout().contains("h:1"), "{}", status.stdout());
}

/// Neither a command line, an environment, the log, `status` nor a file of the agent holds the password.
#[test]
fn the_password_is_nowhere() {
    let site = Site::new("");
    let dump = "cat /proc/$$/cmdline /proc/$$/environ /proc/$PPID/cmdline /proc/$PPID/environ >SITE/seen.new\n\
                mv SITE/seen.new SITE/seen\n";
    let dir = site.path("").display().to_string();
    site.file("dump", &dump.replace("SITE", dir.trim_end_matches('/')));
    let cmd = format!("cmd: sh {}", site.path("dump").display());
    site.file("config.cfg", &RIGHT.replace("cmd: true", &cmd));
    set_permissions(site.path("config.cfg"), Permissions::from_mode(0o600)).unwrap();
    let (servers, _client) = chroot();
    let agent = register(&site, &servers);
    agent.says("service registered").signal(Signal::SIGHUP).says_times("configuration loaded", 2);
    let seen = site.read("seen");
    assert!(seen.contains("dump") && seen.contains("register") && !seen.contains("123456"), "{seen}");
    let socket = site.path("r.sock").display().to_string();
    for arguments in [&["status"][..], &["status", "--json"], &["explain", "web"]] {
        let answer = site.run(&[arguments, &["--socket", &socket]].concat());
        let answer = answer.expect(0).stdout() + &answer.stderr();
        assert!(answer.contains("h:1") && !answer.contains("123456"), "{answer}");
    }
    assert!(!agent.log().join("\n").contains("123456"), "{:?}", agent.log());
    let holders = site.tree().into_iter().filter(|(_, bytes)| bytes.windows(6).any(|part| part == b"123456"));
    assert_eq!(holders.map(|(path, _)| path).collect::<Vec<_>>(), [site.path("config.cfg")]);
}
