//! What devices are offered for, and what was bought.

use thingward_grant::usage::State;

use super::*;

on_both!(
    a_purchase_is_paid_started_and_over_once_and_is_to_do_until_its_money_is_back,
    of_more_reservations_than_a_device_has_at_a_time_the_oldest_end,
    a_device_has_one_offer_or_none,
);

pub(super) fn purchase(id: u8, holder: u8, seconds: i64) -> Purchase {
    Purchase {
        id: [id; 8],
        device: device("meter-1"),
        holder: [holder; 32],
        start: "park".parse().unwrap(),
        finish: "leave".parse().unwrap(),
        quantity: 60,
        seconds: 3600,
        amount: 240,
        currency: "EUR".to_owned(),
        state: State::Reserved,
        payment: None,
        made: later(seconds),
        until: later(seconds + 600),
        owed: 0,
        refunded: 0,
        started: None,
        news: 0,
    }
}

pub(super) fn grant_of(purchase: &Purchase, until: Timestamp) -> GrantEntry {
    GrantEntry {
        id: purchase.id,
        audience: GrantAudience::Device(purchase.device),
        bytes: vec![1],
        epoch: 0,
        issued: NOW,
        issued_by: "service".to_owned(),
        expires: Some(until),
        revoked: None,
    }
}

async fn a_purchase_is_paid_started_and_over_once_and_is_to_do_until_its_money_is_back(
    Bench { home: _home, registry }: Bench,
) {
    let (acme, bought) = (tenant("acme"), purchase(1, 1, 0));
    registry.add_purchase(&acme, &bought, NOW, 2).await.unwrap();
    registry.set_payment(&acme, &bought.id, "pay_1", "http://localhost/1").await.unwrap();
    let until = later(4500);
    assert!(registry.stays(&acme, &bought.device, NOW).await.unwrap().is_empty(), "it is only reserved");
    registry.pay_purchase(&acme, &grant_of(&bought, until), until).await.unwrap();
    let twice = registry.pay_purchase(&acme, &grant_of(&bought, until), until).await;
    assert!(matches!(twice, Err(StoreError::NotFound { .. })));
    assert_eq!(registry.grant(&acme, &bought.id).await.unwrap().expires, Some(until));
    registry.start_purchase(&acme, &bought.id, later(9)).await.unwrap();
    let stays = registry.stays(&acme, &bought.device, NOW).await.unwrap();
    assert_eq!(stays.iter().map(|stay| stay.state).collect::<Vec<_>>(), [State::Active]);
    assert!(registry.stays(&acme, &bought.device, until).await.unwrap().is_empty());
    let close = |state, owed| [(bought.id, Close { state, owed })];
    registry.close_purchases(&acme, &close(State::Ended, 100)).await.unwrap();
    registry.close_purchases(&acme, &close(State::Ended, 0)).await.unwrap();
    let open = registry.open_purchases(false, None).await.unwrap();
    assert_eq!(open.iter().map(|(_, p)| (p.state, p.owed)).collect::<Vec<_>>(), [(State::Ended, 100)]);
    registry.refunded(&acme, &bought.id, 100).await.unwrap();
    assert!(registry.open_purchases(false, None).await.unwrap().is_empty());
    // The provider says something: it is to be looked at again.
    assert!(registry.payment_news("pay_1").await.unwrap() && !registry.payment_news("pay_2").await.unwrap());
    assert_eq!(registry.open_purchases(false, None).await.unwrap().len(), 1);
    registry.close_purchases(&acme, &close(State::Disputed, 100)).await.unwrap();
    registry.no_news(&acme, &bought.id, 2).await.unwrap();
    assert_eq!(registry.open_purchases(false, None).await.unwrap().len(), 1, "news came meanwhile");
    registry.no_news(&acme, &bought.id, 1).await.unwrap();
    assert!(registry.open_purchases(false, None).await.unwrap().is_empty());
    registry.close_purchases(&acme, &close(State::Ended, 240)).await.unwrap();
    assert_eq!(registry.purchase(&acme, &bought.id).await.unwrap().state, State::Disputed);
}

async fn of_more_reservations_than_a_device_has_at_a_time_the_oldest_end(
    Bench { home: _home, registry }: Bench,
) {
    let acme = tenant("acme");
    for id in [1, 2] {
        registry.add_purchase(&acme, &purchase(id, id, 0), NOW, 2).await.unwrap();
    }
    let elsewhere = Purchase { device: device("meter-2"), ..purchase(9, 9, 0) };
    registry.add_purchase(&acme, &elsewhere, NOW, 2).await.unwrap();
    registry.add_purchase(&acme, &purchase(3, 3, 1), later(1), 2).await.unwrap();
    let mut until = Vec::new();
    for id in [1, 2, 3, 9] {
        until.push(registry.purchase(&acme, &[id; 8]).await.unwrap().until);
    }
    assert_eq!(until, [later(1), later(600), later(601), later(600)]);
    let quiet = registry.open_purchases(true, None).await.unwrap();
    assert_eq!(quiet.iter().map(|(_, p)| p.id[0]).collect::<Vec<_>>(), [1, 2, 9, 3]);
    assert!(registry.open_purchases(false, None).await.unwrap().is_empty());
    registry.close_purchases(&acme, &[([9; 8], Close { state: State::Ended, owed: 0 })]).await.unwrap();
    assert!(registry.add_purchase(&tenant("nobody"), &purchase(4, 4, 0), NOW, 2).await.is_err());
    let meter = device("meter-1");
    let newest = registry.purchases(&acme, Some(&meter), None, 2).await.unwrap();
    assert_eq!(newest.iter().map(|p| p.id[0]).collect::<Vec<_>>(), [3, 2]);
    let rest = registry.purchases(&acme, Some(&meter), Some(&[2; 8]), 2).await.unwrap();
    assert_eq!(rest.iter().map(|p| p.id[0]).collect::<Vec<_>>(), [1]);
    // What nobody paid for is forgotten; what was paid for is not.
    registry.pay_purchase(&acme, &grant_of(&purchase(3, 3, 1), later(4500)), later(4500)).await.unwrap();
    let over = |id| ([id; 8], Close { state: State::Ended, owed: 0 });
    registry.close_purchases(&acme, &[over(1), over(3)]).await.unwrap();
    registry.forget_unpaid(later(9000)).await.unwrap();
    let left = registry.purchases(&acme, None, None, 9).await.unwrap();
    assert_eq!(left.iter().map(|p| p.id[0]).collect::<Vec<_>>(), [3, 2]);
}

async fn a_device_has_one_offer_or_none(Bench { home: _home, registry }: Bench) {
    let acme = tenant("acme");
    let mut offer = Offer {
        device: device("meter-1"),
        start: "park".parse().unwrap(),
        finish: "leave".parse().unwrap(),
        amount: 240,
        currency: "EUR".to_owned(),
        per: 60,
        most: 120,
        notice: "We keep who parked for as long as the law says.".to_owned(),
        set_at: NOW,
        set_by: "operator".to_owned(),
    };
    for amount in [240, 300] {
        offer.amount = amount;
        registry.set_offer(&acme, &offer).await.unwrap();
        assert_eq!(registry.offer(&acme, &offer.device).await.unwrap(), offer);
    }
    assert!(matches!(
        registry.offer(&tenant("other"), &offer.device).await,
        Err(StoreError::NotFound { .. })
    ));
    registry.remove_offer(&acme, &offer.device).await.unwrap();
    assert!(matches!(registry.remove_offer(&acme, &offer.device).await, Err(StoreError::NotFound { .. })));
}
