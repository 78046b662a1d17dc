//! Makers whose certificates a tenant trusts, and the things that it expects from them.

use std::str::FromStr;

use thingward_model::assurance::UnknownWord;
use thingward_model::{DeviceName, TenantName};

use super::{Registry, SqlRow, failed, get, one_changed, page, parse, parse_optional};
use crate::error::StoreError;

/// Which things of a maker a tenant takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Admit {
    /// All that have a certificate of the maker.
    AnySerial,
    /// Those that are listed by serial number.
    Listed,
}

impl Admit {
    /// The word that CLI, API and registry use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AnySerial => "any-serial",
            Self::Listed => "listed",
        }
    }
}

impl FromStr for Admit {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::AnySerial, Self::Listed]
            .into_iter()
            .find(|a| a.as_str() == text)
            .ok_or(UnknownWord { wanted: "any-serial, listed" })
    }
}

/// A maker that a tenant trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// Who trusts it.
    pub tenant: TenantName,
    /// What the tenant calls it.
    pub name: String,
    /// Which of its things are taken.
    pub admit: Admit,
    /// Its CA certificates, DER.
    pub certificates: Vec<Vec<u8>>,
}

/// A thing that a tenant waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedSerial {
    /// The serial number that the maker gave it.
    pub serial: String,
    /// What it will be called; its serial number decides when none.
    pub name: Option<DeviceName>,
}

impl Registry {
    /// Adds a maker, or replaces what is known of one with the same name. Expected serial numbers stay.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such tenant.
    pub async fn set_maker(&self, maker: &Maker) -> Result<(), StoreError> {
        let failed = failed("set a maker");
        let tenant = maker.tenant.as_str();
        let mut tx = self.change().await?;
        sqlx::query(
            "INSERT INTO makers (tenant, name, admit) VALUES ($1, $2, $3) \
             ON CONFLICT (tenant, name) DO UPDATE SET admit = excluded.admit",
        )
        .bind(tenant)
        .bind(maker.name.as_str())
        .bind(maker.admit.as_str())
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
        sqlx::query("DELETE FROM maker_certificates WHERE tenant = $1 AND maker = $2")
            .bind(tenant)
            .bind(maker.name.as_str())
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        for (position, der) in (0_i64..).zip(&maker.certificates) {
            sqlx::query(
                "INSERT INTO maker_certificates (tenant, maker, position, der) VALUES ($1, $2, $3, $4)",
            )
            .bind(tenant)
            .bind(maker.name.as_str())
            .bind(position)
            .bind(der.as_slice())
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        }
        tx.commit().await.map_err(&failed)
    }

    /// Makers of all tenants by tenant and name, from the first after `last` on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn makers(
        &self,
        last: Option<(&TenantName, &str)>,
        limit: u32,
    ) -> Result<Vec<Maker>, StoreError> {
        let (tenant, name) = last.map_or(("", ""), |(tenant, name)| (tenant.as_str(), name));
        let rows = sqlx::query(
            "SELECT tenant, name, admit FROM makers WHERE tenant > $1 OR (tenant = $1 AND name > $2) \
             ORDER BY tenant, name LIMIT $3",
        )
        .bind(tenant)
        .bind(name)
        .bind(page(limit))
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("list makers"))?;
        let mut makers = Vec::with_capacity(rows.len());
        for row in &rows {
            makers.push(self.read_maker(row).await?);
        }
        Ok(makers)
    }

    async fn read_maker(&self, row: &SqlRow) -> Result<Maker, StoreError> {
        let (tenant, name): (TenantName, String) = (parse(row, "tenant")?, get(row, "name")?);
        let rows = sqlx::query(
            "SELECT der FROM maker_certificates WHERE tenant = $1 AND maker = $2 ORDER BY position",
        )
        .bind(tenant.as_str())
        .bind(name.as_str())
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("read a maker's certificates"))?;
        let certificates = rows.iter().map(|r| get(r, "der")).collect::<Result<_, _>>()?;
        Ok(Maker { tenant, name, admit: parse(row, "admit")?, certificates })
    }

    /// Stops trusting a maker and forgets what was expected from it. Enrolled things stay.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`].
    pub async fn remove_maker(&self, tenant: &TenantName, name: &str) -> Result<(), StoreError> {
        let result = sqlx::query("DELETE FROM makers WHERE tenant = $1 AND name = $2")
            .bind(tenant.as_str())
            .bind(name)
            .execute(self.pool()?)
            .await
            .map_err(failed("remove a maker"))?;
        one_changed(&result, "maker")
    }

    /// Expects a thing of a maker, or changes what it will be called.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when the tenant does not trust the maker.
    pub async fn expect_serial(
        &self,
        tenant: &TenantName,
        maker: &str,
        expected: &ExpectedSerial,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO expected_serials (tenant, maker, serial, name) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (tenant, maker, serial) DO UPDATE SET name = excluded.name",
        )
        .bind(tenant.as_str())
        .bind(maker)
        .bind(expected.serial.as_str())
        .bind(expected.name.as_ref().map(DeviceName::as_str))
        .execute(self.pool()?)
        .await
        .map(drop)
        .map_err(failed("expect a serial number"))
    }

    /// What the tenant expects under this serial number.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn expected_serial(
        &self,
        tenant: &TenantName,
        maker: &str,
        serial: &str,
    ) -> Result<Option<ExpectedSerial>, StoreError> {
        let row = sqlx::query(
            "SELECT serial, name FROM expected_serials WHERE tenant = $1 AND maker = $2 AND serial = $3",
        )
        .bind(tenant.as_str())
        .bind(maker)
        .bind(serial)
        .fetch_optional(self.pool()?)
        .await
        .map_err(failed("look up a serial number"))?;
        let read = |r| Ok(ExpectedSerial { serial: get(r, "serial")?, name: parse_optional(r, "name")? });
        row.as_ref().map(read).transpose()
    }
}
