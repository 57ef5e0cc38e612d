//! What all subscriptions have in common.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt as _, stream};
use paired_mls_api::DeviceId;
use tokio::sync::watch;

use crate::{
    AppState,
    edge::{Place, Share},
    logic::Failure,
    metrics::{OpenSubscription, Refused},
    store::{DeviceById, Store, Topic},
};

/// An entry or item as it goes out, once for all.
#[derive(Clone)]
pub(crate) struct Rendered {
    pub(crate) position: u64,
    pub(crate) event: &'static str,
    pub(crate) json: Arc<str>,
    /// The memory that was set aside for it.
    pub(super) _share: Option<Arc<Share>>,
}

/// What a subscription delivers, until it ends.
pub(crate) type Events = Pin<Box<dyn Stream<Item = Rendered> + Send>>;

/// What is passed on next.
pub(super) enum Next {
    /// This.
    Item(Rendered),
    /// This, and then no more.
    Last(Rendered),
    /// No more.
    End,
}

/// Something that knows what comes next.
pub(super) trait Source: Send + 'static {
    /// The next one, whenever that is.
    fn next(&mut self) -> impl Future<Output = Next> + Send;
}

/// Makes a subscription of a source: it ends when the source ends, when the device is revoked or its user shut out, and when
/// the replica stops.
pub(super) fn subscription<S: Source>(
    state: &AppState,
    device: &DeviceId,
    source: S,
) -> Result<Events, Failure> {
    let of_device = state.subscriptions_of.take(device).ok_or_else(|| {
        state.metrics.refused(Refused::SubscriptionsOfDevice);
        Failure::Subscribed(state.limits.now().device_subscriptions)
    })?;
    let place = state.subscriptions.take(&()).ok_or_else(|| {
        state.metrics.refused(Refused::Subscriptions);
        Failure::Busy
    })?;
    let counted = state.metrics.subscription();
    let place = Taken { _of_all: place, _of_device: of_device, _counted: counted };
    // What was passed on last is held until the client has room for the next.
    let begin = (Some(source), place, None);
    let events = stream::unfold(begin, |(source, place, last)| async move {
        drop(last);
        let mut source = source?;
        match source.next().await {
            Next::Item(item) => Some((item.clone(), (Some(source), place, Some(item)))),
            Next::Last(item) => Some((item.clone(), (None, place, Some(item)))),
            Next::End => None,
        }
    });
    // A stream that waits must not keep the replica alive.
    let wakes = state.hub.watch(&Topic::revocation(device));
    let revoked = revoked(Arc::clone(&state.store), wakes, device.clone());
    let stopped = state.stopped();
    Ok(Box::pin(events.take_until(async move {
        tokio::select! { () = revoked => {}, () = stopped => {} }
    })))
}

struct Taken {
    _of_all: Place<()>,
    _of_device: Place<DeviceId>,
    _counted: OpenSubscription,
}

/// Returns when the device is revoked, or its user shut out.
async fn revoked(store: Arc<Store>, mut wakes: watch::Receiver<u64>, device: DeviceId) {
    loop {
        // Also the first time: it may have been revoked since its request was let in.
        match store.run(&DeviceById(&device)).await {
            Ok(Some(device)) if device.revoked_at.is_none() && device.banned_at.is_none() => {}
            _ => return,
        }
        if wakes.changed().await.is_err() {
            return;
        }
    }
}

/// Waits until a topic is woken, but not for ever: a notification can be lost.
pub(super) async fn wait(wakes: &mut watch::Receiver<u64>) {
    // In either case it is worth looking.
    let _waited = tokio::time::timeout(PATIENCE, wakes.changed()).await;
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
