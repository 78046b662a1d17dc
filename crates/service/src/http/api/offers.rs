//! Offers: what a device costs for whoever stands before it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use thingward_model::clock::now;
use thingward_model::{ActionName, DeviceName, TenantName};
use thingward_payment::Currency;
use thingward_policy::{IssueGrants, Permit, ReadDevices, Resource, RevokeGrants};
use thingward_store::StoreError;
use thingward_store::registry::Offer;
use utoipa::ToSchema;

use super::super::app::App;
use super::super::body::Sent;
use super::super::caller::{Allowed, Caller, Entered, Part};
use super::super::error::{ApiError, ErrorBody};
use super::commands::description_of;
use super::word;
use crate::audit::Deed;
use crate::purchases::ware::{Ware, price};

/// Longest notice, in bytes.
const NOTICE_BYTES_MAX: usize = 1000;
/// Largest price and quantity: a hundred million.
const NUMBER_MAX: u64 = 100_000_000;

/// An offer to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewOffer {
    /// The action that begins what is paid for: open to grants, `tw:step` is `start`, and its input is one whole number
    /// of `s`, `min` or `h`.
    start: String,
    /// The action that ends it: open to grants, `tw:step` is `end`, and its output has `rest`, in the same unit.
    finish: String,
    /// The price of `per` units, in the currency's smallest unit: 240 is 2.40 EUR.
    #[schema(minimum = 1)]
    amount: u64,
    /// Three letters: ISO 4217.
    currency: String,
    /// Units that the price is for. What is bought is rounded up to the smallest unit of the currency.
    #[schema(minimum = 1)]
    per: u64,
    /// Units that are sold at once.
    #[schema(minimum = 1)]
    most: u64,
    /// What a buyer has to know: whose data is kept why, and for how long.
    notice: String,
}

/// What a device costs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct OfferView {
    /// Which device.
    device: String,
    /// The action that begins it.
    start: String,
    /// The action that ends it and gives the rest back.
    finish: String,
    /// `s`, `min` or `h`.
    unit: String,
    /// The price of `per` units, in the currency's smallest unit.
    amount: u64,
    /// Three letters: ISO 4217.
    currency: String,
    /// Units that the price is for.
    per: u64,
    /// Fewest units that are sold at once.
    least: u64,
    /// Most.
    most: u64,
    /// What a buyer has to know.
    notice: String,
    /// When it was set.
    set: String,
}

/// An offer, for who looks after it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct OfferEntry {
    #[serde(flatten)]
    offer: OfferView,
    /// Who set it, as the audit log names them. It sells what they may grant.
    set_by: String,
    /// Whether it is sold now: who set it may still grant it, the device sells it, and somebody takes cards.
    is_sold: bool,
}

impl OfferView {
    pub(super) fn of(offer: &Offer, ware: &Ware) -> Self {
        Self {
            device: offer.device.to_string(),
            start: offer.start.to_string(),
            finish: offer.finish.to_string(),
            unit: ware.unit.as_str().to_owned(),
            amount: offer.amount,
            currency: offer.currency.clone(),
            per: offer.per,
            least: ware.least,
            most: offer.most.min(ware.most),
            notice: offer.notice.clone(),
            set: offer.set_at.to_string(),
        }
    }
}

async fn ware(app: &Arc<App>, tenant: TenantName, offer: &Offer) -> Result<Ware, ApiError> {
    let device = offer.device;
    let undescribed = |e| match e {
        ApiError::Store(StoreError::NotFound { .. }) => ApiError::Conflict(format!(
            "{device} has not said yet what it opens to grants; it does once it has been connected"
        )),
        other => other,
    };
    let thing = description_of(app, tenant, device).await.map_err(undescribed)?;
    Ware::of(&thing, offer.start, offer.finish).map_err(|e| ApiError::Conflict(e.to_string()))
}

async fn entry(app: &Arc<App>, tenant: TenantName, offer: &Offer) -> Result<OfferEntry, ApiError> {
    let view = OfferView::of(offer, &ware(app, tenant, offer).await?);
    let is_sold = app.shared.offered((tenant, offer.device)).await.is_ok();
    Ok(OfferEntry { offer: view, set_by: offer.set_by.clone(), is_sold })
}

/// Show what a device costs
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/devices/{device}/offer", tag = "purchases",
    params(("tenant" = String, Path), ("device" = String, Path)),
    responses(
        (status = 200, description = "And whether it is sold now", body = OfferEntry),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn show(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Part(device): Part<DeviceName>,
) -> Result<Json<OfferEntry>, ApiError> {
    let offer = app.shared.store.registry().offer(&allowed.tenant(), &device).await?;
    Ok(Json(entry(&app, allowed.tenant(), &offer).await?))
}

/// Set what a device costs
///
/// By who may issue grants of both actions; it is sold as long as they may. Whoever pays gets a grant of the device: of
/// `start` with the quantity that they paid for, and of `finish`. What was bought before keeps its price.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenant}/devices/{device}/offer", tag = "purchases",
    params(("tenant" = String, Path), ("device" = String, Path)), request_body = NewOffer,
    responses(
        (status = 200, description = "It is offered", body = OfferEntry),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn set(
    State(app): State<Arc<App>>,
    Entered { tenant, caller }: Entered,
    Part(device): Part<DeviceName>,
    Sent(new): Sent<NewOffer>,
) -> Result<Json<OfferEntry>, ApiError> {
    let offer = read(device, &caller, new)?;
    for action in [offer.start, offer.finish] {
        let on = Resource::Operation(device, action, None);
        let _: Permit<IssueGrants> = app.shared.permit(tenant, &caller.subject, &caller.actor(), &on).await?;
    }
    if app.shared.directory.role(&tenant, &device).is_none() {
        return Err(ApiError::NotFound("device"));
    }
    let ware = ware(&app, tenant, &offer).await?;
    if offer.most < ware.least {
        return Err(ApiError::Invalid(format!(
            "`most` is below {}, the least that the device takes",
            ware.least
        )));
    }
    let deed = app.ordered(&tenant, &caller, deed(&caller, &offer)).await?;
    app.shared.record(tenant, deed).await?;
    app.shared.store.registry().set_offer(&tenant, &offer).await?;
    Ok(Json(entry(&app, tenant, &offer).await?))
}

fn read(device: DeviceName, caller: &Caller, new: NewOffer) -> Result<Offer, ApiError> {
    for (name, number) in [("amount", new.amount), ("per", new.per), ("most", new.most)] {
        if !(1..=NUMBER_MAX).contains(&number) {
            return Err(ApiError::Invalid(format!("`{name}` is not from 1 to {NUMBER_MAX}")));
        }
    }
    if new.notice.trim().is_empty() || new.notice.len() > NOTICE_BYTES_MAX {
        return Err(ApiError::Invalid(format!("`notice` is not a text of 1 to {NOTICE_BYTES_MAX} bytes")));
    }
    let currency: Currency = word("currency", &new.currency)?;
    let action = |name: &str, text: &str| word::<ActionName>(name, text);
    let offer = Offer {
        device,
        start: action("start", &new.start)?,
        finish: action("finish", &new.finish)?,
        amount: new.amount,
        currency: currency.to_string(),
        per: new.per,
        most: new.most,
        notice: new.notice,
        set_at: now(),
        set_by: caller.actor(),
    };
    let too_much = || ApiError::Invalid("`most` costs more than can be paid".to_owned());
    price(&offer, offer.most).filter(|price| *price <= NUMBER_MAX).ok_or_else(too_much)?;
    Ok(offer)
}

fn deed(caller: &Caller, offer: &Offer) -> Deed {
    Deed::new(caller.actor(), "offer.set", format!("device/{}", offer.device))
        .with("start", offer.start.to_string())
        .with("finish", offer.finish.to_string())
        .with("amount", offer.amount.to_string())
        .with("currency", offer.currency.as_str())
        .with("per", offer.per.to_string())
        .with("most", offer.most.to_string())
        .with("notice", offer.notice.as_str())
}

/// Offer a device no more
///
/// What was bought goes on.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/devices/{device}/offer", tag = "purchases",
    params(("tenant" = String, Path), ("device" = String, Path)),
    responses(
        (status = 204, description = "Nobody can buy it any more"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn remove(
    State(app): State<Arc<App>>,
    allowed: Allowed<RevokeGrants>,
    Part(device): Part<DeviceName>,
) -> Result<StatusCode, ApiError> {
    let tenant = allowed.tenant();
    app.shared.store.registry().offer(&tenant, &device).await?;
    let deed = allowed.deed("offer.remove", format!("device/{device}"));
    let deed = app.ordered(&tenant, &allowed.caller, deed).await?;
    app.shared.record(tenant, deed).await?;
    app.shared.store.registry().remove_offer(&tenant, &device).await?;
    Ok(StatusCode::NO_CONTENT)
}
