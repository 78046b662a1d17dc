//! Clients that publish with QoS 1.

use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::server::{Member, Server};

const TOPIC: &str = "devices/me/telemetry/climate";
const PAYLOAD_BYTES: usize = 128;
const CONNACK: u8 = 0x20;
const PUBACK: u8 = 0x40;
const PUBLISH: u8 = 0x30;
const SUBACK: u8 = 0x90;
/// What says in a payload when it was sent, in microseconds since [`BEGUN`], and stands before it.
const SENT: &[u8] = b"sent\"";
static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
/// Handshakes at the same time, of a load that is only to be there.
const OPENED_AT_ONCE: usize = 50;

/// Connections to one server, each with a name of its own.
pub(super) struct Load {
    port: u16,
    configs: Vec<Arc<ClientConfig>>,
    count: usize,
}

/// A client that is connected.
pub(super) struct Session {
    stream: TlsStream<TcpStream>,
    number: usize,
}

impl Load {
    pub(super) fn new(server: &Server, members: &[Member], count: usize) -> Self {
        let configs = members.iter().map(|member| member.client(server)).collect();
        Self { port: server.port(), configs, count }
    }

    /// Opens and closes each.
    pub(super) async fn one_after_the_other(&self) {
        for number in 0..self.count {
            let mut session = self.connect(number).await;
            session.stream.write_all(&[0xe0, 0x00]).await.unwrap();
            let _ = session.stream.shutdown().await;
        }
    }

    pub(super) async fn open(&self) -> Vec<Session> {
        self.open_from(0).await
    }

    /// Those behind the first ones.
    pub(super) async fn open_from(&self, first: usize) -> Vec<Session> {
        let mut sessions = Vec::new();
        for start in (first..self.count).step_by(OPENED_AT_ONCE) {
            let opening = start..self.count.min(start + OPENED_AT_ONCE);
            let mut tasks = JoinSet::new();
            for number in opening {
                let (port, config) = (self.port, self.config(number));
                tasks.spawn(Session::connect(port, config, number));
            }
            sessions.extend(tasks.join_all().await);
        }
        sessions
    }

    fn config(&self, number: usize) -> Arc<ClientConfig> {
        Arc::clone(&self.configs[number % self.configs.len()])
    }

    async fn connect(&self, number: usize) -> Session {
        Session::connect(self.port, self.config(number), number).await
    }
}

impl Session {
    async fn connect(port: u16, config: Arc<ClientConfig>, number: usize) -> Self {
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = "localhost".try_into().unwrap();
        let stream = TlsConnector::from(config).connect(name, tcp).await.unwrap();
        let mut session = Self { stream, number };
        // MQTT 5.0, clean start, keep alive of a minute, no properties.
        let id = format!("load-{number}");
        let body = [&[0, 4][..], b"MQTT", &[5, 2, 0, 60, 0], &text(&id)].concat();
        session.send(&packet(0x10, &body)).await;
        let (kind, body) = session.receive().await;
        assert!(kind == CONNACK && body[1] == 0, "not connected: {body:?}");
        session
    }

    /// Has each of them do something at the same time.
    pub(super) async fn all<T, F>(sessions: Vec<Self>, what: impl Fn(Self) -> F) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        for session in sessions {
            tasks.spawn(what(session));
        }
        tasks.join_all().await
    }

    /// Publishes so many, with so many in flight.
    pub(super) async fn windowed(mut self, window: usize, messages: usize) {
        let mut sent = 0;
        while sent < messages.min(window) {
            sent += 1;
            let publish = self.publish(sent);
            self.send(&publish).await;
        }
        for _ in 0..messages {
            self.acknowledged().await;
            if sent < messages {
                sent += 1;
                let publish = self.publish(sent);
                self.send(&publish).await;
            }
        }
    }

    /// Publishes so many, one in each period; how long each waited for its acknowledgement, in milliseconds
    /// from its sending: what could not be sent in time because the one before still waited is not counted as late.
    pub(super) async fn paced(mut self, every: Duration, messages: usize) -> Vec<f64> {
        let mut waited = Vec::with_capacity(messages);
        // Not all at the same moment.
        tokio::time::sleep(every * u32::try_from(self.number % 100).unwrap() / 100).await;
        let mut ticks = tokio::time::interval(every);
        for number in 1..=messages {
            ticks.tick().await;
            let (publish, sent) = (self.publish(number), Instant::now());
            self.send(&publish).await;
            self.acknowledged().await;
            waited.push(sent.elapsed().as_secs_f64() * 1e3);
        }
        waited
    }

    /// Subscribes to what all devices say.
    pub(super) async fn subscribe(&mut self) {
        let body = [&[0, 1, 0][..], &text("devices/+/telemetry/+"), &[1]].concat();
        self.send(&packet(0x82, &body)).await;
        let (kind, body) = self.receive().await;
        assert!(kind == SUBACK && body.last() == Some(&1), "not subscribed: {body:?}");
    }

    /// Takes so many messages; how long each took from its sending, in milliseconds.
    pub(super) async fn follow(mut self, messages: usize) -> Vec<f64> {
        let mut took = Vec::with_capacity(messages);
        while took.len() < messages {
            let (kind, body) = self.receive().await;
            assert_eq!(kind, PUBLISH);
            let now = BEGUN.elapsed();
            took.push((now - sent(&body)).as_secs_f64() * 1e3);
            let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
            self.send(&packet(PUBACK, &body[2 + topic..][..2])).await;
        }
        took
    }

    fn publish(&self, number: usize) -> Vec<u8> {
        let (load, sent) = (self.number, BEGUN.elapsed().as_micros());
        let mut payload = format!(r#"{{"temperature":21.5,"load":{load},"sent":{sent},"note":""#);
        let rest = PAYLOAD_BYTES - payload.len() - 2;
        payload.extend(std::iter::repeat_n('x', rest));
        payload.push_str("\"}");
        let id = u16::try_from(number).unwrap().to_be_bytes();
        packet(0x32, &[&text(TOPIC)[..], &id, &[0], payload.as_bytes()].concat())
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn acknowledged(&mut self) {
        let (kind, body) = self.receive().await;
        // No subscriber is a success too.
        assert!(kind == PUBACK && body.get(2).is_none_or(|reason| *reason < 0x80), "not taken: {body:?}");
    }

    async fn receive(&mut self) -> (u8, Vec<u8>) {
        let kind = self.stream.read_u8().await.unwrap();
        let low = self.stream.read_u8().await.unwrap();
        let high = if low < 0x80 { 0 } else { self.stream.read_u8().await.unwrap() };
        assert!(high < 0x80, "a longer packet than any that is awaited");
        let mut body = vec![0; usize::from(low & 0x7f) + 0x80 * usize::from(high)];
        self.stream.read_exact(&mut body).await.unwrap();
        (kind & 0xf0, body)
    }
}

/// When a payload says that it was sent.
fn sent(body: &[u8]) -> Duration {
    let at = body.windows(SENT.len()).position(|part| part == SENT).expect("no time of sending");
    let digits = body[at + SENT.len()..].iter().skip_while(|byte| !byte.is_ascii_digit());
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    Duration::from_micros(digits.fold(0, |number, digit| 10 * number + u64::from(digit - b'0')))
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// A packet of less than 16 KiB.
fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap();
    let [low, high] = [length % 128, length / 128].map(|part| u8::try_from(part).unwrap());
    let length: &[u8] = if high == 0 { &[low] } else { &[low | 0x80, high] };
    [&[kind], length, body].concat()
}
