//! The bundle: some objects under one signature of the beacon.
//!
//! ```text
//! struct {
//!     uint8   version = 1;
//!     opaque  key_id[8];              // of the beacon
//!     uint64  time;                   // of its making, in seconds since 1970
//!     Section sections<V>;
//! } FeedBundleTBS;
//!
//! struct {
//!     FeedBundleTBS tbs;
//!     opaque signature<V>;            // over SignContent { "PMLS 02 FeedBundleTBS", tbs }
//! } FeedBundle;
//!
//! struct {
//!     uint8  kind;                    // log (1), mailbox (2), group_info (3)
//!     opaque body<V>;                 // LogRun, Mail or Info. A section of another kind is passed over
//! } Section;
//!
//! struct { uint8 kind; uint64 epoch; opaque message<V>; } Entry;
//! struct { opaque group_id<V>; uint64 first; opaque before[32]; Entry entries<V>; } LogRun;
//! struct { uint64 position; opaque content<V>; } Item;
//! struct { opaque device[32]; Item items<V>; } Mail;
//! struct { opaque group_id<V>; uint64 epoch; opaque message<V>; } Info;
//! ```
//!
//! The entries of a run follow one another from position `first` on, and `before` is the hash of the log before
//! them, so that the hash after each entry costs nothing.

use paired_mls_api::{DeviceId, EntryKind, GroupId, LogChain, LogEntry};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{
    BeaconKey, BeaconSigner, GroupInfoObject, KeyId, LogObject, MAX_MESSAGE, MailObject, Object,
    codec::{Malformed, Reader, put_vector},
    key::sign_content,
};

/// The longest bundle, in bytes.
pub const MAX_BUNDLE: usize = MAX_MESSAGE + (1 << 12);

/// The most objects of a bundle.
pub const MAX_OBJECTS: usize = 1024;

const VERSION: u8 = 1;
const LOG: u8 = 1;
const MAILBOX: u8 = 2;
const GROUP_INFO: u8 = 3;

/// Some objects under one signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Whose it is.
    pub key_id: KeyId,
    /// When it was made, in seconds since 1970-01-01T00:00:00Z, by the beacon's clock.
    pub time: u64,
    /// What is in it.
    pub objects: Vec<Object>,
}

/// Why bytes are no bundle of a beacon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It is of another beacon.
    #[error("the bundle is of beacon {0:?}, which this listener does not know")]
    UnknownBeacon(KeyId),
    /// The beacon has not signed it.
    #[error("the beacon has not signed the bundle")]
    Forged,
    /// It has another version.
    #[error("the bundle has version {0}, and this listener knows version 1: update it")]
    Version(u8),
    /// It cannot be read.
    #[error("the bundle cannot be read")]
    Malformed,
}

/// Why a bundle was not made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SealError<E> {
    /// The key did not sign.
    #[error("the beacon's key did not sign the bundle")]
    Key(#[source] E),
    /// It would be longer than a bundle may be.
    #[error("the objects do not fit into one bundle: make several")]
    TooLarge,
}

impl From<Malformed> for BundleError {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

impl Bundle {
    /// Signs the objects, at `time` in seconds since 1970-01-01T00:00:00Z. Entries of one log that follow one
    /// another are written as a run.
    ///
    /// # Errors
    ///
    /// [`SealError`].
    pub fn seal<S: BeaconSigner>(
        objects: &[Object],
        time: u64,
        signer: &S,
    ) -> Result<Vec<u8>, SealError<S::Error>> {
        if objects.len() > MAX_OBJECTS {
            return Err(SealError::TooLarge);
        }
        let mut bytes =
            encode(objects, time, signer.key().id()).map_err(|_| SealError::TooLarge)?;
        let signature = signer.sign(&sign_content(&bytes)).map_err(SealError::Key)?;
        put_vector(&mut bytes, &signature).map_err(|_| SealError::TooLarge)?;
        if bytes.len() > MAX_BUNDLE {
            return Err(SealError::TooLarge);
        }
        Ok(bytes)
    }

    /// Reads a bundle, if one of the beacons has signed it.
    ///
    /// # Errors
    ///
    /// [`BundleError`]. Nothing of a bundle that is not signed is returned.
    pub fn open(bytes: &[u8], beacons: &[BeaconKey]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE {
            return Err(BundleError::Malformed);
        }
        let mut reader = Reader::new(bytes);
        let version = reader.uint8()?;
        if version != VERSION {
            return Err(BundleError::Version(version));
        }
        let key_id = KeyId(reader.array()?);
        let time = reader.uint64()?;
        let sections = reader.vector()?;
        let mut rest = Reader::new(reader.rest());
        let signature = rest.vector()?;
        let tbs = bytes.len() - length_of(signature).ok_or(BundleError::Malformed)?;
        rest.end()?;
        let tbs = bytes.get(..tbs).ok_or(BundleError::Malformed)?;
        let mut of_key = beacons.iter().filter(|beacon| beacon.id() == key_id).peekable();
        if of_key.peek().is_none() {
            return Err(BundleError::UnknownBeacon(key_id));
        }
        let content = sign_content(tbs);
        if !of_key.any(|beacon| beacon.has_signed(&content, signature)) {
            return Err(BundleError::Forged);
        }
        Ok(Self { key_id, time, objects: decode(sections)? })
    }

    /// The bundle's name on the links: the first 4 bytes of the SHA-256 of its bytes.
    pub fn name(bytes: &[u8]) -> u32 {
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        digest.first_chunk().map_or(0, |first| u32::from_be_bytes(*first))
    }
}

/// How long the vector of these bytes is.
fn length_of(bytes: &[u8]) -> Option<usize> {
    let mut vector = Vec::with_capacity(bytes.len() + 4);
    put_vector(&mut vector, bytes).ok().map(|()| vector.len())
}

fn encode(objects: &[Object], time: u64, key_id: KeyId) -> Result<Vec<u8>, Malformed> {
    let mut sections = Vec::new();
    let mut rest = objects;
    while let Some(first) = rest.first() {
        let count = rest.windows(2).take_while(|pair| follow(pair)).count() + 1;
        let (run, others) = rest.split_at_checked(count).ok_or(Malformed)?;
        let (kind, body) = match first {
            Object::Log(first) => (LOG, encode_run(first, run)?),
            Object::Mail(first) => (MAILBOX, encode_mail(&first.device, run)?),
            Object::GroupInfo(info) => (GROUP_INFO, encode_info(info)?),
        };
        sections.push(kind);
        put_vector(&mut sections, &body)?;
        rest = others;
    }
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&key_id.0);
    bytes.extend_from_slice(&time.to_be_bytes());
    put_vector(&mut bytes, &sections)?;
    Ok(bytes)
}

/// Whether the second object goes into the section of the first.
fn follow(pair: &[Object]) -> bool {
    match pair {
        [Object::Log(a), Object::Log(b)] => {
            a.group() == b.group()
                && a.entry().position.checked_add(1) == Some(b.entry().position)
                && a.entry().chain == b.before()
        }
        [Object::Mail(a), Object::Mail(b)] => a.device == b.device,
        _ => false,
    }
}

fn encode_run(first: &LogObject, run: &[Object]) -> Result<Vec<u8>, Malformed> {
    let mut entries = Vec::new();
    for object in run {
        let Object::Log(object) = object else { return Err(Malformed) };
        let entry = object.entry();
        entries.push(match entry.kind {
            EntryKind::Commit => 1,
            EntryKind::Proposal => 2,
            EntryKind::Application => 3,
        });
        entries.extend_from_slice(&entry.epoch.to_be_bytes());
        put_vector(&mut entries, &entry.message.0)?;
    }
    let mut body = Vec::new();
    put_vector(&mut body, first.group().as_bytes())?;
    body.extend_from_slice(&first.entry().position.to_be_bytes());
    body.extend_from_slice(first.before().as_bytes());
    put_vector(&mut body, &entries)?;
    Ok(body)
}

fn encode_mail(device: &DeviceId, items: &[Object]) -> Result<Vec<u8>, Malformed> {
    let mut encoded = Vec::new();
    for item in items {
        let Object::Mail(item) = item else { return Err(Malformed) };
        encoded.extend_from_slice(&item.position.to_be_bytes());
        put_vector(&mut encoded, &item.content)?;
    }
    let mut body = device.as_bytes().to_vec();
    put_vector(&mut body, &encoded)?;
    Ok(body)
}

fn encode_info(info: &GroupInfoObject) -> Result<Vec<u8>, Malformed> {
    let mut body = Vec::new();
    put_vector(&mut body, info.group.as_bytes())?;
    body.extend_from_slice(&info.epoch.to_be_bytes());
    put_vector(&mut body, &info.message)?;
    Ok(body)
}

fn decode(sections: &[u8]) -> Result<Vec<Object>, Malformed> {
    let mut reader = Reader::new(sections);
    let mut objects = Vec::new();
    while !reader.is_empty() {
        let kind = reader.uint8()?;
        let body = Reader::new(reader.vector()?);
        match kind {
            LOG => decode_run(body, &mut objects)?,
            MAILBOX => decode_mail(body, &mut objects)?,
            GROUP_INFO => objects.push(decode_info(body)?),
            _ => {}
        }
        if objects.len() > MAX_OBJECTS {
            return Err(Malformed);
        }
    }
    Ok(objects)
}

fn decode_run(mut body: Reader<'_>, objects: &mut Vec<Object>) -> Result<(), Malformed> {
    let group = GroupId::new(body.vector()?).map_err(|_| Malformed)?;
    let mut position = body.uint64()?;
    let mut before = LogChain::from_bytes(&body.array::<32>()?).ok_or(Malformed)?;
    let mut entries = Reader::new(body.vector()?);
    body.end()?;
    while !entries.is_empty() {
        let kind = match entries.uint8()? {
            1 => EntryKind::Commit,
            2 => EntryKind::Proposal,
            3 => EntryKind::Application,
            _ => return Err(Malformed),
        };
        let epoch = entries.uint64()?;
        let message = entries.vector()?;
        let chain = before.and(position, epoch, kind, &Sha256::digest(message).into());
        let entry = LogEntry { position, epoch, kind, message: message.to_vec().into(), chain };
        let object = LogObject::new(group.clone(), before, entry).map_err(|_| Malformed)?;
        objects.push(Object::Log(object));
        position = position.checked_add(1).ok_or(Malformed)?;
        before = chain;
        if objects.len() > MAX_OBJECTS {
            return Err(Malformed);
        }
    }
    Ok(())
}

fn decode_mail(mut body: Reader<'_>, objects: &mut Vec<Object>) -> Result<(), Malformed> {
    let device = DeviceId::new(body.array::<32>()?).map_err(|_| Malformed)?;
    let mut items = Reader::new(body.vector()?);
    body.end()?;
    while !items.is_empty() {
        let (position, content) = (items.uint64()?, items.vector()?);
        if content.len() > MAX_MESSAGE || objects.len() >= MAX_OBJECTS {
            return Err(Malformed);
        }
        let (device, content) = (device.clone(), content.to_vec());
        objects.push(Object::Mail(MailObject { device, position, content }));
    }
    Ok(())
}

fn decode_info(mut body: Reader<'_>) -> Result<Object, Malformed> {
    let group = GroupId::new(body.vector()?).map_err(|_| Malformed)?;
    let (epoch, message) = (body.uint64()?, body.vector()?);
    body.end()?;
    if message.len() > MAX_MESSAGE {
        return Err(Malformed);
    }
    Ok(Object::GroupInfo(GroupInfoObject { group, epoch, message: message.to_vec() }))
}
