//! Files made to take time or memory are refused within seconds, in little memory.

use std::{
    fs,
    process::{Command, Output},
};

/// Of the processor, so that a busy machine does not count.
const MOST_SECONDS: usize = 10;
/// Address space of the program, in KiB; its threads reserve some 100 MiB of it.
const MOST_KIB: usize = 1 << 20;

/// A recipe around an encoder.
fn around(encoder: &str) -> String {
    format!(
        "model:\n  graph: simmim\n  encoder: {encoder}\n  masking: {{ graph: mask.random, unit: 32 }}\n  \
         head: {{ graph: head.pixel_shuffle }}\n  loss: {{ graph: loss.masked_l1 }}\n\
         data: {{ images: synthetic, size: 192 }}\n"
    )
}

fn nested(open: &str, close: &str) -> String {
    [open.repeat(20_000), close.repeat(20_000)].concat()
}

/// Compiles a recipe, with `graphs/one.yaml` beside it.
fn compiled(recipe: &str, graph: &str) -> Output {
    let desk = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(desk.path().join("graphs")).expect("created");
    fs::write(desk.path().join("huge.yaml"), recipe).expect("written");
    fs::write(desk.path().join("graphs/one.yaml"), graph).expect("written");
    // A program that takes more than it may have is killed, and does not end with exit code 1.
    let limited = format!(
        "ulimit -v {MOST_KIB} && ulimit -t {MOST_SECONDS} && exec \"$0\" compile huge.yaml"
    );
    let output = Command::new("sh")
        .args(["-c", &limited, env!("CARGO_BIN_EXE_mimc")])
        .env("RAYON_NUM_THREADS", "2")
        .current_dir(desk.path())
        .output();
    output.expect("the shell starts")
}

const ONE: &str = "model: { graph: one }\ndata: { images: synthetic, size: 8 }\n";

fn graph(steps: &str) -> String {
    format!("inputs:\n  image: [batch, chans, size, size]\nsteps:\n{steps}outputs:\n  loss: []\n")
}

#[test]
fn huge_files_and_models_are_refused_in_seconds_and_in_little_memory() {
    let vit = |dim: u64, depth: u64| {
        around(&format!(
            "{{ graph: vit.encoder, dim: {dim}, depth: {depth}, heads: 1 }}"
        ))
    };
    let swin = |depth: u64| {
        around(&format!(
            "{{ graph: swin.encoder, dim: 32, depths: [{depth}], heads: [1], window: 6 }}"
        ))
    };
    let keys: String = (0..100_000).map(|i| format!("k{i}: 1\n")).collect();
    let steps: String = (0..20_000)
        .map(|i| format!("  s{i}: s{} + 1\n", i + 1))
        .collect();
    let names: String = (0..20_000).map(|i| format!("  s{i}: t{i}\n")).collect();
    let split: String = (0..30).map(|i| format!("  s{i}: one(image)\n")).collect();
    let cases = [
        (
            "ten megabytes",
            "a: 1\n".repeat(2_000_000),
            String::new(),
            "too-large",
        ),
        (
            "nested lists",
            format!("model: {}\n", nested("[", "]")),
            String::new(),
            "too-deep",
        ),
        (
            "nested mappings",
            format!("model: {}\n", nested("{a: ", "}")),
            String::new(),
            "too-deep",
        ),
        (
            "nested blocks",
            "- ".repeat(20_000),
            String::new(),
            "too-deep",
        ),
        (
            "nested parentheses",
            ONE.into(),
            graph(&format!("  loss: \"{}\"\n", nested("(", ")"))),
            "too-deep",
        ),
        (
            "nested signs",
            ONE.into(),
            graph(&format!("  loss: \"{}1\"\n", "- ".repeat(20_000))),
            "too-deep",
        ),
        (
            "a long sum",
            ONE.into(),
            graph(&format!("  loss: 1{}\n", " + 1".repeat(50_000))),
            "too-deep",
        ),
        (
            "aliases of aliases",
            "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n".into(),
            String::new(),
            "yaml-reference",
        ),
        (
            "a wide layer",
            vit((1 << 31) - 1, 1),
            String::new(),
            "too-large",
        ),
        ("a wider layer", vit(1 << 31, 1), String::new(), "too-large"),
        (
            "a million blocks",
            vit(32, 1_000_000),
            String::new(),
            "out-of-range",
        ),
        (
            "a million blocks in a list",
            swin(1_000_000),
            String::new(),
            "out-of-range",
        ),
        (
            "a hundred thousand keys",
            keys,
            String::new(),
            "unknown-key",
        ),
        (
            "steps in the wrong order",
            ONE.into(),
            graph(&steps),
            "out-of-order",
        ),
        (
            "names of nothing",
            ONE.into(),
            graph(&names),
            "undefined-name",
        ),
        (
            "a graph that calls itself, often",
            ONE.into(),
            graph(&format!("{split}  loss: s0 + s1\n")),
            "unused",
        ),
        (
            "a fold of folds",
            ONE.into(),
            graph(
                "  a: { repeat: 1024, from: image, each: exp(prev) + one(image) }\n  loss: sum(a)\n",
            ),
            "too-deep",
        ),
    ];
    for (what, recipe, graph, code) in cases {
        let output = compiled(&recipe, &graph);
        let told = String::from_utf8_lossy(&output.stderr);
        let start: String = told.chars().take(2000).collect();
        assert_eq!(output.status.code(), Some(1), "{what}: {start}");
        assert!(
            told.contains(&format!("[{code}]")),
            "{what}: no {code} in {start}"
        );
        assert!(told.len() < 200_000, "{what}: {} bytes told", told.len());
    }
}
