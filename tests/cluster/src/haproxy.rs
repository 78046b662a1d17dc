//! A load balancer that knows nothing of what it carries, and says where it comes from.

use std::fs;
use std::process::Command;

use crate::process::{Running, wait_for_port};

/// Where clients connect, and the ports of the nodes that may serve them.
pub struct Service {
    /// What it is called.
    pub name: &'static str,
    /// Where clients connect.
    pub port: u16,
    /// Where the nodes listen.
    pub nodes: Vec<u16>,
}

/// Where connections of the load balancer come from: not where other clients of this machine are.
pub const BALANCER: &str = "127.0.0.2";

/// HAProxy in front of nodes, on loopback. It sends the PROXY protocol.
pub struct LoadBalancer {
    _folder: tempfile::TempDir,
    _running: Running,
}

impl LoadBalancer {
    /// Starts it and waits until it listens.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start(services: &[Service]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut text =
            "global\n  maxconn 8192\ndefaults\n  mode tcp\n  timeout connect 2s\n  timeout client 1h\n  \
                        timeout server 1h\n  retries 3\n  option redispatch\n"
                .to_owned();
        for Service { name, port, nodes } in services {
            text += &format!("listen {name}\n  bind 127.0.0.1:{port}\n  balance roundrobin\n");
            for (number, node) in (1..).zip(nodes) {
                text += &format!(
                    "  server node-{number} 127.0.0.1:{node} source {BALANCER} send-proxy-v2 check inter 200ms fall 2 \
                     rise 1 on-marked-down shutdown-sessions\n"
                );
            }
        }
        let config = folder.path().join("haproxy.cfg");
        fs::write(&config, text).unwrap();
        let running = Running::start(Command::new("/usr/sbin/haproxy").arg("-db").arg("-f").arg(config));
        services.iter().for_each(|service| wait_for_port(service.port, "HAProxy"));
        Self { _folder: folder, _running: running }
    }
}
