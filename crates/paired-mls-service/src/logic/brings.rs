//! What a request brings to mailboxes, bounded before anything of it is copied.

use std::collections::BTreeSet;

use bytes::Bytes;
use paired_mls_api::{DeviceId, EnvelopeFor, PublishCommit, WelcomeFor};

use super::{Failure, message::envelope};
use crate::{
    Limits,
    store::{LetterKind, Room},
};

/// An envelope and where it goes. All copies of a Welcome share their bytes.
pub(super) type Addressed = (DeviceId, LetterKind, Bytes);

/// What a commit brings, by its size.
pub(super) struct Brings {
    /// The recipients of each Welcome, each once.
    welcomed: Vec<BTreeSet<DeviceId>>,
    /// What is left for the account's other devices.
    pub(super) room: Room,
}

impl Brings {
    /// Counts recipients and bytes, and copies neither envelopes nor messages.
    ///
    /// # Errors
    ///
    /// [`Failure::Full`] for too many recipients, [`Failure::TooMuch`] for too many bytes.
    pub(super) fn bounded(request: &PublishCommit, limits: &Limits) -> Result<Self, Failure> {
        let named = request.welcomes.iter().map(|welcome| welcome.recipients.len());
        let named = named.sum::<usize>() + request.envelopes.len() + request.roster.add.len();
        // Ten times as many, since a device can be named twice.
        if named > limits.recipients.saturating_mul(10)
            || request.roster.remove.len() > limits.recipients
        {
            return Err(Failure::Full(None));
        }
        let welcomed: Vec<BTreeSet<DeviceId>> = request
            .welcomes
            .iter()
            .map(|welcome| welcome.recipients.iter().cloned().collect())
            .collect();
        let copies = welcomed.iter().map(BTreeSet::len).sum::<usize>() + request.envelopes.len();
        if copies + request.roster.add.len() > limits.recipients {
            return Err(Failure::Full(None));
        }
        let group_info = request.group_info.as_ref().map_or(0, |message| message.0.len());
        let welcomes = welcomed.iter().zip(&request.welcomes);
        let written = welcomes
            .map(|(to, welcome)| to.len().saturating_mul(welcome.envelope.0.len()))
            .chain(request.envelopes.iter().map(|further| further.envelope.0.len()))
            .chain([request.commit.0.len(), group_info])
            .fold(0_usize, usize::saturating_add);
        let of = limits.written;
        let left = of.checked_sub(written).ok_or(Failure::TooMuch(of))?;
        Ok(Self { welcomed, room: Room { left, of } })
    }

    /// The envelopes, each checked once.
    pub(super) fn envelopes(
        &self,
        welcomes: Vec<WelcomeFor>,
        further: Vec<EnvelopeFor>,
    ) -> Result<Vec<Addressed>, Failure> {
        let mut envelopes = Vec::new();
        for (number, (to, welcome)) in self.welcomed.iter().zip(welcomes).enumerate() {
            let sealed = envelope(welcome.envelope.0)?;
            let copy =
                |device: &DeviceId| (device.clone(), LetterKind::Welcome(number), sealed.clone());
            envelopes.extend(to.iter().map(copy));
        }
        for further in further {
            let sealed = envelope(further.envelope.0)?;
            envelopes.push((further.recipient, LetterKind::Other, sealed));
        }
        Ok(envelopes)
    }
}

#[cfg(test)]
mod tests {
    use paired_mls_api::Envelope;

    use super::*;

    #[test]
    fn all_copies_share_their_bytes() {
        let recipients: Vec<_> = (0..3).map(|n| DeviceId::new([n; 32]).unwrap()).collect();
        let sealed = Envelope::seal(&[7; 100]).unwrap().into_bytes();
        let welcome = WelcomeFor { recipients, envelope: sealed.into() };
        let request = PublishCommit {
            commit: vec![0].into(),
            account_envelope: Vec::new().into(),
            welcomes: vec![welcome],
            envelopes: Vec::new(),
            group_info: None,
            roster: Default::default(),
        };
        let limits = Limits { written: 4096, ..Limits::default() };
        let brings = Brings::bounded(&request, &limits).unwrap();
        assert_eq!(brings.room, Room { left: 4096 - 3 * 1024 - 1, of: 4096 });
        let copies = brings.envelopes(request.welcomes, request.envelopes).unwrap();
        let places: BTreeSet<_> = copies.iter().map(|(_, _, bytes)| bytes.as_ptr()).collect();
        assert_eq!((copies.len(), places.len()), (3, 1));
    }
}
