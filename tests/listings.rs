//! The compiled graphs, locked: what a recipe elaborates to, and what two tiny models become behind every stage.

use mimc::{
    compile::{Listings, Options, compile},
    language::library::Library,
    recipe::{Recipe, builtin},
};

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
