//! JSON as it is read: an object of fields is taken apart at once, since most payloads are one.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};
use thingward_model::limits::READINGS_PER_RECORD_MAX;

/// A JSON text.
pub(super) enum Text<'a> {
    /// Names and values, in their order. Of a name that comes again the last value counts. No more than one beyond what
    /// a record may have.
    Object(Vec<(Cow<'a, str>, Part)>),
    /// Anything in brackets.
    Array(Vec<Json>),
    /// One value.
    Value(Part),
}

/// A value of a field.
pub(super) enum Part {
    Number(f64),
    Bool(bool),
    Text(String),
    Object(Map<String, Json>),
    /// What no reading is.
    Other,
}

struct TextVisitor;

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TextVisitor)
    }
}

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text<'de>, A::Error> {
        let mut fields: Vec<(Cow<'de, str>, Part)> = Vec::new();
        while let Some((Name(name), part)) = map.next_entry()? {
            if let Some((_, known)) = fields.iter_mut().find(|(known, _)| *known == name) {
                *known = part;
            } else if fields.len() <= READINGS_PER_RECORD_MAX {
                fields.push((name, part));
            }
        }
        Ok(Text::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Text<'de>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Text::Array)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Text<'de>, E> {
        Ok(Text::Value(Part::Bool(v)))
    }

    fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<Text<'de>, E> {
        PartVisitor.visit_i64(v).map(Text::Value)
    }

    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<Text<'de>, E> {
        PartVisitor.visit_u64(v).map(Text::Value)
    }

    fn visit_f64<E>(self, v: f64) -> Result<Text<'de>, E> {
        Ok(Text::Value(Part::Number(v)))
    }

    fn visit_str<E>(self, v: &str) -> Result<Text<'de>, E> {
        Ok(Text::Value(Part::Text(v.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Text<'de>, E> {
        Ok(Text::Value(Part::Other))
    }
}

/// A name where it lies, when it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(v)))
            }

            fn visit_str<E>(self, v: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(v.to_owned())))
            }
        }
        from.deserialize_str(NameVisitor)
    }
}

struct PartVisitor;

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(PartVisitor)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a reading is a double, whatever was written")]
impl<'de> Visitor<'de> for PartVisitor {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Part, E> {
        Ok(Part::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Part, E> {
        Ok(Part::Number(v as f64))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Part, E> {
        Ok(Part::Number(v as f64))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Part, E> {
        Ok(Part::Number(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Part, E> {
        Ok(Part::Text(v.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Part, E> {
        Ok(Part::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Part, A::Error> {
        Map::deserialize(MapAccessDeserializer::new(map)).map(Part::Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Part, A::Error> {
        while seq.next_element::<Json>()?.is_some() {}
        Ok(Part::Other)
    }
}

impl From<&Json> for Part {
    fn from(json: &Json) -> Self {
        match json {
            Json::Number(n) => n.as_f64().map_or(Self::Other, Self::Number),
            Json::Bool(b) => Self::Bool(*b),
            Json::String(s) => Self::Text(s.clone()),
            Json::Null | Json::Array(_) | Json::Object(_) => Self::Other,
        }
    }
}
