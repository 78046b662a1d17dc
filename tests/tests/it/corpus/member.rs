//! What comes to a device or gateway from its own side.

use std::collections::BTreeMap;

use thingward_agent::membership::{Class, Membership};
use thingward_audit::account::Place;
use thingward_audit::entry::Entry;
use thingward_audit::order::Order;
use thingward_crypto::{RecipientSecretKey, SignatureAlgorithm, Signer, SoftwareKey};
use thingward_device::link::{Frame, Hello, JOIN_BYTES_MAX, Join, Kind, Outgoing, Pending, encode};
use thingward_grant::{Audience, GRANT_BYTES_MAX, IssuerKey, Revocation};
use thingward_model::{NameRef, Role};
use thingward_seal::approval::Approver;
use thingward_tests::endpoint;

use super::{NOW, put};

pub(super) fn write() {
    write_chip_link();
    write_orders();
    put("device_input", "membership", membership().to_json().as_bytes());
    let lines = r#"{"stream":"climate","time":"2027-01-15T08:00:00Z","values":{"t":{"value":21.5,"unit":"Cel"},"on":true}}
{"stream":"door","values":{"state":"open"}}
{"status":true}
{"next_action":true}
{"done":"01010101010101010101010101010101","output":{"level":40}}
{"failed":"01010101010101010101010101010101","reason":"stuck"}
"#;
    put("device_input", "lines", lines.as_bytes());
}

fn key(algorithm: SignatureAlgorithm) -> SoftwareKey {
    SoftwareKey::from_seed(algorithm, &[7; 32]).unwrap()
}

fn membership() -> Membership {
    let signer = key(SignatureAlgorithm::Ed25519);
    let (issuer, device) = (NameRef::new("acme").unwrap(), NameRef::new("bulb-1").unwrap());
    let mut out = [0; GRANT_BYTES_MAX];
    let revocation = Revocation { issuer, audience: Audience::Device(device), epoch: 7, ids: &[[3; 8]] };
    let len = revocation.sign(IssuerKey::Public(&signer), &mut out).unwrap();
    let recipient = RecipientSecretKey::from_bytes([5; 32]).public_key().unwrap();
    Membership {
        tenant: "acme".parse().unwrap(),
        role: Role::Device,
        name: "bulb-1".parse().unwrap(),
        trust_domain: "thingward.test".to_owned(),
        mqtt_port: 8883,
        service: endpoint(([127, 0, 0, 1], 8443).into()),
        service_recipient: recipient,
        customer_recipient: Some(recipient),
        command_key: Some(key(SignatureAlgorithm::EcdsaP256).public_key().clone()),
        grant_key: Some(signer.public_key().clone()),
        grant_revocation: Some(out[..len].to_vec()),
        classes: vec![Class { name: "bulbs".parse().unwrap(), grant_revocation: out[..len].to_vec() }],
        approvers: vec![Approver {
            actor: "user:1".to_owned(),
            credential_id: vec![1; 16],
            key: key(SignatureAlgorithm::EcdsaP256).public_key().clone(),
            rp_id: "console.example".to_owned(),
            origins: vec!["https://console.example".to_owned()],
        }],
    }
}

fn write_orders() {
    let signer = key(SignatureAlgorithm::Ed25519);
    let deed = Entry {
        time: NOW.as_micros(),
        action: "member.block".to_owned(),
        actor: "user:1".to_owned(),
        target: "bulb-1".to_owned(),
        details: BTreeMap::from([("reason".to_owned(), "lost".to_owned())]),
        evidence: Some(vec![7; 16]),
    };
    let origin = "thingward.test/tenant/acme";
    let order = Order::new(origin, deed, signer.public_key()).unwrap();
    put("log_order", "order", order.message());
    let signature = signer.sign(order.message()).unwrap();
    let signed = order.signed(origin, signer.public_key(), &signature).unwrap();
    put("log_order", "signed", &signed);
    put("log_order", "place", &Place::FIRST.to_bytes());
}

fn write_chip_link() {
    let mut out = [0; JOIN_BYTES_MAX];
    let hello = Hello { is_joined: true, frame_bytes_max: 1200, public_key: [3; 32], signature: [0x7e; 64] };
    let len = hello.write(&mut out).unwrap();
    let hello = out[..len].to_vec();
    let join = Join {
        tenant: "acme".parse().unwrap(),
        device: "bulb-1".parse().unwrap(),
        command_key: Some([4; 32]),
        grant_key: None,
        recipient: [5; 32],
    };
    let len = join.write(&mut out).unwrap();
    let outgoing = Outgoing {
        number: 7,
        pending: Pending::Telemetry,
        id: *b"climate\0\0\0\0\0\0\0\0\0",
        payload: b"item",
    };
    let outgoing = [&outgoing.head()[..], outgoing.payload].concat();
    let mut line = Vec::new();
    for (sequence, kind, body) in [
        (1, Kind::Hello.answer(), &hello[..]),
        (2, Kind::Join.code(), &out[..len]),
        (3, Kind::Poll.answer(), &outgoing),
        (4, Kind::FAILED, &[1]),
    ] {
        encode(&Frame { sequence, kind, body }, |byte| line.push(byte));
    }
    put("chip_link", "frames", &line);
}
