//! What is said about a connection that one node has and another decides for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use minicbor::{Decoder, Encoder};
use rustls::pki_types::CertificateDer;
use thingward_cluster::link::Sender;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::http::Peer;

/// Kinds of events.
pub(super) mod kind {
    /// A member has connected, as [`thingward_ingress::Member::encode`] has it.
    pub(in crate::node) const MEMBER: u8 = 1;
    /// Somebody asks over HTTP, as [`super::encode_peer`] has it.
    pub(in crate::node) const WEB: u8 = 2;
    /// Bytes of a connection.
    pub(in crate::node) const DATA: u8 = 3;
    /// The last bytes were taken, and the next may come. With those of a member, the work that they made (8, big endian).
    pub(in crate::node) const TURN: u8 = 4;
    /// The connection is gone, or shall end.
    pub(in crate::node) const END: u8 = 5;
    /// Who may connect is another than before. Of no connection.
    pub(in crate::node) const CHANGED: u8 = 6;
    /// A member is there, although nothing of it may come yet.
    pub(in crate::node) const HEARD: u8 = 7;
    /// The node stops: its members shall be told so, and end. Of no connection.
    pub(in crate::node) const STOPS: u8 = 8;
}

/// Bytes of HTTP that are carried at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// Longest time for one piece to somebody who reads slowly.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Pieces that may wait: each way has one on its way, and each of them may end.
pub(super) const PIECES_MAX: usize = 4;

/// What comes for a connection of HTTP.
pub(super) enum Piece {
    Data(Bytes),
    Turn,
}

/// Carries a connection of HTTP between its `stream` and the other end, of which `pieces` come, until one of them ends it.
pub(super) async fn carry(
    stream: impl crate::http::Stream,
    connection: u64,
    other: &Sender,
    mut pieces: mpsc::Receiver<Piece>,
) {
    let (mut read, mut write) = tokio::io::split(stream);
    let (mut buffer, mut has_turn) = (vec![0; PIECE_BYTES], true);
    loop {
        tokio::select! {
            piece = pieces.recv() => match piece {
                Some(Piece::Data(bytes)) => {
                    let written = tokio::time::timeout(WRITE_TIMEOUT, write.write_all(&bytes)).await;
                    if !matches!(written, Ok(Ok(()))) || !other.send(kind::TURN, connection, Bytes::new()).await {
                        break;
                    }
                }
                Some(Piece::Turn) => has_turn = true,
                None => break,
            },
            came = read.read(&mut buffer), if has_turn => match came {
                Ok(length @ 1..) => {
                    has_turn = false;
                    let bytes = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
                    if !other.send(kind::DATA, connection, bytes).await {
                        break;
                    }
                }
                _ => break,
            },
        }
    }
    let _ = tokio::time::timeout(WRITE_TIMEOUT, write.shutdown()).await;
    other.send(kind::END, connection, Bytes::new()).await;
}

/// `[0, address, [certificate …]]` over TLS, `[1, address]` without, `[2]` on the administration socket.
pub(super) fn encode_peer(peer: &Peer) -> Bytes {
    let mut e = Encoder::new(Vec::new());
    let written = match peer {
        Peer::Tls { address, chain } => e.array(3).and_then(|e| {
            e.u8(0)?.str(&address.to_string())?.array(chain.len() as u64)?;
            chain.iter().try_fold(e, |e, certificate| e.bytes(certificate))
        }),
        Peer::Local { address } => e.array(2).and_then(|e| e.u8(1)?.str(&address.to_string())),
        Peer::Admin => e.array(1).and_then(|e| e.u8(2)),
    };
    debug_assert!(written.is_ok(), "writing to memory cannot fail");
    e.into_writer().into()
}

/// Reverses [`encode_peer`].
pub(super) fn decode_peer(bytes: &[u8]) -> Option<Peer> {
    let mut d = Decoder::new(bytes);
    let parts = d.array().ok()??;
    let peer = match (d.u8().ok()?, parts) {
        (0, 3) => {
            let address = address(&mut d)?;
            let count = d.array().ok()??;
            let certificate = |_| Some(CertificateDer::from(d.bytes().ok()?.to_vec()));
            let chain: Arc<[_]> = (0..count).map(certificate).collect::<Option<Vec<_>>>()?.into();
            Peer::Tls { address, chain }
        }
        (1, 2) => Peer::Local { address: address(&mut d)? },
        (2, 1) => Peer::Admin,
        _ => return None,
    };
    (d.position() == bytes.len()).then_some(peer)
}

fn address(d: &mut Decoder<'_>) -> Option<IpAddr> {
    d.str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_comes_back_whole_or_not_at_all() {
        let chain: Arc<[_]> = vec![CertificateDer::from(vec![1, 2]), CertificateDer::from(vec![3])].into();
        let peers = [
            Peer::Tls { address: "192.0.2.7".parse().unwrap(), chain },
            Peer::Tls { address: "2001:db8::1".parse().unwrap(), chain: Vec::new().into() },
            Peer::Local { address: "127.0.0.1".parse().unwrap() },
            Peer::Admin,
        ];
        for peer in peers {
            let bytes = encode_peer(&peer);
            assert_eq!(format!("{:?}", decode_peer(&bytes).unwrap()), format!("{peer:?}"));
            (0..bytes.len()).for_each(|end| assert!(decode_peer(&bytes[..end]).is_none()));
            assert!(decode_peer(&[&bytes, &b"x"[..]].concat()).is_none());
        }
    }
}
