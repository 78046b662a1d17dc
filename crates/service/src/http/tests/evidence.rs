//! Evidence of chips that a gateway speaks for, and what becomes of one whose firmware is another now.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use thingward_attest::{Claims, Endorsement, ROOM_BYTES, Root};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};

use super::enrolment::{Listener, Shown, chain_of, csr};

/// A service, a gateway, and the name of the chip that it speaks for.
struct House {
    service: Listener,
    gateway: (Vec<Vec<u8>>, SoftwareKey),
}

/// Firmware with this number on the part with that.
struct Firmware {
    part: u8,
    number: u8,
}

impl Firmware {
    fn key(&self) -> SoftwareKey {
        SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[self.part ^ self.number << 4; 32]).unwrap()
    }

    fn token(&self, nonce: &[u8]) -> Vec<u8> {
        let (key, number) = (self.key(), self.number);
        let part = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[0xa0 ^ self.part; 32]).unwrap();
        let said = Endorsement::sign(&part, [number; 32], key.public_key()).unwrap();
        let claims = Claims { nonce, software: "door", version: "1", root: Some(Root::Firmware(said)) };
        claims.sign(&key, &mut [0; ROOM_BYTES]).unwrap().to_vec()
    }
}

impl House {
    async fn new() -> Self {
        let service = Listener::start().await;
        let key = SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &[1; 32]).unwrap();
        let body = r#"{"name":"hall","role":"gateway"}"#;
        let made = service.fixture.admin("post", "/api/v1/tenants/acme/claims", body).await.1;
        let code = made["claim"].as_str().unwrap().split_once('.').unwrap().0.to_owned();
        let chain = chain_of(&service.enrol(&code, &key).await.1);
        Self { service, gateway: (chain, key) }
    }

    fn shown(&self) -> Option<Shown<'_>> {
        Some(Shown { chain: self.gateway.0.clone(), key: &self.gateway.1 })
    }

    async fn enrol(&self, chip: &Firmware) -> Vec<Vec<u8>> {
        let (status, body) = self.service.enrol(&self.service.claim("chip-1").await, &chip.key()).await;
        assert_eq!(status, StatusCode::OK);
        chain_of(&body)
    }

    async fn attests(&self, chip: &Firmware) -> StatusCode {
        let path = "/.well-known/thingward/children/chip-1/attestation";
        let (status, asked) = self.service.send("GET", path, None, self.shown(), "").await;
        if status != StatusCode::OK {
            return status;
        }
        let asked: Json = serde_json::from_slice(&asked).unwrap();
        let nonce = STANDARD.decode(asked["nonce"].as_str().unwrap()).unwrap();
        let shown = self.shown();
        self.service.send("POST", path, None, shown, chip.token(&nonce)).await.0
    }

    async fn renews(&self, chip: &Firmware) -> StatusCode {
        let path = "/.well-known/thingward/children/chip-1/simplereenroll";
        self.service.send("POST", path, None, self.shown(), csr(&chip.key())).await.0
    }

    async fn attestation(&self) -> Json {
        let path = "/api/v1/tenants/acme/devices/chip-1";
        self.service.fixture.admin("get", path, "").await.1["attestation"].clone()
    }

    async fn accept(&self) {
        let body = json!({"evidence": self.attestation().await["evidence"]}).to_string();
        let path = "/api/v1/tenants/acme/devices/chip-1/attestation/accept";
        assert_eq!(self.service.fixture.admin("post", path, &body).await.0, StatusCode::NO_CONTENT);
    }
}

const FIRST: Firmware = Firmware { part: 1, number: 1 };
const SECOND: Firmware = Firmware { part: 1, number: 2 };
const OTHER_PART: Firmware = Firmware { part: 2, number: 1 };

#[tokio::test(flavor = "multi_thread")]
async fn accepted_firmware_takes_the_place_of_what_was_before_which_does_not_come_back_by_itself() {
    let house = House::new().await;
    let first = house.enrol(&FIRST).await;
    assert_eq!(house.attests(&FIRST).await, StatusCode::NO_CONTENT);
    assert_eq!(house.attestation().await["standing"], "member");
    assert_eq!(house.attests(&OTHER_PART).await, StatusCode::FORBIDDEN);

    assert_eq!(house.attests(&SECOND).await, StatusCode::NO_CONTENT);
    let pending = house.attestation().await;
    assert_eq!((&pending["standing"], &pending["changed_firmware"]), (&json!("pending"), &json!(true)));
    assert_eq!(house.renews(&SECOND).await, StatusCode::FORBIDDEN);
    // Whoever looks has the time to: it keeps its name.
    assert_eq!(house.attests(&SECOND).await, StatusCode::NO_CONTENT);
    assert_eq!(house.attestation().await["evidence"], pending["evidence"]);
    house.accept().await;
    assert_eq!(house.attestation().await["standing"], "accepted");

    // The old firmware undoes nothing: not by its evidence, not by renewing, over either way.
    assert_eq!(house.attests(&FIRST).await, StatusCode::NO_CONTENT);
    assert_eq!(house.renews(&FIRST).await, StatusCode::FORBIDDEN);
    let (key, path) = (FIRST.key(), "/.well-known/est/simplereenroll");
    let shown = Some(Shown { chain: first, key: &key });
    assert_eq!(house.service.send("POST", path, None, shown, csr(&key)).await.0, StatusCode::FORBIDDEN);
    assert_eq!(house.renews(&SECOND).await, StatusCode::OK);
    assert_eq!(house.renews(&FIRST).await, StatusCode::FORBIDDEN);
    assert_eq!(house.renews(&SECOND).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_of_a_part_counts_for_nothing_once_another_one_is_in_its_place() {
    let house = House::new().await;
    house.enrol(&FIRST).await;
    assert_eq!(house.attests(&FIRST).await, StatusCode::NO_CONTENT);
    assert_eq!(house.attests(&SECOND).await, StatusCode::NO_CONTENT);
    let waited = json!({"evidence": house.attestation().await["evidence"]}).to_string();
    house.accept().await;
    let path = "/api/v1/tenants/acme/devices/chip-1/release";
    assert_eq!(house.service.fixture.admin("post", path, "{}").await.0, StatusCode::NO_CONTENT);
    assert_eq!(house.renews(&SECOND).await, StatusCode::FORBIDDEN);
    house.enrol(&OTHER_PART).await;
    assert_eq!(house.attestation().await, Json::Null);
    let path = "/api/v1/tenants/acme/devices/chip-1/attestation/accept";
    assert_eq!(house.service.fixture.admin("post", path, &waited).await.0, StatusCode::NOT_FOUND);
    for old in [&FIRST, &SECOND] {
        assert_eq!(house.renews(old).await, StatusCode::FORBIDDEN);
        assert_eq!(house.attests(old).await, StatusCode::FORBIDDEN);
    }
    assert_eq!(house.attests(&OTHER_PART).await, StatusCode::NO_CONTENT);
    assert_eq!(house.attestation().await["standing"], "member");
    assert_eq!(house.renews(&OTHER_PART).await, StatusCode::OK);
}
