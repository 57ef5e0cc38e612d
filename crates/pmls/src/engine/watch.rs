//! To live at the service: subscribe, catch up whenever something comes, reconnect, resume.
//!
//! A subscription only says that there is something; what is done with it is [`Engine::sync`], from the
//! same cursors. So a notification that is lost or comes twice does no harm.
//!
//! Other processes that want something of this device call in between, when nothing is half done.

use std::{future::pending, pin::Pin, time::Duration};

use futures_util::{
    StreamExt as _,
    stream::{SelectAll, Stream, select_all},
};
use paired_mls_api::GroupId;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Engine, EngineError, Report};

/// How long a service that failed is left alone.
const PAUSE: Duration = Duration::from_secs(2);

/// How often everything is looked at, also if nothing comes.
const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// One round of watching.
pub(crate) enum Watch<C> {
    /// Something happened.
    News(Report),
    /// The service answers, and whatever was there is processed: for the first time, or again.
    Connected(Connection),
    /// The service failed, or a group cannot be followed; it goes on.
    Trouble(EngineError),
    /// Somebody has called.
    Called(C),
    /// The time is over.
    Over,
}

/// What ended a time of waiting.
enum Waited<C> {
    Through,
    Called(C),
    Over,
}

/// How a connection came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// For the first time.
    First,
    /// After trouble.
    Again,
}

type Signals = SelectAll<Pin<Box<dyn Stream<Item = ()>>>>;

/// What is subscribed to.
pub(crate) struct Watching {
    signals: Option<Signals>,
    groups: Vec<GroupId>,
    until: Option<Instant>,
    /// What is told when the service answers next; nothing while it does.
    connection: Option<Connection>,
    pace: Pace,
}

/// When the service is asked next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    AtOnce,
    /// After a pause: it has failed.
    Pause,
}

impl Watching {
    /// For so long, or for ever.
    pub(crate) fn new(time: Option<Duration>) -> Self {
        Self {
            signals: None,
            groups: Vec::new(),
            until: time.and_then(|time| Instant::now().checked_add(time)),
            connection: Some(Connection::First),
            pace: Pace::AtOnce,
        }
    }
}

impl Engine {
    /// Waits until something comes, and catches up with it; or until somebody calls, for whom there is time
    /// only when nothing is half done.
    pub(crate) async fn watch<C>(
        &mut self,
        watching: &mut Watching,
        call: impl AsyncFn() -> C,
    ) -> Result<Watch<C>, EngineError> {
        loop {
            if watching.pace == Pace::Pause {
                match wait_for(watching.until, sleep(PAUSE), call()).await {
                    Waited::Through => watching.pace = Pace::AtOnce,
                    Waited::Called(call) => return Ok(Watch::Called(call)),
                    Waited::Over => return Ok(Watch::Over),
                }
            }
            let mut report = Report::default();
            let synced = self.sync(&mut report).await;
            if !report.events.is_empty() {
                return Ok(Watch::News(report));
            }
            if let Err(error) = synced {
                let serious = !error.is_of_one_group() && !error.is_network();
                if serious {
                    return Err(error);
                }
                watching.signals = None;
                watching.connection = Some(Connection::Again);
                watching.pace = Pace::Pause;
                return Ok(Watch::Trouble(error));
            }
            if let Some(connection) = watching.connection.take() {
                return Ok(Watch::Connected(connection));
            }
            let until = watching.until;
            let signals = self.signals(watching)?;
            // Also where nothing comes, leaves end in time.
            let come = async {
                tokio::select! {
                    () = wait(signals) => {}
                    () = sleep(INTERVAL) => {}
                }
            };
            match wait_for(until, come, call()).await {
                Waited::Through => {}
                Waited::Called(call) => return Ok(Watch::Called(call)),
                Waited::Over => return Ok(Watch::Over),
            }
        }
    }

    /// The subscriptions: to the mailbox, and to each group that this device is in now.
    fn signals<'a>(&self, watching: &'a mut Watching) -> Result<&'a mut Signals, EngineError> {
        let groups: Vec<_> = self.store().groups()?;
        let groups: Vec<_> = groups.into_iter().filter(|row| row.state.takes_part()).collect();
        let ids: Vec<_> = groups.iter().map(|row| row.id.clone()).collect();
        if watching.groups != ids {
            watching.signals = None;
            watching.groups = ids;
        }
        let client = self.client()?;
        let mailbox = self.mailbox_cursor()?;
        Ok(watching.signals.get_or_insert_with(|| {
            let mailbox: Pin<Box<dyn Stream<Item = ()>>> =
                Box::pin(client.mailbox_events(mailbox).map(|_| ()));
            let logs = groups.iter().map(|row| {
                let log = client.group_events(&row.id, row.cursor).map(|_| ());
                Box::pin(log) as Pin<Box<dyn Stream<Item = ()>>>
            });
            select_all(std::iter::once(mailbox).chain(logs))
        }))
    }
}

async fn wait(signals: &mut Signals) {
    if signals.next().await.is_none() {
        sleep(PAUSE).await;
    }
}

/// Waits for `work`, a call, or the end of the time.
async fn wait_for<C>(
    until: Option<Instant>,
    work: impl Future<Output = ()>,
    call: impl Future<Output = C>,
) -> Waited<C> {
    let over = async {
        match until {
            Some(until) => sleep_until(until).await,
            None => pending().await,
        }
    };
    tokio::select! {
        () = over => Waited::Over,
        called = call => Waited::Called(called),
        () = work => Waited::Through,
    }
}
