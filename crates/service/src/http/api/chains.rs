//! Chains: what opens and proves the readings in them, for those who hold the recipient's key.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base16ct::lower::encode_string as hex;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thingward_policy::ReadReadings;
use thingward_seal::{Item, Items, StatementKind};
use thingward_store::StoreError;
use thingward_store::hot::Space;
use utoipa::ToSchema;

use super::super::app::App;
use super::super::caller::Allowed;
use super::super::error::{ApiError, ErrorBody};
use super::List;
use crate::stream_state::StreamKey;

/// Most chains in an answer. A stream has one until its device is reset or its recipient changes.
const CHAINS_MAX: usize = 100_000;

/// A chain of a stream.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct ChainView {
    /// Who made it.
    device: String,
    /// Which stream it holds.
    stream: String,
    /// Its id, as readings name it.
    chain: String,
    /// When it was opened, by the device's clock.
    opened: String,
    /// `service` or `customer`: who opens its records.
    sealed_for: String,
    /// The open statement (COSE_Sign1), base64: it holds the records' key for the recipient.
    open: String,
    /// The key that signed it, a SubjectPublicKeyInfo, base64; null when the registry has no such key.
    signer: Option<String>,
}

/// List chains
///
/// With the open statement and the recipient's secret key, a customer opens sealed readings without the service.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/chains", tag = "readings", params(("tenant" = String, Path)),
    responses(
        (status = 200, description = "All that were opened", body = List<ChainView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadReadings>,
) -> Result<Json<List<ChainView>>, ApiError> {
    let tenant = allowed.tenant();
    let found =
        app.ask(move |store| store.scan(Space::Chains, &StreamKey::opens_of(&tenant), CHAINS_MAX)).await?;
    let mut chains = Vec::with_capacity(found.len());
    for (_, bytes) in found {
        chains.push(view(&app, &bytes).await?);
    }
    Ok(Json(List::whole(chains)))
}

async fn view(app: &App, bytes: &[u8]) -> Result<ChainView, ApiError> {
    let corrupt = || StoreError::Corrupt { what: "an open statement".to_owned() };
    let Some(Ok(Item::Statement(signed))) = Items::new(bytes).next() else { return Err(corrupt().into()) };
    // It was verified when it came.
    let statement = signed.claimed_unverified();
    let StatementKind::Open { confidentiality, .. } = statement.kind else { return Err(corrupt().into()) };
    let subject = statement.subject;
    let keys = app.shared.store.registry().keys(&subject.tenant, &subject.device).await?;
    let signer = keys.into_iter().find(|k| k.id == signed.key_id());
    Ok(ChainView {
        device: subject.device.to_string(),
        stream: subject.stream.to_string(),
        chain: hex(&statement.chain),
        opened: statement.time.to_string(),
        sealed_for: confidentiality.to_string(),
        open: STANDARD.encode(bytes),
        signer: signer.map(|key| STANDARD.encode(key.spki)),
    })
}
