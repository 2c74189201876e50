//! Templates and services as resources, in each state of a host: new, converged, changed, with errors, with an agent.

use std::process::Child;

use nix::sys::signal::Signal;

use super::*;
use crate::support::zookeeper::Zk;

const TEMPLATE: &str = "{% for m in web %}server {{ m.name }}\n{% endfor %}";

/// A host without an agent, with hiera for a chroot of the shared server.
struct Host {
    site: Site,
    client: Zk,
    memcached: Child,
}

impl Host {
    fn new() -> Self {
        let (shared, site) = (ZooKeeper::shared(), Site::new(""));
        let chroot = shared.chroot();
        let hiera = "rosterd::registry: URL
rosterd::registry_settings: { session_timeout: 4s }
rosterd::command: ROSTERD
rosterd::config_dir: SITE/etc
rosterd::service_host: mc1.example.com
rosterd::manage_package: false
rosterd::manage_service: false
rosterd::settings: { agent: { state_dir: SITE/state }, status: { socket: SITE/agent.sock } }
";
        prepare(&site, &hiera.replace("URL", &format!("zk://{}{chroot}", shared.connect_string())));
        // What the documented service is checked with: pgrep memcached.
        fs::copy("/bin/sleep", site.path("memcached")).unwrap();
        let memcached = Command::new(site.path("memcached")).arg("600").spawn().unwrap();
        Self { site, client: shared.client(&chroot), memcached }
    }

    /// Applies the documented service, a roster, and a template with this text, whose reload fails until there is a
    /// file to copy.
    fn apply(&self, template: &str, options: &[&str]) -> Applied {
        let documented = documented("docs/puppet.md", &[]);
        let (_, service) = documented.split_once("zk_watcher::add").unwrap();
        let resources = "
rosterd::roster { 'web': path => '/services/web', min => 2, settings => { 'wait' => '0s' } }
rosterd::template { 'list':
  dest       => 'SITE/out/list',
  content    => 'TEMPLATE',
  check_cmd  => ['grep', '-q', 'server', '{{ src }}'],
  reload_cmd => ['cp', 'SITE/ready', 'SITE/reloaded'],
}
";
        let resources = resources.replace("TEMPLATE", template);
        apply(&self.site, &format!("zk_watcher::add{service}{resources}"), options)
    }

    fn fingerprints(&self) -> Vec<impl PartialEq + std::fmt::Debug> {
        let names = ["out/list", "etc/templates/list.tera", "etc/puppet.d/template-list.toml"];
        names.map(|name| self.site.fingerprint(name)).to_vec()
    }

    fn registered(&self) -> Vec<String> {
        self.client.run(|client| async move { client.list_children(PATH).await.unwrap_or_default() })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.memcached.kill();
        let _ = self.memcached.wait();
    }
}

#[test]
fn resources_converge_and_change_only_with_their_bytes() {
    let host = Host::new();
    let site = &host.site;
    host.client.put("/services/web/a:1", b"");
    host.client.put("/services/web/b:2", b"");
    host.apply(TEMPLATE, &["--noop"]).expect(0).says("current_value 'outdated', should be 'current' (noop)");
    assert!(!site.path("etc").exists() && !site.path("out/list").exists());

    let first = host.apply(TEMPLATE, &[]);
    first.expect(6).says("+server a:1").says("rosterd render ended with 1: ").says("reload failed; still pending");
    assert_eq!(site.read("out/list"), "server a:1\nserver b:2\n");
    let before = host.fingerprints();
    site.file("ready", "");
    host.apply(TEMPLATE, &[]).expect(0);
    assert!(site.path("reloaded").exists(), "the pending reload was not retried");

    let changed = TEMPLATE.replace("server", "a server");
    let noop = host.apply(&changed, &["--noop"]);
    noop.expect(0).says("-server a:1").says("+a server a:1").says("should be 'current' (noop)");
    let place = site.path("etc/templates/list.tera:1:").display().to_string();
    let refused = host.apply(&TEMPLATE.replace("in web", "in nobody"), &[]);
    refused.expect(4).says("rosterd check ended with 78: ").says("variable named nobody").says(&place);
    host.client.remove("/services/web/b:2");
    host.apply(TEMPLATE, &[]).expect(4).says("/services/web has 1 member but needs at least 2");
    assert_eq!(host.fingerprints(), before);
    host.client.put("/services/web/b:2", b"");

    let config = site.path("etc/rosterd.toml").display().to_string();
    let mut agent = site.start_with(&["-c", &config, "run"]);
    agent.says("event=registered service=memcached").says("event=file_unchanged template=list");
    assert_eq!(host.registered(), ["mc1.example.com:11211"]);
    host.apply(&changed, &[]).expect(2).says("ensure: changed ");
    assert_eq!(site.read("out/list"), "a server a:1\na server b:2\n");
    agent.says("event=file_written template=list");
    // What is no longer declared is removed from the configuration.
    apply(site, "include rosterd\n", &[]).expect(2).says("puppet.d/service-memcached.toml]/ensure: removed");
    agent.signal(Signal::SIGHUP).until("the service is deregistered", || host.registered().is_empty());
    assert_eq!(site.read("out/list"), "a server a:1\na server b:2\n");
    assert_eq!((agent.said("event=file_written"), site.leftovers()), (1, vec![]));
    assert!(agent.stop().success());
}
