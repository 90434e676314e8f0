//! Evaluation by luminal's own primitives: slow and simple, so it is the oracle of everything faster. Own operators are
//! decomposed. Views are gathered here, one loop for all of them: luminal's index expressions are interpreted per element.

use super::{
    Graph, NodeIndex, Own, Rewriter, ShapeTracker, Value, copy, meta, new_graph,
    ops::{self, Input, InputKind},
    rewrite, view,
};
use luminal::{
    op::{Contiguous, InputTensor},
    prelude::Tensor,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;

/// Every root of the graph by name; `leaf` says what an input holds, row-major. Tables hold what they say.
///
/// # Panics
/// If `leaf` gives another number of elements than the input's dims have.
pub fn run(graph: &Graph, leaf: &dyn Fn(&Input) -> Vec<f32>) -> BTreeMap<String, Vec<f32>> {
    run_roots(graph, &|_| true, leaf)
}

/// As [`run`], for the roots that are wanted, computing only what they need.
///
/// # Panics
/// As [`run`].
pub fn run_roots(
    graph: &Graph,
    wanted: &dyn Fn(&str) -> bool,
    leaf: &dyn Fn(&Input) -> Vec<f32>,
) -> BTreeMap<String, Vec<f32>> {
    let roots: Vec<_> = meta(graph)
        .roots
        .iter()
        .filter(|r| wanted(&r.name))
        .collect();
    let needed = rewrite::ancestors(graph, roots.iter().map(|r| r.node));
    let mut readers: FxHashMap<NodeIndex, usize> = FxHashMap::default();
    for &node in &needed {
        for source in graph
            .graph
            .neighbors_directed(node, luminal::prelude::petgraph::Direction::Incoming)
        {
            *readers.entry(source).or_default() += 1;
        }
    }
    let kept: FxHashSet<NodeIndex> = roots.iter().map(|r| r.node).collect();
    let mut results: FxHashMap<NodeIndex, Vec<Vec<f32>>> = FxHashMap::default();
    for node in rewrite::schedule(graph) {
        if !needed.contains(&node) {
            continue;
        }
        let sources = rewrite::sources(graph, node);
        let inputs: Vec<&[f32]> = sources
            .iter()
            .map(|s| &results[&s.node][s.output as usize][..])
            .collect();
        let outputs = match ops::own::<Input>(graph, node) {
            Some(input) => vec![read_leaf(input, leaf)],
            None => evaluate(graph, node, &sources, &inputs),
        };
        results.insert(node, outputs);
        for source in sources {
            let left = readers
                .get_mut(&source.node)
                .expect("every source was counted");
            *left -= 1;
            if *left == 0 && !kept.contains(&source.node) {
                results.remove(&source.node);
            }
        }
    }
    let result = |r: &&super::Root| {
        let values = results[&r.node][r.output as usize].clone();
        (r.name.clone(), values)
    };
    roots.iter().map(result).collect()
}

/// The outputs of one node that is no leaf; `buffers` holds the whole buffer behind each of its sources.
pub fn evaluate(
    graph: &Graph,
    node: NodeIndex,
    sources: &[Value],
    buffers: &[&[f32]],
) -> Vec<Vec<f32>> {
    let seen: Vec<Vec<f32>> = sources
        .iter()
        .zip(buffers)
        .map(|(s, buffer)| gather(buffer, &s.view))
        .collect();
    let op = &graph.graph[node];
    if let Some(own) = op.as_any().downcast_ref::<Own>() {
        return decomposed(own, sources, seen);
    }
    if op.as_any().is::<Contiguous>() {
        return seen;
    }
    let inputs = sources.iter().zip(seen).map(|(source, values)| {
        let dims = source.dims();
        // luminal counts no elements in a scalar's view.
        let dims = if dims.is_empty() { &[1][..] } else { &dims };
        (InputTensor::Owned(Tensor::new(values)), view::plain(dims))
    });
    let outputs = copy::operator(&**op).process(inputs.collect());
    let numbers = |t: Tensor| {
        t.data
            .as_any()
            .downcast_ref::<Vec<f32>>()
            .expect("luminal's primitives make lists of numbers")
            .clone()
    };
    outputs.into_iter().map(numbers).collect()
}

/// What a view shows of a buffer, row-major; zeros where it pads.
pub fn gather(buffer: &[f32], seen: &ShapeTracker) -> Vec<f32> {
    if view::is_plain(seen) {
        return buffer.to_vec();
    }
    let axes = axes(seen);
    let mut values = Vec::with_capacity(axes.iter().map(|a| a.len).product());
    walk(buffer, &axes, Some(0), &mut values);
    values
}

/// One logical axis: position `i` of it is coordinate `i + shift` of the buffer's axis, valid below `size`.
struct Axis {
    len: usize,
    shift: isize,
    size: usize,
    stride: usize,
}

fn axes(seen: &ShapeTracker) -> Vec<Axis> {
    let number = |e: &luminal::prelude::symbolic::Expression| {
        e.to_usize()
            .expect("dimensions are static in a legal graph")
    };
    let mut strides = vec![0; seen.len()];
    let mut step = 1;
    for i in (0..seen.len()).rev().filter(|&i| !seen.fake[i]) {
        strides[i] = step;
        step *= number(&seen.dims[i]);
    }
    let lens = view::dims(seen);
    let (padding, slices) = (view::padding(seen), view::slices(seen));
    let axis = |(logical, &i): (usize, &usize)| Axis {
        len: lens[logical],
        shift: slices[logical].0 as isize - padding[logical].0 as isize,
        size: number(&seen.dims[i]),
        stride: strides[i],
    };
    seen.indexes.iter().enumerate().map(axis).collect()
}

/// `at` is the position in the buffer of what the outer axes chose, `None` inside a pad.
fn walk(buffer: &[f32], axes: &[Axis], at: Option<usize>, values: &mut Vec<f32>) {
    let Some((axis, inner)) = axes.split_first() else {
        values.push(at.map_or(0.0, |at| buffer[at]));
        return;
    };
    for i in 0..axis.len {
        let coordinate = usize::try_from(i as isize + axis.shift)
            .ok()
            .filter(|&c| c < axis.size);
        let at = at.zip(coordinate).map(|(at, c)| at + c * axis.stride);
        walk(buffer, inner, at, values);
    }
}

fn read_leaf(input: &Input, leaf: &dyn Fn(&Input) -> Vec<f32>) -> Vec<f32> {
    let values = match &input.kind {
        InputKind::Table(values) => values.to_vec(),
        _ => leaf(input),
    };
    assert_eq!(
        values.len(),
        input.dims.iter().product::<usize>(),
        "elements of {}",
        input.name
    );
    values
}

fn decomposed(own: &Own, sources: &[Value], seen: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
    let mut graph = new_graph(1);
    let mut r = Rewriter::new(&mut graph);
    let inputs: Vec<Value> = sources
        .iter()
        .enumerate()
        .map(|(i, s)| r.input(&i.to_string(), &s.dims(), InputKind::Feed))
        .collect();
    let outputs = own
        .0
        .decompose(&mut r, &inputs)
        .expect("only leaves do not decompose");
    for (i, output) in outputs.iter().enumerate() {
        r.add_root(&i.to_string(), output);
    }
    let place = |input: &Input| input.name.parse::<usize>().expect("named by number above");
    let mut results = run(&graph, &|input| seen[place(input)].clone());
    (0..outputs.len())
        .map(|i| {
            results
                .remove(&i.to_string())
                .expect("named by number above")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use luminal::op::Operator;

    /// luminal's own reading of a view, where it can be trusted.
    fn by_luminal(buffer: &[f32], seen: &ShapeTracker) -> Vec<f32> {
        let input = (InputTensor::Owned(Tensor::new(buffer.to_vec())), *seen);
        let output = Contiguous.process(vec![input]).remove(0);
        let values = output.data.as_any().downcast_ref::<Vec<f32>>();
        values.expect("a list of numbers").clone()
    }

    #[test]
    fn views_are_read_as_luminal_reads_them() {
        let buffer: Vec<f32> = (0..24).map(|i| i as f32 + 1.0).collect();
        let plain = view::plain(&[2, 3, 4]);
        let turned = view::permute(&plain, &[2, 0, 1]);
        let wide = view::expand(&turned, 1, 3);
        let split = view::split(&plain, 2, &[2, 2]).expect("four is two times two");
        for seen in [
            plain,
            turned,
            wide,
            view::permute(&split, &[3, 0, 2, 1]),
            view::slice(&turned, 0, 1, 3),
            view::slice(&wide, 3, 1, 2),
            view::pad(&turned, 2, 1, 2),
            view::pad(&view::pad(&wide, 0, 0, 1), 3, 2, 0),
        ] {
            assert_eq!(
                gather(&buffer, &seen),
                by_luminal(&buffer, &seen),
                "{seen:?}"
            );
        }
        let full = view::slice(&view::pad(&view::plain(&[4]), 0, 2, 1), 0, 1, 6);
        assert_eq!(
            gather(&[1.0, 2.0, 3.0, 4.0], &full),
            [0.0, 1.0, 2.0, 3.0, 4.0]
        );
    }

    #[test]
    fn a_graph_runs_node_by_node() {
        let mut graph = new_graph(1);
        let mut r = Rewriter::new(&mut graph);
        let x = r.input("x", &[2, 3], InputKind::Feed);
        let two = r.scale(&x, 2.0);
        let wide = r.sub(&two, &x.permute(&[1, 0]).permute(&[1, 0]));
        let total = r.sum(&wide, 0);
        let total = r.sum(&total, 0);
        r.add_root("total", &total);
        let rolled = r
            .op(
                ops::Roll {
                    shifts: vec![(1, 1)],
                },
                &[&x],
            )
            .remove(0);
        let low = r.less(&rolled, &x);
        r.add_root("low", &low);
        let results = run(&graph, &|_| vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(results["total"], [21.0]);
        assert_eq!(results["low"], [0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
        let only = run_roots(&graph, &|name| name == "low", &|_| vec![0.0; 6]);
        assert_eq!(only.len(), 1);
    }
}
