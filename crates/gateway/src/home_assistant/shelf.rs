//! What the broker is to keep, and what it has: only the difference is published.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

/// See the module. An empty payload takes a topic off the broker's shelf.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    wanted: BTreeMap<String, Bytes>,
    /// As far as it was told or has told.
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
    pub(super) fn found(&mut self, topic: String, payload: Bytes, is_wanted: bool) {
        let is_right = match self.wanted.get(&topic) {
            Some(wanted) => *wanted == payload,
            // What was said before the gateway began anew is right until the thing says something else.
            None => is_wanted,
        };
        if is_right {
            self.differing.remove(&topic);
        } else {
            self.differing.insert(topic.clone());
        }
        self.there.insert(topic, payload);
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
        shelf.found("config".to_owned(), "old".into(), true);
        shelf.found("state".to_owned(), "21.5".into(), true);
        shelf.found("gone".to_owned(), "x".into(), false);
        assert_eq!(all(&mut shelf), ["config=new", "gone="]);
        shelf.forget();
        shelf.found("config".to_owned(), "new".into(), true);
        assert_eq!(all(&mut shelf), [""; 0]);
        // It may be seen no more.
        shelf.found("state".to_owned(), "21.5".into(), true);
        shelf.retain(|topic| topic == "config");
        assert_eq!(all(&mut shelf), ["state="]);
    }
}
