//! The right to send from a shared leaf.

use paired_mls_openmls::UsageError;

use serde::Serialize;

use super::{Engine, EngineError, Group, Happening, Report, item::Item};

/// Who may send from a shared leaf.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Token {
    pub(crate) group: String,
    pub(crate) state: TokenState,
    /// The number, in the pairing, of the device that made the leaf's last commit.
    pub(crate) holder: Option<u16>,
    /// That of this device.
    pub(crate) own: Option<u16>,
}

/// Where the token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TokenState {
    /// No device has it.
    Nobody,
    /// This device may send.
    Own,
    /// Another device may send.
    Elsewhere,
    /// Its holder has given it away, and sends nothing more: whoever commits next has it.
    GivenAway,
}

impl Engine {
    /// Who may send from the shared leaf.
    pub(crate) fn token(&self, name: &str) -> Result<Token, EngineError> {
        let group = self.group(name)?;
        let shared =
            group.shared().ok_or_else(|| EngineError::NoSharedLeaf(group.row.name.clone()))?;
        let terms = self.terms(group.pairing().ok_or(UsageError::NotPaired)?)?;
        let own = self.own_number(&terms).map(|device| device.0);
        let holder = shared.token().map(|device| device.0);
        let told = self.store().cursor(&given_by_partner(&group))?;
        let given = match holder == own {
            true => shared.token_given().is_some(),
            false => told > group.epoch(),
        };
        let state = match holder {
            None => TokenState::Nobody,
            Some(_) if given => TokenState::GivenAway,
            Some(_) if holder == own => TokenState::Own,
            Some(_) => TokenState::Elsewhere,
        };
        Ok(Token { group: group.row.name, state, holder, own })
    }

    /// A partner sends nothing more in this epoch.
    pub(super) fn partner_gave_token(&self, group: &Group) -> Result<(), EngineError> {
        self.store().set_cursor(&given_by_partner(group), group.epoch().saturating_add(1))
    }

    /// Asks the partners behind the leaf to let this device send.
    pub(crate) async fn ask_token(
        &mut self,
        name: &str,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let group =
            self.tell_partners(name, report, |shared, device| shared.ask_token(device)).await?;
        report.add(Happening::TokenAsked { group });
        Ok(())
    }

    /// Sends nothing more from the leaf, and says so to the partners.
    pub(crate) async fn give_token(
        &mut self,
        name: &str,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let group =
            self.tell_partners(name, report, |shared, device| shared.give_token(device)).await?;
        report.add(Happening::TokenGivenAway { group });
        Ok(())
    }

    async fn tell_partners(
        &mut self,
        name: &str,
        report: &mut Report,
        say: impl Fn(
            &mut paired_mls_openmls::LeafGroup,
            &crate::session::OwnDevice,
        ) -> Result<Vec<u8>, paired_mls_openmls::Error>,
    ) -> Result<String, EngineError> {
        self.sync(report).await?;
        let mut group = self.group(name)?;
        let pairing = group.pairing().ok_or(UsageError::NotPaired)?;
        let partners = self.partners_of(pairing)?;
        self.device().provider().transaction(|| {
            let name = group.row.name.clone();
            let (shared, device) = group.as_shared().ok_or(EngineError::NoSharedLeaf(name))?;
            let message = say(shared, device)?;
            partners.iter().try_for_each(|(_, to)| {
                self.enqueue(&Item::letter(to.clone(), &message)?).map(drop)
            })
        })?;
        self.flush(report).await?;
        Ok(group.row.name)
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

/// The name of what is remembered: the epoch after the one in which a partner has given the token away.
fn given_by_partner(group: &Group) -> String {
    format!("token {}", group.row.id)
}
