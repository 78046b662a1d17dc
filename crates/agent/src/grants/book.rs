//! What the device remembers of grants: how often each was used, where its use is, and what was taken back. One sealed
//! file, replaced whole.
//!
//! A grant is forgotten once it is over, and then the *mark* is past that: by the mark it is at least so late, whatever
//! the device's clock is set to, so that a forgotten grant does not count again.

use std::collections::BTreeMap;
use std::io;

use thingward_crypto::sealed::SealingKey;
use thingward_grant::usage::{State, Step};
use thingward_grant::{GrantId, Permitted, Refusal, Revocation, Standing};
use thingward_model::{DeviceName, Timestamp};

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

#[derive(Clone)]
struct Pages {
    mark: Timestamp,
    standing: Standing,
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
const VERSION: u8 = 2;
/// Without the course of uses.
const VERSION_BEFORE: u8 = 1;
const NEVER: i64 = i64::MAX;

impl<D: Disk> Book<D> {
    pub(super) fn open(disk: D, key: SealingKey) -> Result<Self, BookError> {
        let pages = match disk.read(FILE)? {
            Some(sealed) => {
                let plain = key.open(LABEL, &sealed).map_err(|_| BookError::Damaged)?;
                Pages::read(&plain).ok_or(BookError::Damaged)?
            }
            None => Pages { mark: Timestamp::EPOCH, standing: Standing::default(), counts: BTreeMap::new() },
        };
        Ok(Self { disk, key, pages })
    }

    /// It is at least this late.
    pub(super) const fn mark(&self) -> Timestamp {
        self.pages.mark
    }

    /// What the issuer has taken back.
    pub(super) const fn standing(&self) -> &Standing {
        &self.pages.standing
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
        pages.standing.observe(grant.epoch);
        pages.forget(now);
        let Counted { id, epoch, expires, step } = *grant;
        let count = pages.counts.entry(id).or_insert(Count { used: 0, epoch, expires, course: PAID });
        count.used = count.used.saturating_add(1);
        if let Some(after) = step.and_then(|step| count.course.now.after(step).ok()) {
            count.course = Course { now: after, before: count.course.now };
        }
        self.write(pages)
    }

    /// Takes a verified revocation in. It is durable on return.
    ///
    /// # Errors
    ///
    /// [`TakeBackError`]; nothing has changed then.
    pub(super) fn take_back(
        &mut self,
        revocation: &Revocation<'_>,
        device: &DeviceName,
    ) -> Result<(), TakeBackError> {
        let mut pages = self.pages.clone();
        pages.standing.apply(revocation, device.borrowed(), &[]).map_err(TakeBackError::Refused)?;
        if pages.standing == self.pages.standing {
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
    pub(super) epoch: u32,
    pub(crate) expires: Option<Timestamp>,
    pub(super) step: Option<Step>,
}

impl Counted {
    pub(super) const fn new(permitted: &Permitted<'_>, step: Option<Step>) -> Self {
        Self { id: permitted.grant, epoch: permitted.epoch, expires: permitted.expires, step }
    }
}

impl Count {
    fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

impl Pages {
    /// Forgets grants that are over, when there is need, and those of epochs that are over.
    fn forget(&mut self, now: Timestamp) {
        let epoch = self.standing.epoch();
        self.counts.retain(|_, count| count.epoch >= epoch);
        if self.counts.len() < GRANTS_MAX {
            return;
        }
        let over = self.counts.values().filter(|count| count.is_over(now)).filter_map(|count| count.expires);
        self.mark = over.max().unwrap_or(self.mark).max(self.mark);
        self.counts.retain(|_, count| !count.is_over(now));
    }

    fn written(&self) -> Vec<u8> {
        let mut plain = vec![VERSION];
        plain.extend_from_slice(&self.mark.as_micros().to_be_bytes());
        plain.extend_from_slice(&self.standing.epoch().to_be_bytes());
        let revoked = self.standing.revoked();
        plain.push(u8::try_from(revoked.len()).unwrap_or(u8::MAX));
        plain.extend_from_slice(revoked.as_flattened());
        for (id, count) in &self.counts {
            plain.extend_from_slice(id);
            plain.extend_from_slice(&count.used.to_be_bytes());
            plain.extend_from_slice(&count.epoch.to_be_bytes());
            plain.extend_from_slice(&count.expires.map_or(NEVER, Timestamp::as_micros).to_be_bytes());
            plain.extend_from_slice(&[count.course.now, count.course.before].map(|state| state as u8));
        }
        plain
    }

    fn read(plain: &[u8]) -> Option<Self> {
        let (&version, rest) = plain.split_first()?;
        let (mark, rest) = rest.split_first_chunk::<8>()?;
        let (epoch, rest) = rest.split_first_chunk::<4>()?;
        let (&revoked, rest) = rest.split_first()?;
        let (revoked, rest) = rest.split_at_checked(usize::from(revoked) * size_of::<GrantId>())?;
        let (revoked, []) = revoked.as_chunks() else { return None };
        let counts = match version {
            VERSION => entries(rest, |entry: &[u8; 26]| {
                let (entry, &[now, before]) = entry.split_last_chunk::<2>()?;
                let course = Course { now: state_of(now)?, before: state_of(before)? };
                read_count(entry.try_into().ok()?, course)
            }),
            VERSION_BEFORE => entries(rest, |entry: &[u8; 24]| read_count(entry, PAID)),
            _ => None,
        }?;
        let time = |bytes| Timestamp::from_micros(i64::from_be_bytes(bytes));
        let standing = Standing::restored(u32::from_be_bytes(*epoch), revoked).ok()?;
        Some(Self { mark: time(*mark), standing, counts })
    }
}

type Read = (GrantId, Count);

fn entries<const N: usize>(
    bytes: &[u8],
    read: impl Fn(&[u8; N]) -> Option<Read>,
) -> Option<BTreeMap<GrantId, Count>> {
    let (entries, []) = bytes.as_chunks::<N>() else { return None };
    entries.iter().map(read).collect()
}

/// [`State::ALL`] has them in their order.
fn state_of(number: u8) -> Option<State> {
    State::ALL.get(usize::from(number)).copied()
}

fn read_count(entry: &[u8; 24], course: Course) -> Option<Read> {
    let (id, rest) = entry.split_first_chunk()?;
    let (used, rest) = rest.split_first_chunk()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let expires = i64::from_be_bytes(*rest.first_chunk()?);
    let (used, epoch) = (u32::from_be_bytes(*used), u32::from_be_bytes(*epoch));
    let expires = (expires != NEVER).then(|| Timestamp::from_micros(expires));
    Some((*id, Count { used, epoch, expires, course }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_without_courses_is_read_as_one_of_uses_that_have_not_begun() {
        let header = [vec![0; 8], 3_u32.to_be_bytes().to_vec(), vec![0]].concat();
        let entry =
            [vec![7; 8], 2_u32.to_be_bytes().to_vec(), vec![0, 0, 0, 3], vec![0, 0, 0, 0, 0, 0, 1, 0]];
        let of = |version: u8, course: &[u8]| {
            Pages::read(&[&[version][..], &header, &entry.concat(), course].concat())
        };
        let expires = Some(Timestamp::from_micros(256));
        let count = Count { used: 2, epoch: 3, expires, course: PAID };
        let before = of(VERSION_BEFORE, &[]).unwrap();
        assert_eq!(before.counts, BTreeMap::from([([7; 8], count)]));
        let course = Course { now: State::Active, before: State::Paid };
        let now = of(VERSION, &[3, 2]).unwrap();
        assert_eq!(now.counts, BTreeMap::from([([7; 8], Count { course, ..count })]));
        assert_eq!(Pages::read(&now.written()).unwrap().counts, now.counts);
        assert!(
            (0..).zip(State::ALL).all(|(n, state)| state_of(state as u8) == Some(state) && state as u8 == n)
        );
        for (version, course) in [(0, &[3, 2][..]), (3, &[3, 2]), (VERSION, &[6, 2]), (VERSION, &[3])] {
            assert!(of(version, course).is_none(), "{version} {course:?}");
        }
    }
}
