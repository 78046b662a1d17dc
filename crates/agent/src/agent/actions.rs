//! Commands as the thing that executes them sees them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use thingward_grant::{Nonce, Refusal};
use thingward_model::clock::now;
use thingward_seal::command::CommandId;
use tokio::sync::Notify;

use super::lock;
use crate::commands::{Commands, CommandsStatus, Ending, Order, UseError, UseState};
use crate::disk::Directory;
use crate::grants::TakeBackError;

/// How long nobody looks for an order that nobody woke them for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The device's commands, and who has to know of changes.
#[derive(Clone)]
pub(super) struct Actions {
    commands: Arc<Mutex<Commands<Directory>>>,
    /// Orders that were begun and that nobody has taken: whoever asked was gone by then.
    begun: Arc<Mutex<VecDeque<Order>>>,
    /// An order is there.
    arrived: Arc<Notify>,
    /// A reply is there.
    answered: Arc<Notify>,
    /// A command waits for a newer membership.
    asks: Arc<Notify>,
    /// A use of a grant came to its end, or never to a beginning: for all who wait for one.
    ended: Arc<Notify>,
}

impl Actions {
    pub(super) fn new(commands: Commands<Directory>, answered: Arc<Notify>) -> Self {
        let commands = Arc::new(Mutex::new(commands));
        Self {
            commands,
            begun: Arc::default(),
            arrived: Arc::default(),
            answered,
            asks: Arc::default(),
            ended: Arc::default(),
        }
    }

    /// For whoever may wait for files.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Commands<Directory>) -> T) -> T {
        work(&mut lock(&self.commands))
    }

    /// There may be an order.
    fn wake(&self) {
        self.arrived.notify_one();
    }

    /// A command came.
    pub(super) fn receive(&self, id: CommandId, message: &[u8]) {
        let (is_order, asks) =
            self.with(|commands| (commands.receive(id, message, now()), commands.waits_for_membership()));
        if is_order {
            self.wake();
        }
        if asks {
            self.asks.notify_one();
        }
    }

    /// Returns when a command waits for a newer membership. Cancel safe.
    pub(super) async fn asks(&self) {
        self.asks.notified().await;
    }

    /// The service was asked for its membership, and what it has is set when it `is_had`.
    pub(super) async fn membership_was_asked_for(&self, is_had: bool) {
        let own = self.clone();
        let judge = move || {
            if !is_had {
                own.with(Commands::membership_is_not_had);
            } else if own.with(|commands| commands.membership_is_fresh(now())) {
                own.wake();
            }
            own.answered.notify_one();
        };
        if let Err(error) = tokio::task::spawn_blocking(judge).await {
            tracing::error!(%error, "a command waits on");
        }
    }

    pub(super) async fn status(&self) -> CommandsStatus {
        let own = self.clone();
        let asked = tokio::task::spawn_blocking(move || own.with(|commands| commands.status()));
        asked.await.unwrap_or_default()
    }

    /// For whoever asks about grants.
    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Commands<Directory>) -> T + Send + 'static,
    ) -> Option<T> {
        let own = self.clone();
        let asked = tokio::task::spawn_blocking(move || own.with(ask)).await;
        asked.inspect_err(|error| tracing::error!(%error, "grants")).ok()
    }

    /// A nonce for one presentation by `peer`.
    pub(super) async fn nonce(&self) -> Result<Nonce, UseError> {
        self.ask(|commands| commands.nonce(now())).await.unwrap_or(Err(UseError::Closed))
    }

    /// Somebody shows a grant; gives the signed reply, or how far it is when that takes longer than `patience`.
    pub(super) async fn present(&self, shown: Vec<u8>, patience: Duration) -> Result<UseState, UseError> {
        let asked = self.ask(move |commands| commands.present(&shown, now())).await;
        let id = asked.unwrap_or(Err(UseError::Closed))?;
        self.wake();
        let answer = async {
            loop {
                let ended = self.ended.notified();
                let state = self.ask(move |commands| commands.use_state(&id)).await;
                match state.unwrap_or(UseState::Dropped) {
                    UseState::Open => ended.await,
                    state => return state,
                }
            }
        };
        Ok(tokio::time::timeout(patience, answer).await.unwrap_or(UseState::Open))
    }

    /// A signed revocation came.
    pub(super) async fn take_back(&self, message: Vec<u8>) -> Result<(), TakeBackError> {
        let asked = self.ask(move |commands| commands.take_back(&message)).await;
        asked.unwrap_or(Err(TakeBackError::Refused(Refusal::UnknownIssuer)))
    }

    /// The next order. Cancel safe.
    pub(super) async fn next(&self) -> Action {
        loop {
            let own = self.clone();
            let begin = move || {
                if let Some(order) = own.with(|commands| commands.next_order(now())) {
                    lock(&own.begun).push_back(order);
                }
                // One that waited too long is answered.
                own.answered.notify_one();
                own.ended.notify_waiters();
            };
            if lock(&self.begun).is_empty()
                && let Err(error) = tokio::task::spawn_blocking(begin).await
            {
                tracing::error!(%error, "no orders are taken");
            }
            let order = lock(&self.begun).pop_front();
            if let Some(order) = order {
                return Action { order, actions: self.clone(), is_open: true };
            }
            let _in_time = tokio::time::timeout(LOOK_AGAIN, self.arrived.notified()).await;
        }
    }

    fn finish(&self, order: &Order, ending: Ending) {
        self.with(|commands| commands.finish(&order.id, ending, now()));
        self.answered.notify_one();
        self.ended.notify_waiters();
    }
}

/// A command that was begun. It has to come to an end; when it is dropped without one, it is answered as interrupted.
pub struct Action {
    order: Order,
    actions: Actions,
    is_open: bool,
}

impl Action {
    /// What shall be done.
    #[must_use]
    pub const fn order(&self) -> &Order {
        &self.order
    }

    /// It is done, and gave `output`; null for nothing. Its answer is durable on return, unless the disk fails: then it
    /// is sent when it is.
    pub async fn done(self, output: Value) {
        self.end(Ending::Done(output)).await;
    }

    /// It was not done, or not to its end, for this reason.
    pub async fn failed(self, reason: &str) {
        self.end(Ending::Failed(reason.to_owned())).await;
    }

    async fn end(mut self, ending: Ending) {
        let finish = move || {
            self.is_open = false;
            self.actions.finish(&self.order, ending);
        };
        if let Err(error) = tokio::task::spawn_blocking(finish).await {
            tracing::error!(%error, "an action was not answered");
        }
    }
}

impl Drop for Action {
    fn drop(&mut self) {
        if self.is_open {
            self.actions.finish(&self.order, Ending::Interrupted);
        }
    }
}
