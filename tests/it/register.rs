//! Services of this host in a real ZooKeeper.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use zookeeper_client::{Acl, Acls, CreateMode, Stat};

use crate::harness::site::{Agent, PATIENCE, Site};
use crate::support::wait::holds;
use crate::support::zookeeper::{Zk, ZooKeeper};

mod checks;
mod frozen;
mod http_checks;
mod image;
mod ownership;
mod package;
mod pgpool;
mod readers;
mod recipes;
mod restarts;
mod services;
mod unit;
mod zk_watcher;

/// A directory with a configuration whose registry is a chroot of the shared server, and a client in that chroot.
struct Scene {
    site: Site,
    client: Zk,
    servers: String,
}

/// The directory of the services in these tests.
const DIRECTORY: &str = "/services/web";

/// The node of port 1.
const NODE: &str = "/services/web/h:1";

impl Scene {
    /// `services` is the configuration after `[registry]`.
    fn new(services: &str) -> Self {
        let shared = ZooKeeper::shared();
        let chroot = shared.chroot();
        let servers = format!("{}{chroot}", shared.connect_string());
        let scene = Self { site: Site::new(""), client: shared.client(&chroot), servers };
        scene.configure(services);
        scene
    }

    fn configure(&self, services: &str) {
        let (servers, registry) = (&self.servers, "[registry]\nsession_timeout = \"4s\"\n");
        self.site.configure(&format!("{registry}url = \"zk://{servers}\"\n{services}"));
    }

    /// Configures services whose registry has the credential `username:123456`.
    fn configure_with_digest(&self, services: &str) {
        self.site.file("auth", "username:123456\n");
        set_permissions(self.site.path("auth"), Permissions::from_mode(0o600)).unwrap();
        self.configure(&format!("auth = [{{ scheme = \"digest\", file = \"auth\" }}]\n{services}"));
    }

    /// The data and the metadata of a node, if it is there.
    fn node(&self, path: &str) -> Option<(String, Stat)> {
        let path = path.to_owned();
        let found = self.client.run(|client| async move { client.get_data(&path).await.ok() })?;
        Some((String::from_utf8(found.0).unwrap(), found.1))
    }

    fn acl(&self, path: &str) -> Vec<Acl> {
        let path = path.to_owned();
        self.client.run(|client| async move { client.get_acl(&path).await.unwrap().0 })
    }

    /// The names of the registered nodes, sorted.
    fn names(&self) -> Vec<String> {
        let mut names =
            self.client.run(|client| async move { client.list_children(DIRECTORY).await.unwrap_or_default() });
        names.sort();
        names
    }

    fn becomes(&self, agent: &Agent, names: &[&str]) {
        agent.until(&format!("the nodes are {names:?}"), || self.names() == names);
    }
}

/// A service on port 1 whose check passes.
fn service(port: u16) -> String {
    format!(
        "[[service]]\nname = \"web\"\npath = \"{DIRECTORY}\"\nhost = \"h\"\nport = {port}\ncheck = {{ cmd = \"true\" }}\n"
    )
}

/// Where `.ci/install` puts Python's packages.
fn python() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/python")
}

/// Creates an ephemeral node for as long as the returned client lives.
fn foreign(scene: &Scene, data: &'static [u8]) -> Zk {
    let other = Zk::connect(&scene.servers);
    scene.client.put(DIRECTORY, b"");
    other.run(|client| async move {
        client.create(NODE, data, &CreateMode::Ephemeral.with_acls(Acls::anyone_all())).await.unwrap();
    });
    other
}
