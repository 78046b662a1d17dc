//! Every order and every report of the channel between a gateway and the driver of a radio.

use thingward_model::Link;
use thingward_radio::wire::{
    Admission, AdmissionState, Argument, Call, Counters, Exception, Order, Reading, Readings, RefusalKind,
    Report, Secret, Start, Text, Thing, Value, encode,
};

use super::put;

pub(super) fn write() {
    put(
        "driver_channel",
        "orders",
        &orders().iter().flat_map(|message| encode(message).to_vec()).collect::<Vec<u8>>(),
    );
    put(
        "driver_channel",
        "reports",
        &reports().iter().flat_map(|message| encode(message).to_vec()).collect::<Vec<u8>>(),
    );
}

fn values() -> [Value; 4] {
    [Value::Number(21.5), Value::Bool(true), Value::Text(Text::fitting("open")), Value::Data(vec![1, 2, 3])]
}

fn orders() -> Vec<Order> {
    let (thing, reason) = (Text::fitting("c0ffee01-5"), Text::fitting("older than Security 2"));
    let arguments = values().map(|value| Argument { name: Text::fitting("level"), value });
    vec![
        Order::Start(Start {
            kept: Some(Secret::new(vec![7; 16])),
            exceptions: vec![Exception { thing: thing.clone(), reason }],
            ..Start::default()
        }),
        Order::Admit(Admission { seconds: 60, printed: Some(Secret::new(b"34028".to_vec())) }),
        Order::Close,
        Order::Call(Call {
            id: 1,
            thing: thing.clone(),
            action: Text::fitting("set-level"),
            arguments: arguments.to_vec(),
        }),
        Order::Remove(thing),
        Order::Kept,
        Order::Ask(2),
    ]
}

fn reports() -> Vec<Report> {
    let thing = Text::fitting("00124b0001020304");
    let reading = |value| Reading { name: Text::fitting("said"), unit: Text::fitting("Cel"), value };
    vec![
        Report::Ready { network: Text::fitting("c0ffee01") },
        Report::Thing(Thing {
            address: thing.clone(),
            link: Link::ZigbeeInstallCode,
            description: br#"{"title":"Lamp"}"#.to_vec(),
        }),
        Report::Readings(Readings {
            thing: thing.clone(),
            link: Link::ZigbeeLinkKey,
            readings: values().map(reading).to_vec(),
        }),
        Report::Done { id: 1, failure: None },
        Report::Done { id: 2, failure: Some(Text::fitting("asleep")) },
        Report::Keep(Secret::new(vec![7; 16])),
        Report::Admission(AdmissionState::Open),
        Report::Admission(AdmissionState::Joining(thing.clone())),
        Report::Admission(AdmissionState::Closed),
        Report::Refused {
            thing: Some(thing.clone()),
            kind: RefusalKind::Replay,
            reason: Text::fitting("sent before"),
        },
        Report::Trouble(Text::fitting("the line: closed at the other end")),
        Report::Alive { answer: 2, counters: Counters { received: 300, refused: 1, dropped: 0 } },
        Report::Left(thing),
    ]
}
