//! For whoever stands before a device, without an account: what it costs, buying it, and what became of that.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use base16ct::lower::encode_string as hex;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use thingward_grant::usage::State as Stage;
use thingward_model::{DeviceName, TenantName};
use thingward_store::StoreError;
use thingward_store::registry::{GrantAudience, Purchase};
use utoipa::{IntoParams, ToSchema};

use super::super::app::App;
use super::super::body::Sent;
use super::super::caller::{Params, Peer};
use super::super::error::{ApiError, ErrorBody};
use super::grants::issue::holder;
use super::grants::parse_id;
use super::offers::OfferView;
use super::statements::cose;
use super::word;
use crate::purchases::Wish;

/// Longest address of a page, in bytes.
const URL_BYTES_MAX: usize = 1000;
/// The page for whoever stands before a device.
const PAGE: &str = "/near";

/// What somebody wants to buy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewPurchase {
    /// How much, in the offer's unit.
    quantity: u64,
    /// Whose key has to show the grant: the 32 bytes of an Ed25519 public key, base64url.
    holder: String,
    /// Where the browser goes once it is paid: the page `/near` of this console.
    return_url: String,
}

/// A purchase, for its buyer.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct OwnPurchase {
    /// Names it; a secret between buyer and service.
    id: String,
    /// `reserved`, `paid`, `active`, `ended` or `disputed`.
    state: String,
    /// How much, in the offer's unit.
    quantity: u64,
    /// The price, in the currency's smallest unit. It stays, whatever the offer says later.
    amount: u64,
    /// Three letters: ISO 4217.
    currency: String,
    /// While it is reserved: the provider's page where it is paid.
    checkout: Option<String>,
    /// When the reservation ends, then when the grant does.
    until: String,
    /// How much of the price goes back.
    owed: u64,
    /// How much of it is back.
    refunded: u64,
    /// Once it is paid: the grant, base64url.
    grant: Option<String>,
}

impl OwnPurchase {
    fn of(purchase: &Purchase, grant: Option<&[u8]>) -> Self {
        let is_reserved = purchase.state == Stage::Reserved;
        let checkout =
            purchase.payment.as_ref().filter(|_| is_reserved).map(|(_, checkout)| checkout.clone());
        Self {
            id: hex(&purchase.id),
            state: purchase.state.as_str().to_owned(),
            quantity: purchase.quantity,
            amount: purchase.amount,
            currency: purchase.currency.clone(),
            checkout,
            until: purchase.until.to_string(),
            owed: purchase.owed,
            refunded: purchase.refunded,
            grant: grant.map(|grant| URL_SAFE_NO_PAD.encode(grant)),
        }
    }
}

/// Of which grants.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct RevocationParams {
    /// Those for this class; without it, those for the device.
    class: Option<String>,
}

/// Fetch what was taken back at a device, for anybody who goes there
///
/// A device that is cut off hears of it from whoever comes by: `docs/wire/grants.md`.
#[utoipa::path(
    get, path = "/api/v1/near/{tenant}/{device}/revocation", tag = "near", security(()),
    params(("tenant" = String, Path), ("device" = String, Path), RevocationParams),
    responses(
        (status = 200, description = "A signed revocation", body = [u8], content_type = "application/cose"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn revocation(
    State(app): State<Arc<App>>,
    Path((tenant, device)): Path<(String, String)>,
    Params(params): Params<RevocationParams>,
) -> Result<impl IntoResponse, ApiError> {
    // Whether there is such a device, and what it is in, is not for anybody to know.
    let (tenant, device) = place(&tenant, &device)?;
    let audience = match params.class {
        None => GrantAudience::Device(device),
        Some(name) => GrantAudience::Class(word("class", &name)?),
    };
    cose(app.shared.revocation(tenant, audience).await?)
}

fn place(tenant: &str, device: &str) -> Result<(TenantName, DeviceName), ApiError> {
    let nothing = || ApiError::NotFound("offer");
    Ok((tenant.parse().map_err(|_| nothing())?, device.parse().map_err(|_| nothing())?))
}

/// Show what a device costs, to anybody
#[utoipa::path(
    get, path = "/api/v1/near/{tenant}/{device}", tag = "near", security(()),
    params(("tenant" = String, Path), ("device" = String, Path)),
    responses(
        (status = 200, description = "It is offered", body = OfferView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn show(
    State(app): State<Arc<App>>,
    Path((tenant, device)): Path<(String, String)>,
) -> Result<Json<OfferView>, ApiError> {
    let (offer, ware) = app.shared.offered(place(&tenant, &device)?).await?;
    Ok(Json(OfferView::of(&offer, &ware)))
}

/// Buy a grant of a device
///
/// Holds the price for ten minutes. Who pays first has the device; nobody pays for what another has.
#[utoipa::path(
    post, path = "/api/v1/near/{tenant}/{device}/purchases", tag = "near", security(()),
    params(("tenant" = String, Path), ("device" = String, Path)), request_body = NewPurchase,
    responses(
        (status = 201, description = "With the page where it is paid", body = OwnPurchase),
        (status = "4XX", description = "Refused", body = ErrorBody),
        (status = 502, description = "The payment provider does not do its part", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn buy(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Path((tenant, device)): Path<(String, String)>,
    Sent(new): Sent<NewPurchase>,
) -> Result<(StatusCode, Json<OwnPurchase>), ApiError> {
    let (tenant, device) = place(&tenant, &device)?;
    let holder = holder(&new.holder)?;
    let return_url = own_page(&app, new.return_url)?;
    app.reservation(peer.address())?;
    let wish = Wish { tenant, device, quantity: new.quantity, holder, return_url };
    let purchase = app.shared.reserve(wish).await?;
    Ok((StatusCode::CREATED, Json(OwnPurchase::of(&purchase, None))))
}

/// The provider sends browsers to our own page only.
fn own_page(app: &App, url: String) -> Result<String, ApiError> {
    let rest =
        app.shared.settings.console.origins.iter().find_map(|origin| url.strip_prefix(origin.as_str()));
    let page = rest.and_then(|rest| rest.strip_prefix(PAGE));
    let is_own = page.is_some_and(|page| page.is_empty() || page.starts_with(['#', '?']));
    let is_plain = url.len() <= URL_BYTES_MAX && url.bytes().all(|b| b.is_ascii_graphic());
    let wrong = "is not the page /near of this console";
    if is_own && is_plain { Ok(url) } else { Err(ApiError::parameter("return_url", &wrong)) }
}

/// Show one's purchase
#[utoipa::path(
    get, path = "/api/v1/near/{tenant}/{device}/purchases/{purchase}", tag = "near", security(()),
    params(("tenant" = String, Path), ("device" = String, Path), ("purchase" = String, Path)),
    responses(
        (status = 200, description = "And the grant, once it is paid", body = OwnPurchase),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn bought(
    State(app): State<Arc<App>>,
    Path((tenant, device, purchase)): Path<(String, String, String)>,
) -> Result<Json<OwnPurchase>, ApiError> {
    let (tenant, device) = place(&tenant, &device)?;
    let nothing = || ApiError::NotFound("purchase");
    let id = parse_id(&purchase).ok_or_else(nothing)?;
    let registry = app.shared.store.registry();
    let found = registry.purchase(&tenant, &id).await?;
    if found.device != device {
        return Err(nothing());
    }
    let grant = match registry.grant(&tenant, &id).await {
        Ok(entry) => Some(entry.bytes),
        Err(StoreError::NotFound { .. }) => None,
        Err(other) => return Err(other.into()),
    };
    Ok(Json(OwnPurchase::of(&found, grant.as_deref())))
}
