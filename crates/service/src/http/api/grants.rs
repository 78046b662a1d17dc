//! Grants: who may use a device for a while, and taking that back.

pub(in crate::http) mod issue;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base16ct::lower::encode_string as hex;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thingward_grant::{FormatError, Grant, HolderKey, Reference, Terms, owned};
use thingward_model::clock::now;
use thingward_model::{DeviceName, TenantName, Timestamp};
use thingward_policy::{Action, Permit, ReadDevices, Resource, RevokeGrants};
use thingward_store::registry::{GrantAudience, GrantEntry, GrantId};
use thingward_store::{Store, StoreError};
use utoipa::{IntoParams, ToSchema};

use super::super::app::App;
use super::super::caller::{Allowed, Entered, Named, Params, Part};
use super::super::error::{ApiError, ErrorBody};
use super::{List, ListParams, word};
use crate::uses::Count;

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

/// The devices that it is for, now.
fn devices_of(app: &App, tenant: &TenantName, audience: &GrantAudience) -> Vec<DeviceName> {
    match audience {
        GrantAudience::Device(device) => vec![*device],
        GrantAudience::Class(class) => app.shared.directory.devices_in(tenant, class),
    }
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
    shared.record(tenant, deed).await?;
    shared.take_back(&turn, tenant, &taking).await?;
    Ok(StatusCode::NO_CONTENT)
}
