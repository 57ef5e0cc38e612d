//! Mailboxes.

use paired_mls_api::{DeviceId, MailboxItem, UserId};

use sqlx::any::AnyRow;

use super::{
    Refusal, StoreError, Topic, Transaction, Tx,
    lookup::{Key, Lookup},
    part::rows_between,
    row::{Columns, bytes, device, int, uint, user},
};

/// An envelope and whose mailbox it goes to.
#[derive(Clone, Debug)]
pub(crate) struct Letter<'a> {
    pub(crate) recipient: DeviceId,
    pub(crate) envelope: &'a [u8],
    pub(crate) kind: LetterKind,
    /// How many items a mailbox has at most.
    pub(crate) limit: u64,
    /// How long they are together at most, in bytes.
    pub(crate) bytes: u64,
    /// When it came, in seconds.
    pub(crate) at: u64,
    pub(crate) expires_at: u64,
}

/// Positions in a mailbox follow the clock, this many a second, and grow by one where it stands still. So a
/// database that was restored from a backup gives no position a second time, and nobody skips what is new.
const POSITIONS: u32 = 20;

/// What a letter is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LetterKind {
    /// A copy of a Welcome, by its number among those of its commit.
    Welcome(usize),
    /// Anything else.
    Other,
}

impl Letter<'_> {
    /// How many items the mailbox may have, and of how many bytes, this one included. Accounts leave room for one another: what
    /// a stranger sends does not keep Welcomes out, and Welcomes, which a stranger can send too, not what
    /// the owner's other devices send.
    fn room(&self, from: &UserId, owner: &UserId) -> (u64, u64) {
        let part = |limit: u64| match self.kind {
            _ if from == owner => limit,
            LetterKind::Welcome(_) => limit - limit / 4,
            LetterKind::Other => limit / 2,
        };
        (part(self.limit), part(self.bytes))
    }
}

/// Puts a letter of an account into its mailbox. The mailbox stays locked until the end of the transaction: whoever
/// posts several does it in the order of their recipients.
pub(super) async fn post(
    tx: &mut Tx,
    from: &UserId,
    letter: &Letter<'_>,
) -> Result<Result<(), Refusal>, StoreError> {
    let recipient = &letter.recipient;
    let owner = sqlx::query(
        "UPDATE devices
         SET mailbox_head = CASE WHEN mailbox_head < $2 THEN $2 ELSE mailbox_head + 1 END
         WHERE device_id = $1 AND revoked_at IS NULL RETURNING mailbox_head, user_id",
    )
    .bind(recipient.as_bytes())
    .bind(int(letter.at.saturating_mul(1 << POSITIONS))?)
    .fetch_optional(tx.connection())
    .await?;
    let Some(owner) = owner else { return Ok(Err(Refusal::UnknownDevice(recipient.clone()))) };
    let items = sqlx::query(
        "SELECT COUNT(*), CAST(COALESCE(SUM(LENGTH(envelope)), 0) AS BIGINT) FROM mailbox
         WHERE device_id = $1",
    )
    .bind(recipient.as_bytes())
    .fetch_one(tx.connection())
    .await?;
    let (limit, bytes) = letter.room(from, &user(&owner, 1)?);
    let long = u64::try_from(letter.envelope.len()).unwrap_or(u64::MAX);
    if uint(&items, 0)? >= limit || uint(&items, 1)?.saturating_add(long) > bytes {
        return Ok(Err(Refusal::Full(recipient.clone())));
    }
    sqlx::query(
        "INSERT INTO mailbox (device_id, position, envelope, expires_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(recipient.as_bytes())
    .bind(int(uint(&owner, 0)?)?)
    .bind(letter.envelope)
    .bind(int(letter.expires_at)?)
    .execute(tx.connection())
    .await?;
    tx.wake(Topic::mailbox(recipient));
    Ok(Ok(()))
}

/// The other devices of an account that are not revoked.
pub(super) async fn siblings(
    tx: &mut Tx,
    user: &UserId,
    except: &DeviceId,
) -> Result<Vec<DeviceId>, StoreError> {
    let rows = sqlx::query(
        "SELECT device_id FROM devices
         WHERE user_id = $1 AND device_id <> $2 AND revoked_at IS NULL",
    )
    .bind(user.as_bytes())
    .bind(except.as_bytes())
    .fetch_all(tx.connection())
    .await?;
    rows.iter().map(|row| device(row, 0)).collect()
}

/// Posts one letter.
pub(crate) struct Post<'a> {
    pub(crate) from: &'a UserId,
    pub(crate) letter: Letter<'a>,
}

impl Transaction for Post<'_> {
    const NAME: &'static str = "post_letter";
    type Output = Result<(), Refusal>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        post(tx, self.from, &self.letter).await
    }

    fn keeps(posted: &Self::Output) -> bool {
        posted.is_ok()
    }
}

/// The items after a position, in their order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ItemsAfter<'a> {
    pub(crate) device: &'a DeviceId,
    pub(crate) after: u64,
    /// The last position that is read.
    pub(crate) through: u64,
    pub(crate) limit: u32,
}

impl Transaction for ItemsAfter<'_> {
    const NAME: &'static str = "items_after";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<MailboxItem>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<MailboxItem>, StoreError> {
        let rows = rows_between(
            tx,
            "SELECT position, envelope FROM mailbox WHERE device_id = $1 AND position > $2
             AND position <= $3 ORDER BY position LIMIT $4",
            self.device.as_bytes(),
            [self.after, self.through],
            self.limit,
        )
        .await?;
        let read = |row: &AnyRow| -> Result<_, StoreError> {
            Ok(MailboxItem { position: uint(row, 0)?, envelope: bytes(row, 1)?.into() })
        };
        rows.iter().map(read).collect()
    }
}

/// The position of the last item that a mailbox ever had; 0 for none.
pub(crate) struct MailboxHead<'a>(pub(crate) &'a DeviceId);

impl Lookup for MailboxHead<'_> {
    const NAME: &'static str = "mailbox_head";
    const STATEMENT: &'static str = "SELECT mailbox_head FROM devices WHERE device_id = $1";
    type Output = u64;

    fn keys(&self) -> Result<Vec<Key<'_>>, StoreError> {
        Ok(vec![Key::Bytes(self.0.as_bytes())])
    }

    fn read(&self, rows: &[impl Columns]) -> Result<u64, StoreError> {
        rows.first().map_or(Ok(0), |row| uint(row, 0))
    }
}

/// Drops the items up to a position: their device has them.
pub(crate) struct Ack<'a> {
    pub(crate) device: &'a DeviceId,
    pub(crate) through: u64,
}

impl Transaction for Ack<'_> {
    const NAME: &'static str = "ack_items";
    type Output = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM mailbox WHERE device_id = $1 AND position <= $2")
            .bind(self.device.as_bytes())
            .bind(int(self.through)?)
            .execute(tx.connection())
            .await?;
        Ok(())
    }
}
