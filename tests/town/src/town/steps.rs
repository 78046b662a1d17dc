//! What everybody does in a step.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use thingward_ingress::output;
use thingward_mqtt::broker::ConnId;

use super::Town;
use crate::device::Device;
use crate::gateway::Gateway;
use crate::liar::LinkLiar;
use crate::net::Who;
use crate::random::Random;

/// Longest time on the way, in milliseconds.
const LATENCY: u64 = 900;
/// Longest time until somebody connects again, in milliseconds.
const AGAIN: u64 = 6_000;
/// Bytes beside: of a state, and of what is written before it is looked whether there are too many.
const AT_ONCE_BYTES: u64 = 4_000;
/// Groups that the service decides ahead of its disk: one that is written, and four that wait.
const AHEAD_MAX: usize = 5;

impl Town<'_> {
    pub(super) fn step(&mut self) -> Result<(), String> {
        self.start_again()?;
        self.deliver();
        for at in 0..self.devices.len() {
            self.step_device(at);
        }
        for at in 0..self.gateways.len() {
            self.step_gateway(at);
        }
        self.step_service()?;
        self.collect();
        self.check_bounds()
    }

    /// Nobody's buffer is larger than it may be, by more than what is written at once.
    fn check_bounds(&self) -> Result<(), String> {
        let spool = |(at, d): (usize, &Device)| (format!("device {at}"), d.disk.bytes(), d.limits.bytes_max);
        let queue =
            |(at, g): (usize, &Gateway)| (format!("gateway {at}"), g.disk.bytes(), g.limits.bytes_max);
        let all =
            self.devices.iter().enumerate().map(spool).chain(self.gateways.iter().enumerate().map(queue));
        for (who, bytes, bytes_max) in all {
            if bytes > bytes_max + AT_ONCE_BYTES {
                return Err(format!("{who} keeps {bytes} bytes, and may keep {bytes_max}"));
            }
        }
        Ok(())
    }

    fn start_again(&mut self) -> Result<(), String> {
        let now = self.now;
        for at in 0..self.devices.len() {
            let device = &mut self.devices[at];
            if device.running.is_some() || device.up_at > now {
                continue;
            }
            device.disk.on();
            device.journal.on();
            let started = device.start(now);
            device.connect_at = now + self.random.micros(AGAIN);
            if started.is_err() {
                // No room for what a start writes, or a part that a lie took: the first passes.
                let device = &mut self.devices[at];
                device.up_at = now + 2_000_000;
                device.disk.set_full(false);
                device.journal.set_full(false);
                // As its words say: move the folder away.
                let [stream, commands] = device.has_lost;
                if stream {
                    device.disk.wipe();
                }
                if commands {
                    device.journal.wipe();
                }
            }
            self.line(format!("device {at} starts: {}", started.is_ok()));
        }
        for at in 0..self.gateways.len() {
            let gateway = &mut self.gateways[at];
            if gateway.running.is_some() || gateway.up_at > now {
                continue;
            }
            gateway.disk.on();
            let started = gateway.start();
            gateway.connect_at = now + self.random.micros(AGAIN);
            if started.is_err() {
                gateway.up_at = now + 2_000_000;
                gateway.disk.set_full(false);
            }
            self.line(format!("gateway {at} starts: {started:?}"));
        }
        if self.service.running.is_none() && self.service.up_at <= now {
            self.service.start(self.installation, now)?;
            self.line("the service starts".to_owned());
        }
        Ok(())
    }

    /// What has arrived, on all connections.
    fn deliver(&mut self) {
        let now = self.now;
        let ids: Vec<ConnId> = self.net.conns.keys().copied().collect();
        for id in ids {
            let Some(mut conn) = self.net.conns.remove(&id) else { continue };
            if conn.stuck_until <= now {
                while let Some(piece) = conn.up.arrived(now) {
                    let piece = piece.map(|bytes| match &mut conn.liar {
                        Some(liar) if !self.is_calm => {
                            let (on, back) = liar.up(&bytes);
                            if !back.is_empty() {
                                conn.down.send(now, Some(back));
                            }
                            on
                        }
                        _ => bytes,
                    });
                    self.up(id, conn.to, piece);
                }
                while let Some(piece) = conn.down.arrived(now) {
                    let piece = piece.map(|bytes| match &mut conn.liar {
                        Some(liar) if !self.is_calm => liar.down(&bytes),
                        _ => bytes,
                    });
                    if piece.is_none() {
                        conn.is_heard = false;
                    }
                    self.down(id, conn.from, piece.as_ref());
                }
            }
            if !conn.is_over() {
                self.net.conns.insert(id, conn);
            }
        }
    }

    fn up(&mut self, id: ConnId, to: Who, piece: Option<Bytes>) {
        self.line(format!("{id} up to {to:?}: {:?}", piece.as_ref().map(Bytes::len)));
        match (to, piece) {
            (Who::Gateway(at), piece) => {
                let Some(running) = &mut self.gateways[at].running else { return };
                match piece {
                    Some(bytes) => running.post.core.received(id, bytes),
                    None => running.post.core.closed(id),
                }
            }
            (Who::Service, piece) => {
                let Some(running) = &mut self.service.running else { return };
                match piece {
                    Some(bytes) => running.core.received(id, bytes),
                    None => running.core.closed(id),
                }
            }
            (Who::Device(_), _) => {}
        }
    }

    fn down(&mut self, id: ConnId, from: Who, piece: Option<&Bytes>) {
        self.line(format!("{id} down to {from:?}: {:?}", piece.map(Bytes::len)));
        let again = self.now + self.random.micros(AGAIN);
        match from {
            Who::Device(at) => {
                let device = &mut self.devices[at];
                let time = device.time(self.now);
                let Some(running) = &mut device.running else { return };
                if running.uplink.conn() != Some(id) {
                    return;
                }
                if !running.uplink.taken(piece, time) {
                    device.connect_at = again;
                }
            }
            Who::Gateway(at) => {
                let gateway = &mut self.gateways[at];
                let time = gateway.time(self.now);
                let Some(running) = &mut gateway.running else { return };
                if running.uplink.conn() != Some(id) {
                    return;
                }
                if !running.uplink.taken(piece, time) {
                    gateway.connect_at = again;
                }
            }
            Who::Service => {}
        }
    }

    fn step_device(&mut self, at: usize) {
        let now = self.now;
        let time = self.devices[at].time(now);
        if self.devices[at].running.is_none() {
            return;
        }
        let wants = !self.is_calm && self.random.chance(400);
        let count = if wants { 1 + self.random.below(4) } else { 0 };
        let first = self.value;
        self.value += count;
        let is_done = self.random.chance(400);
        let Some(running) = &mut self.devices[at].running else { return };
        running.post.time = time;
        let values: Vec<u64> = (first..first + count).collect();
        self.ledger.devices[at].measured.extend(values.iter().map(|value| (*value, time)));
        let durable = if count > 0 { running.measure(&values, time) } else { running.tick(time) };
        let mut said = Vec::new();
        match durable {
            Ok(durable) => {
                said.extend((!durable.is_empty()).then(|| format!("has {durable:?} durable")));
                self.ledger.devices[at].durable.extend(durable);
            }
            Err(error) => said.push(format!("cannot write: {}", short(&error.to_string()))),
        }
        if is_done && let Some(id) = running.finish(time) {
            said.push("is done with what it was told".to_owned());
            if let Some(command) = self.ledger.commands.get_mut(&id) {
                command.is_done = true;
            }
        }
        if let Some(order) = running.begin(time) {
            said.push(format!("begins {}", order.input));
            match self.ledger.commands.get_mut(&order.id) {
                Some(command) => command.begun.push((at, order.input.as_u64().unwrap_or(u64::MAX), time)),
                None => self.ledger.strange.push(order.id),
            }
        }
        let bytes = running.uplink.step(&mut running.post, time);
        said.extend(running.post.received.drain(..).map(|_| "is told something".to_owned()));
        for id in running.post.replied.drain(..) {
            if let Some(command) = self.ledger.commands.get_mut(&id) {
                command.is_replied = true;
            }
        }
        let conn = running.uplink.conn();
        said.into_iter().for_each(|said| self.line(format!("device {at} {said}")));
        self.send(Who::Device(at), conn, bytes);
        let device = &self.devices[at];
        if device.disk.is_off() || device.journal.is_off() {
            return self.kill(Who::Device(at), true);
        }
        if conn.is_none() && device.connect_at <= now {
            let to = self.plan.homes[at].map_or(Who::Service, Who::Gateway);
            self.connect(Who::Device(at), to);
        }
    }

    fn step_gateway(&mut self, at: usize) {
        let now = self.now;
        let gateway = &mut self.gateways[at];
        let time = gateway.time(now);
        let Some(running) = &mut gateway.running else { return };
        let stepped = running.post.core.step(time);
        let bytes = running.uplink.step(&mut running.post, time);
        let conn = running.uplink.conn();
        if gateway.disk.is_off() || stepped.is_err() {
            self.line(format!("gateway {at} cannot write"));
            // What it let go of before is on its way.
            self.collect();
            return self.kill(Who::Gateway(at), false);
        }
        let connect_at = gateway.connect_at;
        self.send(Who::Gateway(at), conn, bytes);
        if conn.is_none() && connect_at <= now {
            self.connect(Who::Gateway(at), Who::Service);
        }
    }

    /// It decides ahead of its disk, as behind threads, but not far.
    fn step_service(&mut self) -> Result<(), String> {
        let (time, is_slow) = (self.service.time(self.now), self.service.slow_until > self.now);
        let Some(running) = &mut self.service.running else { return Ok(()) };
        if running.core.is_due(time) && running.decided.len() < AHEAD_MAX {
            match running.core.decide(time) {
                Ok(decision) => running.decided.push(decision),
                Err(_) => {
                    self.kill(Who::Service, false);
                    return Ok(());
                }
            }
        }
        if is_slow || running.decided.is_empty() {
            return Ok(());
        }
        if running.commit().is_err() {
            self.line("the service cannot commit".to_owned());
            self.collect();
            self.kill(Who::Service, false);
            return Ok(());
        }
        let followed = running.followed();
        for id in running.ordered() {
            if let Some(command) = self.ledger.commands.get_mut(&id) {
                command.is_durable = true;
            }
        }
        let commits = self.service.hot.commits();
        self.line(format!("the service has committed {commits} times"));
        let names = self.names();
        followed.iter().try_for_each(|(tenant, record)| self.ledger.follows(&names, *tenant, record))
    }

    /// What those above send.
    fn collect(&mut self) {
        let now = self.now;
        for conn in self.net.conns.values_mut() {
            let Some(waiting) = &mut conn.waiting else { continue };
            loop {
                let at = now + self.random.micros(LATENCY);
                match waiting.poll_next(&Context::from_waker(Waker::noop())) {
                    Poll::Ready(Some(bytes)) => conn.down.send(at, Some(bytes)),
                    Poll::Pending => break,
                    Poll::Ready(None) => {
                        conn.down.send(at, None);
                        conn.waiting = None;
                        break;
                    }
                }
            }
        }
    }

    fn send(&mut self, from: Who, conn: Option<ConnId>, bytes: Bytes) {
        let own = |(id, c): (&ConnId, &crate::net::Conn)| (c.from == from && c.is_heard).then_some(*id);
        let open: Vec<ConnId> = self.net.conns.iter().filter_map(own).collect();
        for id in open {
            let at = self.now + self.random.micros(LATENCY);
            let Some(other) = self.net.conns.get_mut(&id) else { continue };
            if Some(id) == conn {
                if !bytes.is_empty() {
                    // In two pieces, cut anywhere.
                    let middle = self.random.index(bytes.len() + 1);
                    other.up.send(at, Some(bytes.slice(..middle)));
                    other.up.send(at + self.random.micros(LATENCY), Some(bytes.slice(middle..)));
                }
            } else {
                // It let go of this one; the bytes are its last words.
                if conn.is_none() && !bytes.is_empty() {
                    other.up.send(at, Some(bytes.clone()));
                }
                other.up.send(at, None);
                other.is_heard = false;
            }
        }
        self.net.conns.retain(|_, conn| !conn.is_over());
    }

    fn connect(&mut self, from: Who, to: Who) {
        let again = self.now + 1_000_000 + self.random.micros(AGAIN);
        match from {
            Who::Device(at) => self.devices[at].connect_at = again,
            Who::Gateway(at) => self.gateways[at].connect_at = again,
            Who::Service => {}
        }
        let member = self.member(from);
        let (sender, waiting) = output();
        let lies = matches!(from, Who::Device(at) if self.plan.lying_links[at]) && !self.is_calm;
        let liar = match from {
            Who::Device(at) if lies => {
                let memory = self.liars[at].clone();
                Some(LinkLiar::new(Random::new(self.random.number()), memory, self.plan.whose(at)))
            }
            _ => None,
        };
        let is_up = match to {
            Who::Gateway(at) => self.gateways[at].running.is_some(),
            _ => self.service.running.is_some(),
        };
        if !is_up {
            return;
        }
        let id = self.net.open(from, to, waiting, liar);
        match to {
            Who::Gateway(at) => {
                if let Some(running) = &mut self.gateways[at].running {
                    running.post.core.accept(id, member, sender);
                }
            }
            _ => {
                if let Some(running) = &mut self.service.running {
                    running.core.accept(id, member, sender);
                }
            }
        }
        let now = self.now;
        match from {
            Who::Device(at) => {
                let time = self.devices[at].time(now);
                if let Some(running) = &mut self.devices[at].running {
                    running.uplink.opened(id, time);
                }
            }
            Who::Gateway(at) => {
                let time = self.gateways[at].time(now);
                if let Some(running) = &mut self.gateways[at].running {
                    running.uplink.opened(id, time);
                }
            }
            Who::Service => {}
        }
        self.line(format!("{from:?} connects to {to:?} as {id}"));
    }
}

/// The part of an error that is the same in each run.
fn short(error: &str) -> &str {
    error.split(';').next().unwrap_or_default()
}
