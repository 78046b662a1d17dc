//! One radio: its driver, and what the driver says.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use thingward_agent::disk::create_private_dir;
use thingward_crypto::sealed::{SealingKey, read_private};
use thingward_model::clock::now;
use thingward_radio::supervisor::{Event, Reason, Settings, Supervisor};
use thingward_radio::wire::{Address, Admission, AdmissionState, Exception, RefusalKind, Secret, Start};
use thingward_radio::{Order, Report};
use tokio::sync::mpsc;

use super::desk::Desk;
use super::kept;
use super::quiet::Quiet;
use super::status::{AdmissionStatus, Finding, FindingKind, Refused, State, StatusBoard};
use super::things::Things;
use super::{Admitting, RadioSettings, Wish};
use crate::local::Local;
use crate::serial::Surroundings;

/// How long a driver may take to show that it is alive.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often what is counted is written up, and what failed is tried again.
const TURN: Duration = Duration::from_secs(2);
/// For so long a thing that joined in time may take until it is known what it can do.
const INTERVIEW: Duration = Duration::from_secs(120);
/// Most things whose revocation waits.
const REVOKED_MAX: usize = 64;

/// See the module.
pub(super) struct Run {
    settings: RadioSettings,
    board: StatusBoard,
    folder: PathBuf,
    key: SealingKey,
    supervisor: Supervisor,
    desk: Desk,
    things: Things,
    wishes: mpsc::Receiver<Wish>,
    /// Things that are no members any more.
    revoked: mpsc::Receiver<Address>,
    /// Until when things may join, and the code that goes with it: a driver that starts meanwhile is told.
    admitted: Option<(Instant, Option<Secret>)>,
    /// What the driver has to remember and what is not durable yet.
    unkept: Option<Secret>,
    driver: Driver,
    quiet: Quiet,
    local: Local,
    /// Things that may join in a way that is otherwise refused, each with a reason.
    exceptions: Vec<Exception>,
}

/// How far a driver is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Driver {
    Down,
    /// It waits for its start.
    Waiting,
    Started,
    Ready,
}

impl Run {
    pub(super) fn open(
        settings: RadioSettings,
        around: &Surroundings,
        board: StatusBoard,
        wishes: mpsc::Receiver<Wish>,
    ) -> io::Result<Self> {
        let (folder, key) = (around.home.radio_dir(&settings.name), around.home.sealing_key().clone());
        create_private_dir(&folder)?;
        let supervisor = Supervisor::start(Settings {
            radio: settings.name.to_string(),
            program: settings.program.clone(),
            arguments: arguments(&settings),
            patience: PATIENCE,
        });
        let desk = Desk::new(supervisor.orders.clone());
        let (tell, revoked) = mpsc::channel(REVOKED_MAX);
        let things = Things::open(settings.clone(), around.clone(), board.clone(), desk.clone(), tell)?;
        let local = around.local.clone();
        let exceptions = local.weak_joins(&settings.name);
        let run = Self {
            settings,
            board,
            folder,
            key,
            supervisor,
            desk,
            things,
            wishes,
            revoked,
            admitted: None,
            unkept: None,
            driver: Driver::Down,
            quiet: Quiet::new(Instant::now()),
            local,
            exceptions,
        };
        run.state(State::Starting, "");
        Ok(run)
    }

    pub(super) async fn run(mut self) {
        let mut turn = tokio::time::interval(TURN);
        let mut policies = self.local.rules().changes();
        loop {
            tokio::select! {
                event = self.supervisor.events.recv() => match event {
                    None => return,
                    Some(event) => self.event(event).await,
                },
                Some(wish) = self.wishes.recv() => self.wished(wish).await,
                Some(address) = self.revoked.recv() => self.remove(address).await,
                Ok(()) = policies.changed() => self.policies_changed(),
                _ = turn.tick() => self.turn().await,
            }
        }
    }

    async fn turn(&mut self) {
        self.count();
        if self.admitted.as_ref().is_some_and(|(until, _)| *until <= Instant::now()) {
            self.close();
        }
        if self.driver == Driver::Waiting {
            self.start_driver().await;
        }
        if let Some(state) = self.unkept.take() {
            self.keep(state).await;
        }
        self.things.write_changes().await;
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
                self.driver = Driver::Down;
                self.unkept = None;
                if reason == Reason::Anew {
                    return self.state(State::Starting, "");
                }
                let is_line = reason == Reason::Line;
                let kind = if is_line { FindingKind::RadioDown } else { FindingKind::DriverCrash };
                self.down(kind, &reason.to_string());
            }
        }
    }

    async fn start_driver(&mut self) {
        match self.beginning() {
            Ok(start) => {
                self.driver = Driver::Started;
                self.state(State::Starting, "");
                self.order(Order::Start(start)).await;
            }
            Err((what, error)) => {
                // Without what it had kept it would begin a new network. It is tried again.
                if self.driver != Driver::Waiting {
                    tracing::error!(radio = %self.settings.name, what, %error, "a radio is not started");
                }
                self.driver = Driver::Waiting;
                self.state(State::Down, what);
            }
        }
    }

    /// With what the driver starts, or what is missing.
    fn beginning(&self) -> Result<Start, (&'static str, io::Error)> {
        let kept =
            kept::kept(&self.folder, &self.key).map_err(|error| ("what it had kept does not open", error))?;
        let credentials = self.credentials().map_err(|error| ("its credentials cannot be read", error))?;
        let key_days = Some(self.settings.key_days);
        Ok(Start { kept, exceptions: self.exceptions.clone(), credentials, key_days })
    }

    /// What policies let join in a way that is otherwise refused. A driver that runs with others is started anew.
    fn policies_changed(&mut self) {
        let exceptions = self.local.weak_joins(&self.settings.name);
        if exceptions == self.exceptions {
            return;
        }
        self.exceptions = exceptions;
        if matches!(self.driver, Driver::Started | Driver::Ready) {
            self.supervisor.start_anew();
        }
    }

    fn credentials(&self) -> io::Result<Option<Secret>> {
        let Some(path) = &self.settings.credentials_file else { return Ok(None) };
        Ok(Some(Secret::new(read_private(path)?.trim_ascii_end().to_vec())))
    }

    async fn order(&self, order: Order) {
        // A driver that is gone is told everything anew.
        let _ = self.supervisor.orders.send(order).await;
    }

    /// Makes durable what the driver has to remember; what fails is tried again until it is, or the driver is another.
    async fn keep(&mut self, state: Secret) {
        let (folder, key, bytes) = (self.folder.clone(), self.key.clone(), state.clone());
        let kept = tokio::task::spawn_blocking(move || kept::keep(&folder, &key, &bytes));
        match kept.await.map_err(io::Error::other).flatten() {
            Ok(()) => self.order(Order::Kept).await,
            Err(error) => {
                tracing::error!(radio = %self.settings.name, %error, "what a radio has to remember is not kept");
                self.state(
                    State::Down,
                    "what it has to remember cannot be written; the gateway's log says why",
                );
                self.unkept = Some(state);
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
                self.driver = Driver::Ready;
                self.open_for_things().await;
            }
            Report::Thing(thing) => {
                let address = thing.address.clone();
                if let Err(reason) = self.things.report(thing, self.is_open()).await {
                    self.refused(Some(&address), RefusalKind::Join, reason);
                }
            }
            Report::Left(address) => {
                if self.quiet.may_say(Instant::now()) {
                    tracing::info!(radio = %self.settings.name, thing = %address, "a thing left");
                }
                self.things.left(&address);
            }
            Report::Readings(said) => {
                let _ = self.things.readings(said);
            }
            Report::Done { id, failure } => {
                self.desk.done(id, failure.map(|failure| failure.to_string()));
            }
            Report::Keep(state) => self.keep(state).await,
            Report::Admission(state) => self.admission(&state),
            Report::Refused { thing, kind, reason } => {
                self.refused(thing.as_ref(), kind, reason.as_str());
                if kind == RefusalKind::Join {
                    self.finding(FindingKind::InsecureJoin, thing.as_ref(), reason.to_string());
                }
            }
            Report::Trouble(detail) => self.down(FindingKind::RadioDown, detail.as_str()),
            // The supervisor's.
            Report::Alive { .. } => {}
        }
    }

    /// The radio does not work, until it is ready again.
    fn down(&mut self, kind: FindingKind, detail: &str) {
        if self.quiet.may_say(Instant::now()) {
            tracing::warn!(radio = %self.settings.name, detail, "a radio is down");
        }
        self.state(State::Down, detail);
        self.say_admission("closed", String::new());
        self.finding(kind, None, detail.to_owned());
    }

    async fn wished(&mut self, wish: Wish) {
        match wish {
            Wish::Admit(admitting) => self.admit(admitting).await,
            Wish::Roll if self.driver == Driver::Ready => {
                tracing::info!(radio = %self.settings.name, "the network gets another key");
                self.order(Order::Roll).await;
            }
            Wish::Roll => {
                tracing::warn!(radio = %self.settings.name, "a radio that does not work gets no other key");
            }
        }
    }

    async fn admit(&mut self, admitting: Admitting) {
        let length = Duration::from_secs(admitting.seconds.into());
        if length.is_zero() {
            self.close();
            if self.driver == Driver::Ready {
                self.order(Order::Close).await;
            }
            return;
        }
        self.admitted = Some((Instant::now() + length, admitting.printed));
        self.things.let_candidates_in().await;
        if self.driver == Driver::Ready {
            self.open_for_things().await;
        }
    }

    /// Whether a thing that is new may be taken: also one that joined in time and was asked what it can do since.
    fn is_open(&self) -> bool {
        self.admitted.as_ref().is_some_and(|(until, _)| Instant::now() < *until + INTERVIEW)
    }

    /// Lets things join as long as that is open.
    async fn open_for_things(&self) {
        let Some((until, printed)) = &self.admitted else { return };
        let left = until.saturating_duration_since(Instant::now()).as_secs();
        if let Ok(seconds @ 1..) = u16::try_from(left) {
            self.order(Order::Admit(Admission { seconds, printed: printed.clone() })).await;
        }
    }

    fn close(&mut self) {
        match &mut self.admitted {
            // The code goes at once, and the rest when nobody who joined in time can still be asked.
            Some((_, printed)) if printed.is_some() => *printed = None,
            Some((until, _)) if *until + INTERVIEW <= Instant::now() => self.admitted = None,
            _ => {}
        }
        self.say_admission("closed", String::new());
    }

    fn admission(&mut self, state: &AdmissionState) {
        let (state, thing) = match state {
            AdmissionState::Open => ("open", String::new()),
            AdmissionState::Joining(thing) => ("joining", thing.to_string()),
            AdmissionState::Closed => ("closed", String::new()),
        };
        if self.quiet.may_say(Instant::now()) {
            tracing::info!(radio = %self.settings.name, state, thing, "letting things join");
        }
        self.say_admission(state, thing);
    }

    fn say_admission(&self, state: &'static str, detail: String) {
        let radio = self.settings.name.to_string();
        self.board.admission(self.settings.name, AdmissionStatus { state, radio, detail });
    }

    /// The service took a thing's membership back: the radio has nothing to do with it any more.
    async fn remove(&mut self, address: Address) {
        tracing::warn!(radio = %self.settings.name, thing = %address, "a thing is no member any more");
        self.things.left(&address);
        if self.driver == Driver::Ready {
            self.order(Order::Remove(address)).await;
        }
    }

    fn refused(&mut self, thing: Option<&Address>, kind: RefusalKind, reason: &str) {
        let radio = self.settings.name.to_string();
        if self.quiet.may_say(Instant::now()) {
            tracing::warn!(radio, thing = thing.map(tracing::field::display), ?kind, reason, "refused");
        }
        if kind == RefusalKind::Replay {
            self.finding(FindingKind::Replay, thing, reason.to_owned());
        }
        let refused = Refused {
            time: now().to_string(),
            radio,
            thing: thing.map(ToString::to_string).unwrap_or_default(),
            kind: word_of(kind),
            reason: reason.to_owned(),
        };
        self.board.refused(self.settings.name, refused);
    }

    /// About the thing by its name upstream, where it has one: an address may be anybody's name there.
    fn finding(&self, kind: FindingKind, thing: Option<&Address>, detail: String) {
        let name = thing.and_then(|address| self.things.name(address));
        let detail = match (thing, name) {
            (Some(address), None) => format!("{address}: {detail}"),
            _ => detail,
        };
        let (radio, thing) = (Some(self.settings.name.to_string()), name.map(|name| name.to_string()));
        self.board.finding(self.settings.name, Finding { kind, radio, thing, detail });
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
        let dropped = health.counters.dropped + health.dropped + self.things.dropped();
        self.board.radio(self.settings.name, |radio| {
            radio.received = health.counters.received;
            radio.refused = health.counters.refused;
            radio.dropped = dropped;
            radio.restarts = health.starts.saturating_sub(1);
        });
    }
}

const fn word_of(kind: RefusalKind) -> &'static str {
    match kind {
        RefusalKind::Join => "join",
        RefusalKind::Replay => "replay",
        RefusalKind::Forgery => "forgery",
        RefusalKind::Malformed => "malformed",
    }
}

fn arguments(settings: &RadioSettings) -> Vec<OsString> {
    ["radio-driver", settings.kind.as_str(), &settings.line].into_iter().map(OsString::from).collect()
}
