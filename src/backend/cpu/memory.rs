//! Where the buffers of a plan lie.

use half::bf16;

use crate::plan::BufferId;

/// The address of every buffer while a plan runs.
///
/// Kernels write through shared pointers: the plan's order of kernels and the disjointness of what a kernel's tasks write are
/// what makes that sound, and `plan::check` verifies both.
#[derive(Debug, Clone)]
pub struct Memory {
    addresses: Vec<*mut u8>,
}

// SAFETY: the pointers are only dereferenced by kernels, whose tasks write disjoint elements.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// # Safety
    /// Address `i` must stay valid for as many elements as buffer `i` of the plan has, and aligned to them, for as long as
    /// kernels run on this memory.
    pub unsafe fn new(addresses: Vec<*mut u8>) -> Self {
        Memory { addresses }
    }

    /// First element of a buffer of f32.
    #[inline]
    pub fn at(&self, buffer: BufferId) -> *mut f32 {
        self.addresses[buffer].cast()
    }

    /// First element of a buffer of bf16.
    #[inline]
    pub fn half(&self, buffer: BufferId) -> *mut bf16 {
        self.addresses[buffer].cast()
    }

    /// First byte of a buffer.
    #[inline]
    pub fn byte(&self, buffer: BufferId) -> *mut u8 {
        self.addresses[buffer]
    }
}
