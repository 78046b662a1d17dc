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

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thingward_agent::backoff::Backoff;
use thingward_agent::home::Home;
use thingward_agent::local::{self, LocalServer, ServeError};
use thingward_model::description::ThingDescription;
use thingward_model::{DeviceName, Link};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use self::conversation::{Conversation, End, Errands, Timing};
use self::door::Door;
use self::line::Stream;
use self::office::{Entry, GatewayOffice, Office};
use self::record::Record;
use crate::core::CoreHandle;
use crate::local::Local;
use crate::switchboard::{Extension, Switchboard};
use crate::time::Questions;

pub(crate) use self::conversation::Visit;
pub(crate) use self::office::{NotTaken, SharedDescription, SharedLink};

/// Most lines of a gateway.
pub const LINES_MAX: usize = 64;
/// The speed of a line when nothing is said.
pub const BAUD: u32 = 115_200;
/// Most commands that wait for a chip.
const COMMANDS_MAX: usize = 64;
/// Most visitors that wait for a chip's answer.
const VISITS_MAX: usize = 8;
/// Room of a line inside this process, in bytes.
const INSIDE_BYTES: usize = 4096;
/// How long a line is let be whose chip is of no use as it is.
const LONG_PAUSE: Duration = Duration::from_secs(30);
/// How long one that is not let in waits, the first time and at most. An admission is at most an hour long.
const UNENROLLED_PAUSE: Duration = Duration::from_secs(5);
const UNENROLLED_PAUSE_MAX: Duration = Duration::from_secs(300);
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

/// What those whom the gateway speaks for need of it.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) home: Home,
    pub(crate) trust_domain: String,
    pub(crate) core: CoreHandle,
    pub(crate) questions: Questions,
    pub(crate) switchboard: Switchboard,
    pub(crate) local: Local,
}

/// Speaks with chips on lines until the tasks are dropped.
///
/// # Errors
///
/// [`SerialError`].
pub(crate) async fn start(
    settings: Vec<SerialSettings>,
    tasks: &mut JoinSet<()>,
    around: &Surroundings,
) -> Result<(), SerialError> {
    for chip in settings {
        tasks.spawn(Chip::on_line(chip, around).await?.keep_up());
    }
    Ok(())
}

/// Where a chip is.
enum Port {
    Terminal {
        path: PathBuf,
        baud: u32,
    },
    /// In this process: whoever is it takes the other end.
    Inside(mpsc::Sender<DuplexStream>),
}

impl Port {
    async fn open(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Terminal { path, baud } => line::open(path, *baud).await,
            Self::Inside(ends) => {
                let (near, far) = duplex(INSIDE_BYTES);
                ends.send(far).await.map_err(|_| io::Error::from(io::ErrorKind::NotConnected))?;
                Ok(Box::new(near))
            }
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Terminal { path, .. } => path.display().fmt(f),
            Self::Inside(_) => f.write_str("inside"),
        }
    }
}

/// A chip that this gateway speaks with.
pub(crate) struct Chip {
    port: Port,
    errands: Errands,
    office: GatewayOffice,
    description: Option<ThingDescription>,
    /// What visitors are told of it.
    about: watch::Sender<Option<Bytes>>,
    /// Whom it concerns that it is no member any more.
    revoked: Option<Box<dyn Fn() + Send + Sync>>,
    /// Listens as long as it is there.
    _local_link: Option<LocalServer>,
}

/// A chip whose key this gateway keeps: what it needs to be one.
pub(crate) struct Kept {
    pub(crate) name: DeviceName,
    /// Takes the lines on which it is spoken with.
    pub(crate) ends: mpsc::Sender<DuplexStream>,
    pub(crate) link: SharedLink,
    pub(crate) description: SharedDescription,
    /// Rings when it has something.
    pub(crate) ring: Arc<Notify>,
    /// Called when the service has taken its membership back.
    pub(crate) revoked: Box<dyn Fn() + Send + Sync>,
}

/// Connects a name, so that what is for it arrives.
fn connect(
    name: DeviceName,
    ring: Arc<Notify>,
    around: &Surroundings,
) -> io::Result<(Errands, mpsc::Sender<Visit>)> {
    let (commands, of_core) = mpsc::channel(COMMANDS_MAX);
    let (visitors, visits) = mpsc::channel(VISITS_MAX);
    let evidence = Arc::new(Notify::new());
    let extension = Extension { commands, visitors: visitors.clone(), evidence: Arc::clone(&evidence) };
    if !around.switchboard.connect(name, extension) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{name} is another's name")));
    }
    Ok((Errands { commands: of_core, visits, evidence, ring }, visitors))
}

impl Chip {
    async fn on_line(settings: SerialSettings, around: &Surroundings) -> Result<Self, SerialError> {
        let SerialSettings { name, line, baud, claim_file, description, local_link } = settings;
        let (document, described) = match &description {
            None => (None, None),
            Some(path) => {
                let (document, described) = read_description(path)?;
                (Some(document), Some(described))
            }
        };
        let (errands, visitors) = connect(name, Arc::default(), around)?;
        let (about, known) = watch::channel(None);
        let local_link = match local_link {
            None => None,
            Some(_) if described.is_none() => return Err(SerialError::NothingOpen(name)),
            Some(address) => Some(local::serve_http(Door::new(visitors, known), address).await?),
        };
        let told = SharedDescription::default();
        told.set(document);
        let entry = Entry::Claim(claim_file);
        let office = office(name, entry, SharedLink::new(Link::Serial), told, around)?;
        let port = Port::Terminal { path: line, baud };
        Ok(Self {
            port,
            errands,
            office,
            description: described,
            about,
            revoked: None,
            _local_link: local_link,
        })
    }

    /// One whose key this gateway keeps.
    ///
    /// # Errors
    ///
    /// When what is known of it cannot be read.
    pub(crate) fn kept(kept: Kept, around: &Surroundings) -> io::Result<Self> {
        let office = office(kept.name, Entry::Kept, kept.link, kept.description, around)?;
        let (errands, _) = connect(kept.name, kept.ring, around)?;
        let (port, about) = (Port::Inside(kept.ends), watch::channel(None).0);
        let revoked = Some(kept.revoked);
        Ok(Self { port, errands, office, description: None, about, revoked, _local_link: None })
    }

    /// Speaks with what is on the line, again and again.
    pub(crate) async fn keep_up(mut self) {
        let (mut backoff, mut unenrolled) = (Backoff::default(), UNENROLLED_PAUSE);
        loop {
            let pause = match self.port.open().await {
                Err(error) => {
                    let (chip, line) = (self.office.name, &self.port);
                    tracing::warn!(%chip, %line, %error, "the line of a chip does not open");
                    backoff.next()
                }
                Ok(stream) => match self.speak(stream, &mut backoff).await {
                    End::Stopping => return,
                    End::Ask(_) | End::Replaced | End::NoRoom => backoff.next(),
                    End::Destroyed => DESTROYED_PAUSE,
                    End::Revoked => {
                        self.office.forget().await;
                        if let Some(revoked) = &self.revoked {
                            revoked();
                        }
                        LONG_PAUSE
                    }
                    // Nobody lets it in yet, or ever.
                    End::NotEnrolled(_) if self.office.is_kept() => {
                        unenrolled = (unenrolled * 2).min(UNENROLLED_PAUSE_MAX);
                        unenrolled
                    }
                    End::Unknown | End::Unproved | End::Elsewhere | End::NotEnrolled(_) => LONG_PAUSE,
                },
            };
            self.pause(pause).await;
        }
    }

    async fn speak(&mut self, stream: Box<dyn Stream>, backoff: &mut Backoff) -> End {
        let (chip, description, about) = (self.office.name, &self.description, &self.about);
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

fn office(
    name: DeviceName,
    entry: Entry,
    link: SharedLink,
    description: SharedDescription,
    around: &Surroundings,
) -> io::Result<GatewayOffice> {
    Ok(GatewayOffice {
        name,
        home: around.home.clone(),
        entry,
        link,
        description,
        core: around.core.clone(),
        questions: around.questions.clone(),
        record: Record::load(&around.home.chip_path(&name), &around.trust_domain)?,
        shown: None,
    })
}

fn read_description(path: &Path) -> Result<(Vec<u8>, ThingDescription), SerialError> {
    let wrong = |reason: String| SerialError::Description { path: path.to_owned(), reason };
    let document = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    let description = ThingDescription::parse(&document).map_err(|e| wrong(e.to_string()))?;
    Ok((document, description))
}
