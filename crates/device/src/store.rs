//! What a device keeps without power: sealed, each piece written whole beside the one that it takes the place of.
//!
//! ```text
//! start count, twice | member, twice | book, twice | last words, twice | spool
//! piece = start(4) number(4) length(2) ciphertext tag(16)
//! ```
//!
//! A piece is sealed with Ascon-AEAD128; its nonce is the count of starts, the piece's number and its place. A piece that
//! power left torn does not open, and the one before it still stands. The next try is at a later start, so that no nonce
//! comes twice.

use thingward_crypto::aead::TAG_BYTES;
use thingward_crypto::{AeadAlgorithm, AeadKey, CryptoError, MacKey};

/// Memory that keeps what is written without power: bytes that can be written one by one.
pub trait Flash {
    /// How many bytes there are for the device.
    const BYTES: usize;

    /// Reads what stands from `at` on.
    ///
    /// # Errors
    ///
    /// [`FlashError`].
    fn read(&mut self, at: usize, out: &mut [u8]) -> Result<(), FlashError>;

    /// Writes from `at` on. It is durable when this returns; when power goes before, any part of it may be written.
    ///
    /// # Errors
    ///
    /// [`FlashError`].
    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), FlashError>;
}

/// The memory does not do what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlashError;

impl From<CryptoError> for FlashError {
    fn from(_: CryptoError) -> Self {
        Self
    }
}

/// What stands in front of a piece.
pub(crate) const HEAD_BYTES: usize = 10;
/// What a piece takes besides its plain text.
pub(crate) const OVERHEAD_BYTES: usize = HEAD_BYTES + TAG_BYTES;

/// A piece that there is one of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    Member,
    Book,
}

impl Cell {
    /// Room for its plain text, in bytes.
    pub(crate) const fn room(self) -> usize {
        match self {
            Self::Member => 246,
            Self::Book => 598,
        }
    }

    const fn bank_bytes(self) -> usize {
        self.room() + OVERHEAD_BYTES
    }

    const fn at(self, bank: u32) -> usize {
        let (first, bank) = (STARTS_BYTES, if bank & 1 == 0 { 0 } else { self.bank_bytes() });
        match self {
            Self::Member => first + bank,
            Self::Book => first + 2 * Self::Member.bank_bytes() + bank,
        }
    }
}

const STARTS_BYTES: usize = 16;
const LAST_WORDS_AT: usize = Cell::Book.at(1) + Cell::Book.bank_bytes();
/// Room for the last words, in bytes.
pub(crate) const LAST_WORDS_BYTES: usize = 350;
/// Where the spool begins.
pub(crate) const SPOOL_AT: usize = LAST_WORDS_AT + 2 + LAST_WORDS_BYTES;
/// The least memory that a device is of use with, in bytes.
pub const LAYOUT_BYTES_MIN: usize = SPOOL_AT + 1024;

/// A piece's head.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) start: u32,
    pub(crate) number: u32,
    pub(crate) len: usize,
}

impl Head {
    fn bytes(&self) -> [u8; HEAD_BYTES] {
        let ([a, b, c, d], [e, f, g, h]) = (self.start.to_be_bytes(), self.number.to_be_bytes());
        let [high, low] = u16::try_from(self.len).unwrap_or(u16::MAX).to_be_bytes();
        [a, b, c, d, e, f, g, h, high, low]
    }

    fn read(bytes: &[u8; HEAD_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, high, low] = *bytes;
        Self {
            start: u32::from_be_bytes([a, b, c, d]),
            number: u32::from_be_bytes([e, f, g, h]),
            len: usize::from(u16::from_be_bytes([high, low])),
        }
    }
}

pub(crate) struct Store<F> {
    flash: F,
    key: Option<AeadKey>,
    start: u32,
    /// Number of the newest piece of each cell.
    newest: [u32; 2],
    /// Writes of a cell that failed since one did not.
    failed: u32,
}

impl<F: Flash> Store<F> {
    /// Counts this start, durably.
    pub(crate) fn open(mut flash: F, key: &MacKey) -> Result<Self, FlashError> {
        let mut counts = [0; STARTS_BYTES];
        flash.read(0, &mut counts)?;
        let (first, second) = counts.split_at(STARTS_BYTES / 2);
        let before = starts(first).unwrap_or(0).max(starts(second).unwrap_or(0));
        let start = before.checked_add(1).ok_or(FlashError)?;
        let at = if start & 1 == 0 { 0 } else { STARTS_BYTES / 2 };
        flash.write(at, [start, !start].map(u32::to_be_bytes).as_flattened())?;
        let [key @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = key.expose();
        let key = AeadKey::new(AeadAlgorithm::AsconAead128, key)?;
        Ok(Self { flash, key: Some(key), start, newest: [0; 2], failed: 0 })
    }

    pub(crate) const fn start(&self) -> u32 {
        self.start
    }

    /// At a start, reads the newest piece of a cell into `room`.
    pub(crate) fn load<'r>(
        &mut self,
        cell: Cell,
        room: &'r mut [u8],
    ) -> Result<Option<&'r [u8]>, FlashError> {
        let mut newest: Option<Head> = None;
        for bank in 0..2 {
            let Some((head, _)) = self.read_piece(cell.at(bank), cell.room(), room)? else { continue };
            self.check_before(&head)?;
            if newest.is_none_or(|newest| newest.number < head.number) {
                newest = Some(head);
            }
        }
        let Some(head) = newest else { return Ok(None) };
        *self.newest_mut(cell) = head.number;
        self.newest(cell, room)
    }

    /// Reads the newest piece of a cell into `room`, from whenever it is.
    pub(crate) fn newest<'r>(
        &mut self,
        cell: Cell,
        room: &'r mut [u8],
    ) -> Result<Option<&'r [u8]>, FlashError> {
        let number = *self.newest_mut(cell);
        if number == 0 {
            return Ok(None);
        }
        let (_, plain) = self.read_piece(cell.at(number), cell.room(), room)?.ok_or(FlashError)?;
        Ok(Some(plain))
    }

    /// Whether a piece that opens is from before this start, as all are then: the count of starts, which nothing seals, was
    /// not taken back.
    pub(crate) const fn check_before(&self, head: &Head) -> Result<(), FlashError> {
        if head.start < self.start { Ok(()) } else { Err(FlashError) }
    }

    /// Writes a cell anew. `room` has the plain text behind [`HEAD_BYTES`] of any kind, and as much as a tag behind it.
    pub(crate) fn save(&mut self, cell: Cell, room: &mut [u8], len: usize) -> Result<(), FlashError> {
        if len > cell.room() {
            return Err(FlashError);
        }
        // What failed may stand there half written: a number, and with it a nonce, is not used again. Two further on is
        // the same bank.
        let step = self.failed.checked_mul(2).and_then(|twice| twice.checked_add(1)).ok_or(FlashError)?;
        let number = self.newest_mut(cell).checked_add(step).ok_or(FlashError)?;
        self.failed = self.failed.saturating_add(1);
        self.write_piece(cell.at(number), number, room, len)?;
        self.failed = 0;
        *self.newest_mut(cell) = number;
        Ok(())
    }

    const fn newest_mut(&mut self, cell: Cell) -> &mut u32 {
        let [member, book] = &mut self.newest;
        match cell {
            Cell::Member => member,
            Cell::Book => book,
        }
    }

    /// Seals what stands in `room` and writes it to `at`.
    #[inline(never)]
    pub(crate) fn write_piece(
        &mut self,
        at: usize,
        number: u32,
        room: &mut [u8],
        len: usize,
    ) -> Result<(), FlashError> {
        let head = Head { start: self.start, number, len };
        let (front, rest) = room.split_first_chunk_mut::<HEAD_BYTES>().ok_or(FlashError)?;
        *front = head.bytes();
        let (text, rest) = rest.split_at_mut_checked(len).ok_or(FlashError)?;
        let key = self.key.as_ref().ok_or(FlashError)?;
        let tag = key.seal(&nonce(&head, at), front, text)?;
        rest.get_mut(..TAG_BYTES).ok_or(FlashError)?.copy_from_slice(&tag);
        let whole = room.get(..len + OVERHEAD_BYTES).ok_or(FlashError)?;
        let written = self.flash.write(at, whole);
        // Nobody but the flash shall have it: what was torn there is sealed again later.
        room.fill(0);
        written
    }

    /// The head at `at`, of whatever may stand there.
    pub(crate) fn read_head(&mut self, at: usize) -> Result<Head, FlashError> {
        let mut head = [0; HEAD_BYTES];
        self.flash.read(at, &mut head)?;
        Ok(Head::read(&head))
    }

    /// Opens the piece at `at` into `room`; `None` when there is none with at most `len_max` bytes.
    #[inline(never)]
    pub(crate) fn read_piece<'r>(
        &mut self,
        at: usize,
        len_max: usize,
        room: &'r mut [u8],
    ) -> Result<Option<(Head, &'r [u8])>, FlashError> {
        let head = self.read_head(at)?;
        let whole = head.len.saturating_add(TAG_BYTES);
        if head.len == 0 || head.len > len_max || at + HEAD_BYTES + whole > F::BYTES {
            return Ok(None);
        }
        let Some(room) = room.get_mut(..whole) else { return Ok(None) };
        self.flash.read(at + HEAD_BYTES, room)?;
        let (text, tag) = room.split_last_chunk_mut::<TAG_BYTES>().ok_or(FlashError)?;
        let key = self.key.as_ref().ok_or(FlashError)?;
        let opened = key.open(&nonce(&head, at), &head.bytes(), text, tag);
        Ok(opened.is_ok().then_some((head, &*text)))
    }

    /// Keeps what the device says when its keys are destroyed: signed, and no secret.
    pub(crate) fn keep_last_words(&mut self, words: &[u8]) -> Result<(), FlashError> {
        let words = words.get(..words.len().min(LAST_WORDS_BYTES)).ok_or(FlashError)?;
        self.flash.write(LAST_WORDS_AT + 2, words)?;
        self.flash.write(LAST_WORDS_AT, &u16::try_from(words.len()).map_err(|_| FlashError)?.to_be_bytes())
    }

    /// Reads them into `out`; their length, 0 when there are none.
    pub(crate) fn last_words(&mut self, out: &mut [u8]) -> Result<usize, FlashError> {
        let mut len = [0; 2];
        self.flash.read(LAST_WORDS_AT, &mut len)?;
        let len = usize::from(u16::from_be_bytes(len));
        if len > LAST_WORDS_BYTES {
            return Ok(0);
        }
        self.flash.read(LAST_WORDS_AT + 2, out.get_mut(..len).ok_or(FlashError)?)?;
        Ok(len)
    }

    /// Nothing can be opened or sealed from here on.
    pub(crate) fn destroy(&mut self) {
        self.key = None;
    }
}

/// A count of starts, and the same with all bits flipped.
fn starts(bytes: &[u8]) -> Option<u32> {
    let &[a, b, c, d, e, f, g, h] = bytes else { return None };
    let (count, flipped) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
    (count == !flipped).then_some(count)
}

fn nonce(head: &Head, at: usize) -> [u8; 16] {
    let place = u32::try_from(at).unwrap_or(u32::MAX);
    let [[a, b, c, d], [e, f, g, h], [i, j, k, l]] = [head.start, head.number, place].map(u32::to_be_bytes);
    [a, b, c, d, e, f, g, h, i, j, k, l, 0, 0, 0, 0]
}
