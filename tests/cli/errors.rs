//! Every way to go wrong that the command line knows ends with its exit code and a sentence that helps.

use super::{Desk, TINY, fixture};

const FAILED: i32 = 1;
const USAGE: i32 = 2;

/// Arguments, exit code, and pieces of what is told.
type Case<'a> = (&'a [&'a str], i32, &'a [&'a str]);

fn check(desk: &Desk, cases: &[Case]) {
    for (arguments, code, pieces) in cases {
        let said = desk.mimc(arguments);
        let told = &said.err;
        assert_eq!(said.code, Some(*code), "mimc {arguments:?}\n{told}");
        assert_eq!(said.out, "", "mimc {arguments:?}");
        assert!(
            !told.contains("panicked") && !told.contains('\u{1b}'),
            "{told}"
        );
        for piece in *pieces {
            assert!(
                said.told().contains(piece),
                "mimc {arguments:?}: no `{piece}` in\n{told}"
            );
        }
    }
}

#[test]
fn wrong_usage() {
    check(
        &Desk::new(),
        &[
            (&[], USAGE, &["Usage: mimc [OPTIONS] <COMMAND>"]),
            (&["trian"], USAGE, &["unrecognized subcommand 'trian'"]),
            (&["compile"], USAGE, &["<RECIPE>"]),
            (
                &["compile", "tiny", "--set", "batch"],
                USAGE,
                &["wanted PATH=VALUE"],
            ),
            (
                &["compile", "tiny", "--set", "=1"],
                USAGE,
                &["wanted PATH=VALUE"],
            ),
            (
                &["compile", "tiny", "--memory", "lots"],
                USAGE,
                &["wanted a size such as 4GiB"],
            ),
            (
                &["compile", "tiny", "--micro-batch", "some"],
                USAGE,
                &["invalid digit"],
            ),
            (
                &["compile", "tiny", "--backend", "gpu"],
                USAGE,
                &["[possible values: auto, cpu, cuda, luminal-cuda, reference"],
            ),
            (
                &["compile", "tiny", "--emit", "jam"],
                USAGE,
                &["graph, gradient, fused, plan, recipe"],
            ),
            (
                &["compile", "tiny", "--emit", "cuda", "--target", "sm_70"],
                USAGE,
                &["`sm_80`, `sm_90` or another from `sm_80` on"],
            ),
            (
                &["compile", "tiny", "--emit", "plan", "--json"],
                USAGE,
                &["cannot be used with"],
            ),
            (
                &["run", "tiny", "--steps", "0"],
                USAGE,
                &["0 is not in 1.."],
            ),
            (
                &["run", "tiny", "--steps", "all"],
                USAGE,
                &["invalid digit"],
            ),
            (
                &["verify", "tiny"],
                USAGE,
                &["--reference <FILE.safetensors>"],
            ),
            (
                &[
                    "verify",
                    "tiny",
                    "--reference",
                    "x",
                    "--tolerance",
                    "lost=1",
                ],
                USAGE,
                &["wanted CHECK=LIMIT with one of loss,"],
            ),
            (
                &[
                    "verify",
                    "tiny",
                    "--reference",
                    "x",
                    "--tolerance",
                    "loss=-1",
                ],
                USAGE,
                &["wanted a number, 0 or more"],
            ),
            (
                &["bench", "tiny", "--batch", "0"],
                USAGE,
                &["0 is not in 1.."],
            ),
            (
                &["bench", "tiny", "--steps", "0"],
                USAGE,
                &["0 is not in 1.."],
            ),
        ],
    );
}

#[test]
fn wrong_recipes() {
    let desk = Desk::new();
    desk.write("recipes/broken.yaml", &TINY.replace("depth: 2", "dpeth: 2"));
    check(
        &desk,
        &[
            (
                &["compile", "tinny"],
                FAILED,
                &["there is no recipe `tinny`", "help:"],
            ),
            (
                &["run", "swin_n"],
                FAILED,
                &["there is no recipe `swin_n`", "did you mean"],
            ),
            (&["bench", "tinny"], FAILED, &["there is no recipe `tinny`"]),
            (
                &["compile", "no/such.yaml"],
                FAILED,
                &["cannot read no/such.yaml"],
            ),
            (
                &["compile", "broken", "--set", "train.bacth=8"],
                FAILED,
                &["recipes/broken.yaml:4:", "dpeth", "--set:1:7", "bacth"],
            ),
            (
                &["bench", "tiny", "--set", "model.encoder.heads=5"],
                FAILED,
                &["dim % heads == 0", "heads = 5", "--set:1:"],
            ),
            (
                &["compile", "tiny", "--micro-batch", "3"],
                FAILED,
                &["micro-batch of 3 does not divide the batch of 4"],
            ),
        ],
    );
}

#[test]
fn wrong_data() {
    let desk = Desk::new();
    let picture = image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8, y as u8, 0]));
    for number in 0..3 {
        let path = desk.path(&format!("photos/{number}.png"));
        std::fs::create_dir_all(path.parent().expect("in a folder")).expect("created");
        picture.save(path).expect("written");
    }
    desk.write("empty/notes.txt", "no images");
    check(
        &desk,
        &[
            (
                &["run", "tiny", "--data", "photoss"],
                FAILED,
                &["no folder photoss", "did you mean"],
            ),
            (
                &["run", "tiny", "--data", "empty"],
                FAILED,
                &["no images in empty"],
            ),
            (
                &["run", "tiny", "--data", "empty/notes.txt"],
                FAILED,
                &["is a file"],
            ),
            (
                &["run", "tiny", "--data", "photos"],
                FAILED,
                &[
                    "3 images in photos, but a batch takes 4",
                    "--set train.batch=3",
                ],
            ),
        ],
    );
}

#[test]
fn wrong_files() {
    let desk = Desk::new();
    desk.write("taken", "a file where a folder should be");
    desk.write("text.safetensors", "not a safetensors file");
    let (vit, numbers) = (fixture("vit_ape.yaml"), fixture("vit_ape.safetensors"));
    check(
        &desk,
        &[
            (
                &["compile", "tiny", "-o", "taken"],
                FAILED,
                &["cannot write taken"],
            ),
            (
                &["run", "tiny", "--steps", "1", "--output", "taken"],
                FAILED,
                &["cannot write", "taken"],
            ),
            (
                &["verify", &vit, "--reference", "none.safetensors"],
                FAILED,
                &["cannot read none.safetensors"],
            ),
            (
                &["verify", &vit, "--reference", "text.safetensors"],
                FAILED,
                &["cannot read text.safetensors", "header"],
            ),
            (
                &["verify", "tiny", "--reference", &numbers],
                FAILED,
                &[
                    "the model draws its own masks",
                    "graph: mask.given, unit: 16",
                ],
            ),
        ],
    );
    desk.write("build/last.json", "{");
    check(
        &desk,
        &[(
            &["run"],
            FAILED,
            &["build/last.json is damaged", "mimc run RECIPE"],
        )],
    );
    desk.good(&["compile", "tiny"]);
    let record = desk
        .read("build/last.json")
        .replace("\"auto\"", "\"abacus\"");
    desk.write("build/last.json", &record);
    check(
        &desk,
        &[(&["run"], FAILED, &["there is no backend `abacus`"])],
    );
}

#[test]
fn a_run_that_does_not_feed_its_model_says_so() {
    let desk = Desk::new();
    let given = "model.masking={ graph: mask.given, unit: 16 }";
    check(
        &desk,
        &[(
            &["run", "tiny", "--steps", "1", "--set", given],
            FAILED,
            &[
                "error[unfed-input]",
                "graphs/mask/given.yaml:13:16",
                "`mask`",
            ],
        )],
    );
}

#[test]
fn doubts_are_told_and_stop_nothing() {
    let desk = Desk::new();
    let none = "model.masking.ratio=0";
    let said = desk.good(&["compile", "tiny", "--set", none]);
    let told = "warning[against-advice]: 0 < hidden < total should hold in mask.random";
    assert!(said.err.contains(told), "{}", said.err);
    assert!(!said.out.contains("warning"), "{}", said.out);
    let said = desk.good(&["run", "tiny", "--steps", "1", "--set", none]);
    assert!(said.err.contains(told), "{}", said.err);

    let long = "train.schedule.warmup_epochs=8";
    let json = desk
        .good(&["compile", "tiny", "--json", "--set", long])
        .json();
    let warning = &json["warnings"][0];
    assert_eq!(warning["code"], "doubtful-warmup");
    assert_eq!(warning["severity"], "warning");
    assert_eq!(
        (&warning["file"], &warning["line"], &warning["column"]),
        (&"--set".into(), &1.into(), &30.into())
    );
    let json = desk.good(&["compile", "tiny", "--json"]).json();
    assert_eq!(json["warnings"], serde_json::json!([]));
}
