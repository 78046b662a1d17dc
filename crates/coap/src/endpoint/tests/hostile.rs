//! What peers do that is not meant well, and what is lost or comes late.

use super::*;

/// A request as a datagram that wants no acknowledgement.
fn non(id: u16, packet: &Packet) -> Vec<u8> {
    packet.encode(Type::NonConfirmable, id, Token::new(&id.to_be_bytes()).unwrap()).unwrap()
}

fn block2(code: Code, number: u32) -> Packet {
    Packet::to(code, &["state"]).with_uint(OptionNumber::BLOCK2, number << 4 | 6)
}

/// The code of the next datagram from the server.
fn code(net: &mut Net) -> Code {
    let (_, datagram) = net.server.poll_transmit().unwrap();
    Message::decode(&datagram).unwrap().code
}

#[test]
fn a_request_whose_response_is_not_kept_any_more_is_not_run_again() {
    for method in [Code::POST, Code::PUT, Code::DELETE, Code::FETCH] {
        let mut net = Net::new();
        net.server.receive(net.now, CLIENT, &non(1, &block2(method, 1))).unwrap();
        assert_eq!(net.server.poll_event(), None);
        assert_eq!(code(&mut net), Code::REQUEST_ENTITY_INCOMPLETE);
    }
    let mut net = Net::new();
    net.server.receive(net.now, CLIENT, &non(1, &block2(Code::GET, 1))).unwrap();
    net.asked();
}

#[test]
fn bodies_without_protection_take_no_place_of_one_with_it() {
    let mut net = Net::new();
    let context = net.secured();
    let exchange = net.client.request(net.now, SERVER, Some(context), get()).unwrap();
    let (_, datagram) = net.client.poll_transmit().unwrap();
    net.server.receive(net.now, CLIENT, &datagram).unwrap();
    let (id, _) = net.asked();
    net.server.respond(net.now, id, content(&[7; 3000])).unwrap();
    let first = Packet::new(Code::PUT).with_payload(&[0; 1024]).with_uint(OptionNumber::BLOCK1, 0xe);
    for peer in [CLIENT, 100].into_iter().chain(10..40) {
        for id in 0..20 {
            let upload = first.clone().with(OptionNumber::URI_QUERY, &[u8::try_from(id).unwrap()]);
            net.server.receive(net.now, peer, &non(id, &upload)).unwrap();
        }
    }
    assert_eq!(net.server.transfers.len(), Limits::default().transfers_max);
    net.carry_to_client();
    net.carry();
    answered(&mut net, exchange, &[7; 3000]);
}

#[test]
fn a_response_starts_no_observation_that_was_not_asked_for() {
    for asked in [get(), get().with_uint(OptionNumber::OBSERVE, 1)] {
        let mut net = Net::new();
        let exchange = net.ask(None, asked);
        let (id, _) = net.asked();
        net.respond(id, content(b"21").with_uint(OptionNumber::OBSERVE, 5));
        answered(&mut net, exchange, b"21");
        assert!(net.client.exchanges.is_empty());
    }
}

#[test]
fn a_response_stops_the_repetition_of_its_request() {
    let mut net = Net::new();
    net.client.request(net.now, SERVER, None, get().with_uint(OptionNumber::OBSERVE, 0)).unwrap();
    // The acknowledgement that goes in front of the response gets lost.
    net.lost = vec![2];
    net.carry();
    let (id, _) = net.asked();
    net.wait();
    net.server.observe(net.now, id, content(b"0")).unwrap();
    net.carry();
    assert!(matches!(net.client.poll_event(), Some(Event::Response { observing: true, .. })));
    assert_eq!(net.client.poll_timeout(), None);
}
