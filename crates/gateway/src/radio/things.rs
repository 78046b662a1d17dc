//! The things of one radio, each served as a device of its own.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use thingward_crypto::sealed::SealingKey;
use thingward_crypto::sha256;
use thingward_model::clock::now;
use thingward_model::description::ThingDescription;
use thingward_model::{DeviceName, Link};
use thingward_radio::wire::{self, Address};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use super::RadioSettings;
use super::desk::Desk;
use super::part::{Actions, Part};
use super::room::{RadioRoom, ThingRoom};
use super::roster::{self, Known};
use super::status::{StatusBoard, ThingStatus};
use super::thing::{self, Counts, Heard};
use crate::local::{self, LocalThing};
use crate::serial::{Chip, Kept, SharedDescription, SharedLink, Surroundings};

/// Most things of a radio.
pub const THINGS_MAX: usize = 512;
/// Most things that nobody let in, which are remembered until somebody does.
const CANDIDATES_MAX: usize = 64;
/// How often what is known of a thing is written at most.
const WRITTEN_EVERY: Duration = Duration::from_secs(10);
/// Hexadecimal digits that tell apart what would be called the same.
const SUFFIX_CHARS: usize = 8;

/// See the module.
pub(super) struct Things {
    settings: RadioSettings,
    around: Surroundings,
    board: StatusBoard,
    folder: PathBuf,
    key: SealingKey,
    desk: Desk,
    room: RadioRoom,
    revoked: mpsc::Sender<Address>,
    running: HashMap<Address, Running>,
    candidates: BTreeMap<Address, wire::Thing>,
}

/// A thing that is served.
struct Running {
    known: Known,
    /// Whether what is known is another than was written, and when that was.
    is_dirty: bool,
    written: Instant,
    heard: mpsc::Sender<Heard>,
    room: ThingRoom,
    description: SharedDescription,
    actions: Actions,
    ring: Arc<Notify>,
    counts: Counts,
    /// Ends with it.
    _tasks: JoinSet<()>,
}

/// Why a thing is not taken.
pub(super) type Refusal = &'static str;

impl Things {
    /// Serves those that are known.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub(super) fn open(
        settings: RadioSettings,
        around: Surroundings,
        board: StatusBoard,
        desk: Desk,
        revoked: mpsc::Sender<Address>,
    ) -> io::Result<Self> {
        let (folder, key) = (around.home.radio_dir(&settings.name), around.home.sealing_key().clone());
        let known = roster::load(&folder, &key)?;
        let (room, running, candidates) = (RadioRoom::default(), HashMap::new(), BTreeMap::new());
        let mut things =
            Self { settings, around, board, folder, key, desk, room, revoked, running, candidates };
        for known in known {
            let name = known.name;
            if let Err(error) = things.serve(known) {
                tracing::error!(thing = %name, %error, "a thing is not served");
            }
        }
        Ok(things)
    }

    /// A thing is there, or is known better. A new one is taken while things are let in.
    ///
    /// # Errors
    ///
    /// Why it is not taken.
    pub(super) async fn report(&mut self, thing: wire::Thing, is_open: bool) -> Result<(), Refusal> {
        let described = ThingDescription::parse(&thing.description).ok();
        let is_of_radio = self.settings.kind.links().contains(&thing.link);
        let described = described.filter(|_| is_of_radio).ok_or("what it is makes no sense")?;
        if let Some(running) = self.running.get_mut(&thing.address) {
            let is_other = running.take(thing, &described);
            let known = running.known.clone();
            self.show(&known, &described.title);
            if is_other {
                self.known_here(&known, described);
            }
            return Ok(());
        }
        if !is_open {
            if self.candidates.len() < CANDIDATES_MAX || self.candidates.contains_key(&thing.address) {
                self.candidates.insert(thing.address.clone(), thing);
            }
            return Err("nobody lets things of this radio in; `thingward gateway admit` does");
        }
        self.let_in(thing).await
    }

    /// Takes those that were there before somebody let things in.
    pub(super) async fn let_candidates_in(&mut self) {
        for (address, thing) in std::mem::take(&mut self.candidates) {
            if let Err(reason) = self.let_in(thing).await {
                tracing::warn!(radio = %self.settings.name, thing = %address, reason, "a thing is not taken");
            }
        }
    }

    async fn let_in(&mut self, thing: wire::Thing) -> Result<(), Refusal> {
        let wire::Thing { address, link, description } = thing;
        if self.running.len() >= THINGS_MAX && !self.make_room().await {
            return Err("the gateway has no room for more things");
        }
        let name = self.name_of(&address);
        if self.around.switchboard.find(&name).is_some() {
            return Err(
                "what it would be called is another's name; give it one in the gateway's configuration",
            );
        }
        let known = Known { address, name, link, description, is_gone: false };
        let kept = self.write(known.clone()).await.and_then(|()| self.serve(known));
        kept.map_err(|error| {
            tracing::error!(thing = %name, %error, "a thing is not served");
            "the gateway cannot keep it; its log says why"
        })
    }

    async fn write(&self, known: Known) -> io::Result<()> {
        let (folder, key) = (self.folder.clone(), self.key.clone());
        let written = tokio::task::spawn_blocking(move || known.save(&folder, &key));
        written.await.map_err(io::Error::other).flatten()
    }

    /// Writes what is known better than it was.
    pub(super) async fn write_changes(&mut self) {
        let is_due = |thing: &&mut Running| thing.is_dirty && thing.written.elapsed() >= WRITTEN_EVERY;
        let due: Vec<Known> =
            self.running.values_mut().filter(is_due).map(|thing| thing.known.clone()).collect();
        for known in due {
            let (address, written) = (known.address.clone(), self.write(known).await);
            let Some(thing) = self.running.get_mut(&address) else { continue };
            thing.written = Instant::now();
            match written {
                Ok(()) => thing.is_dirty = false,
                Err(error) => {
                    tracing::error!(thing = %address, %error, "what is known of a thing is not kept")
                }
            }
        }
    }

    /// Forgets a thing that left, with its key; whether there was one.
    async fn make_room(&mut self) -> bool {
        let gone = self.running.values().find(|thing| thing.known.is_gone);
        let Some(known) = gone.map(|thing| thing.known.clone()) else { return false };
        self.running.remove(&known.address);
        self.around.switchboard.disconnect(&known.name);
        self.around.local.gone(&known.name);
        self.board.gone(&known.name);
        let (folder, record) =
            (self.folder.join(known.name.as_str()), self.around.home.chip_path(&known.name));
        let removed = tokio::task::spawn_blocking(move || {
            let _ = std::fs::remove_file(record);
            std::fs::remove_dir_all(folder)
        });
        if let Err(error) = removed.await.map_err(io::Error::other).flatten() {
            tracing::error!(thing = %known.name, %error, "what is known of a thing that left is still there");
        }
        true
    }

    /// Has a thing be a device.
    fn serve(&mut self, known: Known) -> io::Result<()> {
        let folder = self.folder.join(known.name.as_str());
        // Nobody knows how what waits there came.
        let least = self.settings.kind.links().first().copied().unwrap_or(Link::ZwaveNone);
        let (link, ring) = (SharedLink::new(least), Arc::new(Notify::new()));
        let (actions, description, counts) =
            (Actions::default(), SharedDescription::default(), Counts::default());
        let described = ThingDescription::parse(&known.description).map_err(io::Error::other)?;
        actions.set(&described);
        description.set(Some(known.description.clone()));
        let part = Part { address: known.address.clone(), actions: actions.clone(), desk: self.desk.clone() };
        let (server, ways) =
            thing::open(&folder, self.key.clone(), part, link.clone(), Arc::clone(&ring), counts.clone())?;
        let (revoked, address) = (self.revoked.clone(), known.address.clone());
        let kept = Kept {
            name: known.name,
            ends: ways.ends,
            link,
            description: description.clone(),
            ring: Arc::clone(&ring),
            // With a full channel it is told when the service refuses it the next time.
            revoked: Box::new(move || drop(revoked.try_send(address.clone()))),
        };
        let chip = Chip::kept(kept, &self.around)?;
        self.show(&known, &described.title);
        if !known.is_gone {
            self.known_here(&known, described);
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(server.run());
        tasks.spawn(chip.keep_up());
        let running = Running {
            known: known.clone(),
            is_dirty: false,
            written: Instant::now(),
            heard: ways.heard,
            room: self.room.of_thing(),
            description,
            actions,
            ring,
            counts,
            _tasks: tasks,
        };
        self.running.insert(known.address, running);
        Ok(())
    }

    /// Lets applications on the premises have to do with it.
    fn known_here(&self, known: &Known, described: ThingDescription) {
        let (address, desk, description) = (known.address.clone(), self.desk.clone(), Arc::new(described));
        self.around.local.thing(known.name, LocalThing { address, desk, description });
    }

    fn show(&self, known: &Known, title: &str) {
        let status = ThingStatus {
            name: known.name.to_string(),
            radio: self.settings.name.to_string(),
            address: known.address.to_string(),
            link: known.link.to_string(),
            title: title.to_owned(),
            last_seen: None,
            waiting: 0,
        };
        self.board.thing(known.name, status);
    }

    /// What a thing is called upstream.
    pub(super) fn name(&self, address: &Address) -> Option<DeviceName> {
        self.running.get(address).map(|thing| thing.known.name)
    }

    /// What a new thing is called: as the settings say, or after its radio and address.
    fn name_of(&self, address: &Address) -> DeviceName {
        match self.settings.names.get(address) {
            Some(name) => *name,
            None => default_name(self.settings.name, address),
        }
    }

    /// A thing left the radio. It stays the device that it is: what it said is still on its way, and it may come back.
    pub(super) fn left(&mut self, address: &Address) {
        self.candidates.remove(address);
        if let Some(thing) = self.running.get_mut(address) {
            thing.known.is_gone = true;
            thing.is_dirty = true;
            self.board.gone(&thing.known.name);
            self.around.local.gone(&thing.known.name);
        }
    }

    /// A thing said something; whether anybody is known to have said it.
    pub(super) fn readings(&self, said: wire::Readings) -> bool {
        let time = now();
        let is_of_radio = self.settings.kind.links().contains(&said.link);
        let Some(thing) = self.running.get(&said.thing).filter(|_| is_of_radio) else { return false };
        self.board.seen(&thing.known.name, time);
        self.around.local.heard(|| local::Heard {
            thing: thing.known.name,
            link: said.link,
            time,
            readings: said.readings.clone().into(),
        });
        let heard = thing.room.take(&said.readings).map(|room| Heard {
            link: said.link,
            time,
            readings: said.readings,
            _room: Arc::new(room),
        });
        if heard.is_none_or(|heard| thing.heard.try_send(heard).is_err()) {
            thing.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    /// What found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.running.values().map(|thing| thing.counts.dropped.load(Ordering::Relaxed)).sum()
    }
}

impl Running {
    /// Takes what is known of it now; whether it is described otherwise than before, or came back.
    fn take(&mut self, thing: wire::Thing, described: &ThingDescription) -> bool {
        let wire::Thing { link, description, .. } = thing;
        let known = Known { link, description, is_gone: false, ..self.known.clone() };
        if known == self.known {
            return false;
        }
        let is_described_otherwise = known.description != self.known.description;
        if is_described_otherwise {
            self.actions.set(described);
            self.description.set(Some(known.description.clone()));
            self.ring.notify_one();
        }
        let is_back = self.known.is_gone;
        self.known = known;
        self.is_dirty = true;
        is_described_otherwise || is_back
    }
}

/// The radio's name and the address, as a name may be; where something had to be changed for that, with a part of a hash, so that
/// no two are called the same.
fn default_name(radio: DeviceName, address: &Address) -> DeviceName {
    let full = format!("{radio}-{address}");
    if let Ok(name) = full.parse() {
        return name;
    }
    let hash = base16ct::lower::encode_string(&sha256(&[full.as_bytes()]));
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let room = thingward_model::limits::NAME_BYTES_MAX - 1 - SUFFIX_CHARS;
    let text: String = full.chars().map(plain).take(room).collect();
    let suffix = hash.get(..SUFFIX_CHARS).unwrap_or_default();
    format!("{}-{suffix}", text.trim_matches('-')).parse().unwrap_or(radio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_have_names_of_their_own_whatever_their_addresses_are() {
        let name = |radio: &str, address: &str| {
            default_name(radio.parse().unwrap(), &Address::new(address).unwrap()).to_string()
        };
        assert_eq!(name("zwave-1", "c0ffee01-5"), "zwave-1-c0ffee01-5");
        let alike = ["00:12", "00-12", "AB", "ab", "", "-", "ä", &"9".repeat(48)];
        let names: std::collections::BTreeSet<String> =
            alike.iter().map(|address| name("zwave-with-a-long-name", address)).collect();
        assert_eq!(names.len(), alike.len(), "{names:?}");
    }
}
