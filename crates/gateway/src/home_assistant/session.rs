//! The connection to the broker, again and again: what it is told, and what comes of what it tells.

use std::collections::BTreeSet;
use std::io;

use bytes::{Bytes, BytesMut};
use serde_json::{Value as Json, json};
use thingward_agent::backoff::Backoff;
use thingward_crypto::sealed::read_private;
use thingward_model::clock::now;
use thingward_model::{ActionName, DeviceName, Timestamp};
use thingward_mqtt::client::{Client, ClientConfig, ClosedBy, Event, Message, PublishError};
use thingward_mqtt::codec::{
    Binary, MessageProperties, Publish, PublishTopic, QoS, ReasonCode, SubscribeRequest, SubscriptionOptions,
    Text, Will,
};
use thingward_mqtt::topic::{TopicFilter, TopicName};
use thingward_radio::wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use super::HomeAssistantSettings;
use super::broker::Stream;
use super::entity::{Place, Rights, entities};
use super::shelf::Shelf;
use crate::local::{Heard, Local, NotTold};

/// Most calls at a time: each holds a thread.
const CALLS_MAX: usize = 8;
/// Longest order, in bytes.
const ORDER_BYTES_MAX: usize = 4096;
/// How long the broker may take to take what it is told.
const WRITTEN_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);
const READ_BYTES: usize = 16 * 1024;
/// Longest value that is shown, in bytes.
const VALUE_BYTES_MAX: usize = 1024;
const MICROS: u64 = 1_000_000;

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Line(#[from] io::Error),
    #[error("the credentials are not a user name and a password with a colon between")]
    Credentials,
    #[error("the broker refuses the connection: {0:?}")]
    Refused(ReasonCode),
    #[error("the broker ended it: {0:?}")]
    Closed(ClosedBy),
}

/// See the module.
pub(super) struct Session {
    settings: HomeAssistantSettings,
    place: Place,
    local: Local,
    heard: Receiver<Heard>,
    shelf: Shelf,
    /// What may be there, as things and policies are; nothing is known before there are policies.
    allowed: Option<BTreeSet<String>>,
    calls: JoinSet<(DeviceName, Json)>,
    /// Whether the broker took the last connection.
    was_there: bool,
}

impl Session {
    pub(super) fn new(settings: HomeAssistantSettings, place: Place, local: Local) -> Self {
        let heard = local.listen();
        let (shelf, calls) = (Shelf::default(), JoinSet::new());
        Self { settings, place, local, heard, shelf, allowed: None, calls, was_there: true }
    }

    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let ended = match self.connect().await {
                Err(ended) => ended,
                Ok((stream, client)) => match self.talk(stream, client).await {
                    Err(ended) => ended,
                    Ok(never) => match never {},
                },
            };
            if std::mem::take(&mut self.was_there) {
                backoff = Backoff::default();
                tracing::warn!(%ended, "Home Assistant's broker is away");
            }
            self.pause(backoff.next()).await;
        }
    }

    /// What is said meanwhile counts too.
    async fn pause(&mut self, pause: std::time::Duration) {
        let pause = tokio::time::sleep(pause);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return,
                heard = self.heard.recv() => self.take(heard).await,
            }
        }
    }

    async fn connect(&self) -> Result<(Box<dyn Stream>, Client), Ended> {
        let stream = self.settings.broker.connect(self.settings.ca_file.as_deref()).await?;
        let mut config = ClientConfig::new(text(&format!("thingward-{}", self.place.gateway)));
        config.clean_start = true;
        config.session_expiry_seconds = 0;
        config.will = Some(Will {
            topic: topic(&self.place.status()).ok_or(Ended::Credentials)?,
            payload: Binary::try_from(Bytes::from_static(b"offline")).map_err(|_| Ended::Credentials)?,
            qos: QoS::AtLeastOnce,
            retain: true,
            delay: None,
            properties: MessageProperties::default(),
        });
        if let Some(path) = self.settings.credentials_file.clone() {
            let read = tokio::task::spawn_blocking(move || read_private(&path));
            let secret = read.await.map_err(io::Error::other)??;
            let pair =
                std::str::from_utf8(secret.trim_ascii_end()).ok().and_then(|pair| pair.split_once(':'));
            let (user, password) = pair.ok_or(Ended::Credentials)?;
            config.username = Some(Text::try_from(user).map_err(|_| Ended::Credentials)?);
            let password = Bytes::copy_from_slice(password.as_bytes());
            config.password = Some(Binary::try_from(password).map_err(|_| Ended::Credentials)?);
        }
        let mut client = Client::new(config);
        client.opened(now());
        Ok((stream, client))
    }

    async fn talk(
        &mut self,
        mut stream: Box<dyn Stream>,
        mut client: Client,
    ) -> Result<std::convert::Infallible, Ended> {
        let (mut things, mut policies) = (self.local.changes(), self.local.rules().changes());
        let mut came = BytesMut::with_capacity(READ_BYTES);
        loop {
            self.publish(&mut client);
            let out = client.take_output();
            if !out.is_empty() {
                let written = async {
                    stream.write_all(&out).await?;
                    stream.flush().await
                };
                // One that does not read would hold up what is to be taken off there, too.
                let written = tokio::time::timeout(WRITTEN_WITHIN, written).await;
                written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
            }
            let due = client.next_deadline().map_or(MICROS, micros_until);
            tokio::select! {
                len = stream.read_buf(&mut came) => {
                    if len? == 0 {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                    client.receive(now(), &mut came);
                }
                heard = self.heard.recv() => self.take(heard).await,
                Ok(()) = things.changed() => self.refresh(),
                Ok(()) = policies.changed() => self.refresh(),
                Some(Ok((thing, answer))) = self.calls.join_next() => self.answer(&mut client, thing, &answer),
                () = tokio::time::sleep(std::time::Duration::from_micros(due.min(MICROS))) => client.tick(now()),
            }
            while let Some(event) = client.poll_event() {
                self.event(&mut client, event)?;
            }
        }
    }

    fn event(&mut self, client: &mut Client, event: Event) -> Result<(), Ended> {
        match event {
            Event::Connected(_) => {
                tracing::info!("Home Assistant's broker is there");
                self.was_there = true;
                self.shelf.forget();
                self.refresh();
                let order = format!("thingward/{}/+/do", self.place.gateway);
                let filters = self.place.kept().into_iter().chain([order]);
                let request = |filter: String| {
                    let options = SubscriptionOptions::new(QoS::AtLeastOnce);
                    Some(SubscribeRequest { filter: TopicFilter::try_from(filter.as_str()).ok()?, options })
                };
                let _ = client.subscribe(now(), filters.filter_map(request).collect(), None);
            }
            Event::Answered { ack, .. } => {
                if let Some(reason) = ack.reasons.iter().find(|reason| reason.is_failure()) {
                    return Err(Ended::Refused(*reason));
                }
            }
            Event::Message { publish, receipt } => {
                if let Some(receipt) = receipt {
                    client.ack(now(), receipt);
                }
                self.message(client, &publish);
            }
            Event::Closed(ClosedBy::Refused(ack)) => return Err(Ended::Refused(ack.reason)),
            Event::Closed(by) => return Err(Ended::Closed(by)),
            Event::Published { .. } | Event::Unanswered { .. } => {}
        }
        Ok(())
    }

    /// What the broker has of us, or somebody wants of a thing.
    fn message(&mut self, client: &mut Client, publish: &Publish) {
        let PublishTopic::Name(topic) = &publish.topic else { return };
        let topic = topic.as_str();
        let Some(thing) = self.place.ordered(topic) else {
            if publish.retain && !publish.payload.is_empty() {
                let is_wanted = self.allowed.as_ref().is_none_or(|allowed| allowed.contains(topic));
                self.shelf.found(topic.to_owned(), &publish.payload, is_wanted);
            }
            return;
        };
        if publish.retain {
            // It would be done again at each connection, whoever may want it then.
            tracing::warn!(%thing, "an order that the broker keeps is let go");
            return;
        }
        let Some((action, input)) = order(&publish.payload) else {
            tracing::warn!(%thing, "an order that makes no sense is let go");
            return;
        };
        let (local, application) = (self.local.clone(), self.settings.application);
        if self.calls.len() >= CALLS_MAX {
            return self.answer(client, thing, &told(action, &Err(NotTold::TooOften)));
        }
        self.calls.spawn_blocking(move || {
            let done = local.call(&application, thing, action, &input);
            if let Err(reason) = &done {
                tracing::info!(%thing, %action, %reason, "a thing was not told, or did not do it");
            }
            (thing, told(action, &done))
        });
    }

    fn answer(&self, client: &mut Client, thing: DeviceName, answer: &Json) {
        let Some(topic) = topic(&self.place.answer(thing)) else { return };
        let message = Message {
            topic,
            payload: answer.to_string().into(),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: MessageProperties::default(),
        };
        let _ = client.publish(now(), message);
    }

    /// Tells the broker what differs, as far as it takes it now.
    fn publish(&mut self, client: &mut Client) {
        while client.is_online()
            && let Some((at, payload)) = self.shelf.next()
        {
            let Some(topic) = topic(&at) else {
                self.shelf.published(&at, payload);
                continue;
            };
            let message = Message {
                topic,
                payload: payload.clone(),
                qos: QoS::AtLeastOnce,
                retain: true,
                properties: MessageProperties::default(),
            };
            match client.publish(now(), message) {
                Ok(_) => self.shelf.published(&at, payload),
                Err(PublishError::TooLarge) => {
                    tracing::warn!(topic = at, "more than the broker takes");
                    self.shelf.published(&at, payload);
                }
                Err(_) => return,
            }
        }
    }

    async fn take(&mut self, heard: Result<Heard, RecvError>) {
        match heard {
            Ok(heard) => self.said(&heard),
            // What was said since is told with the next value.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    fn said(&mut self, heard: &Heard) {
        // Rights end with the policies that gave them.
        let Some(allowed) = self.allowed.as_ref().filter(|_| self.local.rules().policies().is_ok()) else {
            return;
        };
        let at = self.place.attributes(heard.thing);
        let mut is_shown = false;
        for reading in &*heard.readings {
            let at = self.place.state(heard.thing, reading.name.as_str());
            if let Some(value) = shown(&reading.value).filter(|_| allowed.contains(&at)) {
                self.shelf.put(at, value.into());
                is_shown = true;
            }
        }
        if is_shown {
            let about = json!({"link": heard.link.as_str(), "said": heard.time.to_string()});
            self.shelf.put(at, about.to_string().into());
        }
    }

    /// As things and policies are now. While there are no policies, nothing is added or taken off, and the gateway is not there.
    fn refresh(&mut self) {
        let status = self.place.status();
        if let Err(reason) = self.local.rules().policies() {
            tracing::warn!(reason, "Home Assistant is shown nothing new");
            self.shelf.put(status, "offline".into());
            return;
        }
        let (mut configs, mut allowed) = (Vec::new(), BTreeSet::new());
        for (thing, description) in self.local.things(&self.settings.application) {
            let application = &self.settings.application;
            let rights = Rights {
                reads: &|field| self.local.may_read(application, thing, field),
                calls: &|action| self.local.may_call(application, thing, action),
            };
            configs.extend(entities(&self.place, thing, &description, &rights));
            let fields = description.properties.keys().filter(|field| (rights.reads)(field));
            allowed.extend(fields.map(|field| self.place.state(thing, field)));
            allowed.insert(self.place.attributes(thing));
        }
        allowed.insert(status.clone());
        allowed.extend(configs.iter().map(|(topic, _)| topic.clone()));
        for (topic, config) in configs {
            self.shelf.put(topic, config.to_string().into());
        }
        self.shelf.put(status, "online".into());
        self.shelf.retain(|topic| allowed.contains(topic));
        self.allowed = Some(allowed);
    }
}

fn micros_until(at: Timestamp) -> u64 {
    u64::try_from(at.micros_since(now())).unwrap_or_default()
}

/// `ACTION`, or `ACTION INPUT` with the input in JSON.
fn order(payload: &[u8]) -> Option<(ActionName, Json)> {
    let text = std::str::from_utf8(payload).ok().filter(|text| text.len() <= ORDER_BYTES_MAX)?.trim();
    let (action, input) = match text.split_once(' ') {
        Some((action, input)) => (action, serde_json::from_str(input).ok()?),
        None => (text, Json::Null),
    };
    Some((action.parse().ok()?, input))
}

fn told(action: ActionName, done: &Result<(), NotTold>) -> Json {
    let outcome = match done {
        Ok(()) => "done",
        Err(NotTold::Failed(_)) => "failed",
        Err(NotTold::Unknown(_)) => "unknown",
        Err(_) => "refused",
    };
    let reason = done.as_ref().err().map(ToString::to_string);
    json!({"action": action.as_str(), "outcome": outcome, "reason": reason})
}

/// A value as the broker has it; `None` for one that nobody could read there.
fn shown(value: &wire::Value) -> Option<String> {
    Some(match value {
        wire::Value::Number(number) => json!(number).to_string(),
        wire::Value::Bool(value) => value.to_string(),
        wire::Value::Text(text) => {
            Some(text.as_str()).filter(|text| text.len() <= VALUE_BYTES_MAX)?.to_owned()
        }
        wire::Value::Data(_) => return None,
    })
}

fn text(text: &str) -> Text {
    Text::try_from(text).unwrap_or_default()
}

fn topic(name: &str) -> Option<TopicName> {
    TopicName::try_from(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_an_action_and_perhaps_an_input() {
        let read = |text: &str| order(text.as_bytes()).map(|(action, input)| format!("{action} {input}"));
        assert_eq!(read("turn-on").as_deref(), Some("turn-on null"));
        assert_eq!(read(r#"set-level {"level": 40}"#).as_deref(), Some(r#"set-level {"level":40}"#));
        assert_eq!(read("set-position 40\n").as_deref(), Some("set-position 40"));
        for wrong in ["", " ", "ON OFF", "-x", "set-level {", &format!("x {}", "1".repeat(ORDER_BYTES_MAX))] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(order(b"\xff\xff"), None);
    }

    #[test]
    fn bytes_that_nobody_can_read_are_not_shown_and_texts_without_end_neither() {
        assert_eq!(shown(&wire::Value::Number(21.5)).as_deref(), Some("21.5"));
        assert_eq!(shown(&wire::Value::Bool(true)).as_deref(), Some("true"));
        assert_eq!(shown(&wire::Value::Data(vec![1])), None);
    }
}
