//! Mailboxes.

use paired_mls_api::{DeviceId, MailboxPage};

use super::{Caller, Cut, Failure, Page, Wanted, group::letter, message::envelope, page::room};
use crate::{
    AppState,
    store::{Ack, ItemsAfter, MailboxHead, Post, Sizes},
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
    wanted: Wanted,
) -> Result<Page<MailboxPage>, Failure> {
    let device = &caller.device;
    let items = ItemsAfter { device, after, through: u64::MAX, limit: wanted.count(state) };
    let sizes = state.store.run(&Sizes(items)).await?;
    let Some(cut) = Cut::of(&sizes, wanted.bytes(state)) else {
        not_beyond(state, device, after).await?;
        return Ok(Page { content: MailboxPage { items: Vec::new() }, share: None });
    };
    let share = room(state, cut.memory()).await?;
    let items = ItemsAfter { through: cut.through, ..items };
    let items = state.store.run(&items).await?;
    Ok(Page { content: MailboxPage { items }, share })
}

/// Refuses a position that the mailbox of a device never had.
pub(crate) async fn not_beyond(
    state: &AppState,
    device: &DeviceId,
    position: u64,
) -> Result<(), Failure> {
    if position == 0 {
        return Ok(());
    }
    let head = state.store.run(&MailboxHead(device)).await?;
    if position > head { Err(Failure::Beyond { head }) } else { Ok(()) }
}

/// Drops the items up to a position.
pub(crate) async fn ack(state: &AppState, caller: &Caller, through: u64) -> Result<(), Failure> {
    not_beyond(state, &caller.device, through).await?;
    Ok(state.store.run(&Ack { device: &caller.device, through }).await?)
}
