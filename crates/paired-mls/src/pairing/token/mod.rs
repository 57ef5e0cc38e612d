//! The sending token of a leaf that several devices share.
//!
//! Two devices that send from one leaf in one epoch use the same ratchet, and a message is lost. So
//! only the holder of the token sends application messages. It changes hands in two steps, and the new
//! holder begins with a paired commit, so that its ratchets are fresh.
//!
//! ```text
//!   holder: Holding                         next: Following
//!      │ offer(next, epoch)                    │
//!   Offering ───────── TokenOffer ───────────► │ take
//!      │   sends nothing any more           Holding: sends in epochs after `epoch`
//!      │ ◄──────────────── TokenTake ───────── │ ──► every other device: observe
//!   Following
//! ```
//!
//! A lost TokenOffer is sent again; a lost TokenTake is answered from the stored one, and made up for
//! by any later one. In between, nobody sends: the other way round, both might.

mod record;

pub use self::record::TokenRecordError;
use super::{
    channel::{Outbound, Route},
    error::{CallerError, Failed, PairingError, PeerError, StateName},
    messages::{Body, MessageType, PairingMessage, TokenOffer, TokenTake},
    state::{Agreement, Paired},
    tag::{TagInput, TagPurpose},
    terms::AnchorKind,
};
use crate::{DeviceId, Vault};

/// The token of one group, as this device knows it.
#[derive(Debug, PartialEq, Eq)]
pub enum Token {
    /// This device holds it.
    Holding(Holding),
    /// This device has offered it and waits for the answer.
    Offering(Offering),
    /// Another device holds it, or is about to.
    Following(Following),
}

/// The group whose leaf is shared, and how often its token has changed hands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SharedLeaf {
    agreement: Agreement,
    group_id: Vec<u8>,
    counter: u64,
}

/// This device holds the token.
///
/// This type makes it impossible to send from a shared leaf while another device does: only it says
/// [`SendRight::Granted`].
#[derive(Debug, PartialEq, Eq)]
pub struct Holding {
    leaf: SharedLeaf,
    /// How it came here; `None` for the first holder.
    taken: Option<TokenTake>,
}

/// This device has given the token away and may not send any more; the new holder has not answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Offering {
    leaf: SharedLeaf,
    offer: TokenOffer,
}

/// Another device holds the token.
#[derive(Debug, PartialEq, Eq)]
pub struct Following {
    leaf: SharedLeaf,
    holder: DeviceId,
}

/// Whether the holder of the token may send in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum SendRight {
    /// It may.
    Granted,
    /// Not in this epoch, in which the holder before may have sent: first make a paired commit.
    AfterCommit,
}

impl Paired {
    /// The token of a group that the devices have just come to share a leaf in. The initiator of the
    /// pairing is its first holder.
    ///
    /// # Errors
    ///
    /// [`CallerError::NoSharedLeaf`] if the anchor is a node: then each device has its own leaf.
    pub fn token(&self, group_id: &[u8]) -> Result<Token, CallerError> {
        if self.agreement.terms().anchor() != AnchorKind::Leaf {
            return Err(CallerError::NoSharedLeaf);
        }
        let agreement = self.agreement.clone();
        let (own, holder) = (agreement.own(), agreement.terms().initiator());
        let leaf = SharedLeaf { agreement, group_id: group_id.to_vec(), counter: 0 };
        Ok(match own == holder {
            true => Token::Holding(Holding { leaf, taken: None }),
            false => Token::Following(Following { leaf, holder }),
        })
    }
}

impl Holding {
    /// Whether this device may send application messages in `epoch`.
    pub fn right(&self, epoch: u64) -> SendRight {
        match &self.taken {
            Some(taken) if epoch <= taken.epoch => SendRight::AfterCommit,
            _ => SendRight::Granted,
        }
    }

    /// Offers the token to a partner. `epoch` is the current one, the last in which this device sends.
    ///
    /// # Errors
    ///
    /// [`CallerError::NotAPartner`], or the vault's error.
    pub fn offer(
        self,
        vault: &Vault,
        to: DeviceId,
        epoch: u64,
    ) -> Result<(Offering, Outbound), Failed<Self>> {
        match self.try_offer(vault, to, epoch) {
            Ok((offer, outbound)) => Ok((Offering { leaf: self.leaf, offer }, outbound)),
            Err(error) => Err(Failed::new(self, error)),
        }
    }

    /// ```text
    /// tag = ExpandWithLabel(accept_secret, "token offer tag",
    ///           transcript_hash || device || group_id<V> || epoch || holder || counter, Nh)
    /// ```
    fn try_offer(
        &self,
        vault: &Vault,
        to: DeviceId,
        epoch: u64,
    ) -> Result<(TokenOffer, Outbound), PairingError> {
        let agreement = &self.leaf.agreement;
        if !agreement.partners().contains(&to) {
            return Err(CallerError::NotAPartner(to).into());
        }
        let not_before = self.taken.as_ref().map_or(0, |taken| taken.epoch);
        let mut offer = TokenOffer {
            pairing_id: agreement.pairing_id(),
            group_id: self.leaf.group_id.clone(),
            epoch: epoch.max(not_before),
            device: agreement.own(),
            holder: to,
            counter: self.leaf.counter.saturating_add(1),
            tag: Vec::new(),
        };
        offer.tag = agreement.tag(vault, &self.leaf.offer_input(&offer)?)?;
        let outbound = offer_to(&offer)?;
        Ok((offer, outbound))
    }

    /// Answers an offer that came again, since the TokenTake was lost.
    ///
    /// # Errors
    ///
    /// [`PeerError::StaleToken`] for any other offer.
    pub fn answer(&self, vault: &Vault, message: &[u8]) -> Result<Outbound, PairingError> {
        let offer = self.leaf.read_offer(vault, message)?;
        let stale = PeerError::StaleToken { found: offer.counter, known: self.leaf.counter };
        let taken = self.taken.as_ref().filter(|taken| taken.counter == offer.counter);
        self.leaf.take_to_all(taken.ok_or(stale)?)
    }

    /// The TokenTake again, for partners that did not get it; `None` for the first holder, who took
    /// the token from nobody.
    ///
    /// # Errors
    ///
    /// [`CallerError::TooLarge`] as when it was made.
    pub fn announce(&self) -> Result<Option<Outbound>, PairingError> {
        self.taken.as_ref().map(|taken| self.leaf.take_to_all(taken)).transpose()
    }
}

impl Offering {
    /// The device that is to take the token.
    pub fn to(&self) -> DeviceId {
        self.offer.holder
    }

    /// The offer again.
    ///
    /// # Errors
    ///
    /// [`CallerError::TooLarge`] as when it was made.
    pub fn resend(&self) -> Result<Outbound, PairingError> {
        offer_to(&self.offer)
    }

    /// Receives the TokenTake that answers the offer, or a later one: then the token has gone on, and
    /// the answer was lost.
    ///
    /// # Errors
    ///
    /// [`PeerError::StaleToken`] and [`PeerError::OtherHolder`] for one that answers another offer;
    /// otherwise as [`Following::observe`].
    pub fn receive(self, vault: &Vault, message: &[u8]) -> Result<Following, Failed<Self>> {
        match self.check(vault, message) {
            Ok(take) => {
                let leaf = SharedLeaf { counter: take.counter, ..self.leaf };
                Ok(Following { leaf, holder: take.holder })
            }
            Err(error) => Err(Failed::new(self, error)),
        }
    }

    fn check(&self, vault: &Vault, message: &[u8]) -> Result<TokenTake, PairingError> {
        let take = self.leaf.read_take(vault, message)?;
        self.leaf.check_fresh(take.counter)?;
        if take.counter == self.offer.counter && take.holder != self.offer.holder {
            let (found, expected) = (take.holder, self.offer.holder);
            return Err(PeerError::OtherHolder { found, expected }.into());
        }
        Ok(take)
    }

    /// Takes the token back that a partner offers: it has taken this device's offer, and the answer
    /// was lost.
    ///
    /// # Errors
    ///
    /// [`PeerError::StaleToken`] for an offer that is not later than this device's own; otherwise as
    /// [`Following::take`].
    pub fn take(self, vault: &Vault, offer: &[u8]) -> Result<(Holding, Outbound), Failed<Self>> {
        let known = SharedLeaf { counter: self.offer.counter, ..self.leaf.clone() };
        match known.take(vault, offer) {
            Ok(taken) => Ok(taken),
            Err(error) => Err(Failed::new(self, error)),
        }
    }
}

impl Following {
    /// The device that holds the token, as far as this one knows.
    pub fn holder(&self) -> DeviceId {
        self.holder
    }

    /// Takes the token that was offered to this device.
    ///
    /// Returns the state and a TokenTake for every partner. Store the state before sending anything.
    ///
    /// # Errors
    ///
    /// [`PeerError::StaleToken`] for a replay, [`PeerError::OtherHolder`] if another device is meant,
    /// [`PeerError::OtherGroup`], [`PeerError::WrongTag`], or the vault's error.
    pub fn take(self, vault: &Vault, offer: &[u8]) -> Result<(Holding, Outbound), Failed<Self>> {
        match self.leaf.take(vault, offer) {
            Ok(taken) => Ok(taken),
            Err(error) => Err(Failed::new(self, error)),
        }
    }

    /// Notes that another device has taken the token.
    ///
    /// # Errors
    ///
    /// [`PeerError::StaleToken`] for a replay, or one overtaken by a later handover,
    /// [`PeerError::OtherGroup`], [`PeerError::WrongTag`], or the vault's error.
    pub fn observe(self, vault: &Vault, message: &[u8]) -> Result<Self, Failed<Self>> {
        let checked = self.leaf.read_take(vault, message).and_then(|take| {
            self.leaf.check_fresh(take.counter)?;
            Ok(take)
        });
        match checked {
            Ok(take) => {
                let leaf = SharedLeaf { counter: take.counter, ..self.leaf };
                Ok(Self { leaf, holder: take.holder })
            }
            Err(error) => Err(Failed::new(self, error)),
        }
    }
}

impl SharedLeaf {
    /// ```text
    /// tag = ExpandWithLabel(accept_secret, "token take tag",
    ///           transcript_hash || holder || group_id<V> || epoch || counter, Nh)
    /// ```
    fn take(&self, vault: &Vault, message: &[u8]) -> Result<(Holding, Outbound), PairingError> {
        let offer = self.read_offer(vault, message)?;
        self.check_fresh(offer.counter)?;
        let mut take = TokenTake {
            pairing_id: offer.pairing_id,
            group_id: offer.group_id,
            epoch: offer.epoch,
            holder: offer.holder,
            counter: offer.counter,
            tag: Vec::new(),
        };
        take.tag = self.agreement.tag(vault, &self.take_input(&take)?)?;
        let outbound = self.take_to_all(&take)?;
        let leaf = Self { counter: take.counter, ..self.clone() };
        Ok((Holding { leaf, taken: Some(take) }, outbound))
    }

    /// Reads an offer to this device and verifies its tag.
    fn read_offer(&self, vault: &Vault, message: &[u8]) -> Result<TokenOffer, PairingError> {
        let offer = match self.agreement.decode(message)? {
            PairingMessage::TokenOffer(offer) => offer,
            other => return Err(out_of_order(&other)),
        };
        let input = self.offer_input(&offer)?;
        let kind = MessageType::TokenOffer;
        self.agreement.verify(vault, kind, offer.device, &input, &offer.tag)?;
        self.check_group(&offer.group_id)?;
        if offer.holder != self.agreement.own() {
            let (found, expected) = (offer.holder, self.agreement.own());
            return Err(PeerError::OtherHolder { found, expected }.into());
        }
        Ok(offer)
    }

    /// Reads a TokenTake and verifies its tag.
    fn read_take(&self, vault: &Vault, message: &[u8]) -> Result<TokenTake, PairingError> {
        let take = match self.agreement.decode(message)? {
            PairingMessage::TokenTake(take) => take,
            other => return Err(out_of_order(&other)),
        };
        let input = self.take_input(&take)?;
        let kind = MessageType::TokenTake;
        self.agreement.verify(vault, kind, take.holder, &input, &take.tag)?;
        self.check_group(&take.group_id)?;
        Ok(take)
    }

    fn check_group(&self, group_id: &[u8]) -> Result<(), PeerError> {
        (group_id == self.group_id).then_some(()).ok_or(PeerError::OtherGroup)
    }

    fn check_fresh(&self, found: u64) -> Result<(), PeerError> {
        let known = self.counter;
        (found > known).then_some(()).ok_or(PeerError::StaleToken { found, known })
    }

    fn offer_input(&self, offer: &TokenOffer) -> Result<TagInput<'_>, CallerError> {
        let (purpose, transcript) = (TagPurpose::TokenOffer, self.agreement.transcript());
        Ok(TagInput::with_details(purpose, transcript, |writer| offer.details(writer))?)
    }

    fn take_input(&self, take: &TokenTake) -> Result<TagInput<'_>, CallerError> {
        let (purpose, transcript) = (TagPurpose::TokenTake, self.agreement.transcript());
        Ok(TagInput::with_details(purpose, transcript, |writer| take.details(writer))?)
    }

    fn take_to_all(&self, take: &TokenTake) -> Result<Outbound, PairingError> {
        Ok(Outbound {
            route: Route::Partners(self.agreement.partners()),
            message: take.message().map_err(CallerError::from)?,
        })
    }
}

fn offer_to(offer: &TokenOffer) -> Result<Outbound, PairingError> {
    Ok(Outbound {
        route: Route::Partners(vec![offer.holder]),
        message: offer.message().map_err(CallerError::from)?,
    })
}

fn out_of_order(message: &PairingMessage) -> PairingError {
    PeerError::OutOfOrder { message: message.message_type(), state: StateName::Token }.into()
}
