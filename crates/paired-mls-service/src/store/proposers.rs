//! How many proposals wait in the log of a group for a commit: its epoch ends them.

use paired_mls_api::{GroupId, UserId};

use super::{
    Refusal, StoreError, Tx,
    row::{int, uint},
};

/// Who has as many proposals in an epoch as may be, or as long ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proposers {
    /// The account that has sent one more.
    Account,
    /// All accounts together.
    All,
}

/// How many proposals there may be, and how long they may be together, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Most {
    pub(crate) proposals: u64,
    pub(crate) bytes: u64,
}

/// What proposals of one epoch have room in the log of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProposalRoom {
    pub(crate) of_account: Most,
    pub(crate) of_all: Most,
}

impl ProposalRoom {
    /// Whether a proposal in the current epoch has room beside those that there are. It is counted; what refuses it
    /// keeps nothing of the transaction. The group is locked.
    pub(super) async fn takes(
        self,
        tx: &mut Tx,
        (group, epoch): (&GroupId, u64),
        user: &UserId,
        proposal: &[u8],
    ) -> Result<Result<(), Refusal>, StoreError> {
        sqlx::query("DELETE FROM proposers WHERE group_id = $1 AND epoch <> $2")
            .bind(group.as_bytes())
            .bind(int(epoch)?)
            .execute(tx.connection())
            .await?;
        let own = sqlx::query(
            "INSERT INTO proposers (group_id, user_id, epoch, proposals, bytes)
             VALUES ($1, $2, $3, 1, $4)
             ON CONFLICT (group_id, user_id) DO UPDATE SET
                 proposals = proposers.proposals + 1, bytes = proposers.bytes + $4
             RETURNING proposals, bytes",
        )
        .bind(group.as_bytes())
        .bind(user.as_bytes())
        .bind(int(epoch)?)
        .bind(int(u64::try_from(proposal.len()).unwrap_or(u64::MAX))?)
        .fetch_one(tx.connection())
        .await?;
        if !self.of_account.has(&own)? {
            return Ok(Err(Refusal::Proposals(Proposers::Account)));
        }
        let all = sqlx::query(
            "SELECT CAST(SUM(proposals) AS BIGINT), CAST(SUM(bytes) AS BIGINT) FROM proposers
             WHERE group_id = $1",
        )
        .bind(group.as_bytes())
        .fetch_one(tx.connection())
        .await?;
        if !self.of_all.has(&all)? {
            return Ok(Err(Refusal::Proposals(Proposers::All)));
        }
        Ok(Ok(()))
    }
}

impl Most {
    /// Whether so many proposals, and so many bytes of them, have room.
    fn has(self, row: &sqlx::any::AnyRow) -> Result<bool, StoreError> {
        Ok(uint(row, 0)? <= self.proposals && uint(row, 1)? <= self.bytes)
    }
}
