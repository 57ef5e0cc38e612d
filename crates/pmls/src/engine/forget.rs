//! Groups that are over.

use openmls_traits::OpenMlsProvider as _;
use paired_mls_api::GroupId;
use paired_mls_openmls::openmls::prelude::{GroupId as MlsGroupId, MlsGroup};

use super::{Engine, EngineError, GroupRow, Happening, Report, group::mls};

/// What is done with a group that this device is still in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StillIn {
    /// It is kept.
    Refuse,
    /// It is forgotten like any other.
    Forget,
}

impl From<bool> for StillIn {
    /// From a flag.
    fn from(flag: bool) -> Self {
        if flag { Self::Forget } else { Self::Refuse }
    }
}

impl Engine {
    /// Erases what this device has of a group.
    pub(crate) fn forget(
        &mut self,
        name: &str,
        still_in: StillIn,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let row = self.find(name)?;
        if row.state.takes_part() && still_in == StillIn::Refuse {
            return Err(EngineError::StillIn(row.name));
        }
        self.erase_all(&row)?;
        report.add(Happening::Forgotten { group: row.name, id: row.id.to_string() });
        Ok(())
    }

    /// Erases the groups that this device is out of and whose user never knew of them, but for the newest: others
    /// decide how many there are.
    pub(super) fn forget_old_unused(&self, report: &mut Report) -> Result<(), EngineError> {
        for row in self.store().old_unused()? {
            self.erase_all(&row)?;
            report.add(Happening::Forgotten { group: row.name, id: row.id.to_string() });
        }
        Ok(())
    }

    fn erase_all(&self, row: &GroupRow) -> Result<(), EngineError> {
        match self.load(row) {
            // A leaf that is still in the group is the partners' too, and so is what it draws from.
            Ok(group) if group.shared().is_some() && group.mls().is_active() => {}
            Ok(mut group) => {
                if group.phase().is_some() {
                    group.cease()?;
                }
                group.unpair()?;
            }
            // The MLS state is gone already.
            Err(EngineError::Mls(_)) => {}
            Err(error) => return Err(error),
        }
        for (id, item) in self.store().outbox()?.into_iter().chain(self.store().late_items()?) {
            if item.group() == Some(&row.id) {
                self.store().sent(id)?;
            }
        }
        self.erase_group(&row.id)
    }

    /// Erases a group, also one that was never there for others.
    pub(super) fn erase_group(&self, id: &GroupId) -> Result<(), EngineError> {
        let storage = self.device().provider().storage();
        let mls_id = MlsGroupId::from_slice(id.as_bytes());
        let failed = |source| mls("erase a group", source);
        self.device().provider().transaction(|| {
            if let Some(mut found) = MlsGroup::load(storage, &mls_id).map_err(failed)? {
                found.delete(storage).map_err(failed)?;
            }
            self.store().forget_group(id)
        })
    }
}
