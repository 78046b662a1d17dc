//! Tokens with which programs call the API.

use std::fmt;
use std::str::FromStr;

use base16ct::lower::encode_string as hex;
use thingward_crypto::{VerifyingKey, sha256};
use thingward_model::assurance::UnknownWord;
use thingward_model::{TenantName, Timestamp, UserName};
use thingward_policy::{Action, TokenName};

use super::user::UserId;
use super::{
    Registry, SqlRow, after, failed, get, key, one_changed, page, parse_optional, time, time_optional,
};
use crate::error::StoreError;

/// Names a token: 16 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(TokenName);

impl TokenId {
    /// The id of these random bytes.
    ///
    /// # Errors
    ///
    /// [`UnknownWord`] never, in practice: hexadecimal digits are a name.
    pub fn new(random: [u8; 8]) -> Result<Self, UnknownWord> {
        hex(&random).parse()
    }

    /// As policies name it.
    #[must_use]
    pub const fn name(&self) -> TokenName {
        self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.as_str())
    }
}

impl FromStr for TokenId {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let good = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let name = good.then(|| text.parse().ok()).flatten();
        name.map(Self).ok_or(UnknownWord { wanted: "16 hexadecimal digits" })
    }
}

/// What a new token allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Names it.
    pub id: TokenId,
    /// Whose data it reaches; none means all tenants.
    pub tenant: Option<TenantName>,
    /// What it allows.
    pub scopes: Vec<Action>,
    /// When it ends.
    pub expires: Timestamp,
    /// The token that makes it; none for the operator's own.
    pub parent: Option<TokenId>,
    /// The user who makes it; none for the operator.
    pub user: Option<UserId>,
    /// What it signs changes with; none for one that only reads.
    pub key: Option<VerifyingKey>,
}

/// A token as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Names it.
    pub id: TokenId,
    /// Whose data it reaches; none means all tenants.
    pub tenant: Option<TenantName>,
    /// Who made it, and in whose name it acts; none for the operator.
    pub user: Option<(UserId, UserName)>,
    /// What it allows.
    pub scopes: Vec<Action>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// When it was taken back.
    pub revoked: Option<Timestamp>,
    /// What it signs changes with; none for one that only reads.
    pub key: Option<VerifyingKey>,
}

impl Registry {
    /// Stores a token, as a hash only.
    ///
    /// The caller MUST make the token from at least 128 random bits: the hash is not slow.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such tenant or the parent was revoked, [`StoreError::Conflict`] when
    /// the token exists.
    pub async fn add_token(&self, token: &str, new: &NewToken, now: Timestamp) -> Result<(), StoreError> {
        let scopes: Vec<&str> = new.scopes.iter().map(|s| s.as_str()).collect();
        let mut tx = self.change().await?;
        let result = sqlx::query(
            "INSERT INTO tokens (id, token_hash, tenant, scopes, created, expires, parent, user_id, spki) \
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 \
             WHERE $7 IS NULL OR EXISTS (SELECT 1 FROM tokens WHERE id = $7 AND revoked IS NULL)",
        )
        .bind(new.id.0.as_str())
        .bind(sha256(&[token.as_bytes()]).as_slice())
        .bind(new.tenant.as_ref().map(TenantName::as_str))
        .bind(scopes.join(" "))
        .bind(now.as_micros())
        .bind(new.expires.as_micros())
        .bind(new.parent.as_ref().map(|parent| parent.0.as_str()))
        .bind(new.user.as_ref().map(ToString::to_string))
        .bind(new.key.as_ref().map(VerifyingKey::to_spki))
        .execute(&mut *tx)
        .await
        .map_err(failed("add a token"))?;
        tx.commit().await.map_err(failed("add a token"))?;
        one_changed(&result, "token")
    }

    /// What a token allows now.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it is unknown, revoked or expired; which one is not told.
    pub async fn token(&self, token: &str, now: Timestamp) -> Result<Token, StoreError> {
        let row = sqlx::query(
            "SELECT t.id, t.tenant, t.scopes, t.created, t.expires, t.revoked, t.spki, t.user_id, u.name AS user_name \
             FROM tokens t LEFT JOIN users u ON u.tenant = t.tenant AND u.id = t.user_id \
             WHERE t.token_hash = $1 AND t.revoked IS NULL AND t.expires > $2",
        )
        .bind(sha256(&[token.as_bytes()]).as_slice())
        .bind(now.as_micros())
        .fetch_optional(self.pool()?)
        .await
        .map_err(failed("check a token"))?;
        read_token(&row.ok_or(StoreError::NotFound { what: "token" })?)
    }

    /// What the token with this id allows now.
    ///
    /// # Errors
    ///
    /// As [`Self::token`].
    pub async fn token_by_id(&self, id: &TokenId, now: Timestamp) -> Result<Token, StoreError> {
        let row = sqlx::query(
            "SELECT t.id, t.tenant, t.scopes, t.created, t.expires, t.revoked, t.spki, t.user_id, u.name AS user_name \
             FROM tokens t LEFT JOIN users u ON u.tenant = t.tenant AND u.id = t.user_id \
             WHERE t.id = $1 AND t.revoked IS NULL AND t.expires > $2",
        )
        .bind(id.0.as_str())
        .bind(now.as_micros())
        .fetch_optional(self.pool()?)
        .await
        .map_err(failed("look for a token"))?;
        read_token(&row.ok_or(StoreError::NotFound { what: "token" })?)
    }

    /// Whether a token with this id works now.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub async fn token_works(&self, id: &TokenId, now: Timestamp) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM tokens WHERE id = $1 AND revoked IS NULL AND expires > $2")
            .bind(id.0.as_str())
            .bind(now.as_micros())
            .fetch_optional(self.pool()?)
            .await
            .map_err(failed("look for a token"))?;
        Ok(row.is_some())
    }

    /// Takes a token of the tenant, or with `None` of the installation, back, and every token that was made with it.
    /// Gives all that ended.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it has none with this id that still works.
    pub async fn revoke_token(
        &self,
        tenant: Option<&TenantName>,
        id: &TokenId,
        now: Timestamp,
    ) -> Result<Vec<TokenId>, StoreError> {
        let mut tx = self.change().await?;
        let rows = sqlx::query(
            "WITH RECURSIVE made (id) AS (SELECT id FROM tokens WHERE id = $1 AND COALESCE(tenant, '') = $3 \
             UNION SELECT t.id FROM tokens t JOIN made m ON t.parent = m.id) \
             UPDATE tokens SET revoked = $2 WHERE revoked IS NULL AND id IN (SELECT id FROM made) RETURNING id",
        )
        .bind(id.0.as_str())
        .bind(now.as_micros())
        .bind(tenant.map_or("", TenantName::as_str))
        .fetch_all(&mut *tx)
        .await
        .map_err(failed("revoke a token"))?;
        tx.commit().await.map_err(failed("revoke a token"))?;
        if rows.is_empty() {
            return Err(StoreError::NotFound { what: "token" });
        }
        rows.iter().map(|row| super::parse(row, "id")).collect()
    }

    /// Tokens of the tenant, or with `None` of the installation, by id, from the first after `last` on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn tokens(
        &self,
        tenant: Option<&TenantName>,
        last: Option<&TokenId>,
        limit: u32,
    ) -> Result<Vec<Token>, StoreError> {
        let rows = sqlx::query(
            "SELECT t.id, t.tenant, t.scopes, t.created, t.expires, t.revoked, t.spki, t.user_id, u.name AS user_name \
             FROM tokens t LEFT JOIN users u ON u.tenant = t.tenant AND u.id = t.user_id \
             WHERE t.id > $1 AND COALESCE(t.tenant, '') = $3 AND (t.user_id IS NULL OR u.name IS NOT NULL) ORDER BY t.id LIMIT $2",
        )
        .bind(after(last))
        .bind(page(limit))
        .bind(tenant.map_or("", TenantName::as_str))
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("list tokens"))?;
        rows.iter().map(read_token).collect()
    }
}

fn read_token(row: &SqlRow) -> Result<Token, StoreError> {
    let scopes = get::<&str>(row, "scopes")?.split_whitespace();
    let scopes = scopes.map(|word| super::parse_text(word, "scopes")).collect::<Result<_, _>>()?;
    let user = match (parse_optional(row, "user_id")?, parse_optional(row, "user_name")?) {
        (Some(id), Some(name)) => Some((id, name)),
        // Never somebody else's token because its own user is gone.
        (Some(_), None) => return Err(StoreError::NotFound { what: "token" }),
        (None, _) => None,
    };
    Ok(Token {
        id: super::parse(row, "id")?,
        tenant: parse_optional(row, "tenant")?,
        user,
        scopes,
        created: time(row, "created")?,
        expires: time(row, "expires")?,
        revoked: time_optional(row, "revoked")?,
        key: get::<Option<&[u8]>>(row, "spki")?.map(key).transpose()?,
    })
}
