//! What the coordinator tells unasked.

use std::time::Duration;

use thingward_zigbee::address::{Eui64, ShortAddress};
use thingward_zigbee::ezsp::EzspMessage;
use thingward_zigbee::layout::{Item, Record};
use thingward_zigbee::zcl::Value;

use super::ZigbeeRadio;
use super::told::Message;
use crate::wire::RefusalKind;

/// States of the stack: `EmberStatus`, and from version 14 on `sl_status_t`.
const NETWORK_UP: i128 = 0x90;
const NETWORK_UP_LATER: i128 = 0x15;
const NETWORK_DOWN: i128 = 0x91;
const NETWORK_DOWN_LATER: i128 = 0x16;
/// A node has shown a link key of its own (`EmberKeyStatus`).
const KEY_VERIFIED: i128 = 52;
/// An APS option: the message was protected with a link key (`EmberApsOption`).
const UNDER_LINK_KEY: i128 = 0x0020;

impl ZigbeeRadio {
    pub(super) fn heard(&mut self, news: &EzspMessage, now: Duration) {
        let record = &news.record;
        match news.info.name {
            "stackStatusHandler" => match record.number("status") {
                Some(NETWORK_UP | NETWORK_UP_LATER) => self.came_up(now),
                Some(NETWORK_DOWN | NETWORK_DOWN_LATER) => self.went_down(now),
                _ => {}
            },
            "messageSentHandler" => {
                let tag = number(record, "tag").unwrap_or(0);
                match record.number("status") {
                    Some(0) => self.delivered(tag),
                    _ => self.not_sent(tag, "the thing did not confirm that it received it", now),
                }
            }
            "incomingMessageHandler" => match message(record) {
                Some(message) => self.message(&message, now),
                None => self.refuse(None, RefusalKind::Malformed, "a message that lacks its fields", now),
            },
            "trustCenterJoinHandler" => {
                let (node, eui64) = (number(record, "node"), eui64(record, "nodeEui64"));
                if let (Some(node), Some(eui64)) = (node, eui64) {
                    let (update, decision) = (number(record, "update"), number(record, "decision"));
                    self.met(ShortAddress(node), eui64, update, decision, now);
                }
            }
            "zigbeeKeyEstablishmentHandler" => {
                if let (Some(partner), Some(KEY_VERIFIED)) =
                    (eui64(record, "partner"), record.number("status"))
                {
                    self.verified(partner, now);
                }
            }
            _ => {}
        }
    }
}

fn message(record: &Record) -> Option<Message> {
    let Some(Item::Value(Value::Octets(payload, _))) = record.get("message") else { return None };
    Some(Message {
        sender: ShortAddress(number(record, "sender")?),
        profile: number(record, "profile")?,
        cluster: number(record, "cluster")?,
        endpoint: number(record, "sourceEndpoint")?,
        counter: number(record, "sequence")?,
        is_under_link_key: record.number("options")? & UNDER_LINK_KEY != 0,
        payload: payload.clone().unwrap_or_default(),
    })
}

fn number<T: TryFrom<i128>>(record: &Record, name: &str) -> Option<T> {
    record.number(name).and_then(|number| T::try_from(number).ok())
}

pub(super) fn eui64(record: &Record, name: &str) -> Option<Eui64> {
    match record.get(name) {
        Some(Item::Value(Value::Eui64(eui64))) => Some(*eui64),
        _ => None,
    }
}
