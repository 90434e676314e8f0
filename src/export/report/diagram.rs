//! Pictures of scopes as SVG, laid out in layers as Sugiyama et al. (1981) do.

use super::{
    chart::short,
    scopes::{Picture, Role, Square},
};
use dagre::{
    EdgeLabel, GraphLabel, LayoutOptions, NodeLabel, Point, RankDir,
    graph::{Graph, GraphOptions},
    layout,
};
use maud::{Markup, html};

/// Of a box.
const LINE: f64 = 16.0;
const PADDING: f64 = 12.0;
/// Of a letter, about: what is too wide is cut.
const LETTER: f64 = 7.0;
const WIDEST: usize = 34;

/// Where boxes and arrows lie.
pub struct Layout(Graph<NodeLabel, EdgeLabel>);

impl Layout {
    /// For pictures of as many boxes with the same arrows: each box is as large as the largest in its place, so that alike parts
    /// look alike, and are laid out once.
    pub fn of(pictures: &[&Picture]) -> Layout {
        let mut graph = Graph::with_options(GraphOptions {
            directed: true,
            // Where two boxes read one another, one arrow is turned round on the way.
            multigraph: true,
            compound: false,
        });
        let first = pictures.first();
        for at in 0..first.map_or(0, |picture| picture.boxes.len()) {
            let sizes = pictures.iter().map(|picture| size(&picture.boxes[at]));
            let (width, height) = sizes.fold((0.0, 0.0), |all: (f64, f64), one| {
                (all.0.max(one.0), all.1.max(one.1))
            });
            let label = NodeLabel {
                width,
                height,
                ..NodeLabel::default()
            };
            graph.set_node(at.to_string(), Some(label));
        }
        for (from, to) in first.iter().flat_map(|picture| &picture.arrows) {
            let label = Some(EdgeLabel::default());
            graph.set_edge(from.to_string(), to.to_string(), label, None);
        }
        let options = LayoutOptions {
            rankdir: RankDir::TB,
            nodesep: 18.0,
            ranksep: 30.0,
            edgesep: 10.0,
            marginx: 8.0,
            marginy: 8.0,
            ..LayoutOptions::default()
        };
        layout(&mut graph, Some(options));
        Layout(graph)
    }

    fn size(&self) -> (f64, f64) {
        let size = self.0.graph_label::<GraphLabel>();
        size.map_or((0.0, 0.0), |label| (label.width, label.height))
    }
}

/// The picture from top to bottom.
pub fn draw(picture: &Picture, layout: &Layout) -> Markup {
    let (width, height) = layout.size();
    let graph = &layout.0;
    let view_box = format!("0 0 {} {}", short(width), short(height));
    html! {
        svg.graph viewBox=(view_box) data-width=(short(width)) data-height=(short(height)) role="group" {
            @for &(from, to) in &picture.arrows {
                @if let Some(edge) = graph.edge(&from.to_string(), &to.to_string(), None) {
                    path.arrow d=(curve(&edge.points)) data-from=(from) data-to=(to) {}
                }
            }
            @for (at, square) in picture.boxes.iter().enumerate() {
                @if let Some(node) = graph.node(&at.to_string()) {
                    (boxed(at, square, node))
                }
            }
        }
    }
}

fn texts(square: &Square) -> Vec<String> {
    let texts = [&square.label, &square.note, &square.shape];
    let texts = texts.into_iter().filter(|text| !text.is_empty());
    texts.map(|text| cut(text)).collect()
}

fn cut(text: &str) -> String {
    let letters = text.chars().count();
    match letters <= WIDEST {
        true => text.to_owned(),
        false => format!(
            "…{}",
            text.chars().skip(letters + 1 - WIDEST).collect::<String>()
        ),
    }
}

fn size(square: &Square) -> (f64, f64) {
    let texts = texts(square);
    let letters = texts.iter().map(|text| text.chars().count()).max();
    let width = letters.unwrap_or(0) as f64 * LETTER + 2.0 * PADDING;
    (width, texts.len() as f64 * LINE + PADDING)
}

fn boxed(at: usize, square: &Square, node: &NodeLabel) -> Markup {
    let (x, y) = (node.x.unwrap_or(0.0), node.y.unwrap_or(0.0));
    let place = format!("translate({} {})", short(x), short(y));
    let (class, opens, item) = match &square.role {
        Role::Part(path) => ("box part", Some(path), None),
        Role::Item { at, kind } => (*kind, None, Some(at)),
        Role::Source => ("box source", None, None),
        Role::Result => ("box result", None, None),
    };
    let class = match item {
        Some(_) => format!("box item {class}"),
        None => class.to_owned(),
    };
    let texts = texts(square);
    let top = -(texts.len() as f64 - 1.0) * LINE / 2.0;
    let (w, h) = (short(node.width), short(node.height));
    let button = opens.map(|_| "button");
    let focus = (opens.is_some() || item.is_some()).then_some("0");
    html! {
        g class=(class) transform=(place) data-box=(at) data-opens=[opens] data-item=[item] role=[button] tabindex=[focus] {
            @if texts.iter().any(|text| text.starts_with('…')) {
                title { (square.label) " " (square.note) " " (square.shape) }
            }
            @if opens.is_some() { (frame(w + 6.0, h + 6.0)) }
            (frame(w, h))
            @for (line, text) in texts.iter().enumerate() {
                text class=[(line > 0).then_some("small")] y=(short(top + line as f64 * LINE)) dy="0.32em" { (text) }
            }
        }
    }
}

fn frame(width: f64, height: f64) -> Markup {
    let (x, y) = (short(-width / 2.0), short(-height / 2.0));
    html! { rect x=(x) y=(y) width=(width) height=(height) rx="6" {} }
}

/// Through the middles between points, which bend it.
fn curve(points: &[Point]) -> String {
    let at = |point: &Point| format!("{} {}", short(point.x), short(point.y));
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return String::new();
    };
    let mut path = format!("M{}", at(first));
    for pair in points.windows(2).skip(1) {
        let middle = Point {
            x: (pair[0].x + pair[1].x) / 2.0,
            y: (pair[0].y + pair[1].y) / 2.0,
        };
        path += &format!("Q{} {}", at(&pair[0]), at(&middle));
    }
    path + &format!("L{}", at(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn square(label: &str, role: Role) -> Square {
        Square {
            label: label.into(),
            note: String::new(),
            shape: "[4]".into(),
            role,
        }
    }

    #[test]
    fn every_box_and_arrow_is_drawn_and_text_is_escaped() {
        let picture = Picture {
            boxes: vec![
                square("<b>&", Role::Source),
                square("norm", Role::Part("norm".into())),
                square("result", Role::Result),
            ],
            arrows: BTreeSet::from([(0, 1), (1, 2)]),
        };
        let text = draw(&picture, &Layout::of(&[&picture])).into_string();
        assert_eq!(text.matches("<path").count(), 2);
        assert_eq!(text.matches("<rect").count(), 4, "what opens has two");
        assert!(text.contains("&lt;b&gt;&amp;") && !text.contains("<b>"));
        assert!(text.contains("data-opens=\"norm\""));
    }

    #[test]
    fn alike_pictures_share_a_layout_that_holds_the_longest_of_their_texts() {
        let picture = |label: &str| Picture {
            boxes: vec![square("x", Role::Source), square(label, Role::Result)],
            arrows: BTreeSet::from([(0, 1)]),
        };
        let (short, long) = (picture("add"), picture("contraction of 12 nodes"));
        let alone = draw(&long, &Layout::of(&[&long])).into_string();
        let shared = Layout::of(&[&short, &long]);
        assert_eq!(draw(&long, &shared).into_string(), alone);
        let drawn = draw(&short, &shared).into_string();
        assert_eq!(drawn, alone.replace("contraction of 12 nodes", "add"));
    }

    #[test]
    fn any_shape_of_graph_is_laid_out() {
        let key = crate::random::Key::new(7);
        let mut draws = 0;
        let mut below = |n: usize| {
            draws += 1;
            key.below(draws, n as u64) as usize
        };
        for _ in 0..200 {
            let boxes = 1 + below(24);
            let mut arrows = BTreeSet::new();
            for _ in 0..below(3 * boxes + 1) {
                let (a, b) = (below(boxes), below(boxes));
                // Parts may read one another's results, so there are circles.
                if a != b {
                    arrows.insert((a, b));
                }
            }
            let boxes = (0..boxes).map(|at| square(&at.to_string(), Role::Source));
            let picture = Picture {
                boxes: boxes.collect(),
                arrows,
            };
            let text = draw(&picture, &Layout::of(&[&picture])).into_string();
            assert_eq!(text.matches("<path").count(), picture.arrows.len());
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }
}
