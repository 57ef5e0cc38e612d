//! Nonces of signed requests.

use paired_mls_api::DeviceId;

use super::{StoreError, Transaction, Tx, row::int};

/// Spends a nonce: `true` if it was new.
pub(crate) struct SpendNonce<'a> {
    pub(crate) device: &'a DeviceId,
    pub(crate) nonce: &'a str,
    /// From when on the signature is too old anyway, by the clock of each replica.
    pub(crate) expires_at: u64,
}

impl Transaction for SpendNonce<'_> {
    const NAME: &'static str = "spend_nonce";
    type Output = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let inserted = sqlx::query(
            "INSERT INTO nonces (device_id, nonce, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
        )
        .bind(self.device.as_bytes())
        .bind(self.nonce)
        .bind(int(self.expires_at)?)
        .execute(tx.connection())
        .await?;
        Ok(inserted.rows_affected() == 1)
    }
}
