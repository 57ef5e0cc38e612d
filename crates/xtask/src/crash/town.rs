//! Everybody who is not killed: the directory, and the stock members of a group.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use openmls_traits::random::OpenMlsRand as _;
use paired_mls::{
    conformance::{Content, Framing, Listener as _, Member as _},
    pairing::RegistryEntry,
};
use paired_mls_peers::{Door, StockMlsRs, StockOpenMls};

use super::{
    AnchorKind, Kind, VaultKind,
    files::{Crypto, Home, NAMES, Round, SUITE, crypto, get, letters, put},
    pause,
};
use crate::Failure;

/// A directory, and a group of Ada on OpenMLS and, where there is no gate in front of it, Bob on mls-rs.
pub(super) struct Town {
    round: Round,
    homes: Vec<Home>,
    directory: Option<RegistryEntry>,
    ada: StockOpenMls<Crypto>,
    bob: Option<StockMlsRs>,
    anchor: AnchorKind,
}

impl Town {
    /// Begins a round.
    pub(super) fn found(folder: &Path, kind: Kind, number: usize) -> Result<Self, Failure> {
        let homes = (0..NAMES.len()).map(|device| {
            // Of a home the town reads what is public.
            Home::new(folder, device, Kind { vault: VaultKind::Plain, ..kind })
        });
        let homes = homes.collect::<Result<Vec<_>, _>>()?;
        let (door, bob) = match kind.anchor {
            AnchorKind::Node => {
                let bob = StockMlsRs::new(SUITE, Framing::Public, "bob")?;
                (Door::Open, Some(bob))
            }
            AnchorKind::Leaf => (Door::Gated, None),
        };
        let round = Round::new(folder, number);
        let mut ada = StockOpenMls::behind(door, SUITE, Framing::Public, "ada")?;
        ada.create(&round.group_id())?;
        let seed = crypto().random_vec(SUITE.kdf_len())?;
        round.begin(&seed)?;
        Ok(Self { round, homes, directory: None, ada, bob, anchor: kind.anchor })
    }

    /// Serves everybody for a while.
    pub(super) fn serve_for(&mut self, time: Duration) -> Result<(), Failure> {
        let until = Instant::now() + time;
        loop {
            self.register()?;
            self.let_in()?;
            self.follow()?;
            if Instant::now() >= until {
                return Ok(());
            }
            pause();
        }
    }

    /// Whether both devices are in the group, and have committed.
    pub(super) fn is_settled(&self) -> Result<bool, Failure> {
        let is_in = |name: &&str| self.round.has_entered(name).exists();
        Ok(NAMES.iter().all(is_in) && self.round.commits()? > 0)
    }

    /// The epoch of the group, and its authenticator, once all commits are processed.
    pub(super) fn finish(mut self) -> Result<String, Failure> {
        self.follow()?;
        Ok(format!("{} {:?}", self.ada.epoch(), self.ada.epoch_authenticator()))
    }

    /// The directory's answers to what was asked.
    fn register(&mut self) -> Result<(), Failure> {
        for (path, sender, request) in letters(&self.round.mail("directory"))? {
            let home = self.homes.iter().find(|home| home.name() == sender);
            let party = home.ok_or("nobody of that name asks the directory")?.party()?;
            let entry = match self.directory.take() {
                None => RegistryEntry::open(&party, &request)?,
                Some(entry) => {
                    entry.submit(&party, &request).map_err(|failed| failed.into_parts().1)?
                }
            };
            let (answer, to) = match &entry {
                RegistryEntry::Pending(pending) => {
                    let waiting = pending.waiting_for().into_iter();
                    (
                        entry.request().to_vec(),
                        waiting.map(|device| usize::from(device.0)).collect(),
                    )
                }
                RegistryEntry::Registered(registered) => {
                    (registered.accept()?.expose().to_vec(), vec![0, 1])
                }
            };
            self.directory = Some(entry);
            let kind = answer.get(1).copied().unwrap_or_default();
            for name in to.into_iter().filter_map(|to: usize| NAMES.get(to)) {
                let letter = self.round.mail(name).join(format!("directory-{kind}.letter"));
                put(&letter, &answer)?;
            }
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// Adds the devices, once they have said what they come with.
    fn let_in(&mut self) -> Result<(), Failure> {
        if self.round.welcome().exists() {
            return Ok(());
        }
        let packages = NAMES.iter().map(|name| get(&self.round.key_package(name)));
        let packages = packages.collect::<Result<Option<Vec<_>>, _>>().transpose();
        let Some(packages) = packages.transpose()? else { return Ok(()) };
        let mut adds = Vec::new();
        // Beside Ada, so that the devices are siblings.
        if let Some(bob) = &mut self.bob {
            adds.push(bob.key_package()?);
        }
        let leaves = match self.anchor {
            AnchorKind::Node => packages.len(),
            AnchorKind::Leaf => 1,
        };
        adds.extend(packages.into_iter().take(leaves));
        let sent = self.ada.commit(&Content { adds, ..Content::default() })?;
        self.ada.confirm()?;
        let welcome = sent.welcome.ok_or("an Add gives a Welcome")?;
        if let Some(bob) = &mut self.bob {
            bob.join(&welcome)?;
        }
        put(&self.round.welcome(), &welcome)
    }

    fn follow(&mut self) -> Result<(), Failure> {
        while let Some(commit) = self.round.commit_of(self.ada.epoch())? {
            self.ada.process(&commit)?;
            let Some(bob) = &mut self.bob else { continue };
            bob.process(&commit)?;
            if bob.epoch_authenticator() != self.ada.epoch_authenticator() {
                return Err("the stock members have come apart".into());
            }
        }
        Ok(())
    }
}
