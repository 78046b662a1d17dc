//! Whether a use that somebody shows a grant for may begin. What comes after that, only the thing knows. Pure, and the one place
//! where it is decided: on chips and hosts.

use thingward_crypto::VerifyingKey;
use thingward_grant::{
    Class, Device, Permitted, Presentation, Refusal, Revocation, Scope, SignedRevocation, Standing, Time,
    TrustedIssuer, TrustedKey,
};
use thingward_model::{NameRef, name};

use crate::verdict::Verdict;

/// How long a nonce waits for its presentation, in microseconds: a minute, in which somebody may still be asked.
pub const NONCE_MICROS: u32 = 60_000_000;

/// What a device holds presentations against.
#[derive(Clone, Copy)]
pub struct UseJudge<'d> {
    /// The tenant that it belongs to.
    pub tenant: NameRef<'d, name::Tenant>,
    /// Its name.
    pub name: NameRef<'d, name::Device>,
    /// Whose grants it takes: the service's, which asks its policies before it issues.
    pub key: &'d VerifyingKey,
    /// What it opens to grants.
    pub opened: Scope<'d>,
    /// What was taken back of what was granted for the device.
    pub standing: &'d Standing,
    /// The classes that it is in.
    pub classes: &'d [Class<'d>],
    /// What it knows of the time.
    pub time: Time,
}

impl UseJudge<'_> {
    /// Judges a presentation. `is_open` is whether its nonce is one that the device made for it, which is spent now whatever
    /// comes out; `used` is how often the grant was used here, or is about to be.
    ///
    /// # Errors
    ///
    /// The first of [`Refusal`]s, in their order, that applies; [`Refusal::NotGranted`] when a fault came between.
    pub fn judge<'p>(
        &self,
        presentation: &Presentation<'p>,
        is_open: bool,
        used: u32,
    ) -> Result<Permitted<'p>, Refusal> {
        // The issuer may here what is open.
        let Self { tenant, name, opened, standing, classes, time, .. } = *self;
        let issuers = [TrustedIssuer { key: TrustedKey::Public(self.key), right: opened, standing, classes }];
        let device = Device { tenant, name, opened, issuers: &issuers, time };
        // For a nonce that is not open any other will do: the refusals keep their order.
        let nonce = presentation.nonce();
        let expected = if is_open { nonce } else { nonce.map(|byte| !byte) };
        Verdict::hold(device.decide(presentation, &expected, used), Refusal::NotGranted)
    }
}

/// What a message takes back, on the word of `key`'s holder.
///
/// # Errors
///
/// As [`SignedRevocation::decode`] and [`SignedRevocation::verify`].
pub fn revocation<'m>(
    message: &'m [u8],
    key: &VerifyingKey,
    tenant: NameRef<'_, name::Tenant>,
) -> Result<Revocation<'m>, Refusal> {
    let signed = SignedRevocation::decode(message)?;
    Verdict::hold(signed.verify(&TrustedKey::Public(key), tenant), Refusal::Forged)
}
