//! KeyPackages.

use paired_mls_api::{DeviceId, KeyPackageCount};
use sqlx::Row as _;

use super::{
    StoreError, Transaction, Tx,
    row::{bytes, int, uint},
};

/// A KeyPackage that was validated.
#[derive(Clone, Debug)]
pub(crate) struct NewKeyPackage {
    pub(crate) digest: Vec<u8>,
    pub(crate) suite: u16,
    pub(crate) use_: Use,
    pub(crate) not_after: u64,
    pub(crate) message: Vec<u8>,
}

/// How often a KeyPackage is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Once.
    Once,
    /// Whenever no other one is left.
    LastResort,
}

impl Use {
    fn column(self) -> i64 {
        match self {
            Self::Once => 0,
            Self::LastResort => 1,
        }
    }
}

/// What became of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// All are there.
    All,
    /// There would be too many.
    Full,
    /// One was given out before, or belongs to another device.
    Known,
}

/// Takes KeyPackages of a device, all or none. One that is there already is no error.
pub(crate) struct StoreKeyPackages<'a> {
    pub(crate) device: &'a DeviceId,
    pub(crate) key_packages: &'a [NewKeyPackage],
    pub(crate) limit: u64,
}

impl Transaction for StoreKeyPackages<'_> {
    const NAME: &'static str = "store_key_packages";
    type Output = Stored;

    async fn run(&self, tx: &mut Tx) -> Result<Stored, StoreError> {
        for new in self.key_packages {
            if !self.store(tx, new).await? {
                return Ok(Stored::Known);
            }
        }
        let row = sqlx::query("SELECT COUNT(*) FROM key_packages WHERE device_id = $1")
            .bind(self.device.as_bytes())
            .fetch_one(tx.connection())
            .await?;
        Ok(if uint(&row, 0)? > self.limit { Stored::Full } else { Stored::All })
    }

    fn keeps(stored: &Stored) -> bool {
        *stored == Stored::All
    }
}

impl StoreKeyPackages<'_> {
    async fn store(&self, tx: &mut Tx, new: &NewKeyPackage) -> Result<bool, StoreError> {
        let claimed = sqlx::query("SELECT digest FROM claimed_key_packages WHERE digest = $1")
            .bind(new.digest.as_slice())
            .fetch_optional(tx.connection())
            .await?;
        if claimed.is_some() {
            return Ok(false);
        }
        if new.use_ == Use::LastResort {
            sqlx::query(
                "DELETE FROM key_packages WHERE device_id = $1 AND suite = $2 AND last_resort = 1",
            )
            .bind(self.device.as_bytes())
            .bind(i64::from(new.suite))
            .execute(tx.connection())
            .await?;
        }
        sqlx::query(
            "INSERT INTO key_packages (digest, device_id, suite, last_resort, not_after, key_package)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(new.digest.as_slice())
        .bind(self.device.as_bytes())
        .bind(i64::from(new.suite))
        .bind(new.use_.column())
        .bind(int(new.not_after)?)
        .bind(new.message.as_slice())
        .execute(tx.connection())
        .await?;
        let mine = sqlx::query(
            "SELECT digest FROM key_packages
             WHERE digest = $1 AND device_id = $2 AND last_resort = $3",
        )
        .bind(new.digest.as_slice())
        .bind(self.device.as_bytes())
        .bind(new.use_.column())
        .fetch_optional(tx.connection())
        .await?;
        Ok(mine.is_some())
    }
}

/// Claims and withdrawals of one device's KeyPackages come one after the other.
async fn take_turn(tx: &mut Tx, device: &DeviceId) -> Result<(), StoreError> {
    sqlx::query("UPDATE devices SET mailbox_head = mailbox_head WHERE device_id = $1")
        .bind(device.as_bytes())
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Takes one KeyPackage out, the one that ends first; the last resort stays.
pub(crate) struct ClaimKeyPackage<'a> {
    pub(crate) device: &'a DeviceId,
    pub(crate) suite: u16,
    pub(crate) now: u64,
}

impl Transaction for ClaimKeyPackage<'_> {
    const NAME: &'static str = "claim_key_package";
    type Output = Option<Vec<u8>>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Vec<u8>>, StoreError> {
        take_turn(tx, self.device).await?;
        let row = sqlx::query(
            "SELECT digest, last_resort, not_after, key_package FROM key_packages
             WHERE device_id = $1 AND suite = $2 AND not_after >= $3
             ORDER BY last_resort, not_after, digest LIMIT 1",
        )
        .bind(self.device.as_bytes())
        .bind(i64::from(self.suite))
        .bind(int(self.now)?)
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        if uint(&row, 1)? == 0 {
            let digest = bytes(&row, 0)?;
            sqlx::query("DELETE FROM key_packages WHERE digest = $1")
                .bind(digest.as_slice())
                .execute(tx.connection())
                .await?;
            sqlx::query("INSERT INTO claimed_key_packages (digest, not_after) VALUES ($1, $2)")
                .bind(digest.as_slice())
                .bind(int(uint(&row, 2)?)?)
                .execute(tx.connection())
                .await?;
        }
        Ok(Some(bytes(&row, 3)?))
    }
}

/// Drops the KeyPackages of a device that nobody has claimed, and those of the last resort.
pub(crate) struct WithdrawKeyPackages<'a> {
    pub(crate) device: &'a DeviceId,
}

impl Transaction for WithdrawKeyPackages<'_> {
    const NAME: &'static str = "withdraw_key_packages";
    type Output = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), StoreError> {
        take_turn(tx, self.device).await?;
        sqlx::query("DELETE FROM key_packages WHERE device_id = $1")
            .bind(self.device.as_bytes())
            .execute(tx.connection())
            .await?;
        Ok(())
    }
}

/// How many KeyPackages of a device can be claimed, for each suite.
pub(crate) struct CountKeyPackages<'a> {
    pub(crate) device: &'a DeviceId,
    pub(crate) now: u64,
}

impl Transaction for CountKeyPackages<'_> {
    const NAME: &'static str = "count_key_packages";
    const WRITES: bool = false;
    type Output = Vec<KeyPackageCount>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<KeyPackageCount>, StoreError> {
        let rows = sqlx::query(
            "SELECT suite, COUNT(*), COUNT(CASE WHEN last_resort = 1 THEN 1 END) FROM key_packages
             WHERE device_id = $1 AND not_after >= $2 GROUP BY suite ORDER BY suite",
        )
        .bind(self.device.as_bytes())
        .bind(int(self.now)?)
        .fetch_all(tx.connection())
        .await?;
        let read = |row: &sqlx::any::AnyRow| -> Result<_, StoreError> {
            let suite: i64 = row.try_get(0)?;
            let last_resort = uint(row, 2)?;
            Ok(KeyPackageCount {
                suite: u16::try_from(suite).map_err(|_| StoreError::Corrupt("key_packages"))?,
                once: uint(row, 1)?.saturating_sub(last_resort),
                last_resort,
            })
        };
        rows.iter().map(read).collect()
    }
}
