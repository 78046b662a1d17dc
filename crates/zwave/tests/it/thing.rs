//! The emulated node, as tests of a host have it: the same one each time.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use thingward_zwave::emulated::{Fault, Node};
use thingward_zwave::{HomeId, NodeId};

pub(crate) const HOME: HomeId = HomeId(0xcafe_f00d);
pub(crate) const HOST: NodeId = NodeId::FIRST;

pub(crate) type Thing = Node<ChaCha20Rng>;

pub(crate) fn thing_that(number: u16, requested: u8, fault: Fault) -> Thing {
    let rng = ChaCha20Rng::from_seed([7; 32]);
    let mut thing = Node::new(HOME, NodeId::new(number).unwrap(), requested, rng);
    thing.fault = fault;
    thing
}
