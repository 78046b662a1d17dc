//! What is kept of members beside their certificates.

use super::people::key;
use super::*;

on_both!(
    names_come_in_the_order_of_their_bytes,
    evidence_takes_the_place_of_what_was_kept,
    an_admission_ends_by_itself_or_with_its_gateway,
    a_raw_key_is_one_members_while_its_certificate_counts,
    a_text_is_kept_whole_or_refused,
);

async fn names_come_in_the_order_of_their_bytes(Bench { home: _home, registry }: Bench) {
    let mut names = ["b", "B", "a-b", "aa", "a b", "é", "z", "Z", "_", "ß", "ss", "10", "9"];
    for name in names {
        let (name, certificates) = (name.to_owned(), vec![]);
        let maker = Maker { tenant: tenant("acme"), name, admit: Admit::Listed, certificates };
        registry.set_maker(&maker).await.unwrap();
    }
    names.sort_unstable();
    let acme = tenant("acme");
    let (mut listed, mut last) = (Vec::new(), None::<String>);
    loop {
        let page = registry.makers(last.as_deref().map(|last| (&acme, last)), 4).await.unwrap();
        let Some(end) = page.last() else { break };
        last = Some(end.name.clone());
        listed.extend(page.into_iter().map(|maker| maker.name));
    }
    assert_eq!(listed, names);
}

async fn evidence_takes_the_place_of_what_was_kept(Bench { home: _home, registry }: Bench) {
    let (acme, name) = (tenant("acme"), device("meter-1"));
    let kept = |token: &[u8]| KeptEvidence { key: key(), token: token.to_vec(), at: NOW };
    assert_eq!(registry.attestation(&acme, &name).await.unwrap(), None);
    let serial = Serial::new(b"serial").unwrap();
    for in_place_of in [None, Some(serial)] {
        let attestation = Attestation { reference: kept(b"one"), latest: kept(b""), in_place_of };
        registry.set_attestation(&acme, &name, &attestation).await.unwrap();
        assert_eq!(registry.attestation(&acme, &name).await.unwrap(), Some(attestation));
    }
}

async fn an_admission_ends_by_itself_or_with_its_gateway(Bench { home: _home, registry }: Bench) {
    let admission = |gateway, radio, seconds| Admission {
        tenant: tenant("acme"),
        gateway: device(gateway),
        radio,
        until: later(seconds),
    };
    registry.open_admission(&admission("g1", None, 10)).await.unwrap();
    registry.open_admission(&admission("g1", Some(device("zigbee")), 20)).await.unwrap();
    registry.open_admission(&admission("g2", None, 5)).await.unwrap();
    assert_eq!(registry.admissions(later(5)).await.unwrap(), [admission("g1", Some(device("zigbee")), 20)]);
    registry.close_admission(&tenant("acme"), &device("g1")).await.unwrap();
    let again = registry.close_admission(&tenant("acme"), &device("g1")).await;
    assert!(matches!(again, Err(StoreError::NotFound { .. })), "{again:?}");
}

async fn a_raw_key_is_one_members_while_its_certificate_counts(Bench { home: _home, registry }: Bench) {
    let new = NewPrincipal { state: PrincipalState::Enrolled, ..meter("acme", "meter-1", None) };
    registry.add_principal(&new, NOW).await.unwrap();
    let serial = Serial::new(b"serial").unwrap();
    let unknown = registry.set_raw_key(&[1; 32], &new.principal, &serial).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{unknown:?}");
    let signs = key();
    certify(&registry, b"serial", &signs.to_spki(), 0..100).await;
    registry.set_raw_key(&[1; 32], &new.principal, &serial).await.unwrap();
    registry.set_raw_key(&[2; 32], &new.principal, &serial).await.unwrap();
    let found = registry.raw_keys(None).await.unwrap();
    assert_eq!((found.len(), found[0].key, &found[0].signs), (1, [2; 32], &signs));
    assert_eq!(registry.raw_keys(Some(&[2; 32])).await.unwrap(), []);
    let (acme, name) = (tenant("acme"), device("meter-1"));
    registry.revoke_member(&acme, &name, NOW, RevocationReason::KeyCompromise, false).await.unwrap();
    assert_eq!(registry.raw_keys(None).await.unwrap(), []);
    registry.forget_raw_key(&[2; 32]).await.unwrap();
}

async fn a_text_is_kept_whole_or_refused(Bench { home, registry }: Bench) {
    let acme = tenant("acme");
    for text in ["", "'; DROP TABLE tenants; --", "\u{1f6aa} \u{0301}\r\n\t", "\\x00"] {
        let after = registry.policy_version(&acme, None).await.unwrap().map_or(0, |newest| newest.version);
        registry.add_policy_version(&acme, after, "operator", text, &[file(text)], NOW).await.unwrap();
        let newest = registry.policy_version(&acme, None).await.unwrap().unwrap();
        assert_eq!((newest.note.as_str(), newest.files), (text, vec![file(text)]));
    }
    let with_zero = registry.add_policy_version(&acme, 4, "operator", "a\0b", &[], NOW).await;
    match home.shared {
        None => assert_eq!(with_zero.unwrap(), 5),
        Some(_) => assert!(matches!(with_zero, Err(StoreError::Invalid { .. })), "{with_zero:?}"),
    }
}
