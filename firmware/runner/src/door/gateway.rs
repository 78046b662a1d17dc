//! The other end of the line: what a gateway asks, and what service and visitors have signed.

use std::time::{Duration, Instant};

use thingward_attest::{Claims, ROOM_BYTES, Root};
use thingward_crypto::{RecipientSecretKey, SignatureAlgorithm, Signer, SoftwareKey, VerifyingKey};
use thingward_device::link::{
    Hello, JOIN_BYTES_MAX, Join, Kind, Outgoing, Pending, REQUEST_BYTES, hello_message,
};
use thingward_grant::{
    Audience, Beacon, Grant, HolderKey, IssuerKey, Operation, Origin, Permission, Revocation, Scope, Terms,
    public,
};
use thingward_model::{NameRef, Timestamp, name};
use thingward_seal::command::{self, Command, Data, Outcome, SignedReply};

use super::chip::Powered;
use super::keys::Keys;
use super::readings::Readings;
use crate::Result;

const TENANT: &str = "acme";
const DEVICE: &str = "door-1";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;
const NONCE: [u8; 32] = [3; 32];
const ALARMED_WITHIN: Duration = Duration::from_secs(10);

pub(super) struct Gateway {
    /// When it was [`NOW`].
    started: Instant,
    commands: SoftwareKey,
    grants: SoftwareKey,
    holder: SoftwareKey,
    device: VerifyingKey,
    readings: Readings,
    join: Join,
    delivered: u32,
    /// The newest message that was taken: after a loss of power they may come again.
    taken: u32,
    /// Replies to the command and reports of the use that came.
    replies: u32,
    uses: u32,
}

impl Gateway {
    /// Makes the device a member.
    pub(super) fn meet(device: &mut Powered<'_>) -> Result<Self> {
        let hello = hello(device)?;
        if hello.is_joined {
            return Err("a new device says that it is a member".into());
        }
        let key = VerifyingKey::from_ed25519(&hello.public_key)?;
        let request = device.ask(Kind::Request, &[])?;
        let (signed, signature) = request.split_last_chunk::<64>().ok_or("a short request")?;
        // Between the outer head and the names of the algorithm.
        if request.len() != REQUEST_BYTES || key.verify(&signed[3..signed.len() - 10], signature).is_err() {
            return Err("a request that the device has not signed".into());
        }
        let software = |number| SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[number; 32]);
        let (commands, grants, holder) = (software(1)?, software(2)?, software(5)?);
        let recipient = RecipientSecretKey::from_bytes([9; 32]);
        let join = Join {
            tenant: TENANT.parse()?,
            device: DEVICE.parse()?,
            command_key: commands.public_key().to_ed25519(),
            grant_key: grants.public_key().to_ed25519(),
            recipient: *recipient.public_key()?.as_bytes(),
        };
        let readings = Readings::new(recipient, key.clone());
        let started = Instant::now();
        let gateway = Self {
            started,
            commands,
            grants,
            holder,
            device: key,
            readings,
            join,
            delivered: 0,
            taken: 0,
            replies: 0,
            uses: 0,
        };
        gateway.join(device)?;
        Ok(gateway)
    }

    /// After a loss of power: it is who it was, and knows it.
    pub(super) fn meet_again(&self, device: &mut Powered<'_>) -> Result<()> {
        let hello = hello(device)?;
        if !hello.is_joined || self.device.to_ed25519() != Some(hello.public_key) {
            return Err("the device has forgotten who it is".into());
        }
        self.join(device)
    }

    /// The device says which firmware runs, on the word of its part.
    pub(super) fn ask_evidence(&self, device: &mut Powered<'_>, keys: &Keys) -> Result<()> {
        let token = device.ask(Kind::Evidence, &NONCE)?;
        let claims = Claims::verify(&token, &self.device, |nonce| nonce == NONCE, &mut [0; ROOM_BYTES])?;
        match claims.root {
            Some(Root::Firmware(said)) if said == keys.endorsement && claims.software == "door" => Ok(()),
            _ => Err("evidence of another firmware".into()),
        }
    }

    fn join(&self, device: &mut Powered<'_>) -> Result<()> {
        let mut out = [0; JOIN_BYTES_MAX];
        let len = self.join.write(&mut out).ok_or("no room")?;
        device.ask(Kind::Join, &out[..len]).map(drop)
    }

    pub(super) fn tell_time(&self, device: &mut Powered<'_>) -> Result<()> {
        let nonce = device.ask(Kind::Question, &[])?;
        let answers = Some(nonce.as_slice().try_into()?);
        let time = NOW.plus_micros(i64::try_from(self.started.elapsed().as_secs())? * SECOND);
        let beacon = Beacon { issuer: name_of(TENANT)?, time, answers };
        let mut out = [0; 192];
        let len = beacon.sign(IssuerKey::Public(&self.grants), &mut out)?;
        device.ask(Kind::Beacon, &out[..len]).map(drop)
    }

    /// An order to open, for the question of that kind.
    pub(super) fn command(&self, id: [u8; 16]) -> Result<Vec<u8>> {
        let command = Command {
            tenant: self.join.tenant,
            device: self.join.device,
            id,
            action: "open".parse()?,
            input: Data::NOTHING,
            issued: NOW,
            expires: NOW.plus_micros(HOUR),
            actor: "user/1",
        };
        let mut canonical = [0; 1024];
        let len = command.encode(&mut canonical)?;
        let mut out = [0; 3200];
        let len = command::sign(&self.commands, &canonical[..len], None, None, &mut out)?;
        Ok([&id, &out[..len]].concat())
    }

    /// A grant to open once.
    pub(super) fn grant(&self, id: [u8; 8]) -> Result<Vec<u8>> {
        let mut scope = [0; 64];
        let permissions = [Permission { action: name_of("open")?, bounds: &[] }];
        let scope = Scope::write(&permissions, &mut scope)?;
        let origin = Origin { issuer: name_of(TENANT)?, id, epoch: 0, reference: None };
        let terms = Terms {
            audience: Some(Audience::Device(name_of(DEVICE)?)),
            not_before: None,
            expires: Some(NOW.plus_micros(HOUR)),
            scope: Some(scope),
            uses: Some(1),
        };
        let holder = self.holder.public_key().to_ed25519().ok_or("another key")?;
        let mut out = [0; 512];
        let len = public::issue(&self.grants, &origin, &terms, HolderKey::from_bytes(holder), &mut out)?;
        Ok(out[..len].to_vec())
    }

    /// What the grant's holder shows for a nonce of the device's.
    pub(super) fn presentation(&self, device: &mut Powered<'_>, grant: &[u8]) -> Result<Vec<u8>> {
        let nonce = device.ask(Kind::Nonce, &[])?.as_slice().try_into()?;
        let mut room = [0; 64];
        let operation = Operation::write(name_of("open")?, &[], &mut room)?;
        let mut out = [0; 1024];
        let grant = Grant::decode(grant)?;
        let len = public::present(&self.holder, &grant, name_of(DEVICE)?, &nonce, &operation, &mut out)?;
        Ok(out[..len].to_vec())
    }

    pub(super) fn revocation(&self, id: [u8; 8]) -> Result<Vec<u8>> {
        let audience = Audience::Device(name_of(DEVICE)?);
        let revocation = Revocation { issuer: name_of(TENANT)?, audience, epoch: 0, ids: &[id] };
        let mut out = [0; 672];
        let len = revocation.sign(IssuerKey::Public(&self.grants), &mut out)?;
        Ok(out[..len].to_vec())
    }

    /// Whether the device's word is that it was done.
    pub(super) fn is_done(&self, reply: &[u8]) -> Result<()> {
        match SignedReply::decode(reply)?.verify(&self.device)?.outcome {
            Outcome::Done(_) => Ok(()),
            other => Err(format!("not done: {}", other.as_str()).into()),
        }
    }

    /// Takes all that waits.
    pub(super) fn poll(&mut self, device: &mut Powered<'_>) -> Result<()> {
        loop {
            let answer = device.ask(Kind::Poll, &self.delivered.to_be_bytes())?;
            if answer.is_empty() {
                return Ok(());
            }
            let message = Outgoing::read(&answer).ok_or("no message")?;
            self.delivered = message.number;
            if message.number <= self.taken {
                continue;
            }
            self.taken = message.number;
            match message.pending {
                Pending::Telemetry if message.stream() == Some("door") => {
                    self.readings.take(message.payload)?
                }
                Pending::Telemetry => return Err("another stream".into()),
                Pending::Reply => {
                    self.is_done(message.payload)?;
                    self.replies += 1;
                }
                Pending::Use => self.uses += 1,
            }
        }
    }

    pub(super) const fn signed_readings(&self) -> u64 {
        self.readings.signed
    }

    /// Each was done and told once.
    pub(super) fn conclude(&self) -> Result<()> {
        match (self.replies, self.uses) {
            (1, 1) => Ok(()),
            (replies, uses) => Err(format!("{replies} replies and {uses} uses").into()),
        }
    }

    /// What nobody shall read in the device's memory.
    pub(super) fn secrets(&self) -> Vec<Vec<u8>> {
        vec![TENANT.into(), DEVICE.into(), self.join.recipient.to_vec()]
    }

    /// Whether the device's identity is among these keys.
    pub(super) fn knows(&self, keys: &Keys) -> bool {
        self.device == keys.public
    }

    /// The device says that its casing was opened, and nothing else any more.
    pub(super) fn hear_last_words(&self, device: &mut Powered<'_>) -> Result<()> {
        let started = Instant::now();
        while device.refusal(Kind::Hello, &NONCE).is_err() {
            if started.elapsed() > ALARMED_WITHIN {
                return Err("the alarm has no effect".into());
            }
        }
        let answer = device.ask(Kind::Poll, &self.delivered.to_be_bytes())?;
        let words = Outgoing::read(&answer).ok_or("no last words")?;
        self.readings.are_last(words.payload)?;
        if device.ask(Kind::Poll, &words.number.to_be_bytes())?.is_empty() {
            Ok(())
        } else {
            Err("more words".into())
        }
    }
}

/// Who is there; that has to be proved.
fn hello(device: &mut Powered<'_>) -> Result<Hello> {
    let hello = Hello::read(&device.ask(Kind::Hello, &NONCE)?).ok_or("no hello")?;
    VerifyingKey::from_ed25519(&hello.public_key)?.verify(&hello_message(&NONCE), &hello.signature)?;
    Ok(hello)
}

fn name_of<K: name::Kind>(text: &'static str) -> Result<NameRef<'static, K>> {
    Ok(NameRef::new(text)?)
}
