//! How large things are and may be, and what is not made at all.

use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};
use thingward_grant::{
    Audience, Bound, FormatError, GRANT_BYTES_MAX, Grant, HolderKey, NARROWINGS_MAX, Origin, Permission,
    Presentation, REFERENCE_BYTES_MAX, Reference, SCOPE_BYTES_MAX, Scope, Terms, Value, public, symmetric,
};
use thingward_model::Timestamp;

use crate::common::*;

#[test]
fn a_usual_grant_has_under_300_bytes_and_a_usual_narrowing_under_150() {
    // Exactly, so that a byte more is noticed. The third is the proof.
    for (held, sizes) in Held::both().iter().zip([(253, 149, 123), (143, 40, 91)]) {
        let narrowed = held.narrow(&narrower(), "ben").unwrap();
        let presented = narrowed.present("meter-12", &NONCE, &reserve(30));
        let narrowing = narrowed.bytes.len() - held.bytes.len();
        let proof = presented.len() - narrowed.bytes.len();
        assert_eq!((held.bytes.len(), narrowing, proof), sizes, "{:?}", held.grant().profile());
        assert!(held.bytes.len() < 300 && narrowing < 150);
    }
}

#[test]
fn a_grant_is_narrowed_four_times_and_no_more() {
    for mut held in Held::both() {
        let mut before = 0;
        for next in ["ben", "cem", "dana", "emil"] {
            before = held.bytes.len();
            held = held.narrow(&narrower(), next).unwrap();
        }
        assert_eq!(held.grant().narrowings(), NARROWINGS_MAX);
        assert_eq!(Meter::default().asked(&held, &reserve(30)), Ok(()));
        assert_eq!(held.narrow(&narrower(), "fritz").err(), Some(FormatError::TooLarge));
        // A fifth that is appended by other means is refused before any signature is looked at.
        let fifth = [held.bytes.as_slice(), &held.bytes[before..]].concat();
        assert_eq!(Grant::decode(&fifth), Err(FormatError::TooLarge));
    }
}

#[test]
fn what_would_be_no_grant_is_not_issued() {
    let fails = |terms: Terms<'_>, want| {
        let public =
            public::issue(key("issuer"), &origin(), &terms, holder_key("anna"), &mut [0; GRANT_BYTES_MAX]);
        assert_eq!(public, Err(want));
        let symmetric = symmetric::issue(&shared_key(), &origin(), &terms, &mut [0; GRANT_BYTES_MAX]);
        assert_eq!(symmetric.err(), Some(want));
    };
    fails(Terms { audience: None, ..terms() }, FormatError::Malformed);
    fails(Terms { scope: None, ..terms() }, FormatError::Malformed);
    fails(Terms { expires: None, uses: None, ..terms() }, FormatError::Malformed);
    fails(Terms { uses: Some(0), ..terms() }, FormatError::Malformed);
    for time in [NOW.plus_micros(1), Timestamp::from_micros(-1), Timestamp::from_seconds(1 << 32)] {
        fails(Terms { expires: Some(time), ..terms() }, FormatError::Malformed);
    }
    let long = "x".repeat(REFERENCE_BYTES_MAX + 1);
    let origin = Origin { reference: Some(Reference::Reason(&long)), ..origin() };
    let issued =
        public::issue(key("issuer"), &origin, &terms(), holder_key("anna"), &mut [0; GRANT_BYTES_MAX]);
    assert_eq!(issued, Err(FormatError::TooLarge));
    let small =
        public::issue(key("issuer"), &crate::common::origin(), &terms(), holder_key("anna"), &mut [0; 252]);
    assert_eq!(small, Err(FormatError::BufferTooSmall));
}

#[test]
fn only_ed25519_issues_and_holds_in_the_public_profile() {
    let p256 = SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &[3; 32]).unwrap();
    assert_eq!(HolderKey::from_key(p256.public_key()), Err(FormatError::Crypto));
    let issued = public::issue(&p256, &origin(), &terms(), holder_key("anna"), &mut [0; GRANT_BYTES_MAX]);
    assert_eq!(issued, Err(FormatError::Crypto));
}

#[test]
fn the_largest_of_everything_fits() {
    let name = "n".repeat(63);
    let texts: Vec<String> = (0..6).map(|n| format!("{n}{}", "t".repeat(31))).collect();
    let bounds: Vec<_> = texts[..2].iter().map(|t| (t.as_str(), Bound::Exactly(Value::Text(t)))).collect();
    let full = scope(&[(&name, &bounds)]);
    let audience = Some(Audience::Class(named(&name)));
    let reference = "r".repeat(REFERENCE_BYTES_MAX);
    let origin = Origin {
        issuer: named(&name),
        reference: Some(Reference::Payment(&reference)),
        epoch: u32::MAX,
        id: [0xff; 8],
    };
    let end = Some(Timestamp::from_seconds(u32::MAX.into()));
    let terms = Terms { audience, expires: end, not_before: end, uses: Some(u32::MAX), scope: Some(full) };
    let arguments: Vec<_> = texts.iter().map(|t| (t.as_str(), Value::Text(t))).collect();
    let asked = operation(&name, &arguments);
    for mut held in [Held::public(&origin, &terms, "anna"), Held::symmetric(&origin, &terms)] {
        for next in ["ben", "cem", "dana", "emil"] {
            held = held.narrow(&terms, next).unwrap();
        }
        let shown = held.present(&name, &NONCE, &asked);
        let presentation = Presentation::decode(&shown).unwrap();
        assert_eq!(presentation.grant().origin_unverified(), &origin);
        assert!(presentation.grant().terms_unverified().all(|t| t == Ok(terms)));
    }
}

#[test]
fn a_scope_beyond_its_limits_is_not_written() {
    fn scope(permissions: &[Permission<'_>]) -> Result<(), FormatError> {
        Scope::write(permissions, &mut [0; 2 * SCOPE_BYTES_MAX]).map(drop)
    }
    fn write(bounds: &[(&str, Bound<'_>)]) -> Result<(), FormatError> {
        scope(&[Permission { action: named("a"), bounds }])
    }
    let bare = Permission { action: named("a"), bounds: &[] };
    assert_eq!(scope(&[bare; 8]), Ok(()));
    assert_eq!(scope(&[bare; 9]), Err(FormatError::TooLarge));
    let any = at_most(9);
    assert_eq!(write(&[("a", any), ("a", any)]), Err(FormatError::Malformed));
    let seven = ["a", "b", "c", "d", "e", "f", "g"].map(|name| (name, any));
    assert_eq!(write(&seven[..6]), Ok(()));
    assert_eq!(write(&seven), Err(FormatError::TooLarge));
    assert_eq!(write(&[("a", between(2, 1))]), Err(FormatError::Malformed));
    assert_eq!(write(&[("a", Bound::Range { at_least: None, at_most: None })]), Err(FormatError::Malformed));
    assert_eq!(write(&[("a", Bound::OneOf(&[]))]), Err(FormatError::Malformed));
    assert_eq!(write(&[("a", Bound::OneOf(&[Value::Integer(1); 16]))]), Ok(()));
    assert_eq!(write(&[("a", Bound::OneOf(&[Value::Integer(1); 17]))]), Err(FormatError::TooLarge));
    let long = "l".repeat(33);
    assert_eq!(write(&[(&long[1..], Bound::Exactly(Value::Text(&long[1..])))]), Ok(()));
    assert_eq!(write(&[(&long, any)]), Err(FormatError::TooLarge));
    assert_eq!(write(&[("a", Bound::Exactly(Value::Text(&long)))]), Err(FormatError::TooLarge));
    let eight = [Value::Text(&long[1..]); 8];
    assert_eq!(write(&[("a", Bound::OneOf(&eight))]), Err(FormatError::TooLarge), "more than a scope holds");
}
