//! What frames say.

use thingward_model::cbor::{Malformed, Reader, Writer};
use thingward_model::{DeviceName, TenantName};

/// What a gateway asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Who is there? 32 random bytes; [`Hello`].
    Hello = 1,
    /// A signing request (PKCS#10) for the chip's key; its DER.
    Request = 2,
    /// The chip is a member now: [`Join`]; nothing.
    Join = 3,
    /// Is there a message? The number up to which all are safe; nothing, or [`Outgoing`].
    Poll = 4,
    /// A command: its id, and the signed command; nothing.
    Command = 5,
    /// Somebody wants to show a grant; a nonce.
    Nonce = 6,
    /// A presentation; a signed reply.
    Use = 7,
    /// A revocation of grants; nothing.
    Revocation = 8,
    /// What shall a beacon answer? A nonce.
    Question = 9,
    /// A beacon; nothing.
    Beacon = 10,
    /// What runs on the chip, and where is its key? A nonce of 8 to 64 bytes; an Entity Attestation Token.
    Evidence = 11,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Hello,
        Self::Request,
        Self::Join,
        Self::Poll,
        Self::Command,
        Self::Nonce,
        Self::Use,
        Self::Revocation,
        Self::Question,
        Self::Beacon,
        Self::Evidence,
    ];
    /// The kind of an answer that is none: [`Failure`], and why a grant is refused.
    pub const FAILED: u8 = 0x7f;

    /// The kind of a question's frame.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind of its answer's frame.
    #[must_use]
    pub const fn answer(self) -> u8 {
        self.code() | 0x80
    }

    /// The question of this frame.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// Why a chip does not do what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Failure {
    /// It does not know such a question, or not in this form.
    Malformed = 1,
    /// It is no member yet.
    NotJoined = 2,
    /// It is one already, and another one.
    Joined = 3,
    /// It does not know what time it is.
    NoTime = 4,
    /// It has no room for it now.
    Busy = 5,
    /// Its memory fails.
    Memory = 6,
    /// Its keys are destroyed.
    Destroyed = 7,
    /// A grant, revocation or beacon is refused; the word of the grants' list follows.
    Refused = 8,
}

impl Failure {
    const ALL: [Self; 8] = [
        Self::Malformed,
        Self::NotJoined,
        Self::Joined,
        Self::NoTime,
        Self::Busy,
        Self::Memory,
        Self::Destroyed,
        Self::Refused,
    ];

    /// Its code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The failure of a code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.code() == code)
    }
}

/// What a chip's proof of its key is bound to. No other signature of a device is over something that starts so.
pub const HELLO_CONTEXT: &[u8; 14] = b"thingward link";

/// What a chip signs for a gateway's nonce.
#[must_use]
pub fn hello_message(nonce: &[u8; 32]) -> [u8; 46] {
    let mut message = [0; 46];
    for (slot, byte) in message.iter_mut().zip(HELLO_CONTEXT.iter().chain(nonce)) {
        *slot = *byte;
    }
    message
}

/// Who is there: `version(1) | joined(1) | frame bytes(2) | public key(32) | signature(64)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Whether it is a member.
    pub is_joined: bool,
    /// The largest frame that it takes, in bytes between the flags.
    pub frame_bytes_max: u16,
    /// Its Ed25519 key.
    pub public_key: [u8; 32],
    /// Over [`hello_message`].
    pub signature: [u8; 64],
}

const VERSION: u8 = 1;

impl Hello {
    /// Writes it to the front of `out`.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let head = [VERSION, u8::from(self.is_joined)];
        let parts: [&[u8]; 4] =
            [&head, &self.frame_bytes_max.to_be_bytes(), &self.public_key, &self.signature];
        put(out, &parts)
    }

    /// Reads one; `None` for another version, too.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (&[VERSION, joined, high, low], rest) = bytes.split_first_chunk::<4>()? else { return None };
        let (public_key, signature) = rest.split_first_chunk::<32>()?;
        Some(Self {
            is_joined: match joined {
                0 => false,
                1 => true,
                _ => return None,
            },
            frame_bytes_max: u16::from_be_bytes([high, low]),
            public_key: *public_key,
            signature: signature.try_into().ok()?,
        })
    }
}

/// Length of a signing request in bytes.
pub const REQUEST_BYTES: usize = 147;
/// Longest [`Join`] in bytes.
pub const JOIN_BYTES_MAX: usize = 240;

/// What a chip has to know of its membership: `[1, tenant, device, command key / null, grant key / null, recipient]`, all
/// keys as 32 bytes: Ed25519, and X25519 for the recipient of its readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Join {
    /// The tenant.
    pub tenant: TenantName,
    /// Its own name.
    pub device: DeviceName,
    /// Whose commands it takes. Without one it takes none.
    pub command_key: Option<[u8; 32]>,
    /// Whose grants, revocations and beacons it takes. Without one it takes none.
    pub grant_key: Option<[u8; 32]>,
    /// For whom it seals readings.
    pub recipient: [u8; 32],
}

impl Join {
    /// Writes it to the front of `out`; `None` below [`JOIN_BYTES_MAX`] bytes.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let mut e = Writer::new(out);
        e.array(6).ok()?.u8(VERSION).ok()?;
        e.str(self.tenant.as_str()).ok()?.str(self.device.as_str()).ok()?;
        for key in [&self.command_key, &self.grant_key] {
            match key {
                Some(key) => e.bytes(key).ok()?,
                None => e.null().ok()?,
            };
        }
        e.bytes(&self.recipient).ok()?;
        Some(e.position())
    }

    /// Reads one.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        if r.array().ok()? != 6 || r.u8().ok()? != VERSION {
            return None;
        }
        let join = Self {
            tenant: r.str().ok()?.parse().ok()?,
            device: r.str().ok()?.parse().ok()?,
            command_key: r.nullable(key).ok()?,
            grant_key: r.nullable(key).ok()?,
            recipient: key(&mut r).ok()?,
        };
        r.is_at_end().then_some(join)
    }
}

fn key(r: &mut Reader<'_>) -> Result<[u8; 32], Malformed> {
    r.byte_array().copied()
}

/// Which message a chip has for the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pending {
    /// Items of its reading chain.
    Telemetry,
    /// The reply to a command.
    Reply,
    /// The report of a use, by its nonce.
    Use,
}

impl Pending {
    /// Its code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Telemetry => 1,
            Self::Reply => 2,
            Self::Use => 3,
        }
    }

    /// The one of a code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Telemetry, Self::Reply, Self::Use].into_iter().find(|p| p.code() == code)
    }
}

/// Length of what stands before an [`Outgoing`]'s payload, in bytes.
pub const OUTGOING_HEAD_BYTES: usize = 21;

/// A message for the service: `number(4) | which(1) | stream or id(16) | payload`. A stream's name has zeros behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing<'a> {
    /// Numbers rise; a poll with this one says that the message is safe.
    pub number: u32,
    /// What it is.
    pub pending: Pending,
    /// Of a command or nonce; for telemetry the stream.
    pub id: [u8; 16],
    /// For the service.
    pub payload: &'a [u8],
}

impl<'a> Outgoing<'a> {
    /// What stands before the payload.
    #[must_use]
    pub fn head(&self) -> [u8; OUTGOING_HEAD_BYTES] {
        let mut head = [0; OUTGOING_HEAD_BYTES];
        let [a, b, c, d, pending, id @ ..] = &mut head;
        [*a, *b, *c, *d] = self.number.to_be_bytes();
        *pending = self.pending.code();
        *id = self.id;
        head
    }

    /// Reads one.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk::<4>()?;
        let (pending, rest) = rest.split_first()?;
        let (id, payload) = rest.split_first_chunk::<16>()?;
        Some(Self {
            number: u32::from_be_bytes(*number),
            pending: Pending::from_code(*pending)?,
            id: *id,
            payload,
        })
    }

    /// The name of the stream that telemetry is of.
    #[must_use]
    pub fn stream(&self) -> Option<&str> {
        let len = self.id.iter().position(|byte| *byte == 0).unwrap_or(self.id.len());
        core::str::from_utf8(self.id.get(..len)?).ok()
    }
}

/// Writes `parts` one behind the other to the front of `out`; `None` when it is too small.
pub(crate) fn put(out: &mut [u8], parts: &[&[u8]]) -> Option<usize> {
    let mut len = 0_usize;
    for part in parts {
        let end = len.checked_add(part.len())?;
        out.get_mut(len..end)?.copy_from_slice(part);
        len = end;
    }
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_shorter_or_longer() {
        let hello = Hello { is_joined: true, frame_bytes_max: 1200, public_key: [3; 32], signature: [4; 64] };
        let mut out = [0; JOIN_BYTES_MAX];
        let len = hello.write(&mut out).unwrap();
        assert_eq!(Hello::read(&out[..len]), Some(hello));
        assert!((0..len).chain([len + 1]).all(|len| Hello::read(&out[..len]).is_none()));
        let name = "n23456789012345678901234567890123456789012345678901234567890123";
        let join = Join {
            tenant: name.parse().unwrap(),
            device: name.parse().unwrap(),
            command_key: Some([1; 32]),
            grant_key: Some([2; 32]),
            recipient: [3; 32],
        };
        for join in [join, Join { command_key: None, grant_key: None, ..join }] {
            let len = join.write(&mut out).unwrap();
            assert_eq!(Join::read(&out[..len]), Some(join));
            assert!((0..len).chain([len + 1]).all(|len| Join::read(&out[..len]).is_none()));
        }
    }

    #[test]
    fn a_stream_is_the_name_before_the_zeros() {
        let mut id = [0; 16];
        id[..7].copy_from_slice(b"climate");
        let outgoing = Outgoing { number: 7, pending: Pending::Telemetry, id, payload: b"record" };
        let bytes = [&outgoing.head()[..], b"record"].concat();
        assert_eq!(Outgoing::read(&bytes), Some(outgoing));
        assert_eq!(outgoing.stream(), Some("climate"));
    }
}
