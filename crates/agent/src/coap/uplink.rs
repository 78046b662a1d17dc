//! CoAP as what carries a device's messages: RFC 7252 under OSCORE, to a gateway or the service.
//!
//! One message is on its way at a time (NSTART of RFC 7252 §4.7), so that nothing overtakes; it is delivered when the
//! other end says 2.04, and what is on its way when a session ends goes again in the next one. What is for the device is
//! observed, and taken from there once the device has it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use thingward_coap::endpoint::{Event, ExchangeId, Packet};
use thingward_coap::message::{Code, OptionNumber};
use thingward_coap::wire::{Down, path};
use thingward_model::clock::now;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::member;
use super::session::{CoapError, Session, success};
use super::topic::{reason_of, received, request_of};
use crate::enrol::EnrolError;
use crate::home::Home;
use crate::http::Endpoint;
use crate::uplink::{Carrier, Courier, End, Source, UplinkStatus, stopped};

/// Most messages on their way.
pub(crate) const IN_FLIGHT_MAX: usize = 1;
/// Most questions that wait.
const QUESTIONS_MAX: usize = 4;
/// How often the other end is asked whether it is there, and what is for the device is observed anew: shorter than firewalls
/// remember who spoke with whom.
const LOOK_EVERY: Duration = Duration::from_secs(25);
/// A session that lived so long, or delivered something, was worth having.
const USEFUL_AFTER: Duration = Duration::from_secs(10);

/// Something that is asked beside the messages.
struct Question {
    packet: Packet,
    answer: oneshot::Sender<Result<Packet, CoapError>>,
}

/// Asks the other end over the session that is there. Clones are the same.
#[derive(Clone)]
pub(crate) struct CoapClient(mpsc::Sender<Question>);

impl CoapClient {
    /// The answer, whatever it is.
    pub(crate) async fn ask(&self, packet: Packet) -> Result<Packet, CoapError> {
        let (answer, wait) = oneshot::channel();
        self.0.send(Question { packet, answer }).await.map_err(|_| CoapError::Silent)?;
        wait.await.unwrap_or(Err(CoapError::Silent))
    }
}

/// See the module.
pub(crate) struct Coap {
    to: Endpoint,
    home: Home,
    questions: mpsc::Receiver<Question>,
}

impl Coap {
    /// Towards this end, as the member of this home; and what asks it other things.
    pub(crate) fn new(to: Endpoint, home: Home) -> (Self, CoapClient) {
        let (asks, questions) = mpsc::channel(QUESTIONS_MAX);
        (Self { to, home, questions }, CoapClient(asks))
    }

    /// A session in which the other end knows whose it is, and the observation of what is for the device.
    async fn open(&self) -> Result<(Session, ExchangeId), EnrolError> {
        let mut session = member::open(&self.home, &self.to).await?;
        let observation = observe(&mut session)?;
        Ok((session, observation))
    }
}

/// Observes what is for the device.
fn observe(session: &mut Session) -> Result<ExchangeId, CoapError> {
    let observe = Packet::to(Code::GET, path::DOWN).with_uint(OptionNumber::OBSERVE, 0);
    session.line.send(Some(session.context), observe)
}

impl Carrier for Coap {
    type Token = ExchangeId;
    type Receipt = u32;

    fn to(&self) -> String {
        format!("coap://{}", self.to)
    }

    async fn carry<S: Source>(
        &mut self,
        courier: &mut Courier<S, ExchangeId, u32>,
        status: &watch::Sender<UplinkStatus>,
        stop: &mut watch::Receiver<bool>,
    ) -> End {
        courier.recall();
        let opened = tokio::select! {
            () = stopped(stop) => {
                courier.settle().await;
                return End::Stopped;
            }
            opened = self.open() => opened,
        };
        let (session, observation) = match opened {
            Ok(opened) => opened,
            Err(error) => return End::Lost { reason: error.to_string(), was_useful: false },
        };
        let mut carrying = Carrying {
            session,
            observation,
            open: HashMap::new(),
            shown: None,
            delivered: false,
            started: Instant::now(),
            look_at: Instant::now() + LOOK_EVERY,
        };
        courier.connected();
        let end = carrying.run(&mut self.questions, courier, status, stop).await;
        courier.recall();
        end
    }
}

/// What an answer is for.
enum Open {
    Message,
    /// Something is taken.
    Taken,
    Question(oneshot::Sender<Result<Packet, CoapError>>),
}

/// A session in use.
struct Carrying {
    session: Session,
    observation: ExchangeId,
    open: HashMap<ExchangeId, Open>,
    /// The number of what was handed over last.
    shown: Option<u32>,
    delivered: bool,
    started: Instant,
    look_at: Instant,
}

impl Carrying {
    async fn run<S: Source>(
        &mut self,
        questions: &mut mpsc::Receiver<Question>,
        courier: &mut Courier<S, ExchangeId, u32>,
        status: &watch::Sender<UplinkStatus>,
        stop: &mut watch::Receiver<bool>,
    ) -> End {
        loop {
            if let Err(error) = self.send(courier) {
                return self.lost(error.to_string());
            }
            courier.dispatch();
            let again_at = courier.again_at();
            tokio::select! {
                () = stopped(stop) => {
                    courier.settle().await;
                    return End::Stopped;
                }
                event = self.session.line.next() => {
                    let taken = event.map_err(|e| e.to_string()).and_then(|e| self.take(e, courier, status));
                    if let Err(reason) = taken {
                        return self.lost(reason);
                    }
                }
                changed = courier.changed() => {
                    if changed.is_err() {
                        return End::SourceGone;
                    }
                    let dropped = courier.dropped();
                    status.send_if_modified(|s| std::mem::replace(&mut s.refused, dropped) != dropped);
                }
                Some(Question { packet, answer }) = questions.recv() => {
                    match self.session.line.send(Some(self.session.context), packet) {
                        Ok(exchange) => drop(self.open.insert(exchange, Open::Question(answer))),
                        Err(error) => drop(answer.send(Err(error))),
                    }
                }
                () = sleep_until(self.look_at) => {
                    self.look_at = Instant::now() + LOOK_EVERY;
                    // The other end may have given the observation up, and this one does not know.
                    self.session.line.forget(self.observation);
                    match observe(&mut self.session) {
                        Ok(observation) => self.observation = observation,
                        Err(error) => return self.lost(error.to_string()),
                    }
                }
                () = retry(again_at) => {}
            }
        }
    }

    fn lost(&self, reason: String) -> End {
        End::Lost { reason, was_useful: self.delivered || self.started.elapsed() > USEFUL_AFTER }
    }

    /// Sends what there is to say.
    fn send<S: Source>(&mut self, courier: &mut Courier<S, ExchangeId, u32>) -> Result<(), CoapError> {
        let context = Some(self.session.context);
        for number in courier.take_receipts() {
            let taken = Packet::to(Code::DELETE, &["c", &number.to_string()]);
            let exchange = self.session.line.send(context, taken)?;
            self.open.insert(exchange, Open::Taken);
        }
        while let Some((order, message)) = courier.pop() {
            match self.session.line.send(context, request_of(&message)) {
                Ok(exchange) => {
                    self.open.insert(exchange, Open::Message);
                    courier.sent(exchange, order, message);
                }
                Err(error) => {
                    courier.put(order, message);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// `Err` with the reason when the session is over.
    fn take<S: Source>(
        &mut self,
        event: Event<SocketAddr>,
        courier: &mut Courier<S, ExchangeId, u32>,
        status: &watch::Sender<UplinkStatus>,
    ) -> Result<(), String> {
        match event {
            Event::Response { exchange, response, .. } if exchange == self.observation => {
                let shown = success(response).map_err(|e| e.to_string())?;
                status.send_if_modified(|s| {
                    let is_new = !std::mem::replace(&mut s.online, true);
                    if is_new {
                        s.since = now();
                    }
                    is_new
                });
                self.shown(&shown, courier);
            }
            Event::Notification { response, .. } => {
                let shown = success(response).map_err(|e| e.to_string())?;
                self.shown(&shown, courier);
            }
            Event::Response { exchange, response, .. } => {
                self.answered(exchange, response, courier, status)?
            }
            Event::Failed { failure, .. } => return Err(failure.to_string()),
            // Nobody asks here.
            Event::Request { .. } | Event::ObserverLeft { .. } => {}
        }
        Ok(())
    }

    fn answered<S: Source>(
        &mut self,
        exchange: ExchangeId,
        response: Packet,
        courier: &mut Courier<S, ExchangeId, u32>,
        status: &watch::Sender<UplinkStatus>,
    ) -> Result<(), String> {
        let over = matches!(response.code, Code::UNAUTHORIZED | Code::FORBIDDEN);
        match self.open.remove(&exchange) {
            // Who asked may have gone.
            Some(Open::Question(answer)) => drop(answer.send(Ok(response))),
            _ if over => return Err(format!("the other end answers {}", response.code)),
            Some(Open::Message) => {
                if courier.answered(exchange, reason_of(response.code)) {
                    self.delivered = true;
                    status.send_modify(|s| s.delivered += 1);
                }
            }
            Some(Open::Taken) | None => {}
        }
        Ok(())
    }

    /// What is for the device is handed over, once.
    fn shown<S: Source>(&mut self, state: &Packet, courier: &mut Courier<S, ExchangeId, u32>) {
        if state.payload.is_empty() {
            return;
        }
        let Ok(down) = Down::read(&state.payload) else {
            tracing::warn!("what is for the device makes no sense, and is let be");
            return;
        };
        if self.shown.replace(down.number) == Some(down.number) {
            return;
        }
        if let Some(received) = received(down.what) {
            courier.receive(received, Some(down.number));
        }
    }
}

async fn retry(at: Option<Instant>) {
    match at {
        None => std::future::pending().await,
        Some(at) => sleep_until(at).await,
    }
}
