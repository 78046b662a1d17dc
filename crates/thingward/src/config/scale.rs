//! `[scale]`: what several nodes that are one service share.

use std::net::IpAddr;
use std::path::PathBuf;

use thingward_service::node::{BucketUrl, Network, Objects, ScaleSettings};
use url::Url;

use super::reader::{Reader, Section};
use super::roles::{MQTT_PORT, size, want};

/// Bytes of the journal from which on a snapshot takes its place, when nothing is said.
const JOURNAL_BYTES: u64 = 256 * 1024 * 1024;

/// `None` where the section is not there: the service is one machine.
pub(super) fn scale(r: &mut Reader<'_>) -> Option<ScaleSettings> {
    let mut section = r.optional_section("scale")?;
    let s = &mut section;
    let name = want("a name of letters, digits and -", "\"node-1\"");
    let servers = want(
        "a list of tls://HOST:PORT, or nats://localhost:PORT on this machine",
        "[\"tls://nats-1.example:4222\", \"tls://nats-2.example:4222\"]",
    );
    let file = want("an absolute path", "\"/etc/thingward/scale.key\"");
    let replicas = want("1, 3 or 5", "3");
    let port = want("a port", "8883");
    let networks = want("a list of addresses and networks", "[\"10.0.0.0/8\"]");
    let plain = |text: &str| {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        ((1..=32).contains(&text.len()) && text.bytes().all(is_plain)).then(|| text.to_owned())
    };
    let node = r.needed(s, "node", name, plain);
    let key_file = r.needed(s, "key_file", file, absolute);
    let nats_ca_file = r.text(s, "nats_ca_file", file, None, |text| absolute(text).map(Some));
    r.require(s, "nats", servers);
    let nats = r.texts(s, "nats", servers, Vec::new(), |text| server(text, nats_ca_file.is_some()));
    let settings = ScaleSettings {
        node: node.unwrap_or_default(),
        key_file: key_file.unwrap_or_default(),
        nats,
        nats_ca_file,
        nats_credentials_file: r
            .text(s, "nats_credentials_file", file, None, |text| absolute(text).map(Some)),
        nats_replicas: r.number(s, "nats_replicas", replicas, 3, 1..=5),
        nats_prefix: r.text(s, "nats_prefix", name, "thingward".to_owned(), plain),
        journal_bytes: size((r, s), "journal", JOURNAL_BYTES),
        objects: objects(r, s),
        postgres_file: r.needed(s, "postgres_file", file, absolute).unwrap_or_default(),
        mqtt_port: r.number(s, "mqtt_port", port, MQTT_PORT, 1..=u16::MAX),
        balancers: r.texts(s, "balancers", networks, Vec::new(), |text| text.parse::<Network>().ok()),
    };
    r.close(section);
    Some(settings)
}

/// With the journal when nothing is said; a bucket needs credentials, and nothing else has any.
fn objects<'a>(r: &mut Reader<'a>, s: &mut Section<'a>) -> Objects {
    let place = want(
        "\"nats\", or https://HOST/BUCKET?region=REGION, or http:// on this machine",
        "\"https://s3.example/thingward?region=eu-1\"",
    );
    let bucket = r.text(s, "objects", place, None, |text| match text {
        "nats" => Some(None),
        url => url.parse::<BucketUrl>().ok().map(Some),
    });
    let Some(bucket) = bucket else { return Objects::Nats };
    let credentials = want("an absolute path", "\"/etc/thingward/objects.credentials\"");
    let ca = want("an absolute path", "\"/etc/thingward/objects-ca.pem\"");
    Objects::S3 {
        bucket,
        credentials_file: r.needed(s, "objects_credentials_file", credentials, absolute).unwrap_or_default(),
        ca_file: r.text(s, "objects_ca_file", ca, None, |text| absolute(text).map(Some)),
    }
}

fn absolute(text: &str) -> Option<PathBuf> {
    Some(PathBuf::from(text)).filter(|path| path.is_absolute())
}

/// Without TLS on this machine only, and with TLS when somebody says whose certificates count.
fn server(text: &str, has_ca: bool) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let is_right = match url.scheme() {
        "tls" => has_ca,
        "nats" => is_here,
        _ => false,
    };
    let is_bare = url.username().is_empty() && url.password().is_none() && matches!(url.path(), "" | "/");
    (is_right && is_bare && url.query().is_none()).then(|| text.to_owned())
}
