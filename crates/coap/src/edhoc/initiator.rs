//! Who begins: RFC 9528 §5.2 to §5.4.

use alloc::vec::Vec;

use super::cbor::{check_data, read_bytes, write_bytes, write_head};
use super::credential::{Credential, PublicKey};
use super::keys::{DhKey, KEY_BYTES};
use super::proof::{OwnKey, Statement};
use super::schedule::{Hash, Label, MESSAGE_3, Prk, Session, th_2, th_next};
use super::{CredentialId, EdhocError, Identifier, Method, Suite};

/// Has sent message 1.
pub struct Initiator {
    method: Method,
    suite: Suite,
    ephemeral: DhKey,
    c_i: Identifier,
    message_1: Vec<u8>,
}

/// Message 2 was read: it names the responder, whose credential proves or disproves it.
pub struct Responding {
    initiator: Initiator,
    c_r: Identifier,
    id: CredentialId,
    proof: Vec<u8>,
    data: Vec<u8>,
    plaintext_2: Vec<u8>,
    prk_2e: Prk,
    th_2: Hash,
    g_y: [u8; KEY_BYTES],
}

impl Initiator {
    /// Begins with a fresh ephemeral key on the suite's curve: the responder takes no other. `refused` are suites that would have
    /// been preferred and are not taken by the responder, so that nobody in between can have taken them away: §6.3.2.
    #[must_use]
    pub fn start(
        (method, suite): (Method, Suite),
        ephemeral: DhKey,
        c_i: Identifier,
        refused: &[u8],
    ) -> Self {
        let mut message_1 = Vec::from([method as u8]);
        if !refused.is_empty() {
            write_head(0x80, refused.len() + 1, &mut message_1);
            refused.iter().for_each(|suite| write_head(0, usize::from(*suite), &mut message_1));
        }
        message_1.push(suite as u8);
        write_bytes(&ephemeral.public(), &mut message_1);
        c_i.write(&mut message_1);
        Self { method, suite, ephemeral, c_i, message_1 }
    }

    #[must_use]
    pub fn message_1(&self) -> &[u8] {
        &self.message_1
    }

    /// Decrypts message 2.
    ///
    /// # Errors
    ///
    /// [`EdhocError`]; the session is over.
    pub fn read(self, message_2: &[u8]) -> Result<Responding, EdhocError> {
        let mut rest = message_2;
        let both = read_bytes(&mut rest)?;
        let (g_y, ciphertext) = both.split_first_chunk::<KEY_BYTES>().ok_or(EdhocError::Malformed)?;
        if !rest.is_empty() {
            return Err(EdhocError::Malformed);
        }
        let th_2 = th_2(g_y, &self.message_1);
        let prk_2e = Prk::extract(&th_2, &*self.ephemeral.agree(g_y)?);
        let mut plaintext_2 = ciphertext.to_vec();
        prk_2e.keystream(&th_2, &mut plaintext_2)?;
        let Plaintext2 { c_r, id, proof, data } = Plaintext2::read(&plaintext_2)?;
        // Contexts could not be told apart: RFC 9528 §3.3.3.
        if c_r == self.c_i {
            return Err(EdhocError::Malformed);
        }
        let (proof, data) = (proof.to_vec(), data.to_vec());
        Ok(Responding { initiator: self, c_r, id, proof, data, plaintext_2, prk_2e, th_2, g_y: *g_y })
    }
}

/// What message 2 says.
pub(super) struct Plaintext2<'a> {
    c_r: Identifier,
    id: CredentialId,
    proof: &'a [u8],
    data: &'a [u8],
}

impl<'a> Plaintext2<'a> {
    pub(super) fn read(plaintext: &'a [u8]) -> Result<Self, EdhocError> {
        let mut rest = plaintext;
        let c_r = Identifier::read(&mut rest)?;
        let id = CredentialId::read(&mut rest)?;
        let proof = read_bytes(&mut rest)?;
        check_data(rest)?;
        Ok(Self { c_r, id, proof, data: rest })
    }
}

impl Responding {
    /// By which its credential is to be found.
    #[must_use]
    pub const fn id(&self) -> &CredentialId {
        &self.id
    }

    /// Checks that the responder has the key of `peer`, which goes by [`Self::id`], and proves with `key` to be `own`: message 3 and
    /// the session.
    ///
    /// # Errors
    ///
    /// [`EdhocError::NotAuthentic`] when somebody else answered, [`EdhocError::Credential`] when a key does not fit the method; the
    /// session is over.
    pub fn finish(
        self,
        peer: &Credential,
        key: OwnKey<'_>,
        own: &Credential,
    ) -> Result<(Vec<u8>, Session), EdhocError> {
        let Initiator { method, suite, ephemeral, c_i, .. } = self.initiator;
        // What is checked is what the message says, not what it was taken for.
        if peer.id != self.id {
            return Err(EdhocError::NotAuthentic);
        }
        peer.check(method.responder(), suite)?;
        key.check(method.initiator(), suite)?;
        let prk_3e2m = match &peer.key {
            PublicKey::Static { public, .. } => {
                self.prk_2e.next(Label::Salt3e2m, &self.th_2, &*ephemeral.agree(public)?)?
            }
            PublicKey::Signature(_) => self.prk_2e,
        };
        let (c_r, th, data) = (Some(&self.c_r), &self.th_2, self.data.as_slice());
        let said = Statement { label: Label::Mac2, c_r, th, credential: peer, data };
        said.check(&prk_3e2m, suite, &self.proof)?;
        let th_3 = th_next(&self.th_2, &self.plaintext_2, peer);

        let prk_4e3m = match key {
            OwnKey::Static(key) => prk_3e2m.next(Label::Salt4e3m, &th_3, &*key.agree(&self.g_y)?)?,
            OwnKey::Signature(_) => prk_3e2m.clone(),
        };
        let said = Statement { label: Label::Mac3, c_r: None, th: &th_3, credential: own, data: &[] };
        let mut plaintext_3 = Vec::new();
        own.id.write(&mut plaintext_3);
        write_bytes(&said.prove(&prk_4e3m, suite, key)?, &mut plaintext_3);
        let message_3 = prk_3e2m.seal(suite, MESSAGE_3, &th_3, &plaintext_3)?;
        let th_4 = th_next(&th_3, &plaintext_3, own);
        Ok((message_3, Session::new(suite, prk_4e3m, th_4, c_i, self.c_r)?))
    }
}
