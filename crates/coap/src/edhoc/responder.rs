//! Who answers: RFC 9528 §5.2.3 to §5.4.3.

use alloc::vec::Vec;

use super::EdhocError;
use super::cbor::{CredentialId, Identifier, check_data, read_bytes, read_small, write_bytes};
use super::initiator::{METHOD, SUITE};
use super::keys::{Credential, DhKey, KEY_BYTES};
use super::schedule::{Hash, Label, MESSAGE_3, Prk, Session, th_2, th_next};

/// Has sent message 2.
pub struct Responder {
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
    mac: Vec<u8>,
    data: Vec<u8>,
    plaintext_3: Vec<u8>,
}

impl Responder {
    /// The error message for [`EdhocError::Suite`], which names suite 2: §6.3.
    pub const WRONG_SUITE: [u8; 2] = [2, SUITE];

    /// Answers message 1 with a fresh ephemeral key. `c_r` MUST differ from the initiator's identifier.
    ///
    /// # Errors
    ///
    /// [`EdhocError`]; there is no session.
    pub fn answer(
        message_1: &[u8],
        ephemeral: DhKey,
        c_r: Identifier,
        key: &DhKey,
        own: &Credential,
    ) -> Result<Self, EdhocError> {
        let (g_x, c_i) = read_message_1(message_1)?;
        if c_i == c_r {
            return Err(EdhocError::Malformed);
        }
        let g_y = ephemeral.public();
        let th_2 = th_2(&g_y, message_1);
        let prk_2e = Prk::extract(&th_2, &*ephemeral.agree(&g_x)?);
        let prk_3e2m = prk_2e.next(Label::Salt3e2m, &th_2, &*key.agree(&g_x)?)?;
        let mac_2 = prk_3e2m.mac(Label::Mac2, Some(&c_r), &th_2, own, &[])?;
        let mut plaintext_2 = Vec::new();
        c_r.write(&mut plaintext_2);
        own.id.write(&mut plaintext_2);
        write_bytes(&mac_2, &mut plaintext_2);
        let th_3 = th_next(&th_2, &plaintext_2, own);

        let mut both = plaintext_2;
        prk_2e.keystream(&th_2, &mut both)?;
        both.splice(..0, g_y);
        let mut message_2 = Vec::new();
        write_bytes(&both, &mut message_2);
        Ok(Self { ephemeral, c_i, c_r, prk_3e2m, th_3, message_2 })
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
        let plaintext_3 = self.prk_3e2m.open(MESSAGE_3, &self.th_3, message_3)?;
        let mut rest = plaintext_3.as_slice();
        let id = CredentialId::read(&mut rest)?;
        let mac = read_bytes(&mut rest)?.to_vec();
        check_data(rest)?;
        let data = rest.to_vec();
        Ok(Initiating { responder: self, id, mac, data, plaintext_3 })
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
    /// [`EdhocError::NotAuthentic`] when somebody else began; the session is over.
    pub fn finish(self, peer: &Credential) -> Result<Session, EdhocError> {
        let Responder { ephemeral, c_i, c_r, prk_3e2m, th_3, .. } = self.responder;
        let prk_4e3m = prk_3e2m.next(Label::Salt4e3m, &th_3, &*ephemeral.agree(&peer.public)?)?;
        let mac_3 = prk_4e3m.mac(Label::Mac3, None, &th_3, peer, &self.data)?;
        Prk::check(&mac_3, &self.mac)?;
        let th_4 = th_next(&th_3, &self.plaintext_3, peer);
        Session::new(prk_4e3m, th_4, c_i, c_r)
    }
}

/// The initiator's ephemeral key and identifier.
fn read_message_1(message: &[u8]) -> Result<([u8; KEY_BYTES], Identifier), EdhocError> {
    let mut rest = message;
    match read_small(&mut rest)? {
        METHOD => {}
        _ => return Err(EdhocError::Method),
    }
    read_suites(&mut rest)?;
    let g_x = read_bytes(&mut rest)?.try_into().map_err(|_| EdhocError::PublicKey)?;
    let c_i = Identifier::read(&mut rest)?;
    check_data(rest)?;
    Ok((g_x, c_i))
}

/// One suite, or two and more in order of preference of which the last is selected; an earlier one that is taken here
/// would have been: §5.2.3.
fn read_suites(rest: &mut &[u8]) -> Result<(), EdhocError> {
    let mut preferred = 0;
    if let [head @ 0x82..=0x97, left @ ..] = *rest {
        preferred = head - 0x81;
        *rest = left;
    }
    for _ in 0..preferred {
        if read_suite(rest)? == Some(SUITE) {
            return Err(EdhocError::Suite);
        }
    }
    if read_suite(rest)? == Some(SUITE) { Ok(()) } else { Err(EdhocError::Suite) }
}

/// A suite; `None` for a negative one, which is for private use (§10.2) and here for nobody.
fn read_suite(rest: &mut &[u8]) -> Result<Option<u8>, EdhocError> {
    let left = match *rest {
        [0x20..=0x37, left @ ..] | [0x38, 24..=u8::MAX, left @ ..] => left,
        _ => return read_small(rest).map(Some),
    };
    *rest = left;
    Ok(None)
}
