//! AUTH: §3.15.

use bytes::BytesMut;

use crate::codec::property::{Property, not_allowed, once, put_option, put_user, read_properties};
use crate::codec::reader::Reader;
use crate::codec::writer::{PacketTooLarge, frame, properties, put_u8};
use crate::codec::{Binary, DecodeError, ReasonCode, Text, UserProperties, Version};

/// A step of an extended authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Success, continue or re-authenticate.
    pub reason: ReasonCode,
    /// Name of the method.
    pub method: Option<Text>,
    /// Data of the method.
    pub data: Option<Binary>,
    /// A sentence for people.
    pub reason_string: Option<Text>,
    /// Pairs of the peer.
    pub user: UserProperties,
}

impl Auth {
    pub(crate) fn read(mut r: Reader) -> Result<Self, DecodeError> {
        use ReasonCode as R;
        let code = if r.is_empty() { 0 } else { r.u8()? };
        let known = ReasonCode::from_code(code)
            .filter(|c| matches!(c, R::Success | R::ContinueAuthentication | R::ReAuthenticate));
        let reason = known.ok_or(DecodeError::ReasonCode(code))?;
        let mut auth = Self { reason, method: None, data: None, reason_string: None, user: Vec::new() };
        if !r.is_empty() {
            read_properties(&mut r, Version::V5, |p| match p {
                Property::AuthenticationMethod(v) => once(&mut auth.method, 0x15, v),
                Property::AuthenticationData(v) => once(&mut auth.data, 0x16, v),
                Property::ReasonString(v) => once(&mut auth.reason_string, 0x1F, v),
                Property::UserProperty(v) => {
                    auth.user.push(v);
                    Ok(())
                }
                other => not_allowed(&other),
            })?;
        }
        r.finish()?;
        Ok(auth)
    }

    pub(crate) fn write(&self, limit: usize, out: &mut BytesMut) -> Result<(), PacketTooLarge> {
        frame(out, 0xF0, limit, &|out| {
            put_u8(out, self.reason.code());
            properties(out, &|out| {
                put_option(out, self.method.clone().map(Property::AuthenticationMethod));
                put_option(out, self.data.clone().map(Property::AuthenticationData));
                put_option(out, self.reason_string.clone().map(Property::ReasonString));
                put_user(out, &self.user);
            });
        })
    }
}
