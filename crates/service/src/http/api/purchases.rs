//! Purchases, for who looks after the devices.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base16ct::lower::encode_string as hex;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use thingward_grant::usage::State as Stage;
use thingward_model::DeviceName;
use thingward_policy::{Action, Permit, ReadDevices, Resource, RevokeGrants};
use thingward_store::StoreError;
use thingward_store::registry::{GrantId, Purchase};
use utoipa::{IntoParams, ToSchema};

use super::super::app::App;
use super::super::caller::{Allowed, Entered, Named, Params, Part};
use super::super::error::{ApiError, ErrorBody};
use super::grants::parse_id;
use super::{List, ListParams, word};
use crate::audit::Deed;
use crate::purchases::{money, target};

/// A purchase.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct PurchaseView {
    /// Names it, and its grant: 16 hexadecimal digits.
    id: String,
    /// Of which device.
    device: String,
    /// Whose key has to show the grant, base64url.
    holder: String,
    /// How much, in the unit that the device sells.
    quantity: u64,
    /// How long that is.
    seconds: u64,
    /// The price, in the currency's smallest unit.
    amount: u64,
    /// Three letters: ISO 4217.
    currency: String,
    /// `reserved`, `paid`, `active`, `ended` or `disputed`.
    state: String,
    /// As the provider names the payment.
    payment: Option<String>,
    /// When it was reserved.
    made: String,
    /// When the reservation ends, then when the grant does.
    until: String,
    /// How much of the price goes back.
    owed: u64,
    /// How much of it is back.
    refunded: u64,
}

/// Which purchases.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct PurchaseParams {
    /// Only of this device.
    device: Option<String>,
    /// Items after this one: `next` of the page before.
    after: Option<String>,
    /// Most items in the answer, 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// A purchase's id in a path.
pub(in crate::http) struct Id(GrantId);

impl Named for Id {
    const NAME: &'static str = "purchase";
    fn parse(text: &str) -> Option<Self> {
        parse_id(text).map(Self)
    }
}

fn view(purchase: Purchase) -> PurchaseView {
    PurchaseView {
        id: hex(&purchase.id),
        device: purchase.device.to_string(),
        holder: URL_SAFE_NO_PAD.encode(purchase.holder),
        quantity: purchase.quantity,
        seconds: purchase.seconds,
        amount: purchase.amount,
        currency: purchase.currency,
        state: purchase.state.as_str().to_owned(),
        payment: purchase.payment.map(|(id, _)| id),
        made: purchase.made.to_string(),
        until: purchase.until.to_string(),
        owed: purchase.owed,
        refunded: purchase.refunded,
    }
}

/// List purchases
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/purchases", tag = "purchases",
    params(("tenant" = String, Path), PurchaseParams),
    responses(
        (status = 200, description = "The newest first", body = List<PurchaseView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Params(params): Params<PurchaseParams>,
) -> Result<Json<List<PurchaseView>>, ApiError> {
    let device = params.device.as_deref().map(|device| word::<DeviceName>("device", device)).transpose()?;
    let page = ListParams { after: params.after, limit: params.limit };
    let limit = page.limit()?;
    let wrong = || ApiError::Invalid("`after` is not from an earlier page".to_owned());
    let after = page.after::<String>()?.map(|after| parse_id(&after).ok_or_else(wrong)).transpose()?;
    let registry = app.shared.store.registry();
    let found = registry.purchases(&allowed.tenant(), device.as_ref(), after.as_ref(), limit).await?;
    let mut list = List::page(found, limit, |purchase| purchase, |purchase| hex(&purchase.id));
    list.items.retain(|purchase| allowed.also(&app, &Resource::Member(purchase.device)));
    Ok(Json(List { items: list.items.into_iter().map(view).collect(), next: list.next }))
}

/// Show a purchase
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/purchases/{purchase}", tag = "purchases",
    params(("tenant" = String, Path), ("purchase" = String, Path)),
    responses(
        (status = 200, description = "And what became of it", body = PurchaseView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn show(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Part(Id(id)): Part<Id>,
) -> Result<Json<PurchaseView>, ApiError> {
    let purchase = app.shared.store.registry().purchase(&allowed.tenant(), &id).await?;
    let is_seen = allowed.also(&app, &Resource::Member(purchase.device));
    if is_seen { Ok(Json(view(purchase))) } else { Err(ApiError::NotFound("purchase")) }
}

/// Give the money of a purchase back
///
/// All that did not go back yet. Its grant ends.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/purchases/{purchase}/refund", tag = "purchases",
    params(("tenant" = String, Path), ("purchase" = String, Path)),
    responses(
        (status = 202, description = "It goes back as soon as the provider is reached", body = PurchaseView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn refund(
    State(app): State<Arc<App>>,
    Entered { tenant, caller }: Entered,
    Part(Id(id)): Part<Id>,
) -> Result<(StatusCode, Json<PurchaseView>), ApiError> {
    let registry = app.shared.store.registry();
    let known = match registry.purchase(&tenant, &id).await {
        Ok(purchase) => Some(purchase),
        Err(StoreError::NotFound { .. }) => None,
        Err(other) => return Err(other.into()),
    };
    if known.is_some() || !caller.may_in_scope(Action::RevokeGrants) {
        let on = known.as_ref().map_or(Resource::Tenant, |purchase| Resource::Member(purchase.device));
        let _: Permit<RevokeGrants> =
            app.shared.permit(tenant, &caller.subject, &caller.actor(), &on).await?;
    }
    let purchase = known.ok_or(ApiError::NotFound("purchase"))?;
    match purchase.state {
        Stage::Paid | Stage::Active => {}
        // One that became a grant was paid.
        Stage::Ended if purchase.owed < purchase.amount && registry.grant(&tenant, &id).await.is_ok() => {}
        state => {
            return Err(ApiError::Conflict(format!(
                "nothing goes back of a purchase that is {}",
                state.as_str()
            )));
        }
    }
    let amount = money(&purchase, purchase.amount.saturating_sub(purchase.owed))?;
    let deed = Deed::new(caller.actor(), "purchase.refund", target(&id))
        .with("device", purchase.device.to_string())
        .with("amount", amount.to_string());
    let deed = app.ordered(&tenant, &caller, deed).await?;
    app.shared.record(tenant, deed).await?;
    app.shared.give_back(tenant, &purchase).await?;
    let purchase = app.shared.store.registry().purchase(&tenant, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(view(purchase))))
}
