//! All pairings of a device: their states lie in its vault, and messages find their pairing.
//!
//! The [states](super::Unpaired) know what a step does; the book knows which pairing a message belongs
//! to, stores each state before it lets out what is to be sent, and gives an Accept when all is there
//! for it. A caller moves messages:
//!
//! ```text
//! book.share_rand(…)      ─┐                   ┌─ Route::OneToOne    over the 1-to-1 channel
//! book.initiate(…)         ├─►  Progress.send ─┼─ Route::Directory   to the directory
//! book.receive(source, …)  │                   └─ Route::Partners    in any way
//! book.end(…)             ─┘
//! ```
//!
//! # Crashes
//!
//! A step is one write. What was to be sent and did not get out is made again by
//! [`PairingBook::resend`]; a message that is received twice changes nothing. The one exception is a
//! seed over the channel, which is nowhere else: [`PairingBook::abandon`], and begin again.

mod store;
#[cfg(test)]
mod tests;

pub use self::store::{MAX_OFFER_LEN, MAX_OFFERS, MAX_OFFERS_OF_ONE};

use thiserror::Error;

use super::{
    Abandon, AbandonReason, CallerError, Ceased, ChannelTrust, Code, Confirmation, Continuation,
    Ending, Failed, Invited, Joined, MessageType, OneToOne, Outbound, PairingError, PairingMessage,
    PairingState, PartnerContinues, Party, PeerError, Plan, Request, Roster, Route, Seeded,
    Sighting, SignatureKeyPair, Source, StateName, StateRecordError, Unpaired, WayRule,
};
use crate::{CipherSuite, PairingId, Secret, Vault, VaultError, leaf::LeafVaultError};

/// All pairings of a device, in its vault.
#[derive(Debug)]
pub struct PairingBook<'a> {
    vault: &'a Vault,
    own: Party,
}

/// What a step led to.
#[derive(Debug)]
#[must_use = "send what is to be sent"]
pub struct Progress {
    /// The pairing.
    pub pairing: PairingId,
    /// The state that this device is in now.
    pub state: StateName,
    /// What is to be sent.
    pub send: Vec<Outbound>,
}

/// Why a step failed. The stored state is as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BookError {
    /// The step was refused.
    #[error(transparent)]
    Pairing(#[from] PairingError),
    /// A stored state cannot be read or written.
    #[error(transparent)]
    State(#[from] StateRecordError),
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What the vault holds of a shared leaf cannot be read.
    #[error(transparent)]
    Leaf(#[from] LeafVaultError),
    /// There is no such pairing.
    #[error("this device has no pairing {0}: begin with a seed")]
    NoSuchPairing(PairingId),
    /// The call does not fit the state.
    #[error("pairing {pairing} is {state}: this call does not fit")]
    Unfit {
        /// The pairing.
        pairing: PairingId,
        /// Its state.
        state: StateName,
    },
    /// Too many pairings wait that came over channels which nobody has looked at.
    #[error(
        "{MAX_OFFERS} pairings wait for the user, or {MAX_OFFERS_OF_ONE} of the same devices: confirm or give up \
         some of them first"
    )]
    TooManyOffers,
    /// The seed of such a pairing is in a message that is too long.
    #[error(
        "a ShareRand of {0} bytes is refused: at most {MAX_OFFER_LEN} are taken from a channel"
    )]
    OfferTooLong(usize),
    /// The pairing's tape is in use.
    #[error("pairing {0} is known already: choose another identifier, used once")]
    Known(PairingId),
}

/// Whether a private key belongs to its public one: sign something with it, and verify.
pub type IsPair<'a> = &'a dyn Fn(CipherSuite, &SignatureKeyPair) -> bool;

impl<'a> PairingBook<'a> {
    /// The book of the device with this identity and signature key.
    pub fn new(vault: &'a Vault, own: Party) -> Self {
        Self { vault, own }
    }

    /// Begins a pairing with a seed from hardware, Nh bytes: the recommended road.
    ///
    /// # Errors
    ///
    /// As [`Unpaired::load_seed`]; [`BookError::Known`].
    pub fn load_seed(&self, roster: Roster, seed: &Secret) -> Result<Progress, BookError> {
        let pairing = self.begin(roster.pairing_id())?;
        let seeded = self.unpaired().load_seed(self.vault, roster, seed).map_err(reason)?;
        self.store(pairing, seeded.into(), Vec::new())
    }

    /// Begins a pairing with a seed of Nh fresh random bytes, which goes over the 1-to-1 channel.
    ///
    /// # Errors
    ///
    /// As [`Unpaired::share_rand`]; [`BookError::Known`].
    pub fn share_rand(
        &self,
        roster: Roster,
        seed: &Secret,
        channel: &OneToOne,
    ) -> Result<Progress, BookError> {
        let pairing = self.begin(roster.pairing_id())?;
        let (seeded, outbound) =
            self.unpaired().share_rand(self.vault, roster, seed, channel).map_err(reason)?;
        self.store(pairing, seeded.into(), vec![outbound])
    }

    /// Asks for the pairing, as its initiator.
    ///
    /// # Errors
    ///
    /// As [`Seeded::initiate`].
    pub fn initiate(
        &self,
        pairing: PairingId,
        request: Request<'_>,
    ) -> Result<Progress, BookError> {
        let PairingState::Seeded(seeded) = self.load(pairing)? else {
            return Err(self.unfit(pairing)?);
        };
        if let Request::Hidden { key_pair, .. } | Request::HiddenAnnounced { key_pair, .. } =
            &request
        {
            self.vault.store_anchor_key(pairing, key_pair)?;
        }
        let (invited, outbound) = seeded.initiate(request).map_err(reason)?;
        let mut send = vec![outbound];
        send.extend(self.accept(&invited)?);
        self.store(pairing, invited.into(), send)
    }

    /// Notes that the 1-to-1 channel is safe: people have compared the digits, or its members'
    /// credentials were verified. In hidden mode the initiator hands over the leaf's key, if it has not
    /// yet.
    ///
    /// # Errors
    ///
    /// [`BookError::NoSuchPairing`], [`BookError::Unfit`] for a pairing that waits for no such thing.
    pub fn confirm_channel(
        &self,
        pairing: PairingId,
        trust: ChannelTrust,
    ) -> Result<Progress, BookError> {
        match self.load(pairing)? {
            PairingState::Seeded(seeded) => {
                self.store(pairing, seeded.confirm_channel(trust).into(), Vec::new())
            }
            PairingState::Invited(invited) if invited.withholds_key() => {
                let key_pair = self.vault.anchor_key(pairing)?;
                let key_pair = key_pair.ok_or(PairingError::Caller(CallerError::NoAnchorKey))?;
                let (next, key) = invited.give_key(&key_pair, trust).map_err(reason)?;
                self.confirmed(pairing, next, vec![key])
            }
            PairingState::Invited(invited) => {
                self.confirmed(pairing, invited.confirm_channel(trust), Vec::new())
            }
            other => Err(BookError::Unfit { pairing, state: other.name() }),
        }
    }

    /// Receives a message of any pairing.
    ///
    /// A partner's Accept that comes before the request is kept until then.
    ///
    /// # Errors
    ///
    /// [`BookError::Pairing`] with the reason for a message that is refused; the pairing goes on
    /// waiting. [`BookError::NoSuchPairing`].
    pub fn receive(
        &self,
        source: Source<'_>,
        message: &[u8],
        is_pair: IsPair<'_>,
    ) -> Result<Progress, BookError> {
        let decoded = PairingMessage::decode(message).map_err(|error| refused(error.into()))?;
        let Some(pairing) = decoded.pairing_id() else {
            let code = match decoded {
                PairingMessage::Unknown { message_type, .. } => message_type,
                _ => 0,
            };
            return Err(refused(PeerError::UnknownMessage(code)));
        };
        match (self.load_if_known(pairing)?, decoded) {
            (None, PairingMessage::ShareRand(share)) => {
                if let Source::OneToOne { channel, .. } = &source
                    && channel.trust == ChannelTrust::Pending
                {
                    let roster = share.roster().map_err(|error| refused(error.into()))?;
                    self.has_room(&roster, message)?;
                }
                self.begin(pairing)?;
                match self.unpaired().receive_share_rand(self.vault, source, message) {
                    Ok(seeded) => self.store(pairing, seeded.into(), Vec::new()),
                    Err(failed) => {
                        // Anybody can send one: what is refused leaves nothing behind.
                        self.forget(pairing)?;
                        Err(reason(failed))
                    }
                }
            }
            (None, _) => Err(BookError::NoSuchPairing(pairing)),
            (Some(PairingState::Seeded(seeded)), PairingMessage::Accept(accept)) => {
                let (roster, by) = (seeded.roster(), accept.device);
                if roster.party(by).is_none() || by == seeded.own_device() {
                    return Err(refused(PeerError::ForeignDevice(by)));
                }
                if accept.tag.len() != roster.suite().kdf_len() {
                    let message = MessageType::Accept;
                    return Err(refused(PeerError::WrongTag { message, device: by }));
                }
                self.keep_early(pairing, by, message)?;
                Ok(Progress { pairing, state: StateName::Seeded, send: Vec::new() })
            }
            (Some(PairingState::Invited(invited)), PairingMessage::Accept(_)) => {
                // Nothing new to say: an answer to each Accept would be answered for ever.
                let (next, send) = invited.receive(self.vault, source, message).map_err(reason)?;
                self.store(pairing, settled(next), send)
            }
            (Some(PairingState::Invited(invited)), PairingMessage::InitPairing(_))
                if invited.awaits_key() =>
            {
                let (next, key_pair) =
                    invited.receive_key(source, message, is_pair).map_err(reason)?;
                self.vault.store_anchor_key(pairing, &key_pair)?;
                self.confirmed(pairing, next, Vec::new())
            }
            (Some(PairingState::Seeded(seeded)), PairingMessage::Abandon(abandon)) => {
                self.given_up(seeded.roster(), source, &abandon)
            }
            (Some(PairingState::Invited(invited)), PairingMessage::Abandon(abandon)) => {
                self.given_up(invited.terms().roster(), source, &abandon)
            }
            (Some(PairingState::Ceased(_)), PairingMessage::CeaseAck(_)) => {
                // Of several partners, one has answered after the last that was needed.
                Ok(Progress { pairing, state: StateName::Ceased, send: Vec::new() })
            }
            (Some(state), _) => self.step(pairing, state, source, message, is_pair),
        }
    }

    /// Makes again whatever this device has to send in its present state: after a crash, or if
    /// nobody has answered.
    ///
    /// # Errors
    ///
    /// [`BookError::NoSuchPairing`], or the vault's.
    pub fn resend(&self, pairing: PairingId) -> Result<Progress, BookError> {
        let state = self.load(pairing)?;
        let send = match &state {
            PairingState::Invited(invited) => {
                let request = match self.vault.anchor_key(pairing)? {
                    Some(key_pair) => invited.request(Some(&key_pair)),
                    None => invited.request(None),
                };
                let mut send: Vec<_> = request.map_err(PairingError::from)?.into_iter().collect();
                send.extend(self.accept(invited)?);
                send
            }
            PairingState::Paired(paired) => vec![paired.accept(self.vault)?],
            PairingState::Ceasing(ceasing) => vec![ceasing.resend()?],
            _ => Vec::new(),
        };
        Ok(Progress { pairing, state: state.name(), send })
    }

    /// Ends the pairing: CeasePair for every partner.
    ///
    /// # Errors
    ///
    /// [`BookError::Unfit`] unless it is paired; the vault's.
    pub fn end(&self, pairing: PairingId) -> Result<Progress, BookError> {
        let PairingState::Paired(paired) = self.load(pairing)? else {
            return Err(self.unfit(pairing)?);
        };
        let (ceasing, outbound) = paired.end(self.vault).map_err(reason)?;
        self.store(pairing, ceasing.into(), vec![outbound])
    }

    /// Ends the pairing without the partners that do not answer.
    ///
    /// # Errors
    ///
    /// [`BookError::Unfit`] unless it is [ending](PairingBook::end) already.
    ///
    /// # Security
    ///
    /// That of [`Ceasing::force_end`](super::Ceasing::force_end).
    pub fn force_end(&self, pairing: PairingId) -> Result<Progress, BookError> {
        let PairingState::Ceasing(ceasing) = self.load(pairing)? else {
            return Err(self.unfit(pairing)?);
        };
        self.store(pairing, ceasing.force_end().into(), Vec::new())
    }

    /// Whether a sign of the tape's use means that a partner goes on with a pairing that is ending:
    /// the index of an [`Event::Healed`](crate::Event::Healed), for instance.
    ///
    /// Returns `None` if the pairing is not ending, or the sign is this device's own.
    ///
    /// # Errors
    ///
    /// [`BookError::NoSuchPairing`], or the vault's.
    pub fn detect(
        &self,
        pairing: PairingId,
        sighting: impl Into<Sighting>,
    ) -> Result<Option<PartnerContinues>, BookError> {
        Ok(match self.load(pairing)? {
            PairingState::Ceasing(ceasing) => ceasing.detect(sighting.into()),
            _ => None,
        })
    }

    /// Erases the tape of a pairing that is over, with everything of it in these groups, and returns
    /// what has to happen there. The state stays, to answer a partner that did not get the answer.
    ///
    /// # Errors
    ///
    /// [`BookError::Unfit`] unless it is over; the vault's.
    pub fn erase(&self, pairing: PairingId, groups: &[Vec<u8>]) -> Result<Plan, BookError> {
        let PairingState::Ceased(ceased) = self.load(pairing)? else {
            return Err(self.unfit(pairing)?);
        };
        ceased.erase_tape(self.vault, groups)?;
        self.forget_anchor_key(pairing)?;
        Ok(ceased.plan())
    }

    /// Gives up a pairing that has not come about: the digits differ, or the user said no. Erases
    /// its tape; also what a crash has left of a pairing that had just begun.
    ///
    /// # Errors
    ///
    /// [`BookError::Unfit`] for one that has: [end](PairingBook::end) it. The vault's.
    pub fn abandon(&self, pairing: PairingId) -> Result<(), BookError> {
        match self.load_if_known(pairing)? {
            None => self.vault.erase(&crate::RecordName::Pairing(pairing))?,
            Some(PairingState::Seeded(seeded)) => {
                seeded.abandon(self.vault).map_err(reason)?;
            }
            Some(PairingState::Invited(invited)) => {
                invited.abandon(self.vault).map_err(reason)?;
            }
            Some(other) => return Err(BookError::Unfit { pairing, state: other.name() }),
        }
        self.forget_anchor_key(pairing)?;
        self.forget(pairing)
    }

    /// Gives up a pairing that has not come about, as [`PairingBook::abandon`], and tells the other devices,
    /// which give it up too.
    ///
    /// Returns Abandon for the 1-to-1 channel, if the pairing has one; and if this device has given its
    /// Accept, so that a partner may count on it already, CeasePair.
    ///
    /// # Errors
    ///
    /// As [`PairingBook::abandon`]; [`BookError::NoSuchPairing`].
    pub fn refuse(&self, pairing: PairingId, why: AbandonReason) -> Result<Progress, BookError> {
        let (own, has_channel, take_back) = match self.load(pairing)? {
            PairingState::Seeded(seeded) => (seeded.own_device(), seeded.has_channel(), None),
            PairingState::Invited(invited) => {
                let take_back = invited.take_back(self.vault)?;
                (invited.own_device(), invited.has_channel(), take_back)
            }
            other => return Err(BookError::Unfit { pairing, state: other.name() }),
        };
        let mut send = Vec::new();
        if has_channel {
            let abandon = Abandon { pairing_id: pairing, device: own, reason: Code::Known(why) };
            let message = PairingMessage::Abandon(abandon).encode();
            let message = message.map_err(|error| PairingError::from(CallerError::from(error)))?;
            send.push(Outbound { route: Route::OneToOne, message });
        }
        send.extend(take_back);
        self.abandon(pairing)?;
        Ok(Progress { pairing, state: StateName::Unpaired, send })
    }

    /// A partner has given up a pairing that has not come about.
    fn given_up(
        &self,
        roster: &Roster,
        source: Source<'_>,
        abandon: &Abandon,
    ) -> Result<Progress, BookError> {
        let Source::OneToOne { channel, sender } = source else {
            return Err(refused(PeerError::WrongWay {
                message: MessageType::Abandon,
                way: source.way(),
                rule: WayRule::Abandon,
            }));
        };
        if !channel.is_of(roster) {
            return Err(refused(PeerError::ChannelMembers));
        }
        if *sender == self.own || roster.party(abandon.device) != Some(sender) {
            return Err(refused(PeerError::ForeignDevice(abandon.device)));
        }
        let pairing = roster.pairing_id();
        self.abandon(pairing)?;
        Ok(Progress { pairing, state: StateName::Unpaired, send: Vec::new() })
    }

    fn step(
        &self,
        pairing: PairingId,
        state: PairingState,
        source: Source<'_>,
        message: &[u8],
        is_pair: IsPair<'_>,
    ) -> Result<Progress, BookError> {
        match state {
            PairingState::Seeded(seeded) => self.join(pairing, seeded, source, message, is_pair),
            PairingState::Invited(invited) => {
                let (next, send) = invited.receive(self.vault, source, message).map_err(reason)?;
                self.confirmed(pairing, next, send)
            }
            PairingState::Paired(paired) => {
                let (next, send) = paired.receive(self.vault, message).map_err(reason)?;
                let next = match next {
                    Continuation::Paired(paired) => paired.into(),
                    Continuation::Ending(ending) => ended(ending),
                };
                self.store(pairing, next, send)
            }
            PairingState::Ceasing(ceasing) => {
                let (next, send) = ceasing.receive(self.vault, message).map_err(reason)?;
                self.store(pairing, ended(next), send)
            }
            PairingState::Ceased(ceased) => {
                let send = vec![Ceased::answer(&ceased, message)?];
                Ok(Progress { pairing, state: StateName::Ceased, send })
            }
            PairingState::Unpaired(_) => Err(BookError::NoSuchPairing(pairing)),
        }
    }

    fn join(
        &self,
        pairing: PairingId,
        seeded: Seeded,
        source: Source<'_>,
        message: &[u8],
        is_pair: IsPair<'_>,
    ) -> Result<Progress, BookError> {
        let early = self.early(pairing)?;
        let joined = seeded.receive_init(source, message, is_pair).map_err(reason)?;
        let (mut invited, send) = match joined {
            Joined::Standard { state, request } => (state, vec![request]),
            Joined::Announced { state } => (state, Vec::new()),
            Joined::Hidden { state, key_pair } => {
                self.vault.store_anchor_key(pairing, &key_pair)?;
                (state, Vec::new())
            }
        };
        for accept in early {
            // What is refused now was no partner's Accept, or not for this request.
            invited = match invited.receive(self.vault, Source::Relay, &accept) {
                Ok((Confirmation::Waiting(invited), _)) => invited,
                Ok((other, more)) => return self.confirmed_after(pairing, other, send, more),
                Err(failed) => failed.into_state(),
            };
        }
        self.confirmed(pairing, Confirmation::Waiting(invited), send)
    }

    fn confirmed_after(
        &self,
        pairing: PairingId,
        confirmation: Confirmation,
        mut send: Vec<Outbound>,
        more: Vec<Outbound>,
    ) -> Result<Progress, BookError> {
        send.extend(more);
        self.confirmed(pairing, confirmation, send)
    }

    /// Stores what a confirmation led to, and gives this device's own as soon as it can.
    fn confirmed(
        &self,
        pairing: PairingId,
        confirmation: Confirmation,
        mut send: Vec<Outbound>,
    ) -> Result<Progress, BookError> {
        match &confirmation {
            Confirmation::Waiting(invited) => send.extend(self.accept(invited)?),
            Confirmation::Paired(paired) => send.push(paired.accept(self.vault)?),
            Confirmation::Ending(_) => {}
        }
        self.store(pairing, settled(confirmation), send)
    }

    /// This device's Accept, if nothing is missing for it.
    fn accept(&self, invited: &Invited) -> Result<Option<Outbound>, BookError> {
        match invited.accept(self.vault) {
            Ok(accept) => Ok(Some(accept)),
            Err(PairingError::Caller(
                CallerError::NotRegistered
                | CallerError::NoAnchorKey
                | CallerError::ChannelNotVerified,
            )) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn unpaired(&self) -> Unpaired {
        Unpaired::new(self.own.clone())
    }

    fn unfit(&self, pairing: PairingId) -> Result<BookError, BookError> {
        Ok(BookError::Unfit { pairing, state: self.load(pairing)?.name() })
    }
}

fn reason<S>(failed: Failed<S>) -> BookError {
    failed.into_parts().1.into()
}

fn refused(error: PeerError) -> BookError {
    PairingError::from(error).into()
}

fn settled(confirmation: Confirmation) -> PairingState {
    match confirmation {
        Confirmation::Waiting(invited) => invited.into(),
        Confirmation::Paired(paired) => paired.into(),
        Confirmation::Ending(ending) => ended(ending),
    }
}

fn ended(ending: Ending) -> PairingState {
    match ending {
        Ending::Ceasing(ceasing) => ceasing.into(),
        Ending::Ceased(ceased) => ceased.into(),
    }
}
