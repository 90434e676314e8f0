//! Folds: code, then sums or maxima over the reduced axes. Threads of a block share the reduced indices of a few kept ones and
//! combine by pairs; where that leaves too few blocks, the reduced indices are cut into chunks, whose results a second fold
//! combines.

mod text;

use super::{
    Argument, Emission,
    body::{Body, Port, Read, vector},
    nest::Nest,
    source::{Parameters, Part},
};
use crate::{
    ir::program::{Instr, ValueId},
    plan::{Access, Element, Work, kernel},
};
use kernel::Reduction;

/// A value of the code, reduced into memory.
#[derive(Clone)]
pub struct Outcome {
    pub value: ValueId,
    pub reduction: Reduction,
    /// Over the kept axes.
    pub port: Port,
    pub accumulate: bool,
}

const BLOCK: usize = 256;
/// Enough to fill a large GPU twice.
const BLOCKS: usize = 512;
/// Steps that a thread makes at least before its reduced indices are shared with other blocks.
const STEPS: usize = 4;
/// Threads side by side along the kept axes: what they read at once is a few lines of memory.
const ABREAST: usize = 32;

impl Emission<'_> {
    pub fn fold(&mut self, fold: &kernel::Fold, work: Work) {
        let reads = self.reads(&fold.operands);
        let outcome = |result: &kernel::FoldResult| Outcome {
            value: result.value,
            reduction: result.reduction,
            port: self.port(result.buffer, &result.access),
            accumulate: result.accumulate,
        };
        let results: Vec<Outcome> = fold.results.iter().map(outcome).collect();
        let nest = [&fold.reduced[..], &fold.kept];
        self.reduce(nest, &reads, &fold.code, &results, work);
    }

    /// A fold over any memory.
    pub fn reduce(
        &mut self,
        [reduced, kept]: [&[usize]; 2],
        reads: &[Read],
        code: &[Instr],
        results: &[Outcome],
        work: Work,
    ) {
        if kept.contains(&0) {
            return;
        }
        let nest = [reduced, kept];
        let whole = FoldText::new(nest, reads, code, results);
        let chunks = whole.chunks();
        if chunks == 1 {
            let (draft, arguments) = whole.draft(1, &[]);
            return self.launch(draft, arguments, work);
        }
        let count: usize = kept.iter().product();
        let size = chunks * count * Element::F32.bytes();
        let partials: Vec<Argument> = results.iter().map(|_| self.scratch(size)).collect();
        let (draft, arguments) = FoldText::new(nest, reads, code, results).draft(chunks, &partials);
        self.launch(draft, arguments, work);
        let part = |&argument: &Argument| {
            let access = Access::plain(&[&[chunks][..], kept].concat());
            let element = Element::F32;
            Read::Memory(Port {
                argument,
                element,
                access,
            })
        };
        let parts: Vec<Read> = partials.iter().map(part).collect();
        let combined = results.iter().enumerate().map(|(value, result)| Outcome {
            value,
            ..result.clone()
        });
        let combined: Vec<Outcome> = combined.collect();
        let text = FoldText::new([&[chunks], kept], &parts, &[], &combined);
        let (draft, arguments) = text.draft(1, &[]);
        let moved = Work {
            bytes: (results.len() * size) as u64,
            ..Work::default()
        };
        self.launch(draft, arguments, moved);
    }
}

struct FoldText<'a> {
    nest: Nest,
    reads: &'a [Read],
    results: &'a [Outcome],
    body: Body<'a>,
    /// Whether memory runs along the reduced axes.
    along: bool,
    vector: usize,
    /// Threads along the reduced and along the kept axes.
    lanes: usize,
    abreast: usize,
    /// Steps of `vector` elements along the axes that memory runs along.
    reduced: usize,
    kept: usize,
    parameters: Parameters,
    parts: Vec<Part>,
}

impl<'a> FoldText<'a> {
    fn new(
        [reduced, kept]: [&[usize]; 2],
        reads: &'a [Read],
        code: &'a [Instr],
        results: &'a [Outcome],
    ) -> Self {
        let along = runs_along_reduced([reduced, kept], reads);
        // The axes that memory runs along come last.
        let swapped = |access: &Access| {
            let (outer, inner) = access.strides.split_at(reduced.len());
            let strides = if along {
                [inner, outer]
            } else {
                [outer, inner]
            };
            Access {
                offset: access.offset,
                strides: strides.concat(),
            }
        };
        let spread = |access: &Access| Access {
            offset: access.offset,
            strides: [&vec![0; reduced.len()], &access.strides[..]].concat(),
        };
        let accesses: Vec<Access> = (reads.iter().map(|read| swapped(read.access())))
            .chain(results.iter().map(|r| swapped(&spread(&r.port.access))))
            .collect();
        let accesses: Vec<&Access> = accesses.iter().collect();
        let groups = if along {
            [kept, reduced]
        } else {
            [reduced, kept]
        };
        let nest = Nest::merged(&groups, &accesses);
        let at = |access: &Access, port: &Port| Port {
            access: access.clone(),
            ..port.clone()
        };
        let ports = reads.iter().zip(&nest.accesses);
        let mut ports: Vec<Port> = ports
            .filter_map(|(read, access)| Some(at(access, read.port()?)))
            .collect();
        if !along {
            let own = nest.accesses[reads.len()..].iter();
            ports.extend(
                results
                    .iter()
                    .zip(own)
                    .map(|(r, access)| at(access, &r.port)),
            );
        }
        let inner = nest.dims[nest.groups[1].clone()].last().copied();
        let ports: Vec<&Port> = ports.iter().collect();
        let vector = inner.map_or(1, |inner| vector(inner, &ports));
        let last = nest.dims.len().saturating_sub(1)..nest.dims.len();
        let varies = |access: &Access| access.strides[last.clone()].iter().any(|&s| s > 0);
        let wide = nest.accesses[..reads.len()].iter().map(varies).collect();
        let values: Vec<ValueId> = results.iter().map(|result| result.value).collect();
        let [outer, inner] = [nest.count(0), nest.count(1) / vector];
        let (reduced, kept) = if along {
            (inner, outer)
        } else {
            (outer, inner)
        };
        let (lanes, abreast) = match along {
            true => {
                let lanes = reduced.next_power_of_two().min(BLOCK);
                (lanes, BLOCK / lanes)
            }
            false => {
                let abreast = kept.next_power_of_two().min(ABREAST);
                let lanes = reduced.next_power_of_two().min(BLOCK / abreast);
                (lanes, BLOCK / lanes)
            }
        };
        FoldText {
            body: Body::new(wide, code, &values),
            nest,
            reads,
            results,
            along,
            vector,
            lanes,
            abreast,
            reduced,
            kept,
            parameters: Parameters::default(),
            parts: vec![Part::Element, Part::Reduce],
        }
    }

    /// Into how many parts the reduced indices are cut.
    fn chunks(&self) -> usize {
        let blocks = self.kept.div_ceil(self.abreast);
        let wanted = BLOCKS.div_ceil(blocks);
        let worth = self.reduced / (self.lanes * STEPS);
        let chunks = wanted.min(worth).max(1);
        self.reduced
            .div_ceil(self.reduced.div_ceil(chunks).max(1))
            .max(1)
    }
}

/// Whether more operands are contiguous along the innermost reduced axis than along the innermost kept one.
fn runs_along_reduced([reduced, kept]: [&[usize]; 2], reads: &[Read]) -> bool {
    let innermost = |dims: &[usize], first: usize| {
        let axis = dims.iter().rposition(|&dim| dim > 1)?;
        Some(first + axis)
    };
    let Some(kept) = innermost(kept, reduced.len()) else {
        return true;
    };
    let along = |axis: Option<usize>| {
        let unit = |read: &&Read| axis.is_some_and(|axis| read.access().strides[axis] == 1);
        reads.iter().filter(unit).count()
    };
    along(innermost(reduced, 0)) > along(Some(kept))
}
