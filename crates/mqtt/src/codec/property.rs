//! Properties: §2.2.2.

use crate::codec::reader::Reader;
use crate::codec::writer::{Sink, put_binary, put_text, put_u8, put_u16, put_u32, put_varint};
use crate::codec::{Binary, DecodeError, Text, Version};

macro_rules! properties {
    ($($name:ident = $id:literal: $kind:ident,)*) => {
        /// One property with its value as it stands on the wire. The names are those of the standard.
        #[expect(clippy::enum_variant_names, reason = "the standard calls one User Property")]
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) enum Property { $($name(properties!(@type $kind)),)* }

        impl Property {
            pub(crate) const fn id(&self) -> u8 {
                match self { $(Self::$name(..) => $id,)* }
            }

            fn read(id: u32, r: &mut Reader) -> Result<Self, DecodeError> {
                match id {
                    $($id => Ok(Self::$name(properties!(@read $kind r))),)*
                    _ => Err(DecodeError::UnknownProperty(id)),
                }
            }

            pub(crate) fn write(&self, out: &mut dyn Sink) {
                put_u8(out, self.id());
                match self { $(Self::$name(v) => properties!(@write $kind out v),)* }
            }
        }
    };
    (@type byte) => { u8 };
    (@type two) => { u16 };
    (@type four) => { u32 };
    (@type var) => { u32 };
    (@type text) => { Text };
    (@type binary) => { Binary };
    (@type pair) => { (Text, Text) };
    (@read byte $r:ident) => { $r.u8()? };
    (@read two $r:ident) => { $r.u16()? };
    (@read four $r:ident) => { $r.u32()? };
    (@read var $r:ident) => { $r.varint()? };
    (@read text $r:ident) => { $r.text()? };
    (@read binary $r:ident) => { $r.binary()? };
    (@read pair $r:ident) => { ($r.text()?, $r.text()?) };
    (@write byte $out:ident $v:ident) => { put_u8($out, *$v) };
    (@write two $out:ident $v:ident) => { put_u16($out, *$v) };
    (@write four $out:ident $v:ident) => { put_u32($out, *$v) };
    (@write var $out:ident $v:ident) => { put_varint($out, *$v) };
    (@write text $out:ident $v:ident) => { put_text($out, $v) };
    (@write binary $out:ident $v:ident) => { put_binary($out, $v) };
    (@write pair $out:ident $v:ident) => { { put_text($out, &$v.0); put_text($out, &$v.1) } };
}

properties! {
    PayloadFormatIndicator = 0x01: byte,
    MessageExpiryInterval = 0x02: four,
    ContentType = 0x03: text,
    ResponseTopic = 0x08: text,
    CorrelationData = 0x09: binary,
    SubscriptionIdentifier = 0x0B: var,
    SessionExpiryInterval = 0x11: four,
    AssignedClientIdentifier = 0x12: text,
    ServerKeepAlive = 0x13: two,
    AuthenticationMethod = 0x15: text,
    AuthenticationData = 0x16: binary,
    RequestProblemInformation = 0x17: byte,
    WillDelayInterval = 0x18: four,
    RequestResponseInformation = 0x19: byte,
    ResponseInformation = 0x1A: text,
    ServerReference = 0x1C: text,
    ReasonString = 0x1F: text,
    ReceiveMaximum = 0x21: two,
    TopicAliasMaximum = 0x22: two,
    TopicAlias = 0x23: two,
    MaximumQoS = 0x24: byte,
    RetainAvailable = 0x25: byte,
    UserProperty = 0x26: pair,
    MaximumPacketSize = 0x27: four,
    WildcardSubscriptionAvailable = 0x28: byte,
    SubscriptionIdentifierAvailable = 0x29: byte,
    SharedSubscriptionAvailable = 0x2A: byte,
}

/// Reads a property block and hands each property to `take`.
///
/// What cannot be parsed anywhere in the block outranks a property that is only out of place, since then the rest
/// of the block cannot be trusted to be properties at all.
pub(crate) fn read_properties(
    r: &mut Reader,
    version: Version,
    mut take: impl FnMut(Property) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    if version != Version::V5 {
        return Ok(());
    }
    let len = usize::try_from(r.varint()?).map_err(|_| DecodeError::Truncated)?;
    if len == 0 {
        return Ok(());
    }
    let mut block = Reader::new(r.take(len)?);
    let mut misplaced = Ok(());
    while !block.is_empty() {
        let id = block.varint()?;
        let property = Property::read(id, &mut block)?;
        let taken = take(property);
        misplaced = misplaced.and(taken);
    }
    misplaced
}

/// Stores the value of a property that may stand once.
pub(crate) fn once<T>(slot: &mut Option<T>, id: u8, value: T) -> Result<(), DecodeError> {
    if slot.is_some() {
        return Err(DecodeError::DuplicateProperty(id));
    }
    *slot = Some(value);
    Ok(())
}

/// Stores a byte that is 0 or 1.
pub(crate) fn once_flag(slot: &mut Option<bool>, id: u8, value: u8) -> Result<(), DecodeError> {
    match value {
        0 => once(slot, id, false),
        1 => once(slot, id, true),
        _ => Err(DecodeError::PropertyValue(id)),
    }
}

/// Stores a number that must not be zero.
pub(crate) fn once_nonzero<N, T: TryFrom<N>>(
    slot: &mut Option<T>,
    id: u8,
    value: N,
) -> Result<(), DecodeError> {
    once(slot, id, T::try_from(value).map_err(|_| DecodeError::PropertyValue(id))?)
}

pub(crate) fn not_allowed(property: &Property) -> Result<(), DecodeError> {
    Err(DecodeError::PropertyNotAllowed(property.id()))
}

pub(crate) fn put_option(out: &mut dyn Sink, property: Option<Property>) {
    if let Some(property) = property {
        property.write(out);
    }
}

pub(crate) fn put_user(out: &mut dyn Sink, pairs: &[(Text, Text)]) {
    for (name, value) in pairs {
        put_u8(out, 0x26);
        put_text(out, name);
        put_text(out, value);
    }
}
