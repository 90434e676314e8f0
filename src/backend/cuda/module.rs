//! Compiled kernels, loaded and launched.

use super::{
    device::Context,
    functions::{Address, Handle, constants::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES},
    stream::Stream,
};
use crate::train::step::StepError;
use std::{
    ffi::{CString, c_void},
    ptr,
    sync::Arc,
};

/// Compiled kernels on the device.
pub struct Module {
    context: Arc<Context>,
    handle: Handle,
}

/// An entry point of a [`Module`], which it must not outlive.
#[derive(Debug, Clone, Copy)]
pub struct Function(Handle);

/// Bytes of dynamic shared memory that a kernel gets without asking.
const GRANTED: u32 = 48 << 10;

impl Module {
    /// Loads a CUBIN.
    pub fn load(context: &Arc<Context>, cubin: &[u8]) -> Result<Module, StepError> {
        context.enter()?;
        let mut handle = ptr::null_mut();
        // SAFETY: a CUBIN is an ELF file, which says itself how long it is; the cache has checked that it is whole.
        let status =
            unsafe { (context.driver().cuModuleLoadData)(&mut handle, cubin.as_ptr().cast()) };
        context.check(status, "when a kernel was loaded")?;
        let context = context.clone();
        Ok(Module { context, handle })
    }

    /// The entry point of a name, which may take so much shared memory.
    pub fn function(&self, name: &str, shared: u32) -> Result<Function, StepError> {
        let of_name = CString::new(name)
            .map_err(|_| StepError::Backend(format!("a kernel's name holds a zero: {name:?}")))?;
        let driver = self.context.driver();
        let mut function = ptr::null_mut();
        // SAFETY: the module is loaded, the name ends in a zero, and it writes a handle.
        let status =
            unsafe { (driver.cuModuleGetFunction)(&mut function, self.handle, of_name.as_ptr()) };
        let looking = format!("when the kernel {name} was looked for");
        self.context.check(status, &looking)?;
        if shared > GRANTED {
            let asked = CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function is the module's own.
            let status = unsafe { (driver.cuFuncSetAttribute)(function, asked, shared as i32) };
            let asking = format!("when {shared} bytes of shared memory were asked for {name}");
            self.context.check(status, &asking)?;
        }
        Ok(Function(function))
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let _ = self.context.enter();
        // SAFETY: streams that run its kernels were waited for.
        unsafe { (self.context.driver().cuModuleUnload)(self.handle) };
    }
}

// SAFETY: a module is a handle that any thread may use.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}
// SAFETY: as for its module.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

/// How a kernel is launched.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub grid: [u32; 3],
    /// Threads.
    pub block: u32,
    /// Bytes.
    pub shared: u32,
}

impl Stream {
    /// Launches a kernel whose parameters are all addresses.
    ///
    /// # Safety
    /// The kernel takes so many parameters, its module is loaded, and it stays inside what the addresses hold.
    pub unsafe fn launch(
        &self,
        function: Function,
        shape: Shape,
        arguments: &[Address],
    ) -> Result<(), StepError> {
        let mut places: Vec<*mut c_void> = arguments
            .iter()
            .map(|address| ptr::from_ref(address).cast_mut().cast())
            .collect();
        let Shape {
            grid: [x, y, z],
            block,
            shared,
        } = shape;
        // SAFETY: the driver copies the arguments before it returns; the rest by the caller.
        let status = unsafe {
            (self.context().driver().cuLaunchKernel)(
                function.0,
                x,
                y,
                z,
                block,
                1,
                1,
                shared,
                self.handle(),
                places.as_mut_ptr(),
                ptr::null_mut(),
            )
        };
        self.context().check(status, "when a kernel was launched")
    }
}
