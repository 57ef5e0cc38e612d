//! Pairings for people and scripts.

use paired_mls::{
    PairingId,
    pairing::{AnchorKind, Mode, PairingState, Roster, StateName},
};
use paired_mls_api::DeviceId;
use serde::Serialize;

use crate::{
    engine::{Engine, EngineError, leaf::terms_of},
    output::printable,
};

/// A pairing, for people and scripts.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PairingView {
    pub(crate) id: String,
    pub(crate) state: &'static str,
    pub(crate) mode: Option<&'static str>,
    pub(crate) anchor: Option<&'static str>,
    pub(crate) own_device: Option<u16>,
    pub(crate) with: Vec<PartnerView>,
    pub(crate) groups: Vec<String>,
    /// What is still to be compared.
    pub(crate) digits: Option<String>,
}

/// Another device of a pairing.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PartnerView {
    pub(crate) number: u16,
    pub(crate) user: String,
    pub(crate) device: String,
}

impl Engine {
    /// All pairings, and the channels that have not come that far.
    pub(crate) fn pairings(&self) -> Result<Vec<PairingView>, EngineError> {
        let mut views = Vec::new();
        for pairing in self.book().pairings()? {
            views.push(self.pairing_view(pairing)?);
        }
        for (_, record) in
            self.channels()?.into_iter().filter(|(_, record)| record.pairing.is_none())
        {
            let with = record.others(&self.party()).into_iter();
            let partner = |user| PartnerView { number: 0, user, device: String::new() };
            views.push(PairingView {
                id: String::new(),
                state: "offered",
                mode: None,
                anchor: None,
                own_device: None,
                with: with.map(partner).collect(),
                groups: Vec::new(),
                // There is nothing yet that they could cover.
                digits: None,
            });
        }
        Ok(views)
    }

    /// The users of the other devices of a pairing.
    pub(in crate::engine) fn pairing_partners(
        &self,
        pairing: PairingId,
    ) -> Result<Vec<String>, EngineError> {
        let terms = self.terms(pairing)?;
        let own = self.party();
        let others = terms.roster().devices().iter().filter(|device| device.party != own);
        Ok(others.map(|device| printable(&device.party.identity)).collect())
    }

    pub(super) fn pairing_view(&self, pairing: PairingId) -> Result<PairingView, EngineError> {
        let state = self.book().load(pairing)?;
        let terms = terms_of(&state);
        let digits = match self.channel_of(pairing)? {
            Some((id, record)) => self.digits(&id, &record)?,
            None => None,
        };
        let roster = match &state {
            PairingState::Seeded(seeded) => Some(seeded.roster()),
            _ => terms.map(|terms| terms.roster()),
        };
        let own = self.party();
        let scheme = self.scheme()?;
        let others = roster.map(Roster::devices).unwrap_or_default().iter();
        let others = others.filter(|device| device.party != own);
        let with = others.map(|device| PartnerView {
            number: device.device.0,
            user: printable(&device.party.identity),
            device: DeviceId::of_key(scheme, &device.party.signature_key).to_string(),
        });
        let groups = match terms {
            Some(_) => self.groups_of(pairing)?.into_iter().map(|group| group.row.name).collect(),
            None => Vec::new(),
        };
        Ok(PairingView {
            id: pairing.to_string(),
            state: short_state(state.name()),
            mode: terms.map(|terms| match terms.mode() {
                Mode::Standard(_) => "standard",
                Mode::Hidden { .. } => "hidden",
            }),
            anchor: terms.map(|terms| match terms.anchor() {
                AnchorKind::Leaf => "leaf",
                AnchorKind::Node => "node",
            }),
            own_device: roster.and_then(|roster| roster.number_of(&own)).map(|number| number.0),
            with: with.collect(),
            groups,
            digits,
        })
    }
}

/// One word for a state.
pub(in crate::engine) fn short_state(state: StateName) -> &'static str {
    match state {
        StateName::Unpaired => "unpaired",
        StateName::Seeded => "seeded",
        StateName::Invited => "invited",
        StateName::Paired => "paired",
        StateName::Ceasing => "ceasing",
        StateName::Ceased => "ceased",
        _ => "unknown",
    }
}
