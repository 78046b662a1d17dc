//! How the types of Zigbee are kept.

use minicbor::decode::Error;
use minicbor::encode::{self, Write};
use minicbor::{Decoder, Encoder};
use thingward_zigbee::address::{Eui64, ShortAddress};
use thingward_zigbee::security::Key;
use thingward_zigbee::thing::{Endpoint, Thing};

pub(super) mod eui64 {
    use super::*;

    pub(crate) fn encode<C, W: Write>(
        eui64: &Eui64,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.u64(eui64.0)?.ok()
    }

    pub(crate) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Eui64, Error> {
        d.u64().map(Eui64)
    }
}

pub(super) mod short {
    use super::*;

    pub(crate) fn encode<C, W: Write>(
        short: &ShortAddress,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.u16(short.0)?.ok()
    }

    pub(crate) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<ShortAddress, Error> {
        d.u16().map(ShortAddress)
    }
}

pub(super) mod key {
    use super::*;

    pub(crate) fn encode<C, W: Write>(
        key: &Key,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.bytes(key.octets())?.ok()
    }

    pub(crate) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Key, Error> {
        let at = d.position();
        let octets = d.bytes()?.try_into().map_err(|_| Error::message("no key").at(at))?;
        Ok(Key::new(octets))
    }
}

/// Endpoints with their clusters, and what the node said of its own values.
pub(super) mod thing {
    use super::*;

    type Parts = (Vec<(u8, Vec<u16>, Vec<u16>)>, Vec<(u8, u16, u16, u32)>);

    pub(crate) fn encode<C, W: Write>(
        thing: &Thing,
        e: &mut Encoder<W>,
        c: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        let parts = |endpoint: &Endpoint| (endpoint.id, endpoint.servers.clone(), endpoint.clients.clone());
        let parts: Parts = (thing.endpoints().iter().map(parts).collect(), thing.figures().collect());
        e.encode_with(parts, c)?.ok()
    }

    pub(crate) fn decode<C>(d: &mut Decoder<'_>, c: &mut C) -> Result<Thing, Error> {
        let (endpoints, figures): Parts = d.decode_with(c)?;
        let endpoint = |(id, servers, clients)| Endpoint { id, servers, clients };
        let mut thing = Thing::new(endpoints.into_iter().map(endpoint).collect());
        for (endpoint, cluster, attribute, figure) in figures {
            thing.learn(endpoint, cluster, attribute, figure);
        }
        Ok(thing)
    }
}
