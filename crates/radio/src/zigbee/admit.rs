//! Who may join.

use std::time::Duration;

use thingward_zigbee::address::Eui64;
use thingward_zigbee::coordinator::{close, expect_insecure, expect_nobody, open, permit};
use thingward_zigbee::ezsp::EzspMessage;
use thingward_zigbee::security::InstallCode;

use super::ZigbeeRadio;
use super::ask::Purpose;
use super::report::eui64;
use crate::wire;
use crate::wire::{AdmissionState, RefusalKind, Report};

/// How long the network is opened at a time, and after how long again.
const OPEN_SECONDS: u8 = 254;
const RENEWAL: Duration = Duration::from_secs(200);

/// Letting things join.
pub(super) struct Admission {
    until: Duration,
    renewal: Duration,
    /// The node whose install code was given; without one, those that are exceptions.
    pub(super) printed: Option<(Eui64, InstallCode)>,
    /// Whether it was said that it is open.
    is_open: bool,
}

impl Admission {
    pub(super) fn due(&self) -> Duration {
        self.until.min(self.renewal)
    }
}

impl ZigbeeRadio {
    pub(super) fn admit(&mut self, admission: &wire::Admission, now: Duration) {
        let printed = match &admission.printed {
            None => None,
            Some(printed) => match read(printed.expose()) {
                Ok(printed) => Some(printed),
                Err(reason) => {
                    self.refuse(None, RefusalKind::Join, &reason, now);
                    return self.say(Report::Admission(AdmissionState::Closed));
                }
            },
        };
        let until = now + Duration::from_secs(admission.seconds.into());
        self.admission = Some(Admission { until, renewal: now, printed, is_open: false });
        // Nobody joins by what was given for somebody else before.
        self.keyless.clear();
        self.ask(expect_nobody(), Purpose::Hint, now);
        self.look_after_admission(now);
    }

    /// Opens the network for another while, or no more.
    pub(super) fn look_after_admission(&mut self, now: Duration) {
        let Some(admission) = &mut self.admission else { return };
        if now >= admission.until {
            return self.close(now);
        }
        if now < admission.renewal {
            return;
        }
        admission.renewal = now + RENEWAL;
        let left = admission.until.saturating_sub(now).as_secs().saturating_add(1);
        let seconds = u8::try_from(left).unwrap_or(OPEN_SECONDS).min(OPEN_SECONDS);
        let version = self.version;
        let commands = match &admission.printed {
            Some((node, code)) => permit(version, *node, code, seconds),
            None => {
                let expected = self.exceptions.iter().map(|node| expect_insecure(version, *node));
                expected.collect::<Result<Vec<_>, _>>().and_then(|mut commands| {
                    commands.extend(open(seconds)?);
                    Ok(commands)
                })
            }
        };
        self.ask_all(commands, Purpose::Admit, now);
    }

    /// The coordinator lets things join, or does not.
    pub(super) fn admitted(&mut self, answer: Result<EzspMessage, String>) {
        let Some(admission) = &mut self.admission else { return };
        match answer {
            Err(reason) => {
                self.admission = None;
                let reason = wire::Sentence::fitting(&reason);
                self.say(Report::Refused { thing: None, kind: RefusalKind::Join, reason });
                self.say(Report::Admission(AdmissionState::Closed));
            }
            // All of them were taken.
            Ok(_) if !admission.is_open && !self.asking.is_asked(Purpose::Admit) => {
                admission.is_open = true;
                self.say(Report::Admission(AdmissionState::Open));
            }
            Ok(_) => {}
        }
    }

    /// Nobody joins any more, not even who has begun to.
    pub(super) fn close(&mut self, now: Duration) {
        self.admission = None;
        let joining = self.joining.iter().map(|(eui64, joining)| (*eui64, joining.short));
        for (eui64, short) in joining.collect::<Vec<_>>() {
            self.give_up(short, eui64, "the network was closed before it had joined", now);
        }
        self.shut(now);
        self.expect_nobody(now);
        self.say(Report::Admission(AdmissionState::Closed));
    }

    /// No key is expected any more, unless a thing that joined has yet to show its own: it asks for that under this one.
    pub(super) fn expect_nobody(&mut self, now: Duration) {
        if self.admission.is_none() && self.keyless.is_empty() {
            self.ask(expect_nobody(), Purpose::Hint, now);
        }
    }

    /// Nobody joins.
    pub(super) fn shut(&mut self, now: Duration) {
        self.ask_all(close(), Purpose::Hint, now);
    }
}

/// What is printed: `ADDRESS:INSTALL-CODE`. The address may have colons or hyphens between its octets.
fn read(printed: &[u8]) -> Result<(Eui64, InstallCode), String> {
    let text = std::str::from_utf8(printed).map_err(|_| "what is printed has to be text".to_owned())?;
    let wanted =
        || "what is printed has to be an address of 16 digits, a colon, and an install code".to_owned();
    let (node, code) = text.trim().rsplit_once(':').ok_or_else(wanted)?;
    let digits: String = node.chars().filter(|c| !matches!(c, ':' | '-' | ' ')).collect();
    let node = eui64(&digits).filter(|node| !matches!(node.0, 0 | u64::MAX)).ok_or_else(wanted)?;
    let code = InstallCode::parse(code).map_err(|error| error.to_string())?;
    Ok((node, code))
}
