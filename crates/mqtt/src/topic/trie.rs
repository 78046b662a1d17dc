//! Subscriptions, found by the topic names they match in time that grows with the matches.

use std::collections::BTreeMap;

use ahash::HashMap;
use bytes::Bytes;

use crate::topic::{TopicFilter, TopicName};

/// Who subscribes: a small number that the owner of the index gives out.
pub type Subscriber = u64;

/// Subscriptions with `S` stored for each.
#[derive(Debug)]
pub struct SubscriptionIndex<S> {
    root: Node<S>,
}

/// The subscriptions of one topic filter.
#[derive(Debug)]
pub struct Leaf<S> {
    /// Those that stand alone. Ordered, so that routing is the same on each run.
    pub single: BTreeMap<Subscriber, S>,
    /// Those that are shared, by group.
    pub groups: BTreeMap<Bytes, Group<S>>,
}

/// The members of one shared subscription.
#[derive(Debug)]
pub struct Group<S> {
    /// In the order in which they came.
    pub members: Vec<(Subscriber, S)>,
    /// Index of the member whose turn it is.
    pub next: usize,
}

#[derive(Debug)]
struct Node<S> {
    children: HashMap<Box<[u8]>, Node<S>>,
    any: Option<Box<Node<S>>>,
    here: Leaf<S>,
    /// Subscriptions that end in `#` below this level, which match this level too.
    below: Leaf<S>,
}

impl<S> SubscriptionIndex<S> {
    /// An index without subscriptions.
    #[must_use]
    pub fn new() -> Self {
        Self { root: Node::new() }
    }

    /// Adds or replaces the subscription of `who` to `filter`.
    pub fn insert(&mut self, filter: &TopicFilter, who: Subscriber, value: S) {
        let leaf = self.root.leaf(&filter.pattern());
        match filter.shared() {
            None => drop(leaf.single.insert(who, value)),
            Some(shared) => {
                let group = leaf
                    .groups
                    .entry(Bytes::copy_from_slice(&shared.group))
                    .or_insert_with(|| Group { members: Vec::new(), next: 0 });
                match group.members.iter_mut().find(|(member, _)| *member == who) {
                    Some((_, old)) => *old = value,
                    None => group.members.push((who, value)),
                }
            }
        }
    }

    /// Removes the subscription of `who` to `filter`, if there is one.
    pub fn remove(&mut self, filter: &TopicFilter, who: Subscriber) {
        let group = filter.shared().map(|shared| shared.group);
        self.root.remove(Some(&filter.pattern()), &mut |leaf| match &group {
            None => drop(leaf.single.remove(&who)),
            Some(name) => leaf.leave(name, who),
        });
    }

    /// Whether there is a subscription that matches the topic of these levels, of which the first does not begin with `$`.
    #[must_use]
    pub fn has_any(&self, levels: &[&str]) -> bool {
        self.root.has_any(levels)
    }

    /// Visits the subscriptions of each filter that `topic` matches.
    pub fn visit(&mut self, topic: &TopicName, visit: &mut impl FnMut(&mut Leaf<S>)) {
        let reserved = topic.as_bytes().first() == Some(&b'$');
        self.root.visit(Some(topic.as_bytes()), !reserved, visit);
    }
}

impl<S> Default for SubscriptionIndex<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Leaf<S> {
    const fn new() -> Self {
        Self { single: BTreeMap::new(), groups: BTreeMap::new() }
    }

    fn is_empty(&self) -> bool {
        self.single.is_empty() && self.groups.is_empty()
    }

    fn leave(&mut self, name: &Bytes, who: Subscriber) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if let Some(index) = group.members.iter().position(|(member, _)| *member == who) {
            group.members.remove(index);
            if index < group.next {
                group.next -= 1;
            }
        }
        if group.members.is_empty() {
            self.groups.remove(name);
        }
    }
}

impl<S> Node<S> {
    fn new() -> Self {
        Self { children: HashMap::default(), any: None, here: Leaf::new(), below: Leaf::new() }
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.any.is_none() && self.here.is_empty() && self.below.is_empty()
    }

    fn leaf(&mut self, pattern: &[u8]) -> &mut Leaf<S> {
        let mut node = self;
        for level in pattern.split(|b| *b == b'/') {
            match level {
                b"#" => return &mut node.below,
                b"+" => node = node.any.get_or_insert_with(|| Box::new(Self::new())),
                _ => node = node.children.entry(level.into()).or_insert_with(Self::new),
            }
        }
        &mut node.here
    }

    fn remove(&mut self, pattern: Option<&[u8]>, take: &mut dyn FnMut(&mut Leaf<S>)) {
        let Some(pattern) = pattern else { return take(&mut self.here) };
        let (level, rest) = first_level(pattern);
        match level {
            b"#" => take(&mut self.below),
            b"+" => {
                if let Some(node) = &mut self.any {
                    node.remove(rest, take);
                    if node.is_empty() {
                        self.any = None;
                    }
                }
            }
            _ => {
                if let Some(node) = self.children.get_mut(level) {
                    node.remove(rest, take);
                    if node.is_empty() {
                        self.children.remove(level);
                    }
                }
            }
        }
    }

    fn has_any(&self, levels: &[&str]) -> bool {
        let Some((level, rest)) = levels.split_first() else {
            return !self.here.is_empty() || !self.below.is_empty();
        };
        let any = self.any.as_ref().into_iter().map(Box::as_ref);
        !self.below.is_empty()
            || any.chain(self.children.get(level.as_bytes())).any(|node| node.has_any(rest))
    }

    fn visit(&mut self, name: Option<&[u8]>, wildcards: bool, visit: &mut impl FnMut(&mut Leaf<S>)) {
        if wildcards && !self.below.is_empty() {
            visit(&mut self.below);
        }
        let Some(name) = name else {
            if !self.here.is_empty() {
                visit(&mut self.here);
            }
            return;
        };
        let (level, rest) = first_level(name);
        if let Some(node) = self.children.get_mut(level) {
            node.visit(rest, true, visit);
        }
        if wildcards && let Some(node) = &mut self.any {
            node.visit(rest, true, visit);
        }
    }
}

/// The first level and, after its separator, what follows.
pub(super) fn first_level(topic: &[u8]) -> (&[u8], Option<&[u8]>) {
    match topic.iter().position(|b| *b == b'/') {
        Some(at) => (topic.get(..at).unwrap_or_default(), topic.get(at + 1..)),
        None => (topic, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::try_from(text).unwrap()
    }

    fn found(index: &mut SubscriptionIndex<()>, topic: &str) -> Vec<Subscriber> {
        let mut found = Vec::new();
        index.visit(&TopicName::try_from(topic).unwrap(), &mut |leaf| {
            found.extend(leaf.single.keys().copied());
            found.extend(leaf.groups.values().flat_map(|g| g.members.iter().map(|m| m.0)));
        });
        found.sort_unstable();
        found
    }

    #[test]
    fn wildcards_match_as_the_examples_of_the_standard_say() {
        #[track_caller]
        fn check(pattern: &str, topic: &str, wanted: bool) {
            let topic_name = TopicName::try_from(topic).unwrap();
            assert_eq!(filter(pattern).matches(&topic_name), wanted, "{pattern} {topic}");
            let mut index = SubscriptionIndex::new();
            index.insert(&filter(pattern), 7, ());
            assert_eq!(found(&mut index, topic).len(), usize::from(wanted), "{pattern} {topic}");
        }
        check("sport/tennis/player1/#", "sport/tennis/player1", true);
        check("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true);
        check("sport/#", "sport", true);
        check("#", "sport/tennis", true);
        check("sport/tennis/+", "sport/tennis/player1", true);
        check("sport/tennis/+", "sport/tennis/player1/ranking", false);
        check("sport/+", "sport", false);
        check("sport/+", "sport/", true);
        check("+/+", "/finance", true);
        check("/+", "/finance", true);
        check("+", "/finance", false);
        check("#", "$SYS/monitor", false);
        check("+/monitor", "$SYS/monitor", false);
        check("$SYS/#", "$SYS/monitor", true);
        check("$SYS/+", "$SYS/monitor", true);
        check("$share/group/sport/+", "sport/tennis", true);
        check("$share/group/#", "$SYS/monitor", false);
    }

    #[test]
    fn malformed_filters_are_refused() {
        for text in [
            "",
            "a+",
            "a/#/b",
            "#a",
            "a/+b",
            "$share",
            "$share/",
            "$share/g",
            "$share/g/",
            "$share//a",
            "$share/g+/a",
            "a\0b",
        ] {
            assert!(TopicFilter::try_from(text).is_err(), "{text}");
        }
        let deep = "/".repeat(crate::topic::LEVELS_MAX);
        assert_eq!(TopicName::try_from(deep.as_str()), Err(crate::topic::TopicError::TooDeep));
    }

    proptest! {
        #[test]
        fn the_index_finds_exactly_the_filters_that_match(
            filters in proptest::collection::vec("(\\$share/g/)?(\\$?[ab]?|\\+)(/([ab]?|\\+)){0,3}(/#)?", 1..12),
            removed in proptest::collection::vec(any::<bool>(), 12),
            topic in "\\$?[ab]?(/[ab]?){0,4}",
        ) {
            let Ok(name) = TopicName::try_from(topic.as_str()) else { return Ok(()) };
            let filters: Vec<_> =
                filters.iter().filter_map(|f| TopicFilter::try_from(f.as_str()).ok()).collect();
            let mut index = SubscriptionIndex::new();
            for (who, filter) in (0..).zip(&filters) {
                index.insert(filter, who, ());
            }
            let mut wanted = Vec::new();
            for ((who, filter), removed) in (0..).zip(&filters).zip(&removed) {
                if *removed {
                    index.remove(filter, who);
                } else if filter.matches(&name) {
                    wanted.push(who);
                }
            }
            let levels: Vec<_> = topic.split('/').collect();
            prop_assert!(topic.starts_with('$') || index.has_any(&levels) != wanted.is_empty());
            prop_assert_eq!(found(&mut index, &topic), wanted);
            for (who, filter) in (0..).zip(&filters) {
                index.remove(filter, who);
            }
            prop_assert!(index.root.is_empty());
        }
    }
}
