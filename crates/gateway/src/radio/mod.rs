//! Radios: each has a driver, a process of its own, and things, each of which is a device of its own upstream.
//!
//! The driver says what things there are and what they say; here each is a device whose key this gateway keeps, with a chain,
//! commands and a place in the queue of its own.

mod desk;
mod memory;
mod part;
mod roster;
mod run;
mod status;
mod thing;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use thingward_model::DeviceName;
use thingward_radio::Kind;
use thingward_radio::wire::{Address, Exception, Secret};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::serial::Surroundings;

pub use self::roster::THINGS_MAX;
pub(crate) use self::status::StatusBoard;
pub use self::status::{AdmissionStatus, RadioStatus, RadiosStatus, Refused, State, ThingStatus};

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
    /// Things that may join in a way that is otherwise refused, each with a reason.
    pub exceptions: Vec<Exception>,
    /// The file with what a source asks for: `USER:PASSWORD`. Only its owner may read it.
    pub credentials_file: Option<PathBuf>,
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

/// Most of them that wait for a radio.
const ADMITTING_MAX: usize = 8;

/// The radios that run. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Radios {
    all: Vec<(DeviceName, mpsc::Sender<Admitting>)>,
    pub(crate) board: StatusBoard,
}

impl Radios {
    /// Starts them; they run until the tasks are dropped.
    ///
    /// # Errors
    ///
    /// When what is known of one, or of its things, cannot be read.
    pub(crate) fn start(
        settings: Vec<RadioSettings>,
        tasks: &mut JoinSet<()>,
        around: &Surroundings,
    ) -> io::Result<Self> {
        let mut radios = Self::default();
        for radio in settings {
            let (name, (admit, admitting)) = (radio.name, mpsc::channel(ADMITTING_MAX));
            tasks.spawn(run::Run::open(radio, around.clone(), radios.board.clone(), admitting)?.run());
            radios.all.push((name, admit));
        }
        Ok(radios)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Lets things join, or nobody any more.
    pub(crate) fn admit(&self, admitting: &Admitting) {
        for (name, radio) in &self.all {
            let is_meant = admitting.radio.as_ref().is_none_or(|radio| radio == name.as_str());
            if is_meant && radio.try_send(admitting.clone()).is_err() {
                tracing::warn!(radio = %name, "the radio has too much to do to let things join");
            }
        }
    }
}
