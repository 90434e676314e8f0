//! The parts of a model as a tree in a table: shapes, parameters, work and time.

use super::{
    kernels::shape,
    work::{Sum, Sums},
};
use crate::{
    elaborate::Instance,
    text::units::{bytes, flops, grouped, precise},
};
use maud::{Markup, html};
use std::collections::{BTreeMap, HashSet};

/// A row: a part of the model, the model itself, or the update.
pub struct Row<'a> {
    /// Where it stands in the model.
    pub path: &'a str,
    /// As seen from the part above it.
    pub name: &'a str,
    pub graph: &'a str,
    /// Parts above it.
    pub depth: usize,
    /// Whether it has parts.
    pub opens: bool,
    /// Per image.
    pub shape: String,
    pub parameters: usize,
    pub sums: Sums,
}

/// The model, then its parts, each before its own.
pub fn rows<'a>(
    instances: &'a [Instance],
    sums: &BTreeMap<&str, Sums>,
    batch: usize,
) -> Vec<Row<'a>> {
    let paths: HashSet<&str> = instances.iter().map(|one| &*one.path).collect();
    let above = |path: &'a str| {
        let above = path.rmatch_indices('.').map(|(at, _)| &path[..at]);
        above.filter(|path| paths.contains(path))
    };
    let mut rows: Vec<Row> = instances
        .iter()
        .map(|one| {
            let parent = above(&one.path).next();
            let dims = one.outputs.first().map_or(&[][..], |(_, dims)| dims);
            let per_image = match dims {
                [first, rest @ ..] if *first == batch => rest,
                dims => dims,
            };
            let is_top = one.path.is_empty();
            Row {
                path: &one.path,
                name: match parent {
                    _ if is_top => "model",
                    Some(parent) => &one.path[parent.len() + 1..],
                    None => &one.path,
                },
                graph: &one.graph,
                depth: above(&one.path).count() + usize::from(!is_top),
                opens: false,
                shape: shape(per_image),
                parameters: one.parameters,
                sums: sums.get(&*one.path).copied().unwrap_or_default(),
            }
        })
        .collect();
    for at in 0..rows.len() {
        rows[at].opens = rows
            .get(at + 1)
            .is_some_and(|next| next.depth > rows[at].depth);
    }
    rows
}

/// The tree; `timed` where the machine's pace is known.
pub fn table(rows: &[Row], batch: usize, update: Sum, timed: bool) -> Markup {
    let whole = rows.first().map_or(0.0, |row| row.sums.total().seconds);
    let share = |seconds: f64| format!("--share:{:.4}", seconds / whole.max(f64::MIN_POSITIVE));
    html! {
        div.scroll {
            table.tree id="tree" role="treegrid" aria-label="Parts of the model" {
                thead {
                    tr {
                        th scope="col" { "part" }
                        th scope="col" { "graph" }
                        th scope="col" { "shape per image" }
                        th.number scope="col" { "parameters" }
                        th.number scope="col" title="of matrix products, forward and backward, per image" { "products" }
                        th.number scope="col" title="read and written by kernels, per micro-batch" { "memory moved" }
                        th.number scope="col" { "kernels" }
                        @if timed {
                            th.number scope="col" title="foretold, per micro-batch" { "time" }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        @let sum = row.sums.total();
                        tr role="row" data-path=(row.path) data-depth=(row.depth) aria-level=(row.depth + 1)
                            aria-expanded=[row.opens.then_some("true")] tabindex="-1" {
                            th scope="row" style={ "--depth:" (row.depth) } title=(row.path) {
                                span.twist aria-hidden="true" {}
                                (row.name)
                            }
                            td.muted { (row.graph) }
                            td.code { (row.shape) }
                            td.number { (count(row.parameters)) }
                            td.number { (per_image(row.sums, batch)) }
                            td.number { (some(sum.work.bytes, bytes)) }
                            td.number { (count(sum.kernels)) }
                            @if timed {
                                td.number.bar style=(share(sum.seconds)) { (time(sum.seconds)) }
                            }
                        }
                    }
                    tr.update {
                        th scope="row" style="--depth:0" { span.twist aria-hidden="true" {} "update" }
                        td.muted { "once per step" }
                        td {}
                        td {}
                        td {}
                        td.number { (some(update.work.bytes, bytes)) }
                        td.number { (count(update.kernels)) }
                        @if timed { td.number { (time(update.seconds)) } }
                    }
                }
            }
        }
    }
}

/// Each part rounded as the summary rounds it.
fn per_image(sums: Sums, batch: usize) -> String {
    let image = |sum: Sum| sum.work.flops / batch.max(1) as u64;
    some(image(sums.forward) + image(sums.backward), flops)
}

fn count(number: usize) -> String {
    some(number as u64, |number| grouped(number as usize))
}

/// Nothing for nothing.
fn some(number: u64, told: impl Fn(u64) -> String) -> String {
    match number {
        0 => String::new(),
        some => told(some),
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        0.0 => String::new(),
        some => precise(some),
    }
}
