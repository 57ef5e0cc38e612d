//! Groups that are over.

use openmls_traits::OpenMlsProvider as _;
use paired_mls_api::GroupId;
use paired_mls_openmls::openmls::prelude::{GroupId as MlsGroupId, MlsGroup};

use super::{Engine, EngineError, Group, Happening, Report, group::mls};

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
        match self.load(&row) {
            Ok(group) if group.shared().is_some() && !group.mls().is_active() => group.erase()?,
            Ok(mut group) => self.unpair(&mut group)?,
            // The MLS state is gone already.
            Err(EngineError::Mls(_)) => {}
            Err(error) => return Err(error),
        }
        for (id, item) in self.store().outbox()?.into_iter().chain(self.store().late_items()?) {
            if item.group() == Some(&row.id) {
                self.store().sent(id)?;
            }
        }
        self.erase_group(&row.id)?;
        report.add(Happening::Forgotten { group: row.name, id: row.id.to_string() });
        Ok(())
    }

    fn unpair(&self, group: &mut Group) -> Result<(), EngineError> {
        match group.as_own() {
            Some((own, device)) if own.is_paired() => {
                own.cease(device)?;
                Ok(own.unpair(device)?)
            }
            _ => Ok(()),
        }
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
