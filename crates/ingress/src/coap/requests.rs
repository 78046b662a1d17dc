//! What is done with one request: who may ask for what, and who answers.

use std::net::SocketAddr;
use std::sync::Arc;

use thingward_coap::endpoint::{ContextHandle, Packet, RequestId};
use thingward_coap::message::{Code, OptionNumber};
use thingward_coap::wire::{format, path, with_format};
use thingward_model::clock::now;
use thingward_model::{Principal, Role};
use thingward_pki::est::decode_request;
use thingward_pki::proof::{self, Proved, Purpose};
use thingward_pki::{PkiError, SigningRequest};
use tokio::sync::oneshot;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::book::Record;
use super::job::{Then, busy, certificates, certified, refusal};
use super::office::{Office, Refused, Stranger};
use super::resource::{self, LINKS, Members, OPEN_LINKS, Open, Resource};
use super::server::Server;
use super::session::Say;
use crate::{Core, Member};

/// A request that is to be answered.
type Asked = (RequestId, ContextHandle);

impl<C: Core, O: Office> Server<C, O> {
    /// Without keys: EDHOC, and a list that names it. `None` when it is answered later.
    pub(super) fn open(&mut self, id: RequestId, peer: SocketAddr, request: &Packet) -> Option<Packet> {
        let path: Vec<&[u8]> = request.values(OptionNumber::URI_PATH).collect();
        let is = |wanted: &[&str]| path.iter().copied().eq(wanted.iter().map(|segment| segment.as_bytes()));
        match request.code {
            Code::POST if is(path::EDHOC) => self.edhoc(id, peer, request),
            Code::GET if is(path::CORE) => Some(links(OPEN_LINKS)),
            _ => Some(Packet::new(Code::UNAUTHORIZED)),
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
        if let (Some(record), Some(presence)) = (&member, &self.presence) {
            presence.heard(record.who(), address);
        }
        if let Some(former) = member.as_ref().filter(|record| !self.is_member(record)) {
            self.respond(asked.0, no_member());
            self.drop_record(former);
            return Ok(());
        }
        match (resource::of(&request), member) {
            (Ok(Resource::Open(open)), member) => self.open_to_all(asked, open, request, member.is_some()),
            // Nobody learns here what there is.
            (Ok(Resource::Members(_)) | Err(_), None) => Err(no_member()),
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
            Open::Answerer => self.jobs.ask(asked, is_member, async move {
                let proof = office.voucher().await?;
                Ok((Packet::new(Code::CONTENT).with_payload(&proof), Then::Nothing))
            }),
            Open::Authorities => self.jobs.ask(asked, is_member, async move {
                Ok((certificates(Code::CONTENT, &office.authorities().await?)?, Then::Nothing))
            }),
            Open::Enrol(code) => {
                let (stranger, _) = self.try_once(asked.1)?;
                if !self.book.has_room() || self.seats.len() >= self.members_max {
                    return Err(busy());
                }
                self.jobs.ask(asked, is_member, async move {
                    certified(office.enrol(stranger, &signing_request(&request.payload)?, &code).await?)
                })
            }
            Open::Join => self.join(asked, is_member, request.payload),
        }
    }

    /// A peer that may still try to become a member, and what its session exports.
    fn try_once(&mut self, context: ContextHandle) -> Result<(Stranger, Zeroizing<[u8; 32]>), Packet> {
        let peer = self.peers.get_mut(context).ok_or(Packet::new(Code::UNAUTHORIZED))?;
        if !peer.may_try() {
            return Err(Packet::new(Code::TOO_MANY_REQUESTS));
        }
        // Who has shown a certificate is somebody already.
        let key = peer.key.ok_or_else(|| refusal(Code::FORBIDDEN, "not without a raw key"))?;
        Ok((Stranger { key, address: peer.address.ip() }, peer.export.clone()))
    }

    /// Somebody shows, with a certificate, that the raw key is their own. It is verified beside the loop.
    fn join(&mut self, asked: Asked, is_member: bool, proof: Vec<u8>) -> Result<(), Packet> {
        let (_, export) = self.try_once(asked.1)?;
        let (root, trust_domain) = (Arc::clone(&self.root), Arc::clone(&self.trust_domain));
        self.jobs.ask(asked, is_member, async move {
            let verify = move || {
                proof::verify(&proof, Purpose::Join, export.as_slice(), (&*root, &*trust_domain), now())
            };
            let proved = tokio::task::spawn_blocking(verify).await;
            let proved = proved.map_err(|error| Refused::Unavailable(error.to_string()))?;
            let proved = proved.map_err(|error| {
                tracing::info!(%error, "somebody does not prove to be a member");
                Refused::Forbidden("no proof".to_owned())
            })?;
            Ok((Packet::new(Code::CHANGED), Then::Proved(Box::new(proved))))
        })
    }

    /// Lets somebody in who has proved to be a member.
    pub(super) fn let_in(&mut self, asked: Asked, proved: Proved) -> Result<(), Packet> {
        let peer = self.peers.get_mut(asked.1).ok_or(Packet::new(Code::UNAUTHORIZED))?;
        let is_member = peer.member.is_some();
        let key = peer.key.ok_or(Packet::new(Code::FORBIDDEN))?;
        let record = Record::new(Some(key), &proved.leaf);
        if record.who().role != Role::Device || !self.is_member(&record) {
            return Err(refusal(Code::FORBIDDEN, "no device that is let in here"));
        }
        if !self.book.has_room_for(&record.who()) || !self.has_room_for(&record.who()) {
            return Err(busy());
        }
        let office = self.office.clone();
        self.jobs.ask(asked, is_member, async move {
            let record = office.join(key, proved).await?;
            Ok((Packet::new(Code::CHANGED), Then::Bound(Box::new(record))))
        })
    }

    fn for_members(
        &mut self,
        asked: Asked,
        wanted: Members,
        request: Packet,
        observe: bool,
        member: &Arc<Record>,
    ) -> Result<(), Packet> {
        let (office, who, member) = (self.office.clone(), member.who(), Arc::clone(member));
        match wanted {
            Members::Say(topic) => self.say(asked, topic, request.payload, &member.member),
            Members::Down => self.show_down(asked.0, &who, observe),
            Members::Taken(number) => {
                let was_there = self.seats.get_mut(&who).is_some_and(|seat| seat.down.taken(number));
                if was_there {
                    self.tell(&who);
                }
                // Twice is as good as once.
                Err(Packet::new(Code::DELETED))
            }
            Members::Renew => self.jobs.ask(asked, true, async move {
                let request = signing_request(&request.payload)?;
                if request.key != member.signs {
                    return Err(Refused::Wrong("not of the key that is known".to_owned()));
                }
                certified(office.renew(&member, &request).await?)
            }),
            Members::Membership => self.jobs.ask(asked, true, async move {
                let response = with_format(Packet::new(Code::CONTENT), format::JSON);
                Ok((response.with_payload(office.membership(&who).await?.as_bytes()), Then::Nothing))
            }),
            Members::EvidenceNonce => self.jobs.ask(asked, true, async move {
                let nonce = office.evidence_nonce(&who).await?;
                Ok((Packet::new(Code::CONTENT).with_payload(&nonce), Then::Nothing))
            }),
            Members::Attest => self.jobs.ask(asked, true, async move {
                office.attest(&member, request.payload).await?;
                Ok((Packet::new(Code::CHANGED), Then::Nothing))
            }),
            Members::Beacon => {
                let nonce =
                    request.payload.as_slice().try_into().map_err(|_| Packet::new(Code::BAD_REQUEST))?;
                self.jobs.ask(asked, true, async move {
                    let beacon = office.beacon(&who, nonce).await?;
                    Ok((Packet::new(Code::CHANGED).with_payload(&beacon), Then::Nothing))
                })
            }
        }
    }

    /// It is answered once it is durable.
    fn say(&mut self, asked: Asked, topic: String, message: Vec<u8>, who: &Member) -> Result<(), Packet> {
        if message.is_empty() {
            return Err(Packet::new(Code::BAD_REQUEST));
        }
        let seat = self.seats.get(&who.principal).ok_or_else(busy)?;
        let (done, wait) = oneshot::channel();
        // As a device with MQTT says what it can do: it is there for whoever comes later.
        let retain = topic.starts_with("devices/me/state/");
        seat.says.try_send(Say { topic, message, retain, done }).map_err(|_| busy())?;
        self.jobs.keep(asked, wait);
        Ok(())
    }

    fn show_down(&mut self, id: RequestId, who: &Principal, observe: bool) -> Result<(), Packet> {
        let now = self.now();
        let seat = self.seats.get_mut(who).ok_or_else(busy)?;
        let state = seat.down.state();
        seat.settle();
        if observe {
            // A member looks anew with each: the one before is over.
            if let Some(before) = seat.down.observer.take() {
                self.endpoint.end_observation(before);
            }
            if let Ok(observation) = self.endpoint.observe(now, id, state.clone()) {
                seat.down.observer = Some(observation);
                return Ok(());
            }
        }
        Err(state)
    }

    /// What is first for a member may be another one.
    pub(super) fn tell(&mut self, who: &Principal) {
        let now = self.now();
        let Some(seat) = self.seats.get_mut(who) else { return };
        let state = seat.down.state();
        seat.settle();
        if let Some(observation) = seat.down.observer
            && let Err(error) = self.endpoint.notify(now, observation, state)
        {
            tracing::debug!(thing = %who, %error, "a thing is not told of what waits for it");
        }
    }
}

fn no_member() -> Packet {
    refusal(Code::FORBIDDEN, "no member")
}

fn signing_request(body: &[u8]) -> Result<SigningRequest, Refused> {
    decode_request(body).map_err(|error: PkiError| Refused::Wrong(error.to_string()))
}

fn links(text: &str) -> Packet {
    with_format(Packet::new(Code::CONTENT), format::LINKS).with_payload(text.as_bytes())
}
