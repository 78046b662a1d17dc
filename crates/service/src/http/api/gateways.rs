//! Gateways: the things that they keep, and letting them enrol new ones.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use thingward_model::clock::now;
use thingward_model::{DeviceName, Role, TenantName, Timestamp};
use thingward_policy::{ManageDevices, ReadDevices, Resource};
use thingward_store::registry::{Admission, PrincipalEntry};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::super::app::App;
use super::super::body::Sent;
use super::super::caller::{Allowed, Named, Part};
use super::super::error::{ApiError, ErrorBody};
use super::word;
use crate::enrolment::KEPT_MAX;
use crate::gateway_status::{ChildStatus, GatewayStatus};
use crate::topics;

/// How long a gateway may enrol things at most, in seconds: an hour.
const ADMISSION_SECONDS_MAX: u32 = 3600;
/// Longest code that is printed on a thing, in bytes.
const PRINTED_BYTES_MAX: usize = 256;

/// A gateway, as a path names it.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct GatewayName(DeviceName);

impl Named for GatewayName {
    const NAME: &'static str = "gateway";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// A code that is printed on a thing. It is passed on to the gateway and nowhere else.
pub(in crate::http) struct Printed(Zeroizing<String>);

impl<'de> Deserialize<'de> for Printed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Zeroizing::new).map(Self)
    }
}

impl Printed {
    fn check(&self) -> Result<(), ApiError> {
        let is_printable = self.0.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if is_printable && (1..=PRINTED_BYTES_MAX).contains(&self.0.len()) {
            return Ok(());
        }
        Err(ApiError::Invalid(format!(
            "`printed` is not 1 to {PRINTED_BYTES_MAX} printable ASCII characters"
        )))
    }
}

/// Whose key is to be another one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Roll {
    /// Only that of this radio, as the gateway's configuration names it.
    radio: Option<String>,
}

/// To let a gateway enrol things of its radios.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Admit {
    /// For so long, 1 to 3600.
    #[schema(minimum = 1, maximum = 3600)]
    seconds: u32,
    /// Only for this one of its radios, as the gateway's configuration names it; for all of them when left out.
    radio: Option<String>,
    /// What is printed on the thing, where it has a code. Only with `radio`. It is passed on to the gateway, which has to be
    /// connected, and kept nowhere.
    #[schema(value_type = Option<String>, max_length = 256)]
    printed: Option<Printed>,
}

/// That a gateway may enrol things.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct AdmissionView {
    /// Only of this one of its radios; null for all of them.
    radio: Option<String>,
    /// When it ends.
    until: String,
}

impl From<Admission> for AdmissionView {
    fn from(admission: Admission) -> Self {
        Self { radio: admission.radio.map(|radio| radio.to_string()), until: admission.until.to_string() }
    }
}

/// A thing whose key is the gateway's.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct KeptThing {
    /// Its name in the tenant.
    name: String,
    /// When it was enrolled.
    created: String,
    /// Whether it is a member: it was not revoked.
    member: bool,
}

/// A gateway.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct GatewayView {
    /// Its name in the tenant.
    name: String,
    /// Since when it has a connection to the service; null while it has none.
    connected: Option<String>,
    /// What it may enrol now; null when it may nothing.
    admission: Option<AdmissionView>,
    /// The things that it keeps the keys of, by name.
    things: Vec<KeptThing>,
    /// How it is, as it said last, on its word alone; null when it has said nothing.
    status: Option<GatewayStatus>,
    /// When it said so.
    status_received: Option<String>,
}

/// Show a gateway
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/gateways/{gateway}", tag = "gateways",
    params(("tenant" = String, Path), ("gateway" = String, Path)),
    responses(
        (status = 200, description = "With the things that it keeps", body = GatewayView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn show(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Part(GatewayName(name)): Part<GatewayName>,
) -> Result<Json<GatewayView>, ApiError> {
    let tenant = allowed.tenant();
    known(&app, &tenant, &name).await?;
    let kept = app.shared.store.registry().kept_by(&tenant, &name, None, KEPT_MAX).await?;
    // What holds for one member holds for it in a list.
    let seen = kept.into_iter().filter(|thing| allowed.also(&app, &Resource::Member(thing.principal.name)));
    let shared = Arc::clone(&app.shared);
    let said = app.ask(move |_| shared.gateway_status(&tenant, &name)).await?;
    let status_received = said.as_ref().map(|said| said.at().to_string());
    let status = said.map(|mut said| {
        let is_seen = |child: &ChildStatus| {
            let member = child.name.as_str().parse().map(Resource::Member);
            member.is_ok_and(|member| allowed.also(&app, &member))
        };
        said.status.children.retain(is_seen);
        said.status
    });
    let directory = &app.shared.directory;
    let view = |PrincipalEntry { principal, created, .. }: PrincipalEntry| KeptThing {
        member: directory.role(&tenant, &principal.name) == Some(Role::Device),
        name: principal.name.to_string(),
        created: created.to_string(),
    };
    Ok(Json(GatewayView {
        name: name.to_string(),
        connected: connected(&app, tenant, &name).await.map(|since| since.to_string()),
        admission: directory.admission(&tenant, &name, now()).map(AdmissionView::from),
        things: seen.map(view).collect(),
        status,
        status_received,
    }))
}

/// Show what a gateway may enrol
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/gateways/{gateway}/admission", tag = "gateways",
    params(("tenant" = String, Path), ("gateway" = String, Path)),
    responses(
        (status = 200, description = "It may, until then", body = AdmissionView),
        (status = "4XX", description = "Refused; 404 when it may enrol nothing", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn admission(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Part(GatewayName(name)): Part<GatewayName>,
) -> Result<Json<AdmissionView>, ApiError> {
    let tenant = allowed.tenant();
    known(&app, &tenant, &name).await?;
    let open = app.shared.directory.admission(&tenant, &name, now());
    open.map(AdmissionView::from).map(Json).ok_or(ApiError::NotFound("admission"))
}

/// Let a gateway enrol things
///
/// For a while, things that join its radios become devices of the tenant. Their keys are the gateway's.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/gateways/{gateway}/admission", tag = "gateways",
    params(("tenant" = String, Path), ("gateway" = String, Path)), request_body = Admit,
    responses(
        (status = 200, description = "It may, until then", body = AdmissionView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn admit(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageDevices>,
    Part(GatewayName(name)): Part<GatewayName>,
    Sent(body): Sent<Admit>,
) -> Result<Json<AdmissionView>, ApiError> {
    let tenant = allowed.tenant();
    if !(1..=ADMISSION_SECONDS_MAX).contains(&body.seconds) {
        return Err(ApiError::Invalid(format!("`seconds` is not from 1 to {ADMISSION_SECONDS_MAX}")));
    }
    let radio = body.radio.as_deref().map(|radio| word::<DeviceName>("radio", radio)).transpose()?;
    body.printed.as_ref().map_or(Ok(()), Printed::check)?;
    if body.printed.is_some() && radio.is_none() {
        let why = "`printed` is for one radio; name it with `radio`, so that no other one learns the code";
        return Err(ApiError::Invalid(why.to_owned()));
    }
    known(&app, &tenant, &name).await?;
    if body.printed.is_some() && connected(&app, tenant, &name).await.is_none() {
        let why = "is not connected, and a printed code is kept for it nowhere";
        return Err(ApiError::Conflict(format!("{name} {why}")));
    }
    let deed = allowed.deed("gateway.admit", format!("gateway/{name}"));
    let deed = deed.with("seconds", body.seconds.to_string());
    let deed = radio.iter().fold(deed, |deed, radio| deed.with("radio", radio.as_str()));
    let (deed, shared) = (app.ordered(&tenant, &allowed.caller, deed).await?, Arc::clone(&app.shared));
    let _turn = shared.membership.lock().await;
    if shared.directory.role(&tenant, &name) != Some(Role::Gateway) {
        return Err(ApiError::Conflict(format!("{name} is no member any more")));
    }
    shared.record(tenant, deed).await?;
    let until = now().plus_micros(i64::from(body.seconds) * 1_000_000);
    let admission = Admission { tenant, gateway: name, radio, until };
    shared.store.registry().open_admission(&admission).await?;
    shared.directory.admit(admission);
    let printed = body.printed.as_ref().map(|Printed(code)| code.as_str());
    let told = topics::admission(body.seconds, radio.as_ref(), printed);
    shared.core.tell_gateway(tenant, name, topics::ADMISSION, told).await;
    Ok(Json(admission.into()))
}

/// Let a gateway enrol nothing any more
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/gateways/{gateway}/admission", tag = "gateways",
    params(("tenant" = String, Path), ("gateway" = String, Path)),
    responses(
        (status = 204, description = "It may nothing"),
        (status = "4XX", description = "Refused; 404 when it might nothing before", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn close(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageDevices>,
    Part(GatewayName(name)): Part<GatewayName>,
) -> Result<StatusCode, ApiError> {
    let tenant = allowed.tenant();
    known(&app, &tenant, &name).await?;
    let open = app.shared.directory.admission(&tenant, &name, now());
    open.ok_or(ApiError::NotFound("admission"))?;
    let deed = allowed.deed("gateway.close", format!("gateway/{name}"));
    let (deed, shared) = (app.ordered(&tenant, &allowed.caller, deed).await?, Arc::clone(&app.shared));
    let _turn = shared.membership.lock().await;
    shared.record(tenant, deed).await?;
    // At once in this process: it closes even when the registry does not answer.
    shared.directory.close(&tenant, &name);
    let told = topics::admission(0, None, None);
    shared.core.tell_gateway(tenant, name, topics::ADMISSION, told).await;
    shared.store.registry().close_admission(&tenant, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Have a gateway give its radios' networks another key
///
/// Each thing gets the next key under a link key of its own. What has none is a finding, and has to join anew. Radios without
/// such a key let it be.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/gateways/{gateway}/roll", tag = "gateways",
    params(("tenant" = String, Path), ("gateway" = String, Path)), request_body = Roll,
    responses(
        (status = 204, description = "It is told"),
        (status = "4XX", description = "Refused; 409 when it is not connected", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn roll(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageDevices>,
    Part(GatewayName(name)): Part<GatewayName>,
    Sent(body): Sent<Roll>,
) -> Result<StatusCode, ApiError> {
    let tenant = allowed.tenant();
    let radio = body.radio.as_deref().map(|radio| word::<DeviceName>("radio", radio)).transpose()?;
    known(&app, &tenant, &name).await?;
    if connected(&app, tenant, &name).await.is_none() {
        return Err(ApiError::Conflict(format!("{name} is not connected, and nothing is kept for it")));
    }
    let deed = allowed.deed("gateway.roll", format!("gateway/{name}"));
    let deed = radio.iter().fold(deed, |deed, radio| deed.with("radio", radio.as_str()));
    let (deed, shared) = (app.ordered(&tenant, &allowed.caller, deed).await?, Arc::clone(&app.shared));
    shared.record(tenant, deed).await?;
    shared.core.tell_gateway(tenant, name, topics::ROLL, topics::roll(radio.as_ref())).await;
    Ok(StatusCode::NO_CONTENT)
}

/// # Errors
///
/// [`ApiError::NotFound`] when the tenant has no gateway of this name.
async fn known(app: &App, tenant: &TenantName, name: &DeviceName) -> Result<(), ApiError> {
    let known = app.shared.store.registry().principal(tenant, name).await;
    match known {
        Ok(entry) if entry.principal.role == Role::Gateway => Ok(()),
        Ok(_) | Err(thingward_store::StoreError::NotFound { .. }) => Err(ApiError::NotFound("gateway")),
        Err(e) => Err(e.into()),
    }
}

async fn connected(app: &App, tenant: TenantName, name: &DeviceName) -> Option<Timestamp> {
    app.shared.core.presence(tenant).await.connected.get(name).copied()
}
