//! Protecting and taking responses: RFC 8613 §8.3 and §8.4.

use super::context::Context;
use super::header::Header;
use super::request::{Exchange, Notified, header_of};
use super::{ProtectError, UnprotectError};
use crate::message::{Class, Code, Message, OptionNumber};

/// Which nonce a response takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nonce {
    /// The request's, which is shorter, if it was not used yet; else an own one.
    Request,
    /// An own one, as every notification has: RFC 8613 §4.1.3.5.2.
    Own,
}

/// An Observe value has three bytes: RFC 7641 §2.
const OBSERVE_MASK: u64 = 0xff_ffff;

impl Context {
    /// Protects a response to the request of `exchange` into `out`, and returns its length.
    ///
    /// # Errors
    ///
    /// [`ProtectError`].
    pub fn protect_response(
        &mut self,
        exchange: &mut Exchange,
        message: &Message<'_>,
        nonce: Nonce,
        out: &mut [u8],
    ) -> Result<usize, ProtectError> {
        if message.code.class() != Class::Response {
            return Err(ProtectError::WrongClass);
        }
        let is_notification = message.options.get(OptionNumber::OBSERVE).is_some();
        // §4.2: what answers FETCH and POST.
        let code = if is_notification { Code::CONTENT } else { Code::CHANGED };
        let reuse = nonce == Nonce::Request && core::mem::take(&mut exchange.nonce_is_free);
        if reuse {
            let nonce = self.nonce(&exchange.kid, exchange.partial_iv);
            return self.seal(message, (code, &Header::default()), exchange, &nonce, out);
        }
        let partial_iv = self.sequence.take()?;
        let header = Header { partial_iv: Some(partial_iv), ..Header::default() };
        let nonce = self.nonce(&self.sender_id, partial_iv);
        self.seal(message, (code, &header), exchange, &nonce, out)
    }

    /// Takes a response to the request of `exchange`: writes it as a plain message to the front of `out`, which has room
    /// for twice the message, and returns its length. A notification's Observe option has the low 24 bits of its partial
    /// IV; one that is not newer than the last is a replay (§7.4.1).
    ///
    /// # Errors
    ///
    /// [`UnprotectError`]; the exchange is as before then.
    pub fn unprotect_response(
        &self,
        exchange: &mut Exchange,
        message: &Message<'_>,
        out: &mut [u8],
    ) -> Result<usize, UnprotectError> {
        let header = header_of(message)?;
        if header.kid.is_some_and(|kid| kid != self.recipient_id)
            || header.kid_context.is_some_and(|kid_context| Some(kid_context) != self.id_context)
        {
            return Err(UnprotectError::OtherContext);
        }
        let nonce = match header.partial_iv {
            Some(partial_iv) => self.nonce(&self.recipient_id, partial_iv),
            None => self.nonce(&exchange.kid, exchange.partial_iv),
        };
        let (out, inner) = self.open(message, exchange, &nonce, out)?;
        if inner.code.class() != Class::Response {
            return Err(UnprotectError::Plaintext);
        }
        if inner.get(OptionNumber::OBSERVE).is_none() {
            return Ok(inner.write(message, None, out)?);
        }
        // §4.1.3.5.2: nobody asked for it.
        if !exchange.observing {
            return Err(UnprotectError::Plaintext);
        }
        let notified = header.partial_iv.map_or(Notified::WithoutPartialIv, Notified::UpTo);
        if notified <= exchange.notified {
            return Err(UnprotectError::Replay);
        }
        let number = header.partial_iv.map_or(0, |iv| iv.number() & OBSERVE_MASK);
        let len = inner.write(message, Some(u32::try_from(number).unwrap_or_default()), out)?;
        exchange.notified = notified;
        Ok(len)
    }
}
