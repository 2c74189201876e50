//! The services of a configuration as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problem::{Problems, ValueError};
use super::resolve::default_socket;
use super::{Config, PathOverrides, ServiceConfig};

/// What is added to the names of an agent that only registers services.
const REGISTER: &str = "-register";

/// A path beside another one.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(REGISTER);
    path.with_file_name(name)
}

impl Config {
    /// Drops everything but the services, for an agent that only registers, with a state directory and a socket of its own
    /// unless they are overridden.
    pub fn keep_only_services(&mut self, paths: &PathOverrides) {
        self.rosters.clear();
        self.wheres.clear();
        self.keys.clear();
        self.locks.clear();
        self.templates.clear();
        self.exec = None;
        // The agent listens on it.
        self.status.http = None;
        if paths.state_dir.is_none() {
            self.agent.state_dir = beside(&self.agent.state_dir);
        }
        if paths.socket.is_none() {
            let is_default = self.status.socket == default_socket(&self.agent.name);
            let name = format!("{}{REGISTER}", self.agent.name);
            self.status.socket = if is_default { default_socket(&name) } else { beside(&self.status.socket) };
        }
    }

    /// Gives this name to the services without a `host`.
    ///
    /// # Errors
    /// Other hosts cannot use the name, or two services have the same node.
    pub fn set_service_host(&mut self, fqdn: &str) -> Result<(), Problems> {
        let (mut problems, mut nodes) = (Vec::new(), BTreeMap::new());
        for service in &mut self.services {
            if service.host.is_none() {
                if fqdn == "localhost" || fqdn.starts_with("localhost.") {
                    let hint = "set `host` (service_hostname in an INI file), or give this host a full name";
                    let message = format!("the full name of this host is {fqdn:?}, which other hosts cannot use");
                    problems.push(service.problem(ValueError::new(message, hint)));
                }
                *service = Arc::new(ServiceConfig { host: Some(fqdn.to_owned()), ..(**service).clone() });
            }
            let node = (Arc::clone(&service.registry), service.path.clone(), service.host.clone(), service.port);
            if let Some(other) = nodes.insert(node, Arc::clone(&service.name)) {
                let message = format!("{} registers the same node as {other}", service.name);
                problems
                    .push(service.problem(ValueError::new(message, "change `port`, `host` or `path` of one of them")));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }
}
