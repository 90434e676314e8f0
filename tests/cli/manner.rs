//! How much is told, and how: quiet, plain, and on 80 columns.

use super::Desk;

const STEPS: &[&str] = &["--steps", "3"];

#[test]
fn quiet_runs_tell_their_end_and_what_is_wrong() {
    let desk = Desk::new();
    let said = desk.good(&[&["run", "tiny", "--quiet"], STEPS].concat());
    assert_eq!(said.err, "");
    assert!(said.out.starts_with("step 3 of"), "{}", said.out);
    // Before the verb as well; a warning is told all the same.
    desk.write("photos/empty.jpg", "");
    for number in 0..8u8 {
        let path = desk.path(&format!("photos/{number}.png"));
        let picture = image::RgbImage::from_pixel(64, 64, image::Rgb([number; 3]));
        picture.save(path).expect("written");
    }
    let more = ["--data", "photos", "--output", "run"];
    let said = desk.good(&[&["-q", "run", "tiny"], STEPS, &more].concat());
    let empty = "passed over photos/empty.jpg: the file is empty\n";
    assert_eq!(said.err, empty);
    assert_eq!(desk.good(&["data", "photos", "-q"]).err, "");
    let failed = desk.mimc(&["compile", "no_such", "-q"]);
    assert!(
        failed.err.starts_with("error[unknown-recipe]"),
        "{}",
        failed.err
    );
}

#[test]
fn what_is_no_terminal_gets_whole_lines_without_control_codes() {
    let desk = Desk::new();
    let runs: &[&[&str]] = &[
        &["run", "tiny", "--steps", "3"],
        &["data", "runs/tiny/pictures"],
        &["compile", "tiny"],
        &["compile", "no_such"],
        &["--help"],
    ];
    for arguments in runs {
        let said = desk.mimc(arguments);
        let plain = desk.mimc(&[arguments, &["--plain"][..]].concat());
        assert_eq!(said.code, plain.code);
        for text in [said.out, said.err, plain.out, plain.err] {
            let control = |c: char| c.is_control() && c != '\n';
            assert!(!text.contains(control), "{arguments:?}: {text:?}");
        }
    }
}

/// The lines that a screen of 80 columns breaks.
fn wide(text: &str) -> Vec<&str> {
    let lines = text.lines();
    lines.filter(|line| line.chars().count() > 80).collect()
}

#[test]
fn eighty_columns_suffice() {
    let desk = Desk::new();
    let sweep = "masks swin_b --count 1 --sweep model.masking.ratio=0.1,0.9 --sweep model.masking.unit=32,64";
    let verbs = [
        "recipes",
        "doctor",
        "compile swin_b",
        "compile tiny",
        "masks swin_b --count 2",
        sweep,
        "diff swin_b vit_b",
        "diff quickstart tiny",
        "run tiny --steps 3",
        "data runs/tiny/pictures",
        "inspect runs/tiny",
        "inspect runs/tiny --weights",
        "explain train",
        "explain skip",
        "explain compile",
        "explain encoder.blocks.1.attn --recipe tiny",
        "explain encoder.layers.0.blocks.1.attn --recipe swin_b",
        "explain encoder.layers.0.blocks.1.attn.relative_position_bias_table --recipe swin_b",
        "bench tiny --steps 1 --warmup 0 --profile",
        "verify --help",
        "compile --help",
        "run --help",
        "--help",
    ];
    for verb in verbs {
        let arguments: Vec<&str> = verb.split(' ').collect();
        let said = desk.good(&arguments);
        for line in wide(&said.out).into_iter().chain(wide(&said.err)) {
            // The last line of `bench` is for a program, and steps that waited for images say so in the lines of a log.
            let longer = line.starts_with('{') || line.contains("data wait");
            assert!(longer, "mimc {verb}:\n{line}");
        }
    }
}

#[test]
fn eighty_columns_suffice_for_what_is_wrong() {
    let desk = Desk::new();
    desk.good(&["run", "tiny", "--steps", "2"]);
    desk.write(
        "photos/no-picture-but-a-text-with-a-name-of-some-length.jpg",
        "text",
    );
    let wrong = [
        ("compile no_such_recipe", 1),
        ("compile swin_b --set model.encoder.window=7", 1),
        ("compile swin_b --set model.encoder.something_else=7", 1),
        ("compile tiny --emit jam", 2),
        ("run tiny --data nowhere", 1),
        ("run tiny --data .", 1),
        (
            "run tiny --resume --set train.batch=8 --set model.encoder.depth=3",
            1,
        ),
        ("run tiny --backend luminal-cuda --steps 1", 1),
        ("inspect recipes/tiny.yaml", 1),
        ("inspect nowhere", 1),
        ("data photos", 1),
        (
            "reconstruct runs/tiny photos/no-picture-but-a-text-with-a-name-of-some-length.jpg",
            1,
        ),
        (
            "verify tiny --reference runs/tiny/checkpoints/step_000002.safetensors",
            1,
        ),
    ];
    for (verb, code) in wrong {
        let arguments: Vec<&str> = verb.split(' ').collect();
        let said = desk.mimc(&arguments);
        assert_eq!(said.code, Some(code), "mimc {verb}\n{}", said.err);
        let text = said.out + &said.err;
        assert!(wide(&text).is_empty(), "mimc {verb}:\n{text}");
    }
}

/// A graph file is shown as it was written, however wide.
#[test]
fn around_a_graph_file_nothing_is_wide() {
    let desk = Desk::new();
    let library = mimc::language::library::Library::new(&[]);
    for name in library.names() {
        let file = library.get(name).expect("a graph that comes with mimc");
        let text = &file.span.file.text;
        let told = desk.good(&["explain", name]).out;
        assert!(told.contains(text.trim_end()), "{told}");
        let own = wide(text);
        for line in wide(&told) {
            assert!(own.contains(&line), "mimc explain {name}:\n{line}");
        }
    }
}
