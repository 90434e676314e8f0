//! One line of a recipe exchanges its encoder.

use super::parsed;
use mimc::{
    compile::{Options, compile},
    language::library::Library,
    recipe::{Recipe, builtin},
    summary::{Part, Summary},
};
use std::fs;

const WINDOWS: &str = "{ graph: swin.encoder, dim: 24, depths: [1, 1, 2, 1], heads: [1, 2, 4, 8] }";
const TOKENS: &str = "{ graph: vit.encoder, dim: 48, depth: 2, heads: 3 }";

fn summary(recipe: &Recipe) -> Summary {
    let options = Options {
        micro_batch: Some(1),
        ..Options::default()
    };
    let program = compile(recipe, &Library::new(&[]), &options);
    let program = program.unwrap_or_else(|error| panic!("{}: {error}", recipe.name));
    Summary::new(recipe, &program, "cpu", 0.0, None)
}

#[test]
fn every_recipe_takes_either_encoder_by_one_line() {
    for (name, _) in builtin() {
        let text = fs::read_to_string(format!("recipes/{name}.yaml")).expect("shipped");
        let line = text.lines().find(|line| line.starts_with("  encoder: "));
        let line = line.expect("a recipe names its encoder on one line");
        // Tokens are 16 px; windows end at 4 px times 2 for each of three merges.
        for (encoder, pixels, width) in [(TOKENS, 16, 48), (WINDOWS, 32, 24 * 8)] {
            let recipe = parsed(
                &text.replace(line, &format!("  encoder: {encoder}")),
                &name,
                &[],
            );
            let summary = summary(&recipe);
            let shape = |path: &str| -> &[usize] {
                let part = |part: &&Part| part.path == path;
                &summary
                    .parts
                    .iter()
                    .find(part)
                    .expect("a part of every model")
                    .shape
            };
            let size = recipe.data.size;
            let grid = size / pixels;
            assert_eq!(shape("encoder"), [grid, grid, width], "{name}");
            assert_eq!(shape("decoder"), [3, size, size], "{name}");
            assert_eq!(shape("loss"), [0; 0], "{name}");
            let units = if name == "quickstart" {
                size / 16
            } else {
                size / 32
            };
            assert_eq!(shape("mask"), [units, units], "{name}");
            assert!(
                summary.parameters > 0 && summary.kernels.kernels > 0,
                "{name}"
            );
        }
    }
}
