//! Grants, and what was taken back of them.

use super::*;

on_both!(
    what_was_taken_back_is_of_one_audience_and_epoch_and_expired_grants_are_not_named,
    a_class_is_there_from_its_first_grant_on_and_its_devices_are_told_once,
);

fn granted(id: u8, of: &str, epoch: u32, expires: Option<Timestamp>) -> GrantEntry {
    let (bytes, issued_by) = (vec![id; 9], "operator".to_owned());
    let issued = later(id.into());
    let audience = of.parse().unwrap();
    GrantEntry { id: [id; 8], audience, bytes, epoch, issued, issued_by, expires, revoked: None }
}

async fn what_was_taken_back_is_of_one_audience_and_epoch_and_expired_grants_are_not_named(
    Bench { home, registry }: Bench,
) {
    let (acme, meter) = (tenant("acme"), "device/meter-1".parse().unwrap());
    let all = [
        granted(1, "device/meter-1", 0, None),
        granted(2, "device/meter-1", 0, Some(later(100))),
        granted(3, "device/meter-1", 0, Some(later(1000))),
        granted(4, "class/meter-1", 0, None),
    ];
    for grant in &all {
        registry.add_grant(&acme, grant).await.unwrap();
    }
    assert!(matches!(registry.add_grant(&acme, &all[0]).await, Err(StoreError::Conflict { .. })));
    registry.add_grant(&tenant("other"), &all[0]).await.unwrap();
    for (id, at) in [(1, 50), (2, 200)] {
        registry.revoke_grant(&acme, &meter, &[id; 8], 0, later(at)).await.unwrap();
    }
    let standing = registry.grant_standing(&acme, &meter, later(300)).await.unwrap();
    assert_eq!(standing, GrantStanding { epoch: 0, revoked: vec![[1; 8]], live: 1 });
    assert_eq!(registry.grants_untold().await.unwrap(), [(acme, meter)]);
    registry.grants_told(&acme, &meter).await.unwrap();
    assert_eq!(registry.grants_untold().await.unwrap(), []);
    // A second time it is as it was.
    registry.revoke_grant(&acme, &meter, &[1; 8], 0, later(400)).await.unwrap();
    let first = registry.grant(&acme, &[1; 8]).await.unwrap();
    assert_eq!(first.revoked, Some((later(50), GrantEnd::Revocation)));
    // The epoch ends what is live of this audience, and nothing else.
    registry.revoke_grant(&acme, &meter, &[9; 8], 1, later(500)).await.unwrap();
    let ends = registry.grants(&acme, None, None, 10).await.unwrap();
    let ends: Vec<_> =
        ends.into_iter().map(|grant| (grant.id[0], grant.revoked.map(|(_, end)| end))).collect();
    let (by_hand, by_epoch) = (Some(GrantEnd::Revocation), Some(GrantEnd::Epoch));
    assert_eq!(ends, [(4, None), (3, by_epoch), (2, by_hand), (1, by_hand)]);
    assert_eq!(registry.grant(&tenant("other"), &[1; 8]).await.unwrap().revoked, None);
    // A device that leaves takes the next epoch with it, through a restart.
    registry.add_grant(&acme, &granted(5, "device/meter-1", 1, None)).await.unwrap();
    assert!(registry.end_grants(&acme, &device("meter-1"), later(600)).await.unwrap());
    assert!(!registry.end_grants(&acme, &device("meter-3"), later(600)).await.unwrap());
    registry.close().await;
    let registry = home.open(2).await;
    let standing = registry.grant_standing(&acme, &meter, later(700)).await.unwrap();
    assert_eq!(standing, GrantStanding { epoch: 2, revoked: Vec::new(), live: 0 });
    let of = |audience: &str| [audience.parse().unwrap()];
    let listed = registry.grants(&acme, Some(&of("class/meter-1")), None, 10).await.unwrap();
    assert_eq!(listed, [all[3].clone()]);
    let fifth = registry.grant(&acme, &[5; 8]).await.unwrap();
    assert_eq!(fifth.revoked, Some((later(600), GrantEnd::Release)));
}

async fn a_class_is_there_from_its_first_grant_on_and_its_devices_are_told_once(
    Bench { home: _home, registry }: Bench,
) {
    let acme = tenant("acme");
    let (north, class) = ("north".parse().unwrap(), "class/north".parse().unwrap());
    assert!(registry.classes(&acme).await.unwrap().is_empty());
    assert!(registry.open_class(&acme, &north).await.unwrap());
    assert_eq!(registry.classes(&acme).await.unwrap(), [north].into());
    assert_eq!(registry.grants_untold().await.unwrap(), [(acme, class)]);
    registry.grants_told(&acme, &class).await.unwrap();
    registry.revoke_grant(&acme, &class, &[1; 8], 3, later(1)).await.unwrap();
    registry.grants_told(&acme, &class).await.unwrap();
    // What was opened before keeps its epoch.
    assert!(!registry.open_class(&acme, &north).await.unwrap());
    assert_eq!(registry.grants_untold().await.unwrap(), []);
    assert_eq!(registry.grant_standing(&acme, &class, later(2)).await.unwrap().epoch, 3);
    for text in ["", "north", "group/north", "class/", "device/a b"] {
        assert!(text.parse::<GrantAudience>().is_err(), "{text:?}");
    }
}
