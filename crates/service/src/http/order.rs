//! Changes under the key of whoever makes them, so that the audit log need not rest on our word.
//!
//! ```text
//! caller ── the request ─────────────────────────────────────► would write this deed, and it is not signed
//!        ◄─ 428, the deed as the log will have it ───────────
//!        ── the same request, `thingward-order: deed.signature` ► the same deed: into the log, and done
//! ```
//!
//! Nothing is kept between the two: the nonce in the order says by itself for whom it was made and when.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_core::Rng;
use thingward_audit::order::Order;
use thingward_crypto::sign::SIGNATURE_BYTES;
use thingward_crypto::{VerifyingKey, system_rng};
use thingward_model::clock::now;
use thingward_model::{TenantName, Timestamp};

use super::app::App;
use super::caller::{Caller, Credential};
use super::error::ApiError;
use crate::audit::Deed;
use crate::sign_in::{CHALLENGE_SECONDS, Purpose};

/// What the signed order is sent in: both parts base64url, with a dot between them.
pub(super) const ORDER: HeaderName = HeaderName::from_static("thingward-order");
/// Longest header that is read, in bytes. A usual order has 600.
const HEADER_BYTES_MAX: usize = 8 * 1024;

const READS_ONLY: &str = "a token without a key only reads; make one with a key, and sign with it";
const OTHER_KEY: &str = "the order is not signed with the key of who sends it";
const NOT_OURS: &str = "the order was not asked for, is too old, or was carried out before";

/// What random numbers of a change are made from, so that it is the same change when it comes back signed.
pub(super) type Seed = [u8; 16];

/// When a change was asked for first, and the order, once it is signed.
#[derive(Debug, Clone)]
pub(super) struct Occasion {
    /// When.
    pub(super) at: Timestamp,
    /// For what of it is random.
    pub(super) seed: Seed,
    signed: Option<SignedOrder>,
}

#[derive(Debug, Clone)]
struct SignedOrder {
    order: Order,
    nonce: Vec<u8>,
    signature: [u8; SIGNATURE_BYTES],
}

impl Occasion {
    fn new() -> Self {
        let mut seed = Seed::default();
        system_rng().fill_bytes(&mut seed);
        Self { at: now(), seed, signed: None }
    }

    /// What a request brings.
    ///
    /// # Errors
    ///
    /// [`ApiError::Invalid`], [`ApiError::BadOrder`].
    pub(super) fn of(parts: &Parts, app: &App, actor: &str) -> Result<Self, ApiError> {
        let Some((message, signature)) = read(&parts.headers)? else { return Ok(Self::new()) };
        let order = Order::decode(&message).map_err(|e| ApiError::parameter(ORDER.as_str(), &e))?;
        let nonce = order.claimed_unverified().evidence.clone().unwrap_or_default();
        let note = app.shared.challenges.note(Purpose::Order(actor), &nonce, now());
        let read = note.and_then(|note| read_note(&note));
        // One that was asked for again is no younger for it.
        let in_time = |at: &Timestamp| now().micros_since(*at) <= i64::from(CHALLENGE_SECONDS) * 1_000_000;
        let (at, seed) = read.filter(|(at, _)| in_time(at)).ok_or_else(|| app.bad_order(NOT_OURS))?;
        Ok(Self { at, seed, signed: Some(SignedOrder { order, nonce, signature }) })
    }

    fn note(&self) -> Vec<u8> {
        [self.at.as_micros().to_be_bytes().as_slice(), &self.seed].concat()
    }
}

fn read_note(note: &[u8]) -> Option<(Timestamp, Seed)> {
    let (at, seed) = note.split_first_chunk::<8>()?;
    Some((Timestamp::from_micros(i64::from_be_bytes(*at)), seed.try_into().ok()?))
}

type Sent = (Vec<u8>, [u8; SIGNATURE_BYTES]);

fn read(headers: &HeaderMap) -> Result<Option<Sent>, ApiError> {
    let Some(value) = headers.get(ORDER) else { return Ok(None) };
    let parts = value.to_str().ok().filter(|v| v.len() <= HEADER_BYTES_MAX).and_then(|v| v.split_once('.'));
    let read = parts.and_then(|(message, signature)| {
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
        Some((URL_SAFE_NO_PAD.decode(message).ok()?, signature))
    });
    let wrong = || ApiError::parameter(ORDER.as_str(), &"is no order with its signature");
    read.map(Some).ok_or_else(wrong)
}

impl Caller {
    /// What they sign changes with; the operator is known by the socket, and signs nothing.
    fn key(&self) -> Result<Option<&VerifyingKey>, ApiError> {
        match &self.credential {
            Credential::Socket => Ok(None),
            Credential::Token(token) => token.key.as_ref().map(Some).ok_or(ApiError::Denied(READS_ONLY)),
            Credential::Session(session) => Ok(Some(&session.key)),
        }
    }
}

impl App {
    /// Puts what a caller does into the log, under their key. It may be done once this returns.
    ///
    /// # Errors
    ///
    /// [`ApiError::Unsigned`] with what they have to sign, [`ApiError::BadOrder`], [`ApiError::Denied`], and what the
    /// store says.
    pub(super) async fn record(
        &self,
        tenant: TenantName,
        caller: &Caller,
        deed: Deed,
    ) -> Result<(), ApiError> {
        let deed = self.ordered(&tenant, caller, deed).await?;
        self.shared.record(tenant, deed).await?;
        Ok(())
    }

    /// The deed with the caller's signed order as its evidence, when what they showed still works: a request can take its
    /// time, and who was shown out meanwhile changes nothing any more.
    ///
    /// # Errors
    ///
    /// As [`Self::record`].
    pub(super) async fn ordered(
        &self,
        tenant: &TenantName,
        caller: &Caller,
        deed: Deed,
    ) -> Result<Deed, ApiError> {
        caller.credential.still_works(self).await?;
        let Some(key) = caller.key()? else { return Ok(deed) };
        let (origin, occasion) = (self.shared.auditor.origin(tenant), &caller.occasion);
        let unsigned = |deed: Deed| {
            let nonce = self.shared.challenges.make(Purpose::Order(&caller.actor()), &occasion.note(), now());
            let deed = Deed { evidence: Some(nonce.map_err(|_| ApiError::Internal)?), ..deed };
            let order = Order::new(&origin, deed.entry(occasion.at), key);
            order.map(Box::new).map_err(|e| ApiError::Invalid(e.to_string()))
        };
        let Some(SignedOrder { order, nonce, signature }) = &occasion.signed else {
            return Err(ApiError::Unsigned(unsigned(deed)?));
        };
        let evidence = order.signed(&origin, key, signature).map_err(|_| self.bad_order(OTHER_KEY))?;
        let claimed = order.claimed_unverified();
        if claimed.time != occasion.at.as_micros() || !claimed.is_same_deed(&deed.clone().entry(occasion.at))
        {
            // What it is over has changed meanwhile, or it is the order of something else.
            return Err(ApiError::Unsigned(unsigned(deed)?));
        }
        if !self.shared.challenges.spend(nonce, now()) {
            return Err(self.bad_order(NOT_OURS));
        }
        Ok(Deed { evidence: Some(evidence), ..deed })
    }

    fn bad_order(&self, why: &'static str) -> ApiError {
        self.shared.core.metrics().requests_denied.inc();
        ApiError::BadOrder(why)
    }
}
