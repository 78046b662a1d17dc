//! Load balancers in front of a listener: where their clients are is theirs to say, by the PROXY protocol, version 2.
//!
//! ```text
//! header = signature(12) | version and command(1) | family(1) | length(2, big endian) | addresses and more(length)
//! ```
//!
//! Who is a balancer has to say it, and nobody else is listened to: a listener that guesses could be told anything by anybody
//! (The PROXY protocol, Versions 1 & 2, §2.2 and §4).

use std::io;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const FIXED_BYTES: usize = 16;
/// Longest header that is read: what fits into the smallest segment of TCP, in which the protocol has it arrive at once.
const HEADER_BYTES_MAX: usize = 536;

/// A network, as `10.0.0.0/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn has(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()).checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()).checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// It is no network.
#[derive(Debug, thiserror::Error)]
#[error("no network like 10.0.0.0/8, nor an address")]
pub struct NoNetwork;

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, bits)| (a, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        if address.to_canonical() != address {
            return Err(NoNetwork);
        }
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| NoNetwork)?;
        if bits <= most { Ok(Self { address, bits }) } else { Err(NoNetwork) }
    }
}

/// The load balancers in front of a listener. None when nothing is said.
#[derive(Debug, Clone, Default)]
pub struct Balancers(Arc<[Network]>);

impl From<Vec<Network>> for Balancers {
    fn from(networks: Vec<Network>) -> Self {
        Self(networks.into())
    }
}

impl Balancers {
    /// Where the client is whose connection came from `address`. A balancer's header is read, and no byte behind it; a
    /// balancer that looks whether somebody listens speaks for itself.
    ///
    /// # Errors
    ///
    /// When a balancer does not say it as it has to, or the connection ends before.
    pub async fn client(&self, stream: &mut (impl AsyncRead + Unpin), address: IpAddr) -> io::Result<IpAddr> {
        if !self.0.iter().any(|network| network.has(address)) {
            return Ok(address);
        }
        let mut header = [0; HEADER_BYTES_MAX];
        let (fixed, rest) = header.split_at_mut(FIXED_BYTES);
        stream.read_exact(fixed).await?;
        let rest = length(fixed).and_then(|length| rest.get_mut(..length)).ok_or(BROKEN)?;
        stream.read_exact(rest).await?;
        Ok(source(fixed, rest).ok_or(BROKEN)?.unwrap_or(address))
    }
}

const BROKEN: io::ErrorKind = io::ErrorKind::InvalidData;

/// Bytes behind the fixed part of a header; `None` when it is none of version 2.
fn length(fixed: &[u8]) -> Option<usize> {
    let [version_and_command, _, high, low] = *fixed.strip_prefix(&SIGNATURE)? else { return None };
    (version_and_command >> 4 == 2).then_some(usize::from(u16::from_be_bytes([high, low])))
}

/// Where the client is; nothing when the balancer speaks for itself or does not know it. `None` when it cannot be read.
fn source(fixed: &[u8], rest: &[u8]) -> Option<Option<IpAddr>> {
    const LOCAL: u8 = 0;
    const PROXY: u8 = 1;
    const TCP_OVER_IPV4: u8 = 0x11;
    const TCP_OVER_IPV6: u8 = 0x21;
    let [version_and_command, family, ..] = *fixed.strip_prefix(&SIGNATURE)? else { return None };
    match (version_and_command & 0x0f, family) {
        (LOCAL, _) | (PROXY, 0) => Some(None),
        // Source, destination, and a port of each.
        (PROXY, TCP_OVER_IPV4) => Some(Some(rest.get(..12)?.first_chunk::<4>().copied()?.into())),
        (PROXY, TCP_OVER_IPV6) => Some(Some(rest.get(..36)?.first_chunk::<16>().copied()?.into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x12\x34\x22\xb3";

    fn balancers() -> Balancers {
        vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/64".parse().unwrap()].into()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    async fn client(header: &[u8], from: &str) -> (io::Result<IpAddr>, Vec<u8>) {
        let mut bytes = header;
        let client = balancers().client(&mut bytes, ip(from)).await;
        (client, bytes.to_vec())
    }

    #[tokio::test]
    async fn a_balancer_says_where_its_client_is_and_nobody_else_does() {
        for from in ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::9"] {
            let (said, behind) = client(&[V4, b"hello"].concat(), from).await;
            assert_eq!((said.unwrap(), behind), (ip("192.0.2.7"), b"hello".to_vec()));
        }
        for from in ["11.0.0.1", "2001:db8:0:1::9", "127.0.0.1"] {
            let (said, behind) = client(V4, from).await;
            assert_eq!((said.unwrap(), behind), (ip(from), V4.to_vec()), "not a byte is read");
        }
    }

    #[tokio::test]
    async fn over_ipv6_with_more_behind_the_addresses_and_of_the_balancer_itself() {
        let fixed = |command, family, length: u16| {
            [&SIGNATURE[..], &[command, family], &length.to_be_bytes()].concat()
        };
        let mut v6 = fixed(0x21, 0x21, 36 + 7);
        v6.extend_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
        v6.extend_from_slice(&[0; 20]);
        v6.extend_from_slice(&[3, 0, 4, 1, 2, 3, 4]);
        let (said, behind) = client(&v6, "10.0.0.1").await;
        assert_eq!((said.unwrap(), behind), (ip("2001:db8:1::5"), Vec::new()));
        for own in [fixed(0x20, 0, 0), fixed(0x20, 0x11, 0), fixed(0x21, 0, 0)] {
            assert_eq!(client(&own, "10.0.0.1").await.0.unwrap(), ip("10.0.0.1"));
        }
        let most = u16::try_from(HEADER_BYTES_MAX - FIXED_BYTES).unwrap();
        for (length, is_read) in [(most, true), (most + 1, false), (u16::MAX, false)] {
            let header = [fixed(0x20, 0, length), vec![0; usize::from(length)]].concat();
            assert_eq!(client(&header, "10.0.0.1").await.0.is_ok(), is_read);
        }
    }

    #[tokio::test]
    async fn what_is_cut_or_changed_is_refused_or_says_something_else_but_never_reads_on() {
        for end in 0..V4.len() {
            assert!(client(&V4[..end], "10.0.0.1").await.0.is_err(), "cut at {end}");
        }
        for (at, bit) in (0..V4.len()).flat_map(|at| (0..8).map(move |bit| (at, 1 << bit))) {
            let mut changed = V4.to_vec();
            changed[at] ^= bit;
            let (said, _) = client(&changed, "10.0.0.1").await;
            assert!(at >= 12 || said.is_err(), "byte {at}");
            if at < 20 {
                assert!(
                    !said.is_ok_and(|address| address == ip("192.0.2.7")) || matches!(at, 15),
                    "byte {at}"
                );
            }
        }
        let hello = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 a ClientHello";
        for text in [&b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 8883\r\n"[..], hello] {
            assert!(client(text, "10.0.0.1").await.0.is_err());
        }
    }

    #[test]
    fn a_network_has_what_begins_as_it_does() {
        let has = |network: &str, address: &str| network.parse::<Network>().unwrap().has(ip(address));
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.0"));
        assert!(has("10.9.8.7", "10.9.8.7") && !has("10.9.8.7", "10.9.8.6"));
        assert!(has("0.0.0.0/0", "203.0.113.9") && !has("0.0.0.0/0", "::1"));
        assert!(
            has("::/0", "::1")
                && has("2001:db8::/33", "2001:db8:7fff::")
                && !has("2001:db8::/33", "2001:db8:8000::")
        );
        for wrong in [
            "",
            "/8",
            "10.0.0.0/33",
            "::ffff:10.0.0.5",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0/8",
            "host",
            "10.0.0.0/8/8",
        ] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
