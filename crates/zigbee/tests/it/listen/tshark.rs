//! The same captures to Wireshark's decoder, where it is installed.

use std::collections::BTreeMap;
use std::process::Command;

use thingward_zigbee::capture::Capture;
use thingward_zigbee::ieee802154::Fcs;
use thingward_zigbee::listen::{Heard, KeyRing, Listener, Message, ZclContent};
use thingward_zigbee::nwk::NwkCommand;
use thingward_zigbee::security::Key;

use crate::vectors::{json, path};

const FILES: [(&str, &str); 3] = [
    ("pcap/02-mac-testing.pcap", "zigator/tests/data/02-mac-testing.pcap"),
    ("pcap/03-nwk-testing.pcap", "zigator/tests/data/03-nwk-testing.pcap"),
    ("pcap/control4-sample.pcap", "sample/control4-sample.pcap"),
];
const FIELDS: [&str; 9] = [
    "wpan.fcs_ok",
    "zbee_nwk.src",
    "zbee_nwk.dst",
    "zbee.sec.key",
    "zbee_nwk.cmd.id",
    "zbee_aps.counter",
    "zbee_aps.zdp_cluster",
    "zbee_zcl.cmd.tsn",
    "zbee_zcl.cmd.id",
];

/// What Wireshark's decoder says of each frame, by field.
fn dissect(file: &str, keys: &[String]) -> Option<Vec<BTreeMap<&'static str, String>>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r", path(file)?.to_str()?, "-T", "fields"]);
    for key in keys {
        command.args(["-o", &format!("uat:zigbee_pc_keys:\"{key}\",\"Normal\",\"\"")]);
    }
    command.args(FIELDS.iter().flat_map(|field| ["-e", field]));
    let Ok(output) = command.output() else {
        println!("skipped: tshark is not installed");
        return None;
    };
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| FIELDS.into_iter().zip(line.split('\t').map(str::to_owned)).collect();
    Some(text.lines().map(line).collect())
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[test]
fn captures_are_opened_and_named_as_wireshark_does() {
    let Some(vectors) = json("frames.json") else { return };
    for (file, name) in FILES {
        let keys = vectors["keys"]["network_keys_by_capture"][name].as_array().unwrap();
        let keys: Vec<String> = keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect();
        let Some(dissected) = dissect(file, &keys) else { return };
        let mut ring = KeyRing::default();
        keys.iter().for_each(|key| assert!(ring.add_network(Key::from_hex(key).unwrap())));
        let mut listener = Listener::new(ring);
        let bytes = std::fs::read(path(file).unwrap()).unwrap();
        let captured: Vec<_> = Capture::open(&bytes).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(captured.len(), dissected.len());
        let mut opened = 0;
        for (at, (captured, fields)) in captured.iter().zip(&dissected).enumerate() {
            let good = captured.fcs == Fcs::Good;
            // Of a frame that ends after two octets it says nothing.
            let judged = number(&fields["wpan.fcs_ok"]);
            assert!(judged.is_none_or(|judged| judged == u64::from(good)), "{file} {at}");
            if good {
                let heard = listener.hear(captured.at, captured.frame);
                opened += u32::from(heard.opened().is_some());
                compare(&format!("{file} {}", at + 1), &heard, fields);
            }
        }
        println!("{file}: {} frames, {opened} opened", captured.len());
    }
}

fn compare(at: &str, heard: &Heard, fields: &BTreeMap<&str, String>) {
    let field = |name| number(&fields[name]);
    assert_eq!(heard.opened().is_some(), !fields["zbee.sec.key"].is_empty(), "{at}");
    if let Some(source) = field("zbee_nwk.src") {
        assert_eq!(heard.source.unwrap().to_string(), format!("{source:#06x}"), "{at}");
    }
    let command = match &heard.message {
        Message::Nwk(NwkCommand::Other { id, .. }) => Some(u64::from(*id)),
        Message::Nwk(command) => Some(nwk_number(command)),
        _ => None,
    };
    assert_eq!(command, field("zbee_nwk.cmd.id"), "{at}");
    let zdo = match &heard.message {
        Message::Zdo { cluster, info, .. } => {
            assert!(info.is_some(), "{at}: {cluster:#06x}");
            Some(u64::from(*cluster))
        }
        Message::ApsAcknowledgement(header) => {
            header.addressing.filter(|a| a.profile == 0).map(|a| a.cluster.into())
        }
        _ => None,
    };
    assert_eq!(zdo, field("zbee_aps.zdp_cluster"), "{at}");
    match &heard.message {
        Message::Zcl { header, content, .. } => {
            assert_eq!(Some(u64::from(header.sequence)), field("zbee_zcl.cmd.tsn"), "{at}");
            if let ZclContent::Foundation(command) = content {
                assert_eq!(Some(u64::from(command.command())), field("zbee_zcl.cmd.id"), "{at}");
            }
        }
        // A maker's own profile carries text, which Wireshark takes for commands that it does not know.
        Message::Application(header, _) => assert_eq!(header.addressing.unwrap().profile, 0xc25c, "{at}"),
        _ => assert_eq!(field("zbee_zcl.cmd.tsn"), None, "{at}"),
    }
}

fn nwk_number(command: &NwkCommand) -> u64 {
    match command {
        NwkCommand::RouteRequest(_) => 1,
        NwkCommand::RouteReply { .. } => 2,
        NwkCommand::NetworkStatus { .. } => 3,
        NwkCommand::Leave(_) => 4,
        NwkCommand::RouteRecord(_) => 5,
        NwkCommand::RejoinRequest(_) => 6,
        NwkCommand::RejoinResponse { .. } => 7,
        NwkCommand::LinkStatus { .. } => 8,
        NwkCommand::NetworkReport { .. } => 9,
        NwkCommand::NetworkUpdate { .. } => 10,
        NwkCommand::EndDeviceTimeoutRequest { .. } => 11,
        NwkCommand::EndDeviceTimeoutResponse { .. } => 12,
        NwkCommand::LinkPowerDelta(_) => 13,
        NwkCommand::Other { id, .. } => (*id).into(),
    }
}
