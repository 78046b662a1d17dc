use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::shared::Shared;

pub struct Listeners(SocketAddr);

impl Listeners {
    pub async fn bind(shared: Arc<Shared>) -> io::Result<Self> {
        Ok(Self(shared.settings.https))
    }
    pub fn local_addr(&self) -> SocketAddr {
        self.0
    }
    pub async fn run(self) {}
}

pub fn admin_socket(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.sock")
}
