//! The audit log: its checkpoint, its pieces as C2SP tlog-tiles has them, and entries with their proofs.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thingward_audit::EMPTY_ROOT;
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
use crate::witness::Published;

/// Most entries of a page.
const PAGE_MAX: u64 = 1000;
const PAGE_DEFAULT: u64 = 100;
/// Longest wait for an entry, in seconds.
const WAIT_SECONDS_MAX: u64 = 30;
/// How often a log is looked at for those who wait.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The log as a whole.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct LogView {
    /// What it is called in its checkpoints.
    origin: String,
    /// The key that its checkpoints verify with, as C2SP signed-note writes it.
    key: String,
    /// Entries of the published checkpoint.
    size: u64,
    /// The root over them, base64.
    root: String,
    /// Entries that there are. Where witnesses have to co-sign, the published checkpoint comes after them.
    entries: u64,
    /// The keys of the witnesses that are asked, as C2SP signed-note writes them.
    witnesses: Vec<String>,
    /// How many of them have to co-sign a checkpoint before it is published.
    quorum: usize,
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
    #[param(format = "uint64")]
    after: Option<u64>,
    /// Most entries in the answer, 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u64>,
    /// When there are none yet, wait so many seconds for the next, 1 to 30.
    #[param(minimum = 1, maximum = 30)]
    wait: Option<u64>,
}

impl LogParams {
    /// The entry that the answer begins with, when it is there.
    fn first(&self) -> u64 {
        self.after.map_or(0, |after| after.saturating_add(1))
    }

    /// The bounds, checked.
    fn limit(&self) -> Result<u64, ApiError> {
        let limit = self.limit.unwrap_or(PAGE_DEFAULT);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(ApiError::Invalid(format!("`limit` is not from 1 to {PAGE_MAX}")));
        }
        if self.wait.is_some_and(|wait| !(1..=WAIT_SECONDS_MAX).contains(&wait)) {
            return Err(ApiError::Invalid(format!("`wait` is not from 1 to {WAIT_SECONDS_MAX}")));
        }
        Ok(limit)
    }
}

/// The query of a caller that may read the log, after what it wants to wait for came or did not come. The handler
/// asks for the permission after it once more: it may have ended meanwhile.
pub(in crate::http) struct Waited(LogParams);

impl FromRequestParts<Arc<App>> for Waited {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let tenant = Allowed::<ReadLog>::from_request_parts(parts, app).await?.tenant();
        let Params(params) = Params::<LogParams>::from_request_parts(parts, app).await?;
        params.limit()?;
        if let Some(seconds) = params.wait {
            let _place = app.follower_place()?;
            let there = async {
                while app.shared.core.log_size(&tenant) <= params.first() {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            };
            // Nothing came: the answer is empty.
            let _ = tokio::time::timeout(Duration::from_secs(seconds), there).await;
        }
        Ok(Self(params))
    }
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
    let (size, root) = match head(&app, tenant).await? {
        Some(head) => (head.size, head.root),
        None => (0, EMPTY_ROOT),
    };
    let quorum = app.shared.witnessing.quorum();
    Ok(Json(LogView {
        origin: auditor.origin(&tenant),
        key: auditor.key(&tenant).map_err(|_| ApiError::Internal)?.to_string(),
        size,
        root: STANDARD.encode(root),
        entries: app.shared.core.log_size(&tenant),
        witnesses: quorum.witnesses().iter().map(ToString::to_string).collect(),
        quorum: quorum.wanted(),
    }))
}

/// The signed checkpoint
///
/// C2SP tlog-checkpoint. Where witnesses have to co-sign, the last one that enough of them have, with their
/// cosignatures.
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
    let note = published(&app, allowed.tenant()).await?.note;
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
    let size = match app.shared.witnessing.is_required() {
        true => published(&app, tenant).await?.size,
        false => app.shared.core.log_size(&tenant),
    };
    let bytes = app.ask(move |store| store.log(tenant).piece(tile, size)).await?;
    let bytes = bytes.ok_or(ApiError::NotFound("piece of the log"))?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable"),
    ];
    Ok((headers, bytes).into_response())
}

/// List entries
///
/// Also those that no checkpoint is published over yet. With `wait` the answer comes as soon as there is an entry: ask
/// again with the last one's number to follow the log.
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
    Waited(params): Waited,
    allowed: Allowed<ReadLog>,
) -> Result<Json<List<LogEntryView>>, ApiError> {
    let tenant = allowed.tenant();
    let size = app.shared.core.log_size(&tenant);
    let first = params.first().min(size);
    let count = params.limit()?.min(size - first);
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
        (status = 200, description = "For the published checkpoint", body = LogProofView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn proof(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadLog>,
    Part(Index(index)): Part<Index>,
) -> Result<Json<LogProofView>, ApiError> {
    let tenant = allowed.tenant();
    let Published { size, note: checkpoint, .. } = published(&app, tenant).await?;
    let proof = app.ask(move |store| store.log(tenant).view()?.inclusion_proof(index, size)).await?;
    let proof = proof.iter().map(|hash| STANDARD.encode(hash)).collect();
    Ok(Json(LogProofView { index, size, proof, checkpoint }))
}

/// The checkpoint of the log that whoever asks may have: over all that is durable, or where witnesses have to co-sign,
/// the last one that they have; none before the first.
async fn head(app: &App, tenant: TenantName) -> Result<Option<Published>, ApiError> {
    if app.shared.witnessing.is_required() {
        return Ok(app.shared.witnessing.published(&tenant));
    }
    let size = app.shared.core.log_size(&tenant);
    let root = app.ask(move |store| store.log(tenant).view()?.root(size)).await?;
    let note = app.shared.auditor.checkpoint(&tenant, size, root).map_err(|_| ApiError::Internal)?;
    Ok(Some(Published { size, root, note }))
}

async fn published(app: &App, tenant: TenantName) -> Result<Published, ApiError> {
    head(app, tenant).await?.ok_or(ApiError::NotFound("checkpoint that enough witnesses have co-signed"))
}

fn view(index: u64, bytes: &[u8]) -> Result<LogEntryView, ApiError> {
    let damaged = |_| ApiError::Store(StoreError::Corrupt { what: format!("log entry {index}") });
    let signed = SignedEntry::decode(bytes).map_err(damaged)?;
    let Entry { time, action, actor, target, details, .. } = signed.claimed_unverified().clone();
    let (time, entry) = (Timestamp::from_micros(time).to_string(), STANDARD.encode(bytes));
    Ok(LogEntryView { index, time, action, actor, target, details, entry })
}
