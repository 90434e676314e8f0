use super::*;
use crate::{
    gradient::differentiate,
    ir::{
        copy, evaluate, new_graph,
        ops::{AttentionGradient, Init, Input, InputKind, own},
        verify::verify,
    },
    random::Key,
};
use std::collections::BTreeMap;

/// Queries, keys, values `[..., tokens, width]`, and what the scores get.
struct Parts {
    q: Value,
    k: Value,
    v: Value,
    biases: Vec<Value>,
}

fn weight(r: &mut Rewriter, name: &str, dims: &[usize]) -> Value {
    let (init, decay) = (Init::Fill(0.0), true);
    r.input(name, dims, InputKind::Weight { decay, init })
}

/// Two lists of axes, each a letter, to a third: products over all letters, the last ones summed.
fn einsum(r: &mut Rewriter, a: (&Value, &str), b: (&Value, &str), out: &str, sums: &str) -> Value {
    let all = format!("{out}{sums}");
    let size = |letter: char| {
        let of = |(v, axes): (&Value, &str)| Some(v.dims()[axes.find(letter)?]);
        of(a).or(of(b)).expect("every letter has a size")
    };
    let wide = |(v, axes): (&Value, &str)| {
        let order: Vec<usize> = all.chars().filter_map(|c| axes.find(c)).collect();
        let mut v = v.permute(&order);
        for (i, c) in all.chars().enumerate() {
            if !axes.contains(c) {
                v = v.expand(i, size(c));
            }
        }
        v
    };
    let mut y = r.mul(&wide(a), &wide(b));
    for _ in sums.chars() {
        y = r.sum(&y, y.rank() - 1);
    }
    y
}

fn softmax(r: &mut Rewriter, x: &Value) -> Value {
    let (last, n) = (x.rank() - 1, x.dims()[x.rank() - 1]);
    let most = r.max(x, last);
    let most = r.op(ops::Detach, &[&most]).remove(0).expand(last, n);
    let below = r.sub(x, &most);
    let e = r.exp(&below);
    let total = r.sum(&e, last).expand(last, n);
    r.div(&e, &total)
}

/// Attention spelled out; `batch` names the batch axes.
fn attend(r: &mut Rewriter, parts: &Parts, batch: &str, dropout: Option<&Value>) -> Value {
    let axes = |own: &str| format!("{batch}{own}");
    let (q, k) = ((&parts.q, &*axes("qd")), (&parts.k, &*axes("kd")));
    let scores = einsum(r, q, k, &axes("qk"), "d");
    let mut scores = r.scale(&scores, 0.4);
    for bias in &parts.biases {
        scores = r.add(&scores, bias);
    }
    let mut weights = softmax(r, &scores);
    if let Some(draws) = dropout {
        let rate = r.constant(0.3, &draws.dims());
        let dropped = r.less(draws, &rate);
        let kept = r.neg(&dropped);
        let kept = r.offset(&kept, 1.0);
        let weighed = r.mul(&weights, &kept);
        weights = r.scale(&weighed, 1.0 / (1.0 - 0.3));
    }
    einsum(
        r,
        (&weights, &axes("qk")),
        (&parts.v, &axes("kd")),
        &axes("qd"),
        "k",
    )
}

/// The scalar that the tests minimise.
fn finish(r: &mut Rewriter, mixed: &Value) {
    let shares: Vec<f32> = (0..mixed.dims().iter().product())
        .map(|i| (i as f32 * 0.7).sin())
        .collect();
    let shares = r.table(&shares, &mixed.dims());
    let mut loss = r.mul(mixed, &shares);
    while loss.rank() > 0 {
        loss = r.sum(&loss, 0);
    }
    r.add_root("loss", &loss);
}

/// Windows n, tokens t: one map makes all three parts, slices of its result; biases per head, and a constant per window.
fn windowed(dropout: bool) -> Graph {
    let [b, n, t, h, d] = [2, 3, 4, 2, 5];
    let mut graph = new_graph(b);
    let mut r = Rewriter::new(&mut graph);
    let qkv = weight(&mut r, "qkv", &[b, n, t, 3 * h * d]);
    let split = view::split(&qkv.view, 3, &[3, h, d]).expect("the factors of the axis");
    let parts = qkv.through(view::permute(&split, &[3, 0, 1, 4, 2, 5]));
    let part = |r: &mut Rewriter, i| r.slice(&parts, 0, i, i + 1).squeeze(0);
    let [q, k, v] = [0, 1, 2].map(|i| part(&mut r, i));
    let table = weight(&mut r, "table", &[t, t, h]).permute(&[2, 0, 1]);
    let fence: Vec<f32> = (0..n * t * t).map(|i| -((i % 3) as f32)).collect();
    let fence = r.table(&fence, &[n, 1, t, t]);
    let draws = r.input(
        "drop",
        &[b, n, h, t, t],
        InputKind::Draw { per_sample: true },
    );
    let parts = Parts {
        q,
        k,
        v,
        biases: vec![table, fence],
    };
    let mixed = attend(&mut r, &parts, "bnh", dropout.then_some(&draws));
    let joined = r.contiguous(&mixed.permute(&[0, 1, 3, 2, 4]));
    let joined = r.reshape(&joined, &[b, n, t, h * d]);
    finish(&mut r, &joined);
    graph
}

/// Tokens t: queries and values get an offset of their own; the scale is on the queries.
fn global(biases: usize) -> Graph {
    let [b, t, h, d] = [2, 3, 2, 4];
    let mut graph = new_graph(b);
    let mut r = Rewriter::new(&mut graph);
    let qkv = weight(&mut r, "qkv", &[b, t, 3 * h * d]);
    let split = view::split(&qkv.view, 2, &[3, h * d]).expect("the factors of the axis");
    let parts = qkv.through(view::permute(&split, &[2, 0, 1, 3]));
    let [q, k, v] = [0, 1, 2].map(|i| r.slice(&parts, 0, i, i + 1).squeeze(0));
    let q_bias = weight(&mut r, "q_bias", &[h * d]);
    let (q, v) = (r.add(&q, &q_bias), r.add(&v, &q_bias));
    let q = r.scale(&q, 1.7);
    let heads = |r: &mut Rewriter, x: &Value| r.reshape(x, &[b, t, h, d]).permute(&[0, 2, 1, 3]);
    let biases = (0..biases)
        .map(|i| weight(&mut r, &format!("bias{i}"), &[h, t, t]))
        .collect();
    let parts = Parts {
        q: heads(&mut r, &q),
        k: heads(&mut r, &k),
        v: heads(&mut r, &v),
        biases,
    };
    let mixed = attend(&mut r, &parts, "bh", None);
    finish(&mut r, &mixed);
    graph
}

/// No batch axis at all, one shared set of keys.
fn bare() -> Graph {
    let mut graph = new_graph(1);
    let mut r = Rewriter::new(&mut graph);
    let parts = Parts {
        q: weight(&mut r, "q", &[3, 4]),
        k: weight(&mut r, "k", &[5, 4]),
        v: weight(&mut r, "v", &[5, 2]),
        biases: Vec::new(),
    };
    let mixed = attend(&mut r, &parts, "", None);
    finish(&mut r, &mixed);
    graph
}

fn leaf(input: &Input) -> Vec<f32> {
    let key = Key::new(1).with(&input.name);
    let n: usize = input.dims.iter().product();
    let uniform = (0..n as u64).map(|i| key.uniform_f32(i));
    match input.kind {
        InputKind::State(_) => vec![0.0; n],
        InputKind::Draw { .. } => uniform.collect(),
        _ => uniform.map(|x| 2.0 * x - 1.0).collect(),
    }
}

fn trained(graph: &Graph) -> (Graph, BTreeMap<String, Vec<f32>>) {
    let mut graph = copy::copy(graph);
    differentiate(&mut graph, 1).expect("the loss is a number");
    Rewriter::new(&mut graph).remove_dead();
    assert_eq!(verify(&graph), Ok(()));
    let results = evaluate::run(&graph, &leaf);
    (graph, results)
}

/// Fuses, and holds loss and gradients to those of the graph as it was.
fn fused(mut graph: Graph) -> Graph {
    let (_, before) = trained(&graph);
    run(&mut graph);
    assert_eq!(verify(&graph), Ok(()));
    let (graph, after) = trained(&graph);
    for (name, expected) in &before {
        for (a, b) in after[name].iter().zip(expected) {
            assert!(
                (a - b).abs() < 2e-6 * (1.0 + b.abs()),
                "{name}: {a} instead of {b}"
            );
        }
    }
    graph
}

fn count<T: ops::Op>(graph: &Graph) -> usize {
    let nodes = graph.graph.node_indices();
    nodes.filter(|&n| own::<T>(graph, n).is_some()).count()
}

fn copies(graph: &Graph) -> usize {
    let nodes = graph.graph.node_indices();
    nodes
        .filter(|&n| ops::is::<luminal::op::Contiguous>(graph, n))
        .count()
}

#[test]
fn windows_read_and_write_one_buffer() {
    for dropout in [false, true] {
        let mut graph = fused(windowed(dropout));
        assert_eq!(count::<ops::Attention>(&graph), 1);
        let nodes = graph.graph.node_indices();
        let gradient = nodes.filter_map(|n| own::<AttentionGradient>(&graph, n));
        let wanted: Vec<Vec<usize>> = gradient
            .flat_map(|g| g.wanted.iter().map(|w| w.inputs.clone()))
            .collect();
        assert_eq!(
            wanted,
            [vec![0, 1, 2], vec![3]],
            "one buffer, and the bias that learns"
        );
        super::super::fold_constants::run(&mut graph);
        assert_eq!(copies(&graph), 0, "{}", crate::ir::print::print(&graph));
    }
}

#[test]
fn offsets_of_queries_and_values_stay_outside() {
    for biases in 0..3 {
        let graph = fused(global(biases));
        assert_eq!(count::<ops::Attention>(&graph), 1);
        assert_eq!(count::<AttentionGradient>(&graph), 1);
    }
    assert_eq!(count::<ops::Attention>(&fused(bare())), 1);
}

#[test]
fn what_deviates_stays_as_it_is() {
    // A root on the weights, another base, scores that are no product.
    let deviations: [fn(&mut Rewriter, &Value) -> Value; 2] = [
        |r, scores| {
            let e = r.exp2(scores);
            let total = r.sum(&e, 1).expand(1, 3);
            r.div(&e, &total)
        },
        |r, scores| {
            let rooted = r.mul(scores, scores);
            softmax(r, &rooted)
        },
    ];
    for weights in deviations {
        let mut graph = new_graph(1);
        let mut r = Rewriter::new(&mut graph);
        let q = weight(&mut r, "q", &[3, 4]);
        let scores = einsum(&mut r, (&q, "qd"), (&q, "kd"), "qk", "d");
        let weights = weights(&mut r, &scores);
        let mixed = einsum(&mut r, (&weights, "qk"), (&q, "kd"), "qd", "k");
        finish(&mut r, &mixed);
        assert_eq!(count::<ops::Attention>(&fused(graph)), 0);
    }
}
