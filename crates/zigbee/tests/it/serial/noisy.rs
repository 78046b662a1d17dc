//! A line that loses, damages and repeats octets.

use std::time::Duration;

use proptest::prelude::*;
use thingward_zigbee::ash::{AshHost, AshOutput};

use thingward_zigbee::emulated::Ncp;

/// What a line does to some of what goes over it.
fn disturb(mut octets: Vec<u8>, fault: u8) -> Vec<u8> {
    let at = usize::from(fault) % octets.len().max(1);
    match fault % 16 {
        0 => octets.clear(),
        1 => octets[at] ^= 0x04,
        2 => octets.truncate(at),
        3 => octets = [octets.clone(), octets].concat(),
        _ => {}
    }
    octets
}

proptest! {
    #[test]
    fn over_a_noisy_line_messages_come_whole_in_order_and_once(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 3..40), 1..12),
        faults in prop::collection::vec(any::<u8>(), 400),
    ) {
        // A coordinator that sends everything that it gets back to the host.
        let (mut host, mut echo) = (AshHost::default(), Ncp::new(|message| vec![message.to_vec()]));
        let mut now = Duration::ZERO;
        let mut faults = faults.into_iter().chain(std::iter::repeat(15));
        let mut received = Vec::new();
        let mut to_send = messages.clone();
        // The reset goes over a line that is quiet yet.
        let mut outputs = host.reset(now);
        let mut quiet = true;
        let mut failed = false;
        for _ in 0..2000 {
            let mut to_coordinator = Vec::new();
            for output in std::mem::take(&mut outputs) {
                match output {
                    AshOutput::Write(octets) => to_coordinator.push(octets.to_vec()),
                    AshOutput::Received(message) => received.push(message.to_vec()),
                    AshOutput::Open { .. } => quiet = false,
                    AshOutput::Damaged => {}
                    AshOutput::Failed(_) => failed = true,
                }
            }
            let mut over = |octets: Vec<u8>| if quiet { octets } else { disturb(octets, faults.next().unwrap()) };
            let to_host: Vec<_> =
                to_coordinator.into_iter().flat_map(|octets| echo.receive(&over(octets))).collect();
            for octets in to_host {
                outputs.extend(host.receive(&over(octets), now));
            }
            now += Duration::from_millis(300);
            outputs.extend(host.tick(now));
            // The coordinator's timer.
            if let Some(octets) = echo.again() {
                outputs.extend(host.receive(&over(octets), now));
            }
            if !quiet && !to_send.is_empty() && let Ok(more) = host.send(&to_send[0], now) {
                to_send.remove(0);
                outputs.extend(more);
            }
            if failed || received.len() == messages.len() {
                break;
            }
        }
        // A line that is too bad ends; what came until then is right.
        prop_assert!(messages.starts_with(&received));
        prop_assert!(messages.starts_with(&echo.received));
        prop_assert!(failed || received.len() == messages.len());
    }
}
