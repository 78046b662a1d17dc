//! What the device remembers of grants: how often each was used, where its use is, and what was taken back. One sealed
//! file, replaced whole.
//!
//! A grant is forgotten once it is over, and then the *mark* is past that: by the mark it is at least so late, whatever
//! the device's clock is set to, so that a forgotten grant does not count again.

use std::collections::BTreeMap;
use std::io;

use thingward_crypto::sealed::SealingKey;
use thingward_grant::usage::{State, Step};
use thingward_grant::{Audience, GrantId, Permitted, Refusal, Revocation, Standing};
use thingward_model::{GroupName, Timestamp};

use crate::disk::Disk;

/// Most grants that are counted at a time.
pub(super) const GRANTS_MAX: usize = 1024;

/// What is wrong with a book.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// The disk failed. Whether the change is kept is not known before the next start.
    #[error("book of grants: {0}")]
    Disk(#[from] io::Error),
    /// The file does not open: it was changed, or the sealing key is another.
    #[error("book of grants is damaged; a grant could be used too often without it")]
    Damaged,
    /// The sealing key does not work.
    #[error("sealing key does not work")]
    Crypto,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    used: u32,
    /// The class that the grant is for; else it is for the device.
    class: Option<GroupName>,
    epoch: u32,
    expires: Option<Timestamp>,
    course: Course,
}

/// Where the use that a grant allows is. Whoever shows a grant has paid, or has another reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Course {
    now: State,
    /// Where it was before its last step, should that fail.
    before: State,
}

const PAID: Course = Course { now: State::Paid, before: State::Paid };

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pages {
    mark: Timestamp,
    standing: Standing,
    /// Those of the classes that the device is in.
    classes: BTreeMap<GroupName, Standing>,
    counts: BTreeMap<GrantId, Count>,
}

/// See the module.
pub(super) struct Book<D> {
    disk: D,
    key: SealingKey,
    pages: Pages,
}

const FILE: &str = "book";
const LABEL: &[u8] = b"grants book";
const VERSION: u8 = 3;
/// Without classes.
const VERSION_BEFORE: u8 = 2;
const NEVER: i64 = i64::MAX;

impl<D: Disk> Book<D> {
    pub(super) fn open(disk: D, key: SealingKey) -> Result<Self, BookError> {
        let pages = match disk.read(FILE)? {
            Some(sealed) => {
                let plain = key.open(LABEL, &sealed).map_err(|_| BookError::Damaged)?;
                Pages::read(&plain).ok_or(BookError::Damaged)?
            }
            None => Pages::new(Timestamp::EPOCH, Standing::default()),
        };
        Ok(Self { disk, key, pages })
    }

    /// It is at least this late.
    pub(super) const fn mark(&self) -> Timestamp {
        self.pages.mark
    }

    /// What the issuer has taken back of what it granted for the device.
    pub(super) const fn own_standing(&self) -> &Standing {
        &self.pages.standing
    }

    /// The same of a class; `None` when nothing is known of that.
    pub(super) fn class_standing(&self, class: &GroupName) -> Option<&Standing> {
        self.pages.classes.get(class)
    }

    /// Whether a grant was taken back that was permitted.
    pub(super) fn is_taken_back(&self, grant: &Counted) -> bool {
        let standing = match &grant.class {
            None => Some(self.own_standing()),
            Some(class) => self.class_standing(class),
        };
        standing.is_none_or(|s| grant.epoch < s.epoch() || s.revoked().contains(&grant.id))
    }

    /// How often a grant was used here.
    pub(super) fn used(&self, grant: &GrantId) -> u32 {
        self.pages.counts.get(grant).map_or(0, |count| count.used)
    }

    /// Whether the use of a grant can take a step where it is.
    pub(super) fn can_take(&self, grant: &GrantId, step: Step) -> bool {
        self.pages.counts.get(grant).map_or(PAID, |count| count.course).now.after(step).is_ok()
    }

    /// A step of a grant's use failed: the use is where it was before, unless another step came after it. It is durable on
    /// return.
    ///
    /// # Errors
    ///
    /// [`BookError`]; the step counts as taken then.
    pub(super) fn step_back(&mut self, grant: &GrantId, step: Step) -> Result<(), BookError> {
        let mut pages = self.pages.clone();
        let Some(Count { course, .. }) = pages.counts.get_mut(grant) else { return Ok(()) };
        if course.before.after(step) != Ok(course.now) {
            return Ok(());
        }
        course.now = course.before;
        self.write(pages)
    }

    /// Whether a grant can be counted at `now`.
    pub(super) fn has_room(&self, grant: &GrantId, now: Timestamp) -> bool {
        let counts = &self.pages.counts;
        counts.contains_key(grant) || counts.values().filter(|c| !c.is_over(now)).count() < GRANTS_MAX
    }

    /// Counts a use of a permitted grant. It is durable on return.
    ///
    /// # Errors
    ///
    /// [`BookError`]; the use MUST NOT begin.
    pub(super) fn count(&mut self, grant: &Counted, now: Timestamp) -> Result<(), BookError> {
        let mut pages = self.pages.clone();
        let Counted { id, class, epoch, expires, step } = *grant;
        pages.standing_of(class).observe(epoch);
        pages.forget(now);
        let count = pages.counts.entry(id).or_insert(Count { used: 0, class, epoch, expires, course: PAID });
        count.used = count.used.saturating_add(1);
        if let Some(after) = step.and_then(|step| count.course.now.after(step).ok()) {
            count.course = Course { now: after, before: count.course.now };
        }
        self.write(pages)
    }

    /// The device is in these classes. What was counted of others stays: it may come back to them.
    pub(super) fn is_in(&mut self, classes: impl Fn(&GroupName) -> bool) {
        self.pages.classes.retain(|class, _| classes(class));
    }

    /// Takes a verified revocation in: that of a class, or of the device itself. It is durable on return.
    ///
    /// # Errors
    ///
    /// [`TakeBackError`]; nothing has changed then.
    pub(super) fn take_back(
        &mut self,
        revocation: &Revocation<'_>,
        class: Option<GroupName>,
    ) -> Result<(), TakeBackError> {
        let mut pages = self.pages.clone();
        let standing = pages.standing_of(class);
        standing.apply(revocation, &revocation.audience).map_err(TakeBackError::Refused)?;
        if pages == self.pages {
            return Ok(());
        }
        self.write(pages).map_err(TakeBackError::Book)
    }

    fn write(&mut self, pages: Pages) -> Result<(), BookError> {
        let sealed = self.key.seal(LABEL, &pages.written()).map_err(|_| BookError::Crypto)?;
        self.disk.replace(FILE, &sealed)?;
        self.pages = pages;
        Ok(())
    }
}

/// Why a revocation has no effect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeBackError {
    /// It is not this device's to heed.
    #[error("{0}")]
    Refused(Refusal),
    /// It could not be kept.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The device is not to be had.
    #[error("the device does not answer now")]
    Away,
}

/// What of a permitted grant is needed to count it and to give it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) id: GrantId,
    pub(super) class: Option<GroupName>,
    pub(super) epoch: u32,
    pub(crate) expires: Option<Timestamp>,
    pub(super) step: Option<Step>,
}

impl Counted {
    pub(super) fn new(permitted: &Permitted<'_>, step: Option<Step>) -> Result<Self, Refusal> {
        let class = match permitted.audience {
            Audience::Device(_) => None,
            Audience::Class(name) => Some(name.as_str().parse().map_err(|_| Refusal::Malformed)?),
        };
        Ok(Self { id: permitted.grant, class, epoch: permitted.epoch, expires: permitted.expires, step })
    }
}

impl Count {
    fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

impl Pages {
    const fn new(mark: Timestamp, standing: Standing) -> Self {
        Self { mark, standing, classes: BTreeMap::new(), counts: BTreeMap::new() }
    }

    fn standing_of(&mut self, class: Option<GroupName>) -> &mut Standing {
        match class {
            None => &mut self.standing,
            Some(class) => self.classes.entry(class).or_default(),
        }
    }

    /// Forgets grants that are over, when there is need, and those of epochs that are over.
    fn forget(&mut self, now: Timestamp) {
        let Self { standing, classes, .. } = self;
        let epoch = |class: &Option<GroupName>| match class {
            None => standing.epoch(),
            Some(class) => classes.get(class).map_or(0, Standing::epoch),
        };
        self.counts.retain(|_, count| count.epoch >= epoch(&count.class));
        if self.counts.len() < GRANTS_MAX {
            return;
        }
        let over = self.counts.values().filter(|count| count.is_over(now)).filter_map(|count| count.expires);
        self.mark = over.max().unwrap_or(self.mark).max(self.mark);
        self.counts.retain(|_, count| !count.is_over(now));
    }

    /// `version mark standing classes(1)` and so many `name standing`, and to the end `count`s.
    fn written(&self) -> Vec<u8> {
        let mut plain = vec![VERSION];
        plain.extend_from_slice(&self.mark.as_micros().to_be_bytes());
        write_standing(&mut plain, &self.standing);
        plain.push(length(self.classes.len()));
        for (name, standing) in &self.classes {
            write_name(&mut plain, Some(name));
            write_standing(&mut plain, standing);
        }
        for (id, count) in &self.counts {
            plain.extend_from_slice(id);
            plain.extend_from_slice(&count.used.to_be_bytes());
            plain.extend_from_slice(&count.epoch.to_be_bytes());
            plain.extend_from_slice(&count.expires.map_or(NEVER, Timestamp::as_micros).to_be_bytes());
            plain.extend_from_slice(&[count.course.now, count.course.before].map(|state| state as u8));
            write_name(&mut plain, count.class.as_ref());
        }
        plain
    }

    fn read(plain: &[u8]) -> Option<Self> {
        let (&version, rest) = plain.split_first()?;
        let has_classes = match version {
            VERSION => true,
            VERSION_BEFORE => false,
            _ => return None,
        };
        let mut rest = Rest(rest);
        let (mark, standing) = (rest.time()?, rest.standing()?);
        let mut pages = Self::new(mark, standing);
        for _ in 0..if has_classes { rest.byte()? } else { 0 } {
            pages.classes.insert(rest.name()??, rest.standing()?);
        }
        while !rest.0.is_empty() {
            let (id, used, epoch) = (rest.take()?, rest.number()?, rest.number()?);
            let expires = Some(rest.time()?).filter(|end| end.as_micros() != NEVER);
            let course = Course { now: state_of(rest.byte()?)?, before: state_of(rest.byte()?)? };
            let class = if has_classes { rest.name()? } else { None };
            pages.counts.insert(id, Count { used, class, epoch, expires, course });
        }
        Some(pages)
    }
}

/// The name of a class in at most 63 bytes, behind its length; none has the length 0.
fn write_name(plain: &mut Vec<u8>, name: Option<&GroupName>) {
    let name = name.map_or("", |name| name.as_str());
    plain.push(length(name.len()));
    plain.extend_from_slice(name.as_bytes());
}

/// `epoch(4) revoked(1)`, and so many ids.
fn write_standing(plain: &mut Vec<u8>, standing: &Standing) {
    plain.extend_from_slice(&standing.epoch().to_be_bytes());
    plain.push(length(standing.revoked().len()));
    plain.extend_from_slice(standing.revoked().as_flattened());
}

/// None of what is written is that long.
fn length(len: usize) -> u8 {
    u8::try_from(len).unwrap_or(u8::MAX)
}

/// What was not read yet.
struct Rest<'p>(&'p [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn bytes(&mut self, len: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn time(&mut self) -> Option<Timestamp> {
        self.take().map(|bytes| Timestamp::from_micros(i64::from_be_bytes(bytes)))
    }

    fn name(&mut self) -> Option<Option<GroupName>> {
        let len = self.byte()?;
        let text = std::str::from_utf8(self.bytes(usize::from(len))?).ok()?;
        if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
    }

    fn standing(&mut self) -> Option<Standing> {
        let (epoch, revoked) = (self.number()?, self.byte()?);
        let (ids, []) = self.bytes(usize::from(revoked) * size_of::<GrantId>())?.as_chunks() else {
            return None;
        };
        Standing::restored(epoch, ids).ok()
    }
}

/// [`State::ALL`] has them in their order.
fn state_of(number: u8) -> Option<State> {
    State::ALL.get(usize::from(number)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> Pages {
        let standing = |epoch, ids: &[GrantId]| Standing::restored(epoch, ids).unwrap();
        let course = Course { now: State::Active, before: State::Paid };
        let expires = Some(Timestamp::from_micros(256));
        let own = Count { used: 2, class: None, epoch: 3, expires, course };
        let meters: GroupName = "meters".parse().unwrap();
        let of_class = Count { class: Some(meters), expires: None, ..own };
        let left = Count { class: Some("left".parse().unwrap()), ..own };
        Pages {
            mark: Timestamp::from_micros(7),
            standing: standing(3, &[[1; 8]]),
            classes: [
                (meters, standing(9, &[[2; 8], [3; 8]])),
                ("none".parse().unwrap(), Standing::default()),
            ]
            .into(),
            counts: [([7; 8], own), ([8; 8], of_class), ([9; 8], left)].into(),
        }
    }

    #[test]
    fn a_book_comes_back_as_it_was_and_not_from_a_part_of_it() {
        let written = pages().written();
        assert_eq!(Pages::read(&written), Some(pages()));
        let read = |len: usize| Pages::read(&written[..len]);
        // Behind the last class and behind each count it is whole.
        let whole = (0..written.len()).filter(|len| read(*len).is_some()).count();
        assert_eq!(whole, pages().counts.len());
        assert_eq!(Pages::read(&[&[VERSION + 1], &written[1..]].concat()), None);
        assert!(
            (0..).zip(State::ALL).all(|(n, state)| state_of(state as u8) == Some(state) && state as u8 == n)
        );
    }

    #[test]
    fn a_book_without_classes_is_read_as_one_of_a_device_in_none() {
        let header = [&[VERSION_BEFORE][..], &[0; 8], &3_u32.to_be_bytes(), &[0]].concat();
        let entry = [&[7; 8][..], &[0, 0, 0, 2], &[0, 0, 0, 3], &256_i64.to_be_bytes(), &[3, 2]].concat();
        let before = Pages::read(&[header, entry].concat()).unwrap();
        assert_eq!((before.standing.epoch(), before.classes.len()), (3, 0));
        assert_eq!(before.counts, [([7; 8], pages().counts[&[7; 8]])].into());
    }
}
