//! A client of the same library in its usual form, over a line that takes few bytes at a time.

use proptest::prelude::*;
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};
use thingward_pki::tls::{ALPN_MQTT, raw_key_client_config, raw_key_server_config};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as ClientStream;

use super::*;

type Pair = (ClientStream<DuplexStream>, TlsStream<DuplexStream>);

async fn pair(line: usize) -> Pair {
    let key = Arc::new(SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &[7; 32]).unwrap());
    let client = raw_key_client_config(key.public_key(), ALPN_MQTT).unwrap();
    let server = raw_key_server_config(key, ALPN_MQTT).unwrap();
    let (near, far) = duplex(line);
    let name = "thingward.test".try_into().unwrap();
    let (client, server) =
        tokio::join!(TlsConnector::from(client).connect(name, near), TlsStream::accept(server, far));
    (client.unwrap(), server.unwrap())
}

fn holds_no_buffers(server: &TlsStream<DuplexStream>) -> bool {
    [&server.incoming, &server.unread, &server.outgoing].iter().all(|buffer| buffer.capacity() == 0)
}

fn bytes(count: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(count).collect()
}

#[tokio::test]
async fn a_connection_holds_no_buffers_between_two_messages() {
    let (mut client, mut server) = pair(1 << 16).await;
    assert!(holds_no_buffers(&server));
    for _ in 0..3 {
        client.write_all(b"question").await.unwrap();
        let mut read = [0; 8];
        server.read_exact(&mut read).await.unwrap();
        server.write_all(&read).await.unwrap();
        server.flush().await.unwrap();
        client.read_exact(&mut read).await.unwrap();
        assert!(&read == b"question" && holds_no_buffers(&server));
    }
}

#[tokio::test]
async fn a_goodbye_is_an_end_and_a_cut_is_an_error() {
    let (mut client, mut server) = pair(1 << 16).await;
    client.write_all(b"last").await.unwrap();
    client.shutdown().await.unwrap();
    let mut said = Vec::new();
    server.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"last");
    // It may still be answered.
    server.write_all(b"words").await.unwrap();
    server.shutdown().await.unwrap();
    server.shutdown().await.unwrap();
    said.clear();
    client.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"words");

    let (client, mut server) = pair(1 << 16).await;
    drop(client.into_inner().0);
    let cut = server.read_to_end(&mut said).await.unwrap_err();
    assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn new_keys_are_taken_in_the_middle() {
    let (mut client, mut server) = pair(1 << 16).await;
    for round in 0..3 {
        client.get_mut().1.refresh_traffic_keys().unwrap();
        client.write_all(&[round; 100]).await.unwrap();
        let mut read = [0; 100];
        server.read_exact(&mut read).await.unwrap();
        assert_eq!(read, [round; 100]);
        server.write_all(&read).await.unwrap();
        server.flush().await.unwrap();
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(read, [round; 100]);
    }
}

#[tokio::test]
async fn who_speaks_no_tls_is_told_so_and_not_listened_to() {
    let (mut client, far) = duplex(1 << 16);
    let key = Arc::new(SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &[7; 32]).unwrap());
    let server = raw_key_server_config(key, ALPN_MQTT).unwrap();
    client.write_all(b"\x10\x0c\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00").await.unwrap();
    let error = TlsStream::accept(server, far).await.err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let mut told = Vec::new();
    client.read_to_end(&mut told).await.unwrap();
    assert!(told.starts_with(&[21, 3]) && told.len() == 7, "an alert: {told:?}");
}

#[tokio::test]
async fn behind_a_record_that_is_not_the_clients_nothing_is_taken() {
    let (client, mut server) = pair(1 << 16).await;
    let (mut line, mut connection) = client.into_inner();
    let mut records = vec![23, 3, 3, 0, 32];
    records.extend([0; 32]);
    io::Write::write_all(&mut connection.writer(), b"open the door").unwrap();
    connection.write_tls(&mut records).unwrap();
    line.write_all(&records).await.unwrap();
    let mut said = Vec::new();
    let error = server.read_to_end(&mut said).await.unwrap_err();
    assert!(said.is_empty() && error.kind() == io::ErrorKind::InvalidData, "{error}");
    assert!(server.read_to_end(&mut said).await.is_err() && said.is_empty());
    assert!(server.write_all(b"x").await.is_err());
    drop(server);
    let mut told = Vec::new();
    line.read_to_end(&mut told).await.unwrap();
    assert!(told.starts_with(&[23, 3, 3]), "an alert, as a record: {told:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn everything_arrives_whole_and_in_order_over_any_line(
        line in 1_usize..40_000,
        room in 1_usize..20_000,
        up in 0_usize..100_000,
        down in 0_usize..100_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (client, server) = pair(line).await;
            let ((mut read, mut write), (mut hear, mut say)) =
                (tokio::io::split(client), tokio::io::split(server));
            let client = async {
                write.write_all(&bytes(up)).await.unwrap();
                write.shutdown().await.unwrap();
            };
            let answers = async {
                say.write_all(&bytes(down)).await.unwrap();
                say.shutdown().await.unwrap();
            };
            let heard = async {
                let (mut all, mut buffer) = (Vec::new(), vec![0; room]);
                loop {
                    match hear.read(&mut buffer).await.unwrap() {
                        0 => break all,
                        count => all.extend_from_slice(&buffer[..count]),
                    }
                }
            };
            let told = async {
                let mut all = Vec::new();
                read.read_to_end(&mut all).await.unwrap();
                all
            };
            let ((), (), heard, told) = tokio::join!(client, answers, heard, told);
            assert!(heard == bytes(up) && told == bytes(down));
        });
    }
}
