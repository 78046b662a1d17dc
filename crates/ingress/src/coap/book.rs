//! Which raw key is whose.

use std::collections::HashMap;
use std::sync::Arc;

use thingward_crypto::VerifyingKey;
use thingward_model::{Link, Principal};
use thingward_pki::LeafIdentity;

use crate::Member;

/// The x-coordinate of a key on P-256.
pub type RawKey = [u8; 32];

/// A member, and the raw key that it showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The raw key; `None` of a member that shows its certificate in each handshake.
    pub key: Option<RawKey>,
    /// Whose it is.
    pub member: Member,
    /// What the member signs with: the key of its certificate.
    pub signs: VerifyingKey,
}

impl Record {
    /// The member with this certificate, who has this raw key.
    #[must_use]
    pub fn new(key: Option<RawKey>, leaf: &LeafIdentity) -> Self {
        Self { key, member: Member::new(leaf, Link::Oscore), signs: leaf.key.clone() }
    }

    /// Whose it is.
    #[must_use]
    pub const fn who(&self) -> Principal {
        self.member.principal
    }
}

/// All whose raw keys are known. A raw key has one member, and a member one raw key.
pub(super) struct Book {
    members_max: usize,
    members: HashMap<RawKey, Arc<Record>>,
    keys: HashMap<Principal, RawKey>,
}

impl Book {
    pub(super) fn new(members_max: usize, known: Vec<Record>) -> Self {
        let mut book = Self { members_max, members: HashMap::new(), keys: HashMap::new() };
        for record in known {
            book.keep(record);
        }
        book
    }

    pub(super) fn find(&self, key: &RawKey) -> Option<Arc<Record>> {
        self.members.get(key).cloned()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.members.values()
    }

    /// Whether one more may be known, whatever it is called.
    pub(super) fn has_room(&self) -> bool {
        self.members.len() < self.members_max
    }

    /// Whether this one may be known.
    pub(super) fn has_room_for(&self, who: &Principal) -> bool {
        self.has_room() || self.keys.contains_key(who)
    }

    /// Keeps it in the place of what was known of the member, or of the key; without a key there is nothing to keep. Also gives
    /// whose the key was before.
    pub(super) fn keep(&mut self, record: Record) -> (Arc<Record>, Option<Principal>) {
        let (who, record) = (record.who(), Arc::new(record));
        let Some(key) = record.key else { return (record, None) };
        let before = self.members.insert(key, Arc::clone(&record));
        let former = before.map(|before| before.who()).filter(|before| *before != who);
        if let Some(former) = &former {
            self.keys.remove(former);
        }
        if let Some(other) = self.keys.insert(who, key).filter(|other| *other != key) {
            self.members.remove(&other);
        }
        (record, former)
    }

    /// Forgets one that is no member's any more. Another one of the same name stays.
    pub(super) fn forget(&mut self, former: &Record) -> Option<Arc<Record>> {
        let key = *self.keys.get(&former.who())?;
        self.members.get(&key).filter(|known| known.member == former.member)?;
        self.keys.remove(&former.who());
        self.members.remove(&key)
    }
}

#[cfg(test)]
mod tests {
    use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};
    use thingward_model::{Role, Timestamp};

    use super::*;

    fn who(name: &str) -> Principal {
        Principal { tenant: "acme".parse().unwrap(), role: Role::Device, name: name.parse().unwrap() }
    }

    fn record(raw: u8, name: &str) -> Record {
        let signs = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[1; 32]).unwrap();
        let member = Member {
            principal: who(name),
            serial: vec![raw],
            not_after: Timestamp::EPOCH,
            link: Link::Oscore,
        };
        Record { key: Some([raw; 32]), member, signs: signs.public_key().clone() }
    }

    #[test]
    fn a_member_has_one_key_and_a_key_one_member() {
        let known = [(1, "mill-1"), (2, "mill-2"), (3, "mill-1")];
        let mut book = Book::new(2, known.map(|(raw, name)| record(raw, name)).to_vec());
        assert_eq!(book.keep(record(2, "mill-3")).1, Some(who("mill-2")));
        assert_eq!(book.keep(record(2, "mill-3")).1, None);
        let named = |book: &Book, raw: u8| book.find(&[raw; 32]).map(|record| record.who().name.to_string());
        let all = [1, 2, 3].map(|raw| named(&book, raw));
        assert_eq!(all, [None, Some("mill-3".to_owned()), Some("mill-1".to_owned())]);
        assert!(!book.has_room() && book.has_room_for(&who("mill-1")) && !book.has_room_for(&who("mill-2")));
        assert!(book.forget(&record(9, "mill-1")).is_none(), "another certificate");
        assert_eq!(book.forget(&record(3, "mill-1")).and_then(|record| record.key), Some([3; 32]));
        assert!(book.forget(&record(3, "mill-1")).is_none() && book.has_room());
    }
}
