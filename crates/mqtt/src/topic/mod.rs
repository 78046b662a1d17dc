//! Topic names, topic filters, and the index that finds the subscriptions of a name: §4.7, §4.8.2.

mod filter;
mod name;
pub mod retained;
pub mod trie;

pub use filter::{Shared, TopicFilter};
pub use name::{LEVELS_MAX, TopicError, TopicName};
