//! The first ten minutes: `rosterd init` and `rosterd demo`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::site::Site;
use crate::support::examples::{haproxy_accepts, hosts, nginx_accepts, nutcracker_accepts};
use crate::support::zookeeper::ZooKeeper;

/// What `rosterd init` has a configuration for.
fn software(site: &Site) -> Vec<String> {
    let listed = site.run_without_config(&["init"]);
    let list = listed.expect(0).stdout();
    list.lines().take_while(|line| !line.is_empty()).map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn init_has_every_shipped_template() {
    let site = Site::new("");
    let written = |name: &String| {
        site.run_without_config(&["init", name, "--dir", name]).expect(0);
        fs::read_dir(site.path(&format!("{name}/templates"))).unwrap().map(|entry| entry.unwrap().file_name())
    };
    let mut written: Vec<_> = software(&site).iter().flat_map(written).collect();
    let shipped = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")).unwrap();
    let mut shipped: Vec<_> = shipped.map(|entry| entry.unwrap().file_name()).collect();
    written.sort();
    shipped.sort();
    assert_eq!(written, shipped);
}

/// Renders the configuration that `init` writes for a software with the members in ZooKeeper. Returns the file, which
/// has passed the `check_cmd` of the configuration.
fn rendered(site: &Site, name: &str, url: &str) -> String {
    let path = if name == "prometheus" { "/services/*" } else { "/services/web" };
    let init = site.run_without_config(&["init", name, "--dir", name, "--registry", url, "--path", path]);
    let next = init.expect(0).stdout();
    let config = site.path(&format!("{name}/rosterd.toml")).display().to_string();
    for command in ["check", "diff", "run"] {
        assert!(next.contains(&format!("\n  {} -c {config} {command} ", env!("CARGO_BIN_EXE_rosterd"))), "{next}");
    }
    let own = |args: &[&str]| {
        let all = [&["-c", &config, "--state-dir", "state", "--socket", "sock"], args].concat();
        site.run_without_config(&all)
    };
    own(&["check"]).expect(0);
    let text = fs::read_to_string(&config).unwrap();
    let parsed: toml::Table = text.parse().unwrap();
    assert_eq!(parsed["registry"]["url"].as_str(), Some(url), "{text}");
    assert!(!text.contains("production") && !parsed.contains_key("agent") && !parsed.contains_key("status"), "{text}");
    own(&["render", "--output", "out"]).expect(0);
    let template = &parsed["template"][0];
    let file = site.path(&format!("out{}", template["dest"].as_str().unwrap()));
    if let Some(check) = template.get("check_cmd") {
        let check = check.as_str().unwrap().replace("{{ src }}", &file.display().to_string());
        let output = Command::new("sh").args(["-c", &format!("PATH=$PATH:/usr/sbin:/sbin; {check}")]).output().unwrap();
        assert!(output.status.success(), "{check}: {}", String::from_utf8_lossy(&output.stderr));
    }
    fs::read_to_string(file).unwrap()
}

#[test]
fn what_init_writes_renders_files_that_the_software_accepts() {
    let (site, shared) = (Site::new(""), ZooKeeper::shared());
    let chroot = shared.chroot();
    let client = shared.client(&chroot);
    let data = |ip: &str| format!("{{\"weight\": 5, \"ip\": \"{ip}\", \"hostname\": \"host-{}\"}}", &ip[7..]);
    for ip in ["10.0.0.1", "10.0.0.2"] {
        client.put(&format!("/services/web/{ip}:8080"), data(ip).as_bytes());
    }
    let url = format!("zk://{}{chroot}", shared.connect_string());
    for name in software(&site) {
        let text = rendered(&site, &name, &url);
        for member in ["10.0.0.1", "10.0.0.2"] {
            assert!(text.contains(member), "{name}: {text}");
        }
        match name.as_str() {
            "haproxy" | "redis" => haproxy_accepts(&text),
            "nginx" => nginx_accepts(&text),
            "twemproxy" => nutcracker_accepts(&text),
            // The rest of the file is that of this host.
            "hosts" => assert_eq!(hosts(text.split_once("# BEGIN rosterd zookeeper\n").unwrap().1).len(), 2, "{text}"),
            "pgpool" => assert!(text.contains("backend_hostname1 = '10.0.0.2'\nbackend_port1 = 8080\n"), "{text}"),
            // Their configuration has the check, which has passed.
            _ => {}
        }
    }
}

#[test]
fn init_overwrites_nothing_and_adds_to_an_existing_configuration() {
    let site = Site::new("[registry]\nurl = \"dir:registry\"\n");
    let init = |args: &[&str]| site.run(&[&["init"], args].concat());
    let main = site.fingerprint("rosterd.toml");
    let said = init(&["haproxy", "--path", "/services/web"]);
    assert!(said.expect(0).stdout().contains("rosterd.toml exists: it stays as it is"), "{}", said.stdout());
    assert_eq!(site.fingerprint("rosterd.toml"), main);
    site.run(&["check"]).expect(0);
    init(&["memcached"]).expect(0);
    site.run(&["check"]).expect(0);
    site.file("registry/services/web/10.0.0.1:80", "");
    let diff = site.run(&["diff", "haproxy.cfg"]);
    assert!(diff.expect(2).stdout().contains("server 10.0.0.1:80 10.0.0.1:80"), "{}", diff.stdout());

    // The template alone is enough to refuse.
    fs::remove_file(site.path("conf.d/haproxy.toml")).unwrap();
    let before = site.tree();
    let refused = init(&["haproxy"]);
    assert!(refused.expect(64).stderr().contains("haproxy.cfg.tera exists, and is not overwritten"));
    assert!(init(&["apache"]).expect(64).stderr().contains("it has: haproxy, hosts, "));
    assert!(init(&["nginx", "--path", "services"]).expect(64).stderr().contains("--path services: "));
    assert!(init(&["nginx", "--path", "/services/*"]).expect(64).stderr().contains("is for one service"));
    assert!(init(&["prometheus", "--path", "/services"]).expect(64).stderr().contains("is for many services"));
    assert!(init(&["nginx", "--registry", "nope://x"]).expect(64).stderr().contains("--registry "));
    init(&["nginx", "--dir", "x", "-c", "y"]).expect(64);
    assert_eq!(site.tree(), before);

    // Both use the roster `web`, which is there only once.
    init(&["nginx", "--path", "/services/web", "--registry", "dir:registry", "--dir", "both"]).expect(0);
    assert!(site.read("both/rosterd.toml").contains(&format!("\nurl = \"dir:{}\"\n", site.path("registry").display())));
    for (option, value) in [("--path", "/services/api"), ("--registry", "dir:registry")] {
        let refused = init(&["haproxy", option, value, "--dir", "both"]);
        assert!(
            refused.expect(64).stderr().contains(&format!("has that already: omit {option}")),
            "{}",
            refused.stderr()
        );
    }
    init(&["haproxy", "--dir", "both"]).expect(0);
    assert!(!site.read("both/conf.d/haproxy.toml").contains("[[roster]]"));
    site.run_without_config(&["check", "-c", "both/rosterd.toml"]).expect(0);

    // Nothing is added to a configuration that is invalid already.
    site.file("both/rosterd.toml", "[roster]\n");
    init(&["pgpool", "--dir", "both"]).expect(78);
    assert!(!site.path("both/conf.d/pgpool.toml").exists());
}

#[test]
fn a_missing_configuration_names_init() {
    let site = Site::new("");
    for command in [&["check"][..], &["run"], &["diff"], &["get", "/x"]] {
        let ended = site.run_without_config(&[command, &["-c", "none.toml"]].concat());
        assert!(ended.expect(78).stderr().contains("rosterd init"), "{command:?}: {}", ended.stderr());
    }
}

#[test]
fn the_version_names_the_commit_and_the_features() {
    let site = Site::new("");
    let short = site.run(&["-V"]).expect(0).stdout();
    let version = format!("rosterd {} (", env!("CARGO_PKG_VERSION"));
    assert!(short.starts_with(&version) && short.ends_with(")\n"), "{short}");
    let long = site.run(&["--version"]).expect(0).stdout();
    assert!(long.starts_with(short.trim_end()) && long.contains("\nregistries: zk, zks, dir, "), "{long}");
}

#[test]
fn the_demo_shows_a_change_a_hold_and_its_reason() {
    let site = Site::new("");
    let mut agent = site.start_by(&["sh", "-c", "exec \"$0\" demo demo >intro"]);
    agent.says("event=file_written").says("event=reload_succeeded");
    let intro = site.read("intro");
    let typed: Vec<&str> = intro.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    let file = || site.read("demo/out/web.cfg");
    let (mut done, mut held) = (0, None);
    for command in &typed {
        // `cd` is the working directory from then on.
        if *command == format!("cd {}", site.path("demo").display()) {
            continue;
        }
        let output = Command::new("sh").args(["-c", command]).current_dir(site.path("demo")).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let words: Vec<&str> = command.split_whitespace().collect();
        match (words[0], words[1]) {
            ("cat", _) => assert!(said.contains("10.0.0.1:8080"), "{said}"),
            ("touch", member) => {
                let address = member.rsplit('/').next().unwrap();
                agent.until(command, || file().contains(address));
            }
            ("rm", "registry/services/web/*") => {
                agent.says("event=roster_held");
                held = Some(site.fingerprint("demo/out/web.cfg"));
            }
            ("rm", _) => drop(agent.until(command, || !file().contains("10.0.0.2:8080"))),
            ("echo", _) => drop(agent.says("event=templates_refused")),
            (_, "-c") if words[3] == "check" => assert_eq!(output.status.code(), Some(78), "{said}"),
            (_, "-c") => {
                assert!(output.status.success() && said.contains("needs at least 1"), "{command}: {said}");
                assert_eq!(held, Some(site.fingerprint("demo/out/web.cfg")));
            }
            _ => panic!("{command}"),
        }
        done += 1;
    }
    assert_eq!(done, 9, "{intro}");
    assert!(agent.stop().success());
    assert!(intro.contains(&format!("rm -r {}\n", site.path("demo").display())), "{intro}");

    let before = site.tree();
    assert!(site.run(&["demo", "demo"]).expect(64).stderr().contains("is not empty"));
    assert_eq!(site.tree(), before);
}
