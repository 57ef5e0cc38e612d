//! The service of Paired MLS on the wire: what a client and the server agree on.
//!
//! Paths ([`path`]), the JSON bodies of requests and answers, the problems that a request can end in
//! ([`Problem`]), what a subscription delivers ([`LogEntry`], [`MailboxItem`]), the padded
//! [`Envelope`] that everything in a mailbox travels in, and how a request is signed
//! ([`sign_request`], [`SignedRequest`]). No I/O, no clock, no async.
//!
//! # Bodies
//!
//! A body that is one MLS message is [`MLS_MESSAGE`]. One that is several things at once, like a
//! commit with its Welcomes, is JSON with the bytes in base64url: a client and a server then need one
//! parser, the whole is one unit under one digest, and what it costs is a third more bytes on the way,
//! none in the database.

mod base64url;
mod chain;
mod directory;
mod entry_kind;
mod envelope;
mod group;
mod id;
mod key_package;
mod log;
mod mailbox;
mod media_type;
pub mod path;
mod problem;
mod recovery;
mod scheme;
mod service;
mod signing;

pub use self::{
    base64url::{Base64Url, NotBase64Url},
    chain::LogChain,
    directory::{
        Approval, ApprovalView, DeviceView, PairingState, PairingView, RegisterDevice,
        RevokeDevice, UserView,
    },
    entry_kind::EntryKind,
    envelope::{Envelope, EnvelopeError, PADDED_LENGTHS},
    group::{
        Access, CreateGroup, GroupView, PublishCommit, Published, RosterChange, RosterRepair,
        RosterRepaired, WelcomeFor,
    },
    id::{DeviceId, GroupId, IdError, UserId},
    key_package::{KeyPackageCount, KeyPackageUpload},
    log::{LogEntry, LogPage},
    mailbox::{EnvelopeFor, MailboxItem, MailboxPage},
    media_type::{EVENT_STREAM, JSON, MLS_MESSAGE, PAIRING_MESSAGE, PROBLEM},
    problem::{Problem, ProblemKind},
    recovery::{OldDevices, Recover, Recovered, RecoveryKey, RecoveryKeyView},
    scheme::{SchemeError, SignatureScheme},
    service::{INCARNATION, ServiceLimits, ServiceView},
    signing::{
        COVERED, Fields, RequestKey, SignatureError, SignedRequest, SigningError, Target,
        content_digest, sign_request,
    },
};
