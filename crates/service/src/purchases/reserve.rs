//! Somebody wants what a device offers.

use std::sync::Arc;

use thingward_grant::HolderKey;
use thingward_grant::usage::State;
use thingward_model::clock::now;
use thingward_model::{DeviceName, TenantName};
use thingward_payment::{NewPayment, ProviderError};
use thingward_store::StoreError;
use thingward_store::registry::{Close, Offer, Purchase};

use super::ware::{Ware, price};
use super::{Place, is_enough, is_taken, money, new_id, reference};
use crate::shared::Shared;

/// How long a price holds for somebody who pays, in seconds.
const RESERVED_SECONDS: i64 = 10 * 60;
/// Prices that are held at one device at a time; a further one ends the oldest. Who pays first has it: a reservation holds the
/// price, and keeps nobody out.
const RESERVED_MAX: u32 = 1024;

/// What somebody wants.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) tenant: TenantName,
    pub(crate) device: DeviceName,
    pub(crate) quantity: u64,
    pub(crate) holder: HolderKey,
    /// Where their browser goes once they have paid.
    pub(crate) return_url: String,
}

/// Why they do not get it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSold {
    /// Nothing is offered there, or nobody stands behind it any more.
    #[error("nothing is offered there")]
    NoOffer,
    /// Not so much.
    #[error("`quantity` is not from {0} to {1}")]
    Quantity(u64, u64),
    /// Somebody else has it.
    #[error("somebody else has paid for it; try again when they leave")]
    Taken,
    /// They have paid for so long ahead that they can have no more now.
    #[error("you have paid for as long as can be; pay again later")]
    Enough,
    /// The provider does not take the payment.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// What the store says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Shared {
    /// What is offered at a device now, when who set it may still grant it and the device still sells it.
    ///
    /// # Errors
    ///
    /// [`NotSold::NoOffer`], [`NotSold::Store`].
    pub(crate) async fn offered(self: &Arc<Self>, at: Place) -> Result<(Offer, Ware), NotSold> {
        let (tenant, device) = at;
        let none = |e| match e {
            StoreError::NotFound { .. } => NotSold::NoOffer,
            other => NotSold::Store(other),
        };
        let offer = self.store.registry().offer(&tenant, &device).await.map_err(none)?;
        let is_there = self.payments.is_some() && self.directory.role(&tenant, &device).is_some();
        if !is_there || !self.stands_behind(&tenant, &offer).await? {
            return Err(NotSold::NoOffer);
        }
        let thing = self.described(at).await.map_err(none)?;
        let ware = Ware::of(&thing, offer.start, offer.finish).map_err(|_| NotSold::NoOffer)?;
        Ok((offer, ware))
    }

    /// Holds the price for somebody, and lets the provider wait for their money.
    ///
    /// # Errors
    ///
    /// [`NotSold`]; nothing is to pay.
    pub(crate) async fn reserve(self: &Arc<Self>, wish: Wish) -> Result<Purchase, NotSold> {
        let Wish { tenant, device, quantity, holder, return_url } = wish;
        let (offer, ware) = self.offered((tenant, device)).await?;
        let payments = self.payments.as_ref().ok_or(NotSold::NoOffer)?;
        let most = ware.most.min(offer.most);
        let amount = price(&offer, quantity).filter(|_| (ware.least..=most).contains(&quantity));
        let amount = amount.ok_or(NotSold::Quantity(ware.least, most))?;
        let time = now();
        let registry = self.store.registry();
        let stays = registry.stays(&tenant, &device, time).await?;
        if is_taken(&stays, &holder.to_bytes()) {
            return Err(NotSold::Taken);
        }
        if is_enough(&stays, &ware, time) {
            return Err(NotSold::Enough);
        }
        let mut new = Purchase {
            id: new_id(),
            device,
            holder: holder.to_bytes(),
            start: offer.start,
            finish: offer.finish,
            quantity,
            seconds: quantity.saturating_mul(ware.unit.seconds()),
            amount,
            currency: offer.currency,
            state: State::Reserved,
            payment: None,
            made: time,
            until: time.plus_micros(RESERVED_SECONDS * 1_000_000),
            owed: 0,
            refunded: 0,
            started: None,
            news: 0,
        };
        registry.add_purchase(&tenant, &new, time, RESERVED_MAX).await?;
        let payment = NewPayment {
            reference: reference(&tenant, &new.id),
            price: money(&new, amount)?,
            description: format!("{} for {quantity} {} at {device}", new.start, ware.unit.as_str()),
            return_url,
        };
        let opened = match payments.provider.open(&payment).await {
            Ok(opened) => opened,
            Err(error) => {
                let nothing = Close { state: State::Ended, owed: 0 };
                registry.close_purchases(&tenant, &[(new.id, nothing)]).await?;
                return Err(error.into());
            }
        };
        registry.set_payment(&tenant, &new.id, opened.id.as_str(), &opened.checkout).await?;
        new.payment = Some((opened.id.to_string(), opened.checkout));
        Ok(new)
    }
}
