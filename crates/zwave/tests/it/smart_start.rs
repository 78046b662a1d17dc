//! What is printed on things, against the shared values.

use serde_json::Value;
use thingward_zwave::smart_start::{Product, QrCode, QrError, QrVersion};
use thingward_zwave::{Dsk, S2Class, SecurityClass};

use crate::vectors::{cases, key, number, unhex};

fn case(id: &str) -> Option<Value> {
    cases("static_values.json").into_iter().find(|case| case["id"] == id)
}

#[test]
fn a_code_says_what_the_shared_one_does() {
    let Some(case) = case("qr-acme-light-dimmer") else { return };
    let code = QrCode::parse(case["code"].as_str().unwrap()).unwrap();
    assert_eq!(code.version, QrVersion::SmartStart);
    assert_eq!(code.dsk.to_string(), case["dsk"].as_str().unwrap());
    let keys = [S2Class::Unauthenticated, S2Class::Authenticated].map(|class| SecurityClass::S2(class).bit());
    assert_eq!(code.requested_keys, keys.iter().sum::<u8>());
    let product = Product {
        manufacturer: number(&case, "manufacturerId"),
        product_type: number(&case, "productType"),
        product: number(&case, "productId"),
        version: (2, 66),
    };
    assert_eq!(code.product, Some(product));
}

#[test]
fn a_misread_digit_anywhere_is_noticed() {
    let Some(case) = case("qr-acme-light-dimmer") else { return };
    let code = case["code"].as_str().unwrap();
    for at in 0..code.len() {
        let digit = code[at..=at].parse::<u8>().unwrap();
        let bad = format!("{}{}{}", &code[..at], (digit + 1) % 10, &code[at + 1..]);
        assert!(QrCode::parse(&bad).is_err(), "{bad}");
        assert!(QrCode::parse(&code[..at]).is_err());
    }
    assert_eq!(QrCode::parse("https://example.com"), Err(QrError::NotACode));
}

#[test]
fn a_device_specific_key_is_eight_groups_of_five_digits() {
    let text = "51525-35455-41424-34445-31323-33435-21222-32425";
    let dsk: Dsk = text.parse().unwrap();
    assert_eq!((dsk.to_string().as_str(), dsk.pin()), (text, 51525));
    assert_eq!(text.replace('-', "").parse(), Ok(dsk));
    assert!("51525-35455".parse::<Dsk>().is_err());
    assert!("65536-35455-41424-34445-31323-33435-21222-32425".parse::<Dsk>().is_err());
}

#[test]
fn a_captured_packet_of_security_0_opens() {
    let Some(case) = case("s0-real-packet") else { return };
    let keys = thingward_zwave::security0::NetworkKeys0::derive(key(&case, "network_key"));
    let text = unhex(case["ciphertext"].as_str().unwrap());
    let iv = unhex(case["iv"].as_str().unwrap()).try_into().unwrap();
    assert_eq!(
        thingward_zwave::security0::decrypt(&keys, iv, &text),
        unhex(case["plaintext"].as_str().unwrap())
    );
}
