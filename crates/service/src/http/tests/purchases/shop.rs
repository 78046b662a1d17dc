//! A shop that sells at a test provider of payments, which really runs, and the meter that it sells time at.

use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};
use thingward_crypto::SoftwareKey;
use thingward_grant::{Grant, OPERATION_BYTES_MAX, Operation, PRESENTATION_BYTES_MAX, Value, public};
use thingward_model::NameRef;
use thingward_model::clock::now;
use thingward_payment::testbed::cards::ACCEPTED;
use thingward_payment::testbed::server::{api_key_file, webhook_secret_file};
use thingward_payment::testbed::{Testbed, TestbedSettings};
use thingward_payment::webhook::{ID, SIGNATURE, TIMESTAMP};
use thingward_payment::{ApiKey, Payment, Provider, TestbedClient, WebhookKey};
use thingward_seal::command::{Data, Outcome, Scalar};
use thingward_store::registry::{GrantId, Purchase};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::super::grants::{Meter, TAKEN, acme, holder};
use super::super::uses::report;
use super::super::{Fixture, answer_of, rand, remote, request, settings};
use crate::settings::{PaymentSettings, ServiceSettings};

pub(super) const OFFER: &str = "/api/v1/tenants/acme/devices/meter-1/offer";
pub(super) const PURCHASES: &str = "/api/v1/tenants/acme/purchases";
pub(super) const NEAR: &str = "/api/v1/near/acme/meter-1";
pub(super) const HOOK: &str = "/api/v1/payments/webhook";
pub(super) const PAGE: &str = "https://console.example/near#device=meter-1";

/// A meter that sells minutes.
pub(super) const DESCRIPTION: &str = r#"{"@context": ["https://www.w3.org/2022/wot/td/v1.1", {"tw": "urn:thingward:td:"}],
    "title": "Meter", "securityDefinitions": {"n": {"scheme": "nosec"}}, "security": "n", "actions": {
    "park": {"tw:grants": true, "tw:step": "start", "forms": [{"href": "x"}],
        "input": {"type": "integer", "minimum": 1, "maximum": 240, "unit": "min"}},
    "leave": {"tw:grants": true, "tw:step": "end", "forms": [{"href": "x"}], "output": {"type": "object",
        "required": ["rest"], "properties": {"rest": {"type": "integer", "unit": "min"}}}},
    "set-rate": {"input": {"type": "number"}, "forms": [{"href": "x"}]}}}"#;

/// A service that sells at a test provider.
pub(super) struct Shop {
    pub(super) fixture: Fixture,
    pub(super) provider: TestbedClient,
    pub(super) webhook: WebhookKey,
    /// The provider runs in them.
    pub(super) tasks: JoinSet<()>,
}

pub(super) fn offer(amount: u64) -> Json {
    json!({"start": "park", "finish": "leave", "amount": amount, "currency": "EUR", "per": 60, "most": 120,
        "notice": "We keep which key parked, for 30 days."})
}

impl Shop {
    pub(super) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("payments");
        let mut tasks = JoinSet::new();
        // The tests tell the service themselves.
        let bed = TestbedSettings { home: home.clone(), port: 0, webhook: "http://127.0.0.1:9/".to_owned() };
        let at = format!("http://{}", Testbed::start(&bed, &mut tasks).await.unwrap());
        let provider = TestbedClient::new(&at, ApiKey::read(&api_key_file(&home)).unwrap()).unwrap();
        let payments = PaymentSettings {
            testbed: at,
            api_key_file: api_key_file(&home),
            webhook_secret_file: webhook_secret_file(&home),
        };
        let settings = ServiceSettings { payments: Some(payments), ..settings(folder.path()) };
        let webhook = WebhookKey::read(&webhook_secret_file(&home)).unwrap();
        let fixture = Fixture::with(folder, settings).await;
        Self { fixture, provider, webhook, tasks }
    }

    /// With a meter that costs 2.40 EUR an hour.
    pub(super) async fn meter(&self) -> Meter<'_> {
        let meter = self.fixture.meter_with("meter-1", DESCRIPTION).await;
        let (status, set) = self.fixture.admin("put", OFFER, &offer(240).to_string()).await;
        assert_eq!((status, &set["is_sold"]), (StatusCode::OK, &json!(true)), "{set}");
        meter
    }

    pub(super) async fn ask(&self, quantity: u64, holder_key: &SoftwareKey) -> (StatusCode, Json) {
        let body =
            json!({"quantity": quantity, "holder": holder(holder_key), "return_url": PAGE}).to_string();
        self.fixture.call("post", &format!("{NEAR}/purchases"), None, &body).await
    }

    /// Somebody wants to park, and has not paid.
    pub(super) async fn reserved(&self, quantity: u64, holder_key: &SoftwareKey) -> Json {
        let (status, made) = self.ask(quantity, holder_key).await;
        assert_eq!((status, &made["state"]), (StatusCode::CREATED, &json!("reserved")), "{made}");
        made
    }

    pub(super) async fn bought(&self, quantity: u64, holder_key: &SoftwareKey) -> Json {
        let made = self.reserved(quantity, holder_key).await;
        pay(&made, ACCEPTED).await;
        self.tell(&made).await;
        self.is(&made, "paid").await
    }

    pub(super) fn id(made: &Json) -> GrantId {
        let mut id = [0; 8];
        base16ct::lower::decode(made["id"].as_str().unwrap(), &mut id).unwrap();
        id
    }

    pub(super) async fn kept(&self, made: &Json) -> Purchase {
        self.fixture.app.shared.store.registry().purchase(&acme(), &Self::id(made)).await.unwrap()
    }

    pub(super) async fn payment(&self, made: &Json) -> Payment {
        let id = self.kept(made).await.payment.unwrap().0;
        self.provider.find(&id.parse().unwrap()).await.unwrap()
    }

    /// As the provider tells that something has happened.
    pub(super) async fn tell(&self, made: &Json) {
        let body = json!({"type": "payment", "data": {"payment": self.payment(made).await.id}}).to_string();
        assert_eq!(self.hook(now().as_seconds(), &body, &self.webhook).await, StatusCode::NO_CONTENT);
    }

    pub(super) async fn hook(&self, at: i64, body: &str, key: &WebhookKey) -> StatusCode {
        let mut request = request(remote(), "post", HOOK, None, body);
        let signature = key.sign("msg_1", at, body.as_bytes());
        for (name, value) in [(ID, "msg_1".to_owned()), (TIMESTAMP, at.to_string()), (SIGNATURE, signature)] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        answer_of(self.fixture.tls(), request).await.0
    }

    pub(super) async fn own(&self, made: &Json) -> Json {
        let path = format!("{NEAR}/purchases/{}", made["id"].as_str().unwrap());
        self.fixture.call("get", &path, None, "").await.1
    }

    /// Waits until it is so, and gives what its buyer sees.
    #[track_caller]
    pub(super) fn is<'s>(&'s self, made: &'s Json, state: &'s str) -> impl Future<Output = Json> + 's {
        self.until(made, move |own| own["state"] == state)
    }

    pub(super) async fn until(&self, made: &Json, is_so: impl Fn(&Json) -> bool) -> Json {
        for _ in 0..400 {
            let own = self.own(made).await;
            if is_so(&own) {
                return own;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("it stays {}", self.own(made).await);
    }

    pub(super) async fn refund(&self, made: &Json) -> StatusCode {
        let path = format!("{PURCHASES}/{}/refund", made["id"].as_str().unwrap());
        self.fixture.admin("post", &path, "").await.0
    }

    pub(super) fn grant(own: &Json) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(own["grant"].as_str().unwrap()).unwrap()
    }
}

/// What a browser does on the provider's page.
pub(super) async fn pay(made: &Json, card: &str) {
    let checkout = made["checkout"].as_str().unwrap().strip_prefix("http://").unwrap();
    let (at, path) = checkout.split_once('/').unwrap();
    let body = format!("card={card}");
    let mut stream = TcpStream::connect(at).await.unwrap();
    let head =
        format!("POST /{path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\ncontent-length: {}", body.len());
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
    stream.read_to_string(&mut String::new()).await.unwrap();
}

impl Meter<'_> {
    /// The meter reports that it did this for the grant.
    pub(super) async fn did(&self, grant: &[u8], holder: &SoftwareKey, action: &str, outcome: Outcome<'_>) {
        let (mut room, mut out) = ([0; OPERATION_BYTES_MAX], [0; PRESENTATION_BYTES_MAX]);
        let all = [("", Value::Integer(60))];
        let arguments = if action == "park" { all.as_slice() } else { &[] };
        let operation = Operation::write(NameRef::new(action).unwrap(), arguments, &mut room).unwrap();
        let nonce = rand();
        let grant = Grant::decode(grant).unwrap();
        let device = NameRef::new("meter-1").unwrap();
        let len = public::present(holder, &grant, device, &nonce, &operation, &mut out).unwrap();
        let report = report(&out[..len], nonce, outcome, &self.key);
        assert_eq!(self.says(nonce, &report).await, TAKEN);
    }

    pub(super) async fn parked(&self, grant: &[u8], holder: &SoftwareKey) {
        self.did(grant, holder, "park", Outcome::Done(Data::NOTHING)).await;
    }

    pub(super) async fn left(&self, grant: &[u8], holder: &SoftwareKey, rest: f64) {
        let mut room = [0; 64];
        let rest = Data::map(&[("rest", Scalar::Number(rest))], &mut room).unwrap();
        self.did(grant, holder, "leave", Outcome::Done(rest)).await;
    }
}
