use super::*;
use crate::random::Key;

fn span(text: &str) -> Span {
    Span::of_text("test", text)
}

/// The groups of a side, written again.
fn show(side: &Side) -> String {
    let axis = |axis: &Axis| match axis.marked {
        true => format!("[{}]", axis.name),
        false => axis.name.to_string(),
    };
    let group = |group: &Group| match group {
        Group::Rest => "...".to_owned(),
        Group::Axes(axes) if axes.len() == 1 => axis(&axes[0]),
        Group::Axes(axes) => format!("({})", axes.iter().map(axis).collect::<Vec<_>>().join(" ")),
    };
    side.iter().map(group).collect::<Vec<_>>().join(" ")
}

#[test]
fn patterns_parse() {
    for (text, want) in [
        ("b (y i) (x j) c", "b (y i) (x j) c"),
        (" b [h w]  c ", "b [h] [w] c"),
        ("[b h w c]", "[b] [h] [w] [c]"),
        ("... c", "... c"),
        ("... 1", "... 1"),
        ("1 (h w)1", "1 (h w) 1"),
        ("(a)", "a"),
        ("", ""),
    ] {
        assert_eq!(show(&parse_side(&span(text)).expect(text)), want, "{text}");
    }
    let arrow = parse_arrow(&span("b h w->(b h) w")).expect("an arrow");
    assert_eq!(
        (show(&arrow.from), show(&arrow.to)),
        ("b h w".into(), "(b h) w".into())
    );
    assert_eq!(arrow.to.place(0).text(), "(b h)");
    let einsum = parse_einsum(&span("... i, o i -> ... o")).expect("an einsum");
    let operands: Vec<_> = einsum.operands.iter().map(show).collect();
    assert_eq!(operands, ["... i", "o i"]);
    assert_eq!(einsum.operands[1].place(0).range, 7..8);
}

/// Each mistake, and the text its caret stands under.
#[test]
fn mistakes_are_pointed_at() {
    for (text, want) in [
        ("b c", "b c"),
        ("a -> b -> c", "->"),
        ("a b a -> a", "a"),
        ("(a (b c)) -> a", "("),
        ("(a b -> a", "("),
        ("a) -> a", ")"),
        ("[a -> a", "["),
        ("a] -> a", "]"),
        ("[[a]] -> a", "["),
        ("[(a b)] -> a", "("),
        ("([a] b) -> a", "["),
        ("() -> a", "()"),
        ("a ... -> a", "..."),
        ("(...) -> a", "..."),
        ("a 0 -> a", "0"),
        ("a 2b -> a", "2b"),
        ("a-b -> a", "-"),
        ("é -> a", "é"),
        ("a, b -> c", ","),
    ] {
        let error = parse_arrow(&span(text)).expect_err(text);
        let place = error.0[0].span.as_ref().expect("a place");
        assert_eq!(place.text(), want, "{text}");
    }
    assert!(parse_side(&span("a -> b")).is_err());
}

fn bound(pattern: &str, shape: &[usize], known: &[(&str, usize)]) -> Result<Sizes> {
    let mut sizes = Sizes::default();
    known.iter().for_each(|(name, size)| sizes.set(name, *size));
    sizes.bind(&parse_side(&span(pattern))?, shape)?;
    Ok(sizes)
}

#[test]
fn sizes_are_inferred() {
    let sizes = bound("... (h p) 1 c", &[5, 6, 12, 1, 3], &[("p", 4)]).expect("binds");
    assert_eq!(sizes.rest(), [5, 6]);
    assert_eq!((sizes.get("h"), sizes.get("c")), (Some(3), Some(3)));
    let to = parse_side(&span("... h (p c) 1")).expect("parses");
    assert_eq!(sizes.shape(&to).expect("known"), [5, 6, 3, 12, 1]);
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    for (pattern, shape, known, code) in [
        ("a b", &[2][..], &[][..], "rank-differs"),
        ("a", &[2, 3], &[], "rank-differs"),
        ("... a b", &[2], &[], "rank-differs"),
        ("a 1", &[2, 3], &[], "size-differs"),
        ("a b", &[2, 3], &[("b", 4)], "size-differs"),
        ("(a b)", &[12], &[("a", 3), ("b", 5)], "size-differs"),
        ("(a b)", &[12], &[("a", 5)], "does-not-divide"),
        ("(a b)", &[12], &[("a", 0)], "does-not-divide"),
        ("(a b c)", &[12], &[("b", 2)], "unknown-size"),
    ] {
        let error = bound(pattern, shape, known).expect_err(pattern);
        assert_eq!(error.0[0].code, code, "{pattern}");
    }
    let huge = parse_side(&span("(a b)")).expect("parses");
    let mut sizes = Sizes::default();
    assert_eq!(
        sizes.shape(&huge).expect_err("unknown").0[0].code,
        "unknown-size"
    );
    sizes.set("a", usize::MAX);
    sizes.set("b", 2);
    assert_eq!(
        sizes.shape(&huge).expect_err("too large").0[0].code,
        "too-large"
    );
}

/// Of a random side with random sizes: its shape binds back to the same sizes, one factor of each group left out.
#[test]
fn a_shape_binds_back_to_its_sizes() {
    for case in 0..1000 {
        let key = Key::new(case).with("pattern");
        let (mut text, mut all, mut given) = (String::new(), Sizes::default(), Sizes::default());
        let rest = key.below(0, 2) == 1;
        if rest {
            text += "... ";
        }
        for group in 0..key.below(1, 5) {
            let key = key.at(group);
            let factors = 1 + key.below(0, 3);
            let left_out = key.below(1, factors);
            text += if factors > 1 { "(" } else { "" };
            for factor in 0..factors {
                let name = format!("a{group}_{factor}");
                let size = 1 + key.at(factor).below(2, 7) as usize;
                all.set(&name, size);
                if factor != left_out {
                    given.set(&name, size);
                }
                text += &format!("{name} ");
            }
            text += if factors > 1 { ")" } else { "" };
        }
        let side = parse_side(&span(&text)).expect("parses");
        let own = all.shape(&side).expect("all sizes are known");
        let leading = if rest { &[7, 9][..] } else { &[] };
        let shape = [leading, &own].concat();
        given
            .bind(&side, &shape)
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(given.rest(), leading);
        assert_eq!(given.shape(&side).expect("bound"), shape);
        for name in side.names() {
            assert_eq!(given.get(name), all.get(name), "{text}");
        }
    }
}
