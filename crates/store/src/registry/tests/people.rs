//! How people sign in.

use thingward_crypto::VerifyingKey;

use super::*;

on_both!(
    who_signs_in_has_a_session_until_it_is_over,
    a_recovery_ends_what_a_person_had_before,
    a_person_is_known_to_a_provider_by_its_subject,
);

pub(super) fn key() -> VerifyingKey {
    SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng()).public_key().clone()
}

pub(super) fn passkey(n: u8) -> NewPasskey {
    NewPasskey { credential_id: vec![n; 16], name: format!("key {n}"), key: key() }
}

async fn who_signs_in_has_a_session_until_it_is_over(Bench { home: _home, registry }: Bench) {
    let (acme, anna, signs) = (tenant("acme"), user("anna", 1, &[]), key());
    registry.add_user(&acme, &anna).await.unwrap();
    let (first, second) = (passkey(1), passkey(2));
    registry.add_passkey(&acme, &anna.id, &first, NOW).await.unwrap();
    registry.add_passkey(&acme, &anna.id, &second, later(1)).await.unwrap();
    registry.passkey_used(&first.credential_id, later(2)).await.unwrap();
    let (of, kept) = registry.passkey(&first.credential_id).await.unwrap();
    assert_eq!((of, &kept.key, kept.used), (acme, &first.key, Some(later(2))));
    assert_eq!(registry.passkey_counts(&acme).await.unwrap()[&anna.id], 2);
    let newest = registry.passkeys(&acme, 1).await.unwrap();
    assert_eq!(newest[0].credential_id, second.credential_id);

    let by = SignedInBy::Passkey(&first.credential_id);
    let id = registry.add_session("secret", &acme, &anna.id, by, &signs, NOW).await.unwrap();
    let session = registry.session("secret", later(600)).await.unwrap();
    assert_eq!((session.id, session.way, session.key), (id.clone(), Way::Passkey, signs.clone()));
    assert_eq!(registry.session("secret", later(601)).await.unwrap().used, later(600));
    assert_eq!(registry.session_owner(&acme, &id).await.unwrap(), anna.id);
    assert!(registry.session("secret", later(600 + 12 * 3600)).await.is_err());
    registry.add_session("other", &acme, &anna.id, SignedInBy::Provider, &signs, later(601)).await.unwrap();
    assert_eq!(registry.sessions(&acme, None, None, 10, later(601)).await.unwrap().len(), 2);
    registry.remove_passkey(&acme, &anna.id, &first.credential_id, None).await.unwrap();
    assert!(registry.session("secret", later(602)).await.is_err());
    let other = SessionId::of("other");
    registry.end_session(&acme, &other).await.unwrap();
    assert!(matches!(registry.end_session(&acme, &other).await, Err(StoreError::NotFound { .. })));
}

async fn a_recovery_ends_what_a_person_had_before(Bench { home: _home, registry }: Bench) {
    let (acme, anna) = (tenant("acme"), user("anna", 1, &[UserRole::Administrator]));
    let link = Link { tenant: acme, kind: LinkKind::SetUp, user: None, expires: later(60) };
    registry.add_link("set up", &link).await.unwrap();
    assert!(!registry.is_set_up(&acme).await.unwrap());
    registry.redeem_link("set up", &link, &anna, &passkey(1), NOW).await.unwrap();
    assert!(registry.is_set_up(&acme).await.unwrap());
    registry.add_session("secret", &acme, &anna.id, SignedInBy::Provider, &key(), NOW).await.unwrap();
    let link = Link { kind: LinkKind::Recover, user: Some(anna.id.clone()), ..link };
    registry.add_link("recover", &link).await.unwrap();
    assert_eq!(registry.link("recover", NOW).await.unwrap(), link);
    assert!(registry.link("recover", later(60)).await.is_err());
    registry.redeem_link("recover", &link, &anna, &passkey(2), NOW).await.unwrap();
    assert!(registry.session("secret", NOW).await.is_err());
    let left = registry.passkeys_of(&acme, &anna.id).await.unwrap();
    assert_eq!(left.iter().map(|p| p.credential_id[0]).collect::<Vec<_>>(), [2]);
}

async fn a_person_is_known_to_a_provider_by_its_subject(Bench { home: _home, registry }: Bench) {
    let (acme, anna) = (tenant("acme"), user("anna", 1, &[]));
    registry.add_user_of(&acme, &anna, "https://issuer", "17").await.unwrap();
    assert_eq!(registry.identity(&acme, "https://issuer", "17").await.unwrap(), anna.id);
    let again = registry.add_user_of(&acme, &user("berta", 2, &[]), "https://issuer", "17").await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
    assert_eq!(registry.users(&acme, None, 10).await.unwrap(), [anna]);
    assert!(registry.identity(&tenant("other"), "https://issuer", "17").await.is_err());
}
