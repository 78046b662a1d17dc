//! Grants: who may use a device for a while, and taking that back.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use base16ct::lower::encode_string as hex;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thingward_crypto::VerifyingKey;
use thingward_grant::{FormatError, Grant, HolderKey, REFERENCE_BYTES_MAX, Reference, Terms, owned};
use thingward_model::clock::now;
use thingward_model::{DeviceName, GroupName, TenantName, Timestamp};
use thingward_policy::{Action, IssueGrants, Permit, ReadDevices, Resource, RevokeGrants};
use thingward_store::registry::{GrantAudience, GrantEntry, GrantId};
use thingward_store::{Store, StoreError};
use utoipa::{IntoParams, ToSchema};

use super::super::app::{App, to_its_end};
use super::super::body::Sent;
use super::super::caller::{Allowed, Caller, Entered, Named, Params, Part};
use super::super::error::{ApiError, ErrorBody};
use super::super::order::Occasion;
use super::commands::description_of;
use super::{List, ListParams, time, word};
use crate::command::parse_id as parse_nonce;
use crate::grants::{Ground, NewGrant};
use crate::uses::Count;

/// A grant to issue. It ends by itself: at a time, after uses, or both.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewGrantBody {
    /// For which device, `device/NAME`, or for all devices of a group, `class/NAME`.
    audience: String,
    /// What may be done, one or more: each an action that the description of the device, or of each that has one, opens to grants, within its bounds.
    #[schema(value_type = Vec<PermissionView>)]
    permissions: Value,
    /// Whose key has to show it: the 32 bytes of an Ed25519 public key, base64url.
    holder: String,
    /// From when on it counts, RFC 3339; at once when left out. Fractions of a second are cut off.
    not_before: Option<String>,
    /// From when on it counts no more. Fractions of a second are cut off.
    expires: Option<String>,
    /// How often it can be used.
    #[schema(minimum = 1)]
    uses: Option<u32>,
    /// Why its holder has it, in up to 40 bytes that mean nothing to outsiders.
    reason: Option<String>,
}

/// Something that may be done.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct PermissionView {
    /// An action of the device's description.
    action: String,
    /// Parameters with their bounds: a value, a list of values, or `{"min", "max"}` with at least one of them. The
    /// input that is no object has the empty name.
    bounds: Option<BTreeMap<String, Value>>,
}

/// A grant and what became of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct GrantView {
    /// Names it: 16 hexadecimal digits.
    id: String,
    /// For whom: `device/NAME` or `class/NAME`.
    audience: String,
    /// Which device that is, when it is one.
    device: Option<String>,
    /// What may be done.
    #[schema(value_type = Vec<PermissionView>)]
    permissions: Value,
    /// Whose key has to show it, base64url. Holders hand grants on without telling the service.
    holder: String,
    /// When it was issued.
    issued: String,
    /// By whom, as the audit log names them.
    issued_by: String,
    /// From when on it counts.
    not_before: Option<String>,
    /// From when on it counts no more.
    expires: Option<String>,
    /// How often it can be used; one for a class, at each device.
    uses: Option<u32>,
    /// How often it was used, as far as its devices have said.
    used: u32,
    /// When last, by that device's clock.
    last_used: Option<String>,
    /// Why its holder has it.
    reason: Option<String>,
    /// `active`, `not-yet`, `expired`, `used-up` or `revoked`.
    state: String,
    /// When it was taken back.
    revoked: Option<String>,
    /// What took it back: `revocation`; `epoch` when its devices could remember no more revocations, and all grants for
    /// that device or class ended at once, to be issued again; `release` when the device left.
    ended_by: Option<String>,
    /// The audience's epoch of grants that it is of.
    epoch: u32,
}

/// A grant as it was issued.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct IssuedGrant {
    #[serde(flatten)]
    view: GrantView,
    /// The grant for its holder, base64url. Without the holder's key it is of no use.
    grant: String,
}

/// Which grants.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct GrantParams {
    /// Only for this device, and for the classes that it is in.
    device: Option<String>,
    /// Only `active`, `not-yet`, `expired`, `used-up` or `revoked`.
    state: Option<String>,
    /// Items after this one: `next` of the page before.
    after: Option<String>,
    /// Most items in the answer, 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// A grant's id in a path.
pub(in crate::http) struct Id(GrantId);

impl Named for Id {
    const NAME: &'static str = "grant";
    fn parse(text: &str) -> Option<Self> {
        parse_id(text).map(Self)
    }
}

pub(super) fn parse_id(text: &str) -> Option<GrantId> {
    let mut id = GrantId::default();
    let read = base16ct::lower::decode(text.as_bytes(), &mut id).ok()?;
    (read.len() == id.len()).then_some(id)
}

/// What became of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GrantState {
    Active,
    NotYet,
    Expired,
    UsedUp,
    Revoked,
}

impl GrantState {
    const ALL: [Self; 5] = [Self::Active, Self::NotYet, Self::Expired, Self::UsedUp, Self::Revoked];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::NotYet => "not-yet",
            Self::Expired => "expired",
            Self::UsedUp => "used-up",
            Self::Revoked => "revoked",
        }
    }

    fn of(entry: &GrantEntry, terms: &Terms<'_>, used: u32, now: Timestamp) -> Self {
        if entry.revoked.is_some() {
            Self::Revoked
        } else if terms.expires.is_some_and(|expires| expires <= now) {
            Self::Expired
        } else if is_used_up(entry, terms, used) {
            Self::UsedUp
        } else if terms.not_before.is_some_and(|start| now < start) {
            Self::NotYet
        } else {
            Self::Active
        }
    }
}

/// At another device of a class it may count still.
fn is_used_up(entry: &GrantEntry, terms: &Terms<'_>, used: u32) -> bool {
    matches!(entry.audience, GrantAudience::Device(_)) && terms.uses.is_some_and(|uses| used >= uses)
}

impl GrantView {
    /// What the grant itself says, and what happened to it. Our own grants are well-formed.
    fn of(entry: &GrantEntry, count: Option<Count>, now: Timestamp) -> Result<Self, FormatError> {
        let grant = Grant::decode(&entry.bytes)?;
        let terms = grant.terms_unverified().next().ok_or(FormatError::Malformed)??;
        let scope = terms.scope.map(|scope| owned::read(&scope)).transpose()?.unwrap_or_default();
        let holder = grant.holder_unverified()?.map(HolderKey::to_bytes).unwrap_or_default();
        let reference = grant.origin_unverified().reference;
        let used = count.map_or(0, |count| count.used);
        Ok(Self {
            id: hex(&entry.id),
            audience: entry.audience.to_string(),
            device: match entry.audience {
                GrantAudience::Device(name) => Some(name.to_string()),
                GrantAudience::Class(_) => None,
            },
            permissions: owned::permissions_to_json(&scope),
            holder: URL_SAFE_NO_PAD.encode(holder),
            issued: entry.issued.to_string(),
            issued_by: entry.issued_by.clone(),
            not_before: terms.not_before.map(|t| t.to_string()),
            expires: terms.expires.map(|t| t.to_string()),
            uses: terms.uses,
            used,
            last_used: count.map(|count| count.last.to_string()),
            reason: reference.map(|r| {
                let (Reference::Payment(text) | Reference::Reason(text)) = r;
                text.to_owned()
            }),
            state: GrantState::of(entry, &terms, used, now).as_str().to_owned(),
            revoked: entry.revoked.map(|(time, _)| time.to_string()),
            ended_by: entry.revoked.map(|(_, by)| by.as_str().to_owned()),
            epoch: entry.epoch,
        })
    }
}

/// Issue a grant
///
/// The device checks it by itself, without the service. Every operation of it has to be one that the caller may grant and
/// that the device's description opens. One for a class counts at each device that is in the group, also at those that come
/// into it later; the caller may grant it at all that are in it now.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/grants", tag = "grants", params(("tenant" = String, Path)),
    request_body = NewGrantBody,
    responses(
        (status = 201, description = "With the grant itself", body = IssuedGrant),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn issue(
    State(app): State<Arc<App>>,
    Entered { tenant, caller }: Entered,
    Sent(new): Sent<NewGrantBody>,
) -> Result<(StatusCode, Json<IssuedGrant>), ApiError> {
    let wanted = Wanted::read(new, &caller.occasion)?;
    let devices = devices_of(&app, &tenant, &wanted.0.audience);
    wanted.permitted(&app, tenant, &caller, &devices).await?;
    wanted.opened(&app, tenant, &devices).await?;
    let turn = app.shared.grants_turn().await;
    let audience = wanted.0.audience;
    let standing = app.shared.store.registry().grant_standing(&tenant, &audience, now()).await?;
    let (key, issued) = (&app.shared.grant_key, (caller.occasion.at, caller.actor()));
    let too_large = |e: FormatError| ApiError::Invalid(format!("the grant is {e}"));
    let entry = wanted.0.sign(key, tenant, standing.epoch, issued).map_err(too_large)?;
    let deed = app.ordered(&tenant, &caller, wanted.0.deed(key, &entry)).await?;
    let shared = Arc::clone(&app.shared);
    to_its_end(async move {
        shared.record(tenant, deed).await?;
        shared.keep_grant(&turn, tenant, &entry).await?;
        let view = GrantView::of(&entry, None, now()).map_err(|_| ApiError::Internal)?;
        Ok((StatusCode::CREATED, Json(IssuedGrant { view, grant: URL_SAFE_NO_PAD.encode(&entry.bytes) })))
    })
    .await
}

/// The devices that it is for, now.
fn devices_of(app: &App, tenant: &TenantName, audience: &GrantAudience) -> Vec<DeviceName> {
    match audience {
        GrantAudience::Device(device) => vec![*device],
        GrantAudience::Class(class) => app.shared.directory.devices_in(tenant, class),
    }
}

/// What somebody wants to grant.
struct Wanted(NewGrant);

impl Wanted {
    fn read(new: NewGrantBody, occasion: &Occasion) -> Result<Self, ApiError> {
        let permissions = owned::permissions_from_json(&new.permissions).map_err(ApiError::Invalid)?;
        if permissions.is_empty() {
            return Err(ApiError::Invalid("`permissions` has none".to_owned()));
        }
        let second = |name: &str, text: Option<String>| -> Result<Option<Timestamp>, ApiError> {
            let time = text.map(|text| time(name, &text)).transpose()?;
            Ok(time.map(|time| Timestamp::from_seconds(time.as_seconds())))
        };
        let [a, b, c, d, e, f, g, h, ..] = occasion.seed;
        let reason = new.reason.filter(|reason| !reason.is_empty());
        if reason.as_ref().is_some_and(|reason| reason.len() > REFERENCE_BYTES_MAX) {
            return Err(ApiError::Invalid(format!("`reason` has more than {REFERENCE_BYTES_MAX} bytes")));
        }
        let wanted = NewGrant {
            id: [a, b, c, d, e, f, g, h],
            audience: word("audience", &new.audience)?,
            permissions,
            holder: holder(&new.holder)?,
            not_before: second("not_before", new.not_before)?,
            expires: second("expires", new.expires)?,
            uses: new.uses,
            ground: reason.map(Ground::Reason),
        };
        Self(wanted).checked(occasion.at)
    }

    fn checked(self, now: Timestamp) -> Result<Self, ApiError> {
        let Self(NewGrant { not_before, expires, uses, .. }) = &self;
        let start = not_before.map_or(now, |start| start.max(now));
        let problem = if expires.is_none() && uses.is_none() {
            "a grant ends: give `expires`, `uses`, or both"
        } else if expires.is_some_and(|end| end <= start) {
            "`expires` is not after its start"
        } else if *uses == Some(0) {
            "`uses` is at least 1"
        } else {
            return Ok(self);
        };
        Err(ApiError::Invalid(problem.to_owned()))
    }

    /// Whether the caller may grant each of the operations at each of the devices.
    async fn permitted(
        &self,
        app: &App,
        tenant: TenantName,
        caller: &Caller,
        devices: &[DeviceName],
    ) -> Result<(), ApiError> {
        for permission in &self.0.permissions {
            for device in devices {
                let on = Resource::Operation(*device, permission.action, None);
                let _: Permit<IssueGrants> =
                    app.shared.permit(tenant, &caller.subject, &caller.actor(), &on).await?;
            }
        }
        Ok(())
    }

    /// Whether the descriptions of the devices open each of them. One in a class need not have one yet.
    async fn opened(
        &self,
        app: &Arc<App>,
        tenant: TenantName,
        devices: &[DeviceName],
    ) -> Result<(), ApiError> {
        let mut is_described = false;
        for device in devices {
            if app.shared.directory.role(&tenant, device).is_none() {
                return Err(ApiError::NotFound("device"));
            }
            let thing = match description_of(app, tenant, *device).await {
                Ok(thing) => thing,
                Err(ApiError::Store(StoreError::NotFound { .. })) => continue,
                Err(other) => return Err(other),
            };
            self.0.opened_by(&thing).map_err(|e| ApiError::Conflict(format!("{device}: {e}")))?;
            is_described = true;
        }
        if is_described {
            return Ok(());
        }
        Err(ApiError::Conflict(match self.0.audience {
            GrantAudience::Device(device) => {
                format!(
                    "{device} has not said yet what it opens to grants; it does once it has been connected"
                )
            }
            GrantAudience::Class(class) => format!(
                "no device of the group {class} has said yet what it opens to grants; put one into it, or connect it"
            ),
        }))
    }
}

pub(super) fn holder(text: &str) -> Result<HolderKey, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let bytes = bytes.filter(|bytes| VerifyingKey::from_ed25519(bytes).is_ok());
    let wrong = "is no Ed25519 public key: 32 bytes, base64url";
    bytes.map(HolderKey::from_bytes).ok_or_else(|| ApiError::parameter("holder", &wrong))
}

/// List grants
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/grants", tag = "grants",
    params(("tenant" = String, Path), GrantParams),
    responses(
        (status = 200, description = "The newest first", body = List<GrantView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Params(params): Params<GrantParams>,
) -> Result<Json<List<GrantView>>, ApiError> {
    let device = params.device.as_deref().map(|device| word::<DeviceName>("device", device)).transpose()?;
    let audiences = device.map(|device| {
        let groups = app.shared.directory.access.groups_of(&allowed.tenant(), &device).into_iter();
        let classes = groups.map(GrantAudience::Class);
        classes.chain([GrantAudience::Device(device)]).collect::<Vec<_>>()
    });
    let state = params.state.as_deref().map(read_state).transpose()?;
    let page = ListParams { after: params.after, limit: params.limit };
    let limit = page.limit()?;
    let wrong = || ApiError::Invalid("`after` is not from an earlier page".to_owned());
    let mut after = page.after::<String>()?.map(|after| parse_id(&after).ok_or_else(wrong)).transpose()?;
    let (mut items, mut seen) = (Vec::new(), BTreeMap::new());
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    // Which of them are in a state is not known before they are looked at.
    loop {
        let tenant = allowed.tenant();
        let found =
            app.shared.store.registry().grants(&tenant, audiences.as_deref(), after.as_ref(), limit).await?;
        let is_last = found.len() < wanted;
        after = found.last().map(|entry| entry.id);
        let mut is_seen =
            |audience| *seen.entry(audience).or_insert_with(|| may_see(&app, &allowed, &audience));
        let found = found.into_iter().filter(|entry| is_seen(entry.audience)).collect();
        for view in views(&app, tenant, found).await? {
            if state.is_none_or(|state| view.state == state.as_str()) {
                let id = view.id.clone();
                items.push(view);
                if items.len() == wanted {
                    return Ok(Json(List { items, next: Some(id) }));
                }
            }
        }
        if is_last {
            return Ok(Json(List { items, next: None }));
        }
    }
}

/// Who sees one of its devices sees a grant; one for a class without devices, who sees all.
fn may_see(app: &App, allowed: &Allowed<ReadDevices>, audience: &GrantAudience) -> bool {
    let on = members_or_tenant(&devices_of(app, &allowed.tenant(), audience));
    on.iter().any(|on| allowed.also(app, on))
}

fn members_or_tenant(devices: &[DeviceName]) -> Vec<Resource> {
    if devices.is_empty() {
        return vec![Resource::Tenant];
    }
    devices.iter().copied().map(Resource::Member).collect()
}

fn read_state(text: &str) -> Result<GrantState, ApiError> {
    let found = GrantState::ALL.into_iter().find(|state| state.as_str() == text);
    let wanted = "is not active, not-yet, expired, used-up or revoked";
    found.ok_or_else(|| ApiError::parameter("state", &wanted))
}

async fn views(
    app: &Arc<App>,
    tenant: TenantName,
    entries: Vec<GrantEntry>,
) -> Result<Vec<GrantView>, ApiError> {
    let view = move |store: &Store, entry: &GrantEntry| {
        let count = Count::of(store, &tenant, &entry.id)?;
        let corrupt = |_| StoreError::Corrupt { what: "a grant".to_owned() };
        GrantView::of(entry, count, now()).map_err(corrupt)
    };
    app.ask(move |store| entries.iter().map(|entry| view(store, entry)).collect()).await
}

/// Show a grant
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/grants/{grant}", tag = "grants",
    params(("tenant" = String, Path), ("grant" = String, Path)),
    responses(
        (status = 200, description = "And what became of it", body = GrantView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn show(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Part(Id(id)): Part<Id>,
) -> Result<Json<GrantView>, ApiError> {
    let entry = app.shared.store.registry().grant(&allowed.tenant(), &id).await?;
    if !may_see(&app, &allowed, &entry.audience) {
        return Err(ApiError::NotFound("grant"));
    }
    let mut found = views(&app, allowed.tenant(), vec![entry]).await?;
    found.pop().map(Json).ok_or(ApiError::Internal)
}

/// Take a grant back
///
/// With all that was made of it. Its devices are told as soon as they can be reached. A device remembers 32 revocations of
/// its own and of each class; one more than that ends all grants for that device or class, which the log entry says.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/grants/{grant}", tag = "grants",
    params(("tenant" = String, Path), ("grant" = String, Path)),
    responses(
        (status = 204, description = "Taken back, now or before"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn revoke(
    State(app): State<Arc<App>>,
    Entered { tenant, caller }: Entered,
    Part(Id(id)): Part<Id>,
) -> Result<StatusCode, ApiError> {
    let turn = app.shared.grants_turn().await;
    let registry = app.shared.store.registry();
    let known = match registry.grant(&tenant, &id).await {
        Ok(entry) => Some(entry),
        Err(StoreError::NotFound { .. }) => None,
        Err(other) => return Err(other.into()),
    };
    if known.is_some() || !caller.may_in_scope(Action::RevokeGrants) {
        let devices =
            known.as_ref().map(|entry| devices_of(&app, &tenant, &entry.audience)).unwrap_or_default();
        for on in members_or_tenant(&devices) {
            let _: Permit<RevokeGrants> =
                app.shared.permit(tenant, &caller.subject, &caller.actor(), &on).await?;
        }
    }
    let entry = known.ok_or(ApiError::NotFound("grant"))?;
    if entry.revoked.is_some() {
        return Ok(StatusCode::NO_CONTENT);
    }
    let taking = app.shared.taking_back(&turn, tenant, entry).await?;
    let deed = app.ordered(&tenant, &caller, taking.deed(caller.actor())).await?;
    let shared = Arc::clone(&app.shared);
    to_its_end(async move {
        shared.record(tenant, deed).await?;
        shared.take_back(&turn, tenant, &taking).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Fetch what was taken back at a device
///
/// Signed, so that anybody can carry it to a device that cannot be reached: `docs/wire/grants.md`.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/devices/{device}/revocation", tag = "grants",
    params(("tenant" = String, Path), ("device" = String, Path)),
    responses(
        (status = 200, description = "A signed revocation", body = [u8], content_type = "application/cose"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn revocation(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Part(device): Part<DeviceName>,
) -> Result<impl IntoResponse, ApiError> {
    cose(app.shared.revocation(allowed.tenant(), GrantAudience::Device(device)).await?)
}

/// Fetch what was taken back of a class
///
/// Signed, so that anybody can carry it to devices that are in the group: `docs/wire/grants.md`.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/groups/{group}/revocation", tag = "grants",
    params(("tenant" = String, Path), ("group" = String, Path)),
    responses(
        (status = 200, description = "A signed revocation", body = [u8], content_type = "application/cose"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn revocation_of_class(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Part(group): Part<GroupName>,
) -> Result<impl IntoResponse, ApiError> {
    cose(app.shared.revocation(allowed.tenant(), GrantAudience::Class(group)).await?)
}

/// Which question is answered.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct BeaconParams {
    /// The nonce of a device that asked, in 32 lower-case hexadecimal digits. Without one the time is for all devices of the tenant.
    nonce: Option<String>,
}

/// Tell devices without a clock what time it is
///
/// Signed, so that anybody can carry it to them: `docs/wire/grants.md`.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/beacon", tag = "grants",
    params(("tenant" = String, Path), BeaconParams),
    responses(
        (status = 200, description = "A signed beacon", body = [u8], content_type = "application/cose"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn beacon(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Params(params): Params<BeaconParams>,
) -> Result<impl IntoResponse, ApiError> {
    let wrong = || ApiError::parameter("nonce", &"is not 32 lower-case hexadecimal digits");
    let answers = params.nonce.map(|text| parse_nonce(&text).ok_or_else(wrong)).transpose()?;
    let signed = crate::beacon::beacon(&app.shared.grant_key, &allowed.tenant(), now(), answers);
    let unsigned = |_| StoreError::Invalid { what: "the time cannot be signed" };
    cose(signed.map_err(unsigned)?)
}

/// A signed statement as an answer.
pub(super) fn cose(signed: Vec<u8>) -> Result<impl IntoResponse, ApiError> {
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/cose"))], signed))
}
