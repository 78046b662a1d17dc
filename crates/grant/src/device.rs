//! The device's decision.

use thingward_model::{NameRef, Timestamp, name};

use crate::claims::{GrantId, Reference, Terms};
use crate::keys::TrustedKey;
use crate::presentation::{Nonce, Presentation};
use crate::scope::Arguments;
use crate::{Audience, Grant, Operation, Refusal, Scope, Standing, Time, public, symmetric};

/// A device, as far as grants go.
#[derive(Clone, Copy)]
pub struct Device<'a> {
    /// The tenant that it belongs to.
    pub tenant: NameRef<'a, name::Tenant>,
    /// Its name.
    pub name: NameRef<'a, name::Device>,
    /// What its description opens to grants. Here an argument without a bound is not open.
    pub opened: Scope<'a>,
    /// Whose grants it takes.
    pub issuers: &'a [TrustedIssuer<'a>],
    /// What it knows of the time.
    pub time: Time,
}

/// Somebody whose grants a device takes.
#[derive(Clone, Copy)]
pub struct TrustedIssuer<'a> {
    /// The issuer's key.
    pub key: TrustedKey<'a>,
    /// What the issuer may grant.
    pub right: Scope<'a>,
    /// What the issuer has taken back of what it granted for the device.
    pub standing: &'a Standing,
    /// The classes that the issuer has put the device in.
    pub classes: &'a [Class<'a>],
}

/// A class that a device is in.
#[derive(Clone, Copy)]
pub struct Class<'a> {
    /// Its name.
    pub name: NameRef<'a, name::Group>,
    /// What its issuer has taken back of what it granted for the class.
    pub standing: &'a Standing,
}

impl<'a> TrustedIssuer<'a> {
    fn class(&self, name: &NameRef<'_, name::Group>) -> Option<&Class<'a>> {
        self.classes.iter().find(|class| class.name == *name)
    }
}

/// A use that a device has to serve. Only [`Device::decide`] makes one.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Permitted<'a> {
    /// Which grant was used: to be counted before the operation begins.
    pub grant: GrantId,
    /// For whom it was issued.
    pub audience: Audience<'a>,
    /// What to do.
    pub operation: Operation<'a>,
    /// When the right to it ends; `None` when only uses count.
    pub expires: Option<Timestamp>,
    /// How often the grant may be used altogether; `None` for as often as time allows.
    pub uses: Option<u32>,
    /// Why the holder has it.
    pub reference: Option<Reference<'a>>,
    /// The issuer's epoch at that audience: for [`Standing::observe`].
    pub epoch: u32,
}

impl<'a> Device<'a> {
    /// Decides about one presentation. `nonce` is the one that the device made for it, and which is spent now whatever
    /// comes out; `used` is how often the grant was used here before.
    ///
    /// # Errors
    ///
    /// The first of [`Refusal`]s, in their order, that applies.
    pub fn decide<'p>(
        &self,
        presentation: &Presentation<'p>,
        nonce: &Nonce,
        used: u32,
    ) -> Result<Permitted<'p>, Refusal> {
        let (grant, operation) = (presentation.grant(), &presentation.operation);
        let issuer = self.issuer(grant)?;
        if presentation.device != self.name {
            return Err(Refusal::OtherDevice);
        }
        if presentation.nonce != *nonce {
            return Err(Refusal::WrongNonce);
        }
        authenticate(presentation, issuer.key)?;
        // From here on the issuer and all holders vouch for what is still called unverified.
        let (audience, standing) = self.audience(grant, issuer)?;
        standing.check(grant.origin_unverified())?;
        let limits = Limits::of(grant)?;
        self.time.check(limits.not_before, limits.expires)?;
        if limits.uses.is_some_and(|uses| used >= uses) {
            return Err(Refusal::UsedUp);
        }
        self.check_scopes(grant, issuer, operation)?;
        let origin = grant.origin_unverified();
        Ok(Permitted {
            grant: origin.id,
            audience,
            operation: *operation,
            expires: limits.expires,
            uses: limits.uses,
            reference: origin.reference,
            epoch: origin.epoch,
        })
    }

    fn issuer(&self, grant: &Grant<'_>) -> Result<&'a TrustedIssuer<'a>, Refusal> {
        let is_it = |issuer: &&TrustedIssuer<'_>| {
            issuer.key.verifier().profile() == grant.profile() && issuer.key.id() == grant.key_id()
        };
        self.issuers.iter().find(is_it).ok_or(Refusal::UnknownIssuer)
    }

    /// For whom the grant was issued, and what the issuer has taken back there. The device is among them, and among
    /// those that each narrowing is for.
    fn audience<'g>(
        &self,
        grant: &Grant<'g>,
        issuer: &TrustedIssuer<'a>,
    ) -> Result<(Audience<'g>, &'a Standing), Refusal> {
        let mut found = None;
        for terms in grant.terms_unverified() {
            let Some(audience) = terms?.audience else { continue };
            let standing = match &audience {
                Audience::Device(name) => (*name == self.name).then_some(issuer.standing),
                Audience::Class(name) => issuer.class(name).map(|class| class.standing),
            };
            // The issuer's block comes first, and has one.
            let first = (audience, standing.ok_or(Refusal::WrongAudience)?);
            found = found.or(Some(first));
        }
        found.filter(|_| grant.origin_unverified().issuer == self.tenant).ok_or(Refusal::WrongAudience)
    }

    /// What may be done is what the description opens, the issuer may grant, and every block allows.
    fn check_scopes(
        &self,
        grant: &Grant<'_>,
        issuer: &TrustedIssuer<'_>,
        operation: &Operation<'_>,
    ) -> Result<(), Refusal> {
        if !self.opened.allows(operation, Arguments::MustBeBound)? {
            return Err(Refusal::NotOpened);
        }
        if !issuer.right.allows(operation, Arguments::MayBeFree)? {
            return Err(Refusal::BeyondIssuer);
        }
        for terms in grant.terms_unverified() {
            if let Some(scope) = terms?.scope
                && !scope.allows(operation, Arguments::MayBeFree)?
            {
                return Err(Refusal::NotGranted);
            }
        }
        Ok(())
    }
}

/// Checks that the issuer made the grant, that each holder made the next narrowing, and that the last made the proof.
fn authenticate(presentation: &Presentation<'_>, issuer: TrustedKey<'_>) -> Result<(), Refusal> {
    match issuer {
        TrustedKey::Public(key) => public::authenticate(presentation, key),
        TrustedKey::Symmetric(key) => symmetric::authenticate(presentation, key),
    }
}

/// The times and the use count that all blocks together leave.
struct Limits {
    not_before: Option<Timestamp>,
    expires: Option<Timestamp>,
    uses: Option<u32>,
}

impl Limits {
    #[inline(never)]
    fn of(grant: &Grant<'_>) -> Result<Self, Refusal> {
        let mut all = Self { not_before: None, expires: None, uses: None };
        for terms in grant.terms_unverified() {
            let Terms { not_before, expires, uses, .. } = terms?;
            all.not_before = all.not_before.max(not_before);
            all.expires = least(all.expires, expires);
            all.uses = least(all.uses, uses);
        }
        Ok(all)
    }
}

/// The lesser of two limits, of which one that is not there is none.
fn least<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
