//! What the handlers of one replica share.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use paired_mls_api::{Base64Url, DeviceId, GroupId};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    Clock, Config, Limits, StoreError,
    clock::DAY,
    edge::{Budget, Counted, LiveLimits},
    feed::Hub,
    logic::Bases,
    metrics::Metrics,
    rate::Rate,
    readers::Readers,
    store::{
        HaveEnded, Heard, Incarnation, Measure, NoteListeners, NoteReaders, Prune, Reopen,
        Retention, RollBack, RolledBack, Store, Sweep, Touched, Unread, Unused, listen,
    },
};

/// How often what has expired is dropped.
const SWEEP: Duration = Duration::from_secs(60);
/// How often it is looked whether an operator has changed something.
const LOOK: Duration = Duration::from_secs(1);
/// With which of these sweeps it is looked for what is not kept any longer.
const RETAIN: u64 = 60;

/// How many listeners are noted together.
const LISTENERS: usize = 256;

/// One replica: its database, its clock, its limits, its subscribers. A clone is the same replica.
#[derive(Clone)]
pub struct AppState {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: LiveLimits,
    pub(crate) authorities: Arc<[String]>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) rate: Arc<Rate>,
    pub(crate) read_by: Arc<Readers>,
    pub(crate) subscriptions: Arc<Counted<()>>,
    pub(crate) subscriptions_of: Arc<Counted<DeviceId>>,
    pub(crate) requests_of: Arc<Counted<DeviceId>>,
    pub(crate) connections_of: Arc<Counted<DeviceId>>,
    pub(crate) bodies: Arc<Budget>,
    pub(crate) bases: Arc<Bases>,
    pub(crate) answers: Arc<Budget>,
    incarnation: Known,
    stopping: watch::Sender<Phase>,
    /// Ends with the last clone, or when the database is closed.
    background: Arc<Mutex<JoinSet<()>>>,
}

/// The incarnation, as text. It changes under a service that runs only if an operator marks its database.
#[derive(Clone, Debug, Default)]
struct Known(Arc<RwLock<Arc<str>>>);

impl Known {
    fn now(&self) -> Arc<str> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, Incarnation(bytes): Incarnation) {
        let text = Base64Url(bytes).to_string();
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if **known != *text {
            *known = text.into();
        }
    }
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
        let incarnation = Known::default();
        incarnation.set(store.run(&Touched).await?.1);
        let rate = Arc::new(Rate::new(&config.limits));
        let metrics = Arc::new(Metrics::new(store.counts()));
        let limits = LiveLimits::new(config.limits);
        let read_by = Arc::new(Readers::default());
        let listening = Arc::new(Counted::new(config.limits.device_subscriptions));
        let background = background(Housekeeping {
            store: Arc::clone(&store),
            hub: Arc::clone(&hub),
            rate: Arc::clone(&rate),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            read_by: Arc::clone(&read_by),
            limits: limits.clone(),
            incarnation: incarnation.clone(),
            listening: Arc::clone(&listening),
        });
        Ok(Self {
            store,
            clock,
            limits,
            authorities: config.authorities.clone().into(),
            hub,
            metrics,
            rate,
            read_by,
            subscriptions: Arc::new(Counted::new(config.limits.subscriptions)),
            subscriptions_of: listening,
            requests_of: Arc::new(Counted::new(config.limits.device_requests)),
            connections_of: Arc::new(Counted::new(config.limits.device_connections)),
            bodies: Arc::new(Budget::new(config.limits.bodies)),
            bases: Arc::default(),
            answers: Arc::new(Budget::new(config.limits.answers)),
            incarnation,
            stopping: watch::channel(Phase::Running).0,
            background: Arc::new(Mutex::new(background)),
        })
    }

    /// Which history of the service this is.
    pub(crate) fn incarnation(&self) -> Arc<str> {
        self.incarnation.now()
    }

    /// Ends all subscriptions. Their clients resume at another replica, by their cursors.
    pub fn stop(&self) {
        self.stopping.send_replace(Phase::Stopping);
    }

    /// From now on, these limits, which have been checked. What is under way goes on by those that held.
    pub(crate) fn set_limits(&self, limits: &Limits) {
        self.limits.set(*limits);
        self.rate.set(limits);
        self.subscriptions.set_most(limits.subscriptions);
        self.subscriptions_of.set_most(limits.device_subscriptions);
        self.requests_of.set_most(limits.device_requests);
        self.connections_of.set_most(limits.device_connections);
        self.bodies.set(limits.bodies);
        self.answers.set(limits.answers);
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
        let Self { store, hub, rate, clock, metrics, read_by, limits, incarnation, .. } = self;
        let (store, hub, rate) = (Arc::clone(store), Arc::clone(hub), Arc::clone(rate));
        let (clock, metrics, read_by) =
            (Arc::clone(clock), Arc::clone(metrics), Arc::clone(read_by));
        let (limits, incarnation) = (limits.clone(), incarnation.clone());
        let listening = Arc::clone(&self.subscriptions_of);
        let housekeeping = Housekeeping {
            store,
            hub,
            rate,
            clock,
            metrics,
            read_by,
            limits,
            incarnation,
            listening,
        };
        let gone = housekeeping.sweep().await?;
        Ok(gone.saturating_add(housekeeping.retain().await?))
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
    /// group, or its log does not reach that far, or begins behind it.
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

    /// Ends what runs beside the requests, and then the connections to the database.
    pub async fn close(&self) {
        let mut background =
            mem::take(&mut *self.background.lock().unwrap_or_else(PoisonError::into_inner));
        background.shutdown().await;
        self.store.close().await;
    }
}

/// How long logs are kept, as it is today.
fn retention(limits: &Limits, now: u64) -> Retention {
    let least = limits.mailbox_seconds.div_ceil(DAY);
    Retention {
        day: now / DAY,
        days: limits.log_days.map(|days| days.max(least)),
        bytes: limits.log_bytes,
        unread_days: limits.log_unread_days.map(|days| days.max(least)),
    }
}

/// How long what nobody uses is kept, as it is today.
fn unused(limits: &Limits, now: u64) -> Unused {
    Unused {
        day: now / DAY,
        now,
        groups: limits.group_days,
        unread_groups: limits.group_unread_days,
        users: limits.user_days,
        pairings: limits.pairing_days,
    }
}

/// What is done beside the requests.
struct Housekeeping {
    store: Arc<Store>,
    hub: Arc<Hub>,
    rate: Arc<Rate>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    read_by: Arc<Readers>,
    limits: LiveLimits,
    incarnation: Known,
    /// The devices that have a subscription.
    listening: Arc<Counted<DeviceId>>,
}

impl Housekeeping {
    /// Drops what has expired, and looks how much there is. Returns how many rows went.
    async fn sweep(&self) -> Result<u64, StoreError> {
        self.rate.sweep();
        self.hub.sweep();
        let now = self.clock.now();
        let read = self.store.forget_reads(now).await?;
        let gone = read + self.store.run(&Sweep { now }).await?;
        self.metrics.swept(gone);
        self.store.run(&NoteReaders(&self.read_by.take())).await?;
        self.store.cut_journal().await?;
        let amounts = self.store.run(&Measure::of(self.store.database())).await?;
        self.metrics.amounts(&amounts);
        Ok(gone)
    }

    /// Whoever listens uses the account, and the group, for as long as it does.
    async fn note_listeners(&self, day: u64) -> Result<(), StoreError> {
        let (devices, groups) = (self.listening.held(), self.hub.heard.held());
        for devices in devices.chunks(LISTENERS) {
            self.store.run(&NoteListeners { devices, groups: &[], day }).await?;
        }
        for groups in groups.chunks(LISTENERS) {
            self.store.run(&NoteListeners { devices: &[], groups, day }).await?;
        }
        Ok(())
    }

    /// Drops what of the logs is not kept any longer, and ends what nobody uses. Returns how many entries, groups, users and
    /// pairings went.
    async fn retain(&self) -> Result<u64, StoreError> {
        let (limits, now) = (self.limits.now(), self.clock.now());
        self.note_listeners(now / DAY).await?;
        let entries = self.store.retain(retention(&limits, now)).await?;
        let ended = self.store.end_unused(unused(&limits, now)).await?;
        let entries = entries
            .saturating_add(ended.groups)
            .saturating_add(ended.users)
            .saturating_add(ended.pairings);
        if ended != HaveEnded::default() {
            let HaveEnded { groups, users, pairings } = ended;
            tracing::info!(groups, users, pairings, "what nobody used has ended");
        }
        self.store.cut_journal().await?;
        Ok(entries)
    }
}

/// Wakes all subscribers when an operator has changed something by another process.
async fn look(store: &Store, hub: &Hub, incarnation: &Known) {
    let mut seen = None;
    loop {
        // A database that fails is seen by those who need it.
        if let Ok((touched, now)) = store.run(&Touched).await {
            incarnation.set(now);
            if seen.is_some_and(|seen| seen != touched) {
                hub.wake_all();
            }
            seen = Some(touched);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn background(housekeeping: Housekeeping) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let database = housekeeping.store.database().clone();
    let heard = {
        let hub = Arc::clone(&housekeeping.hub);
        Arc::new(move |heard| match heard {
            Heard::Topic(topic) => hub.wake(&topic),
            Heard::Everything => hub.wake_all(),
        })
    };
    let (store, hub) = (Arc::clone(&housekeeping.store), Arc::clone(&housekeeping.hub));
    let incarnation = housekeeping.incarnation.clone();
    tasks.spawn(async move { look(&store, &hub, &incarnation).await });
    tasks.spawn(async move { listen(&database, heard).await });
    tasks.spawn(async move {
        for sweep in 1_u64.. {
            tokio::time::sleep(SWEEP).await;
            // The next sweep does the same work.
            match housekeeping.sweep().await {
                Ok(rows) => tracing::debug!(rows, "swept"),
                Err(error) => tracing::warn!(%error, "what has expired stays until the next time"),
            }
            if sweep % RETAIN == 0
                && let Err(error) = housekeeping.retain().await
            {
                tracing::warn!(%error, "what of the logs has had its time stays until the next time");
            }
        }
    });
    tasks
}
