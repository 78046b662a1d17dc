//! Who signed what: each entry is held against the key of its actor, which an earlier entry brought in.
//!
//! | Who | Their key comes from | They sign |
//! |---|---|---|
//! | a device, a gateway | the request that it enrolled with | checkpoints of its chains, replies |
//! | a user | their passkey, which signs the key of each session | orders; commands that are sensitive |
//! | a token | the order that made it | orders |
//!
//! The rest is the word of the service, which signs every entry.

use std::collections::{HashMap, HashSet};
use std::string::{String, ToString};
use std::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minicbor::Decoder;
use thingward_crypto::{Digest, KeyId, VerifyingKey, sha256};
use thingward_seal::approval::verify_recorded;
use thingward_seal::command::{Approval, SignedReply};
use thingward_seal::{Item, Items};

use crate::entry::{Entry, EntryError};
use crate::order::SignedOrder;

/// Reads the key out of a PKCS#10 request, when the request is signed with it.
pub type RequestKey = fn(&[u8]) -> Option<VerifyingKey>;

/// On whose word an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// The service's alone.
    Service,
    /// A device's or gateway's.
    Device,
    /// A user's.
    User,
    /// A token's.
    Token,
}

impl Word {
    /// Whose.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Device => "device",
            Self::User => "user",
            Self::Token => "token",
        }
    }
}

/// Why an entry does not stand on its actor's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActorFault {
    /// There is nothing of its actor.
    #[error("its actor signed nothing")]
    Unsigned,
    /// No earlier entry brought the key in, or one took it away.
    #[error("no key that its actor has signed it")]
    UnknownKey,
    /// What its actor signed is not this.
    #[error(transparent)]
    Order(#[from] EntryError),
    /// An order of an earlier entry.
    #[error("what its actor signed stands behind an earlier entry already")]
    Replayed,
    /// The evidence is not what entries of this kind have, or is about something else.
    #[error("what its actor signed is not about this")]
    Evidence,
    /// A key that is none.
    #[error("it brings in a key that is none")]
    Key,
    /// A passkey came through a link that nobody made.
    #[error("nobody made the link that it speaks of")]
    NoLink,
}

/// The key of a session or a token.
struct Holder {
    actor: String,
    /// The session or token, as targets name it.
    name: String,
    key: VerifyingKey,
}

/// Takes the entries of a log in their order.
pub struct Actors {
    origin: String,
    request_key: RequestKey,
    members: HashMap<String, Vec<VerifyingKey>>,
    passkeys: HashMap<String, Holder>,
    holders: HashMap<KeyId, Holder>,
    /// Targets of links that were made and not used yet.
    links: HashSet<String>,
    spent: HashSet<Digest>,
}

impl Actors {
    /// For the log of this name, from its first entry on.
    #[must_use]
    pub fn new(origin: &str, request_key: RequestKey) -> Self {
        Self {
            origin: origin.to_string(),
            request_key,
            members: HashMap::new(),
            passkeys: HashMap::new(),
            holders: HashMap::new(),
            links: HashSet::new(),
            spent: HashSet::new(),
        }
    }

    /// Takes the next entry, which the service signed, and says on whose word it stands.
    ///
    /// # Errors
    ///
    /// [`ActorFault`].
    pub fn entry(&mut self, entry: &Entry) -> Result<Word, ActorFault> {
        let word = self.word(entry)?;
        self.learn(entry)?;
        Ok(word)
    }

    fn word(&mut self, entry: &Entry) -> Result<Word, ActorFault> {
        let kind = entry.actor.split_once('/').map_or(entry.actor.as_str(), |(kind, _)| kind);
        match (kind, entry.action.as_str()) {
            // What the service refused or gave away, whoever asked for it.
            (_, "access.refuse" | "readings.export") => Ok(Word::Service),
            ("device" | "gateway" | "application", "device.enrol" | "device.renew") => {
                self.member_key(entry).map(|_| Word::Device)
            }
            ("device" | "gateway", "chain.checkpoint") => self.checkpoint(entry).map(|()| Word::Device),
            ("device" | "gateway", "command.reply") => self.reply(entry).map(|()| Word::Device),
            ("user", "user.add" | "passkey.add") if entry.evidence.is_none() => {
                self.through_link(entry).map(|()| Word::Service)
            }
            ("user", "session.begin") => self.sign_in(entry).map(|()| Word::User),
            ("user", "command.send") if !is_order(entry) => self.approval(entry).map(|()| Word::User),
            ("user", _) => self.order(entry).map(|()| Word::User),
            ("token", _) => self.order(entry).map(|()| Word::Token),
            _ => Ok(Word::Service),
        }
    }

    /// Takes what the entry says of keys.
    fn learn(&mut self, entry: &Entry) -> Result<(), ActorFault> {
        let Entry { actor, target, .. } = entry;
        match entry.action.as_str() {
            "device.enrol" | "device.renew" if actor != "service" => {
                let key = self.member_key(entry)?;
                self.members.entry(actor.clone()).or_default().push(key);
            }
            "link.create" => drop(self.links.insert(target.clone())),
            "passkey.add" => {
                let key = key(entry)?.ok_or(ActorFault::Key)?;
                let holder = Holder { actor: actor.clone(), name: target.clone(), key };
                self.passkeys.insert(target.clone(), holder);
            }
            "passkey.remove" => drop(self.passkeys.remove(target)),
            "session.begin" => {
                let of = entry.details.get("user");
                let actor = of.map_or_else(|| actor.clone(), |id| format!("user/{id}"));
                self.hold(entry, actor)?;
            }
            "token.create" => self.hold(entry, target.clone())?,
            "session.end" | "token.revoke" => self.holders.retain(|_, holder| holder.name != *target),
            "user.remove" => {
                self.holders.retain(|_, holder| holder.actor != *target);
                self.passkeys.retain(|_, holder| holder.actor != *target);
            }
            _ => {}
        }
        Ok(())
    }

    fn hold(&mut self, entry: &Entry, actor: String) -> Result<(), ActorFault> {
        if let Some(key) = key(entry)? {
            self.holders.insert(key.id(), Holder { actor, name: entry.target.clone(), key });
        }
        Ok(())
    }

    fn member_key(&self, entry: &Entry) -> Result<VerifyingKey, ActorFault> {
        let request = entry.evidence.as_ref().ok_or(ActorFault::Unsigned)?;
        let key = (self.request_key)(request).ok_or(ActorFault::Evidence)?;
        let is_named = entry.details.get("key").is_some_and(|id| *id == hex(&key.id()));
        if is_named && entry.actor == entry.target { Ok(key) } else { Err(ActorFault::Evidence) }
    }

    fn key_of_member(&self, actor: &str, id: &KeyId) -> Result<&VerifyingKey, ActorFault> {
        let known = self.members.get(actor).and_then(|keys| keys.iter().find(|key| key.id() == *id));
        known.ok_or(ActorFault::UnknownKey)
    }

    fn checkpoint(&self, entry: &Entry) -> Result<(), ActorFault> {
        let evidence = entry.evidence.as_ref().ok_or(ActorFault::Unsigned)?;
        let Some(Ok(Item::Statement(signed))) = Items::new(evidence).next() else {
            return Err(ActorFault::Evidence);
        };
        let key = self.key_of_member(&entry.actor, &signed.key_id())?;
        let subject = signed.verify(key).map_err(|_| EntryError::Signature)?.subject;
        let is_about_it = signed.bytes.len() == evidence.len()
            && entry.target == format!("stream/{}/{}", subject.device, subject.stream)
            && entry.actor == format!("device/{}", subject.device)
            && self.origin.ends_with(&format!("/tenant/{}", subject.tenant));
        if is_about_it { Ok(()) } else { Err(ActorFault::Evidence) }
    }

    fn reply(&self, entry: &Entry) -> Result<(), ActorFault> {
        let evidence = entry.evidence.as_ref().ok_or(ActorFault::Unsigned)?;
        let signed = SignedReply::decode(evidence).map_err(|_| ActorFault::Evidence)?;
        let key = self.key_of_member(&entry.actor, &signed.key_id())?;
        let reply = signed.verify(key).map_err(|_| EntryError::Signature)?;
        let is_about_it = entry.details.get("id").is_some_and(|id| *id == hex(&reply.id))
            && entry.details.get("reply").is_some_and(|hash| *hash == hex(&sha256(&[evidence])));
        if is_about_it { Ok(()) } else { Err(ActorFault::Evidence) }
    }

    /// The first key of somebody rests on the link that they got, and that on whoever made it.
    fn through_link(&mut self, entry: &Entry) -> Result<(), ActorFault> {
        if entry.action == "user.add" {
            let is_set_up = self.links.contains("user") && entry.actor == entry.target;
            return if is_set_up { Ok(()) } else { Err(ActorFault::Unsigned) };
        }
        let link = match entry.details.get("link").map(String::as_str) {
            None => return Err(ActorFault::Unsigned),
            Some("set-up") => "user",
            Some(_) => entry.actor.as_str(),
        };
        if self.links.remove(link) { Ok(()) } else { Err(ActorFault::NoLink) }
    }

    /// A passkey signed the session's key: its hash is the end of the challenge.
    fn sign_in(&self, entry: &Entry) -> Result<(), ActorFault> {
        let key = key(entry)?.ok_or(ActorFault::Key)?;
        let challenge = self.challenge(entry)?;
        if challenge.ends_with(&sha256(&[&key.to_spki()])) { Ok(()) } else { Err(ActorFault::Evidence) }
    }

    /// A passkey signed the command: its hash is the challenge.
    fn approval(&self, entry: &Entry) -> Result<(), ActorFault> {
        let digest = hex(&self.challenge(entry)?);
        let is_it = entry.details.get("sha256").is_some_and(|command| *command == digest);
        if is_it { Ok(()) } else { Err(ActorFault::Evidence) }
    }

    /// What the actor's passkey signed.
    fn challenge(&self, entry: &Entry) -> Result<Vec<u8>, ActorFault> {
        let evidence = entry.evidence.as_ref().ok_or(ActorFault::Unsigned)?;
        let approval = approval(evidence).ok_or(ActorFault::Evidence)?;
        let passkey = self.passkeys.get(&passkey_target(approval.credential_id));
        let passkey = passkey.filter(|p| p.actor == entry.actor).ok_or(ActorFault::UnknownKey)?;
        verify_recorded(&approval, &passkey.key).map_err(|_| ActorFault::Order(EntryError::Signature))
    }

    fn order(&mut self, entry: &Entry) -> Result<(), ActorFault> {
        let evidence = entry.evidence.as_ref().ok_or(ActorFault::Unsigned)?;
        let signed = SignedOrder::decode(evidence)?;
        let holder = self.holders.get(&signed.key_id()?).filter(|holder| holder.actor == entry.actor);
        signed.verify(&self.origin, &holder.ok_or(ActorFault::UnknownKey)?.key, entry)?;
        if self.spent.insert(sha256(&[signed.nonce()])) { Ok(()) } else { Err(ActorFault::Replayed) }
    }
}

/// How targets name a passkey: by the first 8 bytes of its credential id's SHA-256.
#[must_use]
pub fn passkey_target(credential_id: &[u8]) -> String {
    format!("passkey/{}", hex(sha256(&[credential_id]).get(..8).unwrap_or_default()))
}

/// How details hold a key: its DER `SubjectPublicKeyInfo`, base64url.
#[must_use]
pub fn key_detail(key: &VerifyingKey) -> String {
    URL_SAFE_NO_PAD.encode(key.to_spki())
}

fn key(entry: &Entry) -> Result<Option<VerifyingKey>, ActorFault> {
    let Some(text) = entry.details.get("key") else { return Ok(None) };
    let spki = URL_SAFE_NO_PAD.decode(text).map_err(|_| ActorFault::Key)?;
    VerifyingKey::from_spki(&spki).map(Some).map_err(|_| ActorFault::Key)
}

fn is_order(entry: &Entry) -> bool {
    entry.evidence.as_ref().is_some_and(|evidence| SignedOrder::decode(evidence).is_ok())
}

/// `approval` of `docs/wire/commands.cddl`.
fn approval(evidence: &[u8]) -> Option<Approval<'_>> {
    let mut d = Decoder::new(evidence);
    if d.array().ok()? != Some(4) {
        return None;
    }
    let (credential_id, authenticator_data) = (d.bytes().ok()?, d.bytes().ok()?);
    let (client_data_json, signature) = (d.bytes().ok()?, d.bytes().ok()?);
    let approval = Approval { credential_id, authenticator_data, client_data_json, signature };
    (d.position() == evidence.len()).then_some(approval)
}

fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}
