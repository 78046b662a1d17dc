//! The messages of a stream that are on their way: which of them have ended, and what goes again.

use std::collections::VecDeque;

use thingward_mqtt::codec::ReasonCode;

use super::{MessageId, Stream, StreamError};
use crate::disk::Disk;

/// A stream and what is on its way of it. Ends come in any order; the stream hears of them in its own.
pub struct Outbox<D> {
    stream: Stream<D>,
    /// Messages on their way, in order, and whether they have ended.
    on_the_way: VecDeque<(MessageId, bool)>,
    /// Number of the first of them. What has an earlier one has ended, or goes again under another.
    first: u64,
    /// Whether everything was sent again over this connection because the other end did not know the chain.
    is_reopened: bool,
}

impl<D: Disk> Outbox<D> {
    /// With nothing on its way.
    #[must_use]
    pub const fn new(stream: Stream<D>) -> Self {
        Self { stream, on_the_way: VecDeque::new(), first: 0, is_reopened: false }
    }

    /// The stream.
    #[must_use]
    pub const fn stream(&self) -> &Stream<D> {
        &self.stream
    }

    /// The stream, to write to it.
    pub const fn stream_mut(&mut self) -> &mut Stream<D> {
        &mut self.stream
    }

    /// The next message, with the number that names it until it has ended; `None` when none waits.
    ///
    /// # Errors
    ///
    /// As [`Stream::next_message`].
    pub fn next_message(&mut self) -> Result<Option<(u64, Vec<u8>)>, StreamError> {
        let next = self.stream.next_message()?;
        Ok(next.map(|(id, payload)| {
            let number = self.first + self.on_the_way.len() as u64;
            self.on_the_way.push_back((id, false));
            (number, payload)
        }))
    }

    /// A message has ended. The stream hears of it once all in front of it have ended too.
    ///
    /// # Errors
    ///
    /// As [`Stream::delivered`], of the last one that could not be noted.
    pub fn ended(&mut self, number: u64) -> Result<(), StreamError> {
        let Some(at) = number.checked_sub(self.first) else { return Ok(()) };
        if let Some((_, ended)) = usize::try_from(at).ok().and_then(|at| self.on_the_way.get_mut(at)) {
            *ended = true;
        }
        let mut noted = Ok(());
        while let Some((id, true)) = self.on_the_way.front().copied() {
            self.on_the_way.pop_front();
            self.first += 1;
            noted = self.stream.delivered(id).or_else(|error| noted.and(Err(error)));
        }
        noted
    }

    /// A message was refused for good. Says whether it is to be dropped, and [`Self::ended`]: the first time on a connection
    /// that the other end takes it for no readings, it may only not know the chain, and everything goes again behind the open
    /// statement.
    pub fn is_dropped(&mut self, number: u64, reason: ReasonCode) -> bool {
        if number < self.first {
            return false;
        }
        if reason == ReasonCode::PayloadFormatInvalid && !self.is_reopened {
            self.is_reopened = true;
            self.first += self.on_the_way.len() as u64;
            self.on_the_way.clear();
            self.stream.send_all_again();
            return false;
        }
        true
    }

    /// There is a new connection, over which the chain is opened again: the other end may be as it was before.
    pub const fn connected(&mut self) {
        self.is_reopened = false;
        self.stream.send_open_again();
    }
}
