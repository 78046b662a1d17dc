//! Observations by others: RFC 7641 §4.

use core::time::Duration;

use super::event::{Event, ObservationId, RequestError, RequestId, RespondError};
use super::packet::Packet;
use super::reliable::Owner;
use super::server::Asked;
use super::state::{ContextHandle, Endpoint};
use crate::message::{OptionNumber, Type};
use crate::oscore::Nonce;

/// Somebody who observes something here.
pub(super) struct Observer<P> {
    id: ObservationId,
    /// The request that asked for it.
    asked: Asked<P>,
    /// The last notification's number, of 24 bits.
    number: u32,
}

impl<P: Copy + Ord> Endpoint<P> {
    /// Answers a request with the present state, and takes who asked as an observer.
    ///
    /// # Errors
    ///
    /// [`RespondError`]; the request can still be answered where it was not [`RespondError::Unknown`].
    pub fn observe(
        &mut self,
        now: Duration,
        id: RequestId,
        state: Packet,
    ) -> Result<ObservationId, RespondError> {
        let mut asked = self.asked(id).ok_or(RespondError::Unknown)?;
        self.stop_observing(&asked);
        let of_peer = self.observers.iter().filter(|observer| observer.asked.peer == asked.peer).count();
        let crowded =
            self.observers.len() >= self.limits.observers_max || of_peer >= self.limits.per_peer_max;
        if crowded || !asked.observe || !state.code.is_success() {
            self.asked.push(asked);
            return Err(RespondError::NotObserved);
        }
        if let Err(error) = self.send_first(now, &mut asked, state) {
            self.asked.push(asked);
            return Err(error.into());
        }
        let id = ObservationId(self.fresh_id());
        self.observers.push(Observer { id, asked, number: 0 });
        Ok(id)
    }

    fn send_first(&mut self, now: Duration, asked: &mut Asked<P>, state: Packet) -> Result<(), RequestError> {
        if state.payload.len() > self.limits.body_bytes_max {
            return Err(RequestError::TooLarge);
        }
        let first = self.in_blocks(now, asked, state).with_uint(OptionNumber::OBSERVE, 0);
        self.reply(now, asked, first, Nonce::Own)
    }

    /// Tells an observer of a newer state; one that was not acknowledged yet gives way to it. What is no success ends the
    /// observation: RFC 7641 §4.2.
    ///
    /// # Errors
    ///
    /// [`RespondError`].
    pub fn notify(
        &mut self,
        now: Duration,
        observation: ObservationId,
        state: Packet,
    ) -> Result<(), RespondError> {
        let at = self.observers.iter().position(|o| o.id == observation).ok_or(RespondError::Unknown)?;
        let mut observer = self.observers.swap_remove(at);
        let sent = self.send_notification(now, &mut observer, state);
        if sent.as_ref().map_or(true, |ends| !ends) {
            self.observers.push(observer);
        }
        sent.map(|_| ()).map_err(RespondError::from)
    }

    /// Ends an observation without a word, as when its observer asks anew under another token.
    pub fn end_observation(&mut self, observation: ObservationId) {
        self.observer_left(observation);
    }

    /// Says whether it was the last.
    fn send_notification(
        &mut self,
        now: Duration,
        observer: &mut Observer<P>,
        state: Packet,
    ) -> Result<bool, RequestError> {
        if state.payload.len() > self.limits.body_bytes_max {
            return Err(RequestError::TooLarge);
        }
        let ends = !state.code.is_success();
        let mut packet = self.in_blocks(now, &observer.asked, state);
        if !ends {
            observer.number = (observer.number + 1) & 0xff_ffff;
            packet = packet.with_uint(OptionNumber::OBSERVE, observer.number);
        }
        let id = self.fresh_message_id();
        let plain = packet.encode(Type::Confirmable, id, observer.asked.token)?;
        let datagram = self.protect_response(observer.asked.protection.as_mut(), plain, Nonce::Own)?;
        let owner = Owner::Observation(observer.id);
        if !self.reliable.replace(owner, id, &datagram) {
            self.send_reliably(now, observer.asked.peer, id, owner, datagram);
        }
        Ok(ends)
    }

    /// Who asked does not want it any more, or asks anew: RFC 7641 §4.1.
    pub(super) fn stop_observing(&mut self, asked: &Asked<P>) {
        let same = |o: &Observer<P>| {
            let other = &o.asked;
            other.peer == asked.peer && other.token == asked.token && other.context() == asked.context()
        };
        if let Some(id) = self.observers.iter().find(|o| same(o)).map(|o| o.id) {
            self.observer_left(id);
        }
    }

    /// One that was asked for with this context.
    pub(super) fn observation_under(&self, context: ContextHandle) -> Option<ObservationId> {
        self.observers.iter().find(|o| o.asked.context() == Some(context)).map(|o| o.id)
    }

    pub(super) fn observer_left(&mut self, observation: ObservationId) {
        let before = self.observers.len();
        self.observers.retain(|observer| observer.id != observation);
        self.reliable.forget(Owner::Observation(observation));
        if self.observers.len() < before {
            self.tell(Event::ObserverLeft { observation });
        }
    }
}
