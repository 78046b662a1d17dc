//! What kind of town a seed gives.

use crate::names::{self, Whose};
use crate::random::Random;

/// How many live there, and what can happen to them. Chances are per step of a storm, in a thousand.
#[derive(Debug, Clone)]
pub struct Plan {
    /// For each device, the gateway that it is behind.
    pub homes: Vec<Option<usize>>,
    /// Whether the last device is a neighbour's: of another tenant, at no gateway, and called like the first one here.
    pub has_neighbour: bool,
    /// Gateways.
    pub gateways: usize,
    /// Steps of the storm.
    pub steps: u64,
    /// A process is killed.
    pub kills: u64,
    /// A write fails, tears, or the power goes in the middle of it.
    pub writes: u64,
    /// A commit of the service fails, or is not heard of.
    pub commits: u64,
    /// The service ends between what it decided and what it keeps.
    pub undecided: u64,
    /// The service's disk is slow for a while, and it decides ahead of that.
    pub stalls: u64,
    /// A connection is cut.
    pub cuts: u64,
    /// Nothing arrives over a connection for a while.
    pub partitions: u64,
    /// A disk has no room for a while.
    pub full: u64,
    /// A clock jumps.
    pub jumps: u64,
    /// An order of the operator.
    pub orders: u64,
    /// A disk begins to say of writes that they are durable and they are not.
    pub lying_disks: bool,
    /// The service's disk does.
    pub lying_service: bool,
    /// Devices on whose link somebody sits.
    pub lying_links: Vec<bool>,
    /// Gateways that lie.
    pub lying_gateways: Vec<bool>,
    /// Devices with a small buffer.
    pub small: Vec<bool>,
    /// Gateways with a small queue.
    pub small_queues: Vec<bool>,
}

impl Plan {
    /// Whether a device is the neighbour's.
    #[must_use]
    pub const fn is_neighbour(&self, at: usize) -> bool {
        self.has_neighbour && at + 1 == self.homes.len()
    }

    /// A device, and whose it is.
    #[must_use]
    pub fn whose(&self, at: usize) -> Whose {
        let [own, other] = names::tenants();
        if self.is_neighbour(at) { (other, names::device(0)) } else { (own, names::device(at)) }
    }

    /// That of a seed.
    #[must_use]
    pub fn of(random: &mut Random) -> Self {
        let devices = 1 + random.index(4);
        let gateways = random.index(3);
        let home = |random: &mut Random| (gateways > 0 && random.chance(600)).then(|| random.index(gateways));
        let mut homes: Vec<_> = (0..devices).map(|_| home(random)).collect();
        let has_neighbour = random.chance(400);
        if has_neighbour {
            homes.push(None);
        }
        let devices = homes.len();
        let rate = |random: &mut Random, max: u64| if random.chance(600) { 1 + random.below(max) } else { 0 };
        let has_liars = random.chance(300);
        let some = |random: &mut Random, count: usize, per_mille: u64| -> Vec<bool> {
            (0..count).map(|_| random.chance(per_mille)).collect()
        };
        Self {
            has_neighbour,
            gateways,
            steps: 150 + random.below(200),
            kills: rate(random, 30),
            writes: rate(random, 60),
            commits: rate(random, 30),
            undecided: rate(random, 30),
            stalls: rate(random, 60),
            cuts: rate(random, 60),
            partitions: rate(random, 30),
            full: rate(random, 20),
            jumps: rate(random, 10),
            orders: rate(random, 60),
            lying_disks: random.chance(120),
            lying_service: random.chance(60),
            lying_links: some(random, devices, if has_liars { 500 } else { 0 }),
            lying_gateways: some(random, gateways, if has_liars { 600 } else { 0 }),
            small: some(random, devices, 150),
            small_queues: some(random, gateways, 300),
            homes,
        }
    }
}
