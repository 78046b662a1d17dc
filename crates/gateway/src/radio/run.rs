//! One radio: its driver, and its things.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use thingward_agent::disk::create_private_dir;
use thingward_crypto::sealed::{SealingKey, read_private, write_private};
use thingward_model::DeviceName;
use thingward_model::clock::now;
use thingward_model::description::ThingDescription;
use thingward_radio::supervisor::{Event, Reason, Settings, Supervisor};
use thingward_radio::wire::{self, Address, Admission, AdmissionState, RefusalKind, Secret, Start};
use thingward_radio::{Order, Report};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::desk::Desk;
use super::part::{Actions, Part};
use super::roster::{Known, Roster};
use super::status::{AdmissionStatus, Finding, FindingKind, Refused, State, StatusBoard, ThingStatus};
use super::thing::{self, Counts, Heard};
use super::{Admitting, RadioSettings};
use crate::serial::{Chip, Kept, SharedDescription, SharedLink, Surroundings};

/// How long a driver may take to show that it is alive.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often what is counted is written up.
const COUNT_EVERY: Duration = Duration::from_secs(2);
/// What the sealed state of a driver is bound to.
const LABEL: &[u8] = b"thingward radio state";

/// See the module.
pub(super) struct Run {
    settings: RadioSettings,
    around: Surroundings,
    board: StatusBoard,
    folder: PathBuf,
    key: SealingKey,
    supervisor: Supervisor,
    desk: Desk,
    roster: Roster,
    things: HashMap<Address, Running>,
    admitting: mpsc::Receiver<Admitting>,
    /// Whether things may join, until when, and the code that goes with it: a driver that starts meanwhile is told.
    admitted: Option<(Instant, Option<Secret>)>,
    is_ready: bool,
}

/// A thing that is served.
struct Running {
    name: DeviceName,
    heard: mpsc::Sender<Heard>,
    description: SharedDescription,
    actions: Actions,
    ring: Arc<Notify>,
    counts: Counts,
    /// Ends with it.
    _tasks: JoinSet<()>,
}

impl Run {
    pub(super) fn open(
        settings: RadioSettings,
        around: Surroundings,
        board: StatusBoard,
        admitting: mpsc::Receiver<Admitting>,
    ) -> io::Result<Self> {
        let (folder, key) = (around.home.radio_dir(&settings.name), around.home.sealing_key().clone());
        create_private_dir(&folder)?;
        let roster = Roster::load(folder.join("roster"), key.clone())?;
        let supervisor = Supervisor::start(Settings {
            radio: settings.name.to_string(),
            program: settings.program.clone(),
            arguments: arguments(&settings),
            patience: PATIENCE,
        });
        let desk = Desk::new(supervisor.orders.clone());
        let mut run = Self {
            settings,
            around,
            board,
            folder,
            key,
            supervisor,
            desk,
            roster,
            things: HashMap::new(),
            admitting,
            admitted: None,
            is_ready: false,
        };
        let known: Vec<_> = run.roster.things().map(|(at, known)| (at.clone(), known.clone())).collect();
        for (address, known) in known {
            let running = run.serve(&address, &known)?;
            run.things.insert(address, running);
        }
        run.state(State::Starting, "");
        Ok(run)
    }

    pub(super) async fn run(mut self) {
        let mut count = tokio::time::interval(COUNT_EVERY);
        loop {
            tokio::select! {
                event = self.supervisor.events.recv() => match event {
                    None => return,
                    Some(event) => self.event(event).await,
                },
                Some(admitting) = self.admitting.recv() => self.admit(admitting).await,
                _ = count.tick() => self.count(),
            }
        }
    }

    async fn event(&mut self, event: Event) {
        match event {
            Event::Up => self.start_driver().await,
            Event::Report(report) => self.report(report).await,
            Event::Flood(thing) => {
                let detail = "more messages than its share; what was too much is lost".to_owned();
                self.finding(FindingKind::Flood, thing.as_ref(), detail);
            }
            Event::Down(reason) => {
                self.desk.gone();
                self.is_ready = false;
                let detail = reason.to_string();
                self.state(State::Down, &detail);
                let kind =
                    if reason == Reason::Line { FindingKind::RadioDown } else { FindingKind::DriverCrash };
                self.finding(kind, None, detail);
            }
        }
    }

    async fn start_driver(&mut self) {
        self.state(State::Starting, "");
        let kept = match self.kept() {
            Ok(kept) => kept,
            Err(error) => {
                // Without it the driver would begin a new network: it is not started.
                tracing::error!(radio = %self.settings.name, %error, "what a radio had kept does not open");
                self.state(State::Down, "what it had kept does not open");
                return;
            }
        };
        let credentials = match self.credentials() {
            Ok(credentials) => credentials,
            Err(error) => {
                tracing::error!(radio = %self.settings.name, %error, "the credentials of a source cannot be read");
                self.state(State::Down, "its credentials cannot be read");
                return;
            }
        };
        let exceptions = self.settings.exceptions.clone();
        self.order(Order::Start(Start { kept, exceptions, credentials })).await;
    }

    fn credentials(&self) -> io::Result<Option<Secret>> {
        let Some(path) = &self.settings.credentials_file else { return Ok(None) };
        Ok(Some(Secret::new(read_private(path)?.trim_ascii_end().to_vec())))
    }

    async fn order(&self, order: Order) {
        // A driver that is gone is told everything anew.
        let _ = self.supervisor.orders.send(order).await;
    }

    fn kept(&self) -> io::Result<Option<Secret>> {
        match read_private(&self.folder.join("kept")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            sealed => {
                let opened = self.key.open(LABEL, &sealed?).map_err(io::Error::other)?;
                Ok(Some(Secret::new(opened.to_vec())))
            }
        }
    }

    async fn keep(&self, state: Secret) {
        let (path, key) = (self.folder.join("kept"), self.key.clone());
        let kept = tokio::task::spawn_blocking(move || {
            write_private(&path, &key.seal(LABEL, state.expose()).map_err(io::Error::other)?)
        });
        match kept.await.map_err(io::Error::other).flatten() {
            Ok(()) => self.order(Order::Kept).await,
            Err(error) => {
                tracing::error!(radio = %self.settings.name, %error, "what a radio has to remember is not kept");
            }
        }
    }

    async fn report(&mut self, report: Report) {
        match report {
            Report::Ready { network } => {
                let name = self.settings.name;
                tracing::info!(radio = %name, %network, "a radio works");
                self.state(State::Up, "");
                self.board.radio(name, |radio| radio.network = network.to_string());
                self.is_ready = true;
                self.open_for_things().await;
            }
            Report::Thing(thing) => self.thing(thing),
            Report::Left(address) => {
                tracing::info!(radio = %self.settings.name, thing = %address, "a thing left");
                self.forget(&address);
            }
            Report::Readings(said) => self.readings(said),
            Report::Done { id, failure } => {
                self.desk.done(id, failure.map_or(Ok(()), |failure| Err(failure.to_string())));
            }
            Report::Keep(state) => self.keep(state).await,
            Report::Admission(state) => self.admission(&state),
            Report::Refused { thing, kind, reason } => self.refused(thing.as_ref(), kind, reason.as_str()),
            Report::Trouble(detail) => {
                tracing::warn!(radio = %self.settings.name, %detail, "a radio is in trouble");
                self.board.radio(self.settings.name, |radio| radio.detail = detail.to_string());
            }
            // The supervisor's.
            Report::Alive { .. } => {}
        }
    }

    /// A thing is there, or is known better.
    fn thing(&mut self, thing: wire::Thing) {
        let wire::Thing { address, link, description } = thing;
        let described = ThingDescription::parse(&description).ok();
        let Some(described) = described.filter(|_| self.settings.kind.links().contains(&link)) else {
            return self.refused(Some(&address), RefusalKind::Malformed, "what it is makes no sense");
        };
        let name = match self.roster.get(&address) {
            Some(known) => known.name,
            None if !self.roster.has_room() => {
                return self.refused(
                    Some(&address),
                    RefusalKind::Join,
                    "the gateway has no room for more things",
                );
            }
            None => self.name_of(&address),
        };
        let known = Known { name, link, description };
        if let Err(error) = self.roster.put(address.clone(), known.clone()) {
            tracing::error!(thing = %address, %error, "what is known of a thing is not kept");
            return;
        }
        match self.things.get(&address) {
            Some(running) => {
                running.actions.set(&described);
                running.description.set(Some(known.description.clone()));
                running.ring.notify_one();
                self.show(&address, &known, &described.title);
            }
            None => match self.serve(&address, &known) {
                Ok(running) => drop(self.things.insert(address, running)),
                Err(error) => tracing::error!(thing = %address, %error, "a thing is not served"),
            },
        }
    }

    /// Has a thing be a device.
    fn serve(&self, address: &Address, known: &Known) -> io::Result<Running> {
        let folder = self.folder.join(known.name.as_str());
        create_private_dir(&folder)?;
        // Nobody knows how what waits there came.
        let least = self.settings.kind.links().first().copied().unwrap_or(known.link);
        let (link, ring) = (SharedLink::new(least), Arc::new(Notify::new()));
        let (actions, description, counts) =
            (Actions::default(), SharedDescription::default(), Counts::default());
        description.set(Some(known.description.clone()));
        if let Ok(described) = ThingDescription::parse(&known.description) {
            actions.set(&described);
            self.show(address, known, &described.title);
        }
        let part = Part { address: address.clone(), actions: actions.clone(), desk: self.desk.clone() };
        let (server, ways) =
            thing::open(&folder, self.key.clone(), part, link.clone(), Arc::clone(&ring), counts.clone())?;
        let kept = Kept {
            name: known.name,
            ends: ways.ends,
            link,
            description: description.clone(),
            ring: Arc::clone(&ring),
        };
        let chip = Chip::kept(kept, &self.around)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(server.run());
        tasks.spawn(chip.keep_up());
        Ok(Running { name: known.name, heard: ways.heard, description, actions, ring, counts, _tasks: tasks })
    }

    fn show(&self, address: &Address, known: &Known, title: &str) {
        let status = ThingStatus {
            name: known.name.to_string(),
            radio: self.settings.name.to_string(),
            address: address.to_string(),
            link: known.link.to_string(),
            title: title.to_owned(),
            last_seen: None,
            waiting: 0,
        };
        self.board.thing(known.name, status);
    }

    /// What a thing is called: as the settings say, or after its radio and address.
    fn name_of(&self, address: &Address) -> DeviceName {
        if let Some(name) = self.settings.names.get(address) {
            return *name;
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let text: String = format!("{}-{address}", self.settings.name).chars().map(plain).collect();
        text.parse().unwrap_or(self.settings.name)
    }

    /// Has nothing to do with a thing any more.
    fn forget(&mut self, address: &Address) {
        if let Some(running) = self.things.remove(address) {
            self.around.switchboard.disconnect(&running.name);
            self.board.gone(&running.name);
        }
        if let Err(error) = self.roster.remove(address) {
            tracing::error!(thing = %address, %error, "a thing that left is still known");
        }
    }

    fn readings(&mut self, said: wire::Readings) {
        let time = now();
        let Some(running) =
            self.things.get(&said.thing).filter(|_| self.settings.kind.links().contains(&said.link))
        else {
            tracing::debug!(thing = %said.thing, "what nobody is known to have said is let go");
            return;
        };
        self.board.seen(&running.name, time);
        if running.heard.try_send(Heard { link: said.link, time, readings: said.readings }).is_err() {
            running.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn admit(&mut self, admitting: Admitting) {
        let length = Duration::from_secs(admitting.seconds.into());
        self.admitted = (!length.is_zero()).then(|| (Instant::now() + length, admitting.printed));
        if !self.is_ready {
            return;
        }
        match &self.admitted {
            None => self.order(Order::Close).await,
            Some(_) => self.open_for_things().await,
        }
    }

    /// Lets things join as long as that is open.
    async fn open_for_things(&mut self) {
        let Some((until, printed)) = &self.admitted else { return };
        match u16::try_from(until.saturating_duration_since(Instant::now()).as_secs()) {
            Ok(seconds) if seconds > 0 => {
                let admission = Admission { seconds, printed: printed.clone() };
                self.order(Order::Admit(admission)).await;
            }
            _ => self.admitted = None,
        }
    }

    fn admission(&self, state: &AdmissionState) {
        let (state, detail) = match state {
            AdmissionState::Open => ("open", String::new()),
            AdmissionState::Joining(thing) => ("joining", thing.to_string()),
            AdmissionState::Closed => ("closed", String::new()),
        };
        let radio = self.settings.name.to_string();
        tracing::info!(radio, state, thing = detail, "letting things join");
        self.board.admission(AdmissionStatus { state: state.to_owned(), radio, detail });
    }

    fn refused(&self, thing: Option<&Address>, kind: RefusalKind, reason: &str) {
        let radio = self.settings.name.to_string();
        tracing::warn!(radio, thing = thing.map(tracing::field::display), ?kind, reason, "refused");
        let word = match kind {
            RefusalKind::Join => "join",
            RefusalKind::Replay => "replay",
            RefusalKind::Forgery => "forgery",
            RefusalKind::Malformed => "malformed",
        };
        match kind {
            RefusalKind::Join => self.finding(FindingKind::InsecureJoin, thing, reason.to_owned()),
            RefusalKind::Replay => self.finding(FindingKind::Replay, thing, reason.to_owned()),
            RefusalKind::Forgery | RefusalKind::Malformed => {}
        }
        self.board.refused(Refused {
            time: now().to_string(),
            radio,
            thing: thing.map(ToString::to_string).unwrap_or_default(),
            kind: word.to_owned(),
            reason: reason.to_owned(),
        });
    }

    /// By the name upstream, where the thing has one.
    fn finding(&self, kind: FindingKind, thing: Option<&Address>, detail: String) {
        let name = |address: &Address| match self.roster.get(address) {
            Some(known) => known.name.to_string(),
            None => address.to_string(),
        };
        self.board.finding(Finding {
            kind,
            radio: self.settings.name.to_string(),
            thing: thing.map(name),
            detail,
        });
    }

    fn state(&self, state: State, detail: &str) {
        self.board.radio(self.settings.name, |radio| {
            radio.name = self.settings.name.to_string();
            self.settings.kind.as_str().clone_into(&mut radio.kind);
            radio.state = state;
            detail.clone_into(&mut radio.detail);
        });
    }

    fn count(&self) {
        let health = self.supervisor.health.borrow().clone();
        let of_things: u64 =
            self.things.values().map(|thing| thing.counts.dropped.load(Ordering::Relaxed)).sum();
        self.board.radio(self.settings.name, |radio| {
            radio.received = health.counters.received;
            radio.refused = health.counters.refused;
            radio.dropped = health.counters.dropped + health.dropped + of_things;
            radio.restarts = health.starts.saturating_sub(1);
        });
    }
}

fn arguments(settings: &RadioSettings) -> Vec<OsString> {
    ["radio-driver", settings.kind.as_str(), &settings.line].into_iter().map(OsString::from).collect()
}
