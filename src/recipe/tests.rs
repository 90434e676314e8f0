use super::*;
use crate::language::library::Library;

fn parsed(text: &str, sets: &[&str]) -> Result<Recipe> {
    let sets: Vec<_> = sets.iter().map(|set| set.to_string()).collect();
    Recipe::parse(&SourceFile::new("test.yaml", text), "test", &sets)
}

fn loaded(name: &str, sets: &[&str]) -> Recipe {
    let sets: Vec<_> = sets.iter().map(|set| set.to_string()).collect();
    Recipe::load(name, &sets).unwrap_or_else(|error| panic!("{error}"))
}

const LEAST: &str = "model: { graph: simmim }\ndata: { images: photos, size: 64 }\n";

/// The paths of all leaves of a YAML tree.
fn leaves(value: &Yaml, path: String, found: &mut Vec<String>) {
    let Yaml::Mapping(entries) = value else {
        return found.push(path);
    };
    for (key, value) in entries {
        let key = key.as_str().expect("keys are texts");
        let path = if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        };
        leaves(value, path, found);
    }
}

#[test]
fn the_table_and_the_types_name_the_same_keys_in_the_same_order() {
    let recipe = parsed(LEAST, &[]).expect("the least recipe");
    let mut root: Mapping = serde_yaml::from_str(&recipe.to_yaml()).expect("is YAML");
    root.insert("model".into(), Yaml::Null);
    let mut found = Vec::new();
    leaves(&Yaml::Mapping(root), String::new(), &mut found);
    let table: Vec<_> = FIELDS.iter().map(|field| field.path).collect();
    assert_eq!(found, table);
}

#[test]
fn what_is_left_out_has_its_default() {
    let recipe = parsed(LEAST, &["train.epochs=40"]).expect("the least recipe");
    assert_eq!(recipe.data.images, Images::Folder("photos".into()));
    assert_eq!(recipe.data.std, [0.229, 0.224, 0.225]);
    assert_eq!(recipe.train.batch, 512);
    assert_eq!(recipe.train.micro_batch, None);
    assert_eq!(recipe.train.optimizer.clip, Some(5.0));
    assert_eq!(
        recipe.train.schedule.warmup_epochs, 4.0,
        "a tenth of the run"
    );
    assert!(recipe.span("train.batch").is_none());
    assert_eq!(recipe.span("data.size").map(Span::text), Some("64"));
    assert_eq!(
        recipe.span("train.epochs").map(Span::to_string),
        Some("--set:1:14".to_owned())
    );
}

#[test]
fn defaults_and_docs_of_the_table_are_sound() {
    for field in FIELDS {
        assert!(!field.doc.is_empty(), "{} has no doc", field.path);
        match field.default {
            Fallback::Required => {}
            Fallback::TenthOf(path) => assert!(fields::field(path).is_some(), "{path}"),
            Fallback::Is(text) => {
                let node = yaml::parse(&Span::of_text("default", text)).expect("is YAML");
                let mut found = Vec::new();
                let read = kind::read(field, &node, &mut found);
                let used: Yaml = serde_yaml::from_str(text).expect("is YAML");
                assert!(found.is_empty(), "{}", Diagnostics(found));
                let read = read.map(plain_numbers);
                assert_eq!(read, Some(plain_numbers(used)), "{}", field.path);
            }
        }
        assert!(markdown().contains(&format!("| `{}` |", field.path)));
    }
}

#[test]
fn a_resolved_recipe_parses_back_to_itself() {
    for (name, doc) in builtin() {
        assert!(doc.len() > 20, "{name} says too little");
        let recipe = loaded(&name, &["train.optimizer.clip=null", "data.images=a b"]);
        let text = recipe.to_yaml();
        let again = Recipe::parse(&SourceFile::new("again", text.as_str()), &name, &[]);
        let again = again.unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(again, recipe);
        assert_eq!(again.to_yaml(), text);
    }
}

#[test]
fn texts_that_look_like_something_else_survive() {
    let tricky = [
        "12",
        "1e5",
        "1.0e-8",
        ".5",
        "true",
        "Null",
        "~",
        "",
        " a ",
        "a: b",
        "a #b",
        "- a",
        "[a",
        "'a'",
        "\"",
        "é",
        "a\nb",
        "0x10",
        "1_000",
        "yes",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "{a}",
        "normal(0.02)",
        "null",
        "-",
        "?",
        "=",
        "<<",
        "a,b",
        "#",
        "\\",
        "2001-01-01",
        "0o7",
        "+1",
        "1.",
    ];
    for text in tricky {
        let mut recipe = parsed(LEAST, &[]).expect("the least recipe");
        recipe.doc = text.to_owned();
        recipe.data.images = Images::Folder(text.into());
        let span = recipe.model.span.clone();
        let spanned = |value| crate::language::expression::Spanned {
            value,
            span: span.clone(),
        };
        let key = crate::language::expression::Spanned {
            value: text.to_owned(),
            span: span.clone(),
        };
        recipe
            .model
            .params
            .push((key, spanned(Value::Text(text.to_owned()))));
        let yaml = recipe.to_yaml();
        let again = Recipe::parse(&SourceFile::new("again", yaml.as_str()), "test", &[]);
        let again = again.unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        assert_eq!(again, recipe, "{yaml}");
    }
}

/// `--set` reaches every key of the table in every recipe, whether or not its file names it.
#[test]
fn every_key_can_be_set() {
    for field in FIELDS {
        let value = match field.kind {
            Kind::Text | Kind::Maybe(Kind::Text) => "words",
            Kind::Int | Kind::Maybe(Kind::Int) => "8",
            Kind::Float | Kind::Maybe(_) => "0.75",
            Kind::Bool => "false",
            Kind::Floats(2) => "[0.5, 0.75]",
            Kind::Floats(_) => "[0.5, 0.25, 0.125]",
            Kind::FloatList => "[0.8]",
            Kind::OneOf(choices) => choices[choices.len() - 1],
            Kind::Model => "{ graph: other }",
        };
        let argument = format!("{}={value}", field.path);
        // The constant schedule agrees with all values of the others.
        let free = [
            "train.schedule.warmup_epochs=0.1",
            "train.schedule.name=constant",
        ];
        let sets = [free[0], free[1], argument.as_str()];
        let texts = [LEAST.to_owned(), loaded("vit_b", &[]).to_yaml()];
        for text in texts {
            let recipe = parsed(&text, &sets).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(
                recipe.span(field.path).map(|span| span.file.path.as_str()),
                Some("--set")
            );
            let mut got: &Yaml = &serde_yaml::from_str(&recipe.to_yaml()).expect("is YAML");
            for key in field.path.split('.') {
                got = &got[key];
            }
            let want: Yaml = serde_yaml::from_str(value).expect("is YAML");
            assert_eq!(*got, plain_numbers(want), "{argument}");
        }
    }
}

#[test]
fn what_is_of_the_model_is_looked_for_there() {
    let error = Recipe::load("vit_b", &["masking.ratio=0.5".to_owned()]);
    let error = error.expect_err("it is not at the root").to_string();
    assert!(
        error.contains("did you mean `model.masking.ratio`?"),
        "{error}"
    );
}

#[test]
fn params_of_the_model_can_be_set() {
    let recipe = loaded(
        "swin_b",
        &[
            "model.encoder.window=7",
            "model.encoder.drop_path=0.1",
            "model.masking={ graph: mask.given, unit: 16 }",
            "model.head.graph=head.other",
            "train.batch=64",
            "train.batch=32",
        ],
    );
    let slot = |name| match recipe.model.param(name).map(|param| &param.value) {
        Some(Value::Graph(graph)) => graph.clone(),
        other => panic!("{name} is {other:?}"),
    };
    let value = |slot: &GraphRef, name| slot.param(name).map(|param| param.value.clone());
    let encoder = slot("encoder");
    assert_eq!(value(&encoder, "window"), Some(Value::Int(7)));
    assert_eq!(value(&encoder, "drop_path"), Some(Value::Float(0.1)));
    assert_eq!(value(&encoder, "dim"), Some(Value::Int(128)));
    assert_eq!(slot("masking").graph.value, "mask.given");
    assert_eq!(value(&slot("masking"), "ratio"), None);
    assert_eq!(slot("head").graph.value, "head.other");
    assert_eq!(recipe.train.batch, 32, "the last one holds");
    let window = encoder.param("window").map(|param| param.span.to_string());
    assert_eq!(window.as_deref(), Some("--set:1:22"));
}

#[test]
fn a_value_of_the_model_knows_its_place() {
    let recipe = loaded("swin_b", &[]);
    let Some(Value::Graph(encoder)) = recipe.model.param("encoder").map(|param| &param.value)
    else {
        panic!("the encoder is a graph");
    };
    let window = &encoder.param("window").expect("is written").span;
    assert_eq!(window.to_string(), "recipes/swin_b.yaml:5:99");
    assert_eq!(window.text(), "6");
    let quoted = parsed(
        "model: { graph: g, init: \"normal(0.02, a=1)\" }\ndata: { images: a, size: 1 }",
        &[],
    );
    let quoted = quoted.expect("parses");
    assert_eq!(
        quoted.model.param("init").map(|init| init.span.text()),
        Some("normal(0.02, a=1)")
    );
}

/// Each recipe names graphs and params that exist.
#[test]
fn recipes_fit_the_graphs() {
    fn check(graph: &GraphRef, library: &Library) {
        let file = library
            .get(&graph.graph.value)
            .unwrap_or_else(|error| panic!("{error}"));
        for (name, value) in &graph.params {
            assert!(
                file.param(&name.value).is_some(),
                "{} has no {}",
                file.name,
                name.value
            );
            if let Value::Graph(inner) = &value.value {
                check(inner, library);
            }
        }
    }
    let library = Library::new(&[]);
    let names: Vec<_> = builtin().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "quickstart",
            "swin_b",
            "swin_b_800",
            "swin_l",
            "swin_t",
            "vit_b",
            "vit_s"
        ]
    );
    for name in names {
        check(&loaded(&name, &[]).model, &library);
    }
}

/// The numbers of the official configurations.
#[test]
fn recipes_follow_the_official_schedules() {
    for (name, epochs, base, warmup, schedule, milestones) in [
        ("swin_b", 100.0, 2e-4, 1e-6, ScheduleName::Cosine, vec![]),
        (
            "swin_b_800",
            800.0,
            1e-4,
            5e-7,
            ScheduleName::Multistep,
            vec![700.0],
        ),
        (
            "swin_l",
            800.0,
            1e-4,
            5e-7,
            ScheduleName::Multistep,
            vec![700.0],
        ),
        (
            "vit_b",
            800.0,
            1e-4,
            5e-7,
            ScheduleName::Multistep,
            vec![700.0],
        ),
    ] {
        let train = loaded(name, &[]).train;
        let got = &train.schedule;
        assert_eq!(
            (train.epochs, train.batch, got.base_lr, got.warmup_lr),
            (epochs, 2048, base, warmup),
            "{name}"
        );
        assert_eq!((got.name, got.warmup_epochs), (schedule, 10.0), "{name}");
        assert_eq!(got.milestones, milestones, "{name}");
        assert_eq!(
            (train.optimizer.decay, train.optimizer.clip),
            (0.05, Some(5.0)),
            "{name}"
        );
    }
}

#[test]
fn a_recipe_is_found_by_path_then_folder_then_binary() {
    assert_eq!(loaded("recipes/vit_b.yaml", &[]).name, "vit_b");
    assert_eq!(loaded("vit_b", &[]), loaded("./recipes/vit_b.yaml", &[]));
    let error = Recipe::load("vit_bb", &[])
        .expect_err("there is none")
        .to_string();
    assert!(error.contains("did you mean `vit_b`?"), "{error}");
    let error = Recipe::load("no/such.yaml", &[]).expect_err("there is none");
    assert_eq!(error.0[0].code, "unreadable");
}
