//! The enrolled members of a tenant and their keys as a start reads them: all of them, many in one row of text, since a row of
//! its own for each takes longer than what is in it.

use std::marker::PhantomData;

use thingward_crypto::KeyId;
use thingward_model::{DeviceName, Role, TenantName};

use super::{LIST_MAX, Registry, after, failed, get, parse_optional, parse_text};
use crate::error::StoreError;

/// Somebody who was enrolled, and is no member where no key of theirs counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolledMember {
    /// Who.
    pub name: DeviceName,
    /// What it is.
    pub role: Role,
    /// The gateway that has its key, for a thing that does not speak for itself.
    pub keeper: Option<DeviceName>,
}

/// A key that its holder may sign with, as long as it is a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberKey {
    /// Whose.
    pub holder: DeviceName,
    /// The key's short name.
    pub id: KeyId,
    /// The key as `SubjectPublicKeyInfo`.
    pub spki: Vec<u8>,
}

/// What one call gives.
#[derive(Debug)]
pub struct Lines<T> {
    /// Where the next call goes on, if something may be left.
    pub more_behind: Option<DeviceName>,
    /// Fields with a space between two, and a comma between two lines.
    text: String,
    of: PhantomData<fn() -> T>,
}

/// One of [`Lines`]. What is not there is an empty field.
trait Line: Sized {
    fn read(fields: Fields<'_>) -> Result<Self, StoreError>;
}

struct Fields<'a>(std::str::Split<'a, char>);

const MEMBERS: &str = "WITH page AS (SELECT max(name) AS last, count(*) AS length FROM \
     (SELECT name FROM principals WHERE tenant = $1 AND name > $2 ORDER BY name LIMIT $3) names) \
     SELECT last, length, (SELECT string_agg(name || ' ' || role || ' ' || coalesce(keeper, ''), ',') \
     FROM principals WHERE tenant = $1 AND name > $2 AND name <= last AND state = 'enrolled') AS lines FROM page";

/// The statement for keys, where `$open column $close` writes bytes in hexadecimal digits.
macro_rules! member_keys {
    ($open:literal, $close:literal) => {
        concat!(
            "WITH page AS (SELECT max(principal) AS last, count(*) AS length FROM \
             (SELECT principal FROM principal_keys WHERE tenant = $1 AND principal > $2 ORDER BY principal LIMIT $3) names) \
             SELECT last, length, (SELECT string_agg(principal || ' ' || ", $open, "key_id", $close, " || ' ' || ",
            $open, "spki", $close, ", ',') FROM principal_keys \
             WHERE tenant = $1 AND principal > $2 AND principal <= last AND revoked IS NULL) AS lines FROM page"
        )
    };
}
pub(super) use member_keys;

impl Registry {
    /// Who is enrolled, with names behind `last`, of the next [`LIST_MAX`] principals.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn members(
        &self,
        tenant: &TenantName,
        last: Option<&DeviceName>,
    ) -> Result<Lines<EnrolledMember>, StoreError> {
        self.lines(MEMBERS, tenant, last).await
    }

    /// Keys that are not revoked, of principals with names behind `last`, among the next [`LIST_MAX`] keys: all of a principal's.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn member_keys(
        &self,
        tenant: &TenantName,
        last: Option<&DeviceName>,
    ) -> Result<Lines<MemberKey>, StoreError> {
        self.lines(self.member_keys, tenant, last).await
    }

    async fn lines<T>(
        &self,
        statement: &'static str,
        tenant: &TenantName,
        last: Option<&DeviceName>,
    ) -> Result<Lines<T>, StoreError> {
        let row = sqlx::query(statement)
            .bind(tenant.as_str())
            .bind(after(last))
            .bind(i64::from(LIST_MAX))
            .fetch_one(self.pool()?)
            .await
            .map_err(failed("list the members"))?;
        let is_full = get::<i64>(&row, "length")? == i64::from(LIST_MAX);
        let more_behind = parse_optional(&row, "last")?.filter(|_| is_full);
        let text = get::<Option<String>>(&row, "lines")?.unwrap_or_default();
        Ok(Lines { more_behind, text, of: PhantomData })
    }
}

#[expect(private_bounds, reason = "only what is here can be read")]
impl<T: Line> Lines<T> {
    /// Each.
    pub fn read(&self) -> impl Iterator<Item = Result<T, StoreError>> {
        self.text.split_terminator(',').map(|line| T::read(Fields(line.split(' '))))
    }
}

impl Line for EnrolledMember {
    fn read(mut fields: Fields<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            name: parse_text(fields.next("name")?, "name")?,
            role: parse_text(fields.next("role")?, "role")?,
            keeper: Some(fields.next("keeper")?)
                .filter(|keeper| !keeper.is_empty())
                .map(|keeper| parse_text(keeper, "keeper"))
                .transpose()?,
        })
    }
}

impl Line for MemberKey {
    fn read(mut fields: Fields<'_>) -> Result<Self, StoreError> {
        let holder = parse_text(fields.next("principal")?, "principal")?;
        let id = fields.bytes("key_id")?.try_into().map_err(|_| corrupt("key_id"))?;
        Ok(Self { holder, id, spki: fields.bytes("spki")? })
    }
}

impl<'a> Fields<'a> {
    fn next(&mut self, column: &str) -> Result<&'a str, StoreError> {
        self.0.next().ok_or_else(|| corrupt(column))
    }

    fn bytes(&mut self, column: &str) -> Result<Vec<u8>, StoreError> {
        base16ct::mixed::decode_vec(self.next(column)?).map_err(|_| corrupt(column))
    }
}

fn corrupt(column: &str) -> StoreError {
    StoreError::corrupt(format!("registry column `{column}`"))
}
