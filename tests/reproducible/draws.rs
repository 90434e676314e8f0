//! Draws of every shape: for each image, for all alike, and such as no cut of a batch could repeat.

use mimc::{
    backend::{BACKENDS, Backend, usable},
    diagnostic::SourceFile,
    elaborate::{Elaborated, Setting, elaborate},
    ir::{
        ops::{Input, InputKind, own},
        rewrite::schedule,
    },
    language::library::Library,
    passes::{self, BEFORE_GRADIENT, PASSES},
    recipe::Recipe,
    train::step::{Draw, Step},
};
use std::{collections::BTreeSet, fs};

const BATCH: usize = 12;
const CHANNELS: usize = 3;

/// Elaborates a top graph of these steps and outputs, with `pixels` `[b c]` at hand.
fn model(batch: usize, steps: &str, outputs: &str) -> Result<Elaborated, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = format!(
        "doc: Draws.\ninputs:\n  image: [batch, chans, size, size]\nsteps:\n  \
         pixels: mean(image, \"b c h w -> b c\")\n  loss: sum(pixels)\n{steps}outputs:\n  loss: []\n{outputs}"
    );
    fs::write(folder.path().join("top.yaml"), text).expect("written");
    let file = SourceFile::new(
        "draws",
        "model: { graph: top }\ndata: { images: synthetic, size: 4 }\n",
    );
    let recipe = Recipe::parse(&file, "draws", &[]).expect("a sound recipe");
    let library = Library::new(&[folder.path().to_owned()]);
    elaborate(&library, &recipe.model, &Setting::training(batch, 4))
        .map_err(|errors| errors.0[0].code.to_owned())
}

fn prepared(backend: &dyn Backend, batch: usize, steps: &str, outputs: &str) -> Box<dyn Step> {
    let model = model(batch, steps, outputs).unwrap_or_else(|code| panic!("{code}"));
    let mut graph = model.graph;
    passes::run(BEFORE_GRADIENT, &mut graph).expect("passes keep graphs legal");
    passes::run(PASSES, &mut graph).expect("passes keep graphs legal");
    let mut step = backend.prepare(graph).expect("any machine runs this");
    let ones = vec![1.0; batch * CHANNELS * 16];
    step.feed("image", &ones).expect("the model takes images");
    step
}

fn run(program: &mut dyn Step, step: u64, first_sample: usize) {
    let first_sample = first_sample as u64;
    program
        .accumulate(Draw {
            seed: 1,
            step,
            first_sample,
        })
        .expect("it runs");
}

const STEPS: &str = r#"
  own:     uniform([batch, 5])
  common:  uniform([7])
  twelve:  uniform([12, 2])
  paths:   skip(pixels, "[b] c", rate=0.5)
  columns: skip(pixels, "b [c]", rate=0.5)
  each:    skip(pixels, "[b c]", rate=0.5)
  turned:  skip(rearrange(pixels, "b c -> c b"), "c [b]", rate=0.5)
"#;
const OUTPUTS: &str = "  own: [batch, 5]\n  common: [7]\n  twelve: [12, 2]\n  paths: [batch, chans]\n  \
                       columns: [batch, chans]\n  each: [batch, chans]\n  turned: [chans, batch]\n";

#[test]
fn draws_belong_to_images_or_to_all_however_the_batch_is_cut() {
    for backend in usable() {
        let mut whole = prepared(backend, BATCH, STEPS, OUTPUTS);
        run(&mut *whole, 3, 0);
        let batch = |name: &str| whole.output(name).expect("it is kept");
        for micro_batch in [1, 2, 3, 4, 6] {
            let mut part = prepared(backend, micro_batch, STEPS, OUTPUTS);
            for first in (0..BATCH).step_by(micro_batch) {
                run(&mut *part, 3, first);
                let part = |name: &str| part.output(name).expect("it is kept");
                for (name, width) in [
                    ("own", 5),
                    ("paths", CHANNELS),
                    ("each", CHANNELS),
                    ("columns", CHANNELS),
                ] {
                    let own = &batch(name)[first * width..][..micro_batch * width];
                    assert_eq!(
                        part(name),
                        own,
                        "{name} from image {first}, {micro_batch} at once"
                    );
                }
                for name in ["common", "twelve"] {
                    assert_eq!(part(name), batch(name), "{name} is nobody's own");
                }
                for (got, want) in part("turned")
                    .chunks(micro_batch)
                    .zip(batch("turned").chunks(BATCH))
                {
                    assert_eq!(got, &want[first..][..micro_batch]);
                }
            }
        }
        // And they are draws: of an image its own, or the same for all.
        let of = |name: &str, width: usize| {
            batch(name)
                .chunks(width)
                .map(<[f32]>::to_vec)
                .collect::<Vec<_>>()
        };
        let own = of("own", 5);
        assert!((1..BATCH).all(|image| own[image] != own[0]));
        assert!(
            of("paths", CHANNELS)
                .iter()
                .all(|image| image.iter().all(|x| *x == image[0]))
        );
        assert!(
            of("columns", CHANNELS)
                .windows(2)
                .all(|pair| pair[0] == pair[1])
        );
        assert!(batch("paths").contains(&0.0) && batch("paths").contains(&2.0));
    }
}

/// An image keeps its branch with the chance that the rate leaves, and the mean stays.
#[test]
fn a_branch_is_skipped_at_its_rate_and_scaled_up_otherwise() {
    let steps = "  kept: skip(pixels, \"[b] c\", rate=0.3)\n";
    let mut program = prepared(BACKENDS[0], BATCH, steps, "  kept: [batch, chans]\n");
    let (mut skipped, mut images) = (0, 0);
    for step in 0..1000 {
        run(&mut *program, step, 0);
        for image in program.output("kept").expect("it is kept").chunks(CHANNELS) {
            assert!(
                image[0] == 0.0 || (image[0] - 1.0 / 0.7).abs() < 1e-6,
                "{image:?}"
            );
            skipped += usize::from(image[0] == 0.0);
            images += 1;
        }
    }
    // 12,000 images: the share has a deviation of 0.0042.
    let share = skipped as f64 / images as f64;
    assert!((share - 0.3).abs() < 0.0126, "{share}");
}

#[test]
fn draws_that_depend_on_the_cut_are_refused() {
    for step in [
        "uniform([batch * 2])",
        "uniform([3, batch])",
        r#"skip(rearrange(pixels, "b c -> (b c)"), "[n]", rate=0.5)"#,
        r#"skip(rearrange(pixels, "b c -> c b"), "[c b]", rate=0.5)"#,
    ] {
        let found = model(
            BATCH,
            &format!("  it: {step}\n  used: sum(it)\n"),
            "  used: []\n",
        );
        assert_eq!(found.err().as_deref(), Some("draw-over-batch"), "{step}");
    }
}

/// A step that is repeated has the paths `loop.0`, `loop.1`, …, and a place that draws twice needs a second name.
#[test]
fn no_two_places_share_a_draw() {
    let twice = |x: &str| format!(r#"skip(skip({x}, "[b c]", rate=0.5), "[b c]", rate=0.5)"#);
    let steps = format!(
        "  loop:\n    repeat: 3\n    from: {}\n    each: {}\n",
        twice("pixels"),
        twice("prev")
    );
    let model =
        model(BATCH, &steps, "  loop: [batch, chans]\n").unwrap_or_else(|code| panic!("{code}"));
    let draws: BTreeSet<String> = schedule(&model.graph)
        .into_iter()
        .filter_map(|node| own::<Input>(&model.graph, node))
        .filter(|input| matches!(input.kind, InputKind::Draw { .. }))
        .map(|input| input.name.clone())
        .collect();
    assert_eq!(draws.len(), 8, "{draws:?}");
}
