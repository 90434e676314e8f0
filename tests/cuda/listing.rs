//! What is emitted, locked: the order of launches, and the first kernel of each kind.

use crate::programs::{TOKENS, WINDOWS, tiny};
use mimc::backend::cuda::{Target, emit, print};
use std::collections::BTreeSet;

fn listing(encoder: &str, precision: &str) -> String {
    let target = Target(90);
    let mut program = emit(&tiny(encoder, precision), target);
    let whole = print(&program, target);
    for kernel in &program.kernels {
        assert!(whole.contains(&kernel.source), "{} is printed", kernel.name);
    }
    let mut seen = BTreeSet::new();
    let launches = whole.lines().take_while(|line| line.starts_with("//"));
    let mut text = launches.collect::<Vec<_>>().join("\n") + "\n";
    program.kernels.retain(|kernel| {
        let kind = kernel.name.trim_end_matches(|c: char| c.is_ascii_digit());
        seen.insert(kind.to_string())
    });
    for kernel in &program.kernels {
        text += "\n";
        text += &without_parts(&kernel.source);
    }
    text
}

/// What kernels share stands in files of its own.
fn without_parts(source: &str) -> String {
    let mut text = source.to_string();
    for part in ["element", "vector", "draw", "reduce", "matrix"] {
        let path = format!(
            "{}/src/backend/cuda/kernels/{part}.cu",
            env!("CARGO_MANIFEST_DIR")
        );
        let file = std::fs::read_to_string(path).expect("a part of kernels");
        text = text.replace(&file, &format!("// … {part}.cu\n"));
    }
    text
}

#[test]
fn windows_in_bf16_are_emitted_as_before() {
    insta::assert_snapshot!("windows", listing(WINDOWS, "bf16"));
}

#[test]
fn tokens_in_f32_are_emitted_as_before() {
    insta::assert_snapshot!("tokens", listing(TOKENS, "f32"));
}

#[test]
fn the_same_plan_is_the_same_text() {
    assert_eq!(listing(WINDOWS, "f32"), listing(WINDOWS, "f32"));
}
