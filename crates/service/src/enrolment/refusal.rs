//! Why there is no certificate, and what the client is told.

use thingward_model::Role;
use thingward_pki::PkiError;
use thingward_store::StoreError;

/// Why a request for a certificate was refused. [`Self::status`] is the only place that turns it into HTTP.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The signing request cannot be used.
    #[error("{0}")]
    Request(PkiError),
    /// Neither a claim code nor a client certificate came with the request.
    #[error("show a claim code or a client certificate")]
    NoCredential,
    /// The claim code is unknown, used or expired; which one is not told.
    #[error("the claim code is not known, was used, or is past its time")]
    WrongCode,
    /// The claim is for somebody who is enrolled elsewhere.
    #[error("the claim is for a {role}, who enrols over HTTPS")]
    OtherRole {
        /// What it is for.
        role: Role,
    },
    /// The claim is for somebody of another tenant than the gateway that shows it.
    #[error("the claim is for somebody of another tenant")]
    OtherTenant,
    /// Too many wrong codes from one place.
    #[error("too many wrong claim codes; wait a minute")]
    TooManyGuesses,
    /// No maker that the tenant trusts stands behind the certificate. Also when there is no such tenant.
    #[error("no maker that this tenant trusts stands behind the certificate")]
    UntrustedMaker,
    /// The maker is trusted, but this thing is not expected.
    #[error("serial number `{serial}` is not expected here")]
    UnexpectedSerial {
        /// What the maker's certificate says.
        serial: String,
    },
    /// The thing belongs to someone.
    #[error("this thing was not released by its owner")]
    NotReleased,
    /// The name that it would get belongs to another thing.
    #[error("the name `{name}` is in use; expect the serial number under another name")]
    NameInUse {
        /// The name.
        name: String,
    },
    /// The serial number cannot be a name, and none was given for it.
    #[error("serial number `{serial}` cannot be a name; expect it under one")]
    NoName {
        /// What the maker's certificate says.
        serial: String,
    },
    /// The certificate is not one of ours, or no longer valid.
    #[error("the client certificate is not one of a member")]
    NotAMember,
    /// The certificate was taken back, or its holder released.
    #[error("the member was revoked or released")]
    Revoked,
    /// A gateway speaks for a device that it may not speak for, or of which the key in the request is not.
    #[error("this is not a device that the gateway may speak for, or not its key")]
    NotBehind,
    /// A thing shows a key that its gateway keeps for it.
    #[error("the key of this thing is its gateway's, which alone speaks for it")]
    Kept,
    /// A gateway enrols a thing, and nobody lets it.
    #[error("the gateway may enrol nothing now; let it: `thingward gateway admit`")]
    NotAdmitted,
    /// A gateway keeps as many things as it may.
    #[error("the gateway keeps {max} things, which is as many as it may")]
    TooManyKept {
        /// How many it may.
        max: u32,
    },
    /// Somebody asks for what only gateways get.
    #[error("only gateways get policies to go by")]
    NoGateway,
    /// There are no policies that a gateway could go by.
    #[error("the tenant has no policies that a gateway could go by; the service's log says why")]
    NoPolicies,
    /// The gateway could have the host name of another one.
    #[error("a gateway and its tenant have names of `a-z 0-9 -`: they become a host name")]
    GatewayName,
    /// The member got as many certificates as it may within a day.
    #[error("too many certificates in a short time; use the one that you have")]
    TooManyCertificates,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authority's key failed.
    #[error("the certificate authority does not work")]
    Authority,
}

impl Refusal {
    /// The HTTP status: RFC 7030 §4.2.3.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Request(PkiError::TooLarge { .. }) => 413,
            Self::Request(_) => 400,
            Self::NoCredential | Self::WrongCode | Self::NotAMember => 401,
            Self::TooManyGuesses | Self::TooManyCertificates => 429,
            Self::UntrustedMaker
            | Self::UnexpectedSerial { .. }
            | Self::NotReleased
            | Self::NameInUse { .. }
            | Self::NoName { .. }
            | Self::NotBehind
            | Self::Kept
            | Self::NotAdmitted
            | Self::TooManyKept { .. }
            | Self::GatewayName
            | Self::NoGateway
            | Self::OtherRole { .. }
            | Self::OtherTenant
            | Self::Revoked => 403,
            Self::Store(StoreError::Conflict { .. } | StoreError::NotFound { .. }) => 403,
            Self::Store(_) | Self::Authority | Self::NoPolicies => 503,
        }
    }

    /// What the client is told: one sentence, without the cause of a failure on our side.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Store(StoreError::Conflict { what }) => (*what).to_owned(),
            Self::Store(StoreError::NotFound { what }) => format!("{what} not found"),
            Self::Store(_) => "the service cannot answer now".to_owned(),
            other => other.to_string(),
        }
    }
}
