//! The devices of a bridge: which there are, what they say, and what they are told.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};
use thingward_model::Link;
use thingward_mqtt::client::{Message, Token};
use thingward_mqtt::codec::{MessageProperties, Publish, PublishTopic, QoS};
use thingward_mqtt::topic::{TopicFilter, TopicName};

use super::device::{self, Command, Device};
use super::message::{BridgeState, DEVICES_MAX, Devices};
use super::slot::Proof;
use super::{BASE, Phase, Waiting, Zigbee2MqttRadio};
use crate::wire::{Address, Call, RefusalKind, Report, Sentence};

/// Largest message of a device.
const STATE_BYTES_MAX: usize = 64 * 1024;
/// So long a device has to say that something was done.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Most calls that wait.
const CALLS_MAX: usize = 64;
/// Most removed devices that are remembered.
const IGNORED_MAX: usize = 1024;

impl Zigbee2MqttRadio {
    pub(super) fn message(&mut self, publish: &Publish, now: Duration) {
        let PublishTopic::Name(topic) = &publish.topic else { return };
        let payload = &publish.payload;
        match topic.as_str().strip_prefix(BASE) {
            Some("/bridge/devices") => match serde_json::from_slice(payload) {
                Ok(devices) => self.all(devices, now),
                Err(error) => {
                    let reason = format!("Zigbee2MQTT gives no list of its devices: {error}");
                    self.outbox.refused(None, RefusalKind::Malformed, &reason);
                }
            },
            Some("/bridge/state") => self.state(payload),
            _ => self.said(topic, payload, publish.retain),
        }
    }

    /// Whether it is there at all.
    fn state(&mut self, payload: &[u8]) {
        let state: Result<BridgeState, _> = serde_json::from_slice(payload);
        let is_away = state.is_ok_and(|state| state.state == "offline");
        if is_away && !self.is_away {
            self.outbox.report(Report::Trouble(Sentence::fitting("Zigbee2MQTT is not there")));
        }
        if !is_away && self.is_away {
            self.ready();
        }
        self.is_away = is_away;
    }

    fn ready(&mut self) {
        if let Some(network) = self.network.clone() {
            self.outbox.report(Report::Ready { network });
        }
    }

    /// Which devices there are, as often as that changes.
    fn all(&mut self, all: Devices, now: Duration) {
        if let Some(network) = all.coordinator.as_deref().and_then(device::address)
            && self.network.as_ref() != Some(&network)
        {
            self.network = Some(network);
            self.ready();
        }
        self.phase = match std::mem::take(&mut self.phase) {
            Phase::Greeting(client, _) => Phase::Listening(client),
            other => other,
        };
        // A bridge that begins has not even itself: what there is comes later.
        if all.coordinator.is_none() && all.devices.is_empty() {
            return;
        }
        if all.is_cut {
            let trouble = format!("Zigbee2MQTT has more than {DEVICES_MAX} devices; the others are left out");
            self.outbox.report(Report::Trouble(Sentence::fitting(&trouble)));
        }
        let before = std::mem::take(&mut self.devices);
        for device in all.devices {
            let is_wanted = !self.ignored.contains(&device.address);
            if is_wanted && !self.devices.contains_key(&device.address) {
                self.tell(&device, before.get(&device.address));
                self.devices.insert(device.address.clone(), device);
            }
        }
        for left in before.keys().filter(|address| !self.devices.contains_key(address)) {
            self.outbox.report(Report::Left(left.clone()));
        }
        self.follow(&topics(&before), now);
    }

    /// A device that is new, or has something new.
    fn tell(&mut self, device: &Device, before: Option<&Device>) {
        let thing = device.thing();
        let told = before.map(Device::thing);
        match (thing, told) {
            (Ok(thing), Some(Ok(told))) if thing == told => {}
            (Ok(Some(thing)), _) => self.outbox.report(Report::Thing(thing)),
            (Ok(None), _) => {}
            (Err(error), _) => {
                let address = Some(device.address.clone());
                self.outbox.refused(address, RefusalKind::Malformed, &error.to_string());
            }
        }
    }

    /// Listens to the devices under the names that they have now, and no more under those that they had.
    fn follow(&mut self, before: &[TopicName], now: Duration) {
        let topics = topics(&self.devices);
        let filter = |topic: &TopicName| TopicFilter::try_from(topic.as_str()).ok();
        let over: Vec<_> = before.iter().filter(|topic| !topics.contains(topic)).filter_map(filter).collect();
        let new: Vec<_> = topics.iter().filter(|topic| !before.contains(topic)).collect();
        let new: Vec<String> = new.into_iter().map(|topic| topic.as_str().to_owned()).collect();
        self.subscribe(&new, false, now);
        if let Some((client, now)) = self.client(now).filter(|_| !over.is_empty()) {
            // What still comes is of nobody.
            let _ = client.unsubscribe(now, over);
        }
    }

    /// A device said something.
    fn said(&mut self, topic: &TopicName, payload: &[u8], is_kept: bool) {
        let Some(device) = self.devices.values().find(|device| device.topic == *topic) else { return };
        let address = device.address.clone();
        let said: Option<Json> = Some(payload)
            .filter(|payload| payload.len() <= STATE_BYTES_MAX)
            .and_then(|payload| serde_json::from_slice(payload).ok())
            .filter(Json::is_object);
        let Some(said) = said else {
            self.outbox.refused(Some(address), RefusalKind::Malformed, "a message that is no object of JSON");
            return;
        };
        if is_kept {
            return;
        }
        let readings = device.readings(&said);
        self.outbox.readings(&address, Link::Zigbee2Mqtt, &readings);
        let (done, calls) = std::mem::take(&mut self.calls)
            .into_iter()
            .partition::<Vec<_>, _>(|waiting| waiting.thing == address && waiting.is_shown(&said));
        self.calls = calls;
        done.iter().for_each(|waiting| self.outbox.done(waiting.call, None));
    }

    pub(super) fn call(&mut self, call: &Call, now: Duration) {
        if let Err(failure) = self.publish(call, now) {
            self.outbox.done(call.id, Some(&failure));
        }
    }

    fn publish(&mut self, call: &Call, now: Duration) -> Result<(), String> {
        if !matches!(self.phase, Phase::Listening(_)) || self.is_away {
            return Err("Zigbee2MQTT is not there".to_owned());
        }
        if self.calls.len() >= CALLS_MAX {
            return Err(format!("{CALLS_MAX} calls wait already"));
        }
        let device =
            self.devices.get(&call.thing).ok_or_else(|| format!("there is no thing {}", call.thing))?;
        let Command { property, value, proof } =
            device.command(call.action.as_str(), &call.arguments).map_err(|error| error.to_string())?;
        let topic = format!("{}/set", device.topic.as_str());
        let message = Message {
            topic: TopicName::try_from(topic.as_str()).map_err(|error| error.to_string())?,
            payload: json!({ property.clone(): value }).to_string().into(),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: MessageProperties::default(),
        };
        let until = now + ANSWER_TIME;
        let (client, now) = self.client(now).ok_or("the broker is not there")?;
        let token = client.publish(now, message).map_err(|error| error.to_string())?;
        self.calls.push(Waiting { call: call.id, thing: call.thing.clone(), property, proof, token, until });
        Ok(())
    }

    /// The broker took a command, or did not.
    pub(super) fn published(&mut self, token: Token, failure: Option<&str>) {
        let is_over = |waiting: &Waiting| {
            waiting.token == token && (failure.is_some() || waiting.proof == Proof::Taken)
        };
        if let Some(at) = self.calls.iter().position(is_over) {
            let waiting = self.calls.swap_remove(at);
            self.outbox.done(waiting.call, failure);
        }
    }

    /// Calls that were not done in time.
    pub(super) fn give_up(&mut self, now: Duration) {
        let (late, calls) = std::mem::take(&mut self.calls)
            .into_iter()
            .partition::<Vec<_>, _>(|waiting| now >= waiting.until);
        self.calls = calls;
        let failure =
            format!("Zigbee2MQTT did not say within {} seconds that it is so", ANSWER_TIME.as_secs());
        late.iter().for_each(|waiting| self.outbox.done(waiting.call, Some(&failure)));
    }

    /// Nobody wants to have to do with a device any more.
    pub(super) fn remove(&mut self, thing: Address, now: Duration) {
        let before = topics(&self.devices);
        if self.devices.remove(&thing).is_some() {
            self.follow(&before, now);
            self.outbox.report(Report::Left(thing.clone()));
        }
        if self.ignored.len() < IGNORED_MAX && !self.ignored.contains(&thing) {
            self.ignored.push(thing);
        }
    }
}

impl Waiting {
    /// Whether a message shows that it is done.
    fn is_shown(&self, said: &Json) -> bool {
        match &self.proof {
            Proof::Says(value) => said.get(&self.property).is_some_and(|said| is_same(said, value)),
            Proof::Tells => true,
            Proof::Taken => false,
        }
    }
}

fn topics(devices: &BTreeMap<Address, Device>) -> Vec<TopicName> {
    devices.values().map(|device| device.topic.clone()).collect()
}

/// Numbers are the same by value.
fn is_same(one: &Json, other: &Json) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => (one - other).abs() < 1e-6,
        _ => one == other,
    }
}
