//! What a meter serves, and what it refuses with which word.

use crate::common::*;
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};
use thingward_grant::{
    Audience, Bound, FormatError, GRANT_BYTES_MAX, Grant, HolderKey, NARROWINGS_MAX, Origin, Profile,
    Reference, Refusal, Standing, Terms, Time, Value, public, symmetric,
};

#[test]
fn a_usual_grant_has_under_300_bytes_and_a_usual_narrowing_under_150() {
    for (held, want) in Held::both().iter().zip([(300, 150), (300, 150)]) {
        let narrowed = held.narrow(&narrower(), "ben").unwrap();
        let presented = narrowed.present("meter-12", &NONCE, &reserve(30)).len();
        let narrowing = narrowed.bytes.len() - held.bytes.len();
        println!(
            "{:?}: grant {}, narrowing {narrowing}, proof {}",
            held.grant().profile(),
            held.bytes.len(),
            presented - narrowed.bytes.len()
        );
        assert!(held.bytes.len() < want.0, "{} bytes", held.bytes.len());
        assert!(narrowing < want.1, "{narrowing} bytes");
    }
}

#[test]
fn a_stranger_reserves_the_bay_by_either_profile() {
    for held in Held::both() {
        let presentation = held.present("meter-12", &NONCE, &reserve(120));
        let permitted = Meter::default().decide(&presentation).unwrap();
        assert_eq!(permitted.operation, reserve(120));
        assert_eq!((permitted.grant, permitted.epoch, permitted.uses), (ID, 7, Some(1)));
        assert_eq!(permitted.expires, terms().expires);
        assert_eq!(permitted.reference, origin().reference);
    }
}
