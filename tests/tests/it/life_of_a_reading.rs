use std::time::Duration;

use thingward_model::{Assurance, Role};
use thingward_store::Value;
use thingward_tests::proxy::Proxy;
use thingward_tests::{ACME, Town, eventually, number, rows};

fn values(rows: &[thingward_store::Row]) -> Vec<f64> {
    let mut all: Vec<_> = rows.iter().map(|r| (r.seq, r.value.clone())).collect();
    all.sort_by_key(|(seq, _)| *seq);
    let number = |v| match v {
        Value::Number(n) => n,
        other => panic!("a number was sent, not {other:?}"),
    };
    all.into_iter().map(|(_, v)| number(v)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_goes_from_device_to_sealed_history_and_becomes_device_signed() {
    let mut town = Town::new();
    let service = town.service().await;
    let home = town.enrol(&service, ACME, Role::Device, "thermometer-1").await;
    let device = town.device(&home, None);
    for i in 0..100 {
        device.record("climate".parse().unwrap(), vec![number(f64::from(i))]).await.unwrap();
    }
    let is_signed = |r: &thingward_store::Row| r.assurance == Assurance::DeviceSigned;
    eventually("100 signed readings", || {
        let all = rows(&service, ACME);
        all.len() == 100 && all.iter().all(is_signed)
    })
    .await;
    assert_eq!(values(&rows(&service, ACME)), (0..100).map(f64::from).collect::<Vec<_>>());
    assert!(rows(&service, "other").is_empty());
    let findings = service.shared().core.findings(ACME.parse().unwrap()).await;
    assert!(findings.is_empty(), "{findings:?}");
    device.stop().await.unwrap();
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_gateway_with_a_cut_cable_every_reading_arrives_once_in_order_and_signed() {
    let mut town = Town::new();
    let service = town.service().await;
    let gateway_home = town.enrol(&service, ACME, Role::Gateway, "hall").await;
    let cable = Proxy::start(service.mqtt(), Some(Duration::from_millis(700))).await;
    let gateway = town.gateway(gateway_home.clone(), Some(cable.address())).await;
    let child_cable = Proxy::start(gateway.mqtt(), Some(Duration::from_millis(500))).await;
    let home = town.enrol(&service, ACME, Role::Device, "bulb-1").await;
    let device = town.device(&home, Some(child_cable.address()));
    for i in 0..600 {
        if i == 200 {
            cable.set_cut(true);
        }
        if i == 400 {
            cable.set_cut(false);
        }
        device.record("light".parse().unwrap(), vec![number(f64::from(i))]).await.unwrap();
        if i % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
    let is_signed = |r: &thingward_store::Row| r.assurance == Assurance::DeviceSigned;
    eventually("600 signed readings", || {
        let all = rows(&service, ACME);
        all.len() >= 600 && all.iter().all(is_signed)
    })
    .await;
    assert_eq!(values(&rows(&service, ACME)), (0..600).map(f64::from).collect::<Vec<_>>());
    let findings = service.shared().core.findings(ACME.parse().unwrap()).await;
    assert!(findings.is_empty(), "{findings:?}");
    assert!(cable.dropped() > 0 && child_cable.dropped() > 0, "the cables were never bad");
    device.stop().await.unwrap();
    gateway.stop().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_restarts_goes_on_with_the_chain() {
    let mut town = Town::new();
    let mut service = town.service().await;
    let home = town.enrol(&service, ACME, Role::Device, "pump-1").await;
    let device = town.device(&home, None);
    for round in 0..3 {
        for i in 0..20 {
            device
                .record("infusion".parse().unwrap(), vec![number(f64::from(round * 20 + i))])
                .await
                .unwrap();
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        service.stop().await;
        service = town.service().await;
    }
    eventually("60 readings", || rows(&service, ACME).len() >= 60).await;
    assert_eq!(values(&rows(&service, ACME)), (0..60).map(f64::from).collect::<Vec<_>>());
    let findings = service.shared().core.findings(ACME.parse().unwrap()).await;
    assert!(findings.is_empty(), "{findings:?}");
    device.stop().await.unwrap();
    service.stop().await;
}
