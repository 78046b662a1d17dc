mod hostile;

use std::vec;
use std::vec::Vec;

use super::*;
use crate::message::{Code, Message, OptionNumber, Token, Type};
use crate::oscore::{Aead, Context, Hkdf, MasterSecret, Parameters};
use core::time::Duration;

type Address = u8;
const CLIENT: Address = 1;
const SERVER: Address = 2;

/// Two endpoints, what is between them, and the time.
struct Net {
    client: Endpoint<Address>,
    server: Endpoint<Address>,
    now: Duration,
    /// Datagrams that get lost, counted from the first; all others arrive.
    lost: Vec<usize>,
    sent: usize,
    doubled: bool,
}

impl Net {
    fn new() -> Self {
        Self::limited(Limits::default())
    }

    fn limited(limits: Limits) -> Self {
        Self {
            client: Endpoint::new(limits, [1; 32]),
            server: Endpoint::new(limits, [2; 32]),
            now: Duration::ZERO,
            lost: vec![],
            sent: 0,
            doubled: false,
        }
    }

    /// Security contexts at both ends; the client's.
    fn secured(&mut self) -> ContextHandle {
        self.secured_as(b"c")
    }

    /// As [`Self::secured`], of a client with this identifier.
    fn secured_as(&mut self, client: &[u8]) -> ContextHandle {
        let secret = MasterSecret::new(&[7; 16]).unwrap();
        let server = b"s".as_slice();
        let [ours, theirs] = [(client, server), (server, client)].map(|(sender, recipient)| {
            let mut context = Context::new(&Parameters {
                secret: &secret,
                salt: b"salt",
                sender_id: sender.try_into().unwrap(),
                recipient_id: recipient.try_into().unwrap(),
                id_context: None,
                aead: Aead::default(),
                hkdf: Hkdf::default(),
            })
            .unwrap();
            context.set_aside(1000);
            context
        });
        self.server.add_context(theirs);
        self.client.add_context(ours)
    }

    /// Carries datagrams until there are none.
    fn carry(&mut self) {
        loop {
            let there = self.client.poll_transmit().map(|(_, datagram)| (true, datagram));
            let next = there.or_else(|| self.server.poll_transmit().map(|(_, datagram)| (false, datagram)));
            let Some((to_server, datagram)) = next else { return };
            self.sent += 1;
            if self.lost.contains(&self.sent) {
                continue;
            }
            for _ in 0..=usize::from(self.doubled) {
                if to_server {
                    self.server.receive(self.now, CLIENT, &datagram).unwrap();
                } else {
                    self.client.receive(self.now, SERVER, &datagram).unwrap();
                }
            }
        }
    }

    /// Carries what the server sent to the client as long as that is its peer, and drops the rest.
    fn carry_to_client(&mut self) {
        while let Some((peer, datagram)) = self.server.poll_transmit() {
            if peer == CLIENT {
                self.client.receive(self.now, SERVER, &datagram).unwrap();
            }
        }
    }

    /// Lets time pass until the next thing is due at either end.
    fn wait(&mut self) {
        let due = [self.client.poll_timeout(), self.server.poll_timeout()].into_iter().flatten().min();
        self.now = due.unwrap();
        self.client.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
        self.carry();
    }

    fn ask(&mut self, context: Option<ContextHandle>, packet: Packet) -> ExchangeId {
        let id = self.client.request(self.now, SERVER, context, packet).unwrap();
        self.carry();
        id
    }

    /// The client observes a state, and has it.
    fn observed(&mut self) -> (ExchangeId, ObservationId) {
        let exchange = self.ask(None, get().with_uint(OptionNumber::OBSERVE, 0));
        let (id, _) = self.asked();
        let observation = self.server.observe(self.now, id, content(b"0")).unwrap();
        self.carry();
        self.client.poll_event().unwrap();
        (exchange, observation)
    }

    /// The request at the server.
    fn asked(&mut self) -> (RequestId, Packet) {
        match self.server.poll_event() {
            Some(Event::Request { id, request, .. }) => (id, request),
            other => panic!("{other:?}"),
        }
    }

    fn respond(&mut self, id: RequestId, packet: Packet) {
        self.server.respond(self.now, id, packet).unwrap();
        self.carry();
    }
}

fn get() -> Packet {
    Packet::to(Code::GET, &["state"])
}

fn content(payload: &[u8]) -> Packet {
    Packet::new(Code::CONTENT).with_payload(payload)
}

#[track_caller]
fn answered(net: &mut Net, exchange: ExchangeId, payload: &[u8]) {
    match net.client.poll_event() {
        Some(Event::Response { exchange: of, response, observing: false }) => {
            assert_eq!((of, &response.payload[..]), (exchange, payload));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(net.client.poll_event(), None);
}

#[test]
fn a_request_is_answered_with_its_acknowledgement() {
    for secured in [false, true] {
        let mut net = Net::new();
        let context = secured.then(|| net.secured());
        let exchange = net.ask(context, get());
        let (id, request) = net.asked();
        assert_eq!(request, get());
        net.respond(id, content(b"21"));
        answered(&mut net, exchange, b"21");
        assert_eq!(net.sent, 2);
        assert_eq!(net.client.poll_timeout(), None);
        assert_eq!(net.server.respond(net.now, id, content(b"21")), Err(RespondError::Unknown));
    }
}

#[test]
fn what_is_late_is_acknowledged_first_and_sent_by_itself() {
    let mut net = Net::new();
    let exchange = net.ask(None, get());
    let (id, _) = net.asked();
    net.wait();
    assert_eq!(net.now, Duration::from_secs(1));
    net.respond(id, content(b"21"));
    answered(&mut net, exchange, b"21");
    // Request, acknowledgement, response, acknowledgement.
    assert_eq!(net.sent, 4);
    assert!(net.server.reliable.next_due().is_none());
}

#[test]
fn lost_datagrams_are_sent_again_and_nothing_is_taken_twice() {
    for (secured, doubled) in [(false, false), (true, false), (false, true), (true, true)] {
        for lost in 1..=2 {
            let mut net = Net::new();
            let context = secured.then(|| net.secured());
            net.lost = vec![lost];
            net.doubled = doubled;
            let exchange = net.ask(context, get());
            if lost == 1 {
                net.wait();
            }
            let (id, _) = net.asked();
            net.respond(id, content(b"21"));
            if lost == 2 {
                net.wait();
            }
            answered(&mut net, exchange, b"21");
            assert_eq!(net.server.poll_event(), None);
        }
    }
}

#[test]
fn who_never_answers_is_given_up_after_four_repetitions() {
    let mut net = Net::new();
    net.lost = (1..100).collect();
    let exchange = net.ask(None, get());
    for _ in 0..5 {
        net.wait();
    }
    assert_eq!(net.sent, 5);
    // MAX_TRANSMIT_WAIT: RFC 7252 §4.8.2.
    assert!(net.now >= Duration::from_secs(62) && net.now <= Duration::from_secs(93), "{:?}", net.now);
    let failed = Event::Failed { exchange, failure: Failure::Timeout };
    assert_eq!(net.client.poll_event(), Some(failed));
}

#[test]
fn bodies_go_and_come_in_blocks() {
    for secured in [false, true] {
        for (exponent, len) in [(0, 16), (0, 17), (2, 1000), (6, 1024), (6, 5000)] {
            let mut net = Net::limited(Limits { block_exponent: exponent, ..Limits::default() });
            let context = secured.then(|| net.secured());
            let body: Vec<u8> = (0..len).map(|i: u32| u8::try_from(i % 251).unwrap()).collect();
            for (code, sent) in [(Code::PUT, &body[..]), (Code::FETCH, &body), (Code::FETCH, b"all")] {
                let exchange = net.ask(context, Packet::to(code, &["state"]).with_payload(sent));
                let (id, request) = net.asked();
                assert_eq!(request.payload, sent);
                net.respond(id, content(&body));
                answered(&mut net, exchange, &body);
            }
            assert_eq!(net.server.poll_event(), None);
        }
    }
}

#[test]
fn a_peer_with_smaller_blocks_gets_smaller_blocks() {
    let mut net = Net::new();
    net.server = Endpoint::new(Limits { block_exponent: 2, ..Limits::default() }, [2; 32]);
    let body: Vec<u8> = vec![9; 3000];
    let exchange = net.ask(None, Packet::to(Code::PUT, &["state"]).with_payload(&body));
    let (id, request) = net.asked();
    assert_eq!(request.payload, body);
    net.respond(id, content(&body));
    answered(&mut net, exchange, &body);
}

#[test]
fn bodies_are_bounded() {
    let mut net = Net::new();
    net.server = Endpoint::new(Limits { body_bytes_max: 2000, ..Limits::default() }, [2; 32]);
    net.ask(None, Packet::to(Code::PUT, &["state"]).with_payload(&[9; 3000]));
    let Some(Event::Response { response, .. }) = net.client.poll_event() else { panic!() };
    assert_eq!(response.code, Code::REQUEST_ENTITY_TOO_LARGE);
    let too_large = Packet::new(Code::PUT).with_payload(&[0; 70_000]);
    assert_eq!(net.client.request(net.now, SERVER, None, too_large), Err(RequestError::TooLarge));
    net.client = Endpoint::new(Limits { body_bytes_max: 2000, ..Limits::default() }, [3; 32]);
    net.server = Endpoint::new(Limits::default(), [2; 32]);
    let exchange = net.ask(None, get());
    let (id, _) = net.asked();
    net.respond(id, content(&[9; 3000]));
    assert_eq!(net.client.poll_event(), Some(Event::Failed { exchange, failure: Failure::TooLarge }));
}

#[test]
fn an_observer_is_told_of_each_newer_state_until_it_forgets() {
    for secured in [false, true] {
        let mut net = Net::new();
        let context = secured.then(|| net.secured());
        let exchange = net.ask(context, get().with_uint(OptionNumber::OBSERVE, 0));
        let (id, request) = net.asked();
        assert_eq!(request, get());
        let observation = net.server.observe(net.now, id, content(b"0")).unwrap();
        net.carry();
        let Some(Event::Response { observing: true, response, .. }) = net.client.poll_event() else {
            panic!()
        };
        assert_eq!(response.payload, b"0");
        for state in [vec![1], vec![2; 3000]] {
            net.server.notify(net.now, observation, content(&state)).unwrap();
            net.carry();
            match net.client.poll_event() {
                Some(Event::Notification { exchange: of, response }) => {
                    assert_eq!((of, response.payload), (exchange, state));
                }
                other => panic!("{other:?}"),
            }
        }
        net.client.forget(exchange);
        net.server.notify(net.now, observation, content(b"3")).unwrap();
        net.carry();
        assert_eq!(net.server.poll_event(), Some(Event::ObserverLeft { observation }));
        assert_eq!(net.client.poll_event(), None);
        assert_eq!(net.server.notify(net.now, observation, content(b"4")), Err(RespondError::Unknown));
    }
}

#[test]
fn a_lost_notification_gives_way_to_a_newer_one() {
    let mut net = Net::new();
    let (_, observation) = net.observed();
    net.lost = vec![net.sent + 1];
    net.server.notify(net.now, observation, content(b"1")).unwrap();
    net.carry();
    net.server.notify(net.now, observation, content(b"2")).unwrap();
    net.carry();
    assert_eq!(net.client.poll_event(), None);
    net.wait();
    let Some(Event::Notification { response, .. }) = net.client.poll_event() else { panic!() };
    assert_eq!(response.payload, b"2");
}

#[test]
fn notifications_that_were_overtaken_are_not_told() {
    let mut net = Net::new();
    let (_, observation) = net.observed();
    net.server.notify(net.now, observation, content(b"1")).unwrap();
    let (_, first) = net.server.poll_transmit().unwrap();
    let id = Message::decode(&first).unwrap().id;
    net.server.reliable.settle(CLIENT, id);
    net.server.notify(net.now, observation, content(b"2")).unwrap();
    net.carry();
    let Some(Event::Notification { response, .. }) = net.client.poll_event() else { panic!() };
    assert_eq!(response.payload, b"2");
    net.client.receive(net.now, SERVER, &first).unwrap();
    assert_eq!(net.client.poll_event(), None);
}

#[test]
fn after_its_restart_a_server_is_convinced_by_its_challenge() {
    let mut net = Net::new();
    let context = net.secured();
    let secret = MasterSecret::new(&[7; 16]).unwrap();
    let parameters = Parameters {
        secret: &secret,
        salt: b"salt",
        sender_id: b"s".as_slice().try_into().unwrap(),
        recipient_id: b"c".as_slice().try_into().unwrap(),
        id_context: None,
        aead: Aead::default(),
        hkdf: Hkdf::default(),
    };
    let mut restarted = Context::restarted(&parameters, 100, [5; 8]).unwrap();
    restarted.set_aside(200);
    net.server = Endpoint::new(Limits::default(), [2; 32]);
    net.server.add_context(restarted);
    let exchange = net.ask(Some(context), get());
    let (id, _) = net.asked();
    net.respond(id, content(b"21"));
    answered(&mut net, exchange, b"21");
}

#[test]
fn the_newer_of_two_contexts_counts_until_it_is_taken_back() {
    let mut net = Net::new();
    net.secured();
    let context = net.secured();
    let exchange = net.ask(Some(context), get());
    let Some(Event::Request { id, context: Some(newer), .. }) = net.server.poll_event() else { panic!() };
    net.respond(id, content(b"21"));
    answered(&mut net, exchange, b"21");
    assert!(net.server.remove_context(newer).is_some());
    assert!(net.server.remove_context(newer).is_none());
    net.ask(Some(context), get());
    let Some(Event::Request { context: Some(older), .. }) = net.server.poll_event() else { panic!() };
    assert_ne!(older, newer);
}

#[test]
fn a_ping_a_critical_option_and_an_unknown_token_are_answered() {
    let mut net = Net::new();
    let said = |net: &mut Net, datagram: &[u8]| {
        net.server.receive(net.now, CLIENT, datagram).ok();
        let (_, datagram) = net.server.poll_transmit()?;
        let message = Message::decode(&datagram).unwrap();
        Some((message.kind, message.code, message.id))
    };
    assert_eq!(said(&mut net, &[0x40, 0, 0, 1]), Some((Type::Reset, Code::EMPTY, 1)));
    let critical = [0x40, 1, 0, 2, 0xd0, 0xf0];
    assert_eq!(said(&mut net, &critical), Some((Type::Acknowledgement, Code::BAD_OPTION, 2)));
    assert_eq!(said(&mut net, &[0x41, 0x45, 0, 3, 9]), Some((Type::Reset, Code::EMPTY, 3)));
    assert_eq!(said(&mut net, &[0x40, 1, 0, 4, 0xff]), Some((Type::Reset, Code::EMPTY, 4)));
    assert_eq!(said(&mut net, &[0x60, 0, 0, 5]), None);
    assert_eq!(net.server.poll_event(), None);
}

#[test]
fn one_peer_does_not_take_all_there_is() {
    let mut net = Net::new();
    for id in 0..100_u8 {
        net.server.receive(net.now, CLIENT, &[0x50, 1, 0, id]).unwrap();
    }
    let limits = Limits::default();
    assert_eq!(net.server.asked.len(), limits.per_peer_max);
    for peer in 10..200 {
        net.server.receive(net.now, peer, &[0x50, 1, 0, 1]).unwrap();
    }
    assert_eq!(net.server.asked.len(), limits.asked_max);
    net.now += Duration::from_secs(247);
    net.server.handle_timeout(net.now);
    assert!(net.server.asked.is_empty());
}

#[test]
fn a_protected_exchange_tells_nothing_that_was_flipped() {
    let mut net = Net::new();
    let context = net.secured();
    net.client.request(net.now, SERVER, Some(context), get()).unwrap();
    let (_, datagram) = net.client.poll_transmit().unwrap();
    for at in 0..datagram.len() {
        for flip in 1..=255 {
            let mut fresh = Net::new();
            fresh.secured();
            let mut bad = datagram.clone();
            bad[at] ^= flip;
            fresh.server.receive(fresh.now, CLIENT, &bad).ok();
            if let Some(Event::Request { context: Some(_), request, .. }) = fresh.server.poll_event() {
                assert_eq!(request, get(), "byte {at} with {flip:02x}");
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_datagrams_panic(datagrams in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..40), 0..20)) {
        let mut net = Net::new();
        net.secured();
        for (at, datagram) in datagrams.iter().enumerate() {
            let mut datagram = datagram.clone();
            if let Some(first) = datagram.first_mut() {
                *first = 0x40 | *first & 0x38;
            }
            net.server.receive(Duration::from_secs(u64::try_from(at).unwrap()), CLIENT, &datagram).ok();
            while net.server.poll_transmit().is_some() {}
            while let Some(event) = net.server.poll_event() {
                if let Event::Request { id, .. } = event {
                    net.server.respond(net.now, id, content(&[0; 2000])).unwrap();
                }
            }
        }
        net.server.handle_timeout(Duration::from_secs(300));
    }
}
