//! What a gateway has of a driver: starts its process, cuts it off when it does what no driver does, and starts it again.

mod process;
mod shares;
mod stderr;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use self::process::Driver;
use crate::wire::{Address, Counters, FrameError, Order, Report};

/// Most orders and events that wait.
const QUEUE_MAX: usize = 256;
/// How long until a driver that ended is started again: at first, and after it ended at once again and again.
const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// One that ran for so long begins with the short pause again.
const SOUND_AFTER: Duration = Duration::from_secs(60);

/// Which driver, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Names the radio in the log.
    pub radio: String,
    /// The program.
    pub program: PathBuf,
    /// What it is told: `radio-driver KIND LINE`.
    pub arguments: Vec<OsString>,
    /// How often it is asked whether it is alive, which is also the time that it has for the answer.
    pub patience: Duration,
}

/// What happens to a driver.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Its process is there, and waits for [`Order::Start`]. Whatever is ordered before that is for the process before it, and is let go.
    Up,
    /// It says something.
    Report(Report),
    /// This thing, or all of them together, say more than their share. What is too much is dropped and counted; it is not told
    /// again until they were quiet.
    Flood(Option<Address>),
    /// Its process has ended. Calls that are open have failed; it is started again.
    Down(Reason),
}

/// Why a driver's process ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reason {
    /// It could not be started.
    #[error("it could not be started: {0}")]
    NotStarted(String),
    /// Its line could not be opened, or ended.
    #[error("its line could not be opened, or ended")]
    Line,
    /// The kernel does not let it shut itself in.
    #[error("it could not shut itself in")]
    NotShutIn,
    /// It tried what it may not, and the kernel ended it.
    #[error("it tried what it may not")]
    Forbidden,
    /// It ended with this exit code.
    #[error("it ended with exit code {0}")]
    Exited(i32),
    /// It was ended by this signal.
    #[error("it was ended by signal {0}")]
    Killed(i32),
    /// It did not answer.
    #[error("it did not answer any more")]
    Hung,
    /// What it said is no report.
    #[error("what it said is no report: {0}")]
    Gibberish(#[from] FrameError),
    /// Its gateway starts it anew.
    #[error("its gateway starts it anew")]
    Anew,
    /// It reports more of itself than a driver has to say.
    #[error("it said more than a driver has to say")]
    Talkative,
}

/// How a driver is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether its process is there.
    pub is_up: bool,
    /// How often it was started.
    pub starts: u64,
    /// What it counted, as it said last.
    pub counters: Counters,
    /// Reports beyond the shares of things, which were dropped here.
    pub dropped: u64,
    /// Why it ended last.
    pub ended: Option<Reason>,
}

/// A driver that is kept running. It ends when its orders or its events are dropped.
#[derive(Debug)]
pub struct Supervisor {
    /// What it is to do. Neither end waits for the other: orders are taken while events wait.
    pub orders: mpsc::Sender<Order>,
    /// What happens to it.
    pub events: mpsc::Receiver<Event>,
    /// How it is.
    pub health: watch::Receiver<Health>,
    again: Arc<Notify>,
}

impl Supervisor {
    /// Starts a driver. Needs a Tokio runtime with time and I/O.
    #[must_use]
    pub fn start(settings: Settings) -> Self {
        let (orders, orders_out) = mpsc::channel(QUEUE_MAX);
        let (events_in, events) = mpsc::channel(QUEUE_MAX);
        let (health_in, health) = watch::channel(Health::default());
        let again = Arc::new(Notify::new());
        let keeper = Keeper {
            settings,
            orders: orders_out,
            events: events_in,
            health: health_in,
            again: Arc::clone(&again),
        };
        tokio::spawn(keeper.run());
        Self { orders, events, health, again }
    }

    /// Ends its process and starts another, with what it starts with then.
    pub fn start_anew(&self) {
        self.again.notify_one();
    }
}

/// The other end of a [`Supervisor`].
struct Keeper {
    settings: Settings,
    orders: mpsc::Receiver<Order>,
    events: mpsc::Sender<Event>,
    health: watch::Sender<Health>,
    /// Rung to start another process in the place of this one.
    again: Arc<Notify>,
}

/// Nobody wants anything of the driver any more.
struct Done;

impl Keeper {
    async fn run(mut self) {
        let mut pause = PAUSE;
        loop {
            let begun = Instant::now();
            let Ok(reason) = self.keep_once().await else { return };
            if begun.elapsed() >= SOUND_AFTER || reason == Reason::Anew {
                pause = PAUSE;
            }
            tracing::warn!(radio = %self.settings.radio, %reason, ?pause, "the driver is down");
            self.health.send_modify(|health| {
                health.is_up = false;
                health.ended = Some(reason.clone());
            });
            if self.rest(reason, pause).await.is_err() {
                return;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Between a process and the next one, which begins when the gateway has heard of the end of this one: no order is for another
    /// process than it was meant for.
    async fn rest(&mut self, reason: Reason, pause: Duration) -> Result<(), Done> {
        let Self { events, orders, .. } = self;
        let rested = async {
            events.send(Event::Down(reason)).await.map_err(|_| Done)?;
            let _all_read = events.reserve_many(QUEUE_MAX).await.map_err(|_| Done)?;
            tokio::time::sleep(pause).await;
            Ok(())
        };
        tokio::pin!(rested);
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => drop(order.ok_or(Done)?),
                rested = &mut rested => return rested,
            }
        }
    }

    /// From the start of a process to its end.
    async fn keep_once(&mut self) -> Result<Reason, Done> {
        let driver = match Driver::start(&self.settings) {
            Ok(driver) => driver,
            Err(error) => return Ok(Reason::NotStarted(error.to_string())),
        };
        self.health.send_modify(|health| {
            health.is_up = true;
            health.starts += 1;
        });
        driver.run(self).await
    }
}
