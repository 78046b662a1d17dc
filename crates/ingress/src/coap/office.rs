//! What gateway and service answer differently: membership, certificates, evidence, the time.

use std::net::IpAddr;
use std::sync::Arc;

use thingward_coap::edhoc::{Credential, EdhocError};
use thingward_coap::message::Code;
use thingward_crypto::Signer;
use thingward_model::Principal;
use thingward_pki::SigningRequest;
use thingward_pki::proof::Proved;
use zeroize::Zeroizing;

use super::book::{RawKey, Record};
use crate::Member;

/// Why somebody does not get what they ask for, with a sentence for people.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is not what it should be.
    #[error("{0}")]
    Wrong(String),
    /// Not for them.
    #[error("{0}")]
    Forbidden(String),
    /// Not so often.
    #[error("{0}")]
    TooMany(String),
    /// Not now, for a reason that is nobody's business outside.
    #[error("{0}")]
    Unavailable(String),
}

impl Refused {
    /// As CoAP says it: RFC 7252 §5.9, RFC 8516 §4.
    pub(super) const fn code(&self) -> Code {
        match self {
            Self::Wrong(_) => Code::BAD_REQUEST,
            Self::Forbidden(_) => Code::FORBIDDEN,
            Self::TooMany(_) => Code::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => Code::SERVICE_UNAVAILABLE,
        }
    }
}

/// Why somebody with a certificate of the installation is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoMember {
    /// A gateway's or an application's.
    #[error("the certificate is not a device's")]
    NotADevice,
    /// It is of a tenant that is not served here.
    #[error("the certificate is of another tenant")]
    OtherTenant,
    /// It was taken back.
    #[error("the certificate is revoked")]
    Revoked,
    /// There is no such member any more, or a gateway speaks for it.
    #[error("the certificate's holder is no member that speaks for itself")]
    Nobody,
}

/// By what this end proves itself where it is to sign.
pub struct Certificate {
    /// The key.
    pub signer: Arc<dyn Signer + Send + Sync>,
    /// The certificate, with what leads from it to the root: `x5chain`.
    pub credential: Credential,
}

impl Certificate {
    /// `chain` is the certificate, then the issuing one, in DER.
    ///
    /// # Errors
    ///
    /// [`EdhocError`] when there are too many or none.
    pub fn new(chain: &[Vec<u8>], signer: Arc<dyn Signer + Send + Sync>) -> Result<Self, EdhocError> {
        let credential = Credential::chain(chain, signer.public_key().clone())?;
        Ok(Self { signer, credential })
    }
}

/// Somebody with a raw key who wants to be a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stranger {
    /// Its raw key.
    pub key: RawKey,
    /// Where it is, which it has shown.
    pub address: IpAddr,
}

/// A certificate for somebody.
#[derive(Debug, Clone)]
pub struct Certified {
    /// Who that is from now on.
    pub record: Record,
    /// Its certificate, then the issuing one, in DER.
    pub chain: Vec<Vec<u8>>,
}

/// What is asked beside what goes to the core. Clones are the same.
pub trait Office: Clone + Send + Sync + 'static {
    /// That this one is a member who is let in here, now.
    ///
    /// # Errors
    ///
    /// [`NoMember`].
    fn check_member(&self, who: &Member) -> Result<(), NoMember>;

    /// Our certificate as it is now.
    fn certificate(&self) -> impl Future<Output = Result<Arc<Certificate>, Refused>> + Send;

    /// Our word, with our certificate, that the raw key of this end is our own.
    fn voucher(&self) -> impl Future<Output = Result<Arc<Vec<u8>>, Refused>> + Send;

    /// The authorities: the root, then the issuing one, in DER.
    fn authorities(&self) -> impl Future<Output = Result<[Vec<u8>; 2], Refused>> + Send;

    /// Enrols a stranger on a claim. Whose the raw key is is durable then.
    fn enrol(
        &self,
        stranger: Stranger,
        request: &SigningRequest,
        code: &Zeroizing<String>,
    ) -> impl Future<Output = Result<Certified, Refused>> + Send;

    /// The next certificate of a member, for the key of the one before. It is durable then.
    fn renew(
        &self,
        member: &Record,
        request: &SigningRequest,
    ) -> impl Future<Output = Result<Certified, Refused>> + Send;

    /// Lets a member in that has shown its certificate for this raw key. Whose that is is durable then.
    fn join(&self, key: RawKey, proved: Proved) -> impl Future<Output = Result<Record, Refused>> + Send;

    /// Forgets whose this raw key is.
    fn forget(&self, record: &Record) -> impl Future<Output = ()> + Send;

    /// What is known of a member, as JSON, with where the service is.
    fn membership(&self, who: &Principal) -> impl Future<Output = Result<String, Refused>> + Send;

    /// What the service asks a member's evidence with.
    fn evidence_nonce(&self, who: &Principal) -> impl Future<Output = Result<Vec<u8>, Refused>> + Send;

    /// Takes evidence of a member.
    fn attest(&self, member: &Record, token: Vec<u8>) -> impl Future<Output = Result<(), Refused>> + Send;

    /// The time, signed in answer to this nonce.
    fn beacon(
        &self,
        who: &Principal,
        nonce: [u8; 16],
    ) -> impl Future<Output = Result<Vec<u8>, Refused>> + Send;
}
