//! The receiver's side: a Notify first, then ordinary HPKE.

use paired_mls::{
    EpochContext, Notify, NotifyError, SealedNotify, Secret, TapeId, Vault, VaultError,
};
use spin::Mutex;

use super::{FirstError, is_path_node};
use crate::{Error, Opening, PeerError, Refused, Steering};

/// More levels than a ratchet tree can have (RFC 9420 allows 2³² leaves).
const MAX_LEVELS: u8 = 32;

/// One message that may carry a Notify for this device.
pub struct Receiving {
    vault: Vault,
    tape: TapeId,
    context: EpochContext,
    opened: Mutex<Option<Notify>>,
    error: FirstError,
}

impl Receiving {
    /// `context` is the epoch that the message, if it is a commit, creates.
    pub fn new(vault: &Vault, tape: &TapeId, context: EpochContext) -> Self {
        let (vault, tape) = (vault.clone(), tape.clone());
        Self { vault, tape, context, opened: Mutex::default(), error: FirstError::default() }
    }

    /// The Notify that was followed, if the message had one.
    pub fn opened(&self) -> Option<Notify> {
        *self.opened.lock()
    }

    /// The path secret that a Notify points to; `None` if the ciphertext is no Notify.
    fn follow(&self, asked: &Opening<'_>) -> Result<Option<Secret>, Error> {
        let sealed = SealedNotify {
            kem_output: asked.kem_output.to_vec(),
            ciphertext: asked.ciphertext.to_vec(),
        };
        let notify = match self.vault.open_notify(&self.tape, &sealed, asked.info) {
            Ok(notify) => notify,
            // Ordinary HPKE, or a forgery that ordinary HPKE will refuse.
            Err(VaultError::Notify(NotifyError::NotANotify | NotifyError::Length { .. })) => {
                return Ok(None);
            }
            Err(VaultError::Notify(error)) => return Err(PeerError::Notify(error).into()),
            Err(error) => return Err(error.into()),
        };
        if notify.level >= MAX_LEVELS {
            return Err(PeerError::Level(notify.level).into());
        }
        // `info` names the group, the epoch, the new tree and the transcript: this commit only.
        let claimed = self.vault.claim(&self.tape, notify.spot, asked.info);
        let value = claimed.map_err(|error| match error {
            VaultError::Tape(error) => Error::from(PeerError::Tape(error)),
            error => error.into(),
        })?;
        let path_secret = value.into_path_secret(&self.context)?.at_level(notify.level)?;
        *self.opened.lock() = Some(notify);
        Ok(Some(path_secret))
    }
}

impl Steering for Receiving {
    fn open(&self, asked: &Opening<'_>) -> Option<Result<Secret, Refused>> {
        if !is_path_node(asked.info) {
            return None;
        }
        self.follow(asked).map_err(|error| self.error.set(error)).transpose()
    }

    fn take_error(&self) -> Option<Error> {
        self.error.take()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::fake::pairing;

    /// A Notify outside of an update path is not even looked at, though it is true.
    #[test]
    fn outside_of_an_update_path_nothing_is_opened() {
        let (_, vault, tape) = pairing();
        let spot = vault.draw(&tape, 1).unwrap().spot();
        let context =
            EpochContext { group_id: vec![], epoch: 1, confirmed_transcript_hash: vec![] };
        let receiving = Receiving::new(&vault, &tape, context);
        for (label, is_looked_at) in [("MLS 1.0 Welcome", false), ("MLS 1.0 UpdatePathNode", true)]
        {
            let info = [&[label.len() as u8], label.as_bytes(), &[0]].concat();
            let sealed =
                vault.seal_notify(&tape, &Notify { spot, level: 0 }, vec![7; 32], &info).unwrap();
            let (kem_output, ciphertext) = (&*sealed.kem_output, &*sealed.ciphertext);
            let opened = receiving.open(&Opening { kem_output, ciphertext, info: &info });
            // It is this device's own, which it does not follow.
            assert_eq!(opened.is_some(), is_looked_at, "{label}");
            assert!(receiving.opened().is_none());
        }
    }
}
