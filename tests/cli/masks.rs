//! `mimc masks`

use super::Desk;
use serde_json::Value;

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn picture(desk: &Desk, file: &str) -> image::RgbImage {
    image::open(desk.path(file)).expect("a picture").into_rgb8()
}

#[test]
fn a_sheet_shows_the_masks_that_a_run_begins_with() {
    let desk = Desk::new();
    let text = desk.good(&["masks", "tiny", "--count", "6"]).out;
    for piece in ["16 px", "AvgDist", "known to train well", "masks.png"] {
        assert!(text.contains(piece), "no `{piece}` in\n{text}");
    }
    // Six of 144 pixels in a row.
    assert_eq!(
        picture(&desk, "masks.png").dimensions(),
        (2 * 12 + 6 * 144 + 5 * 4, 2 * 12 + 144)
    );
    let json = desk
        .good(&["masks", "tiny", "--count", "6", "--json", "-o", "b.png"])
        .json();
    let one = &json["masks"][0];
    // 6 of 9 units, in every mask.
    assert_eq!(
        (number(&one["coverage"][0]), number(&one["coverage"][1])),
        (6.0 / 9.0, 0.0)
    );
    assert_eq!((&one["unit"], &one["masks"]), (&16.into(), &6.into()));
    assert!(number(&one["distance"][0]) > 1.0 && one["good"].is_boolean());
    assert_eq!(
        picture(&desk, "masks.png"),
        picture(&desk, "b.png"),
        "the same each time"
    );
}

#[test]
fn sweeps_are_a_table_and_a_heat_map() {
    let desk = Desk::new();
    let ratio = "model.masking.ratio=0..1/5";
    let unit = "model.masking.unit=8,16,17";
    let base = ["masks", "tiny", "--sweep", ratio, "--sweep", unit];
    let json = desk.good(&[&base[..], &["--json"]].concat()).json();
    let cells = json["masks"].as_array().expect("a list");
    assert_eq!(cells.len(), 15);
    let of = |unit: &str, ratio: &str| {
        let set = serde_json::json!([["model.masking.unit", unit], ["model.masking.ratio", ratio]]);
        cells
            .iter()
            .find(|cell| cell["set"] == set)
            .unwrap_or_else(|| panic!("{set} in {json}"))
    };
    // More hidden, farther away; smaller units, nearer.
    let distance = |unit, ratio| number(&of(unit, ratio)["distance"][0]);
    assert!(distance("8", "0.25") < distance("8", "0.75"));
    assert!(distance("8", "0.5") < distance("16", "0.5"));
    assert_eq!(of("8", "0")["distance"], Value::Null);
    assert_eq!(number(&of("8", "1")["coverage"][0]), 1.0);
    // 48 is no multiple of 17.
    assert!(
        of("17", "0.5")["error"]
            .as_str()
            .is_some_and(|told| !told.is_empty())
    );
    let heat = picture(&desk, "masks.png");
    assert!(
        heat.width() > 500 && heat.height() > 150,
        "{:?}",
        heat.dimensions()
    );

    let text = desk.good(&base).out;
    assert!(
        text.lines()
            .next()
            .is_some_and(|line| line.contains("masking.unit") && line.contains("ratio"))
    );
    assert!(text.contains("all or nothing"), "{text}");
}

#[test]
fn what_cannot_be_shown_is_told() {
    let desk = Desk::new();
    let three = ["--sweep", "a=1", "--sweep", "b=1", "--sweep", "c=1"];
    let wrong: [(&[&str], i32, &str); 6] = [
        (&three, 1, "a table has two sides"),
        (&["--sweep", "ratio"], 2, "wanted PATH=A,B"),
        (
            &["--sweep", "model.masking.unit=7,9"],
            1,
            "size % unit == 0 does not hold in mask.random",
        ),
        (
            &["--set", "model.masking.unit=7"],
            1,
            "size % unit == 0 does not hold in mask.random",
        ),
        (
            &["--sweep", "model.masking.ration=0.1,0.2"],
            1,
            "did you mean `ratio`?",
        ),
        (
            &["--set", "model.masking={graph: mask.given, unit: 16}"],
            1,
            "cannot be drawn without its model",
        ),
    ];
    for (arguments, code, told) in wrong {
        let said = desk.mimc(&[&["masks", "tiny"], arguments].concat());
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
        assert!(said.told().contains(told), "{arguments:?}: {}", said.err);
    }
}
