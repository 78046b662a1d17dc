//! Sessions: people who have signed in.

use std::fmt;
use std::str::FromStr;

use base16ct::lower::encode_string as hex;
use thingward_crypto::{VerifyingKey, sha256};
use thingward_model::assurance::UnknownWord;
use thingward_model::{TenantName, Timestamp, UserName};

use super::user::UserId;
use super::{Registry, SqlRow, after, failed, get, key, one_changed, page, parse, parse_text, time};
use crate::error::StoreError;

/// How long a session lives without use, in microseconds: 12 hours.
pub const SESSION_IDLE_MICROS: i64 = 12 * 3_600_000_000;
/// How long a session lives at most, in microseconds: 7 days.
const SESSION_LIFETIME_MICROS: i64 = 7 * 86_400_000_000;
/// Most sessions of a person: the one unused for longest makes room.
const SESSIONS_MAX: u32 = 32;
/// Use is noted once in so long, in microseconds: 5 minutes.
const USE_NOTED_MICROS: i64 = 300_000_000;

/// Names a session without giving it away: the first 8 bytes of its secret's SHA-256, as hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// The name of the session with this secret.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(hex(&sha256(&[secret.as_bytes()])).chars().take(16).collect())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for SessionId {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let good = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        good.then(|| Self(text.to_owned())).ok_or(UnknownWord { wanted: "16 hexadecimal digits" })
    }
}

/// How a person signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// With a passkey.
    Passkey,
    /// At an OpenID Connect provider.
    Oidc,
}

impl Way {
    /// The word that the API uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passkey => "passkey",
            Self::Oidc => "oidc",
        }
    }
}

impl FromStr for Way {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = [Self::Passkey, Self::Oidc].into_iter().find(|way| way.as_str() == text);
        found.ok_or(UnknownWord { wanted: "passkey, oidc" })
    }
}

/// What somebody showed to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedInBy<'a> {
    /// The passkey of this credential id.
    Passkey(&'a [u8]),
    /// An account at a provider.
    Provider,
}

impl<'a> SignedInBy<'a> {
    /// How they signed in.
    #[must_use]
    pub const fn way(self) -> Way {
        match self {
            Self::Passkey(_) => Way::Passkey,
            Self::Provider => Way::Oidc,
        }
    }

    const fn credential_id(self) -> Option<&'a [u8]> {
        match self {
            Self::Passkey(id) => Some(id),
            Self::Provider => None,
        }
    }
}

/// A session that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Names it.
    pub id: SessionId,
    /// The tenant that it reaches.
    pub tenant: TenantName,
    /// Who signed in.
    pub user: (UserId, UserName),
    /// How.
    pub way: Way,
    /// What they sign changes with.
    pub key: VerifyingKey,
    /// When.
    pub created: Timestamp,
    /// When it was used last, to within five minutes.
    pub used: Timestamp,
    /// When it ends at the latest.
    pub expires: Timestamp,
}

const COLUMNS: &str = "SELECT s.id, s.tenant, s.user_id, u.name AS user_name, s.way, s.spki, s.created, s.used, s.expires \
    FROM sessions s JOIN users u ON u.tenant = s.tenant AND u.id = s.user_id";

impl Registry {
    /// Begins a session; of its secret a hash is kept.
    ///
    /// The caller MUST make the secret from at least 128 random bits: the hash is not slow.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such person.
    pub async fn add_session(
        &self,
        secret: &str,
        tenant: &TenantName,
        user: &UserId,
        by: SignedInBy<'_>,
        key: &VerifyingKey,
        now: Timestamp,
    ) -> Result<SessionId, StoreError> {
        let (hash, id) = (sha256(&[secret.as_bytes()]), SessionId::of(secret));
        let mut tx = self.change().await?;
        sqlx::query(
            "DELETE FROM sessions WHERE expires <= $3 OR used <= $4 OR tenant = $1 AND user_id = $2 AND id NOT IN \
             (SELECT id FROM sessions WHERE tenant = $1 AND user_id = $2 ORDER BY used DESC LIMIT $5)",
        )
        .bind(tenant.as_str())
        .bind(user.to_string())
        .bind(now.as_micros())
        .bind(now.plus_micros(-SESSION_IDLE_MICROS).as_micros())
        .bind(i64::from(SESSIONS_MAX - 1))
        .execute(&mut *tx)
        .await
        .map_err(failed("forget old sessions"))?;
        sqlx::query(
            "INSERT INTO sessions (id, secret_hash, tenant, user_id, way, created, used, expires, spki, credential_id) \
             VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9)",
        )
        .bind(id.0.as_str())
        .bind(hash.as_slice())
        .bind(tenant.as_str())
        .bind(user.to_string())
        .bind(by.way().as_str())
        .bind(now.as_micros())
        .bind(now.plus_micros(SESSION_LIFETIME_MICROS).as_micros())
        .bind(key.to_spki())
        .bind(by.credential_id())
        .execute(&mut *tx)
        .await
        .map_err(failed("begin a session"))?;
        tx.commit().await.map_err(failed("begin a session"))?;
        Ok(id)
    }

    /// The session of a secret, used now.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it is unknown or over; which one is not told.
    pub async fn session(&self, secret: &str, now: Timestamp) -> Result<Session, StoreError> {
        let text = format!("{COLUMNS} WHERE s.secret_hash = $1 AND s.expires > $2 AND s.used > $3");
        let row = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(sha256(&[secret.as_bytes()]).as_slice())
            .bind(now.as_micros())
            .bind(now.plus_micros(-SESSION_IDLE_MICROS).as_micros())
            .fetch_optional(self.pool()?)
            .await
            .map_err(failed("check a session"))?;
        let session = read_session(&row.ok_or(StoreError::NotFound { what: "session" })?)?;
        if now.micros_since(session.used) >= USE_NOTED_MICROS {
            sqlx::query("UPDATE sessions SET used = $2 WHERE id = $1")
                .bind(session.id.0.as_str())
                .bind(now.as_micros())
                .execute(self.pool()?)
                .await
                .map_err(failed("note the use of a session"))?;
        }
        Ok(session)
    }

    /// Sessions of the tenant that work, or of one person in it, by id, from the first after `last` on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn sessions(
        &self,
        tenant: &TenantName,
        user: Option<&UserId>,
        last: Option<&SessionId>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        let text = format!(
            "{COLUMNS} WHERE s.tenant = $1 AND ($2 = '' OR s.user_id = $2) AND s.id > $3 AND s.expires > $4 \
             AND s.used > $5 ORDER BY s.id LIMIT $6"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(tenant.as_str())
            .bind(after(user))
            .bind(after(last))
            .bind(now.as_micros())
            .bind(now.plus_micros(-SESSION_IDLE_MICROS).as_micros())
            .bind(page(limit))
            .fetch_all(self.pool()?)
            .await
            .map_err(failed("list sessions"))?;
        rows.iter().map(read_session).collect()
    }

    /// Ends a session of the tenant.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`].
    pub async fn end_session(&self, tenant: &TenantName, id: &SessionId) -> Result<(), StoreError> {
        let result = sqlx::query("DELETE FROM sessions WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(id.0.as_str())
            .execute(self.pool()?)
            .await
            .map_err(failed("end a session"))?;
        one_changed(&result, "session")
    }

    /// Whose session it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`].
    pub async fn session_owner(&self, tenant: &TenantName, id: &SessionId) -> Result<UserId, StoreError> {
        let row = sqlx::query("SELECT user_id FROM sessions WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(id.0.as_str())
            .fetch_optional(self.pool()?)
            .await
            .map_err(failed("read a session"))?
            .ok_or(StoreError::NotFound { what: "session" })?;
        parse(&row, "user_id")
    }
}

fn read_session(row: &SqlRow) -> Result<Session, StoreError> {
    Ok(Session {
        id: parse(row, "id")?,
        tenant: parse(row, "tenant")?,
        user: (parse(row, "user_id")?, parse(row, "user_name")?),
        way: parse_text(get(row, "way")?, "way")?,
        key: key(get(row, "spki")?)?,
        created: time(row, "created")?,
        used: time(row, "used")?,
        expires: time(row, "expires")?,
    })
}
