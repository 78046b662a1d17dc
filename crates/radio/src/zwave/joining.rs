//! Things that join.

use std::time::Duration;

use rand_core::CryptoRng;
use thingward_zwave::NodeId;
use thingward_zwave::controller::{Event, KnownNode, Refusal, S0Permission};

use super::admission::{Admission, Printed, TURN, Way};
use super::member::Member;
use super::network::Network;
use crate::outbox::Outbox;
use crate::wire::{self, AdmissionState, RefusalKind, Report};

impl<R: CryptoRng> Network<R> {
    /// Lets things join for a while.
    pub(super) fn admit(&mut self, asked: &wire::Admission, out: &mut Outbox, now: Duration) {
        self.end_admission(now);
        let Some(printed) = Printed::read(asked.printed.as_ref()) else {
            return turn_away(
                out,
                "what is printed on it has five digits, forty, or those of a code that begins with 90",
            );
        };
        if !self.is_ready {
            return turn_away(out, "the radio is not ready");
        }
        let until = now + Duration::from_secs(asked.seconds.into());
        self.admission = Some(Admission::new(printed, until, now));
        self.host.require(printed.least());
        if !self.listen(now) {
            self.admission = None;
            turn_away(out, "the radio is busy with a thing that joins or leaves");
        } else if let Printed::SmartStart(_) = printed {
            // The controller does not say that it listens for these.
            self.tell(AdmissionState::Open, out);
        }
    }

    /// Lets nobody join any more. Who has half joined is refused.
    pub(super) fn close(&mut self, out: &mut Outbox, now: Duration) {
        self.end_admission(now);
        out.report(Report::Admission(AdmissionState::Closed));
    }

    fn end_admission(&mut self, now: Duration) {
        if let Some(admission) = self.admission.take() {
            self.host.cancel_inclusion(now);
            if let Some(dsk) = admission.printed.dsk() {
                self.host.withdraw_provision(&dsk, now);
            }
        }
    }

    /// Listens in the way whose turn it is; false where the controller does not.
    fn listen(&mut self, now: Duration) -> bool {
        let Some(admission) = &self.admission else { return false };
        let begun = match (admission.way, admission.printed.dsk()) {
            (Way::SmartStart, Some(dsk)) => self.host.provision(dsk, now),
            (Way::Button, Some(dsk)) => self.host.include_expected(dsk, now),
            (_, None) => self.host.include(now),
        };
        begun.is_ok()
    }

    /// Time is up, or the other way has its turn.
    pub(super) fn admission_due(&mut self, out: &mut Outbox, now: Duration) {
        let Some(admission) = self.admission.as_ref().filter(|it| it.due().is_some_and(|due| due <= now))
        else {
            return;
        };
        if admission.until <= now {
            return self.close(out, now);
        }
        let (way, dsk) = (admission.way, admission.printed.dsk());
        if let (Way::SmartStart, Some(dsk)) = (way, dsk) {
            self.host.withdraw_provision(&dsk, now);
        }
        let nobody_joins = self.host.stop_waiting(now);
        if let Some(admission) = &mut self.admission {
            admission.turn = Some(now + TURN);
            if nobody_joins {
                admission.way = if way == Way::Button { Way::SmartStart } else { Way::Button };
            }
        }
        // The other way ends with an event, after which it goes on.
        if nobody_joins && way == Way::SmartStart {
            self.listen(now);
        }
    }

    pub(super) fn joining_event(&mut self, event: &Event, out: &mut Outbox, now: Duration) {
        match event {
            Event::Including => self.tell(AdmissionState::Open, out),
            Event::Joining(node) => self.joins(*node, out),
            Event::PinNeeded { node, .. } => self.pin_needed(*node, now),
            Event::S0Asked(node) => self.s0_asked(*node, now),
            Event::Refused(node, refusal) => self.turned_away(*node, *refusal, out, now),
            Event::InclusionEnded => self.go_on_listening(out, now),
            _ => {}
        }
    }

    fn joins(&mut self, node: NodeId, out: &mut Outbox) {
        // Another thing had this number.
        self.forget(node);
        if let Some(admission) = &mut self.admission {
            admission.joining = Some(node);
        }
        if let Some(address) = self.address(node) {
            self.tell(AdmissionState::Joining(address), out);
        }
    }

    fn pin_needed(&mut self, node: NodeId, now: Duration) {
        let Some(admission) = &mut self.admission else { return self.host.cancel_inclusion(now) };
        if let Printed::Pin(pin) = admission.printed {
            // It waits for them.
            let _ = self.host.confirm(node, pin, now);
        } else {
            admission.turned_away = Some((node, "give the digits that are printed on it"));
            self.host.cancel_inclusion(now);
        }
    }

    /// Security 0 is for who is named with a reason, and not in place of something that is printed.
    fn s0_asked(&mut self, node: NodeId, now: Duration) {
        let permission = self.exception(node).and_then(|it| S0Permission::new(node, it.reason.as_str()));
        let Some(admission) = &mut self.admission else { return self.host.cancel_inclusion(now) };
        match permission {
            Some(permission) if admission.printed == Printed::Nothing && !admission.spent => {
                admission.spent = true;
                self.host.permit_s0(permission, now);
            }
            _ => {
                let reason = "it has Security 0 only, and nobody permitted that for it";
                admission.turned_away = Some((node, reason));
                self.host.cancel_inclusion(now);
            }
        }
    }

    fn turned_away(&mut self, node: NodeId, refusal: Refusal, out: &mut Outbox, now: Duration) {
        let ours = self.admission.as_mut().and_then(|admission| admission.turned_away.take());
        let reason =
            ours.filter(|(turned_away, _)| *turned_away == node).map(|(_, reason)| reason.to_owned());
        let reason = reason.unwrap_or_else(|| refusal.to_string());
        out.refused(self.address(node), RefusalKind::Join, &reason);
        self.forget(node);
        self.go_on_listening(out, now);
    }

    /// A node holds its keys.
    pub(super) fn included(&mut self, known: KnownNode, out: &mut Outbox, now: Duration) {
        self.kept.members.insert(known.node, Member::new(known));
        self.keeper.changed(None);
        // What is printed is on one thing.
        if self.admission.as_ref().is_some_and(|admission| admission.printed != Printed::Nothing) {
            self.close(out, now);
        } else {
            self.go_on_listening(out, now);
        }
    }

    /// Nobody is joining any more: the next one may come.
    fn go_on_listening(&mut self, out: &mut Outbox, now: Duration) {
        let Some(admission) = &mut self.admission else { return };
        admission.joining = None;
        if admission.until <= now {
            return self.close(out, now);
        }
        // Where the controller is busy, it is over when it is not.
        self.listen(now);
        self.tell(AdmissionState::Open, out);
    }

    /// Says how it goes, where that is news.
    fn tell(&mut self, state: AdmissionState, out: &mut Outbox) {
        let Some(admission) = &mut self.admission else { return };
        if admission.told.as_ref() != Some(&state) {
            admission.told = Some(state.clone());
            out.report(Report::Admission(state));
        }
    }
}

fn turn_away(out: &mut Outbox, reason: &str) {
    out.refused(None, RefusalKind::Join, reason);
    out.report(Report::Admission(AdmissionState::Closed));
}
