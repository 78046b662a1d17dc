//! What devices and those who answer them say to one another over all this: paths, content formats and bodies, as
//! `docs/wire/coap.md` has them.

use alloc::vec;
use alloc::vec::Vec;

use thingward_model::cbor::{Full, Malformed, Reader, Writer};

use crate::endpoint::Packet;
use crate::message::{OptionNumber, uint};

/// The port of CoAP: RFC 7252 §12.6.
pub const PORT: u16 = 5683;
/// Largest body, in bytes: as large as a message of a child with MQTT may be.
pub const BODY_BYTES_MAX: usize = 128 * 1024;
/// Label of what a joining device signs in EDHOC's exporter: RFC 9528 §10.1 has these for private use.
pub const JOIN_LABEL: u16 = 0x8000;

/// Where things are.
pub mod path {
    /// EDHOC: RFC 9528 appendix A.2.
    pub const EDHOC: &[&str] = &[".well-known", "edhoc"];
    /// What there is: RFC 6690.
    pub const CORE: &[&str] = &[".well-known", "core"];
    /// Names of RFC 9148 §4.1.
    pub const AUTHORITIES: &[&str] = &["est", "crts"];
    /// Enrolment.
    pub const ENROL: &[&str] = &["est", "sen"];
    /// The next certificate.
    pub const RENEW: &[&str] = &["est", "sren"];
    /// Who answers here, signed.
    pub const ANSWERER: &[&str] = &["g"];
    /// A member shows that the raw key of this session is its own.
    pub const JOIN: &[&str] = &["j"];
    /// The membership.
    pub const MEMBERSHIP: &[&str] = &["m"];
    /// What the device can do.
    pub const DESCRIPTION: &[&str] = &["d"];
    /// What is for the device.
    pub const DOWN: &[&str] = &["c"];
    /// The time.
    pub const BEACON: &[&str] = &["b"];
    /// Evidence.
    pub const ATTESTATION: &[&str] = &["a"];
    /// Telemetry, with the stream behind it.
    pub const TELEMETRY: &str = "t";
    /// Replies to commands, with the command's id behind it.
    pub const REPLIES: &str = "r";
    /// Uses of grants, with the nonce behind it.
    pub const USES: &str = "u";
    /// In front of what RFC 9148 defines, here or behind `.well-known`.
    pub const EST: &str = "est";
    /// In front of names that are registered: RFC 8615.
    pub const WELL_KNOWN: &str = ".well-known";
}

/// Content formats of the CoAP registry.
pub mod format {
    /// application/link-format.
    pub const LINKS: u16 = 40;
    /// application/octet-stream.
    pub const OCTETS: u16 = 42;
    /// application/json.
    pub const JSON: u16 = 50;
    /// application/cbor.
    pub const CBOR: u16 = 60;
    /// application/edhoc+cbor-seq.
    pub const EDHOC: u16 = 64;
    /// application/senml+json.
    pub const SENML_JSON: u16 = 110;
    /// application/senml+cbor.
    pub const SENML_CBOR: u16 = 112;
    /// application/pkcs7-mime; smime-type=certs-only.
    pub const CERTIFICATES: u16 = 281;
    /// application/pkcs10.
    pub const REQUEST: u16 = 286;
    /// application/td+json.
    pub const DESCRIPTION: u16 = 432;
}

/// With this content format.
#[must_use]
pub fn with_format(packet: Packet, format: u16) -> Packet {
    packet.with_uint(OptionNumber::CONTENT_FORMAT, format.into())
}

/// Whether a body is of one of these formats, or does not say of which.
#[must_use]
pub fn is_of(packet: &Packet, formats: &[u16]) -> bool {
    let said = packet.get(OptionNumber::CONTENT_FORMAT).and_then(uint);
    said.is_none_or(|said| formats.iter().any(|format| u32::from(*format) == said))
}

/// What is for a device, as `/c` shows it: the oldest that the device has not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Down {
    /// By which it is taken: DELETE `/c/NUMBER`. It is another one for each, as long as the session lasts.
    pub number: u32,
    /// What it is.
    pub what: What,
}

/// What may be for a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A signed command.
    Command {
        /// Its id.
        id: [u8; 16],
        /// The command.
        command: Vec<u8>,
    },
    /// A signed revocation of grants.
    Revocation(Vec<u8>),
    /// The service asks for evidence.
    Evidence,
    /// The membership is another one than it was at a time that these bytes name.
    Membership(Vec<u8>),
}

const COMMAND: u8 = 1;
const REVOCATION: u8 = 2;
const EVIDENCE: u8 = 3;
const MEMBERSHIP: u8 = 4;
/// Heads and numbers.
const DOWN_OVERHEAD_BYTES: usize = 48;

impl Down {
    /// As a body of CBOR: `[number, what, id / null, bytes / null]`.
    ///
    /// # Errors
    ///
    /// None: there is room for every one.
    pub fn write(&self) -> Result<Vec<u8>, Full> {
        let (what, id, bytes) = match &self.what {
            What::Command { id, command } => (COMMAND, Some(id), Some(command)),
            What::Revocation(bytes) => (REVOCATION, None, Some(bytes)),
            What::Evidence => (EVIDENCE, None, None),
            What::Membership(bytes) => (MEMBERSHIP, None, Some(bytes)),
        };
        let mut out = vec![0; DOWN_OVERHEAD_BYTES + bytes.map_or(0, Vec::len)];
        let mut e = Writer::new(&mut out);
        e.array(4)?.u32(self.number)?.u8(what)?;
        match id {
            Some(id) => e.bytes(id)?,
            None => e.null()?,
        };
        match bytes {
            Some(bytes) => e.bytes(bytes)?,
            None => e.null()?,
        };
        let len = e.position();
        out.truncate(len);
        Ok(out)
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when it is none of these.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(body);
        if r.array()? != 4 {
            return Err(Malformed);
        }
        let (number, what) = (r.u32()?, r.u8()?);
        let id = r.nullable(|r| r.byte_array::<16>().copied())?;
        let bytes = r.nullable(|r| r.bytes().map(<[u8]>::to_vec))?;
        r.end()?;
        let what = match (what, id, bytes) {
            (COMMAND, Some(id), Some(command)) => What::Command { id, command },
            (REVOCATION, None, Some(bytes)) => What::Revocation(bytes),
            (EVIDENCE, None, None) => What::Evidence,
            (MEMBERSHIP, None, Some(bytes)) => What::Membership(bytes),
            _ => return Err(Malformed),
        };
        Ok(Self { number, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_a_device_arrives_as_it_was_written_and_nothing_else_does() {
        for what in [
            What::Command { id: [7; 16], command: vec![1; 300] },
            What::Revocation(vec![2; 120]),
            What::Evidence,
            What::Membership(b"2027".to_vec()),
        ] {
            let down = Down { number: 70_000, what };
            let written = down.write().unwrap();
            assert_eq!(Down::read(&written).as_ref(), Ok(&down));
            for at in 0..written.len() {
                assert!(Down::read(&written[..at]).is_err());
            }
            assert!(Down::read(&[&written[..], &[0]].concat()).is_err());
        }
    }
}
