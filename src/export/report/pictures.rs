//! The pictures of a compiled recipe: what is inside each of its parts, as it was written and behind fusion.

use super::{
    diagram::{self, Layout},
    kernels,
    scopes::{Item, MOST, Picture, Scopes},
    work::{Costed, Phase},
};
use crate::{
    anatomy::{self, Anatomy},
    compile::Program,
    ir::program::RowOp,
    plan::Kernel,
};
use maud::Markup;
use std::collections::{BTreeMap, HashMap};

/// The pictures of all parts, each that differs once.
pub struct Pictures {
    pub drawn: Vec<Markup>,
    /// By part: before fusion and behind it.
    pub scopes: BTreeMap<String, [Option<usize>; 2]>,
}

impl Pictures {
    pub fn of(program: &Program, anatomy: &Anatomy, costed: &[Costed]) -> Self {
        let instances = program.instances.iter();
        let parts = instances
            .filter(|one| !one.path.is_empty())
            .map(|one| (&*one.path, &*one.graph))
            .collect();
        let mut shown: BTreeMap<String, [Option<usize>; 2]> = BTreeMap::new();
        let batch = program.micro_batch;
        let mut known: HashMap<Picture, usize> = HashMap::new();
        let sides = [written(anatomy, batch), fused(anatomy, costed, batch)];
        for (side, items) in sides.iter().enumerate() {
            let scopes = Scopes::new(items, &parts);
            for scope in scopes.all() {
                let picture = scopes.picture(&scope);
                if picture.boxes.is_empty() || picture.boxes.len() > MOST {
                    continue;
                }
                let next = known.len();
                let at = *known.entry(picture).or_insert(next);
                shown.entry(scope).or_default()[side] = Some(at);
            }
        }
        let mut pictures: Vec<(Picture, usize)> = known.into_iter().collect();
        pictures.sort_by_key(|(_, at)| *at);
        Pictures {
            drawn: draw(pictures.iter().map(|(picture, _)| picture).collect()),
            scopes: shown,
        }
    }
}

/// Each picture, in the layout of all that are alike.
fn draw(pictures: Vec<&Picture>) -> Vec<Markup> {
    let form = |picture: &Picture| (picture.boxes.len(), picture.arrows.clone());
    let mut alike: HashMap<_, Vec<&Picture>> = HashMap::new();
    for picture in &pictures {
        alike.entry(form(picture)).or_default().push(picture);
    }
    let alike = alike.into_iter();
    let layouts: HashMap<_, Layout> = alike
        .map(|(form, pictures)| (form, Layout::of(&pictures)))
        .collect();
    let drawn = pictures.iter();
    drawn
        .map(|picture| diagram::draw(picture, &layouts[&form(picture)]))
        .collect()
}

/// The nodes of the model as elaboration makes them.
fn written(anatomy: &Anatomy, batch: usize) -> Vec<Item> {
    let model = &anatomy.nodes[..anatomy.written];
    let item = |node: &anatomy::Node| {
        let constants = node.sources.iter().map(|source| &anatomy.nodes[*source]);
        let constants = constants.filter(|source| source.role == anatomy::Role::Constant);
        let label = constants.fold(node.label.clone(), |label, constant| {
            format!("{label} {}", constant.label)
        });
        let computed = |source: &&usize| anatomy.nodes[**source].role != anatomy::Role::Constant;
        Item {
            path: match node.role {
                anatomy::Role::Leaf => node.label.clone(),
                _ => node.origin.path.to_string(),
            },
            label,
            kind: node_kind(&node.label),
            shape: per_image(&node.dims, batch),
            sources: node.sources.iter().filter(computed).copied().collect(),
            leaf: node.role != anatomy::Role::Computes,
        }
    };
    model.iter().map(item).collect()
}

/// The kernels of the forward part, behind what they begin with.
fn fused(anatomy: &Anatomy, costed: &[Costed], batch: usize) -> Vec<Item> {
    let plan = &anatomy.plan;
    let named = plan.feeds.iter().map(|(name, buffer)| (*buffer, name));
    let weights = plan
        .weights
        .iter()
        .map(|weight| (weight.value, &weight.name));
    let named: BTreeMap<usize, &String> = named.chain(weights).collect();
    let leaf = |(buffer, name): (&usize, &&String)| Item {
        path: (*name).clone(),
        label: (*name).clone(),
        kind: "leaf",
        shape: per_image(std::slice::from_ref(&plan.buffers[*buffer].dims), batch),
        sources: Vec::new(),
        leaf: true,
    };
    let mut items: Vec<Item> = named.iter().map(leaf).collect();
    let mut makers: HashMap<usize, usize> = named.keys().copied().zip(0..).collect();
    let forward = costed.iter().zip(&anatomy.made_of);
    for (kernel, of) in forward.filter(|(kernel, _)| kernel.phase == Phase::Forward) {
        let does = &kernel.scheduled.kernel;
        let reads = does.reads();
        let mut sources: Vec<usize> = reads
            .iter()
            .filter_map(|read| makers.get(read).copied())
            .collect();
        sources.sort_unstable();
        sources.dedup();
        let writes = does.writes();
        let dims: Vec<_> = writes
            .iter()
            .map(|buffer| plan.buffers[*buffer].dims.clone())
            .collect();
        items.push(Item {
            path: kernel.path.to_owned(),
            label: match of.nodes.len() {
                1 => does.label().to_owned(),
                nodes => format!("{} of {nodes} nodes", does.label()),
            },
            kind: kernel_kind(does),
            shape: per_image(&dims, batch),
            sources,
            leaf: false,
        });
        makers.extend(writes.into_iter().map(|buffer| (buffer, items.len() - 1)));
    }
    items
}

/// Of the first result, without the images where they are its first axis.
fn per_image(dims: &[Vec<usize>], batch: usize) -> String {
    match dims.first().map(Vec::as_slice) {
        Some([first, rest @ ..]) if *first == batch && batch > 1 => kernels::shape(rest),
        Some(dims) => kernels::shape(dims),
        None => String::new(),
    }
}

/// A word for the colour of a node.
fn node_kind(label: &str) -> &'static str {
    let name = label.split(['[', ' ', '(']).next().unwrap_or(label);
    let pointwise = [
        RowOp::Add,
        RowOp::Mul,
        RowOp::Mod,
        RowOp::Less,
        RowOp::Recip,
        RowOp::Sqrt,
        RowOp::Exp2,
        RowOp::Log2,
        RowOp::Sin,
        RowOp::Abs,
        RowOp::Erf,
    ];
    match name {
        "sum" | "max" => "sums",
        "copy" | "concat" | "roll" | "take" | "scatter" => "moves",
        "attention" | "contraction" => "product",
        _ if pointwise
            .iter()
            .any(|op| format!("{op:?}").to_lowercase() == name) =>
        {
            "pointwise"
        }
        _ => "other",
    }
}

fn kernel_kind(kernel: &Kernel) -> &'static str {
    match kernel {
        Kernel::Gemm(_) | Kernel::Attention(_) | Kernel::AttentionBackward(_) => "product",
        Kernel::Rows(_) => "pointwise",
        Kernel::Fold(_) | Kernel::SumSquares(_) => "sums",
        Kernel::Take(_) | Kernel::Scatter(_) => "moves",
        Kernel::AdamW(_) => "other",
    }
}
