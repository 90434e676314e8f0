//! YAML nodes to a [`GraphFile`], whatever is broken left out and reported.

use super::{
    Advice, Dim, GraphFile, Param, Preset, Step, StepBody, TensorDecl, WeightDecl, params,
};
use crate::{
    diagnostic::{Diagnostic, Span},
    language::{
        expression::{self, Expr, ExprKind, Spanned},
        names::{BARE_INITIALISERS, FOLD_NAMES},
        yaml::{Entry, Fields, Node, NodeKind, Scalar},
    },
};

const KEYS: &[&str] = &[
    "doc", "params", "presets", "inputs", "require", "advise", "weights", "steps", "outputs",
];

pub fn read(root: &Node, name: &str) -> (GraphFile, Vec<Diagnostic>) {
    let mut reader = Reader { found: Vec::new() };
    let fields = root.fields("a graph file", KEYS, &mut reader.found);
    let outputs = fields.require("outputs", &mut reader.found);
    let first_line = root.span.file.text.lines().next().unwrap_or("").len();
    let params = params::read_all(&mut reader, fields.get("params"));
    let graph = GraphFile {
        name: name.to_owned(),
        span: Span::new(&root.span.file, 0..first_line),
        doc: reader.doc(fields.get("doc")).unwrap_or_default(),
        presets: reader.presets(fields.get("presets"), &params),
        params,
        inputs: reader.named(fields.get("inputs"), "`inputs`", Reader::tensor),
        require: reader.exprs(fields.get("require"), "`require`"),
        advise: reader.advise(fields.get("advise")),
        weights: reader.named(fields.get("weights"), "`weights`", Reader::weight),
        steps: reader.named(fields.get("steps"), "`steps`", Reader::step),
        outputs: reader.named(outputs, "`outputs`", Reader::tensor),
    };
    if let Some(outputs) = outputs
        && matches!(&outputs.kind, NodeKind::Map(entries) if entries.is_empty())
    {
        let message = "a graph has at least one output";
        reader.report("missing-key", message, &outputs.span);
    }
    (graph, reader.found)
}

/// Reads nodes and collects what is wrong with them.
pub struct Reader {
    pub found: Vec<Diagnostic>,
}

impl Reader {
    pub fn report(&mut self, code: &'static str, message: impl Into<String>, span: &Span) {
        self.found.push(Diagnostic::error(code, message).at(span));
    }

    /// The text of a `doc`.
    pub fn doc(&mut self, node: Option<&Node>) -> Option<String> {
        let scalar = node?.scalar("`doc`", &mut self.found)?;
        Some(scalar.text.clone())
    }

    /// The entries of a section that may be absent.
    pub fn entries<'a>(&mut self, node: Option<&'a Node>, what: &str) -> &'a [Entry] {
        node.map_or(&[], |node| node.entries(what, &mut self.found))
    }

    /// An expression; a YAML list is a list of expressions. Where there is none to read, `null` stands in its place, so
    /// that the name it is bound to stays known.
    pub fn expr(&mut self, node: &Node) -> Expr {
        let span = node.span.clone();
        let kind = match &node.kind {
            NodeKind::Scalar(scalar) => match self.parsed(scalar, &span) {
                Some(expr) => return expr,
                None => ExprKind::Null,
            },
            NodeKind::List(items) => {
                ExprKind::List(items.iter().map(|item| self.expr(item)).collect())
            }
            NodeKind::Map(_) => {
                node.scalar("an expression", &mut self.found);
                ExprKind::Null
            }
        };
        Expr { kind, span }
    }

    fn parsed(&mut self, scalar: &Scalar, span: &Span) -> Option<Expr> {
        if scalar.text.trim().is_empty() {
            self.report("missing-expression", "an expression is missing here", span);
            return None;
        }
        let parsed = expression::parse_scalar(scalar);
        parsed.map_err(|errors| self.found.extend(errors.0)).ok()
    }

    /// The expression under a key that has to be there.
    fn required(&mut self, fields: &Fields, key: &str) -> Expr {
        match fields.require(key, &mut self.found) {
            Some(node) => self.expr(node),
            None => Expr {
                kind: ExprKind::Null,
                span: fields.span().clone(),
            },
        }
    }

    fn exprs(&mut self, node: Option<&Node>, what: &str) -> Vec<Expr> {
        let items = node.map_or(&[][..], |node| node.items(what, &mut self.found));
        items.iter().map(|item| self.expr(item)).collect()
    }

    fn presets(&mut self, node: Option<&Node>, params: &[Param]) -> Vec<Preset> {
        let entries = self.entries(node, "`presets`").iter();
        let read = |entry: &Entry| {
            let values = entry.value.entries("a preset", &mut self.found).iter();
            let mut kept = Vec::new();
            for Entry { key, value } in values {
                if params.iter().all(|param| param.name.value != key.value) {
                    let message = format!("there is no param `{}` to preset", key.value);
                    let error = Diagnostic::error("unknown-param", message).at(&key.span);
                    let names = params.iter().map(|param| param.name.value.as_str());
                    self.found.push(error.suggest(&key.value, names));
                }
                kept.push((key.clone(), value.span.clone()));
            }
            Preset {
                name: entry.key.clone(),
                values: kept,
            }
        };
        entries.map(read).collect()
    }

    fn advise(&mut self, node: Option<&Node>) -> Vec<Advice> {
        let items = node.map_or(&[][..], |node| node.items("`advise`", &mut self.found));
        let read = |item: &Node| {
            let fields = item.fields("advice", &["should", "since"], &mut self.found);
            let since = fields.require("since", &mut self.found);
            let since = since.and_then(|node| node.scalar("`since`", &mut self.found));
            Advice {
                since: since.map_or(String::new(), |scalar| scalar.text.clone()),
                should: self.required(&fields, "should"),
            }
        };
        items.iter().map(read).collect()
    }

    fn named<T>(
        &mut self,
        node: Option<&Node>,
        what: &str,
        read: fn(&mut Self, Spanned<String>, &Node) -> T,
    ) -> Vec<T> {
        let entries = self.entries(node, what).iter();
        let read_entry = |entry: &Entry| {
            self.check_name(&entry.key);
            read(self, entry.key.clone(), &entry.value)
        };
        entries.map(read_entry).collect()
    }

    /// A name that the file binds.
    pub fn check_name(&mut self, key: &Spanned<String>) {
        let name = key.value.as_str();
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let message = if !starts || !name.chars().all(word) {
            format!("`{name}` is no name: letters, digits and _, a letter first")
        } else if expression::is_keyword(name)
            || FOLD_NAMES.contains(&name)
            || BARE_INITIALISERS.contains(&name)
        {
            format!("`{name}` has a meaning of its own and names nothing else")
        } else {
            return;
        };
        let mut error = Diagnostic::error("reserved-name", message).at(&key.span);
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            error = error.help("give the step a name and `scope: …`, which prefixes its weights");
        }
        self.found.push(error);
    }

    fn tensor(&mut self, name: Spanned<String>, node: &Node) -> TensorDecl {
        let items = node.items("a shape", &mut self.found);
        let dims = items.iter().enumerate().map(|(i, item)| {
            let rest = matches!(&item.kind, NodeKind::Scalar(scalar) if scalar.text == "...");
            if !rest {
                return Dim::Size(self.expr(item));
            }
            if i > 0 {
                let message = "`...` stands for the leading axes, so it comes first";
                self.report("shape-syntax", message, &item.span);
            }
            Dim::Rest(item.span.clone())
        });
        TensorDecl {
            dims: dims.collect(),
            name,
        }
    }

    fn weight(&mut self, name: Spanned<String>, node: &Node) -> WeightDecl {
        let keys = ["shape", "init", "decay", "when"];
        let fields = node.fields("a weight", &keys, &mut self.found);
        let shape = fields.require("shape", &mut self.found);
        WeightDecl {
            name,
            shape: self.exprs(shape, "a shape"),
            init: self.required(&fields, "init"),
            decay: fields.get("decay").map(|node| self.expr(node)),
            when: fields.get("when").map(|node| self.expr(node)),
        }
    }

    fn step(&mut self, name: Spanned<String>, node: &Node) -> Step {
        let NodeKind::Map(_) = node.kind else {
            let body = StepBody::Value(self.expr(node));
            let scope = None;
            return Step { name, scope, body };
        };
        let keys = ["scope", "is", "repeat", "from", "each"];
        let fields = node.fields("a step", &keys, &mut self.found);
        let fold = ["repeat", "from", "each"]
            .iter()
            .any(|key| fields.get(key).is_some());
        if fold && let Some(is) = fields.get("is") {
            let message = "a step either `is` something or repeats something";
            self.report("wrong-kind", message, &is.span);
        }
        let scope = fields.get("scope").and_then(|node| self.scope(node));
        let body = if fold {
            StepBody::Repeat {
                count: self.required(&fields, "repeat"),
                from: self.required(&fields, "from"),
                each: self.required(&fields, "each"),
            }
        } else {
            StepBody::Value(self.required(&fields, "is"))
        };
        Step { name, scope, body }
    }

    /// One part of the names of weights.
    fn scope(&mut self, node: &Node) -> Option<String> {
        let scalar = node.scalar("`scope`", &mut self.found)?;
        let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if scalar.text.is_empty() || !scalar.text.chars().all(part) {
            let message = "a scope is one part of a weight's name: letters, digits and _";
            self.report("wrong-scope", message, &node.span);
            return None;
        }
        Some(scalar.text.clone())
    }
}
