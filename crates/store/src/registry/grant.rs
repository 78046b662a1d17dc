//! Grants: what was issued, and what was taken back.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use base16ct::lower::encode_string as hex;
use thingward_model::assurance::UnknownWord;
use thingward_model::{DeviceName, GroupName, TenantName, Timestamp};

use super::{Registry, SqlRow, failed, get, page, parse, parse_optional, time, time_optional};
use crate::error::StoreError;

/// The id of a grant, as grants have it.
pub type GrantId = [u8; 8];

/// For whom a grant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GrantAudience {
    /// One device.
    Device(DeviceName),
    /// All devices of a group.
    Class(GroupName),
}

/// `device/meter-1`, `class/north`.
impl fmt::Display for GrantAudience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(name) => write!(f, "device/{name}"),
            Self::Class(name) => write!(f, "class/{name}"),
        }
    }
}

impl FromStr for GrantAudience {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let audience = text.split_once('/').and_then(|(kind, name)| match kind {
            "device" => name.parse().ok().map(Self::Device),
            "class" => name.parse().ok().map(Self::Class),
            _ => None,
        });
        audience.ok_or(UnknownWord { wanted: "device/NAME, class/NAME" })
    }
}

/// A grant as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantEntry {
    /// Names it.
    pub id: GrantId,
    /// For whom.
    pub audience: GrantAudience,
    /// As it was issued.
    pub bytes: Vec<u8>,
    /// The audience's epoch when it was issued.
    pub epoch: u32,
    /// When it was issued.
    pub issued: Timestamp,
    /// By whom, as the audit log names them.
    pub issued_by: String,
    /// When it ends by itself; none when uses end it.
    pub expires: Option<Timestamp>,
    /// When it was taken back, and by what.
    pub revoked: Option<(Timestamp, GrantEnd)>,
}

/// What took a grant back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantEnd {
    /// Somebody took this one back.
    Revocation,
    /// Others were taken back, so many that the audience's epoch had to rise.
    Epoch,
    /// The device left the tenant.
    Release,
}

impl GrantEnd {
    const ALL: [Self; 3] = [Self::Revocation, Self::Epoch, Self::Release];

    /// The word that API and CLI use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revocation => "revocation",
            Self::Epoch => "epoch",
            Self::Release => "release",
        }
    }
}

impl FromStr for GrantEnd {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let wanted = "revocation, epoch, release";
        Self::ALL.into_iter().find(|end| end.as_str() == text).ok_or(UnknownWord { wanted })
    }
}

/// What is taken back of an audience's grants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrantStanding {
    /// Grants of earlier epochs are void.
    pub epoch: u32,
    /// Grants of this epoch that were taken back before they expired, in ascending order.
    pub revoked: Vec<GrantId>,
    /// How many grants of this epoch are neither taken back nor expired.
    pub live: u64,
}

impl Registry {
    /// Keeps a grant that was issued.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such tenant, [`StoreError::Conflict`] when the grant exists.
    pub async fn add_grant(&self, tenant: &TenantName, grant: &GrantEntry) -> Result<(), StoreError> {
        let mut connection = self.pool()?.acquire().await.map_err(failed("add a grant"))?;
        insert(&mut connection, tenant, grant).await
    }

    /// A grant of the tenant.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it has none with this id.
    pub async fn grant(&self, tenant: &TenantName, id: &GrantId) -> Result<GrantEntry, StoreError> {
        let row = sqlx::query("SELECT * FROM grants WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(hex(id))
            .fetch_optional(self.pool()?)
            .await
            .map_err(failed("look for a grant"))?;
        read_grant(&row.ok_or(StoreError::NotFound { what: "grant" })?)
    }

    /// Grants of the tenant, or of these audiences, the newest first, from the first behind `last` on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn grants(
        &self,
        tenant: &TenantName,
        audiences: Option<&[GrantAudience]>,
        last: Option<&GrantId>,
        limit: u32,
    ) -> Result<Vec<GrantEntry>, StoreError> {
        // `FALSE` for a list of none, which is no list in SQL.
        let among = audiences.map_or("TRUE".to_owned(), |audiences| {
            let places: Vec<_> =
                (4..).zip(audiences).map(|(place, _)| format!("audience = ${place}")).collect();
            if places.is_empty() { "FALSE".to_owned() } else { places.join(" OR ") }
        });
        let text = format!(
            "SELECT * FROM grants WHERE tenant = $1 AND ($2 IS NULL \
             OR (issued, id) < (SELECT issued, id FROM grants WHERE tenant = $1 AND id = $2)) \
             AND ({among}) ORDER BY issued DESC, id DESC LIMIT $3"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(tenant.as_str())
            .bind(last.map(|id| hex(id)))
            .bind(page(limit));
        let query = audiences
            .unwrap_or_default()
            .iter()
            .fold(query, |query, audience| query.bind(audience.to_string()));
        let rows = query.fetch_all(self.pool()?).await.map_err(failed("list grants"))?;
        rows.iter().map(read_grant).collect()
    }

    /// What is taken back of an audience's grants now.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn grant_standing(
        &self,
        tenant: &TenantName,
        audience: &GrantAudience,
        now: Timestamp,
    ) -> Result<GrantStanding, StoreError> {
        let epoch = epoch_of(self.pool()?, tenant, audience).await?;
        let rows = sqlx::query(
            "SELECT id FROM grants WHERE tenant = $1 AND audience = $2 AND epoch = $3 \
             AND revoked IS NOT NULL AND (expires IS NULL OR expires > revoked) ORDER BY id",
        )
        .bind(tenant.as_str())
        .bind(audience.to_string())
        .bind(i64::from(epoch))
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("list revoked grants"))?;
        let revoked = rows.iter().map(id).collect::<Result<_, _>>()?;
        let row = sqlx::query(
            "SELECT COUNT(*) AS live FROM grants WHERE tenant = $1 AND audience = $2 AND epoch = $3 \
             AND revoked IS NULL AND (expires IS NULL OR expires > $4)",
        )
        .bind(tenant.as_str())
        .bind(audience.to_string())
        .bind(i64::from(epoch))
        .bind(now.as_micros())
        .fetch_one(self.pool()?)
        .await
        .map_err(failed("count grants"))?;
        let live = u64::try_from(get::<i64>(&row, "live")?).unwrap_or_default();
        Ok(GrantStanding { epoch, revoked, live })
    }

    /// Takes a grant back, and in the same step all live ones of the audience from before `epoch`. Until it
    /// is [`Self::grants_told`], the audience is to be told.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub async fn revoke_grant(
        &self,
        tenant: &TenantName,
        audience: &GrantAudience,
        id: &GrantId,
        epoch: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let failed = failed("revoke a grant");
        let mut tx = self.change().await?;
        sqlx::query(
            "UPDATE grants SET revoked = $3, ended_by = $4 WHERE tenant = $1 AND id = $2 AND revoked IS NULL",
        )
        .bind(tenant.as_str())
        .bind(hex(id))
        .bind(now.as_micros())
        .bind(GrantEnd::Revocation.as_str())
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
        raise(&mut tx, tenant, audience, epoch, GrantEnd::Epoch, now).await?;
        tx.commit().await.map_err(&failed)
    }

    /// Takes back all grants of a device, which leaves the tenant. Says whether there ever were any.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn end_grants(
        &self,
        tenant: &TenantName,
        device: &DeviceName,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let failed = failed("end grants");
        let audience = &GrantAudience::Device(*device);
        let mut tx = self.change().await?;
        let any = sqlx::query("SELECT 1 FROM grants WHERE tenant = $1 AND audience = $2 LIMIT 1")
            .bind(tenant.as_str())
            .bind(audience.to_string())
            .fetch_optional(&mut *tx)
            .await
            .map_err(&failed)?;
        if any.is_none() {
            return Ok(false);
        }
        let epoch = epoch_of(&mut *tx, tenant, audience).await?;
        raise(&mut tx, tenant, audience, epoch.saturating_add(1), GrantEnd::Release, now).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(true)
    }

    /// Grants are issued for this class from here on: until it is [`Self::grants_told`], its devices are to be told. Says
    /// whether this is new.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub async fn open_class(&self, tenant: &TenantName, class: &GroupName) -> Result<bool, StoreError> {
        sqlx::query(
            "INSERT INTO grant_epochs (tenant, audience, epoch, told) VALUES ($1, $2, 0, FALSE) \
             ON CONFLICT (tenant, audience) DO NOTHING",
        )
        .bind(tenant.as_str())
        .bind(GrantAudience::Class(*class).to_string())
        .execute(self.pool()?)
        .await
        .map(|result| result.rows_affected() > 0)
        .map_err(failed("open a class"))
    }

    /// The classes that grants were issued for.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn classes(&self, tenant: &TenantName) -> Result<BTreeSet<GroupName>, StoreError> {
        let rows =
            sqlx::query("SELECT audience FROM grant_epochs WHERE tenant = $1 AND audience LIKE 'class/%'")
                .bind(tenant.as_str())
                .fetch_all(self.pool()?)
                .await
                .map_err(failed("list classes"))?;
        let audiences = rows.iter().map(|row| parse(row, "audience"));
        let class = |audience| match audience {
            Ok(GrantAudience::Class(name)) => Some(Ok(name)),
            Ok(GrantAudience::Device(_)) => None,
            Err(error) => Some(Err(error)),
        };
        audiences.filter_map(class).collect()
    }

    /// Audiences that are to be told what was taken back.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn grants_untold(&self) -> Result<Vec<(TenantName, GrantAudience)>, StoreError> {
        let rows = sqlx::query("SELECT tenant, audience FROM grant_epochs WHERE NOT told LIMIT $1")
            .bind(page(super::LIST_MAX))
            .fetch_all(self.pool()?)
            .await
            .map_err(failed("list epochs of grants"))?;
        rows.iter().map(|row| Ok((parse(row, "tenant")?, parse(row, "audience")?))).collect()
    }

    /// What was taken back waits for its audience, durable.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub async fn grants_told(&self, tenant: &TenantName, audience: &GrantAudience) -> Result<(), StoreError> {
        sqlx::query("UPDATE grant_epochs SET told = TRUE WHERE tenant = $1 AND audience = $2")
            .bind(tenant.as_str())
            .bind(audience.to_string())
            .execute(self.pool()?)
            .await
            .map(drop)
            .map_err(failed("keep an epoch of grants"))
    }
}

/// Keeps a grant that was issued.
pub(super) async fn insert(
    connection: &mut sqlx::AnyConnection,
    tenant: &TenantName,
    grant: &GrantEntry,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO grants (tenant, id, audience, bytes, epoch, issued, issued_by, expires) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant.as_str())
    .bind(hex(&grant.id))
    .bind(grant.audience.to_string())
    .bind(grant.bytes.as_slice())
    .bind(i64::from(grant.epoch))
    .bind(grant.issued.as_micros())
    .bind(grant.issued_by.as_str())
    .bind(grant.expires.map(Timestamp::as_micros))
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed("add a grant"))
}

/// The audience's epoch.
async fn epoch_of(
    connection: impl sqlx::Executor<'_, Database = sqlx::Any>,
    tenant: &TenantName,
    audience: &GrantAudience,
) -> Result<u32, StoreError> {
    let row = sqlx::query("SELECT epoch FROM grant_epochs WHERE tenant = $1 AND audience = $2")
        .bind(tenant.as_str())
        .bind(audience.to_string())
        .fetch_optional(connection)
        .await
        .map_err(failed("read an epoch of grants"))?;
    row.as_ref().map(epoch).transpose().map(Option::unwrap_or_default)
}

/// The audience's epoch is this from now on, if it is not higher, and it is to be told.
async fn raise(
    tx: &mut sqlx::AnyConnection,
    tenant: &TenantName,
    audience: &GrantAudience,
    epoch: u32,
    why: GrantEnd,
    now: Timestamp,
) -> Result<(), StoreError> {
    let failed = failed("raise an epoch of grants");
    sqlx::query(
        "UPDATE grants SET revoked = $4, ended_by = $5 WHERE tenant = $1 AND audience = $2 AND epoch < $3 \
         AND revoked IS NULL AND (expires IS NULL OR expires > $4)",
    )
    .bind(tenant.as_str())
    .bind(audience.to_string())
    .bind(i64::from(epoch))
    .bind(now.as_micros())
    .bind(why.as_str())
    .execute(&mut *tx)
    .await
    .map_err(&failed)?;
    sqlx::query(
        "INSERT INTO grant_epochs (tenant, audience, epoch, told) VALUES ($1, $2, $3, FALSE) \
         ON CONFLICT (tenant, audience) DO UPDATE SET told = FALSE, \
         epoch = CASE WHEN excluded.epoch > grant_epochs.epoch THEN excluded.epoch ELSE grant_epochs.epoch END",
    )
    .bind(tenant.as_str())
    .bind(audience.to_string())
    .bind(i64::from(epoch))
    .execute(&mut *tx)
    .await
    .map(drop)
    .map_err(&failed)
}

fn read_grant(row: &SqlRow) -> Result<GrantEntry, StoreError> {
    let revoked = time_optional(row, "revoked")?.zip(parse_optional(row, "ended_by")?);
    Ok(GrantEntry {
        id: id(row)?,
        audience: parse(row, "audience")?,
        bytes: get::<&[u8]>(row, "bytes")?.to_vec(),
        epoch: epoch(row)?,
        issued: time(row, "issued")?,
        issued_by: get::<&str>(row, "issued_by")?.to_owned(),
        expires: time_optional(row, "expires")?,
        revoked,
    })
}

fn epoch(row: &SqlRow) -> Result<u32, StoreError> {
    u32::try_from(get::<i64>(row, "epoch")?)
        .map_err(|_| StoreError::corrupt("registry column `epoch`".to_owned()))
}

pub(super) fn id(row: &SqlRow) -> Result<GrantId, StoreError> {
    let mut id = GrantId::default();
    let read = base16ct::lower::decode(get::<&str>(row, "id")?.as_bytes(), &mut id).map(<[u8]>::len);
    if read == Ok(id.len()) { Ok(id) } else { Err(StoreError::corrupt("registry column `id`".to_owned())) }
}
