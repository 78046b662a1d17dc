use std::collections::BTreeSet;
use std::time::Duration;

use rustls::RootCertStore;
use thingward_mqtt::client::ClientConfig as MqttConfig;
use thingward_mqtt::codec::{Ack, AckKind, ConnAck, Packet, Receiver, Text, Version, decode};
use thingward_mqtt::topic::TopicName;
use tokio::io::DuplexStream;
use tokio::sync::Notify;

use super::*;
use crate::uplink::{Outgoing, UplinkStatus};

const COUNT: u64 = 4;

/// Its messages are the numbers below [`COUNT`], all of one lane.
struct Numbers(u64);

impl Source for Numbers {
    type Key = u64;
    type Lane = ();

    fn lane(_: &u64) {}

    fn next(&mut self, held: &BTreeSet<()>) -> Option<Outgoing<u64>> {
        let key = self.0;
        if key == COUNT || !held.is_empty() {
            return None;
        }
        self.0 += 1;
        let topic = TopicName::try_from("devices/me/telemetry/climate").unwrap();
        Some(Outgoing { key, topic, payload: key.to_be_bytes().to_vec().into(), retain: false })
    }

    fn delivered(&mut self, _: u64) {}

    fn refused(&mut self, _: u64, _: ReasonCode) -> bool {
        false
    }
}

/// The other end of a connection.
struct Server {
    stream: DuplexStream,
    input: BytesMut,
}

impl Server {
    async fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        packet.write(Version::V5, 1 << 20, &mut bytes).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn receive(&mut self) -> Packet {
        loop {
            if let Some(packet) = decode(Receiver::Server, Version::V5, &mut self.input, 1 << 20).unwrap() {
                return packet;
            }
            assert!(self.stream.read_buf(&mut self.input).await.unwrap() > 0, "it is gone");
        }
    }

    /// Takes the client in, whose session is there.
    async fn accept(stream: DuplexStream) -> Self {
        let mut server = Self { stream, input: BytesMut::new() };
        assert!(matches!(server.receive().await, Packet::Connect(_)));
        server.send(&Packet::ConnAck(Box::new(ConnAck::new(true, ReasonCode::Success)))).await;
        server
    }

    /// The next number that is published, answered with this.
    async fn number(&mut self, answer: Option<ReasonCode>) -> u64 {
        let Packet::Publish(publish) = self.receive().await else { panic!("something else") };
        if let Some(reason) = answer {
            let id = publish.delivery.id().unwrap();
            self.send(&Packet::Ack(AckKind::PubAck, Ack::new(id, reason))).await;
        }
        u64::from_be_bytes(publish.payload[..].try_into().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_in_flight_behind_what_is_held_back_does_not_overtake_it_over_the_next_connection() {
    let mut client = Client::new(MqttConfig::new(Text::try_from("meter").unwrap()));
    let mut courier = MqttCourier::new(Numbers(0), Arc::new(Notify::new()), 8);
    let first = UplinkStatus { online: false, since: now(), delivered: 0, refused: 0, last_error: None };
    let (status, _status) = watch::channel(first);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let (_tls, mut tls) = watch::channel(Arc::new(config));
    let (_stop, mut stop) = watch::channel(false);

    let (here, there) = tokio::io::duplex(1 << 16);
    let serving = async {
        let mut server = Server::accept(there).await;
        assert_eq!(server.number(Some(ReasonCode::Success)).await, 0);
        assert_eq!(server.number(Some(ReasonCode::QuotaExceeded)).await, 1);
        // It has said that it has no room before it was gone, and nothing about the rest.
        for number in 2..COUNT {
            assert_eq!(server.number(None).await, number);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let (end, ()) = tokio::join!(run(&mut client, here, &mut courier, &status, &mut tls, &mut stop), serving);
    assert!(matches!(end, End::Lost { .. }));

    let (here, there) = tokio::io::duplex(1 << 16);
    let serving = async {
        let mut server = Server::accept(there).await;
        for number in 1..COUNT {
            assert_eq!(server.number(Some(ReasonCode::Success)).await, number);
        }
    };
    tokio::join!(run(&mut client, here, &mut courier, &status, &mut tls, &mut stop), serving);
}
