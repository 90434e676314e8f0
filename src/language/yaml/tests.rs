use super::*;

fn tree(text: &str) -> Node {
    parse(&Span::of_text("test.yaml", text)).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn code(text: &str) -> &'static str {
    parse(&Span::of_text("test.yaml", text)).expect_err(text).0[0].code
}

/// The tree as text, every span by the source under it.
fn show(node: &Node) -> String {
    let inside = match &node.kind {
        NodeKind::Scalar(scalar) => format!("{:?}", scalar.content.text()),
        NodeKind::List(items) => items.iter().map(show).collect::<Vec<_>>().join(" "),
        NodeKind::Map(entries) => {
            let show_entry =
                |entry: &Entry| format!("{}={}", entry.key.span.text(), show(&entry.value));
            entries.iter().map(show_entry).collect::<Vec<_>>().join(" ")
        }
    };
    match node.kind {
        NodeKind::Scalar(_) => inside,
        _ => format!("<{inside}|{:?}>", node.span.text()),
    }
}

#[test]
fn spans_are_the_source_slices() {
    for (text, want) in [
        ("a: 1", r#"<a="1"|"a: 1">"#),
        (
            "é: ü  # ö\nb: 'ä x'",
            r#"<é="ü" b="ä x"|"é: ü  # ö\nb: 'ä x'">"#,
        ),
        (
            "a: \"x, y\"\r\nb: [1,  2 ]\r\n\r\n",
            r#"<a="x, y" b=<"1" "2"|"[1,  2 ]">|"a: \"x, y\"\r\nb: [1,  2 ]">"#,
        ),
        (
            "a:\n  b: { c: d }  # e\nf:\n",
            r#"<a=<b=<c="d"|"{ c: d }">|"b: { c: d }"> f=""|"a:\n  b: { c: d }  # e\nf">"#,
        ),
        (
            "- x +\n   y\n- z",
            r#"<"x +\n   y" "z"|"- x +\n   y\n- z">"#,
        ),
        (
            "a: |\n  x\n  y\nb: >-\n  z\n",
            r#"<a="x\n  y\n" b="z\n"|"a: |\n  x\n  y\nb: >-\n  z\n">"#,
        ),
        ("", r#""""#),
        ("'", ""),
    ] {
        if want.is_empty() {
            assert_eq!(code(text), "yaml-syntax");
        } else {
            assert_eq!(show(&tree(text)), want);
        }
    }
}

#[test]
fn scalars_follow_the_core_schema() {
    let read = |text: &str| match tree(text).kind {
        NodeKind::Scalar(scalar) => scalar.literal(),
        other => panic!("{other:?}"),
    };
    let text = |text: &str| Literal::Text(text.to_owned());
    for (source, want) in [
        ("12", Literal::Int(12)),
        ("-3", Literal::Int(-3)),
        ("1e-5", Literal::Float(1e-5)),
        (".5", Literal::Float(0.5)),
        ("~", Literal::Null),
        ("True", Literal::Bool(true)),
        ("'12'", text("12")),
        ("inf", text("inf")),
        (".inf", text(".inf")),
        ("-nan", text("-nan")),
        ("1e999", text("1e999")),
        ("99999999999999999999", Literal::Float(1e20)),
        ("0x10", text("0x10")),
    ] {
        assert_eq!(read(source), want, "{source}");
    }
}

#[test]
fn all_duplicates_are_reported_at_once() {
    let found = parse(&Span::of_text("t", "a: 1\na: 2\nb: 3\nb: 4\n"))
        .expect_err("two keys stand twice")
        .0;
    let places: Vec<_> = found
        .iter()
        .map(|one| one.span.as_ref().map(Span::to_string))
        .collect();
    assert_eq!(places, [Some("t:2:1".to_owned()), Some("t:4:1".to_owned())]);
}

/// A megabyte of anything answers in seconds, whatever the answer is.
#[test]
fn hostile_text_ends() {
    let pieces = [
        "[", "{", "- ", "? ", "a: ", "&a ", "!x ", "'", "\"\\", "|\n", "%", "a\n", "[a,", "{a: ",
        ": ", "-\n ", "é: ", "#", "\r", "---\n",
    ];
    for piece in pieces {
        let text = piece.repeat(200_000 / piece.len());
        let started = std::time::Instant::now();
        // Ok or Err, both are answers.
        let _ = parse(&Span::of_text("hostile", &text));
        let seconds = started.elapsed().as_secs_f64();
        assert!(seconds < 5.0, "{piece:?} took {seconds} s");
    }
    for key in 0..2 {
        let text: String = (0..50_000).map(|i| format!("k{}: 1\n", i * key)).collect();
        let _ = parse(&Span::of_text("hostile", &text));
    }
}
