//! A command as it is kept: JSON, sealed by whoever writes it down.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use thingward_model::{ActionName, DeviceName, TenantName, Timestamp};
use thingward_policy::{Subject, ten_thousandths};
use thingward_seal::command::{CommandId, Outcome, Reply, json};

/// What the keys of commands start with that wait.
pub(crate) const WAITING_PREFIX: &[u8] = b"w";
/// What the keys of commands start with that have ended.
pub(crate) const ENDED_PREFIX: &[u8] = b"e";

/// What the keys start with that say which of those still wait for the device's word.
pub(super) const LATE_PREFIX: &[u8] = b"l";

/// What the keys of the index start with.
const INDEX_PREFIX: &[u8] = b"i";

/// What the keys of all commands of a device start with.
pub(crate) fn keys_of(prefix: &[u8], tenant: &TenantName, device: &DeviceName) -> Vec<u8> {
    [prefix, format!("{tenant}\0{device}\0").as_bytes()].concat()
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub(crate) enum State {
    /// For the device.
    Waiting,
    /// The device did it.
    Done {
        /// What that gave.
        output: Json,
    },
    /// The device did not begin it.
    Refused {
        /// A word of the protocol.
        reason: String,
        /// What would have been right.
        text: String,
    },
    /// The device began it without success.
    Failed {
        /// What the device says.
        text: String,
    },
    /// The device lost power in the middle.
    Interrupted,
    /// Its time was over before an answer came. The device may have begun it and not said so yet.
    Expired,
    /// It was taken back before an answer came.
    Cancelled {
        /// Why.
        reason: String,
    },
}

impl State {
    pub(super) fn of(reply: &Reply<'_>) -> Self {
        match reply.outcome {
            Outcome::Done(output) => Self::Done { output: json::decode(output) },
            Outcome::Refused { reason, text } => {
                Self::Refused { reason: reason.as_str().to_owned(), text: text.to_owned() }
            }
            Outcome::Failed { text } => Self::Failed { text: text.to_owned() },
            Outcome::Interrupted => Self::Interrupted,
        }
    }

    /// The word that API and CLI use.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done { .. } => "done",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
            Self::Interrupted => "interrupted",
            Self::Expired => "expired",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Whether it ended by us, and the device's word may be on its way.
    pub(crate) const fn is_without_word(&self) -> bool {
        matches!(self, Self::Expired | Self::Cancelled { .. })
    }

    /// What the audit log calls getting here.
    pub(super) const fn deed(&self) -> &'static str {
        match self {
            Self::Waiting => "command.send",
            Self::Expired => "command.expire",
            Self::Cancelled { .. } => "command.cancel",
            Self::Done { .. } | Self::Refused { .. } | Self::Failed { .. } | Self::Interrupted => {
                "command.reply"
            }
        }
    }
}

/// A command and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CommandRecord {
    pub(crate) tenant: TenantName,
    pub(crate) device: DeviceName,
    pub(crate) id: CommandId,
    pub(crate) action: ActionName,
    pub(crate) input: Json,
    /// As the audit log names them.
    pub(crate) actor: String,
    /// As policies see them.
    pub(crate) who: Json,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    /// Its entry in the audit log.
    pub(crate) log: u64,
    /// As it is sent.
    pub(crate) message: Vec<u8>,
    pub(crate) state: State,
    /// The device's word; empty before there is one.
    pub(crate) reply: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    action: String,
    input: Json,
    actor: String,
    who: Json,
    expires: i64,
    log: u64,
    message: String,
    #[serde(flatten)]
    state: State,
    reply: String,
}

impl CommandRecord {
    /// `waiting or ended | tenant | 0 | device | 0 | issued, counted down(8) | id(16)`: a device's commands stand together,
    /// the newest first.
    pub(crate) fn key(&self) -> Vec<u8> {
        let prefix = if self.state == State::Waiting { WAITING_PREFIX } else { ENDED_PREFIX };
        let mut key = keys_of(prefix, &self.tenant, &self.device);
        key.extend_from_slice(&(i64::MAX - self.issued.as_micros()).to_be_bytes());
        key.extend_from_slice(&self.id);
        key
    }

    /// Its index entry.
    pub(crate) fn index(&self) -> (Vec<u8>, Vec<u8>) {
        let key = self.key();
        let place = key.get(key.len().saturating_sub(24)..).unwrap_or_default().to_vec();
        (index(&self.tenant, &self.device, &self.id), place)
    }

    /// The key that it had while it waited, once it has ended.
    pub(crate) fn former_key(&self) -> Option<Vec<u8>> {
        let mut key = Some(self.key()).filter(|_| self.state != State::Waiting)?;
        key.splice(..1, WAITING_PREFIX.iter().copied());
        Some(key)
    }

    /// The entry that says that it has ended and its device's word is still taken.
    pub(crate) fn late_key(&self) -> Vec<u8> {
        let mut key = self.key();
        key.splice(..1, LATE_PREFIX.iter().copied());
        key
    }

    /// Whose, for whom, and which.
    pub(super) const fn name(&self) -> (TenantName, DeviceName, CommandId) {
        (self.tenant, self.device, self.id)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let stored = Stored {
            action: self.action.to_string(),
            input: self.input.clone(),
            actor: self.actor.clone(),
            who: self.who.clone(),
            expires: self.expires.as_micros(),
            log: self.log,
            message: STANDARD.encode(&self.message),
            state: self.state.clone(),
            reply: STANDARD.encode(&self.reply),
        };
        // Texts and numbers always encode.
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// Reverses [`Self::key`] and [`Self::encode`]; `None` when the bytes are something else.
    pub(crate) fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        let (rest, id) = key.get(1..)?.split_last_chunk::<16>()?;
        let (names, issued) = rest.split_last_chunk::<8>()?;
        let (tenant, device) = std::str::from_utf8(names).ok()?.strip_suffix('\0')?.split_once('\0')?;
        let stored: Stored = serde_json::from_slice(value).ok()?;
        Some(Self {
            tenant: tenant.parse().ok()?,
            device: device.parse().ok()?,
            id: *id,
            action: stored.action.parse().ok()?,
            input: stored.input,
            actor: stored.actor,
            who: stored.who,
            issued: Timestamp::from_micros(i64::MAX - i64::from_be_bytes(*issued)),
            expires: Timestamp::from_micros(stored.expires),
            log: stored.log,
            message: STANDARD.decode(stored.message).ok()?,
            state: stored.state,
            reply: STANDARD.decode(stored.reply).ok()?,
        })
    }

    /// Who wanted it, as policies see them.
    pub(super) fn subject(&self) -> Option<Subject> {
        if self.who.is_null() {
            return None;
        }
        let text = |name: &str| self.who.get(name).and_then(Json::as_str);
        let user = text("user").map(str::parse).transpose().ok()?;
        match text("token") {
            Some(token) => {
                let scopes =
                    text("scopes")?.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
                Some(Subject::Token { name: token.parse().ok()?, user, scopes })
            }
            None => Some(user.map_or(Subject::Operator, Subject::User)),
        }
    }

    /// Its input, when that is a number, as policies see it.
    pub(crate) fn number(&self) -> Option<i64> {
        self.input.as_f64().map(ten_thousandths)
    }
}

/// Who wants a command, as it is kept. Members of a tenant send theirs without us.
pub(crate) fn who(subject: &Subject) -> Json {
    match subject {
        Subject::Operator => serde_json::json!({}),
        Subject::Member(_) => Json::Null,
        Subject::User(name) => serde_json::json!({"user": name.as_str()}),
        Subject::Token { name, user, scopes } => {
            let scopes: Vec<&str> = scopes.iter().map(|a| a.as_str()).collect();
            let user = user.as_ref().map(|name| name.as_str());
            serde_json::json!({"token": name.as_str(), "user": user, "scopes": scopes.join(" ")})
        }
    }
}

/// The key of the command that an entry of [`CommandRecord::late_key`] is about.
pub(super) fn ended_key_of(entry: &[u8]) -> Vec<u8> {
    [ENDED_PREFIX, entry.get(1..).unwrap_or_default()].concat()
}

/// When the command with this key was made.
pub(super) fn issued(key: &[u8]) -> Option<Timestamp> {
    let (_, issued) = key.split_last_chunk::<16>()?.0.split_last_chunk::<8>()?;
    Some(Timestamp::from_micros(i64::MAX - i64::from_be_bytes(*issued)))
}

/// Under which a command's place is found by its name: `index | tenant | 0 | device | 0 | id(16)`, the value is the part of
/// its key behind the device.
pub(crate) fn index(tenant: &TenantName, device: &DeviceName, id: &CommandId) -> Vec<u8> {
    [keys_of(INDEX_PREFIX, tenant, device).as_slice(), id].concat()
}

/// The index entry of the command with this key.
pub(super) fn index_of(key: &[u8]) -> Vec<u8> {
    let (names, place) = key.split_at(key.len().saturating_sub(24));
    let names = names.get(1..).unwrap_or_default();
    [INDEX_PREFIX, names, place.get(8..).unwrap_or_default()].concat()
}

/// An id as topics and the API write it.
pub(crate) fn hex(id: &CommandId) -> String {
    base16ct::lower::encode_string(id)
}

/// Reverses [`hex`].
pub(crate) fn parse_id(text: &str) -> Option<CommandId> {
    let mut id = [0; 16];
    let read = base16ct::lower::decode(text.as_bytes(), &mut id).ok()?;
    (read.len() == id.len()).then_some(id)
}
