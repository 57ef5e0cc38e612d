//! What an operator does to the database, beside a service that may run on it.
//!
//! Each of these is one transaction like any other, so it waits for the service and the service for it. What
//! takes long is done in parts, each of which leaves the database as it should be.

mod ban;
mod delete;
mod integrity;
mod look;
mod restored;

use sqlx::AnyConnection;

use super::{
    StoreError, Transaction, Tx,
    row::{bytes, uint},
};

pub(super) use self::delete::{drop_device, drop_pairings};
pub(crate) use self::{
    ban::{Ban, FreeDevice, Unban},
    delete::{
        DeleteApproval, DeleteDevice, DeleteGroup, DeleteLog, DeleteUser, DropDevices, GroupsAlone,
    },
    integrity::{
        Bounds, Broken, EndedKeys, Facts, KeyFault, Keys, Orphans, Pages, RecoveryKeys, Strays,
        Stretch, Walk, Walked,
    },
    look::{Approvals, Devices, Groups, Members, OwnGroups, Users},
    restored::{KeyOfUser, NewIncarnation, ShutOut},
};

/// How much a page of a list or one step of something long has.
pub(crate) const STEP: u32 = 500;

/// What an operator does, by a transaction. A service that runs on the same file of SQLite sees that it was
/// done; the replicas on PostgreSQL are told.
pub(crate) struct ByOperator<T>(pub(crate) T);

impl<T: Transaction> Transaction for ByOperator<T> {
    const NAME: &'static str = T::NAME;
    type Output = T::Output;

    async fn run(&self, tx: &mut Tx) -> Result<T::Output, StoreError> {
        let output = self.0.run(tx).await?;
        if T::keeps(&output) {
            sqlx::query("UPDATE service SET touched = touched + 1")
                .execute(tx.connection())
                .await?;
        }
        Ok(output)
    }

    fn keeps(output: &T::Output) -> bool {
        T::keeps(output)
    }
}

/// Which history of the service this is: it begins anew when a backup is restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Incarnation(pub(crate) Vec<u8>);

/// How often an operator has changed something, and the incarnation.
pub(crate) struct Touched;

impl Transaction for Touched {
    const NAME: &'static str = "touched";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = (u64, Incarnation);

    async fn run(&self, tx: &mut Tx) -> Result<(u64, Incarnation), StoreError> {
        let query = sqlx::query("SELECT touched, incarnation FROM service");
        let row = query.fetch_one(tx.connection()).await?;
        Ok((uint(&row, 0)?, Incarnation(bytes(&row, 1)?)))
    }
}

/// Runs statements that are about one id. Returns how many rows they have changed.
async fn each(
    connection: &mut AnyConnection,
    statements: &[&'static str],
    id: &[u8],
) -> Result<u64, StoreError> {
    let mut changed = 0;
    for statement in statements {
        changed +=
            sqlx::query(*statement).bind(id).execute(&mut *connection).await?.rows_affected();
    }
    Ok(changed)
}
