//! The one-way feed of Paired MLS: what a device hears that never sends.
//!
//! A *beacon* sends what its listeners need, again and again, since nobody can ask; a *listener* puts it together,
//! throws away what is not of its beacon, and hands it on in the order of the log. No MLS library, no clock, no
//! async; what does I/O is in [`transport`].
//!
//! ```text
//! Object ─► Bundle, signed ─► Carousel ─► packet ═══► Receiver ─► Bundle ─► Shelf ─► log entries in order
//! ```
//!
//! | part | what |
//! |---|---|
//! | [`Object`] | an entry of a log with the hash of the log, an item of a mailbox, a GroupInfo |
//! | [`Bundle`] | some objects under one signature of the beacon |
//! | [`Carousel`] | what is sent when: new bundles first, repeats that thin out with age, a limit in bits a second |
//! | [`Framing`] | FLUTE (RFC 6726) for IP, packets with a header of 13 bytes for narrow links; both with RaptorQ (RFC 6330) |
//! | [`slip`] | packets on a stream of bytes (RFC 1055) |
//! | [`Receiver`] | from packets to bundles, bounded in items, bytes and time |
//! | [`Shelf`] | entries of logs wait there for those before them |
//!
//! # Security
//!
//! The signature keeps strangers out cheaply, and nothing else: what an object says is authenticated by MLS. Who
//! knows a beacon's key and can send on its link can keep bundles from being received, as a jammer can.

mod bundle;
mod carousel;
mod code;
mod codec;
mod flute;
mod key;
mod object;
mod packet;
mod partial;
mod receiver;
mod shelf;
pub mod slip;
pub mod transport;
#[cfg(test)]
mod vectors;

pub use self::{
    bundle::{Bundle, BundleError, MAX_BUNDLE, MAX_OBJECTS, SealError},
    carousel::{Carousel, CarouselError, Next, Plan, Sent},
    flute::FluteError,
    key::{BeaconKey, BeaconSigner, KEY_ID_LEN, KeyId, NotAKey},
    object::{
        GroupInfoObject, LogObject, MAX_MESSAGE, MailObject, Object, ObjectError, ObjectKind,
        Urgency,
    },
    packet::PACKET_HEADER,
    partial::Limits,
    receiver::{Counts, Received, Receiver},
    shelf::{OtherHistory, Shelf, ShelfLimits, Shelved, Start},
};

/// How packets are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// For narrow links: 13 bytes before each symbol, and no tables.
    Narrow,
    /// FLUTE, for IP.
    Flute,
}
