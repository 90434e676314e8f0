//! PyTorch as an independent second opinion: loss, outputs and the gradient of every weight, by the emitted module.
//!
//! Runs where there is a Python with PyTorch: `MIMC_PYTHON`, or else `python3`.

use super::{emitted, graphs, loaded, start::assert_starts};
use mimc::{
    Cpu, Draw, Library, Options, Part, Recipe, compile,
    diagnostic::SourceFile,
    elaborate::{Elaborated, Setting, elaborate},
    ir::ops::{Input, InputKind, own},
    random::Key,
    recipe::builtin,
};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};

const BATCH: usize = 2;
const DRAW: Draw = Draw {
    seed: 5,
    step: 7,
    first_sample: 0,
};

/// Settings that make a shipped recipe small and leave its geometry as it is.
const SMALL: &[(&str, &[&str])] = &[
    ("quickstart", &["model.encoder.dim=12"]),
    (
        "swin_t",
        &[
            "model.encoder.dim=6",
            "model.encoder.depths=[2, 2, 6, 2]",
            "model.encoder.heads=[1, 2, 3, 6]",
        ],
    ),
    (
        "swin_b",
        &["model.encoder.dim=8", "model.encoder.heads=[1, 2, 4, 8]"],
    ),
    (
        "swin_b_800",
        &["model.encoder.dim=8", "model.encoder.heads=[1, 2, 4, 8]"],
    ),
    (
        "swin_l",
        &["model.encoder.dim=6", "model.encoder.heads=[1, 2, 3, 6]"],
    ),
    ("vit_s", &["model.encoder.dim=12", "model.encoder.heads=3"]),
    ("vit_b", &["model.encoder.dim=24", "model.encoder.heads=4"]),
];

/// What the shipped recipes leave at its default.
const VARIANTS: &[(&str, &[&str])] = &[
    (
        "quickstart",
        &[
            "model.encoder={ graph: swin.encoder, dim: 12, depths: [1, 3], heads: [2, 3], window: 4, patch: 4, qkv_bias: false, \
             qk_scale: 0.3, absolute_position: true, patch_norm: false, drop: 0.1, attention_drop: 0.2, drop_path: 0.3 }",
            "data.size=64",
        ],
    ),
    (
        "quickstart",
        &[
            "model.encoder={ graph: vit.encoder, dim: 12, depth: 3, heads: 2, patch: 8, absolute_position: true, \
             relative_position: per_block, layer_scale: null, qkv_bias: false, drop: 0.1, attention_drop: 0.2, drop_path: 0.3 }",
            "data.size=48",
        ],
    ),
    (
        "quickstart",
        &[
            "model.encoder={ graph: vit.encoder, dim: 12, depth: 1, heads: 2, patch: 8, relative_position: none }",
            "model.masking={ graph: mask.given, unit: 16 }",
            "data.size=48",
        ],
    ),
];

#[test]
fn pytorch_agrees_on_every_recipe() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut cases = Vec::new();
    for (name, _) in builtin() {
        let small = SMALL.iter().find(|(own, _)| *own == name);
        let (_, sets) = small.unwrap_or_else(|| panic!("{name} has no row that makes it small"));
        cases.push((name.clone(), loaded(&name, sets)));
    }
    for (at, (name, sets)) in VARIANTS.iter().enumerate() {
        cases.push((format!("{name}, variant {at}"), loaded(name, sets)));
    }
    let text = "model: { graph: everything }\ndata: { images: synthetic, size: 6 }\n";
    let everything = Recipe::parse(&SourceFile::new("everything", text), "everything", &[]);
    cases.push(("everything".into(), everything.expect("a sound recipe")));
    let folders = cases.iter().enumerate().map(|(at, (_, recipe))| {
        let folder = folder.path().join(at.to_string());
        let weights = write(recipe, &folder);
        (folder, weights)
    });
    let (folders, weights): (Vec<_>, Vec<_>) = folders.unzip();
    let compare = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch/compare.py");
    let said = Command::new(&python).arg(compare).args(&folders).output();
    let said = said.expect("it has run before");
    let errors = String::from_utf8_lossy(&said.stderr);
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{text}\n{errors}");
    let reports: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(reports.len(), cases.len(), "{errors}");
    for (((name, _), report), weights) in cases.iter().zip(&reports).zip(&weights) {
        let of = |key: &str| report[key].as_f64().unwrap_or(f64::NAN);
        println!(
            "{name}: loss {:.1e}, gradient {:.1e} of {}, given {}, outputs {}",
            of("loss"),
            of("gradient"),
            report["where"],
            report["given"],
            report["outputs"]
        );
        assert!(of("loss") <= 1e-5, "{name}: {report}");
        assert!(of("gradient") <= 1e-4, "{name}: {report}");
        assert!(
            report["given"].is_null() || of("given") <= 1e-5,
            "{name}: {report}"
        );
        let outputs = report["outputs"].as_object().expect("a mapping");
        for (output, off) in outputs {
            assert!(
                off.as_f64().is_some_and(|off| off <= 1e-4),
                "{name}: {output}: {off}"
            );
        }
        assert_starts(name, weights, &report["start"]);
    }
}

/// A Python that has PyTorch.
fn python() -> Option<String> {
    let named = std::env::var("MIMC_PYTHON").ok();
    let python = named.clone().unwrap_or_else(|| "python3".into());
    let has = Command::new(&python).args(["-c", "import torch"]).output();
    if has.is_ok_and(|said| said.status.success()) {
        return Some(python);
    }
    assert!(
        named.is_none(),
        "MIMC_PYTHON is {python}, which has no PyTorch"
    );
    println!("skipped: {python} has no PyTorch, and MIMC_PYTHON names no other");
    None
}

/// Tensors under names, as a safetensors file.
#[derive(Default)]
struct Numbers(Vec<(String, Vec<usize>, Vec<u8>)>);

impl Numbers {
    fn put(&mut self, name: String, dims: &[usize], values: &[f32]) {
        assert_eq!(dims.iter().product::<usize>(), values.len(), "{name}");
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.0.push((name, dims.to_vec(), bytes.collect()));
    }

    fn write(&self, path: &Path) {
        let views = self.0.iter().map(|(name, dims, bytes)| {
            let view = TensorView::new(Dtype::F32, dims.clone(), bytes);
            (name.as_str(), view.expect("as many bytes as the dims say"))
        });
        safetensors::serialize_to_file(views, None, path).expect("written");
    }
}

/// Runs mimc on noise, and writes down all that PyTorch needs to do the same. Returns the weights.
fn write(recipe: &Recipe, folder: &Path) -> Vec<mimc::elaborate::Weight> {
    fs::create_dir_all(folder).expect("created");
    let text = emitted(recipe);
    let model = text
        .split("model = ")
        .nth(1)
        .and_then(|rest| rest.split("()").next());
    let model = model.expect("the example makes a model").to_owned();
    fs::write(folder.join("module.py"), text).expect("written");

    let library = Library::new(&[graphs()]);
    let size = recipe.data.size;
    let elaborated = elaborate(&library, &recipe.model, &Setting::training(BATCH, size));
    let elaborated = elaborated.unwrap_or_else(|errors| panic!("{errors}"));
    let mut recipe = recipe.clone();
    recipe.train.batch = BATCH;
    let options = Options {
        micro_batch: Some(BATCH),
        ..Options::default()
    };
    let program = compile(&recipe, &library, &options).unwrap_or_else(|error| panic!("{error}"));
    let mut step = program
        .prepare(&Cpu, 1)
        .expect("a small plan fits any machine");

    let (mut checkpoint, mut numbers) = (Numbers::default(), Numbers::default());
    let infos = step.weights().to_vec();
    for (index, info) in infos.iter().enumerate() {
        // Zeros would hide what multiplies them.
        let mut values = vec![0.0; info.len()];
        step.read(Part::Value, index, &mut values).expect("held");
        for (value, at) in values.iter_mut().zip(0..) {
            *value += 0.02 * Key::new(2).with(&info.name).normal(at) as f32;
        }
        step.write(Part::Value, index, &values).expect("held");
        checkpoint.put(info.name.clone(), &info.dims, &values);
    }
    let pixels = 0..(BATCH * 3 * size * size) as u64;
    let image: Vec<f32> = pixels.map(|at| Key::new(3).normal(at) as f32).collect();
    step.feed("image", &image).expect("the model takes images");
    numbers.put("image".into(), &[BATCH, 3, size, size], &image);
    for feed in &elaborated.feeds {
        let count = feed.dims.iter().product::<usize>() as u64;
        let values = (0..count).map(|at| Key::new(4).with(&feed.name).below(at, 2) as f32);
        let values: Vec<f32> = values.collect();
        step.feed(&feed.name, &values)
            .expect("the model asks for it");
        numbers.put(format!("fed.{}", feed.name), &feed.dims, &values);
    }
    let loss = step.accumulate(DRAW).expect("it runs");
    numbers.put("loss".into(), &[1], &[loss]);
    for (index, info) in infos.iter().enumerate() {
        let mut values = vec![0.0; info.len()];
        step.read(Part::Gradient, index, &mut values).expect("held");
        numbers.put(format!("gradient.{}", info.name), &info.dims, &values);
    }
    let top = elaborated.instances.first().expect("the model");
    let outputs = &top.outputs[1..];
    for (name, dims) in outputs {
        let values = step.output(name).expect("an output is kept");
        numbers.put(format!("output.{name}"), dims, &values);
    }
    let draws = draws(&elaborated);
    for (name, dims) in &draws {
        let stream = DRAW.key().with(name);
        let count = dims.iter().product::<usize>() as u64;
        let values: Vec<f32> = (0..count).map(|at| stream.uniform_f32(at)).collect();
        numbers.put(format!("draw.{name}"), dims, &values);
    }
    checkpoint.write(&folder.join("checkpoint.safetensors"));
    numbers.write(&folder.join("numbers.safetensors"));
    let names = |names: &[(String, Vec<usize>)]| {
        names
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    let draws: Vec<String> = names(&draws)
        .iter()
        .map(|name| format!("draw.{name}"))
        .collect();
    let decayed = infos
        .iter()
        .filter(|info| info.decay)
        .map(|info| &info.name);
    let case = json!({
        "model": model,
        "draws": draws,
        "drops": draws.iter().any(|name| !name.starts_with("draw.mask")),
        "fed": elaborated.feeds.iter().map(|feed| &feed.name).collect::<Vec<_>>(),
        "outputs": names(outputs),
        "given": names(outputs).into_iter().filter(|name| name == "mask").collect::<Vec<_>>(),
        "decayed": decayed.collect::<Vec<_>>(),
    });
    fs::write(folder.join("case.json"), case.to_string()).expect("written");
    elaborated.weights
}

/// Every draw, in the order in which elaboration comes to it.
fn draws(elaborated: &Elaborated) -> Vec<(String, Vec<usize>)> {
    let graph = &elaborated.graph;
    let mut nodes: Vec<_> = mimc::ir::rewrite::schedule(graph);
    nodes.sort_unstable();
    let inputs = nodes
        .into_iter()
        .filter_map(|node| own::<Input>(graph, node));
    let draws = inputs.filter(|input| matches!(input.kind, InputKind::Draw { .. }));
    draws
        .map(|input| (input.name.clone(), input.dims.clone()))
        .collect()
}
