//! Chains: what opens and proves the readings in them, for those who hold the recipient's key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base16ct::lower::encode_string as hex;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thingward_model::{DeviceName, StreamName};
use thingward_policy as policy;
use thingward_policy::{Permit, ReadDevices, Resource};
use thingward_seal::{ChainId, Item, Items, StatementKind, Subject};
use thingward_store::StoreError;
use thingward_store::hot::Space;
use thingward_store::registry::PrincipalKey;
use utoipa::{IntoParams, ToSchema};

use super::super::app::App;
use super::super::caller::{Params, Reading};
use super::super::error::{ApiError, ErrorBody};
use super::{List, ListParams, word};
use crate::stream_state::StreamKey;

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

/// Which chains.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ChainParams {
    /// Of one device.
    device: Option<String>,
    /// Of one stream of that device.
    stream: Option<String>,
    /// Items after this one: `next` of the page before.
    after: Option<String>,
    /// Most items in the answer, 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Where a page of chains ended: `DEVICE/STREAM/CHAIN`.
struct Place {
    device: DeviceName,
    stream: StreamName,
    chain: ChainId,
}

impl FromStr for Place {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('/');
        let mut next = || parts.next().ok_or(());
        let (device, stream, chain) = (next()?, next()?, next()?);
        let mut id = ChainId::default();
        base16ct::lower::decode(chain, &mut id).map_err(drop)?;
        let (device, stream) = (device.parse().map_err(drop)?, stream.parse().map_err(drop)?);
        (parts.next().is_none() && chain.len() == 2 * id.len())
            .then_some(Self { device, stream, chain: id })
            .ok_or(())
    }
}

/// List chains
///
/// With the open statement and the recipient's secret key, a customer opens sealed readings without the service.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/chains", tag = "readings",
    params(("tenant" = String, Path), ChainParams),
    responses(
        (status = 200, description = "By device and stream", body = List<ChainView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    reading: Reading,
    Params(params): Params<ChainParams>,
) -> Result<Json<List<ChainView>>, ApiError> {
    let tenant = reading.tenant;
    if !matches!(
        reading.caller.subject,
        policy::Subject::Operator | policy::Subject::Token { user: None, .. }
    ) {
        // A statement says which streams there are, which is for people who see devices.
        let caller = &reading.caller;
        let _: Permit<ReadDevices> =
            app.shared.permit(tenant, &caller.subject, &caller.actor(), &Resource::Tenant).await?;
    }
    let device = params.device.as_deref().map(|d| word::<DeviceName>("device", d)).transpose()?;
    let stream = params.stream.as_deref().map(|s| word::<StreamName>("stream", s)).transpose()?;
    if stream.is_some() && device.is_none() {
        return Err(ApiError::Invalid("`stream` needs a `device`".to_owned()));
    }
    let page = ListParams { after: params.after, limit: params.limit };
    let (limit, after) = (page.limit()?, page.after::<Place>()?);
    let after =
        after.map_or(Vec::new(), |p| StreamKey { tenant, device: p.device, stream: p.stream }.open(&p.chain));
    let prefix = StreamKey::opens_of(&tenant, device.as_ref(), stream.as_ref());
    let pairs_max = usize::try_from(limit).unwrap_or(usize::MAX);
    let found = app.ask(move |store| store.page(Space::Chains, &prefix, &after, pairs_max)).await?;
    let mut signers = HashMap::new();
    let mut chains = Vec::with_capacity(found.len());
    for (_, bytes) in found {
        chains.push(view(&app, &mut signers, &bytes).await?);
    }
    Ok(Json(List::page(chains, limit, |view| view, |v| format!("{}/{}/{}", v.device, v.stream, v.chain))))
}

/// Keys of the devices that a page is about.
type Signers = HashMap<DeviceName, Vec<PrincipalKey>>;

async fn view(app: &App, signers: &mut Signers, bytes: &[u8]) -> Result<ChainView, ApiError> {
    let corrupt = || StoreError::Corrupt { what: "an open statement".to_owned() };
    let Some(Ok(Item::Statement(signed))) = Items::new(bytes).next() else { return Err(corrupt().into()) };
    // It was verified when it came.
    let statement = signed.claimed_unverified();
    let StatementKind::Open { confidentiality, .. } = statement.kind else { return Err(corrupt().into()) };
    let Subject { tenant, device, stream } = statement.subject;
    let keys = match signers.entry(device) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => new.insert(app.shared.store.registry().keys(&tenant, &device).await?),
    };
    let signer = keys.iter().find(|k| k.id == signed.key_id());
    Ok(ChainView {
        device: device.to_string(),
        stream: stream.to_string(),
        chain: hex(&statement.chain),
        opened: statement.time.to_string(),
        sealed_for: confidentiality.to_string(),
        open: STANDARD.encode(bytes),
        signer: signer.map(|key| STANDARD.encode(&key.spki)),
    })
}
