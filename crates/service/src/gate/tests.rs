//! The gate behind a real broker.

use thingward_crypto::{SignatureAlgorithm, Signer};
use thingward_mqtt::broker::{Broker, Limits};
use thingward_mqtt::codec::{Binary, ConnectProperties, Packet, Version, Will};

use super::*;
use crate::pipeline::tests::{Bench, NOW};

fn connect_with_will(topic: &str, payload: &'static [u8]) -> Connect {
    let will = Will {
        topic: TopicName::try_from(topic).unwrap(),
        payload: Binary::try_from(Bytes::from_static(payload)).unwrap(),
        qos: QoS::AtLeastOnce,
        retain: false,
        delay: None,
        properties: MessageProperties::default(),
    };
    Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive: 0,
        client_id: Text::try_from("meter").unwrap(),
        will: Some(will),
        username: None,
        password: None,
        properties: ConnectProperties::default(),
    }
}

#[tokio::test]
async fn the_will_of_a_device_is_kept_and_that_of_a_revoked_one_is_not() {
    for (revoked, kept) in [(false, 1), (true, 0)] {
        let bench = Bench::new().await;
        let who = bench.member();
        let commands = Commands::new(
            thingward_crypto::SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &[3; 32]).unwrap(),
            Vec::new(),
            crate::command::Late::default(),
        );
        let grants = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[4; 32]).unwrap();
        let (store, directory) = (Arc::clone(&bench.store), Arc::clone(&bench.directory));
        let uses = Uses::new(grants.public_key().clone(), Arc::clone(&store));
        let accounts = Accounts::new("thingward.test", Arc::clone(&store));
        let gate =
            ServiceGate::new(bench.pipeline(), commands, uses, accounts, Arc::new(grants), store, directory);
        let mut broker = Broker::new(gate, Limits::default());
        broker.accept(NOW, 1, who.clone());
        let connect = connect_with_will("devices/me/telemetry/power", b"1");
        broker.receive(NOW, 1, Packet::Connect(Box::new(connect)));
        if revoked {
            bench.directory.released(&who.principal.tenant, &who.principal.name);
        }
        broker.cut(NOW, |m| *m == who, ReasonCode::AdministrativeAction, true);
        assert_eq!(broker.gate_mut().pipeline.drain().unwrap().accepted.len(), kept, "revoked: {revoked}");
    }
}
