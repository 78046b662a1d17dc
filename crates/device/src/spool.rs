//! Messages that are not safe at the gateway yet, in a ring: each with the chain's state behind it, so that both are
//! durable in one step.
//!
//! ```text
//! entry = kind(1) | delivered up to(4) | chain state | id(16) | message
//! ```

use thingward_seal::writer::STATE_BYTES;
use zeroize::Zeroizing;

use crate::link::put;
use crate::store::{Flash, FlashError, HEAD_BYTES, OVERHEAD_BYTES, SPOOL_AT, Store};

/// Longest message in bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1024;
pub(crate) const PREFIX_BYTES: usize = 1 + 4 + STATE_BYTES + 16;
/// Room for an entry, sealed.
pub(crate) const ROOM_BYTES: usize = OVERHEAD_BYTES + PREFIX_BYTES + MESSAGE_BYTES_MAX;
/// Entries begin at multiples of this.
const PAGE_BYTES: usize = 64;
/// Most entries that wait.
const ENTRIES_MAX: usize = 24;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Telemetry,
    Reply,
    /// The reply of a use; the presentation is in the entry of its start.
    Use,
    /// A use that was begun: the presentation. It is not sent by itself.
    Started,
}

impl EntryKind {
    const fn code(self) -> u8 {
        match self {
            Self::Telemetry => 1,
            Self::Reply => 2,
            Self::Use => 3,
            Self::Started => 4,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Telemetry, Self::Reply, Self::Use, Self::Started].into_iter().find(|k| k.code() == code)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Item {
    pub(crate) number: u32,
    pub(crate) kind: EntryKind,
    page: u16,
    pages: u16,
}

/// An entry that was read back.
pub(crate) struct Entry<'r> {
    pub(crate) kind: EntryKind,
    pub(crate) id: [u8; 16],
    pub(crate) message: &'r [u8],
}

pub(crate) struct Spool {
    items: [Option<Item>; ENTRIES_MAX],
    delivered: u32,
    next_number: u32,
    next_page: u16,
}

impl Spool {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        Self { items: [None; ENTRIES_MAX], delivered: 0, next_number: 1, next_page: 0 }
    }

    /// At a start, finds what waits, and the newest state of the chain.
    #[inline(never)]
    pub(crate) fn load<F: Flash>(
        &mut self,
        store: &mut Store<F>,
        state: &mut [u8; STATE_BYTES],
    ) -> Result<(), FlashError> {
        let mut room = Zeroizing::new([0; ROOM_BYTES]);
        for page in 0..pages::<F>() {
            let head = store.read_head(at(page))?;
            // Most pages are the middle of an entry, or empty.
            if head.start == 0 || head.number == 0 {
                continue;
            }
            let read = store.read_piece(at(page), ROOM_BYTES - OVERHEAD_BYTES, room.as_mut())?;
            let Some((head, plain)) = read else { continue };
            store.check_before(&head)?;
            let Some((kind, delivered, chain)) = prefix(plain) else { continue };
            let item = Item { number: head.number, kind, page, pages: pages_of(plain.len()) };
            if item.number >= self.next_number {
                self.next_number = item.number.checked_add(1).ok_or(FlashError)?;
                self.next_page = page.saturating_add(item.pages);
                self.delivered = delivered;
                *state = *chain;
            }
            self.remember(item);
        }
        self.delivered(self.delivered);
        Ok(())
    }

    /// Makes a message durable with the chain's state; its number.
    #[inline(never)]
    pub(crate) fn push<F: Flash>(
        &mut self,
        store: &mut Store<F>,
        kind: EntryKind,
        id: &[u8; 16],
        state: &[u8; STATE_BYTES],
        message: &[&[u8]],
    ) -> Result<u32, PushError> {
        let mut room = Zeroizing::new([0; ROOM_BYTES]);
        let text = room.get_mut(HEAD_BYTES..).ok_or(PushError::Full)?;
        let head: [&[u8]; 4] = [&[kind.code()], &self.delivered.to_be_bytes(), state, id];
        let mut len = put(text, &head).ok_or(PushError::Full)?;
        len += put(text.get_mut(len..).unwrap_or_default(), message).ok_or(PushError::Full)?;
        if len > PREFIX_BYTES + MESSAGE_BYTES_MAX {
            return Err(PushError::Full);
        }
        let (pages, number) = (pages_of(len), self.next_number);
        let page = self.place::<F>(pages).ok_or(PushError::Full)?;
        let slot = self.items.iter().position(Option::is_none).ok_or(PushError::Full)?;
        let after = number.checked_add(1).ok_or(PushError::Full)?;
        // What failed may stand there half written: a number, and with it a nonce, is not used again.
        self.next_number = after;
        store.write_piece(at(page), number, room.as_mut(), len)?;
        if let Some(slot) = self.items.get_mut(slot) {
            *slot = Some(Item { number, kind, page, pages });
        }
        self.next_page = page.saturating_add(pages);
        Ok(number)
    }

    /// Everything up to `number` is safe elsewhere.
    pub(crate) fn delivered(&mut self, number: u32) {
        // Nobody has what was not given out.
        self.delivered = self.delivered.max(number.min(self.next_number.saturating_sub(1)));
        for slot in &mut self.items {
            if slot.is_some_and(|item| item.number <= self.delivered) {
                *slot = None;
            }
        }
    }

    /// The oldest message that waits to be sent.
    pub(crate) fn first(&self) -> Option<Item> {
        let sent = self.items.iter().flatten().filter(|item| item.kind != EntryKind::Started);
        sent.min_by_key(|item| item.number).copied()
    }

    /// Where a use was begun whose end is `number`, or has none: the newest before it.
    pub(crate) fn started(&self, number: u32) -> Option<Item> {
        let started = self.items.iter().flatten().filter(|item| item.kind == EntryKind::Started);
        started.filter(|item| item.number < number).max_by_key(|item| item.number).copied()
    }

    /// The newest answer that waits.
    pub(crate) fn last_answer(&self) -> Option<Item> {
        let is_answer = |item: &&Item| matches!(item.kind, EntryKind::Reply | EntryKind::Use);
        self.items.iter().flatten().filter(is_answer).max_by_key(|item| item.number).copied()
    }

    /// Reads an entry into `room`.
    pub(crate) fn read<'r, F: Flash>(
        store: &mut Store<F>,
        item: Item,
        room: &'r mut [u8],
    ) -> Result<Entry<'r>, FlashError> {
        let (_, plain) =
            store.read_piece(at(item.page), ROOM_BYTES - OVERHEAD_BYTES, room)?.ok_or(FlashError)?;
        let (kind, ..) = prefix(plain).ok_or(FlashError)?;
        let rest = plain.get(PREFIX_BYTES - 16..).ok_or(FlashError)?;
        let (id, message) = rest.split_first_chunk::<16>().ok_or(FlashError)?;
        Ok(Entry { kind, id: *id, message })
    }

    fn remember(&mut self, item: Item) {
        // More than fit are of former rounds: the lowest number has been delivered first.
        let slot = self.items.iter_mut().min_by_key(|slot| slot.map_or(0, |item| item.number));
        if let Some(slot) = slot.filter(|slot| slot.is_none_or(|old| old.number < item.number)) {
            *slot = Some(item);
        }
    }

    /// A place for so many pages that nothing waits in, behind the newest entry or at the front.
    fn place<F: Flash>(&self, pages: u16) -> Option<u16> {
        let all = self::pages::<F>();
        let behind = Some(self.next_page).filter(|page| page.saturating_add(pages) <= all);
        let page = behind.or(Some(0)).filter(|page| page.saturating_add(pages) <= all)?;
        let end = page.saturating_add(pages);
        let overlaps = |item: &Item| item.page < end && page < item.page.saturating_add(item.pages);
        (!self.items.iter().flatten().any(overlaps)).then_some(page)
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PushError {
    /// There is no room before something is delivered.
    Full,
    /// The memory fails.
    Memory,
}

impl From<FlashError> for PushError {
    fn from(_: FlashError) -> Self {
        Self::Memory
    }
}

fn prefix(plain: &[u8]) -> Option<(EntryKind, u32, &[u8; STATE_BYTES])> {
    let (kind, rest) = plain.split_first()?;
    let (delivered, rest) = rest.split_first_chunk::<4>()?;
    Some((EntryKind::from_code(*kind)?, u32::from_be_bytes(*delivered), rest.first_chunk()?))
}

const fn at(page: u16) -> usize {
    SPOOL_AT + page as usize * PAGE_BYTES
}

fn pages<F: Flash>() -> u16 {
    u16::try_from(F::BYTES.saturating_sub(SPOOL_AT) / PAGE_BYTES).unwrap_or(u16::MAX)
}

fn pages_of(len: usize) -> u16 {
    u16::try_from((len + OVERHEAD_BYTES).div_ceil(PAGE_BYTES)).unwrap_or(u16::MAX)
}
