//! The scripts of docs/running.md run as printed.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::harness::site::Site;
use crate::support::docs::blocks;

/// Runs the script under a heading, where `systemctl` prints its arguments. Returns the exit code and both outputs.
fn run(site: &Site, heading: &str, config: Option<&str>) -> (Option<i32>, String) {
    let script = blocks("docs/running.md").into_iter().find(|block| block.language == "sh" && block.heading == heading);
    let mut sh = Command::new("sh");
    sh.args(["-c", &script.unwrap().text]).current_dir(site.path("")).stdin(Stdio::null());
    sh.env("PATH", format!("{}:{}", site.path("bin").display(), std::env::var("PATH").unwrap() + ":/usr/sbin"));
    sh.env_remove("ROSTERD_CONFIG").env_remove("ROSTERD_REGISTRY").env("ROSTERD_LOG", "warn");
    if let Some(config) = config {
        sh.env("ROSTERD_CONFIG", site.path(config));
    }
    let output = sh.output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn the_scripts_of_the_page_on_running_work() {
    let site = Site::new(
        "[registry]\nurl = \"dir:ci/registry\"\n[[roster]]\npath = \"/services/web\"\nmin = 2\n\
         [[template]]\nsrc = \"haproxy.cfg.tera\"\ndest = \"SITE/haproxy.cfg\"\n",
    );
    let haproxy = |lines: &str| {
        format!(
            "defaults\n    mode http\n    timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n\
             listen web\n    bind :8080\n{lines}"
        )
    };
    let template = haproxy("{% for m in web %}    server {{ m.name }} {{ m.address }}\n{% endfor %}");
    site.file("templates/haproxy.cfg.tera", &template);
    let written = haproxy("    server 10.0.0.1:80 10.0.0.1:80\n    server 10.0.0.2:80 10.0.0.2:80\n");
    site.file("ci/haproxy.cfg", &written).file("bin/systemctl", "#!/bin/sh\necho systemctl \"$@\"\n");
    let member = "ci/registry/services/web/10.0.0.2:80";
    site.file("ci/registry/services/web/10.0.0.1:80", "").file(member, "");
    symlink(env!("CARGO_BIN_EXE_rosterd"), site.path("bin/rosterd")).unwrap();
    Command::new("chmod").arg("+x").arg(site.path("bin/systemctl")).status().unwrap();
    let config = Some("rosterd.toml");

    let (code, said) = run(&site, "Agent", config);
    assert!(code == Some(0) && said.ends_with("systemctl enable --now rosterd\n"), "{said}");
    assert_eq!(run(&site, "CI", None), (Some(0), "Configuration file is valid\n".into()));
    assert_eq!(run(&site, "Scripts", config), (Some(0), String::new()));
    assert_eq!(site.read("web.txt"), "10.0.0.1:80\n10.0.0.2:80\n");
    assert_eq!(run(&site, "Timer and cron", config), (Some(0), String::new()));
    assert_eq!(site.read("haproxy.cfg"), written);

    site.remove(member);
    site.file("templates/haproxy.cfg.tera", &template.replace("8080", "8081"));
    let (code, said) = run(&site, "Timer and cron", config);
    assert!(code == Some(3) && said.ends_with("the files that need them stay\n"), "{said}");
    assert_eq!(run(&site, "Scripts", config).0, Some(3));
    assert_eq!(site.read("web.txt"), "10.0.0.1:80\n10.0.0.2:80\n");
    let (code, said) = run(&site, "CI", None);
    assert!(code == Some(1) && said.contains("\n-    bind :8080\n+    bind :8081\n"), "{said}");
    std::fs::rename(site.path("ci"), site.path("gone")).unwrap();
    let (code, said) = run(&site, "Timer and cron", config);
    assert!(code == Some(4) && said.ends_with("the files that need it stay\n"), "{said}");
    assert_eq!(run(&site, "Scripts", config).0, Some(4));
    site.file("templates/haproxy.cfg.tera", "{% for %}");
    let (code, said) = run(&site, "Timer and cron", config);
    assert!(code == Some(78) && said.ends_with("nothing was changed\n"), "{said}");
}
