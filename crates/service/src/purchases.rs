//! What strangers buy: a grant of a device for so long, at the price that it had when they asked.
//!
//! ```text
//! offer ─reserve─► reserved ─paid at the provider, captured─► paid ─the device reports a start─► active
//!                     │                                        │                                   │ reports an end
//!                     └─────────────nobody pays────────────────┴─────────never used────────────────┴──► ended, the rest
//!                                                                                                       goes back
//! ```
//!
//! - [`ware`]: what a description lets a device sell, and the price;
//! - [`reserve`]: somebody wants it;
//! - [`progress`]: one worker that follows payments and time, one step after the other;
//! - [`uses`]: what devices report, kept beside the log entries about it until the worker has taken it;
//! - [`rest`]: how much goes back.
//!
//! What the registry says is done again after a kill: each step with the provider has a key, each in the registry its
//! condition.

mod progress;
mod reserve;
mod rest;
pub(crate) mod uses;
pub(crate) mod ware;

use std::io;

use base16ct::lower::encode_string as hex;
use thingward_crypto::system_rng;
use thingward_grant::HolderKey;
use thingward_model::clock::now;
use thingward_model::{ActionName, DeviceName, TenantName, Timestamp};
use thingward_payment::webhook::{Headers, WebhookFault};
use thingward_payment::{ApiKey, Currency, Money, Provider, TestbedClient, WebhookKey};
use thingward_policy::{IssueGrants, Resource, Subject};
use thingward_store::StoreError;
use thingward_store::registry::{GrantId, Offer, Purchase};
use tokio::sync::Notify;

pub(crate) use self::progress::run;
pub(crate) use self::reserve::{NotSold, Wish};
use crate::access::token_subject;
use crate::settings::PaymentSettings;
use crate::shared::Shared;

/// Who takes cards for us.
pub(crate) struct Payments {
    provider: Box<dyn Provider>,
    webhook: WebhookKey,
    /// Something may be to do.
    news: Notify,
}

impl Payments {
    /// With the secrets that the settings name.
    ///
    /// # Errors
    ///
    /// A secret cannot be read, or is none.
    pub(crate) fn open(settings: &PaymentSettings) -> io::Result<Self> {
        let file = |path: &std::path::Path, e| io::Error::other(format!("{}: {e}", path.display()));
        let key = ApiKey::read(&settings.api_key_file).map_err(|e| file(&settings.api_key_file, e))?;
        let webhook = WebhookKey::read(&settings.webhook_secret_file);
        let webhook = webhook.map_err(|e| file(&settings.webhook_secret_file, e))?;
        let nowhere = || io::Error::other("the provider is not `http` on this machine");
        let provider = TestbedClient::new(&settings.testbed, key).ok_or_else(nowhere)?;
        Ok(Self { provider: Box::new(provider), webhook, news: Notify::new() })
    }

    /// Whether a message that came now is the provider's.
    ///
    /// # Errors
    ///
    /// [`WebhookFault`].
    pub(crate) fn is_from_provider(&self, headers: &Headers<'_>, body: &[u8]) -> Result<(), WebhookFault> {
        self.webhook.verify(headers, body, now().as_seconds())
    }

    /// Lets the worker look.
    pub(crate) fn look(&self) {
        self.news.notify_one();
    }
}

/// How the log names a purchase.
pub(crate) fn target(id: &GrantId) -> String {
    format!("purchase/{}", hex(id))
}

/// The price of a purchase, or a part of it.
pub(crate) fn money(purchase: &Purchase, amount: u64) -> Result<Money, StoreError> {
    let corrupt = |_| StoreError::Corrupt { what: "a currency".to_owned() };
    Ok(Money { amount, currency: purchase.currency.parse::<Currency>().map_err(corrupt)? })
}

/// What the provider calls a purchase of ours.
fn reference(tenant: &TenantName, id: &GrantId) -> String {
    format!("{tenant}/{}", hex(id))
}

impl Shared {
    /// Whether who set an offer may still grant what it sells.
    async fn stands_behind(&self, tenant: &TenantName, offer: &Offer) -> Result<bool, StoreError> {
        let Some(author) = self.subject(tenant, &offer.set_by).await? else { return Ok(false) };
        let may = |action: ActionName| {
            let on = Resource::Operation(offer.device, action, None);
            self.directory.access.decide::<IssueGrants>(tenant, &author, &on).is_ok()
        };
        Ok(may(offer.start) && may(offer.finish))
    }

    /// Whom policies see behind a name of the log, as long as they are somebody.
    async fn subject(&self, tenant: &TenantName, actor: &str) -> Result<Option<Subject>, StoreError> {
        let registry = self.store.registry();
        let found = match actor.split_once('/') {
            None if actor == "operator" => Ok(Subject::Operator),
            Some(("user", id)) => match id.parse() {
                Ok(id) => registry.user_by_id(tenant, &id).await.map(|user| Subject::User(user.name)),
                Err(_) => return Ok(None),
            },
            Some(("token", id)) => match id.parse() {
                Ok(id) => registry.token_by_id(&id, now()).await.map(|token| token_subject(&token)),
                Err(_) => return Ok(None),
            },
            _ => return Ok(None),
        };
        match found {
            Ok(subject) => Ok(Some(subject)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }
}

/// A new id, of a purchase and of the grant that it becomes.
fn new_id() -> GrantId {
    use rand_core::Rng;
    let mut id = GrantId::default();
    system_rng().fill_bytes(&mut id);
    id
}

/// Whose key has to show the grant of a purchase.
const fn holder(purchase: &Purchase) -> HolderKey {
    HolderKey::from_bytes(purchase.holder)
}

/// Whether somebody else has paid for the device and is not over.
fn is_taken(stays: &[Purchase], holder: &[u8; 32]) -> bool {
    stays.iter().any(|stay| stay.holder != *holder)
}

/// Whether a holder has paid for as long ahead as is sold at once.
fn is_enough(stays: &[Purchase], ware: &ware::Ware, time: Timestamp) -> bool {
    let most = i64::try_from(ware.most.saturating_mul(ware.unit.seconds())).unwrap_or(i64::MAX);
    stays.iter().any(|stay| stay.until.micros_since(time) > most.saturating_mul(1_000_000))
}

type Place = (TenantName, DeviceName);
