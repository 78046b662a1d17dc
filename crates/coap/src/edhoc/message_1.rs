//! Message 1: RFC 9528 §5.2.

use alloc::vec::Vec;

use super::cbor::{check_data, read_bytes, read_small};
use super::keys::PublicX;
use super::{EdhocError, Identifier, Method, Suite, Suites};

/// What somebody begins with. A responder looks at it before it knows which key it answers with.
#[derive(Debug, Clone)]
pub struct Message1 {
    pub(super) method: Method,
    pub(super) suite: Suite,
    pub(super) g_x: PublicX,
    pub(super) c_i: Identifier,
    pub(super) bytes: Vec<u8>,
}

impl Message1 {
    /// Reads it. `taken` says which suites there are with a method; none means that the method is not taken.
    ///
    /// # Errors
    ///
    /// [`EdhocError`]; there is no session.
    pub fn read(message: &[u8], taken: impl Fn(Method) -> Suites) -> Result<Self, EdhocError> {
        let mut rest = message;
        let method = Method::from_number(read_small(&mut rest)?).ok_or(EdhocError::Method)?;
        let suites = taken(method);
        if suites.is_empty() {
            return Err(EdhocError::Method);
        }
        let suite = read_suites(&mut rest, suites)?;
        let g_x = read_bytes(&mut rest)?.try_into().map_err(|_| EdhocError::PublicKey)?;
        let c_i = Identifier::read(&mut rest)?;
        check_data(rest)?;
        Ok(Self { method, suite, g_x, c_i, bytes: message.to_vec() })
    }

    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }
}

/// One suite, or two and more in order of preference of which the last is selected; an earlier one that is taken here
/// would have been: §5.2.3.
fn read_suites(rest: &mut &[u8], taken: Suites) -> Result<Suite, EdhocError> {
    let mut preferred = 0;
    if let [head @ 0x82..=0x97, left @ ..] = *rest {
        preferred = head - 0x81;
        *rest = left;
    }
    let mut next = || Ok::<_, EdhocError>(read_suite(rest)?.filter(|suite| taken.contains(*suite)));
    for _ in 0..preferred {
        if next()?.is_some() {
            return Err(EdhocError::Suite(taken));
        }
    }
    next()?.ok_or(EdhocError::Suite(taken))
}

/// A suite; `None` for one that is not known here. Negative ones are for private use (§10.2), and here for nobody.
fn read_suite(rest: &mut &[u8]) -> Result<Option<Suite>, EdhocError> {
    let left = match *rest {
        [0x20..=0x37, left @ ..] | [0x38, 24..=u8::MAX, left @ ..] => left,
        _ => return read_small(rest).map(Suite::from_number),
    };
    *rest = left;
    Ok(None)
}
