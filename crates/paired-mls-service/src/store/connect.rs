//! Connections, migrations, and notifications between replicas.

use std::{
    sync::{Arc, Once},
    time::{Duration, Instant},
};

use super::{
    Here, Readiness, Shelf, StorageFault, Store, StoreError, Topic, Tx, Waker, Writer, file,
};
use sqlx::{
    AnyConnection, AnyPool, AssertSqlSafe, Executor as _, Row as _, any::AnyPoolOptions,
    migrate::Migrator, postgres::PgListener,
};

/// The channel of PostgreSQL that the replicas wake each other on.
const CHANNEL: &str = "paired_mls";

/// The size of a page of SQLite, in bytes.
const PAGE: u64 = 4096;

/// How long is waited for a lock of the SQLite file that another process holds.
const LOCK_PATIENCE: Duration = Duration::from_millis(1500);

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// Which database it is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Database {
    /// A file, inside this process.
    Sqlite {
        /// Its address, with the parameters that we need.
        url: String,
    },
    /// A server, which replicas share.
    Postgres {
        /// Its address. It may hold a password.
        url: String,
    },
}

impl Database {
    /// Reads the address of a database.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownDatabase`].
    fn parse(address: &str) -> Result<Self, StoreError> {
        let scheme = address.split_once(':').map(|(scheme, _)| scheme);
        match scheme {
            Some("sqlite") => {
                let join = if address.contains('?') { '&' } else { '?' };
                let url = match address.contains("mode=") {
                    true => address.to_owned(),
                    false => format!("{address}{join}mode=rwc"),
                };
                Ok(Self::Sqlite { url })
            }
            Some("postgres" | "postgresql") => Ok(Self::Postgres { url: address.to_owned() }),
            _ => Err(StoreError::UnknownDatabase),
        }
    }

    /// The address of a file.
    fn file_url(&self) -> Result<&str, StoreError> {
        match self {
            Self::Sqlite { url } => Ok(url),
            Self::Postgres { .. } => Err(StoreError::SqliteOnly),
        }
    }

    fn url(&self) -> &str {
        match self {
            Self::Sqlite { url } | Self::Postgres { url } => url,
        }
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite { .. } => "Sqlite",
            Self::Postgres { .. } => "Postgres",
        })
    }
}

impl Store {
    /// Connects, and brings the schema up to date. Replicas that start at once wait for each other. A file
    /// of SQLite gets no longer than `room`, in bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(crate) async fn open(
        address: &str,
        connections: u32,
        room: Option<u64>,
        waker: Waker,
    ) -> Result<Self, StoreError> {
        install_drivers();
        let database = Database::parse(address)?;
        let (readers, writers, writer) = match &database {
            Database::Sqlite { url } => {
                file::make_private(url)?;
                let writers = sqlite(url, 1, room).await?;
                migrate_sqlite(&writers).await?;
                {
                    let writer = Writer::new(writers.clone());
                    let readers = sqlite(url, connections, room).await?;
                    (Shelf::of_file(readers, connections), writers, Some(writer))
                }
            }
            Database::Postgres { url } => {
                let pool = options(connections).connect(url).await?;
                POSTGRES.run(&pool).await?;
                (Shelf::of_server(pool.clone()), pool, None)
            }
        };
        let readiness = Readiness::default();
        let (reads, counts) = Default::default();
        let here = match &database {
            Database::Sqlite { url } => Here::of_file(url),
            Database::Postgres { .. } => None,
        };
        let store =
            Self { database, here, readers, writers, writer, waker, reads, counts, readiness };
        store.chain_up().await?;
        Ok(store)
    }
}

impl Store {
    /// Connects to a database that is there, beside a service that may run on it. Nothing of it changes,
    /// not even its schema.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(crate) async fn attach(address: &str, waker: Waker) -> Result<Self, StoreError> {
        let database = Self::there(address)?;
        let (readers, writers, writer) = match &database {
            Database::Sqlite { url } => {
                let writers = sqlite(url, 1, None).await?;
                let writer = Writer::new(writers.clone());
                (Shelf::of_file(sqlite(url, 2, None).await?, 2), writers, Some(writer))
            }
            Database::Postgres { url } => {
                let pool = options(2).connect(url).await?;
                (Shelf::of_server(pool.clone()), pool, None)
            }
        };
        let readiness = Readiness::default();
        let (reads, counts) = Default::default();
        let here = None;
        let store =
            Self { database, here, readers, writers, writer, waker, reads, counts, readiness };
        store.is_current().await?;
        Ok(store)
    }

    /// The address of a database that is not created if it is not there.
    fn there(address: &str) -> Result<Database, StoreError> {
        install_drivers();
        let database = Database::parse(address)?;
        let Database::Sqlite { url } = &database else { return Ok(database) };
        let url = url.replace("mode=rwc", "mode=rw");
        let path = file::path(&url)?;
        if !path.is_file() {
            return Err(StoreError::NoDatabase { path });
        }
        Ok(Database::Sqlite { url })
    }

    /// Whether the schema is that of this version.
    async fn is_current(&self) -> Result<(), StoreError> {
        let migrator = match &self.database {
            Database::Sqlite { .. } => &SQLITE,
            Database::Postgres { .. } => &POSTGRES,
        };
        let mut taken = self.readers.take().await?;
        let done = sqlx::query("SELECT version FROM _sqlx_migrations");
        let done = done.fetch_all(&mut *taken.connection).await;
        taken.give_back();
        let done = match done {
            Ok(done) => done,
            Err(error) => {
                return Err(match StoreError::from(error) {
                    StoreError::Database(_) => StoreError::NotOurs,
                    StoreError::Storage(StorageFault::Damaged, _) => StoreError::NotOurs,
                    other => other,
                });
            }
        };
        let done: Result<Vec<i64>, _> = done.iter().map(|row| row.try_get(0)).collect();
        let (done, known) = (done?, || migrator.iter().map(|migration| migration.version));
        if done.iter().any(|version| known().all(|known| known != *version)) {
            return Err(StoreError::Ahead);
        }
        match known().all(|known| done.contains(&known)) {
            true => Ok(()),
            false => Err(StoreError::Behind),
        }
    }
}

impl Store {
    /// Writes what a SQLite database has now into a file that is empty, while others use it.
    ///
    /// # Errors
    ///
    /// [`StoreError::SqliteOnly`], or those of the database.
    pub(crate) async fn vacuum_into(&self, path: &str) -> Result<(), StoreError> {
        self.database.file_url()?;
        let mut taken = self.readers.take().await?;
        sqlx::query("VACUUM INTO $1").bind(path).execute(&mut *taken.connection).await?;
        taken.give_back();
        Ok(())
    }
}

/// The file of a SQLite database, which need not be there.
///
/// # Errors
///
/// [`StoreError::SqliteOnly`] for another database.
pub(crate) fn sqlite_file(address: &str) -> Result<std::path::PathBuf, StoreError> {
    file::path(Database::parse(address)?.file_url()?)
}

/// Refuses the address of a database that is no file, whether or not it can be reached.
///
/// # Errors
///
/// [`StoreError::SqliteOnly`], [`StoreError::UnknownDatabase`].
pub fn require_file(address: &str) -> Result<(), StoreError> {
    Database::parse(address)?.file_url().map(drop)
}

fn install_drivers() {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
}

/// SQLite has no lock for a whole migration: of two that bring the same file up to date at once, one fails,
/// undoes what it did, and finds it done when it looks again. It waits as long as the other one gets on.
async fn migrate_sqlite(pool: &AnyPool) -> Result<(), StoreError> {
    let (mut attempt, mut began, mut done) = (1, Instant::now(), 0);
    loop {
        let Err(error) = bring_up_to_date(pool).await else { return Ok(()) };
        let now = migrations_done(pool).await.unwrap_or(done);
        if now > done {
            (attempt, began, done) = (1, Instant::now(), now);
        }
        if attempt == 5 || began.elapsed() >= LOCK_PATIENCE {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(50 * attempt)).await;
        attempt += 1;
    }
}

async fn bring_up_to_date(pool: &AnyPool) -> Result<(), StoreError> {
    pool.execute("PRAGMA journal_mode = WAL").await?;
    Ok(SQLITE.run(pool).await?)
}

async fn migrations_done(pool: &AnyPool) -> Result<i64, sqlx::Error> {
    let row = sqlx::query("SELECT COUNT(*) FROM _sqlx_migrations").fetch_one(pool).await?;
    row.try_get(0)
}

fn options(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(Duration::from_secs(20))
        // sqlx counts its idle connections after it has given one back, so that one that is taken meanwhile
        // makes the count wrap around. The task that looks for old ones goes through as many, for ever.
        .idle_timeout(None)
        .max_lifetime(None)
}

/// What is committed is on the disk, whatever happens next: a commit that clients have merged and the
/// service has lost would split the group. What is deleted is overwritten.
///
/// A connection whose disk fails is not refused here: the pool would try again until nobody waits any more.
/// Its first transaction meets the same fault, and says so.
async fn sqlite(url: &str, connections: u32, room: Option<u64>) -> Result<AnyPool, sqlx::Error> {
    let pages = room.map(|bytes| format!("PRAGMA max_page_count = {}", (bytes / PAGE).max(1)));
    options(connections)
        // A file does not hang up.
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let pages = pages.clone();
            Box::pin(async move {
                match set_up(connection, pages).await {
                    Err(error) if StorageFault::of(&error).is_some() => Ok(()),
                    done => done,
                }
            })
        })
        .connect(url)
        .await
}

async fn set_up(connection: &mut AnyConnection, pages: Option<String>) -> Result<(), sqlx::Error> {
    let patience = format!("PRAGMA busy_timeout = {}", LOCK_PATIENCE.as_millis());
    connection.execute(AssertSqlSafe(patience)).await?;
    connection.execute("PRAGMA foreign_keys = ON").await?;
    connection.execute("PRAGMA secure_delete = ON").await?;
    // Those that read the file.
    connection.execute("PRAGMA synchronous = FULL").await?;
    if let Some(pages) = pages {
        connection.execute(AssertSqlSafe(pages)).await?;
    }
    Ok(())
}

/// Tells the other replicas what the transaction wakes, when it is committed.
pub(super) async fn notify(tx: &mut Tx) -> Result<(), StoreError> {
    let topics = tx.woken.clone();
    for topic in topics {
        sqlx::query("SELECT pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(topic.name())
            .execute(tx.connection())
            .await?;
    }
    Ok(())
}

/// What the other replicas say.
pub(crate) enum Heard {
    /// Something new in this topic.
    Topic(Topic),
    /// The connection was lost for a while: there may be something new in every topic.
    Everything,
}

/// Listens to the other replicas for ever. Returns at once on SQLite, which has none.
pub(crate) async fn listen(database: &Database, heard: Arc<dyn Fn(Heard) + Send + Sync>) {
    let Database::Postgres { .. } = database else { return };
    loop {
        if let Err(error) = listen_once(database.url(), &heard).await {
            tracing::warn!(%error, "lost the notifications of the other replicas");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn listen_once(
    url: &str,
    heard: &Arc<dyn Fn(Heard) + Send + Sync>,
) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen(CHANNEL).await?;
    heard(Heard::Everything);
    loop {
        match listener.try_recv().await? {
            Some(notification) => heard(Heard::Topic(Topic::named(notification.payload()))),
            // It has connected again by itself.
            None => heard(Heard::Everything),
        }
    }
}
