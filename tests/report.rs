//! Reports are whole pages that need nothing else, and say what the summary says.

use html5ever::{parse_document, tendril::TendrilSink};
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use mimc::{
    Library, Options, Recipe,
    backend::cuda::{self, Target},
    compile,
    export::report::{self, Compiled, Ran, Times},
    pace::Pace,
    recipe::builtin,
    summary::Summary,
    train::metrics::Record,
};
use serde_json::Value;

const PACE: Pace = Pace {
    flops: 1e11,
    halves: 1e11,
    pointwise: 1e10,
    scores: 1e10,
    bandwidth: 1e10,
};

fn page(name: &str, sets: &[&str], pace: Option<&Pace>) -> (String, Summary) {
    page_for(name, sets, pace, None)
}

fn page_for(
    name: &str,
    sets: &[&str],
    pace: Option<&Pace>,
    target: Option<Target>,
) -> (String, Summary) {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let recipe = Recipe::load(name, &sets).expect("a sound recipe");
    let options = Options {
        anatomy: true,
        ..Options::default()
    };
    let program = compile(&recipe, &Library::new(&[]), &options).expect("compiles");
    let summary = Summary::new(&recipe, &program, "cpu", 0.0, pace);
    let page = report::program(&Compiled {
        recipe: &recipe,
        program: &program,
        anatomy: program.anatomy.as_ref().expect("it was asked for"),
        summary: &summary,
        pace,
        target,
    });
    (page, summary)
}

/// Its name, its attributes, and the text in it.
type Element = (String, Vec<(String, String)>, String);

/// Every element, those inside of templates as well.
fn elements(page: &str) -> Vec<Element> {
    let dom = parse_document(RcDom::default(), Default::default()).one(page);
    let errors = dom.errors.borrow();
    assert!(errors.is_empty(), "{errors:?}");
    let mut found = Vec::new();
    let mut open: Vec<Handle> = vec![dom.document.clone()];
    while let Some(node) = open.pop() {
        open.extend(node.children.borrow().iter().rev().cloned());
        if let NodeData::Element {
            name,
            attrs,
            template_contents,
            ..
        } = &node.data
        {
            open.extend(template_contents.borrow().clone());
            let attrs = attrs.borrow();
            let attrs = attrs
                .iter()
                .map(|attr| (attr.name.local.to_string(), attr.value.to_string()));
            found.push((name.local.to_string(), attrs.collect(), text(&node)));
        }
    }
    found
}

fn text(node: &Handle) -> String {
    match &node.data {
        NodeData::Text { contents } => contents.borrow().to_string(),
        _ => node.children.borrow().iter().map(text).collect(),
    }
}

fn data(page: &str) -> Value {
    let (_, from) = page.split_once("id=\"data\">").expect("there is data");
    let (json, _) = from.split_once("</script>").expect("it ends");
    serde_json::from_str(json).expect("JSON")
}

#[test]
fn the_report_of_every_recipe_is_a_whole_page_and_adds_up_to_its_summary() {
    for (name, _) in builtin() {
        let (page, summary) = page(&name, &[], Some(&PACE));
        assert!(page.len() < 4 << 20, "{name}: {} bytes", page.len());
        let elements = elements(&page);
        for (tag, attributes, _) in &elements {
            let fetches = ["link", "img", "iframe", "object", "embed", "base"];
            assert!(!fetches.contains(&&**tag), "{name}: <{tag}>");
            for (attribute, value) in attributes {
                let is_link = ["href", "src", "action", "srcset"].contains(&&**attribute);
                assert!(!is_link || value.starts_with('#'), "{name}: {value}");
            }
        }
        for address in ["http://", "https://", "@import", "url(//"] {
            assert!(!page.contains(address), "{name}: {address}");
        }

        let data = data(&page);
        let kernels = data["kernels"].as_array().expect("a list");
        assert_eq!(kernels.len(), summary.kernels.kernels, "{name}");
        let sum = |phase: &str, field: &str| -> f64 {
            let of = kernels.iter().filter(|kernel| kernel["phase"] == phase);
            of.map(|kernel| kernel[field].as_f64().expect("a number"))
                .sum()
        };
        let batch = summary.micro_batch as f64;
        assert_eq!(
            sum("forward", "flops") / batch,
            summary.forward_flops as f64
        );
        assert_eq!(
            sum("backward", "flops") / batch,
            summary.backward_flops as f64
        );
        let micro_batch = sum("forward", "seconds") + sum("backward", "seconds");
        let step = summary.accumulations as f64 * micro_batch + sum("update", "seconds");
        let foretold = summary.prediction.expect("from the pace").step_seconds;
        assert!(
            (step / foretold - 1.0).abs() < 1e-2,
            "{name}: {step}, {foretold}"
        );

        let live = data["memory"]["live"].as_array().expect("a list");
        let live: Vec<Vec<f64>> = live
            .iter()
            .map(|use_of| {
                let bytes = use_of.as_array().expect("a list").iter();
                bytes
                    .map(|bytes| bytes.as_f64().expect("a number"))
                    .collect()
            })
            .collect();
        let at = |kernel: usize| live.iter().map(|bytes| bytes[kernel]).sum::<f64>();
        let peak = (0..kernels.len()).map(at).fold(0.0, f64::max);
        let state: f64 = live[..4].iter().map(|bytes| bytes[0]).sum();
        assert_eq!(state, summary.memory.state as f64, "{name}");
        // The arena holds the peak, and little besides.
        let total = summary.memory.total as f64;
        assert!(
            peak <= total && peak > 0.9 * total,
            "{name}: {peak} of {total}"
        );

        let rows = elements.iter().filter(|(tag, ..)| tag == "tr");
        let row = |path: &str| {
            let is = |attributes: &[(String, String)]| {
                attributes.contains(&("data-path".into(), path.into()))
            };
            let mut rows = rows.clone();
            rows.find(|(_, attributes, _)| is(attributes))
        };
        let (_, _, whole) = row("").expect("the model has a row");
        let parameters = mimc::text::units::grouped(summary.parameters);
        assert!(
            whole.contains(&parameters),
            "{name}: {parameters} in {whole}"
        );
        assert!(row("encoder").is_some());
    }
}

#[test]
fn every_picture_that_opens_is_there() {
    let (page, _) = page("quickstart", &[], None);
    let data = data(&page);
    let scopes = data["scopes"].as_object().expect("a map");
    let elements = elements(&page);
    let has = |id: &str| {
        let id = ("id".to_owned(), id.to_owned());
        elements
            .iter()
            .any(|(_, attributes, _)| attributes.contains(&id))
    };
    for (scope, pictures) in scopes {
        for picture in pictures.as_array().expect("two sides") {
            let Some(picture) = picture.as_u64() else {
                continue;
            };
            assert!(has(&format!("picture-{picture}")), "{scope}");
        }
    }
    for part in ["", "encoder", "encoder.layers.0.blocks.0.attn"] {
        let both = scopes[part].as_array().expect("two sides");
        assert!(both.iter().all(Value::is_u64), "{part}: {both:?}");
    }
    assert!(data["kernels"][0]["seconds"].is_null(), "no pace, no time");
}

#[test]
fn kernels_are_shown_as_a_gpu_gets_them_where_one_is_named() {
    let cuda = |kernel: &Value| -> Vec<Value> {
        let sources = kernel["sources"].as_array().expect("a list");
        let long = sources.iter().filter(|source| !source["launch"].is_null());
        long.cloned().collect()
    };
    let kernels = |page: &str| data(page)["kernels"].as_array().expect("a list").clone();
    let (without, _) = page("quickstart", &[], None);
    assert!(
        kernels(&without)
            .iter()
            .all(|kernel| cuda(kernel).is_empty())
    );

    for (name, sets) in [
        ("quickstart", &["train.precision=bf16"][..]),
        ("swin_b", &[]),
        ("vit_b", &["train.precision=bf16"]),
    ] {
        let (page, _) = page_for(name, sets, None, Some(Target(90)));
        assert!(page.len() < 8 << 20, "{name}: {} bytes", page.len());
        let data = data(&page);
        let text = |at: &Value| {
            let at = at.as_u64().expect("a place") as usize;
            data["words"][at].as_str().expect("a text")
        };
        let mut launched = 0;
        for kernel in kernels(&page) {
            let path = text(&kernel["path"]);
            let launches = cuda(&kernel);
            assert!(!launches.is_empty(), "{name}: {path}");
            for launch in &launches {
                assert_eq!(text(&launch["language"]), "CUDA for sm_90");
                let told = text(&launch["launch"]);
                let entry = told.split(' ').next().unwrap_or_default();
                match &launch["text"] {
                    Value::Null => assert_eq!(entry, "cublasLt"),
                    at => assert!(text(at).contains(&format!(" {entry}(")), "{told}"),
                }
            }
            launched += launches.len();
        }
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let recipe = Recipe::load(name, &sets).expect("a sound recipe");
        let program = compile(&recipe, &Library::new(&[]), &Options::default()).expect("compiles");
        let program = cuda::emit(&mimc::plan::lower(&program.graph), Target(90));
        let all = program.accumulate.iter().chain(&program.apply);
        let of_many = all.clone().filter(|launch| launch.label == "cast").count();
        assert_eq!(launched + of_many, all.count(), "{name}");
    }
}

#[test]
fn what_a_recipe_says_is_text() {
    let doc = "doc=<script>alert(1)</script> & \"more\" </style>";
    let (page, _) = page("quickstart", &[doc], Some(&PACE));
    let elements = elements(&page);
    let scripts = elements.iter().filter(|(tag, ..)| tag == "script").count();
    assert_eq!(scripts, 2);
    let told = elements
        .iter()
        .any(|(tag, _, text)| tag == "p" && text.contains("<script>alert(1)"));
    assert!(told, "it is told as it stands");
}

fn records(steps: u64) -> Vec<Record> {
    let record = |step: u64| Record {
        step,
        epoch: step / 100,
        loss: 1.0 / step as f32,
        lr: 1e-3,
        grad_norm: 2.0,
        images_per_s: 50.0,
        data_wait: 0.01,
        seconds: 0.1,
        held_out: step.is_multiple_of(100).then_some(0.5),
    };
    (1..=steps).map(record).collect()
}

fn page_of_run(records: &[Record], pictures: Vec<(u64, Vec<u8>)>) -> String {
    report::run(&Ran {
        title: "a <run>",
        doc: "& more",
        state: "running",
        recipe: "doc: <b>\n",
        records,
        goal: 1000,
        total: 2000,
        pictures,
        times: Times {
            steps: 10.0,
            waiting: 1.0,
            besides: 2.0,
        },
        foretold: &[("gemm".into(), 0.08), ("rows".into(), 0.01)],
        gradients: (7, &[("decoder.0.bias".into(), 0.25)]),
        facts: vec![("session 1".into(), "running".into())],
    })
}

#[test]
fn the_report_of_a_run_is_a_whole_page_however_long_the_run() {
    for steps in [0, 1, 2, 1000, 100_000] {
        let records = records(steps);
        let page = page_of_run(&records, vec![(2, vec![1, 2, 3]), (1, vec![4])]);
        assert!(page.len() < 400_000, "{steps} steps: {} bytes", page.len());
        let elements = elements(&page);
        let count = |wanted: &str| elements.iter().filter(|(tag, ..)| tag == wanted).count();
        assert_eq!(count("img"), 2);
        for (tag, attributes, _) in &elements {
            for (attribute, value) in attributes {
                let wanted = if tag == "img" {
                    "data:image/png;base64,"
                } else {
                    "#"
                };
                let is_link = ["href", "src"].contains(&&**attribute);
                assert!(!is_link || value.starts_with(wanted), "{value}");
            }
        }
        assert!(
            !page.contains("NaN") && !page.contains("inf\""),
            "{steps} steps"
        );
        let told = data(&page)["steps"].as_array().expect("a list").len();
        assert!(told as u64 <= steps.min(1501), "{told} of {steps}");
        assert_eq!(count("svg"), if steps == 0 { 0 } else { 5 });
        let shown = if steps >= 100 { "held out" } else { "" };
        assert!(page.contains(shown));
    }
}
