//! Topics: what a client calls them, and what the broker calls them inside.
//!
//! Inside, everything is below `t/<tenant>/`. A device sees `devices/me/…`, an application sees `devices/<name>/…`
//! of its tenant, and neither can write a name that leads anywhere else.

use bytes::Bytes;
use thingward_grant::Nonce;
use thingward_model::limits::TOPIC_BYTES_MAX;
use thingward_model::{ActionName, DeviceName, Principal, Role, StreamName, TenantName};
use thingward_mqtt::codec::{ReasonCode, Text};
use thingward_mqtt::topic::{TopicFilter, TopicName};
use thingward_seal::command::CommandId;
use zeroize::Zeroizing;

/// What of a topic says what was taken back, behind `devices/<name>/`.
pub(crate) const REVOCATION: &str = "grants/revocation";
/// What of a topic asks for evidence, behind `devices/<name>/`.
pub(crate) const ATTESTATION: &str = "attestation";

/// What of a topic says that a device's membership is another now, behind `devices/<name>/`.
pub(crate) const MEMBERSHIP: &str = "membership";

/// What of a topic says what a gateway may enrol, behind `devices/<name>/`.
pub(crate) const ADMISSION: &str = "admission";
/// What of a topic has a gateway give the networks of its radios another key, behind `devices/<name>/`.
pub(crate) const ROLL: &str = "roll";
/// Longest text that says it, in bytes.
const ADMISSION_BYTES_MAX: usize = 1024;

/// What a gateway is told of its admission: so many seconds from now, none when it is closed. `radio` and the printed code are
/// of printable ASCII.
#[must_use]
pub(crate) fn admission(
    seconds: u32,
    radio: Option<&DeviceName>,
    printed: Option<&str>,
) -> Zeroizing<String> {
    // Room for all of it at once: a text that grows leaves copies behind.
    let mut told = Zeroizing::new(String::with_capacity(ADMISSION_BYTES_MAX));
    told.push_str(r#"{"seconds":"#);
    told.push_str(&seconds.to_string());
    let parts = [(r#","radio":""#, radio.map(DeviceName::as_str)), (r#","printed":""#, printed)];
    for (name, value) in parts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        told.push_str(name);
        for character in value.chars() {
            if matches!(character, '"' | '\\') {
                told.push('\\');
            }
            told.push(character);
        }
        told.push('"');
    }
    told.push('}');
    told
}

/// What a gateway is told of the keys of its radios' networks: all of them, or that of one radio.
#[must_use]
pub(crate) fn roll(radio: Option<&DeviceName>) -> Zeroizing<String> {
    Zeroizing::new(serde_json::json!({"radio": radio.map(DeviceName::as_str)}).to_string())
}

/// [`REVOCATION`] of a device behind a gateway, for the gateway.
#[must_use]
pub(crate) fn revocation_of(child: &DeviceName) -> String {
    format!("children/{child}/{REVOCATION}")
}

/// [`ATTESTATION`] of a device behind a gateway, for the gateway.
#[must_use]
pub(crate) fn attestation_of(child: &DeviceName) -> String {
    format!("children/{child}/{ATTESTATION}")
}

/// How long the time is an answer, in seconds: a device takes none after a minute.
pub(crate) const TIME_SECONDS: u32 = 60;

/// What of a topic says what time it was when somebody asked with `nonce`, behind `devices/<name>/`.
#[must_use]
pub(crate) fn time(nonce: &Nonce) -> String {
    format!("time/{}", base16ct::lower::encode_string(nonce))
}

/// What a device publishes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceTopic<'a> {
    /// `devices/me/telemetry/<stream>`
    Telemetry(StreamName),
    /// `devices/me/replies/…` or `devices/me/state/…`: the part behind `devices/me/`.
    Other(&'a str),
    /// `devices/me/uses/<nonce>`: a use of a grant.
    Use(Nonce),
    /// `devices/me/time/<nonce>`: a question for the time.
    Time(Nonce),
    /// `devices/me/forward`: an envelope of a gateway.
    Forward,
    /// `devices/me/status`: how a gateway is.
    Status,
    /// `devices/me/findings`: what a gateway found.
    Findings,
    /// `devices/me/accounts`: what a gateway did by itself.
    Account,
}

/// Reads a topic that a device or gateway publishes to.
#[must_use]
pub(crate) fn parse_device_topic(topic: &str) -> Option<DeviceTopic<'_>> {
    if topic.len() > TOPIC_BYTES_MAX {
        return None;
    }
    let rest = topic.strip_prefix("devices/me/")?;
    match rest {
        "forward" => return Some(DeviceTopic::Forward),
        "status" => return Some(DeviceTopic::Status),
        "findings" => return Some(DeviceTopic::Findings),
        "accounts" => return Some(DeviceTopic::Account),
        _ => {}
    }
    if let Some(stream) = rest.strip_prefix("telemetry/") {
        return stream.parse().ok().map(DeviceTopic::Telemetry);
    }
    if let Some(nonce) = rest.strip_prefix("uses/") {
        return crate::command::parse_id(nonce).map(DeviceTopic::Use);
    }
    if let Some(nonce) = rest.strip_prefix("time/") {
        return crate::command::parse_id(nonce).map(DeviceTopic::Time);
    }
    let (area, name) = rest.split_once('/')?;
    (matches!(area, "replies" | "state") && !name.is_empty()).then_some(DeviceTopic::Other(rest))
}

/// The inner name of a topic of a device: `rest` is what stands behind `devices/<name>/`.
#[must_use]
pub(crate) fn inner(tenant: &TenantName, device: &DeviceName, rest: &str) -> Option<TopicName> {
    name(&format!("t/{tenant}/devices/{device}/{rest}"))
}

/// The levels of the inner name under which readings are told.
pub(crate) fn telemetry_levels<'a>(
    tenant: &'a TenantName,
    device: &'a DeviceName,
    stream: &'a StreamName,
) -> [&'a str; 6] {
    ["t", tenant.as_str(), "devices", device.as_str(), "telemetry", stream.as_str()]
}

/// What the inner names of one device's topics begin with, as bytes.
#[must_use]
pub(crate) fn device_part(inner: &TopicName) -> Bytes {
    inner.as_str().splitn(5, '/').take(4).collect::<Vec<_>>().join("/").into()
}

/// What an application publishes to: `devices/<name>/commands/<operation>`, nothing else.
#[must_use]
pub(crate) fn parse_command(topic: &str) -> Option<(DeviceName, ActionName)> {
    let rest = topic.strip_prefix("devices/").filter(|_| topic.len() <= TOPIC_BYTES_MAX)?;
    let (device, rest) = rest.split_once('/')?;
    Some((device.parse().ok()?, rest.strip_prefix("commands/")?.parse().ok()?))
}

/// The id of a signed command in a topic as a device or gateway sees it, and for whom behind a gateway it is; `None` for
/// what is none of ours.
#[must_use]
pub(crate) fn command_id(topic: &str) -> Option<(Option<DeviceName>, CommandId)> {
    let rest = topic.strip_prefix("devices/me/")?;
    let (child, rest) = match rest.strip_prefix("children/") {
        Some(behind) => {
            let (child, rest) = behind.split_once('/')?;
            (Some(child.parse().ok()?), rest)
        }
        None => (None, rest),
    };
    Some((child, rest.strip_prefix("commands/").and_then(crate::command::parse_id)?))
}

/// The area of a topic behind `devices/<name>/`, as policies see it: a stream of that name.
///
/// # Errors
///
/// The reason that the publisher is told.
pub(crate) fn area(rest: &str) -> Result<StreamName, ReasonCode> {
    rest.split('/').next().and_then(|area| area.parse().ok()).ok_or(ReasonCode::TopicNameInvalid)
}

/// The inner filter of a subscription; `None` when `who` may not ask for it.
#[must_use]
pub(crate) fn inner_filter(who: &Principal, filter: &TopicFilter) -> Option<TopicFilter> {
    let pattern = filter.pattern_str();
    let inner = match who.role {
        Role::Application => {
            // Every level of a tenant's tree is the application's to read, so any filter is right in it.
            format!("t/{}/{pattern}", who.tenant)
        }
        Role::Device | Role::Gateway => {
            let rest = pattern.strip_prefix("devices/me/")?;
            let area = rest.split('/').next()?;
            let is_own = matches!(area, "commands" | "state" | "grants" | "time" | ATTESTATION | MEMBERSHIP);
            if !(is_own || matches!(area, "children" | ADMISSION | ROLL) && who.role == Role::Gateway) {
                return None;
            }
            format!("t/{}/devices/{}/{rest}", who.tenant, who.name)
        }
    };
    let text = match filter.shared() {
        None => inner,
        Some(shared) => format!("$share/{}/{inner}", std::str::from_utf8(&shared.group).ok()?),
    };
    TopicFilter::try_from(Text::try_from(text.as_str()).ok()?).ok()
}

/// The topic as `who` sees it; `None` when it is not theirs.
#[must_use]
pub(crate) fn outer(who: &Principal, topic: &TopicName) -> Option<TopicName> {
    let rest = topic.as_str().strip_prefix("t/")?.strip_prefix(who.tenant.as_str())?.strip_prefix('/')?;
    match who.role {
        Role::Application => name(rest),
        Role::Device | Role::Gateway => {
            let rest = rest.strip_prefix("devices/")?.strip_prefix(who.name.as_str())?.strip_prefix('/')?;
            name(&format!("devices/me/{rest}"))
        }
    }
}

fn name(text: &str) -> Option<TopicName> {
    TopicName::try_from(Text::try_from(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(role: Role) -> Principal {
        Principal { tenant: "acme".parse().unwrap(), role, name: "meter-1".parse().unwrap() }
    }

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::try_from(Text::try_from(text).unwrap()).unwrap()
    }

    #[track_caller]
    fn check_filter(role: Role, asked: &str, want: Option<&str>) {
        let got = inner_filter(&who(role), &filter(asked));
        assert_eq!(got.as_ref().map(TopicFilter::as_str), want, "{asked}");
    }

    #[test]
    fn a_device_subscribes_to_what_is_its_own_and_for_it_only() {
        check_filter(Role::Device, "devices/me/commands/#", Some("t/acme/devices/meter-1/commands/#"));
        check_filter(Role::Device, "devices/me/grants/#", Some("t/acme/devices/meter-1/grants/#"));
        check_filter(Role::Device, "devices/me/time/+", Some("t/acme/devices/meter-1/time/+"));
        check_filter(Role::Device, "devices/me/state/+", Some("t/acme/devices/meter-1/state/+"));
        check_filter(Role::Device, "devices/me/attestation", Some("t/acme/devices/meter-1/attestation"));
        check_filter(Role::Gateway, "devices/me/admission", Some("t/acme/devices/meter-1/admission"));
        check_filter(Role::Gateway, "devices/me/roll", Some("t/acme/devices/meter-1/roll"));
        check_filter(Role::Device, "devices/me/membership", Some("t/acme/devices/meter-1/membership"));
        for asked in [
            "#",
            "+/me/commands",
            "devices/+/commands/#",
            "devices/me/#",
            "devices/other/commands/x",
            "devices/other/grants/#",
            "devices/me/telemetry/climate",
            "devices/me/uses/#",
            "devices/me/admission",
            "devices/me/roll",
            "t/acme/#",
            "devices/me/+/x",
        ] {
            check_filter(Role::Device, asked, None);
        }
    }

    #[test]
    fn an_application_sees_its_tenants_tree_and_nothing_above() {
        check_filter(Role::Application, "devices/+/telemetry/#", Some("t/acme/devices/+/telemetry/#"));
        check_filter(Role::Application, "#", Some("t/acme/#"));
        check_filter(Role::Application, "$share/g/devices/#", Some("$share/g/t/acme/devices/#"));
        let application = who(Role::Application);
        assert!(outer(&application, &name("t/acme2/devices/x/state/y").unwrap()).is_none());
        let seen = outer(&application, &name("t/acme/devices/x/state/y").unwrap()).unwrap();
        assert_eq!(seen.as_str(), "devices/x/state/y");
    }

    #[test]
    fn an_application_publishes_commands_only() {
        let parsed = |t| parse_command(t).map(|(device, operation)| format!("{device} {operation}"));
        assert_eq!(parsed("devices/x/commands/on"), Some("x on".to_owned()));
        for topic in [
            "devices/x/telemetry/climate",
            "devices/x/commands",
            "devices/x/commands/",
            "devices/x/commands/a/b",
            "x",
            "devices//commands/x",
        ] {
            assert_eq!(parsed(topic), None, "{topic}");
        }
    }

    #[test]
    fn a_device_publishes_telemetry_replies_uses_state_and_questions() {
        assert!(matches!(
            parse_device_topic("devices/me/telemetry/climate"),
            Some(DeviceTopic::Telemetry(_))
        ));
        assert_eq!(parse_device_topic("devices/me/state/on"), Some(DeviceTopic::Other("state/on")));
        let nonce = "0123456789abcdef0123456789abcdef";
        assert!(matches!(parse_device_topic(&format!("devices/me/uses/{nonce}")), Some(DeviceTopic::Use(_))));
        let question = format!("devices/me/time/{nonce}");
        assert!(matches!(parse_device_topic(&question), Some(DeviceTopic::Time(_))));
        assert_eq!(parse_device_topic("devices/me/forward"), Some(DeviceTopic::Forward));
        assert_eq!(parse_device_topic("devices/me/status"), Some(DeviceTopic::Status));
        assert_eq!(parse_device_topic("devices/me/findings"), Some(DeviceTopic::Findings));
        assert_eq!(parse_device_topic("devices/me/accounts"), Some(DeviceTopic::Account));
        for topic in [
            "devices/me/commands/x",
            "devices/me/uses/0123456789ABCDEF0123456789ABCDEF",
            "devices/me/uses/01",
            "devices/me/time",
            "devices/me/time/01",
            "devices/me/grants/revocation",
            "devices/me/membership",
            "devices/me/status/x",
            "devices/me/admission",
            "devices/me/roll",
            "devices/other/telemetry/x",
            "devices/me/telemetry/a/b",
            "devices/me/state",
            "devices/me/state/",
            "devices/me/telemetry/",
        ] {
            assert_eq!(parse_device_topic(topic), None, "{topic}");
        }
    }

    #[test]
    fn an_admission_is_json_whatever_is_printed_on_a_thing() {
        for code in ["12345", r#"a"b\c"#, "90ab:cd ef{}"] {
            let told = admission(600, Some(&"zigbee-1".parse().unwrap()), Some(code));
            let read: serde_json::Value = serde_json::from_str(&told).unwrap();
            assert_eq!(read, serde_json::json!({"seconds": 600, "radio": "zigbee-1", "printed": code}));
        }
        assert_eq!(*admission(0, None, None), r#"{"seconds":0}"#);
    }

    #[test]
    fn a_name_that_begins_like_another_is_not_it() {
        let device = who(Role::Device);
        assert!(outer(&device, &name("t/acme/devices/meter-10/commands/x").unwrap()).is_none());
        let seen = outer(&device, &name("t/acme/devices/meter-1/commands/x").unwrap()).unwrap();
        assert_eq!(seen.as_str(), "devices/me/commands/x");
    }
}
