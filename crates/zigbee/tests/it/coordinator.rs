//! What a host has a coordinator do, against the octets that UG100 gives it, and a node that is asked what it is.

use thingward_zigbee::address::{Eui64, PanId, ShortAddress};
use thingward_zigbee::coordinator::{
    Interview, InterviewError, Network, Progress, Protection, Request, become_master, bind, close, configure,
    configure_reporting, confirm, enrol, expect_insecure, form, leave, permit, read, read_backup, remove,
    restore, run_backup,
};
use thingward_zigbee::ezsp::{EzspFrame, EzspMessage};
use thingward_zigbee::security::{InstallCode, Key};
use thingward_zigbee::thing::describe;
use thingward_zigbee::zcl::{DataType, Reporting, Value, ZclHeader};
use thingward_zigbee::{Malformed, Problem};

use crate::vectors::{hex, unhex};

const KEY: &str = "00112233445566778899aabbccddeeff";
const LINK: &str = "ffeeddccbbaa99887766554433221100";

fn network() -> Network {
    Network {
        pan: PanId(0x1a62),
        extended_pan: Eui64(0x1122_3344_5566_7788),
        channel: 15,
        update_id: 1,
        key: Key::from_hex(KEY).unwrap(),
        key_sequence: 0,
        frame_counter: 0x1000,
    }
}

fn link() -> Key {
    Key::from_hex(LINK).unwrap()
}

/// The commands' fields, without headers.
fn parameters(commands: &[EzspMessage]) -> Vec<(String, String)> {
    let one = |command: &EzspMessage| {
        (command.info.name.to_owned(), hex(&command.command(0, 13).unwrap().parameters))
    };
    commands.iter().map(one).collect()
}

fn named(name: &str, octets: &str) -> (String, String) {
    (name.to_owned(), octets.replace(' ', ""))
}

#[test]
fn a_network_is_formed_with_its_keys() {
    let formed = parameters(&form(&network(), link()).unwrap());
    let security = format!("840b {LINK} {KEY} 00 0000000000000000");
    assert_eq!(formed[0], named("setInitialSecurityState", &security));
    let parameters = "8877665544332211 621a 08 0f 00 0000 01 00800000";
    assert_eq!(formed[1], named("formNetwork", parameters));
    assert!(form(&Network { channel: 10, ..network() }, link()).is_err());
    assert!(form(&Network { channel: 200, ..network() }, link()).is_err());
    let well_known = || Key::new(Key::WELL_KNOWN_LINK);
    let problem = Problem::WellKnown;
    let refused = [form(&network(), well_known()), restore(&network(), well_known())];
    for refused in refused {
        assert_eq!(refused, Err(Malformed { field: "network.link_key", problem }));
    }
    let refused = form(&Network { key: well_known(), ..network() }, link());
    assert_eq!(refused, Err(Malformed { field: "network.key", problem }));
}

#[test]
fn a_copy_is_restored_with_a_counter_that_nobody_has_seen() {
    let asked = parameters(&run_backup(12).unwrap());
    assert_eq!(asked, [named("getNetworkParameters", ""), named("getKey", "03")]);
    let asked = parameters(&run_backup(13).unwrap());
    assert_eq!(asked[1], named("exportKey", "01 00 0000 0000000000000000 00 00 00000000"));
    let answer = |octets: &str| {
        EzspMessage::read(&EzspFrame::read(&unhex(&octets.replace(' ', ""))).unwrap(), 13).unwrap()
    };
    let found = answer("00 8001 2800 00 01 8877665544332211 621a 08 0f 00 0000 01 00800000");
    let key = answer(&format!("00 8001 6a00 00 0200 03 {KEY} 00100000 00000000 00 0000000000000000"));
    let managed = answer(&format!("00 8001 1401 {KEY} 00000000"));
    let info = answer("00 8001 1601 00000000 01 00 00 00 00100000");
    for answers in [vec![found.clone(), key.clone()], vec![found.clone(), managed.clone(), info]] {
        let copy = read_backup(&answers).unwrap();
        assert!(copy.key == network().key);
        assert_eq!((copy.pan, copy.channel, copy.frame_counter), (PanId(0x1a62), 15, 0x1000));
    }
    let copy = read_backup(&[found.clone(), key.clone()]).unwrap();
    let restored = parameters(&restore(&copy, link()).unwrap());
    assert!(restored[0].1.starts_with("841b"));
    assert_eq!(restored[1], named("setValue", "23 04 a0960100"));
    assert_eq!(restored[2], named("setValue", "24 04 a0960100"));
    assert_eq!(restored[3], parameters(&form(&network(), link()).unwrap())[1]);
    let without = answer("00 8001 2800 93 01 8877665544332211 621a 08 0f 00 0000 01 00800000");
    for wrong in [vec![without, key.clone()], vec![found.clone()], vec![key], vec![found, managed]] {
        assert!(read_backup(&wrong).is_err());
    }
    assert!(restore(&Network { frame_counter: u32::MAX, ..network() }, link()).is_err());
}

#[test]
fn a_node_joins_with_the_key_of_its_install_code() {
    let code = InstallCode::parse("83FED3407A939723A5C639B26916D505C3B5").unwrap();
    let managed = parameters(&permit(13, Eui64(0x11), &code, 60).unwrap());
    let key = "1100000000000000 66b6900981e1ee3ca4206b6b861c02bb 00";
    assert_eq!(managed[0], named("importTransientKey", key));
    let permitted = parameters(&permit(12, Eui64(0x11), &code, 255).unwrap());
    assert_eq!(
        permitted[0],
        named("addTransientLinkKey", "1100000000000000 66b6900981e1ee3ca4206b6b861c02bb")
    );
    assert_eq!(permitted[1], named("permitJoining", "fe"));
    assert_eq!(permitted[2], named("sendBroadcast", "fcff 0000 3600 00 00 0000 0000 00 00 00 03 00 fe 01"));
    for anybody in [Eui64(0), Eui64(u64::MAX)] {
        assert!(permit(13, anybody, &code, 60).is_err());
    }
    assert_eq!(parameters(&close().unwrap())[0], named("permitJoining", "00"));
    let configured = parameters(&configure().unwrap());
    assert_eq!(configured[0], named("setConfigurationValue", "0c 0200"));
    assert_eq!(configured[5..7], [named("setPolicy", "00 13"), named("setPolicy", "05 51")]);
    let insecure = parameters(&[expect_insecure(12, Eui64(0x11)).unwrap()]);
    assert_eq!(
        insecure[0],
        named("addTransientLinkKey", "1100000000000000 5a6967426565416c6c69616e63653039")
    );
    let removed = parameters(&[remove(ShortAddress(0x1234), Eui64(0x11)).unwrap()]);
    assert_eq!(removed[0], named("removeDevice", "3412 1100000000000000 1100000000000000"));
}

#[test]
fn a_cluster_is_bound_and_reported() {
    let request = bind(Eui64(0x11), 2, 0x0402, Eui64(0x22), 9).unwrap();
    assert_eq!((request.profile, request.cluster), (0, 0x0021));
    assert_eq!(hex(&request.payload), "09110000000000000002020403220000000000000001");
    let int16 = DataType::named("int16").unwrap();
    let reporting = Reporting::Send {
        id: 0,
        data_type: int16,
        least: 10,
        most: 600,
        change: Some(Value::integer(int16, 50).unwrap()),
    };
    let request = configure_reporting(2, 0x0402, vec![reporting], 9).unwrap();
    assert_eq!(hex(&request.payload), "100906000000290a0058023200");
    let report = ZclHeader { control: 0x08, manufacturer: None, sequence: 5, command: 0x0a };
    assert_eq!(hex(&confirm(2, 0x0402, &report).unwrap().payload), "10050b0a00");
    let event = ZclHeader { control: 0x05, manufacturer: Some(0x115f), sequence: 5, command: 0x02 };
    assert_eq!(hex(&confirm(2, 0xfc00, &event).unwrap().payload), "1c5f11050b0200");
    assert_eq!(hex(&read(2, 0x0402, vec![0, 1], 9).unwrap().payload), "10090000000100");
    assert_eq!(hex(&become_master(1, Eui64(0x22), 9).unwrap().payload), "1009021000f02200000000000000");
    assert_eq!(hex(&enrol(1, 9).payload), "0109000001");
    let leaves = leave(Eui64(0x11), 9).unwrap();
    assert_eq!((leaves.cluster, hex(&leaves.payload).as_str()), (0x0034, "09110000000000000000"));
    let sent = parameters(&[request.unicast(ShortAddress(0x1234), 7, Protection::Network).unwrap()]);
    let octets = "00 3412 0401 0204 01 02 4011 0000 00 07 0d 100906000000290a0058023200";
    assert_eq!(sent[0], named("sendUnicast", octets));
}

/// The octets of the open question.
fn asked(interview: &Interview) -> (u16, u8, String) {
    let Request { cluster, destination, payload, .. } = interview.question().unwrap().unwrap();
    (cluster, destination, hex(&payload))
}

#[test]
fn a_node_that_is_asked_what_it_is_becomes_a_thing() {
    let mut interview = Interview::new(ShortAddress(0x1234), 5);
    let heard = |interview: &mut Interview, profile, cluster, octets: &str| {
        interview.heard(profile, cluster, &unhex(&octets.replace(' ', ""))).unwrap()
    };
    assert_eq!(asked(&interview), (0x0002, 0, "053412".to_owned()));
    // What comes in between is not the answer: a report, and an answer to another question.
    assert_eq!(heard(&mut interview, 0x0104, 0x0402, "18010a0000295608"), Progress::NotForUs);
    assert_eq!(heard(&mut interview, 0, 0x8002, "04 00 3412"), Progress::NotForUs);
    let node = "05 00 3412 0240 80 5f11 52 5200 002c 5200 00";
    assert_eq!(heard(&mut interview, 0, 0x8002, node), Progress::Answered);
    assert_eq!(asked(&interview), (0x0005, 0, "063412".to_owned()));
    assert_eq!(heard(&mut interview, 0, 0x8005, "06 00 3412 02 01 02"), Progress::Answered);
    assert_eq!(asked(&interview), (0x0004, 0, "07341201".to_owned()));
    let first = "07 00 3412 0e 01 0401 0203 01 03 0000 0500 0204 01 1900";
    assert_eq!(heard(&mut interview, 0, 0x8004, first), Progress::Answered);
    assert_eq!(asked(&interview), (0x0004, 0, "08341202".to_owned()));
    assert_eq!(
        heard(&mut interview, 0, 0x8004, "08 00 3412 0a 02 0401 0203 01 01 0504 00"),
        Progress::Answered
    );
    assert_eq!(asked(&interview), (0x0000, 1, "10090004000500".to_owned()));
    assert!(interview.thing().is_none());
    // A command of the cluster, something that is cut short, and a default response to another command are no answers.
    for other in ["19 09 01", "18 09", "18 09 0b 01 81"] {
        assert_eq!(heard(&mut interview, 0x0104, 0x0000, other), Progress::NotForUs);
    }
    let mut silent = interview.clone();
    assert_eq!(heard(&mut silent, 0x0104, 0x0000, "18 09 0b 00 81"), Progress::Answered);
    assert!(silent.thing().is_some() && silent.maker() == (None, None));
    let basic = "18 09 01 0400 00 42 04 41636d65 0500 00 42 02 5431";
    assert_eq!(heard(&mut interview, 0x0104, 0x0000, basic), Progress::Answered);
    assert_eq!(interview.question().unwrap(), None);
    assert_eq!(interview.maker(), (Some("Acme"), Some("T1")));
    assert_eq!(interview.descriptor(), (0x80, 0x115f));
    let description = describe(&interview.thing().unwrap(), "Sensor").unwrap();
    assert!(description.properties.contains_key("temperature"));
    assert!(description.properties.contains_key("humidity"));
}

#[test]
fn a_node_that_refuses_or_tells_nonsense_is_given_up_with_reason() {
    let interview = || Interview::new(ShortAddress(0x1234), 5);
    let refused = interview().heard(0, 0x8002, &unhex("0581"));
    assert_eq!(refused, Err(InterviewError::Refused(0x81)));
    assert!(matches!(interview().heard(0, 0x8002, &unhex("0500")), Err(InterviewError::Malformed(_))));
    // What does not even have a number answers nothing.
    assert_eq!(interview().heard(0, 0x8002, &[]), Ok(Progress::NotForUs));
    let mut asked = interview();
    let node = unhex("05003412024080 5f11525200002c520000".replace(' ', "").as_str());
    assert_eq!(asked.heard(0, 0x8002, &node), Ok(Progress::Answered));
    let many = [unhex("0600341221"), vec![1; 33]].concat();
    assert!(matches!(asked.heard(0, 0x8005, &many), Err(InterviewError::Malformed(_))));
}
