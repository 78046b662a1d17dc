//! Radios: each has a driver, a process of its own, and things, each of which is a device of its own upstream.
//!
//! The driver says what things there are and what they say; here each is a device whose key this gateway keeps, with a chain,
//! commands and a place in the queue of its own.

mod desk;
mod kept;
mod memory;
mod part;
mod quiet;
mod room;
mod roster;
mod run;
mod status;
mod thing;
mod things;

use std::collections::BTreeMap;
use std::path::PathBuf;

use thingward_model::DeviceName;
use thingward_radio::Kind;
use thingward_radio::wire::{Address, Secret};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::serial::Surroundings;

pub(crate) use self::desk::{Desk, Undone};
pub(crate) use self::kept::{Remembered, keep, kept, remember, remembered};
pub(crate) use self::part::STREAM;
pub use self::status::{
    AdmissionStatus, PoliciesStatus, RadioStatus, RadiosStatus, Refused, State, ThingStatus,
};
pub(crate) use self::status::{FindingKind, StatusBoard};
pub use self::things::THINGS_MAX;

/// Most radios of a gateway.
pub const RADIOS_MAX: usize = 16;

/// A radio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RadioSettings {
    /// What it is called. Its things are called after it where nothing else is said.
    pub name: DeviceName,
    /// What it speaks.
    pub kind: Kind,
    /// Where: a [line](thingward_radio::line::Address) as it is written.
    pub line: String,
    /// What things are called upstream, by their addresses.
    pub names: BTreeMap<Address, DeviceName>,
    /// The file with what a source asks for: `USER:PASSWORD`. Only its owner may read it.
    pub credentials_file: Option<PathBuf>,
    /// For how many days its network's key is used, where it has one that changes: 1 to [`thingward_radio::wire::KEY_DAYS_MAX`].
    pub key_days: u16,
    /// The program that runs its driver.
    pub program: PathBuf,
}

/// That things may join for a while.
#[derive(Debug, Clone)]
pub(crate) struct Admitting {
    pub(crate) seconds: u16,
    /// Which radio; all of them without it.
    pub(crate) radio: Option<String>,
    /// What is printed on the thing.
    pub(crate) printed: Option<Secret>,
}

/// What somebody wants of a radio.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    /// That things may join.
    Admit(Admitting),
    /// That its network has another key.
    Roll,
}

/// Most of them that wait for a radio.
const WISHES_MAX: usize = 8;

/// The radios that run. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Radios {
    all: Vec<(DeviceName, mpsc::Sender<Wish>)>,
    pub(crate) board: StatusBoard,
}

impl Radios {
    /// Starts them; they run until the tasks are dropped. One whose folder cannot be read is down, and the others are served.
    pub(crate) fn start(
        settings: Vec<RadioSettings>,
        tasks: &mut JoinSet<()>,
        around: &Surroundings,
    ) -> Self {
        let mut radios = Self::default();
        for radio in settings {
            let (name, (admit, admitting)) = (radio.name, mpsc::channel(WISHES_MAX));
            let kind = radio.kind;
            match run::Run::open(radio, around, radios.board.clone(), admitting) {
                Ok(run) => {
                    tasks.spawn(run.run());
                    radios.all.push((name, admit));
                }
                Err(error) => {
                    tracing::error!(radio = %name, %error, "what is known of a radio cannot be read");
                    radios.board.radio(name, |status| {
                        *status = RadioStatus {
                            name: name.to_string(),
                            kind: kind.as_str().to_owned(),
                            state: State::Down,
                            detail: "what is known of it cannot be read; the gateway's log says why"
                                .to_owned(),
                            ..RadioStatus::default()
                        };
                    });
                }
            }
        }
        radios
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Lets things join, or nobody any more. A code goes to one radio only.
    pub(crate) fn admit(&self, admitting: &Admitting) {
        if admitting.printed.is_some() && admitting.radio.is_none() && self.all.len() > 1 {
            tracing::warn!("a code that is for no radio in particular is given to none");
            return;
        }
        for (name, radio) in &self.all {
            let is_meant = admitting.radio.as_ref().is_none_or(|radio| radio == name.as_str());
            if is_meant && radio.try_send(Wish::Admit(admitting.clone())).is_err() {
                tracing::warn!(radio = %name, "the radio has too much to do to let things join");
            }
        }
    }

    /// Has networks get another key: all of them, or that of one radio.
    pub(crate) fn roll(&self, only: Option<&str>) {
        for (name, radio) in self.all.iter().filter(|(name, _)| only.is_none_or(|only| only == name.as_str()))
        {
            if radio.try_send(Wish::Roll).is_err() {
                tracing::warn!(radio = %name, "the radio has too much to do to change its key");
            }
        }
    }
}
