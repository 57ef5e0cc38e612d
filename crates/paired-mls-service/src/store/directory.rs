//! Users and devices.

use super::{
    StoreError, Topic, Transaction, Tx,
    lookup::{Key, Lookup},
    row::{Columns, bytes, device, int, optional_uint, scheme, uint, user},
    unused::{HasEnded, Subject, forget, revive},
};
use paired_mls_api::{DeviceId, SignatureScheme, UserId};

/// A registered device.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) device: DeviceId,
    pub(crate) user: UserId,
    pub(crate) scheme: SignatureScheme,
    pub(crate) signature_key: Vec<u8>,
    pub(crate) revoked_at: Option<u64>,
    /// Since when no device of its user may make requests.
    pub(crate) banned_at: Option<u64>,
    /// On which day its user was seen last, counted from 1970-01-01; nothing: since it was looked last.
    pub(crate) used_day: Option<u64>,
}

impl Device {
    fn read(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            device: device(row, 0)?,
            user: user(row, 1)?,
            scheme: scheme(row, 2)?,
            signature_key: bytes(row, 3)?,
            revoked_at: optional_uint(row, 4)?,
            banned_at: optional_uint(row, 5)?,
            used_day: optional_uint(row, 6)?,
        })
    }
}

/// A device, if there is one.
pub(crate) struct DeviceById<'a>(pub(crate) &'a DeviceId);

impl Lookup for DeviceById<'_> {
    const NAME: &'static str = "device_by_id";
    const STATEMENT: &'static str = "SELECT d.device_id, d.user_id, d.scheme, d.signature_key, d.revoked_at, u.banned_at, u.used_day
         FROM devices d JOIN users u ON u.user_id = d.user_id WHERE d.device_id = $1";
    type Output = Option<Device>;

    fn keys(&self) -> Result<Vec<Key<'_>>, StoreError> {
        Ok(vec![Key::Bytes(self.0.as_bytes())])
    }

    fn read(&self, rows: &[impl Columns]) -> Result<Option<Device>, StoreError> {
        rows.first().map(Device::read).transpose()
    }
}

/// All devices of a user, in the order of their ids.
pub(crate) struct DevicesOfUser<'a>(pub(crate) &'a UserId);

impl Transaction for DevicesOfUser<'_> {
    const NAME: &'static str = "devices_of_user";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<Device>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Device>, StoreError> {
        let rows = sqlx::query(
            "SELECT d.device_id, d.user_id, d.scheme, d.signature_key, d.revoked_at, u.banned_at,
                 u.used_day
             FROM devices d JOIN users u ON u.user_id = d.user_id
             WHERE d.user_id = $1 ORDER BY d.device_id",
        )
        .bind(self.0.as_bytes())
        .fetch_all(tx.connection())
        .await?;
        rows.iter().map(Device::read).collect()
    }
}

/// What became of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    /// The device is registered, now or since before.
    Registered,
    /// It was revoked: its id is never used again.
    Revoked { at: u64 },
    /// Its key belongs to another user.
    OtherUser,
    /// No device of the user has approved it.
    NotApproved,
    /// The user of this name has ended, and the name is kept for its devices.
    Ended,
    /// The operator has shut the user out.
    Banned,
    /// The user has as many as it can have.
    Full,
}

/// Registers a device.
pub(crate) struct TakeDevice<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) device: &'a DeviceId,
    pub(crate) scheme: SignatureScheme,
    pub(crate) signature_key: &'a [u8],
    pub(crate) limit: u64,
    pub(crate) now: u64,
}

impl Transaction for TakeDevice<'_> {
    const NAME: &'static str = "register_device";
    type Output = Registration;

    async fn run(&self, tx: &mut Tx) -> Result<Registration, StoreError> {
        if let Some(known) = DeviceById(self.device).run(tx).await? {
            return Ok(match known {
                _ if known.user != *self.user => Registration::OtherUser,
                Device { revoked_at: Some(at), .. } => Registration::Revoked { at },
                Device { banned_at: Some(_), .. } => Registration::Banned,
                _ => Registration::Registered,
            });
        }
        let name = self.name_is_free(tx).await?;
        if let Name::Kept = name {
            return Ok(Registration::Ended);
        }
        // Of two devices that both want to be the first, one inserts the user.
        let first = sqlx::query("INSERT INTO users (user_id) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(self.user.as_bytes())
            .execute(tx.connection())
            .await?
            .rows_affected()
            == 1;
        if !first && !matches!(name, Name::Its) {
            if is_banned(tx, self.user).await? {
                return Ok(Registration::Banned);
            }
            let approved = sqlx::query(
                "DELETE FROM approvals
                 WHERE user_id = $1 AND device_id = $2 AND expires_at >= $3",
            )
            .bind(self.user.as_bytes())
            .bind(self.device.as_bytes())
            .bind(int(self.now)?)
            .execute(tx.connection())
            .await?;
            if approved.rows_affected() == 0 {
                return Ok(Registration::NotApproved);
            }
            if count_devices(tx, self.user).await? >= self.limit {
                return Ok(Registration::Full);
            }
        }
        // It is used.
        sqlx::query("UPDATE users SET used_day = NULL WHERE user_id = $1")
            .bind(self.user.as_bytes())
            .execute(tx.connection())
            .await?;
        sqlx::query(
            "INSERT INTO devices (device_id, user_id, scheme, signature_key) VALUES ($1, $2, $3, $4)",
        )
        .bind(self.device.as_bytes())
        .bind(self.user.as_bytes())
        .bind(self.scheme.name())
        .bind(self.signature_key)
        .execute(tx.connection())
        .await?;
        Ok(Registration::Registered)
    }
}

/// Whether anybody may take the name of a user.
enum Name {
    Free,
    Kept,
    /// It is the device's own, whose user had ended and is there again.
    Its,
}

impl TakeDevice<'_> {
    /// The name of a user that has ended is for its own devices; the first that comes back takes it.
    async fn name_is_free(&self, tx: &mut Tx) -> Result<Name, StoreError> {
        if !HasEnded(Subject::User(self.user)).run(tx).await? {
            return Ok(Name::Free);
        }
        if !HasEnded(Subject::DeviceOf(self.user, self.device)).run(tx).await? {
            return Ok(Name::Kept);
        }
        for subject in [Subject::Device(self.device), Subject::DeviceOf(self.user, self.device)] {
            forget(tx, subject).await?;
        }
        revive(tx, self.user).await?;
        Ok(Name::Its)
    }
}

async fn is_banned(tx: &mut Tx, user: &UserId) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT banned_at FROM users WHERE user_id = $1")
        .bind(user.as_bytes())
        .fetch_optional(tx.connection())
        .await?;
    Ok(row.map(|row| optional_uint(&row, 0)).transpose()?.flatten().is_some())
}

async fn count_devices(tx: &mut Tx, user: &UserId) -> Result<u64, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) FROM devices WHERE user_id = $1")
        .bind(user.as_bytes())
        .fetch_one(tx.connection())
        .await?;
    uint(&row, 0)
}

/// Revokes a device of a user, and drops its KeyPackages, its mailbox, and its approvals.
pub(crate) struct RevokeDevice<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) device: &'a DeviceId,
    pub(crate) now: u64,
}

impl Transaction for RevokeDevice<'_> {
    const NAME: &'static str = "revoke_device";
    /// When it was revoked, now or before; nothing if the user has no such device.
    type Output = Option<u64>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<u64>, StoreError> {
        let row = sqlx::query(
            "UPDATE devices SET revoked_at = COALESCE(revoked_at, $3)
             WHERE device_id = $1 AND user_id = $2 RETURNING revoked_at",
        )
        .bind(self.device.as_bytes())
        .bind(self.user.as_bytes())
        .bind(int(self.now)?)
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        for statement in [
            "DELETE FROM key_packages WHERE device_id = $1",
            "DELETE FROM mailbox WHERE device_id = $1",
            "DELETE FROM approvals WHERE approved_by = $1",
        ] {
            sqlx::query(statement).bind(self.device.as_bytes()).execute(tx.connection()).await?;
        }
        tx.wake(Topic::revocation(self.device));
        optional_uint(&row, 0)
    }
}
