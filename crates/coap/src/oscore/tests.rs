use std::path::Path;
use std::vec;
use std::vec::Vec;

use serde_json::Value;

use super::*;
use crate::message::{Code, Message, OptionNumber, Token, Type, Writer};

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// The cases of a file; `None`, with a note, where there is no folder of vectors beside the repository.
fn cases(file: &str) -> Option<Vec<Value>> {
    let mut paths = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|dir| dir.join("shared/vectors/oscore").join(file));
    let Some(path) = paths.find(|path| path.exists()) else {
        std::println!("skipped: the shared vectors are absent");
        return None;
    };
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    json["cases"].as_array().cloned()
}

fn id(bytes: &[u8]) -> Id {
    bytes.try_into().unwrap()
}

/// A context of these bytes that goes on at `start`, with a window that has seen nothing.
fn context(secret: &MasterSecret, salt: &[u8], (sender, recipient): (&[u8], &[u8]), start: u64) -> Context {
    let parameters = Parameters {
        secret,
        salt,
        sender_id: id(sender),
        recipient_id: id(recipient),
        id_context: None,
        aead: Aead::default(),
        hkdf: Hkdf::default(),
    };
    used(Context::new(&parameters).unwrap(), start)
}

/// Goes on at `start`, and may.
fn used(mut context: Context, start: u64) -> Context {
    context.sequence = sequence::Sequence::starting_at(start);
    context.set_aside(start + 1000);
    context
}

/// A client and a server.
fn pair() -> (Context, Context) {
    let secret = MasterSecret::new(&[7; 16]).unwrap();
    (context(&secret, b"salt", (b"", b"\x01"), 0), context(&secret, b"salt", (b"\x01", b""), 0))
}

fn message<'b>(
    buffer: &'b mut [u8],
    code: Code,
    options: &[(OptionNumber, &[u8])],
    payload: &[u8],
) -> Message<'b> {
    let token = Token::new(b"tok").unwrap();
    let mut writer = Writer::new(buffer, Type::Confirmable, code, 7, token).unwrap();
    options.iter().for_each(|(number, value)| writer.option(*number, value).unwrap());
    let len = writer.finish(payload).unwrap();
    Message::decode(&buffer[..len]).unwrap()
}

fn protected(context: &mut Context, plain: &Message<'_>) -> (Vec<u8>, Exchange) {
    let mut out = vec![0; 2048];
    let (len, exchange) = context.protect_request(plain, &mut out).unwrap();
    out.truncate(len);
    (out, exchange)
}

fn answered(context: &mut Context, exchange: &mut Exchange, plain: &Message<'_>, nonce: Nonce) -> Vec<u8> {
    let mut out = vec![0; 2048];
    let len = context.protect_response(exchange, plain, nonce, &mut out).unwrap();
    out.truncate(len);
    out
}

/// The plain request and its exchange.
fn taken(context: &mut Context, datagram: &[u8]) -> Result<(Vec<u8>, Exchange), UnprotectError> {
    let mut out = vec![0; 4096];
    match context.unprotect_request(&Message::decode(datagram).unwrap(), &mut out)? {
        Opened::Fresh { len, exchange } => Ok((out[..len].to_vec(), exchange)),
        Opened::Unproven { .. } => panic!("unproven"),
    }
}

fn response(context: &Context, exchange: &mut Exchange, datagram: &[u8]) -> Result<Vec<u8>, UnprotectError> {
    let mut out = vec![0; 4096];
    let len = context.unprotect_response(exchange, &Message::decode(datagram).unwrap(), &mut out)?;
    Ok(out[..len].to_vec())
}

#[test]
fn the_standards_examples_are_met() {
    let Some(cases) = cases("rfc8613_appendix_c.json") else { return };
    let field = |case: &Value, name: &str| unhex(case["fields"][name]["hex"].as_str().unwrap_or_default());
    let secret = MasterSecret::new(&unhex("0102030405060708090a0b0c0d0e0f10")).unwrap();
    let mut seen = 0;
    for case in &cases {
        seen += 1;
        match case["id"].as_str().unwrap() {
            name @ ("C.1.1" | "C.1.2" | "C.2.1") => {
                let ids = (field(case, "Sender ID"), field(case, "Recipient ID"));
                let context = context(&secret, &field(case, "Master Salt"), (&ids.0, &ids.1), 0);
                assert_eq!(context.sender_key(), field(case, "Sender Key"), "{name}");
                assert_eq!(context.recipient_key(), field(case, "Recipient Key"), "{name}");
                let zero = PartialIv::new(0).unwrap();
                assert_eq!(
                    context.nonce(&context.sender_id, zero)[..],
                    field(case, "sender nonce"),
                    "{name}"
                );
                assert_eq!(
                    context.nonce(&context.recipient_id, zero)[..],
                    field(case, "recipient nonce"),
                    "{name}"
                );
            }
            name @ ("C.4" | "C.5") => {
                let salt = if name == "C.4" { unhex("9e7ca92223786340") } else { Vec::new() };
                let sender = field(case, "Sender ID");
                let mut client = context(&secret, &salt, (&sender, b"\x01"), 20);
                let plain = field(case, "Unprotected CoAP request");
                let (out, _) = protected(&mut client, &Message::decode(&plain).unwrap());
                assert_eq!(out, field(case, "Protected CoAP request (OSCORE message)"), "{name}");
                let mut server = context(&secret, &salt, (b"\x01", &sender), 0);
                assert_eq!(taken(&mut server, &out).unwrap().0, plain, "{name}");
            }
            "C.7" => {
                let salt = unhex("9e7ca92223786340");
                let mut client = context(&secret, &salt, (b"", b"\x01"), 20);
                let mut server = context(&secret, &salt, (b"\x01", b""), 0);
                let request = unhex("44015d1f00003974396c6f63616c686f737483747631");
                let (out, mut asked) = protected(&mut client, &Message::decode(&request).unwrap());
                let (_, mut exchange) = taken(&mut server, &out).unwrap();
                let plain = field(case, "Unprotected CoAP response");
                let out =
                    answered(&mut server, &mut exchange, &Message::decode(&plain).unwrap(), Nonce::Request);
                assert_eq!(out, field(case, "Protected CoAP response (OSCORE message)"));
                assert_eq!(response(&client, &mut asked, &out).unwrap(), plain);
            }
            other => panic!("{other} is not tried"),
        }
    }
    assert_eq!(seen, cases.len());
}

/// A case of the other implementation: its contexts, with the ends exchanged for the server.
fn oracle_context(case: &Value, end: &str) -> Context {
    let text = |name: &str| unhex(case[name].as_str().unwrap_or_default());
    let secret = MasterSecret::new(&text("master_secret")).unwrap();
    let mut ids = ["sender_id", "recipient_id"].map(|name| unhex(case["client"][name].as_str().unwrap()));
    if end == "server" {
        ids.reverse();
    }
    let hkdf = match case["hkdf"].as_str().unwrap() {
        "sha256" => Hkdf::Sha256,
        "sha384" => Hkdf::Sha384,
        "sha512" => Hkdf::Sha512,
        other => panic!("{other}"),
    };
    let parameters = Parameters {
        secret: &secret,
        salt: &text("master_salt"),
        sender_id: id(&ids[0]),
        recipient_id: id(&ids[1]),
        id_context: case["id_context"].as_str().map(|hex| unhex(hex)[..].try_into().unwrap()),
        aead: Aead::from_cose_id(case["aead_cose_id"].as_i64().unwrap()).unwrap(),
        hkdf,
    };
    used(Context::new(&parameters).unwrap(), case[end]["sender_sequence_number"].as_u64().unwrap())
}

#[test]
fn another_implementations_messages_are_made_and_taken_byte_for_byte() {
    let Some(cases) = cases("aiocoap_oracle.json") else { return };
    for case in &cases {
        let name = case["id"].as_str().unwrap();
        let (request, back) = (&case["request"], &case["response"]);
        let bytes = |side: &Value, field: &str| unhex(side[field].as_str().unwrap());
        let (mut client, mut server) = (oracle_context(case, "client"), oracle_context(case, "server"));
        let plain = bytes(request, "unprotected");
        let (out, mut asked) = protected(&mut client, &Message::decode(&plain).unwrap());
        assert_eq!(out, bytes(request, "protected"), "{name}");
        let tampered = bytes(request, "tampered_must_fail");
        assert_eq!(taken(&mut server, &tampered).unwrap_err(), UnprotectError::Decryption, "{name}");
        let (read, mut exchange) = taken(&mut server, &out).unwrap();
        assert_eq!(read, plain, "{name}");

        let plain = bytes(back, "unprotected");
        let nonce = if back["fresh_partial_iv"] == true { Nonce::Own } else { Nonce::Request };
        let out = answered(&mut server, &mut exchange, &Message::decode(&plain).unwrap(), nonce);
        assert_eq!(out, bytes(back, "protected"), "{name}");
        assert_eq!(response(&client, &mut asked, &out).unwrap(), plain, "{name}");
    }
}

#[test]
fn a_message_that_was_flipped_cut_or_extended_is_never_taken_as_another() {
    let (mut client, mut server) = pair();
    let mut buffer = [0; 128];
    let options = [(OptionNumber::URI_HOST, b"h".as_slice()), (OptionNumber::URI_PATH, b"lock")];
    let plain = message(&mut buffer, Code::PUT, &options, b"open");
    let (good, _) = protected(&mut client, &plain);
    let inner = |datagram: &[u8], server: &mut Context| {
        let Ok(message) = Message::decode(datagram) else { return None };
        let mut out = vec![0; 4096];
        let Ok(Opened::Fresh { len, .. }) = server.unprotect_request(&message, &mut out) else { return None };
        let read = Message::decode(&out[..len]).unwrap();
        Some((read.code, read.options.get(OptionNumber::URI_PATH).map(<[u8]>::to_vec), read.payload.to_vec()))
    };
    let want = inner(&good, &mut pair().1).unwrap();
    for at in 0..good.len() {
        for flip in 1..=255 {
            let mut bad = good.clone();
            bad[at] ^= flip;
            // Header, token and Uri-Host are not protected.
            if let Some(got) = inner(&bad, &mut pair().1) {
                assert_eq!(got, want, "byte {at} with {flip:02x}");
                assert!(at < 10, "byte {at} with {flip:02x} is not noticed");
            }
        }
        assert_eq!(inner(&good[..at], &mut pair().1), None, "cut to {at}");
    }
    assert_eq!(inner(&[&good[..], &[0]].concat(), &mut server), None);
    assert!(inner(&good, &mut server).is_some());
}

#[test]
fn a_request_is_taken_once() {
    let (mut client, mut server) = pair();
    let mut buffer = [0; 64];
    let (first, _) = protected(&mut client, &message(&mut buffer, Code::GET, &[], b""));
    let (second, _) = protected(&mut client, &message(&mut buffer, Code::GET, &[], b""));
    assert!(taken(&mut server, &second).is_ok());
    assert!(taken(&mut server, &first).is_ok());
    assert_eq!(taken(&mut server, &first).unwrap_err(), UnprotectError::Replay);
    assert_eq!(taken(&mut server, &second).unwrap_err(), UnprotectError::Replay);
}

#[test]
fn a_response_belongs_to_its_request_and_the_requests_nonce_is_used_once() {
    let (mut client, mut server) = pair();
    let mut buffer = [0; 64];
    let mut other_buffer = [0; 64];
    let get = message(&mut buffer, Code::GET, &[], b"");
    let (datagram, mut asked) = protected(&mut client, &get);
    let (_, mut another) = protected(&mut client, &get);
    let (_, mut exchange) = taken(&mut server, &datagram).unwrap();
    let content = message(&mut other_buffer, Code::CONTENT, &[], b"21");
    let first = answered(&mut server, &mut exchange, &content, Nonce::Request);
    let second = answered(&mut server, &mut exchange, &content, Nonce::Request);
    assert_ne!(first, second);
    assert_eq!(response(&client, &mut another, &first), Err(UnprotectError::Decryption));
    assert!(response(&client, &mut asked, &first).is_ok());
    assert!(response(&client, &mut asked, &second).is_ok());
}

#[test]
fn notifications_are_numbered_by_their_partial_iv_and_old_ones_are_refused() {
    let (mut client, mut server) = pair();
    let mut buffer = [0; 64];
    let mut other_buffer = [0; 64];
    let (datagram, mut asked) =
        protected(&mut client, &message(&mut buffer, Code::GET, &[(OptionNumber::OBSERVE, b"")], b""));
    assert_eq!(Message::decode(&datagram).unwrap().code, Code::FETCH);
    let (plain, mut exchange) = taken(&mut server, &datagram).unwrap();
    assert!(exchange.is_observing());
    assert_eq!(Message::decode(&plain).unwrap().options.get(OptionNumber::OBSERVE), Some(&[][..]));
    let notification = message(&mut other_buffer, Code::CONTENT, &[(OptionNumber::OBSERVE, b"\x09")], b"21");
    let sent: Vec<_> =
        (0..3).map(|_| answered(&mut server, &mut exchange, &notification, Nonce::Own)).collect();
    assert!(response(&client, &mut asked, &sent[0]).is_ok());
    let read = response(&client, &mut asked, &sent[2]).unwrap();
    assert_eq!(Message::decode(&read).unwrap().options.get(OptionNumber::OBSERVE), Some(&[2][..]));
    assert_eq!(response(&client, &mut asked, &sent[1]), Err(UnprotectError::Replay));
    assert_eq!(response(&client, &mut asked, &sent[2]), Err(UnprotectError::Replay));
}

#[test]
fn sequence_numbers_are_used_only_when_set_aside_and_end() {
    let secret = MasterSecret::new(&[7; 16]).unwrap();
    let parameters = Parameters {
        secret: &secret,
        salt: b"",
        sender_id: id(b""),
        recipient_id: id(b"\x01"),
        id_context: None,
        aead: Aead::default(),
        hkdf: Hkdf::default(),
    };
    let mut context = Context::new(&parameters).unwrap();
    let mut buffer = [0; 64];
    let get = message(&mut buffer, Code::GET, &[], b"");
    let mut out = [0; 128];
    assert_eq!(context.protect_request(&get, &mut out).unwrap_err(), ProtectError::NothingSetAside);
    context.set_aside(1);
    assert!(context.protect_request(&get, &mut out).is_ok());
    assert_eq!((context.left(), context.next_sequence_number()), (0, 1));
    let mut context = used(context, PartialIv::MAX);
    assert!(context.protect_request(&get, &mut out).is_ok());
    assert_eq!(context.protect_request(&get, &mut out).unwrap_err(), ProtectError::Exhausted);
    let same = Parameters { recipient_id: id(b""), ..parameters };
    assert!(matches!(Context::new(&same), Err(ContextError::SameId)));
}

#[test]
fn after_a_restart_a_server_takes_only_who_repeats_its_challenge() {
    let (mut client, _) = pair();
    let secret = MasterSecret::new(&[7; 16]).unwrap();
    let parameters = Parameters {
        secret: &secret,
        salt: b"salt",
        sender_id: id(b"\x01"),
        recipient_id: id(b""),
        id_context: None,
        aead: Aead::default(),
        hkdf: Hkdf::default(),
    };
    let mut server = Context::restarted(&parameters, 40, *b"12345678").unwrap();
    server.set_aside(80);
    let (mut buffer, mut out) = ([0; 64], [0; 256]);
    let (datagram, _) = protected(&mut client, &message(&mut buffer, Code::GET, &[], b""));
    let opened = server.unprotect_request(&Message::decode(&datagram).unwrap(), &mut out).unwrap();
    let Opened::Unproven { mut exchange } = opened else { panic!("taken") };
    let challenge = server.challenge().unwrap().to_vec();
    let refusal = message(&mut buffer, Code::UNAUTHORIZED, &[(OptionNumber::ECHO, &challenge)], b"");
    let sent = answered(&mut server, &mut exchange, &refusal, Nonce::Request);
    assert_eq!(Message::decode(&sent).unwrap().options.get(OptionNumber::OSCORE), Some(&[1, 40][..]));
    let (again, _) =
        protected(&mut client, &message(&mut buffer, Code::GET, &[(OptionNumber::ECHO, &challenge)], b""));
    assert!(taken(&mut server, &again).is_ok());
    assert_eq!(server.challenge(), None);
    assert_eq!(taken(&mut server, &datagram).unwrap_err(), UnprotectError::Replay);
}

#[test]
fn headers_are_read_as_the_standard_says() {
    for (value, want) in [
        ("", Ok((None, None, None))),
        ("00", Err(HeaderError::Leftover)),
        ("0914", Ok((Some(20), None, Some("")))),
        ("190a0461626364ff", Ok((Some(10), Some("61626364"), Some("ff")))),
        ("20", Err(HeaderError::ReservedFlag)),
        ("0e000000000001", Err(HeaderError::PartialIv)),
        ("020014", Err(HeaderError::PartialIv)),
        ("01", Err(HeaderError::Truncated)),
        ("1902", Err(HeaderError::Truncated)),
        ("011400", Err(HeaderError::Leftover)),
        ("080102030405060708", Err(HeaderError::TooLong)),
    ] {
        let got = Header::decode(&unhex(value));
        let told = got.map(|h| {
            let bytes = |b: &[u8]| b.to_vec();
            (
                h.partial_iv.map(PartialIv::number),
                h.kid_context.map(|c| bytes(c.as_bytes())),
                h.kid.map(|k| bytes(k.as_bytes())),
            )
        });
        assert_eq!(told, want.map(|(p, c, k)| (p, c.map(unhex), k.map(unhex))), "{value}");
        if let Ok(header) = got {
            let (bytes, len) = header.encode();
            assert_eq!(bytes[..len], unhex(value), "{value}");
        }
    }
}
