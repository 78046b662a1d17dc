//! A driver's process, from its start to its end.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

use super::shares::{Fate, Share, Shares, Taken};
use super::{Done, Event, Keeper, Reason, Settings, stderr};
use crate::process::{EXIT_LINE, EXIT_NOT_SHUT_IN};
use crate::wire::{Address, Bounded, FrameDecoder, Order, Report, Sentence, Wiped, encode};

/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;
/// Reports of a driver itself per second, and how many may be saved up.
const OF_ITSELF: f64 = 50.0;
const OF_ITSELF_SAVED: f64 = 1000.0;
/// Descriptions and departures of things per second, and how many may be saved up. They are few, and none is dropped: another is
/// not told until something changes.
const OF_ROSTER: f64 = 200.0;
const OF_ROSTER_SAVED: f64 = 10_000.0;

pub(super) struct Driver {
    child: Child,
    orders: ChildStdin,
    reports: ChildStdout,
    decoder: FrameDecoder,
    /// What waits for the gateway, and since when. Nothing is read meanwhile.
    waiting: VecDeque<Event>,
    waiting_since: Instant,
    /// What waits for the driver. No order is taken meanwhile.
    to_driver: Wiped,
    /// Whether this process was told to start.
    is_started: bool,
    shares: Shares,
    of_itself: Share,
    of_roster: Share,
    /// When it took something of what it is told, or had taken all.
    taken_at: Instant,
    begun: Instant,
    asked: Asked,
}

/// Whether it is alive.
struct Asked {
    question: u32,
    is_answered: bool,
    /// When it is asked again, or given up.
    until: Instant,
}

impl Driver {
    /// Starts it with nothing but its arguments and its pipes.
    pub(super) fn start(settings: &Settings) -> std::io::Result<Self> {
        let mut child = Command::new(&settings.program)
            .args(&settings.arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pipe = || std::io::Error::other("no pipe");
        let orders = child.stdin.take().ok_or_else(pipe)?;
        let reports = child.stdout.take().ok_or_else(pipe)?;
        let words = child.stderr.take().ok_or_else(pipe)?;
        let radio = settings.radio.clone();
        tokio::spawn(async move { stderr::log(&radio, words).await });
        let begun = Instant::now();
        Ok(Self {
            child,
            orders,
            reports,
            decoder: FrameDecoder::default(),
            waiting: VecDeque::from([Event::Up]),
            waiting_since: begun,
            to_driver: Wiped::default(),
            is_started: false,
            shares: Shares::default(),
            of_itself: Share::full(OF_ITSELF, OF_ITSELF_SAVED),
            of_roster: Share::full(OF_ROSTER, OF_ROSTER_SAVED),
            taken_at: begun,
            begun,
            asked: Asked { question: 0, is_answered: true, until: begun },
        })
    }

    /// Carries orders and reports until the process ends, or is ended.
    pub(super) async fn run(mut self, keeper: &mut Keeper) -> Result<Reason, Done> {
        let reason = loop {
            match self.step(keeper).await {
                Ok(()) => {}
                Err(Stop::Done) => return Err(Done),
                Err(Stop::Ended) => break None,
                Err(Stop::Cut(reason)) => break Some(reason),
            }
        };
        // Whoever has closed its end without ending is not waited for.
        let status = match reason {
            Some(_) => self.kill().await,
            None => match tokio::time::timeout(keeper.settings.patience, self.child.wait()).await {
                Ok(status) => status,
                Err(_) => self.kill().await,
            },
        };
        let ended = || status.map_or_else(|error| Reason::NotStarted(error.to_string()), why);
        Ok(reason.unwrap_or_else(ended))
    }

    async fn kill(&mut self) -> std::io::Result<ExitStatus> {
        self.child.start_kill()?;
        self.child.wait().await
    }

    async fn step(&mut self, keeper: &mut Keeper) -> Result<(), Stop> {
        let mut room = Zeroizing::new([0; READ_BYTES]);
        tokio::select! {
            permit = keeper.events.reserve(), if !self.waiting.is_empty() => {
                let permit = permit.map_err(|_| Stop::Done)?;
                if let Some(event) = self.waiting.pop_front() {
                    permit.send(event);
                }
                if self.waiting.is_empty() {
                    // It may have answered meanwhile.
                    self.asked.until += self.waiting_since.elapsed();
                }
            }
            () = keeper.events.closed(), if self.waiting.is_empty() => return Err(Stop::Done),
            () = keeper.again.notified() => return Err(Stop::Cut(Reason::Anew)),
            order = keeper.orders.recv(), if self.to_driver.is_empty() => {
                self.order(&order.ok_or(Stop::Done)?, &keeper.settings.radio);
            }
            len = self.orders.write(&self.to_driver), if !self.to_driver.is_empty() => match len {
                Ok(len) => {
                    self.to_driver.drop_front(len);
                    self.taken_at = Instant::now();
                }
                // It has ended, or will not be told anything any more: what it said before is still read.
                Err(_) => self.to_driver = Wiped::default(),
            },
            len = self.reports.read(&mut *room), if self.waiting.is_empty() => match len {
                Ok(0) | Err(_) => return Err(Stop::Ended),
                Ok(len) => self.read(room.get(..len).unwrap_or_default(), keeper)?,
            },
            // One that takes no orders would hold up the gateway, whatever it says meanwhile.
            () = sleep_until(self.taken_at + keeper.settings.patience), if !self.to_driver.is_empty() => {
                return Err(Stop::Cut(Reason::Hung));
            }
            () = sleep_until(self.asked.until), if self.waiting.is_empty() => {
                self.ask(keeper.settings.patience)?;
            }
        }
        Ok(())
    }

    fn order(&mut self, order: &Order, radio: &str) {
        self.is_started |= matches!(order, Order::Start(_));
        if !self.is_started {
            return;
        }
        if order.is_within_bounds() {
            self.tell(order);
        } else if let Order::Call(call) = order {
            let failure = Some(Sentence::fitting("more than the driver of a radio takes"));
            self.wait_for_gateway(Event::Report(Report::Done { id: call.id, failure }));
        } else {
            tracing::error!(radio, "an order that is beyond its bounds is let go");
        }
    }

    fn tell(&mut self, order: &Order) {
        if self.to_driver.is_empty() {
            self.taken_at = Instant::now();
        }
        self.to_driver.push(&encode(order));
    }

    fn wait_for_gateway(&mut self, event: Event) {
        if self.waiting.is_empty() {
            self.waiting_since = Instant::now();
        }
        self.waiting.push_back(event);
    }

    fn ask(&mut self, patience: Duration) -> Result<(), Stop> {
        if !self.asked.is_answered {
            return Err(Stop::Cut(Reason::Hung));
        }
        let question = self.asked.question.wrapping_add(1);
        self.asked = Asked { question, is_answered: false, until: Instant::now() + patience };
        self.tell(&Order::Ask(question));
        Ok(())
    }

    fn read(&mut self, bytes: &[u8], keeper: &Keeper) -> Result<(), Stop> {
        self.decoder.push(bytes);
        while let Some(report) = self.decoder.take::<Report>().map_err(|error| Stop::Cut(error.into()))? {
            self.report(report, keeper)?;
        }
        Ok(())
    }

    fn report(&mut self, report: Report, keeper: &Keeper) -> Result<(), Stop> {
        if let Report::Alive { answer, counters } = report {
            self.asked.is_answered |= answer == self.asked.question;
            keeper.health.send_modify(|health| health.counters = counters);
            return Ok(());
        }
        let now = self.begun.elapsed();
        let Some(thing) = of_thing(&report) else {
            let is_roster = matches!(report, Report::Thing(_) | Report::Left(_));
            let share = if is_roster { &mut self.of_roster } else { &mut self.of_itself };
            return match share.take(now) {
                Taken::Yes => {
                    self.wait_for_gateway(Event::Report(report));
                    Ok(())
                }
                Taken::No | Taken::NotAnyMore => Err(Stop::Cut(Reason::Talkative)),
            };
        };
        let fate = self.shares.take(thing, now);
        if fate != Fate::Taken {
            keeper.health.send_modify(|health| health.dropped += 1);
        }
        match fate {
            Fate::Taken => self.wait_for_gateway(Event::Report(report)),
            Fate::Flood => self.wait_for_gateway(Event::Flood(Some(thing.clone()))),
            Fate::RadioFlood => self.wait_for_gateway(Event::Flood(None)),
            Fate::Dropped => {}
        }
        Ok(())
    }
}

/// Why nothing more is carried.
enum Stop {
    /// Nobody wants anything of the driver any more.
    Done,
    /// The process has closed its end.
    Ended,
    /// It is cut off.
    Cut(Reason),
}

/// Whose share a report takes, that anybody can make a thing say as often as they like. Strangers have one together.
fn of_thing(report: &Report) -> Option<&Address> {
    const NOBODY: &Address = &Address::EMPTY;
    match report {
        Report::Readings(said) => Some(&said.thing),
        Report::Refused { thing, .. } => Some(thing.as_ref().unwrap_or(NOBODY)),
        _ => None,
    }
}

fn why(status: ExitStatus) -> Reason {
    match (status.code(), status.signal()) {
        (Some(code), _) if code == i32::from(EXIT_LINE) => Reason::Line,
        (Some(code), _) if code == i32::from(EXIT_NOT_SHUT_IN) => Reason::NotShutIn,
        (_, Some(libc::SIGSYS)) => Reason::Forbidden,
        (_, Some(signal)) => Reason::Killed(signal),
        (code, None) => Reason::Exited(code.unwrap_or_default()),
    }
}
