//! Where a device's messages go, as people write it.

use std::fmt;

use thingward_coap::wire;

use crate::http::{Endpoint, EndpointError};

/// The next hop of a device, and the protocol that is spoken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// MQTT over TLS, at the service or a gateway.
    Mqtt(Endpoint),
    /// CoAP under OSCORE, at the service or a gateway.
    Coap(Endpoint),
}

/// What stands in front of an address of CoAP: RFC 7252 §6.1.
const COAP: &str = "coap://";

impl Route {
    /// Reads `coap://HOST[:PORT]`, and everything else as [`Endpoint::parse`] does.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::parse`].
    pub fn parse(text: &str, default_port: u16) -> Result<Self, EndpointError> {
        match text.strip_prefix(COAP) {
            Some(rest) => Endpoint::parse(rest, wire::PORT).map(Self::Coap),
            None => Endpoint::parse(text, default_port).map(Self::Mqtt),
        }
    }
}

impl From<Endpoint> for Route {
    fn from(endpoint: Endpoint) -> Self {
        Self::Mqtt(endpoint)
    }
}

/// `HOST:PORT`, behind `coap://` for CoAP.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mqtt(endpoint) => endpoint.fmt(f),
            Self::Coap(endpoint) => write!(f, "{COAP}{endpoint}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_read_as_it_is_shown() {
        for (text, shown) in [
            ("gateway.local", "gateway.local:8883"),
            ("gateway.local:8884", "gateway.local:8884"),
            ("coap://gateway.local", "coap://gateway.local:5683"),
            ("coap://[::1]:1", "coap://[::1]:1"),
        ] {
            let route = Route::parse(text, 8883).unwrap();
            assert_eq!(route.to_string(), shown);
            assert_eq!(matches!(route, Route::Coap(_)), text.starts_with("coap"));
        }
        for wrong in ["coap://", "coaps://gateway.local", "coap://a b", "coap://coap://x"] {
            assert!(Route::parse(wrong, 8883).is_err(), "{wrong}");
        }
    }
}
