//! What the database does without a service: the compare-and-swap and the entry of the log.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{AnyPool, Executor as _, any::AnyPoolOptions};
use tokio::task::JoinSet;

use crate::Failure;

/// Transactions in a second.
pub(super) async fn transactions(
    database: &str,
    clients: usize,
    time: Duration,
) -> Result<f64, Failure> {
    sqlx::any::install_default_drivers();
    let sqlite = database.starts_with("sqlite");
    let pool = connect(database, if sqlite { 1 } else { clients }).await?;
    let blob = if sqlite { "BLOB" } else { "BYTEA" };
    for statement in [
        "DROP TABLE IF EXISTS bare_log".to_owned(),
        "DROP TABLE IF EXISTS bare_groups".to_owned(),
        "CREATE TABLE bare_groups (id BIGINT PRIMARY KEY, epoch BIGINT NOT NULL)".to_owned(),
        format!(
            "CREATE TABLE bare_log (id BIGINT, position BIGINT, message {blob} NOT NULL, \
             PRIMARY KEY (id, position))"
        ),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&pool).await?;
    }
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    let message = Arc::new(vec![7_u8; 1550]);
    for id in 0..clients {
        let (pool, id, message) = (pool.clone(), i64::try_from(id)?, Arc::clone(&message));
        tasks.spawn(async move {
            sqlx::query("INSERT INTO bare_groups VALUES ($1, 0)").bind(id).execute(&pool).await?;
            let mut epoch = 0_i64;
            while started.elapsed() < time {
                append(&pool, id, epoch, &message).await?;
                epoch += 1;
            }
            Ok::<_, Failure>(epoch)
        });
    }
    let mut done = 0;
    while let Some(finished) = tasks.join_next().await {
        done += finished??;
    }
    let rate = done as f64 / started.elapsed().as_secs_f64();
    pool.execute("DROP TABLE bare_log").await?;
    pool.execute("DROP TABLE bare_groups").await?;
    pool.close().await;
    Ok(rate)
}

async fn append(pool: &AnyPool, id: i64, epoch: i64, message: &[u8]) -> Result<(), Failure> {
    let mut transaction = pool.begin().await?;
    sqlx::query("UPDATE bare_groups SET epoch = epoch + 1 WHERE id = $1 AND epoch = $2")
        .bind(id)
        .bind(epoch)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO bare_log VALUES ($1, $2, $3)")
        .bind(id)
        .bind(epoch)
        .bind(message)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// As safe as the service: what is committed is on the disk.
async fn connect(database: &str, connections: usize) -> Result<AnyPool, Failure> {
    let sqlite = database.starts_with("sqlite");
    let options = AnyPoolOptions::new().max_connections(u32::try_from(connections)?);
    let options =
        options.acquire_timeout(Duration::from_secs(60)).after_connect(move |connection, _| {
            Box::pin(async move {
                if sqlite {
                    connection.execute("PRAGMA journal_mode = WAL").await?;
                    connection.execute("PRAGMA synchronous = FULL").await?;
                }
                Ok(())
            })
        });
    let url = if sqlite { format!("{database}?mode=rwc") } else { database.to_owned() };
    Ok(options.connect(&url).await?)
}
