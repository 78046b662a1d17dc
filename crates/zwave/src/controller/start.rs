//! Asking the controller who it is.

use std::collections::BTreeSet;
use std::time::Duration;

use rand_core::CryptoRng;

use super::event::{ControllerFault, Event, Refusal};
use super::node::{Node, Standing};
use super::transactions::Purpose;
use super::{Controller, Own};
use crate::security2::Security2;
use crate::serial::node_info::Listening;
use crate::serial::request::function;
use crate::serial::{AddMode, Message, Request};
use crate::{S2Class, SecurityClass};

/// Functions that a host cannot do without.
const NEEDED: [u8; 3] = [function::SEND_DATA, function::ADD_NODE, function::GET_PROTOCOL_INFO];

impl<R: CryptoRng> Controller<R> {
    pub(super) fn begin_start(&mut self, now: Duration) {
        for request in [Request::GetControllerId, Request::GetCapabilities, Request::GetInitData] {
            self.transactions.query(Purpose::Start, &request);
        }
        self.transactions.start_next(now);
    }

    pub(super) fn start_answered(&mut self, message: Message) {
        match message {
            Message::ControllerId(found, _) if self.kept.is_some_and(|kept| kept != found) => {
                let kept = self.kept.unwrap_or(found);
                self.start_failed(ControllerFault::Network { kept, found });
            }
            Message::ControllerId(home, node) => {
                self.own = Some(Own { home, node });
                self.security2 = Security2::new(home, node);
                for class in S2Class::ALL {
                    self.security2.insert_key(class, self.keys.of(SecurityClass::S2(class)).clone());
                }
            }
            Message::Capabilities(capabilities) => {
                if let Some(missing) = NEEDED.iter().find(|needed| !capabilities.functions.contains(needed)) {
                    self.start_failed(ControllerFault::Function(*missing));
                }
            }
            Message::InitData(data) => {
                let Some(own) = self.own else { return self.start_failed(ControllerFault::Confused) };
                let there: BTreeSet<_> =
                    data.nodes.iter().copied().filter(|node| *node != own.node).collect();
                let strangers: Vec<_> =
                    there.iter().copied().filter(|node| !self.nodes.contains_key(node)).collect();
                self.nodes.retain(|node, _| there.contains(node));
                for stranger in &strangers {
                    let standing = Standing::Refused(Refusal::Stranger);
                    self.nodes.insert(*stranger, Node::new(standing, Listening::Sleeping, &[]));
                }
                self.ready = true;
                self.events.push_back(Event::Ready { home: own.home, own: own.node, strangers });
                // A host of before may have let things in when it ended.
                self.transactions.add(AddMode::Stop);
                self.listen_for_smart_start();
            }
            _ => self.start_failed(ControllerFault::Confused),
        }
    }

    /// The controller started again: what it was doing has no end, and it listens for nobody.
    pub(super) fn started_again(&mut self, now: Duration) {
        if !self.ready {
            self.transactions.abandon();
            return self.begin_start(now);
        }
        if let Some(ended) = self.transactions.lost() {
            self.transaction_ended(ended, now);
        }
        self.listen_for_smart_start();
    }

    /// Nothing more is asked, until the controller starts again.
    pub(super) fn start_failed(&mut self, fault: ControllerFault) {
        self.transactions.abandon();
        self.events.push_back(Event::ControllerFailed(fault));
    }
}
