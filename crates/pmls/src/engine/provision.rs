//! A device that only receives: while it can be reached, it hands its partners what they renew its leaf with for years.

use std::collections::BTreeMap;

use paired_mls::{
    PairingId,
    leaf::RefreshChain,
    pairing::{AnchorKind, PairingState},
};
use paired_mls_openmls::{Group as MlsPaired, Provision, openmls::prelude::Capabilities};

use super::{
    Engine, EngineError, Group, Happening, Report, Store,
    item::Item,
    leaf::terms_of,
    store::{from_sql, seconds},
};

const RECEIVES: &str = "only receives";

const PROVIDED: &str = "provided ";

/// Which chain was handed over last, for each pairing and partner.
const HANDED: &str = "chain ";

const DAY: u64 = 24 * 60 * 60;

/// How long before the end of what renews a device it is said, in seconds, and the name of that.
const AHEAD: [(u64, &str); 3] =
    [(30 * DAY, "30-days"), (90 * DAY, "90-days"), (365 * DAY, "a-year")];

/// Which of those times before the end it is now.
pub(super) fn ahead(until: u64, now: u64) -> Option<&'static str> {
    let left = until.saturating_sub(now);
    AHEAD.into_iter().find(|(ahead, _)| left <= *ahead).map(|(_, name)| name)
}

/// Until when the chain that a partner has handed over last goes.
fn provided(pairing: PairingId, device: u16) -> String {
    format!("{PROVIDED}{pairing} {device}")
}

/// In how many groups each pairing is: each KeyPackage of a chain is for one of them.
pub(super) type Sharing = BTreeMap<PairingId, usize>;

/// Whether a device will be out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It commits, and publishes what it needs.
    Ordinary,
    /// It will only receive: whenever it can be reached, everything is made ahead for years.
    OnlyReceives,
}

impl Store<'_> {
    /// What this device is made ready for.
    pub(crate) fn life(&self) -> Result<Life, EngineError> {
        Ok(match self.cursor(RECEIVES)? {
            0 => Life::Ordinary,
            _ => Life::OnlyReceives,
        })
    }

    /// Whether any partner has handed a chain over.
    fn is_provided(&self) -> Result<bool, EngineError> {
        let sql = "SELECT 1 FROM pmls_cursors WHERE substr(name, 1, length(?1)) = ?1";
        Ok(self.0.prepare_cached(sql)?.exists([PROVIDED])?)
    }

    /// No chain was handed over: with the next sync all of them are, once more.
    fn forget_handed(&self) -> Result<(), EngineError> {
        let sql = "DELETE FROM pmls_cursors WHERE substr(name, 1, length(?1)) = ?1";
        self.0.execute(sql, [HANDED])?;
        Ok(())
    }

    fn set_life(&self, life: Life) -> Result<(), EngineError> {
        self.set_cursor(RECEIVES, u64::from(life == Life::OnlyReceives))
    }
}

impl Engine {
    /// Makes this device ready for a time in which it only receives, or takes that back. With each sync that
    /// works, what has gone is made anew. What partners were handed before they are handed once more: it may be lost.
    pub(crate) async fn set_life(
        &mut self,
        life: Life,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        self.store().forget_handed()?;
        self.store().set_life(life)?;
        let done = self.sync(report).await;
        if life == Life::OnlyReceives && self.renewing()?.is_empty() {
            report.add(Happening::NobodyRenews);
        }
        done
    }

    /// Hands over what is missing of the refresh chains, if this device only receives.
    pub(super) async fn provide(&mut self, report: &mut Report) -> Result<(), EngineError> {
        if self.store().life()? == Life::Ordinary {
            return Ok(());
        }
        for pairing in self.renewing()? {
            self.hand_over_chains(pairing, report)?;
        }
        self.flush(report).await?;
        self.publish_ahead(report).await
    }

    /// The pairings whose partners renew this device's leaf.
    fn renewing(&self) -> Result<Vec<PairingId>, EngineError> {
        let mut renewing = Vec::new();
        for pairing in self.book().pairings()? {
            if let PairingState::Paired(paired) = self.book().load(pairing)?
                && paired.terms().anchor() == AnchorKind::Node
            {
                renewing.push(pairing);
            }
        }
        Ok(renewing)
    }

    /// A chain for each partner: two of them never use the same KeyPackage, whatever group they are in.
    ///
    /// What was made, and not handed over because the process died, is handed over then.
    fn hand_over_chains(&self, pairing: PairingId, report: &mut Report) -> Result<(), EngineError> {
        let width = self.groups_of(pairing)?.len().max(1);
        for (number, partner) in self.partners_of(pairing)? {
            let handed = format!("{HANDED}{pairing} {}", number.0);
            let made = self.device().provider().transaction(|| {
                let (device, capabilities) = (self.device(), Capabilities::default());
                let chain = MlsPaired::make_chain(device, pairing, number, width, &capabilities)?;
                if self.store().cursor(&handed)? == chain.newest {
                    return Ok(None);
                }
                self.enqueue(&Item::letter(partner.clone(), &chain.message)?)?;
                self.store().set_cursor(&handed, chain.newest)?;
                Ok::<_, EngineError>(Some(chain))
            })?;
            if let Some(chain) = made {
                report.add(Happening::ChainHandedOver {
                    pairing: pairing.to_string(),
                    to: number.0,
                    packages: chain.packages,
                    until: chain.until,
                });
            }
        }
        Ok(())
    }

    /// The refresh chain of a partner has come.
    pub(super) fn chain_came(
        &self,
        chain: &RefreshChain,
        message: &[u8],
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let pairing = chain.pairing;
        if !self.book().pairings()?.contains(&pairing) {
            return Ok(());
        }
        let state = self.book().load(pairing)?;
        let usable = !matches!(state, PairingState::Ceasing(_) | PairingState::Ceased(_));
        // The tape may be there before this device knows that all have agreed.
        let Some(terms) =
            terms_of(&state).filter(|terms| usable && terms.anchor() == AnchorKind::Node)
        else {
            return Ok(());
        };
        let adopted = MlsPaired::adopt_chain(self.device(), &terms.pairing(), message)?;
        let provided = provided(pairing, adopted.device.0);
        self.store().set_cursor(&provided, adopted.until)?;
        if adopted.kept > 0 {
            report.add(Happening::Provided {
                pairing: pairing.to_string(),
                by: adopted.device.0,
                packages: adopted.kept,
                until: adopted.until,
            });
        }
        Ok(())
    }

    /// In how many groups each pairing is; nothing where nobody has handed a chain over, and no group is loaded for it.
    pub(super) fn sharing(&self) -> Result<Sharing, EngineError> {
        let mut sharing = Sharing::new();
        if !self.store().is_provided()? {
            return Ok(sharing);
        }
        for row in self.store().groups()?.into_iter().filter(|row| row.state.takes_part()) {
            if let Some(pairing) = self.load(&row)?.any_pairing() {
                *sharing.entry(pairing).or_default() += 1;
            }
        }
        Ok(sharing)
    }

    /// How long each partner can be kept in a group without itself, of those that have handed a chain over and have not
    /// renewed their leaf themselves since.
    pub(super) fn provisions(
        &self,
        group: &Group,
        sharing: &Sharing,
    ) -> Result<Vec<Provision>, EngineError> {
        let (Some(pairing), Some(paired)) = (group.pairing(), group.paired()) else {
            return Ok(Vec::new());
        };
        let Some(groups) = sharing.get(&pairing) else { return Ok(Vec::new()) };
        let mut provisions = Vec::new();
        for provision in paired.provisions(self.device(), *groups)? {
            let provided = self.store().cursor(&provided(pairing, provision.device.0))? > 0;
            if provided && provision.leaf_until.is_some() {
                provisions.push(provision);
            }
        }
        Ok(provisions)
    }

    /// Says how long partners can still be kept in their groups: a year, 90 and 30 days before the end, once each.
    pub(super) fn tell_provisions(&self, report: &mut Report) -> Result<(), EngineError> {
        let sharing = self.sharing()?;
        if sharing.is_empty() {
            return Ok(());
        }
        let now = from_sql(seconds(self.now()));
        for row in self.store().groups()?.into_iter().filter(|row| row.state.takes_part()) {
            let group = self.load(&row)?;
            for Provision { device, until, .. } in self.provisions(&group, &sharing)? {
                let (device, Some(ahead)) = (device.0, ahead(until, now)) else { continue };
                if self.is_news(&format!("provision {} {device} {until} {ahead}", row.id))? {
                    let group = row.name.clone();
                    report.add(Happening::ProvisionEnds { group, device, until, ahead });
                }
            }
        }
        Ok(())
    }
}
