//! Option numbers: RFC 7252 §5.4.6 and §5.10.

/// Which option it is. The number's low bits say how those treat it who do not know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OptionNumber(pub u16);

impl OptionNumber {
    pub const IF_MATCH: Self = Self(1);
    pub const URI_HOST: Self = Self(3);
    pub const ETAG: Self = Self(4);
    pub const IF_NONE_MATCH: Self = Self(5);
    /// RFC 7641 §2.
    pub const OBSERVE: Self = Self(6);
    pub const URI_PORT: Self = Self(7);
    pub const LOCATION_PATH: Self = Self(8);
    /// RFC 8613 §2.
    pub const OSCORE: Self = Self(9);
    pub const URI_PATH: Self = Self(11);
    pub const CONTENT_FORMAT: Self = Self(12);
    pub const MAX_AGE: Self = Self(14);
    pub const URI_QUERY: Self = Self(15);
    /// RFC 8768 §3.
    pub const HOP_LIMIT: Self = Self(16);
    pub const ACCEPT: Self = Self(17);
    pub const LOCATION_QUERY: Self = Self(20);
    /// RFC 9668 §3.1.
    pub const EDHOC: Self = Self(21);
    /// RFC 7959 §2.1.
    pub const BLOCK2: Self = Self(23);
    /// RFC 7959 §2.1.
    pub const BLOCK1: Self = Self(27);
    /// RFC 7959 §4.
    pub const SIZE2: Self = Self(28);
    pub const PROXY_URI: Self = Self(35);
    pub const PROXY_SCHEME: Self = Self(39);
    /// RFC 7252 §5.10.9.
    pub const SIZE1: Self = Self(60);
    /// RFC 9175 §2.2.1.
    pub const ECHO: Self = Self(252);
    /// RFC 7967 §2.
    pub const NO_RESPONSE: Self = Self(258);

    /// Who does not know it must refuse the message: RFC 7252 §5.4.1.
    #[must_use]
    pub const fn is_critical(self) -> bool {
        self.0 & 1 == 1
    }

    /// A proxy that does not know it must not pass it on: RFC 7252 §5.4.2.
    #[must_use]
    pub const fn is_unsafe_to_forward(self) -> bool {
        self.0 & 2 == 2
    }

    /// It is not part of what an answer is cached under: RFC 7252 §5.4.6.
    #[must_use]
    pub const fn is_no_cache_key(self) -> bool {
        self.0 & 0x1e == 0x1c
    }

    /// Whether it may be there more than once: RFC 7252 §5.10, table 4. What is unknown may.
    #[must_use]
    pub const fn is_repeatable(self) -> bool {
        let once = matches!(
            self,
            Self::URI_HOST
                | Self::IF_NONE_MATCH
                | Self::OBSERVE
                | Self::URI_PORT
                | Self::OSCORE
                | Self::CONTENT_FORMAT
                | Self::MAX_AGE
                | Self::HOP_LIMIT
                | Self::ACCEPT
                | Self::EDHOC
                | Self::BLOCK2
                | Self::BLOCK1
                | Self::SIZE2
                | Self::PROXY_URI
                | Self::PROXY_SCHEME
                | Self::SIZE1
                | Self::ECHO
                | Self::NO_RESPONSE
        );
        !once
    }

    /// Whether a value of `len` bytes is within the option's bounds; another one is treated like an unknown option:
    /// RFC 7252 §5.4.3. What is unknown has no bounds.
    #[must_use]
    pub fn allows(self, len: usize) -> bool {
        let (min, max) = match self {
            Self::IF_MATCH => (0, 8),
            Self::URI_HOST | Self::PROXY_SCHEME => (1, 255),
            Self::ETAG => (1, 8),
            Self::IF_NONE_MATCH | Self::EDHOC => (0, 0),
            Self::OBSERVE | Self::BLOCK1 | Self::BLOCK2 => (0, 3),
            Self::URI_PORT | Self::CONTENT_FORMAT | Self::ACCEPT => (0, 2),
            Self::LOCATION_PATH | Self::OSCORE | Self::URI_PATH | Self::URI_QUERY | Self::LOCATION_QUERY => {
                (0, 255)
            }
            Self::MAX_AGE | Self::SIZE1 | Self::SIZE2 => (0, 4),
            Self::HOP_LIMIT => (1, 1),
            Self::PROXY_URI => (1, 1034),
            Self::ECHO => (1, 40),
            Self::NO_RESPONSE => (0, 1),
            _ => (0, usize::MAX),
        };
        (min..=max).contains(&len)
    }
}
