//! The memory a program runs in: one allocation, every part at a fixed place of it, so that recorded launches stay right.

use super::{
    allocation::Allocation,
    emit::normalize::KNOWN,
    functions::Address,
    program::{Argument, Program, Table},
    stream::Stream,
};
use crate::{
    plan::{BufferId, Element, Place, Plan},
    train::step::StepError,
};

/// Bytes between the starts of parts: what the widest loads and the products want.
const ALIGNMENT: usize = 256;
/// Bytes that products work in; more brings Hopper nothing.
pub const WORKSPACE: usize = 32 << 20;
/// Bytes that are left for what the driver loads beside it: kernels, those of cublasLt, recorded work.
const RESERVE: u64 = 64 << 20;

/// Where each part is, in bytes from the start. A function of plan and program alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// `None` for what lies aside.
    buffers: Vec<Option<usize>>,
    scratch: usize,
    scratch_len: usize,
    tables: Vec<usize>,
    /// What is drawn from: the first sample, then the key of each stream.
    draws: usize,
    streams: usize,
    /// Feeds of the next run, until it begins.
    staged: Vec<usize>,
    /// By which pixels are normalised.
    levels: usize,
    workspace: usize,
    bytes: usize,
}

impl Layout {
    pub fn new(plan: &Plan, program: &Program) -> Layout {
        let mut end = plan.arena.next_multiple_of(ALIGNMENT);
        let mut take = |bytes: usize| {
            let at = end;
            end += bytes.next_multiple_of(ALIGNMENT);
            at
        };
        let buffers = plan.buffers.iter().map(|buffer| match buffer.place {
            Place::Arena(offset) => Some(offset),
            Place::Aside => None,
            Place::State | Place::Feed | Place::Constant(_) => Some(take(buffer.bytes())),
        });
        let buffers = buffers.collect();
        let scratch = take(program.scratch);
        let tables = program.tables.iter().map(|table| take(table.bytes()));
        let tables = tables.collect();
        let draws = take(8 * (1 + plan.streams.len()));
        let staged = plan.feeds.iter();
        let staged = staged.map(|(_, buffer)| take(plan.buffers[*buffer].bytes()));
        let staged = staged.collect();
        let levels = take(KNOWN * Element::F32.bytes());
        let workspace = take(WORKSPACE);
        Layout {
            buffers,
            scratch,
            scratch_len: program.scratch,
            tables,
            draws,
            streams: plan.streams.len(),
            staged,
            levels,
            workspace,
            bytes: end,
        }
    }

    /// Bytes that the device must have left.
    pub fn needed(&self) -> u64 {
        self.bytes as u64 + RESERVE
    }

    /// Where an argument points. `None` where there is no such part.
    pub fn place(&self, argument: Argument) -> Option<usize> {
        match argument {
            Argument::Buffer(buffer) => *self.buffers.get(buffer)?,
            Argument::Scratch(offset) => {
                (offset < self.scratch_len.max(1)).then_some(self.scratch + offset)
            }
            Argument::Table(table) => self.tables.get(table).copied(),
            Argument::Draws => Some(self.draws),
            Argument::Key(stream) => {
                (stream < self.streams).then_some(self.draws + 8 * (1 + stream))
            }
            Argument::Staged(feed) => self.staged.get(feed).copied(),
            Argument::Levels => Some(self.levels),
        }
    }
}

impl Table {
    fn bytes(&self) -> usize {
        match self {
            Table::Bytes(bytes) => bytes.len(),
            Table::Addresses(buffers) => size_of::<Address>() * buffers.len(),
        }
    }
}

/// The allocation, and where each part of it is.
pub struct Memory {
    layout: Layout,
    allocation: Allocation,
}

impl Memory {
    /// Zeroed memory, constants and tables written.
    ///
    /// # Errors
    /// [`StepError::Memory`] where the device has not so much left, before anything is taken.
    pub fn new(stream: &Stream, plan: &Plan, program: &Program) -> Result<Memory, StepError> {
        let context = stream.context();
        let layout = Layout::new(plan, program);
        let short = |free| StepError::Memory {
            device: context.device().name.clone(),
            needed: layout.needed(),
            free,
        };
        let free = context.free()?;
        if free < layout.needed() {
            return Err(short(free));
        }
        let allocation = Allocation::new(context, layout.bytes)?.ok_or_else(|| short(free))?;
        let memory = Memory { layout, allocation };
        // SAFETY: the allocation is this long.
        unsafe { stream.zero(memory.allocation.address(), memory.layout.bytes)? };
        for (buffer, of) in plan.buffers.iter().enumerate() {
            if let Place::Constant(values) = &of.place {
                memory.write(
                    stream,
                    Argument::Buffer(buffer),
                    bytemuck::cast_slice(values),
                )?;
            }
        }
        for (index, table) in program.tables.iter().enumerate() {
            let to = Argument::Table(index);
            match table {
                Table::Bytes(bytes) => memory.write(stream, to, bytes)?,
                Table::Addresses(buffers) => {
                    let address = |&buffer: &BufferId| memory.at(Argument::Buffer(buffer));
                    let addresses = buffers.iter().map(address);
                    let addresses = addresses.collect::<Result<Vec<Address>, _>>()?;
                    memory.write(stream, to, bytemuck::cast_slice(&addresses))?;
                }
            }
        }
        Ok(memory)
    }

    /// The address behind an argument.
    ///
    /// # Errors
    /// Where there is no such part: the program is unsound.
    pub fn at(&self, argument: Argument) -> Result<Address, StepError> {
        let place = self.layout.place(argument).ok_or_else(|| {
            StepError::Backend(format!("the program is unsound: there is no {argument:?}"))
        })?;
        Ok(self.allocation.address() + place as Address)
    }

    /// Where products work.
    pub fn workspace(&self) -> Address {
        self.allocation.address() + self.layout.workspace as Address
    }

    /// Writes a part from its start on, and waits until it is done.
    pub fn write(&self, stream: &Stream, to: Argument, bytes: &[u8]) -> Result<(), StepError> {
        let to = self.at(to)?;
        // SAFETY: callers hand what the part was laid out for, and the stream is waited for.
        unsafe { stream.upload(to, bytes)? };
        stream.wait()
    }

    /// Reads a part from its start on, behind everything that is under way.
    pub fn read(&self, stream: &Stream, from: Argument, to: &mut [u8]) -> Result<(), StepError> {
        let from = self.at(from)?;
        // SAFETY: as for writing.
        unsafe { stream.download(to, from)? };
        stream.wait()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Buffer, Stream as Draws};

    #[test]
    fn parts_do_not_meet_and_what_is_not_there_has_no_place() {
        let buffer = |place, len| Buffer {
            dims: vec![len],
            element: Element::F32,
            place,
            origin: "".into(),
        };
        let plan = Plan {
            buffers: vec![
                buffer(Place::Arena(64), 10),
                buffer(Place::Aside, 1000),
                buffer(Place::State, 65),
                buffer(Place::Feed, 3),
            ],
            streams: vec![Draws {
                purpose: "mask".into(),
                per_sample: 4,
            }],
            feeds: vec![("image".into(), 3)],
            arena: 128,
            ..Plan::default()
        };
        let program = Program {
            tables: vec![Table::Bytes(vec![0; 300]), Table::Addresses(vec![2])],
            scratch: 512,
            ..Program::default()
        };
        let layout = Layout::new(&plan, &program);
        // In their order: state, feed, scratch, both tables, what is drawn from, the staged feed, levels.
        let parts = [
            (layout.place(Argument::Buffer(2)), 260),
            (layout.place(Argument::Buffer(3)), 12),
            (layout.place(Argument::Scratch(0)), 512),
            (layout.place(Argument::Table(0)), 300),
            (layout.place(Argument::Table(1)), 8),
            (layout.place(Argument::Draws), 16),
            (layout.place(Argument::Staged(0)), 12),
            (layout.place(Argument::Levels), 3072),
            (Some(layout.workspace), WORKSPACE),
        ];
        let mut end = plan.arena;
        for (at, len) in parts {
            let at = at.expect("a part of the layout");
            assert!(at >= end && at.is_multiple_of(ALIGNMENT), "{at}");
            end = at + len;
        }
        assert!(layout.bytes >= end);
        assert_eq!(layout.place(Argument::Buffer(0)), Some(64));
        for absent in [
            Argument::Buffer(1),
            Argument::Buffer(4),
            Argument::Scratch(512),
            Argument::Table(2),
            Argument::Key(1),
            Argument::Staged(1),
        ] {
            assert_eq!(layout.place(absent), None);
        }
    }
}
