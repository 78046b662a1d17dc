//! What a gateway and the driver of a radio say to one another.
//!
//! Each message is one CBOR item (RFC 8949) behind its length in bytes, four of them, big-endian. Whatever comes from a driver
//! may be a lie: it reads frames of strangers. Nothing in a message is longer than its limit here.

mod frame;
mod text;
mod wiped;

use minicbor::{Decode, Encode};
use thingward_model::Link;
use zeroize::{Zeroize, ZeroizeOnDrop};

pub(crate) use frame::Bounded;
pub use frame::{FRAME_BYTES_MAX, FrameDecoder, FrameError, encode};
pub use text::Text;
pub(crate) use wiped::Wiped;

/// Names a thing to its radio: an IEEE address in hexadecimal, or a network and a node in it (`c0ffee01-5`).
pub type Address = Text<48>;
/// The name of a property, an event or an action.
pub type Name = Text<63>;
/// A sentence for people.
pub type Sentence = Text<256>;
/// A text that a thing says.
pub type Words = Text<1024>;

/// Most readings of one report.
pub const READINGS_MAX: usize = 32;
/// Longest value of bytes.
pub const DATA_BYTES_MAX: usize = 1024;
/// Largest description of a thing, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 32 * 1024;
/// Largest state that a driver has kept for it, in bytes.
pub const KEPT_BYTES_MAX: usize = 128 * 1024;
/// Most exceptions that a driver is told.
pub const EXCEPTIONS_MAX: usize = 64;
/// For how many days a network's key is used where nobody says otherwise, and at most.
pub const KEY_DAYS: u16 = 365;
/// See [`KEY_DAYS`].
pub const KEY_DAYS_MAX: u16 = 3650;
/// Most arguments of a call.
pub const ARGUMENTS_MAX: usize = 16;

/// What a gateway tells a driver.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Order {
    /// The first of all.
    #[n(0)]
    Start(#[n(0)] Start),
    /// To let things join for a while.
    #[n(1)]
    Admit(#[n(0)] Admission),
    /// To let nobody join any more.
    #[n(2)]
    Close,
    /// To have a thing do something. It is answered by [`Report::Done`].
    #[n(3)]
    Call(#[n(0)] Call),
    /// To have nothing to do with a thing any more.
    #[n(4)]
    Remove(#[n(0)] Address),
    /// What [`Report::Keep`] asked for last is durable.
    #[n(5)]
    Kept,
    /// To show that it is alive, by [`Report::Alive`] with this number.
    #[n(6)]
    Ask(#[n(0)] u32),
    /// To give its network another key, where it has one.
    #[n(7)]
    Roll,
}

/// With what a driver starts.
#[derive(Debug, Clone, Default, PartialEq, Encode, Decode)]
pub struct Start {
    /// What it had kept; nothing the first time.
    #[n(0)]
    pub kept: Option<Secret>,
    /// Things that may join without what is otherwise asked of them, each with a reason.
    #[n(1)]
    pub exceptions: Vec<Exception>,
    /// What a source asks for, `USER:PASSWORD`.
    #[n(2)]
    pub credentials: Option<Secret>,
    /// For how many days a network's key is used, where a driver gives it others; [`KEY_DAYS`] without it.
    #[n(3)]
    pub key_days: Option<u16>,
}

/// That one thing may join in a way that is otherwise refused: with Security 0, under the well-known key, in the open.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Exception {
    /// Which.
    #[n(0)]
    pub thing: Address,
    /// Why.
    #[n(1)]
    pub reason: Sentence,
}

/// Letting things join.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Admission {
    /// For so long, in seconds.
    #[n(0)]
    pub seconds: u16,
    /// What is printed on the thing: digits of a device-specific key, a SmartStart code, `ADDRESS:INSTALL-CODE`,
    /// `ADDRESS:BINDKEY`. Without it only what asks for none may join.
    #[n(1)]
    pub printed: Option<Secret>,
}

/// Having a thing do something.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Call {
    /// Names the call.
    #[n(0)]
    pub id: u32,
    /// Which thing.
    #[n(1)]
    pub thing: Address,
    /// The action, as its description names it.
    #[n(2)]
    pub action: Name,
    /// Its arguments; an input that is no map has the empty name.
    #[n(3)]
    pub arguments: Vec<Argument>,
}

/// One argument.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Argument {
    /// Its name.
    #[n(0)]
    pub name: Name,
    /// Its value.
    #[n(1)]
    pub value: Value,
}

/// What a driver tells its gateway.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Report {
    /// The radio works.
    #[n(0)]
    Ready {
        /// Names its network: a home id, an extended PAN id.
        #[n(0)]
        network: Address,
    },
    /// A thing is there, or is known from before. Again when what it has is known better.
    #[n(1)]
    Thing(#[n(0)] Thing),
    /// A thing left.
    #[n(2)]
    Left(#[n(0)] Address),
    /// A thing said something.
    #[n(3)]
    Readings(#[n(0)] Readings),
    /// What became of a call.
    #[n(4)]
    Done {
        /// Which.
        #[n(0)]
        id: u32,
        /// Why it was not done; nothing when it was.
        #[n(1)]
        failure: Option<Sentence>,
    },
    /// This is to be sealed and kept, in place of what was before. It is safe when [`Order::Kept`] says so.
    #[n(5)]
    Keep(#[n(0)] Secret),
    /// How letting things join goes.
    #[n(6)]
    Admission(#[n(0)] AdmissionState),
    /// A thing was not let in, or something came that is not believed.
    #[n(7)]
    Refused {
        /// Who, as far as one knows.
        #[n(0)]
        thing: Option<Address>,
        /// What kind of thing happened.
        #[n(1)]
        kind: RefusalKind,
        /// Why.
        #[n(2)]
        reason: Sentence,
    },
    /// The radio is in trouble. It may end after this.
    #[n(8)]
    Trouble(#[n(0)] Sentence),
    /// It is alive.
    #[n(9)]
    Alive {
        /// The number of [`Order::Ask`].
        #[n(0)]
        answer: u32,
        /// What it counted since it started.
        #[n(1)]
        counters: Counters,
    },
}

/// A thing behind a radio.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Thing {
    /// Who.
    #[n(0)]
    pub address: Address,
    /// The best that protects its link.
    #[n(1)]
    #[cbor(with = "link")]
    pub link: Link,
    /// A Thing Description, in JSON.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub description: Vec<u8>,
}

/// What a thing said.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Readings {
    /// Who.
    #[n(0)]
    pub thing: Address,
    /// How this message was protected on the link.
    #[n(1)]
    #[cbor(with = "link")]
    pub link: Link,
    /// What, all at one time.
    #[n(2)]
    pub readings: Vec<Reading>,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Reading {
    /// Of what, as the description names it.
    #[n(0)]
    pub name: Name,
    /// Its unit, as SenML writes it; empty without.
    #[n(1)]
    pub unit: Text<16>,
    /// The value.
    #[n(2)]
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Value {
    /// A finite number.
    #[n(0)]
    Number(#[n(0)] f64),
    /// True or false.
    #[n(1)]
    Bool(#[n(0)] bool),
    /// A text.
    #[n(2)]
    Text(#[n(0)] Words),
    /// Bytes without a meaning here.
    #[n(3)]
    Data(
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        Vec<u8>,
    ),
}

/// How letting things join goes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum AdmissionState {
    /// It waits for things.
    #[n(0)]
    Open,
    /// A thing is joining.
    #[n(1)]
    Joining(#[n(0)] Address),
    /// Nobody is let in any more.
    #[n(2)]
    Closed,
}

/// What kind of thing was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum RefusalKind {
    /// A thing that wanted to join.
    #[n(0)]
    Join,
    /// A message that was sent before.
    #[n(1)]
    Replay,
    /// A message that is not authentic.
    #[n(2)]
    Forgery,
    /// A message that is none.
    #[n(3)]
    Malformed,
}

/// What a driver counts, since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Counters {
    /// Bytes that came over the line.
    #[n(0)]
    pub received: u64,
    /// What was refused of it, whether or not each was told in a [`Report::Refused`].
    #[n(1)]
    pub refused: u64,
    /// What things said and found no room.
    #[n(2)]
    pub dropped: u64,
}

/// Bytes that nobody shows.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Of these bytes.
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl<C> Encode<C> for Secret {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Secret {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let at = d.position();
        let bytes = d.bytes()?;
        if bytes.len() > KEPT_BYTES_MAX {
            return Err(minicbor::decode::Error::message("a secret that is too long").at(at));
        }
        Ok(Self(bytes.to_vec()))
    }
}

mod link {
    use minicbor::decode::Error;
    use minicbor::encode::{self, Write};
    use minicbor::{Decoder, Encoder};
    use thingward_model::Link;

    pub(super) fn encode<C, W: Write>(
        link: &Link,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.u8(link.code())?.ok()
    }

    pub(super) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Link, Error> {
        let at = d.position();
        Link::from_code(d.u8()?).ok_or_else(|| Error::message("no link").at(at))
    }
}
