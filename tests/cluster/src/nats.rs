//! NATS servers with JetStream that are one cluster.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::process::{Running, free_port, wait_for_port};

/// So many servers, of which each has what the others have.
pub struct NatsServers {
    folder: tempfile::TempDir,
    ports: Vec<u16>,
    running: Vec<Option<Running>>,
}

impl NatsServers {
    /// Starts `count` servers and waits until they answer.
    ///
    /// # Panics
    ///
    /// When they do not start.
    #[must_use]
    pub fn start(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let routes: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let others: Vec<String> = routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        for (node, (port, route)) in ports.iter().zip(&routes).enumerate() {
            let store = folder.path().join(format!("store-{node}"));
            let cluster = if count == 1 {
                String::new()
            } else {
                format!(
                    "cluster {{ name: town, listen: \"127.0.0.1:{route}\", routes: [{}] }}\n",
                    others.join(", ")
                )
            };
            let text = format!(
                "server_name: nats-{node}\nlisten: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\" }}\n{cluster}",
                store.display()
            );
            fs::write(folder.path().join(format!("{node}.conf")), text).unwrap();
        }
        let mut servers = Self { folder, ports, running: (0..count).map(|_| None).collect() };
        (0..count).for_each(|node| servers.restart(node));
        servers
    }

    /// Their addresses.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect()
    }

    /// Kills one of them.
    pub fn kill(&mut self, node: usize) {
        self.running[node] = None;
    }

    /// Starts one of them again, with what it had.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn restart(&mut self, node: usize) {
        let config: PathBuf = self.folder.path().join(format!("{node}.conf"));
        self.running[node] = Some(Running::start(Command::new("nats-server").arg("-c").arg(config)));
        wait_for_port(self.ports[node], "nats-server");
    }
}
