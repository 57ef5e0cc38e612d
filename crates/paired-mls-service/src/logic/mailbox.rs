//! Mailboxes.

use paired_mls_api::{DeviceId, MailboxPage};

use super::{Caller, Failure, group::letter, message::envelope};
use crate::{
    AppState,
    store::{Ack, ItemsAfter, MailboxHead, Post},
};

/// Puts an envelope into a device's mailbox.
pub(crate) async fn post(
    state: &AppState,
    caller: &Caller,
    recipient: DeviceId,
    bytes: Vec<u8>,
) -> Result<(), Failure> {
    let envelope = envelope(bytes)?;
    let letter = letter(state, recipient, &envelope);
    Ok(state.store.run(&Post { from: &caller.user, letter }).await??)
}

/// The items after a cursor.
pub(crate) async fn items(
    state: &AppState,
    caller: &Caller,
    after: u64,
    limit: Option<u32>,
) -> Result<MailboxPage, Failure> {
    let limit = limit.unwrap_or(state.limits.page).min(state.limits.page);
    let items = ItemsAfter { device: &caller.device, after, limit };
    let items = state.store.run(&items).await?;
    if items.is_empty() {
        not_beyond(state, &caller.device, after).await?;
    }
    Ok(MailboxPage { items })
}

/// Refuses a position that the mailbox of a device never had.
pub(crate) async fn not_beyond(
    state: &AppState,
    device: &DeviceId,
    position: u64,
) -> Result<(), Failure> {
    let head = state.store.run(&MailboxHead(device)).await?;
    if position > head { Err(Failure::Beyond { head }) } else { Ok(()) }
}

/// Drops the items up to a position.
pub(crate) async fn ack(state: &AppState, caller: &Caller, through: u64) -> Result<(), Failure> {
    not_beyond(state, &caller.device, through).await?;
    Ok(state.store.run(&Ack { device: &caller.device, through }).await?)
}
