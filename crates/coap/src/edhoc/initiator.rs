//! Who begins: RFC 9528 §5.2 to §5.4.

use alloc::vec::Vec;

use super::EdhocError;
use super::cbor::{CredentialId, Identifier, check_data, read_bytes, write_bytes, write_head};
use super::keys::{Credential, DhKey, KEY_BYTES};
use super::schedule::{Hash, Label, MESSAGE_3, Prk, Session, th_2, th_next};

/// METHOD: static Diffie-Hellman at both ends.
pub(super) const METHOD: u8 = 3;
/// AES-CCM-16-64-128, SHA-256, 8, P-256, ES256, AES-CCM-16-64-128, SHA-256.
pub(super) const SUITE: u8 = 2;

/// Has sent message 1.
pub struct Initiator {
    ephemeral: DhKey,
    c_i: Identifier,
    message_1: Vec<u8>,
}

/// Message 2 was read: it names the responder, whose credential proves or disproves it.
pub struct Responding {
    initiator: Initiator,
    c_r: Identifier,
    id: CredentialId,
    mac: Vec<u8>,
    data: Vec<u8>,
    plaintext_2: Vec<u8>,
    prk_2e: Prk,
    th_2: Hash,
    g_y: [u8; KEY_BYTES],
}

impl Initiator {
    /// Begins with a fresh ephemeral key. `refused` are suites that would have been preferred and are not taken by the
    /// responder, so that nobody in between can have taken them away: §6.3.2.
    #[must_use]
    pub fn start(ephemeral: DhKey, c_i: Identifier, refused: &[u8]) -> Self {
        let mut message_1 = Vec::from([METHOD]);
        if !refused.is_empty() {
            write_head(0x80, refused.len() + 1, &mut message_1);
            refused.iter().for_each(|suite| write_head(0, usize::from(*suite), &mut message_1));
        }
        message_1.push(SUITE);
        write_bytes(&ephemeral.public(), &mut message_1);
        c_i.write(&mut message_1);
        Self { ephemeral, c_i, message_1 }
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
        let Plaintext2 { c_r, id, mac, data } = Plaintext2::read(&plaintext_2)?;
        // Contexts could not be told apart: RFC 9528 §3.3.3.
        if c_r == self.c_i {
            return Err(EdhocError::Malformed);
        }
        let (mac, data) = (mac.to_vec(), data.to_vec());
        Ok(Responding { initiator: self, c_r, id, mac, data, plaintext_2, prk_2e, th_2, g_y: *g_y })
    }
}

/// What message 2 says.
pub(super) struct Plaintext2<'a> {
    c_r: Identifier,
    id: CredentialId,
    mac: &'a [u8],
    data: &'a [u8],
}

impl<'a> Plaintext2<'a> {
    pub(super) fn read(plaintext: &'a [u8]) -> Result<Self, EdhocError> {
        let mut rest = plaintext;
        let c_r = Identifier::read(&mut rest)?;
        let id = CredentialId::read(&mut rest)?;
        let mac = read_bytes(&mut rest)?;
        check_data(rest)?;
        Ok(Self { c_r, id, mac, data: rest })
    }
}

impl Responding {
    /// By which its credential is to be found.
    #[must_use]
    pub const fn id(&self) -> &CredentialId {
        &self.id
    }

    /// Checks that the responder has the key of `peer`, and proves to have that of `own`: message 3 and the session.
    ///
    /// # Errors
    ///
    /// [`EdhocError::NotAuthentic`] when somebody else answered; the session is over.
    pub fn finish(
        self,
        peer: &Credential,
        key: &DhKey,
        own: &Credential,
    ) -> Result<(Vec<u8>, Session), EdhocError> {
        let ephemeral = &self.initiator.ephemeral;
        let prk_3e2m = self.prk_2e.next(Label::Salt3e2m, &self.th_2, &*ephemeral.agree(&peer.public)?)?;
        let mac_2 = prk_3e2m.mac(Label::Mac2, Some(&self.c_r), &self.th_2, peer, &self.data)?;
        Prk::check(&mac_2, &self.mac)?;
        let th_3 = th_next(&self.th_2, &self.plaintext_2, peer);

        let prk_4e3m = prk_3e2m.next(Label::Salt4e3m, &th_3, &*key.agree(&self.g_y)?)?;
        let mac_3 = prk_4e3m.mac(Label::Mac3, None, &th_3, own, &[])?;
        let mut plaintext_3 = Vec::new();
        own.id.write(&mut plaintext_3);
        write_bytes(&mac_3, &mut plaintext_3);
        let message_3 = prk_3e2m.seal(MESSAGE_3, &th_3, &plaintext_3)?;
        let th_4 = th_next(&th_3, &plaintext_3, own);
        Ok((message_3, Session::new(prk_4e3m, th_4, self.initiator.c_i, self.c_r)?))
    }
}
