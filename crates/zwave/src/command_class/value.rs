//! What a field of a command says, without its type: for tables and logs.

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// The field says that the value is not known.
    Unknown,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Int(i64),
    /// `digits` divided by ten to the power of `precision`.
    Decimal {
        /// All digits of it.
        digits: i64,
        /// How many of them are behind the point.
        precision: u8,
    },
    /// Text.
    Text(String),
    /// Bytes without a meaning here.
    Bytes(Vec<u8>),
    /// Several of a kind.
    List(Vec<Value>),
    /// Several with names.
    Record(Vec<(&'static str, Value)>),
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(list: Vec<Value>) -> Self {
        Self::List(list)
    }
}

macro_rules! from_number {
    ($($type:ty),*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::Int(value.into())
            }
        }
    )*};
}
from_number!(u8, u16, u32, i32, i64);
