//! Where numbers come from: kept with each of them, so that a message can tell.

use super::value::Value;
use crate::{
    diagnostic::{Diagnostic, Span},
    language::expression::Expr,
};
use std::rc::Rc;

/// How many workings back a number remembers: no message tells more.
const MEMORY: usize = 6;
/// How many numbers a note names behind the one it is about.
const FACTS: usize = 6;

/// Where a number came from, and whether it grows with the number of images.
#[derive(Debug, Clone)]
pub struct Source {
    origin: Rc<Origin>,
    over_batch: bool,
}

#[derive(Debug)]
enum Origin {
    Unknown,
    /// The number of images itself.
    Batch,
    /// A fact of the run that stands in no file.
    Given(&'static str),
    Written(Span),
    /// By an expression, from numbers with names.
    Worked {
        out: Span,
        from: Vec<(String, Value)>,
        depth: usize,
    },
}

impl Source {
    pub fn unknown() -> Self {
        Source::new(Origin::Unknown, false)
    }

    pub fn batch() -> Self {
        Source::new(Origin::Batch, true)
    }

    pub fn given(what: &'static str) -> Self {
        Source::new(Origin::Given(what), false)
    }

    pub fn written(span: &Span) -> Self {
        Source::new(Origin::Written(span.clone()), false)
    }

    /// An expression over the given parts of it.
    pub fn worked<'a>(expr: &Expr, parts: impl IntoIterator<Item = (&'a Expr, &'a Value)>) -> Self {
        Source::worked_at(&expr.span, parts)
    }

    /// As [`Source::worked`], for an expression that is known by its place.
    pub fn worked_at<'a>(
        out: &Span,
        parts: impl IntoIterator<Item = (&'a Expr, &'a Value)>,
    ) -> Self {
        let mut named = Vec::new();
        for (part, value) in parts {
            match &*value.source.origin {
                // What a sub-expression worked out is told by what it worked with; a literal tells itself.
                Origin::Worked {
                    out: part, from, ..
                } if encloses(out, part) => named.extend(from.iter().cloned()),
                Origin::Written(span) if encloses(out, span) => {}
                _ => named.push((part.to_string(), value.clone())),
            }
        }
        Source::from_named(out, named)
    }

    /// What `out` makes of numbers with names.
    pub fn from_named(out: &Span, mut from: Vec<(String, Value)>) -> Self {
        let over_batch = from.iter().any(|(_, value)| value.source.over_batch);
        let depth = 1 + from
            .iter()
            .map(|(_, value)| value.source.depth())
            .max()
            .unwrap_or(0);
        if depth > MEMORY {
            from.clear();
        }
        let origin = Origin::Worked {
            out: out.clone(),
            depth: depth.min(MEMORY),
            from,
        };
        Source::new(origin, over_batch)
    }

    fn new(origin: Origin, over_batch: bool) -> Self {
        Source {
            origin: Rc::new(origin),
            over_batch,
        }
    }

    fn depth(&self) -> usize {
        match &*self.origin {
            Origin::Worked { depth, .. } => *depth,
            _ => 0,
        }
    }

    /// Where the number itself was written, if it was.
    pub fn span(&self) -> Option<&Span> {
        match &*self.origin {
            Origin::Written(span) => Some(span),
            _ => None,
        }
    }

    pub fn is_batch(&self) -> bool {
        matches!(*self.origin, Origin::Batch)
    }

    /// Whether the number depends on how many images there are.
    pub fn is_over_batch(&self) -> bool {
        self.over_batch
    }

    /// Adds the history of a number to a message.
    pub fn explain(&self, error: Diagnostic, name: &str, value: &Value) -> Diagnostic {
        let fact = format!("{name} = {value}");
        let error = match &*self.origin {
            Origin::Written(span) => return error.note_at(fact, span),
            Origin::Worked { out, from, .. } if !from.is_empty() => {
                let behind = behind(from).join(", ");
                return error.note(format!("{fact} from {}, where {behind}", working(out)));
            }
            _ => error,
        };
        match self.place() {
            Some(place) => error.note(format!("{fact} from {place}")),
            None => error.note(fact),
        }
    }

    fn place(&self) -> Option<String> {
        match &*self.origin {
            Origin::Unknown => None,
            Origin::Batch => Some("the number of images".into()),
            Origin::Given(what) => Some((*what).into()),
            Origin::Written(span) => Some(span.to_string()),
            Origin::Worked { out, .. } => Some(working(out)),
        }
    }
}

fn encloses(outer: &Span, inner: &Span) -> bool {
    outer.file == inner.file
        && outer.range.start <= inner.range.start
        && inner.range.end <= outer.range.end
}

/// `size // patch (graphs/nn/patch_embed.yaml:20:18)`
fn working(out: &Span) -> String {
    let words: Vec<_> = out.text().split_whitespace().collect();
    format!("{} ({out})", words.join(" "))
}

/// The numbers behind a number, nearest first, each told once.
fn behind(from: &[(String, Value)]) -> Vec<String> {
    let mut facts: Vec<String> = Vec::new();
    let mut level: Vec<&(String, Value)> = from.iter().collect();
    while !level.is_empty() {
        let mut next = Vec::new();
        for (name, value) in level {
            let fact = match value.source.place() {
                Some(place) => format!("{name} = {value} from {place}"),
                None => format!("{name} = {value}"),
            };
            if facts.len() == FACTS {
                return facts;
            }
            if !facts.contains(&fact) {
                facts.push(fact);
            }
            if let Origin::Worked { from, .. } = &*value.source.origin {
                next.extend(from);
            }
        }
        level = next;
    }
    facts
}
