//! Parts of messages whose types differ from one to the next. Nothing of them is kept that has no bound.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::message::Said;
use crate::wire::Words;

/// Most numbers of an object.
const NUMBERS_MAX: usize = 64;

/// What an event says more. Some have a text or a list here, which is not listened to.
#[derive(Debug, Default)]
pub(super) struct Arguments(pub(super) Option<Box<Said>>);

/// A value without parts.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Plain {
    Flag(bool),
    Number(f64),
    Text(Words),
    /// Nothing, a list or an object.
    Other,
}

impl Plain {
    /// As a part of a name.
    pub(super) fn word(&self) -> String {
        match self {
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.as_str().to_owned(),
            Self::Other => String::new(),
        }
    }

    /// As the number of something.
    pub(super) fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => format!("{number:.0}").parse().ok(),
            Self::Text(text) => text.as_str().parse().ok(),
            Self::Flag(_) | Self::Other => None,
        }
    }
}

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

/// At most so many; what is more is passed over.
#[derive(Debug)]
pub(super) struct List<T, const MAX: usize> {
    pub(super) items: Vec<T>,
    /// Whether there were more.
    pub(super) is_cut: bool,
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self { items: Vec::new(), is_cut: false }
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
            type Value = List<T, MAX>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = List::default();
                while list.items.len() < MAX {
                    let Some(item) = seq.next_element()? else { return Ok(list) };
                    list.items.push(item);
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    list.is_cut = true;
                }
                Ok(list)
            }
        }
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = Plain;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_bool<E>(self, flag: bool) -> Result<Plain, E> {
                Ok(Plain::Flag(flag))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Plain, E> {
                Ok(Plain::Number(number as f64))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Plain, E> {
                Ok(Plain::Number(number as f64))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Plain, E> {
                Ok(if number.is_finite() { Plain::Number(number) } else { Plain::Other })
            }
            fn visit_str<E>(self, text: &str) -> Result<Plain, E> {
                Ok(Plain::Text(Words::fitting(text)))
            }
            fn visit_unit<E>(self) -> Result<Plain, E> {
                Ok(Plain::Other)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Plain, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Plain::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Plain, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Plain::Other)
            }
        }
        deserializer.deserialize_any(Value)
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
