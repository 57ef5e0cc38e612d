//! What the database does without a service: the statements of a request, in one transaction each, on the
//! connections that one would give it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use paired_mls_api::{DeviceId, GroupId, UserId};
use sqlx::{AnyPool, Executor as _, any::AnyPoolOptions};
use tokio::task::JoinSet;

use super::rate::Rate;
use crate::Failure;

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A commit: the compare-and-swap, the entry of the log, and who else is to be told.
    Commit,
    /// A message: the entry of the log.
    Message,
}

/// Who does it, in groups that nobody else writes to.
pub(super) struct Writers {
    pub(super) user: UserId,
    pub(super) device: DeviceId,
    pub(super) groups: Vec<GroupId>,
}

/// Runs the transactions of one client for each group.
pub(super) async fn transactions(
    database: &str,
    writers: &Writers,
    kind: Kind,
    time: Duration,
) -> Result<Rate, Failure> {
    sqlx::any::install_default_drivers();
    let sqlite = database.starts_with("sqlite");
    let pool = connect(database, if sqlite { 1 } else { writers.groups.len() }).await?;
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    let message = Arc::new(vec![7_u8; 1550]);
    for group in &writers.groups {
        let writer = Writer {
            pool: pool.clone(),
            begin: if sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" },
            user: writers.user.clone(),
            device: writers.device.clone(),
            group: group.clone(),
            message: Arc::clone(&message),
        };
        tasks.spawn(async move {
            let mut times = Vec::new();
            while started.elapsed() < time {
                let begun = Instant::now();
                writer.append(kind).await?;
                times.push(begun.elapsed());
            }
            Ok::<_, Failure>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(finished) = tasks.join_next().await {
        times.extend(finished??);
    }
    let rate = Rate::of(times, started.elapsed());
    pool.close().await;
    Ok(rate)
}

struct Writer {
    pool: AnyPool,
    begin: &'static str,
    user: UserId,
    device: DeviceId,
    group: GroupId,
    message: Arc<Vec<u8>>,
}

impl Writer {
    /// What the service does for one request, with its nonce.
    async fn append(&self, kind: Kind) -> Result<(), Failure> {
        let (mut nonce, mut digest) = ([0; 16], [0; 32]);
        getrandom::fill(&mut nonce)?;
        getrandom::fill(&mut digest)?;
        let (group, user) = (self.group.as_bytes(), self.user.as_bytes());
        let mut transaction = self.pool.begin_with(self.begin).await?;
        sqlx::query("INSERT INTO nonces (device_id, nonce, expires_at) VALUES ($1, $2, $3)")
            .bind(self.device.as_bytes())
            .bind(nonce.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
            .bind(i64::MAX)
            .execute(&mut *transaction)
            .await?;
        let swap = match kind {
            Kind::Commit => {
                "UPDATE groups SET epoch = epoch + 1, head = head + 1 WHERE group_id = $1
                 RETURNING head, epoch"
            }
            Kind::Message => {
                "UPDATE groups SET head = head + 1 WHERE group_id = $1 RETURNING head, epoch"
            }
        };
        let row = sqlx::query(swap).bind(group).fetch_one(&mut *transaction).await?;
        let (head, epoch): (i64, i64) =
            (sqlx::Row::try_get(&row, 0)?, sqlx::Row::try_get(&row, 1)?);
        sqlx::query(
            "SELECT g.epoch, g.head, g.access, r.user_id, r.removed_at FROM groups g
             LEFT JOIN roster r ON r.group_id = g.group_id AND r.user_id = $2
             WHERE g.group_id = $1",
        )
        .bind(group)
        .bind(user)
        .fetch_all(&mut *transaction)
        .await?;
        if kind == Kind::Message {
            sqlx::query("SELECT position, epoch FROM log WHERE group_id = $1 AND digest = $2")
                .bind(group)
                .bind(digest.as_slice())
                .fetch_all(&mut *transaction)
                .await?;
        }
        sqlx::query(
            "INSERT INTO log (group_id, position, epoch, kind, message, digest)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(group)
        .bind(head)
        .bind(epoch)
        .bind(if kind == Kind::Commit { "commit" } else { "application" })
        .bind(self.message.as_slice())
        .bind(digest.as_slice())
        .execute(&mut *transaction)
        .await?;
        if kind == Kind::Commit {
            sqlx::query("SELECT device_id FROM devices WHERE user_id = $1 AND device_id <> $2")
                .bind(user)
                .bind(self.device.as_bytes())
                .fetch_all(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// As safe as the service: what is committed is on the disk.
async fn connect(database: &str, connections: usize) -> Result<AnyPool, Failure> {
    let sqlite = database.starts_with("sqlite");
    let options = AnyPoolOptions::new().max_connections(u32::try_from(connections)?);
    let options = options.acquire_timeout(Duration::from_secs(60)).test_before_acquire(!sqlite);
    let options = options.after_connect(move |connection, _| {
        Box::pin(async move {
            if sqlite {
                connection.execute("PRAGMA synchronous = FULL").await?;
                connection.execute("PRAGMA secure_delete = ON").await?;
            }
            Ok(())
        })
    });
    Ok(options.connect(database).await?)
}
