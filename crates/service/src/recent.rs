//! What was kept of a chain lately, by number and tag: whether a record that comes again was kept is known before it is durable.

use std::collections::BTreeMap;

/// Records that are remembered when they are durable, too: what is sent again is mostly among them.
const DURABLE_MAX: usize = 128;

/// Tags of a chain's latest records, and of each one that is not durable.
#[derive(Default)]
pub struct Recent(BTreeMap<u64, (Tag, u64)>);

type Tag = [u8; 16];

impl Recent {
    /// The tag of the record that was kept under this number; `None` when it is durable, or there is none.
    #[must_use]
    pub fn tag(&self, seq: u64) -> Option<&Tag> {
        self.0.get(&seq).map(|(tag, _)| tag)
    }

    /// Remembers a record that becomes durable with this group of changes.
    pub fn remember(&mut self, seq: u64, tag: Tag, group: u64) {
        self.0.insert(seq, (tag, group));
    }

    /// Forgets the first records of groups up to `durable` where there are many.
    pub fn trim(&mut self, durable: u64) {
        if self.0.len() > 2 * DURABLE_MAX {
            let mut spare = self.0.len() - DURABLE_MAX;
            self.0.retain(|_, (_, group)| {
                let goes = spare > 0 && *group <= durable;
                spare -= usize::from(goes);
                !goes
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_durable_is_known_however_much_there_is() {
        let mut recent = Recent::default();
        // A number that falls moves in front of all that are durable.
        (0..1000).for_each(|n| recent.remember(2000 - n, [0; 16], 1));
        recent.trim(0);
        assert!((1001..=2000).all(|seq| recent.tag(seq).is_some()));
        recent.remember(7, [7; 16], 2);
        recent.trim(1);
        assert_eq!((recent.0.len(), recent.tag(7)), (DURABLE_MAX, Some(&[7; 16])));
        assert!(recent.tag(2000).is_some() && recent.tag(1001).is_none());
    }
}
