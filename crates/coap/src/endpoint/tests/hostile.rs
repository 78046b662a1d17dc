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
fn who_begins_many_bodies_from_many_ports_takes_nobody_elses_place() {
    let mut net = Net::new();
    let (context, other) = (net.secured(), net.secured_as(b"d"));
    let exchange = net.client.request(net.now, SERVER, Some(context), get()).unwrap();
    let (_, datagram) = net.client.poll_transmit().unwrap();
    net.server.receive(net.now, CLIENT, &datagram).unwrap();
    let (id, _) = net.asked();
    net.server.respond(net.now, id, content(&[7; 3000])).unwrap();
    for port in 10..90 {
        let upload = Packet::to(Code::PUT, &["state"]).with_payload(&[0; 3000]);
        let upload = upload.with(OptionNumber::URI_QUERY, &[port]);
        let begun = net.client.request(net.now, SERVER, Some(other), upload).unwrap();
        let (_, datagram) = net.client.poll_transmit().unwrap();
        net.server.receive(net.now, port, &datagram).unwrap();
        net.client.forget(begun);
    }
    assert_eq!(net.server.transfers.len(), 1 + Limits::default().per_peer_max);
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

#[test]
fn a_notification_that_was_overtaken_does_not_disturb_the_blocks_of_a_newer_one() {
    let mut net = Net::new();
    let (exchange, observation) = net.observed();
    net.server.notify(net.now, observation, content(b"1")).unwrap();
    let (_, overtaken) = net.server.poll_transmit().unwrap();
    net.server.reliable.settle(CLIENT, Message::decode(&overtaken).unwrap().id);
    net.server.notify(net.now, observation, content(&[2; 3000])).unwrap();
    net.carry_to_client();
    net.client.receive(net.now, SERVER, &overtaken).unwrap();
    net.carry();
    match net.client.poll_event() {
        Some(Event::Notification { exchange: of, response }) => {
            assert_eq!((of, response.payload), (exchange, vec![2; 3000]));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_acknowledges_nothing_does_not_fill_the_memory_with_responses() {
    let mut net = Net::new();
    let limits = Limits::default();
    for round in 0..20_u16 {
        for peer in 10..60 {
            let datagram = get().encode(Type::Confirmable, round, Token::default()).unwrap();
            net.server.receive(net.now, peer, &datagram).unwrap();
        }
        net.now += Duration::from_secs(1);
        net.server.handle_timeout(net.now);
        while let Some(event) = net.server.poll_event() {
            let Event::Request { id, .. } = event else { panic!("{event:?}") };
            net.server.respond(net.now, id, content(b"21")).unwrap();
        }
        let (of_peer, all) = net.server.reliable.responses(10);
        assert!(of_peer <= limits.per_peer_max && all <= limits.asked_max, "{of_peer} {all}");
    }
    assert!(net.server.reliable.responses(10).1 > 0);
}

#[test]
fn a_peer_that_says_much_does_not_make_another_ones_messages_forgotten() {
    let mut net = Net::new();
    net.server.receive(net.now, CLIENT, &non(7, &get())).unwrap();
    let (id, _) = net.asked();
    net.server.respond(net.now, id, content(b"21")).unwrap();
    for id in 0..2000 {
        net.server.receive(net.now, 10, &non(id, &get())).unwrap();
        net.server.poll_event();
    }
    net.server.receive(net.now, CLIENT, &non(7, &get())).unwrap();
    assert_eq!(net.server.poll_event(), None);
}

#[test]
fn a_datagram_that_is_too_large_is_not_taken() {
    let mut net = Net::new();
    let limit = Limits::default().datagram_bytes_max;
    // Options of a single byte each, with nothing in them.
    let mut datagram = [&[0x50, 1, 0, 1][..], &vec![0; limit - 4]].concat();
    net.server.receive(net.now, CLIENT, &datagram).unwrap();
    datagram.push(0);
    datagram[3] = 2;
    assert_eq!(net.server.receive(net.now, CLIENT, &datagram), Err(ReceiveError::TooLarge));
    assert_eq!(net.server.seen.take(net.now, CLIENT, 2), Ok(()));
}

#[test]
fn blocks_of_two_states_are_not_joined() {
    let mut net = Net::new();
    let exchange = net.ask(None, get());
    let (id, _) = net.asked();
    net.server.respond(net.now, id, content(&[1; 3000])).unwrap();
    net.carry_to_client();
    net.server.transfers.clear();
    net.carry();
    let (id, _) = net.asked();
    net.respond(id, content(&[2; 3000]));
    assert_eq!(net.client.poll_event(), Some(Event::Failed { exchange, failure: Failure::Blocks }));
}

#[test]
fn blocks_of_what_was_fetched_belong_to_what_was_asked() {
    let mut net = Net::new();
    let fetch = |asked: &[u8]| Packet::to(Code::FETCH, &["state"]).with_payload(asked);
    for (message, asked) in [(1, b"a"), (2, b"b")] {
        net.server.receive(net.now, CLIENT, &non(message, &fetch(asked))).unwrap();
        let (id, _) = net.asked();
        net.server.respond(net.now, id, content(&[asked[0]; 3000])).unwrap();
        net.server.poll_transmit().unwrap();
    }
    // Who says nothing means the newest.
    for (message, asked, got) in [(3, b"a".as_slice(), b'a'), (4, b"b", b'b'), (5, b"", b'b')] {
        let later = fetch(asked).with_uint(OptionNumber::BLOCK2, 1 << 4 | 6);
        net.server.receive(net.now, CLIENT, &non(message, &later)).unwrap();
        let (_, datagram) = net.server.poll_transmit().unwrap();
        assert_eq!(Message::decode(&datagram).unwrap().payload, [got; 1024]);
    }
}

#[test]
fn a_later_block_is_not_observed() {
    let mut net = Net::new();
    for (message, number, observed) in [(1, 0, true), (2, 1, false)] {
        let asked = block2(Code::GET, number).with_uint(OptionNumber::OBSERVE, 0);
        net.server.receive(net.now, CLIENT, &non(message, &asked)).unwrap();
        let Some(Event::Request { observe, .. }) = net.server.poll_event() else { panic!() };
        assert_eq!(observe, observed);
    }
}

#[test]
fn who_could_not_be_told_the_first_state_can_still_be_answered() {
    let mut net = Net::new();
    let exchange = net.ask(None, get().with_uint(OptionNumber::OBSERVE, 0));
    let (id, _) = net.asked();
    let too_large = content(&vec![0; Limits::default().body_bytes_max + 1]);
    let refused = net.server.observe(net.now, id, too_large);
    assert_eq!(refused, Err(RespondError::Send(RequestError::TooLarge)));
    net.respond(id, content(b"21"));
    answered(&mut net, exchange, b"21");
}

#[test]
fn what_was_under_a_context_goes_with_it_and_who_used_it_hears_that_it_is_gone() {
    let mut net = Net::new();
    let context = net.secured();
    let observation = net.ask(Some(context), get().with_uint(OptionNumber::OBSERVE, 0));
    let (id, handle) = match net.server.poll_event() {
        Some(Event::Request { id, context: Some(handle), .. }) => (id, handle),
        other => panic!("{other:?}"),
    };
    net.server.observe(net.now, id, content(&[7; 3000])).unwrap();
    let (_, first) = net.server.poll_transmit().unwrap();
    net.client.receive(net.now, SERVER, &first).unwrap();
    assert_eq!((net.server.observers.len(), net.server.transfers.len()), (1, 1));
    assert!(net.server.remove_context(handle).is_some() && net.server.remove_context(handle).is_none());
    assert_eq!((net.server.observers.len(), net.server.transfers.len()), (0, 0));
    assert!(matches!(net.server.poll_event(), Some(Event::ObserverLeft { .. })));
    net.carry();
    // The next block is refused in the open: a hint that is told as such at once.
    let failed = Event::Failed { exchange: observation, failure: Failure::NoContext };
    assert_eq!(net.client.poll_event(), Some(failed));
    assert_eq!(net.client.poll_timeout(), None);
}

#[test]
fn bodies_without_protection_have_a_bound_of_their_own() {
    let mut net = Net::limited(Limits { open_body_bytes_max: 1500, ..Limits::default() });
    let context = net.secured();
    let upload = Packet::to(Code::PUT, &["state"]).with_payload(&[7; 3000]);
    let refused = net.ask(None, upload.clone());
    match net.client.poll_event() {
        Some(Event::Response { exchange, response, .. }) => {
            assert_eq!((exchange, response.code), (refused, Code::REQUEST_ENTITY_TOO_LARGE));
        }
        other => panic!("{other:?}"),
    }
    net.ask(Some(context), upload);
    assert_eq!(net.asked().1.payload.len(), 3000);
}
