//! Issuing a grant: what somebody wants, and whether they and the devices allow it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;
use thingward_crypto::VerifyingKey;
use thingward_grant::{FormatError, HolderKey, REFERENCE_BYTES_MAX, owned};
use thingward_model::clock::now;
use thingward_model::{DeviceName, TenantName, Timestamp};
use thingward_policy::{IssueGrants, Permit, Resource};
use thingward_store::StoreError;
use thingward_store::registry::GrantAudience;
use utoipa::ToSchema;

use super::super::commands::description_of;
use super::super::{time, word};
use super::{GrantView, IssuedGrant, PermissionView, devices_of};
use crate::grants::{Ground, NewGrant};
use crate::http::app::App;
use crate::http::body::Sent;
use crate::http::caller::{Caller, Entered};
use crate::http::error::{ApiError, ErrorBody};
use crate::http::order::Occasion;

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
    shared.record(tenant, deed).await?;
    shared.keep_grant(&turn, tenant, &entry).await?;
    let view = GrantView::of(&entry, None, now()).map_err(|_| ApiError::Internal)?;
    Ok((StatusCode::CREATED, Json(IssuedGrant { view, grant: URL_SAFE_NO_PAD.encode(&entry.bytes) })))
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

pub(in crate::http) fn holder(text: &str) -> Result<HolderKey, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let bytes = bytes.filter(|bytes| VerifyingKey::from_ed25519(bytes).is_ok());
    let wrong = "is no Ed25519 public key: 32 bytes, base64url";
    bytes.map(HolderKey::from_bytes).ok_or_else(|| ApiError::parameter("holder", &wrong))
}
