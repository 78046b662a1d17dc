//! The endpoint's state, and the ways in and out.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::event::{Event, Failure, ReceiveError, RequestError};
use super::exchange::Exchange;
use super::limits::Limits;
use super::notify::Observer;
use super::reliable::{Due, Owner, Reliable};
use super::secret::Unguessable;
use super::seen::Seen;
use super::server::Asked;
use super::transfer::Transfer;
use crate::message::Message;
use crate::oscore::{self, Context, ContextId, Id, Nonce};

/// One of an endpoint's security contexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextHandle(u64);

/// What a message was protected with, for those that belong to it.
#[derive(Clone)]
pub(super) struct Protection {
    pub(super) context: ContextHandle,
    pub(super) exchange: oscore::Exchange,
}

/// Client and server at one socket. `P` is the address of a peer.
pub struct Endpoint<P> {
    pub(super) limits: Limits,
    pub(super) unguessable: Unguessable,
    next_id: u64,
    message_id: u16,
    contexts: BTreeMap<ContextHandle, Context>,
    /// Contexts by their Recipient IDs, the newest last.
    recipients: BTreeMap<Id, Vec<ContextHandle>>,
    pub(super) reliable: Reliable<P>,
    pub(super) seen: Seen<P>,
    pub(super) exchanges: Vec<Exchange<P>>,
    pub(super) asked: Vec<Asked<P>>,
    pub(super) observers: Vec<Observer<P>>,
    pub(super) transfers: Vec<Transfer<P>>,
    transmits: VecDeque<(P, Vec<u8>)>,
    events: VecDeque<Event<P>>,
}

impl<P: Copy + Ord> Endpoint<P> {
    /// An endpoint that knows nobody. `seed` is random and never used again: tokens follow from it.
    #[must_use]
    pub fn new(limits: Limits, seed: [u8; 32]) -> Self {
        let mut unguessable = Unguessable::new(seed);
        Self {
            message_id: unguessable.message_id(),
            unguessable,
            next_id: 0,
            contexts: BTreeMap::new(),
            recipients: BTreeMap::new(),
            reliable: Reliable::new(),
            seen: Seen::new(limits.seen_max),
            exchanges: Vec::new(),
            asked: Vec::new(),
            observers: Vec::new(),
            transfers: Vec::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            limits,
        }
    }

    /// Adds a security context. Requests that are protected with it are taken from now on; of two with the same Recipient ID
    /// the newer one counts.
    pub fn add_context(&mut self, context: Context) -> ContextHandle {
        let handle = ContextHandle(self.fresh_id());
        self.recipients.entry(*context.recipient_id()).or_default().push(handle);
        self.contexts.insert(handle, context);
        handle
    }

    /// Whether there is a security context with this Recipient ID.
    #[must_use]
    pub fn has_recipient(&self, id: &[u8]) -> bool {
        Id::try_from(id).is_ok_and(|id| self.recipients.contains_key(&id))
    }

    /// A security context, for setting sequence numbers aside: RFC 8613 appendix B.1.1.
    pub fn context(&mut self, handle: ContextHandle) -> Option<&mut Context> {
        self.contexts.get_mut(&handle)
    }

    /// Takes a security context back, with all that others asked, observe and transfer under it: nothing of that can be
    /// answered any more.
    pub fn remove_context(&mut self, handle: ContextHandle) -> Option<Context> {
        let context = self.contexts.remove(&handle)?;
        let id = context.recipient_id();
        if let Some(same) = self.recipients.get_mut(id) {
            same.retain(|other| *other != handle);
            if same.is_empty() {
                self.recipients.remove(id);
            }
        }
        self.asked.retain(|asked| asked.context() != Some(handle));
        self.transfers.retain(|transfer| !transfer.is_under(handle));
        while let Some(observation) = self.observation_under(handle) {
            self.observer_left(observation);
        }
        Some(context)
    }

    /// Takes a datagram. What is wrong with it is answered as RFC 7252 wants; it is told for the log.
    ///
    /// # Errors
    ///
    /// [`ReceiveError`] when it is too large or not a message.
    pub fn receive(&mut self, now: Duration, peer: P, datagram: &[u8]) -> Result<(), ReceiveError> {
        if datagram.len() > self.limits.datagram_bytes_max {
            return Err(ReceiveError::TooLarge);
        }
        match Message::decode(datagram) {
            Ok(message) => self.take(now, peer, &message),
            Err(error) => {
                if let Some(reset) = Message::rejection(datagram) {
                    self.send(peer, reset.to_vec());
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// The next datagram to send. Ask until there is none, after each call.
    pub fn poll_transmit(&mut self) -> Option<(P, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// The next event. Ask until there is none, after each call.
    pub fn poll_event(&mut self) -> Option<Event<P>> {
        self.events.pop_front()
    }

    /// When to call [`Self::handle_timeout`] next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let exchanges = self.exchanges.iter().filter_map(Exchange::due);
        let asked = self.asked.iter().map(Asked::due);
        exchanges.chain(asked).chain(self.reliable.next_due()).min()
    }

    /// Does what is due: sends again, acknowledges, gives up.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some(due) = self.reliable.poll(now) {
            match due {
                Due::Send(peer, datagram) => self.send(peer, datagram),
                Due::GivenUp(owner) => self.given_up(owner, Failure::Timeout),
            }
        }
        self.acknowledge_late(now);
        self.asked.retain(|asked| !asked.is_over(now));
        self.transfers.retain(|transfer| !transfer.is_over(now));
        while let Some(at) = self.exchanges.iter().position(|e| e.due().is_some_and(|due| due <= now)) {
            self.fail(at, Failure::Timeout);
        }
    }

    /// What is to be done when a message of `owner` was not acknowledged, or reset.
    pub(super) fn given_up(&mut self, owner: Owner, failure: Failure) {
        match owner {
            Owner::Exchange(id) => {
                if let Some(at) = self.exchanges.iter().position(|exchange| exchange.id == id) {
                    self.fail(at, failure);
                }
            }
            Owner::Observation(id) => self.observer_left(id),
            Owner::Response => {}
        }
    }

    pub(super) fn send(&mut self, peer: P, datagram: Vec<u8>) {
        self.transmits.push_back((peer, datagram));
    }

    pub(super) fn tell(&mut self, event: Event<P>) {
        self.events.push_back(event);
    }

    pub(super) const fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) const fn fresh_message_id(&mut self) -> u16 {
        self.message_id = self.message_id.wrapping_add(1);
        self.message_id
    }

    /// Sends a confirmable message until it is acknowledged.
    pub(super) fn send_reliably(&mut self, now: Duration, peer: P, id: u16, owner: Owner, datagram: Vec<u8>) {
        let wait = self.unguessable.ack_timeout();
        self.send(peer, datagram.clone());
        self.reliable.sent((now, wait), peer, id, owner, datagram);
    }

    /// The datagram of a request as it goes out.
    pub(super) fn protect_request(
        &mut self,
        context: Option<ContextHandle>,
        plain: Vec<u8>,
    ) -> Result<(Vec<u8>, Option<Protection>), RequestError> {
        let Some(handle) = context else { return Ok((plain, None)) };
        let context = self.context(handle).ok_or(RequestError::UnknownContext)?;
        let message = decoded(&plain)?;
        let mut out = vec![0; plain.len() + oscore::OVERHEAD_BYTES_MAX];
        let (len, exchange) = context.protect_request(&message, &mut out)?;
        out.truncate(len);
        Ok((out, Some(Protection { context: handle, exchange })))
    }

    /// The datagram of a response as it goes out.
    pub(super) fn protect_response(
        &mut self,
        protection: Option<&mut Protection>,
        plain: Vec<u8>,
        nonce: Nonce,
    ) -> Result<Vec<u8>, RequestError> {
        let Some(Protection { context, exchange }) = protection else { return Ok(plain) };
        let context = self.context(*context).ok_or(RequestError::UnknownContext)?;
        let message = decoded(&plain)?;
        let mut out = vec![0; plain.len() + oscore::OVERHEAD_BYTES_MAX];
        let len = context.protect_response(exchange, &message, nonce, &mut out)?;
        out.truncate(len);
        Ok(out)
    }

    /// The newest security context with this Recipient ID, and this ID context where one is said.
    pub(super) fn context_of(
        &mut self,
        recipient: &Id,
        id_context: Option<&ContextId>,
    ) -> Option<(ContextHandle, &mut Context)> {
        let is_meant = |handle: &&ContextHandle| {
            let context = self.contexts.get(*handle);
            context.is_some_and(|context| id_context.is_none() || context.id_context() == id_context)
        };
        let handle = *self.recipients.get(recipient)?.iter().rev().find(is_meant)?;
        Some((handle, self.contexts.get_mut(&handle)?))
    }
}

/// What was just encoded here.
fn decoded(plain: &[u8]) -> Result<Message<'_>, RequestError> {
    Message::decode(plain).map_err(|_| RequestError::NotAMessage)
}
