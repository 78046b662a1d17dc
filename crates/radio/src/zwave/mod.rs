//! A Z-Wave controller: [`thingward_zwave::controller`], driven by a gateway.
//!
//! The keys of a network are made the first time, and are the gateway's to seal: nothing is announced before what was to be
//! kept of it is durable. Who joined without a key, or is of another network, is not believed. What the adapter decides is
//! small: whom it lets in, and when a call waits too long. What nodes have and say is in the tables of `crates/zwave/data`.

mod admission;
mod calls;
mod describe;
mod joining;
mod keeper;
mod kept;
mod member;
mod network;
mod refusals;
mod telling;

use std::time::Duration;

use rand_core::CryptoRng;

use crate::outbox::Outbox;
use crate::wire::{Order, Report, Sentence};
use crate::{Output, Radio};
use network::Network;

/// The protocol of a Z-Wave controller on its Serial API.
pub struct ZwaveRadio<R> {
    state: State<R>,
    out: Outbox,
}

enum State<R> {
    /// Nobody has said yet with what it starts.
    Waiting(R),
    Running(Box<Network<R>>),
    /// What was kept cannot be used, and nothing is done without it.
    Over,
}

impl<R: CryptoRng> ZwaveRadio<R> {
    /// One that waits for [`Order::Start`]. Keys and nonces are drawn from `rng`.
    #[must_use]
    pub fn new(rng: R) -> Self {
        Self { state: State::Waiting(rng), out: Outbox::default() }
    }
}

impl<R: CryptoRng> Radio for ZwaveRadio<R> {
    fn order(&mut self, order: Order, now: Duration) {
        match (order, &mut self.state) {
            (Order::Start(start), State::Waiting(_)) => {
                let State::Waiting(rng) = std::mem::replace(&mut self.state, State::Over) else { return };
                match Network::start(start, rng, now) {
                    Ok(network) => self.state = State::Running(Box::new(network)),
                    Err(error) => {
                        self.out.report(Report::Trouble(Sentence::fitting(&error.to_string())));
                    }
                }
            }
            (order, State::Running(network)) => network.order(order, &mut self.out, now),
            (Order::Call(call), _) => self.out.done(call.id, Some("the radio does not work")),
            _ => {}
        }
    }

    fn receive(&mut self, bytes: &[u8], now: Duration) {
        if let State::Running(network) = &mut self.state {
            network.receive(bytes, &mut self.out, now);
        }
    }

    fn tick(&mut self, now: Duration) {
        if let State::Running(network) = &mut self.state {
            network.tick(&mut self.out, now);
        }
    }

    fn due(&self) -> Option<Duration> {
        if let State::Running(network) = &self.state { network.due() } else { None }
    }

    fn output(&mut self) -> Option<Output> {
        if let State::Running(network) = &mut self.state
            && let Some(bytes) = network.output()
        {
            return Some(Output::Line(bytes));
        }
        self.out.take()
    }
}
