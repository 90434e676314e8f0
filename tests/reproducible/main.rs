//! What may not change a result: the number of threads and of loading threads, and how a batch is cut into micro-batches.

mod draws;
mod micro_batches;
mod threads;

use mimc::{diagnostic::SourceFile, recipe::Recipe};

/// Encoders that draw everything that can be drawn, on 64 px.
const WINDOWS: &str = "{ graph: swin.encoder, dim: 32, depths: [2, 2], heads: [1, 2], window: 4, \
                       drop: 0.1, attention_drop: 0.1, drop_path: 0.3 }";
const TOKENS: &str = "{ graph: vit.encoder, dim: 32, depth: 3, heads: 2, patch: 4, \
                      drop: 0.1, attention_drop: 0.1, drop_path: 0.3 }";

fn recipe(encoder: &str, size: usize, train: &str) -> Recipe {
    let text = format!(
        "model:\n  graph: simmim\n  encoder: {encoder}\n  masking: {{ graph: mask.random, unit: 16, ratio: 0.6 }}\n  \
         head: {{ graph: head.pixel_shuffle }}\n  loss: {{ graph: loss.masked_l1 }}\n\
         data: {{ images: synthetic, count: 40, size: {size} }}\ntrain: {{ {train} }}\n"
    );
    let recipe = Recipe::parse(&SourceFile::new("tiny.yaml", text), "tiny", &[]);
    recipe.unwrap_or_else(|errors| panic!("{errors}"))
}
