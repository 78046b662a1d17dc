//! Who answers: RFC 9528 §5.2.3 to §5.4.3.

use alloc::vec::Vec;

use super::cbor::{check_data, read_bytes, write_bytes};
use super::credential::{Credential, PublicKey};
use super::keys::DhKey;
use super::proof::{OwnKey, Statement};
use super::schedule::{Hash, Label, MESSAGE_3, Prk, Session, th_2, th_next};
use super::{CredentialId, EdhocError, Identifier, Message1, Method, Suite};

/// Has sent message 2.
pub struct Responder {
    method: Method,
    suite: Suite,
    ephemeral: DhKey,
    c_i: Identifier,
    c_r: Identifier,
    prk_3e2m: Prk,
    th_3: Hash,
    message_2: Vec<u8>,
}

/// Message 3 was read: it names the initiator, whose credential proves or disproves it.
pub struct Initiating {
    responder: Responder,
    id: CredentialId,
    proof: Vec<u8>,
    data: Vec<u8>,
    plaintext_3: Vec<u8>,
}

impl Responder {
    /// Answers message 1 with a fresh ephemeral key on the suite's curve. `c_r` MUST differ from the initiator's identifier.
    /// `key` is that of `own`.
    ///
    /// # Errors
    ///
    /// [`EdhocError`]; there is no session.
    pub fn answer(
        message_1: &Message1,
        ephemeral: DhKey,
        c_r: Identifier,
        key: OwnKey<'_>,
        own: &Credential,
    ) -> Result<Self, EdhocError> {
        let Message1 { method, suite, g_x, c_i, bytes } = message_1;
        let (method, suite) = (*method, *suite);
        if *c_i == c_r {
            return Err(EdhocError::Malformed);
        }
        key.check(method.responder(), suite)?;
        if ephemeral.curve() != suite.curve() {
            return Err(EdhocError::PublicKey);
        }
        let g_y = ephemeral.public();
        let th_2 = th_2(&g_y, bytes);
        let prk_2e = Prk::extract(&th_2, &*ephemeral.agree(g_x)?);
        let prk_3e2m = match key {
            OwnKey::Static(key) => prk_2e.next(Label::Salt3e2m, &th_2, &*key.agree(g_x)?)?,
            OwnKey::Signature(_) => prk_2e.clone(),
        };
        let said = Statement { label: Label::Mac2, c_r: Some(&c_r), th: &th_2, credential: own, data: &[] };
        let mut plaintext_2 = Vec::new();
        c_r.write(&mut plaintext_2);
        own.id.write(&mut plaintext_2);
        write_bytes(&said.prove(&prk_3e2m, suite, key)?, &mut plaintext_2);
        let th_3 = th_next(&th_2, &plaintext_2, own);

        let mut both = plaintext_2;
        prk_2e.keystream(&th_2, &mut both)?;
        both.splice(..0, g_y);
        let mut message_2 = Vec::new();
        write_bytes(&both, &mut message_2);
        Ok(Self { method, suite, ephemeral, c_i: c_i.clone(), c_r, prk_3e2m, th_3, message_2 })
    }

    /// C_R, which message 3 comes behind.
    #[must_use]
    pub const fn identifier(&self) -> &Identifier {
        &self.c_r
    }

    #[must_use]
    pub fn message_2(&self) -> &[u8] {
        &self.message_2
    }

    /// Decrypts message 3.
    ///
    /// # Errors
    ///
    /// [`EdhocError`]; the session is over.
    pub fn read(self, message_3: &[u8]) -> Result<Initiating, EdhocError> {
        let plaintext_3 = self.prk_3e2m.open(self.suite, MESSAGE_3, &self.th_3, message_3)?;
        let mut rest = plaintext_3.as_slice();
        let id = CredentialId::read(&mut rest)?;
        let proof = read_bytes(&mut rest)?.to_vec();
        check_data(rest)?;
        let data = rest.to_vec();
        Ok(Initiating { responder: self, id, proof, data, plaintext_3 })
    }
}

impl Initiating {
    /// By which its credential is to be found.
    #[must_use]
    pub const fn id(&self) -> &CredentialId {
        &self.id
    }

    /// Checks that the initiator has the key of `peer`.
    ///
    /// # Errors
    ///
    /// [`EdhocError::NotAuthentic`] when somebody else began, [`EdhocError::Credential`] when the key does not fit the method; the
    /// session is over.
    pub fn finish(self, peer: &Credential) -> Result<Session, EdhocError> {
        let Responder { method, suite, ephemeral, c_i, c_r, prk_3e2m, th_3, .. } = self.responder;
        // What is checked is what the message says, not what it was taken for.
        if peer.id != self.id {
            return Err(EdhocError::NotAuthentic);
        }
        peer.check(method.initiator(), suite)?;
        let prk_4e3m = match &peer.key {
            PublicKey::Static { public, .. } => {
                prk_3e2m.next(Label::Salt4e3m, &th_3, &*ephemeral.agree(public)?)?
            }
            PublicKey::Signature(_) => prk_3e2m,
        };
        let said = Statement { label: Label::Mac3, c_r: None, th: &th_3, credential: peer, data: &self.data };
        said.check(&prk_4e3m, suite, &self.proof)?;
        let th_4 = th_next(&th_3, &self.plaintext_3, peer);
        Session::new(suite, prk_4e3m, th_4, c_i, c_r)
    }
}
