//! A group, with a leaf of the device's own or one that it shares.

use paired_mls::{DeviceId, Event, Freshness, PairingId, Phase, anchor::LeafIndex};
use paired_mls_openmls::{
    Error, LeafGroup, MemberIdentity, Outgoing, PairedGroup, Received, UsageError, gate,
    gate_capabilities,
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
    kind: Kind,
    directory: Directory,
}

enum Kind {
    /// This device has a leaf of its own.
    Own(PairedGroup, OwnDevice),
    /// It shares its leaf with the other devices of a pairing.
    Shared(LeafGroup, OwnDevice),
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

/// Calls the same method of both kinds of group.
macro_rules! on_group {
    ($self:expr, $group:ident, $device:ident => $call:expr) => {
        match &mut $self.kind {
            Kind::Own($group, $device) => $call,
            Kind::Shared($group, $device) => $call,
        }
    };
}

impl Group {
    /// The MLS group, to look at.
    pub(crate) fn mls(&self) -> &MlsGroup {
        match &self.kind {
            Kind::Own(group, _) => group.mls(),
            Kind::Shared(group, _) => group.mls(),
        }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.mls().epoch().as_u64()
    }

    /// The group in which this device has a leaf of its own, with the device; `None` if it shares it.
    pub(super) fn as_own(&mut self) -> Option<(&mut PairedGroup, &OwnDevice)> {
        match &mut self.kind {
            Kind::Own(group, device) => Some((group, device)),
            Kind::Shared(..) => None,
        }
    }

    /// The group in which this device shares its leaf, with the device.
    pub(super) fn as_shared(&mut self) -> Option<(&mut LeafGroup, &OwnDevice)> {
        match &mut self.kind {
            Kind::Own(..) => None,
            Kind::Shared(group, device) => Some((group, device)),
        }
    }

    /// The group in which this device has a leaf of its own, to look at.
    pub(crate) fn paired(&self) -> Option<&PairedGroup> {
        match &self.kind {
            Kind::Own(group, _) => Some(group),
            Kind::Shared(..) => None,
        }
    }

    /// The group in which this device shares its leaf, to look at.
    pub(crate) fn shared(&self) -> Option<&LeafGroup> {
        match &self.kind {
            Kind::Own(..) => None,
            Kind::Shared(group, _) => Some(group),
        }
    }

    /// The number of this device in the pairing that is used here, if it has a leaf of its own.
    pub(super) fn own_number(&self) -> Option<DeviceId> {
        let own = self.paired()?;
        let leaf = own.mls().own_leaf_index().u32();
        let (number, _) = own.devices().into_iter().find(|(_, at)| at.value() == leaf)?;
        Some(number)
    }

    /// The pairing of this device here, also one that is ending.
    pub(super) fn any_pairing(&self) -> Option<PairingId> {
        match &self.kind {
            Kind::Own(group, _) => group.pairing_tape().map(|tape| tape.pairing),
            Kind::Shared(group, _) => Some(group.pairing_tape().pairing),
        }
    }

    /// Whether this device still draws from the tape of its pairing here; `None` without one.
    pub(super) fn phase(&self) -> Option<Phase> {
        match &self.kind {
            Kind::Own(group, _) => group.phase(),
            Kind::Shared(group, _) => Some(group.phase()),
        }
    }

    /// The pairing by which commits of this device heal others, if it has not ended. A shared leaf has one
    /// as long as it is there.
    pub(crate) fn pairing(&self) -> Option<PairingId> {
        let ended = self.shared().is_none() && self.phase() != Some(Phase::Active);
        if ended { None } else { self.any_pairing() }
    }

    pub(super) fn has_pending(&self) -> bool {
        match &self.kind {
            Kind::Own(group, _) => group.mls().pending_commit().is_some(),
            Kind::Shared(group, _) => group.pending_index().is_some(),
        }
    }

    pub(super) fn update(&mut self) -> Result<Outgoing, Error> {
        on_group!(self, group, device => group.update(device))
    }

    pub(super) fn add(&mut self, packages: &[Vec<u8>]) -> Result<Outgoing, Error> {
        on_group!(self, group, device => group.add(device, packages))
    }

    pub(super) fn remove(&mut self, leaves: &[LeafIndex]) -> Result<Outgoing, Error> {
        on_group!(self, group, device => group.remove(device, leaves))
    }

    pub(super) fn send(&mut self, message: &[u8]) -> Result<Vec<u8>, Error> {
        on_group!(self, group, device => group.send(device, message))
    }

    pub(super) fn leave(&mut self) -> Result<Vec<u8>, Error> {
        on_group!(self, group, device => group.leave(device))
    }

    /// The GroupInfo of the epoch, by which others come in from outside.
    pub(super) fn group_info(&mut self) -> Result<Vec<u8>, Error> {
        on_group!(self, group, device => group.group_info(device))
    }

    pub(super) fn discard(&mut self) -> Result<(), Error> {
        on_group!(self, group, device => group.discard(device))
    }

    /// Processes a message; [`Group::heal_if_due`] is for the end of all that have come.
    pub(super) fn process(&mut self, message: &[u8]) -> Result<Received, Error> {
        match &mut self.kind {
            Kind::Own(group, device) => group.follow_if(device, message, |_| true),
            Kind::Shared(group, device) => group.process(device, message),
        }
    }

    /// The commit that heals, if the group's policy demands one now.
    pub(super) fn heal_if_due(&mut self) -> Result<Option<Outgoing>, Error> {
        match &mut self.kind {
            Kind::Own(group, device) => group.heal_if_due(device),
            Kind::Shared(..) => Ok(None),
        }
    }

    pub(super) fn cease(&mut self) -> Result<(), Error> {
        on_group!(self, group, device => group.cease(device))
    }

    /// Compares the state with the vault, of which one may come from a backup.
    pub(super) fn check_vault(&mut self) -> Result<Freshness, Error> {
        on_group!(self, group, device => group.check_vault(device))
    }

    /// Erases the state of a shared leaf that is out of the group.
    pub(super) fn erase(self) -> Result<(), Error> {
        match self.kind {
            Kind::Own(..) => Ok(()),
            Kind::Shared(group, device) => group.erase(&device),
        }
    }

    /// Whether nobody else may send from this device's leaf in this epoch.
    pub(super) fn speaks_alone(&self) -> bool {
        match &self.kind {
            Kind::Own(..) => true,
            Kind::Shared(group, device) => {
                let tape = device.vault().tape_info(group.pairing_tape());
                tape.is_ok_and(|tape| group.token() == Some(tape.own_device))
            }
        }
    }

    /// The members, and who they are.
    pub(super) fn identities(&self) -> Vec<MemberIdentity> {
        match &self.kind {
            Kind::Own(group, _) => group.members(),
            Kind::Shared(group, _) => group.members(),
        }
    }

    pub(super) fn has_unverified(&self) -> bool {
        self.identities().iter().any(|member| member.identity.verified().is_none())
    }

    /// Asks the policy once more about members that are not verified.
    pub(super) fn recheck(&mut self) -> Result<(), Error> {
        on_group!(self, group, device => group.recheck_identities(device).map(drop))
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
        let kind = match row.pairing {
            None => {
                let device = self.session.own_device();
                Kind::Own(PairedGroup::load(&device, row.id.as_bytes())?, device)
            }
            Some(pairing) => {
                let device = self.behind_leaf(pairing)?;
                Kind::Shared(LeafGroup::load(&device, row.id.as_bytes())?, device)
            }
        };
        let directory = self.session.directory().clone();
        Ok(Group { row: row.clone(), kind, directory })
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
