use thingward_agent::http::Endpoint;
use thingward_model::Role;
use thingward_store::registry::RevocationReason;
use thingward_tests::{ACME, Town, eventually, number, rows};

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_is_cut_at_once_and_stays_outside() {
    let mut town = Town::new();
    let service = town.service().await;
    let home = town.enrol(&service, ACME, Role::Device, "meter-1").await;
    let device = town.device(&home, None);
    device.record("bay".parse().unwrap(), vec![number(1.0)]).await.unwrap();
    eventually("the first reading", || rows(&service, ACME).len() == 1).await;
    let (tenant, name) = (ACME.parse().unwrap(), "meter-1".parse().unwrap());
    service.shared().revoke_member(tenant, name, RevocationReason::KeyCompromise, false).await.unwrap();
    let is_cut = async {
        while device.status().await.unwrap().uplink.online {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), is_cut).await.unwrap();
    device.record("bay".parse().unwrap(), vec![number(2.0)]).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(!device.status().await.unwrap().uplink.online);
    assert_eq!(rows(&service, ACME).len(), 1);
    device.stop().await.unwrap();
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_changes_its_owner_leaves_its_history_and_takes_nothing_along() {
    let mut town = Town::new();
    let service = town.service().await;
    let home = town.enrol(&service, ACME, Role::Device, "mill-1").await;
    let device = town.device(&home, None);
    device.record("spindle".parse().unwrap(), vec![number(1.0)]).await.unwrap();
    eventually("the first reading", || rows(&service, ACME).len() == 1).await;
    device.stop().await.unwrap();
    drop(device);
    let (tenant, name) = (ACME.parse().unwrap(), "mill-1".parse().unwrap());
    let reason = RevocationReason::CessationOfOperation;
    service.shared().revoke_member(tenant, name, reason, true).await.unwrap();
    home.reset().unwrap();
    let left: Vec<_> =
        std::fs::read_dir(town.home("mill-1")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|n| n == "identity.sealed" || n == "streams"), "{left:?}");

    let home = town.enrol(&service, "other", Role::Device, "mill-1").await;
    let device = town.device(&home, None);
    device.record("spindle".parse().unwrap(), vec![number(2.0)]).await.unwrap();
    eventually("the new owner's reading", || rows(&service, "other").len() == 1).await;
    assert_eq!(rows(&service, ACME).len(), 1);
    device.stop().await.unwrap();
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_of_another_tenant_does_not_get_through_a_gateway() {
    let mut town = Town::new();
    let service = town.service().await;
    let gateway = town.enrol(&service, ACME, Role::Gateway, "hall").await;
    let gateway = town.gateway(gateway, None).await;
    let stranger = town.enrol(&service, "other", Role::Device, "stranger").await;
    let device = town.device(&stranger, Some(gateway.mqtt()));
    device.record("climate".parse().unwrap(), vec![number(1.0)]).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(!device.status().await.unwrap().uplink.online);
    assert!(rows(&service, "other").is_empty() && rows(&service, ACME).is_empty());
    device.stop().await.unwrap();
    gateway.stop().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_enrols_through_the_relay_of_a_gateway() {
    let mut town = Town::new();
    let service = town.service().await;
    let gateway = town.enrol(&service, ACME, Role::Gateway, "hall").await;
    let gateway = town.gateway(gateway, None).await;
    let relay = gateway.relay().unwrap();
    let at = Endpoint { host: relay.ip().to_string(), port: relay.port() };
    let home = town.enrol_at(&service, &at, ACME, Role::Device, "bulb-1").await;
    let device = town.device(&home, Some(gateway.mqtt()));
    device.record("light".parse().unwrap(), vec![number(1.0)]).await.unwrap();
    eventually("the reading", || rows(&service, ACME).len() == 1).await;
    device.stop().await.unwrap();
    gateway.stop().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_cannot_fill_the_service_with_stream_names() {
    use thingward_model::{DeviceName, Principal, StreamName};
    use thingward_policy::{Resource, Subject};
    use thingward_service::pipeline::{Pipeline, Refusal};

    let mut town = Town::new();
    let service = town.service().await;
    let shared = service.shared();
    let metrics = std::sync::Arc::clone(shared.core.metrics());
    let directory = std::sync::Arc::clone(&shared.directory);
    let mut pipeline = Pipeline::new(std::sync::Arc::clone(&shared.store), directory, metrics).unwrap();
    let name: DeviceName = "flood".parse().unwrap();
    let who = Principal { tenant: ACME.parse().unwrap(), role: Role::Device, name };
    let access = &shared.directory.access;
    access.add_tenant(who.tenant);
    let (subject, on) = (Subject::Member(who), Resource::Stream(name, "s0".parse().unwrap()));
    let permit = access.decide(&who.tenant, &subject, &on).unwrap();
    let mut taken = 0;
    for n in 0..300 {
        let stream: StreamName = format!("s{n}").parse().unwrap();
        match pipeline.take(
            &permit,
            name,
            stream,
            b"1",
            thingward_store::Route::TLS,
            thingward_model::clock::now(),
        ) {
            Ok(_) => taken += 1,
            Err(Refusal::TooManyStreams) => {}
            Err(other) => panic!("{other:?}"),
        }
        shared.store.commit(pipeline.drain().unwrap().batch).unwrap();
    }
    assert_eq!(taken, 256);
    service.stop().await;
}
