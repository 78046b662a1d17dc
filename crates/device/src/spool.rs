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
/// Longest reply that a device gives, in bytes: that something failed, and why.
pub(crate) const ANSWER_BYTES_MAX: usize = 150 + FAILURE_BYTES_MAX;
/// How much of what a thing says of its failure is told, in bytes.
pub(crate) const FAILURE_BYTES_MAX: usize = 64;

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

    /// Pages that have to be left behind it, for the answer to whatever is begun next.
    const fn reserve(self) -> u16 {
        match self {
            Self::Telemetry | Self::Started => pages_of(PREFIX_BYTES + ANSWER_BYTES_MAX),
            Self::Reply | Self::Use => 0,
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
    pub(crate) id: [u8; 16],
    pub(crate) message: &'r [u8],
}

pub(crate) struct Spool {
    items: [Option<Item>; ENTRIES_MAX],
    delivered: u32,
    /// The newest that was given out since the start.
    given_out: u32,
    next_number: u32,
    /// The newest entry, whole: from here up to the next page. It holds the chain, and stays until another one is whole.
    newest_page: u16,
    next_page: u16,
}

impl Spool {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        Self {
            items: [None; ENTRIES_MAX],
            delivered: 0,
            given_out: 0,
            next_number: 1,
            newest_page: 0,
            next_page: 0,
        }
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
                (self.newest_page, self.next_page) = (page, page.saturating_add(item.pages));
                self.delivered = delivered;
                *state = *chain;
            }
            self.remember(item);
        }
        self.delivered(self.delivered);
        Ok(())
    }

    /// Makes a message durable with the chain's state.
    #[inline(never)]
    pub(crate) fn push<F: Flash>(
        &mut self,
        store: &mut Store<F>,
        kind: EntryKind,
        id: &[u8; 16],
        state: &[u8; STATE_BYTES],
        message: &[&[u8]],
    ) -> Result<(), PushError> {
        let mut room = Zeroizing::new([0; ROOM_BYTES]);
        let text = room.get_mut(HEAD_BYTES..).ok_or(PushError::Full)?;
        let head: [&[u8]; 4] = [&[kind.code()], &self.delivered.to_be_bytes(), state, id];
        let mut len = put(text, &head).ok_or(PushError::Full)?;
        len += put(text.get_mut(len..).unwrap_or_default(), message).ok_or(PushError::Full)?;
        if len > PREFIX_BYTES + MESSAGE_BYTES_MAX {
            return Err(PushError::Full);
        }
        let (pages, number) = (pages_of(len), self.next_number);
        let page = self.place::<F>(kind, pages).ok_or(PushError::Full)?;
        let slot = self.items.iter().position(Option::is_none).ok_or(PushError::Full)?;
        let after = number.checked_add(1).ok_or(PushError::Full)?;
        // What failed may stand there half written: a number, and with it a nonce, is not used again.
        self.next_number = after;
        store.write_piece(at(page), number, room.as_mut(), len)?;
        if let Some(slot) = self.items.get_mut(slot) {
            *slot = Some(Item { number, kind, page, pages });
        }
        (self.newest_page, self.next_page) = (page, page.saturating_add(pages));
        Ok(())
    }

    /// Sees to it that a message of so many bytes is taken now. Where nothing waits and only the newest entry is in the way, the
    /// chain's state, which it holds, moves to the end of the memory.
    #[inline(never)]
    pub(crate) fn make_room<F: Flash>(
        &mut self,
        store: &mut Store<F>,
        kind: EntryKind,
        len: usize,
        state: &[u8; STATE_BYTES],
    ) -> Result<(), PushError> {
        let pages = pages_of(PREFIX_BYTES + len);
        if self.place::<F>(kind, pages).is_none() && self.items.iter().all(Option::is_none) {
            let end = self::pages::<F>().saturating_sub(pages_of(PREFIX_BYTES));
            self.next_page = self.next_page.max(end);
            self.push(store, EntryKind::Started, &[0; 16], state, &[])?;
            self.delivered(u32::MAX);
        }
        self.place::<F>(kind, pages).map(drop).ok_or(PushError::Full)
    }

    /// This one was given out: the oldest that waits to be sent.
    pub(crate) const fn gave_out(&mut self, item: Item) {
        self.given_out = item.number;
    }

    /// The gateway says that everything up to `number` is safe. It may lie: nobody has what was not given out. What waits before
    /// the newest that was is the beginning of a use, which goes with its end.
    pub(crate) fn acknowledged(&mut self, number: u32) {
        if number >= self.given_out {
            self.delivered(self.given_out);
        }
    }

    /// Everything up to `number` needs no more sending.
    pub(crate) fn delivered(&mut self, number: u32) {
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
    #[inline(never)]
    pub(crate) fn read<'r, F: Flash>(
        store: &mut Store<F>,
        item: Item,
        room: &'r mut [u8],
    ) -> Result<Entry<'r>, FlashError> {
        let (_, plain) =
            store.read_piece(at(item.page), ROOM_BYTES - OVERHEAD_BYTES, room)?.ok_or(FlashError)?;
        let rest = plain.get(PREFIX_BYTES - 16..).ok_or(FlashError)?;
        let (id, message) = rest.split_first_chunk::<16>().ok_or(FlashError)?;
        Ok(Entry { id: *id, message })
    }

    fn remember(&mut self, item: Item) {
        // More than fit are of former rounds: the lowest number has been delivered first.
        let slot = self.items.iter_mut().min_by_key(|slot| slot.map_or(0, |item| item.number));
        if let Some(slot) = slot.filter(|slot| slot.is_none_or(|old| old.number < item.number)) {
            *slot = Some(item);
        }
    }

    /// A place for so many pages that nothing waits in, behind the newest entry or at the front, so that what has to be left
    /// is left. The newest is not written over; what is left behind this one may be where it was.
    #[inline(never)]
    fn place<F: Flash>(&self, kind: EntryKind, pages: u16) -> Option<u16> {
        let reserve = kind.reserve();
        let slots = self.items.iter().filter(|slot| slot.is_none()).count();
        if slots <= usize::from(reserve > 0) {
            return None;
        }
        let suits = |page: u16| {
            let end = page.saturating_add(pages);
            let is_left = self.is_free::<F>(end, reserve) || page >= reserve && self.is_free::<F>(0, reserve);
            let keeps_newest = end <= self.newest_page || page >= self.next_page;
            keeps_newest && is_left && self.is_free::<F>(page, pages)
        };
        if suits(self.next_page) { Some(self.next_page) } else { suits(0).then_some(0) }
    }

    /// Whether there are so many pages from `page` on, and nothing waits in them.
    #[inline(never)]
    fn is_free<F: Flash>(&self, page: u16, pages: u16) -> bool {
        let end = page.saturating_add(pages);
        let overlaps = |item: &Item| item.page < end && page < item.page.saturating_add(item.pages);
        end <= self::pages::<F>() && !self.items.iter().flatten().any(overlaps)
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

#[expect(
    clippy::cast_possible_truncation,
    reason = "what is longer than memory is longer than its pages, too"
)]
const fn pages_of(len: usize) -> u16 {
    let pages = (len + OVERHEAD_BYTES).div_ceil(PAGE_BYTES);
    if pages > u16::MAX as usize { u16::MAX } else { pages as u16 }
}

#[cfg(test)]
mod tests {
    use thingward_crypto::MacKey;

    use super::*;

    /// Memory for so many pages, which nobody asks for what it holds.
    struct Pages<const PAGES: usize>;

    impl<const PAGES: usize> Flash for Pages<PAGES> {
        const BYTES: usize = SPOOL_AT + PAGES * PAGE_BYTES;

        fn read(&mut self, _: usize, _: &mut [u8]) -> Result<(), FlashError> {
            Err(FlashError)
        }

        fn write(&mut self, _: usize, _: &[u8]) -> Result<(), FlashError> {
            Err(FlashError)
        }
    }

    /// Where entries wait, the newest last: from which page on, and how many pages.
    fn waiting(next_page: u16, places: &[(u16, u16)]) -> Spool {
        let newest_page = places.last().map_or(next_page, |(page, _)| *page);
        let mut spool = Spool { newest_page, next_page, ..Spool::new() };
        for ((slot, (page, pages)), number) in spool.items.iter_mut().zip(places).zip(1..) {
            *slot = Some(Item { number, kind: EntryKind::Telemetry, page: *page, pages: *pages });
        }
        spool
    }

    #[test]
    fn what_is_begun_leaves_room_for_its_answer_behind_it_or_at_the_front() {
        assert_eq!(EntryKind::Started.reserve(), 6);
        for (next_page, places, reading, answer) in [
            (0, &[][..], Some(0), Some(0)),
            (14, &[], Some(14), Some(14)),
            (19, &[], Some(19), Some(19)),
            // The answer at the front, and both.
            (20, &[(8, 12)], Some(20), Some(20)),
            (26, &[(10, 16)], Some(0), Some(0)),
            (26, &[(9, 17)], None, Some(0)),
            (20, &[(5, 15)], None, Some(20)),
            // Between the newest and the oldest.
            (2, &[(12, 17), (0, 2)], Some(2), Some(2)),
            (3, &[(12, 17), (0, 3)], None, Some(3)),
            (9, &[(12, 17), (0, 9)], None, None),
        ] {
            let spool = waiting(next_page, places);
            let place = |kind, pages| spool.place::<Pages<29>>(kind, pages);
            assert_eq!(place(EntryKind::Telemetry, 4), reading, "{next_page} {places:?}");
            assert_eq!(place(EntryKind::Reply, 4), answer, "{next_page} {places:?}");
        }
    }

    /// Memory for 29 pages, as with 4 KB.
    struct Memory([u8; Self::BYTES]);

    impl Flash for Memory {
        const BYTES: usize = Pages::<29>::BYTES;

        fn read(&mut self, at: usize, out: &mut [u8]) -> Result<(), FlashError> {
            out.copy_from_slice(&self.0[at..at + out.len()]);
            Ok(())
        }

        fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), FlashError> {
            self.0[at..at + bytes.len()].copy_from_slice(bytes);
            Ok(())
        }
    }

    #[test]
    fn wherever_the_newest_entry_stands_one_of_any_length_has_room_beside_it_when_nothing_waits() {
        use EntryKind::{Reply, Started, Telemetry};
        let key = MacKey::new(&[7; 32]);
        for (newest_page, newest_pages) in (0..29).flat_map(|page| (3..=19).map(move |pages| (page, pages))) {
            let next_page = newest_page + newest_pages;
            for (kind, len) in [(Reply, ANSWER_BYTES_MAX), (Telemetry, 640), (Started, 640), (Started, 1024)]
            {
                if next_page > 29 {
                    continue;
                }
                let mut store = Store::open(Memory([0xff; Memory::BYTES]), &key).unwrap();
                let mut spool = Spool { newest_page, next_page, next_number: 9, ..Spool::new() };
                let (id, state) = ([1; 16], [2; STATE_BYTES]);
                spool.make_room(&mut store, kind, len, &state).unwrap();
                let moved = spool.next_number > 9;
                let kept =
                    if moved { (spool.newest_page, spool.next_page) } else { (newest_page, next_page) };
                let message = [3; MESSAGE_BYTES_MAX];
                spool.push(&mut store, kind, &id, &state, &[&message[..len]]).unwrap();
                assert!(spool.next_page <= kept.0 || spool.newest_page >= kept.1);
                assert!(!moved || kept.1 <= newest_page || kept.0 >= next_page);
                if kind != Reply {
                    spool.push(&mut store, Reply, &id, &state, &[&message[..ANSWER_BYTES_MAX]]).unwrap();
                }
            }
        }
    }

    #[test]
    fn the_last_entry_is_for_an_answer() {
        let places: std::vec::Vec<_> = (0..23).map(|page| (page, 1)).collect();
        let spool = waiting(23, &places);
        assert_eq!(spool.place::<Pages<900>>(EntryKind::Telemetry, 1), None);
        assert_eq!(spool.place::<Pages<900>>(EntryKind::Reply, 1), Some(23));
    }
}
