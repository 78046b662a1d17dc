//! A host and a coordinator that speaks EZSP.

use std::time::Duration;

use thingward_zigbee::address::{Eui64, PanId};
use thingward_zigbee::ash::AshFailure;
use thingward_zigbee::coordinator::{Network, configure, form, read_backup, restore, run_backup};
use thingward_zigbee::ezsp::{CommandError, EzspFailure, EzspHost, EzspMessage, EzspOutput};
use thingward_zigbee::layout::Record;
use thingward_zigbee::security::Key;

use super::value;
use crate::vectors::unhex;
use thingward_zigbee::emulated::{Coordinator, Ncp};

/// A coordinator of version 13: it opens its network, says so afterwards, and knows nothing else.
fn version_13(message: &[u8]) -> Vec<Vec<u8>> {
    match message {
        [sequence, 0x00, 0x00, _] => vec![vec![*sequence, 0x80, 0x00, 13, 2, 0x30, 0x07]],
        [sequence, 0x00, 0x01, 0x00, 0x00, 13] => {
            vec![vec![*sequence, 0x80, 0x01, 0x00, 0x00, 13, 2, 0x30, 0x07]]
        }
        [sequence, 0x00, 0x01, 0x22, 0x00, _] => {
            vec![vec![*sequence, 0x80, 0x01, 0x22, 0x00, 0x00], vec![*sequence, 0x90, 0x01, 0x19, 0x00, 0x9c]]
        }
        [sequence, ..] => vec![vec![*sequence, 0x80, 0x01, 0x58, 0x00, 0x36]],
        [] => Vec::new(),
    }
}

fn permit() -> EzspMessage {
    EzspMessage::named("permitJoining", Record(vec![("duration", value("uint8", 60))])).unwrap()
}

fn bare(name: &str) -> EzspMessage {
    EzspMessage::named(name, Record::default()).unwrap()
}

/// What a coordinator answers to a message.
type Respond = Box<dyn FnMut(&[u8]) -> Vec<Vec<u8>>>;

/// Carries everything over the line until nothing moves; what the host has to say but for that.
fn settle(host: &mut EzspHost, ncp: &mut Ncp<Respond>, mut outputs: Vec<EzspOutput>) -> Vec<EzspOutput> {
    let mut said = Vec::new();
    while !outputs.is_empty() {
        for output in std::mem::take(&mut outputs) {
            match output {
                EzspOutput::Write(octets) => {
                    for answer in ncp.receive(&octets) {
                        outputs.extend(host.receive(&answer, Duration::ZERO));
                    }
                }
                output => said.push(output),
            }
        }
    }
    said
}

fn opened(respond: impl FnMut(&[u8]) -> Vec<Vec<u8>> + 'static) -> (EzspHost, Ncp<Respond>, Vec<EzspOutput>) {
    let (mut host, mut ncp) = (EzspHost::default(), Ncp::new(Box::new(respond) as Respond));
    let outputs = host.open(Duration::ZERO);
    let said = settle(&mut host, &mut ncp, outputs);
    (host, ncp, said)
}

#[test]
fn a_host_agrees_on_a_version_and_then_sends_one_command_after_the_other() {
    let (mut host, mut ncp, said) = opened(version_13);
    assert_eq!(said, [EzspOutput::Ready(13)]);
    assert_eq!(ncp.received, [unhex("00000013"), unhex("0100010000 0d".replace(' ', "").as_str())]);
    let mut outputs = host.command(permit(), Duration::ZERO).unwrap();
    // While one is unanswered, the next one waits.
    assert_eq!(host.command(bare("getNodeId"), Duration::ZERO), Ok(vec![]));
    let said = settle(&mut host, &mut ncp, std::mem::take(&mut outputs));
    let [EzspOutput::Answer(answer), rest @ ..] = &said[..] else { panic!("{said:?}") };
    assert_eq!((answer.info.name, answer.record.number("status")), ("permitJoining", Some(0)));
    let news = rest
        .iter()
        .filter(|output| matches!(output, EzspOutput::News(news) if news.info.name == "stackStatusHandler"));
    assert_eq!(news.count(), 1);
    assert!(rest.contains(&EzspOutput::Refused(0x36)));
}

#[test]
fn a_coordinator_of_another_version_is_refused() {
    let (_, _, said) = opened(|message| vec![vec![message[0], 0x80, 0x00, 20, 2, 0x30, 0x07]]);
    assert_eq!(said, [EzspOutput::Failed(EzspFailure::Version(20))]);
    let (_, _, said) = opened(|message| vec![vec![message[0], 0x80, 0x00, 4, 2, 0x30, 0x07]]);
    assert_eq!(said, [EzspOutput::Failed(EzspFailure::Version(4))]);
}

#[test]
fn a_coordinator_that_does_not_answer_is_given_up() {
    let (mut host, _, said) = opened(version_13);
    assert_eq!(said.len(), 1);
    let outputs = host.command(permit(), Duration::ZERO).unwrap();
    // It is written to the line, and nothing comes.
    assert!(outputs.iter().all(|output| matches!(output, EzspOutput::Write(_))));
    assert!(host.deadline().is_some());
    let said = host.tick(Duration::from_secs(10));
    assert_eq!(said, [EzspOutput::Failed(EzspFailure::NoAnswer(0x22))]);
    assert_eq!(host.command(permit(), Duration::ZERO), Err(CommandError::NotReady));
}

#[test]
fn an_answer_that_cannot_be_read_is_told_and_the_next_command_goes() {
    // To the first two, an answer that is cut short and that of another command, with news of lost news; then as it should.
    let mut answers =
        vec![vec![0x80, 0x01, 0x22, 0x00, 0x00], vec![0x81, 0x01, 0x26, 0x00, 1, 2, 3, 4, 5, 6, 7, 8]];
    answers.push(vec![0x80, 0x01, 0x22, 0x00]);
    let (mut host, mut ncp, _) = opened(move |message| match message {
        [sequence, 0x00, 0x01, 0x22, 0x00, _] => vec![[vec![*sequence], answers.pop().unwrap()].concat()],
        _ => version_13(message),
    });
    let mut outputs = host.command(permit(), Duration::ZERO).unwrap();
    outputs.extend(host.command(permit(), Duration::ZERO).unwrap());
    outputs.extend(host.command(permit(), Duration::ZERO).unwrap());
    let said = settle(&mut host, &mut ncp, outputs);
    let [EzspOutput::BadAnswer(_), EzspOutput::NewsLost, EzspOutput::BadAnswer(other), EzspOutput::Answer(_)] =
        &said[..]
    else {
        panic!("{said:?}")
    };
    assert_eq!(other.field, "ezsp.frame_id");
}

#[test]
fn a_line_that_ends_ends_the_host_too() {
    let (mut host, _, _) = opened(version_13);
    let said = host.receive(&unhex("c20251a8bd7e"), Duration::ZERO);
    assert_eq!(said, [EzspOutput::Failed(EzspFailure::Line(AshFailure::Stopped(0x51)))]);
}

#[test]
fn commands_whose_fields_are_wrong_are_not_taken() {
    let (mut host, _, _) = opened(version_13);
    assert!(matches!(host.command(bare("permitJoining"), Duration::ZERO), Err(CommandError::Fields(_))));
    let wide = EzspMessage::named("permitJoining", Record(vec![("duration", value("uint16", 60))])).unwrap();
    assert!(matches!(host.command(wide, Duration::ZERO), Err(CommandError::Fields(_))));
}

/// The answers to commands, one after the other.
fn answers(host: &mut EzspHost, ncp: &mut Ncp<Respond>, commands: Vec<EzspMessage>) -> Vec<EzspMessage> {
    let mut all = Vec::new();
    for command in commands {
        let outputs = host.command(command, Duration::ZERO).unwrap();
        let said = settle(host, ncp, outputs);
        all.extend(said.into_iter().filter_map(|output| match output {
            EzspOutput::Answer(answer) => Some(answer),
            _ => None,
        }));
    }
    all
}

#[test]
fn a_network_is_formed_copied_and_restored_on_an_emulated_coordinator() {
    let network = || Network {
        pan: PanId(0x1a62),
        extended_pan: Eui64(0x1122_3344_5566_7788),
        channel: 15,
        update_id: 1,
        key: Key::new([7; 16]),
        key_sequence: 0,
        frame_counter: 0,
    };
    let link = || Key::new([9; 16]);
    let mut coordinator = Coordinator::default();
    let (mut host, mut ncp, said) = opened(move |message| coordinator.respond(message));
    assert_eq!(said, [EzspOutput::Ready(13)]);
    let commands = [configure().unwrap(), form(&network(), link()).unwrap()].concat();
    assert_eq!(answers(&mut host, &mut ncp, commands).len(), 11);
    let copied = read_backup(&answers(&mut host, &mut ncp, run_backup(13).unwrap())).unwrap();
    assert!(copied.key == network().key);
    assert_eq!((copied.pan, copied.channel, copied.frame_counter), (PanId(0x1a62), 15, 0));
    answers(&mut host, &mut ncp, vec![bare("leaveNetwork")]);
    assert!(read_backup(&answers(&mut host, &mut ncp, vec![bare("getNetworkParameters")])).is_err());
    answers(&mut host, &mut ncp, restore(&copied, link()).unwrap());
    let again = read_backup(&answers(&mut host, &mut ncp, run_backup(13).unwrap())).unwrap();
    assert!(again.key == network().key && again.frame_counter >= 100_000);
    assert_eq!(again.extended_pan, network().extended_pan);
}
