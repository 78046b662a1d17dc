//! Who signed what: each entry is held against the key of its actor, which an earlier entry brought in.
//!
//! | Who | Their key comes from | They sign |
//! |---|---|---|
//! | a device | the request that it enrolled with | checkpoints of its chains, replies, uses of grants |
//! | a gateway | the same | accounts, and what things of its radios say, whose keys it keeps |
//! | a user | their passkey, which signs the key of each session | orders; commands that are sensitive |
//! | a token | the order that made it | orders |
//!
//! The rest is the word of the service, which signs every entry.
//!
//! A key counts from its entry on. Whether its session, token or passkey has ended meanwhile was for the service to see: an
//! entry tells what was ordered, and a call that fails after its entry has ended nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::string::{String, ToString};
use std::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minicbor::Decoder;
use thingward_crypto::{Digest, KeyId, VerifyingKey, sha256};
use thingward_seal::approval::verify_recorded;
use thingward_seal::command::{Approval, Outcome, SignedReply};
use thingward_seal::{Item, Items};

use crate::account::{ACTIONS, Place, SignedAccount};
use crate::entry::{Entry, EntryError};
use crate::order::SignedOrder;
use crate::usage::{UseFault, UseReport};

/// Reads the key out of a PKCS#10 request, when the request is signed with it.
pub type RequestKey = fn(&[u8]) -> Option<VerifyingKey>;

/// Longest time from the signature of an order to its entry, in microseconds: the service gives five minutes.
const ORDER_AGE_MICROS: i64 = 600_000_000;
/// How far the two clocks that it reads may be apart, in microseconds.
const CLOCK_MICROS: i64 = 60_000_000;
/// Bytes of the challenge of a command: its SHA-256. That of a sign-in has more.
const COMMAND_CHALLENGE_BYTES: usize = 32;

/// On whose word an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// The service's alone.
    Service,
    /// A device's.
    Device,
    /// A gateway's: of itself, or of a thing whose key it keeps.
    Gateway,
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
            Self::Gateway => "gateway",
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
    /// No earlier entry brought the key in.
    #[error("no key that its actor has signed it")]
    UnknownKey,
    /// What its actor signed is not this.
    #[error(transparent)]
    Order(#[from] EntryError),
    /// The evidence of an earlier entry.
    #[error("what its actor signed stands behind an earlier entry already")]
    Replayed,
    /// An order of another time.
    #[error("what its actor signed is of another time")]
    OtherTime,
    /// The evidence is not what entries of this kind have, or is about something else.
    #[error("what its actor signed is not about this")]
    Evidence,
    /// A key that is none.
    #[error("it brings in a key that is none")]
    Key,
    /// A use of a grant that nobody issued, as far as earlier entries say.
    #[error("no earlier entry issued the grant that it speaks of")]
    NoGrant,
    /// A passkey came through a link that nobody made.
    #[error("nobody made the link that it speaks of")]
    NoLink,
    /// Somebody whom logs do not know.
    #[error("its actor is nobody who does this")]
    Actor,
}

/// The key of a session or token.
struct Holder {
    actor: String,
    key: VerifyingKey,
    /// On whose word the key is theirs.
    word: Word,
}

/// A grant that was issued: for whom, by which key, and its SHA-256.
struct Issued {
    audience: Audience,
    issuer: VerifyingKey,
    sha256: String,
}

/// For whom an entry says that a grant is.
enum Audience {
    Device(String),
    /// The device knows whether it is in the class: what it did with the grant is on its word.
    Class,
}

impl Audience {
    fn of(entry: &Entry) -> Self {
        if entry.details.contains_key("class") {
            Self::Class
        } else {
            Self::Device(detail(entry, "device").to_string())
        }
    }

    fn has(&self, device: &str) -> bool {
        match self {
            Self::Device(name) => name == device,
            Self::Class => true,
        }
    }
}

struct Passkey {
    key: VerifyingKey,
    /// The link that it came through.
    link: Option<Link>,
}

/// A target and a kind.
type Link = (String, String);

/// Takes the entries of a log in their order.
pub struct Actors {
    origin: String,
    request_key: RequestKey,
    /// Keys of members by name.
    members: HashMap<String, Vec<VerifyingKey>>,
    /// Members whose keys are their gateway's.
    kept: HashSet<String>,
    /// By user and target.
    passkeys: HashMap<(String, String), Vec<Passkey>>,
    holders: HashMap<KeyId, Vec<Holder>>,
    /// Grants that were issued, by id.
    grants: HashMap<String, Issued>,
    /// SHA-256 of the commands that were sent, by target and id.
    commands: HashMap<(String, String), String>,
    /// Links that were made, and that nobody came in through yet.
    links: HashSet<Link>,
    /// Where the next account of each gateway stands.
    accounts: HashMap<String, Place>,
    /// How many accounts of each gateway do not follow what the log has of it.
    gaps: BTreeMap<String, u64>,
    /// Who is to set a tenant up.
    founders: HashSet<String>,
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
            kept: HashSet::new(),
            passkeys: HashMap::new(),
            holders: HashMap::new(),
            grants: HashMap::new(),
            commands: HashMap::new(),
            links: HashSet::new(),
            accounts: HashMap::new(),
            gaps: BTreeMap::new(),
            founders: HashSet::new(),
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
        self.learn(entry, word)?;
        Ok(word)
    }

    fn word(&mut self, entry: &Entry) -> Result<Word, ActorFault> {
        let kind = entry.actor.split_once('/').map_or(entry.actor.as_str(), |(kind, _)| kind);
        match (kind, entry.action.as_str()) {
            // What the service refused or gave away, whoever asked for it.
            (_, "access.refuse" | "readings.export") => Ok(Word::Service),
            ("operator" | "service", _) | ("application", "command.publish") => Ok(Word::Service),
            ("device" | "gateway" | "application", "device.enrol" | "device.renew") => {
                let key = self.member_key(entry)?;
                self.members.entry(name(&entry.actor).to_string()).or_default().push(key);
                if entry.details.contains_key("keeper") {
                    self.kept.insert(name(&entry.actor).to_string());
                }
                Ok(self.word_of_member(entry))
            }
            ("device", "chain.checkpoint") => self.checkpoint(entry).map(|()| self.word_of_member(entry)),
            ("device", "command.reply") => self.reply(entry).map(|()| self.word_of_member(entry)),
            ("device", "grant.use") => self.used(entry).map(|()| self.word_of_member(entry)),
            ("gateway", action) if ACTIONS.contains(&action) => self.account(entry).map(|()| Word::Gateway),
            ("user", "user.add" | "passkey.add") if entry.evidence.is_none() => {
                self.through_link(entry).map(|()| Word::Service)
            }
            ("user", "session.begin") => self.sign_in(entry).map(|()| Word::User),
            ("user", "command.send") if !is_order(entry) => self.approval(entry).map(|()| Word::User),
            ("user" | "token", _) => self.order(entry),
            _ => Err(ActorFault::Actor),
        }
    }

    /// Whose word a member's is: a thing of a radio has no key of its own.
    fn word_of_member(&self, entry: &Entry) -> Word {
        let is_gateway = entry.actor.starts_with("gateway/");
        if is_gateway || self.kept.contains(name(&entry.actor)) { Word::Gateway } else { Word::Device }
    }

    /// Takes what the entry says of keys, links and commands.
    fn learn(&mut self, entry: &Entry, word: Word) -> Result<(), ActorFault> {
        let Entry { actor, target, .. } = entry;
        match entry.action.as_str() {
            "command.send" => {
                let at = (target.clone(), detail(entry, "id").to_string());
                self.commands.insert(at, detail(entry, "sha256").to_string());
            }
            "grant.issue" => {
                let issued = Issued {
                    audience: Audience::of(entry),
                    issuer: key_named(entry, "issuer")?.ok_or(ActorFault::Key)?,
                    sha256: detail(entry, "sha256").to_string(),
                };
                self.grants.insert(name(target).to_string(), issued);
            }
            "link.create" => drop(self.links.insert((target.clone(), detail(entry, "kind").to_string()))),
            "passkey.add" => {
                let key = key(entry)?.ok_or(ActorFault::Key)?;
                let link = (entry.evidence.is_none()).then(|| link_of(entry));
                let of = self.passkeys.entry((actor.clone(), target.clone())).or_default();
                of.push(Passkey { key, link });
            }
            "session.begin" if actor == "service" => {
                self.hold(entry, format!("user/{}", detail(entry, "user")), word)?;
            }
            "session.begin" => self.hold(entry, actor.clone(), word)?,
            // A token that a user made is the user's doing; its own word all the same.
            "token.create" => {
                let word = if word == Word::Service { Word::Service } else { Word::Token };
                self.hold(entry, target.clone(), word)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn hold(&mut self, entry: &Entry, actor: String, word: Word) -> Result<(), ActorFault> {
        if let Some(key) = key(entry)? {
            self.holders.entry(key.id()).or_default().push(Holder { actor, key, word });
        }
        Ok(())
    }

    fn member_key(&self, entry: &Entry) -> Result<VerifyingKey, ActorFault> {
        let request = entry.evidence.as_ref().ok_or(ActorFault::Unsigned)?;
        let key = (self.request_key)(request).ok_or(ActorFault::Evidence)?;
        let is_about_it = detail(entry, "key") == hex(&key.id()) && entry.actor == entry.target;
        if is_about_it { Ok(key) } else { Err(ActorFault::Evidence) }
    }

    fn key_of_member(&self, actor: &str, id: &KeyId) -> Result<&VerifyingKey, ActorFault> {
        let known = self.members.get(name(actor)).and_then(|keys| keys.iter().find(|key| key.id() == *id));
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
            && name(&entry.actor) == subject.device.as_str()
            && self.origin.ends_with(&format!("/tenant/{}", subject.tenant));
        if is_about_it { Ok(()) } else { Err(ActorFault::Evidence) }
    }

    fn reply(&self, entry: &Entry) -> Result<(), ActorFault> {
        let evidence = entry.evidence.as_ref().ok_or(ActorFault::Unsigned)?;
        let signed = SignedReply::decode(evidence).map_err(|_| ActorFault::Evidence)?;
        let key = self.key_of_member(&entry.actor, &signed.key_id())?;
        let reply = signed.verify(key).map_err(|_| EntryError::Signature)?;
        let (reason, of_message) = match reply.outcome {
            Outcome::Refused { reason, .. } => (reason.as_str(), reason.is_of_message()),
            _ => ("", false),
        };
        let id = hex(&reply.id);
        let sent = self.commands.get(&(entry.target.clone(), id.clone()));
        // A refusal that is of the message and not of the command names the message.
        let is_to_it = of_message || sent.is_some_and(|sent| *sent == hex(&reply.command));
        let is_about_it = is_to_it
            && detail(entry, "id") == id
            && detail(entry, "reply") == hex(&sha256(&[evidence]))
            && detail(entry, "outcome") == reply.outcome.as_str()
            && detail(entry, "reason") == reason
            && entry.target.starts_with(&format!("operation/{}/", name(&entry.actor)));
        if is_about_it { Ok(()) } else { Err(ActorFault::Evidence) }
    }

    /// The device signed what became of it, and whoever issued and held the grant that it was asked for.
    fn used(&mut self, entry: &Entry) -> Result<(), ActorFault> {
        let evidence = entry.evidence.as_ref().ok_or(ActorFault::Unsigned)?;
        let report = UseReport::decode(evidence).map_err(|_| ActorFault::Evidence)?;
        let issued = self.grants.get(&hex(&report.grant_unverified())).ok_or(ActorFault::NoGrant)?;
        let key = self.key_of_member(&entry.actor, &report.key_id())?;
        let tenant = self.origin.rsplit_once("/tenant/").map_or("", |(_, tenant)| tenant);
        let known = report.verify(tenant, name(&entry.actor), key, &issued.issuer);
        let known = known.map_err(|fault| match fault {
            UseFault::Signer | UseFault::Forged => ActorFault::Order(EntryError::Signature),
            _ => ActorFault::Evidence,
        })?;
        let is_about_it = issued.audience.has(name(&entry.actor))
            && issued.sha256 == hex(&known.issued_hash)
            && entry.target == known.target()
            && known.details().iter().all(|(name, value)| detail(entry, name) == value);
        if !is_about_it {
            return Err(ActorFault::Evidence);
        }
        let use_of_it = [known.used.origin.id.as_slice(), &known.nonce()].concat();
        self.spend(&use_of_it)
    }

    /// By gateway, how many of its accounts do not follow what the log has of it: some before them are missing, or it tells two
    /// stories. Each is on the gateway's word all the same.
    #[must_use]
    pub const fn gaps(&self) -> &BTreeMap<String, u64> {
        &self.gaps
    }

    /// The gateway signed what it did by itself. One that begins anew begins with its first account.
    fn account(&mut self, entry: &Entry) -> Result<(), ActorFault> {
        let evidence = entry.evidence.as_ref().ok_or(ActorFault::Unsigned)?;
        let account = SignedAccount::decode(evidence)?;
        let key = self.key_of_member(&entry.actor, &account.key_id()?)?;
        if !account.verify(&self.origin, key, &entry.actor)?.is_same_deed(entry) {
            return Err(ActorFault::Evidence);
        }
        let place = account.place_unverified();
        let expected = self.accounts.get(&entry.actor).copied().unwrap_or(Place::FIRST);
        self.spend(evidence)?;
        if place != expected && place != Place::FIRST {
            *self.gaps.entry(entry.actor.clone()).or_default() += 1;
        }
        self.accounts.insert(entry.actor.clone(), place.next(evidence));
        Ok(())
    }

    /// The first key of somebody rests on the link that they got, and that on whoever made it.
    fn through_link(&mut self, entry: &Entry) -> Result<(), ActorFault> {
        if entry.action == "user.add" {
            let is_set_up = self.links.contains(&set_up()) && entry.actor == entry.target;
            if !is_set_up {
                return Err(ActorFault::Unsigned);
            }
            self.founders.insert(entry.actor.clone());
            return Ok(());
        }
        if !entry.details.contains_key("link") {
            return Err(ActorFault::Unsigned);
        }
        let link = link_of(entry);
        let is_theirs = link != set_up() || self.founders.contains(&entry.actor);
        if is_theirs && self.links.contains(&link) { Ok(()) } else { Err(ActorFault::NoLink) }
    }

    /// A passkey signed the session's key: its hash is the end of the challenge.
    fn sign_in(&mut self, entry: &Entry) -> Result<(), ActorFault> {
        let key = key(entry)?.ok_or(ActorFault::Key)?;
        let (challenge, link) = self.challenge(entry)?;
        let is_it =
            challenge.len() > COMMAND_CHALLENGE_BYTES && challenge.ends_with(&sha256(&[&key.to_spki()]));
        if !is_it {
            return Err(ActorFault::Evidence);
        }
        // Whoever came in through a link has used it up.
        if let Some(link) = link {
            self.links.remove(&link);
        }
        Ok(())
    }

    /// A passkey signed the command: its hash is the challenge.
    fn approval(&mut self, entry: &Entry) -> Result<(), ActorFault> {
        let (challenge, _) = self.challenge(entry)?;
        let is_it = challenge.len() == COMMAND_CHALLENGE_BYTES && detail(entry, "sha256") == hex(&challenge);
        if is_it { Ok(()) } else { Err(ActorFault::Evidence) }
    }

    /// What the actor's passkey signed, for the first time, and the link that the passkey came through.
    fn challenge(&mut self, entry: &Entry) -> Result<(Vec<u8>, Option<Link>), ActorFault> {
        let evidence = entry.evidence.as_ref().ok_or(ActorFault::Unsigned)?;
        let approval = approval(evidence).ok_or(ActorFault::Evidence)?;
        let at = (entry.actor.clone(), passkey_target(approval.credential_id));
        let known = self.passkeys.get(&at).ok_or(ActorFault::UnknownKey)?;
        let signed = known.iter().find_map(|passkey| {
            let challenge = verify_recorded(&approval, &passkey.key).ok()?;
            Some((challenge, passkey.link.clone()))
        });
        let signed = signed.ok_or(ActorFault::Order(EntryError::Signature))?;
        self.spend(evidence)?;
        Ok(signed)
    }

    fn order(&mut self, entry: &Entry) -> Result<Word, ActorFault> {
        let evidence = entry.evidence.as_ref().ok_or(ActorFault::Unsigned)?;
        let signed = SignedOrder::decode(evidence)?;
        let of_key = self.holders.get(&signed.key_id()?).map_or(&[][..], Vec::as_slice);
        let mut fault = ActorFault::UnknownKey;
        let mut word = None;
        for holder in of_key.iter().filter(|holder| holder.actor == entry.actor) {
            match signed.verify(&self.origin, &holder.key, entry) {
                Ok(()) => word = Some(holder.word),
                Err(why) => fault = ActorFault::Order(why),
            }
        }
        let word = word.ok_or(fault)?;
        let age = entry.time.saturating_sub(signed.time());
        if !(-CLOCK_MICROS..=ORDER_AGE_MICROS).contains(&age) {
            return Err(ActorFault::OtherTime);
        }
        self.spend(signed.nonce())?;
        Ok(word)
    }

    fn spend(&mut self, what: &[u8]) -> Result<(), ActorFault> {
        if self.spent.insert(sha256(&[what])) { Ok(()) } else { Err(ActorFault::Replayed) }
    }
}

/// The link of a first administrator.
fn set_up() -> Link {
    ("user".to_string(), "set-up".to_string())
}

/// The link that a passkey says it came through.
fn link_of(entry: &Entry) -> Link {
    let kind = detail(entry, "link");
    if kind == "set-up" { set_up() } else { (entry.actor.clone(), kind.to_string()) }
}

fn name(actor: &str) -> &str {
    actor.split_once('/').map_or(actor, |(_, name)| name)
}

fn detail<'a>(entry: &'a Entry, name: &str) -> &'a str {
    entry.details.get(name).map(String::as_str).unwrap_or_default()
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
    key_named(entry, "key")
}

fn key_named(entry: &Entry, name: &str) -> Result<Option<VerifyingKey>, ActorFault> {
    let Some(text) = entry.details.get(name) else { return Ok(None) };
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
