//! The pairing protocol: how devices come to share a tape, and how they stop.
//!
//! It does no I/O. Each step takes what has arrived and gives what is to be sent; the caller carries
//! the messages and stores the states.
//!
//! # Pairing
//!
//! The seed has two roads, and the request two modes; each road goes with each mode.
//!
//! ```text
//!    initiator                                        invited device                    directory
//!
//!    Unpaired                                         Unpaired
//!       │  the seed: on hardware or in a file (recommended) …                               │
//!       │                                                │                                  │
//!       │  … or over the 1-to-1 channel                  │                                  │
//!       │ ── ShareRand (pairing, suite, seed, devices) ─►│                                  │
//!    Seeded                                           Seeded                                │
//!       │                                                │                                  │
//!       │  standard mode: both ask the directory         │                                  │
//!       │ ── InitPairing ─────────────────────────────────────────────────────────────────► │
//!       │                                                │ ◄─────── InitPairing, pending ── │
//!       │                                                │ ── InitPairing ────────────────► │
//!       │ ◄───────────────────────────────────────────────────────────── DirectoryAccept ── │
//!       │                                                │ ◄──────────── DirectoryAccept ── │
//!       │                                                │
//!       │  hidden mode: the request has a private key    │
//!       │ ── InitPairing over the 1-to-1 channel ───────►│
//!    Invited                                          Invited
//!       │ ── Accept (tag under the tape's key) ─────────►│      in any order,
//!       │ ◄───────────── Accept (tag of the other one) ──│      over any relay
//!    Paired                                           Paired
//! ```
//!
//! With more devices, each does as the invited one here, and each sends its Accept to all others. A
//! device in several pairings has one state for each, and each pairing its own tape.
//!
//! # Ending
//!
//! ```text
//!    the one that ends it                             its partner
//!    Paired                                           Paired
//!       │ ── CeasePair ─────────────────────────────────►│
//!    Ceasing: keeps the tape, draws nothing           Ceased: erases the tape
//!       │ ◄────────────────────────────────── CeaseAck ──│
//!    Ceased: erases the tape
//! ```
//!
//! What then has to happen in the groups is a [`Plan`]. With more than two devices all stop, and those
//! that stay pair anew. A partner that ignores CeasePair is [detected](Ceasing::detect); for one that
//! is lost there is [`Ceasing::force_end`].
//!
//! # Security
//!
//! Every message from Accept on has a tag under the tape's `accept_secret`, which never leaves the
//! vault: a thief of the MLS state alone can neither confirm a pairing, nor end one. A message in the wrong place, from the wrong device or made before is refused, and the
//! state stays as it was.

mod book;
mod channel;
mod directory;
mod error;
mod key_record;
mod messages;
mod plan;
mod short_auth;
mod signal;
mod state;
mod tag;
mod terms;
#[cfg(test)]
mod tests;
mod transcript;
#[cfg(test)]
mod vectors;

use crate::presentation::codec;

pub(crate) use self::transcript::hash;
pub use codec::{DecodeError, TooLarge};

pub use self::{
    book::{
        BookError, IsPair, MAX_OFFER_LEN, MAX_OFFERS, MAX_OFFERS_OF_ONE, PairingBook, Progress,
    },
    channel::{ChannelTrust, OneToOne, Outbound, Route, Source, Way},
    directory::{DirectoryError, PendingPairing, RegisteredPairing, RegistryEntry},
    error::{CallerError, Failed, PairingError, PeerError, StateName, WayRule},
    key_record::{KeyRecordError, StoreKeyError},
    messages::{
        Abandon, AbandonReason, Accept, CeaseAck, CeasePair, DirectoryAccept, InitPairing,
        MessageType, PairingMessage, ShareRand,
    },
    plan::{Plan, Step},
    short_auth::ShortAuthString,
    signal::{PairedSignal, SignalError, SignalPolicy},
    state::{
        Ceased, Ceasing, Confirmation, Continuation, Ending, Invited, Joined, Paired, PairingState,
        PartnerContinues, PartnerPromise, Request, Seeded, Sighting, StateRecordError, Unpaired,
    },
    tag::{TagError, TagInput, TagPurpose},
    terms::{
        AnchorKind, Code, CodePoint, Mode, ModeKind, PairingDevice, Party, Roster,
        SignatureKeyPair, Terms, TermsError,
    },
    transcript::Transcript,
};
