//! Proposals that wait, and that no valid commit carries out: of a member who is there already, for instance.
//!
//! OpenMLS takes them, and then refuses each commit that has one, whoever makes it, and says not which one it is. So
//! commits are tried until it is known. Nothing of a trial is signed or kept.

use std::collections::BTreeSet;

use openmls::prelude::{GroupId, MlsGroup, Proposal, QueuedProposal};
use openmls_traits::{
    signatures::{Signer, SignerError},
    types::SignatureScheme,
};

use crate::{Device, Error, Platform, leaf::reload, provider::undone, view::reference_of};

/// How many commits are tried. What is not known by then is left out, so that nobody keeps a device busy.
const MAX_TRIALS: usize = 64;

/// Those of these waiting proposals that a commit is to leave out, so that it is valid. Earlier ones are preferred.
///
/// # Errors
///
/// [`Error::Storage`].
pub(crate) fn unusable<P: Platform>(
    device: &Device<P>,
    group_id: &GroupId,
    waiting: Vec<Vec<u8>>,
) -> Result<Vec<Vec<u8>>, Error> {
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    undone(device.provider(), || {
        let mut copy = reload(device, group_id)?;
        let mut trials = 0;
        let mut unusable = without_key(device, &mut copy, &mut trials)?;
        let rest = waiting.into_iter().filter(|reference| !unusable.contains(reference));
        let (mut kept, mut unknown) = (BTreeSet::new(), vec![rest.collect::<Vec<_>>()]);
        while let Some(mut some) = unknown.pop() {
            if trials >= MAX_TRIALS {
                unusable.extend(some);
                continue;
            }
            trials += 1;
            let with: BTreeSet<_> = kept.iter().chain(&some).cloned().collect();
            if is_valid(&mut copy, device, &with) {
                kept = with;
            } else if some.len() <= 1 {
                unusable.extend(some);
            } else {
                unknown.push(some.split_off(some.len() / 2));
                unknown.push(some);
            }
        }
        Ok(unusable)
    })
}

/// The proposals of pre-shared keys that this device does not have: OpenMLS wants those of all proposals that wait,
/// whether or not they go into the commit. They are gone from the copy then.
fn without_key<P: Platform>(
    device: &Device<P>,
    copy: &mut MlsGroup,
    trials: &mut usize,
) -> Result<Vec<Vec<u8>>, Error> {
    let is_key = |queued: &QueuedProposal| matches!(queued.proposal(), Proposal::PreSharedKey(_));
    let storage = device.provider().storage();
    let mut without_key = Vec::new();
    for queued in set_aside(copy, device, is_key)? {
        let reference = reference_of(&queued).to_vec();
        *trials += 1;
        if *trials < MAX_TRIALS {
            put_back(copy, device, vec![queued])?;
            if copy.commit_builder().load_psks(storage).is_ok() {
                continue;
            }
            set_aside(copy, device, |queued| reference_of(queued) == reference)?;
        }
        without_key.push(reference);
    }
    Ok(without_key)
}

/// Takes proposals away from those that wait.
///
/// # Errors
///
/// [`Error::Storage`].
pub(crate) fn set_aside<P: Platform>(
    mls: &mut MlsGroup,
    device: &Device<P>,
    which: impl Fn(&QueuedProposal) -> bool,
) -> Result<Vec<QueuedProposal>, Error> {
    let aside: Vec<_> = mls.pending_proposals().filter(|queued| which(queued)).cloned().collect();
    for queued in &aside {
        let reference = queued.proposal_reference_ref();
        mls.remove_pending_proposal(device.provider().storage(), reference)
            .map_err(Error::storage("set a proposal aside"))?;
    }
    Ok(aside)
}

/// Puts them back.
///
/// # Errors
///
/// [`Error::Storage`].
pub(crate) fn put_back<P: Platform>(
    mls: &mut MlsGroup,
    device: &Device<P>,
    aside: Vec<QueuedProposal>,
) -> Result<(), Error> {
    aside.into_iter().try_for_each(|queued| {
        let stored = mls.store_pending_proposal(device.provider().storage(), queued);
        stored.map_err(Error::storage("store a proposal"))
    })
}

/// Whether OpenMLS makes a commit of these proposals.
fn is_valid<P: Platform>(
    copy: &mut MlsGroup,
    device: &Device<P>,
    references: &BTreeSet<Vec<u8>>,
) -> bool {
    let provider = device.provider();
    let Ok(loaded) = copy.commit_builder().load_psks(provider.storage()) else { return false };
    let nobody = Nobody(device.signer().signature_scheme());
    let built = loaded.build(provider.rand(), provider.crypto(), &nobody, |proposal| {
        references.contains(reference_of(proposal))
    });
    built.is_ok()
}

/// Signs nothing: what it returns is no signature.
struct Nobody(SignatureScheme);

impl Signer for Nobody {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(Vec::new())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        self.0
    }
}
