//! Proofs of the signature keys that a shared leaf lists: each device makes one, and all of them have all.

use paired_mls::{
    DeviceId as Number, PairingId,
    leaf::{KeyProofMessage, KeyProofs},
    pairing::{AnchorKind, Mode, PairingDevice, PairingState, Terms},
};
use paired_mls_api::DeviceId;

use super::{Engine, EngineError, item::Item, leaf::LastResort};
use crate::session::OwnDevice;

impl Engine {
    /// Sends this device's proof to a partner, ahead of its Accept: who accepts agrees to share the leaf.
    pub(super) fn send_proof(&self, pairing: PairingId, to: DeviceId) -> Result<(), EngineError> {
        let terms = self.terms(pairing)?;
        let Some(device) = self.own_number(&terms).filter(|_| lists_keys(&terms)) else {
            return Ok(());
        };
        let proof = match self.store().key_proof(pairing, device)? {
            Some(proof) => proof,
            None => {
                let proof = self.behind_leaf(pairing)?.prove_key()?;
                self.store().keep_key_proof(pairing, device, &proof)?;
                proof
            }
        };
        let message = KeyProofMessage { pairing, device, proof };
        self.enqueue(&Item::letter(to, &message.encode())?).map(drop)
    }

    /// A partner's proof: kept, one for each device of the pairing, if it is one. The last one opens the leaf.
    pub(super) fn key_proof(&self, message: &KeyProofMessage) -> Result<(), EngineError> {
        let KeyProofMessage { pairing, device, proof } = message;
        let Ok(terms) = self.terms(*pairing) else { return Ok(()) };
        let party = terms.roster().party(*device).filter(|_| lists_keys(&terms));
        let Some(party) = party.filter(|_| self.own_number(&terms) != Some(*device)) else {
            return Ok(());
        };
        let behind = self.behind_leaf(*pairing)?;
        if !behind.is_key_proof(&party.signature_key, proof) {
            return Err(EngineError::ForgedKeyProof { pairing: *pairing, device: device.0 });
        }
        if self.store().key_proof(*pairing, *device)?.is_some() {
            return Ok(());
        }
        self.device().provider().transaction(|| {
            self.store().keep_key_proof(*pairing, *device, proof)?;
            let paired = matches!(self.book().load(*pairing)?, PairingState::Paired(_));
            let opened = self.store().cursor(&format!("leaf {pairing}"))? > 0;
            if paired && opened { self.offer_leaf(*pairing, &terms) } else { Ok(()) }
        })
    }

    /// Offers KeyPackages of a shared leaf for the first time, if this device does so, and the keys in it are
    /// proven. A proof that is still to come makes it happen later.
    pub(super) fn offer_leaf(&self, pairing: PairingId, terms: &Terms) -> Result<(), EngineError> {
        let is_initiator = self.own_number(terms) == Some(terms.initiator());
        if is_initiator && self.is_proven(pairing, terms)? {
            self.publish_from_tape(pairing, super::leaf::KEY_PACKAGES, LastResort::Included)?;
        }
        Ok(())
    }

    /// Whether a leaf of this pairing can be made: all keys that it lists are proven.
    pub(super) fn is_proven(&self, pairing: PairingId, terms: &Terms) -> Result<bool, EngineError> {
        Ok(!lists_keys(terms) || self.proofs(pairing, terms)?.is_some())
    }

    /// The device with the proofs of the keys that its leaf lists, once they are all there.
    pub(super) fn with_proofs(
        &self,
        pairing: PairingId,
        terms: &Terms,
        device: OwnDevice,
    ) -> Result<OwnDevice, EngineError> {
        Ok(match self.proofs(pairing, terms)? {
            Some(proofs) if lists_keys(terms) => device.with_key_proofs(proofs),
            _ => device,
        })
    }

    fn proofs(&self, pairing: PairingId, terms: &Terms) -> Result<Option<KeyProofs>, EngineError> {
        let proof = |device: &PairingDevice| self.store().key_proof(pairing, device.device);
        let proofs = terms.roster().devices().iter().map(proof);
        let proofs: Option<Vec<_>> = proofs.collect::<Result<_, _>>()?;
        Ok(proofs.map(KeyProofs::new))
    }
}

fn lists_keys(terms: &Terms) -> bool {
    matches!((terms.anchor(), terms.mode()), (AnchorKind::Leaf, Mode::Standard(_)))
}

impl super::Store<'_> {
    fn key_proof(
        &self,
        pairing: PairingId,
        device: Number,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        use rusqlite::OptionalExtension as _;
        let sql = "SELECT proof FROM pmls_key_proofs WHERE pairing = ?1 AND device = ?2";
        let mut statement = self.0.prepare(sql)?;
        Ok(statement.query_row((pairing.0, device.0), |row| row.get(0)).optional()?)
    }

    fn keep_key_proof(
        &self,
        pairing: PairingId,
        device: Number,
        proof: &[u8],
    ) -> Result<(), EngineError> {
        let sql =
            "INSERT OR IGNORE INTO pmls_key_proofs (pairing, device, proof) VALUES (?1, ?2, ?3)";
        self.0.execute(sql, (pairing.0, device.0, proof))?;
        Ok(())
    }

    /// A pairing is over: its leaf is made no more.
    pub(super) fn forget_key_proofs(&self, pairing: PairingId) -> Result<(), EngineError> {
        self.0.execute("DELETE FROM pmls_key_proofs WHERE pairing = ?1", [pairing.0])?;
        Ok(())
    }
}
