//! Memory on both sides, given back when it is dropped.

use super::{
    device::Context,
    functions::{Address, constants::CUDA_ERROR_OUT_OF_MEMORY},
};
use crate::train::step::StepError;
use std::{ffi::c_void, ptr, slice, sync::Arc};

/// Memory on the device.
pub struct Allocation {
    context: Arc<Context>,
    address: Address,
}

impl Allocation {
    /// `bytes` of memory, whatever was in it. `None` where the device has not so much left.
    pub fn new(context: &Arc<Context>, bytes: usize) -> Result<Option<Allocation>, StepError> {
        context.enter()?;
        let mut address = 0;
        // SAFETY: it writes an address.
        let status = unsafe { (context.driver().cuMemAlloc_v2)(&mut address, bytes.max(1)) };
        if status == CUDA_ERROR_OUT_OF_MEMORY {
            return Ok(None);
        }
        context.check(status, "while memory was taken")?;
        let context = context.clone();
        Ok(Some(Allocation { context, address }))
    }

    pub fn address(&self) -> Address {
        self.address
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        let _ = self.context.enter();
        // SAFETY: whoever works with the memory is ended before it is dropped: streams are waited for when they are.
        unsafe { (self.context.driver().cuMemFree_v2)(self.address) };
    }
}

/// Memory of the host that the device reads and writes by itself.
pub struct Pinned {
    context: Arc<Context>,
    at: *mut u8,
    len: usize,
}

// SAFETY: it is memory like any other, and owned.
unsafe impl Send for Pinned {}
// SAFETY: shared, it is only read.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// `len` bytes, all zero.
    pub fn new(context: &Arc<Context>, len: usize) -> Result<Pinned, StepError> {
        context.enter()?;
        let len = len.max(1);
        let mut at: *mut c_void = ptr::null_mut();
        // SAFETY: it writes an address.
        let status = unsafe { (context.driver().cuMemHostAlloc)(&mut at, len, 0) };
        context.check(status, "while memory of the host was pinned")?;
        let at: *mut u8 = at.cast();
        // SAFETY: the driver has granted so many bytes there.
        unsafe { at.write_bytes(0, len) };
        let context = context.clone();
        Ok(Pinned { context, at, len })
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is this long and was written.
        unsafe { slice::from_raw_parts(self.at, self.len) }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and it is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.at, self.len) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = self.context.enter();
        // SAFETY: it was granted by the driver; streams that work with it were waited for.
        unsafe { (self.context.driver().cuMemFreeHost)(self.at.cast()) };
    }
}
