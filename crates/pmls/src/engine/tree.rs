//! The ratchet tree of a group, drawn with its anchor.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anstyle::{AnsiColor, Style};
use paired_mls::anchor::{LeafIndex, NodeIndex, Tree};
use paired_mls_openmls::{Footing, ratchet_tree};
use serde::Serialize;

use super::{Engine, EngineError, Group, report::security_of};

/// A group as a picture and as data.
#[derive(Debug, Serialize)]
pub(crate) struct TreeView {
    pub(crate) group: String,
    pub(crate) epoch: u64,
    /// The epoch's authenticator (RFC 9420 section 8.7), in hexadecimal: equal on all members.
    pub(crate) authenticator: String,
    /// From left to right, by their position in the tree.
    pub(crate) nodes: Vec<NodeView>,
    /// How safe the epoch is for this device, if it is paired here.
    pub(crate) security: Option<&'static str>,
    /// How the devices of the pairing stand in the tree, if this device is paired here.
    pub(crate) footing: Option<FootingView>,
    /// The devices whose leaves end before long.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) expiring: Vec<Expiring>,
    #[serde(skip)]
    pub(crate) picture: Picture,
}

/// A leaf that its device has not renewed since it came in by a KeyPackage, which ends.
#[derive(Debug, Serialize)]
pub(crate) struct Expiring {
    /// The device of the pairing.
    pub(crate) device: u16,
    /// In seconds since 1970-01-01T00:00:00Z.
    pub(crate) not_after: u64,
}

/// How long before its end a leaf is spoken of.
const WARNING: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How the devices of a pairing stand in the tree, for commits of this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FootingView {
    Whole,
    Shrunk,
    Suspended,
    Alone,
}

/// One node.
#[derive(Debug, Serialize)]
pub(crate) struct NodeView {
    /// Its position (RFC 9420 appendix C).
    pub(crate) position: u32,
    pub(crate) level: u32,
    pub(crate) state: NodeState,
    /// Whose leaf it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) member: Option<String>,
    /// The device of the pairing whose leaf it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<u16>,
    /// How safe the epoch is for that device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) security: Option<&'static str>,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NodeState {
    Blank,
    Filled,
    /// The anchor of the pairing.
    Anchor,
    /// This device's own leaf.
    Own,
}

/// The tree in lines of text: the root at the left, the leaves at the right.
#[derive(Debug, Default)]
pub(crate) struct Picture(String);

impl Engine {
    /// Looks at a group.
    pub(crate) fn look(&self, name: &str) -> Result<TreeView, EngineError> {
        let group = self.group(name)?;
        let tree = ratchet_tree(group.mls())?;
        let nodes = nodes(&group, &tree)?;
        let authenticator = group.mls().epoch_authenticator();
        let picture = Picture::draw(&tree, &nodes);
        Ok(TreeView {
            group: group.row.name.clone(),
            epoch: group.epoch(),
            authenticator: hex::encode(authenticator.as_slice()),
            security: security_of(&group),
            footing: footing(&group)?,
            expiring: expiring(&group, SystemTime::now() + WARNING),
            nodes: nodes.into_values().collect(),
            picture,
        })
    }
}

fn expiring(group: &Group, before: SystemTime) -> Vec<Expiring> {
    let before = before.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let lifetimes = group.paired().map(|paired| paired.lifetimes()).unwrap_or_default();
    let ending = lifetimes.into_iter().filter(|(_, not_after)| *not_after < before);
    ending.map(|(device, not_after)| Expiring { device: device.0, not_after }).collect()
}

fn footing(group: &Group) -> Result<Option<FootingView>, EngineError> {
    let Some(paired) = group.paired().filter(|own| own.is_paired()) else { return Ok(None) };
    Ok(Some(match paired.footing()? {
        Footing::Whole => FootingView::Whole,
        Footing::Shrunk { .. } => FootingView::Shrunk,
        Footing::Suspended => FootingView::Suspended,
        Footing::Alone => FootingView::Alone,
    }))
}

fn nodes(group: &Group, tree: &Tree) -> Result<BTreeMap<u32, NodeView>, EngineError> {
    let own = group.mls().own_leaf_index().u32();
    let anchor = match group.paired().filter(|own| own.is_paired()) {
        Some(paired) => paired.anchorage()?.anchor().map(|anchor| anchor.node()),
        None => None,
    };
    let devices: BTreeMap<u32, u16> = match group.paired() {
        Some(paired) => {
            paired.devices().into_iter().map(|(device, leaf)| (leaf.value(), device.0)).collect()
        }
        None => BTreeMap::new(),
    };
    let members: BTreeMap<u32, String> =
        group.members().into_iter().map(|(leaf, who)| (leaf.value(), who.shown)).collect();
    let mut views = BTreeMap::new();
    let width = 2 * tree.size().leaves() - 1;
    for node in (0..width).filter_map(NodeIndex::new) {
        let leaf = node.leaf().map(LeafIndex::value);
        let device = leaf.and_then(|leaf| devices.get(&leaf)).copied();
        let state = if leaf == Some(own) {
            NodeState::Own
        } else if tree.is_blank(node) {
            NodeState::Blank
        } else if Some(node) == anchor {
            NodeState::Anchor
        } else {
            NodeState::Filled
        };
        let security = device.and_then(|device| {
            group.paired()?;
            Some(group.security_of(paired_mls::DeviceId(device))?.name())
        });
        views.insert(
            node.value(),
            NodeView {
                position: node.value(),
                level: node.level(),
                state,
                member: leaf.and_then(|leaf| members.get(&leaf)).cloned(),
                device,
                security,
            },
        );
    }
    Ok(views)
}

impl Picture {
    fn draw(tree: &Tree, nodes: &BTreeMap<u32, NodeView>) -> Self {
        let mut lines = String::new();
        branch(&mut lines, nodes, tree.size().root(), "", Side::Root);
        lines.truncate(lines.trim_end().len());
        Self(lines)
    }
}

/// Which child of its parent a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Root,
    Left,
    Right,
}

/// The node, and below it its children, indented.
fn branch(
    lines: &mut String,
    nodes: &BTreeMap<u32, NodeView>,
    node: NodeIndex,
    indent: &str,
    side: Side,
) {
    let (edge, below) = match side {
        Side::Root => ("", ""),
        Side::Left => ("├─ ", "│  "),
        Side::Right => ("└─ ", "   "),
    };
    let label = nodes.get(&node.value()).map(ToString::to_string).unwrap_or_default();
    lines.push_str(&format!("{indent}{edge}{label}\n"));
    let indent = format!("{indent}{below}");
    for (child, side) in [(node.left(), Side::Left), (node.right(), Side::Right)] {
        if let Some(child) = child {
            branch(lines, nodes, child, &indent, side);
        }
    }
}

/// Colours, which the output leaves out where there is no terminal for them.
const ANCHOR: Style = AnsiColor::Yellow.on_default().bold();
const SAFE: Style = AnsiColor::Green.on_default();
const UNSAFE: Style = AnsiColor::Red.on_default();

impl fmt::Display for NodeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let style = match (self.state, self.security) {
            (NodeState::Anchor, _) => ANCHOR,
            (_, Some("secure")) => SAFE,
            (_, Some(_)) => UNSAFE,
            (_, None) => Style::new(),
        };
        let sign = match self.state {
            NodeState::Blank => "○",
            NodeState::Filled | NodeState::Own => "●",
            NodeState::Anchor => "◆",
        };
        write!(f, "{style}{sign}{style:#}")?;
        if let Some(member) = &self.member {
            write!(f, " {member}")?;
        }
        match (self.state, self.device, self.security) {
            (NodeState::Anchor, ..) => write!(f, " {style}anchor{style:#}"),
            (NodeState::Own, None, _) => f.write_str(" (this device)"),
            (NodeState::Own, Some(device), Some(security)) => {
                write!(f, " (this device, {device} of the pairing: {style}{security}{style:#})")
            }
            (_, Some(device), Some(security)) => {
                write!(f, " ({device} of the pairing: {style}{security}{style:#})")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for TreeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = self.authenticator.get(..16).unwrap_or_default();
        writeln!(f, "{}, epoch {}, authenticator {short}…", self.group, self.epoch)?;
        f.write_str(&self.picture.0)?;
        for Expiring { device, .. } in &self.expiring {
            write!(
                f,
                "\nThe leaf of device {device} ends within 14 days, and then nobody can be added: let it run \
                 `pmls update`, or renew it by `pmls update --refresh {device}`."
            )?;
        }
        match self.footing {
            None | Some(FootingView::Whole) => Ok(()),
            Some(FootingView::Shrunk) => f.write_str(
                "\nStrangers sit under the anchor: commits of this device heal some of its partners only.",
            ),
            Some(FootingView::Suspended) => f.write_str(
                "\nStrangers sit under every node that this device shares with a partner: its commits heal \
                 nobody else. Remove the devices and add them again, one right after the other.",
            ),
            Some(FootingView::Alone) => f.write_str("\nNo partner of this device is in the group."),
        }
    }
}
