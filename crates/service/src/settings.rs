//! What an operator decides, parsed and checked before any port opens.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use thingward_audit::cosignature::WitnessKey;
use thingward_ingress::ConnectionLimits;
use thingward_mqtt::broker;
use thingward_pkcs11::TokenReference;
use thingward_pki::Lifetimes;
use thingward_witness::Fingerprint;
use thingward_witness::client::Url;

/// How a service runs.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// Everything that it keeps.
    pub data_dir: PathBuf,
    /// The name after `spiffe://` in every identity. Fixed at the first start.
    pub trust_domain: String,
    /// MQTT over TLS.
    pub mqtt: SocketAddr,
    /// HTTPS: enrolment and API.
    pub https: SocketAddr,
    /// CoAP under OSCORE, where it is spoken.
    pub coap: Option<SocketAddr>,
    /// DNS names in the service's certificate.
    pub names: Vec<String>,
    /// Addresses in the service's certificate.
    pub addresses: Vec<IpAddr>,
    /// Where the keys of the certificate authority are.
    pub authority_keys: AuthorityKeys,
    /// How long certificates live.
    pub lifetimes: Lifetimes,
    /// Bounds of the MQTT listener.
    pub mqtt_limits: broker::Limits,
    /// Bounds of connections.
    pub connections: ConnectionLimits,
    /// When readings go to history.
    pub history: HistorySettings,
    /// Who co-signs the audit logs.
    pub log: LogSettings,
    /// Where browsers find the console.
    pub console: ConsoleSettings,
    /// Whose accounts people may sign in with.
    pub oidc: Vec<thingward_oidc::Settings>,
    /// Who takes cards; nobody where nothing is sold.
    pub payments: Option<PaymentSettings>,
}

/// Who takes cards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentSettings {
    /// Where the test provider is, `http` on this machine.
    pub testbed: String,
    /// The file with the key by which it knows us; only its owner may read it.
    pub api_key_file: PathBuf,
    /// The file with the secret that its messages are signed with; only its owner may read it.
    pub webhook_secret_file: PathBuf,
}

/// Where browsers find the console, and what passkeys are made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleSettings {
    /// As browsers write them, all of one host: `https://console.example`. Links lead to the first.
    pub origins: Vec<String>,
    /// The host of all of them.
    rp_id: String,
    /// A listener without TLS for a proxy in front, on this machine only.
    pub loopback: Option<SocketAddr>,
}

impl ConsoleSettings {
    /// The console at these origins; `None` when they are not `https://host[:port]`, or `http://localhost[:port]`, or not
    /// all of one host.
    #[must_use]
    pub fn new(origins: Vec<String>, loopback: Option<SocketAddr>) -> Option<Self> {
        let rp_id = origin_host(origins.first()?)?.to_owned();
        let is_right = |origin: &String| origin_host(origin) == Some(rp_id.as_str());
        let all_right = origins.iter().all(is_right) && loopback.is_none_or(|at| at.ip().is_loopback());
        all_right.then_some(Self { origins, rp_id, loopback })
    }

    /// The console of a service that nobody gave a name.
    #[must_use]
    pub fn at_home() -> Self {
        let origins = vec!["https://localhost:8443".to_owned()];
        Self { origins, rp_id: "localhost".to_owned(), loopback: None }
    }

    /// What passkeys are made for: WebAuthn Level 3 §5.4.2.
    #[must_use]
    pub fn rp_id(&self) -> &str {
        &self.rp_id
    }

    /// A place in the console.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origins.first().map_or("", String::as_str))
    }
}

/// The host of an origin in the one form that browsers give it. A browser lets pages of others use passkeys never, and of
/// `http` only from this machine.
fn origin_host(origin: &str) -> Option<&str> {
    let (scheme, rest) = origin.split_once("://")?;
    let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
    let is_host = !host.is_empty()
        && host.split('.').all(|label| !label.is_empty())
        && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
        && host.parse::<IpAddr>().is_err();
    let default = if scheme == "https" { "443" } else { "80" };
    let is_port =
        port.is_none_or(|p| p != default && p.parse::<u16>().is_ok_and(|n| n > 0 && n.to_string() == p));
    let is_scheme = scheme == "https" || scheme == "http" && host == "localhost";
    (is_scheme && is_host && is_port).then_some(host)
}

/// Who co-signs the audit logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// Who may.
    pub witnesses: Vec<WitnessSettings>,
    /// How many have to, before a checkpoint is published; 0 where there are none.
    pub quorum: usize,
}

/// A witness, as `VKEY URL FINGERPRINT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessSettings {
    /// Whose cosignature it is.
    pub key: WitnessKey,
    /// Where it is asked.
    pub url: Url,
    /// The certificate that it shows there.
    pub fingerprint: Fingerprint,
}

/// A text is not `VKEY URL FINGERPRINT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a witness: VKEY URL FINGERPRINT, as `thingward witness init` shows it")]
pub struct NoWitness;

impl FromStr for WitnessSettings {
    type Err = NoWitness;

    fn from_str(text: &str) -> Result<Self, NoWitness> {
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or(NoWitness);
        let (key, url, fingerprint) = (word()?, word()?, word()?);
        let witness = Self {
            key: key.parse().map_err(|_| NoWitness)?,
            url: url.parse().map_err(|_| NoWitness)?,
            fingerprint: fingerprint.parse().map_err(|_| NoWitness)?,
        };
        if words.next().is_none() { Ok(witness) } else { Err(NoWitness) }
    }
}

/// Where the keys of the certificate authority are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthorityKeys {
    /// In the data directory, sealed.
    Sealed,
    /// In a PKCS#11 token; made there at the first start.
    Token(TokenReference),
}

/// When readings go to history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistorySettings {
    /// How often the hot part is looked at.
    pub every: Duration,
    /// Fewer rows than this stay hot, unless they are older than `age_max`.
    pub rows_min: usize,
    /// Rows older than this go, signed or not.
    pub age_max: Duration,
}

impl Default for HistorySettings {
    /// Every minute, from 50 000 rows on, after an hour in any case.
    fn default() -> Self {
        Self { every: Duration::from_secs(60), rows_min: 50_000, age_max: Duration::from_secs(3600) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_is_at_origins_of_one_host_where_browsers_allow_passkeys() {
        let made = |origins: &[&str]| {
            let console = ConsoleSettings::new(origins.iter().map(|o| (*o).to_owned()).collect(), None);
            console.map(|c| c.rp_id().to_owned())
        };
        assert_eq!(made(&["https://console.example"]).as_deref(), Some("console.example"));
        assert_eq!(made(&["http://localhost:8480", "https://localhost:8443"]).as_deref(), Some("localhost"));
        for bad in [
            "console.example",
            "http://console.example",
            "https://",
            "https://a..b",
            "https://A.example",
            "https://a.example/",
            "https://a.example:443",
            "https://a.example:0",
            "https://a.example:08443",
            "https://127.0.0.1:8443",
            "ftp://localhost",
            "https://a.example:x",
            "https://user@a.example",
        ] {
            assert_eq!(made(&[bad]), None, "{bad}");
        }
        assert_eq!(made(&["https://a.example", "https://b.example"]), None);
        assert_eq!(made(&[]), None);
        let at = |address: &str| {
            let origins = vec!["https://a.example".to_owned()];
            ConsoleSettings::new(origins, Some(address.parse().unwrap())).is_some()
        };
        assert!(at("127.0.0.1:8480") && at("[::1]:8480"));
        assert!(!at("0.0.0.0:8480") && !at("192.0.2.1:8480"));
    }
}
