//! What is kept of members beside their certificates.

use super::people::key;
use super::*;

on_both!(
    names_come_in_the_order_of_their_bytes,
    evidence_takes_the_place_of_what_was_kept,
    an_admission_ends_by_itself_or_with_its_gateway,
    a_raw_key_is_one_members_while_its_certificate_counts,
    a_text_is_kept_whole_or_refused,
    members_and_keys_that_count_come_many_at_a_time,
    who_stands_at_the_end_of_a_full_page_comes_once_and_with_all_keys,
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

fn member(name: &str, state: PrincipalState, keeper: Option<DeviceName>) -> NewPrincipal {
    let principal = Principal { tenant: tenant("acme"), role: Role::Device, name: device(name) };
    NewPrincipal { principal, state, hardware: None, keeper }
}

/// A key that is called and looks like its certificate's number.
fn key_of(serial: &[u8]) -> PrincipalKey {
    PrincipalKey {
        id: [*serial.last().unwrap(); 8],
        spki: serial.to_vec(),
        serial: Serial::new(serial).unwrap(),
        not_before: NOW,
        not_after: later(10),
        revoked: None,
    }
}

async fn give(registry: &Registry, name: &str, key: &PrincipalKey) {
    let holder = member(name, PrincipalState::Enrolled, None).principal;
    registry.enrol(&holder, Joining::Member, key, None, NOW).await.unwrap();
}

async fn who_stands_at_the_end_of_a_full_page_comes_once_and_with_all_keys(
    Bench { home: _home, registry }: Bench,
) {
    let acme = tenant("acme");
    let name = |number: u32| format!("meter-{number:04}");
    for number in 1..=LIST_MAX {
        let name = name(number);
        registry.add_principal(&member(&name, PrincipalState::Enrolled, None), NOW).await.unwrap();
        give(&registry, &name, &key_of(name.as_bytes())).await;
    }
    let last = device(&name(LIST_MAX));
    give(&registry, last.as_str(), &key_of(b"second")).await;
    let members = registry.members(&acme, None).await.unwrap();
    assert_eq!((members.read().count(), members.more_behind), (LIST_MAX as usize, Some(last)));
    let members = registry.members(&acme, Some(&last)).await.unwrap();
    assert_eq!((members.read().count(), members.more_behind), (0, None));
    let keys = registry.member_keys(&acme, None).await.unwrap();
    assert_eq!((keys.read().count(), keys.more_behind), (LIST_MAX as usize + 1, Some(last)));
    assert_eq!(keys.read().filter(|key| key.as_ref().unwrap().holder == last).count(), 2);
    let keys = registry.member_keys(&acme, Some(&last)).await.unwrap();
    assert_eq!((keys.read().count(), keys.more_behind), (0, None));
}

async fn members_and_keys_that_count_come_many_at_a_time(Bench { home: _home, registry }: Bench) {
    let (acme, other) = (tenant("acme"), tenant("other"));
    let members = registry.members(&acme, None).await.unwrap();
    assert!(members.more_behind.is_none() && members.read().next().is_none());

    let enrolled = PrincipalState::Enrolled;
    for (name, state, keeper) in [
        ("lamp", enrolled, Some(device("gateway"))),
        ("Two-keys.1_a", enrolled, None),
        ("no-key", enrolled, None),
        ("claimed", PrincipalState::Claimed, None),
        ("revoked", enrolled, None),
    ] {
        registry.add_principal(&member(name, state, keeper), NOW).await.unwrap();
    }
    for (name, serial) in
        [("lamp", b"\0,".as_slice()), ("Two-keys.1_a", b"\xff b"), ("Two-keys.1_a", b"c"), ("revoked", b"d")]
    {
        give(&registry, name, &key_of(serial)).await;
    }
    let reason = RevocationReason::KeyCompromise;
    registry.revoke_member(&acme, &device("revoked"), NOW, reason, false).await.unwrap();

    let keys = registry.member_keys(&acme, None).await.unwrap();
    let mut keys: Vec<_> = keys.read().map(Result::unwrap).collect();
    keys.sort_by(|a, b| a.spki.cmp(&b.spki));
    let of = |name: &str, spki: &[u8]| MemberKey {
        holder: device(name),
        id: key_of(spki).id,
        spki: spki.to_vec(),
    };
    assert_eq!(keys, [of("lamp", b"\0,"), of("Two-keys.1_a", b"c"), of("Two-keys.1_a", b"\xff b")]);

    let behind = |last: Option<&'static str>| {
        let (registry, last) = (registry.clone(), last.map(device));
        async move {
            let members = registry.members(&tenant("acme"), last.as_ref()).await.unwrap();
            let mut members: Vec<_> = members.read().map(Result::unwrap).collect();
            members.sort_by_key(|member| member.name);
            members
        }
    };
    let of = |name: &str, keeper: Option<&str>| EnrolledMember {
        name: device(name),
        role: Role::Device,
        keeper: keeper.map(device),
    };
    let lamp = of("lamp", Some("gateway"));
    let all = [of("Two-keys.1_a", None), lamp.clone(), of("no-key", None), of("revoked", None)];
    assert_eq!(behind(None).await, all);
    assert_eq!(behind(Some("Two-keys.1_a")).await, all[1..]);
    assert_eq!(behind(Some("revoked")).await, []);
    assert!(registry.members(&other, None).await.unwrap().read().next().is_none());
}
