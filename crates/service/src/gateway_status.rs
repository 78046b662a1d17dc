//! What gateways say of themselves: their radios, the things behind them, what they refused. All of it is bounded, and on their
//! word alone.

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};
use thingward_model::{DeviceName, Link, TenantName, Timestamp};
use utoipa::ToSchema;

/// Largest status, in bytes.
pub(crate) const STATUS_BYTES_MAX: usize = 64 * 1024;
/// Largest report of a finding, in bytes.
const REPORT_BYTES_MAX: usize = 2 * 1024;
const RADIOS_MAX: usize = 32;
const CHILDREN_MAX: usize = 1000;
const REFUSED_MAX: usize = 64;

/// A line of at most `N` bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Line<const N: usize>(String);

impl<const N: usize> Line<N> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de, const N: usize> Deserialize<'de> for Line<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() > N || text.chars().any(char::is_control) {
            return Err(D::Error::custom(format!(
                "a text is longer than {N} bytes, or has control characters"
            )));
        }
        Ok(Self(text))
    }
}

/// A name of a radio or a thing, or the address of one.
type Name = Line<63>;

/// Longest [`Sentence`], in bytes.
const SENTENCE_BYTES_MAX: usize = 256;

/// A sentence for people. Things have a say in it, so what is too long is cut, and what is no character of a text is replaced:
/// one of them must not silence what the gateway says of all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Sentence(String);

impl<'de> Deserialize<'de> for Sentence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let said = String::deserialize(deserializer)?;
        let mut text = said.replace(char::is_control, "\u{fffd}");
        text.truncate(text.floor_char_boundary(SENTENCE_BYTES_MAX));
        Ok(Self(text))
    }
}

/// An RFC 3339 time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse_rfc3339(&text).map(Self).ok_or_else(|| D::Error::custom("a time is not of RFC 3339"))
    }
}

/// The word of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkWord(Link);

impl Serialize for LinkWord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for LinkWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| D::Error::custom("a link is none"))
    }
}

/// What a gateway says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct GatewayStatus {
    /// Its radios, at most 32.
    #[serde(default)]
    pub(crate) radios: Vec<RadioStatus>,
    /// The things behind it, at most 1000.
    #[serde(default)]
    pub(crate) children: Vec<ChildStatus>,
    /// How letting things join goes; null when nothing is open.
    #[serde(default)]
    pub(crate) admission: Option<JoinStatus>,
    /// What it refused last, newest first, at most 64.
    #[serde(default)]
    pub(crate) refused: Vec<RefusedThing>,
    /// The signed policies that it goes by; null when it has said of none.
    #[serde(default)]
    pub(crate) policies: Option<PoliciesStatus>,
}

/// The signed policies that a gateway goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct PoliciesStatus {
    /// The tenant's number of them.
    version: u64,
    /// When the service signed them last. They are gone by for a week from then.
    #[schema(value_type = String)]
    issued: Moment,
}

/// One radio, and the health of its driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct RadioStatus {
    /// As the gateway's configuration names it.
    #[schema(value_type = String)]
    name: Name,
    /// `zigbee`, `zwave`, `ble` and others.
    #[schema(value_type = String)]
    kind: Name,
    /// Whether it works.
    state: RadioState,
    /// Why it does not, for people.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    detail: Option<Sentence>,
    /// Names its network.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    network: Option<Name>,
    /// Bytes that came over its line, since its driver started.
    #[serde(default)]
    received: u64,
    /// What was refused of it.
    #[serde(default)]
    refused: u64,
    /// What found no room.
    #[serde(default)]
    dropped: u64,
    /// How often its driver was started again.
    #[serde(default)]
    restarts: u64,
}

/// Whether a radio works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RadioState {
    /// It does.
    Up,
    /// It does not.
    Down,
    /// Its driver begins.
    Starting,
}

/// A thing behind a radio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ChildStatus {
    /// Its name in the tenant.
    #[schema(value_type = String)]
    pub(crate) name: Name,
    /// The radio that it is behind.
    #[schema(value_type = String)]
    radio: Name,
    /// Who it is on that radio.
    #[schema(value_type = String)]
    address: Name,
    /// The best that protects its link.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    link: Option<LinkWord>,
    /// What its description calls it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    title: Option<Sentence>,
    /// When it said something last.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    last_seen: Option<Moment>,
    /// Messages of it that wait at the gateway.
    #[serde(default)]
    waiting: u64,
}

/// How letting things join goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct JoinStatus {
    /// Where it is.
    state: JoinState,
    /// Over which radio.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    radio: Option<Name>,
    /// In words.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    detail: Option<Sentence>,
}

/// Where letting things join is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum JoinState {
    /// It waits for things.
    Open,
    /// One is joining.
    Joining,
    /// Nobody is let in.
    Closed,
}

/// What was not let in, or not believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct RefusedThing {
    /// When.
    #[schema(value_type = String)]
    time: Moment,
    /// By which radio.
    #[schema(value_type = String)]
    radio: Name,
    /// Who, as far as one knows.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    thing: Option<Name>,
    /// What kind of thing happened.
    kind: RefusedKind,
    /// Why.
    #[schema(value_type = String)]
    reason: Sentence,
}

/// What kind of thing was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RefusedKind {
    /// A thing that wanted to join.
    Join,
    /// A message that was sent before.
    Replay,
    /// A message that is not authentic.
    Forgery,
    /// A message that is none.
    Malformed,
}

/// What a gateway found of its radios and things, and of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Report {
    pub(crate) kind: ReportKind,
    #[serde(default)]
    radio: Option<Name>,
    #[serde(default)]
    thing: Option<Name>,
    detail: Sentence,
}

/// What a gateway finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ReportKind {
    RadioDown,
    InsecureJoin,
    Replay,
    Flood,
    DriverCrash,
    QueueDamaged,
}

impl ReportKind {
    /// The word that findings have.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::RadioDown => "radio-down",
            Self::InsecureJoin => "insecure-join",
            Self::Replay => "radio-replay",
            Self::Flood => "flood",
            Self::DriverCrash => "driver-crash",
            Self::QueueDamaged => "queue-damaged",
        }
    }
}

/// Why what a gateway says of itself is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StatusError {
    /// Too many bytes.
    #[error("more than {0} bytes")]
    TooLarge(usize),
    /// Not of this form.
    #[error("not of the form that it has to have: line {}, column {}", .0.line(), .0.column())]
    Malformed(serde_json::Error),
    /// Too many items.
    #[error("more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
}

impl GatewayStatus {
    /// Of what a gateway published. What is not known here is left out.
    ///
    /// # Errors
    ///
    /// [`StatusError`].
    pub(crate) fn parse(json: &[u8]) -> Result<Self, StatusError> {
        let status: Self = parse(json, STATUS_BYTES_MAX)?;
        for (what, count, max) in [
            ("radios", status.radios.len(), RADIOS_MAX),
            ("children", status.children.len(), CHILDREN_MAX),
            ("refused things", status.refused.len(), REFUSED_MAX),
        ] {
            if count > max {
                return Err(StatusError::TooMany { what, max });
            }
        }
        Ok(status)
    }
}

impl Report {
    /// Of what a gateway published.
    ///
    /// # Errors
    ///
    /// [`StatusError`].
    pub(crate) fn parse(json: &[u8]) -> Result<Self, StatusError> {
        parse(json, REPORT_BYTES_MAX)
    }

    /// The member that it is about, if it can be one.
    pub(crate) fn member(&self) -> Option<DeviceName> {
        self.thing.as_ref().and_then(|thing| thing.as_str().parse().ok())
    }

    /// In words.
    pub(crate) fn detail(&self) -> String {
        let about = self.radio.iter().chain(&self.thing);
        let about = about.map(|name| format!("{}: ", name.as_str())).collect::<String>();
        format!("{about}{}", self.detail.0)
    }
}

fn parse<T: for<'a> Deserialize<'a>>(json: &[u8], bytes_max: usize) -> Result<T, StatusError> {
    if json.len() > bytes_max {
        return Err(StatusError::TooLarge(bytes_max));
    }
    serde_json::from_slice(json).map_err(StatusError::Malformed)
}

/// The latest status of a gateway, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptStatus {
    /// When it came, in microseconds.
    at: i64,
    /// What it said.
    pub(crate) status: GatewayStatus,
}

impl KeptStatus {
    pub(crate) const fn new(at: Timestamp, status: GatewayStatus) -> Self {
        Self { at: at.as_micros(), status }
    }

    /// When it came.
    pub(crate) const fn at(&self) -> Timestamp {
        Timestamp::from_micros(self.at)
    }
}

/// The key under which a gateway's status is kept.
pub(crate) fn key(tenant: &TenantName, gateway: &DeviceName) -> Vec<u8> {
    format!("status\0{tenant}\0{gateway}").into_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn status() -> Json {
        json!({
            "radios": [{"name": "zigbee", "kind": "zigbee", "state": "down", "detail": "the line is gone",
                "network": null, "received": 12, "refused": 1, "dropped": 0, "restarts": 3, "new": true}],
            "children": [{"name": "lamp", "radio": "zigbee", "address": "00124b0001020304", "waiting": 2,
                "link": "zigbee-link-key", "title": "Lamp", "last_seen": "2026-01-31T12:00:00Z"}],
            "admission": {"state": "joining", "radio": "zigbee", "detail": "keys"},
            "refused": [{"time": "2026-01-31T12:00:00Z", "radio": "zigbee", "thing": null, "kind": "join",
                "reason": "the well-known key"}],
            "policies": null,
        })
    }

    fn parsed(json: &Json) -> Result<GatewayStatus, StatusError> {
        GatewayStatus::parse(json.to_string().as_bytes())
    }

    #[test]
    fn a_status_is_passed_on_without_what_is_not_known_of_it() {
        let mut shown = status();
        let read = parsed(&shown).unwrap();
        shown["radios"][0].as_object_mut().unwrap().remove("new");
        assert_eq!(serde_json::to_value(&read).unwrap(), shown);
        assert_eq!(parsed(&json!({})).unwrap(), GatewayStatus::default());
    }

    #[test]
    fn nothing_in_a_status_is_longer_or_other_than_it_may_be() {
        for (place, value) in [
            ("/radios/0/name", json!("x".repeat(64))),
            ("/children/0/address", json!("a\u{1b}[31m")),
            ("/radios/0/detail", json!(7)),
            ("/radios/0/state", json!("odd")),
            ("/radios/0/received", json!(-1)),
            ("/children/0/link", json!("end-to-end")),
            ("/children/0/last_seen", json!("monday")),
            ("/refused/0/kind", json!("odd")),
            ("/admission/state", json!(7)),
            ("/radios", json!(vec![status()["radios"][0].clone(); 33])),
            ("/refused", json!(vec![status()["refused"][0].clone(); 65])),
            ("/children", json!("x".repeat(STATUS_BYTES_MAX))),
        ] {
            let mut bad = status();
            *bad.pointer_mut(place).unwrap() = value;
            assert!(parsed(&bad).is_err(), "{place}");
        }
        let whole = status().to_string().into_bytes();
        for end in 0..whole.len() {
            assert!(GatewayStatus::parse(&whole[..end]).is_err());
        }
    }

    #[test]
    fn what_a_thing_is_called_is_cut_and_cleaned_and_does_not_silence_the_gateway() {
        let mut odd = status();
        odd["children"][0]["title"] = json!(format!("a\u{1b}[31m{}", "ä".repeat(200)));
        let title = parsed(&odd).unwrap().children[0].title.clone().unwrap().0;
        assert!(title.starts_with("a\u{fffd}[31mää") && title.len() <= SENTENCE_BYTES_MAX, "{title}");
    }

    #[test]
    fn a_report_says_what_was_found_in_the_words_of_findings() {
        let read = |json: Json| Report::parse(json.to_string().as_bytes());
        let flood = json!({"kind": "flood", "radio": "zigbee", "thing": "lamp", "detail": "900 in a second"});
        let report = read(flood).unwrap();
        assert_eq!((report.kind.as_str(), &*report.detail()), ("flood", "zigbee: lamp: 900 in a second"));
        assert_eq!(report.member(), "lamp".parse().ok());
        let damage = read(json!({"kind": "queue-damaged", "detail": "a message of lamp"})).unwrap();
        assert_eq!((damage.kind.as_str(), &*damage.detail()), ("queue-damaged", "a message of lamp"));
        assert_eq!(damage.member(), None);
        assert!(read(json!({"kind": "odd", "radio": "zigbee", "detail": "x"})).is_err());
        assert!(read(json!({"kind": "flood", "radio": "zigbee", "detail": "x".repeat(3000)})).is_err());
    }
}
