//! The compiled graphs, locked: what each graph file is on its own, what a recipe elaborates to, and what two tiny models become
//! behind every stage.

use mimc::{
    compile::{Listings, Options, compile},
    elaborate::{Setting, elaborate_on},
    ir::print::print,
    language::library::Library,
    recipe::{Recipe, builtin},
};
use std::{collections::BTreeMap, path::Path};

fn listings(name: &str, sets: &[&str]) -> Listings {
    let sets: Vec<String> = sets.iter().map(|s| s.to_string()).collect();
    let recipe = Recipe::load(name, &sets).expect("the recipe is sound");
    let options = Options {
        micro_batch: Some(2),
        listings: true,
        ..Options::default()
    };
    let program = compile(&recipe, &Library::new(&[]), &options).expect("the recipe compiles");
    program.listings.expect("listings were asked for")
}

/// How a graph file is elaborated on its own.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default)]
    params: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    inputs: BTreeMap<String, Vec<usize>>,
}

const CASES: &str = include_str!("graphs.yaml");

impl Case {
    /// The listing of a graph by this case.
    fn listing(&self, name: &str) -> String {
        let mut model = self.params.clone();
        model.insert("graph".into(), name.into());
        let model = format!("model={}", serde_json::Value::Object(model));
        let recipe = Recipe::load("quickstart", &[model]);
        let recipe = recipe.unwrap_or_else(|error| panic!("{name}: {error}"));
        let inputs: Vec<_> = self.inputs.clone().into_iter().collect();
        let setting = Setting::training(2, recipe.data.size);
        let alone = elaborate_on(&Library::new(&[]), &recipe.model, &inputs, &setting);
        print(
            &alone
                .unwrap_or_else(|error| panic!("{name}: {error}"))
                .graph,
        )
    }
}

fn cases() -> BTreeMap<String, Case> {
    serde_yaml::from_str(CASES).expect("tests/graphs.yaml holds params and inputs by graph")
}

/// `swin.block` for `graphs/swin/block.yaml`.
fn graph_name(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("graphs");
    let root = root.canonicalize().expect("the graphs are there");
    let path = path.canonicalize().expect("the glob found it");
    let path = path
        .strip_prefix(root)
        .expect("a graph is below graphs/")
        .with_extension("");
    let words: Vec<_> = path.iter().map(|word| word.to_string_lossy()).collect();
    words.join(".")
}

#[test]
fn every_graph_file_is_locked_on_its_own() {
    let cases = cases();
    insta::glob!("../graphs", "**/*.yaml", |path| {
        let name = graph_name(path);
        let Some(case) = cases.get(&name) else {
            panic!(
                "graphs/{}.yaml has no case: add `{name}: {{ params: {{…}}, inputs: {{ NAME: [DIMS] }} }}` to tests/graphs.yaml",
                name.replace('.', "/")
            );
        };
        insta::assert_snapshot!("alone", case.listing(&name));
    });
}

#[test]
fn every_case_has_its_graph_file() {
    let library = Library::new(&[]);
    for name in cases().keys() {
        assert!(
            library.names().any(|known| known == name),
            "there is no graph {name}"
        );
    }
}

#[test]
fn inputs_of_a_graph_alone_are_those_it_has() {
    let mut cases = cases();
    let case = cases.remove("nn.linear").expect("a case");
    let recipe = Recipe::load("quickstart", &["model={ graph: nn.linear, out: 6 }".into()]);
    let recipe = recipe.expect("the recipe is sound");
    let setting = Setting::training(2, 32);
    let wrong = [("y".to_owned(), case.inputs["x"].clone())];
    let error = elaborate_on(&Library::new(&[]), &recipe.model, &wrong, &setting);
    let Err(error) = error else {
        panic!("`y` is no input of nn.linear");
    };
    let error = error.to_string();
    assert!(
        error.contains("nn.linear takes `x`, it is given `y`"),
        "{error}"
    );
}

/// What a person can read. A change that passes a bound has to shorten something, or say why not.
#[test]
fn listings_of_a_large_model_stay_short() {
    let of = listings("swin_b", &[]);
    for (name, text, rows) in [
        ("graph", &of.graph, 320),
        ("gradient", &of.gradient, 600),
        ("fused", &of.fused, 1100),
        ("plan", &of.plan, 750),
    ] {
        let count = text.lines().count();
        assert!(
            count <= rows,
            "the {name} of swin_b has {count} rows, more than {rows}"
        );
        for row in text.lines() {
            assert!(row.chars().count() <= 160, "too wide: {row}");
        }
    }
}

#[test]
fn every_recipe_elaborates_to_its_graph() {
    for (name, _) in builtin() {
        insta::assert_snapshot!(format!("graph_{name}"), listings(&name, &[]).graph);
    }
}

#[test]
fn tiny_models_are_fused_and_planned_as_they_were() {
    for name in ["swin", "vit_shared_rpb"] {
        let path = format!("{}/tests/fixtures/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let of = listings(&path, &["train.batch=2"]);
        insta::assert_snapshot!(format!("gradient_{name}"), of.gradient);
        insta::assert_snapshot!(format!("fused_{name}"), of.fused);
        insta::assert_snapshot!(format!("plan_{name}"), of.plan);
    }
}

#[test]
fn a_listing_is_a_function_of_the_recipe() {
    let twice = [listings("quickstart", &[]), listings("quickstart", &[])];
    assert!(twice[0].plan == twice[1].plan && twice[0].fused == twice[1].fused);
}
