use super::*;
use crate::{
    backend::reference,
    ir::{
        new_graph,
        ops::{self, Init},
        verify::verify,
    },
    random::Key,
};

/// Two or three weights, and a tensor made of them.
struct Case {
    name: &'static str,
    weights: &'static [&'static [usize]],
    build: fn(&mut Rewriter, &[Value]) -> Value,
    /// Values are drawn from here.
    range: [f32; 2],
}

const fn case(
    name: &'static str,
    weights: &'static [&'static [usize]],
    range: [f32; 2],
    build: fn(&mut Rewriter, &[Value]) -> Value,
) -> Case {
    Case {
        name,
        weights,
        build,
        range,
    }
}

const AROUND: [f32; 2] = [-1.0, 1.0];
const ABOVE: [f32; 2] = [0.5, 2.0];

/// One case at least per rule, named as the rule.
const CASES: &[Case] = &[
    case("add", &[&[2, 3], &[3]], AROUND, |r, x| r.add(&x[0], &x[1])),
    case("mul", &[&[2, 3], &[3]], AROUND, |r, x| r.mul(&x[0], &x[1])),
    case("mul", &[&[2, 3]], AROUND, |r, x| r.mul(&x[0], &x[0])),
    case("mul", &[&[2, 3], &[3, 4]], AROUND, |r, x| {
        r.matmul(&x[0], &x[1])
    }),
    case("mod", &[&[4], &[4]], [1.0, 1.1], |r, x| {
        let more = r.offset(&x[0], 1.5);
        r.modulo(&more, &x[1])
    }),
    case("recip", &[&[2, 3]], ABOVE, |r, x| r.recip(&x[0])),
    case("sqrt", &[&[2, 3]], ABOVE, |r, x| r.sqrt(&x[0])),
    case("exp2", &[&[2, 3]], AROUND, |r, x| {
        r.exp2(&x[0].permute(&[1, 0]))
    }),
    case("log2", &[&[2, 3]], ABOVE, |r, x| r.log2(&x[0].expand(1, 2))),
    case("sin", &[&[5]], AROUND, |r, x| r.sin(&x[0])),
    // Between powers of two, where the steps of the difference are whole steps of bf16.
    case("bf16", &[&[5]], [1.1, 1.9], |r, x| {
        r.op(ops::Bf16, &[&x[0]]).remove(0)
    }),
    case("abs", &[&[5]], ABOVE, |r, x| {
        let turned = r.neg(&x[0]);
        r.unary(ir_abs(), &turned)
    }),
    case("erf", &[&[5]], AROUND, |r, x| {
        r.op(ops::Erf, &[&x[0]]).remove(0)
    }),
    case("sum", &[&[2, 3]], AROUND, |r, x| {
        r.sum(&x[0].permute(&[1, 0]), 0)
    }),
    case("max", &[&[2, 5]], AROUND, |r, x| r.max(&x[0], 1)),
    case("copy", &[&[2, 6]], AROUND, |r, x| {
        let split = x[0].through(view::split(&x[0].view, 1, &[3, 2]).expect("3 times 2 is 6"));
        let copied = r.contiguous(&split.permute(&[2, 0, 1]));
        r.mul(&copied, &copied.permute(&[0, 1, 2]))
    }),
    case("copy", &[&[3, 4]], AROUND, |r, x| {
        let slice = r.slice(&x[0].permute(&[1, 0]), 0, 1, 3);
        let padded = r.pad(&slice, 1, 2, 1);
        r.exp2(&padded)
    }),
    case("copy", &[&[2, 6]], AROUND, |r, x| {
        // Queries, keys and values of one map: three slices, and one of them once more.
        let parts: Vec<Value> = (0..3)
            .map(|i| r.slice(&x[0], 1, 2 * i, 2 * i + 2))
            .collect();
        let again = r.slice(&x[0], 1, 2, 4);
        let a = r.mul(&parts[0], &parts[1]);
        let b = r.mul(&parts[2], &again);
        let ends = r.slice(&x[0], 1, 5, 6);
        let c = r.mul(&a, &b);
        r.mul(&c, &ends)
    }),
    case(
        "attention",
        &[&[2, 3, 4], &[2, 5, 4], &[2, 5, 3], &[3, 5]],
        AROUND,
        |r, x| {
            let attention = ops::Attention {
                scale: 1.5,
                biases: 2,
                dropout: Some(0.25),
                rounds: false,
            };
            let slope: Vec<f32> = (0..10).map(|i| (i as f32).sin()).collect();
            let fence = r.table(&slope, &[2, 5]).expand(1, 3);
            let draws: Vec<f32> = (0..30).map(|i| (i as f32 * 0.37).fract()).collect();
            let draws = r.table(&draws, &[2, 3, 5]);
            let inputs = [&x[0], &x[1], &x[2], &x[3].expand(0, 2), &fence, &draws];
            r.op(attention, &inputs).remove(0)
        },
    ),
    case("attention", &[&[2, 2, 18]], AROUND, |r, x| {
        // Windows n, tokens t, parts s, heads h, width d: queries, keys and values are slices of one buffer.
        let attention = ops::Attention {
            scale: 0.5,
            biases: 0,
            dropout: None,
            rounds: false,
        };
        let seen = view::split(&x[0].view, 2, &[3, 2, 3]).expect("3 times 2 times 3 is 18");
        let turned = view::permute(&seen, &[2, 0, 3, 1, 4]);
        let part = |i| x[0].through(view::slice(&turned, 0, i, i + 1));
        r.op(attention, &[&part(0), &part(1), &part(2)]).remove(0)
    }),
    case("concat", &[&[2, 1], &[2, 2]], AROUND, |r, x| {
        let joined = r.op(ops::Concat { axis: 1 }, &[&x[0], &x[1]]).remove(0);
        r.mul(&joined, &joined)
    }),
    case("roll", &[&[3, 4]], AROUND, |r, x| {
        let shifts = vec![(0, -1), (1, 2)];
        let rolled = r.op(ops::Roll { shifts }, &[&x[0]]).remove(0);
        r.mul(&rolled, &x[0])
    }),
    case("take", &[&[3, 2]], AROUND, |r, x| {
        let index = r.table(&[2.0, 0.0, 2.0, 1.0], &[2, 2]);
        r.op(ops::Take, &[&x[0], &index]).remove(0)
    }),
    case("scatter", &[&[4, 2]], AROUND, |r, x| {
        let index = r.table(&[2.0, 0.0, 2.0, 1.0], &[4]);
        r.op(ops::Scatter { rows: 5 }, &[&x[0], &index]).remove(0)
    }),
    case("sum_squares", &[&[3, 2]], AROUND, |r, x| {
        r.op(ops::SumSquares, &[&x[0]]).remove(0)
    }),
    case("layer norm", &[&[2, 4], &[4]], AROUND, |r, x| {
        let mean = r.sum(&x[0], 1);
        let mean = r.scale(&mean, 0.25).expand(1, 4);
        let centred = r.sub(&x[0], &mean);
        let square = r.mul(&centred, &centred);
        let variance = r.sum(&square, 1);
        let variance = r.scale(&variance, 0.25);
        let variance = r.offset(&variance, 1e-2);
        let deviation = r.sqrt(&variance).expand(1, 4);
        let normal = r.div(&centred, &deviation);
        r.mul(&normal, &x[1].expand(0, 2))
    }),
    case("softmax", &[&[2, 4]], AROUND, |r, x| {
        let most = r.max(&x[0], 1);
        let most = r.op(ops::Detach, &[&most]).remove(0).expand(1, 4);
        let below = r.sub(&x[0], &most);
        let e = r.exp(&below);
        let total = r.sum(&e, 1).expand(1, 4);
        r.div(&e, &total)
    }),
];

fn ir_abs() -> crate::ir::Own {
    crate::ir::Own(std::sync::Arc::new(ops::Abs))
}

/// Weights `w0`, `w1`, ..., and as loss the result weighted by fixed numbers, so that no gradient is 1.
fn graph_of(case: &Case) -> Graph {
    let mut graph = new_graph(1);
    let mut r = Rewriter::new(&mut graph);
    let (init, decay) = (Init::Fill(0.0), true);
    let weights: Vec<Value> = (case.weights.iter().enumerate())
        .map(|(i, dims)| r.input(&format!("w{i}"), dims, InputKind::Weight { decay, init }))
        .collect();
    let y = (case.build)(&mut r, &weights);
    let n: usize = y.dims().iter().product();
    let shares: Vec<f32> = (0..n).map(|i| 1.0 + 0.5 * (i as f32 * 1.7).sin()).collect();
    let shares = r.table(&shares, &y.dims());
    let mut loss = r.mul(&y, &shares);
    while loss.rank() > 0 {
        loss = r.sum(&loss, 0);
    }
    r.add_root("loss", &loss);
    graph
}

fn values(case: &Case, index: usize) -> Vec<f32> {
    let key = Key::new(3).with(case.name).at(index as u64);
    let n: usize = case.weights[index].iter().product();
    let [low, high] = case.range;
    let value = |i| low + (high - low) * key.uniform_f32(i as u64);
    (0..n).map(value).collect()
}

fn check(case: &Case) {
    let mut graph = graph_of(case);
    differentiate(&mut graph, 2).expect("the loss is a number");
    Rewriter::new(&mut graph).remove_dead();
    assert_eq!(verify(&graph), Ok(()), "{}", case.name);
    let run = |moved: Option<(usize, usize, f32)>| {
        reference::run(&graph, &|input| {
            let index = input.name[1..].parse().expect("weights are named w0, w1");
            let mut values = values(case, index);
            match (&input.kind, moved) {
                (InputKind::State(_), _) => return vec![0.25; values.len()],
                (_, Some((weight, element, by))) if weight == index => values[element] += by,
                _ => {}
            }
            values
        })
    };
    let found = run(None);
    for (weight, dims) in case.weights.iter().enumerate() {
        let gradient = &found[&format!("gradient.w{weight}")];
        assert_eq!(gradient.len(), dims.iter().product::<usize>());
        for (element, &got) in gradient.iter().enumerate() {
            let at = |by| run(Some((weight, element, by)))["loss"][0] as f64;
            let h = 1.0 / 64.0;
            // Central differences of fourth order: rounding and truncation both stay below 1e-4.
            let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h as f64);
            let expected = 0.25 + slope / 2.0;
            let got = got as f64;
            assert!(
                (got - expected).abs() < 1e-3 * (1.0 + expected.abs()),
                "{}: element {element} of w{weight}: {got} instead of {expected}",
                case.name
            );
        }
    }
}

#[test]
fn every_rule_agrees_with_finite_differences() {
    CASES.iter().for_each(check);
}

#[test]
fn every_own_operator_has_a_rule_and_every_rule_a_case() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ir/ops");
    let stems = std::fs::read_dir(folder)
        .expect("the operators' folder is part of the package")
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()));
    let stops = ["adamw", "attention_gradient", "detach", "input"];
    // What fusion makes, behind the gradient.
    let fused = ["code", "contraction", "folded", "fused"];
    for stem in stems.filter(|stem| stem != "mod" && !fused.contains(&&**stem)) {
        let pointwise = ["abs", "bf16", "erf"].contains(&&*stem);
        assert!(
            pointwise || rules::OWN.iter().any(|row| row.name == stem),
            "{stem} has no rule"
        );
        assert!(
            stops.contains(&&*stem) || CASES.iter().any(|case| case.name == stem),
            "{stem} has no case"
        );
    }
}

#[test]
fn what_the_loss_does_not_reach_keeps_what_was_accumulated() {
    let case = case("mul", &[&[2], &[2]], AROUND, |r, x| {
        let stopped = r.op(ops::Detach, &[&x[1]]).remove(0);
        r.mul(&x[0], &stopped)
    });
    let mut graph = graph_of(&case);
    differentiate(&mut graph, 1).expect("the loss is a number");
    Rewriter::new(&mut graph).remove_dead();
    let root = meta(&graph)
        .roots
        .iter()
        .find(|root| root.name == "gradient.w1")
        .expect("every weight has a gradient");
    let leaf = own::<Input>(&graph, root.node).expect("nothing was added");
    assert_eq!(leaf.kind, InputKind::State(Part::Gradient));
}

#[test]
fn slices_that_tile_a_buffer_are_joined() {
    let parts = case("copy", &[&[2, 6]], AROUND, |r, x| {
        let parts: Vec<Value> = (0..3)
            .map(|i| r.slice(&x[0], 1, 2 * i, 2 * i + 2))
            .collect();
        let product = r.mul(&parts[2], &parts[0]);
        r.mul(&product, &parts[1])
    });
    let mut graph = graph_of(&parts);
    differentiate(&mut graph, 1).expect("the loss is a number");
    Rewriter::new(&mut graph).remove_dead();
    let concats = graph.graph.node_indices();
    let concats = concats.filter(|&n| own::<ops::Concat>(&graph, n).is_some());
    assert_eq!(concats.count(), 1);
    check(&parts);
}

#[test]
fn parts_of_one_buffer_have_one_gradient() {
    let packed = CASES.iter().rfind(|case| case.name == "attention");
    let mut graph = graph_of(packed.expect("it is listed above"));
    differentiate(&mut graph, 1).expect("the loss is a number");
    let mut nodes = graph.graph.node_indices();
    let gradient = nodes.find_map(|n| own::<ops::AttentionGradient>(&graph, n));
    let wanted = &gradient.expect("the attention has a gradient").wanted;
    assert_eq!((wanted.len(), &*wanted[0].inputs), (1, &[0, 1, 2][..]));
}

#[test]
fn gradients_stand_behind_their_node_and_say_so() {
    let mut graph = new_graph(1);
    let mut r = Rewriter::new(&mut graph);
    r.set_origin(Origin {
        path: "encoder.norm".into(),
        backward: false,
    });
    let (init, decay) = (Init::Fill(0.0), true);
    let w = r.input("w", &[], InputKind::Weight { decay, init });
    let loss = r.mul(&w, &w);
    r.add_root("loss", &loss);
    differentiate(&mut graph, 1).expect("the loss is a number");
    let root = &meta(&graph).roots[1];
    let origin = &meta(&graph).nodes[&root.node].origin;
    assert_eq!(origin.to_string(), "encoder.norm'");
}

#[test]
fn only_a_single_number_has_a_gradient() {
    let mut graph = new_graph(1);
    assert_eq!(
        differentiate(&mut graph, 1),
        Err(GradientError::NoObjective)
    );
    let mut r = Rewriter::new(&mut graph);
    let x = r.input("x", &[2], InputKind::Feed);
    r.add_root("loss", &x);
    let error = differentiate(&mut graph, 1).unwrap_err();
    assert!(error.to_string().contains("dims [2]"));
}
