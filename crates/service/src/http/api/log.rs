//! The audit log: its checkpoint, its pieces as C2SP tlog-tiles has them, and entries with their proofs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thingward_audit::Hash;
use thingward_audit::entry::{Entry, SignedEntry};
use thingward_audit::tile::Tile;
use thingward_model::{TenantName, Timestamp};
use thingward_policy::ReadLog;
use thingward_store::StoreError;
use utoipa::{IntoParams, ToSchema};

use super::super::app::App;
use super::super::caller::{Allowed, Named, Params, Part};
use super::super::error::{ApiError, ErrorBody};
use super::List;

/// Most entries of a page.
const PAGE_MAX: u64 = 1000;
const PAGE_DEFAULT: u64 = 100;

/// The log as a whole.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct LogView {
    /// What it is called in its checkpoints.
    origin: String,
    /// The key that its checkpoints verify with, as C2SP signed-note writes it.
    key: String,
    /// Entries.
    size: u64,
    /// The root over them, base64.
    root: String,
}

/// One entry.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct LogEntryView {
    /// Its place in the log, from 0.
    index: u64,
    /// When, by the signer's clock.
    time: String,
    /// What was done.
    action: String,
    /// By whom.
    actor: String,
    /// To whom.
    target: String,
    /// How.
    details: std::collections::BTreeMap<String, String>,
    /// The exact bytes, base64: the COSE_Sign1 that is the leaf.
    entry: String,
}

/// The proof that an entry is in the log.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct LogProofView {
    /// The entry's place.
    index: u64,
    /// The size of the log that the proof is for.
    size: u64,
    /// Hashes from the leaf to the root, base64: RFC 9162 §2.1.3.
    proof: Vec<String>,
    /// The signed checkpoint of that size.
    checkpoint: String,
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct LogParams {
    /// Entries after this one: `next` of the page before.
    after: Option<u64>,
    /// Most entries in the answer, 1 to 1000. Default 100.
    limit: Option<u64>,
}

/// A number in a path.
pub(in crate::http) struct Index(u64);

impl Named for Index {
    const NAME: &'static str = "index";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// A piece of the log in a path.
pub(in crate::http) struct Piece(Tile);

impl Named for Piece {
    const NAME: &'static str = "piece";
    fn parse(text: &str) -> Option<Self> {
        Tile::parse(&format!("tile/{text}")).map(Self)
    }
}

/// The log as a whole
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/log", tag = "log", params(("tenant" = String, Path)),
    responses(
        (status = 200, description = "Its name, key, size and root", body = LogView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn show(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadLog>,
) -> Result<Json<LogView>, ApiError> {
    let (tenant, auditor) = (allowed.tenant(), &app.shared.auditor);
    let (size, root) = head(&app, tenant).await?;
    let key = auditor.key(&tenant).map_err(|_| ApiError::Internal)?.to_string();
    Ok(Json(LogView { origin: auditor.origin(&tenant), key, size, root: STANDARD.encode(root) }))
}

/// The signed checkpoint
///
/// C2SP tlog-checkpoint.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/log/checkpoint", tag = "log", params(("tenant" = String, Path)),
    responses(
        (status = 200, description = "A signed note", body = String, content_type = "text/plain"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn checkpoint(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadLog>,
) -> Result<Response, ApiError> {
    let tenant = allowed.tenant();
    let (size, root) = head(&app, tenant).await?;
    let note = app.shared.auditor.checkpoint(&tenant, size, root).map_err(|_| ApiError::Internal)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], note)
        .into_response())
}

/// A tile or an entry bundle
///
/// C2SP tlog-tiles: `0/x001/067`, `entries/000.p/7`.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/log/tile/{piece}", tag = "log",
    params(("tenant" = String, Path), ("piece" = String, Path)),
    responses(
        (status = 200, description = "It never changes", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn piece(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadLog>,
    Part(Piece(tile)): Part<Piece>,
) -> Result<Response, ApiError> {
    let tenant = allowed.tenant();
    let size = app.shared.core.log_size(&tenant);
    let bytes = app.ask(move |store| store.log(tenant).piece(tile, size)).await?;
    let bytes = bytes.ok_or(ApiError::NotFound("piece of the log"))?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable"),
    ];
    Ok((headers, bytes).into_response())
}

/// List entries
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/log/entries", tag = "log",
    params(("tenant" = String, Path), LogParams),
    responses(
        (status = 200, description = "In their order", body = List<LogEntryView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn entries(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadLog>,
    Params(params): Params<LogParams>,
) -> Result<Json<List<LogEntryView>>, ApiError> {
    let limit = params.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(ApiError::Invalid(format!("`limit` is not from 1 to {PAGE_MAX}")));
    }
    let tenant = allowed.tenant();
    let size = app.shared.core.log_size(&tenant);
    let first = params.after.map_or(0, |after| after.saturating_add(1)).min(size);
    let count = limit.min(size - first);
    let found = app.ask(move |store| store.log(tenant).entries(first, count)).await?;
    let next = found.last().map(|(index, _)| *index).filter(|last| last + 1 < size);
    let items = found.into_iter().map(|(index, bytes)| view(index, &bytes)).collect::<Result<_, _>>()?;
    Ok(Json(List { items, next: next.map(|n| n.to_string()) }))
}

/// Prove an entry
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/log/entries/{index}/proof", tag = "log",
    params(("tenant" = String, Path), ("index" = u64, Path)),
    responses(
        (status = 200, description = "For the log as it is now", body = LogProofView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn proof(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadLog>,
    Part(Index(index)): Part<Index>,
) -> Result<Json<LogProofView>, ApiError> {
    let tenant = allowed.tenant();
    let (size, root) = head(&app, tenant).await?;
    let proof = app.ask(move |store| store.log(tenant).inclusion_proof(index, size)).await?;
    let checkpoint = app.shared.auditor.checkpoint(&tenant, size, root).map_err(|_| ApiError::Internal)?;
    let proof = proof.iter().map(|hash| STANDARD.encode(hash)).collect();
    Ok(Json(LogProofView { index, size, proof, checkpoint }))
}

/// Size and root of the log, as far as it is durable.
async fn head(app: &App, tenant: TenantName) -> Result<(u64, Hash), ApiError> {
    let size = app.shared.core.log_size(&tenant);
    Ok((size, app.ask(move |store| store.log(tenant).root(size)).await?))
}

fn view(index: u64, bytes: &[u8]) -> Result<LogEntryView, ApiError> {
    let damaged = |_| ApiError::Store(StoreError::Corrupt { what: format!("log entry {index}") });
    let signed = SignedEntry::decode(bytes).map_err(damaged)?;
    let Entry { time, action, actor, target, details, .. } = signed.claimed_unverified().clone();
    let (time, entry) = (Timestamp::from_micros(time).to_string(), STANDARD.encode(bytes));
    Ok(LogEntryView { index, time, action, actor, target, details, entry })
}
