//! Gets frames across, each acknowledged before the next: Host API, "Frame flow".

use std::collections::VecDeque;
use std::time::Duration;

use super::frame::{Decoder, Frame, Unit, byte_of};

/// How long an acknowledgement may take: Host API, 1600 ms.
const ACK_TIMEOUT: Duration = Duration::from_millis(1600);
/// How long the bytes of one frame may take: Host API, 1500 ms.
const FRAME_TIMEOUT: Duration = Duration::from_millis(1500);
/// How often a frame is sent again: Host API, three times.
const RETRANSMISSIONS: u32 = 3;
/// Frames that wait for their turn.
pub const QUEUE_MAX: usize = 64;
/// Writes that wait for a caller who does not take them: beyond them nothing is acknowledged, and comes again.
const OUT_MAX: usize = 256;

/// What became of bytes that came, or of time that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// A frame came, and was acknowledged.
    Received(Frame),
    /// Our frame arrived.
    Delivered(Frame),
    /// Our frame was sent four times and never acknowledged.
    Lost(Frame),
    /// What came was broken, and the other end was told.
    Broken,
}

/// Too many frames wait already; nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many frames wait for the controller already")]
pub struct QueueFull;

struct InFlight {
    frame: Frame,
    /// How often it was sent.
    sent: u32,
    /// When it is sent again, or given up.
    due: Duration,
}

/// One end of the line. Time is whatever monotonic clock the caller has.
#[derive(Default)]
pub struct Link {
    decoder: Decoder,
    frame_due: Option<Duration>,
    queue: VecDeque<Frame>,
    in_flight: Option<InFlight>,
    out: VecDeque<Vec<u8>>,
}

impl Link {
    /// Takes a frame to be sent when its turn comes.
    ///
    /// # Errors
    ///
    /// [`QueueFull`].
    pub fn send(&mut self, frame: Frame, now: Duration) -> Result<(), QueueFull> {
        if self.queue.len() >= QUEUE_MAX {
            return Err(QueueFull);
        }
        self.queue.push_back(frame);
        self.start_next(now);
        Ok(())
    }

    /// Drops what waits and what is not acknowledged.
    pub fn abandon(&mut self) {
        self.queue.clear();
        self.in_flight = None;
    }

    /// Takes bytes as they come.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) -> Vec<LinkEvent> {
        let mut units = Vec::new();
        self.decoder.push(bytes, |unit| units.push(unit));
        // After a unit another frame has begun.
        let began = self.frame_due.filter(|_| units.is_empty());
        self.frame_due = self.decoder.is_in_frame().then(|| began.unwrap_or(now + FRAME_TIMEOUT));
        let events = units.into_iter().filter_map(|unit| self.unit(unit, now)).collect();
        self.start_next(now);
        events
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Duration) -> Vec<LinkEvent> {
        if self.frame_due.is_some_and(|due| due <= now) {
            self.decoder.reset();
            self.frame_due = None;
        }
        let mut events = Vec::new();
        if self.in_flight.as_ref().is_some_and(|flight| flight.due <= now) {
            events.extend(self.again(now));
        }
        self.start_next(now);
        events
    }

    /// When [`Self::tick`] is due.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.frame_due.into_iter().chain(self.in_flight.as_ref().map(|flight| flight.due)).min()
    }

    /// Bytes to be written at once, if there are any.
    pub fn output(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    fn unit(&mut self, unit: Unit, now: Duration) -> Option<LinkEvent> {
        match unit {
            Unit::Frame(frame) => {
                self.say(&Unit::Ack);
                Some(LinkEvent::Received(frame))
            }
            Unit::Broken(_) => {
                self.say(&Unit::Nak);
                Some(LinkEvent::Broken)
            }
            Unit::Ack => self.in_flight.take().map(|flight| LinkEvent::Delivered(flight.frame)),
            Unit::Nak | Unit::Can => {
                // Sent again later, not at once: the other end is busy with a frame of its own.
                if let Some(flight) = &mut self.in_flight {
                    flight.due = flight.due.min(now + backoff(flight.sent));
                }
                None
            }
            Unit::Noise(_) => None,
        }
    }

    fn again(&mut self, now: Duration) -> Option<LinkEvent> {
        let mut flight = self.in_flight.take()?;
        if flight.sent > RETRANSMISSIONS {
            return Some(LinkEvent::Lost(flight.frame));
        }
        flight.sent += 1;
        flight.due = now + ACK_TIMEOUT;
        self.out.push_back(flight.frame.to_bytes());
        self.in_flight = Some(flight);
        None
    }

    fn start_next(&mut self, now: Duration) {
        if self.in_flight.is_none()
            && let Some(frame) = self.queue.pop_front()
        {
            self.out.push_back(frame.to_bytes());
            self.in_flight = Some(InFlight { frame, sent: 1, due: now + ACK_TIMEOUT });
        }
    }

    fn say(&mut self, unit: &Unit) {
        if self.out.len() < OUT_MAX {
            self.out.extend(byte_of(unit).map(|byte| vec![byte]));
        }
    }
}

/// Host API: 100 ms, and a second more for each time that it was sent.
const fn backoff(sent: u32) -> Duration {
    Duration::from_millis(100 + 1000 * sent.saturating_sub(1) as u64)
}
