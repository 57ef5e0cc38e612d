//! What the handlers of one replica share.

use std::{sync::Arc, time::Duration};

use paired_mls_api::{DeviceId, GroupId};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::{
    Clock, Config, Limits, StoreError,
    edge::{Budget, Counted},
    feed::Hub,
    logic::Bases,
    metrics::Metrics,
    rate::Rate,
    readers::Readers,
    store::{
        Heard, NoteReaders, Prune, Reopen, Retention, RollBack, RolledBack, Store, Sweep, Unread,
        listen,
    },
};

/// How often what has expired is dropped.
const SWEEP: Duration = Duration::from_secs(60);
/// With which of these sweeps it is looked for what is not kept any longer.
const RETAIN: u64 = 60;

/// One replica: its database, its clock, its limits, its subscribers. A clone is the same replica.
#[derive(Clone)]
pub struct AppState {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) authorities: Arc<[String]>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) rate: Arc<Rate>,
    pub(crate) read_by: Arc<Readers>,
    pub(crate) subscriptions: Arc<Semaphore>,
    pub(crate) subscriptions_of: Arc<Counted<DeviceId>>,
    pub(crate) requests_of: Arc<Counted<DeviceId>>,
    pub(crate) bodies: Arc<Budget>,
    pub(crate) bases: Arc<Bases>,
    stopping: watch::Sender<Phase>,
    /// Ends with the last clone.
    _background: Arc<JoinSet<()>>,
}

/// Whether the replica takes new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Stopping,
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppState").field("database", self.store.database()).finish_non_exhaustive()
    }
}

impl AppState {
    /// Opens the database of `config`, brings its schema up to date, and starts what runs beside the
    /// requests: the notifications of the other replicas, and dropping what has expired.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be used.
    pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let hub = Arc::new(Hub::default());
        let waker = {
            let hub = Arc::clone(&hub);
            Arc::new(move |topic: &_| hub.wake(topic))
        };
        let store = Arc::new(
            Store::open(&config.database, config.connections, config.database_bytes, waker).await?,
        );
        let rate = Arc::new(Rate::new(&config.limits));
        let metrics = Metrics::new(store.transactions());
        let read_by = Arc::new(Readers::default());
        let background = background(&store, &hub, &rate, &clock, &read_by, config.limits);
        Ok(Self {
            store,
            clock,
            limits: config.limits,
            authorities: config.authorities.clone().into(),
            hub,
            metrics: Arc::new(metrics),
            rate,
            read_by,
            subscriptions: Arc::new(Semaphore::new(config.limits.subscriptions)),
            subscriptions_of: Arc::new(Counted::new(config.limits.device_subscriptions)),
            requests_of: Arc::new(Counted::new(config.limits.device_requests)),
            bodies: Arc::new(Budget::new(config.limits.bodies)),
            bases: Arc::default(),
            stopping: watch::channel(Phase::Running).0,
            _background: Arc::new(background),
        })
    }

    /// Ends all subscriptions. Their clients resume at another replica, by their cursors.
    pub fn stop(&self) {
        self.stopping.send_replace(Phase::Stopping);
    }

    /// Returns when [`Self::stop`] is called.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stopping = self.stopping.subscribe();
        async move {
            // An error says that the replica is gone altogether.
            let _gone = stopping.wait_for(|phase| *phase == Phase::Stopping).await;
        }
    }

    /// Drops what has expired, nonces, items of mailboxes and KeyPackages, and what of the logs is not kept any
    /// longer. It happens by itself, too. Returns how many rows went.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        self.rate.sweep();
        self.hub.sweep();
        let now = self.clock.now();
        let gone = self.store.run(&Sweep { now }).await?;
        self.store.run(&NoteReaders(&self.read_by.take())).await?;
        let entries = self.store.retain(retention(&self.limits, now)).await?;
        self.store.cut_journal().await?;
        Ok(gone.saturating_add(entries))
    }

    /// Drops the entries of a group's log up to `position`, those of the current epoch apart. What somebody on the
    /// roster has not read yet goes only if `unread` says so; whoever needs it is told to rejoin when it asks.
    /// Returns how many entries went.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn prune_group(
        &self,
        group: &GroupId,
        position: u64,
        unread: Unread,
    ) -> Result<u64, StoreError> {
        self.store.run(&NoteReaders(&self.read_by.take())).await?;
        self.store.run(&Prune { group, through: position, unread }).await
    }

    /// Puts everybody back on the roster of a group who ever was on it: an operator's way to let its members
    /// in again. Nobody's leaf changes. Returns how many are back; nothing if there is no such group.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn reopen_group(&self, group: &GroupId) -> Result<Option<u64>, StoreError> {
        self.store.run(&Reopen(group)).await
    }

    /// Drops the entries of a group's log behind `position`, the last that stays, with what their commits did
    /// to the epoch and to the roster: an operator's way out after a commit that no member can process. A
    /// GroupInfo of an epoch that is gone goes too. An account that one of the entries brought back stays.
    /// Members that have followed what is dropped have to rejoin. Returns nothing if there is no such
    /// group, or its log does not reach that far.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub async fn roll_back_group(
        &self,
        group: &GroupId,
        position: u64,
    ) -> Result<Option<RolledBack>, StoreError> {
        self.store.run(&RollBack { group, position }).await
    }

    /// Ends the connections to the database.
    pub async fn close(&self) {
        self.store.close().await;
    }
}

/// How long logs are kept, as it is today.
fn retention(limits: &Limits, now: u64) -> Retention {
    let day = 24 * 60 * 60;
    let least = limits.mailbox_seconds.div_ceil(day);
    Retention {
        day: now / day,
        days: limits.log_days.map(|days| days.max(least)),
        bytes: limits.log_bytes,
        unread_days: limits.log_unread_days.map(|days| days.max(least)),
    }
}

fn background(
    store: &Arc<Store>,
    hub: &Arc<Hub>,
    rate: &Arc<Rate>,
    clock: &Arc<dyn Clock>,
    read_by: &Arc<Readers>,
    limits: Limits,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let database = store.database().clone();
    let heard = {
        let hub = Arc::clone(hub);
        Arc::new(move |heard| match heard {
            Heard::Topic(topic) => hub.wake(&topic),
            Heard::Everything => hub.wake_all(),
        })
    };
    tasks.spawn(async move { listen(&database, heard).await });
    let (store, hub) = (Arc::clone(store), Arc::clone(hub));
    let (rate, clock) = (Arc::clone(rate), Arc::clone(clock));
    let read_by = Arc::clone(read_by);
    tasks.spawn(async move {
        for sweep in 1_u64.. {
            tokio::time::sleep(SWEEP).await;
            rate.sweep();
            hub.sweep();
            // The store logs a failure; the next sweep does the same work.
            if let Ok(rows) = store.run(&Sweep { now: clock.now() }).await {
                tracing::debug!(rows, "swept");
            }
            // What is lost here comes again with the next requests.
            let _noted = store.run(&NoteReaders(&read_by.take())).await;
            if sweep % RETAIN == 0 {
                let _retained = store.retain(retention(&limits, clock.now())).await;
            }
            if let Err(error) = store.cut_journal().await {
                tracing::warn!(%error, "the journal of the database stays");
            }
        }
    });
    tasks
}
