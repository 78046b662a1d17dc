//! A seller and a payer at the test provider, over HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tempfile::TempDir;
use thingward_model::clock::now;
use thingward_payment::testbed::cards::{ACCEPTED, DECLINED, DISPUTED};
use thingward_payment::testbed::server::{api_key_file, webhook_secret_file};
use thingward_payment::testbed::{Testbed, TestbedSettings};
use thingward_payment::webhook::{Headers, ID, SIGNATURE, TIMESTAMP};
use thingward_payment::{
    ApiKey, Money, NewPayment, Opened, Provider, ProviderError, Status, TestbedClient, WebhookKey,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

type Heard = Arc<Mutex<Vec<String>>>;

/// A shop that takes signed messages only, and hears each at the second try.
struct Shop {
    home: TempDir,
    webhook: String,
    heard: Heard,
    _tasks: JoinSet<()>,
}

impl Shop {
    async fn open() -> Self {
        let home = tempfile::tempdir().unwrap();
        let secret = webhook_secret_file(home.path());
        let (heard, tried) = (Heard::default(), Heard::default());
        let hears = Arc::clone(&heard);
        let handler = move |headers: HeaderMap, body: Bytes| async move {
            let text = |name| headers.get(name).unwrap().to_str().unwrap().to_owned();
            let (id, timestamp, signature) = (text(ID), text(TIMESTAMP), text(SIGNATURE));
            let headers = Headers { id: &id, timestamp: &timestamp, signature: &signature };
            WebhookKey::read(&secret).unwrap().verify(&headers, &body, now().as_seconds()).unwrap();
            if !tried.lock().unwrap().contains(&id) {
                tried.lock().unwrap().push(id);
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
            hears.lock().unwrap().push(said["type"].as_str().unwrap().to_owned());
            StatusCode::NO_CONTENT
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let webhook = format!("http://{}/hook", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            axum::serve(listener, Router::new().route("/hook", post(handler))).await.unwrap()
        });
        Self { home, webhook, heard, _tasks: tasks }
    }

    async fn provider(&self) -> (TestbedClient, JoinSet<()>) {
        let mut tasks = JoinSet::new();
        let settings =
            TestbedSettings { home: self.home.path().to_owned(), port: 0, webhook: self.webhook.clone() };
        let at = Testbed::start(&settings, &mut tasks).await.unwrap();
        let key = ApiKey::read(&api_key_file(self.home.path())).unwrap();
        (TestbedClient::new(&format!("http://{at}"), key).unwrap(), tasks)
    }

    async fn hears(&self, want: &[&str]) {
        for _ in 0..200 {
            if *self.heard.lock().unwrap() == want {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("heard {:?}, not {want:?}", self.heard.lock().unwrap());
    }
}

fn new(reference: &str, amount: u64) -> NewPayment {
    let price = Money { amount, currency: "EUR".parse().unwrap() };
    let (description, return_url) = ("Parking <bay 12>".to_owned(), "http://localhost:1/near".to_owned());
    NewPayment { reference: reference.to_owned(), price, description, return_url }
}

/// What a browser gets for a card.
async fn pay(opened: &Opened, card: &str) -> String {
    let (at, path) = opened.checkout.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let body = format!("card={card}");
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!(
        "POST /{path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_authorised_captured_and_refunded_once_for_each_key_and_each_step_is_told() {
    let shop = Shop::open().await;
    let (provider, _tasks) = shop.provider().await;
    let opened = provider.open(&new("p1", 240)).await.unwrap();
    assert_eq!(provider.open(&new("p1", 240)).await.unwrap(), opened, "asked twice, it is one payment");
    assert!(matches!(provider.open(&new("p1", 241)).await, Err(ProviderError::Refused(_))));
    assert!(matches!(provider.capture(&opened.id).await, Err(ProviderError::Refused(_))), "nobody has paid");
    assert!(pay(&opened, "1234").await.contains("This is no test card."));
    assert!(pay(&opened, DECLINED).await.contains("The card was declined."));
    assert_eq!(provider.find(&opened.id).await.unwrap().status, Status::Open);
    assert!(pay(&opened, ACCEPTED).await.contains("303 See Other"));
    assert_eq!(provider.find(&opened.id).await.unwrap().status, Status::Authorised);
    for _ in 0..2 {
        assert_eq!(provider.capture(&opened.id).await.unwrap().status, Status::Captured);
    }
    assert!(matches!(provider.cancel(&opened.id).await, Err(ProviderError::Refused(_))));
    for _ in 0..2 {
        assert_eq!(provider.refund(&opened.id, "rest", 100).await.unwrap().refunded, 100);
    }
    assert!(matches!(provider.refund(&opened.id, "rest", 99).await, Err(ProviderError::Refused(_))));
    assert!(matches!(provider.refund(&opened.id, "more", 141).await, Err(ProviderError::Refused(_))));
    shop.hears(&["payment.authorised", "payment.captured", "payment.refunded"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_payment_takes_no_card_and_a_disputed_one_is_told() {
    let shop = Shop::open().await;
    let (provider, _tasks) = shop.provider().await;
    let opened = provider.open(&new("p1", 240)).await.unwrap();
    assert_eq!(provider.cancel(&opened.id).await.unwrap().status, Status::Cancelled);
    assert!(pay(&opened, ACCEPTED).await.contains("the payment is cancelled"));
    let opened = provider.open(&new("p2", 240)).await.unwrap();
    pay(&opened, DISPUTED).await;
    provider.capture(&opened.id).await.unwrap();
    assert_eq!(provider.find(&opened.id).await.unwrap().status, Status::Disputed);
    assert!(matches!(provider.refund(&opened.id, "rest", 1).await, Err(ProviderError::Refused(_))));
    shop.hears(&["payment.cancelled", "payment.authorised", "payment.captured", "payment.disputed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_starts_again_knows_its_payments_and_only_its_own_seller() {
    let shop = Shop::open().await;
    let (provider, tasks) = shop.provider().await;
    let opened = provider.open(&new("p1", 240)).await.unwrap();
    drop((provider, tasks));
    let (provider, _tasks) = shop.provider().await;
    assert_eq!(provider.find(&opened.id).await.unwrap().reference, "p1");
    let stranger = tempfile::tempdir().unwrap();
    let key = ApiKey::read_or_make(&api_key_file(stranger.path())).unwrap();
    let at = provider.find(&"pay_other".parse().unwrap()).await;
    assert_eq!(at, Err(ProviderError::Refused("there is no such payment".to_owned())));
    let mut tasks = JoinSet::new();
    let settings =
        TestbedSettings { home: shop.home.path().to_owned(), port: 0, webhook: shop.webhook.clone() };
    let at = Testbed::start(&settings, &mut tasks).await.unwrap();
    let thief = TestbedClient::new(&format!("http://{at}"), key).unwrap();
    assert!(matches!(thief.find(&opened.id).await, Err(ProviderError::Refused(_))));
    let elsewhere = TestbedSettings { webhook: "http://192.0.2.1/hook".to_owned(), ..settings };
    assert!(Testbed::start(&elsewhere, &mut tasks).await.is_err());
}
