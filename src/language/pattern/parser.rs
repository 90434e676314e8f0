//! Pattern text to sides.

use super::{Axis, AxisName, Group, Side};
use crate::diagnostic::{Diagnostic, Result, Span};
use std::{collections::HashSet, ops::Range};

fn error(source: &Span, range: Range<usize>, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("pattern-syntax", message).at(source.part(range))
}

/// The bytes on either side of the one arrow.
pub fn split_arrow(source: &Span) -> Result<(Range<usize>, Range<usize>)> {
    let text = source.text();
    let mut arrows = text.match_indices("->").map(|(at, _)| at);
    let Some(arrow) = arrows.next() else {
        let help = "write the axes before and after, as in \"b (h w) c -> b h w c\"";
        return error(source, 0..text.len(), "a pattern without `->`")
            .help(help)
            .fail();
    };
    if let Some(second) = arrows.next() {
        return error(source, second..second + 2, "a second `->`").fail();
    }
    Ok((0..arrow, arrow + 2..text.len()))
}

/// The bytes between the commas of `range`.
pub fn split_commas(source: &Span, range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let pieces = source.text()[range.clone()].split(',');
    let ends = pieces.scan(range.start, |next, piece| {
        let start = *next;
        *next += piece.len() + 1;
        Some(start..start + piece.len())
    });
    ends.collect::<Vec<_>>().into_iter()
}

/// Parses the axes of one tensor, the bytes `range` of `source`.
pub fn side(source: &Span, range: Range<usize>) -> Result<Side> {
    let mut parser = Parser {
        source,
        groups: Vec::new(),
        places: Vec::new(),
        brackets: None,
        composing: None,
        names: HashSet::new(),
    };
    for word in words(source.text(), range.clone()) {
        parser.word(word)?;
    }
    if let Some((start, _)) = parser.composing {
        return error(source, start..start + 1, "no `)` closes this `(`").fail();
    }
    if let Some(start) = parser.brackets {
        return error(source, start..start + 1, "no `]` closes this `[`").fail();
    }
    let start = range.start;
    let relative = |place: Range<usize>| place.start - start..place.end - start;
    Ok(Side {
        groups: parser.groups,
        places: parser.places.into_iter().map(relative).collect(),
        span: source.part(range),
    })
}

/// Brackets and parentheses stand alone, everything else up to the next space or bracket is a word.
fn words(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open: Option<usize> = None;
    for (at, c) in text[range.clone()].char_indices() {
        let at = range.start + at;
        let single = "()[]".contains(c);
        if (single || c.is_whitespace())
            && let Some(start) = open.take()
        {
            found.push(start..at);
        }
        if single {
            found.push(at..at + 1);
        } else if !c.is_whitespace() && open.is_none() {
            open = Some(at);
        }
    }
    found.extend(open.map(|start| start..range.end));
    found
}

struct Parser<'a> {
    source: &'a Span,
    groups: Vec<Group>,
    places: Vec<Range<usize>>,
    /// Where the open `[` stands.
    brackets: Option<usize>,
    /// Where the open `(` stands, and its factors so far.
    composing: Option<(usize, Vec<Axis>)>,
    names: HashSet<String>,
}

impl Parser<'_> {
    fn word(&mut self, range: Range<usize>) -> Result<()> {
        let word = &self.source.text()[range.clone()];
        let wrong = |message: &str| error(self.source, range.clone(), message).fail();
        match word {
            "[" if self.brackets.is_some() => return wrong("brackets do not nest"),
            "[" if self.composing.is_some() => {
                return wrong("what is acted on is a whole axis, not a factor of one");
            }
            "[" => self.brackets = Some(range.start),
            "]" => {
                if self.brackets.take().is_none() {
                    return wrong("no `[` opens this `]`");
                }
            }
            "(" if self.composing.is_some() => return wrong("parentheses do not nest"),
            "(" if self.brackets.is_some() => {
                return wrong("what is acted on has one name, not several composed");
            }
            "(" => self.composing = Some((range.start, Vec::new())),
            ")" => match self.composing.take() {
                None => return wrong("no `(` opens this `)`"),
                Some((start, axes)) if axes.is_empty() => {
                    let place = start..range.end;
                    return error(self.source, place, "nothing is composed here")
                        .help("an axis of size 1 is written `1`")
                        .fail();
                }
                Some((start, axes)) => self.push(Group::Axes(axes), start..range.end),
            },
            "..."
                if self.groups.is_empty()
                    && self.composing.is_none()
                    && self.brackets.is_none() =>
            {
                self.push(Group::Rest, range);
            }
            "..." => {
                return wrong("`...` stands for the leading axes, so it comes first and alone");
            }
            _ => {
                let axis = self.axis(range.clone())?;
                match &mut self.composing {
                    Some((_, axes)) => axes.push(axis),
                    None => self.push(Group::Axes(vec![axis]), range),
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, group: Group, place: Range<usize>) {
        self.groups.push(group);
        self.places.push(place);
    }

    fn axis(&mut self, range: Range<usize>) -> Result<Axis> {
        let word = &self.source.text()[range.clone()];
        let marked = self.brackets.is_some();
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return match word.parse() {
                Ok(size) if size > 0 => Ok(Axis {
                    name: AxisName::Sized(size),
                    marked,
                }),
                _ => error(
                    self.source,
                    range,
                    format!("`{word}` is no size of an axis"),
                )
                .fail(),
            };
        }
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if let Some((at, c)) = word.char_indices().find(|(_, c)| !inside(*c)) {
            let at = range.start + at;
            let message = format!("`{c}` has no place in the name of an axis");
            return error(self.source, at..at + c.len_utf8(), message).fail();
        }
        if !self.names.insert(word.to_owned()) {
            let message = format!("the axis `{word}` stands here twice");
            return error(self.source, range, message).fail();
        }
        Ok(Axis {
            name: AxisName::Named(word.to_owned()),
            marked,
        })
    }
}
