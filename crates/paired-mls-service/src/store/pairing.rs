//! Pairings of standard mode.

use paired_mls_api::{DeviceId, UserId};

use super::{
    StoreError, Transaction, Tx,
    mailbox::{Letter, post},
    row::{bytes, device},
};

/// A pairing as it is stored: the request, and which devices have made it.
#[derive(Clone, Debug)]
pub(crate) struct StoredPairing {
    pub(crate) request: Vec<u8>,
    pub(crate) requested: Vec<DeviceId>,
}

/// A pairing, if there is one.
pub(crate) struct PairingById<'a>(pub(crate) &'a [u8]);

impl Transaction for PairingById<'_> {
    const NAME: &'static str = "pairing_by_id";
    const WRITES: bool = false;
    type Output = Option<StoredPairing>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<StoredPairing>, StoreError> {
        let row = sqlx::query("SELECT request FROM pairings WHERE pairing_id = $1")
            .bind(self.0)
            .fetch_optional(tx.connection())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let rows = sqlx::query(
            "SELECT device_id FROM pairing_requests WHERE pairing_id = $1 ORDER BY device_id",
        )
        .bind(self.0)
        .fetch_all(tx.connection())
        .await?;
        let requested = rows.iter().map(|row| device(row, 0)).collect::<Result<_, _>>()?;
        Ok(Some(StoredPairing { request: bytes(&row, 0)?, requested }))
    }
}

/// Whether two devices are in one registered pairing.
pub(crate) struct ArePaired<'a> {
    pub(crate) one: &'a DeviceId,
    pub(crate) other: &'a DeviceId,
}

impl Transaction for ArePaired<'_> {
    const NAME: &'static str = "are_paired";
    const WRITES: bool = false;
    type Output = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT partner_id FROM paired_devices WHERE device_id = $1 AND partner_id = $2",
        )
        .bind(self.one.as_bytes())
        .bind(self.other.as_bytes())
        .fetch_optional(tx.connection())
        .await?;
        Ok(row.is_some())
    }
}

/// A device asks for a pairing. The caller has checked the request against what was stored before; if
/// another device has asked in between, it has to check again.
pub(crate) struct AskForPairing<'a> {
    pub(crate) pairing: &'a [u8],
    pub(crate) request: &'a [u8],
    pub(crate) user: &'a UserId,
    pub(crate) device: &'a DeviceId,
    /// The devices that had asked when the caller looked.
    pub(crate) seen: &'a [DeviceId],
    /// All devices of the pairing if it is registered with this request, in the order of their ids; otherwise
    /// none.
    pub(crate) registers: &'a [DeviceId],
    /// What is posted to the devices of the pairing, in the order of the recipients.
    pub(crate) letters: &'a [Letter<'a>],
}

impl Transaction for AskForPairing<'_> {
    const NAME: &'static str = "ask_for_pairing";
    /// Whether nobody had asked in between.
    type Output = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        // Locks the pairing, whether it is new or not.
        sqlx::query(
            "INSERT INTO pairings (pairing_id, request) VALUES ($1, $2)
             ON CONFLICT (pairing_id) DO UPDATE SET request = pairings.request, used_day = NULL",
        )
        .bind(self.pairing)
        .bind(self.request)
        .execute(tx.connection())
        .await?;
        let stored = PairingById(self.pairing).run(tx).await?;
        let unchanged =
            stored.is_some_and(|s| s.request == self.request && s.requested == self.seen);
        if !unchanged {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO pairing_requests (pairing_id, device_id) VALUES ($1, $2)
             ON CONFLICT DO NOTHING",
        )
        .bind(self.pairing)
        .bind(self.device.as_bytes())
        .execute(tx.connection())
        .await?;
        for one in self.registers {
            for other in self.registers.iter().filter(|other| *other != one) {
                sqlx::query(
                    "INSERT INTO paired_devices (device_id, partner_id) VALUES ($1, $2)
                     ON CONFLICT DO NOTHING",
                )
                .bind(one.as_bytes())
                .bind(other.as_bytes())
                .execute(tx.connection())
                .await?;
            }
        }
        for letter in self.letters {
            // A full mailbox, or a device that is not known yet: it can ask for the pairing itself.
            let _missed = post(tx, self.user, letter).await?;
        }
        Ok(true)
    }

    fn keeps(unchanged: &bool) -> bool {
        *unchanged
    }
}
