//! Chips on serial lines: children without an operating system and without TLS, which this gateway asks.
//!
//! `docs/wire/serial.md` is what goes over the line. [`driver`] asks one question at a time, [`conversation`] says which;
//! what a chip says goes the way of every child's messages from there.

mod conversation;
mod door;
mod driver;
mod line;
mod office;
mod record;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thingward_agent::backoff::Backoff;
use thingward_agent::home::Home;
use thingward_agent::local::{self, LocalServer, ServeError};
use thingward_model::DeviceName;
use thingward_model::description::ThingDescription;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use self::conversation::{Conversation, End, Errands, Timing};
use self::door::Door;
use self::line::Stream;
use self::office::GatewayOffice;
use self::record::Record;
use crate::core::{ChildCommand, CoreHandle};
use crate::time::Questions;

pub(crate) use self::conversation::Visit;
pub(crate) use self::office::NotTaken;

/// Most lines of a gateway.
pub const LINES_MAX: usize = 64;
/// The speed of a line when nothing is said.
pub const BAUD: u32 = 115_200;
/// Most commands that wait for a chip.
const COMMANDS_MAX: usize = 64;
/// Most visitors that wait for a chip's answer.
const VISITS_MAX: usize = 8;
/// How long a line is let be whose chip is of no use as it is.
const LONG_PAUSE: Duration = Duration::from_secs(30);
/// How long one whose chip has destroyed its keys is let be, which cannot change.
const DESTROYED_PAUSE: Duration = Duration::from_secs(3600);

/// A chip on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialSettings {
    /// What the chip is called.
    pub name: DeviceName,
    /// A terminal device, or a Unix socket in its place.
    pub line: PathBuf,
    /// The speed of a terminal.
    pub baud: u32,
    /// The file of the claim that enrols the chip. It is read when the chip is not enrolled.
    pub claim_file: Option<PathBuf>,
    /// The file with what the chip can do: a Thing Description.
    pub description: Option<PathBuf>,
    /// Where those who are here show the chip grants, without TLS; `None` for nowhere.
    pub local_link: Option<SocketAddr>,
}

/// A chip's line does not work, whatever is on it.
#[derive(Debug, thiserror::Error)]
pub enum SerialError {
    /// The description cannot be used.
    #[error("{}: {reason}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A local link without a description.
    #[error("the local link of {0} needs a description, which says what is open to grants")]
    NothingOpen(DeviceName),
    /// Nobody can be listened to.
    #[error(transparent)]
    Link(#[from] ServeError),
    /// What is known of the chip cannot be read.
    #[error(transparent)]
    Record(#[from] io::Error),
}

/// The lines of a gateway, before they are spoken on.
pub(crate) struct Lines {
    /// The ways of commands, which the core hands over.
    pub(crate) commands: HashMap<DeviceName, mpsc::Sender<ChildCommand>>,
    /// The ways of what the service wants at once.
    pub(crate) bells: HashMap<DeviceName, Bell>,
    all: Vec<(SerialSettings, Errands)>,
}

/// How the service gets the attention of a chip that is there.
pub(crate) struct Bell {
    /// It is told what was taken back.
    pub(crate) visitors: mpsc::Sender<Visit>,
    /// It is asked for evidence.
    pub(crate) evidence: Arc<Notify>,
}

/// What chips need of their gateway.
pub(crate) struct Surroundings<'g> {
    pub(crate) home: &'g Home,
    pub(crate) trust_domain: &'g str,
    pub(crate) core: &'g CoreHandle,
    pub(crate) questions: &'g Questions,
}

impl Lines {
    pub(crate) fn new(settings: Vec<SerialSettings>) -> Self {
        let mut lines = Self { commands: HashMap::new(), bells: HashMap::new(), all: Vec::new() };
        for chip in settings {
            let (of_core, commands) = mpsc::channel(COMMANDS_MAX);
            let (visitors, visits) = mpsc::channel(VISITS_MAX);
            lines.commands.insert(chip.name, of_core);
            let evidence = Arc::new(Notify::new());
            let bell = Bell { visitors: visitors.clone(), evidence: Arc::clone(&evidence) };
            lines.bells.insert(chip.name, bell);
            lines.all.push((chip, Errands { commands, visits, evidence, visitors }));
        }
        lines
    }

    /// Speaks on all of them until the tasks are dropped.
    ///
    /// # Errors
    ///
    /// [`SerialError`].
    pub(crate) async fn start(
        self,
        tasks: &mut JoinSet<()>,
        around: &Surroundings<'_>,
    ) -> Result<(), SerialError> {
        for (settings, errands) in self.all {
            tasks.spawn(Chip::open(settings, errands, around).await?.keep_up());
        }
        Ok(())
    }
}

/// A chip that this gateway speaks with.
struct Chip {
    settings: SerialSettings,
    errands: Errands,
    office: GatewayOffice,
    description: Option<ThingDescription>,
    /// What visitors are told of it.
    about: watch::Sender<Option<Bytes>>,
    /// Listens as long as it is there.
    _local_link: Option<LocalServer>,
}

impl Chip {
    async fn open(
        settings: SerialSettings,
        errands: Errands,
        around: &Surroundings<'_>,
    ) -> Result<Self, SerialError> {
        let name = settings.name;
        let document = match &settings.description {
            None => None,
            Some(path) => Some(read_description(path)?),
        };
        let (about, known) = watch::channel(None);
        let local_link = match settings.local_link {
            None => None,
            Some(_) if document.is_none() => return Err(SerialError::NothingOpen(name)),
            Some(address) => {
                let door = Door::new(errands.visitors.clone(), known);
                Some(local::serve_http(door, address).await?)
            }
        };
        let (document, description) = document.unzip();
        let office = GatewayOffice {
            name,
            home: around.home.clone(),
            claim_file: settings.claim_file.clone(),
            description: document,
            core: around.core.clone(),
            questions: around.questions.clone(),
            record: Record::load(&around.home.chip_path(&name), around.trust_domain)?,
            shown: None,
        };
        Ok(Self { settings, errands, office, description, about, _local_link: local_link })
    }

    /// Speaks with what is on the line, again and again.
    async fn keep_up(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let pause = match line::open(&self.settings.line, self.settings.baud).await {
                Err(error) => {
                    let (chip, line) = (self.settings.name, self.settings.line.display());
                    tracing::warn!(%chip, %line, %error, "the line of a chip does not open");
                    backoff.next()
                }
                Ok(stream) => match self.speak(stream, &mut backoff).await {
                    End::Stopping => return,
                    End::Ask(_) | End::Replaced | End::NoRoom => backoff.next(),
                    End::Destroyed => DESTROYED_PAUSE,
                    End::Revoked => {
                        self.office.forget().await;
                        LONG_PAUSE
                    }
                    End::Unknown | End::Unproved | End::Elsewhere | End::NotEnrolled(_) => LONG_PAUSE,
                },
            };
            self.pause(pause).await;
        }
    }

    async fn speak(&mut self, stream: Box<dyn Stream>, backoff: &mut Backoff) -> End {
        let (chip, description, about) = (self.settings.name, &self.description, &self.about);
        let met = |record: &Record| {
            *backoff = Backoff::default();
            tracing::info!(%chip, "a chip is there");
            let leaf = &record.leaf;
            let text = description.as_ref().map(|all| local::about(&leaf.principal, &leaf.key, all));
            about.send_replace(text);
        };
        let mut conversation = Conversation::new(stream, &mut self.office, Timing::default());
        let end = conversation.run(&mut self.errands, met).await;
        tracing::warn!(%chip, reason = %end, "a chip is away");
        end
    }

    async fn pause(&mut self, pause: Duration) {
        let pause = tokio::time::sleep(pause);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return,
                // Nobody is there to answer.
                Some(visit) = self.errands.visits.recv() => drop(visit),
            }
        }
    }
}

fn read_description(path: &Path) -> Result<(Vec<u8>, ThingDescription), SerialError> {
    let wrong = |reason: String| SerialError::Description { path: path.to_owned(), reason };
    let document = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    let description = ThingDescription::parse(&document).map_err(|e| wrong(e.to_string()))?;
    Ok((document, description))
}
