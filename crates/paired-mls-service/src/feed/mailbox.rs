//! Subscriptions to a mailbox.

use std::{collections::VecDeque, sync::Arc};

use paired_mls_api::{DeviceId, MailboxItem};
use tokio::sync::watch;

use super::subscriber::{Events, Next, Rendered, Source, subscription, wait};
use crate::{
    AppState,
    logic::{Caller, Failure, not_beyond},
    store::{ItemsAfter, Store, Topic},
};

/// The items of the caller's mailbox after a cursor, and then as they come.
pub(crate) async fn mailbox_events(
    state: &AppState,
    caller: &Caller,
    after: u64,
) -> Result<Events, Failure> {
    not_beyond(state, &caller.device, after).await?;
    let source = Mailbox {
        store: Arc::clone(&state.store),
        wakes: state.hub.watch(&Topic::mailbox(&caller.device)),
        device: caller.device.clone(),
        page: state.limits.page,
        cursor: after,
        ready: VecDeque::new(),
    };
    subscription(state, &caller.device, source)
}

struct Mailbox {
    store: Arc<Store>,
    wakes: watch::Receiver<u64>,
    device: DeviceId,
    page: u32,
    cursor: u64,
    ready: VecDeque<MailboxItem>,
}

impl Source for Mailbox {
    async fn next(&mut self) -> Next {
        loop {
            if let Some(item) = self.ready.pop_front() {
                self.cursor = item.position;
                return match serde_json::to_string(&item) {
                    Ok(json) => Next::Item(Rendered {
                        position: item.position,
                        event: "item",
                        json: json.into(),
                    }),
                    Err(_) => Next::End,
                };
            }
            self.wakes.mark_unchanged();
            let items = ItemsAfter { device: &self.device, after: self.cursor, limit: self.page };
            match self.store.run(&items).await {
                Ok(items) if items.is_empty() => wait(&mut self.wakes).await,
                Ok(items) => self.ready = items.into(),
                // The client resumes, here or elsewhere.
                Err(_) => return Next::End,
            }
        }
    }
}
