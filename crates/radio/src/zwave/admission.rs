//! Whom an admission lets in.

use std::time::Duration;

use thingward_zwave::smart_start::{QrCode, QrVersion};
use thingward_zwave::{Dsk, NodeId, S2Class};

use crate::wire::{AdmissionState, Secret};

/// Digits of a device-specific key that a thing does not send, and that people type.
const PIN_DIGITS: usize = 5;
/// How long the radio listens in each of two ways, where a thing may come in either.
pub(super) const TURN: Duration = Duration::from_secs(10);

/// What is printed on the thing that is to join.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Printed {
    /// Nobody says: only things join that show no device-specific key.
    Nothing,
    /// The first five digits.
    Pin(u16),
    /// All digits.
    Dsk(Dsk),
    /// A code of a thing that joins by itself once it has power.
    SmartStart(Dsk),
}

impl Printed {
    /// Reads it; `None` where it is nothing of these.
    pub(super) fn read(secret: Option<&Secret>) -> Option<Self> {
        let Some(secret) = secret else { return Some(Self::Nothing) };
        let text = zeroize::Zeroizing::new(std::str::from_utf8(secret.expose()).ok()?.trim().to_owned());
        if text.len() == PIN_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().map(Self::Pin);
        }
        if let Ok(dsk) = text.parse() {
            return Some(Self::Dsk(dsk));
        }
        let code = QrCode::parse(&text).ok()?;
        Some(match code.version {
            QrVersion::SmartStart => Self::SmartStart(code.dsk),
            QrVersion::S2 => Self::Dsk(code.dsk),
        })
    }

    /// The device-specific key, where it is known whole.
    pub(super) const fn dsk(self) -> Option<Dsk> {
        match self {
            Self::Dsk(dsk) | Self::SmartStart(dsk) => Some(dsk),
            Self::Nothing | Self::Pin(_) => None,
        }
    }

    /// The least that is granted: five digits are of no use to a thing that does not have to show them.
    pub(super) const fn least(self) -> S2Class {
        match self {
            Self::Pin(_) => S2Class::Authenticated,
            Self::Nothing | Self::Dsk(_) | Self::SmartStart(_) => S2Class::Unauthenticated,
        }
    }
}

/// How the radio listens for things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Somebody presses a button.
    Button,
    /// The thing says by itself that it is there.
    SmartStart,
}

/// Letting things join.
pub(super) struct Admission {
    pub(super) printed: Printed,
    /// Until when.
    pub(super) until: Duration,
    pub(super) way: Way,
    /// When it listens in the other way.
    pub(super) turn: Option<Duration>,
    /// Who is joining.
    pub(super) joining: Option<NodeId>,
    /// Whether somebody has joined by an exception that names nobody.
    pub(super) spent: bool,
    /// Whom we turn away, and why.
    pub(super) turned_away: Option<(NodeId, &'static str)>,
    /// What was told last.
    pub(super) told: Option<AdmissionState>,
}

impl Admission {
    pub(super) fn new(printed: Printed, until: Duration, now: Duration) -> Self {
        let way = if let Printed::SmartStart(_) = printed { Way::SmartStart } else { Way::Button };
        let turn = matches!(printed, Printed::Dsk(_)).then_some(now + TURN);
        Self { printed, until, way, turn, joining: None, spent: false, turned_away: None, told: None }
    }

    /// When something is to be done; not while somebody is joining.
    pub(super) fn due(&self) -> Option<Duration> {
        if self.joining.is_some() {
            return None;
        }
        Some(self.turn.map_or(self.until, |turn| turn.min(self.until)))
    }
}
