//! What a credential goes by in a message, ID_CRED_x: RFC 9528 §3.5.3, and RFC 9360 for certificates.

use alloc::vec::Vec;

use super::cbor::{read_bytes, write_bytes, write_head};
use super::{EdhocError, Identifier};
use thingward_crypto::sha256;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialId {
    /// `kid`: the other endpoint has the credential.
    Kid(Identifier),
    /// `kccs`: the credential itself, a CWT Claims Set.
    Value(Vec<u8>),
    /// `x5chain`: a certificate, and what leads from it to a root.
    Chain(Chain),
    /// `x5t`: the other endpoint has the certificate.
    Thumbprint(Thumbprint),
}

/// Header parameters of COSE, as a map of one begins: RFC 9052 §3.1, RFC 9528 §10.6, RFC 9360 §2.
const KID: &[u8] = &[0xa1, 4];
const KCCS: &[u8] = &[0xa1, 14];
const X5CHAIN: &[u8] = &[0xa1, 0x18, 33];
const X5T: &[u8] = &[0xa1, 0x18, 34];

impl CredentialId {
    /// The map that is authenticated.
    pub(super) fn map(&self) -> Vec<u8> {
        match self {
            Self::Kid(kid) => {
                let mut map = KID.to_vec();
                write_bytes(kid.as_bytes(), &mut map);
                map
            }
            Self::Value(claims) => [KCCS, claims].concat(),
            Self::Chain(chain) => {
                let mut map = X5CHAIN.to_vec();
                chain.write(&mut map);
                map
            }
            Self::Thumbprint(thumbprint) => {
                let mut map = X5T.to_vec();
                thumbprint.write(&mut map);
                map
            }
        }
    }

    /// A `kid` alone travels without its map: RFC 9528 §3.5.3.2.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Kid(kid) => kid.write(out),
            _ => out.extend_from_slice(&self.map()),
        }
    }

    pub(super) fn read(rest: &mut &[u8]) -> Result<Self, EdhocError> {
        if let Some(left) = rest.strip_prefix(X5CHAIN) {
            *rest = left;
            return Chain::read(rest).map(Self::Chain);
        }
        if let Some(left) = rest.strip_prefix(X5T) {
            *rest = left;
            return Thumbprint::read(rest).map(Self::Thumbprint);
        }
        let Some(value) = rest.strip_prefix(KCCS) else {
            return Identifier::read(rest).map(Self::Kid);
        };
        let mut decoder = minicbor::Decoder::new(value);
        decoder.skip().map_err(|_| EdhocError::Malformed)?;
        let (claims, left) = value.split_at_checked(decoder.position()).ok_or(EdhocError::Malformed)?;
        *rest = left;
        Ok(Self::Value(claims.to_vec()))
    }
}

/// Certificates in DER: somebody's, then each issuer's. There is one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain(Vec<Vec<u8>>);

/// Most certificates in a chain: somebody's, and those between it and a root.
const CHAIN_MAX: usize = 4;

impl Chain {
    pub(super) fn new(certificates: &[Vec<u8>]) -> Result<Self, EdhocError> {
        match certificates.len() {
            1..=CHAIN_MAX => Ok(Self(certificates.to_vec())),
            _ => Err(EdhocError::ChainTooLong),
        }
    }

    /// All of them.
    #[must_use]
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// Whose chain it is.
    #[must_use]
    pub fn leaf(&self) -> &[u8] {
        self.0.first().map(Vec::as_slice).unwrap_or_default()
    }

    /// COSE_X509: one alone is a byte string, more are an array of them.
    fn write(&self, out: &mut Vec<u8>) {
        if self.0.len() != 1 {
            write_head(0x80, self.0.len(), out);
        }
        self.0.iter().for_each(|certificate| write_bytes(certificate, out));
    }

    fn read(rest: &mut &[u8]) -> Result<Self, EdhocError> {
        let count = match *rest {
            [head @ 0x82..=0x97, left @ ..] => {
                *rest = left;
                usize::from(head - 0x80)
            }
            [0x98..=0x9b, ..] => return Err(EdhocError::ChainTooLong),
            _ => 1,
        };
        if count > CHAIN_MAX {
            return Err(EdhocError::ChainTooLong);
        }
        let all: Result<_, _> = (0..count).map(|_| read_bytes(rest).map(<[u8]>::to_vec)).collect();
        all.map(Self)
    }
}

/// A hash of a certificate in DER, COSE_CertHash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thumbprint {
    /// The first 8 bytes of SHA-256: what the standard's examples have.
    Sha256Short([u8; 8]),
    Sha256([u8; 32]),
}

/// SHA-256/64 and SHA-256, -15 and -16, with the array in front and the head of the hash behind: RFC 9054 §3.
const SHA256_SHORT: &[u8] = &[0x82, 0x2e];
const SHA256: &[u8] = &[0x82, 0x2f];

impl Thumbprint {
    /// The short one of this certificate.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = sha256(&[certificate]);
        Self::Sha256Short([a, b, c, d, e, f, g, h])
    }

    /// Whether it is of this certificate.
    #[must_use]
    pub fn is_of(&self, certificate: &[u8]) -> bool {
        match self {
            Self::Sha256Short(_) => Self::of(certificate) == *self,
            Self::Sha256(hash) => sha256(&[certificate]) == *hash,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let (head, hash) = match self {
            Self::Sha256Short(hash) => (SHA256_SHORT, hash.as_slice()),
            Self::Sha256(hash) => (SHA256, hash.as_slice()),
        };
        out.extend_from_slice(head);
        write_bytes(hash, out);
    }

    fn read(rest: &mut &[u8]) -> Result<Self, EdhocError> {
        let malformed = |_| EdhocError::Malformed;
        if let Some(left) = rest.strip_prefix(SHA256_SHORT) {
            *rest = left;
            return read_bytes(rest)?.try_into().map(Self::Sha256Short).map_err(malformed);
        }
        *rest = rest.strip_prefix(SHA256).ok_or(EdhocError::UnknownCredential)?;
        read_bytes(rest)?.try_into().map(Self::Sha256).map_err(malformed)
    }
}
