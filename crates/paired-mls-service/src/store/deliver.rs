//! What a commit brings to mailboxes.

use std::collections::{BTreeMap, BTreeSet};

use paired_mls_api::UserId;

use super::{
    LetterKind, Publish, Refusal, StoreError, Tx,
    mailbox::{Letter, post, siblings},
    publish::Welcomed,
};

/// Whether a letter has to arrive for the commit to stand.
enum Need<'a> {
    /// It has to. Its sender has chosen the one device that it is for.
    Arrives,
    /// It, or another copy of the same Welcome for the same account. Whoever adds an account writes to all
    /// of its devices: that one of them was revoked meanwhile, sleeps, or was flooded by a stranger is no
    /// reason to hold up the group. An account of which no device can have it would be a member that never
    /// comes; the sender is told, and can leave it out.
    OneOf(usize, &'a UserId),
    /// It has not. A device that was away for long must not keep its partner from healing it: what it
    /// misses it finds without a Notify.
    Courtesy,
}

impl Publish<'_> {
    pub(super) async fn deliver(
        &self,
        tx: &mut Tx,
        welcomed: &Welcomed,
    ) -> Result<Result<(), Refusal>, StoreError> {
        let siblings = siblings(tx, self.user, self.device).await?;
        let copies = siblings.len().saturating_mul(self.to_siblings.envelope.len());
        if copies > self.room.left {
            return Ok(Err(Refusal::TooMuch(self.room.of)));
        }
        let to_sibling =
            |recipient| (Letter { recipient, ..self.to_siblings.clone() }, Need::Courtesy);
        let mut letters: Vec<_> = siblings.into_iter().map(to_sibling).collect();
        for letter in self.letters {
            let need = match (letter.kind, welcomed.get(&letter.recipient)) {
                (LetterKind::Welcome(number), Some(user)) => Need::OneOf(number, user),
                _ => Need::Arrives,
            };
            letters.push((letter.clone(), need));
        }
        letters.sort_by(|(a, _), (b, _)| a.recipient.cmp(&b.recipient));
        let (mut reached, mut missed) = (BTreeSet::new(), BTreeMap::new());
        for (letter, need) in letters {
            match (post(tx, self.user, &letter).await?, need) {
                (_, Need::Courtesy) | (Ok(()), Need::Arrives) => {}
                (Ok(()), Need::OneOf(number, user)) => _ = reached.insert((number, user)),
                (Err(refusal), Need::OneOf(number, user)) => {
                    missed.entry((number, user)).or_insert(refusal);
                }
                (Err(refusal), Need::Arrives) => return Ok(Err(refusal)),
            }
        }
        let missed = missed.into_iter().find(|(welcome, _)| !reached.contains(welcome));
        Ok(missed.map_or(Ok(()), |(_, refusal)| Err(refusal)))
    }
}
