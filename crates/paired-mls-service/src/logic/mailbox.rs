//! Mailboxes.

use paired_mls_api::{DeviceId, MailboxPage};

use super::{Caller, Failure, group::letter, message::envelope};
use crate::{
    AppState,
    store::{Ack, ItemsAfter, Post},
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
    let limit = limit.unwrap_or(state.limits.page).clamp(1, state.limits.page);
    let items = ItemsAfter { device: &caller.device, after, limit };
    Ok(MailboxPage { items: state.store.run(&items).await? })
}

/// Drops the items up to a position.
pub(crate) async fn ack(state: &AppState, caller: &Caller, through: u64) -> Result<(), Failure> {
    Ok(state.store.run(&Ack { device: &caller.device, through }).await?)
}
