//! A group, with a leaf of the device's own or one that it shares.

use paired_mls::{
    DeviceId, EpochSecurity, Event, Freshness, Pairing, PairingId, Phase, anchor::LeafIndex,
};
use paired_mls_openmls::{
    Error, Footing, Group as MlsPaired, LeafGroup, MemberIdentity, Outgoing, PairedGroup, Received,
    UsageError, gate, gate_capabilities,
    openmls::prelude::{
        Capabilities, Ciphersuite, Extensions, LeafNodeIndex, Lifetime, MlsGroup,
        MlsGroupCreateConfig, MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY, Proposal,
        Sender,
    },
};

use super::{Engine, EngineError, GroupRow, Membership, change::Target};
use crate::{
    output::{escape, printable},
    session::{Directory, OwnDevice},
};

/// For how many past epochs messages that come late can still be read.
const PAST_EPOCHS: usize = 4;

/// Whom a group lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Everybody.
    Open,
    /// Members that know leaves with several signature keys, so that such leaves can come in.
    Gated,
}

impl Door {
    pub(crate) fn capabilities(self) -> Capabilities {
        match self {
            Self::Open => Capabilities::default(),
            Self::Gated => gate_capabilities(),
        }
    }
}

/// A group, and the device that it is used with.
pub(crate) struct Group {
    pub(crate) row: GroupRow,
    group: MlsPaired,
    device: OwnDevice,
    directory: Directory,
}

/// Handshakes go in the clear: the service orders them by their epoch anyway, a shared leaf needs it, and
/// TLS protects them on the way.
pub(super) fn create_config(
    engine: &Engine,
    door: Door,
) -> Result<MlsGroupCreateConfig, EngineError> {
    let extensions = match door {
        Door::Open => Extensions::empty(),
        Door::Gated => {
            Extensions::single(gate()).map_err(|error| mls("require an extension", error))?
        }
    };
    Ok(MlsGroupCreateConfig::builder()
        .ciphersuite(engine.ciphersuite()?)
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .max_past_epochs(PAST_EPOCHS)
        .use_ratchet_tree_extension(true)
        .capabilities(door.capabilities())
        .with_group_context_extensions(extensions)
        .build())
}

pub(super) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .max_past_epochs(PAST_EPOCHS)
        .use_ratchet_tree_extension(true)
        .build()
}

pub(super) fn mls<E>(step: &'static str, source: E) -> EngineError
where
    E: std::error::Error + Send + Sync + 'static,
{
    EngineError::Mls(Error::Mls { step, source: Box::new(source) })
}

impl Group {
    /// The MLS group, to look at.
    pub(crate) fn mls(&self) -> &MlsGroup {
        self.group.mls()
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.group.epoch()
    }

    /// What the group has in which this device has a leaf of its own, with the device; `None` if it shares it.
    pub(super) fn as_own(&mut self) -> Option<(&mut PairedGroup, &OwnDevice)> {
        Some((self.group.node_mut()?, &self.device))
    }

    /// What the group has in which this device shares its leaf, with the device.
    pub(super) fn as_shared(&mut self) -> Option<(&mut LeafGroup, &OwnDevice)> {
        Some((self.group.shared_mut()?, &self.device))
    }

    /// What the group has in which this device has a leaf of its own, to look at.
    pub(crate) fn paired(&self) -> Option<&PairedGroup> {
        self.group.node()
    }

    /// What the group has in which this device shares its leaf, to look at.
    pub(crate) fn shared(&self) -> Option<&LeafGroup> {
        self.group.shared()
    }

    /// The number of this device in the pairing that is used here.
    pub(super) fn own_number(&self) -> Result<Option<DeviceId>, Error> {
        self.group.own_device(&self.device)
    }

    /// The pairing of this device here, also one that is ending.
    pub(super) fn any_pairing(&self) -> Option<PairingId> {
        self.group.pairing_tape().map(|tape| tape.pairing)
    }

    /// Whether this device still draws from the tape of its pairing here; `None` without one.
    pub(super) fn phase(&self) -> Option<Phase> {
        self.group.phase()
    }

    /// The pairing by which commits of this device heal others, if it has not ended. A shared leaf has one
    /// as long as it is there.
    pub(crate) fn pairing(&self) -> Option<PairingId> {
        let ended = self.shared().is_none() && self.phase() != Some(Phase::Active);
        if ended { None } else { self.any_pairing() }
    }

    /// Pairs this device here; `None` if it shares its leaf.
    pub(super) fn pair(&mut self, pairing: &Pairing) -> Result<Option<Footing>, Error> {
        self.group.pair(&self.device, pairing)
    }

    /// How safe the epoch is for a device of the pairing.
    pub(super) fn security_of(&self, device: DeviceId) -> Option<EpochSecurity> {
        self.group.security(device)
    }

    /// How safe the epoch is for this device.
    pub(super) fn security(&self) -> Option<EpochSecurity> {
        self.group.security(self.own_number().ok()??)
    }

    pub(super) fn has_pending(&self) -> bool {
        self.group.has_pending()
    }

    pub(super) fn update(&mut self) -> Result<Outgoing, Error> {
        self.group.update(&self.device)
    }

    pub(super) fn add(&mut self, packages: &[Vec<u8>]) -> Result<Outgoing, Error> {
        self.group.add(&self.device, packages)
    }

    pub(super) fn remove(&mut self, leaves: &[LeafIndex]) -> Result<Outgoing, Error> {
        self.group.remove(&self.device, leaves)
    }

    pub(super) fn send(&mut self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.group.send(&self.device, message)
    }

    pub(super) fn leave(&mut self) -> Result<Vec<u8>, Error> {
        self.group.leave(&self.device)
    }

    /// The GroupInfo of the epoch, by which others come in from outside.
    pub(super) fn group_info(&mut self) -> Result<Vec<u8>, Error> {
        self.group.group_info(&self.device)
    }

    pub(super) fn discard(&mut self) -> Result<(), Error> {
        self.group.discard(&self.device)
    }

    /// Processes a message; [`Group::heal_if_due`] is for the end of all that have come.
    pub(super) fn process(&mut self, message: &[u8]) -> Result<Received, Error> {
        self.group.follow(&self.device, message)
    }

    /// The same of a commit, with proposals for which there may have been no room.
    pub(super) fn process_with(
        &mut self,
        refused: &[Vec<u8>],
        commit: &[u8],
    ) -> Result<Received, Error> {
        match refused {
            [] => self.process(commit),
            refused => self.group.follow_with(&self.device, refused, commit),
        }
    }

    /// The commit that heals, if the group's policy demands one now.
    pub(super) fn heal_if_due(&mut self) -> Result<Option<Outgoing>, Error> {
        self.group.heal_if_due(&self.device)
    }

    pub(super) fn cease(&mut self) -> Result<(), Error> {
        self.group.cease(&self.device)
    }

    /// Takes the pairing out; of a group with a shared leaf nothing is left then.
    pub(super) fn unpair(self) -> Result<(), Error> {
        self.group.unpair(&self.device).map(drop)
    }

    /// Compares the state with the vault, of which one may come from a backup.
    pub(super) fn check_vault(&mut self) -> Result<Freshness, Error> {
        self.group.check_vault(&self.device)
    }

    /// Whether nobody else may send from this device's leaf in this epoch.
    pub(super) fn speaks_alone(&self) -> bool {
        self.group.speaks_alone(&self.device).unwrap_or(false)
    }

    /// The members, and who they are.
    pub(super) fn identities(&self) -> Vec<MemberIdentity> {
        self.group.members()
    }

    pub(super) fn has_unverified(&self) -> bool {
        self.identities().iter().any(|member| member.identity.verified().is_none())
    }

    /// Asks the policy once more about members that are not verified.
    pub(super) fn recheck(&mut self) -> Result<(), Error> {
        self.group.recheck_identities(&self.device).map(drop)
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The members that are meant by these names: users, single devices of users, or leaves like `#3`. Who
    /// only says that it is somebody is never meant by that name.
    pub(crate) fn targets(&self, names: &[String]) -> Result<Vec<Target>, EngineError> {
        let mut targets = Vec::new();
        let members = self.members();
        for name in names {
            let before = targets.len();
            let leaf = name.strip_prefix('#').map(|number| number.parse::<u32>());
            let (user, device) = match leaf {
                Some(Ok(_)) => (String::new(), None),
                Some(Err(_)) => return Err(EngineError::NoMember(name.clone())),
                None => {
                    let parsed = escape::parse(name);
                    let (user, device) =
                        parsed.ok_or_else(|| EngineError::NoMember(name.clone()))?;
                    (printable(&user), device)
                }
            };
            for (at, who) in &members {
                let meant = match &leaf {
                    Some(number) => number.as_ref() == Ok(&at.value()),
                    None => {
                        let device = device.as_deref().unwrap_or_default();
                        who.user.as_ref() == Some(&user)
                            && who.devices.iter().any(|id| id.starts_with(device))
                    }
                };
                let member = self.mls().member_at(LeafNodeIndex::new(at.value()));
                if let (true, Some(member)) = (meant, member) {
                    if *at == own_leaf_of(self.mls()) {
                        return Err(EngineError::RemoveOneself(self.row.name.clone()));
                    }
                    let (leaf, name) = (*at, who.shown.clone());
                    targets.push(Target { leaf, signature_key: member.signature_key, name });
                }
            }
            if targets.len() == before {
                return Err(EngineError::NoMember(name.clone()));
            }
        }
        Ok(targets)
    }

    /// Whether this member is still where it was.
    pub(super) fn has(&self, target: &Target) -> bool {
        let member = self.mls().member_at(LeafNodeIndex::new(target.leaf.value()));
        member.is_some_and(|member| member.signature_key == target.signature_key)
    }

    /// The identities that have no leaf any more once these leaves are gone, and those that wait to be
    /// removed.
    pub(super) fn orphans(&self, removes: &[LeafIndex]) -> Vec<Vec<u8>> {
        let mut gone: Vec<u32> = removes.iter().map(|leaf| leaf.value()).collect();
        for queued in self.mls().pending_proposals() {
            match (queued.proposal(), queued.sender()) {
                (Proposal::Remove(remove), _) => gone.push(remove.removed().u32()),
                (Proposal::SelfRemove, Sender::Member(index)) => gone.push(index.u32()),
                _ => {}
            }
        }
        // Nobody commits its own removal.
        gone.retain(|leaf| *leaf != own_leaf_of(self.mls()).value());
        let accepted =
            |member: &MemberIdentity| Some(member.identity.last_accepted()?.content().to_vec());
        let (left, staying): (Vec<_>, Vec<_>) =
            self.identities().into_iter().partition(|member| gone.contains(&member.leaf.value()));
        // Who stays may be whom it says that it is: nobody is taken off the list by mistake.
        let mut stay: Vec<_> = staying.iter().filter_map(accepted).collect();
        stay.extend(staying.iter().map(|member| member.identity.claims().content().to_vec()));
        let staying = stay;
        let mut left: Vec<_> = left.iter().filter_map(accepted).collect();
        left.retain(|identity| !staying.contains(identity));
        left.sort();
        left.dedup();
        left
    }
}

impl Engine {
    pub(super) fn ciphersuite(&self) -> Result<Ciphersuite, EngineError> {
        let known = Ciphersuite::try_from(self.session.profile().suite.code_point());
        known.map_err(|_| UsageError::CipherSuite.into())
    }

    /// Loads a group that this device is in.
    pub(crate) fn load(&self, row: &GroupRow) -> Result<Group, EngineError> {
        let device = self.device_in(row)?;
        let group = MlsPaired::load(&device, row.id.as_bytes())?;
        let directory = self.session.directory().clone();
        Ok(Group { row: row.clone(), group, device, directory })
    }

    /// The device as it acts in a group.
    pub(super) fn device_in(&self, row: &GroupRow) -> Result<OwnDevice, EngineError> {
        match row.pairing {
            None => Ok(self.session.own_device()),
            Some(pairing) => self.behind_leaf(pairing),
        }
    }

    /// Loads a group by its name, to act in it.
    pub(crate) fn group(&self, name: &str) -> Result<Group, EngineError> {
        let row = self.find(name)?;
        match row.state {
            Membership::Gone => Err(EngineError::NotIn(row.name)),
            Membership::Rejoining => Err(EngineError::Rejoining(row.name)),
            Membership::Active | Membership::Leaving => self.load(&row),
        }
    }
}

/// Whether a commit has taken this device out of the group.
pub(super) fn is_out(events: &[Event]) -> bool {
    events.contains(&Event::Removed)
}

/// How long KeyPackages last.
pub(super) fn lifetime() -> Lifetime {
    Lifetime::default()
}

fn own_leaf_of(mls: &MlsGroup) -> LeafIndex {
    LeafIndex::new(mls.own_leaf_index().u32()).unwrap_or(LeafIndex::FIRST)
}
