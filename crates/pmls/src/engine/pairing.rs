//! The pairing protocol, carried by mailboxes, the 1-to-1 channel and the directory.
//!
//! ```text
//! pair start      -> 1-to-1 channel (Welcome), ShareRand          standard mode: InitPairing -> directory
//! pair confirm    both users have compared the digits             hidden mode:   InitPairing -> channel
//! sync            <- Accept of each device: paired, and used in every group that all devices are in
//! pair end        -> CeasePair   <- CeaseAck: tapes erased, leaves leave
//! ```

use paired_mls::{
    DeviceId as Number, PairingId, Secret,
    pairing::{
        AnchorKind, BookError, ChannelTrust, Mode, PairingDevice, PairingMessage, PairingState,
        Party, Progress, Request, Roster, Route, ShareRand, StateName, Step,
    },
};
use paired_mls_api::{DeviceId, UserId};
use paired_mls_openmls::{Channel, UsageError, generate_signature_key};
use serde::{Deserialize, Serialize};

use super::{
    Engine, EngineError, Group, Happening, Membership, Report,
    commit::Newcomer,
    group::identity,
    leaf::{LastResort, terms_of},
    outbox::Item,
};

/// What the identifiers of 1-to-1 channels begin with: a device tells them from its groups.
pub(super) const CHANNEL_PREFIX: &[u8] = b"PMLS 02 channel ";

/// What a pairing is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Start {
    /// Each device has a leaf and a key of its own.
    Node,
    /// One leaf, that lists the key of each device.
    Leaf,
    /// One leaf with one key: nobody sees that there are several devices.
    Hidden,
}

/// What this device knows of a 1-to-1 channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ChannelRecord {
    members: Vec<Member>,
    pairing: Option<[u8; 16]>,
    /// What is to be asked for over it, if this device has opened it.
    start: Option<Start>,
    compared: Compared,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    identity: Vec<u8>,
    signature_key: Vec<u8>,
}

/// Whether the digits were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Compared {
    NotYet,
    Equal,
}

impl ChannelRecord {
    fn opened(channel: &Channel, pairing: PairingId, start: Start) -> Self {
        Self { pairing: Some(pairing.0), start: Some(start), ..Self::joined(channel) }
    }

    pub(super) fn joined(channel: &Channel) -> Self {
        let member =
            |party: Party| Member { identity: party.identity, signature_key: party.signature_key };
        let members = channel.members().into_iter().map(member).collect();
        Self { members, pairing: None, start: None, compared: Compared::NotYet }
    }

    pub(super) fn of(&self, pairing: PairingId) -> Self {
        Self { pairing: Some(pairing.0), ..self.clone() }
    }

    pub(super) fn trust(&self) -> ChannelTrust {
        match self.compared {
            Compared::NotYet => ChannelTrust::Pending,
            Compared::Equal => ChannelTrust::Compared,
        }
    }

    /// Who else is in it, for people.
    pub(super) fn others(&self, own: &Party) -> Vec<String> {
        let others = self.members.iter().filter(|member| member.signature_key != own.signature_key);
        others.map(|member| identity(&member.identity)).collect()
    }
}

/// A channel that waits for people to compare digits.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Invitation {
    /// The pairing, once its seed has come; the channel before that.
    pub(crate) id: String,
    pub(crate) with: Vec<String>,
    pub(crate) digits: Option<String>,
}

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
    pub(super) fn keep_channel(
        &self,
        id: &[u8],
        record: &ChannelRecord,
    ) -> Result<(), EngineError> {
        self.store().keep_channel(id, &serde_json::to_string(record)?)
    }

    pub(super) fn channel_record(&self, id: &[u8]) -> Result<Option<ChannelRecord>, EngineError> {
        Ok(self.channels()?.into_iter().find(|(known, _)| known == id).map(|(_, record)| record))
    }

    fn channels(&self) -> Result<Vec<(Vec<u8>, ChannelRecord)>, EngineError> {
        let mut channels = Vec::new();
        for (id, record) in self.store().channels()? {
            channels.push((id, serde_json::from_str(&record)?));
        }
        Ok(channels)
    }

    fn channel_of(
        &self,
        pairing: PairingId,
    ) -> Result<Option<(Vec<u8>, ChannelRecord)>, EngineError> {
        let channels = self.channels()?;
        Ok(channels.into_iter().find(|(_, record)| record.pairing == Some(pairing.0)))
    }

    /// Asks other devices to pair: opens a 1-to-1 channel with them and sends a seed that is made now
    /// through it.
    ///
    /// Returns what people have to compare.
    pub(crate) async fn start_pairing(
        &mut self,
        with: &[Newcomer],
        start: Start,
        report: &mut Report,
    ) -> Result<Invitation, EngineError> {
        let pairing = PairingId(self.random()?);
        let (id, digits) = self.open_channel(with, pairing, start).await?;
        self.share_rand(&id, pairing, report)?;
        self.ask_directory(pairing, start, report)?;
        self.flush(report).await?;
        self.invitation(pairing, Some(digits))
    }

    /// Asks for a pairing whose seed is in a file that the other devices have too. In hidden mode a
    /// 1-to-1 channel is opened all the same, for the leaf's key.
    pub(crate) async fn start_with_seed(
        &mut self,
        with: &[Newcomer],
        start: Start,
        seed: &ShareRand,
        report: &mut Report,
    ) -> Result<Invitation, EngineError> {
        let pairing = self.load_seed(seed)?;
        let digits = match start {
            Start::Hidden => Some(self.open_channel(with, pairing, start).await?.1),
            Start::Node | Start::Leaf => None,
        };
        self.ask_directory(pairing, start, report)?;
        self.flush(report).await?;
        self.invitation(pairing, digits)
    }

    fn invitation(
        &self,
        pairing: PairingId,
        digits: Option<String>,
    ) -> Result<Invitation, EngineError> {
        let with = self.pairing_view(pairing)?.with.into_iter();
        let with = with.map(|partner| partner.user).collect();
        Ok(Invitation { id: pairing.to_string(), with, digits })
    }

    async fn open_channel(
        &mut self,
        with: &[Newcomer],
        pairing: PairingId,
        start: Start,
    ) -> Result<(Vec<u8>, String), EngineError> {
        let mut packages = Vec::new();
        let mut partners = Vec::new();
        for partner in with {
            let (device, package) = self.claim_one(partner).await?;
            partners.push(device);
            packages.push(package);
        }
        let id = [CHANNEL_PREFIX, &self.random::<16>()?].concat();
        let digits = self.device().provider().transaction(|| {
            let (channel, welcome) = Channel::open(self.device(), &id, &packages)?;
            self.keep_channel(&id, &ChannelRecord::opened(&channel, pairing, start))?;
            for partner in &partners {
                self.enqueue(&Item::letter(partner.clone(), &welcome)?)?;
            }
            Ok::<_, EngineError>(channel.digits(self.device())?.to_string())
        })?;
        Ok((id, digits))
    }

    /// In standard mode the directory is asked at once; nothing is done with the seed before the digits
    /// are compared. In hidden mode a private key goes over the channel, and that waits for them.
    fn ask_directory(
        &self,
        pairing: PairingId,
        start: Start,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let Some(anchor) = start.standard() else { return Ok(()) };
        self.device().provider().transaction(|| {
            let progress = self.book().initiate(pairing, Request::Standard(anchor))?;
            self.follow_up(progress, report)
        })
    }

    fn share_rand(
        &self,
        id: &[u8],
        pairing: PairingId,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let suite = self.session.profile().suite;
        let seed = Secret::new(self.random_vec(suite.kdf_len())?);
        let channel = Channel::load(self.device(), id)?.one_to_one(ChannelTrust::Pending);
        let roster = self.roster(pairing, channel.members.clone())?;
        self.device().provider().transaction(|| {
            let progress = self.book().share_rand(roster, &seed, &channel)?;
            self.follow_up(progress, report)
        })
    }

    /// This device is number 0, and the others follow in the order of their keys.
    fn roster(&self, pairing: PairingId, members: Vec<Party>) -> Result<Roster, EngineError> {
        let own = self.party();
        let mut others: Vec<_> = members.into_iter().filter(|party| *party != own).collect();
        others.sort();
        let parties = std::iter::once(own).chain(others);
        let devices = (0..).map(Number).zip(parties);
        let devices = devices.map(|(device, party)| PairingDevice { device, party }).collect();
        Ok(Roster::new(pairing, self.session.profile().suite, devices)?)
    }

    /// Makes a seed for a file that goes by hand: it says who is to pair, and holds the seed.
    pub(crate) async fn make_seed(&mut self, with: &[Newcomer]) -> Result<ShareRand, EngineError> {
        let mut parties = Vec::new();
        for partner in with {
            let device = self.look_up(partner).await?;
            parties.push(Party {
                identity: device.user.as_bytes().to_vec(),
                signature_key: device.signature_key.0,
            });
        }
        let suite = self.session.profile().suite;
        let roster = self.roster(PairingId(self.random()?), parties)?;
        Ok(ShareRand {
            pairing_id: roster.pairing_id(),
            cipher_suite: suite.code_point(),
            seed: Secret::new(self.random_vec(suite.kdf_len())?),
            devices: roster.devices().to_vec(),
        })
    }

    /// Takes a seed that came by hand, and waits for the other device to ask.
    pub(crate) fn load_seed(&self, seed: &ShareRand) -> Result<PairingId, EngineError> {
        let progress = self.book().load_seed(seed.roster()?, &seed.seed)?;
        Ok(progress.pairing)
    }

    /// People have compared the digits. `digits` are those that the other device shows; without them the
    /// caller has compared.
    pub(crate) async fn confirm_pairing(
        &mut self,
        name: &str,
        digits: Option<&str>,
        report: &mut Report,
    ) -> Result<PairingId, EngineError> {
        self.sync_mailbox(report).await?;
        let (id, record) = self.invited(name)?;
        if let Some(digits) = digits {
            let own = Channel::load(self.device(), &id)?.digits(self.device())?.to_string();
            if only_digits(digits) != only_digits(&own) {
                self.give_up(&id, &record)?;
                return Err(EngineError::DigitsDiffer);
            }
        }
        let pairing = record.pairing.map(PairingId);
        let pairing = pairing.ok_or_else(|| EngineError::NoPairing(name.to_owned()))?;
        let record = ChannelRecord { compared: Compared::Equal, ..record };
        self.keep_channel(&id, &record)?;
        match self.book().confirm_channel(pairing, ChannelTrust::Compared) {
            Ok(progress) => self.follow_up(progress, report)?,
            // A seed from a file needs no channel.
            Err(BookError::Unfit { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if record.start == Some(Start::Hidden)
            && matches!(self.book().load(pairing)?, PairingState::Seeded(_))
        {
            let suite = self.session.profile().suite;
            let key_pair = generate_signature_key(self.crypto(), suite)?;
            let channel = Channel::load(self.device(), &id)?.one_to_one(ChannelTrust::Compared);
            let request = Request::Hidden { key_pair: &key_pair, channel: &channel };
            let progress = self.book().initiate(pairing, request)?;
            self.follow_up(progress, report)?;
        }
        self.flush(report).await?;
        self.sync_mailbox(report).await?;
        Ok(pairing)
    }

    /// The channel that waits to be compared, by the pairing, the channel, or, if there is one only, by
    /// nothing.
    fn invited(&self, name: &str) -> Result<(Vec<u8>, ChannelRecord), EngineError> {
        let channels = self.channels()?.into_iter();
        let mut open = channels.filter(|(_, record)| {
            let id = record.pairing.map(|id| PairingId(id).to_string()).unwrap_or_default();
            record.compared == Compared::NotYet && id.starts_with(name)
        });
        match (open.next(), open.next()) {
            (Some(channel), None) => Ok(channel),
            (Some(_), Some(_)) => Err(EngineError::Ambiguous(name.to_owned())),
            (None, _) => Err(EngineError::NoPairing(name.to_owned())),
        }
    }

    fn give_up(&self, id: &[u8], record: &ChannelRecord) -> Result<(), EngineError> {
        if let Some(pairing) = record.pairing {
            self.book().abandon(PairingId(pairing))?;
        }
        self.close_channel(id)
    }

    fn close_channel(&self, id: &[u8]) -> Result<(), EngineError> {
        if let Ok(channel) = Channel::load(self.device(), id) {
            channel.close(self.device())?;
        }
        self.store().forget_channel(id)
    }

    /// Stores what a step of the protocol has to send, for each way.
    pub(super) fn follow_up(
        &self,
        progress: Progress,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let pairing = progress.pairing;
        for outbound in progress.send {
            match &outbound.route {
                Route::Directory => {
                    let request = outbound.message.expose().to_vec().into();
                    self.enqueue(&Item::Pairing(request))?;
                }
                Route::OneToOne => {
                    let (id, record) = self
                        .channel_of(pairing)?
                        .ok_or_else(|| EngineError::NoPairing(pairing.to_string()))?;
                    let mut channel = Channel::load(self.device(), &id)?;
                    let message = channel.send(self.device(), &outbound)?;
                    for to in self.addresses(&record)? {
                        self.enqueue(&Item::letter(to, &message)?)?;
                    }
                }
                Route::Partners(numbers) => {
                    for (number, to) in self.partners_of(pairing)? {
                        if numbers.contains(&number) {
                            self.enqueue(&Item::letter(to, outbound.message.expose())?)?;
                        }
                    }
                }
                _ => return Err(UsageError::NotForTheChannel.into()),
            }
        }
        report.pairing(pairing, progress.state);
        Ok(())
    }

    fn addresses(&self, record: &ChannelRecord) -> Result<Vec<DeviceId>, EngineError> {
        let own = self.device().signature_key();
        let scheme = self.scheme()?;
        let others = record.members.iter().filter(|member| member.signature_key != own);
        Ok(others.map(|member| DeviceId::of_key(scheme, &member.signature_key)).collect())
    }

    /// Puts pairings that have come about to use, and those that are over out of it.
    pub(super) fn settle_pairings(&mut self, report: &mut Report) -> Result<(), EngineError> {
        for pairing in self.book().pairings()? {
            match self.book().load(pairing)? {
                PairingState::Paired(paired) => {
                    if let Some((id, _)) = self.channel_of(pairing)? {
                        self.close_channel(&id)?;
                    }
                    match paired.terms().anchor() {
                        AnchorKind::Leaf => self.open_leaf_once(pairing)?,
                        AnchorKind::Node => self.pair_groups(pairing, report)?,
                    }
                }
                PairingState::Ceasing(_) => self.cease_groups(pairing)?,
                PairingState::Ceased(_) => self.tidy_up(pairing, report)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn open_leaf_once(&self, pairing: PairingId) -> Result<(), EngineError> {
        let opened = format!("leaf {pairing}");
        if self.store().cursor(&opened)? > 0 {
            return Ok(());
        }
        self.device().provider().transaction(|| {
            self.open_leaf(pairing)?;
            self.store().set_cursor(&opened, 1)
        })
    }

    /// Uses a pairing at a node in each group that all of its devices are in.
    fn pair_groups(&self, pairing: PairingId, report: &mut Report) -> Result<(), EngineError> {
        let terms = self.terms(pairing)?;
        for row in self.store().groups()? {
            if row.state != Membership::Active || row.pairing.is_some() {
                continue;
            }
            let mut group = self.load(&row)?;
            let keys: Vec<_> = group.mls().members().map(|member| member.signature_key).collect();
            let devices = terms.roster().devices();
            let all = devices.iter().all(|device| keys.contains(&device.party.signature_key));
            let pending = group.has_pending();
            let Some((own, device)) = group.as_own() else { continue };
            if all && !pending && !own.is_paired() {
                own.pair(device, &terms.pairing())?;
                report.add(Happening::PairedIn { group: row.name, pairing: pairing.to_string() });
            }
        }
        Ok(())
    }

    fn groups_of(&self, pairing: PairingId) -> Result<Vec<Group>, EngineError> {
        let mut groups = Vec::new();
        for row in self.store().groups()? {
            if row.state == Membership::Gone {
                continue;
            }
            let group = self.load(&row)?;
            let tape = match (group.paired(), group.shared()) {
                (Some(own), _) => own.pairing_tape(),
                (_, Some(shared)) => Some(shared.pairing_tape().clone()),
                _ => None,
            };
            if tape.is_some_and(|tape| tape.pairing == pairing) {
                groups.push(group);
            }
        }
        Ok(groups)
    }

    fn cease_groups(&self, pairing: PairingId) -> Result<(), EngineError> {
        self.groups_of(pairing)?.iter_mut().try_for_each(|group| Ok(group.cease()?))
    }

    /// Ends a pairing: asks the partners, draws nothing more, and, once they have answered, leaves.
    pub(crate) async fn end_pairing(
        &mut self,
        name: &str,
        report: &mut Report,
    ) -> Result<PairingId, EngineError> {
        self.sync(report).await?;
        let pairing = self.find_pairing(name)?;
        let progress = self.book().end(pairing)?;
        self.cease_groups(pairing)?;
        self.follow_up(progress, report)?;
        self.flush(report).await?;
        Ok(pairing)
    }

    /// Ends a pairing without the partners that do not answer.
    pub(crate) async fn force_end(
        &mut self,
        name: &str,
        report: &mut Report,
    ) -> Result<PairingId, EngineError> {
        self.sync(report).await?;
        let pairing = self.find_pairing(name)?;
        let progress = self.book().force_end(pairing)?;
        self.follow_up(progress, report)?;
        self.settle_pairings(report)?;
        self.flush(report).await?;
        Ok(pairing)
    }

    /// Gives up a pairing that has not come about.
    pub(crate) fn abandon_pairing(&mut self, name: &str) -> Result<PairingId, EngineError> {
        let pairing = self.find_pairing(name)?;
        self.book().abandon(pairing)?;
        if let Some((id, _)) = self.channel_of(pairing)? {
            self.close_channel(&id)?;
        }
        Ok(pairing)
    }

    /// The pairing is over: its tape goes, and this device takes the steps of the plan that are its own.
    fn tidy_up(&self, pairing: PairingId, report: &mut Report) -> Result<(), EngineError> {
        if self.session.vault().pairing_info(pairing).is_err() {
            return Ok(());
        }
        let terms = self.terms(pairing)?;
        let own = self.own_number(&terms);
        let mut groups = self.groups_of(pairing)?;
        let plan = match self.book().load(pairing)? {
            PairingState::Ceased(ceased) => ceased.plan(),
            _ => return Ok(()),
        };
        let mut leaves = false;
        for step in plan.steps() {
            let ours = |devices: &[Number]| own.is_some_and(|own| devices.contains(&own));
            match step {
                Step::Leave(devices) if ours(devices) => {
                    leaves = true;
                    self.leave_groups(&terms, &mut groups)?;
                }
                Step::Return(devices) if ours(devices) => {
                    report.add(Happening::ReturnAnew { pairing: pairing.to_string() });
                }
                Step::PairAnew(devices) if ours(devices) => {
                    report.add(Happening::PairAnew { pairing: pairing.to_string() });
                }
                _ => {}
            }
        }
        for group in &mut groups {
            if let Some((own, device)) = group.as_own() {
                own.unpair(device)?;
            }
        }
        if let (Some(anchor), true) = (self.anchor_id(&terms)?, own == Some(terms.initiator())) {
            self.enqueue(&Item::Revoke(anchor))?;
        }
        // The tape of a shared leaf is needed until the leaf is out of its groups.
        let shared = groups.iter().any(|group| group.shared().is_some());
        if !shared {
            for row in self.store().groups()? {
                if row.pairing == Some(pairing) {
                    self.load(&row)?.erase()?;
                    self.store().forget_group(&row.id)?;
                }
            }
            let ids: Vec<_> = self.store().groups()?;
            let ids: Vec<_> = ids.iter().map(|row| row.id.as_bytes().to_vec()).collect();
            self.book().erase(pairing, &ids)?;
            report.add(Happening::Ended { pairing: pairing.to_string(), leaves });
        }
        Ok(())
    }

    /// The devices at a node leave each for itself; those behind a leaf, once for all: the initiator's
    /// proposal does it.
    fn leave_groups(
        &self,
        terms: &paired_mls::pairing::Terms,
        groups: &mut [Group],
    ) -> Result<(), EngineError> {
        let shared = terms.anchor() == AnchorKind::Leaf;
        if shared && self.own_number(terms) != Some(terms.initiator()) {
            return Ok(());
        }
        for group in groups.iter_mut().filter(|group| group.row.state == Membership::Active) {
            self.propose_to_leave(group)?;
        }
        Ok(())
    }

    /// All pairings, and the channels that have not come that far.
    pub(crate) fn pairings(&self) -> Result<Vec<PairingView>, EngineError> {
        let mut views = Vec::new();
        for pairing in self.book().pairings()? {
            views.push(self.pairing_view(pairing)?);
        }
        for (id, record) in
            self.channels()?.into_iter().filter(|(_, record)| record.pairing.is_none())
        {
            let digits = Channel::load(self.device(), &id)?.digits(self.device())?.to_string();
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
                digits: Some(digits),
            });
        }
        Ok(views)
    }

    fn pairing_view(&self, pairing: PairingId) -> Result<PairingView, EngineError> {
        let state = self.book().load(pairing)?;
        let terms = terms_of(&state);
        let digits = match self.channel_of(pairing)? {
            Some((id, record)) if record.compared == Compared::NotYet => {
                Some(Channel::load(self.device(), &id)?.digits(self.device())?.to_string())
            }
            _ => None,
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
            user: identity(&device.party.identity),
            device: DeviceId::of_key(scheme, &device.party.signature_key).to_string(),
        });
        let groups = match terms {
            Some(_) => self.groups_of(pairing)?.into_iter().map(|group| group.row.name).collect(),
            None => Vec::new(),
        };
        Ok(PairingView {
            id: pairing.to_string(),
            state: state_name(&state),
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

    /// The pairing whose identifier begins like this; the only one, for nothing.
    pub(crate) fn find_pairing(&self, name: &str) -> Result<PairingId, EngineError> {
        let pairings = self.book().pairings()?;
        let mut found = pairings.into_iter().filter(|id| id.to_string().starts_with(name));
        match (found.next(), found.next()) {
            (Some(id), None) => Ok(id),
            (Some(_), Some(_)) => Err(EngineError::Ambiguous(name.to_owned())),
            (None, _) => Err(EngineError::NoPairing(name.to_owned())),
        }
    }

    /// Makes further KeyPackages from the tape of a pairing.
    pub(crate) async fn publish_packages(
        &mut self,
        name: &str,
        count: usize,
        report: &mut Report,
    ) -> Result<PairingId, EngineError> {
        self.sync_mailbox(report).await?;
        let pairing = self.find_pairing(name)?;
        self.publish_from_tape(pairing, count, LastResort::Omitted)?;
        self.flush(report).await?;
        Ok(pairing)
    }

    async fn look_up(
        &self,
        newcomer: &Newcomer,
    ) -> Result<paired_mls_api::DeviceView, EngineError> {
        let view = self.client()?.user(&newcomer.user).await?;
        let own = &self.session.profile().device;
        let mut matching = view.devices.into_iter().filter(|device| {
            let named = newcomer.device.as_deref().unwrap_or_default();
            device.revoked_at.is_none()
                && device.device != *own
                && device.device.to_string().starts_with(named)
        });
        let name = name_of(&newcomer.user);
        match (matching.next(), matching.next()) {
            (Some(device), None) => Ok(device),
            (Some(_), Some(_)) => Err(EngineError::SeveralDevices(name)),
            (None, _) => Err(EngineError::NoDevice(name)),
        }
    }

    async fn claim_one(&self, newcomer: &Newcomer) -> Result<(DeviceId, Vec<u8>), EngineError> {
        let device = self.look_up(newcomer).await?.device;
        let suite = self.session.profile().suite.code_point();
        let package = self.client()?.claim(&device, suite).await?;
        let name = name_of(&newcomer.user);
        Ok((device, package.ok_or(EngineError::NoKeyPackage(name, suite))?))
    }
}

impl Start {
    /// The anchor that is asked for in standard mode.
    fn standard(self) -> Option<AnchorKind> {
        match self {
            Self::Node => Some(AnchorKind::Node),
            Self::Leaf => Some(AnchorKind::Leaf),
            Self::Hidden => None,
        }
    }
}

fn name_of(user: &UserId) -> String {
    identity(user.as_bytes())
}

fn only_digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// One word for a state.
fn state_name(state: &PairingState) -> &'static str {
    match state {
        PairingState::Unpaired(_) => "unpaired",
        PairingState::Seeded(_) => "seeded",
        PairingState::Invited(_) => "invited",
        PairingState::Paired(_) => "paired",
        PairingState::Ceasing(_) => "ceasing",
        PairingState::Ceased(_) => "ceased",
        _ => "unknown",
    }
}

/// One word for a state, by its name.
pub(super) fn short_state(state: StateName) -> &'static str {
    match state {
        StateName::Unpaired => "unpaired",
        StateName::Seeded => "seeded",
        StateName::Invited => "invited",
        StateName::Paired => "paired",
        StateName::Ceasing => "ceasing",
        StateName::Ceased => "ceased",
        StateName::Token => "token",
        _ => "unknown",
    }
}

/// Reads the message of a seed file.
pub(crate) fn seed_of(bytes: &[u8]) -> Option<ShareRand> {
    match PairingMessage::decode(bytes) {
        Ok(PairingMessage::ShareRand(share)) => Some(share),
        _ => None,
    }
}
