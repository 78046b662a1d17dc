//! The state machine of the client.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;

use bytes::{Bytes, BytesMut};
use thingward_model::Timestamp;

use crate::client::ClientConfig;
use crate::client::event::{ClosedBy, Event, Message, PublishError, Token};
use crate::client::incoming::{Arrival, Inbox, Receipt};
use crate::client::outgoing::{Outbox, Outgoing, Progress, Stage};
use crate::codec::{
    Ack, AckKind, ConnAck, Connect, ConnectProperties, Delivery, Disconnect, FilterAckKind,
    PACKET_BYTES_PROTOCOL_MAX, Packet, PacketId, Publish, PublishTopic, PublishView, QoS, ReasonCode,
    Receiver, Subscribe, SubscribeRequest, SubscriptionId, Unsubscribe, Version, decode,
};
use crate::topic::TopicFilter;

/// The client end of MQTT 5.0. See the [module](super).
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    phase: Phase,
    /// What the server said it takes. Meaningful while online.
    server: ServerLimits,
    outbox: Outbox,
    inbox: Inbox,
    /// What is answered with reasons, and the kind of its answer.
    requests: BTreeMap<PacketId, (Token, FilterAckKind)>,
    next_token: u64,
    had_session: bool,
    last_sent: Timestamp,
    /// Until when the server has to answer CONNECT or PINGREQ.
    answer_by: Option<Timestamp>,
    output: BytesMut,
    events: VecDeque<Event>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Offline,
    Connecting,
    Online,
}

#[derive(Debug, Clone, Copy)]
struct ServerLimits {
    inflight: usize,
    packet_bytes: usize,
    qos: QoS,
    retain: bool,
    keep_alive_seconds: u16,
}

const MICROS: i64 = 1_000_000;

impl Client {
    /// A client without a connection.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        let server = ServerLimits::before_connack(&config);
        Self {
            config,
            phase: Phase::Offline,
            server,
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            requests: BTreeMap::new(),
            next_token: 0,
            had_session: false,
            last_sent: Timestamp::EPOCH,
            answer_by: None,
            output: BytesMut::new(),
            events: VecDeque::new(),
        }
    }

    /// The transport is open: CONNECT goes out.
    pub fn opened(&mut self, now: Timestamp) {
        self.output.clear();
        self.phase = Phase::Connecting;
        self.server = ServerLimits::before_connack(&self.config);
        self.last_sent = now;
        self.answer_by = Some(self.response_time(now));
        let connect = Packet::Connect(Box::new(self.connect_packet()));
        if connect.write(Version::V5, PACKET_BYTES_PROTOCOL_MAX, &mut self.output).is_err() {
            self.close(ClosedBy::TooLarge);
        }
    }

    /// The transport is gone.
    pub fn closed(&mut self) {
        self.close(ClosedBy::Transport);
    }

    /// Lets go of everything that the server has not acknowledged, for an owner who publishes it again, in an order that may be
    /// another one by now.
    pub fn forget_unacknowledged(&mut self) {
        self.outbox = Outbox::default();
    }

    /// Whether the server has accepted the connection.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.phase == Phase::Online
    }

    /// Messages that wait or are in flight.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.outbox.waiting_len() + self.outbox.inflight.len()
    }

    /// Bytes to write to the transport.
    pub fn take_output(&mut self) -> Bytes {
        self.output.split().freeze()
    }

    /// The next event, in the order in which they happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Takes a message. QoS 1 and 2 wait for the connection and for the receive maximum of the server.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]; the message was not taken.
    pub fn publish(&mut self, now: Timestamp, message: Message) -> Result<Token, PublishError> {
        if message.qos == QoS::AtMostOnce {
            return self.publish_at_most_once(now, &message);
        }
        let token = self.token();
        let (messages, bytes) = (self.config.queue_messages_max, self.config.queue_bytes_max);
        self.outbox.wait(token, message, messages, bytes)?;
        self.send_waiting(now);
        Ok(token)
    }

    fn publish_at_most_once(&mut self, now: Timestamp, message: &Message) -> Result<Token, PublishError> {
        if !self.is_online() {
            return Err(PublishError::NotConnected);
        }
        let token = self.token();
        let reason = match self.refusal(message) {
            Some(reason) => reason,
            None => {
                self.write_publish(now, message, Delivery::AtMostOnce)?;
                ReasonCode::Success
            }
        };
        self.events.push_back(Event::Published { token, reason });
        Ok(token)
    }

    /// Asks for messages.
    ///
    /// # Errors
    ///
    /// [`PublishError::NotConnected`], [`PublishError::NoPacketId`], [`PublishError::TooLarge`].
    pub fn subscribe(
        &mut self,
        now: Timestamp,
        requests: Vec<SubscribeRequest>,
        subscription_id: Option<SubscriptionId>,
    ) -> Result<Token, PublishError> {
        self.request(now, FilterAckKind::SubAck, |id| {
            Packet::Subscribe(Subscribe { id, subscription_id, user: Vec::new(), requests })
        })
    }

    /// Ends subscriptions.
    ///
    /// # Errors
    ///
    /// [`PublishError::NotConnected`], [`PublishError::NoPacketId`], [`PublishError::TooLarge`].
    pub fn unsubscribe(&mut self, now: Timestamp, filters: Vec<TopicFilter>) -> Result<Token, PublishError> {
        self.request(now, FilterAckKind::UnsubAck, |id| {
            Packet::Unsubscribe(Unsubscribe { id, user: Vec::new(), filters })
        })
    }

    /// The owner has made a message safe. A receipt of an earlier connection does no harm: the server sends a QoS 1
    /// message again, and a QoS 2 message is not handed over twice.
    pub fn ack(&mut self, now: Timestamp, receipt: Receipt) {
        if let Some((kind, id)) = self.inbox.acknowledge(receipt)
            && self.is_online()
        {
            self.send_ack(now, kind, id, ReasonCode::Success);
        }
    }

    /// Says goodbye with `reason` and ends the connection.
    pub fn disconnect(&mut self, reason: ReasonCode) {
        if self.is_online() {
            self.write_disconnect(reason);
        }
        self.close(ClosedBy::Client);
    }

    /// When [`Self::tick`] has to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let ping = self.ping_at();
        match (self.answer_by, ping) {
            (Some(answer), Some(ping)) => Some(answer.min(ping)),
            (answer, ping) => answer.or(ping),
        }
    }

    /// Sends PINGREQ when it is time and gives up on a silent server.
    pub fn tick(&mut self, now: Timestamp) {
        if self.answer_by.is_some_and(|by| now >= by) {
            return self.close(ClosedBy::Timeout);
        }
        if self.ping_at().is_some_and(|at| now >= at) {
            self.answer_by = Some(self.response_time(now));
            self.send(now, &Packet::PingReq);
        }
    }

    /// Takes what the transport brought. Incomplete packets stay in `buf`.
    pub fn receive(&mut self, now: Timestamp, buf: &mut BytesMut) {
        let limit = usize::try_from(self.config.packet_bytes_max).unwrap_or(usize::MAX);
        while self.phase != Phase::Offline {
            match decode(Receiver::Client, Version::V5, buf, limit) {
                Ok(Some(packet)) => self.packet(now, packet),
                Ok(None) => return,
                Err(error) => {
                    self.write_disconnect(error.reason());
                    return self.close(ClosedBy::Malformed(error));
                }
            }
        }
        buf.clear();
    }

    fn packet(&mut self, now: Timestamp, packet: Packet) {
        match (self.phase, packet) {
            (Phase::Connecting, Packet::ConnAck(ack)) => self.connack(now, ack),
            (Phase::Online, Packet::Publish(publish)) => self.arrived(now, publish),
            (Phase::Online, Packet::Ack(kind, ack)) => self.acked(now, kind, &ack),
            (Phase::Online, Packet::FilterAck(kind, ack)) => match self.requests.get(&ack.id) {
                Some(&(token, asked)) if asked == kind => {
                    self.requests.remove(&ack.id);
                    self.events.push_back(Event::Answered { token, ack });
                }
                _ => self.violation(ReasonCode::ProtocolError),
            },
            (Phase::Online, Packet::PingResp) => self.answer_by = None,
            (Phase::Online, Packet::Disconnect(packet)) => self.close(ClosedBy::Server(packet)),
            _ => self.violation(ReasonCode::ProtocolError),
        }
    }

    fn connack(&mut self, now: Timestamp, ack: Box<ConnAck>) {
        if ack.reason.is_failure() {
            return self.close(ClosedBy::Refused(ack));
        }
        if let Some(id) = &ack.properties.assigned_client_id {
            self.config.client_id = id.clone();
        }
        self.server = ServerLimits::from_connack(&self.config, &ack);
        self.phase = Phase::Online;
        self.answer_by = None;
        self.inbox.connected(ack.session_present);
        self.had_session = true;
        let present = ack.session_present;
        self.events.push_back(Event::Connected(ack));
        if present {
            self.outbox.reconnected();
        } else {
            for token in self.outbox.restart() {
                self.events.push_back(Event::Published { token, reason: ReasonCode::Success });
            }
        }
        self.send_waiting(now);
    }

    /// Sends what there is, as far as the receive maximum of the server goes: first again what earlier connections
    /// left, in order (§4.4), then what waits.
    fn send_waiting(&mut self, now: Timestamp) {
        while self.is_online() && self.outbox.open() < self.server.inflight {
            if let Some(index) = self.outbox.inflight.iter().position(|out| !out.here) {
                self.send_again(now, index);
                continue;
            }
            let requests = &self.requests;
            let Some(id) = self.outbox.free_id(|id| requests.contains_key(&id)) else { return };
            let Some((token, message)) = self.outbox.next_waiting() else { return };
            match self.write_allowed(now, &message, message.delivery(id, false)) {
                Ok(()) => {
                    let stage = Stage::Sent { id, message };
                    self.outbox.inflight.push_back(Outgoing { token, stage, here: true });
                }
                Err(reason) => self.events.push_back(Event::Published { token, reason }),
            }
        }
    }

    fn send_again(&mut self, now: Timestamp, index: usize) {
        let Some(mut out) = self.outbox.inflight.remove(index) else { return };
        out.here = true;
        let sent = match &out.stage {
            Stage::Released { id } => {
                self.send_ack(now, AckKind::PubRel, *id, ReasonCode::Success);
                Ok(())
            }
            Stage::Sent { id, message } => self.write_allowed(now, message, message.delivery(*id, true)),
        };
        match sent {
            Ok(()) => self.outbox.inflight.insert(index, out),
            Err(reason) => self.events.push_back(Event::Published { token: out.token, reason }),
        }
    }

    fn write_allowed(
        &mut self,
        now: Timestamp,
        message: &Message,
        delivery: Delivery,
    ) -> Result<(), ReasonCode> {
        match self.refusal(message) {
            Some(reason) => Err(reason),
            None => self.write_publish(now, message, delivery).map_err(|_| ReasonCode::PacketTooLarge),
        }
    }

    fn acked(&mut self, now: Timestamp, kind: AckKind, ack: &Ack) {
        let progress = match kind {
            AckKind::PubAck => self.outbox.ack(ack.id),
            AckKind::PubRec => self.outbox.received(ack.id, ack.reason),
            AckKind::PubComp => self.outbox.complete(ack.id),
            AckKind::PubRel => return self.released(now, ack.id),
        };
        match progress {
            Progress::Unknown if kind == AckKind::PubRec && !ack.reason.is_failure() => {
                self.send_ack(now, AckKind::PubRel, ack.id, ReasonCode::PacketIdentifierNotFound);
            }
            Progress::Unknown => {}
            Progress::Wrong => self.violation(ReasonCode::ProtocolError),
            Progress::Release => self.send_ack(now, AckKind::PubRel, ack.id, ReasonCode::Success),
            Progress::Done(token) => {
                self.events.push_back(Event::Published { token, reason: ack.reason });
                self.send_waiting(now);
            }
        }
    }

    fn released(&mut self, now: Timestamp, id: PacketId) {
        let reason =
            if self.inbox.release(id) { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        self.send_ack(now, AckKind::PubComp, id, reason);
    }

    fn arrived(&mut self, now: Timestamp, publish: Publish) {
        // No alias was offered to the server.
        if !matches!(publish.topic, PublishTopic::Name(_)) {
            return self.violation(ReasonCode::TopicAliasInvalid);
        }
        match self.inbox.arrived(publish.delivery, self.config.receive_maximum.get()) {
            Arrival::New(receipt) => {
                self.events.push_back(Event::Message { publish: Box::new(publish), receipt });
            }
            Arrival::Pending => {}
            Arrival::Again(id) => self.send_ack(now, AckKind::PubRec, id, ReasonCode::Success),
            Arrival::TooMany => self.violation(ReasonCode::ReceiveMaximumExceeded),
        }
    }

    fn request(
        &mut self,
        now: Timestamp,
        answer: FilterAckKind,
        packet: impl FnOnce(PacketId) -> Packet,
    ) -> Result<Token, PublishError> {
        if !self.is_online() {
            return Err(PublishError::NotConnected);
        }
        let requests = &self.requests;
        let id = self.outbox.free_id(|id| requests.contains_key(&id)).ok_or(PublishError::NoPacketId)?;
        packet(id)
            .write(Version::V5, self.server.packet_bytes, &mut self.output)
            .map_err(|_| PublishError::TooLarge)?;
        self.last_sent = now;
        let token = self.token();
        self.requests.insert(id, (token, answer));
        Ok(token)
    }

    /// Why the server would refuse the message, from what it said in CONNACK.
    fn refusal(&self, message: &Message) -> Option<ReasonCode> {
        if message.qos > self.server.qos {
            return Some(ReasonCode::QoSNotSupported);
        }
        (message.retain && !self.server.retain).then_some(ReasonCode::RetainNotSupported)
    }

    fn write_publish(&mut self, now: Timestamp, m: &Message, delivery: Delivery) -> Result<(), PublishError> {
        let view = PublishView {
            topic: Some(&m.topic),
            alias: None,
            delivery,
            retain: m.retain,
            properties: &m.properties,
            message_expiry: m.properties.message_expiry,
            subscription_ids: &[],
            payload: &m.payload,
        };
        self.last_sent = now;
        view.write(Version::V5, self.server.packet_bytes, &mut self.output)
            .map_err(|_| PublishError::TooLarge)
    }

    fn send_ack(&mut self, now: Timestamp, kind: AckKind, id: PacketId, reason: ReasonCode) {
        self.send(now, &Packet::Ack(kind, Ack::new(id, reason)));
    }

    /// Sends a packet that is small enough for any server but one that cannot be talked to.
    fn send(&mut self, now: Timestamp, packet: &Packet) {
        self.last_sent = now;
        if packet.write(Version::V5, self.server.packet_bytes, &mut self.output).is_err() {
            self.close(ClosedBy::TooLarge);
        }
    }

    fn violation(&mut self, reason: ReasonCode) {
        self.write_disconnect(reason);
        self.close(ClosedBy::Protocol(reason));
    }

    fn write_disconnect(&mut self, reason: ReasonCode) {
        let packet = Packet::Disconnect(Disconnect::new(reason));
        // A server that does not even take five bytes learns of the end from the transport.
        let _too_large = packet.write(Version::V5, self.server.packet_bytes, &mut self.output);
    }

    fn close(&mut self, by: ClosedBy) {
        if self.phase == Phase::Offline {
            return;
        }
        self.phase = Phase::Offline;
        self.answer_by = None;
        for (token, _) in std::mem::take(&mut self.requests).into_values() {
            self.events.push_back(Event::Unanswered { token });
        }
        self.events.push_back(Event::Closed(by));
    }

    fn connect_packet(&self) -> Connect {
        let c = &self.config;
        Connect {
            version: Version::V5,
            clean_start: c.clean_start && !self.had_session,
            keep_alive: c.keep_alive_seconds,
            client_id: c.client_id.clone(),
            will: c.will.clone(),
            username: c.username.clone(),
            password: c.password.clone(),
            properties: ConnectProperties {
                session_expiry: Some(c.session_expiry_seconds).filter(|s| *s != 0),
                receive_maximum: Some(c.receive_maximum),
                maximum_packet_size: NonZeroU32::new(c.packet_bytes_max),
                user: c.user.clone(),
                ..ConnectProperties::default()
            },
        }
    }

    fn ping_at(&self) -> Option<Timestamp> {
        let seconds = i64::from(self.server.keep_alive_seconds);
        let due = self.phase == Phase::Online && seconds != 0 && self.answer_by.is_none();
        due.then(|| self.last_sent.plus_micros(seconds * MICROS))
    }

    fn response_time(&self, now: Timestamp) -> Timestamp {
        now.plus_micros(i64::from(self.config.response_seconds) * MICROS)
    }

    const fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }
}

impl ServerLimits {
    fn before_connack(config: &ClientConfig) -> Self {
        Self {
            inflight: usize::from(config.inflight_max.get()),
            packet_bytes: PACKET_BYTES_PROTOCOL_MAX,
            qos: QoS::ExactlyOnce,
            retain: true,
            keep_alive_seconds: config.keep_alive_seconds,
        }
    }

    fn from_connack(config: &ClientConfig, ack: &ConnAck) -> Self {
        let p = &ack.properties;
        let inflight = config.inflight_max.min(p.receive_maximum.unwrap_or(config.inflight_max));
        Self {
            inflight: usize::from(inflight.get()),
            packet_bytes: p
                .maximum_packet_size
                .and_then(|max| usize::try_from(max.get()).ok())
                .unwrap_or(PACKET_BYTES_PROTOCOL_MAX),
            qos: match p.maximum_qos_is_one {
                None => QoS::ExactlyOnce,
                Some(true) => QoS::AtLeastOnce,
                Some(false) => QoS::AtMostOnce,
            },
            retain: p.retain_available != Some(false),
            keep_alive_seconds: p.server_keep_alive.unwrap_or(config.keep_alive_seconds),
        }
    }
}
