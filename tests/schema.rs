//! The JSON Schema of recipes, by a validator of its own.

use mimc::{language::library::Library, recipe::Recipe, schema::schema};
use serde_json::{Value, json};
use std::{fs, path::Path};

fn validator() -> jsonschema::Validator {
    let schema = schema(&Library::new(&[])).expect("the shipped graphs load");
    jsonschema::validator_for(&schema).expect("a sound schema")
}

fn value(yaml: &str) -> Value {
    serde_yaml::from_str(yaml).expect("YAML")
}

#[test]
fn every_recipe_is_valid_as_written_and_as_resolved() {
    let validator = validator();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let mut count = 0;
    for file in fs::read_dir(folder).expect("recipes") {
        let path = file.expect("listed").path();
        let written = fs::read_to_string(&path).expect("text");
        let recipe = Recipe::load(path.to_str().expect("a plain path"), &[]).expect("sound");
        for text in [written, recipe.to_yaml()] {
            let errors: Vec<_> = validator
                .iter_errors(&value(&text))
                .map(|e| e.to_string())
                .collect();
            assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
        }
        count += 1;
    }
    assert!(count > 3, "the recipes of this repository");
}

const SOUND: &str = "
model:
  graph: simmim
  encoder: { graph: vit.encoder, dim: 24, depth: 2, heads: 3, patch: 8 }
  masking: { graph: mask.random, unit: 16, ratio: 0.6 }
  head:    { graph: head.pixel_shuffle }
  loss:    { graph: loss.masked_l1 }
data: { images: synthetic, size: 48 }
train: { epochs: 1, batch: 4 }
";

#[test]
fn what_mimc_refuses_on_sight_the_schema_refuses() {
    let validator = validator();
    assert!(validator.is_valid(&value(SOUND)));
    let mistakes = [
        ("epochs: 1", "epoch: 1"),
        ("epochs: 1", "epochs: 0"),
        ("epochs: 1", "epochs: many"),
        ("batch: 4", "batch: 4.5"),
        ("size: 48", "siez: 48"),
        (", size: 48", ""),
        ("graph: vit.encoder", "graph: vit.encode"),
        ("depth: 2", "dephts: 2"),
        ("depth: 2", "depth: two"),
        ("ratio: 0.6", "ratio: 1.6"),
        ("{ graph: loss.masked_l1 }", "{ weight: 1 }"),
    ];
    let library = Library::new(&[]);
    for (from, to) in mistakes {
        let wrong = SOUND.replacen(from, to, 1);
        assert_ne!(wrong, SOUND);
        assert!(!validator.is_valid(&value(&wrong)), "{to}");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("wrong.yaml");
        fs::write(&path, &wrong).expect("written");
        let path = path.to_str().expect("a plain path");
        let compiled = mimc::compile::load(path, &[], &library)
            .map_err(mimc::compile::CompileError::from)
            .and_then(|recipe| mimc::compile::compile(&recipe, &library, &Default::default()));
        assert!(compiled.is_err(), "{to}");
    }
}

#[test]
fn keys_and_params_tell_what_they_are() {
    let schema = schema(&Library::new(&[])).expect("the shipped graphs load");
    let eps = &schema["properties"]["train"]["properties"]["optimizer"]["properties"]["eps"];
    assert_eq!(
        (&eps["type"], &eps["default"]),
        (&json!("number"), &json!(1e-8))
    );
    assert_eq!(schema["required"], json!(["model", "data"]));
    let ratio = &schema["$defs"]["mask.random"]["properties"]["ratio"];
    let wanted = json!({
        "type": "number", "minimum": 0.0, "maximum": 1.0, "default": 0.6,
        "description": "share of the units that is hidden",
    });
    assert_eq!(*ratio, wanted);
    let docs = &schema["$defs"]["graph"]["properties"]["graph"]["enumDescriptions"];
    assert!(
        docs.as_array()
            .is_some_and(|docs| docs.iter().all(|doc| doc != ""))
    );
}
