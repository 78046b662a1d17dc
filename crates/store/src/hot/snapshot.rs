//! A whole hot store as one file, for a node that begins with nothing.
//!
//! ```text
//! file  = frame …           frame = length(4, big endian) | sealed batch
//! ```
//!
//! Each snapshot is sealed under a key of its own, made of the installation's and of the place in the journal that it is of;
//! each batch is sealed for its place in the file, and one without changes is the end: a file that is cut short, put together
//! from others, of another place or changed does not open. Nothing was released with version 1, which all snapshots had one
//! key in.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use thingward_crypto::sealed::{SealingKey, sync_parent};

use super::replica::position_in;
use super::{Batch, HotStore, Position, Replica, Table};
use crate::error::StoreError;

/// Bytes of keys and values in a batch, save one value that is larger.
const BATCH_BYTES: usize = 1024 * 1024;
/// Most bytes of a frame: a batch, and one value of the largest size that there is.
const FRAME_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// The key of the snapshot of one place.
fn own_key(key: &SealingKey, at: Position) -> Result<SealingKey, StoreError> {
    let own = key.derive_sealing(&[b"thingward snapshot 2".as_slice(), &at.encode()].concat());
    own.map_err(|_| StoreError::Invalid { what: "no key for a snapshot" })
}

/// Writes all that a hot store has at a moment, and gives its place in the journal. Blocks.
///
/// # Errors
///
/// What the disk says.
pub fn write_snapshot(hot: &dyn HotStore, key: &SealingKey, out: impl Write) -> Result<Position, StoreError> {
    let moment = hot.snapshot();
    let at = position_in(&*moment)?;
    let mut frames = Frames { key: own_key(key, at)?, out, number: 0 };
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
    Ok(at)
}

struct Frames<W> {
    key: SealingKey,
    out: W,
    number: u64,
}

impl<W: Write> Frames<W> {
    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let too_large = StoreError::Invalid { what: "a value is too large for a snapshot" };
        let sealed = self.key.seal(&self.number.to_be_bytes(), &batch.encode());
        let Ok(sealed) = sealed else { return Err(too_large) };
        let length = u32::try_from(sealed.len()).ok().filter(|length| *length <= FRAME_BYTES_MAX);
        let length = length.ok_or(too_large)?;
        let written = self.out.write_all(&length.to_be_bytes()).and_then(|()| self.out.write_all(&sealed));
        self.number += 1;
        written.map_err(StoreError::io("write a snapshot"))
    }
}

/// Makes `folder` a copy of what [`write_snapshot`] wrote for this place, instead of what is there. A crash leaves what was
/// there, or nothing. Blocks.
///
/// # Errors
///
/// [`StoreError::WrongKey`] when it is of another installation, of another place or was changed, [`StoreError::Corrupt`] when
/// it is not whole, else what the disk says.
pub fn read_snapshot(
    folder: &Path,
    key: &SealingKey,
    at: Position,
    mut from: impl Read,
) -> Result<(), StoreError> {
    let key = own_key(key, at)?;
    let [unfinished, aside] = ["new", "old"].map(|ending| folder.with_extension(ending));
    remove(&unfinished)?;
    remove(&aside)?;
    let replica = Replica::open(&unfinished)?;
    let mut number = 0;
    loop {
        let batch = read_frame(&key, number, &mut from)?;
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
    // In one step each, since what is half removed does not open.
    let placed = match fs::rename(folder, &aside) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => fs::rename(&unfinished, folder).and_then(|()| sync_parent(folder)),
    };
    placed.map_err(StoreError::io("place a snapshot"))?;
    remove(&aside)
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
    let plain = key.open(&number.to_be_bytes(), &sealed);
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

    fn frames(mut file: &[u8]) -> Vec<&[u8]> {
        let mut frames = Vec::new();
        while let Some(length) = file.first_chunk() {
            let end = usize::try_from(u32::from_be_bytes(*length)).unwrap() + 4;
            let (frame, rest) = file.split_at(end);
            frames.push(frame);
            file = rest;
        }
        frames
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
            replica.apply(at(index), &batch.encode()).unwrap();
        }
        replica
    }

    fn at(index: u64) -> Position {
        Position { sequence: 2 * index, index, term: 1, seal: [9; 16] }
    }

    #[test]
    fn a_snapshot_is_all_of_it_with_its_place() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let replica = filled(one.path());
        let mut file = Vec::new();
        assert_eq!(write_snapshot(replica.hot(), &key(), &mut file).unwrap(), at(300));
        let folder = other.path().join("hot");
        drop(filled(&folder).apply(at(9), &Batch::new().encode()));
        read_snapshot(&folder, &key(), at(300), file.as_slice()).unwrap();
        let copy = Replica::open(&folder).unwrap();
        assert_eq!(copy.position().unwrap(), at(300));
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1, "nothing else is left");
        assert!(pairs(&copy) == pairs(&replica), "the copy is the original");
    }

    #[test]
    fn what_is_cut_exchanged_changed_or_of_others_leaves_what_was_there() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut file = Vec::new();
        let replica = filled(one.path());
        write_snapshot(replica.hot(), &key(), &mut file).unwrap();
        let folder = other.path().join("hot");
        let there = Replica::open(&folder).unwrap();
        there.apply(at(1), &Batch::new().encode()).unwrap();
        drop(there);
        let first = frames(&file)[0].len();
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
            assert!(read_snapshot(&folder, &key(), at(300), wrong.as_slice()).is_err(), "{number}");
        }
        // Of two snapshots of one installation each frame is in its own file only.
        let earlier = std::mem::take(&mut file);
        replica.apply(at(301), &Batch::new().encode()).unwrap();
        write_snapshot(replica.hot(), &key(), &mut file).unwrap();
        let (old, new) = (frames(&earlier), frames(&file));
        assert_eq!(old.len(), new.len());
        for (number, frame) in old.iter().enumerate() {
            let mut mixed = new.clone();
            mixed[number] = frame;
            let got = read_snapshot(&folder, &key(), at(301), mixed.concat().as_slice());
            assert!(matches!(got, Err(StoreError::WrongKey { .. })), "frame {number}");
        }
        assert!(read_snapshot(&folder, &key(), at(301), earlier.as_slice()).is_err(), "an old one");
        let stranger = SealingKey::from_bytes(&[8; 32]).unwrap();
        let got = read_snapshot(&folder, &stranger, at(301), file.as_slice());
        assert!(matches!(got, Err(StoreError::WrongKey { .. })));
        assert_eq!(Replica::open(&folder).unwrap().position().unwrap().index, 1);
    }
}
