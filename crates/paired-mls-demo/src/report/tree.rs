//! A ratchet tree as an SVG picture.

use std::fmt::{self, Write as _};

use super::Escaped;
use crate::picture::{Picture, Spot};

/// The distance between two leaves, and between two levels, in pixels.
const LEAF: f64 = 74.0;
const LEVEL: f64 = 54.0;
const MARGIN: f64 = 40.0;
const RADIUS: f64 = 13.0;
/// How much larger than that a tree is drawn at most.
const LARGEST: f64 = 1.2;

/// A node's place in the picture.
fn place(picture: &Picture, position: usize) -> (f64, f64) {
    let top = picture.nodes.iter().map(|spot| spot.level).max().unwrap_or(0);
    let level = picture.nodes.get(position).map_or(0, |spot| spot.level);
    // Leaves stand at even positions, and a parent above the middle of its leaves.
    let x = MARGIN + position as f64 / 2.0 * LEAF;
    (x, 24.0 + f64::from(top - level) * LEVEL)
}

/// The position of a node's parent; `None` for the root.
fn parent(picture: &Picture, position: usize) -> Option<usize> {
    let level = picture.nodes.get(position)?.level;
    let bit = (position >> (level + 1)) & 1;
    let parent = (position | (1 << level)) ^ (bit << (level + 1));
    (parent < picture.nodes.len()).then_some(parent)
}

/// Whether nobody is below a node; such are not drawn.
fn is_empty(picture: &Picture, position: usize) -> bool {
    let level = picture.nodes.get(position).map_or(0, |spot| spot.level);
    let reach = (1_usize << level) - 1;
    let below = position.saturating_sub(reach)..=position + reach;
    picture.nodes.get(below).unwrap_or_default().iter().all(|spot| spot.member.is_none())
}

/// Draws the tree.
pub(super) fn svg(page: &mut String, picture: &Picture) -> fmt::Result {
    let last =
        (0..picture.nodes.len()).rfind(|position| !is_empty(picture, *position)).unwrap_or(0);
    let top = picture.nodes.iter().map(|spot| spot.level).max().unwrap_or(0);
    let width = 2.0 * MARGIN + last as f64 / 2.0 * LEAF;
    let height = 24.0 + f64::from(top) * LEVEL + 58.0;
    writeln!(
        page,
        "<svg viewBox=\"0 0 {width} {height}\" style=\"max-width: {}px\" role=\"img\" \
         aria-label=\"the ratchet tree\">",
        width * LARGEST
    )?;
    let shown = || {
        let spots = picture.nodes.iter().enumerate();
        spots.filter(|(position, _)| !is_empty(picture, *position))
    };
    for (position, spot) in shown() {
        if let Some(above) = parent(picture, position) {
            edge(page, picture, position, above, spot)?;
        }
    }
    for (position, spot) in shown() {
        node(page, place(picture, position), spot)?;
    }
    page.push_str("</svg>\n");
    Ok(())
}

fn edge(
    page: &mut String,
    picture: &Picture,
    position: usize,
    above: usize,
    spot: &Spot,
) -> fmt::Result {
    let ((x1, y1), (x2, y2)) = (place(picture, position), place(picture, above));
    let renewed = spot.on_path && picture.nodes.get(above).is_some_and(|above| above.on_path);
    let class = match (spot.notified, renewed) {
        (true, _) => "edge notify",
        (false, true) => "edge path",
        (false, false) => "edge",
    };
    writeln!(page, "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>")?;
    if spot.notified {
        // Outside of the fork.
        let (class, aside) = if x1 < x2 { ("notify left", -8.0) } else { ("notify", 8.0) };
        let (x, y) = ((x1 + x2) / 2.0 + aside, (y1 + y2) / 2.0 + 2.0);
        writeln!(page, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">Notify</text>")?;
    }
    Ok(())
}

fn node(page: &mut String, (x, y): (f64, f64), spot: &Spot) -> fmt::Result {
    let mut class = match (spot.blank, spot.known_to_thief) {
        (true, _) => "blank",
        (false, true) => "known",
        (false, false) => "unknown",
    }
    .to_owned();
    if spot.on_path {
        class.push_str(" path");
    }
    if spot.anchor {
        let radius = RADIUS + 5.0;
        writeln!(page, "<circle class=\"anchor\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>")?;
    }
    let radius = if spot.blank { RADIUS * 0.6 } else { RADIUS };
    writeln!(page, "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>")?;
    if let Some(member) = spot.member {
        // Two short lines: "Alice's" and "phone".
        for (line, word) in member.split_whitespace().enumerate() {
            let y = y + RADIUS + 16.0 + 13.0 * line as f64;
            writeln!(page, "<text class=\"name\" x=\"{x}\" y=\"{y}\">{}</text>", Escaped(word))?;
        }
    }
    Ok(())
}

/// The little picture for one line of the legend.
pub(super) fn key(class: &str) -> String {
    let inner = match class {
        "notify" => {
            "<line class=\"edge notify\" x1=\"3\" y1=\"11\" x2=\"31\" y2=\"11\"/>".to_owned()
        }
        "path" => "<circle class=\"unknown path\" cx=\"17\" cy=\"11\" r=\"7\"/>".to_owned(),
        "anchor" => "<circle class=\"anchor\" cx=\"17\" cy=\"11\" r=\"9.5\"/>\
                     <circle class=\"unknown\" cx=\"17\" cy=\"11\" r=\"6\"/>"
            .to_owned(),
        class => format!("<circle class=\"{class}\" cx=\"17\" cy=\"11\" r=\"7\"/>"),
    };
    format!("<svg class=\"key\" viewBox=\"0 0 34 22\" aria-hidden=\"true\">{inner}</svg>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_those_of_rfc_9420_appendix_c() {
        let levels = [0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0];
        let spot = |level| Spot {
            level,
            member: None,
            blank: true,
            known_to_thief: false,
            on_path: false,
            anchor: false,
            notified: false,
        };
        let picture = Picture { nodes: levels.into_iter().map(spot).collect() };
        let parents: Vec<_> = (0..15).map(|n| parent(&picture, n)).collect();
        let expected =
            [1, 3, 1, 7, 5, 3, 5, 99, 9, 11, 9, 7, 13, 11, 13].map(|n| (n < 99).then_some(n));
        assert_eq!(parents, expected);
    }
}
