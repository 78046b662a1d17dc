//! From shared secrets to keys: RFC 9528 §4.

use alloc::vec::Vec;

use ccm::Ccm;
use ccm::aead::{AeadInOut, KeyInit, Tag};
use ccm::consts::{U8, U13, U16};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::cbor::{check_data, read_bytes, write_bytes, write_head};
use super::credential::Credential;
use super::keys::KEY_BYTES;
use super::{EdhocError, Identifier, Suite};
use crate::oscore::{Context, ContextError, Id, MasterSecret, Parameters, SequenceNumber};

/// A transcript hash.
pub(super) type Hash = [u8; HASH_BYTES];
pub(super) const HASH_BYTES: usize = 32;
/// AES-CCM-16-64-128 and AES-CCM-16-128-128.
type ShortTag = Ccm<aes_gcm::aes::Aes128, U8, U13>;
type LongTag = Ccm<aes_gcm::aes::Aes128, U16, U13>;

/// Labels of EDHOC_KDF: figure 6 of §4.1.2.
#[derive(Clone, Copy)]
pub(super) enum Label {
    Keystream2 = 0,
    Salt3e2m = 1,
    Mac2 = 2,
    K3 = 3,
    Iv3 = 4,
    Salt4e3m = 5,
    Mac3 = 6,
    Out = 7,
    K4 = 8,
    Iv4 = 9,
    Exporter = 10,
}

/// Those of the key and the IV of a message.
pub(super) type Labels = (Label, Label);
pub(super) const MESSAGE_3: Labels = (Label::K3, Label::Iv3);
const MESSAGE_4: Labels = (Label::K4, Label::Iv4);

/// A pseudorandom key. Wiped when dropped.
#[derive(Clone)]
pub(super) struct Prk(Zeroizing<[u8; KEY_BYTES]>);

impl Prk {
    pub(super) fn extract(salt: &[u8], secret: &[u8; KEY_BYTES]) -> Self {
        let (mut extracted, _) = Hkdf::<Sha256>::extract(Some(salt), secret);
        let mut prk = Zeroizing::new([0; KEY_BYTES]);
        prk.copy_from_slice(&extracted);
        extracted.as_mut_slice().zeroize();
        Self(prk)
    }

    /// EDHOC_KDF with the label as a number.
    pub(super) fn fill(&self, label: usize, context: &[u8], out: &mut [u8]) -> Result<(), EdhocError> {
        let mut info = Vec::new();
        write_head(0, label, &mut info);
        write_bytes(context, &mut info);
        write_head(0, out.len(), &mut info);
        let hkdf = Hkdf::<Sha256>::from_prk(self.0.as_slice()).map_err(|_| EdhocError::Malformed)?;
        // It refuses more than 255 hashes: a message that would need them is not one.
        hkdf.expand(&info, out).map_err(|_| EdhocError::Malformed)
    }

    fn derive<const N: usize>(&self, label: Label, context: &[u8]) -> Result<Zeroizing<[u8; N]>, EdhocError> {
        let mut out = Zeroizing::new([0; N]);
        self.fill(label as usize, context, out.as_mut_slice())?;
        Ok(out)
    }

    /// The next key: this one gives the salt, and a shared secret what is new.
    pub(super) fn next(&self, label: Label, th: &Hash, secret: &[u8; KEY_BYTES]) -> Result<Self, EdhocError> {
        Ok(Self::extract(self.derive::<KEY_BYTES>(label, th)?.as_slice(), secret))
    }

    /// Encrypts or decrypts message 2.
    pub(super) fn keystream(&self, th: &Hash, text: &mut [u8]) -> Result<(), EdhocError> {
        let mut stream = Zeroizing::new(alloc::vec![0; text.len()]);
        self.fill(Label::Keystream2 as usize, th, &mut stream)?;
        text.iter_mut().zip(stream.iter()).for_each(|(byte, key)| *byte ^= key);
        Ok(())
    }

    /// Encrypts a message, as a byte string.
    pub(super) fn seal(
        &self,
        suite: Suite,
        labels: Labels,
        th: &Hash,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, EdhocError> {
        let text = match suite {
            Suite::Zero | Suite::Two => self.encrypt::<ShortTag>(labels, th, plaintext),
            Suite::One | Suite::Three => self.encrypt::<LongTag>(labels, th, plaintext),
        }?;
        let mut message = Vec::new();
        write_bytes(&text, &mut message);
        Ok(message)
    }

    /// Decrypts a message.
    pub(super) fn open(
        &self,
        suite: Suite,
        labels: Labels,
        th: &Hash,
        mut message: &[u8],
    ) -> Result<Vec<u8>, EdhocError> {
        let ciphertext = read_bytes(&mut message)?;
        if !message.is_empty() {
            return Err(EdhocError::Malformed);
        }
        let text = ciphertext.len().checked_sub(suite.tag_bytes()).ok_or(EdhocError::NotAuthentic)?;
        let (text, tag) = ciphertext.split_at(text);
        match suite {
            Suite::Zero | Suite::Two => self.decrypt::<ShortTag>(labels, th, text, tag),
            Suite::One | Suite::Three => self.decrypt::<LongTag>(labels, th, text, tag),
        }
    }

    fn encrypt<C: Aead>(&self, labels: Labels, th: &Hash, plaintext: &[u8]) -> Result<Vec<u8>, EdhocError> {
        let (cipher, nonce) = self.cipher::<C>(labels, th)?;
        let mut text = plaintext.to_vec();
        let tag = cipher
            .encrypt_inout_detached((&*nonce).into(), &aad(th), text.as_mut_slice().into())
            .map_err(|_| EdhocError::Malformed)?;
        text.extend_from_slice(&tag);
        Ok(text)
    }

    fn decrypt<C: Aead>(
        &self,
        labels: Labels,
        th: &Hash,
        text: &[u8],
        tag: &[u8],
    ) -> Result<Vec<u8>, EdhocError> {
        let (cipher, nonce) = self.cipher::<C>(labels, th)?;
        let tag: &Tag<C> = tag.try_into().map_err(|_| EdhocError::NotAuthentic)?;
        let mut text = text.to_vec();
        cipher
            .decrypt_inout_detached((&*nonce).into(), &aad(th), text.as_mut_slice().into(), tag)
            .map_err(|_| EdhocError::NotAuthentic)?;
        Ok(text)
    }

    fn cipher<C: Aead>(&self, (key, iv): Labels, th: &Hash) -> Result<(C, Zeroizing<[u8; 13]>), EdhocError> {
        let key = self.derive::<16>(key, th)?;
        let cipher = C::new_from_slice(key.as_slice()).map_err(|_| EdhocError::Malformed)?;
        Ok((cipher, self.derive(iv, th)?))
    }
}

/// One of the two, which differ in their tags.
trait Aead: AeadInOut<NonceSize = U13> + KeyInit {}

impl Aead for ShortTag {}
impl Aead for LongTag {}

/// `["Encrypt0", h'', TH]`.
fn aad(th: &Hash) -> Vec<u8> {
    let mut aad = Vec::from(*b"\x83\x68Encrypt0\x40");
    write_bytes(th, &mut aad);
    aad
}

/// TH_2: over the responder's ephemeral key and message 1.
pub(super) fn th_2(g_y: &[u8; KEY_BYTES], message_1: &[u8]) -> Hash {
    let mut sequence = Vec::new();
    write_bytes(g_y, &mut sequence);
    write_bytes(&Sha256::digest(message_1), &mut sequence);
    Sha256::digest(&sequence).into()
}

/// TH_3 and TH_4: over the hash before, the plaintext, and the credential of who said it.
pub(super) fn th_next(th: &Hash, plaintext: &[u8], credential: &Credential) -> Hash {
    let mut sequence = Vec::new();
    write_bytes(th, &mut sequence);
    sequence.extend_from_slice(plaintext);
    sequence.extend_from_slice(&credential.bytes);
    Sha256::digest(&sequence).into()
}

/// Which end of a session it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Initiator,
    Responder,
}

/// A session of which both endpoints are who they say. Its keys are wiped when it is dropped.
pub struct Session {
    suite: Suite,
    exporter: Prk,
    prk_4e3m: Prk,
    th_4: Hash,
    initiator: Identifier,
    responder: Identifier,
}

impl Session {
    pub(super) fn new(
        suite: Suite,
        prk_4e3m: Prk,
        th_4: Hash,
        initiator: Identifier,
        responder: Identifier,
    ) -> Result<Self, EdhocError> {
        let out = Prk(prk_4e3m.derive(Label::Out, &th_4)?);
        let exporter = Prk(out.derive(Label::Exporter, &[])?);
        Ok(Self { suite, exporter, prk_4e3m, th_4, initiator, responder })
    }

    /// C_I, which is the Recipient ID of the initiator and the Sender ID of the responder: RFC 9528 appendix A.1.
    #[must_use]
    pub const fn initiator(&self) -> &Identifier {
        &self.initiator
    }

    /// C_R, the other way round.
    #[must_use]
    pub const fn responder(&self) -> &Identifier {
        &self.responder
    }

    /// Message 4, by which the responder proves that it has the keys, where no OSCORE message of its does: §5.5.
    ///
    /// # Errors
    ///
    /// None for a session; the type has no other form.
    pub fn message_4(&self) -> Result<Vec<u8>, EdhocError> {
        self.prk_4e3m.seal(self.suite, MESSAGE_4, &self.th_4, &[])
    }

    /// Checks message 4.
    ///
    /// # Errors
    ///
    /// [`EdhocError::NotAuthentic`] when the responder does not have the keys.
    pub fn check_message_4(&self, message_4: &[u8]) -> Result<(), EdhocError> {
        check_data(&self.prk_4e3m.open(self.suite, MESSAGE_4, &self.th_4, message_4)?)
    }

    /// The master secret and salt of the OSCORE context: RFC 9528 appendix A.1.
    ///
    /// # Errors
    ///
    /// None for a session; the type has no other form.
    pub fn oscore(&self) -> Result<(MasterSecret, [u8; 8]), EdhocError> {
        let (mut secret, mut salt) = (Zeroizing::new([0; 16]), [0; 8]);
        self.exporter.fill(0, &[], secret.as_mut_slice())?;
        self.exporter.fill(1, &[], &mut salt)?;
        let secret = MasterSecret::new(secret.as_slice()).map_err(|_| EdhocError::Malformed)?;
        Ok((secret, salt))
    }

    /// The OSCORE context of one end, RFC 9528 appendix A.1, with the algorithms of all suites here. It is fresh, and not to be kept: all its
    /// sequence numbers may be used.
    ///
    /// # Errors
    ///
    /// [`EdhocError::Malformed`] when the identifiers are none for OSCORE.
    pub fn context(&self, end: End) -> Result<Context, EdhocError> {
        let malformed = |_: ContextError| EdhocError::Malformed;
        let (secret, salt) = self.oscore()?;
        let id = |identifier: &Identifier| Id::try_from(identifier.as_bytes()).map_err(malformed);
        let (initiator, responder) = (id(&self.initiator)?, id(&self.responder)?);
        let (sender_id, recipient_id) = match end {
            End::Initiator => (responder, initiator),
            End::Responder => (initiator, responder),
        };
        let (aead, hkdf, id_context) = Default::default();
        let parameters =
            Parameters { secret: &secret, salt: &salt, sender_id, recipient_id, id_context, aead, hkdf };
        let mut context = Context::new(&parameters).map_err(malformed)?;
        context.set_aside(SequenceNumber::MAX);
        Ok(context)
    }

    /// Bytes that only the two ends of this session know, under a label for private use, 32768 to 65535: RFC 9528 §4.2.1.
    /// Who signs them binds something to this session.
    ///
    /// # Errors
    ///
    /// None for a session; the type has no other form.
    pub fn export(&self, label: u16) -> Result<[u8; 32], EdhocError> {
        let mut out = [0; 32];
        self.exporter.fill(usize::from(label), &[], &mut out)?;
        Ok(out)
    }
}
