//! What strangers buy at a [shop], and every way to get more than was paid for. `docs/parking.md` has the table of forbidden moves.

mod shop;

use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};
use thingward_audit::actors::Word;
use thingward_grant::usage::State;
use thingward_model::Timestamp;
use thingward_model::clock::now;
use thingward_payment::testbed::cards::{ACCEPTED, DECLINED, DISPUTED};
use thingward_payment::{Provider, Status, WebhookKey};
use thingward_seal::command::Outcome;
use thingward_store::registry::{GrantEntry, Purchase};

use self::shop::{NEAR, OFFER, PAGE, PURCHASES, Shop, offer, pay};
use super::grants::{Meter, acme, ed25519, holder};
use super::{Fixture, key_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_sees_the_price_pays_parks_leaves_early_and_gets_the_rest_back() {
    let shop = Shop::open().await;
    let meter = shop.meter().await;
    let anna = ed25519();
    let (status, seen) = shop.fixture.call("get", NEAR, None, "").await;
    assert_eq!(status, StatusCode::OK);
    let price = (&seen["amount"], &seen["per"], &seen["unit"], &seen["least"], &seen["most"]);
    assert_eq!(price, (&json!(240), &json!(60), &json!("min"), &json!(1), &json!(120)), "{seen}");
    let made = shop.reserved(60, &anna).await;
    assert_eq!((&made["amount"], &made["grant"]), (&json!(240), &Json::Null), "{made}");
    pay(&made, ACCEPTED).await;
    shop.tell(&made).await;
    let own = shop.is(&made, "paid").await;
    assert_eq!(shop.payment(&made).await.status, Status::Captured);
    let grant = Shop::grant(&own);
    let (_, view) = shop
        .fixture
        .admin("get", &format!("/api/v1/tenants/acme/grants/{}", made["id"].as_str().unwrap()), "")
        .await;
    let allowed = json!([{"action": "park", "bounds": {"": 60}}, {"action": "leave"}]);
    assert_eq!((&view["permissions"], &view["holder"]), (&allowed, &json!(holder(&anna))), "{view}");
    meter.parked(&grant, &anna).await;
    shop.is(&made, "active").await;
    meter.left(&grant, &anna, 30.0).await;
    let own = shop.until(&made, |own| own["refunded"] == 120).await;
    assert_eq!((&own["state"], &own["owed"]), (&json!("ended"), &json!(120)));
    assert_eq!(shop.payment(&made).await.refunded, 120);
    // What the log says of it stands: the service's word for the money, the device's for the uses.
    let entries = shop.fixture.entries().await;
    let last = |action: &str| entries.iter().rposition(|entry| entry.action == action).unwrap();
    let word = |action| shop.fixture.last_word(&entries[..=last(action)]);
    assert_eq!((word("purchase.refund"), word("grant.use")), (Ok(Word::Service), Ok(Word::Device)));
    let issued = entries.iter().find(|entry| entry.action == "grant.issue").unwrap();
    assert_eq!((issued.actor.as_str(), issued.details["price"].as_str()), ("service", "2.40 EUR"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_pay_or_whose_card_is_declined_has_no_grant() {
    let shop = Shop::open().await;
    let _meter = shop.meter().await;
    let made = shop.reserved(60, &ed25519()).await;
    pay(&made, DECLINED).await;
    shop.tell(&made).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let own = shop.own(&made).await;
    assert_eq!((&own["state"], &own["grant"]), (&json!("reserved"), &Json::Null));
    let (_, grants) = shop.fixture.admin("get", "/api/v1/tenants/acme/grants", "").await;
    assert_eq!(grants["items"], json!([]));
    assert_eq!(shop.refund(&made).await, StatusCode::CONFLICT, "nothing goes back of what was not paid");
    // They may try another card.
    pay(&made, ACCEPTED).await;
    shop.tell(&made).await;
    shop.is(&made, "paid").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_that_somebody_saw_holds_whatever_the_city_does_meanwhile() {
    let shop = Shop::open().await;
    let meter = shop.meter().await;
    let (anna, ben) = (ed25519(), ed25519());
    let made = shop.reserved(60, &anna).await;
    assert_eq!(shop.fixture.admin("put", OFFER, &offer(900).to_string()).await.0, StatusCode::OK);
    pay(&made, ACCEPTED).await;
    shop.tell(&made).await;
    let own = shop.is(&made, "paid").await;
    assert_eq!(shop.payment(&made).await.price.amount, 240);
    meter.parked(&Shop::grant(&own), &anna).await;
    shop.is(&made, "active").await;
    meter.left(&Shop::grant(&own), &anna, 30.0).await;
    let own = shop.until(&made, |own| own["refunded"] != 0).await;
    assert_eq!(own["refunded"], 120, "half of what was paid, not of what it costs now");
    assert_eq!(shop.reserved(60, &ben).await["amount"], 900);
    // Nothing is sold once the offer is gone; who has asked before may pay.
    let late = shop.reserved(60, &ben).await;
    assert_eq!(shop.fixture.admin("delete", OFFER, "").await.0, StatusCode::NO_CONTENT);
    assert_eq!(shop.ask(60, &ben).await.0, StatusCode::NOT_FOUND);
    assert_eq!(shop.fixture.call("get", NEAR, None, "").await.0, StatusCode::NOT_FOUND);
    pay(&late, ACCEPTED).await;
    shop.tell(&late).await;
    shop.is(&late, "paid").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sold_that_its_seller_may_not_grant_any_more() {
    let shop = Shop::open().await;
    let _meter = shop.meter().await;
    let seller = shop.fixture.made_token(&[thingward_policy::Action::IssueGrants]).await;
    let (status, set) = shop.fixture.call("put", OFFER, Some(&seller), &offer(240).to_string()).await;
    assert_eq!((status, &set["is_sold"]), (StatusCode::OK, &json!(true)), "{set}");
    shop.reserved(60, &ed25519()).await;
    let (_, tokens) = shop.fixture.admin("get", "/api/v1/tenants/acme/tokens", "").await;
    let id = tokens["items"][0]["id"].as_str().unwrap().to_owned();
    shop.fixture.admin("delete", &format!("/api/v1/tenants/acme/tokens/{id}"), "").await;
    assert_eq!(shop.ask(60, &ed25519()).await.0, StatusCode::NOT_FOUND);
    assert_eq!(shop.fixture.admin("get", OFFER, "").await.1["is_sold"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_pay_for_one_bay_the_second_pays_nothing() {
    let shop = Shop::open().await;
    let _meter = shop.meter().await;
    let (anna, ben) = (ed25519(), ed25519());
    let (first, second) = (shop.reserved(60, &anna).await, shop.reserved(60, &ben).await);
    pay(&first, ACCEPTED).await;
    pay(&second, ACCEPTED).await;
    shop.tell(&first).await;
    shop.is(&first, "paid").await;
    shop.tell(&second).await;
    let own = shop.is(&second, "ended").await;
    assert_eq!(own["grant"], Json::Null);
    assert_eq!(shop.payment(&second).await.status, Status::Cancelled);
    assert_eq!(shop.ask(60, &ben).await.0, StatusCode::CONFLICT, "and nobody else can ask for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_extends_gets_the_rest_of_all_that_they_paid_for_and_the_newest_first() {
    let shop = Shop::open().await;
    let meter = shop.meter().await;
    let anna = ed25519();
    let first = shop.bought(60, &anna).await;
    meter.parked(&Shop::grant(&first), &anna).await;
    shop.is(&first, "active").await;
    let second = shop.bought(60, &anna).await;
    let end = |own: &Json| Timestamp::parse_rfc3339(own["until"].as_str().unwrap()).unwrap();
    assert!(end(&second).micros_since(end(&first)) >= 3_600_000_000, "it goes on where the first one ends");
    meter.parked(&Shop::grant(&second), &anna).await;
    shop.is(&second, "active").await;
    // They leave with the first grant, and say so twice.
    for _ in 0..2 {
        meter.left(&Shop::grant(&first), &anna, 90.0).await;
    }
    assert_eq!(shop.until(&second, |own| own["refunded"] != 0).await["refunded"], 240);
    assert_eq!(shop.until(&first, |own| own["refunded"] != 0).await["refunded"], 120);
    meter.left(&Shop::grant(&second), &anna, 60.0).await;
    tokio::time::sleep(Duration::from_millis(4500)).await;
    assert_eq!((shop.payment(&first).await.refunded, shop.payment(&second).await.refunded), (120, 240));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_says_more_was_left_than_was_paid_for_gives_back_no_more_than_that() {
    let shop = Shop::open().await;
    let meter = shop.meter().await;
    let anna = ed25519();
    let own = shop.bought(60, &anna).await;
    meter.parked(&Shop::grant(&own), &anna).await;
    shop.is(&own, "active").await;
    meter.left(&Shop::grant(&own), &anna, 100_000.0).await;
    assert_eq!(shop.until(&own, |own| own["refunded"] != 0).await["refunded"], 240);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_failed_is_none() {
    let shop = Shop::open().await;
    let meter = shop.meter().await;
    let anna = ed25519();
    let own = shop.bought(60, &anna).await;
    meter.did(&Shop::grant(&own), &anna, "park", Outcome::Failed { text: "the barrier is stuck" }).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(shop.own(&own).await["state"], "paid");
    meter.parked(&Shop::grant(&own), &anna).await;
    shop.is(&own, "active").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_come_in_another_order_give_back_what_they_would_in_theirs() {
    let shop = Shop::open().await;
    let meter = shop.meter().await;
    let anna = ed25519();
    let own = shop.bought(60, &anna).await;
    // The end is heard of first: it waits, and the price does not go back whole.
    meter.left(&Shop::grant(&own), &anna, 30.0).await;
    tokio::time::sleep(Duration::from_millis(4500)).await;
    assert_eq!((&shop.own(&own).await["state"], shop.payment(&own).await.refunded), (&json!("paid"), 0));
    meter.parked(&Shop::grant(&own), &anna).await;
    assert_eq!(shop.until(&own, |own| own["refunded"] != 0).await["refunded"], 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_somebody_takes_back_gives_the_price_back() {
    let shop = Shop::open().await;
    let _meter = shop.meter().await;
    let own = shop.bought(60, &ed25519()).await;
    let grant = format!("/api/v1/tenants/acme/grants/{}", own["id"].as_str().unwrap());
    assert_eq!(shop.fixture.admin("delete", &grant, "").await.0, StatusCode::NO_CONTENT);
    shop.tell(&own).await;
    assert_eq!(shop.until(&own, |own| own["refunded"] != 0).await["refunded"], 240);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_stacks_no_more_than_is_sold_at_once_on_what_they_have() {
    let shop = Shop::open().await;
    let _meter = shop.meter().await;
    let anna = ed25519();
    for _ in 0..3 {
        shop.bought(90, &anna).await;
    }
    let (status, said) = shop.ask(1, &anna).await;
    assert_eq!(status, StatusCode::CONFLICT, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_provider_did_not_sign_or_that_is_old_counts_for_nothing() {
    let shop = Shop::open().await;
    let _meter = shop.meter().await;
    let made = shop.reserved(60, &ed25519()).await;
    let body =
        json!({"type": "payment.authorised", "data": {"payment": shop.payment(&made).await.id}}).to_string();
    let thief = WebhookKey::parse(&format!("whsec_{}", URL_SAFE_NO_PAD.encode([7; 32]))).unwrap();
    let time = now().as_seconds();
    assert_eq!(shop.hook(time, &body, &thief).await, StatusCode::FORBIDDEN);
    assert_eq!(shop.hook(time - 301, &body, &shop.webhook).await, StatusCode::FORBIDDEN);
    assert_eq!(shop.hook(time, "{}", &shop.webhook).await, StatusCode::BAD_REQUEST);
    assert_eq!(shop.hook(time, &"x".repeat(70_000), &shop.webhook).await, StatusCode::PAYLOAD_TOO_LARGE);
    let other = json!({"data": {"payment": "pay_other"}}).to_string();
    assert_eq!(shop.hook(time, &other, &shop.webhook).await, StatusCode::NO_CONTENT);
    // One that is signed and says what is not so is looked into, and that is all.
    assert_eq!(shop.hook(time, &body, &shop.webhook).await, StatusCode::NO_CONTENT);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(shop.own(&made).await["state"], "reserved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_whose_owner_takes_the_money_back_ends_the_grant() {
    let shop = Shop::open().await;
    let _meter = shop.meter().await;
    let made = shop.reserved(60, &ed25519()).await;
    pay(&made, DISPUTED).await;
    shop.tell(&made).await;
    shop.until(&made, |own| own["state"] != "reserved").await;
    shop.tell(&made).await;
    shop.is(&made, "disputed").await;
    let grant = format!("/api/v1/tenants/acme/grants/{}", made["id"].as_str().unwrap());
    assert_eq!(shop.fixture.admin("get", &grant, "").await.1["state"], "revoked");
    assert_eq!(shop.refund(&made).await, StatusCode::CONFLICT);
    let actions: Vec<String> = shop.fixture.entries().await.into_iter().map(|e| e.action).collect();
    assert!(actions.contains(&"purchase.dispute".to_owned()) && actions.contains(&"grant.revoke".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_after_the_meter_gives_all_of_it_back_once() {
    let shop = Shop::open().await;
    let meter = shop.meter().await;
    let anna = ed25519();
    let own = shop.bought(60, &anna).await;
    let reader = shop.fixture.token(Some("acme"), &[thingward_policy::Action::ReadDevices], 60).await;
    let path = format!("{PURCHASES}/{}/refund", own["id"].as_str().unwrap());
    assert_eq!(shop.fixture.call("post", &path, Some(&reader), "").await.0, StatusCode::FORBIDDEN);
    assert_eq!(shop.refund(&own).await, StatusCode::ACCEPTED);
    assert_eq!(shop.refund(&own).await, StatusCode::CONFLICT, "once");
    let own = shop.until(&own, |own| own["refunded"] == 240).await;
    assert_eq!(own["state"], "ended");
    assert_eq!(shop.payment(&own).await.refunded, 240);
    // The meter had not heard of it: its report changes nothing.
    meter.parked(&Shop::grant(&own), &anna).await;
    meter.left(&Shop::grant(&own), &anna, 60.0).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(shop.payment(&own).await.refunded, 240);
    let (_, list) = shop.fixture.admin("get", &format!("{PURCHASES}?device=meter-1"), "").await;
    assert_eq!((&list["items"][0]["id"], &list["items"][0]["state"]), (&own["id"], &json!("ended")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_paid_is_granted_after_a_stop_between_the_money_and_the_grant() {
    let shop = Shop::open().await;
    let meter = shop.meter().await;
    let (name, key) = (meter.name, key_of(&meter.key));
    let made = shop.reserved(60, &ed25519()).await;
    let Shop { fixture, provider, webhook, tasks } = shop;
    let (folder, settings) = fixture.stopped().await;
    // The money was taken, and nobody was told.
    pay(&made, ACCEPTED).await;
    let fixture = Fixture::started(folder, settings).await;
    fixture.app.shared.directory.enrolled(acme(), name, thingward_model::Role::Device, &key);
    let shop = Shop { fixture, provider, webhook, tasks };
    shop.provider.capture(&shop.payment(&made).await.id).await.unwrap();
    shop.tell(&made).await;
    let own = shop.is(&made, "paid").await;
    assert!(own["grant"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_holds_for_ten_minutes_and_no_longer() {
    let shop = Shop::open().await;
    let _meter = shop.meter().await;
    let anna = ed25519();
    let known = shop.kept(&shop.reserved(60, &anna).await).await;
    // As if somebody had asked a quarter of an hour ago, and pays now.
    let (made, until) = (known.made.plus_micros(-900_000_000), known.until.plus_micros(-900_000_000));
    let late = Purchase { id: [7; 8], payment: None, made, until, ..known };
    let registry = shop.fixture.app.shared.store.registry().clone();
    registry.add_purchase(&acme(), &late, now(), 10).await.unwrap();
    let price = thingward_payment::Money { amount: 240, currency: "EUR".parse().unwrap() };
    let new = thingward_payment::NewPayment {
        reference: "acme/0707070707070707".to_owned(),
        price,
        description: "park".to_owned(),
        return_url: PAGE.to_owned(),
    };
    let opened = shop.provider.open(&new).await.unwrap();
    registry.set_payment(&acme(), &late.id, opened.id.as_str(), &opened.checkout).await.unwrap();
    let late = json!({"id": "0707070707070707", "checkout": opened.checkout});
    pay(&late, ACCEPTED).await;
    shop.tell(&late).await;
    let own = shop.is(&late, "ended").await;
    assert_eq!(own["grant"], Json::Null);
    assert_eq!(shop.payment(&late).await.status, Status::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_used_goes_back_a_day_after_its_time() {
    let shop = Shop::open().await;
    let _meter = shop.meter().await;
    let made = shop.reserved(60, &ed25519()).await;
    pay(&made, ACCEPTED).await;
    let payment = shop.payment(&made).await;
    shop.provider.capture(&payment.id).await.unwrap();
    // As if it had been paid two days ago.
    let until = now().plus_micros(-2 * 86_400 * 1_000_000);
    let registry = shop.fixture.app.shared.store.registry().clone();
    let id = Shop::id(&made);
    let entry = GrantEntry {
        id,
        audience: "device/meter-1".parse().unwrap(),
        bytes: vec![1],
        epoch: 0,
        issued: until,
        issued_by: "service".to_owned(),
        expires: Some(until),
        revoked: None,
    };
    registry.pay_purchase(&acme(), &entry, until).await.unwrap();
    assert_eq!(shop.kept(&made).await.state, State::Paid);
    shop.tell(&made).await;
    shop.tell(&made).await;
    shop.until(&made, |own| own["refunded"] == 240).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_cannot_be_met_says_why() {
    let shop = Shop::open().await;
    let _meter = shop.meter().await;
    for quantity in [0, 121, u64::MAX] {
        let (status, said) = shop.ask(quantity, &ed25519()).await;
        let text = said["error"]["message"].as_str().unwrap();
        assert_eq!((status, text), (StatusCode::BAD_REQUEST, "`quantity` is not from 1 to 120"));
    }
    let good = json!({"quantity": 60, "holder": holder(&ed25519()), "return_url": PAGE});
    let send = async |name: &str, value: Json, path: &str| {
        let mut body = good.clone();
        body[name] = value;
        shop.fixture.call("post", path, None, &body.to_string()).await.0
    };
    let here = format!("{NEAR}/purchases");
    for bad in [
        "https://evil.example/near",
        "https://console.example/nearby",
        "https://console.example.evil/near",
        "javascript:x",
        "https://console.example/near# ",
    ] {
        assert_eq!(send("return_url", json!(bad), &here).await, StatusCode::BAD_REQUEST, "{bad}");
    }
    assert_eq!(send("holder", json!("AAAA"), &here).await, StatusCode::BAD_REQUEST);
    assert_eq!(
        send("price", json!(1), &here).await,
        StatusCode::BAD_REQUEST,
        "the price is not theirs to say"
    );
    for elsewhere in [
        "/api/v1/near/acme/nobody/purchases",
        "/api/v1/near/other/meter-1/purchases",
        "/api/v1/near/NO%2F/x/purchases",
    ] {
        assert_eq!(send("quantity", json!(60), elsewhere).await, StatusCode::NOT_FOUND, "{elsewhere}");
    }
    let (status, _) = shop.fixture.call("get", &format!("{NEAR}/purchases/0123456789abcdef"), None, "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    // One place cannot fill the books.
    let mut last = StatusCode::CREATED;
    for _ in 0..12 {
        last = shop.ask(60, &ed25519()).await.0;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_offer_is_told() {
    let shop = Shop::open().await;
    let _meter = shop.meter().await;
    let set = async |name: &str, value: Json| {
        let mut body = offer(240);
        body[name] = value;
        let (status, said) = shop.fixture.admin("put", OFFER, &body.to_string()).await;
        (status.as_u16(), said["error"]["message"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(set("start", json!("set-rate")).await, (409, "`set-rate` is not open to grants".to_owned()));
    assert_eq!(set("finish", json!("park")).await.0, 409);
    assert_eq!(set("start", json!("fly")).await, (409, "`fly` is no action of the device".to_owned()));
    assert_eq!(set("currency", json!("euro")).await.0, 400);
    for (name, bad) in
        [("amount", 0), ("per", 0), ("most", 0), ("amount", 100_000_001), ("most", 100_000_000)]
    {
        assert_eq!(set(name, json!(bad)).await.0, 400, "{name} {bad}");
    }
    assert_eq!(set("notice", json!(" ")).await.0, 400);
    assert_eq!(set("notice", json!("n".repeat(1001))).await.0, 400);
    let (status, _) =
        shop.fixture.admin("put", &OFFER.replace("meter-1", "nobody"), &offer(240).to_string()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(shop.fixture.admin("get", OFFER, "").await.1["amount"], 240, "the offer stays as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_gone_sells_nothing_and_loses_nothing() {
    let mut shop = Shop::open().await;
    let meter = shop.meter().await;
    let anna = ed25519();
    let own = shop.bought(60, &anna).await;
    meter.parked(&Shop::grant(&own), &anna).await;
    shop.is(&own, "active").await;
    let key = meter.key;
    shop.tasks.shutdown().await;
    assert_eq!(shop.ask(60, &anna).await.0, StatusCode::BAD_GATEWAY);
    let meter = Meter { fixture: &shop.fixture, name: "meter-1".parse().unwrap(), key };
    meter.left(&Shop::grant(&own), &anna, 30.0).await;
    let own = shop.is(&own, "ended").await;
    assert_eq!((&own["owed"], &own["refunded"]), (&json!(120), &json!(0)), "it is owed until they are back");
}
