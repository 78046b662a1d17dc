//! What a message is for: RFC 7252 §4.2 and §4.3.

use core::time::Duration;

use super::event::Failure;
use super::packet::Packet;
use super::state::Endpoint;
use crate::message::{Class, Code, Message, Token, Type};

impl<P: Copy + Ord> Endpoint<P> {
    pub(super) fn take(&mut self, now: Duration, peer: P, message: &Message<'_>) {
        match message.kind {
            Type::Reset => self.settled(peer, message.id, true),
            Type::Acknowledgement => {
                self.settled(peer, message.id, false);
                if message.code.class() == Class::Response {
                    self.response(now, peer, message);
                }
            }
            Type::Confirmable | Type::NonConfirmable => self.take_new(now, peer, message),
        }
    }

    /// A message that starts something, or answers with one of its own.
    fn take_new(&mut self, now: Duration, peer: P, message: &Message<'_>) {
        if let Err(reply) = self.seen.take(now, peer, message.id) {
            if let Some(reply) = reply {
                self.send(peer, reply);
            }
            return;
        }
        match message.code.class() {
            Class::Request => self.request_came(now, peer, message),
            Class::Response => {
                let wanted = self.response(now, peer, message);
                if !wanted {
                    self.answer_empty(peer, message.id, Type::Reset);
                } else if message.kind == Type::Confirmable {
                    self.answer_empty(peer, message.id, Type::Acknowledgement);
                }
            }
            // §4.3: a confirmable empty message is a ping.
            Class::Empty | Class::Reserved => {
                if message.kind == Type::Confirmable {
                    self.answer_empty(peer, message.id, Type::Reset);
                }
            }
        }
    }

    fn settled(&mut self, peer: P, id: u16, reset: bool) {
        if let Some(owner) = self.reliable.settle(peer, id)
            && reset
        {
            self.given_up(owner, Failure::Reset);
        }
    }

    /// Answers a message without saying anything.
    pub(super) fn answer_empty(&mut self, peer: P, id: u16, kind: Type) {
        if let Ok(datagram) = Packet::new(Code::EMPTY).encode(kind, id, Token::default()) {
            self.seen.answered(peer, id, &datagram);
            self.send(peer, datagram);
        }
    }
}
