//! Devices, gateways and applications, and every public key that they ever had.

use std::fmt;
use std::str::FromStr;

use thingward_crypto::KeyId;
use thingward_model::assurance::UnknownWord;
use thingward_model::{DeviceName, Principal, Role, TenantName, Timestamp};

use super::{
    Hardware, Registry, RevocationReason, Serial, SqlRow, after, failed, get, page, parse, parse_optional,
    time, time_optional,
};
use crate::error::StoreError;

/// How far a principal has come with its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalState {
    /// Known, without a certificate yet.
    Claimed,
    /// Has a certificate of ours.
    Enrolled,
    /// No longer the tenant's. What it measured stays.
    Released,
}

impl PrincipalState {
    /// The word that CLI, API and registry use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Enrolled => "enrolled",
            Self::Released => "released",
        }
    }
}

impl fmt::Display for PrincipalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for PrincipalState {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Claimed, Self::Enrolled, Self::Released]
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or(UnknownWord { wanted: "claimed, enrolled, released" })
    }
}

/// A principal as it is added: claimed, or enrolled at once.
#[derive(Debug, Clone)]
pub struct NewPrincipal {
    /// Tenant, role and name.
    pub principal: Principal,
    /// How far it has come.
    pub state: PrincipalState,
    /// Who made it, when it came with a certificate of its maker.
    pub hardware: Option<Hardware>,
    /// The gateway that has its key, for a thing of a radio.
    pub keeper: Option<DeviceName>,
}

/// A principal as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalEntry {
    /// Tenant, role and name.
    pub principal: Principal,
    /// How far it has come.
    pub state: PrincipalState,
    /// Who made it.
    pub hardware: Option<Hardware>,
    /// The gateway that has its key, for a thing of a radio.
    pub keeper: Option<DeviceName>,
    /// When it was registered.
    pub created: Timestamp,
}

/// One public key of a principal, with the certificate that vouched for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalKey {
    /// Names the key.
    pub id: KeyId,
    /// DER SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// Serial number of the certificate.
    pub serial: Serial,
    /// Start of the certificate's validity.
    pub not_before: Timestamp,
    /// End of the certificate's validity.
    pub not_after: Timestamp,
    /// When and why it was revoked.
    pub revoked: Option<(Timestamp, RevocationReason)>,
}

/// Who gets a certificate.
#[derive(Debug, Clone, Copy)]
pub enum Joining<'a> {
    /// Who is enrolled already.
    Member,
    /// Who was claimed, and is enrolled with it.
    Claimed,
    /// Who was nobody.
    New(&'a NewPrincipal),
}

const COLUMNS: &str = "tenant, name, role, state, maker, maker_key, maker_serial, keeper, created";

impl Registry {
    /// Adds a principal. A released one of the same name and role comes back; its keys stay.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when the name is in use in the tenant or the hardware belongs to someone,
    /// [`StoreError::NotFound`] when there is no such tenant.
    pub async fn add_principal(&self, new: &NewPrincipal, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.change().await?;
        insert(&mut tx, new, now).await?;
        tx.commit().await.map_err(failed("add a principal"))
    }

    /// Has somebody be a member with a certificate for this key, as one change: there is no member without a key, and no
    /// `claim_code` that is used up for nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::add_principal`]; [`StoreError::NotFound`] when the claim code works no more, or nobody is claimed;
    /// [`StoreError::Conflict`] when the serial number is known.
    pub async fn enrol(
        &self,
        who: &Principal,
        joining: Joining<'_>,
        key: &PrincipalKey,
        claim_code: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.change().await?;
        match joining {
            Joining::Member => {}
            Joining::Claimed => claimed_is_enrolled(&mut tx, who).await?,
            Joining::New(new) => insert(&mut tx, new, now).await?,
        }
        super::certificate::insert(&mut tx, who, key).await?;
        insert_key(&mut tx, who, key).await?;
        if let Some(code) = claim_code {
            super::claim::use_up(&mut tx, code, now).await?;
        }
        tx.commit().await.map_err(failed("enrol a member"))
    }

    /// The principal with this name in the tenant, whatever its role.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`].
    pub async fn principal(
        &self,
        tenant: &TenantName,
        name: &DeviceName,
    ) -> Result<PrincipalEntry, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM principals WHERE tenant = $1 AND name = $2"
        )))
        .bind(tenant.as_str())
        .bind(name.as_str())
        .fetch_optional(self.pool()?)
        .await
        .map_err(failed("read a principal"))?;
        read_principal(&row.ok_or(StoreError::NotFound { what: "principal" })?)
    }

    /// The principal that this hardware is now, over all tenants.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it is nobody's or was released.
    pub async fn principal_of_hardware(&self, hardware: &Hardware) -> Result<PrincipalEntry, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM principals \
             WHERE maker_key = $1 AND maker_serial = $2 AND state <> 'released'"
        )))
        .bind(hardware.maker_key.as_slice())
        .bind(hardware.serial.as_str())
        .fetch_optional(self.pool()?)
        .await
        .map_err(failed("read a principal"))?;
        read_principal(&row.ok_or(StoreError::NotFound { what: "principal" })?)
    }

    /// Principals of the tenant by name, of one role or all, from the first after `last` on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn principals(
        &self,
        tenant: &TenantName,
        role: Option<Role>,
        last: Option<&DeviceName>,
        limit: u32,
    ) -> Result<Vec<PrincipalEntry>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM principals \
             WHERE tenant = $1 AND name > $2 AND ($3 = '' OR role = $3) ORDER BY name LIMIT $4"
        )))
        .bind(tenant.as_str())
        .bind(after(last))
        .bind(role.map_or("", Role::as_str))
        .bind(page(limit))
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("list principals"))?;
        rows.iter().map(read_principal).collect()
    }

    /// The things that a gateway keeps by name, released ones not, from the first after `last` on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn kept_by(
        &self,
        tenant: &TenantName,
        gateway: &DeviceName,
        last: Option<&DeviceName>,
        limit: u32,
    ) -> Result<Vec<PrincipalEntry>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM principals \
             WHERE tenant = $1 AND keeper = $2 AND state <> 'released' AND name > $3 ORDER BY name LIMIT $4"
        )))
        .bind(tenant.as_str())
        .bind(gateway.as_str())
        .bind(after(last))
        .bind(page(limit))
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("list what a gateway keeps"))?;
        rows.iter().map(read_principal).collect()
    }

    /// Every key that the principal ever had, newest first. At most [`super::LIST_MAX`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn keys(
        &self,
        tenant: &TenantName,
        name: &DeviceName,
    ) -> Result<Vec<PrincipalKey>, StoreError> {
        let rows = sqlx::query(
            "SELECT key_id, spki, serial, not_before, not_after, revoked, revoke_reason FROM principal_keys \
             WHERE tenant = $1 AND principal = $2 ORDER BY not_before DESC, serial LIMIT $3",
        )
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(page(super::LIST_MAX))
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("list keys"))?;
        rows.iter().map(read_key).collect()
    }
}

async fn insert(tx: &mut sqlx::AnyConnection, new: &NewPrincipal, now: Timestamp) -> Result<(), StoreError> {
    let result = sqlx::query(
        "INSERT INTO principals (tenant, name, role, state, maker, maker_serial, created, maker_key, keeper) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant, name) DO UPDATE \
         SET state = excluded.state, maker = excluded.maker, maker_key = excluded.maker_key, \
         maker_serial = excluded.maker_serial, keeper = excluded.keeper \
         WHERE principals.state = 'released' AND principals.role = excluded.role",
    )
    .bind(new.principal.tenant.as_str())
    .bind(new.principal.name.as_str())
    .bind(new.principal.role.as_str())
    .bind(new.state.as_str())
    .bind(new.hardware.as_ref().map(|h| h.maker.as_str()))
    .bind(new.hardware.as_ref().map(|h| h.serial.as_str()))
    .bind(now.as_micros())
    .bind(new.hardware.as_ref().map(|h| h.maker_key.as_slice()))
    .bind(new.keeper.as_ref().map(DeviceName::as_str))
    .execute(&mut *tx)
    .await
    .map_err(failed("add a principal"))?;
    match result.rows_affected() {
        0 => Err(StoreError::Conflict { what: "the name is in use in this tenant" }),
        _ => Ok(()),
    }
}

async fn claimed_is_enrolled(tx: &mut sqlx::AnyConnection, who: &Principal) -> Result<(), StoreError> {
    let result =
        sqlx::query("UPDATE principals SET state = $4 WHERE tenant = $1 AND name = $2 AND state = $3")
            .bind(who.tenant.as_str())
            .bind(who.name.as_str())
            .bind(PrincipalState::Claimed.as_str())
            .bind(PrincipalState::Enrolled.as_str())
            .execute(&mut *tx)
            .await
            .map_err(failed("change the state of a principal"))?;
    super::one_changed(&result, "principal in this state")
}

async fn insert_key(
    tx: &mut sqlx::AnyConnection,
    of: &Principal,
    key: &PrincipalKey,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO principal_keys (tenant, principal, key_id, spki, serial, not_before, not_after) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(of.tenant.as_str())
    .bind(of.name.as_str())
    .bind(key.id.as_slice())
    .bind(key.spki.as_slice())
    .bind(key.serial.as_bytes())
    .bind(key.not_before.as_micros())
    .bind(key.not_after.as_micros())
    .execute(&mut *tx)
    .await
    .map(drop)
    .map_err(failed("add a key"))
}

fn read_principal(row: &SqlRow) -> Result<PrincipalEntry, StoreError> {
    let maker_key = get::<Option<&[u8]>>(row, "maker_key")?.map(<[u8; 32]>::try_from).transpose();
    let maker_key = maker_key.map_err(|_| StoreError::corrupt("registry column `maker_key`"))?;
    let hardware = match (get(row, "maker")?, maker_key, get(row, "maker_serial")?) {
        (Some(maker), Some(maker_key), Some(serial)) => Some(Hardware { maker, maker_key, serial }),
        _ => None,
    };
    Ok(PrincipalEntry {
        principal: Principal {
            tenant: parse(row, "tenant")?,
            role: parse(row, "role")?,
            name: parse(row, "name")?,
        },
        state: parse(row, "state")?,
        hardware,
        keeper: parse_optional(row, "keeper")?,
        created: time(row, "created")?,
    })
}

fn read_key(row: &SqlRow) -> Result<PrincipalKey, StoreError> {
    let id = KeyId::try_from(get::<&[u8]>(row, "key_id")?)
        .map_err(|_| StoreError::corrupt("registry column `key_id`"))?;
    Ok(PrincipalKey {
        id,
        spki: get(row, "spki")?,
        serial: Serial::new(get(row, "serial")?)?,
        not_before: time(row, "not_before")?,
        not_after: time(row, "not_after")?,
        revoked: time_optional(row, "revoked")?.zip(parse_optional(row, "revoke_reason")?),
    })
}
