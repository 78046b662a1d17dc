//! The process of a driver: one thread between a line, a protocol and the gateway.

mod files;
mod outbox;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use thiserror::Error;
use zeroize::Zeroizing;

use self::files::{is_later, read, without_waiting};
use self::outbox::Outbox;
use crate::sandbox::{self, NotShutIn, Open};
use crate::wire::{Counters, FrameDecoder, FrameError, Order, Report, Sentence, Wiped};
use crate::{Output, Radio, line};

/// Bytes that are read at once.
const READ_BYTES: usize = 4096;
/// Bytes that wait for the line when orders are not read any more, and when the line is given up.
const LINE_BYTES_FULL: usize = 4 * 1024;
const LINE_BYTES_MAX: usize = 256 * 1024;
/// For so long the last words of a process wait for the gateway.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a driver's process ended.
#[derive(Debug, Error)]
pub enum End {
    /// Its gateway wants nothing of it any more.
    #[error("the gateway has closed its end")]
    Gateway,
    /// The line could not be opened, failed, or was closed at the other end.
    #[error("the line: {0}")]
    Line(io::Error),
    /// What came is no order, or comes out of turn.
    #[error("the gateway: {0}")]
    Order(OrderError),
    /// The system does not let it shut itself in.
    #[error("not shut in: {0}")]
    NotShutIn(#[from] NotShutIn),
    /// The system fails.
    #[error("the system: {0}")]
    System(io::Error),
}

/// What is wrong with an order.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OrderError {
    /// It is none.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The first is no start, or there is a second one.
    #[error("an order out of turn")]
    Turn,
}

/// The exit code of a process whose line ended.
pub const EXIT_LINE: u8 = 75;
/// The exit code of a process that could not shut itself in.
pub const EXIT_NOT_SHUT_IN: u8 = 77;

impl End {
    /// With which exit code the process says so.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Gateway => 0,
            Self::Line(_) => EXIT_LINE,
            Self::NotShutIn(_) => EXIT_NOT_SHUT_IN,
            Self::Order(_) | Self::System(_) => 1,
        }
    }
}

/// Opens a line, shuts the process in, and runs a protocol between this line and the gateway at standard input and output
/// until that has an end. Only for a process that has one thread, and does nothing else afterwards.
pub fn run(line: &line::Address, radio: &mut dyn Radio) -> End {
    match Process::begin(line, radio) {
        Ok(process) => process.run(),
        Err(end) => end,
    }
}

struct Process<'r> {
    radio: &'r mut dyn Radio,
    line: File,
    orders: File,
    reports: File,
    decoder: FrameDecoder,
    outbox: Outbox,
    /// What waits for the line to take it.
    to_line: Wiped,
    begun: Instant,
    is_started: bool,
    counters: Counters,
}

/// What can be done without waiting.
struct Able {
    orders: bool,
    line_read: bool,
    line_write: bool,
    reports: bool,
}

impl<'r> Process<'r> {
    fn begin(line: &line::Address, radio: &'r mut dyn Radio) -> Result<Self, End> {
        let orders = without_waiting(io::stdin().as_fd().try_clone_to_owned()).map_err(End::System)?;
        let reports = without_waiting(io::stdout().as_fd().try_clone_to_owned()).map_err(End::System)?;
        let line = line.open().map_err(End::Line)?;
        sandbox::shut_in(&Open {
            read: &[orders.as_fd(), line.as_fd()],
            // Standard output is the same file.
            written: &[reports.as_fd(), io::stdout().as_fd(), line.as_fd()],
        })?;
        Ok(Self {
            radio,
            line: line.into(),
            orders,
            reports,
            decoder: FrameDecoder::default(),
            outbox: Outbox::default(),
            to_line: Wiped::default(),
            begun: Instant::now(),
            is_started: false,
            counters: Counters::default(),
        })
    }

    fn run(mut self) -> End {
        loop {
            if let Err(end) = self.step() {
                if let End::Line(error) = &end {
                    self.last_words(&format!("the line: {error}"));
                }
                return end;
            }
        }
    }

    fn step(&mut self) -> Result<(), End> {
        let able = self.wait().map_err(End::System)?;
        if able.reports {
            // Nobody reads any more.
            self.outbox.write(&mut self.reports).map_err(|_| End::Gateway)?;
        }
        if able.line_write {
            self.write_line()?;
        }
        if able.orders {
            self.read_orders()?;
        }
        if able.line_read {
            self.read_line()?;
        }
        let now = self.begun.elapsed();
        if self.is_ticking() && self.radio.due().is_some_and(|due| due <= now) {
            self.radio.tick(now);
            self.collect()?;
        }
        if self.to_line.len() > LINE_BYTES_MAX {
            return Err(End::Line(io::Error::new(io::ErrorKind::TimedOut, "it takes nothing")));
        }
        Ok(())
    }

    /// Who has an answer to nobody's reading is not asked for more: what waits is bounded.
    const fn is_ticking(&self) -> bool {
        self.is_started && !self.outbox.is_full()
    }

    fn wait(&self) -> io::Result<Able> {
        let when = |condition, flags| if condition { flags } else { PollFlags::empty() };
        let takes_orders = !self.outbox.is_full() && self.to_line.len() < LINE_BYTES_FULL;
        let line = when(self.is_ticking(), PollFlags::IN) | when(!self.to_line.is_empty(), PollFlags::OUT);
        let wanted = [
            (self.orders.as_fd(), when(takes_orders, PollFlags::IN)),
            (self.line.as_fd(), line),
            (self.reports.as_fd(), when(!self.outbox.is_empty(), PollFlags::OUT)),
        ];
        // Of what nothing is wanted, nothing is asked: an end that was hung up would be told again and again.
        let asked = wanted.iter().filter(|(_, flags)| !flags.is_empty());
        let mut polled: Vec<_> = asked.map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        match poll(&mut polled, self.patience().as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut told = polled.iter().map(PollFd::revents);
        let mut able = |flags: PollFlags| if flags.is_empty() { flags } else { told.next().unwrap_or(flags) };
        let [orders, line, reports] = wanted.map(|(_, flags)| able(flags));
        let ended = PollFlags::HUP | PollFlags::ERR;
        Ok(Able {
            orders: orders.intersects(PollFlags::IN | ended),
            line_read: self.is_ticking() && line.intersects(PollFlags::IN | ended),
            line_write: !self.to_line.is_empty() && line.intersects(PollFlags::OUT | ended),
            reports: reports.intersects(PollFlags::OUT | ended),
        })
    }

    /// How long until the protocol wants to hear of the time; `None` for ever.
    fn patience(&self) -> Option<Timespec> {
        let due = if self.is_ticking() { self.radio.due()? } else { return None };
        Timespec::try_from(due.saturating_sub(self.begun.elapsed())).ok()
    }

    fn read_orders(&mut self) -> Result<(), End> {
        let mut room = Zeroizing::new([0; READ_BYTES]);
        match read(&mut self.orders, &mut *room) {
            Ok(Some([])) | Err(_) => return Err(End::Gateway),
            Ok(bytes) => self.decoder.push(bytes.unwrap_or_default()),
        }
        while let Some(order) = self.decoder.take::<Order>().map_err(|error| End::Order(error.into()))? {
            self.order(order)?;
        }
        Ok(())
    }

    fn order(&mut self, order: Order) -> Result<(), End> {
        if let Order::Ask(answer) = order {
            let unsaid = self.radio.unsaid();
            let counters = Counters {
                received: self.counters.received,
                refused: self.counters.refused + unsaid.refused,
                dropped: self.outbox.dropped() + unsaid.dropped,
            };
            self.outbox.push(&Report::Alive { answer, counters });
            return Ok(());
        }
        if self.is_started == matches!(order, Order::Start(_)) {
            return Err(End::Order(OrderError::Turn));
        }
        self.is_started = true;
        self.radio.order(order, self.begun.elapsed());
        self.collect()
    }

    fn read_line(&mut self) -> Result<(), End> {
        let mut room = Zeroizing::new([0; READ_BYTES]);
        let Some(bytes) = read(&mut self.line, &mut *room).map_err(End::Line)? else { return Ok(()) };
        if bytes.is_empty() {
            return Err(End::Line(io::Error::new(io::ErrorKind::UnexpectedEof, "closed at the other end")));
        }
        self.counters.received += u64::try_from(bytes.len()).unwrap_or_default();
        self.radio.receive(bytes, self.begun.elapsed());
        self.collect()
    }

    fn write_line(&mut self) -> Result<(), End> {
        match self.line.write(&self.to_line) {
            Ok(len) => self.to_line.drop_front(len),
            Err(error) if is_later(&error) => {}
            Err(error) => return Err(End::Line(error)),
        }
        Ok(())
    }

    /// Takes what the protocol wants done.
    fn collect(&mut self) -> Result<(), End> {
        while let Some(output) = self.radio.output() {
            match output {
                Output::Line(bytes) => self.to_line.push(&Zeroizing::new(bytes)),
                Output::Report(report) => {
                    self.counters.refused += u64::from(matches!(report, Report::Refused { .. }));
                    self.outbox.push(&report);
                }
                Output::End => return Err(End::Line(io::Error::other("nobody can go on with it"))),
            }
        }
        Ok(())
    }

    /// The gateway hears why it ends, if it listens.
    fn last_words(&mut self, words: &str) {
        self.outbox.push(&Report::Trouble(Sentence::fitting(words)));
        let until = Instant::now() + LAST_WORDS;
        while self.outbox.write(&mut self.reports).is_ok() && !self.outbox.is_empty() {
            let Ok(left) = Timespec::try_from(until.saturating_duration_since(Instant::now())) else {
                return;
            };
            match poll(&mut [PollFd::new(&self.reports, PollFlags::OUT)], Some(&left)) {
                Ok(1..) => {}
                _ => return,
            }
        }
    }
}
