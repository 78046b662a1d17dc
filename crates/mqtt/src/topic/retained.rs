//! Values by topic name, found by the filters that match them.

use std::collections::BTreeMap;

use crate::topic::trie::first_level;
use crate::topic::{TopicFilter, TopicName};

/// At most one `V` for each topic name.
#[derive(Debug)]
pub struct TopicMap<V> {
    root: Node<V>,
}

#[derive(Debug)]
struct Node<V> {
    children: BTreeMap<Box<[u8]>, Node<V>>,
    value: Option<V>,
}

impl<V> TopicMap<V> {
    /// A map without values.
    #[must_use]
    pub const fn new() -> Self {
        Self { root: Node::new() }
    }

    /// The value of `topic`.
    #[must_use]
    pub fn get(&self, topic: &TopicName) -> Option<&V> {
        let mut node = &self.root;
        for level in topic.as_bytes().split(|b| *b == b'/') {
            node = node.children.get(level)?;
        }
        node.value.as_ref()
    }

    /// Sets the value of `topic` and returns the one before.
    pub fn insert(&mut self, topic: &TopicName, value: V) -> Option<V> {
        let mut node = &mut self.root;
        for level in topic.as_bytes().split(|b| *b == b'/') {
            node = node.children.entry(level.into()).or_insert_with(Node::new);
        }
        node.value.replace(value)
    }

    /// Takes the value of `topic` out.
    pub fn remove(&mut self, topic: &TopicName) -> Option<V> {
        self.root.remove(Some(topic.as_bytes()))
    }

    /// Visits the values of all topics that `filter` matches, in the order of their names' levels.
    pub fn visit<'a>(&'a self, filter: &TopicFilter, visit: &mut impl FnMut(&'a V)) {
        self.root.visit(Some(&filter.pattern()), true, visit);
    }
}

impl<V> Default for TopicMap<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Node<V> {
    const fn new() -> Self {
        Self { children: BTreeMap::new(), value: None }
    }

    fn remove(&mut self, topic: Option<&[u8]>) -> Option<V> {
        let Some(topic) = topic else { return self.value.take() };
        let (level, rest) = first_level(topic);
        let node = self.children.get_mut(level)?;
        let value = node.remove(rest);
        if node.children.is_empty() && node.value.is_none() {
            self.children.remove(level);
        }
        value
    }

    fn visit<'a>(&'a self, pattern: Option<&[u8]>, is_root: bool, visit: &mut impl FnMut(&'a V)) {
        let Some(pattern) = pattern else {
            if let Some(value) = &self.value {
                visit(value);
            }
            return;
        };
        let (level, rest) = first_level(pattern);
        // A wildcard on the first level does not match names that begin with `$` [MQTT-4.7.2-1].
        let hidden = |name: &[u8]| is_root && name.first() == Some(&b'$');
        match level {
            b"#" => {
                if let Some(value) = &self.value {
                    visit(value);
                }
                for (_, node) in self.children.iter().filter(|(name, _)| !hidden(name)) {
                    node.visit(Some(b"#"), false, visit);
                }
            }
            b"+" => {
                for (_, node) in self.children.iter().filter(|(name, _)| !hidden(name)) {
                    node.visit(rest, false, visit);
                }
            }
            _ => {
                if let Some(node) = self.children.get(level) {
                    node.visit(rest, false, visit);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        #[cfg_attr(miri, ignore = "many names against many filters take too long")]
        fn a_filter_finds_exactly_the_names_that_it_matches(
            names in proptest::collection::btree_set("\\$?[ab]?(/[ab]?){0,3}", 1..12),
            filter in "(\\$?[ab]?|\\+)(/([ab]?|\\+)){0,3}(/#)?|#",
        ) {
            let Ok(filter) = TopicFilter::try_from(filter.as_str()) else { return Ok(()) };
            let names: Vec<_> = names.iter().filter_map(|n| TopicName::try_from(n.as_str()).ok()).collect();
            let mut map = TopicMap::new();
            for name in &names {
                map.insert(name, name.clone());
            }
            let mut found = Vec::new();
            map.visit(&filter, &mut |name| found.push(name.clone()));
            found.sort();
            let mut wanted: Vec<_> = names.iter().filter(|n| filter.matches(n)).cloned().collect();
            wanted.sort();
            prop_assert_eq!(found, wanted);
            for name in &names {
                prop_assert_eq!(map.remove(name), Some(name.clone()));
            }
            prop_assert!(map.root.children.is_empty());
        }
    }
}
