//! An entry of the journal as NATS carries it: sealed, and cut into messages of a size that its servers take.
//!
//! ```text
//! message = version(1) | term(8) | index(8) | part(2) | parts(2) | piece of the sealed entry
//! ```
//!
//! Numbers are big endian. Each entry is sealed under a key of its own, made of the installation's, of term, index and number
//! of parts, and of the seal of the entry before it: it opens in its place only, and only for a copy that has the same
//! history up to there. Entries are numbered from 1 without a gap. Of a leader that ended in the middle of an entry some
//! messages may stay behind: the next leader begins the entry anew, under its own term. Nothing was released with version 1,
//! whose entries were bound to their place alone.

use bytes::{BufMut, Bytes, BytesMut};
use thingward_crypto::CryptoError;
use thingward_crypto::sealed::SealingKey;
use thingward_store::hot::{Position, Seal};
use zeroize::Zeroizing;

const VERSION: u8 = 2;
const HEAD_BYTES: usize = 1 + 8 + 8 + 2 + 2;
/// Most bytes of an entry in one message: NATS takes 1 MiB unless told otherwise, headers included.
pub const PIECE_BYTES: usize = 900 * 1024;
/// Most bytes of an entry: what a group of events and a roll of history may change.
pub const ENTRY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Why what is in the journal is no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Of another version, too short, or with numbers that contradict each other.
    #[error("message {sequence} of the journal is none of ours")]
    Malformed {
        /// Its number in the stream.
        sequence: u64,
    },
    /// It is not what follows.
    #[error("message {sequence} of the journal is not what follows: something was taken out or put in")]
    OutOfOrder {
        /// Its number in the stream.
        sequence: u64,
    },
    /// Not sealed under this installation's key, changed since, or not written behind what this copy has.
    #[error(
        "message {sequence} of the journal does not open: it is of another installation, it was changed, or this node has \
         entries that the journal has lost"
    )]
    Sealed {
        /// Its number in the stream.
        sequence: u64,
    },
    /// More than an entry may have.
    #[error("an entry of the journal has more than {ENTRY_BYTES_MAX} bytes")]
    TooLarge,
}

/// An entry as it is sent.
pub struct Messages {
    /// One behind the other.
    pub messages: Vec<Bytes>,
    /// What the next entry is bound to.
    pub seal: Seal,
}

/// Seals the entry that follows `last`, of this term, and cuts it into messages.
///
/// # Errors
///
/// [`EntryError::TooLarge`].
pub fn messages(key: &SealingKey, term: u64, last: Position, entry: &[u8]) -> Result<Messages, EntryError> {
    // Nonce and tag come to it.
    let parts = (entry.len() + 28).div_ceil(PIECE_BYTES);
    let parts = u16::try_from(parts).map_err(|_| EntryError::TooLarge)?;
    if entry.len() > ENTRY_BYTES_MAX {
        return Err(EntryError::TooLarge);
    }
    let index = last.index + 1;
    let key = own_key(key, last.seal, (term, index, parts));
    let sealed = key.and_then(|key| key.seal(b"", entry)).map_err(|_| EntryError::TooLarge)?;
    let message = |(part, piece): (u16, &[u8])| {
        let mut message = BytesMut::with_capacity(HEAD_BYTES + piece.len());
        message.put_u8(VERSION);
        message.put_u64(term);
        message.put_u64(index);
        message.put_u16(part);
        message.put_u16(parts);
        message.put_slice(piece);
        message.freeze()
    };
    // Of one size, so that the last one has the whole seal.
    let piece_bytes = sealed.len().div_ceil(usize::from(parts).max(1)).max(1);
    let messages = (0..parts).zip(sealed.chunks(piece_bytes)).map(message).collect();
    Ok(Messages { messages, seal: seal_of(&sealed) })
}

/// The key of one entry.
fn own_key(
    key: &SealingKey,
    before: Seal,
    (term, index, parts): (u64, u64, u16),
) -> Result<SealingKey, CryptoError> {
    let mut purpose = b"thingward journal 2".to_vec();
    purpose.extend_from_slice(&before);
    purpose.extend_from_slice(&term.to_be_bytes());
    purpose.extend_from_slice(&index.to_be_bytes());
    purpose.extend_from_slice(&parts.to_be_bytes());
    key.derive_sealing(&purpose)
}

/// The tag at its end, which nobody without the key can make anew.
fn seal_of(sealed: &[u8]) -> Seal {
    sealed.last_chunk().copied().unwrap_or_default()
}

/// A whole entry, and the place behind it.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// The place behind it.
    pub at: Position,
    /// What the leader appended.
    pub plain: Zeroizing<Vec<u8>>,
}

/// Puts messages together to entries again, in the order of the journal.
pub struct Assembly {
    key: SealingKey,
    last: Position,
    begun: Option<Begun>,
}

struct Begun {
    head: Head,
    sealed: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Head {
    term: u64,
    index: u64,
    part: u16,
    parts: u16,
}

impl Assembly {
    /// Goes on behind `last`.
    #[must_use]
    pub const fn new(key: SealingKey, last: Position) -> Self {
        Self { key, last, begun: None }
    }

    /// The place behind the last whole entry.
    #[must_use]
    pub const fn last(&self) -> Position {
        self.last
    }

    /// The next message, which has this number in the stream. An entry when it is the last of one.
    ///
    /// # Errors
    ///
    /// [`EntryError`]: nobody may go on behind this message.
    pub fn message(&mut self, sequence: u64, message: &[u8]) -> Result<Option<Entry>, EntryError> {
        let (head, piece) = parse(message).ok_or(EntryError::Malformed { sequence })?;
        let out_of_order = EntryError::OutOfOrder { sequence };
        if head.index != self.last.index + 1 || head.term < self.last.term {
            return Err(out_of_order);
        }
        let mut begun = match self.begun.take() {
            None if head.part == 0 => Begun { head, sealed: Vec::new() },
            Some(begun) if head.part == 0 && begun.head.term < head.term => {
                Begun { head, sealed: Vec::new() }
            }
            Some(begun) if begun.goes_on_with(head) => begun,
            _ => return Err(out_of_order),
        };
        begun.sealed.extend_from_slice(piece);
        begun.head.part = head.part;
        if head.part + 1 < head.parts {
            self.begun = Some(begun);
            return Ok(None);
        }
        let key = own_key(&self.key, self.last.seal, (head.term, head.index, head.parts));
        let opened = key.and_then(|key| key.open(b"", &begun.sealed));
        let plain = opened.map_err(|_| EntryError::Sealed { sequence })?;
        self.last = Position { sequence, index: head.index, term: head.term, seal: seal_of(&begun.sealed) };
        Ok(Some(Entry { at: self.last, plain }))
    }
}

impl Begun {
    const fn goes_on_with(&self, next: Head) -> bool {
        next.term == self.head.term && next.parts == self.head.parts && next.part == self.head.part + 1
    }
}

fn parse(message: &[u8]) -> Option<(Head, &[u8])> {
    let (&[VERSION], rest) = message.split_first_chunk::<1>()? else { return None };
    let (term, rest) = rest.split_first_chunk()?;
    let (index, rest) = rest.split_first_chunk()?;
    let (part, rest) = rest.split_first_chunk()?;
    let (parts, piece) = rest.split_first_chunk()?;
    let head = Head {
        term: u64::from_be_bytes(*term),
        index: u64::from_be_bytes(*index),
        part: u16::from_be_bytes(*part),
        parts: u16::from_be_bytes(*parts),
    };
    let is_whole = head.part < head.parts
        && usize::from(head.parts) <= ENTRY_BYTES_MAX.div_ceil(PIECE_BYTES) + 1
        && (1..=PIECE_BYTES).contains(&piece.len());
    is_whole.then_some((head, piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SealingKey {
        SealingKey::from_bytes(&[7; 32]).unwrap()
    }

    fn all(assembly: &mut Assembly, first: u64, messages: &[Bytes]) -> Result<Vec<Entry>, EntryError> {
        let taken = (first..).zip(messages).filter_map(|(at, m)| assembly.message(at, m).transpose());
        taken.collect()
    }

    /// The messages of entries that follow each other, of one term, behind a place.
    fn written(term: u64, mut last: Position, entries: &[&[u8]]) -> Vec<Bytes> {
        let mut all = Vec::new();
        for entry in entries {
            let Messages { messages, seal } = messages(&key(), term, last, entry).unwrap();
            let sequence = last.sequence + messages.len() as u64;
            last = Position { sequence, index: last.index + 1, term, seal };
            all.extend(messages);
        }
        all
    }

    #[test]
    fn entries_of_all_sizes_come_back() {
        let mut assembly = Assembly::new(key(), Position::default());
        for size in [0, 1, 1000, PIECE_BYTES - 28, PIECE_BYTES - 27, PIECE_BYTES, 3 * PIECE_BYTES] {
            let entry = vec![0x5a; size];
            let last = assembly.last();
            let Messages { messages: pieces, seal } = messages(&key(), 3, last, &entry).unwrap();
            let found = all(&mut assembly, last.sequence + 1, &pieces).unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(*found[0].plain, entry);
            assert!(
                pieces.last().unwrap()[HEAD_BYTES..].ends_with(&seal),
                "whoever reads on looks for it there"
            );
            let sequence = last.sequence + pieces.len() as u64;
            assert_eq!(found[0].at, Position { sequence, index: last.index + 1, term: 3, seal });
        }
    }

    #[test]
    fn what_a_leader_left_half_written_is_begun_anew_by_the_next() {
        let mut assembly = Assembly::new(key(), Position::default());
        let half = written(1, Position::default(), &[&vec![1; 2 * PIECE_BYTES]]);
        let whole = written(2, Position::default(), &[b"whole"]);
        let found = all(&mut assembly, 1, &[half[0].clone(), half[1].clone(), whole[0].clone()]).unwrap();
        assert_eq!((found.len(), &**found[0].plain), (1, &b"whole"[..]));
    }

    #[test]
    fn nothing_can_be_taken_out_put_in_exchanged_or_repeated() {
        let entries = written(1, Position::default(), &[&[1], &[2], &[3]]);
        let [a, b, c] = entries.as_slice() else { panic!("three messages") };
        for wrong in [vec![a, c], vec![b], vec![a, a], vec![a, b, b], vec![b, a]] {
            let mut assembly = Assembly::new(key(), Position::default());
            let messages: Vec<Bytes> = wrong.into_iter().cloned().collect();
            assert!(matches!(all(&mut assembly, 1, &messages), Err(EntryError::OutOfOrder { .. })));
        }
        let last = Position { sequence: 9, index: 2, term: 2, ..Position::default() };
        let old = written(1, last, &[b"of an older term"]);
        let mut assembly = Assembly::new(key(), last);
        assert_eq!(all(&mut assembly, 10, &old), Err(EntryError::OutOfOrder { sequence: 10 }));
    }

    #[test]
    fn a_copy_that_has_more_than_the_journal_never_goes_on_with_what_was_written_in_its_place() {
        let before = written(1, Position::default(), &[b"both", b"lost", b"lost"]);
        let mut longer = Assembly::new(key(), Position::default());
        all(&mut longer, 1, &before).unwrap();
        let mut shorter = Assembly::new(key(), Position::default());
        all(&mut shorter, 1, &before[..1]).unwrap();
        // Also under the same term, as after a restored backup.
        for term in [1, 2] {
            let anew = written(term, shorter.last(), &[b"a", b"b", b"c", b"d"]);
            let mut longer = Assembly::new(key(), longer.last());
            assert_eq!(all(&mut longer, 4, &anew[2..]), Err(EntryError::Sealed { sequence: 4 }));
            let mut shorter = Assembly::new(key(), shorter.last());
            assert_eq!(all(&mut shorter, 2, &anew).unwrap().len(), 4);
        }
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed() {
        let message = written(1, Position::default(), &[b"an entry"]).remove(0);
        for at in 0..message.len() {
            for bit in 0..8 {
                let mut changed = message.to_vec();
                changed[at] ^= 1 << bit;
                let mut assembly = Assembly::new(key(), Position::default());
                // What seems to be the beginning of a longer entry never ends.
                assert!(!matches!(assembly.message(1, &changed), Ok(Some(_))), "byte {at}, bit {bit}");
            }
        }
        for end in 0..message.len() {
            let mut assembly = Assembly::new(key(), Position::default());
            assert!(assembly.message(1, &message[..end]).is_err());
        }
        let other = SealingKey::from_bytes(&[8; 32]).unwrap();
        let mut assembly = Assembly::new(other, Position::default());
        assert_eq!(assembly.message(1, &message), Err(EntryError::Sealed { sequence: 1 }));
    }
}
