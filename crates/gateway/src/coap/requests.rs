//! What is done with one request: who may ask for what, and who answers.

use std::net::SocketAddr;
use std::sync::Arc;

use thingward_agent::coap::proof::{self, Purpose};
use thingward_agent::coap::wire::{format, path, with_format};
use thingward_coap::edhoc::{EdhocError, Responder};
use thingward_coap::endpoint::{ContextHandle, Packet, RequestId};
use thingward_coap::message::{Code, OptionNumber};
use thingward_device::link::{Failure, Kind};
use thingward_model::clock::now;
use thingward_model::{DeviceName, Link, Role};
use tokio::time::Instant;

use super::budget::Admission;
use super::job::{Then, busy, certified, refusal};
use super::record::Record;
use super::resource::{self, LINKS, Members, OPEN_LINKS, Open, Resource};
use super::server::{Errand, Server};
use crate::core::Said;

/// A request that is to be answered.
type Asked = (RequestId, ContextHandle);

/// The CBOR value true, which stands in front of message 1: RFC 9528 appendix A.2.
const MESSAGE_1: u8 = 0xf5;
/// An error of EDHOC without a number of its own: RFC 9528 §6.2.
const UNSPECIFIED: u8 = 1;

impl Server {
    /// Without keys: EDHOC, and a list that names it.
    pub(super) fn open(&mut self, peer: SocketAddr, request: &Packet) -> Packet {
        let path: Vec<&[u8]> = request.values(OptionNumber::URI_PATH).collect();
        let is = |wanted: &[&str]| path.iter().copied().eq(wanted.iter().map(|segment| segment.as_bytes()));
        match request.code {
            Code::POST if is(path::EDHOC) => self.edhoc(peer, request),
            Code::GET if is(path::CORE) => links(OPEN_LINKS),
            _ => Packet::new(Code::UNAUTHORIZED),
        }
    }

    fn edhoc(&mut self, peer: SocketAddr, request: &Packet) -> Packet {
        let now = Instant::now().into_std();
        let Some(message_1) = request.payload.strip_prefix(&[MESSAGE_1]) else {
            return self.last_message(peer, &request.payload);
        };
        match self.budget.admit(now, peer, request.get(OptionNumber::ECHO)) {
            Admission::Now => {}
            Admission::Proved(echo) => {
                return Packet::new(Code::UNAUTHORIZED).with(OptionNumber::ECHO, &echo);
            }
            Admission::Later => return busy(),
        }
        match self.handshakes.answer(now, peer, message_1) {
            Ok(message_2) => edhoc_message(&message_2),
            Err(error) => edhoc_error(error),
        }
    }

    fn last_message(&mut self, peer: SocketAddr, payload: &[u8]) -> Packet {
        let finished = match self.handshakes.finish(peer, payload) {
            // As if it were of a handshake that somebody else had begun.
            None => return edhoc_error(EdhocError::NotAuthentic),
            Some(Err(error)) => return edhoc_error(error),
            Some(Ok(finished)) => finished,
        };
        let (session, credential) = finished;
        match (self.add(peer, &session, &credential), session.message_4()) {
            (Some(()), Ok(message_4)) => edhoc_message(&message_4),
            _ => edhoc_error(EdhocError::NotAuthentic),
        }
    }

    /// With keys. What is not answered yet is so later.
    pub(super) fn under_context(
        &mut self,
        asked: Asked,
        address: SocketAddr,
        request: Packet,
        observe: bool,
    ) -> Result<(), Packet> {
        let peer =
            self.peers.heard(asked.1, address, Instant::now()).ok_or(Packet::new(Code::UNAUTHORIZED))?;
        let member = peer.member.clone();
        match (resource::of(&request), member) {
            (Ok(Resource::Open(open)), member) => self.open_to_all(asked, open, request, member.is_some()),
            // Nobody learns here what there is.
            (Ok(Resource::Members(_)) | Err(_), None) => Err(refusal(Code::FORBIDDEN, "no member")),
            (Err(code), Some(_)) => Err(Packet::new(code)),
            (Ok(Resource::Members(wanted)), Some(member)) => {
                self.for_members(asked, wanted, request, observe, &member)
            }
        }
    }

    fn open_to_all(
        &mut self,
        asked: Asked,
        open: Open,
        request: Packet,
        is_member: bool,
    ) -> Result<(), Packet> {
        let office = self.office.clone();
        match open {
            Open::Links => Err(links(LINKS)),
            Open::Gateway => self.jobs.ask(asked, is_member, async move {
                let proof = office.voucher().await?;
                Ok((Packet::new(Code::CONTENT).with_payload(&proof), Then::Nothing))
            }),
            Open::Authorities => self.jobs.ask(asked, is_member, async move {
                let response = with_format(Packet::new(Code::CONTENT), format::CERTIFICATES);
                Ok((response.with_payload(&office.authorities().await?), Then::Nothing))
            }),
            Open::Enrol(code) => {
                let key = self.try_once(asked.1)?;
                let has_room = self.book.has_room();
                if !has_room {
                    return Err(busy());
                }
                self.jobs.ask(asked, is_member, async move {
                    office.enrol(key, &request.payload, code).await.map(certified)
                })
            }
            Open::Join => {
                let key = self.try_once(asked.1)?;
                Err(self.join(asked.1, key, &request.payload))
            }
        }
    }

    /// The raw key of a peer that may still try to become a member.
    fn try_once(&mut self, context: ContextHandle) -> Result<[u8; 32], Packet> {
        let peer = self.peers.get_mut(context).ok_or(Packet::new(Code::UNAUTHORIZED))?;
        if peer.may_try() { Ok(peer.key) } else { Err(Packet::new(Code::TOO_MANY_REQUESTS)) }
    }

    /// Somebody shows, with a certificate, that the raw key is their own.
    fn join(&mut self, context: ContextHandle, key: [u8; 32], proof: &[u8]) -> Packet {
        let Some(peer) = self.peers.get_mut(context) else { return Packet::new(Code::UNAUTHORIZED) };
        let anchor = (self.root.as_slice(), self.around.trust_domain.as_str());
        let proved = match proof::verify(proof, Purpose::Join, &peer.export, anchor, now()) {
            Ok(proved) => proved,
            Err(error) => {
                tracing::info!(%error, "somebody does not prove to be a member");
                return refusal(Code::FORBIDDEN, "no proof");
            }
        };
        let who = proved.leaf.principal;
        let is_revoked = self.revoked.borrow().contains(&proved.leaf.serial);
        if who.tenant != self.tenant || who.role != Role::Device || is_revoked {
            return refusal(Code::FORBIDDEN, "no device of this gateway's tenant");
        }
        if !self.book.has_room_for(&who.name) {
            return busy();
        }
        let record = Record { key, chain: proved.chain, leaf: proved.leaf };
        if self.bind(context, record) { Packet::new(Code::CHANGED) } else { busy() }
    }

    fn for_members(
        &mut self,
        asked: Asked,
        wanted: Members,
        request: Packet,
        observe: bool,
        member: &Arc<Record>,
    ) -> Result<(), Packet> {
        let (office, name) = (self.office.clone(), member.name());
        match wanted {
            Members::Say(topic) => self.say(asked, topic, request.payload, member),
            Members::Down => {
                self.show_down(asked.0, name, observe);
                Ok(())
            }
            Members::Taken(number) => {
                let was_there = self.down.get_mut(&name).is_some_and(|downward| downward.taken(number));
                if was_there {
                    self.tell(&name);
                }
                // Twice is as good as once.
                Err(Packet::new(Code::DELETED))
            }
            Members::Renew => {
                let member = Arc::clone(member);
                self.jobs.ask(asked, true, async move {
                    office.renew(&member, &request.payload).await.map(certified)
                })
            }
            Members::Membership => self.jobs.ask(asked, true, async move {
                let response = with_format(Packet::new(Code::CONTENT), format::JSON);
                Ok((response.with_payload(office.membership(name).await?.as_bytes()), Then::Nothing))
            }),
            Members::EvidenceNonce => self.jobs.ask(asked, true, async move {
                let nonce = office.evidence_nonce(name).await?;
                Ok((Packet::new(Code::CONTENT).with_payload(&nonce), Then::Nothing))
            }),
            Members::Attest => self.jobs.ask(asked, true, async move {
                office.attest(name, request.payload).await?;
                Ok((Packet::new(Code::CHANGED), Then::Nothing))
            }),
            Members::Beacon => {
                let nonce =
                    request.payload.as_slice().try_into().map_err(|_| Packet::new(Code::BAD_REQUEST))?;
                let questions = self.around.questions.clone();
                self.jobs.ask(asked, true, async move {
                    Ok(match questions.ask(nonce).await {
                        Some(beacon) => (Packet::new(Code::CHANGED).with_payload(&beacon), Then::Nothing),
                        None => (busy(), Then::Nothing),
                    })
                })
            }
        }
    }

    /// It is answered once it is durable.
    fn say(&mut self, asked: Asked, topic: String, message: Vec<u8>, member: &Record) -> Result<(), Packet> {
        if message.is_empty() {
            return Err(Packet::new(Code::BAD_REQUEST));
        }
        let serial = member.leaf.serial.clone();
        let said = Said { child: member.name(), serial, link: Link::Oscore, topic, message };
        let wait = self.around.core.try_said(said).ok_or_else(busy)?;
        self.jobs.keep(asked, wait);
        Ok(())
    }

    fn show_down(&mut self, id: RequestId, name: DeviceName, observe: bool) {
        let now = self.now();
        let downward = self.down.entry(name).or_default();
        let state = downward.state();
        if observe && let Ok(observation) = self.endpoint.observe(now, id, state.clone()) {
            downward.observer = Some(observation);
        } else {
            self.respond(id, state);
        }
    }

    /// What is first for a member may be another one.
    pub(super) fn tell(&mut self, name: &DeviceName) {
        let now = self.now();
        if let Some(downward) = self.down.get_mut(name)
            && let Some(observation) = downward.observer
            && let Err(error) = self.endpoint.notify(now, observation, downward.state())
        {
            tracing::debug!(thing = %name, %error, "a thing is not told of what waits for it");
        }
    }

    pub(super) fn errand(&mut self, child: DeviceName, errand: Errand) {
        let downward = self.down.entry(child).or_default();
        match errand {
            Errand::Evidence => downward.evidence(),
            Errand::Visit(visit) if visit.kind == Kind::Revocation => {
                downward.revocation(visit.body);
                let _ = visit.answer.send(Ok(Vec::new()));
            }
            // Visitors meet such a thing at its own link.
            Errand::Visit(visit) => drop(visit.answer.send(Err((Failure::Malformed, 0)))),
        }
        self.tell(&child);
    }
}

fn links(text: &str) -> Packet {
    with_format(Packet::new(Code::CONTENT), format::LINKS).with_payload(text.as_bytes())
}

fn edhoc_message(message: &[u8]) -> Packet {
    with_format(Packet::new(Code::CHANGED), format::EDHOC).with_payload(message)
}

/// RFC 9528 §6: what a stranger did wrong with the suite, else only that it is over.
fn edhoc_error(error: EdhocError) -> Packet {
    tracing::debug!(%error, "a handshake fails");
    let body = match error {
        EdhocError::Suite => Responder::WRONG_SUITE.to_vec(),
        _ => {
            let text = error.to_string();
            let len = u8::try_from(text.len()).unwrap_or_default();
            [&[UNSPECIFIED, 0x78, len], text.as_bytes()].concat()
        }
    };
    with_format(Packet::new(Code::BAD_REQUEST), format::EDHOC).with_payload(&body)
}
