//! A parking meter, whoever wants to park, and grants between them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, sha256};
use thingward_grant::symmetric::HolderSecret;
use thingward_grant::{
    Audience, Bound, Class, Device, FormatError, GRANT_BYTES_MAX, Grant, HolderKey, Nonce,
    OPERATION_BYTES_MAX, Operation, Origin, PRESENTATION_BYTES_MAX, Permission, Permitted, Presentation,
    Reference, Refusal, SCOPE_BYTES_MAX, Scope, SharedKey, Standing, Terms, Time, TrustedIssuer, TrustedKey,
    Value, public, symmetric,
};
use thingward_model::name::{Group, Kind};
use thingward_model::{NameRef, Timestamp};

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub(crate) const HOUR: i64 = 3_600_000_000;
pub(crate) const NONCE: Nonce = [0x5a; 16];
pub(crate) const ID: [u8; 8] = *b"\x1d\xc0\xff\xee\x00\x01\x02\x03";

/// The key of somebody, made once.
pub(crate) fn key(who: &str) -> &'static SoftwareKey {
    static KEYS: Mutex<BTreeMap<String, &'static SoftwareKey>> = Mutex::new(BTreeMap::new());
    KEYS.lock().unwrap().entry(who.to_owned()).or_insert_with(|| {
        let seed = sha256(&[who.as_bytes()]);
        Box::leak(Box::new(SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &seed).unwrap()))
    })
}

pub(crate) fn holder_key(who: &str) -> HolderKey {
    HolderKey::from_key(key(who).public_key()).unwrap()
}

pub(crate) fn shared_key() -> SharedKey {
    SharedKey::new(&sha256(&[b"issuer and meter"]))
}

pub(crate) fn named<K: Kind>(text: &str) -> NameRef<'_, K> {
    NameRef::new(text).unwrap()
}

/// A scope that lives as long as the test.
pub(crate) fn scope(permissions: &[(&str, &[(&str, Bound<'_>)])]) -> Scope<'static> {
    let permissions: Vec<Permission<'_>> =
        permissions.iter().map(|(action, bounds)| Permission { action: named(action), bounds }).collect();
    Scope::write(&permissions, Box::leak(Box::new([0; SCOPE_BYTES_MAX]))).unwrap()
}

pub(crate) fn operation(action: &str, arguments: &[(&str, Value<'_>)]) -> Operation<'static> {
    let room = Box::leak(Box::new([0; OPERATION_BYTES_MAX]));
    Operation::write(named(action), arguments, room).unwrap()
}

pub(crate) const fn at_most(most: i64) -> Bound<'static> {
    Bound::Range { at_least: None, at_most: Some(most) }
}

pub(crate) const fn between(least: i64, most: i64) -> Bound<'static> {
    Bound::Range { at_least: Some(least), at_most: Some(most) }
}

/// Reserving bay 12 for so many minutes.
pub(crate) fn reserve(minutes: i64) -> Operation<'static> {
    operation("reserve", &[("minutes", Value::Integer(minutes))])
}

pub(crate) fn origin() -> Origin<'static> {
    Origin {
        issuer: named("stadtwerke"),
        id: ID,
        epoch: 7,
        reference: Some(Reference::Payment("pi_3MtwBwLkdIwHu7ix28a3tqPa")),
    }
}

/// The bay for two hours, from now on for three, once.
pub(crate) fn terms() -> Terms<'static> {
    Terms {
        audience: Some(Audience::Device(named("meter-12"))),
        expires: Some(NOW.plus_micros(3 * HOUR)),
        not_before: Some(NOW),
        uses: Some(1),
        scope: Some(scope(&[("reserve", &[("minutes", at_most(120))])])),
    }
}

/// Half an hour of it, within the next hour.
pub(crate) fn narrower() -> Terms<'static> {
    Terms {
        expires: Some(NOW.plus_micros(HOUR)),
        scope: Some(scope(&[("reserve", &[("minutes", at_most(30))])])),
        ..Terms::default()
    }
}

/// What the meter's description opens to grants. The toll rate is not among it.
pub(crate) fn opened() -> Scope<'static> {
    let zones = [Value::Text("a"), Value::Text("b")];
    scope(&[
        ("reserve", &[("minutes", between(1, 240))]),
        (
            "open",
            &[("door", between(1, 4)), ("slowly", Bound::OneOf(&[Value::Bool(true), Value::Bool(false)]))],
        ),
        ("light", &[("", Bound::OneOf(&zones))]),
        ("release", &[]),
    ])
}

/// What the issuer may grant. It says more than the description opens.
pub(crate) fn right() -> Scope<'static> {
    scope(&[
        ("reserve", &[]),
        ("release", &[]),
        ("light", &[]),
        ("open", &[("door", between(2, 9))]),
        ("set-rate", &[]),
    ])
}

/// One link of a grant in the making, by either profile.
pub(crate) enum Holder {
    Public(String),
    Symmetric(HolderSecret),
}

/// A grant and who holds it.
pub(crate) struct Held {
    pub(crate) bytes: Vec<u8>,
    pub(crate) holder: Holder,
}

impl Held {
    pub(crate) fn public(origin: &Origin<'_>, terms: &Terms<'_>, holder: &str) -> Self {
        let mut out = [0; GRANT_BYTES_MAX];
        let len = public::issue(key("issuer"), origin, terms, holder_key(holder), &mut out).unwrap();
        Self { bytes: out[..len].to_vec(), holder: Holder::Public(holder.to_owned()) }
    }

    pub(crate) fn symmetric(origin: &Origin<'_>, terms: &Terms<'_>) -> Self {
        let mut out = [0; GRANT_BYTES_MAX];
        let (len, secret) = symmetric::issue(&shared_key(), origin, terms, &mut out).unwrap();
        Self { bytes: out[..len].to_vec(), holder: Holder::Symmetric(secret) }
    }

    /// The usual grant in each profile.
    pub(crate) fn both() -> [Self; 2] {
        [Self::public(&origin(), &terms(), "anna"), Self::symmetric(&origin(), &terms())]
    }

    pub(crate) fn grant(&self) -> Grant<'_> {
        Grant::decode(&self.bytes).unwrap()
    }

    pub(crate) fn narrow(&self, terms: &Terms<'_>, next: &str) -> Result<Self, FormatError> {
        let mut out = [0; GRANT_BYTES_MAX];
        let (len, holder) = match &self.holder {
            Holder::Public(who) => {
                let len = public::narrow(key(who), &self.grant(), terms, holder_key(next), &mut out)?;
                (len, Holder::Public(next.to_owned()))
            }
            Holder::Symmetric(secret) => {
                let (len, secret) = symmetric::narrow(secret, &self.grant(), terms, &mut out)?;
                (len, Holder::Symmetric(secret))
            }
        };
        Ok(Self { bytes: out[..len].to_vec(), holder })
    }

    pub(crate) fn present(&self, device: &str, nonce: &Nonce, operation: &Operation<'_>) -> Vec<u8> {
        let mut out = [0; PRESENTATION_BYTES_MAX];
        let device = named(device);
        let grant = self.grant();
        let len = match &self.holder {
            Holder::Public(who) => public::present(key(who), &grant, device, nonce, operation, &mut out),
            Holder::Symmetric(secret) => {
                symmetric::present(secret, &grant, device, nonce, operation, &mut out)
            }
        };
        out[..len.unwrap()].to_vec()
    }
}

/// The meter of bay 12.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) standing: Standing,
    pub(crate) time: Time,
    /// Each with what was taken back there.
    pub(crate) classes: Vec<(NameRef<'static, Group>, Standing)>,
    pub(crate) right: Scope<'static>,
    pub(crate) opened: Scope<'static>,
    pub(crate) used: u32,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            standing: Standing::restored(7, &[]).unwrap(),
            time: Time::clock(NOW, 0),
            classes: [("parking-meters", 7), ("street", 9)]
                .map(|(name, epoch)| (named(name), Standing::restored(epoch, &[]).unwrap()))
                .to_vec(),
            right: right(),
            opened: opened(),
            used: 0,
        }
    }
}

impl Meter {
    pub(crate) fn with<T>(&self, ask: impl FnOnce(&Device<'_>) -> T) -> T {
        let (issuer, shared) = (key("issuer"), shared_key());
        let classes: Vec<_> =
            self.classes.iter().map(|(name, standing)| Class { name: *name, standing }).collect();
        let (right, standing) = (self.right, &self.standing);
        let trusted = |key| TrustedIssuer { key, right, standing, classes: &classes };
        let issuers =
            [trusted(TrustedKey::Public(issuer.public_key())), trusted(TrustedKey::Symmetric(&shared))];
        ask(&Device {
            tenant: named("stadtwerke"),
            name: named("meter-12"),
            opened: self.opened,
            issuers: &issuers,
            time: self.time,
        })
    }

    pub(crate) fn decide<'p>(&self, presentation: &'p [u8]) -> Result<Permitted<'p>, Refusal> {
        let presentation = Presentation::decode(presentation)?;
        self.with(|device| device.decide(&presentation, &NONCE, self.used))
    }

    /// What the meter says to the usual presentation of a grant.
    pub(crate) fn asked(&self, held: &Held, operation: &Operation<'_>) -> Result<(), Refusal> {
        self.decide(&held.present("meter-12", &NONCE, operation)).map(drop)
    }
}
