//! The frame of an encrypted message and its extensions: CC, Security 2, "Security 2 Message Encapsulation Command".

use super::aes128::{self, NONCE_BYTES, TAG_BYTES};
use super::{EntropyInput, GroupId};
use crate::bytes::Reader;
use crate::{HomeId, Key, NodeId, ParseError};

/// Command class and command.
const HEADER: [u8; 2] = [0x9f, 0x03];
/// Longest text of one message, in bytes: with what is around it, no more than Transport Service carries.
pub const TEXT_MAX: usize = 1200;
/// Extensions in one message: there are four kinds.
const EXTENSIONS_MAX: usize = 8;
const EXTENDED: u8 = 0x01;
const EXTENDED_INSIDE: u8 = 0x02;
const MORE_TO_FOLLOW: u8 = 0x80;
const CRITICAL: u8 = 0x40;

/// What travels beside the text of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// The sender's half of a new SPAN. In the clear.
    Span(EntropyInput),
    /// The state of a group's MPAN. Encrypted.
    Mpan(GroupId, [u8; 16]),
    /// The group that a message is for, or that it follows up. In the clear.
    Group(GroupId),
    /// The sender cannot follow the MPAN of the group. In the clear.
    OutOfStep,
}

/// Why bytes are not an encrypted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// A field is not what it must be.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// An extension that must be understood is not.
    #[error("extension {0} must be understood and is not")]
    Critical(u8),
    /// An extension is on the wrong side of the encryption.
    #[error("extension {0} is on the wrong side of the encryption")]
    Misplaced(u8),
}

/// An encrypted message, as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// Counts what its sender sends.
    pub sequence: u8,
    /// Extensions in the clear.
    pub extensions: Vec<Extension>,
    /// Whether extensions precede the text inside.
    pub(super) extended_inside: bool,
    /// Sequence number, flags and clear extensions, which the tag covers.
    clear: &'a [u8],
    /// The encrypted text and its tag.
    text: &'a [u8],
    length: usize,
}

impl<'a> Sealed<'a> {
    /// Reads a message with its command class and command.
    ///
    /// # Errors
    ///
    /// [`MessageError`] where it is not one.
    pub fn parse(frame: &'a [u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(frame);
        if reader.array()? != HEADER {
            return Err(ParseError::Kind.into());
        }
        let body = reader.rest();
        let mut reader = Reader::new(body);
        let [sequence, flags] = reader.array()?;
        let mut extensions = Vec::new();
        if flags & EXTENDED != 0 {
            extensions = parse_extensions(&mut reader, false)?;
        }
        let text = reader.rest();
        if text.len() < TAG_BYTES {
            return Err(ParseError::Truncated.into());
        }
        let clear = body.get(..body.len() - text.len()).unwrap_or_default();
        let extended_inside = flags & EXTENDED_INSIDE != 0;
        Ok(Self { sequence, extensions, extended_inside, clear, text, length: frame.len() })
    }

    /// The sender's half of a new SPAN, if there is one.
    pub(super) fn entropy(&self) -> Option<EntropyInput> {
        self.extensions
            .iter()
            .find_map(|e| if let Extension::Span(entropy) = e { Some(*entropy) } else { None })
    }

    /// The group that it names.
    #[must_use]
    pub fn group(&self) -> Option<GroupId> {
        self.extensions.iter().find_map(|e| if let Extension::Group(group) = e { Some(*group) } else { None })
    }

    /// The text, if the tag is right under this key and nonce.
    #[must_use]
    pub fn open(&self, addresses: Addresses, ccm: &Key, nonce: &[u8; NONCE_BYTES]) -> Option<Vec<u8>> {
        aes128::open(ccm, nonce, &addresses.authenticated(self.length, self.clear), self.text)
    }
}

/// Whom a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// One node.
    Node(NodeId),
    /// A group of the sender.
    Group(GroupId),
}

/// Where a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The network.
    pub home: HomeId,
    /// Its sender.
    pub from: NodeId,
    /// Its receiver.
    pub to: Destination,
}

impl Addresses {
    /// Encrypts a command with the extensions in the clear and those inside. `None` for one that is too long.
    #[must_use]
    pub fn seal(
        self,
        (ccm, nonce): (&Key, &[u8; NONCE_BYTES]),
        sequence: u8,
        (clear, inside): (&[Extension], &[Extension]),
        command: &[u8],
    ) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        write_extensions(&mut text, inside);
        text.extend_from_slice(command);
        let flags = [(clear, EXTENDED), (inside, EXTENDED_INSIDE)];
        let flags = flags.iter().filter(|(extensions, _)| !extensions.is_empty()).map(|(_, flag)| flag);
        let mut head = vec![sequence, flags.sum()];
        write_extensions(&mut head, clear);
        let length = HEADER.len() + head.len() + text.len() + TAG_BYTES;
        if text.len() > TEXT_MAX {
            return None;
        }
        aes128::seal(ccm, nonce, &self.authenticated(length, &head), &mut text)?;
        let mut frame = HEADER.to_vec();
        frame.append(&mut head);
        frame.append(&mut text);
        Some(frame)
    }

    /// What the tag covers beside the text: CC, Security 2, "Additional Authenticated Data".
    fn authenticated(self, length: usize, clear: &[u8]) -> Vec<u8> {
        let (to, far) = match self.to {
            Destination::Node(node) => (node.number(), node.is_long_range()),
            Destination::Group(group) => (u16::from(group.0), false),
        };
        let skipped = usize::from(!far && !self.from.is_long_range());
        let mut out = Vec::with_capacity(10 + clear.len());
        for node in [self.from.number(), to] {
            out.extend(node.to_be_bytes().into_iter().skip(skipped));
        }
        out.extend(self.home.0.to_be_bytes());
        out.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        out.extend_from_slice(clear);
        out
    }
}

fn write_extensions(out: &mut Vec<u8>, extensions: &[Extension]) {
    for (at, extension) in extensions.iter().enumerate() {
        let more = if at + 1 < extensions.len() { MORE_TO_FOLLOW } else { 0 };
        match extension {
            Extension::Span(entropy) => {
                out.extend([18, more | CRITICAL | 1]);
                out.extend(entropy);
            }
            Extension::Mpan(group, state) => {
                out.extend([19, more | CRITICAL | 2, group.0]);
                out.extend(state);
            }
            Extension::Group(group) => out.extend([3, more | CRITICAL | 3, group.0]),
            Extension::OutOfStep => out.extend([2, more | 4]),
        }
    }
}

pub(super) fn parse_extensions(reader: &mut Reader, inside: bool) -> Result<Vec<Extension>, MessageError> {
    let mut extensions = Vec::new();
    for _ in 0..EXTENSIONS_MAX {
        let [length, kind] = reader.array()?;
        let length = usize::from(length).checked_sub(2).ok_or(ParseError::Truncated)?;
        let mut value = Reader::new(reader.take(length)?);
        if let Some(extension) = parse_extension(kind, &mut value, inside)? {
            value.finish()?;
            extensions.push(extension);
        }
        if kind & MORE_TO_FOLLOW == 0 {
            return Ok(extensions);
        }
    }
    Err(ParseError::TooLong.into())
}

/// `None` for one that is not known and need not be.
fn parse_extension(kind: u8, value: &mut Reader, inside: bool) -> Result<Option<Extension>, MessageError> {
    let number = kind & 0x3f;
    let extension = match number {
        1 => Extension::Span(value.array()?),
        2 => Extension::Mpan(GroupId(value.u8()?), value.array()?),
        3 => Extension::Group(GroupId(value.u8()?)),
        4 => Extension::OutOfStep,
        _ if kind & CRITICAL != 0 => return Err(MessageError::Critical(number)),
        _ => return Ok(None),
    };
    if matches!(extension, Extension::Mpan(..)) != inside {
        return Err(MessageError::Misplaced(number));
    }
    Ok(Some(extension))
}
