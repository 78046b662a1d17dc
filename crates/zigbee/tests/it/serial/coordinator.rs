//! A host and a coordinator that speaks EZSP.

use std::time::Duration;

use thingward_zigbee::ash::AshFailure;
use thingward_zigbee::ezsp::{CommandError, EzspFailure, EzspHost, EzspMessage, EzspOutput};
use thingward_zigbee::layout::Record;

use super::ncp::{Ncp, Respond};
use super::value;
use crate::vectors::unhex;

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

/// Carries everything over the line until nothing moves; what the host has to say but for that.
fn settle(host: &mut EzspHost, ncp: &mut Ncp, mut outputs: Vec<EzspOutput>) -> Vec<EzspOutput> {
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

fn opened(respond: Respond) -> (EzspHost, Ncp, Vec<EzspOutput>) {
    let (mut host, mut ncp) = (EzspHost::default(), Ncp::new(respond));
    let outputs = host.open(Duration::ZERO);
    let said = settle(&mut host, &mut ncp, outputs);
    (host, ncp, said)
}

#[test]
fn a_host_agrees_on_a_version_and_then_sends_one_command_after_the_other() {
    let (mut host, mut ncp, said) = opened(version_13);
    assert_eq!(said, [EzspOutput::Ready(13)]);
    assert_eq!(ncp.received, [unhex("0000000d"), unhex("0100010000 0d".replace(' ', "").as_str())]);
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
    let (_, _, said) = opened(|message| vec![vec![message[0], 0x80, 0x00, 14, 2, 0x30, 0x07]]);
    assert_eq!(said, [EzspOutput::Failed(EzspFailure::Version(14))]);
    let (_, _, said) = opened(|message| vec![vec![message[0], 0x80, 0x00, 4, 2, 0x30, 0x07]]);
    assert_eq!(said, [EzspOutput::Failed(EzspFailure::Version(4))]);
}

#[test]
fn a_coordinator_that_does_not_answer_is_given_up() {
    let (mut host, mut ncp, said) = opened(version_13);
    assert_eq!(said.len(), 1);
    let outputs = host.command(permit(), Duration::ZERO).unwrap();
    // It acknowledges, and then nothing comes.
    let mut silent = Ncp::new(|_| Vec::new());
    silent.receive(&unhex("c038bc7e"));
    std::mem::swap(&mut ncp, &mut silent);
    assert!(outputs.iter().all(|output| matches!(output, EzspOutput::Write(_))));
    assert!(host.deadline().is_some());
    let said = host.tick(Duration::from_secs(10));
    assert_eq!(said, [EzspOutput::Failed(EzspFailure::NoAnswer(0x22))]);
    assert_eq!(host.command(permit(), Duration::ZERO), Err(CommandError::NotReady));
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
