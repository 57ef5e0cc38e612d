//! KeyPackages.

use std::collections::BTreeSet;

use paired_mls_api::{DeviceId, KeyPackageCount, UserId};
use sqlx::Row as _;

use super::{
    ArePaired, DeviceById, StoreError, Transaction, Tx,
    row::{bytes, int, uint},
};

/// A KeyPackage that was validated.
#[derive(Clone, Debug)]
pub(crate) struct NewKeyPackage {
    pub(crate) digest: Vec<u8>,
    pub(crate) suite: u16,
    pub(crate) use_: Use,
    pub(crate) not_before: u64,
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
    pub(crate) now: u64,
    /// How many a device can have whose time has not ended.
    pub(crate) limit: u64,
    /// How long they are together at most, in bytes.
    pub(crate) bytes: u64,
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
        let row = sqlx::query(
            "SELECT COUNT(*), CAST(COALESCE(SUM(LENGTH(key_package)), 0) AS BIGINT) FROM key_packages
             WHERE device_id = $1 AND not_after >= $2",
        )
        .bind(self.device.as_bytes())
        .bind(int(self.now)?)
        .fetch_one(tx.connection())
        .await?;
        if uint(&row, 0)? > self.limit || uint(&row, 1)? > self.bytes {
            return Ok(Stored::Full);
        }
        self.take_stock(tx).await?;
        Ok(Stored::All)
    }

    fn keeps(stored: &Stored) -> bool {
        *stored == Stored::All
    }
}

impl StoreKeyPackages<'_> {
    /// Writes down how many can be claimed now, for each suite of the upload.
    async fn take_stock(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let suites: BTreeSet<_> = self.key_packages.iter().map(|new| new.suite).collect();
        for suite in suites {
            let stock = claimable(tx, self.device, suite, self.now).await?;
            sqlx::query(
                "INSERT INTO key_package_stock (device_id, suite, stock) VALUES ($1, $2, $3)
                 ON CONFLICT (device_id, suite) DO UPDATE SET stock = $3",
            )
            .bind(self.device.as_bytes())
            .bind(i64::from(suite))
            .bind(int(stock)?)
            .execute(tx.connection())
            .await?;
        }
        Ok(())
    }

    async fn store(&self, tx: &mut Tx, new: &NewKeyPackage) -> Result<bool, StoreError> {
        let claimed = sqlx::query("SELECT digest FROM claimed_key_packages WHERE digest = $1")
            .bind(new.digest.as_slice())
            .fetch_optional(tx.connection())
            .await?;
        if claimed.is_some() {
            return Ok(false);
        }
        if new.use_ == Use::LastResort {
            // Of those whose time has begun the newest one stays, and of those that begin later one for
            // each beginning.
            sqlx::query(
                "DELETE FROM key_packages WHERE device_id = $1 AND suite = $2 AND last_resort = 1
                 AND (not_before = $3 OR (not_before <= $4 AND $3 <= $4))",
            )
            .bind(self.device.as_bytes())
            .bind(i64::from(new.suite))
            .bind(int(new.not_before)?)
            .bind(int(self.now)?)
            .execute(tx.connection())
            .await?;
        }
        sqlx::query(
            "INSERT INTO key_packages
                 (digest, device_id, suite, last_resort, not_before, not_after, key_package)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        )
        .bind(new.digest.as_slice())
        .bind(self.device.as_bytes())
        .bind(i64::from(new.suite))
        .bind(new.use_.column())
        .bind(int(new.not_before)?)
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

/// How many can be claimed now and are given out once.
async fn claimable(
    tx: &mut Tx,
    device: &DeviceId,
    suite: u16,
    now: u64,
) -> Result<u64, StoreError> {
    let row = sqlx::query(
        "SELECT COUNT(*) FROM key_packages WHERE device_id = $1 AND suite = $2
         AND last_resort = 0 AND not_after >= $3 AND not_before <= $3",
    )
    .bind(device.as_bytes())
    .bind(i64::from(suite))
    .bind(int(now)?)
    .fetch_one(tx.connection())
    .await?;
    uint(&row, 0)
}

/// Takes one KeyPackage out, the one that ends first; the last resort stays.
pub(crate) struct ClaimKeyPackage<'a> {
    pub(crate) device: &'a DeviceId,
    pub(crate) suite: u16,
    pub(crate) by: &'a UserId,
    /// The device that asks.
    pub(crate) by_device: &'a DeviceId,
    /// What the claims of this account from this device are counted under.
    pub(crate) claim: &'a [u8],
    /// How many an account can claim from one device until the count ends.
    pub(crate) limit: u64,
    pub(crate) now: u64,
    /// When a count that begins now ends.
    pub(crate) expires_at: u64,
}

/// What a claim has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// This one.
    KeyPackage(Vec<u8>),
    /// There is none.
    None,
    /// The account has claimed many of this device, and there is no last resort.
    TooMany,
    /// What is left is for the account's own devices and their partners, and there is no last resort.
    Reserved,
}

/// Who claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claimer {
    /// A device of the same account, or one that is paired with the device.
    Close,
    /// Anybody else.
    Distant,
}

impl Transaction for ClaimKeyPackage<'_> {
    const NAME: &'static str = "claim_key_package";
    type Output = Claimed;

    async fn run(&self, tx: &mut Tx) -> Result<Claimed, StoreError> {
        take_turn(tx, self.device).await?;
        let claimer = self.claimer(tx).await?;
        let kept = match claimer {
            Claimer::Close => None,
            Claimer::Distant if self.taken(tx).await? >= self.limit => Some(Claimed::TooMany),
            Claimer::Distant => self.kept(tx).await?,
        };
        if kept.is_none()
            && let Some(key_package) = self.once(tx).await?
        {
            if claimer == Claimer::Distant {
                self.count(tx).await?;
            }
            return Ok(Claimed::KeyPackage(key_package));
        }
        let last = self.last_resort(tx).await?;
        Ok(last.map(Claimed::KeyPackage).or(kept).unwrap_or(Claimed::None))
    }
}

impl ClaimKeyPackage<'_> {
    async fn claimer(&self, tx: &mut Tx) -> Result<Claimer, StoreError> {
        let of = DeviceById(self.device).run(tx).await?;
        if of.is_some_and(|device| device.user == *self.by) {
            return Ok(Claimer::Close);
        }
        let paired = ArePaired { one: self.device, other: self.by_device }.run(tx).await?;
        Ok(if paired { Claimer::Close } else { Claimer::Distant })
    }

    /// How many this account has claimed of the device.
    async fn taken(&self, tx: &mut Tx) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT taken FROM claims WHERE claim = $1 AND expires_at >= $2")
            .bind(self.claim)
            .bind(int(self.now)?)
            .fetch_optional(tx.connection())
            .await?;
        row.map_or(Ok(0), |row| uint(&row, 0))
    }

    async fn count(&self, tx: &mut Tx) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO claims (claim, taken, expires_at) VALUES ($1, 1, $3)
             ON CONFLICT (claim) DO UPDATE SET
                 taken = CASE WHEN claims.expires_at < $2 THEN 1 ELSE claims.taken + 1 END,
                 expires_at = CASE WHEN claims.expires_at < $2 THEN $3 ELSE claims.expires_at END",
        )
        .bind(self.claim)
        .bind(int(self.now)?)
        .bind(int(self.expires_at)?)
        .execute(tx.connection())
        .await?;
        Ok(())
    }

    /// Whether only the reserve is left: a quarter of what there was at the last upload.
    async fn kept(&self, tx: &mut Tx) -> Result<Option<Claimed>, StoreError> {
        let row =
            sqlx::query("SELECT stock FROM key_package_stock WHERE device_id = $1 AND suite = $2")
                .bind(self.device.as_bytes())
                .bind(i64::from(self.suite))
                .fetch_optional(tx.connection())
                .await?;
        let reserve = row.map_or(Ok(0), |row| uint(&row, 0))? / 4;
        let left = claimable(tx, self.device, self.suite, self.now).await?;
        Ok((left > 0 && left <= reserve).then_some(Claimed::Reserved))
    }

    async fn once(&self, tx: &mut Tx) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query(
            "SELECT digest, not_after, key_package FROM key_packages
             WHERE device_id = $1 AND suite = $2 AND last_resort = 0
             AND not_after >= $3 AND not_before <= $3 ORDER BY not_after, digest LIMIT 1",
        )
        .bind(self.device.as_bytes())
        .bind(i64::from(self.suite))
        .bind(int(self.now)?)
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let digest = bytes(&row, 0)?;
        sqlx::query("DELETE FROM key_packages WHERE digest = $1")
            .bind(digest.as_slice())
            .execute(tx.connection())
            .await?;
        sqlx::query("INSERT INTO claimed_key_packages (digest, not_after) VALUES ($1, $2)")
            .bind(digest.as_slice())
            .bind(int(uint(&row, 1)?)?)
            .execute(tx.connection())
            .await?;
        bytes(&row, 2).map(Some)
    }

    /// Of two whose time it is, the one that has begun last.
    async fn last_resort(&self, tx: &mut Tx) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query(
            "SELECT key_package FROM key_packages
             WHERE device_id = $1 AND suite = $2 AND last_resort = 1
             AND not_after >= $3 AND not_before <= $3 ORDER BY not_before DESC, digest LIMIT 1",
        )
        .bind(self.device.as_bytes())
        .bind(i64::from(self.suite))
        .bind(int(self.now)?)
        .fetch_optional(tx.connection())
        .await?;
        row.map(|row| bytes(&row, 0)).transpose()
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
    const ONE: bool = true;
    type Output = Vec<KeyPackageCount>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<KeyPackageCount>, StoreError> {
        let rows = sqlx::query(
            "SELECT suite, COUNT(CASE WHEN last_resort = 0 AND not_before <= $2 THEN 1 END),
                 COUNT(CASE WHEN last_resort = 1 AND not_before <= $2 THEN 1 END),
                 COUNT(CASE WHEN not_before > $2 THEN 1 END) FROM key_packages
             WHERE device_id = $1 AND not_after >= $2 GROUP BY suite ORDER BY suite",
        )
        .bind(self.device.as_bytes())
        .bind(int(self.now)?)
        .fetch_all(tx.connection())
        .await?;
        let read = |row: &sqlx::any::AnyRow| -> Result<_, StoreError> {
            let suite: i64 = row.try_get(0)?;
            Ok(KeyPackageCount {
                suite: u16::try_from(suite).map_err(|_| StoreError::Corrupt("key_packages"))?,
                once: uint(row, 1)?,
                last_resort: uint(row, 2)?.min(1),
                later: uint(row, 3)?,
            })
        };
        rows.iter().map(read).collect()
    }
}
