//! Makers that a tenant trusts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use thingward_pki::tls::check_anchor;
use thingward_policy::{ManageDevices, ReadDevices};
use thingward_store::registry::{Admit, ExpectedSerial, Maker};
use tracing::error;
use utoipa::ToSchema;

use super::super::app::App;
use super::super::body::Sent;
use super::super::caller::{Allowed, Named, Part};
use super::super::error::{ApiError, ErrorBody};
use super::{List, word};
use crate::enrolment::{fingerprint, makers_of};

/// Most makers of a tenant. Each handshake offers them all.
const MAKERS_MAX: usize = 32;
/// Most CA certificates of a maker.
const CERTIFICATES_MAX: usize = 8;

/// A maker that a tenant trusts.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct MakerView {
    /// What the tenant calls it.
    name: String,
    /// `any-serial` or `listed`.
    admit: String,
    /// The first 16 bytes of SHA-256 of each CA certificate, in hexadecimal.
    fingerprints: Vec<String>,
}

impl From<&Maker> for MakerView {
    fn from(m: &Maker) -> Self {
        Self {
            name: m.name.clone(),
            admit: m.admit.as_str().to_owned(),
            fingerprints: m.certificates.iter().map(|der| fingerprint(der)).collect(),
        }
    }
}

/// What to trust of a maker.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Trust {
    /// `any-serial` (default): every thing of the maker; `listed`: those whose serial number is expected.
    admit: Option<String>,
    /// The maker's CA certificates, PEM, 1 to 8.
    certificates: String,
}

/// What an expected thing will be called.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Expect {
    /// Its name here; none means that its serial number decides.
    name: Option<String>,
}

/// A maker's name in a path: the same rule as for things.
pub(in crate::http) struct MakerName(String);

impl Named for MakerName {
    const NAME: &'static str = "maker";
    fn parse(text: &str) -> Option<Self> {
        text.parse::<thingward_model::DeviceName>().ok().map(|name| Self(name.to_string()))
    }
}

/// A maker's and a serial number in a path.
pub(in crate::http) struct SerialNumber(String);

impl Named for SerialNumber {
    const NAME: &'static str = "serial";
    fn parse(text: &str) -> Option<Self> {
        let good = (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        good.then(|| Self(text.to_owned()))
    }
}

/// List trusted makers
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/makers", tag = "makers", params(("tenant" = String, Path)),
    responses(
        (status = 200, description = "Makers by name", body = List<MakerView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
) -> Result<Json<List<MakerView>>, ApiError> {
    let makers = makers_of(app.shared.store.registry(), &allowed.tenant()).await?;
    Ok(Json(List::whole(makers.iter().map(MakerView::from).collect())))
}

/// Trust a maker
///
/// Its things enrol with the certificate that they were made with. Replaces what was known of the name.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenant}/makers/{maker}", tag = "makers",
    params(("tenant" = String, Path), ("maker" = String, Path)), request_body = Trust,
    responses(
        (status = 200, description = "Trusted", body = MakerView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn trust(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageDevices>,
    Part(MakerName(name)): Part<MakerName>,
    Sent(new): Sent<Trust>,
) -> Result<Json<MakerView>, ApiError> {
    let tenant = allowed.tenant();
    let admit = new.admit.map_or(Ok(Admit::AnySerial), |admit| word("admit", &admit))?;
    let certificates = thingward_pki::ca::certificates_from_pem(&new.certificates)
        .map_err(|e| ApiError::Invalid(format!("`certificates`: {e}")))?;
    if certificates.len() > CERTIFICATES_MAX {
        return Err(ApiError::Invalid(format!("`certificates` are more than {CERTIFICATES_MAX}")));
    }
    let ca = app.shared.authority.ca();
    let own = [ca.root_der(), ca.issuing_der()];
    if certificates.iter().any(|der| own.iter().flatten().any(|own| own == der)) {
        return Err(ApiError::Invalid("`certificates`: this installation is no maker".to_owned()));
    }
    let registry = app.shared.store.registry();
    let others = makers_of(registry, &tenant).await?;
    if others.len() >= MAKERS_MAX && !others.iter().any(|m| m.name == name) {
        return Err(ApiError::Conflict(format!("the tenant trusts {MAKERS_MAX} makers already")));
    }
    // What TLS cannot use as an authority is refused before anything trusts it.
    certificates
        .iter()
        .try_for_each(|der| check_anchor(der))
        .map_err(|e| ApiError::Invalid(format!("`certificates`: {e}")))?;
    let deed = allowed.deed("maker.trust", format!("maker/{name}")).with("admit", admit.as_str());
    app.record(tenant, &allowed.caller, deed).await?;
    let maker = Maker { tenant, name, admit, certificates };
    registry.set_maker(&maker).await?;
    reload(&app).await?;
    Ok(Json(MakerView::from(&maker)))
}

/// Stop trusting a maker
///
/// Things that are enrolled stay.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/makers/{maker}", tag = "makers",
    params(("tenant" = String, Path), ("maker" = String, Path)),
    responses(
        (status = 204, description = "No longer trusted"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn remove(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageDevices>,
    Part(MakerName(name)): Part<MakerName>,
) -> Result<StatusCode, ApiError> {
    let deed = allowed.deed("maker.remove", format!("maker/{name}"));
    app.record(allowed.tenant(), &allowed.caller, deed).await?;
    app.shared.store.registry().remove_maker(&allowed.tenant(), &name).await?;
    reload(&app).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Expect a thing of a maker
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenant}/makers/{maker}/serials/{serial}", tag = "makers",
    params(("tenant" = String, Path), ("maker" = String, Path), ("serial" = String, Path)),
    request_body = Expect,
    responses(
        (status = 204, description = "Expected"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn expect(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManageDevices>,
    Part(MakerName(maker)): Part<MakerName>,
    Part(SerialNumber(serial)): Part<SerialNumber>,
    Sent(new): Sent<Expect>,
) -> Result<StatusCode, ApiError> {
    let name = new.name.map(|name| word("name", &name)).transpose()?;
    let deed = allowed.deed("maker.expect", format!("maker/{maker}")).with("serial", serial.as_str());
    app.record(allowed.tenant(), &allowed.caller, deed).await?;
    let expected = ExpectedSerial { serial, name };
    app.shared.store.registry().expect_serial(&allowed.tenant(), &maker, &expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn reload(app: &App) -> Result<(), ApiError> {
    let turn = app.shared.membership.lock().await;
    app.shared.renew_tls(&turn).await.map_err(|e| {
        error!(error = %e, "the HTTPS listener cannot take the makers that are trusted now");
        ApiError::Internal
    })
}
