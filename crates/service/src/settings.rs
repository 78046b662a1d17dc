//! What an operator decides, parsed and checked before any port opens.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use thingward_audit::cosignature::WitnessKey;
use thingward_ingress::ConnectionLimits;
use thingward_mqtt::broker;
use thingward_pki::Lifetimes;
use thingward_store::keys::Pkcs11Reference;
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
    /// Whose accounts people may sign in with.
    pub oidc: Vec<thingward_oidc::Settings>,
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
    Pkcs11(Pkcs11Reference),
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
