//! Ensembles that move, by reconfiguration or to other addresses.

use std::fs;

use zookeeper_client::EnsembleUpdate;

use super::{Server, ZooKeeper, free_port};

impl ZooKeeper {
    /// An ensemble of three that any client may reconfigure, started.
    pub fn dynamic() -> Self {
        let zookeeper = Self::configured(3, "reconfigEnabled=true\nskipACL=yes\nstandaloneEnabled=false");
        let peers: Vec<(u16, u16)> = zookeeper.servers.iter().map(|_| (free_port(), free_port())).collect();
        for index in 0..3 {
            let members: Vec<String> = peers
                .iter()
                .zip(&zookeeper.servers)
                .enumerate()
                .map(|(i, (peers, server))| member(i, *peers, server))
                .collect();
            zookeeper.edit(index, |line| {
                // The client address is part of the member's line, so that it can be changed.
                !line.starts_with("server.") && !line.starts_with("clientPort")
            });
            let dynamic = zookeeper.folder.path().join(format!("{index}.dynamic"));
            fs::write(&dynamic, members.join("\n")).unwrap();
            let file = zookeeper.folder.path().join(format!("{index}.cfg"));
            let text = fs::read_to_string(&file).unwrap();
            fs::write(&file, format!("{text}\ndynamicConfigFile={}\n", dynamic.display())).unwrap();
        }
        zookeeper.started()
    }

    /// An ensemble of three at these host names, started. Its servers resolve the names again for each connection.
    pub fn named(names: &[&str]) -> Self {
        let server = |name: &&str| Server {
            host: (*name).to_owned(),
            port: free_port(),
            enter: vec![],
            child: None,
            warden: None,
        };
        let mut zookeeper = Self::on(names.iter().map(server).collect(), "");
        zookeeper.java = vec!["-Dsun.net.inetaddr.ttl=0".into(), "-Dsun.net.inetaddr.negative.ttl=0".into()];
        zookeeper.started()
    }

    /// Gives every server of a dynamic ensemble another client port. Existing connections stay open.
    pub fn reconfigure(&mut self) {
        let client = self.client("");
        let known = client.run(|client| async move { client.get_data("/zookeeper/config").await.unwrap().0 });
        let known = String::from_utf8(known).unwrap();
        let mut joining = Vec::new();
        for (index, server) in self.servers.iter_mut().enumerate() {
            let before = known.lines().find(|line| line.starts_with(&format!("server.{index}="))).unwrap();
            server.port = free_port();
            joining.push(format!("{};{}", before.split_once(';').unwrap().0, server.address()));
        }
        client.run(move |client| async move {
            let (joinings, leavings) = (joining.iter().map(String::as_str), Vec::new());
            // Both lists are collected, so that they have the same type.
            let update = EnsembleUpdate::Incremental {
                joinings: joinings.collect::<Vec<_>>().into_iter(),
                leavings: leavings.into_iter(),
            };
            client.update_ensemble(update, None).await.expect("reconfig");
        });
        self.wait_ready();
    }

    /// Moves the servers to other addresses, with the same ports and data. They are down meanwhile.
    pub fn move_to(&mut self, hosts: &[&str]) {
        for (index, host) in hosts.iter().enumerate() {
            self.stop(index);
            self.servers[index].host = host.to_string();
            self.edit(index, |line| !line.starts_with("clientPortAddress"));
            let file = self.folder.path().join(format!("{index}.cfg"));
            let text = fs::read_to_string(&file).unwrap();
            fs::write(&file, format!("{text}\nclientPortAddress={host}\n")).unwrap();
        }
        for index in 0..hosts.len() {
            self.start(index);
        }
        self.wait_ready();
    }

    /// Gives a stopped server another client port.
    pub fn move_port(&mut self, index: usize) {
        let port = free_port();
        self.servers[index].port = port;
        self.edit(index, |line| !line.starts_with("clientPort="));
        let file = self.folder.path().join(format!("{index}.cfg"));
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}\nclientPort={port}\n")).unwrap();
    }

    /// Removes all lines from a server's configuration for which `stays` is false.
    fn edit(&self, index: usize, stays: impl Fn(&str) -> bool) {
        let file = self.folder.path().join(format!("{index}.cfg"));
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| stays(line)).collect();
        fs::write(&file, lines.join("\n")).unwrap();
    }
}

fn member(index: usize, (quorum, election): (u16, u16), server: &Server) -> String {
    format!("server.{index}=127.0.0.1:{quorum}:{election}:participant;{}", server.address())
}
