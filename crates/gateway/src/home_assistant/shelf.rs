//! What the broker is to keep, and what it has: only the difference is published.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

/// Most topics that a broker may say that it has.
const FOUND_MAX: usize = 16 * 1024;

/// See the module. An empty payload takes a topic off the broker's shelf.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    wanted: BTreeMap<String, Bytes>,
    /// As far as it was told or has told; empty where it is something else.
    there: BTreeMap<String, Bytes>,
    /// What differs, as far as is known.
    differing: BTreeSet<String>,
}

impl Shelf {
    /// This is to be there.
    pub(super) fn put(&mut self, topic: String, payload: Bytes) {
        if self.there.get(&topic) == Some(&payload) {
            self.differing.remove(&topic);
        } else {
            self.differing.insert(topic.clone());
        }
        self.wanted.insert(topic, payload);
    }

    /// Of all that is wanted, only what `is_wanted` says is still to be there.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(&str) -> bool) {
        self.wanted.retain(|topic, _| is_wanted(topic));
        let unwanted =
            self.there.keys().filter(|topic| !self.wanted.contains_key(*topic) && !is_wanted(topic));
        self.differing.extend(unwanted.cloned());
        self.differing.retain(|topic| self.wanted.contains_key(topic) || self.there.contains_key(topic));
    }

    /// The broker says that it has this.
    pub(super) fn found(&mut self, topic: String, payload: &Bytes, is_wanted: bool) {
        // Anybody may have put it there.
        if self.there.len() >= FOUND_MAX && !self.there.contains_key(&topic) {
            return;
        }
        let (is_right, known) = match self.wanted.get(&topic) {
            Some(wanted) if wanted == payload => (true, wanted.clone()),
            Some(_) => (false, Bytes::new()),
            // What was said before the gateway began anew is right until the thing says something else.
            None => (is_wanted, Bytes::new()),
        };
        if is_right {
            self.differing.remove(&topic);
        } else {
            self.differing.insert(topic.clone());
        }
        self.there.insert(topic, known);
    }

    /// There is another connection, and nobody knows what the broker has.
    pub(super) fn forget(&mut self) {
        self.there.clear();
        self.differing = self.wanted.keys().cloned().collect();
    }

    /// The next one to publish.
    pub(super) fn next(&mut self) -> Option<(String, Bytes)> {
        let topic = self.differing.first()?.clone();
        Some((topic.clone(), self.wanted.get(&topic).cloned().unwrap_or_default()))
    }

    /// It was published.
    pub(super) fn published(&mut self, topic: &str, payload: Bytes) {
        self.differing.remove(topic);
        if payload.is_empty() {
            self.there.remove(topic);
        } else {
            self.there.insert(topic.to_owned(), payload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(shelf: &mut Shelf) -> Vec<String> {
        let mut said = Vec::new();
        while let Some((topic, payload)) = shelf.next() {
            said.push(format!("{topic}={}", String::from_utf8_lossy(&payload)));
            shelf.published(&topic, payload);
        }
        said
    }

    #[test]
    fn only_what_is_another_is_said_and_what_is_not_wanted_any_more_is_taken_off() {
        let mut shelf = Shelf::default();
        shelf.put("a".to_owned(), "1".into());
        shelf.put("b".to_owned(), "1".into());
        assert_eq!(all(&mut shelf), ["a=1", "b=1"]);
        shelf.put("a".to_owned(), "1".into());
        shelf.put("b".to_owned(), "2".into());
        assert_eq!(all(&mut shelf), ["b=2"]);
        shelf.retain(|topic| topic == "a");
        assert_eq!(all(&mut shelf), ["b="]);
        assert_eq!(all(&mut shelf), [""; 0]);
    }

    #[test]
    fn what_a_broker_has_from_before_stays_where_it_is_right_and_goes_where_it_is_nobodys() {
        let mut shelf = Shelf::default();
        shelf.put("config".to_owned(), "new".into());
        shelf.forget();
        let found = |shelf: &mut Shelf, topic: &str, payload: &'static str, is_wanted| {
            shelf.found(topic.to_owned(), &payload.into(), is_wanted);
        };
        found(&mut shelf, "config", "old", true);
        found(&mut shelf, "state", "21.5", true);
        found(&mut shelf, "gone", "x", false);
        assert_eq!(all(&mut shelf), ["config=new", "gone="]);
        shelf.forget();
        found(&mut shelf, "config", "new", true);
        assert_eq!(all(&mut shelf), [""; 0]);
        // It may be seen no more.
        found(&mut shelf, "state", "21.5", true);
        shelf.retain(|topic| topic == "config");
        assert_eq!(all(&mut shelf), ["state="]);
    }

    #[test]
    fn a_broker_that_has_things_without_end_takes_no_memory_without_end() {
        let mut shelf = Shelf::default();
        for n in 0..FOUND_MAX + 10 {
            shelf.found(n.to_string(), &"x".into(), false);
        }
        assert_eq!((shelf.there.len(), shelf.differing.len()), (FOUND_MAX, FOUND_MAX));
    }
}
