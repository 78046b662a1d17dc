//! Parts of messages that are objects of numbers, or objects only sometimes.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::message::Said;
use crate::lenient::Plain;

/// Most numbers of an object.
const NUMBERS_MAX: usize = 64;

/// What an event says more. Some have a text or a list here, which is not listened to.
#[derive(Debug, Default)]
pub(super) struct Arguments(pub(super) Option<Box<Said>>);

/// The members of an object whose values are numbers, and the names of its members that are.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    by_name: BTreeMap<String, i64>,
    /// Names that are the number of a byte.
    pub(super) names: Vec<u8>,
}

impl Numbers {
    pub(super) fn get(&self, name: &str) -> Option<i64> {
        self.by_name.get(name).copied()
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Numbers;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_unit<E>(self) -> Result<Numbers, E> {
                Ok(Numbers::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Numbers, A::Error> {
                let mut numbers = Numbers::default();
                while let Some((name, value)) = map.next_entry::<String, Plain>()? {
                    if let Ok(number) = name.parse()
                        && numbers.names.len() < NUMBERS_MAX
                    {
                        numbers.names.push(number);
                    }
                    if let Some(number) = value.number()
                        && numbers.by_name.len() < NUMBERS_MAX
                    {
                        numbers.by_name.insert(name, number);
                    }
                }
                Ok(numbers)
            }
        }
        deserializer.deserialize_any(Members)
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Arguments;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("arguments")
            }
            fn visit_unit<E>(self) -> Result<Arguments, E> {
                Ok(Arguments(None))
            }
            fn visit_str<E>(self, _: &str) -> Result<Arguments, E> {
                Ok(Arguments(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Arguments, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Arguments(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Arguments, A::Error> {
                let said = Said::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Arguments(Some(Box::new(said))))
            }
        }
        deserializer.deserialize_any(Object)
    }
}
