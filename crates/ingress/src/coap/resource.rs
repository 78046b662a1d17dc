//! What is asked for: method and path as one of what there is.

use thingward_coap::endpoint::Packet;
use thingward_coap::message::{Code, OptionNumber};
use thingward_coap::wire::{format, is_of, path};
use thingward_model::StreamName;
use zeroize::Zeroizing;

/// Under a security context.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resource {
    /// For everybody with a context.
    Open(Open),
    /// For members.
    Members(Members),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Open {
    Links,
    Answerer,
    Authorities,
    /// With the code of the claim.
    Enrol(Zeroizing<String>),
    Join,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Members {
    Renew,
    Membership,
    Down,
    /// What was shown under this number is taken.
    Taken(u32),
    Beacon,
    EvidenceNonce,
    Attest,
    /// Something for the service, where a device with MQTT would publish it.
    Say(String),
}

/// In front of the code of a claim, in a query that nobody but this end reads.
const CODE: &[u8] = b"code=";

/// Links to what members have, RFC 6690.
pub(super) const LINKS: &str = "</.well-known/edhoc>;rt=core.edhoc,</est/crts>;rt=ace.est.crts,\
    </est/sen>;rt=ace.est.sen,</est/sren>;rt=ace.est.sren,</t>;ct=\"42 110 112\",</d>;ct=432,</m>;ct=50,</c>;ct=60;obs,</b>,</a>";
/// To what everybody may ask for.
pub(super) const OPEN_LINKS: &str = "</.well-known/edhoc>;rt=core.edhoc";

/// What a request is for, or the code that refuses it.
pub(super) fn of(request: &Packet) -> Result<Resource, Code> {
    let segments: Result<Vec<&str>, _> =
        request.values(OptionNumber::URI_PATH).map(std::str::from_utf8).collect();
    let segments = segments.map_err(|_| Code::NOT_FOUND)?;
    let segments = match &segments[..] {
        [path::WELL_KNOWN, rest @ ..] if rest.first() == Some(&path::EST) => rest,
        all => all,
    };
    let (method, resource, formats) = named(request, segments)?;
    if request.code != method {
        return Err(Code::METHOD_NOT_ALLOWED);
    }
    if formats.is_empty() || is_of(request, formats) {
        Ok(resource)
    } else {
        Err(Code::UNSUPPORTED_CONTENT_FORMAT)
    }
}

/// Content formats; none for any.
type Formats = &'static [u16];
type Named = (Code, Resource, Formats);

const READINGS: Formats =
    &[format::OCTETS, format::SENML_CBOR, format::SENML_JSON, format::JSON, format::CBOR];

/// What is at a path, how it is asked for, and with which content formats.
fn named(request: &Packet, segments: &[&str]) -> Result<Named, Code> {
    let open = |method, resource, formats: Formats| Ok((method, Resource::Open(resource), formats));
    let members = |method, resource, formats: Formats| Ok((method, Resource::Members(resource), formats));
    let say = |topic: String, formats: Formats| members(Code::POST, Members::Say(topic), formats);
    match segments {
        path::CORE => open(Code::GET, Open::Links, &[]),
        path::ANSWERER => open(Code::GET, Open::Answerer, &[]),
        path::AUTHORITIES => open(Code::GET, Open::Authorities, &[]),
        path::ENROL => open(Code::POST, Open::Enrol(code_of(request)?), &[format::REQUEST]),
        path::JOIN => open(Code::POST, Open::Join, &[]),
        path::RENEW => members(Code::POST, Members::Renew, &[format::REQUEST]),
        path::MEMBERSHIP => members(Code::GET, Members::Membership, &[]),
        path::DOWN => members(Code::GET, Members::Down, &[]),
        ["c", number] => {
            let number = number.parse().map_err(|_| Code::NOT_FOUND)?;
            members(Code::DELETE, Members::Taken(number), &[])
        }
        path::BEACON => members(Code::POST, Members::Beacon, &[]),
        path::ATTESTATION if request.code == Code::GET => members(Code::GET, Members::EvidenceNonce, &[]),
        path::ATTESTATION => members(Code::POST, Members::Attest, &[]),
        path::DESCRIPTION => {
            let topic = "devices/me/state/description".to_owned();
            members(Code::PUT, Members::Say(topic), &[format::DESCRIPTION, format::JSON])
        }
        [path::TELEMETRY, stream] => {
            let stream: StreamName = stream.parse().map_err(|_| Code::NOT_FOUND)?;
            say(format!("devices/me/telemetry/{stream}"), READINGS)
        }
        [path::REPLIES, id] if is_id(id) => say(format!("devices/me/replies/{id}"), &[]),
        [path::USES, id] if is_id(id) => say(format!("devices/me/uses/{id}"), &[]),
        _ => Err(Code::NOT_FOUND),
    }
}

/// 16 bytes in hex.
fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn code_of(request: &Packet) -> Result<Zeroizing<String>, Code> {
    let code = request.values(OptionNumber::URI_QUERY).find_map(|query| query.strip_prefix(CODE));
    let code = code.and_then(|code| std::str::from_utf8(code).ok());
    code.map(|code| Zeroizing::new(code.to_owned())).ok_or(Code::BAD_REQUEST)
}

#[cfg(test)]
mod tests {
    use thingward_coap::wire::with_format;

    use super::*;

    fn asked(code: Code, segments: &[&str]) -> Result<Resource, Code> {
        of(&Packet::to(code, segments))
    }

    #[test]
    fn what_there_is_is_found_by_its_path_and_asked_for_in_its_way() {
        assert_eq!(asked(Code::GET, &["est", "crts"]), Ok(Resource::Open(Open::Authorities)));
        assert_eq!(asked(Code::GET, &[".well-known", "est", "crts"]), Ok(Resource::Open(Open::Authorities)));
        assert_eq!(asked(Code::POST, &["est", "crts"]), Err(Code::METHOD_NOT_ALLOWED));
        assert_eq!(asked(Code::POST, &["est", "sen"]), Err(Code::BAD_REQUEST));
        let enrol = Packet::to(Code::POST, &["est", "sen"]).with(OptionNumber::URI_QUERY, b"code=ABC");
        assert_eq!(of(&enrol), Ok(Resource::Open(Open::Enrol("ABC".to_owned().into()))));
        let telemetry = Packet::to(Code::POST, &["t", "spindle"]);
        let say = Resource::Members(Members::Say("devices/me/telemetry/spindle".to_owned()));
        assert_eq!(of(&with_format(telemetry.clone(), format::SENML_CBOR)), Ok(say));
        assert_eq!(of(&with_format(telemetry, format::LINKS)), Err(Code::UNSUPPORTED_CONTENT_FORMAT));
        for unknown in
            [&["t"][..], &["t", "a b"], &["t", "x", "y"], &["r", "7"], &["c", "x"], &["u", "../x"], &[]]
        {
            assert_eq!(asked(Code::POST, unknown), Err(Code::NOT_FOUND), "{unknown:?}");
        }
    }
}
