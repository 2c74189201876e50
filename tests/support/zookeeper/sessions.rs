//! The sessions that servers keep.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{ZooKeeper, word};

impl ZooKeeper {
    /// The sessions that a single server keeps, connected or not.
    pub fn sessions(&self) -> BTreeSet<String> {
        let dump = word(&self.servers[0], "dump").unwrap();
        let of = dump.split("ephemeral nodes dump").next().unwrap_or_default();
        of.split_whitespace().filter(|text| text.starts_with("0x")).map(str::to_owned).collect()
    }

    /// The server and the number of the connected session that has this timeout. Only these servers are asked.
    pub fn session_with(&self, timeout: Duration, servers: &[usize]) -> Option<(usize, String)> {
        let timeout = format!(",to={},", timeout.as_millis());
        servers.iter().find_map(|index| {
            let connections = word(&self.servers[*index], "cons").ok()?;
            let connection = connections.lines().find(|line| line.contains(&timeout))?;
            let (_, session) = connection.split_once(",sid=")?;
            Some((*index, session.split(',').next()?.to_owned()))
        })
    }
}
