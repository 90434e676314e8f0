//! `--set` on the params of the shipped graphs, whether or not the recipe names them.

use super::{elaborated, parsed};
use mimc::{ir::print::print, language::library::Library};
use std::collections::BTreeSet;

/// Of a graph that fills a slot: its least parameters, and another value for each that a recipe may give.
struct Case {
    slot: &'static str,
    graph: &'static str,
    least: &'static str,
    sets: &'static [(&'static str, &'static str)],
    /// Given by the graph that calls it.
    given: &'static [&'static str],
}

const ENCODER: &str = "{ graph: vit.encoder, dim: 12, depth: 2, heads: 2, patch: 8 }";
const CASES: &[Case] = &[
    Case {
        slot: "encoder",
        graph: "swin.encoder",
        least: ", dim: 12, depths: [2, 2], heads: [1, 2]",
        sets: &[
            ("dim", "24"),
            ("depths", "[1, 2]"),
            ("heads", "[2, 3]"),
            ("patch", "2"),
            ("window", "2"),
            ("mlp_ratio", "2"),
            ("qkv_bias", "false"),
            ("qk_scale", "0.5"),
            ("absolute_position", "true"),
            ("patch_norm", "false"),
            ("drop", "0.1"),
            ("attention_drop", "0.1"),
            ("drop_path", "0.1"),
        ],
        given: &[],
    },
    Case {
        slot: "encoder",
        graph: "vit.encoder",
        least: ", dim: 12, depth: 2, heads: 2, patch: 8",
        sets: &[
            ("dim", "24"),
            ("depth", "3"),
            ("heads", "3"),
            ("patch", "16"),
            ("mlp_ratio", "2"),
            ("qkv_bias", "false"),
            ("layer_scale", "null"),
            ("absolute_position", "true"),
            ("relative_position", "per_block"),
            ("drop", "0.1"),
            ("attention_drop", "0.1"),
            ("drop_path", "0.1"),
        ],
        given: &[],
    },
    Case {
        slot: "masking",
        graph: "mask.random",
        least: ", unit: 16",
        sets: &[("unit", "8"), ("ratio", "0.3")],
        given: &["batch", "size"],
    },
    Case {
        slot: "masking",
        graph: "mask.given",
        least: ", unit: 16",
        sets: &[("unit", "8")],
        given: &["batch", "size"],
    },
    Case {
        slot: "head",
        graph: "head.pixel_shuffle",
        least: "",
        sets: &[],
        given: &["size", "chans"],
    },
    Case {
        slot: "loss",
        graph: "loss.masked_l1",
        least: "",
        sets: &[],
        given: &[],
    },
];

/// A recipe whose slot is filled as the case says.
fn text(case: &Case) -> String {
    let own = format!("{{ graph: {}{} }}", case.graph, case.least);
    let slot = |name: &str, other: &str| match name == case.slot {
        true => format!("  {name}: {own}\n"),
        false => format!("  {name}: {other}\n"),
    };
    let slots = [
        slot("encoder", ENCODER),
        slot("masking", "{ graph: mask.random, unit: 16 }"),
        slot("head", "{ graph: head.pixel_shuffle }"),
        slot("loss", "{ graph: loss.masked_l1 }"),
    ];
    format!(
        "model:\n  graph: simmim\n{}data: {{ images: synthetic, size: 32 }}\n",
        slots.concat()
    )
}

#[test]
fn every_param_of_a_model_can_be_set_and_tells() {
    let library = Library::new(&[]);
    for case in CASES {
        let file = library
            .get(case.graph)
            .unwrap_or_else(|errors| panic!("{errors}"));
        let params: BTreeSet<&str> = file
            .params
            .iter()
            .map(|param| param.name.value.as_str())
            .collect();
        let covered = case
            .sets
            .iter()
            .map(|(name, _)| *name)
            .chain(case.given.iter().copied());
        assert_eq!(params, covered.collect(), "{}", case.graph);
        let text = text(case);
        let before = print(&elaborated(&parsed(&text, "plain", &[])).graph);
        for (param, value) in case.sets {
            let set = format!("model.{}.{param}={value}", case.slot);
            let recipe = parsed(&text, "set", &[&set]);
            assert!(
                print(&elaborated(&recipe).graph) != before,
                "{set} changes nothing"
            );
            let resolved = parsed(&recipe.to_yaml(), "set", &[]);
            assert_eq!(resolved, recipe, "{set}");
        }
    }
}

#[test]
fn the_cases_are_all_that_fill_a_slot() {
    let library = Library::new(&[]);
    let filling = |name: &&str| {
        ["mask.", "head.", "loss."]
            .iter()
            .any(|kind| name.starts_with(kind))
            || name.ends_with(".encoder")
    };
    let shipped: BTreeSet<&str> = library.names().filter(filling).collect();
    assert_eq!(shipped, CASES.iter().map(|case| case.graph).collect());
}
