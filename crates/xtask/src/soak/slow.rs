//! Clients that subscribe and hardly read.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::{sync::watch, time::sleep};

use super::honest::{self, Skew};
use crate::load::client::{commit, create_group};

/// How long such a client takes for one entry.
const PAUSE: Duration = Duration::from_secs(3);

/// Fills a log, and reads it an entry every few seconds. What fails is its own business.
pub(super) async fn live(url: String, stopped: watch::Receiver<bool>) {
    let Ok(client) = honest::client(&url, Skew::seconds(0)).await else { return };
    let Ok(group) = create_group(&client).await else { return };
    let mut log = client.group_events(&group, 0);
    let mut epoch = 0;
    while !*stopped.borrow() {
        if commit(&client, &group, epoch).await.is_ok() {
            epoch += 1;
        } else if let Ok(view) = client.group(&group).await {
            epoch = view.epoch;
        }
        tokio::select! {
            _ = log.next() => {}
            () = sleep(PAUSE) => {}
        }
        sleep(PAUSE).await;
    }
}
