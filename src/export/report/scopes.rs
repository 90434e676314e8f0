//! What is inside each part of a model, as boxes and arrows: before fusion its nodes, behind it its kernels.
//!
//! What is a part of its own is one box, which opens. Alike parts have equal pictures: everything in one is named as it is seen
//! from inside.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Something that runs, or is there before.
#[derive(Debug, Clone)]
pub struct Item {
    /// `encoder.layers.0.blocks.1.attn`; of a leaf its name.
    pub path: String,
    /// `add`, `gemm`
    pub label: String,
    /// A word for its colour.
    pub kind: &'static str,
    /// `[48, 48, 128]`
    pub shape: String,
    /// The items that it reads.
    pub sources: Vec<usize>,
    /// Not computed: a weight, an image.
    pub leaf: bool,
}

/// Boxes, in the order they run, and arrows between them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Picture {
    pub boxes: Vec<Square>,
    /// From box to box.
    pub arrows: BTreeSet<(usize, usize)>,
}

/// One box.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Square {
    pub label: String,
    /// What stands below it.
    pub note: String,
    pub shape: String,
    pub role: Role,
}

/// What a box stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Role {
    /// A part that opens, by its path as seen from the scope.
    Part(String),
    /// A single item, by its place among those of the scope; `kind` is its colour.
    Item { at: usize, kind: &'static str },
    /// What comes from outside.
    Source,
    /// What goes outside.
    Result,
}

/// A model as items, and what its parts are called.
pub struct Scopes<'a> {
    items: &'a [Item],
    readers: Vec<Vec<usize>>,
    /// The graph file of each part, by its path.
    parts: &'a BTreeMap<&'a str, &'a str>,
}

/// Pictures of more boxes say nothing, and take long.
pub const MOST: usize = 250;

impl<'a> Scopes<'a> {
    pub fn new(items: &'a [Item], parts: &'a BTreeMap<&'a str, &'a str>) -> Self {
        let mut readers = vec![Vec::new(); items.len()];
        for (at, item) in items.iter().enumerate() {
            for &source in &item.sources {
                readers[source].push(at);
            }
        }
        Self {
            items,
            readers,
            parts,
        }
    }

    /// The model itself, its parts, and steps that take several items: all that opens.
    pub fn all(&self) -> BTreeSet<String> {
        let mut steps: BTreeMap<&str, usize> = BTreeMap::new();
        for item in self.items.iter().filter(|item| !item.leaf) {
            *steps.entry(&item.path).or_default() += 1;
        }
        let steps = steps.into_iter().filter(|(_, items)| *items > 1);
        let parts = self.parts.keys().copied();
        let parts = parts.filter(|part| self.inside(part).next().is_some());
        steps
            .map(|(path, _)| path)
            .chain(parts)
            .chain([""])
            .map(str::to_owned)
            .collect()
    }

    fn inside<'s>(&'s self, scope: &'s str) -> impl Iterator<Item = usize> + 's {
        let inside = move |at: &usize| {
            let item = &self.items[*at];
            !item.leaf && below(&item.path, scope).is_some()
        };
        (0..self.items.len()).filter(inside)
    }

    /// What is inside a scope.
    pub fn picture(&self, scope: &str) -> Picture {
        let inside: Vec<usize> = self.inside(scope).collect();
        let mut drawn = Drawn {
            scopes: self,
            scope,
            picture: Picture::default(),
            boxes: HashMap::new(),
            outside: HashMap::new(),
        };
        let mut alone: HashMap<&str, usize> = HashMap::new();
        for &at in &inside {
            *alone.entry(&self.items[at].path).or_default() += 1;
        }
        for (place, &at) in inside.iter().enumerate() {
            drawn.item(at, place, alone[&*self.items[at].path] == 1);
        }
        for &at in &inside {
            drawn.arrows(at);
        }
        drawn.picture
    }
}

struct Drawn<'s> {
    scopes: &'s Scopes<'s>,
    scope: &'s str,
    picture: Picture,
    /// The box of each item inside.
    boxes: HashMap<usize, usize>,
    /// The box of what comes from outside, by its label.
    outside: HashMap<String, usize>,
}

impl Drawn<'_> {
    /// Puts an item into its box, which is there already if the item is of a part that has begun.
    fn item(&mut self, at: usize, place: usize, alone: bool) {
        let item = &self.scopes.items[at];
        let rest = below(&item.path, self.scope).unwrap_or("");
        let part = self.part(rest);
        let single = part.is_none() && (rest.is_empty() || alone);
        let opens = match part {
            _ if single => None,
            Some(part) => Some(part),
            None => Some(rest),
        };
        let found = opens.and_then(|opens| {
            let is = |square: &Square| matches!(&square.role, Role::Part(path) if path == opens);
            self.picture.boxes.iter().position(is)
        });
        let here = found.unwrap_or_else(|| {
            let square = match opens {
                Some(opens) => Square {
                    label: opens.to_owned(),
                    note: self.graph_of(opens).to_owned(),
                    shape: String::new(),
                    role: Role::Part(opens.to_owned()),
                },
                None => Square {
                    label: item.label.clone(),
                    note: rest.to_owned(),
                    shape: item.shape.clone(),
                    role: Role::Item {
                        at: place,
                        kind: item.kind,
                    },
                },
            };
            self.picture.boxes.push(square);
            self.picture.boxes.len() - 1
        });
        // What a part makes last is what it makes.
        self.picture.boxes[here].shape.clone_from(&item.shape);
        self.boxes.insert(at, here);
    }

    /// The part of the model that a path below the scope belongs to, as seen from the scope.
    fn part<'r>(&self, rest: &'r str) -> Option<&'r str> {
        let ends = rest.match_indices('.').map(|(end, _)| end);
        let mut paths = ends.chain([rest.len()]).map(|end| &rest[..end]);
        paths.find(|path| !path.is_empty() && self.scopes.parts.contains_key(&*self.whole(path)))
    }

    fn graph_of(&self, part: &str) -> &str {
        let graph = self.scopes.parts.get(&*self.whole(part));
        graph.copied().unwrap_or("")
    }

    fn whole(&self, rest: &str) -> String {
        match self.scope {
            "" => rest.to_owned(),
            scope => format!("{scope}.{rest}"),
        }
    }

    fn arrows(&mut self, at: usize) {
        let item = &self.scopes.items[at];
        let here = self.boxes[&at];
        for source in &item.sources {
            let from = match self.boxes.get(source) {
                Some(&from) => from,
                None if self.is_inner(here, *source) => continue,
                None => self.outer_source(*source),
            };
            if from != here {
                self.picture.arrows.insert((from, here));
            }
        }
        let read = &self.scopes.readers[at];
        let leaves = read.iter().any(|reader| !self.boxes.contains_key(reader));
        if (leaves || read.is_empty()) && !self.scope.is_empty() {
            self.outer_result(here, &item.shape);
        }
    }

    /// Whether a part reads a leaf of a part, its own or a neighbour's: that is shown inside alone.
    fn is_inner(&self, part: usize, leaf: usize) -> bool {
        let item = &self.scopes.items[leaf];
        let is_part = matches!(self.picture.boxes[part].role, Role::Part(_));
        let inner = below(&item.path, self.scope).and_then(|rest| self.part(rest));
        is_part && item.leaf && inner.is_some()
    }

    /// A path without the part that it has in common with the scope.
    fn seen_from<'p>(&self, path: &'p str) -> &'p str {
        let heads = path.match_indices('.').map(|(end, _)| end);
        let mut common = heads.filter(|&end| {
            let head = &path[..end];
            below(self.scope, head).is_some() && self.scopes.parts.contains_key(head)
        });
        common.next_back().map_or(path, |end| &path[end + 1..])
    }

    fn outer_source(&mut self, source: usize) -> usize {
        let item = &self.scopes.items[source];
        let label = self.seen_from(&item.path);
        if let Some(&known) = self.outside.get(label) {
            return known;
        }
        self.picture.boxes.push(Square {
            label: label.to_owned(),
            note: String::new(),
            shape: item.shape.clone(),
            role: Role::Source,
        });
        let here = self.picture.boxes.len() - 1;
        self.outside.insert(label.to_owned(), here);
        here
    }

    fn outer_result(&mut self, from: usize, shape: &str) {
        let boxes = &mut self.picture.boxes;
        let is = |&(one, to): &(usize, usize)| one == from && boxes[to].role == Role::Result;
        if self.picture.arrows.iter().any(is) {
            return;
        }
        boxes.push(Square {
            label: "result".to_owned(),
            note: String::new(),
            shape: shape.to_owned(),
            role: Role::Result,
        });
        self.picture.arrows.insert((from, boxes.len() - 1));
    }
}

/// The rest of a path that is at or below a scope.
fn below<'p>(path: &'p str, scope: &str) -> Option<&'p str> {
    match path.strip_prefix(scope)? {
        "" => Some(""),
        rest if scope.is_empty() => Some(rest),
        rest => rest.strip_prefix('.'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(path: &str, label: &str, sources: &[usize], leaf: bool) -> Item {
        Item {
            path: path.into(),
            label: label.into(),
            kind: "pointwise",
            shape: "[4]".into(),
            sources: sources.to_vec(),
            leaf,
        }
    }

    /// An image through two alike blocks.
    fn items() -> Vec<Item> {
        let mut items = vec![item("image", "input", &[], true)];
        for block in 0..2 {
            let before = items.len() - 1;
            let path = format!("trunk.blocks.{block}");
            items.push(item(&format!("{path}.norm.weight"), "weight", &[], true));
            items.push(item(&format!("{path}.norm"), "sqrt", &[before], false));
            items.push(item(
                &format!("{path}.norm"),
                "mul",
                &[before + 2, before + 1],
                false,
            ));
            items.push(item(
                &format!("{path}.h"),
                "add",
                &[before + 3, before],
                false,
            ));
        }
        items
    }

    const PARTS: [(&str, &str); 5] = [
        ("trunk", "a.trunk"),
        ("trunk.blocks.0", "a.block"),
        ("trunk.blocks.0.norm", "a.norm"),
        ("trunk.blocks.1", "a.block"),
        ("trunk.blocks.1.norm", "a.norm"),
    ];

    fn told(picture: &Picture) -> (Vec<&str>, Vec<(usize, usize)>) {
        let labels = picture.boxes.iter().map(|square| square.label.as_str());
        (labels.collect(), picture.arrows.iter().copied().collect())
    }

    #[test]
    fn a_scope_shows_its_parts_as_boxes_that_open() {
        let (items, parts) = (items(), BTreeMap::from(PARTS));
        let scopes = Scopes::new(&items, &parts);
        let trunk = scopes.picture("trunk");
        let labels = vec!["blocks.0", "blocks.1", "image", "result"];
        assert_eq!(told(&trunk), (labels, vec![(0, 1), (1, 3), (2, 0)]));
        assert_eq!(trunk.boxes[0].role, Role::Part("blocks.0".into()));
        assert_eq!(trunk.boxes[0].note, "a.block");
        let norm = scopes.picture("trunk.blocks.0.norm");
        let labels = vec!["sqrt", "mul", "image", "weight", "result"];
        assert_eq!(told(&norm), (labels, vec![(0, 1), (1, 4), (2, 0), (3, 1)]));
        let all = scopes.all();
        assert!(
            all.contains("") && all.contains("trunk.blocks.1.norm"),
            "{all:?}"
        );
        assert!(!all.contains("trunk.blocks.1.h"), "one node does not open");
    }

    #[test]
    fn alike_parts_have_equal_pictures() {
        let (items, parts) = (items(), BTreeMap::from(PARTS));
        let scopes = Scopes::new(&items, &parts);
        let [first, second] = ["0", "1"].map(|n| scopes.picture(&format!("trunk.blocks.{n}.norm")));
        assert_ne!(first, second, "the first one reads the image");
        let renamed = |picture: &Picture| {
            let mut picture = picture.clone();
            picture
                .boxes
                .iter_mut()
                .for_each(|square| square.label.clear());
            picture
        };
        assert_eq!(renamed(&first), renamed(&second));
        assert_eq!(second.boxes[2].label, "blocks.0.h");
        assert_eq!(second.boxes[3].label, "weight");
    }
}
