//! A whole hot store as one file, for a node that begins with nothing.
//!
//! ```text
//! file  = frame …           frame = length(4, big endian) | sealed batch
//! ```
//!
//! Each batch is sealed for its place, and one without changes is the end: a file that is cut short, put together from
//! others or changed does not open.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use thingward_crypto::sealed::SealingKey;

use super::replica::position_in;
use super::{Batch, HotStore, Position, Replica, Table};
use crate::error::StoreError;

/// Bytes of keys and values in a batch, save one value that is larger.
const BATCH_BYTES: usize = 1024 * 1024;
/// Most bytes of a frame: a batch, and one value of the largest size that there is.
const FRAME_BYTES_MAX: u32 = 64 * 1024 * 1024;

fn label(number: u64) -> Vec<u8> {
    [b"thingward snapshot 1".as_slice(), &number.to_be_bytes()].concat()
}

/// Writes all that a hot store has at a moment, and gives its place in the journal. Blocks.
///
/// # Errors
///
/// What the disk says.
pub fn write_snapshot(hot: &dyn HotStore, key: &SealingKey, out: impl Write) -> Result<Position, StoreError> {
    let moment = hot.snapshot();
    let mut frames = Frames { key, out, number: 0 };
    for table in Table::ALL {
        let (mut batch, mut bytes) = (Batch::new(), 0);
        for pair in moment.scan(table, b"") {
            let (name, value) = pair?;
            bytes += name.len() + value.len();
            batch.push(table, name, Some(value));
            if bytes >= BATCH_BYTES {
                frames.write(&std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        if !batch.is_empty() {
            frames.write(&batch)?;
        }
    }
    frames.write(&Batch::new())?;
    frames.out.flush().map_err(StoreError::io("write a snapshot"))?;
    position_in(&*moment)
}

struct Frames<'a, W> {
    key: &'a SealingKey,
    out: W,
    number: u64,
}

impl<W: Write> Frames<'_, W> {
    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let too_large = StoreError::Invalid { what: "a value is too large for a snapshot" };
        let sealed = self.key.seal(&label(self.number), &batch.encode());
        let Ok(sealed) = sealed else { return Err(too_large) };
        let length = u32::try_from(sealed.len()).ok().filter(|length| *length <= FRAME_BYTES_MAX);
        let length = length.ok_or(too_large)?;
        let written = self.out.write_all(&length.to_be_bytes()).and_then(|()| self.out.write_all(&sealed));
        self.number += 1;
        written.map_err(StoreError::io("write a snapshot"))
    }
}

/// Makes `folder` a copy of what [`write_snapshot`] wrote, instead of what is there. A crash leaves what was there. Blocks.
///
/// # Errors
///
/// [`StoreError::WrongKey`] when it is of another installation or was changed, [`StoreError::Corrupt`] when it is not whole,
/// else what the disk says.
pub fn read_snapshot(folder: &Path, key: &SealingKey, mut from: impl Read) -> Result<(), StoreError> {
    let unfinished = folder.with_extension("new");
    remove(&unfinished)?;
    let replica = Replica::open(&unfinished)?;
    let mut number = 0;
    loop {
        let batch = read_frame(key, number, &mut from)?;
        if batch.is_empty() {
            break;
        }
        replica.fill(batch)?;
        number += 1;
    }
    if from.read(&mut [0]).map_err(StoreError::io("read a snapshot"))? != 0 {
        return Err(StoreError::corrupt("a snapshot"));
    }
    replica.sync()?;
    drop(replica);
    remove(folder)?;
    fs::rename(&unfinished, folder).map_err(StoreError::io("place a snapshot"))
}

fn read_frame(key: &SealingKey, number: u64, from: &mut impl Read) -> Result<Batch, StoreError> {
    let corrupt = || StoreError::corrupt("a snapshot");
    let mut length = [0; 4];
    from.read_exact(&mut length).map_err(|_| corrupt())?;
    let length = u32::from_be_bytes(length);
    if length > FRAME_BYTES_MAX {
        return Err(corrupt());
    }
    let mut sealed = Vec::new();
    let read = from.take(u64::from(length)).read_to_end(&mut sealed);
    if read.map_err(StoreError::io("read a snapshot"))? as u64 != u64::from(length) {
        return Err(corrupt());
    }
    let plain = key.open(&label(number), &sealed);
    let plain = plain.map_err(|_| StoreError::WrongKey { what: "a snapshot" })?;
    Batch::decode(&plain).ok_or_else(corrupt)
}

fn remove(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(StoreError::from_io("remove a copy", e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hot::Space;

    fn key() -> SealingKey {
        SealingKey::from_bytes(&[7; 32]).unwrap()
    }

    fn pairs(replica: &Replica) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
        let moment = replica.hot().snapshot();
        let of =
            |table| moment.scan(table, b"").map(move |pair| pair.map(|(key, value)| (table, key, value)));
        Table::ALL.into_iter().flat_map(of).collect::<Result<_, _>>().unwrap()
    }

    fn filled(folder: &Path) -> Replica {
        let replica = Replica::open(folder).unwrap();
        for index in 1..=300_u64 {
            let mut batch = Batch::new();
            for space in [Space::Sessions, Space::Log, Space::Meta] {
                batch.put(space, index.to_be_bytes(), vec![u8::try_from(index % 251).unwrap(); 5000]);
            }
            let at = Position { sequence: 2 * index, index, term: 1 };
            replica.apply(at, &batch.encode()).unwrap();
        }
        replica
    }

    #[test]
    fn a_snapshot_is_all_of_it_with_its_place() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let replica = filled(one.path());
        let mut file = Vec::new();
        let at = write_snapshot(replica.hot(), &key(), &mut file).unwrap();
        assert_eq!(at, Position { sequence: 600, index: 300, term: 1 });
        let folder = other.path().join("hot");
        drop(filled(&folder).apply(Position { sequence: 9, index: 9, term: 9 }, &Batch::new().encode()));
        read_snapshot(&folder, &key(), file.as_slice()).unwrap();
        let copy = Replica::open(&folder).unwrap();
        assert_eq!(copy.position().unwrap(), at);
        assert!(pairs(&copy) == pairs(&replica), "the copy is the original");
    }

    #[test]
    fn what_is_cut_exchanged_changed_or_of_others_leaves_what_was_there() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut file = Vec::new();
        write_snapshot(filled(one.path()).hot(), &key(), &mut file).unwrap();
        let folder = other.path().join("hot");
        let there = Replica::open(&folder).unwrap();
        there.apply(Position { sequence: 1, index: 1, term: 1 }, &Batch::new().encode()).unwrap();
        drop(there);
        let first = u32::from_be_bytes(file[..4].try_into().unwrap());
        let first = usize::try_from(first).unwrap() + 4;
        let mut wrong: Vec<Vec<u8>> =
            [0, 3, 4, first, file.len() / 2, file.len() - 1].map(|end| file[..end].to_vec()).into();
        wrong.push(file[first..].to_vec());
        wrong.push([&file[..], b"x"].concat());
        for at in [0, 4, 20, first + 5, file.len() - 1] {
            let mut changed = file.clone();
            changed[at] ^= 1;
            wrong.push(changed);
        }
        for (number, wrong) in wrong.iter().enumerate() {
            assert!(read_snapshot(&folder, &key(), wrong.as_slice()).is_err(), "{number}");
        }
        let stranger = SealingKey::from_bytes(&[8; 32]).unwrap();
        let got = read_snapshot(&folder, &stranger, file.as_slice());
        assert!(matches!(got, Err(StoreError::WrongKey { .. })));
        assert_eq!(Replica::open(&folder).unwrap().position().unwrap().index, 1);
    }
}
