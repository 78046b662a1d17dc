//! Method and response codes: RFC 7252 §12.1, written `c.dd`.

use core::fmt;

/// What a message asks or answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(u8);

/// What the first digit says: RFC 7252 §5.2 and §12.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 0.00: an acknowledgement, a reset or a ping.
    Empty,
    /// 0.01 to 0.31.
    Request,
    /// 2.xx, 4.xx and 5.xx.
    Response,
    /// 1.xx, 3.xx, 6.xx and 7.xx, of which nothing is known over UDP.
    Reserved,
}

impl Code {
    pub const EMPTY: Self = Self(0);
    pub const GET: Self = Self::of(0, 1);
    pub const POST: Self = Self::of(0, 2);
    pub const PUT: Self = Self::of(0, 3);
    pub const DELETE: Self = Self::of(0, 4);
    /// RFC 8132 §2.
    pub const FETCH: Self = Self::of(0, 5);
    pub const CREATED: Self = Self::of(2, 1);
    pub const DELETED: Self = Self::of(2, 2);
    pub const VALID: Self = Self::of(2, 3);
    pub const CHANGED: Self = Self::of(2, 4);
    pub const CONTENT: Self = Self::of(2, 5);
    /// RFC 7959 §2.9.1.
    pub const CONTINUE: Self = Self::of(2, 31);
    pub const BAD_REQUEST: Self = Self::of(4, 0);
    pub const UNAUTHORIZED: Self = Self::of(4, 1);
    pub const BAD_OPTION: Self = Self::of(4, 2);
    pub const FORBIDDEN: Self = Self::of(4, 3);
    pub const NOT_FOUND: Self = Self::of(4, 4);
    pub const METHOD_NOT_ALLOWED: Self = Self::of(4, 5);
    /// RFC 7959 §2.9.2.
    pub const REQUEST_ENTITY_INCOMPLETE: Self = Self::of(4, 8);
    pub const REQUEST_ENTITY_TOO_LARGE: Self = Self::of(4, 13);
    pub const UNSUPPORTED_CONTENT_FORMAT: Self = Self::of(4, 15);
    /// RFC 8516 §3.
    pub const TOO_MANY_REQUESTS: Self = Self::of(4, 29);
    pub const INTERNAL_SERVER_ERROR: Self = Self::of(5, 0);
    pub const SERVICE_UNAVAILABLE: Self = Self::of(5, 3);

    const fn of(class: u8, detail: u8) -> Self {
        Self(class << 5 | detail)
    }

    /// The code of a byte; every byte is one.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte)
    }

    /// The byte on the wire.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }

    #[must_use]
    pub const fn class(self) -> Class {
        match self.0 >> 5 {
            0 if self.0 == 0 => Class::Empty,
            0 => Class::Request,
            2 | 4 | 5 => Class::Response,
            _ => Class::Reserved,
        }
    }

    /// Whether a response says that the request was met: 2.xx.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 >> 5 == 2
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 >> 5, self.0 & 0x1f)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
