//! Grants over the local link: shown by somebody who stands before the device, with and without a service.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use thingward_agent::agent::{Agent, AgentHandle, AgentSettings};
use thingward_agent::home::Home;
use thingward_agent::http::Endpoint;
use thingward_agent::local::{LocalAddresses, LocalClient, LocalError, LocalServer, serve};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, sha256, system_rng};
use thingward_grant::{
    Audience, Bound, GRANT_BYTES_MAX, Grant, HolderKey, IssuerKey, OPERATION_BYTES_MAX, Operation, Origin,
    Permission, REVOCATION_BYTES_MAX, Revocation, SCOPE_BYTES_MAX, Scope, Terms, Value as Argument, public,
};
use thingward_model::description::{CONTEXT, NAMESPACE, ThingDescription};
use thingward_model::{NameRef, clock::now};
use thingward_seal::command::{Outcome, SignedReply, json as data};

use crate::installation::Installation;
use crate::{enrolled, open, private_folder, until};

fn description() -> ThingDescription {
    let forms = json!([{"href": "devices/me/commands"}]);
    let document = json!({
        "@context": [CONTEXT, {"tw": NAMESPACE}],
        "title": "Parking meter",
        "securityDefinitions": {"auto_sc": {"scheme": "auto"}},
        "security": "auto_sc",
        "actions": {
            "park": {
                "input": {"type": "integer", "minimum": 1, "maximum": 240},
                "tw:grants": true,
                "forms": forms,
            },
            "set-rate": {"input": {"type": "number", "minimum": 0, "maximum": 10}, "forms": forms},
        },
    });
    ThingDescription::parse(document.to_string().as_bytes()).unwrap()
}

/// A meter that does at once what it is told.
struct Meter {
    home: Home,
    agent: AgentHandle,
    local: LocalServer,
    work: tokio::task::JoinHandle<()>,
}

async fn start(home: Home) -> Meter {
    let description = description();
    let settings =
        AgentSettings { description: Some(Arc::new(description.clone())), ..AgentSettings::default() };
    let agent = Agent::start(&home, settings).unwrap();
    let here = Some("127.0.0.1:0".parse().unwrap());
    let key = home.identity().unwrap().key;
    let addresses = LocalAddresses { tls: here, http: here };
    let local = serve(agent.clone(), key, &description, addresses).await.unwrap();
    let worker = agent.clone();
    let work = tokio::spawn(async move {
        loop {
            let action = worker.next_action().await;
            let minutes = action.order().input.clone();
            action.done(json!({"minutes": minutes})).await;
        }
    });
    Meter { home, agent, local, work }
}

impl Meter {
    fn client(&self) -> LocalClient {
        let address = self.local.addresses.tls.unwrap();
        let address = Endpoint { host: address.ip().to_string(), port: address.port() };
        let identity = self.home.identity().unwrap();
        LocalClient::new(address, identity.membership.name, identity.key.public_key().clone()).unwrap()
    }

    /// Sends bytes to the listener for browsers, and gives all that it answers.
    fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.local.addresses.http.unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _it_may_have_hung_up = stream.write_all(request);
        let mut answer = Vec::new();
        let _cut = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn holder() -> SoftwareKey {
    SoftwareKey::generate(SignatureAlgorithm::Ed25519, &mut system_rng())
}

/// A grant to park for at most two hours, at most twice.
fn grant(installation: &Installation, id: u8, holder: &SoftwareKey) -> Vec<u8> {
    let bounds = [("", Bound::Range { at_least: Some(1), at_most: Some(120) })];
    let mut room = [0; SCOPE_BYTES_MAX];
    let permission = Permission { action: NameRef::new("park").unwrap(), bounds: &bounds };
    let in_an_hour = thingward_model::Timestamp::from_seconds(now().as_seconds() + 3600);
    let terms = Terms {
        audience: Some(Audience::Device(NameRef::new("meter-1").unwrap())),
        expires: Some(in_an_hour),
        uses: Some(2),
        scope: Some(Scope::write(&[permission], &mut room).unwrap()),
        ..Terms::default()
    };
    let origin = Origin { issuer: NameRef::new("acme").unwrap(), id: [id; 8], epoch: 0, reference: None };
    let mut out = [0; GRANT_BYTES_MAX];
    let key = HolderKey::from_key(holder.public_key()).unwrap();
    let len = public::issue(&installation.grant_key, &origin, &terms, key, &mut out).unwrap();
    out[..len].to_vec()
}

/// Shows a grant for so many minutes; gives what the device says that it did, or its refusal.
async fn park(
    client: &LocalClient,
    holder: &SoftwareKey,
    grant: &[u8],
    minutes: i64,
) -> Result<Value, String> {
    let mut room = [0; OPERATION_BYTES_MAX];
    let park = NameRef::new("park").unwrap();
    let operation = Operation::write(park, &[("", Argument::Integer(minutes))], &mut room).unwrap();
    let shown = client.show(holder, &Grant::decode(grant).unwrap(), &operation).await;
    match shown {
        Ok(shown) => {
            let reply = shown.reply.unwrap();
            let reply = SignedReply::decode(&reply).unwrap();
            let Outcome::Done(output) = reply.claimed_unverified().outcome else { panic!("{reply:?}") };
            Ok(data::decode(output))
        }
        Err(LocalError::Refused { code, .. }) => Err(code),
        Err(error) => panic!("{error}"),
    }
}

/// The uses that the service has heard of.
fn uses(installation: &Installation) -> Vec<(String, Vec<u8>)> {
    let inbox = installation.inbox.lock().unwrap();
    let uses = inbox.iter().filter_map(|(_, topic, message, _)| {
        Some((topic.strip_prefix("devices/me/uses/")?.to_owned(), message.to_vec()))
    });
    uses.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_parks_with_no_service_in_reach_and_the_service_hears_of_it_later() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let home = enrolled(&installation, folder.path(), "meter-1").await;
    installation.faults.is_down.store(true, Ordering::SeqCst);
    let meter = start(home).await;
    let [holder, thief] = [holder(), holder()];
    let grant = grant(&installation, 1, &holder);
    let client = meter.client();
    assert_eq!(park(&client, &holder, &grant, 90).await, Ok(json!({"minutes": 90})));
    assert_eq!(park(&client, &holder, &grant, 121).await, Err("not-granted".to_owned()));
    // A copy of the grant is of no use without the key.
    let mut room = [0; OPERATION_BYTES_MAX];
    let operation = Operation::write(NameRef::new("park").unwrap(), &[("", Argument::Integer(1))], &mut room);
    let stolen = client.show(&thief, &Grant::decode(&grant).unwrap(), &operation.unwrap()).await;
    assert!(matches!(stolen, Err(LocalError::Grant(_))), "{stolen:?}");

    // A new process of the meter knows what was used.
    let Meter { home, agent, local, work } = meter;
    agent.stop().await.unwrap();
    work.abort();
    drop((home, agent, local));
    let meter = start(open(folder.path()).await).await;
    let client = meter.client();
    assert_eq!(park(&client, &holder, &grant, 30).await, Ok(json!({"minutes": 30})));
    assert_eq!(park(&client, &holder, &grant, 30).await, Err("used-up".to_owned()));

    installation.faults.is_down.store(false, Ordering::SeqCst);
    until("heard of", || uses(&installation).len() == 2).await;
    for (topic, message) in uses(&installation) {
        let reply_len = message.len() - presentation_len(&message);
        let (reply, presentation) = message.split_at(reply_len);
        let key = meter.home.identity().unwrap().key;
        let reply = SignedReply::decode(reply).unwrap();
        let said = reply.verify(key.public_key()).unwrap();
        assert_eq!(said.command, sha256(&[presentation]));
        assert_eq!(topic, thingward_agent::commands::hex(&said.id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_leaves_nothing_behind_of_what_a_device_remembers_of_grants() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let meter = start(enrolled(&installation, folder.path(), "meter-1").await).await;
    let holder = holder();
    park(&meter.client(), &holder, &grant(&installation, 1, &holder), 90).await.unwrap();
    let Meter { home, agent, local, work } = meter;
    agent.stop().await.unwrap();
    work.abort();
    drop((agent, local));
    assert!(home.grants_dir().exists());
    home.reset().unwrap();
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

/// How much of a use is the presentation behind the reply.
fn presentation_len(message: &[u8]) -> usize {
    (1..message.len())
        .find(|at| SignedReply::decode(&message[..*at]).is_ok())
        .map(|at| message.len() - at)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_holds_whoever_carries_it() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let meter = start(enrolled(&installation, folder.path(), "meter-1").await).await;
    let holder = holder();
    let [first, second, third] = [1, 2, 3].map(|id| grant(&installation, id, &holder));
    let client = meter.client();
    let taken_back = |ids: &[[u8; 8]], issuer: &SoftwareKey| {
        let audience = Audience::Device(NameRef::new("meter-1").unwrap());
        let revocation = Revocation { issuer: NameRef::new("acme").unwrap(), audience, epoch: 0, ids };
        let mut out = [0; REVOCATION_BYTES_MAX];
        let len = revocation.sign(IssuerKey::Public(issuer), &mut out).unwrap();
        out[..len].to_vec()
    };
    // By the service, over MQTT.
    until("online", || !installation.inbox.lock().unwrap().is_empty()).await;
    installation.send("meter-1", "grants/revocation", taken_back(&[[1; 8]], &installation.grant_key));
    tokio::time::timeout(Duration::from_secs(10), async {
        while park(&client, &holder, &first, 1).await != Err("revoked".to_owned()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("the revocation has no effect"));
    // By another holder, over the local link.
    client.carry(taken_back(&[[1; 8], [2; 8]], &installation.grant_key)).await.unwrap();
    assert_eq!(park(&client, &holder, &second, 1).await, Err("revoked".to_owned()));
    // Nobody else can take anything back.
    let forged = client.carry(taken_back(&[[3; 8]], &holder)).await;
    assert!(
        matches!(&forged, Err(LocalError::Refused { code, .. }) if code == "unknown-issuer"),
        "{forged:?}"
    );
    assert!(client.carry(b"nonsense".to_vec()).await.is_err());
    assert_eq!(park(&client, &holder, &third, 1).await, Ok(json!({"minutes": 1})));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_talks_to_nobody_but_the_device_whose_key_it_knows() {
    let installation = Installation::start().await;
    let (folder, other) = (private_folder(), private_folder());
    let meter = start(enrolled(&installation, folder.path(), "meter-1").await).await;
    let liar = start(enrolled(&installation, other.path(), "meter-2").await).await;
    let address = liar.local.addresses.tls.unwrap();
    let identity = meter.home.identity().unwrap();
    let address = Endpoint { host: address.ip().to_string(), port: address.port() };
    let client =
        LocalClient::new(address, identity.membership.name, identity.key.public_key().clone()).unwrap();
    let refused = client.carry(Vec::new()).await;
    assert!(matches!(refused, Err(LocalError::Http(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_to_the_local_link_it_answers_precisely_and_stays_up() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let meter = start(enrolled(&installation, folder.path(), "meter-1").await).await;
    let post = |path: &str, body: &[u8]| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: meter\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        meter.raw(&[head.as_bytes(), body].concat())
    };
    let about = meter.raw(b"GET /thingward/grants HTTP/1.1\r\nhost: meter\r\nconnection: close\r\n\r\n");
    assert!(
        about.contains(r#""open":["park"]"#) && about.contains("access-control-allow-origin: *"),
        "{about}"
    );
    let preflight = b"OPTIONS /thingward/grants/use HTTP/1.1\r\nhost: m\r\nconnection: close\r\n\
        access-control-request-private-network: true\r\n\r\n";
    assert!(meter.raw(preflight).contains("access-control-allow-private-network: true"));
    let use_it = "/thingward/grants/use";
    for (answer, status, code) in [
        (post(use_it, b""), "403", "malformed"),
        (post(use_it, &[0x80; 4032]), "403", "malformed"),
        (post(use_it, &[0x80; 4033]), "413", "too-large"),
        (post("/thingward/grants/revocation", b"\xd2"), "403", "malformed"),
        (post("/thingward/grants", b""), "405", "method"),
        (post("/thingward/../../etc/passwd", b""), "404", "not-found"),
    ] {
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains(&format!(r#""code":"{code}""#)), "{answer}");
    }
    for nonsense in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"GET\r\n\r\n", &[b'a'; 70_000]] {
        let answer = meter.raw(nonsense);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let holder = holder();
    let grant = grant(&installation, 1, &holder);
    assert_eq!(park(&meter.client(), &holder, &grant, 5).await, Ok(json!({"minutes": 5})));
}
