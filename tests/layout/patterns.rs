//! Patterns of the language: `rearrange`, `broadcast`, `sum` and `einsum` against a loop over all letters.

use crate::{place, positions};
use mimc::{
    backend::reference,
    diagnostic::SourceFile,
    elaborate::{Setting, elaborate_alone},
    ir::ops::Input,
    language::{graph_file, library::Library},
    random::Key,
};

const SEEDS: u64 = 300;
const LETTERS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A tensor's axes, each composed of letters by number.
type Axes = Vec<Vec<usize>>;

/// One letter per axis.
fn single(letters: &[usize]) -> Axes {
    letters.iter().map(|&letter| vec![letter]).collect()
}

struct Draw {
    key: Key,
    at: u64,
}

impl Draw {
    fn pick(&mut self, n: usize) -> usize {
        self.at += 1;
        self.key.below(self.at, n as u64) as usize
    }

    /// The letters in a random order.
    fn order(&mut self, letters: &[usize]) -> Vec<usize> {
        let mut letters = letters.to_vec();
        for i in (1..letters.len()).rev() {
            letters.swap(i, self.pick(i + 1));
        }
        letters
    }

    /// The letters in a random order, neighbours composed at random.
    fn axes(&mut self, letters: &[usize]) -> Axes {
        let mut axes: Axes = Vec::new();
        for letter in self.order(letters) {
            match axes.last_mut() {
                Some(last) if self.pick(3) == 0 => last.push(letter),
                _ => axes.push(vec![letter]),
            }
        }
        axes
    }

    /// Some of the letters.
    fn some(&mut self, letters: &[usize]) -> Vec<usize> {
        letters
            .iter()
            .copied()
            .filter(|_| self.pick(2) == 0)
            .collect()
    }
}

fn text(axes: &Axes) -> String {
    let axis = |letters: &Vec<usize>| {
        let names: Vec<&str> = letters.iter().map(|&l| LETTERS[l]).collect();
        match names.len() {
            1 => names[0].to_owned(),
            _ => format!("({})", names.join(" ")),
        }
    };
    axes.iter().map(axis).collect::<Vec<_>>().join(" ")
}

fn dims(axes: &Axes, sizes: &[usize]) -> Vec<usize> {
    let size = |letters: &Vec<usize>| letters.iter().map(|&l| sizes[l]).product();
    axes.iter().map(size).collect()
}

/// Where the letters' positions lie in a tensor.
fn at(axes: &Axes, sizes: &[usize], letters: &[usize]) -> usize {
    let flat: Vec<usize> = axes.iter().flatten().copied().collect();
    let position: Vec<usize> = flat.iter().map(|&l| letters[l]).collect();
    let dims: Vec<usize> = flat.iter().map(|&l| sizes[l]).collect();
    place(&position, &dims)
}

fn leaf(input: &Input) -> Vec<f32> {
    let key = Key::new(5).with(&input.name);
    let count: usize = input.dims.iter().product();
    (0..count as u64)
        .map(|i| key.below(i, 16) as f32 - 8.0)
        .collect()
}

/// A call on tensors `x0`, `x1`, … of these axes, elaborated and computed.
fn called(call: &str, inputs: &[&Axes], out: &Axes, sizes: &[usize]) -> Vec<f32> {
    let declared = |(i, axes): (usize, &&Axes)| format!("  x{i}: {:?}\n", dims(axes, sizes));
    let file = format!(
        "doc: A pattern.\ninputs:\n{}steps:\n  y: {call}\noutputs:\n  y: {:?}\n",
        inputs.iter().enumerate().map(declared).collect::<String>(),
        dims(out, sizes)
    );
    let parsed = graph_file::parse(&SourceFile::new("pattern.yaml", &*file), "pattern");
    let parsed = parsed.unwrap_or_else(|errors| panic!("{errors}\n{file}"));
    let model = elaborate_alone(&Library::new(&[]), &parsed, &Setting::training(1, 1));
    let model = model.unwrap_or_else(|errors| panic!("{errors}\n{file}"));
    reference::run(&model.graph, &leaf)["y"].clone()
}

/// The product of the inputs, summed over the letters that `out` lacks, each element the product of all inputs' at its letters.
fn by_loops(inputs: &[&Axes], out: &Axes, sizes: &[usize]) -> Vec<f32> {
    let values = |(i, axes): (usize, &&Axes)| {
        leaf(&Input {
            name: format!("x{i}"),
            dims: dims(axes, sizes),
            kind: mimc::ir::ops::InputKind::Feed,
        })
    };
    let values: Vec<Vec<f32>> = inputs.iter().enumerate().map(values).collect();
    let mut result = vec![0.0; dims(out, sizes).iter().product()];
    // A letter that stands nowhere is met once.
    let used = |l: &usize| {
        out.iter()
            .chain(inputs.iter().copied().flatten())
            .flatten()
            .any(|m| m == l)
    };
    let met: Vec<usize> = (0..sizes.len())
        .map(|l| if used(&l) { sizes[l] } else { 1 })
        .collect();
    for letters in positions(&met) {
        let factors = inputs.iter().zip(&values);
        let product = factors.map(|(axes, values)| values[at(axes, sizes, &letters)]);
        result[at(out, sizes, &letters)] += product.product::<f32>();
    }
    result
}

/// `, a=2, b=3`
fn keywords(letters: impl IntoIterator<Item = usize>, sizes: &[usize]) -> String {
    let word = |l: usize| format!(", {}={}", LETTERS[l], sizes[l]);
    letters.into_iter().map(word).collect()
}

#[test]
fn patterns_move_and_sum_as_loops_do() {
    for seed in 0..SEEDS {
        let key = Key::new(seed).with("pattern");
        let mut draw = Draw { key, at: 0 };
        let count = 1 + draw.pick(LETTERS.len());
        let sizes: Vec<usize> = (0..count).map(|_| 1 + draw.pick(3)).collect();
        let all: Vec<usize> = (0..count).collect();
        let (call, inputs, out) = match draw.pick(4) {
            0 => {
                let (from, to) = (draw.axes(&all), draw.axes(&all));
                let composed = from.iter().filter(|axis| axis.len() > 1).flatten().copied();
                let given = keywords(composed, &sizes);
                let call = format!("rearrange(x0, \"{} -> {}\"{given})", text(&from), text(&to));
                (call, vec![from], to)
            }
            1 => {
                let own = draw.some(&all);
                let (from, to) = (single(&draw.order(&own)), draw.axes(&all));
                let new = all.iter().copied().filter(|l| !own.contains(l));
                let given = keywords(new, &sizes);
                let call = format!("broadcast(x0, \"{} -> {}\"{given})", text(&from), text(&to));
                (call, vec![from], to)
            }
            2 => {
                let kept = draw.some(&all);
                let (from, to) = (single(&draw.order(&all)), single(&draw.order(&kept)));
                let call = format!("sum(x0, \"{} -> {}\")", text(&from), text(&to));
                (call, vec![from], to)
            }
            _ => {
                let (a, b) = (draw.some(&all), draw.some(&all));
                let either: Vec<usize> = all
                    .iter()
                    .copied()
                    .filter(|l| a.contains(l) || b.contains(l))
                    .collect();
                let kept = draw.some(&either);
                let (x, y) = (single(&draw.order(&a)), single(&draw.order(&b)));
                let to = single(&draw.order(&kept));
                let call = format!(
                    "einsum(x0, x1, \"{}, {} -> {}\")",
                    text(&x),
                    text(&y),
                    text(&to)
                );
                (call, vec![x, y], to)
            }
        };
        let inputs: Vec<&Axes> = inputs.iter().collect();
        let found = called(&call, &inputs, &out, &sizes);
        assert_eq!(
            found,
            by_loops(&inputs, &out, &sizes),
            "seed {seed}: {call} of {sizes:?}"
        );
    }
}
