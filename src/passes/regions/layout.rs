//! In which order a region's axes run, and what it can store then.

use super::{Member, Region, Strides};
use crate::{
    ir::ops::code::Width,
    passes::flow::{Flow, Work},
};

/// What a region does for the rest of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Its atoms: grid, then row. Of a region that folds: what disappears, then what is kept.
    pub order: Vec<usize>,
    /// Members whose values are stored, each plain in that order.
    pub stores: Vec<usize>,
    /// Members that are needed but neither one number per point nor one per row: computed a second time, on their own.
    pub orphans: Vec<usize>,
    /// Reduces other axes than those of a row.
    pub folds: bool,
}

impl Layout {
    /// Of a region some of whose members are needed by others. `None` where their layouts contradict each other.
    pub fn of(region: &Region, flow: &Flow, is_needed: impl Fn(usize) -> bool) -> Option<Layout> {
        let (mut stores, mut orphans) = (Vec::new(), Vec::new());
        let mut open: Vec<usize> = region
            .members
            .iter()
            .map(|m| m.node)
            .filter(|&n| is_needed(n))
            .collect();
        // What an orphan is computed from, if it is in the region, is stored or computed again as well.
        while let Some(node) = open.pop() {
            let Some(member) = region.member(node) else {
                continue;
            };
            let list = match storable(region, member) {
                Some(true) => &mut stores,
                Some(false) => &mut orphans,
                None => return None,
            };
            if !list.contains(&node) {
                list.push(node);
                if storable(region, member) == Some(false) {
                    open.extend(member.reads.iter().map(|read| read.source));
                }
            }
        }
        stores.sort_unstable();
        orphans.sort_unstable();
        orphans.retain(|&n| is_needed(n));
        let members = || stores.iter().filter_map(|&n| region.member(n));
        let folds = folds(region, flow);
        let order = match folds {
            false => row_order(region, members())?,
            true if orphans.is_empty() => fold_order(region, members(), flow)?,
            true => return None,
        };
        Some(Layout {
            order,
            stores,
            orphans,
            folds,
        })
    }
}

fn folds(region: &Region, flow: &Flow) -> bool {
    let fold = |m: &Member| matches!(&flow.nodes[m.node].work, Work::Reduce(r) if !r.along_rows);
    region.members.iter().any(fold)
}

/// `None`: must not be needed, for its value looks like one number per row to the region's code but is not.
fn storable(region: &Region, member: &Member) -> Option<bool> {
    match (region.is_wide(member), region.is_per_row(member)) {
        (true, false) if member.width == Width::Row => None,
        (true, _) => Some(true),
        (false, per_row) => Some(per_row && member.width == Width::Row),
    }
}

fn row_order<'r>(region: &Region, stores: impl Iterator<Item = &'r Member>) -> Option<Vec<usize>> {
    let (wide, per_row): (Vec<&Member>, Vec<&Member>) = stores.partition(|m| region.is_wide(m));
    let mut order: Vec<usize> = (0..region.atoms.len()).collect();
    if let Some(first) = wide
        .first()
        .or(per_row.first())
        .copied()
        .or(region.members.first())
    {
        order.sort_by_key(|&atom| std::cmp::Reverse(first.out[atom]));
    }
    if wide.is_empty() {
        order.sort_by_key(|&atom| region.atoms[atom].reduced);
    }
    let grid = order
        .iter()
        .take_while(|&&atom| !region.atoms[atom].reduced)
        .count();
    let rows_last = order[grid..].iter().all(|&atom| region.atoms[atom].reduced);
    let plain = wide.iter().all(|m| falls(&m.out, &order))
        && per_row.iter().all(|m| falls(&m.out, &order[..grid]));
    (rows_last && plain).then_some(order)
}

fn fold_order<'r>(
    region: &Region,
    stores: impl Iterator<Item = &'r Member>,
    flow: &Flow,
) -> Option<Vec<usize>> {
    let results: Vec<&Member> = stores.collect();
    let first = results.first()?;
    let mut order: Vec<usize> = (0..region.atoms.len()).collect();
    order.sort_by_key(|&atom| {
        (
            !region.atoms[atom].reduced,
            std::cmp::Reverse(first.out[atom]),
        )
    });
    let over = region.atoms.iter().filter(|a| a.reduced).count();
    let reduces = |m: &Member| matches!(flow.nodes[m.node].work, Work::Reduce(_));
    let plain = |m: &&Member| reduces(m) && falls(&m.out, &order[over..]);
    results.iter().all(plain).then_some(order)
}

/// Strides that fall along axes: the value is plain in that order, for it fills its buffer.
fn falls(strides: &Strides, order: &[usize]) -> bool {
    order.windows(2).all(|w| strides[w[0]] > strides[w[1]])
}
