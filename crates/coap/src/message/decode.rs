//! A datagram as a message.

use super::{Class, Code, HEADER_BYTES, OptionNumber, Options, Token, VERSION};

/// How a message is delivered: RFC 7252 §3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    Confirmable,
    NonConfirmable,
    Acknowledgement,
    Reset,
}

/// A message, borrowed from the datagram that it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    pub kind: Type,
    pub code: Code,
    pub id: u16,
    pub token: Token,
    pub options: Options<'a>,
    /// Empty where there is none.
    pub payload: &'a [u8],
}

/// Why a datagram is not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Must be dropped without an answer: RFC 7252 §3.
    #[error("the version is {0} and not 1")]
    UnknownVersion(u8),
    #[error("the token has {0} bytes; 8 are allowed")]
    TokenTooLong(u8),
    #[error("the message ends in the middle")]
    Truncated,
    #[error("the code is empty, and something follows the header")]
    NotEmpty,
    #[error("the class of code {0} is reserved")]
    ReservedCode(Code),
    #[error("a delta or length is 15, which is reserved")]
    ReservedNibble,
    #[error("an option number is larger than 65535")]
    NumberTooLarge,
    #[error("nothing follows the payload marker")]
    NoPayload,
}

impl<'a> Message<'a> {
    /// Decodes a datagram.
    ///
    /// # Errors
    ///
    /// [`DecodeError::UnknownVersion`] must be dropped in silence; everything else is a message format error, which
    /// [`Self::rejection`] answers where RFC 7252 §4.2 wants an answer.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let [first, code, high, low, rest @ ..] = datagram else { return Err(DecodeError::Truncated) };
        if first >> 6 != VERSION {
            return Err(DecodeError::UnknownVersion(first >> 6));
        }
        let token_len = first & 0x0f;
        if usize::from(token_len) > Token::BYTES_MAX {
            return Err(DecodeError::TokenTooLong(token_len));
        }
        let code = Code::from_byte(*code);
        match code.class() {
            // §4.1: "The Token Length field MUST be set to 0 and bytes of data MUST NOT be present after the Message ID field".
            Class::Empty if token_len != 0 || !rest.is_empty() => return Err(DecodeError::NotEmpty),
            Class::Reserved => return Err(DecodeError::ReservedCode(code)),
            Class::Empty | Class::Request | Class::Response => {}
        }
        let (token, rest) = rest.split_at_checked(usize::from(token_len)).ok_or(DecodeError::Truncated)?;
        let (options, payload) = Options::split(rest)?;
        let id = u16::from_be_bytes([*high, *low]);
        Ok(Self { kind: kind(first >> 4), code, id, token: Token::new(token)?, options, payload })
    }

    /// The reset that a confirmable datagram is owed when [`Self::decode`] failed on it: RFC 7252 §4.2.
    #[must_use]
    pub fn rejection(datagram: &[u8]) -> Option<[u8; HEADER_BYTES]> {
        let [first, _, high, low, ..] = datagram else { return None };
        let confirmable = first >> 6 == VERSION && kind(first >> 4) == Type::Confirmable;
        confirmable.then_some([VERSION << 6 | Type::Reset.bits() << 4, 0, *high, *low])
    }

    /// The first critical option that has to be refused: not among `known`, out of its bounds, or there too often.
    /// RFC 7252 §5.4.1, §5.4.3 and §5.4.5.
    #[must_use]
    pub fn unacceptable_option(&self, known: &[OptionNumber]) -> Option<OptionNumber> {
        let mut previous = None;
        self.options
            .map(|option| {
                let number = option.number;
                let repeated = previous.replace(number) == Some(number) && !number.is_repeatable();
                let fine = known.contains(&number) && number.allows(option.value.len()) && !repeated;
                (number, fine)
            })
            .find(|(number, fine)| number.is_critical() && !fine)
            .map(|(number, _)| number)
    }
}

impl Type {
    /// The two bits of the header.
    pub(super) const fn bits(self) -> u8 {
        match self {
            Self::Confirmable => 0,
            Self::NonConfirmable => 1,
            Self::Acknowledgement => 2,
            Self::Reset => 3,
        }
    }
}

/// The type in the two low bits.
const fn kind(bits: u8) -> Type {
    match bits & 3 {
        0 => Type::Confirmable,
        1 => Type::NonConfirmable,
        2 => Type::Acknowledgement,
        _ => Type::Reset,
    }
}
