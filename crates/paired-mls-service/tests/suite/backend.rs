//! A database, and replicas of the service on it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::Router;
use paired_mls_service::{AppState, Clock, Config, app};
use tempfile::TempDir;

use crate::postgres;

/// A clock that stands still until a test moves it.
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn forward(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// An empty database.
pub(crate) struct Backend {
    pub(crate) config: Config,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) folder: TempDir,
}

impl Backend {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("service.db").display());
        Self::new(url, folder)
    }

    pub(crate) fn postgres() -> Option<Self> {
        Some(Self::new(postgres::fresh_database()?, tempfile::tempdir().unwrap()))
    }

    fn new(database: String, folder: TempDir) -> Self {
        let mut config = Config::new(([127, 0, 0, 1], 0).into(), database);
        config.limits.requests_per_second = 10_000;
        config.limits.request_burst = 10_000;
        // A KeyPackage that is made now has to be valid.
        let now = paired_mls_service::SystemClock.now();
        Self { config, clock: Arc::new(TestClock(AtomicU64::new(now))), folder }
    }

    /// A replica of the service, without a socket.
    pub(crate) async fn replica(&self) -> Replica {
        self.replica_by(self.clock.clone()).await
    }

    /// The same whose clock is behind by as many seconds.
    pub(crate) async fn late_replica(&self, seconds: u64) -> Replica {
        self.replica_by(Arc::new(TestClock(AtomicU64::new(self.clock.now() - seconds)))).await
    }

    async fn replica_by(&self, clock: Arc<TestClock>) -> Replica {
        let state = AppState::open(&self.config, clock.clone()).await.unwrap();
        Replica { app: app(state.clone()), state, clock }
    }
}

/// A service without a socket.
#[derive(Clone)]
pub(crate) struct Replica {
    pub(crate) app: Router,
    pub(crate) state: AppState,
    pub(crate) clock: Arc<TestClock>,
}

/// Makes a test of each function for each database.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    super::$test(crate::backend::Backend::sqlite()).await;
                }
            )*
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    if let Some(backend) = crate::backend::Backend::postgres() {
                        super::$test(backend).await;
                    }
                }
            )*
        }
    };
}
pub(crate) use on_both;
