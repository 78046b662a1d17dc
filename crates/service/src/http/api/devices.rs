//! Members: devices, gateways, applications.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base16ct::lower::encode_string as hex;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thingward_model::{DeviceName, Role};
use thingward_policy::{ManageDevices, ReadDevices, Resource};
use thingward_store::registry::{Attestation, PrincipalEntry, PrincipalKey, RevocationReason};
use utoipa::{IntoParams, ToSchema};

use super::super::app::App;
use super::super::body::Sent;
use super::super::caller::{Allowed, Named, Params, Part};
use super::super::error::{ApiError, ErrorBody};
use super::{List, word};
use crate::attestation::{Attested, Newest, accept, evidence_id};
use crate::core::Presence;

/// A member.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct DeviceView {
    /// Its name in the tenant.
    name: String,
    /// `device`, `gateway` or `application`.
    role: String,
    /// `claimed`, `enrolled` or `released`.
    state: String,
    /// The maker, when it came with a certificate of one.
    maker: Option<String>,
    /// The maker's serial number.
    maker_serial: Option<String>,
    /// When it was registered.
    created: String,
    /// Since when it has a connection to the service; null while it has none.
    connected: Option<String>,
    /// The gateway that handed on something of it last, since the service started.
    gateway: Option<String>,
    /// The gateway that has its key, for a thing of a radio: nothing of it is more than that gateway's word.
    keeper: Option<String>,
}

/// A member with the keys that it has and had.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct DeviceDetail {
    #[serde(flatten)]
    device: DeviceView,
    /// What it proved of itself with its newest key; null when it proved nothing.
    attestation: Option<AttestationView>,
    /// Newest first.
    keys: Vec<DeviceKey>,
}

/// What a member proved of itself. Nobody vouches for the first evidence; what came later is held against it, or against what
/// was accepted since.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct AttestationView {
    /// Names the newest evidence.
    evidence: String,
    /// Where its private key is: `tpm`, where it was made and cannot be taken out; `dice`, which makes it from a secret of the
    /// part and the measured firmware; or `unproven`.
    keys: String,
    /// Name and version of its software, as it says.
    software: String,
    /// The PCRs that have other values than then; null without a TPM to say.
    changed_pcrs: Option<Vec<u8>>,
    /// SHA-256 of the firmware as its part measured it; null where none does.
    firmware: Option<String>,
    /// Whether that is another than then; null where no part measures it.
    changed_firmware: Option<bool>,
    /// Whose it is: the `member`'s, `pending` when it is of other firmware, which is no member until this is accepted, or
    /// `accepted` until that renews.
    standing: String,
    /// When the evidence came that it is held against.
    reference: String,
    /// When the newest came.
    latest: String,
}

impl AttestationView {
    /// Of a member that ever had these keys; `None` when it proved nothing with the newest, or nothing that is read.
    fn of(kept: &Attestation, keys: Vec<PrincipalKey>) -> Option<Self> {
        let newest = Newest::of(keys)?;
        if !newest.is_known_by(kept) {
            return None;
        }
        let is_accepted = newest.is_replaced_by(kept);
        let is_reference = kept.latest.key == kept.reference.key;
        let standing = match (is_reference, is_accepted) {
            (true, true) => "accepted",
            (false, true) => "pending",
            (false, false) if !newest.is_for(&kept.latest.key) => "pending",
            (_, false) => "member",
        };
        let reference = Attested::of_kept(&kept.reference)?;
        let latest = Attested::of_kept(&kept.latest)?;
        let firmware = latest.firmware();
        Some(Self {
            evidence: evidence_id(&kept.latest),
            keys: latest.keys().to_owned(),
            changed_pcrs: (latest.keys() == "tpm").then(|| latest.changed_pcrs(&reference)),
            changed_firmware: firmware.is_some().then(|| reference.firmware() != firmware),
            firmware,
            standing: standing.to_owned(),
            software: latest.software,
            reference: kept.reference.at.to_string(),
            latest: kept.latest.at.to_string(),
        })
    }
}

/// A public key of a member.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct DeviceKey {
    /// Names the key: the first 8 bytes of SHA-256 of its SubjectPublicKeyInfo.
    id: String,
    /// The key itself: SubjectPublicKeyInfo, base64.
    key: String,
    /// Serial number of its certificate.
    serial: String,
    /// Start of the certificate's validity.
    not_before: String,
    /// End of the certificate's validity.
    not_after: String,
    /// When it was revoked.
    revoked: Option<String>,
    /// Why it was revoked.
    reason: Option<String>,
}

impl DeviceView {
    fn of(e: PrincipalEntry, presence: &Presence) -> Self {
        let name = &e.principal.name;
        let connected = presence.connected.get(name).map(ToString::to_string);
        let gateway = presence.gateways.get(name).map(ToString::to_string);
        let (maker, maker_serial) = e.hardware.map(|h| (h.maker, h.serial)).unzip();
        Self {
            name: e.principal.name.to_string(),
            role: e.principal.role.to_string(),
            state: e.state.to_string(),
            maker,
            maker_serial,
            created: e.created.to_string(),
            connected,
            gateway,
            keeper: e.keeper.map(|keeper| keeper.to_string()),
        }
    }
}

impl From<PrincipalKey> for DeviceKey {
    fn from(k: PrincipalKey) -> Self {
        let (revoked, reason) = k.revoked.unzip();
        Self {
            id: hex(&k.id),
            key: STANDARD.encode(&k.spki),
            serial: k.serial.to_string(),
            not_before: k.not_before.to_string(),
            not_after: k.not_after.to_string(),
            revoked: revoked.map(|r| r.to_string()),
            reason: reason.map(|r| r.to_string()),
        }
    }
}

/// Which members.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct DeviceParams {
    /// `device`, `gateway` or `application`; all when nothing is said.
    role: Option<String>,
    /// Items after this one: `next` of the page before.
    after: Option<String>,
    /// Most items in the answer, 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Why certificates are taken back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Revoke {
    /// `unspecified` (default), `key-compromise`, `affiliation-changed`, `superseded`,
    /// `cessation-of-operation` or `privilege-withdrawn`: RFC 5280 §5.3.1.
    reason: Option<String>,
}

impl Named for DeviceName {
    const NAME: &'static str = "device";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// List members
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/devices", tag = "devices",
    params(("tenant" = String, Path), DeviceParams),
    responses(
        (status = 200, description = "Members by name", body = List<DeviceView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Params(params): Params<DeviceParams>,
) -> Result<Json<List<DeviceView>>, ApiError> {
    let role = params.role.as_deref().map(|role| word::<Role>("role", role)).transpose()?;
    let page = super::ListParams { after: params.after, limit: params.limit };
    let (limit, after) = (page.limit()?, page.after::<DeviceName>()?);
    let registry = app.shared.store.registry();
    let found = registry.principals(&allowed.tenant(), role, after.as_ref(), limit).await?;
    let presence = app.shared.core.presence(allowed.tenant()).await;
    let view = |e| DeviceView::of(e, &presence);
    let mut page = List::page(found, limit, view, |e| e.principal.name.to_string());
    // What holds for one member holds for it in a list.
    page.items.retain(|device| {
        let on = device.name.parse().map(Resource::Member);
        on.is_ok_and(|on| allowed.also(&app, &on))
    });
    Ok(Json(page))
}

/// Show a member
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/devices/{device}", tag = "devices",
    params(("tenant" = String, Path), ("device" = String, Path)),
    responses(
        (status = 200, description = "With its keys", body = DeviceDetail),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn show(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Part(name): Part<DeviceName>,
) -> Result<Json<DeviceDetail>, ApiError> {
    let (registry, tenant) = (app.shared.store.registry(), allowed.tenant());
    let presence = app.shared.core.presence(tenant).await;
    let device = DeviceView::of(registry.principal(&tenant, &name).await?, &presence);
    let keys = registry.keys(&tenant, &name).await?;
    let kept = registry.attestation(&tenant, &name).await?;
    let attestation = kept.and_then(|kept| AttestationView::of(&kept, keys.clone()));
    Ok(Json(DeviceDetail { device, attestation, keys: keys.into_iter().map(DeviceKey::from).collect() }))
}

/// Release a member
///
/// Revokes its certificates, ends its sessions and gives it free for another owner. What it measured stays here.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/devices/{device}/release", tag = "devices",
    params(("tenant" = String, Path), ("device" = String, Path)),
    responses(
        (status = 204, description = "Released"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn release(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageDevices>,
    Part(name): Part<DeviceName>,
) -> Result<StatusCode, ApiError> {
    take_back(&app, &allowed, name, RevocationReason::AffiliationChanged, true).await
}

/// Revoke a member
///
/// Its certificates end at once, and its sessions with them. It comes back only after it was released.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/devices/{device}/revoke", tag = "devices",
    params(("tenant" = String, Path), ("device" = String, Path)), request_body = Revoke,
    responses(
        (status = 204, description = "Revoked"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn revoke(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageDevices>,
    Part(name): Part<DeviceName>,
    Sent(body): Sent<Revoke>,
) -> Result<StatusCode, ApiError> {
    let reason = body.reason.map_or(Ok(RevocationReason::Unspecified), |r| word("reason", &r))?;
    take_back(&app, &allowed, name, reason, false).await
}

/// Ask a device for evidence
///
/// It proves anew what it is, as it does when it starts. Only for one that is connected to the service itself, or is a chip
/// on a line of a gateway that is.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/devices/{device}/attestation/ask", tag = "devices",
    params(("tenant" = String, Path), ("device" = String, Path)),
    responses(
        (status = 202, description = "Asked; what it answers is shown with it"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn ask_evidence(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageDevices>,
    Part(name): Part<DeviceName>,
) -> Result<StatusCode, ApiError> {
    let tenant = allowed.tenant();
    let known = app.shared.store.registry().principal(&tenant, &name).await?;
    if known.principal.role != Role::Device {
        return Err(ApiError::Conflict(
            "only devices are asked; others prove themselves when they renew".to_owned(),
        ));
    }
    let Presence { connected, gateways } = app.shared.core.presence(tenant).await;
    if !connected.contains_key(&name) {
        let kept = app.shared.store.registry().attestation(&tenant, &name).await?;
        let is_chip =
            kept.is_some_and(|kept| Attested::of_kept(&kept.latest).is_some_and(|it| it.keys() == "dice"));
        if !is_chip || !gateways.get(&name).is_some_and(|gateway| connected.contains_key(gateway)) {
            let why = "is neither connected to the service itself nor a chip whose gateway is";
            return Err(ApiError::Conflict(format!("{name} {why}; it proves itself when it starts")));
        }
    }
    let deed = allowed.deed("evidence.ask", format!("{}/{name}", known.principal.role));
    let (deed, shared) = (app.ordered(&tenant, &allowed.caller, deed).await?, Arc::clone(&app.shared));
    shared.record(tenant, deed).await?;
    shared.core.ask_evidence(tenant, name).await;
    Ok(StatusCode::ACCEPTED)
}

/// Which evidence is accepted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct Accept {
    /// As it is shown.
    evidence: String,
}

/// Accept what a member proves now
///
/// The newest evidence becomes what later evidence is held against.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/devices/{device}/attestation/accept", tag = "devices",
    params(("tenant" = String, Path), ("device" = String, Path)), request_body = Accept,
    responses(
        (status = 204, description = "Accepted"),
        (status = "4XX", description = "Refused, among others when newer evidence came since", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn accept_evidence(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageDevices>,
    Part(name): Part<DeviceName>,
    Sent(body): Sent<Accept>,
) -> Result<StatusCode, ApiError> {
    let tenant = allowed.tenant();
    let known = app.shared.store.registry().principal(&tenant, &name).await?;
    let deed = allowed.deed("evidence.accept", format!("{}/{name}", known.principal.role));
    let deed = deed.with("evidence", body.evidence.as_str());
    let (deed, shared) = (app.ordered(&tenant, &allowed.caller, deed).await?, Arc::clone(&app.shared));
    accept(&shared, (tenant, name), &body.evidence, deed).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn take_back(
    app: &App,
    allowed: &Allowed<ManageDevices>,
    name: DeviceName,
    reason: RevocationReason,
    release: bool,
) -> Result<StatusCode, ApiError> {
    let tenant = allowed.tenant();
    let known = app.shared.store.registry().principal(&tenant, &name).await?;
    let action = if release { "device.release" } else { "device.revoke" };
    let deed = allowed.deed(action, format!("{}/{name}", known.principal.role));
    let deed = deed.with("reason", reason.to_string());
    let (deed, shared) = (app.ordered(&tenant, &allowed.caller, deed).await?, Arc::clone(&app.shared));
    shared.record(tenant, deed).await?;
    shared.revoke_member(tenant, name, reason, release).await?;
    Ok(StatusCode::NO_CONTENT)
}
