//! Message 3 together with the first request under the keys that it leads to: RFC 9668 §3.
//!
//! The request is protected as ever. Then message 3, a byte string of CBOR, goes in front of its payload, and an empty EDHOC
//! option says so. C_R is the `kid` of the OSCORE option.

use alloc::vec;
use alloc::vec::Vec;

use super::EdhocError;
use super::cbor::read_bytes;
use crate::message::{Message, OptionNumber, WriteError, Writer};
use crate::oscore::Header;

/// What comes to a message: the EDHOC option with its head.
const OPTION_BYTES: usize = 5;

/// A request that came with message 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combined {
    /// C_R.
    pub responder: Vec<u8>,
    /// Message 3.
    pub message_3: Vec<u8>,
    /// The datagram without it.
    pub request: Vec<u8>,
}

impl Combined {
    /// Takes a datagram apart; `None` for one that is not of this kind, or has no message 3.
    #[must_use]
    pub fn split(datagram: &[u8]) -> Option<Self> {
        let message = Message::decode(datagram).ok()?;
        message.options.get(OptionNumber::EDHOC).filter(|value| value.is_empty())?;
        let header = Header::decode(message.options.get(OptionNumber::OSCORE)?).ok()?;
        let mut rest = message.payload;
        read_bytes(&mut rest).ok()?;
        let (message_3, protected) = message.payload.split_at_checked(message.payload.len() - rest.len())?;
        Some(Self {
            responder: header.kid?.as_bytes().to_vec(),
            message_3: message_3.to_vec(),
            request: written(&message, false, protected).ok()?,
        })
    }
}

/// Puts message 3 into the datagram of a protected request.
///
/// # Errors
///
/// [`EdhocError::Malformed`] when the datagram is no message.
pub fn with_message_3(datagram: &[u8], message_3: &[u8]) -> Result<Vec<u8>, EdhocError> {
    let message = Message::decode(datagram).map_err(|_| EdhocError::Malformed)?;
    let both = [message_3, message.payload].concat();
    written(&message, true, &both).map_err(|_| EdhocError::Malformed)
}

/// The message with another payload, and with or without the option.
fn written(message: &Message<'_>, is_combined: bool, payload: &[u8]) -> Result<Vec<u8>, WriteError> {
    let options: usize = message.options.map(|option| option.value.len() + OPTION_BYTES).sum();
    let mut out = vec![0; 16 + options + OPTION_BYTES + payload.len()];
    let mut writer = Writer::new(&mut out, message.kind, message.code, message.id, message.token)?;
    let mut is_due = is_combined;
    for option in message.options.filter(|option| option.number != OptionNumber::EDHOC) {
        if is_due && option.number > OptionNumber::EDHOC {
            writer.option(OptionNumber::EDHOC, &[])?;
            is_due = false;
        }
        writer.option(option.number, option.value)?;
    }
    if is_due {
        writer.option(OptionNumber::EDHOC, &[])?;
    }
    let len = writer.finish(payload)?;
    out.truncate(len);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Code, Token, Type};

    /// A protected request with options on both sides of the EDHOC option.
    fn request(kid: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 64];
        let token = Token::new(&[1, 2]).unwrap();
        let mut writer = Writer::new(&mut out, Type::Confirmable, Code::POST, 7, token).unwrap();
        writer.option(OptionNumber::OSCORE, &[&[0x09, 0][..], kid].concat()).unwrap();
        writer.option(OptionNumber::BLOCK2, &[6]).unwrap();
        let len = writer.finish(b"protected").unwrap();
        out.truncate(len);
        out
    }

    #[test]
    fn a_request_and_message_3_come_apart_as_they_were_joined() {
        let (request, message_3) = (request(&[0x27]), [&[0x52][..], &[9; 18]].concat());
        let joined = with_message_3(&request, &message_3).unwrap();
        let split = Combined::split(&joined).unwrap();
        assert_eq!(split, Combined { responder: vec![0x27], message_3, request: request.clone() });
        assert_eq!(Combined::split(&request), None);
    }

    #[test]
    #[cfg_attr(miri, ignore = "every bit and length takes too long")]
    fn what_is_broken_is_none_or_another_and_never_falls_over() {
        let joined = with_message_3(&request(&[0x27]), &[&[0x52][..], &[9; 18]].concat()).unwrap();
        for at in 0..joined.len() {
            let _ = Combined::split(&joined[..at]);
            for bit in 0..8 {
                let mut bad = joined.clone();
                bad[at] ^= 1 << bit;
                let _ = Combined::split(&bad);
            }
        }
        // Nothing behind the option that could be message 3.
        let mut out = vec![0; 32];
        let mut writer = Writer::new(&mut out, Type::Confirmable, Code::POST, 7, Token::default()).unwrap();
        writer.option(OptionNumber::OSCORE, &[0x09, 0, 0x27]).unwrap();
        writer.option(OptionNumber::EDHOC, &[]).unwrap();
        let len = writer.finish(&[]).unwrap();
        assert_eq!(Combined::split(&out[..len]), None);
    }
}
