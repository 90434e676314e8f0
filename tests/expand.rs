//! Folding loses nothing: a folded listing, expanded by what the text says alone, is the unfolded one.

mod listing_text;

use listing_text::expanded;
use mimc::{
    elaborate::{Setting, elaborate},
    gradient::differentiate,
    ir,
    language::library::Library,
    listing::{Arg, Line, Section, render, unfolded},
    optimizer::{self, Settings},
    passes::{BEFORE_GRADIENT, PASSES, run},
    plan,
    random::Key,
    recipe::Recipe,
};

fn assert_expands(what: &str, sections: &[Section]) {
    let (folded, whole) = (render(sections), unfolded(sections));
    let lines: usize = sections.iter().map(|s| s.lines.len()).sum();
    let (a, b) = (expanded(&folded), expanded(&whole));
    assert_eq!(b.len(), lines, "{what}: every line is written out");
    for (a, b) in a.iter().zip(&b) {
        assert_eq!(a, b, "{what}");
    }
    assert_eq!(a.len(), b.len(), "{what}");
}

fn assert_every_listing_expands(name: &str) {
    let recipe = Recipe::load(name, &[]).expect("the recipe is sound");
    // As many images as the windows of some stage have rows: sizes that mean two things.
    let setting = Setting::training(8, recipe.data.size);
    let model = elaborate(&Library::new(&[]), &recipe.model, &setting);
    let mut graph = model.expect("the model is sound").graph;
    assert_expands(&format!("{name}, graph"), &ir::print::sections(&graph));
    run(BEFORE_GRADIENT, &mut graph).expect("passes keep graphs legal");
    differentiate(&mut graph, 1).expect("the loss is a number");
    assert_expands(&format!("{name}, gradient"), &ir::print::sections(&graph));
    let settings = Settings {
        betas: [0.9, 0.999],
        eps: 1e-8,
        decay: 0.05,
        clip: Some(5.0),
    };
    optimizer::append(&mut graph, &settings);
    run(PASSES, &mut graph).expect("passes keep graphs legal");
    assert_expands(&format!("{name}, fused"), &ir::print::sections(&graph));
    let plan = plan::lower(&graph);
    assert_expands(&format!("{name}, plan"), &plan::print::sections(&plan));
}

#[test]
fn swin_b() {
    assert_every_listing_expands("swin_b");
}

#[test]
fn vit_b() {
    assert_every_listing_expands("vit_b");
}

#[test]
fn quickstart() {
    assert_every_listing_expands("quickstart");
}

/// Stages of blocks of a few operations, from few names and sizes, so that much is alike and much collides.
struct Generator {
    key: Key,
    position: u64,
    lines: Vec<Line>,
}

impl Generator {
    fn below(&mut self, bound: usize) -> usize {
        self.position += 1;
        (self.key.uniform_f32(self.position) * bound as f32) as usize
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn line(&mut self, origin: String, sizes: &[usize]) {
        let (n, m) = (self.one_of(sizes), self.one_of(sizes));
        let earlier = self.lines.len();
        let args = (0..self.below(3)).map(|_| {
            // Mostly near, sometimes anything before.
            let far = if self.below(4) == 0 {
                earlier
            } else {
                earlier.min(5)
            };
            let line = earlier - 1 - self.below(far);
            let view = self.one_of(&["", ":1", "[~2, 4..8, 16 order 10]"]);
            Arg::line(line, view.into())
        });
        let mut args: Vec<Arg> = args.collect();
        args.extend((self.below(3) == 0).then(|| Arg::Text(format!("{n}.5"))));
        let label = self.one_of(&["add", "sum[axis 1]", "roll[axis 1 by -3]"]);
        let code = self.one_of(&["", "y0 = x0·0.5; y1 = erf(x1)"]);
        let shapes = vec![vec![n, m]; 1 + self.below(2)];
        self.lines.push(Line {
            origin,
            shapes,
            label: label.into(),
            args,
            code: code.into(),
            kept: Vec::new(),
        });
    }

    fn sections(mut self) -> Vec<Section> {
        self.lines.push(Line {
            origin: "image".into(),
            shapes: vec![vec![2]],
            label: "input".into(),
            ..Line::default()
        });
        for mark in ["", "'"] {
            for stage in 0..3 {
                let sizes = [[2, 4, 8], [2, 8, 16], [4, 4, 2]][self.below(3)];
                // Blocks of a stage draw the same numbers, but for some of their lines.
                let (again, blocks) = (self.position, 1 + self.below(4) as u64);
                for block in 0..blocks {
                    self.position = again;
                    for _ in 0..4 {
                        let step = self.one_of(&["norm.y", "attn", "attn.qkv", "mlp.0.x"]);
                        if self.below(12) == 0 {
                            self.position += 100 + block;
                        }
                        let origin = format!("net.stages.{stage}.blocks.{block}.{step}{mark}");
                        self.line(origin, &sizes);
                    }
                }
                self.line(format!("net.stages.{stage}.end{mark}"), &sizes);
                self.line(format!("optimizer.net.stages.{stage}.end{mark}"), &sizes);
            }
        }
        let behind = self.lines.split_off(1);
        let section = |heading: &str, lines| Section {
            heading: heading.into(),
            lines,
        };
        vec![section("inputs", self.lines), section("nodes", behind)]
    }
}

#[test]
fn generated_listings() {
    let mut folded = 0;
    for case in 0..300 {
        let generator = Generator {
            key: Key::new(case),
            position: 0,
            lines: Vec::new(),
        };
        let sections = generator.sections();
        assert_expands(&format!("case {case}"), &sections);
        folded += render(&sections).matches(".* = ").count();
    }
    assert!(folded > 300, "too little is alike to test folds: {folded}");
}

#[test]
fn another_size_in_a_map_is_another_listing() {
    let recipe = Recipe::load("quickstart", &[]).expect("the recipe is sound");
    let setting = Setting::training(2, recipe.data.size);
    let model = elaborate(&Library::new(&[]), &recipe.model, &setting);
    let graph = model.expect("the model is sound").graph;
    let sections = ir::print::sections(&graph);
    let (folded, whole) = (render(&sections), expanded(&unfolded(&sections)));
    assert_eq!(expanded(&folded), whole);
    let row = folded
        .lines()
        .find(|row| row.contains(" with 4 → ") || row.contains(" with 2 → "));
    let row = row.expect("some scope differs in sizes");
    let (before, _) = row.split_once(" → ").expect("just seen");
    let wrong = row.replacen(&format!("{before} → "), &format!("{before} → 9"), 1);
    assert_ne!(expanded(&folded.replace(row, &wrong)), whole);
}
