//! What goes wrong, and how it ends.

use super::Town;
use crate::disk::{Fault, SimDisk};
use crate::hot;
use crate::ledger::Ordered;
use crate::names;
use crate::net::Who;

/// Longest time that somebody is away, in milliseconds.
const AWAY: u64 = 8_000;
/// Farthest that a clock jumps, in milliseconds: four minutes.
const JUMP: u64 = 240_000;

impl Town<'_> {
    /// What goes wrong in this step.
    pub(super) fn misfortune(&mut self) -> Result<(), String> {
        let plan = self.plan.clone();
        if self.random.chance(plan.kills) {
            let who = self.anybody();
            self.kill(who, false);
        }
        if self.random.chance(plan.writes) {
            self.break_a_write();
        }
        if self.random.chance(plan.commits) {
            let fault = if self.random.chance(500) { hot::Fault::Fails } else { hot::Fault::Deaf };
            let commits = self.random.below(3);
            self.service.hot.break_after(commits, fault);
        }
        if self.random.chance(plan.stalls) {
            self.service.slow_until = self.now + self.random.micros(4_000);
            self.line("the service's disk is slow".to_owned());
        }
        if self.random.chance(plan.undecided) {
            self.decide_and_die()?;
        }
        let conns: Vec<_> = self.net.conns.keys().copied().collect();
        if !conns.is_empty() && self.random.chance(plan.cuts) {
            let id = conns[self.random.index(conns.len())];
            self.line(format!("connection {id} is cut"));
            if let Some(conn) = self.net.conns.get_mut(&id) {
                conn.cut(self.now, &mut self.random);
            }
        }
        if !conns.is_empty() && self.random.chance(plan.partitions) {
            let id = conns[self.random.index(conns.len())];
            let until = self.now + self.random.micros(90_000);
            self.line(format!("nothing passes on connection {id}"));
            if let Some(conn) = self.net.conns.get_mut(&id) {
                conn.stuck_until = until;
            }
        }
        if self.random.chance(plan.full) {
            let (disk, _) = self.any_disk();
            let is_full = self.random.chance(600);
            disk.set_full(is_full);
            self.line(format!("a disk is full: {is_full}"));
        }
        if plan.lying_disks && self.random.chance(20) {
            let (disk, _) = self.any_disk();
            disk.lie();
            self.line("a disk begins to lie".to_owned());
        }
        if plan.lying_service && self.random.chance(20) {
            self.service.hot.lie();
            self.line("the service's disk begins to lie".to_owned());
        }
        if self.random.chance(plan.jumps) {
            self.jump();
        }
        if self.random.chance(plan.orders) {
            self.order()?;
        }
        if self.random.chance(20)
            && let Some(running) = &self.service.running
        {
            let tenant = names::tenants()[self.random.index(2)];
            let (size, signed) = running.checkpoint(tenant)?;
            self.ledger.checkpoints.push((tenant, signed));
            self.line(format!("somebody sees a checkpoint over {size} entries"));
        }
        Ok(())
    }

    /// The storm is over.
    pub(super) fn calm(&mut self) {
        self.is_calm = true;
        self.line("calm".to_owned());
        if self.stays_broken {
            return;
        }
        self.service.hot.heal();
        (self.service.offset, self.service.slow_until) = (0, 0);
        for device in &mut self.devices {
            device.disk.heal();
            device.journal.heal();
            device.offset = 0;
        }
        for gateway in &mut self.gateways {
            gateway.disk.heal();
            gateway.offset = 0;
            gateway.liar = None;
            if let Some(running) = &mut gateway.running {
                running.post.liar = None;
            }
        }
        // What a liar holds on to would come out in the middle of an honest packet.
        for conn in self.net.conns.values_mut() {
            conn.stuck_until = 0;
            if conn.liar.is_some() {
                conn.cut(self.now, &mut self.random);
            }
        }
    }

    fn anybody(&mut self) -> Who {
        let (devices, gateways) = (self.devices.len(), self.gateways.len());
        match self.random.index(devices + gateways + 1) {
            at if at < devices => Who::Device(at),
            at if at < devices + gateways => Who::Gateway(at - devices),
            _ => Who::Service,
        }
    }

    fn any_disk(&mut self) -> (SimDisk, Who) {
        let devices = self.devices.len();
        let at = self.random.index(devices + self.gateways.len());
        if at < devices {
            let device = &self.devices[at];
            let disk = if self.random.chance(700) { &device.disk } else { &device.journal };
            return (disk.clone(), Who::Device(at));
        }
        (self.gateways[at - devices].disk.clone(), Who::Gateway(at - devices))
    }

    fn break_a_write(&mut self) {
        let (disk, who) = self.any_disk();
        let fault = [Fault::Fails, Fault::Tears, Fault::Cuts][self.random.index(3)];
        let writes = self.random.below(6);
        disk.break_after(writes, fault);
        self.line(format!("a write of {who:?} breaks: {fault:?}"));
    }

    fn jump(&mut self) {
        let jump = self.random.micros(2 * JUMP) - i64::try_from(JUMP).unwrap_or(0) * 1000;
        let who = self.anybody();
        self.line(format!("the clock of {who:?} jumps by {jump}"));
        match who {
            Who::Device(at) => self.devices[at].offset += jump,
            Who::Gateway(at) => self.gateways[at].offset += jump,
            Who::Service => self.service.offset += jump,
        }
    }

    fn order(&mut self) -> Result<(), String> {
        let device = self.random.index(self.devices.len());
        let (id, input) = (self.random.bytes(), self.random.below(100));
        let seconds = 5 + self.random.below(120);
        let time = self.service.time(self.now);
        let expires = time.plus_micros(i64::try_from(seconds).unwrap_or_default() * 1_000_000);
        let Some(running) = &mut self.service.running else { return Ok(()) };
        running.order(self.plan.whose(device), id, input, time, expires)?;
        let begun = Vec::new();
        let ordered =
            Ordered { device, input, expires, is_durable: false, begun, is_done: false, is_replied: false };
        self.ledger.commands.insert(id, ordered);
        self.line(format!("device {device} is told {input} within {seconds} seconds"));
        Ok(())
    }

    /// The service decides, and its power goes before it keeps what it decided.
    fn decide_and_die(&mut self) -> Result<(), String> {
        let time = self.service.time(self.now);
        let Some(running) = &mut self.service.running else { return Ok(()) };
        let _gone = running.core.decide(time).map_err(|e| e.to_string())?;
        self.kill(Who::Service, false);
        Ok(())
    }

    /// Somebody ends at once: with the power, or only the process.
    pub(super) fn kill(&mut self, who: Who, by_power: bool) {
        self.line(format!("{who:?} ends"));
        let up_at = self.now + self.random.micros(AWAY);
        let power = by_power || self.random.chance(500);
        match who {
            Who::Device(at) => {
                let device = &mut self.devices[at];
                (device.running, device.up_at) = (None, up_at);
                if power {
                    device.disk.cut();
                    device.journal.cut();
                }
                // A write that broke may have taken the power before.
                device.has_lost = [device.disk.has_lost(), device.journal.has_lost()];
                self.ledger.devices[at].was_robbed |= device.has_lost.contains(&true);
            }
            Who::Gateway(at) => {
                let gateway = &mut self.gateways[at];
                (gateway.running, gateway.up_at) = (None, up_at);
                if power {
                    gateway.disk.cut();
                }
                if gateway.disk.has_lost() {
                    for (account, home) in self.ledger.devices.iter_mut().zip(&self.plan.homes) {
                        account.was_robbed |= *home == Some(at);
                    }
                }
            }
            Who::Service => {
                (self.service.running, self.service.up_at) = (None, up_at);
                if power && self.service.hot.cut() {
                    self.line("the service's disk has lost commits".to_owned());
                    self.ledger.service_was_robbed();
                }
            }
        }
        self.net.crashed(who, self.now, &mut self.random);
    }
}
