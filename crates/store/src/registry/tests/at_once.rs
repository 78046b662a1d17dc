//! What several do at the same time: as if one had been after the other.

use std::collections::BTreeSet;

use super::people::{key, passkey};
use super::purchases::{grant_of, purchase};
use super::*;

on_both!(
    crl_numbers_that_are_taken_at_once_are_all_different,
    a_link_is_used_by_one,
    of_links_for_one_person_the_newest_works_alone,
    a_person_has_so_many_sessions_and_no_more,
    one_passkey_is_left_when_all_are_removed_at_once,
    a_token_does_not_outlive_the_one_that_it_was_made_with,
    a_device_has_so_many_reservations_whoever_comes_at_once,
    a_reservation_is_paid_for_once,
    of_two_who_apply_policies_one_is_told,
    who_is_removed_is_in_no_group,
    a_member_has_one_raw_key,
);

/// What `of` gives for 0, 1, 2, …, all begun at the same time.
async fn all_at_once<T, F>(times: u8, of: impl Fn(u8) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..times).map(|n| tokio::spawn(of(n))).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

fn successes<T>(results: &[Result<T, StoreError>], is_right: impl Fn(&StoreError) -> bool) -> usize {
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(is_right(error), "{error:?}");
    }
    results.iter().filter(|result| result.is_ok()).count()
}

async fn crl_numbers_that_are_taken_at_once_are_all_different(Bench { home: _home, registry }: Bench) {
    let taken = all_at_once(16, |_| {
        let registry = registry.clone();
        async move { registry.next_crl_number().await.unwrap() }
    });
    assert_eq!(taken.await.into_iter().collect::<BTreeSet<_>>(), (1..=16).collect());
}

async fn a_link_is_used_by_one(Bench { home: _home, registry }: Bench) {
    let link = Link { tenant: tenant("acme"), kind: LinkKind::SetUp, user: None, expires: later(60) };
    registry.add_link("code", &link).await.unwrap();
    let used = all_at_once(8, |n| {
        let (registry, link) = (registry.clone(), link.clone());
        let user = user(&format!("user-{n}"), n, &[UserRole::Administrator]);
        async move { registry.redeem_link("code", &link, &user, &passkey(n), NOW).await }
    });
    assert_eq!(successes(&used.await, |e| matches!(e, StoreError::NotFound { what: "link" })), 1);
    assert_eq!(registry.users(&tenant("acme"), None, 10).await.unwrap().len(), 1);
    let late = registry.add_link("again", &link).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");
}

async fn of_links_for_one_person_the_newest_works_alone(Bench { home: _home, registry }: Bench) {
    let (acme, anna) = (tenant("acme"), user("anna", 1, &[]));
    registry.add_user(&acme, &anna).await.unwrap();
    let link = Link { tenant: acme, kind: LinkKind::Invite, user: Some(anna.id), expires: later(60) };
    let added = all_at_once(8, |n| {
        let (registry, link) = (registry.clone(), link.clone());
        async move { registry.add_link(&format!("code {n}"), &link).await }
    });
    assert_eq!(successes(&added.await, |_| false), 8);
    let mut working = 0;
    for n in 0..8 {
        working += usize::from(registry.link(&format!("code {n}"), NOW).await.is_ok());
    }
    assert_eq!(working, 1);
}

async fn a_person_has_so_many_sessions_and_no_more(Bench { home: _home, registry }: Bench) {
    let (acme, anna) = (tenant("acme"), user("anna", 1, &[]));
    registry.add_user(&acme, &anna).await.unwrap();
    let (id, signs) = (anna.id.clone(), key());
    let begun = all_at_once(40, |n| {
        let (registry, id, signs) = (registry.clone(), id.clone(), signs.clone());
        let secret = format!("secret {n}");
        async move { registry.add_session(&secret, &acme, &id, SignedInBy::Provider, &signs, NOW).await }
    });
    assert_eq!(successes(&begun.await, |_| false), 40);
    assert_eq!(registry.sessions(&acme, Some(&anna.id), None, 100, NOW).await.unwrap().len(), 32);
}

async fn one_passkey_is_left_when_all_are_removed_at_once(Bench { home: _home, registry }: Bench) {
    let (acme, anna) = (tenant("acme"), user("anna", 1, &[]));
    registry.add_user(&acme, &anna).await.unwrap();
    let added = all_at_once(24, |n| {
        let (registry, id) = (registry.clone(), anna.id.clone());
        async move { registry.add_passkey(&acme, &id, &passkey(n), NOW).await }
    });
    let is_conflict = |e: &StoreError| matches!(e, StoreError::Conflict { .. });
    assert_eq!(successes(&added.await, is_conflict), PASSKEYS_MAX as usize);
    let removed = all_at_once(24, |n| {
        let (registry, id, key) = (registry.clone(), anna.id.clone(), passkey(n).credential_id);
        async move { registry.remove_passkey(&acme, &id, &key, None).await }
    });
    let expected = |e: &StoreError| matches!(e, StoreError::Conflict { .. } | StoreError::NotFound { .. });
    assert_eq!(successes(&removed.await, expected), PASSKEYS_MAX as usize - 1);
    assert_eq!(registry.passkeys_of(&acme, &anna.id).await.unwrap().len(), 1);
}

async fn a_token_does_not_outlive_the_one_that_it_was_made_with(Bench { home: _home, registry }: Bench) {
    let root = token(None, vec![Action::ManageTenants], 0);
    registry.add_token("root", &root, NOW).await.unwrap();
    let (parent, root) = (root.id.clone(), root.id);
    let made = all_at_once(12, |n| {
        let (registry, parent) = (registry.clone(), parent.clone());
        async move {
            if n == 4 {
                return registry.revoke_token(None, &parent, NOW).await.map(drop);
            }
            let new = token(None, vec![Action::ManageTenants], n + 1);
            registry.add_token(&format!("child {n}"), &NewToken { parent: Some(parent), ..new }, NOW).await
        }
    });
    successes(&made.await, |e| matches!(e, StoreError::NotFound { what: "token" }));
    assert!(!registry.token_works(&root, NOW).await.unwrap());
    for n in 0..12 {
        assert!(registry.token(&format!("child {n}"), NOW).await.is_err(), "{n}");
    }
}

async fn a_device_has_so_many_reservations_whoever_comes_at_once(Bench { home: _home, registry }: Bench) {
    let added = all_at_once(8, |n| {
        let registry = registry.clone();
        async move { registry.add_purchase(&tenant("acme"), &purchase(n, n, 0), NOW, 2).await }
    });
    assert_eq!(successes(&added.await, |_| false), 8);
    let all = registry.purchases(&tenant("acme"), None, None, 9).await.unwrap();
    assert_eq!(all.iter().filter(|p| p.until > NOW).count(), 2);
}

async fn a_reservation_is_paid_for_once(Bench { home: _home, registry }: Bench) {
    let bought = purchase(1, 1, 0);
    registry.add_purchase(&tenant("acme"), &bought, NOW, 2).await.unwrap();
    let paid = all_at_once(8, |_| {
        let (registry, grant) = (registry.clone(), grant_of(&bought, later(4500)));
        async move { registry.pay_purchase(&tenant("acme"), &grant, later(4500)).await }
    });
    assert_eq!(successes(&paid.await, |e| matches!(e, StoreError::NotFound { what: "reservation" })), 1);
}

async fn of_two_who_apply_policies_one_is_told(Bench { home: _home, registry }: Bench) {
    let applied = all_at_once(8, |n| {
        let registry = registry.clone();
        let files = [file(&n.to_string())];
        async move { registry.add_policy_version(&tenant("acme"), 0, "operator", "", &files, NOW).await }
    });
    assert_eq!(successes(&applied.await, |e| matches!(e, StoreError::Conflict { .. })), 1);
}

async fn who_is_removed_is_in_no_group(Bench { home: _home, registry }: Bench) {
    let (acme, anna) = (tenant("acme"), user("anna", 1, &[]));
    registry.add_user(&acme, &anna).await.unwrap();
    let done = all_at_once(12, |n| {
        let (registry, anna) = (registry.clone(), anna.name);
        async move {
            if n == 4 {
                return registry.remove_user(&acme, &anna, NOW).await;
            }
            let group = format!("group-{n}").parse().unwrap();
            registry.add_to_group(&acme, &group, &GroupMember::User(anna)).await
        }
    });
    successes(&done.await, |e| matches!(e, StoreError::NotFound { what: "user" }));
    assert_eq!(registry.groups(&acme).await.unwrap(), []);
}

async fn a_member_has_one_raw_key(Bench { home: _home, registry }: Bench) {
    let new = NewPrincipal { state: PrincipalState::Enrolled, ..meter("acme", "meter-1", None) };
    registry.add_principal(&new, NOW).await.unwrap();
    certify(&registry, b"serial", &key().to_spki(), 0..100).await;
    let set = all_at_once(8, |n| {
        let (registry, serial) = (registry.clone(), Serial::new(b"serial").unwrap());
        async move { registry.set_raw_key(&[n; 32], &new.principal, &serial).await }
    });
    assert_eq!(successes(&set.await, |_| false), 8);
    assert_eq!(registry.raw_keys(None).await.unwrap().len(), 1);
}
