//! A line with the coordinator at its end, one host after the other.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::{Coordinator, Ncp, Said};

/// How long an acknowledgement on the line may take.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(800);
/// What a host begins with when it resets the line, and for so long it sets it up.
const CANCEL: u8 = 0x1a;
const SET_UP: Duration = Duration::from_secs(1);

/// See the module. Bytes and the time go in, bytes come out.
pub struct Line {
    coordinator: Rc<RefCell<Coordinator>>,
    end: End,
    /// Nobody is told anything before the line was reset, and its host has set it up.
    open_at: Option<Duration>,
    out: VecDeque<Vec<u8>>,
    again_at: Duration,
}

type End = Ncp<Box<dyn FnMut(&[u8]) -> Vec<Vec<u8>>>>;

impl Line {
    /// Without a host.
    #[must_use]
    pub fn new(coordinator: Coordinator) -> Self {
        let coordinator = Rc::new(RefCell::new(coordinator));
        let end = end(&coordinator);
        Self { coordinator, end, open_at: None, out: VecDeque::new(), again_at: Duration::ZERO }
    }

    /// The coordinator, while nothing else has it.
    pub fn coordinator<T>(&self, work: impl FnOnce(&mut Coordinator) -> T) -> T {
        work(&mut self.coordinator.borrow_mut())
    }

    /// A node says something as soon as a host listens: the one of this place in the list.
    pub fn say(&mut self, at: usize, said: Said) {
        self.coordinator(|coordinator| {
            let news = coordinator.incoming(at, said);
            coordinator.news.push(news);
        });
    }

    /// Whether the host has acknowledged everything that it was told.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.out.is_empty() && self.end.is_quiet() && self.coordinator.borrow().news.is_empty()
    }

    /// Another host is at the line.
    pub fn connected(&mut self) {
        self.end = end(&self.coordinator);
        self.open_at = None;
        self.out.clear();
    }

    /// Takes what came over the line.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) {
        if bytes.contains(&CANCEL) {
            self.open_at = Some(now + SET_UP);
        }
        self.out.extend(self.end.receive(bytes));
    }

    /// Time went by.
    pub fn tick(&mut self, now: Duration) {
        let Some(open_at) = self.open_at else { return };
        if now >= self.again_at {
            self.again_at = now + ACKNOWLEDGED_WITHIN;
            self.out.extend(self.end.again());
        }
        if now >= open_at {
            let news = self.coordinator.borrow_mut().tick(now);
            self.out.extend(self.end.tell(news));
        }
    }

    /// Bytes for the host, if there are any.
    pub fn output(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }
}

fn end(coordinator: &Rc<RefCell<Coordinator>>) -> End {
    let behind = Rc::clone(coordinator);
    Ncp::new(Box::new(move |message: &[u8]| behind.borrow_mut().respond(message)))
}
