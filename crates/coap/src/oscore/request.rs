//! Protecting and taking requests: RFC 8613 §8.1 and §8.2.

use subtle::ConstantTimeEq;

use super::context::{Aad, Context, Replay};
use super::header::Header;
use super::outer::{Inner, write_inner, write_outer};
use super::window::Window;
use super::{Id, PartialIv, ProtectError, UnprotectError};
use crate::message::{Class, Code, Message, OptionNumber, WriteError, uint};

/// What joins responses to a request, at either end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    pub(super) kid: Id,
    pub(super) partial_iv: PartialIv,
    pub(super) observing: bool,
    /// The request's nonce was not used for a response here: it may be once.
    pub(super) nonce_is_free: bool,
    pub(super) notified: Notified,
}

/// Which notifications a client has taken: RFC 8613 §7.4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Notified {
    No,
    WithoutPartialIv,
    UpTo(PartialIv),
}

/// A request that was decrypted.
#[derive(Debug)]
pub enum Opened {
    /// It is new; as a plain message it is so many bytes.
    Fresh { len: usize, exchange: Exchange },
    /// It is authentic, and may be a replay of what was taken before a restart. It MUST NOT be acted on, but answered
    /// with a protected 4.01 that has [`Context::challenge`] as its Echo option: RFC 8613 appendix B.1.2.
    Unproven { exchange: Exchange },
}

impl Exchange {
    /// Whether it is an observation, or one that was asked for.
    #[must_use]
    pub const fn is_observing(&self) -> bool {
        self.observing
    }
}

impl Context {
    /// Protects a request into `out`, and returns the length with what is needed for the response.
    ///
    /// # Errors
    ///
    /// [`ProtectError`].
    pub fn protect_request(
        &mut self,
        message: &Message<'_>,
        out: &mut [u8],
    ) -> Result<(usize, Exchange), ProtectError> {
        if message.code.class() != Class::Request {
            return Err(ProtectError::WrongClass);
        }
        let observe = message.options.get(OptionNumber::OBSERVE);
        let partial_iv = self.sequence.take()?;
        let header =
            Header { partial_iv: Some(partial_iv), kid_context: self.id_context, kid: Some(self.sender_id) };
        // §4.2: FETCH, so that those on the way let an observation pass.
        let code = if observe.is_some() { Code::FETCH } else { Code::POST };
        let nonce = self.nonce(&self.sender_id, partial_iv);
        let exchange = Exchange {
            kid: self.sender_id,
            partial_iv,
            observing: observe.and_then(uint) == Some(0),
            nonce_is_free: false,
            notified: Notified::No,
        };
        let len = self.seal(message, (code, &header), &exchange, &nonce, out)?;
        Ok((len, exchange))
    }

    /// Takes a request: writes it as a plain message to the front of `out`, which has room for twice the message.
    ///
    /// # Errors
    ///
    /// [`UnprotectError`]; the context is as before then.
    pub fn unprotect_request(
        &mut self,
        message: &Message<'_>,
        out: &mut [u8],
    ) -> Result<Opened, UnprotectError> {
        let header = header_of(message)?;
        let partial_iv = header.partial_iv.ok_or(UnprotectError::OtherContext)?;
        if header.kid != Some(self.recipient_id)
            || header.kid_context.is_some_and(|kid_context| Some(kid_context) != self.id_context)
        {
            return Err(UnprotectError::OtherContext);
        }
        if let Replay::Window(window) = &self.replay
            && !window.would_take(partial_iv)
        {
            return Err(UnprotectError::Replay);
        }
        let outer_observe = message.options.get(OptionNumber::OBSERVE).and_then(uint);
        let mut exchange = Exchange {
            kid: self.recipient_id,
            partial_iv,
            observing: false,
            nonce_is_free: true,
            notified: Notified::No,
        };
        let nonce = self.nonce(&self.recipient_id, partial_iv);
        let (out, inner) = self.open(message, &exchange, &nonce, out)?;
        if inner.code.class() != Class::Request {
            return Err(UnprotectError::Plaintext);
        }
        // §4.1.3.5.1: an observation is asked for by both, or by nobody.
        let observe = inner.get(OptionNumber::OBSERVE).and_then(uint).filter(|o| Some(*o) == outer_observe);
        exchange.observing = observe == Some(0);
        let len = inner.write(message, observe, out)?;
        if !self.replay.take(partial_iv, inner.get(OptionNumber::ECHO)) {
            exchange.nonce_is_free = false;
            return Ok(Opened::Unproven { exchange });
        }
        Ok(Opened::Fresh { len, exchange })
    }

    /// Encrypts `message` under the sender key.
    pub(super) fn seal(
        &self,
        message: &Message<'_>,
        (code, header): (Code, &Header),
        exchange: &Exchange,
        nonce: &[u8],
        out: &mut [u8],
    ) -> Result<usize, ProtectError> {
        let aad = Aad::new(self.aead, &exchange.kid, exchange.partial_iv).ok_or(ProtectError::Encryption)?;
        let start = write_outer(message, code, header, out)?;
        let rest = out.get_mut(start..).unwrap_or_default();
        let len = write_inner(message, rest)? + self.aead.tag_bytes();
        let text = rest.get_mut(..len).ok_or(WriteError::NoRoom)?;
        let nonce = nonce.get(..self.aead.nonce_bytes()).unwrap_or_default();
        self.aead
            .seal(self.sender_key(), nonce, aad.as_bytes(), text)
            .map_err(|_| ProtectError::Encryption)?;
        Ok(start + len)
    }

    /// Decrypts at the end of `out`, and returns what is in front of that with what was inside.
    pub(super) fn open<'b>(
        &self,
        message: &Message<'_>,
        exchange: &Exchange,
        nonce: &[u8],
        out: &'b mut [u8],
    ) -> Result<(&'b mut [u8], Inner<'b>), UnprotectError> {
        let aad =
            Aad::new(self.aead, &exchange.kid, exchange.partial_iv).ok_or(UnprotectError::Decryption)?;
        let at = out.len().checked_sub(message.payload.len()).ok_or(WriteError::NoRoom)?;
        let (front, text) = out.split_at_mut_checked(at).ok_or(WriteError::NoRoom)?;
        text.copy_from_slice(message.payload);
        let nonce = nonce.get(..self.aead.nonce_bytes()).unwrap_or_default();
        let plaintext = self
            .aead
            .open(self.recipient_key(), nonce, aad.as_bytes(), text)
            .map_err(|_| UnprotectError::Decryption)?;
        Ok((front, Inner::decode(plaintext)?))
    }
}

impl Replay {
    /// Notes an authentic request; says whether it is known to be new.
    fn take(&mut self, partial_iv: PartialIv, echo: Option<&[u8]>) -> bool {
        match self {
            Self::Window(window) => {
                window.take(partial_iv);
                true
            }
            Self::Lost { challenge } => {
                let proven = echo.is_some_and(|echo| challenge.ct_eq(echo).into());
                if proven {
                    *self = Self::Window(Window::after(partial_iv));
                }
                proven
            }
        }
    }
}

/// The OSCORE option of a message.
pub(super) fn header_of(message: &Message<'_>) -> Result<Header, UnprotectError> {
    let value = message.options.get(OptionNumber::OSCORE).ok_or(UnprotectError::NotProtected)?;
    Ok(Header::decode(value)?)
}
