use super::*;
use crate::random::Key;

fn parsed(text: &str) -> Expr {
    parse(&Span::of_text("test", text)).unwrap_or_else(|error| panic!("{error}"))
}

/// Fully parenthesised, prefix form: the tree without its spans, written by other code than `Display`.
fn tree(expr: &Expr) -> String {
    use ExprKind::*;
    let all = |exprs: &[Expr]| exprs.iter().map(tree).collect::<Vec<_>>().join(" ");
    let maybe = |expr: &Option<Box<Expr>>| expr.as_ref().map_or("_".to_owned(), |e| tree(e));
    match &expr.kind {
        Int(value) => value.to_string(),
        Float(value) => format!("{value:e}"),
        Text(text) => format!("{text:?}"),
        Bool(value) => value.to_string(),
        Null => "null".to_owned(),
        Name(name) => name.clone(),
        List(items) => format!("[{}]", all(items)),
        Negate(of) => format!("(neg {})", tree(of)),
        Not(of) => format!("(not {})", tree(of)),
        Binary(op, left, right) => format!("({op:?} {} {})", tree(left), tree(right)),
        Compare(operands, ops) => format!("({ops:?} {})", all(operands)),
        And(operands) => format!("(and {})", all(operands)),
        Or(operands) => format!("(or {})", all(operands)),
        Choice {
            test,
            then,
            otherwise,
        } => format!("(if {} {} {})", tree(test), tree(then), tree(otherwise)),
        Index { of, at } => format!("(at {} {})", tree(of), tree(at)),
        Slice { of, from, to } => format!("(slice {} {} {})", tree(of), maybe(from), maybe(to)),
        Call {
            function,
            args,
            keywords,
        } => {
            let named = keywords
                .iter()
                .map(|(k, v)| format!(" {}={}", k.value, tree(v)));
            format!(
                "({} {}{})",
                function.value,
                all(args),
                named.collect::<String>()
            )
        }
    }
}

#[test]
fn precedence_is_that_of_python() {
    for (text, want) in [
        ("a + b * c", "(Add a (Mul b c))"),
        ("a - b - c", "(Sub (Sub a b) c)"),
        ("a // b % c / d", "(Div (Mod (FloorDiv a b) c) d)"),
        ("-a ** 2", "(neg (Pow a 2))"),
        ("2 ** -1", "(Pow 2 (neg 1))"),
        ("a ** b ** c", "(Pow a (Pow b c))"),
        ("(d // h) ** -0.5", "(Pow (FloorDiv d h) (neg 5e-1))"),
        ("-a * b", "(Mul (neg a) b)"),
        ("- - a", "(neg (neg a))"),
        ("not a == b", "(not ([Equal] a b))"),
        ("not a and b or c", "(or (and (not a) b) c)"),
        ("a or b and c", "(or a (and b c))"),
        ("a or b or c", "(or a b c)"),
        ("0 <= r < 1 + 1", "([LessEqual, Less] 0 r (Add 1 1))"),
        ("a if b else c if d else e", "(if b a (if d c e))"),
        ("a + b if c else d", "(if c (Add a b) d)"),
        ("a if b or c else d", "(if (or b c) a d)"),
        ("x[0][i + 1]", "(at (at x 0) (Add i 1))"),
        ("x[:i]", "(slice x _ i)"),
        ("x[sum(d[:i]):]", "(slice x (sum (slice d _ i)) _)"),
        ("-x[1]", "(neg (at x 1))"),
        ("x[1] ** 2", "(Pow (at x 1) 2)"),
        (
            "nn.linear(x, out=3 * dim,)",
            "(nn.linear x out=(Mul 3 dim))",
        ),
        ("f()", "(f )"),
        ("[]", "[]"),
        ("[a, [1e-5]]", "[a [1e-5]]"),
        ("f('\"', \"it's\")", r#"(f "\"" "it's")"#),
        ("i % 2 == 1", "([Equal] (Mod i 2) 1)"),
        ("a\n    + b", "(Add a b)"),
    ] {
        assert_eq!(tree(&parsed(text)), want, "{text}");
    }
}

#[test]
fn spans_cover_what_was_written() {
    let expr = parsed("x + rearrange((y), \n  'b c', k = (1 + 2) * 3)");
    let mut texts = Vec::new();
    expr.walk(&mut |e| texts.push(e.span.text().to_owned()));
    assert_eq!(
        texts[1..],
        [
            "x",
            "rearrange((y), \n  'b c', k = (1 + 2) * 3)",
            "y",
            "'b c'",
            "(1 + 2) * 3",
            "1 + 2",
            "1",
            "2",
            "3"
        ]
    );
}

#[test]
fn a_text_knows_what_stands_inside_its_quotes() {
    let expr = parsed("  'b c'");
    let (text, span) = expr.as_text().expect("a text");
    assert_eq!((text, span.text(), span.range.start), ("b c", "b c", 3));
}

/// A random expression of at most the given depth, as the parser could have made it.
fn random(key: Key, depth: u64) -> Expr {
    let pick = |purpose: &str, n: u64| key.with(purpose).below(0, n);
    let child = |i: u64| random(key.with("child").at(i), depth - 1);
    let boxed = |i: u64| Box::new(child(i));
    let some = |n: u64| (0..n).map(child).collect::<Vec<_>>();
    let name =
        |i: u64| ["x", "dim", "size_2", "iffy"][key.with("name").below(i, 4) as usize].to_owned();
    let spanned = |value: String| Spanned {
        value,
        span: Span::of_text("", ""),
    };
    let kind = match pick("kind", if depth == 0 { 6 } else { 17 }) {
        0 => ExprKind::Int(pick("int", 1 << 40) as i64),
        1 => ExprKind::Float(key.uniform(1) * 10f64.powi(pick("exponent", 40) as i32 - 20)),
        2 => ExprKind::Text(["b h -> h b", "it's", "\"", ""][pick("text", 4) as usize].to_owned()),
        3 => ExprKind::Bool(pick("bool", 2) == 1),
        4 => ExprKind::Null,
        5 => ExprKind::Name(name(0)),
        6 => ExprKind::List(some(pick("length", 4))),
        7 => ExprKind::Negate(boxed(0)),
        8 => ExprKind::Not(boxed(0)),
        9 | 10 => {
            use BinaryOp::*;
            let op = [Add, Sub, Mul, Div, FloorDiv, Mod, Pow][pick("binary", 7) as usize];
            ExprKind::Binary(op, boxed(0), boxed(1))
        }
        11 => {
            use CompareOp::*;
            let ops = [Less, LessEqual, Greater, GreaterEqual, Equal, NotEqual];
            let n = 1 + pick("length", 3);
            let op = |i| ops[key.with("compare").below(i, 6) as usize];
            ExprKind::Compare(some(n + 1), (0..n).map(op).collect())
        }
        12 => ExprKind::And(some(2 + pick("length", 2))),
        13 => ExprKind::Or(some(2 + pick("length", 2))),
        14 => ExprKind::Choice {
            test: boxed(0),
            then: boxed(1),
            otherwise: boxed(2),
        },
        15 if pick("slice", 2) == 0 => ExprKind::Index {
            of: boxed(0),
            at: boxed(1),
        },
        15 => ExprKind::Slice {
            of: boxed(0),
            from: (pick("from", 2) == 0).then(|| boxed(1)),
            to: (pick("to", 2) == 0).then(|| boxed(2)),
        },
        _ => ExprKind::Call {
            function: spanned(["nn.mlp", "sum", "a.b.c"][pick("function", 3) as usize].to_owned()),
            args: some(pick("args", 3)),
            keywords: (0..pick("keywords", 3))
                .map(|i| (spanned(format!("k{i}")), child(10 + i)))
                .collect(),
        },
    };
    Expr {
        kind,
        span: Span::of_text("", ""),
    }
}

#[test]
fn what_is_displayed_parses_back() {
    for case in 0..2000 {
        let expr = random(Key::new(case), 4);
        let text = expr.to_string();
        if let Ok(back) = parse(&Span::of_text("test", &text)) {
            assert_eq!(tree(&back), tree(&expr), "{text}");
            assert_eq!(back.to_string(), text);
        } else {
            assert!(
                text.len() > 1000,
                "only a very long text is refused: {text}"
            );
        }
    }
}

/// Any text, however broken, is parsed or refused with a place inside it.
#[test]
fn broken_text_is_refused_in_place() {
    let whole = "a if b[1:2] == 'x y' else nn.f(-c ** 2, k=[1e-5, not d], )";
    let junk = [
        "(", ")", "[", "]", "'", ",", "=", " if ", " not ", "é", "1", ".", "**", "\\", "&&",
    ];
    for case in 0..3000 {
        let key = Key::new(case).with("junk");
        let mut text = whole.to_owned();
        for edit in 0..1 + key.below(9, 3) {
            let at = key.at(edit).below(0, text.len() as u64) as usize;
            let piece = junk[key.at(edit).below(1, junk.len() as u64) as usize];
            match (text.is_char_boundary(at), key.at(edit).below(2, 2)) {
                (false, _) => {}
                (true, 0) => text.insert_str(at, piece),
                (true, _) => text.truncate(at),
            }
        }
        if let Err(error) = parse(&Span::of_text("test", &text)) {
            let span = error.0[0].span.clone().expect("a syntax error has a place");
            assert!(span.range.end <= text.len(), "{text}");
        }
    }
}

#[test]
fn hostile_expressions_are_refused() {
    let deep = ["(", "[", "-", "not ", "2 ** ", "1 if a else ", "x[", "f("];
    for piece in deep {
        let text = piece.repeat(450);
        let error = parse(&Span::of_text("test", &text)).expect_err("too deep");
        assert_eq!(error.0[0].code, "too-deep", "{piece}");
    }
    let long = "a + ".repeat(100_000) + "a";
    let error = parse(&Span::of_text("test", &long)).expect_err("too long");
    assert_eq!(error.0[0].code, "too-deep");
}
