//! `mimc compile`

use super::{Desk, TINY};
use std::process::Stdio;

const FILES: [&str; 5] = [
    "fused.txt",
    "gradient.txt",
    "graph.txt",
    "plan.txt",
    "recipe.yaml",
];

#[test]
fn a_summary_is_printed_and_the_listings_are_written() {
    let desk = Desk::new();
    let text = desk.good(&["compile", "tiny"]).out;
    for piece in [
        "tiny  Tiny, for tests.",
        "encoder",
        "blocks",
        "×2",
        "vit.block",
        "[37, 24]",
        "total",
        "per image:",
        "4 images at once",
        "behind fusion",
        "generated images",
        "build/tiny: recipe.yaml, graph.txt, gradient.txt, fused.txt, plan.txt,",
        "look at   build/tiny/report.html",
    ] {
        assert!(text.contains(piece), "no `{piece}` in\n{text}");
    }
    assert!(text.lines().count() < 31, "{text}");
    let mut files = desk.list("build/tiny");
    files.retain(|file| file != "report.html");
    assert_eq!(files, FILES);
    assert!(
        desk.read("build/tiny/report.html")
            .contains("<title>tiny · mimc</title>")
    );
    assert!(
        desk.read("build/tiny/graph.txt")
            .contains("encoder.blocks.0.attn.qkv")
    );
}

#[test]
fn the_report_can_go_elsewhere() {
    let desk = Desk::new();
    let said = desk.good(&["compile", "tiny", "--report", "pages/a.html"]);
    assert!(said.out.contains("look at   pages/a.html"), "{}", said.out);
    assert!(desk.read("pages/a.html").ends_with("</html>"));
    assert_eq!(desk.list("build/tiny"), FILES);
    let json = desk.good(&["compile", "tiny", "--json"]).json();
    assert_eq!(json["report"], "build/tiny/report.html");
}

#[test]
fn a_missing_folder_is_a_note() {
    let desk = Desk::new();
    let text = desk
        .good(&["compile", "tiny", "--set", "data.images=photos"])
        .out;
    assert!(text.contains("there is no folder photos yet"), "{text}");
}

#[test]
fn a_listing_is_printed_instead() {
    let desk = Desk::new();
    let stages = ["graph", "gradient", "fused", "plan"];
    for stage in stages {
        let printed = desk.good(&["compile", "tiny", "--emit", stage]).out;
        assert_eq!(printed, desk.read(&format!("build/tiny/{stage}.txt")));
    }
}

#[test]
fn the_recipe_is_printed_with_where_its_values_came_from() {
    let desk = Desk::new();
    let emit = ["compile", "tiny", "--emit", "recipe", "--micro-batch", "2"];
    let printed = desk
        .good(&[&emit[..], &["--set", "train.seed=7"]].concat())
        .out;
    for piece in [
        "recipes/tiny.yaml:4\n",
        "# --set train.seed=7\n",
        "# default of graphs/vit/encoder.yaml:",
        "# default: a tenth of train.epochs\n",
        "# chosen on the command line\n",
    ] {
        assert!(printed.contains(piece), "no `{piece}` in\n{printed}");
    }
    desk.write("again.yaml", &printed);
    desk.good(&["compile", "again.yaml", "-o", "again"]);
    for file in FILES.iter().filter(|file| **file != "recipe.yaml") {
        let (first, again) = (format!("build/tiny/{file}"), format!("again/{file}"));
        assert_eq!(desk.read(&first), desk.read(&again), "{file}");
    }
}

#[test]
fn what_is_left_to_the_backend_is_settled_before_it_is_compiled() {
    let desk = Desk::new();
    for (more, told, precision) in [
        (&[][..], "default: auto, for cpu", "f32"),
        (&["--target", "sm_80"], "default: auto, for cuda", "bf16"),
        (
            &["--target", "sm_90", "--set", "train.precision=auto"],
            "--set train.precision=auto: auto, for cuda",
            "bf16",
        ),
        (
            &["--target", "sm_90", "--set", "train.precision=f32"],
            "--set train.precision=f32",
            "f32",
        ),
        (
            &["--target", "sm_90", "--backend", "cpu"],
            "default: auto, for cpu",
            "f32",
        ),
    ] {
        let said = desk.good(&[&["compile", "tiny", "--emit", "recipe"], more].concat());
        let line = said.out.lines().find(|line| line.contains("precision:"));
        let line = line.expect("every key");
        let (value, comment) = line.split_once('#').expect("where it came from");
        assert_eq!(value.trim(), format!("precision: {precision}"));
        assert_eq!(comment.trim(), told);
        let resolved = desk.read("build/tiny/recipe.yaml");
        assert!(resolved.contains(&format!("precision: {precision}\n")));
    }
    let json = desk.good(&["compile", "tiny", "--target", "sm_90", "--json"]);
    assert!(json.err.contains("precision bf16: "), "{}", json.err);
    let json = json.json();
    assert_eq!(
        (&json["precision"], &json["backend"]),
        (&"bf16".into(), &"cuda".into())
    );
}

#[test]
fn listings_are_canonical_and_the_resolved_recipe_is_the_recipe() {
    let desk = Desk::new();
    desk.good(&["compile", "tiny", "-o", "first"]);
    let again = desk.command(&["compile", "first/recipe.yaml", "-o", "second"]);
    let mut again = again;
    let status = again
        .env("RAYON_NUM_THREADS", "1")
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("starts").success());
    for file in FILES {
        let (first, second) = (
            desk.read(&format!("first/{file}")),
            desk.read(&format!("second/{file}")),
        );
        assert_eq!(first, second, "{file}");
    }
}

#[test]
fn the_micro_batch_can_be_chosen_and_stays_with_the_recipe() {
    let desk = Desk::new();
    let json = desk
        .good(&["compile", "tiny", "--micro-batch", "2", "--json"])
        .json();
    assert_eq!(
        (&json["micro_batch"], &json["accumulations"]),
        (&2.into(), &2.into())
    );
    assert!(
        desk.read("build/tiny/recipe.yaml")
            .contains("micro_batch: 2")
    );

    let whole = desk.good(&["compile", "tiny", "--json"]).json();
    assert_eq!(whole["micro_batch"], 4);
    assert!(
        desk.read("build/tiny/recipe.yaml")
            .contains("micro_batch: null")
    );
    let total = whole["memory"]["total"].as_u64().expect("bytes");
    let size = (total - 1).to_string();
    let less = desk
        .good(&["compile", "tiny", "--memory", &size, "--json"])
        .json();
    assert_eq!(less["micro_batch"], 2);
    assert!(less["memory"]["total"].as_u64() < Some(total));
}

#[test]
fn blocks_are_computed_again_where_the_memory_asks_for_it() {
    let desk = Desk::new();
    let deep = "model.encoder={ graph: vit.encoder, dim: 24, depth: 6, heads: 2, patch: 8 }";
    let compile = |more: &[&str]| {
        let all = [&["compile", "tiny", "--set", deep, "--json"], more].concat();
        desk.good(&all).json()
    };
    let total = |json: &serde_json::Value| json["memory"]["total"].as_u64().expect("bytes");
    // One image at a time, and two where they are named.
    for named in [&[][..], &["--micro-batch", "2"][..]] {
        let images = named.last().map_or("1", |images| images);
        let kept = compile(&["--micro-batch", images]);
        assert!(kept["recomputed"].is_null());
        let size = (total(&kept) - 1).to_string();
        let less = compile(&[&["--memory", &size], named].concat());
        let again = &less["recomputed"];
        assert_eq!(less["micro_batch"].to_string(), images);
        assert!(total(&less) < total(&kept));
        assert_eq!(again["saved"], total(&kept) - total(&less));
        assert!(again["flops"].as_u64() > Some(0) && again["of"] == 6);
        // No more than it takes, and the resolved recipe says how many.
        let blocks = again["blocks"].as_u64().expect("a count");
        assert!((1..6).contains(&blocks), "{blocks}");
        let resolved = desk.read("build/tiny/recipe.yaml");
        assert!(resolved.contains(&format!("recompute: {blocks}")));
        let once_more = desk
            .good(&["compile", "build/tiny/recipe.yaml", "--json"])
            .json();
        assert_eq!(once_more["recomputed"]["blocks"], blocks);
        assert_eq!(total(&once_more), total(&less));
    }
    let never = compile(&["--memory", "1KiB", "--set", "train.recompute=0"]);
    assert!(never["recomputed"].is_null());
}

#[test]
fn json_has_what_the_summary_has() {
    let desk = Desk::new();
    let json = desk.good(&["compile", "tiny", "--json"]).json();
    let parts = json["parts"].as_array().expect("a list");
    let parameters = |depth: u64| -> u64 {
        let parts = parts.iter().filter(|part| part["depth"] == depth);
        parts
            .map(|part| part["parameters"].as_u64().expect("a count"))
            .sum()
    };
    assert_eq!(Some(parameters(0)), json["parameters"].as_u64());
    assert!(parameters(1) > 0 && parameters(1) < parameters(0));
    // Per 512 images, times 4 of them.
    let rate = json["learning_rate"]["base"].as_f64().expect("a rate");
    assert!((rate - 2e-4 * 4.0 / 512.0).abs() < 1e-12);
    assert!(json["backward_flops"].as_u64() > json["forward_flops"].as_u64());
    assert_eq!(json["folder"], "build/tiny");
}

#[test]
fn files_at_hand_take_precedence() {
    let desk = Desk::new();
    desk.write("recipes/vit_b.yaml", TINY);
    let json = desk.good(&["compile", "vit_b", "--json"]).json();
    assert_eq!(json["doc"], "Tiny, for tests.");
    desk.write("graphs/nn/mlp.yaml", "doc: Mine.\n");
    let said = desk.mimc(&["compile", "tiny"]);
    assert!(
        said.code == Some(1) && said.err.contains("graphs/nn/mlp.yaml"),
        "{}",
        said.err
    );
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let desk = Desk::new();
    let mut child = desk
        .command(&["compile", "tiny", "--emit", "plan"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.lines().all(|line| line.starts_with("backend cpu: ")),
        "{told}"
    );
}

#[test]
fn the_time_is_foretold_from_a_pace_that_is_measured_once() {
    let desk = Desk::new();
    let foretold = || desk.good(&["compile", "tiny", "--json"]).json()["prediction"].clone();
    let first = foretold();
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    let step = number(&first["step_seconds"]);
    assert!(step > 0.0);
    assert_eq!(number(&first["images_per_second"]), 4.0 / step);
    // Eight images in batches of four, ten times.
    assert!((number(&first["run_seconds"]) / (20.0 * step) - 1.0).abs() < 1e-9);
    let again = number(&foretold()["step_seconds"]);
    assert!((again / step - 1.0).abs() < 1e-12, "measured once");

    // A pace of another machine, or a damaged one, does not count.
    let kept = desk.read("build/machine.json");
    let fast = kept
        .replace("\"bandwidth\": ", "\"bandwidth\": 9")
        .replace("\"flops\": ", "\"flops\": 9");
    desk.write("build/machine.json", &fast);
    assert!(number(&foretold()["step_seconds"]) < step);
    desk.write(
        "build/machine.json",
        &fast.replace("\"threads\": ", "\"threads\": 9"),
    );
    foretold();
    assert!(desk.read("build/machine.json") != fast.replace("\"threads\": ", "\"threads\": 9"));
    desk.write("build/machine.json", "{");
    foretold();
    assert!(desk.read("build/machine.json").contains("pace"));

    assert_eq!(
        desk.good(&["compile", "tiny", "--backend", "reference", "--json"])
            .json()["prediction"],
        serde_json::Value::Null
    );
    let told = desk.good(&["run", "tiny", "--steps", "3"]).out;
    assert!(
        told.contains("per step") && told.contains("were foretold"),
        "{told}"
    );
}

#[test]
fn models_are_drawn_for_other_programs() {
    let desk = Desk::new();
    let emit = |format: &str, depth: &str| {
        desk.good(&["compile", "tiny", "--emit", format, "--depth", depth])
            .out
    };
    let dot = emit("dot", "1");
    assert!(
        dot.starts_with("digraph \"tiny\" {") && dot.contains("encoder\\n"),
        "{dot}"
    );
    assert!(emit("dot", "3").contains("encoder.blocks.1"));
    assert!(emit("mermaid", "2").starts_with("flowchart TB\n"));
    let json: serde_json::Value = serde_json::from_str(&emit("json", "2")).expect("JSON");
    let nodes = json["graphs"][0]["nodes"].as_array().expect("a list");
    let inside = |node: &serde_json::Value| node["namespace"] == "encoder/blocks/1/attn/qkv";
    assert!(nodes.len() > 100 && nodes.iter().any(inside));
}

#[test]
fn the_model_is_printed_for_pytorch() {
    let desk = Desk::new();
    let text = desk.good(&["compile", "tiny", "--emit", "torch"]).out;
    for piece in [
        "\"\"\"Tiny, for tests.\n",
        "from torch import nn\n",
        "class Simmim(nn.Module):\n",
        "images = torch.randn(2, 3, 48, 48)\n",
    ] {
        assert!(text.contains(piece), "no `{piece}` in\n{text}");
    }
}

#[test]
fn kernels_for_a_gpu_are_printed() {
    let desk = Desk::new();
    let arguments = ["compile", "tiny", "--emit", "cuda", "--target", "sm_80"];
    let text = desk.good(&arguments).out;
    for piece in [
        "// sm_80: ",
        "// accumulate: ",
        "// apply: ",
        "cublasLt",
        "extern \"C\" __global__",
    ] {
        assert!(text.contains(piece), "no `{piece}` in\n{text}");
    }
    assert!(!text.contains("#include"), "sources are whole");
}
