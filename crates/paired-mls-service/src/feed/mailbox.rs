//! Subscriptions to a mailbox.

use std::sync::Arc;

use paired_mls_api::{DeviceId, MailboxItem};
use tokio::sync::watch;

use super::{
    ready::{AT_ONCE, CHUNK, Ready},
    subscriber::{Events, Next, Rendered, Source, subscription, wait},
};
use crate::{
    AppState,
    edge::Budget,
    logic::{Caller, Cut, Failure, not_beyond},
    store::{ItemsAfter, Sizes, Store, StoreError, Topic},
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
        answers: Arc::clone(&state.answers),
        cursor: after,
        ready: Ready::default(),
    };
    subscription(state, &caller.device, source)
}

struct Mailbox {
    store: Arc<Store>,
    wakes: watch::Receiver<u64>,
    device: DeviceId,
    answers: Arc<Budget>,
    cursor: u64,
    ready: Ready<MailboxItem>,
}

impl Source for Mailbox {
    async fn next(&mut self) -> Next {
        loop {
            if let Some((item, share)) = self.ready.next() {
                self.cursor = item.position;
                return match serde_json::to_string(&item) {
                    Ok(json) => Next::Item(Rendered {
                        position: item.position,
                        event: "item",
                        json: json.into(),
                        _share: Some(share),
                    }),
                    Err(_) => Next::End,
                };
            }
            self.wakes.mark_unchanged();
            match self.catch_up().await {
                Ok(true) => {}
                Ok(false) => wait(&mut self.wakes).await,
                // The client resumes, here or elsewhere.
                Err(_) => return Next::End,
            }
        }
    }
}

impl Mailbox {
    /// Reads on; `false` if there is nothing.
    async fn catch_up(&mut self) -> Result<bool, StoreError> {
        let (device, after) = (&self.device, self.cursor);
        let items = ItemsAfter { device, after, through: u64::MAX, limit: AT_ONCE };
        let sizes = self.store.run(&Sizes(items)).await?;
        let Some(cut) = Cut::of(&sizes, CHUNK) else { return Ok(false) };
        let share = self.answers.take(cut.memory()).await;
        let items = ItemsAfter { through: cut.through, ..items };
        let items = self.store.run(&items).await?;
        let found = !items.is_empty();
        self.ready = Ready::new(items, share);
        Ok(found)
    }
}
