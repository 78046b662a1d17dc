//! What those get who take what is not theirs: copied grants, old presentations, blocks put together anew.

use thingward_grant::symmetric::HolderSecret;
use thingward_grant::{
    FormatError, GRANT_BYTES_MAX, Origin, Presentation, Refusal, SharedKey, Terms, public, symmetric,
};

use crate::common::*;

#[test]
fn a_presentation_serves_once_here_and_for_one_operation() {
    for held in Held::both() {
        let meter = Meter::default();
        let shown = held.present("meter-12", &NONCE, &reserve(5));
        assert!(meter.decide(&shown).is_ok());
        let presentation = Presentation::decode(&shown).unwrap();
        let again = meter.with(|device| device.decide(&presentation, &[0x5b; 16], 0).map(drop));
        assert_eq!(again, Err(Refusal::WrongNonce));
        let elsewhere = held.present("meter-13", &NONCE, &reserve(5));
        assert_eq!(meter.decide(&elsewhere), Err(Refusal::OtherDevice));
        // The minutes stand in front of the signature or tag and its head of two bytes.
        let mut longer = shown.clone();
        let at = longer.windows(9).rposition(|w| w == b"\x67minutes\x05").unwrap() + 8;
        longer[at] = 6;
        assert_eq!(meter.decide(&longer), Err(Refusal::NotHolder));
    }
}

#[test]
fn a_stolen_grant_without_its_key_is_useless() {
    let meter = Meter::default();
    let [public, symmetric] = Held::both();
    // A thief's own key does not even make a presentation, and one that is put together is refused.
    let theft = public::present(
        key("mallory"),
        &public.grant(),
        named("meter-12"),
        &NONCE,
        &reserve(5),
        &mut [0; 999],
    );
    assert_eq!(theft, Err(FormatError::Crypto));
    let own = Held::public(&origin(), &terms(), "mallory");
    let proof = own.present("meter-12", &NONCE, &reserve(5))[own.bytes.len()..].to_vec();
    assert_eq!(meter.decide(&[public.bytes.as_slice(), &proof].concat()), Err(Refusal::NotHolder));
    let guess = Held {
        bytes: symmetric.bytes.clone(),
        holder: Holder::Symmetric(HolderSecret::from_bytes(&[7; 32])),
    };
    assert_eq!(meter.asked(&guess, &reserve(5)), Err(Refusal::NotHolder));
}

#[test]
fn a_friend_cannot_drop_the_narrowing_that_was_put_on() {
    let meter = Meter::default();
    for held in Held::both() {
        let friend = held.narrow(&narrower(), "ben").unwrap();
        let dropped = Held { bytes: held.bytes.clone(), holder: friend.holder };
        let shown = match &dropped.holder {
            // The crate does not make it for one who is not the holder, so the proof is cut from the friend's own.
            Holder::Public(_) => {
                let friend = held.narrow(&narrower(), "ben").unwrap();
                let proof = friend.present("meter-12", &NONCE, &reserve(120))[friend.bytes.len()..].to_vec();
                [held.bytes.as_slice(), &proof].concat()
            }
            Holder::Symmetric(_) => dropped.present("meter-12", &NONCE, &reserve(120)),
        };
        assert_eq!(meter.decide(&shown), Err(Refusal::NotHolder));
    }
}

#[test]
fn a_narrowing_belongs_to_its_grant_and_to_no_other_of_the_same_holder() {
    let meter = Meter::default();
    let wider = Terms { scope: Some(right()), uses: Some(50), ..terms() };
    let other = Origin { id: [9; 8], ..origin() };
    let pairs = [
        (Held::public(&origin(), &terms(), "anna"), Held::public(&other, &wider, "anna"), Refusal::Forged),
        (Held::symmetric(&origin(), &terms()), Held::symmetric(&other, &wider), Refusal::NotHolder),
    ];
    for (narrow, wide, want) in pairs {
        let friend = narrow.narrow(&Terms::default(), "ben").unwrap();
        let shown = friend.present("meter-12", &NONCE, &reserve(5));
        assert!(meter.decide(&shown).is_ok());
        let moved = [wide.bytes.as_slice(), &shown[narrow.bytes.len()..]].concat();
        assert_eq!(meter.decide(&moved), Err(want));
    }
}

#[test]
fn a_proof_belongs_to_its_grant_and_to_no_other_of_the_same_holder() {
    let meter = Meter::default();
    let other = Origin { id: [9; 8], ..origin() };
    let pairs = [
        (Held::public(&origin(), &terms(), "anna"), Held::public(&other, &terms(), "anna")),
        (Held::symmetric(&origin(), &terms()), Held::symmetric(&other, &terms())),
    ];
    for (one, another) in pairs {
        let proof = one.present("meter-12", &NONCE, &reserve(5))[one.bytes.len()..].to_vec();
        assert_eq!(meter.decide(&[another.bytes.as_slice(), &proof].concat()), Err(Refusal::NotHolder));
    }
}

#[test]
fn a_grant_by_whom_the_device_does_not_know_is_refused() {
    let mut out = [0; GRANT_BYTES_MAX];
    let len = public::issue(key("mallory"), &origin(), &terms(), holder_key("anna"), &mut out).unwrap();
    let held = Held { bytes: out[..len].to_vec(), holder: Holder::Public("anna".to_owned()) };
    assert_eq!(Meter::default().asked(&held, &reserve(5)), Err(Refusal::UnknownIssuer));
    let (len, secret) = symmetric::issue(&SharedKey::new(&[1; 32]), &origin(), &terms(), &mut out).unwrap();
    let held = Held { bytes: out[..len].to_vec(), holder: Holder::Symmetric(secret) };
    assert_eq!(Meter::default().asked(&held, &reserve(5)), Err(Refusal::UnknownIssuer));
}
