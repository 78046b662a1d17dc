//! The test provider on a port of this machine.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::DefaultBodyLimit;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::ledger::Ledger;
use super::{api, delivery, page};
use crate::http;
use crate::secret::{ApiKey, SecretError};
use crate::webhook::WebhookKey;

/// Largest body, in bytes.
const BODY_BYTES_MAX: usize = 8 * 1024;

/// How a test provider runs.
#[derive(Debug, Clone)]
pub struct TestbedSettings {
    /// Its payments and secrets; made when it is not there.
    pub home: PathBuf,
    /// Its port on this machine; 0 for any.
    pub port: u16,
    /// Where its messages go, `http` on this machine.
    pub webhook: String,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum TestbedError {
    /// A file or port is not to be had.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A secret is none.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Messages would leave this machine.
    #[error("webhooks go to `http` on this machine only, as http://localhost:8480/api/v1/payments/webhook")]
    Webhook,
}

/// A test provider that runs until it is dropped.
pub struct Testbed {
    pub(super) origin: String,
    pub(super) api_key: ApiKey,
    pub(super) webhook_key: WebhookKey,
    pub(super) messages: Notify,
    ledger: Mutex<Ledger>,
}

/// The file with the key for whoever sells, in a test provider's home.
#[must_use]
pub fn api_key_file(home: &Path) -> PathBuf {
    home.join("api.key")
}

/// The file with the secret of webhooks, in a test provider's home.
#[must_use]
pub fn webhook_secret_file(home: &Path) -> PathBuf {
    home.join("webhook.secret")
}

impl Testbed {
    /// Opens its port and serves it in `tasks`. Gives where it is.
    ///
    /// # Errors
    ///
    /// [`TestbedError`].
    pub async fn start(
        settings: &TestbedSettings,
        tasks: &mut JoinSet<()>,
    ) -> Result<SocketAddr, TestbedError> {
        let home = &settings.home;
        std::fs::create_dir_all(home)?;
        let to = http::local(&settings.webhook).ok_or(TestbedError::Webhook)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, settings.port)).await?;
        let address = listener.local_addr()?;
        let testbed = Arc::new(Self {
            origin: format!("http://localhost:{}", address.port()),
            api_key: ApiKey::read_or_make(&api_key_file(home))?,
            webhook_key: WebhookKey::read_or_make(&webhook_secret_file(home))?,
            messages: Notify::new(),
            ledger: Mutex::new(Ledger::open(home.join("ledger.json"))?),
        });
        let router = api::router().merge(page::router()).layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
        let router = router.with_state(Arc::clone(&testbed));
        tasks.spawn(delivery::run(testbed, to));
        tasks.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the test provider stopped");
            }
        });
        Ok(address)
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
