//! Keys and encapsulation.

#[cfg(test)]
mod tests;

use subtle::ConstantTimeEq;
use zeroize::ZeroizeOnDrop;

use crate::bytes::Reader;
use crate::security2::encrypt_block;
use crate::{Key, NodeId, ParseError};

/// What a receiver told to be used once.
pub type Nonce = [u8; 8];

/// Bytes around a text: class and command, the sender's nonce, the receiver's nonce id, and the code.
const OVERHEAD: usize = 2 + 8 + 1 + 8;
/// Longest text that is taken, in bytes: sequence byte and command.
const TEXT_MAX: usize = 30;
/// Longest command that goes in one frame of 46 bytes: old things put no segments together.
pub const FRAME_MAX0: usize = 46 - OVERHEAD - 1;
/// Longest command, in bytes: it goes in two frames.
pub const COMMAND_MAX0: usize = 2 * FRAME_MAX0;
const ENCAPSULATION: u8 = 0x81;
/// The same, where the sender asks for the next nonce: with the first part of a long command.
const ENCAPSULATION_NONCE_GET: u8 = 0xc1;
const IS_PART: u8 = 0x10;
const IS_SECOND: u8 = 0x20;
const PART_NUMBER: u8 = 0x0f;

/// What follows from a network key.
#[derive(Clone, ZeroizeOnDrop)]
pub struct NetworkKeys0 {
    /// The network key itself.
    pub network: Key,
    /// Makes authentication codes.
    pub authentication: Key,
    /// Encrypts.
    pub encryption: Key,
}

impl NetworkKeys0 {
    /// Derives both from the network key.
    #[must_use]
    pub fn derive(network: Key) -> Self {
        let authentication = Key::new(encrypt_block(&network, [0x55; 16]));
        let encryption = Key::new(encrypt_block(&network, [0xaa; 16]));
        Self { network, authentication, encryption }
    }

    /// Those under which a network key is handed out: everybody knows them.
    #[must_use]
    pub fn initial() -> Self {
        Self::derive(Key::new([0; 16]))
    }
}

/// Why an encapsulated command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncapsulationError {
    /// A field is not what it must be.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// We have not told this nonce, or it was used, or it is too old.
    #[error("nonce {0} was not told, or was used, or is too old")]
    Nonce(u8),
    /// The authentication code is another: it was forged, or is under another key.
    #[error("the authentication code is another")]
    Forged,
    /// It is the second part of a command whose first one has not come.
    #[error("it is the second part of a command whose first one has not come")]
    Partial,
}

/// What is in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A command.
    Whole(Vec<u8>),
    /// The first part of a command, by its number; its sender asks for the nonce that the second needs.
    First(u8, Vec<u8>),
    /// The second.
    Second(u8, Vec<u8>),
}

impl Part {
    /// The sequence byte and what is behind it; and the command that carries them.
    fn text(&self) -> (u8, Vec<u8>) {
        let (header, first, command) = match self {
            Self::Whole(command) => (ENCAPSULATION, 0, command),
            Self::First(number, command) => {
                (ENCAPSULATION_NONCE_GET, IS_PART | number & PART_NUMBER, command)
            }
            Self::Second(number, command) => {
                (ENCAPSULATION, IS_PART | IS_SECOND | number & PART_NUMBER, command)
            }
        };
        (header, [&[first], command.as_slice()].concat())
    }
}

/// Encrypts a command, or a part of one. `None` for one that is too long.
#[must_use]
pub fn seal(
    keys: &NetworkKeys0,
    (from, to): (NodeId, NodeId),
    (ours, theirs): (&Nonce, &Nonce),
    part: &Part,
) -> Option<Vec<u8>> {
    let (header, mut text) = part.text();
    if text.len() > TEXT_MAX {
        return None;
    }
    let iv = initial_vector(ours, theirs);
    ofb(&keys.encryption, iv, &mut text);
    let code = authentication_code(keys, iv, (header, from.mesh()?, to.mesh()?), &text);
    let mut frame = Vec::with_capacity(text.len() + OVERHEAD);
    let [nonce_id, ..] = theirs;
    frame.extend([0x98, header]);
    frame.extend(ours);
    frame.append(&mut text);
    frame.push(*nonce_id);
    frame.extend(code);
    Some(frame)
}

/// Decrypts a frame. `take` gives the nonce of an id once: it is used up even if the code is another.
///
/// # Errors
///
/// [`EncapsulationError`].
pub fn open(
    keys: &NetworkKeys0,
    (from, to): (NodeId, NodeId),
    frame: &[u8],
    take: impl FnOnce(u8) -> Option<Nonce>,
) -> Result<Part, EncapsulationError> {
    let mut reader = Reader::new(frame);
    let [0x98, header @ (ENCAPSULATION | ENCAPSULATION_NONCE_GET)] = reader.array()? else {
        return Err(ParseError::Kind.into());
    };
    let theirs: Nonce = reader.array()?;
    let length = reader.len().checked_sub(1 + 8).filter(|length| *length > 0).ok_or(ParseError::Truncated)?;
    let text = reader.take(length)?;
    if text.len() > TEXT_MAX {
        return Err(ParseError::TooLong.into());
    }
    let id = reader.u8()?;
    let code: [u8; 8] = reader.array()?;
    let nodes = from.mesh().zip(to.mesh()).ok_or(ParseError::Kind)?;
    let iv = initial_vector(&theirs, &take(id).ok_or(EncapsulationError::Nonce(id))?);
    if !bool::from(authentication_code(keys, iv, (header, nodes.0, nodes.1), text).ct_eq(&code)) {
        return Err(EncapsulationError::Forged);
    }
    let text = decrypt(keys, iv, text);
    let (head, command) = text.split_first().ok_or(ParseError::Truncated)?;
    let (number, command) = (head & PART_NUMBER, command.to_vec());
    Ok(match (head & IS_PART != 0, head & IS_SECOND != 0) {
        (false, _) => Part::Whole(command),
        (true, false) => Part::First(number, command),
        (true, true) => Part::Second(number, command),
    })
}

/// The text of a packet, whoever sent it: sequence byte and command.
#[must_use]
pub fn decrypt(keys: &NetworkKeys0, iv: [u8; 16], text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    ofb(&keys.encryption, iv, &mut text);
    text
}

fn initial_vector(sender: &Nonce, receiver: &Nonce) -> [u8; 16] {
    let mut iv = [0; 16];
    iv.iter_mut().zip(sender.iter().chain(receiver)).for_each(|(out, byte)| *out = *byte);
    iv
}

/// AES in output feedback mode: NIST SP 800-38A, §6.4.
fn ofb(key: &Key, iv: [u8; 16], text: &mut [u8]) {
    let mut block = iv;
    for chunk in text.chunks_mut(16) {
        block = encrypt_block(key, block);
        chunk.iter_mut().zip(block).for_each(|(byte, key)| *byte ^= key);
    }
}

/// CBC-MAC over the initial vector, command, nodes, length and the encrypted text: its first 8 bytes.
fn authentication_code(
    keys: &NetworkKeys0,
    iv: [u8; 16],
    (header, from, to): (u8, u8, u8),
    text: &[u8],
) -> [u8; 8] {
    let mut block = encrypt_block(&keys.authentication, iv);
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    let mut data = vec![header, from, to, length];
    data.extend_from_slice(text);
    for chunk in data.chunks(16) {
        block.iter_mut().zip(chunk).for_each(|(byte, other)| *byte ^= other);
        block = encrypt_block(&keys.authentication, block);
    }
    let [a, b, c, d, e, f, g, h, ..] = block;
    [a, b, c, d, e, f, g, h]
}
