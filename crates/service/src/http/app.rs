//! What every handler holds on to.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thingward_ingress::Guesses;
use thingward_model::clock::now;
use thingward_oidc::Provider;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;
use crate::shared::Shared;

/// Questions to the store that run at a time. Each may hold 200 MB.
const QUERIES_MAX: usize = 4;
/// Answers without a bound that are sent at a time: exports and segments.
const DOWNLOADS_MAX: usize = 16;
/// Most sign-ins of one place in a window that fail. Nobody guesses a key; this bounds the work, and many people can be
/// behind one address.
const ATTEMPTS_MAX: u8 = 60;
/// Reservations of one place in a window; many people can be behind one address.
const RESERVATIONS_MAX: u8 = 10;
/// How long a question or download waits for its turn.
const QUERY_WAIT: Duration = Duration::from_secs(10);
/// Callers that follow readings at a time.
const FOLLOWERS_MAX: usize = 256;

/// The HTTP side of a service.
pub struct App {
    pub(super) shared: Arc<Shared>,
    pub(super) providers: Vec<Provider>,
    attempts: Mutex<Guesses>,
    reservations: Mutex<Guesses>,
    queries: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
    followers: Arc<Semaphore>,
    commands: tokio::sync::Mutex<()>,
}

impl App {
    /// The HTTP side of this service.
    ///
    /// # Errors
    ///
    /// When the files of a provider of sign-ins cannot be read.
    pub fn new(shared: Arc<Shared>) -> io::Result<Arc<Self>> {
        let provider = |settings: &thingward_oidc::Settings| {
            Provider::new(settings.clone())
                .map_err(|e| io::Error::other(format!("service.oidc.{}: {e}", settings.id)))
        };
        Ok(Arc::new(Self {
            providers: shared.settings.oidc.iter().map(provider).collect::<io::Result<_>>()?,
            shared,
            attempts: Mutex::new(Guesses::new(ATTEMPTS_MAX)),
            reservations: Mutex::new(Guesses::new(RESERVATIONS_MAX)),
            queries: Arc::new(Semaphore::new(QUERIES_MAX)),
            downloads: Arc::new(Semaphore::new(DOWNLOADS_MAX)),
            followers: Arc::new(Semaphore::new(FOLLOWERS_MAX)),
            commands: tokio::sync::Mutex::default(),
        }))
    }

    /// Sign-ins that failed.
    pub(super) fn attempts(&self) -> MutexGuard<'_, Guesses> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a reservation from there, unless there were too many.
    ///
    /// # Errors
    ///
    /// [`ApiError::TooManyAttempts`].
    pub(super) fn reservation(&self, from: IpAddr) -> Result<(), ApiError> {
        let mut all = self.reservations.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.allows(from, now()) {
            return Err(ApiError::TooManyAttempts);
        }
        all.wrong(from, now());
        Ok(())
    }

    /// A turn to send a command: of two with one id the second has to find the first.
    pub(super) async fn commands_turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.commands.lock().await
    }

    /// A turn for a question to the store. Whoever sends the answer to a peer does not have it any more.
    async fn query_turn(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        turn(&self.queries).await
    }

    /// A place among those who download.
    pub(super) async fn download_place(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        turn(&self.downloads).await
    }

    /// A place among those who follow.
    pub(super) fn follower_place(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.followers).try_acquire_owned().map_err(|_| ApiError::Busy)
    }

    /// A turn for the next page of a download, on a thread that may block. `None` never, in practice: nobody closes
    /// the semaphore.
    pub(super) fn page_turn(&self) -> Option<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.queries).acquire_owned();
        tokio::runtime::Handle::current().block_on(turn).ok()
    }

    /// Asks the store on a thread where it may block.
    pub(super) async fn ask<T, F>(&self, question: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&thingward_store::Store) -> Result<T, thingward_store::StoreError> + Send + 'static,
    {
        let turn = self.query_turn().await?;
        let store = Arc::clone(&self.shared.store);
        let answer = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            question(&store)
        });
        Ok(answer.await.map_err(|_| ApiError::Internal)??)
    }
}

async fn turn(of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
    match tokio::time::timeout(QUERY_WAIT, Arc::clone(of).acquire_owned()).await {
        Ok(Ok(turn)) => Ok(turn),
        Ok(Err(_)) | Err(_) => Err(ApiError::Busy),
    }
}
