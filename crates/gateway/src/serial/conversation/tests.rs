//! Conversations with a whole chip: the device core behind frames on a socket.

mod who;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use thingward_crypto::{RecipientSecretKey, SignatureAlgorithm, Signer, SoftwareKey};
use thingward_device::link::{Decoder, Frame, encode};
use thingward_grant::{
    Audience, BEACON_BYTES_MAX, Beacon, Grant, HolderKey, IssuerKey, Operation, Origin, Permission, Scope,
    Terms, public,
};
use thingward_model::clock::now;
use thingward_model::{DeviceName, NameRef, Principal, Role, TenantName, Timestamp};
use thingward_pki::LeafIdentity;
use thingward_seal::command::{self, Command, Data, Outcome, SignedReply};
use thingward_seal::{Item, Items, StatementKind};
use thingward_tests::chip::Chip;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::UnixStream;

use super::*;

const TIMING: Timing = Timing {
    poll: Duration::from_millis(50),
    look: Duration::from_millis(500),
    keep: Duration::from_secs(3600),
};

fn key(seed: u8) -> SoftwareKey {
    SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[seed; 32]).unwrap()
}

const COMMANDS: u8 = 1;
const GRANTS: u8 = 2;
const HOLDER: u8 = 3;
const EVIDENCE_NONCE: [u8; 36] = [8; 36];

fn tenant() -> TenantName {
    "acme".parse().unwrap()
}

fn door() -> DeviceName {
    "door-1".parse().unwrap()
}

/// What the service and the gateway's queue would be.
struct Desk {
    record: Option<Record>,
    tenant: TenantName,
    state: Arc<Mutex<State>>,
    delivered: mpsc::UnboundedSender<(String, Vec<u8>)>,
}

#[derive(Default)]
struct State {
    has_no_time: bool,
    refuses: Option<NotTaken>,
    renewals: u32,
    renewal_due: bool,
    revocation: Option<Vec<u8>>,
    description: Option<Vec<u8>>,
    /// The service is out of reach, and every question to it waits.
    is_far: bool,
    /// What the service was shown.
    evidence: Vec<Vec<u8>>,
}

impl Office for Desk {
    fn name(&self) -> DeviceName {
        door()
    }

    fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    async fn enrol(&mut self, key_of_chip: &VerifyingKey, request: &[u8]) -> Result<Record, OfficeError> {
        if self.record.is_some() {
            return Err(OfficeError::OtherChip);
        }
        let request = thingward_pki::est::decode_request(request).unwrap();
        assert_eq!(request.key, *key_of_chip);
        let public = |seed| key(seed).public_key().to_ed25519();
        let recipient = *RecipientSecretKey::from_bytes([9; 32]).public_key().unwrap().as_bytes();
        let (tenant, device) = (self.tenant, door());
        let join =
            Join { tenant, device, command_key: public(COMMANDS), grant_key: public(GRANTS), recipient };
        let principal = Principal { tenant, role: Role::Device, name: device };
        let (not_before, not_after) = (now(), now().plus_micros(1_000_000_000));
        let leaf = LeafIdentity { principal, serial: vec![1], key: request.key, not_before, not_after };
        Ok(Record { chain: Vec::new(), leaf, join, claim: None })
    }

    async fn keep(&mut self, record: Record) -> Result<(), OfficeError> {
        self.record = Some(record);
        Ok(())
    }

    fn is_renewal_due(&self) -> bool {
        self.state.lock().unwrap().renewal_due
    }

    async fn renew(&mut self, request: &[u8]) {
        let request = thingward_pki::est::decode_request(request).unwrap();
        assert_eq!(request.key, self.record.as_ref().unwrap().leaf.key);
        self.state.lock().unwrap().renewals += 1;
    }

    async fn evidence_nonce(&self) -> Option<Vec<u8>> {
        (!self.state.lock().unwrap().is_far).then(|| EVIDENCE_NONCE.to_vec())
    }

    async fn attest(&self, token: Vec<u8>) -> bool {
        self.state.lock().unwrap().evidence.push(token);
        true
    }

    async fn time(&self, nonce: Nonce) -> Option<Bytes> {
        while self.state.lock().unwrap().is_far {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if self.state.lock().unwrap().has_no_time {
            return None;
        }
        let (mut out, time) = ([0; BEACON_BYTES_MAX], Timestamp::from_seconds(now().as_micros() / 1_000_000));
        let beacon = Beacon { issuer: NameRef::new("acme").unwrap(), time, answers: Some(nonce) };
        let len = beacon.sign(IssuerKey::Public(&key(GRANTS)), &mut out).unwrap();
        Some(Bytes::copy_from_slice(&out[..len]))
    }

    async fn revocation(&self) -> Option<Vec<u8>> {
        self.state.lock().unwrap().revocation.clone()
    }

    fn description(&self) -> Option<Vec<u8>> {
        self.state.lock().unwrap().description.clone()
    }

    fn is_described(&self, _: &[u8]) {
        self.state.lock().unwrap().description = None;
    }

    async fn deliver(&self, topic: String, message: Vec<u8>) -> Result<(), NotTaken> {
        if let Some(reason) = self.state.lock().unwrap().refuses {
            return Err(reason);
        }
        self.delivered.send((topic, message)).map_err(|_| NotTaken::Stopping)
    }
}

/// A conversation in a task of its own.
struct Talk {
    state: Arc<Mutex<State>>,
    commands: mpsc::Sender<ChildCommand>,
    visitors: mpsc::Sender<Visit>,
    evidence: Arc<Notify>,
    delivered: mpsc::UnboundedReceiver<(String, Vec<u8>)>,
    end: tokio::task::JoinHandle<(End, Option<Record>)>,
}

impl Talk {
    async fn with(chip: &Chip, record: Option<Record>) -> Self {
        Self::over(UnixStream::connect(chip.line()).await.unwrap(), record, tenant())
    }

    fn over(stream: impl Stream + 'static, record: Option<Record>, tenant: TenantName) -> Self {
        let (state, (delivered, all)) = (Arc::<Mutex<State>>::default(), mpsc::unbounded_channel());
        let (commands, of_service) = mpsc::channel(8);
        let (visitors, visits) = mpsc::channel(8);
        let evidence = Arc::new(Notify::new());
        let asked = Arc::clone(&evidence);
        let mut errands = Errands { commands: of_service, visits, evidence: asked, ring: Arc::default() };
        let mut desk = Desk { record, tenant, state: Arc::clone(&state), delivered };
        let end = tokio::spawn(async move {
            let end = Conversation::new(stream, &mut desk, TIMING).run(&mut errands, |_| {}).await;
            (end, desk.record)
        });
        Self { state, commands, visitors, evidence, delivered: all, end }
    }

    /// The next message that is durable.
    async fn message(&mut self) -> (String, Vec<u8>) {
        let message = tokio::time::timeout(Duration::from_secs(10), self.delivered.recv()).await;
        message.expect("a message in time").expect("a conversation")
    }

    async fn end(self) -> (End, Option<Record>) {
        tokio::time::timeout(Duration::from_secs(30), self.end).await.unwrap().unwrap()
    }

    /// Up to the next reply to a command, or report of a use.
    async fn reply(&mut self) -> (String, Vec<u8>) {
        loop {
            let (topic, message) = self.message().await;
            if !topic.starts_with("devices/me/telemetry/") {
                return (topic, message);
            }
        }
    }

    /// What the service is shown, once it has so much.
    async fn shown(&self, many: usize) -> Vec<Vec<u8>> {
        for _ in 0..200 {
            let shown = self.state.lock().unwrap().evidence.clone();
            if shown.len() >= many {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no evidence");
    }

    async fn ask(&self, kind: Kind, body: Vec<u8>) -> Result<Vec<u8>, (Failure, u8)> {
        let (answer, wait) = oneshot::channel();
        self.visitors.send(Visit { kind, body, answer }).await.unwrap();
        wait.await.unwrap()
    }
}

fn chip(folder: &tempfile::TempDir, number: u8) -> Chip {
    let mut chip = Chip::new(&folder.path().join(number.to_string()), number);
    chip.on();
    chip
}

/// The numbers of all records in a message, and of the last that is signed.
fn numbers(message: &[u8]) -> (Vec<u64>, Option<u64>) {
    let (mut records, mut signed) = (Vec::new(), None);
    for item in Items::new(message) {
        match item.unwrap() {
            Item::Record(record) => records.push(record.seq),
            Item::Statement(statement) => {
                if let StatementKind::Checkpoint { last, .. } = statement.claimed_unverified().kind {
                    signed = Some(last);
                }
            }
        }
    }
    (records, signed)
}

/// An order to open the door.
fn order(id: u8) -> ChildCommand {
    let issued = now();
    let expires = issued.plus_micros(60_000_000);
    let (action, input) = ("open".parse().unwrap(), Data::NOTHING);
    let command = Command {
        tenant: tenant(),
        device: door(),
        id: [id; 16],
        action,
        input,
        issued,
        expires,
        actor: "user/1",
    };
    let (mut canonical, mut out) = ([0; 1024], [0; 3200]);
    let len = command.encode(&mut canonical).unwrap();
    let len = command::sign(&key(COMMANDS), &canonical[..len], None, None, &mut out).unwrap();
    let payload = Bytes::copy_from_slice(&out[..len]);
    ChildCommand {
        child: door(),
        id: base16ct::lower::encode_string(&[id; 16]),
        payload,
        expires_in: Some(60),
        arrived: std::time::Instant::now(),
    }
}

#[tokio::test]
async fn a_new_chip_is_enrolled_and_its_readings_come_in_order_once_they_have_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let chip = chip(&folder, 1);
    let mut talk = Talk::with(&chip, None).await;
    // Without room nothing is taken, and nothing is lost.
    talk.state.lock().unwrap().refuses = Some(NotTaken::Full);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(talk.delivered.try_recv().is_err());
    talk.state.lock().unwrap().refuses = None;
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let (topic, message) = talk.message().await;
        assert_eq!(topic, "devices/me/telemetry/door");
        seen.extend(numbers(&message).0);
    }
    assert_eq!(seen, [1, 2, 3, 4]);
    drop(chip);
    let (end, record) = talk.end().await;
    assert!(matches!(end, End::Ask(AskError::Line(_))), "{end}");
    assert_eq!(record.unwrap().join.device, door());
}

#[tokio::test]
async fn after_a_loss_of_power_of_either_end_nothing_is_missing_and_the_door_opened_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut chip = chip(&folder, 1);
    let (mut record, mut seen) = (None, Vec::new());
    for round in 0..3 {
        let mut talk = Talk::with(&chip, record).await;
        // The same order each time, as the service sends it until it has the answer.
        talk.commands.send(order(7)).await.unwrap();
        let (mut came, wanted) = (0, 3);
        while came < wanted {
            let (topic, message) = talk.message().await;
            if topic.starts_with("devices/me/telemetry/") {
                let numbers = numbers(&message).0;
                came += numbers.len();
                seen.extend(numbers);
            } else {
                let reply = SignedReply::decode(&message).unwrap();
                assert!(matches!(reply.claimed_unverified().outcome, Outcome::Done(_)));
            }
        }
        if round == 0 {
            // The gateway is gone without a word, and the last message comes again.
            talk.end.abort();
            let _ = talk.end.await;
            let mut again = Talk::with(&chip, None).await;
            let (_, message) = again.message().await;
            assert!(!numbers(&message).0.is_empty() || numbers(&message).1.is_some());
            seen.extend(numbers(&message).0);
            chip.cut();
            record = again.end().await.1;
        } else {
            chip.cut();
            record = talk.end().await.1;
        }
        chip.on();
    }
    seen.dedup();
    let all: Vec<u64> = (1..=*seen.last().unwrap()).collect();
    assert_eq!(seen, all);
    assert!(chip.opened().is_none_or(|opened| opened == 1), "{:?}", chip.opened());
}

#[tokio::test]
async fn a_command_waits_for_the_time_and_a_revoked_chip_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let chip = chip(&folder, 1);
    let mut talk = Talk::with(&chip, None).await;
    talk.state.lock().unwrap().has_no_time = true;
    talk.commands.send(order(1)).await.unwrap();
    // It may have been told once before.
    tokio::time::sleep(Duration::from_millis(300)).await;
    talk.state.lock().unwrap().has_no_time = false;
    talk.commands.send(order(1)).await.unwrap();
    let (topic, message) = talk.reply().await;
    assert_eq!(topic, format!("devices/me/replies/{}", "01".repeat(16)));
    assert!(SignedReply::decode(&message).is_ok());
    for wrong in ["", "01", "zz"] {
        let command = ChildCommand { id: wrong.to_owned(), ..order(2) };
        talk.commands.send(command).await.unwrap();
    }
    talk.state.lock().unwrap().refuses = Some(NotTaken::Revoked);
    let (end, _) = talk.end().await;
    assert!(matches!(end, End::Revoked), "{end}");
}

#[tokio::test]
async fn somebody_who_is_here_shows_a_grant_and_the_chip_decides() {
    let folder = tempfile::tempdir().unwrap();
    let chip = chip(&folder, 1);
    let mut talk = Talk::with(&chip, None).await;
    talk.message().await;
    let (mut room, mut out) = ([0; 64], [0; 1024]);
    let permissions = [Permission { action: NameRef::new("open").unwrap(), bounds: &[] }];
    let scope = Scope::write(&permissions, &mut room).unwrap();
    let origin = Origin { issuer: NameRef::new("acme").unwrap(), id: [7; 8], epoch: 0, reference: None };
    let expires = Timestamp::from_seconds(now().as_micros() / 1_000_000 + 3600);
    let terms = Terms {
        audience: Some(Audience::Device(NameRef::new("door-1").unwrap())),
        not_before: None,
        expires: Some(expires),
        scope: Some(scope),
        uses: Some(1),
    };
    let holder = HolderKey::from_bytes(key(HOLDER).public_key().to_ed25519().unwrap());
    let len = public::issue(&key(GRANTS), &origin, &terms, holder, &mut out).unwrap();
    let grant = out[..len].to_vec();
    let nonce: Nonce = talk.ask(Kind::Nonce, Vec::new()).await.unwrap().try_into().unwrap();
    let (mut room, mut out) = ([0; 64], [0; 1024]);
    let operation = Operation::write(NameRef::new("open").unwrap(), &[], &mut room).unwrap();
    let (grant, device) = (Grant::decode(&grant).unwrap(), NameRef::new("door-1").unwrap());
    let len = public::present(&key(HOLDER), &grant, device, &nonce, &operation, &mut out).unwrap();
    let presentation = out[..len].to_vec();
    let reply = talk.ask(Kind::Use, presentation.clone()).await.unwrap();
    assert!(matches!(SignedReply::decode(&reply).unwrap().claimed_unverified().outcome, Outcome::Done(_)));
    let (topic, report) = talk.reply().await;
    assert_eq!(topic, format!("devices/me/uses/{}", base16ct::lower::encode_string(&nonce)));
    assert_eq!(report, [reply, presentation.clone()].concat());
    // Shown again it is of no use.
    let refused = talk.ask(Kind::Use, presentation).await.unwrap_err();
    assert_eq!(refused, (Failure::Refused, thingward_grant::Refusal::WrongNonce.code()));
    let too_large = talk.ask(Kind::Use, vec![0; 4000]).await.unwrap_err();
    assert_eq!(too_large, (Failure::Malformed, 0));
    assert!(chip.opened().is_none_or(|opened| opened == 1));
}

#[tokio::test]
async fn a_certificate_is_renewed_on_the_chips_own_request() {
    let folder = tempfile::tempdir().unwrap();
    let chip = chip(&folder, 1);
    let talk = Talk::with(&chip, None).await;
    talk.state.lock().unwrap().renewal_due = true;
    let started = std::time::Instant::now();
    while talk.state.lock().unwrap().renewals == 0 {
        assert!(started.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_the_chip_can_do_is_said_once_there_is_room_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let chip = chip(&folder, 1);
    let mut talk = Talk::with(&chip, None).await;
    {
        let mut state = talk.state.lock().unwrap();
        state.refuses = Some(NotTaken::Full);
        state.description = Some(b"a door".to_vec());
    }
    tokio::time::sleep(TIMING.look * 2).await;
    talk.state.lock().unwrap().refuses = None;
    loop {
        let (topic, message) = talk.message().await;
        if topic == "devices/me/state/description" {
            assert_eq!(message, b"a door");
            break;
        }
    }
    tokio::time::sleep(TIMING.look).await;
    assert!(talk.state.lock().unwrap().description.is_none());
}

#[tokio::test]
async fn visitors_do_not_wait_for_a_service_that_is_far() {
    let folder = tempfile::tempdir().unwrap();
    let chip = chip(&folder, 1);
    let mut talk = Talk::with(&chip, None).await;
    talk.message().await;
    talk.state.lock().unwrap().is_far = true;
    tokio::time::sleep(TIMING.look * 2).await;
    let asked = tokio::time::timeout(Duration::from_secs(2), talk.ask(Kind::Nonce, Vec::new())).await;
    assert_eq!(asked.unwrap().map(|nonce| nonce.len()), Ok(16));
}

#[tokio::test]
async fn a_command_that_is_over_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let chip = chip(&folder, 1);
    let mut talk = Talk::with(&chip, None).await;
    talk.commands.send(ChildCommand { expires_in: Some(0), ..order(1) }).await.unwrap();
    talk.commands.send(order(2)).await.unwrap();
    assert_eq!(talk.reply().await.0, format!("devices/me/replies/{}", "02".repeat(16)));
}
