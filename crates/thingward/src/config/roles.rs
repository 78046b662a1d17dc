//! What the sections say.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use thingward_agent::agent::AgentSettings;
use thingward_agent::http::Endpoint;
use thingward_agent::local::LocalAddresses;
use thingward_agent::spool::SpoolLimits;
use thingward_agent::uplink::Route;
use thingward_audit::note::LogKey;
use thingward_audit::quorum::Quorum;
use thingward_crypto::AeadAlgorithm;
use thingward_gateway::GatewaySettings;
use thingward_gateway::home_assistant::{Broker, HomeAssistantSettings};
use thingward_gateway::queue::QueueLimits;
use thingward_gateway::radio::{RADIOS_MAX, RadioSettings};
use thingward_gateway::serial::{BAUD, LINES_MAX, SerialSettings};
use thingward_ingress::ConnectionLimits;
use thingward_model::DeviceName;
use thingward_mqtt::broker;
use thingward_payment::TestbedClient;
use thingward_pki::Lifetimes;
use thingward_radio::wire::{Address, KEY_DAYS, KEY_DAYS_MAX};
use thingward_radio::{Kind, line};
use thingward_service::settings::{
    AuthorityKeys, ConsoleSettings, HistorySettings, LogSettings, PaymentSettings, ServiceSettings,
    WitnessSettings,
};
use thingward_witness::client::PORT;

use super::oidc::providers;
use super::reader::{Reader, Section, Wanted};
use crate::when;

/// The port of MQTT on the service.
pub(super) const MQTT_PORT: u16 = 8883;

/// How a gateway runs.
#[derive(Clone)]
pub(crate) struct GatewayConfig {
    /// Identity and queue.
    pub(crate) home: PathBuf,
    /// The rest.
    pub(crate) settings: GatewaySettings,
}

/// How a device runs.
#[derive(Clone)]
pub(crate) struct DeviceConfig {
    /// Identity and buffers.
    pub(crate) home: PathBuf,
    /// The file of its Thing Description.
    pub(crate) description: Option<PathBuf>,
    /// Where it takes grants.
    pub(crate) local_link: LocalAddresses,
    /// The rest.
    pub(crate) settings: AgentSettings,
}

/// How a witness runs.
#[derive(Debug, Clone)]
pub(crate) struct WitnessConfig {
    /// Keys, and what was seen.
    pub(crate) home: PathBuf,
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// The logs that it co-signs.
    pub(crate) logs: Vec<LogKey>,
    /// Connections at a time.
    pub(crate) connections: usize,
}

/// The home of a witness when nothing is said.
pub(crate) const WITNESS_HOME: &str = "/var/lib/thingward-witness";

pub(super) const fn want(what: &'static str, example: &'static str) -> Wanted {
    Wanted { what, example }
}

const ADDRESS: Wanted = want("an address", "\"0.0.0.0:8883\"");
const COAP: Wanted = want("an address or off", "\"0.0.0.0:5683\" or \"off\"");
const FOLDER: Wanted = want("an absolute path", "\"/var/lib/thingward\"");
const FILE: Wanted = want("an absolute path", "\"/etc/thingward/meter.td.json\"");
const LENGTH: Wanted = want("a length of time with its unit", "\"30d\"");
const SIZE: Wanted = want("a size with its unit", "\"64MiB\"");
const COUNT: Wanted = want("a number from 1 to 100000000", "1000");
const SMALL: Wanted = want("a number from 1 to 65535", "32");
const ENDPOINT: Wanted = want("a host and port", "\"gateway.local:8884\"");
const ROUTE: Wanted =
    want("a host and port, or coap://HOST:PORT", "\"gateway.local:8884\" or \"coap://gateway.local\"");

/// Longest length of time that has a meaning here: a hundred years.
const LENGTH_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);

pub(super) type In<'r, 's, 'a> = (&'r mut Reader<'a>, &'s mut Section<'a>);

pub(super) fn folder((reader, section): In<'_, '_, '_>, key: &'static str, default: &str) -> PathBuf {
    reader.text(section, key, FOLDER, default.into(), |t| {
        let path = PathBuf::from(t);
        path.is_absolute().then_some(path)
    })
}

fn address((reader, section): In<'_, '_, '_>, key: &'static str, default: SocketAddr) -> SocketAddr {
    reader.text(section, key, ADDRESS, default, |t| t.parse().ok())
}

fn length((reader, section): In<'_, '_, '_>, key: &'static str, default: Duration) -> Duration {
    reader.text(section, key, LENGTH, default, |t| {
        when::duration(t).ok().filter(|d| !d.is_zero() && *d <= LENGTH_MAX)
    })
}

pub(super) fn size((reader, section): In<'_, '_, '_>, key: &'static str, default: u64) -> u64 {
    reader.text(section, key, SIZE, default, |t| when::bytes(t).ok().filter(|n| *n > 0))
}

fn size_in_memory((reader, section): In<'_, '_, '_>, key: &'static str, default: usize) -> usize {
    let whole = |t: &str| usize::try_from(when::bytes(t).ok()?).ok().filter(|n| *n > 0);
    reader.text(section, key, SIZE, default, whole)
}

fn count((reader, section): In<'_, '_, '_>, key: &'static str, default: usize) -> usize {
    reader.number(section, key, COUNT, default, 1..=100_000_000)
}

fn endpoint((reader, section): In<'_, '_, '_>, key: &'static str) -> Option<Endpoint> {
    reader.text(section, key, ENDPOINT, None, |t| Endpoint::parse(t, MQTT_PORT).ok().map(Some))
}

fn any(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::from([0, 0, 0, 0]), port)
}

fn address_or_off(text: &str) -> Option<Option<SocketAddr>> {
    match text {
        "off" => Some(None),
        _ => text.parse().ok().map(Some),
    }
}

/// A DNS name: RFC 1123 §2.1.
fn dns_name(text: &str) -> Option<String> {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    (text.len() <= 253 && text.split('.').all(label)).then(|| text.to_owned())
}

/// `[service]` and what is in it.
pub(super) fn service(r: &mut Reader<'_>) -> ServiceSettings {
    let mut section = r.section("service");
    let s = &mut section;
    let domain = want("a trust domain", "\"thingward.local\"");
    let names = want("a list of DNS names", "[\"localhost\", \"thingward.example.com\"]");
    let addresses = want("a list of IP addresses", "[\"127.0.0.1\", \"192.0.2.7\"]");
    let lower = |t: &str| dns_name(t).filter(|t| !t.bytes().any(|b| b.is_ascii_uppercase()));
    let local = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from(std::net::Ipv6Addr::LOCALHOST)];
    let settings = ServiceSettings {
        data_dir: folder((r, s), "data_dir", "/var/lib/thingward"),
        trust_domain: r.text(s, "trust_domain", domain, "thingward.local".to_owned(), lower),
        mqtt: address((r, s), "mqtt", any(MQTT_PORT)),
        https: address((r, s), "https", any(8443)),
        coap: r.text(s, "coap", COAP, None, address_or_off),
        names: r.texts(s, "names", names, vec!["localhost".to_owned()], dns_name),
        addresses: r.texts(s, "addresses", addresses, local, |t| t.parse().ok()),
        authority_keys: AuthorityKeys::Sealed,
        lifetimes: Lifetimes::default(),
        mqtt_limits: broker::Limits::default(),
        connections: ConnectionLimits::default(),
        history: HistorySettings::default(),
        log: LogSettings::default(),
        console: ConsoleSettings::at_home(),
        oidc: Vec::new(),
        payments: None,
    };
    let (authority_keys, lifetimes) = authority(r, s);
    let (mqtt_limits, connections) = limits(r, s);
    let (history, log, oidc) = (history(r, s), log(r, s), providers(r, s));
    let console = console(r, s, &settings);
    let payments = payments(r, s);
    r.close(section);
    ServiceSettings {
        authority_keys,
        lifetimes,
        mqtt_limits,
        connections,
        history,
        log,
        console,
        oidc,
        payments,
        ..settings
    }
}

/// None where the section is not there.
fn payments<'a>(r: &mut Reader<'a>, parent: &mut Section<'a>) -> Option<PaymentSettings> {
    let mut section = r.optional(parent, "payments")?;
    let s = &mut section;
    let place = want("`http` on this machine", "\"http://127.0.0.1:8487\"");
    let secret = want("an absolute path", "\"/etc/thingward/payments.key\"");
    let absolute = |t: &str| Some(PathBuf::from(t)).filter(|path| path.is_absolute());
    let testbed = r.needed(s, "testbed", place, |t| TestbedClient::is_place(t).then(|| t.to_owned()));
    let api_key_file = r.needed(s, "api_key_file", secret, absolute);
    let webhook_secret_file = r.needed(s, "webhook_secret_file", secret, absolute);
    r.close(section);
    Some(PaymentSettings {
        testbed: testbed?,
        api_key_file: api_key_file?,
        webhook_secret_file: webhook_secret_file?,
    })
}

fn authority<'a>(r: &mut Reader<'a>, parent: &mut Section<'a>) -> (AuthorityKeys, Lifetimes) {
    let mut section = r.subsection(parent, "authority");
    let (s, d) = (&mut section, Lifetimes::default());
    let wanted = want(
        "sealed or a PKCS#11 URI",
        "\"sealed\" or \"pkcs11:token=ca;object=thingward?module-path=/usr/lib/module.so&pin-source=/etc/pin\"",
    );
    let keys = r.text(s, "keys", wanted, AuthorityKeys::Sealed, |t| match t {
        "sealed" => Some(AuthorityKeys::Sealed),
        _ => t.parse().ok().map(AuthorityKeys::Token),
    });
    let lifetimes = Lifetimes {
        leaf: length((r, s), "device_lifetime", d.leaf),
        service: length((r, s), "service_lifetime", d.service),
        issuing: length((r, s), "issuing_lifetime", d.issuing),
        root: length((r, s), "root_lifetime", d.root),
        crl: length((r, s), "crl_lifetime", d.crl),
    };
    r.close(section);
    (keys, lifetimes)
}

fn limits<'a>(r: &mut Reader<'a>, parent: &mut Section<'a>) -> (broker::Limits, ConnectionLimits) {
    let mut section = r.subsection(parent, "limits");
    let (s, d) = (&mut section, broker::Limits::default());
    let expiry = |t: &str| u32::try_from(when::duration(t).ok()?.as_secs()).ok();
    let keep_alive = |t: &str| u16::try_from(when::duration(t).ok()?.as_secs()).ok();
    let hours = want("a length of time up to 18h", "\"1h\"");
    let broker = broker::Limits {
        packet_bytes_max: size_in_memory((r, s), "packet", d.packet_bytes_max),
        sessions_max: count((r, s), "sessions", d.sessions_max),
        sessions_per_scope_max: count((r, s), "sessions_per_member", d.sessions_per_scope_max),
        subscriptions_per_session_max: count((r, s), "subscriptions", d.subscriptions_per_session_max),
        queue_messages_max: count((r, s), "queue_messages", d.queue_messages_max),
        queue_bytes_max: size_in_memory((r, s), "queue", d.queue_bytes_max),
        inflight_max: r.number(s, "inflight", SMALL, d.inflight_max, 1..=u16::MAX),
        receive_maximum: r.number(s, "receive_maximum", SMALL, d.receive_maximum, 1..=u16::MAX),
        retained_messages_max: count((r, s), "retained_messages", d.retained_messages_max),
        retained_bytes_max: size_in_memory((r, s), "retained", d.retained_bytes_max),
        retained_messages_per_share_max: count(
            (r, s),
            "retained_messages_per_device",
            d.retained_messages_per_share_max,
        ),
        retained_bytes_per_share_max: size_in_memory(
            (r, s),
            "retained_per_device",
            d.retained_bytes_per_share_max,
        ),
        session_expiry_seconds_max: r.text(s, "session_expiry", LENGTH, d.session_expiry_seconds_max, expiry),
        keep_alive_seconds_max: r.text(s, "keep_alive", hours, d.keep_alive_seconds_max, keep_alive),
        ..d
    };
    let connections = connections(r, s);
    r.close(section);
    (broker, connections)
}

fn connections<'a>(r: &mut Reader<'a>, s: &mut Section<'a>) -> ConnectionLimits {
    let d = ConnectionLimits::default();
    ConnectionLimits {
        connections_max: count((r, s), "connections", d.connections_max),
        connections_per_member_max: count((r, s), "connections_per_member", d.connections_per_member_max),
        messages_per_second_max: r.number(
            s,
            "messages_per_second",
            COUNT,
            d.messages_per_second_max,
            1..=100_000_000,
        ),
        handshakes_max: count((r, s), "handshakes", d.handshakes_max),
        handshake_timeout: length((r, s), "handshake_timeout", d.handshake_timeout),
    }
}

fn history<'a>(r: &mut Reader<'a>, parent: &mut Section<'a>) -> HistorySettings {
    let mut section = r.subsection(parent, "history");
    let (s, d) = (&mut section, HistorySettings::default());
    let history = HistorySettings {
        every: length((r, s), "every", d.every),
        rows_min: count((r, s), "rows", d.rows_min),
        age_max: length((r, s), "age", d.age_max),
    };
    r.close(section);
    history
}

fn log<'a>(r: &mut Reader<'a>, parent: &mut Section<'a>) -> LogSettings {
    let mut section = r.subsection(parent, "log");
    let s = &mut section;
    let wanted = want(
        "a list of different witnesses, each as VKEY URL FINGERPRINT",
        "what `thingward witness show` shows as `service`",
    );
    let known = RefCell::new(Vec::new());
    let witnesses = r.texts(s, "witnesses", wanted, Vec::new(), |text| {
        let witness: WitnessSettings = text.parse().ok()?;
        known.borrow_mut().push(witness.key.clone());
        // One key counts once, so two entries of one witness are a mistake.
        Quorum::new(known.borrow().clone(), 0).ok().map(|_| witness)
    });
    let all = witnesses.len();
    let number = want("a number from 1 to that of the witnesses", "2");
    let quorum = r.number(s, "quorum", number, all, all.min(1)..=all);
    r.close(section);
    LogSettings { witnesses, quorum }
}

/// Where browsers find the console: without a word about it, by the service's first name.
fn console<'a>(r: &mut Reader<'a>, parent: &mut Section<'a>, service: &ServiceSettings) -> ConsoleSettings {
    let mut section = r.subsection(parent, "console");
    let s = &mut section;
    let origins = want("a list of origins of one host", "[\"https://console.example.com\"]");
    let known = RefCell::new(Vec::new());
    let said = r.texts(s, "origins", origins, Vec::new(), |text| {
        known.borrow_mut().push(text.to_owned());
        ConsoleSettings::new(known.borrow().clone(), None).map(|_| text.to_owned())
    });
    let local = want("an address of this machine or off", "\"127.0.0.1:8480\" or \"off\"");
    let loopback = r.text(s, "loopback", local, None, |t| match t {
        "off" => Some(None),
        _ => t.parse().ok().filter(|at: &SocketAddr| at.ip().is_loopback()).map(Some),
    });
    r.close(section);
    let origins = if said.is_empty() { default_origins(service) } else { said };
    ConsoleSettings::new(origins, loopback).unwrap_or_else(ConsoleSettings::at_home)
}

fn default_origins(service: &ServiceSettings) -> Vec<String> {
    let name = service.names.first().map_or("localhost", String::as_str).to_ascii_lowercase();
    vec![match service.https.port() {
        443 => format!("https://{name}"),
        port => format!("https://{name}:{port}"),
    }]
}

/// `[witness]`.
pub(super) fn witness(r: &mut Reader<'_>) -> WitnessConfig {
    let mut section = r.section("witness");
    let s = &mut section;
    let keys = want("a list of logs' keys", "what `thingward audit key` shows as `key`");
    let config = WitnessConfig {
        home: folder((r, s), "home", WITNESS_HOME),
        listen: address((r, s), "listen", any(PORT)),
        logs: r.texts(s, "logs", keys, Vec::new(), |t| t.parse().ok()),
        connections: count((r, s), "connections", 256),
    };
    r.close(section);
    config
}

/// `[gateway]`.
pub(super) fn gateway(r: &mut Reader<'_>) -> GatewayConfig {
    let mut section = r.section("gateway");
    let (s, d) = (&mut section, QueueLimits::default());
    let relay = want("an address or off", "\"0.0.0.0:8443\" or \"off\"");
    let config = GatewayConfig {
        home: folder((r, s), "home", "/var/lib/thingward-gateway"),
        settings: GatewaySettings {
            listen: address((r, s), "listen", any(8884)),
            relay: r.text(s, "relay", relay, None, address_or_off),
            coap: r.text(s, "coap", COAP, None, address_or_off),
            uplink: endpoint((r, s), "uplink"),
            queue: QueueLimits {
                bytes_max: size((r, s), "queue", d.bytes_max),
                age_max: length((r, s), "queue_age", d.age_max),
            },
            connections: connections(r, s),
            serial: serial(r, s),
            radios: radios(r, s),
            home_assistant: home_assistant(r, s),
        },
    };
    r.close(section);
    config
}

/// `[gateway.serial.NAME]`: chips on serial lines.
fn serial<'a>(r: &mut Reader<'a>, parent: &mut Section<'a>) -> Vec<SerialSettings> {
    let section = r.subsection(parent, "serial");
    let sections = r.sections(section, LINES_MAX, |name| name.parse().ok());
    sections.into_iter().filter_map(|(name, section)| chip(r, name, section)).collect()
}

fn chip<'a>(r: &mut Reader<'a>, name: DeviceName, mut section: Section<'a>) -> Option<SerialSettings> {
    let s = &mut section;
    let line = want("an absolute path", "\"/dev/ttyUSB0\"");
    let claim = want("an absolute path", "\"/etc/thingward/door-1.claim\"");
    let speed = want("a speed in baud", "115200");
    let absolute = |t: &str| Some(PathBuf::from(t)).filter(|path| path.is_absolute());
    let line = r.needed(s, "line", line, absolute);
    let settings = SerialSettings {
        name,
        line: PathBuf::new(),
        baud: r.number(s, "baud", speed, BAUD, 300..=4_000_000),
        claim_file: r.text(s, "claim_file", claim, None, |t| absolute(t).map(Some)),
        description: r.text(s, "description", FILE, None, |t| absolute(t).map(Some)),
        local_link: r.text(s, "local_link_http", ADDRESS, None, |t| t.parse().ok().map(Some)),
    };
    r.close(section);
    Some(SerialSettings { line: line?, ..settings })
}

/// `[gateway.radio.NAME]`: radios.
fn radios<'a>(r: &mut Reader<'a>, parent: &mut Section<'a>) -> Vec<RadioSettings> {
    let section = r.subsection(parent, "radio");
    let sections = r.sections(section, RADIOS_MAX, |name| name.parse().ok());
    sections.into_iter().filter_map(|(name, section)| radio(r, name, section)).collect()
}

fn radio<'a>(r: &mut Reader<'a>, name: DeviceName, mut section: Section<'a>) -> Option<RadioSettings> {
    let s = &mut section;
    let kinds = want("zwave, zigbee, ble, zwave-js or zigbee2mqtt", "\"zwave\"");
    let line = want(
        "an absolute path, PATH?baud=NUMBER, tcp:localhost:PORT or tcp+insecure:HOST:PORT",
        "\"/dev/ttyUSB1\"",
    );
    let things = want("an address on the radio and a name", "[\"c0ffee01-5 bulb-1\"]");
    let kind = r.needed(s, "kind", kinds, Kind::of);
    let line = r.needed(s, "line", line, radio_line);
    let names = r.texts(s, "things", things, Vec::new(), |text| {
        let (address, name) = text.split_once(' ')?;
        Some((Address::new(address)?, name.trim().parse().ok()?))
    });
    let file = want("an absolute path", "\"/etc/thingward/zigbee2mqtt.credentials\"");
    let credentials_file = r.text(s, "credentials_file", file, None, |text| {
        Some(PathBuf::from(text)).filter(|path| path.is_absolute()).map(Some)
    });
    let days = want("a number of days from 1 to 3650", "365");
    let key_days = r.number(s, "key_days", days, KEY_DAYS, 1..=KEY_DAYS_MAX);
    r.close(section);
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("thingward"));
    Some(RadioSettings {
        name,
        kind: kind?,
        line: line?,
        names: names.into_iter().collect(),
        credentials_file,
        key_days,
        program,
    })
}

/// `[gateway.home_assistant]`: where things of radios are shown.
fn home_assistant<'a>(r: &mut Reader<'a>, parent: &mut Section<'a>) -> Option<HomeAssistantSettings> {
    let mut section = r.optional(parent, "home_assistant")?;
    let s = &mut section;
    let application = want("the name of an application", "\"home-assistant\"");
    let broker =
        want("tls:HOST:PORT, tcp:localhost:PORT or tcp+insecure:HOST:PORT", "\"tcp:localhost:1883\"");
    let prefix = want("a topic of letters, digits, - and _", "\"homeassistant\"");
    let credentials = want("an absolute path", "\"/etc/thingward/home-assistant.credentials\"");
    let ca = want("an absolute path", "\"/etc/thingward/broker-ca.pem\"");
    let absolute = |text: &str| Some(PathBuf::from(text)).filter(|path| path.is_absolute()).map(Some);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let application = r.needed(s, "application", application, |text| text.parse().ok());
    let ca_file = r.text(s, "ca_file", ca, None, absolute);
    let broker = r.needed(s, "broker", broker, |text| {
        let broker: Broker = text.parse().ok()?;
        // Nobody else says whose certificate is the broker's.
        (ca_file.is_some() || !matches!(broker, Broker::Tls(_))).then_some(broker)
    });
    let prefix = r.text(s, "prefix", prefix, "homeassistant".to_owned(), |text| {
        (!text.is_empty() && text.len() <= 64 && text.chars().all(is_plain)).then(|| text.to_owned())
    });
    let credentials_file = r.text(s, "credentials_file", credentials, None, absolute);
    r.close(section);
    Some(HomeAssistantSettings {
        application: application?,
        broker: broker?,
        prefix,
        credentials_file,
        ca_file,
    })
}

fn radio_line(text: &str) -> Option<String> {
    let line: line::Address = text.parse().ok()?;
    let is_right = match line {
        line::Address::Path { path, .. } => path.is_absolute(),
        line::Address::Loopback(_) | line::Address::InsecureTcp(_) => true,
    };
    is_right.then(|| text.to_owned())
}

/// `[device]` and `[device.streams]`.
pub(super) fn device(r: &mut Reader<'_>) -> DeviceConfig {
    let mut section = r.section("device");
    let (s, d) = (&mut section, AgentSettings::default());
    let sealed_for = want("service or customer", "\"service\"");
    let cipher = want("aes-256-gcm, chacha20-poly1305 or ascon-aead128", "\"aes-256-gcm\"");
    let mut streams = r.subsection(s, "streams");
    let config = DeviceConfig {
        home: folder((r, s), "home", "/var/lib/thingward-device"),
        description: r.text(s, "description", FILE, None, |t| {
            let path = PathBuf::from(t);
            path.is_absolute().then_some(Some(path))
        }),
        local_link: LocalAddresses {
            tls: r.text(s, "local_link", ADDRESS, None, |t| t.parse().ok().map(Some)),
            http: r.text(s, "local_link_http", ADDRESS, None, |t| t.parse().ok().map(Some)),
        },
        settings: AgentSettings {
            description: d.description,
            uplink: r.text(s, "uplink", ROUTE, None, |t| Route::parse(t, MQTT_PORT).ok().map(Some)),
            checkpoint_every: length((r, s), "checkpoint_every", d.checkpoint_every),
            limits: SpoolLimits {
                bytes_max: size((r, s), "buffer", d.limits.bytes_max),
                age_max: length((r, s), "buffer_age", d.limits.age_max),
            },
            confidentiality: r.text(s, "sealed_for", sealed_for, d.confidentiality, |t| t.parse().ok()),
            streams: r.rest(&mut streams, sealed_for, |key, t| Some((key.parse().ok()?, t.parse().ok()?))),
            cipher: r.text(s, "cipher", cipher, d.cipher, |t| match t {
                "aes-256-gcm" => Some(AeadAlgorithm::Aes256Gcm),
                "chacha20-poly1305" => Some(AeadAlgorithm::ChaCha20Poly1305),
                "ascon-aead128" => Some(AeadAlgorithm::AsconAead128),
                _ => None,
            }),
        },
    };
    r.close(section);
    config
}
