//! From a plan to CUDA C: one file for each kind of kernel, all specialised to shapes and strides.
//!
//! Sums are made in an order that depends on the shape alone, so a run repeats to the bit. What the kernels have in common
//! stands in `kernels/*.cu`; a source carries the parts that it uses and includes nothing else.

mod adamw;
mod attention;
mod attention_backward;
mod attention_half;
mod body;
mod cast;
mod contraction;
mod finish;
mod fold;
mod nest;
pub mod normalize;
mod product;
mod product_half;
mod rows;
mod scatter;
mod source;
mod sum_squares;
mod sweep;
mod take;

use super::program::{Argument, Kernel, Launch, Product, Program, Scheduled, Table, Target};
use crate::plan::{self, Access, BufferId, Element, Place, Plan, Work, kernel::Operand};
use body::{Port, Read};
use rustc_hash::FxHashMap;
use source::{Draft, Use};
use std::sync::Arc;

/// Lowers a sound plan, one that [`check`](crate::plan::check::check) passes.
pub fn emit(plan: &Plan, target: Target) -> Program {
    let mut emission = Emission::new(plan, target);
    emission.cast_weights();
    emission.program.accumulate = emission.all(&plan.accumulate);
    emission.program.apply = emission.all(&plan.apply);
    emission.program.intake = emission.intake();
    emission.finish()
}

struct Emission<'p> {
    plan: &'p Plan,
    target: Target,
    program: Program,
    /// Distinct sources, with what launches them.
    drafts: Vec<(Draft, Vec<Use>)>,
    numbers: FxHashMap<String, usize>,
    /// Where the weights that products read rounded lie in bf16, in bytes of scratch.
    rounded: FxHashMap<BufferId, usize>,
    /// Bytes of scratch that hold something to the end of a run, and that are taken now.
    kept: usize,
    taken: usize,
    /// What lies aside in the plan, and where it lies here.
    aside: Option<(BufferId, Argument)>,
    launches: Vec<Scheduled>,
    label: &'static str,
    origin: Arc<str>,
    /// The place of the kernel of the plan that is at work.
    at: Option<usize>,
}

/// What is given to one kernel of the plan begins on a boundary of so many bytes.
const ALIGNMENT: usize = 256;

impl<'p> Emission<'p> {
    fn new(plan: &'p Plan, target: Target) -> Self {
        Emission {
            plan,
            target,
            program: Program::default(),
            drafts: Vec::new(),
            numbers: FxHashMap::default(),
            rounded: FxHashMap::default(),
            kept: 0,
            taken: 0,
            aside: None,
            launches: Vec::new(),
            label: "",
            origin: "".into(),
            at: None,
        }
    }

    /// The launches of one of the two programs, behind those that are waiting.
    fn all(&mut self, kernels: &[plan::Scheduled]) -> Vec<Scheduled> {
        for scheduled in kernels {
            self.taken = self.kept;
            self.at = Some(self.at.map_or(0, |at| at + 1));
            self.label = scheduled.kernel.label();
            self.origin = scheduled.origin.clone();
            self.kernel(scheduled);
        }
        std::mem::take(&mut self.launches)
    }

    fn kernel(&mut self, scheduled: &plan::Scheduled) {
        let work = scheduled.work(self.plan);
        match &scheduled.kernel {
            plan::Kernel::Rows(rows) => self.rows(rows, work),
            plan::Kernel::Fold(fold) => self.fold(fold, work),
            plan::Kernel::Gemm(gemm) => self.contraction(gemm, work),
            plan::Kernel::Attention(attention) => self.attention(attention, work),
            plan::Kernel::AttentionBackward(backward) => self.attention_backward(backward, work),
            plan::Kernel::Take(take) => self.take(take, work),
            plan::Kernel::Scatter(scatter) => self.scatter(scatter, work),
            plan::Kernel::SumSquares(sweep) => self.sum_squares(sweep, work),
            plan::Kernel::AdamW(sweep) => self.adamw(sweep, work),
        }
    }

    fn finish(mut self) -> Program {
        let sources = self.drafts.iter().enumerate();
        let kernel = |(number, (draft, uses)): (usize, &(Draft, Vec<Use>))| {
            let name = format!("{}_{number}", draft.stem);
            let source = draft.source(&name, uses);
            Kernel { name, source }
        };
        self.program.kernels = sources.map(kernel).collect();
        self.program
    }

    // What the parts below use.

    fn launch(&mut self, draft: Draft, arguments: Vec<Argument>, work: Work) {
        let number = match self.numbers.get(&draft.key()) {
            Some(&number) => number,
            None => {
                self.numbers.insert(draft.key(), self.drafts.len());
                self.drafts.push((draft.clone(), Vec::new()));
                self.drafts.len() - 1
            }
        };
        let origin = self.origin.clone();
        self.drafts[number].1.push(Use { origin, work });
        self.schedule(
            Launch::Kernel {
                kernel: number,
                grid: draft.grid,
                block: draft.block,
                shared: draft.shared,
                arguments,
            },
            work,
        );
    }

    fn multiply(&mut self, product: Product, work: Work) {
        self.schedule(Launch::Product(product), work);
    }

    fn schedule(&mut self, launch: Launch, work: Work) {
        self.launches.push(Scheduled {
            launch,
            label: self.label,
            origin: self.origin.clone(),
            of: self.at,
            work,
        });
    }

    /// Working memory until the next kernel of the plan.
    fn scratch(&mut self, bytes: usize) -> Argument {
        Argument::Scratch(self.room(bytes))
    }

    /// Where so many bytes of scratch begin.
    fn room(&mut self, bytes: usize) -> usize {
        let offset = self.taken;
        self.taken = (offset + bytes).next_multiple_of(ALIGNMENT);
        self.program.scratch = self.program.scratch.max(self.taken);
        offset
    }

    fn table(&mut self, table: Table) -> Argument {
        let known = self.program.tables.iter().position(|t| *t == table);
        Argument::Table(known.unwrap_or_else(|| {
            self.program.tables.push(table);
            self.program.tables.len() - 1
        }))
    }

    fn element(&self, buffer: BufferId) -> Element {
        self.plan.buffers[buffer].element
    }

    fn reads(&self, operands: &[Operand]) -> Vec<Read> {
        let read = |operand: &Operand| match operand {
            Operand::Memory(buffer, access) => Read::Memory(self.port(*buffer, access)),
            Operand::Draw(stream, access) => Read::Draw {
                stream: *stream,
                per_sample: self.plan.streams[*stream].per_sample,
                access: access.clone(),
            },
        };
        operands.iter().map(read).collect()
    }

    fn port(&self, buffer: BufferId, access: &Access) -> Port {
        let aside = self.aside.filter(|(aside, _)| *aside == buffer);
        Port {
            argument: aside.map_or(Argument::Buffer(buffer), |(_, scratch)| scratch),
            element: self.element(buffer),
            access: access.clone(),
        }
    }

    fn lies_aside(&self, buffer: BufferId) -> bool {
        matches!(self.plan.buffers[buffer].place, Place::Aside)
    }
}
