//! Who is in the group, and what a step does.

use std::{collections::BTreeMap, path::Path};

use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    DeviceId, EpochSecurity, Event, Pairing, PairingId, Secret, Seed,
    anchor::{Changes, LeafIndex},
    conformance::{Content, Heard, Listener as _, Member, PairedMember as _, Refused, Sent},
};

use super::{Dice, Play, Tally, thieves::Watched};
use crate::{
    OpenMlsDevice, OpenMlsThief, StockMlsRs, StockOpenMls,
    foreign::{Foreign, Kind},
};

/// One of the devices, and whoever has stolen its state.
pub(super) struct Victim {
    pub(super) device: OpenMlsDevice,
    pub(super) in_group: bool,
    /// With all keys of before the last healing, and what he has opened since.
    pub(super) thief: Option<OpenMlsThief>,
}

/// A stock member. Outside of the group it has no leaf.
struct Seat {
    name: &'static str,
    member: Box<dyn Member>,
    leaf: Option<LeafIndex>,
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Device(usize),
    Seat(usize),
}

/// What a commit does besides its path.
#[derive(Clone, Copy)]
enum Change {
    Nothing,
    Remove(By),
    Add(By),
}

pub(super) struct Table {
    pub(super) devices: Vec<Victim>,
    pairing: Pairing,
    seats: Vec<Seat>,
    /// The last healing that a device knows of, of another: counted in commits.
    pub(super) healings: BTreeMap<(usize, usize), usize>,
    /// How many commits there were.
    pub(super) number: usize,
    pub(super) tally: Tally,
}

/// What each device was told of a commit.
pub(super) type Told = BTreeMap<usize, Vec<Event>>;

impl Table {
    /// Everybody is in the group, and the devices are paired.
    pub(super) fn set(play: &Play) -> Result<Self, Refused> {
        let device = |n| OpenMlsDevice::new(play.suite, play.framing, &format!("device {n}"));
        let devices: Vec<_> = (0..play.devices).map(device).collect::<Result<_, _>>()?;
        let keys = devices.iter().map(|device| device.signature_key());
        let pairing = Pairing::new(PairingId([7; 16]), keys);
        let victim = |device| Victim { device, in_group: true, thief: None };
        let devices = devices.into_iter().map(victim).collect();
        let mut table = Self {
            devices,
            pairing,
            seats: seats(play)?,
            healings: BTreeMap::new(),
            number: 0,
            tally: Tally::default(),
        };

        let mut adds = Vec::new();
        for n in 1..table.devices.len() {
            adds.push(table.member(By::Device(n))?.key_package()?);
        }
        for n in 0..table.seats.len() {
            adds.push(table.member(By::Seat(n))?.key_package()?);
        }
        let first = table.member(By::Device(0))?;
        first.create(b"a random play")?;
        let sent = first.commit(&Content { adds, removes: Vec::new() })?;
        first.confirm()?;
        let welcome = sent.welcome.ok_or("the commit that adds has no Welcome")?;
        for who in table.there().into_iter().filter(|who| *who != By::Device(0)) {
            table.member(who)?.join(&welcome)?;
        }
        for (victim, own) in table.devices.iter_mut().zip((0..).map(DeviceId)) {
            let seed = Secret::new(vec![0x5e; play.suite.kdf_len()]);
            let seed = Seed::new(play.suite, seed)?;
            table.pairing.install(victim.device.vault(), play.suite, seed, own)?;
            victim.device.pair(&table.pairing)?;
        }
        table.require_together()?;
        Ok(table)
    }

    pub(super) fn member(&mut self, who: By) -> Result<&mut dyn Member, Refused> {
        match who {
            By::Device(n) => Ok(&mut self.devices.get_mut(n).ok_or("no such device")?.device),
            By::Seat(n) => Ok(self.seats.get_mut(n).ok_or("no such member")?.member.as_mut()),
        }
    }

    fn name(&self, who: By) -> String {
        match who {
            By::Device(n) => format!("device {n}"),
            By::Seat(n) => self.seats.get(n).map(|seat| seat.name).unwrap_or_default().into(),
        }
    }

    /// Everybody who is in the group; before it exists, who will be.
    fn there(&self) -> Vec<By> {
        let seats = self.seats.iter().enumerate().filter(|(_, seat)| seat.leaf.is_some());
        self.devices_there().into_iter().chain(seats.map(|(n, _)| By::Seat(n))).collect()
    }

    fn devices_there(&self) -> Vec<By> {
        let devices = self.devices.iter().enumerate().filter(|(_, victim)| victim.in_group);
        devices.map(|(n, _)| By::Device(n)).collect()
    }

    fn away(&self) -> Vec<By> {
        let devices = (0..self.devices.len()).map(By::Device);
        let all = devices.chain((0..self.seats.len()).map(By::Seat));
        let there = self.there();
        all.filter(|who| !there.contains(who)).collect()
    }

    fn witness(&self) -> Result<&OpenMlsDevice, Refused> {
        let victim = self.devices.iter().find(|victim| victim.in_group);
        Ok(&victim.ok_or("no device is in the group")?.device)
    }

    fn leaf_of(&self, who: By) -> Result<LeafIndex, Refused> {
        let leaf = match who {
            By::Seat(n) => self.seats.get(n).and_then(|seat| seat.leaf),
            By::Device(n) => {
                let seats = self.witness()?.devices();
                seats.into_iter().find(|(id, _)| usize::from(id.0) == n).map(|(_, leaf)| leaf)
            }
        };
        leaf.ok_or_else(|| format!("{} is not in the group", self.name(who)).into())
    }

    /// One step. Returns what it was.
    pub(super) fn step(&mut self, dice: &mut Dice) -> Result<String, Refused> {
        let (there, devices) = (self.there(), self.devices_there());
        let seats: Vec<_> = there.iter().copied().filter(|who| !devices.contains(who)).collect();
        let nobody = "nobody is in the group";
        match dice.below(10) {
            0 | 1 => {
                let by = dice.pick(&there).ok_or(nobody)?;
                self.talk(by, dice.below(1_000))
            }
            2 if seats.len() > 1 => {
                let whom = dice.pick(&seats).ok_or(nobody)?;
                let others: Vec<_> = there.into_iter().filter(|who| *who != whom).collect();
                self.commit(dice.pick(&others).ok_or(nobody)?, Change::Remove(whom))
            }
            // By somebody else: that heals nobody, and blanks what is above the device.
            3 if devices.len() > 2 && !seats.is_empty() => {
                let whom = dice.pick(&devices).ok_or(nobody)?;
                self.commit(dice.pick(&seats).ok_or(nobody)?, Change::Remove(whom))
            }
            4..=6 if !self.away().is_empty() => {
                let whom = dice.pick(&self.away()).ok_or(nobody)?;
                self.commit(dice.pick(&there).ok_or(nobody)?, Change::Add(whom))
            }
            7 if !seats.is_empty() => {
                self.commit(dice.pick(&seats).ok_or(nobody)?, Change::Nothing)
            }
            _ => self.commit(dice.pick(&devices).ok_or(nobody)?, Change::Nothing),
        }
    }

    /// An application message, which all others read.
    fn talk(&mut self, by: By, number: usize) -> Result<String, Refused> {
        let name = self.name(by);
        let said = format!("{number} from {name}").into_bytes();
        let message = self.member(by)?.send(&said)?;
        for who in self.there().into_iter().filter(|who| *who != by) {
            match self.member(who)?.process(&message)? {
                Heard::Application(heard) if heard == said => {}
                other => return Err(format!("{} heard {other:?}", self.name(who)).into()),
            }
        }
        *self.tally.messages.entry(name.clone()).or_default() += 1;
        Ok(format!("{name} sends a message"))
    }

    /// A commit, which everybody follows; and what the thieves make of it.
    fn commit(&mut self, by: By, change: Change) -> Result<String, Refused> {
        let (content, told) = match change {
            Change::Nothing => (Content::default(), "commits".into()),
            Change::Remove(whom) => {
                let removes = vec![self.leaf_of(whom)?];
                (Content { removes, adds: Vec::new() }, format!("removes {}", self.name(whom)))
            }
            Change::Add(whom) => {
                let adds = vec![self.member(whom)?.key_package()?];
                (Content { adds, removes: Vec::new() }, format!("adds {}", self.name(whom)))
            }
        };
        let watched = Watched::before(self)?;
        let committer = self.leaf_of(by)?;
        let told = format!("{} {told}", self.name(by));
        let sent = self.member(by)?.commit(&content).map_err(|error| format!("{told}: {error}"))?;
        let heard = self.deliver(by, change, &sent).map_err(|error| format!("{told}: {error}"))?;
        *self.tally.commits.entry(self.name(by)).or_default() += 1;
        self.require_together().map_err(|error| format!("{told}: {error}"))?;
        watched
            .after(self, (by, committer), &heard, &sent.commit)
            .map_err(|error| format!("{told}: {error}"))?;
        Ok(told)
    }

    /// Everybody follows. Returns what each device in the group was told.
    fn deliver(&mut self, by: By, change: Change, sent: &Sent) -> Result<Told, Refused> {
        let tree = self.witness()?.tree()?;
        let mut told = Told::new();
        let own = self.member(by)?.confirm()?;
        if let By::Device(n) = by {
            told.insert(n, own);
        }
        for who in self.there().into_iter().filter(|who| *who != by) {
            let heard = self.member(who)?.process(&sent.commit);
            match (heard, who) {
                (Ok(Heard::Commit { events, .. }), By::Device(n)) => drop(told.insert(n, events)),
                (Ok(Heard::Commit { .. }), By::Seat(_)) => {}
                // It is of no use to whom it removes.
                (_, who) if matches!(change, Change::Remove(whom) if whom == who) => {}
                (Err(error), who) => return Err(format!("{}: {error}", self.name(who)).into()),
                (Ok(other), who) => return Err(format!("{}: {other:?}", self.name(who)).into()),
            }
        }
        match change {
            Change::Nothing => {}
            Change::Remove(By::Seat(n)) => {
                self.seats.get_mut(n).ok_or("no such member")?.leaf = None
            }
            Change::Remove(By::Device(n)) => {
                let victim = self.devices.get_mut(n).ok_or("no such device")?;
                (victim.in_group, victim.thief) = (false, None);
            }
            Change::Add(whom) => {
                let welcome = sent.welcome.as_ref().ok_or("the commit that adds has no Welcome")?;
                self.member(whom)?.join(welcome)?;
                let name = self.name(whom);
                *self.tally.returns.entry(name).or_default() += 1;
                match whom {
                    By::Device(n) => {
                        let victim = self.devices.get_mut(n).ok_or("no such device")?;
                        victim.device.pair(&self.pairing)?;
                        victim.in_group = true;
                        // It knows nothing of before, and nobody has healed it since.
                        self.healings.retain(|(view, of), _| *view != n && *of != n);
                    }
                    By::Seat(n) => {
                        let applied = tree.after(&Changes { adds: 1, ..Changes::default() })?;
                        let seat = self.seats.get_mut(n).ok_or("no such member")?;
                        seat.leaf = applied.added().first().copied();
                    }
                }
            }
        }
        Ok(told)
    }

    /// What the device `view` claims of the device `of`.
    pub(super) fn security(&self, view: usize, of: usize) -> Result<EpochSecurity, Refused> {
        let view = &self.devices.get(view).ok_or("no such device")?.device;
        let security = view.security(DeviceId(u16::try_from(of)?));
        Ok(security.ok_or("a device of the pairing has a security")?)
    }

    /// The public keys of the leaves.
    pub(super) fn leaf_keys(&self) -> Result<BTreeMap<LeafIndex, Vec<u8>>, Refused> {
        let members = self.witness()?.group()?.mls().members();
        let at = |index: u32| LeafIndex::new(index).ok_or("a member has a leaf");
        members.map(|member| Ok((at(member.index.u32())?, member.encryption_key))).collect()
    }

    /// The epoch authenticator that the witness has.
    pub(super) fn authenticator(&self) -> Result<Vec<u8>, Refused> {
        Ok(self.witness()?.epoch_authenticator())
    }

    fn require_together(&mut self) -> Result<(), Refused> {
        let expected = self.authenticator()?;
        for who in self.there() {
            if self.member(who)?.epoch_authenticator() != expected {
                return Err(format!("{} is in another epoch", self.name(who)).into());
            }
        }
        Ok(())
    }
}

fn seats(play: &Play) -> Result<Vec<Seat>, Refused> {
    let (suite, framing) = (play.suite, play.framing);
    let mut members: Vec<(_, Box<dyn Member>)> = vec![
        ("OpenMLS", Box::new(StockOpenMls::<RustCrypto>::new(suite, framing, "OpenMLS")?)),
        ("mls-rs", Box::new(StockMlsRs::new(suite, framing, "mls-rs")?)),
    ];
    if let Some(tools) = &play.tools {
        let name = Kind::TsMls.name();
        members.push((name, Box::new(foreign(Kind::TsMls, tools, play, name)?)));
        members.push(("another ts-mls", Box::new(foreign(Kind::TsMls, tools, play, "another")?)));
    }
    let leaves = (play.devices..).map_while(|n| LeafIndex::new(u32::try_from(n).ok()?));
    let seat = |((name, member), leaf)| Seat { name, member, leaf: Some(leaf) };
    Ok(members.into_iter().zip(leaves).map(seat).collect())
}

fn foreign(kind: Kind, tools: &Path, play: &Play, identity: &str) -> Result<Foreign, Refused> {
    Foreign::start(kind, tools, play.suite, play.framing, identity)
}
