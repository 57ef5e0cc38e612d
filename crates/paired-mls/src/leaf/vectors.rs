//! The kinds of scenario in the workspace's `vectors/leaf` directory.

use serde::Deserialize;

use super::{
    ChainError, KeyProofMessage, KeyProofs, KeyProofsError, LeafMessage, LeafNotifyError,
    LeafRandomness, LeafUse, RefreshChain, SALT_LEN, SignatureKeys, SignatureKeysError,
};
use crate::{
    CipherSuite, PairingId, VaultError,
    tape::Stored,
    vectors::{Context, GroupTape, Hex, Layer, Place, Run, Start, index},
    wire::Credential,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RandomnessVector {
    tape: Start,
    device: u16,
    position: u64,
    usage: String,
    context: Context,
    sealed: Sealed,
    signed: Signed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    framed_content_tbs: Hex,
    signature: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    recipient: Hex,
    info: Hex,
    aad: Hex,
    plaintext: Hex,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RandomnessResult {
    draws: Vec<Hex>,
    reuse_guard: Hex,
    ephemeral_seed: Hex,
}

impl Run for RandomnessVector {
    type Results = RandomnessResult;

    fn run(&self, suite: CipherSuite) -> Result<RandomnessResult, Layer> {
        let usage = match self.usage.as_str() {
            "commit" => LeafUse::Commit,
            "key-package" => LeafUse::KeyPackage,
            other => panic!("unknown usage {other}"),
        };
        let staged = self.tape.tape(suite).claim(index(self.device, self.position), b"")?;
        let value = staged.release(suite, &Stored::after_write());
        let randomness = LeafRandomness::derive(value, usage, &self.context.epoch()).unwrap();
        assert_eq!(randomness.index(), index(self.device, self.position));
        assert!(randomness.draw(2, suite.kdf_len()).is_none());
        assert!(randomness.draw(0, suite.kdf_len() - 1).is_none());
        let draws = (0..2).map(|n| randomness.draw(n, suite.kdf_len()).unwrap());
        let Signed { framed_content_tbs, signature } = &self.signed;
        let guard = randomness.reuse_guard(&framed_content_tbs.0, &signature.0);
        let Sealed { recipient, info, aad, plaintext } = &self.sealed;
        let seed = randomness.ephemeral_seed(&recipient.0, &info.0, &aad.0, &plaintext.0).unwrap();
        Ok(RandomnessResult {
            draws: draws.map(|draw| Hex(draw.expose().to_vec())).collect(),
            reuse_guard: Hex(guard.unwrap().expose().to_vec()),
            ephemeral_seed: Hex(seed.expose().to_vec()),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeafNotifyVector {
    tape: Start,
    taken_before: Vec<Place>,
    group_id: Hex,
    epoch: u64,
    salt: Hex,
    message: Hex,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeafNotifyResult {
    device: u16,
    opening: u64,
    position: u64,
    proposals: Hex,
    authenticated_data: Hex,
    leaf_node: Hex,
    signature: Hex,
}

impl From<LeafNotifyError> for Layer {
    fn from(error: LeafNotifyError) -> Self {
        Self(match error {
            LeafNotifyError::NotANotify => "leaf notify: not a notify",
            LeafNotifyError::Version(_) => "leaf notify: version",
            LeafNotifyError::Kind(_) => "leaf notify: kind",
            LeafNotifyError::Malformed => "leaf notify: malformed",
            LeafNotifyError::ForeignDevice(_) => "leaf notify: foreign device",
            LeafNotifyError::OwnLane(_) => "leaf notify: own lane",
            LeafNotifyError::Spent(_) => "leaf notify: spent",
            other => panic!("no vector expects: {other}"),
        })
    }
}

impl Run for LeafNotifyVector {
    type Results = LeafNotifyResult;

    fn run(&self, suite: CipherSuite) -> Result<LeafNotifyResult, Layer> {
        let mut group = GroupTape::new(self.tape.tape(suite), &self.group_id);
        for place in &self.taken_before {
            drop(group.claim(place.spot(), b"an earlier commit")?);
            assert!(group.tape.settle());
        }
        let said = LeafMessage::open(&group.tape, &self.group_id.0, self.epoch, &self.message.0)?;
        let LeafMessage::Commit(notify) = said.clone() else {
            panic!("no Notify: {said:?}");
        };

        let index = notify.spot.index;
        let sender = self.tape.tape_of(suite, index.device()).group(&self.group_id.0)?;
        let salt: [u8; SALT_LEN] = self.salt.0.clone().try_into().unwrap();
        let again = said.seal(&sender, &self.group_id.0, self.epoch, salt)?;
        assert_eq!(again, self.message.0);
        Ok(LeafNotifyResult {
            device: index.device().0,
            opening: notify.spot.opening,
            position: index.position(),
            proposals: Hex(notify.proposals),
            authenticated_data: Hex(notify.authenticated_data),
            leaf_node: Hex(notify.leaf_node),
            signature: Hex(notify.signature),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignatureKeysVector {
    key_len: usize,
    field: Hex,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignatureKeysResult {
    keys: Vec<Hex>,
}

impl Run for SignatureKeysVector {
    type Results = SignatureKeysResult;

    fn run(&self, _: CipherSuite) -> Result<SignatureKeysResult, Layer> {
        let keys = SignatureKeys::decode(&self.field.0, self.key_len).map_err(|error| {
            Layer(match error {
                SignatureKeysError::Empty => "signature keys: empty",
                SignatureKeysError::Length { .. } => "signature keys: length",
                SignatureKeysError::Duplicate => "signature keys: duplicate",
                SignatureKeysError::Malformed => "signature keys: malformed",
            })
        })?;
        assert_eq!(keys.encode(), self.field.0);
        Ok(SignatureKeysResult { keys: keys.keys().iter().cloned().map(Hex).collect() })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyProofsVector {
    identity: Hex,
    signature_keys: Hex,
    extension: Hex,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyProofsResult {
    signatures: Vec<Hex>,
    signed: Hex,
}

impl From<KeyProofsError> for Layer {
    fn from(error: KeyProofsError) -> Self {
        assert_eq!(error, KeyProofsError::Malformed);
        Layer("key proofs: malformed")
    }
}

impl Run for KeyProofsVector {
    type Results = KeyProofsResult;

    fn run(&self, _: CipherSuite) -> Result<KeyProofsResult, Layer> {
        let proofs = KeyProofs::decode(&self.extension.0)?;
        assert_eq!(proofs.encode(), self.extension.0);
        let credential = Credential::basic(self.identity.0.clone());
        let signed = KeyProofs::to_be_signed(&self.signature_keys.0, &credential);
        let signatures = proofs.signatures().iter().cloned().map(Hex).collect();
        Ok(KeyProofsResult { signatures, signed: Hex(signed) })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyProofMessageVector {
    message: Hex,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyProofMessageResult {
    pairing_id: Hex,
    device: u16,
    proof: Hex,
}

impl Run for KeyProofMessageVector {
    type Results = KeyProofMessageResult;

    fn run(&self, _: CipherSuite) -> Result<KeyProofMessageResult, Layer> {
        let message = KeyProofMessage::decode(&self.message.0)?;
        assert_eq!(message.encode(), self.message.0);
        let KeyProofMessage { pairing, device, proof } = message;
        Ok(KeyProofMessageResult {
            pairing_id: Hex(pairing.0.to_vec()),
            device: device.0,
            proof: Hex(proof),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChainVector {
    tape: Start,
    pairing: Hex,
    now: u64,
    message: Hex,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChainResult {
    device: u16,
    positions: Vec<u64>,
    key_packages: Vec<Hex>,
}

impl From<ChainError> for Layer {
    fn from(error: ChainError) -> Self {
        Self(match error {
            ChainError::Malformed => "chain: malformed",
            ChainError::OtherPairing => "chain: other pairing",
            ChainError::OtherDevice => "chain: other device",
            ChainError::Forged => "chain: forged",
            ChainError::LastResort => "chain: last resort",
            ChainError::Window => "chain: window",
            ChainError::Order => "chain: order",
            ChainError::Twice => "chain: twice",
            ChainError::Ended => "chain: ended",
            other => panic!("no vector expects: {other}"),
        })
    }
}

impl Run for ChainVector {
    type Results = ChainResult;

    fn run(&self, suite: CipherSuite) -> Result<ChainResult, Layer> {
        let tape = self.tape.tape(suite);
        let pairing = PairingId(self.pairing.0.as_slice().try_into().unwrap());
        let chain = match RefreshChain::open(&tape, pairing, &self.message.0) {
            Err(VaultError::Chain(error)) => return Err(error.into()),
            opened => opened.unwrap(),
        };
        chain.check(self.now)?;
        let packages = chain.packages.clone().into_iter();
        let positions = chain.packages.iter().map(|package| package.index.position());
        let result = ChainResult {
            device: chain.device.0,
            positions: positions.collect(),
            key_packages: packages.map(|package| Hex(package.key_package)).collect(),
        };
        assert_eq!(
            Hex(chain.seal(&tape).unwrap()),
            self.message,
            "a partner writes the same message"
        );
        Ok(result)
    }
}
