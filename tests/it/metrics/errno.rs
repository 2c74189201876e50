//! Why a file could not be written, by the system's error.

use std::process::Command;

use super::{Metrics, get};
use crate::harness::site::Site;
use crate::support::inside::{is_inside, run};
use crate::support::zookeeper::free_port;

const CONFIG: &str = web!(
    r#"wait = "0s:0s""#,
    r#"
[[template]]
src = "list.tera"
dest = "out/list"
"#
);

#[test]
fn a_write_that_fails_is_counted_by_the_systems_error() {
    const NAME: &str = "metrics::errno::a_write_that_fails_is_counted_by_the_systems_error";
    if !is_inside(NAME, &["--user", "--map-root-user", "--mount"]) {
        return;
    }
    let port = free_port();
    let site = Site::new(&format!("[status]\nsocket = \"agent.sock\"\nlisten = \"127.0.0.1:{port}\"\n{CONFIG}"));
    let out = site.path("out");
    let mount = |options: &str| run(Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(&out));
    mount("size=64k,mode=755");
    site.file("templates/list.tera", "{% for m in web %}{{ m.name }}\n{% endfor %}");
    site.file("registry/services/web/a:1", "");
    let agent = site.start();
    agent.says("event=file_written").says("event=http_listening");
    mount("remount,ro");
    site.file("registry/services/web/b:1", "");
    agent.says("errno=30");
    let metrics = Metrics::parse(&get(port, "*/*").unwrap().1);
    assert!(metrics.value("rosterd_write_errors_total{errno=\"EROFS\"}") >= 1.0);
    assert_eq!(metrics.value("rosterd_template_failed_files{template=\"list\",stage=\"write\"}"), 1.0);
}
