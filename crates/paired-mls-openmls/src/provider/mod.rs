//! The OpenMLS providers that a [`Device`](crate::Device) works with: cryptography and randomness
//! of the caller's choice, and a storage that can write several records as one.

mod memory;
mod scratch;
#[cfg(feature = "sqlite")]
mod sqlite;

use openmls_traits::{
    OpenMlsProvider,
    crypto::OpenMlsCrypto,
    random::OpenMlsRand,
    storage::{CURRENT_VERSION, StorageProvider},
};

pub use self::memory::MemoryProvider;
pub(crate) use self::scratch::Scratch;
#[cfg(feature = "sqlite")]
pub use self::sqlite::{JsonCodec, SqliteError, SqliteProvider};
use crate::{BoxError, Error};

/// An OpenMLS provider whose storage can make several writes at once or not at all.
///
/// OpenMLS writes several records when it processes and merges a commit; a crash between two of
/// them must not lose the group.
///
/// # Obligations
///
/// - After `begin` and a crash, or `rollback`, the records are those of before `begin`.
/// - Once `commit` has returned, they are the new ones, whatever happens.
/// - The storage keeps records in a format that says what they are made of, like JSON: a rejoin puts records there that it
///   knows no more of.
pub trait Platform:
    OpenMlsProvider<
        CryptoProvider: OpenMlsCrypto,
        RandProvider: OpenMlsRand<Error: Send + Sync + 'static> + Sync,
        StorageProvider: StorageProvider<CURRENT_VERSION, Error: Send + Sync + 'static>,
    >
{
    /// What the storage needs to undo a transaction.
    type Transaction;

    /// Begins a transaction. The calls of this crate do not nest them.
    ///
    /// # Errors
    ///
    /// Whatever keeps the storage from it.
    fn begin(&self) -> Result<Self::Transaction, BoxError>;

    /// Makes the transaction's writes durable.
    ///
    /// # Errors
    ///
    /// Whatever keeps the storage from it; then they are undone.
    fn commit(&self, transaction: Self::Transaction) -> Result<(), BoxError>;

    /// Undoes the transaction's writes.
    fn rollback(&self, transaction: Self::Transaction);
}

/// Runs `work`, and undoes its writes in any case.
pub(crate) fn undone<P: Platform, T>(
    provider: &P,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let failed = |source| Error::Storage { step: "begin a transaction", source };
    let transaction = provider.begin().map_err(failed)?;
    let result = work();
    provider.rollback(transaction);
    result
}

/// Runs `work` as one transaction: its writes are kept if it succeeds, and undone if it fails.
pub(crate) fn atomically<P: Platform, T>(
    provider: &P,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let failed = |step| move |source| Error::Storage { step, source };
    let transaction = provider.begin().map_err(failed("begin a transaction"))?;
    match work() {
        Ok(value) => {
            provider.commit(transaction).map_err(failed("commit a transaction"))?;
            Ok(value)
        }
        Err(error) => {
            provider.rollback(transaction);
            Err(error)
        }
    }
}
