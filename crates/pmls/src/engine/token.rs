//! The right to send from a shared leaf.

use paired_mls_openmls::UsageError;

use super::{Engine, EngineError, Report, outbox::Item};

impl Engine {
    /// The number of the device that may send from the shared leaf, and that of this one.
    pub(crate) fn token(&self, name: &str) -> Result<(Option<u16>, Option<u16>), EngineError> {
        let group = self.group(name)?;
        let shared =
            group.shared().ok_or_else(|| EngineError::NoSharedLeaf(group.row.name.clone()))?;
        let terms = self.terms(shared.pairing_tape().pairing)?;
        let own = self.own_number(&terms);
        Ok((shared.token().map(|device| device.0), own.map(|device| device.0)))
    }

    /// Asks the partners behind the leaf to let this device send.
    pub(crate) async fn ask_token(
        &mut self,
        name: &str,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        self.tell_partners(name, report, |shared, device| shared.ask_token(device)).await
    }

    /// Sends nothing more from the leaf, and says so to the partners.
    pub(crate) async fn give_token(
        &mut self,
        name: &str,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        self.tell_partners(name, report, |shared, device| shared.give_token(device)).await
    }

    async fn tell_partners(
        &mut self,
        name: &str,
        report: &mut Report,
        say: impl Fn(
            &mut paired_mls_openmls::LeafGroup,
            &crate::session::OwnDevice,
        ) -> Result<Vec<u8>, paired_mls_openmls::Error>,
    ) -> Result<(), EngineError> {
        self.sync(report).await?;
        let mut group = self.group(name)?;
        let pairing = group.pairing().ok_or(UsageError::NotPaired)?;
        let partners = self.partners_of(pairing)?;
        self.device().provider().transaction(|| {
            let name = group.row.name.clone();
            let (shared, device) = group.as_shared().ok_or(EngineError::NoSharedLeaf(name))?;
            let message = say(shared, device)?;
            partners
                .iter()
                .try_for_each(|(_, to)| self.enqueue(&Item::letter(to.clone(), &message)?))
        })?;
        self.flush(report).await?;
        Ok(())
    }

    /// The groups in which commits of this device heal somebody.
    pub(crate) fn paired_groups(&self) -> Result<Vec<String>, EngineError> {
        let mut names = Vec::new();
        for row in self.store().groups()? {
            if row.state == super::Membership::Active && self.load(&row)?.pairing().is_some() {
                names.push(row.name);
            }
        }
        Ok(names)
    }
}
