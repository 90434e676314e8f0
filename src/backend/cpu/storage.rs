//! The memory a plan runs in: one mapping for arena, state and feeds, on large pages where the system grants them.

use super::Memory;
use crate::plan::{Element, Place, Plan};
use memmap2::{MmapMut, MmapOptions};

/// Bytes between the starts of buffers.
const ALIGNMENT: usize = 64;

/// Owns what [`Memory`] points into.
#[derive(Debug)]
pub struct Storage {
    /// Never moved or remapped: `memory` points into it.
    _mapping: MmapMut,
    memory: Memory,
    /// How many elements each buffer has, and of which kind.
    contents: Vec<(usize, Element)>,
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
                Place::Aside => offsets.push(0),
                Place::State | Place::Feed | Place::Constant(_) => {
                    offsets.push(end);
                    end += buffer.bytes().next_multiple_of(ALIGNMENT);
                }
            }
        }
        let mut mapping = MmapOptions::new().len(end.max(1)).map_anon()?;
        #[cfg(target_os = "linux")]
        // Large pages are a matter of speed alone: a system without them serves small ones.
        let _ = mapping.advise(memmap2::Advice::HugePage);
        let base = mapping.as_mut_ptr();
        // `offset` is inside the mapping by the sums above.
        let addresses = offsets
            .iter()
            .map(|&offset| base.wrapping_add(offset))
            .collect();
        // SAFETY: every address is that of a range inside `mapping`, which lives as long as this storage; no kernel asks for
        // what lies aside.
        let memory = unsafe { Memory::new(addresses) };
        let contents = plan.buffers.iter().map(|b| (b.len(), b.element)).collect();
        let mut storage = Storage {
            _mapping: mapping,
            memory,
            contents,
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

    /// The elements of a buffer of f32.
    pub fn get(&self, buffer: usize) -> &[f32] {
        // SAFETY: the address is valid for this many elements, and no kernel runs while the storage is borrowed for reading.
        unsafe { std::slice::from_raw_parts(self.memory.at(buffer), self.floats(buffer)) }
    }

    /// As [`Storage::get`].
    pub fn get_mut(&mut self, buffer: usize) -> &mut [f32] {
        // SAFETY: as above, and the storage is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.memory.at(buffer), self.floats(buffer)) }
    }

    /// The elements of any buffer.
    pub fn read(&self, buffer: usize) -> Vec<f32> {
        match self.contents[buffer] {
            (_, Element::F32) => self.get(buffer).to_vec(),
            (length, Element::Bf16) => {
                // SAFETY: as for `get`.
                let stored =
                    unsafe { std::slice::from_raw_parts(self.memory.half(buffer), length) };
                stored.iter().map(|x| x.to_f32()).collect()
            }
        }
    }

    fn floats(&self, buffer: usize) -> usize {
        let (length, element) = self.contents[buffer];
        assert_eq!(element, Element::F32, "buffer {buffer} holds f32");
        length
    }
}
