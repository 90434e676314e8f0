//! The memory a plan runs in: one mapping for arena, state and feeds, on large pages where the system grants them.

use super::Memory;
use crate::plan::{Place, Plan};
use memmap2::{MmapMut, MmapOptions};

/// Elements (f32) between the starts of buffers: 64 bytes.
const ALIGNMENT: usize = 16;

/// Owns what [`Memory`] points into.
#[derive(Debug)]
pub struct Storage {
    /// Never moved or remapped: `memory` points into it.
    _mapping: MmapMut,
    memory: Memory,
    /// Elements of each buffer.
    lengths: Vec<usize>,
}

impl Storage {
    /// Zeroed memory for every buffer of a plan, constants written.
    ///
    /// # Errors
    /// Where the system grants no mapping of that size.
    pub fn new(plan: &Plan) -> std::io::Result<Storage> {
        let mut end = plan.arena.next_multiple_of(ALIGNMENT);
        let mut offsets = Vec::with_capacity(plan.buffers.len());
        for buffer in &plan.buffers {
            match buffer.place {
                Place::Arena(offset) => offsets.push(offset),
                Place::State | Place::Feed | Place::Constant(_) => {
                    offsets.push(end);
                    end += buffer.len().next_multiple_of(ALIGNMENT);
                }
            }
        }
        let mut mapping = MmapOptions::new()
            .len(end.max(1) * size_of::<f32>())
            .map_anon()?;
        #[cfg(target_os = "linux")]
        // Large pages are a matter of speed alone: a system without them serves small ones.
        let _ = mapping.advise(memmap2::Advice::HugePage);
        let base: *mut f32 = mapping.as_mut_ptr().cast();
        // `offset` is inside the mapping by the sums above.
        let addresses = offsets
            .iter()
            .map(|&offset| base.wrapping_add(offset))
            .collect();
        // SAFETY: every address is that of a range inside `mapping`, which lives as long as this storage.
        let memory = unsafe { Memory::new(addresses) };
        let lengths = plan.buffers.iter().map(|b| b.len()).collect();
        let mut storage = Storage {
            _mapping: mapping,
            memory,
            lengths,
        };
        for (buffer, of) in plan.buffers.iter().enumerate() {
            if let Place::Constant(values) = &of.place {
                storage.get_mut(buffer).copy_from_slice(values);
            }
        }
        Ok(storage)
    }

    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    pub fn get(&self, buffer: usize) -> &[f32] {
        // SAFETY: the address is valid for this many elements, and no kernel runs while the storage is borrowed for reading.
        unsafe { std::slice::from_raw_parts(self.memory.at(buffer), self.lengths[buffer]) }
    }

    pub fn get_mut(&mut self, buffer: usize) -> &mut [f32] {
        // SAFETY: as above, and the storage is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.memory.at(buffer), self.lengths[buffer]) }
    }
}
