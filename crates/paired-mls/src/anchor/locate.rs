//! Where the anchor of a commit is, and who is notified at which level.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{
    math::{LeafIndex, NodeIndex},
    tree::Tree,
};

/// Where the pairing stands in one commit (the draft's section on anchors).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anchorage {
    /// All devices of the pairing are under one anchor, and nobody else is.
    Whole(Anchor),
    /// Strangers are under the node that covers all devices, so the anchor is the largest subtree of
    /// the committer that has none. The commit heals the partners in it and no others.
    Shrunk {
        /// The anchor that remains.
        anchor: Anchor,
        /// The partners that this commit does not heal, from the left.
        left_out: Vec<LeafIndex>,
        /// The members in the way, from the left.
        strangers: Vec<LeafIndex>,
    },
    /// Strangers are in the way, and no partner shares a subtree without strangers with the committer.
    /// A commit heals the committer alone.
    Suspended {
        /// The members in the way, from the left.
        strangers: Vec<LeafIndex>,
    },
    /// The committer has no partner in the tree.
    Alone,
}

impl Anchorage {
    /// The anchor, whole or shrunk; `None` if the commit has no partner to notify.
    pub fn anchor(&self) -> Option<&Anchor> {
        match self {
            Self::Whole(anchor) | Self::Shrunk { anchor, .. } => Some(anchor),
            Self::Suspended { .. } | Self::Alone => None,
        }
    }
}

/// The lowest node above the committer and the partners that its commit heals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    node: NodeIndex,
    path: Vec<Level>,
    covered: Vec<LeafIndex>,
}

/// One node of the committer's filtered direct path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    node: NodeIndex,
    copath: NodeIndex,
    recipients: Vec<NodeIndex>,
}

impl Anchor {
    /// The anchor itself: the last node of [`Self::path`].
    pub fn node(&self) -> NodeIndex {
        self.node
    }

    /// How many path secrets come under the anchor: `path_secret[0..levels]`. At least one.
    pub fn levels(&self) -> usize {
        self.path.len()
    }

    /// The levels, from the one of `path_secret[0]` to the anchor.
    pub fn path(&self) -> &[Level] {
        &self.path
    }

    /// The number of Notifies in the commit. Zero if all partners are newcomers.
    pub fn notifies(&self) -> usize {
        self.path.iter().map(|level| level.recipients.len()).sum()
    }

    /// The partners that the commit heals, from the left.
    pub fn covered(&self) -> &[LeafIndex] {
        &self.covered
    }

    /// The level *j* at which the partner at `leaf` learns `path_secret[j]`, by a Notify or, as a
    /// newcomer, by the Welcome; `None` if the commit does not heal it.
    pub fn level_of(&self, leaf: LeafIndex) -> Option<usize> {
        let covered = self.covered.contains(&leaf);
        self.path.iter().position(|level| covered && level.copath.covers(leaf.node()))
    }
}

impl Level {
    /// The node whose key pair the path secret of this level gives.
    pub fn node(&self) -> NodeIndex {
        self.node
    }

    /// The node's child on the copath: the partners below it receive at this level.
    pub fn copath(&self) -> NodeIndex {
        self.copath
    }

    /// Whom this level's path secret is sealed to in MLS, and sent a Notify in Paired MLS, in the
    /// order of the ciphertexts: the resolution of the copath child without the newcomers' leaves
    /// (RFC 9420 section 12.4.1). Empty if all of them are newcomers.
    pub fn recipients(&self) -> &[NodeIndex] {
        &self.recipients
    }
}

/// The leaves given do not fit the tree or the pairing. The caller is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LocateError {
    /// The leaf of the committer, of a device or of a newcomer is blank or outside of the tree.
    #[error("no member is at leaf {0}")]
    NotAMember(LeafIndex),
    /// The committer is not a device of the pairing.
    #[error("the committer at leaf {0} is not a device of the pairing")]
    CommitterNotPaired(LeafIndex),
}

/// Finds the anchor of a commit.
///
/// ```
/// use paired_mls::anchor::{Anchorage, LeafIndex, Tree, locate};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let leaf = |index| LeafIndex::new(index).ok_or("a tree has fewer leaves");
/// let (phone, sensor, bob) = (leaf(0)?, leaf(1)?, leaf(2)?);
/// let tree = Tree::of_leaves([phone, sensor, bob]);
/// assert!(matches!(locate(&tree, phone, &[phone, sensor], &[])?, Anchorage::Whole(_)));
/// // With Bob between them, there is no node that is theirs alone.
/// assert!(matches!(locate(&tree, phone, &[phone, bob], &[])?, Anchorage::Suspended { .. }));
/// # Ok(())
/// # }
/// ```
///
/// `tree` is the tree after the commit's own proposals: see [`Tree::after`]. `devices` are the leaves
/// in it of all devices of the pairing that are in the group, `committer` among them; `newcomers` are
/// the leaves that the commit itself adds, of devices or not.
///
/// Call it for each commit anew: an Add by anybody fills the leftmost blank leaf, which may be under
/// the anchor.
///
/// Returns [`Anchorage::Whole`] if nobody but devices is under the lowest node above all of them,
/// [`Anchorage::Shrunk`] if that is so for some of them only, [`Anchorage::Suspended`] if for the
/// committer only, and [`Anchorage::Alone`] if `devices` holds no other than the committer.
///
/// # Errors
///
/// [`LocateError`].
///
/// # Security
///
/// A leaf in `devices` that is not of the pairing is locked out of the group by a paired commit: it is
/// sent a Notify that it cannot open.
pub fn locate(
    tree: &Tree,
    committer: LeafIndex,
    devices: &[LeafIndex],
    newcomers: &[LeafIndex],
) -> Result<Anchorage, LocateError> {
    require_members(tree, devices.iter().chain(newcomers))?;
    if !devices.contains(&committer) {
        return Err(LocateError::CommitterNotPaired(committer));
    }
    let partners: BTreeSet<_> = devices.iter().copied().filter(|&leaf| leaf != committer).collect();
    if partners.is_empty() {
        return Ok(Anchorage::Alone);
    }

    let full = above(committer, &partners);
    let strangers = strangers_below(tree, full, devices);
    if strangers.is_empty() {
        return Ok(Anchorage::Whole(anchor(tree, committer, partners, newcomers)));
    }

    let free = tree
        .size()
        .direct_path(committer.node())
        .take_while(|&node| strangers_below(tree, node, devices).is_empty())
        .last()
        .unwrap_or(committer.node());
    let (covered, left_out): (BTreeSet<_>, BTreeSet<_>) =
        partners.into_iter().partition(|leaf| free.covers(leaf.node()));
    if covered.is_empty() {
        return Ok(Anchorage::Suspended { strangers });
    }
    Ok(Anchorage::Shrunk {
        anchor: anchor(tree, committer, covered, newcomers),
        left_out: left_out.into_iter().collect(),
        strangers,
    })
}

/// The nodes whose keys the path secrets of a commit by `committer` are sealed to, level by level from
/// below, without those that are told by a Notify.
///
/// Whoever has the private key of such a node reads the path secret of its level, and with it all keys
/// of the path from there to the root. `tree` is the tree after the commit's own proposals, `newcomers`
/// are the leaves that the commit adds, and `notified` is the anchor if the commit has Notifies.
///
/// Returns the filtered direct path, each level with its node and those recipients; a level in which
/// nobody is sealed to has none.
///
/// # Errors
///
/// [`LocateError::NotAMember`].
pub fn sealed_levels(
    tree: &Tree,
    committer: LeafIndex,
    newcomers: &[LeafIndex],
    notified: Option<&Anchor>,
) -> Result<Vec<Level>, LocateError> {
    require_members(tree, [committer].iter().chain(newcomers))?;
    let levels = levels(tree, committer, newcomers).map(|mut level| {
        if notified.is_some_and(|anchor| anchor.node.covers(level.node)) {
            level.recipients.clear();
        }
        level
    });
    Ok(levels.collect())
}

fn require_members<'a>(
    tree: &Tree,
    leaves: impl IntoIterator<Item = &'a LeafIndex>,
) -> Result<(), LocateError> {
    match leaves.into_iter().find(|&&leaf| !tree.is_member(leaf)) {
        Some(&leaf) => Err(LocateError::NotAMember(leaf)),
        None => Ok(()),
    }
}

/// The lowest node above `leaf` and all of `others`; the leaf itself if there are none.
pub(super) fn above<'a>(
    leaf: LeafIndex,
    others: impl IntoIterator<Item = &'a LeafIndex>,
) -> NodeIndex {
    let others = others.into_iter().map(|leaf| leaf.node());
    others.fold(leaf.node(), NodeIndex::common_ancestor)
}

/// The members below `node` that are not in `devices`, from the left.
pub(super) fn strangers_below(
    tree: &Tree,
    node: NodeIndex,
    devices: &[LeafIndex],
) -> Vec<LeafIndex> {
    tree.members_below(node).filter(|leaf| !devices.contains(leaf)).collect()
}

/// The anchor of `committer` and the partners in `covered`.
fn anchor(
    tree: &Tree,
    committer: LeafIndex,
    covered: BTreeSet<LeafIndex>,
    newcomers: &[LeafIndex],
) -> Anchor {
    let node = above(committer, &covered);
    let path = levels(tree, committer, newcomers).take_while(|level| node.covers(level.node));
    Anchor { node, path: path.collect(), covered: covered.into_iter().collect() }
}

/// The filtered direct path of `committer`, with the recipients of each level.
fn levels<'a>(
    tree: &'a Tree,
    committer: LeafIndex,
    newcomers: &'a [LeafIndex],
) -> impl Iterator<Item = Level> + 'a {
    let is_newcomer = |node: &NodeIndex| node.leaf().is_some_and(|leaf| newcomers.contains(&leaf));
    tree.filtered_levels(committer).map(move |(node, copath)| {
        let mut recipients = tree.resolution(copath);
        recipients.retain(|node| !is_newcomer(node));
        Level { node, copath, recipients }
    })
}
