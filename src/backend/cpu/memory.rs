//! Where the buffers of a plan lie.

use crate::plan::BufferId;

/// The address of every buffer while a plan runs.
///
/// Kernels write through shared pointers: the plan's order of kernels and the disjointness of what a kernel's tasks write are
/// what makes that sound, and `plan::check` verifies both.
#[derive(Debug, Clone)]
pub struct Memory {
    addresses: Vec<*mut f32>,
}

// SAFETY: the pointers are only dereferenced by kernels, whose tasks write disjoint elements.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// # Safety
    /// Address `i` must stay valid for as many elements as buffer `i` of the plan has, for as long as kernels run on this memory.
    pub unsafe fn new(addresses: Vec<*mut f32>) -> Self {
        Memory { addresses }
    }

    /// First element of a buffer.
    #[inline]
    pub fn at(&self, buffer: BufferId) -> *mut f32 {
        self.addresses[buffer]
    }
}
