//! Kernels from CUDA C to CUBIN by NVRTC, for one kind of device.

use super::{
    cache::{Cache, Key},
    functions::{Handle, Nvrtc, Status},
    library::Opened,
    program::{Kernel, Target},
};
use crate::train::step::StepError;
use rayon::prelude::*;
use std::{
    ffi::{CStr, CString, c_char},
    ptr,
    sync::Arc,
};

/// Compiles for one target, or takes what it has compiled before from the disk.
pub struct Compiler {
    nvrtc: Arc<Opened<Nvrtc>>,
    cache: Option<Cache>,
    target: Target,
}

impl Compiler {
    /// # Errors
    /// Where the compiler is too old to know the target.
    pub fn new(
        nvrtc: Arc<Opened<Nvrtc>>,
        cache: Option<Cache>,
        target: Target,
    ) -> Result<Compiler, StepError> {
        let known = targets(&nvrtc.functions);
        if !known.is_empty() && !known.contains(&target.0) {
            let (path, Target(target)) = (nvrtc.path.display(), target);
            let told = format!(
                "{path}, of CUDA {}, makes no kernels for sm_{target}: put a newer one in the way",
                nvrtc.version
            );
            return Err(StepError::NoGpu(told));
        }
        Ok(Compiler {
            nvrtc,
            cache,
            target,
        })
    }

    /// The CUBIN of each kernel, in their order.
    ///
    /// # Errors
    /// The first kernel that does not compile, with the line that is wrong.
    pub fn compile(&self, kernels: &[Kernel]) -> Result<Vec<Vec<u8>>, StepError> {
        let options = [
            format!("--gpu-architecture=sm_{}", self.target.0),
            "--std=c++17".to_owned(),
        ];
        let compiler = format!("NVRTC {}", self.nvrtc.version);
        let one = |kernel: &Kernel| {
            let key = Key::new(&kernel.source, &options, &compiler);
            if let Some(cubin) = self.cache.as_ref().and_then(|cache| cache.get(key)) {
                return Ok(cubin);
            }
            let cubin = self.nvrtc.functions.compile(kernel, &options)?;
            if let Some(cache) = &self.cache {
                // A folder that cannot be written to costs time and nothing else.
                let _ = cache.put(key, &cubin);
            }
            Ok(cubin)
        };
        kernels.par_iter().map(one).collect()
    }
}

/// The compute capabilities that a compiler makes kernels for; none where it does not tell.
pub fn targets(nvrtc: &Nvrtc) -> Vec<u32> {
    let mut count = 0;
    // SAFETY: it writes a number.
    if unsafe { (nvrtc.nvrtcGetNumSupportedArchs)(&mut count) } != 0 {
        return Vec::new();
    }
    let mut targets = vec![0; count.unsigned_abs() as usize];
    // SAFETY: it writes as many numbers as it has told.
    match unsafe { (nvrtc.nvrtcGetSupportedArchs)(targets.as_mut_ptr()) } {
        0 => targets.iter().map(|target| target.unsigned_abs()).collect(),
        _ => Vec::new(),
    }
}

/// A translation unit inside the compiler.
struct Unit<'a> {
    nvrtc: &'a Nvrtc,
    handle: Handle,
}

impl Drop for Unit<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is its own.
        unsafe { (self.nvrtc.nvrtcDestroyProgram)(&mut self.handle) };
    }
}

impl Nvrtc {
    fn compile(&self, kernel: &Kernel, options: &[String]) -> Result<Vec<u8>, StepError> {
        let text = |text: &str| {
            CString::new(text).map_err(|_| {
                StepError::Backend(format!("the source of {} holds a zero", kernel.name))
            })
        };
        let failed = |status: Status| {
            // SAFETY: it returns the address of a text that stays.
            let said = unsafe { CStr::from_ptr((self.nvrtcGetErrorString)(status)) };
            let said = said.to_string_lossy();
            StepError::Backend(format!("NVRTC failed at {}: {said}", kernel.name))
        };
        let (source, name) = (text(&kernel.source)?, text(&kernel.name)?);
        let options = options.iter().map(|option| text(option));
        let options = options.collect::<Result<Vec<_>, _>>()?;
        let options: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let mut unit = Unit {
            nvrtc: self,
            handle: ptr::null_mut(),
        };
        // SAFETY: texts end in a zero and outlive the unit; it writes a handle.
        let made = unsafe {
            (self.nvrtcCreateProgram)(
                &mut unit.handle,
                source.as_ptr(),
                name.as_ptr(),
                0,
                ptr::null(),
                ptr::null(),
            )
        };
        if made != 0 {
            return Err(failed(made));
        }
        // SAFETY: the unit was made above; there are as many options as it is told.
        let compiled = unsafe {
            (self.nvrtcCompileProgram)(unit.handle, options.len() as i32, options.as_ptr())
        };
        if compiled != 0 {
            let log = unit.read(self.nvrtcGetProgramLogSize, self.nvrtcGetProgramLog);
            return Err(match log {
                Ok(log) if log.len() > 1 => {
                    does_not_compile(kernel, &String::from_utf8_lossy(&log))
                }
                _ => failed(compiled),
            });
        }
        unit.read(self.nvrtcGetCUBINSize, self.nvrtcGetCUBIN)
            .map_err(failed)
    }
}

impl Unit<'_> {
    /// What the compiler holds of this unit, by the function that tells how long it is and the one that writes it.
    fn read(
        &self,
        length: unsafe extern "C" fn(Handle, *mut usize) -> Status,
        write: unsafe extern "C" fn(Handle, *mut c_char) -> Status,
    ) -> Result<Vec<u8>, Status> {
        let mut bytes = 0;
        // SAFETY: it writes a number.
        match unsafe { length(self.handle, &mut bytes) } {
            0 => {}
            status => return Err(status),
        }
        let mut text = vec![0u8; bytes];
        // SAFETY: it writes as many bytes as it has told.
        match unsafe { write(self.handle, text.as_mut_ptr().cast()) } {
            0 => Ok(text),
            status => Err(status),
        }
    }
}

/// The first error of a log, with the line of the source that it is about.
fn does_not_compile(kernel: &Kernel, log: &str) -> StepError {
    let log = log.trim_end_matches(['\0', '\n']);
    let first = log.lines().find(|line| line.contains("error"));
    let said = first.or_else(|| log.lines().next()).unwrap_or_default();
    // `name(12): error: ...` by NVRTC, `name:12:5: error: ...` by others.
    let number = said
        .split(['(', ')', ':'])
        .find_map(|part| part.parse::<usize>().ok());
    let line = number
        .and_then(|number| Some((number, kernel.source.lines().nth(number.checked_sub(1)?)?)));
    let line = line.map_or(String::new(), |(number, line)| {
        format!("\n{number:>5} | {line}")
    });
    StepError::Kernel {
        name: kernel.name.clone(),
        told: format!("{said}{line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_is_wrong_is_shown() {
        let kernel = Kernel {
            name: "rows_0".into(),
            source: "first\nsecond\nthird".into(),
        };
        let told = |log: &str| does_not_compile(&kernel, log).to_string();
        assert_eq!(
            told("rows_0(2): error: identifier \"second\" is undefined\n\n1 error detected\n\0"),
            "the kernel `rows_0` does not compile: rows_0(2): error: identifier \"second\" is undefined\n    2 | second"
        );
        assert_eq!(
            told("rows_0:3:1: error: 'third' does not name a type"),
            "the kernel `rows_0` does not compile: rows_0:3:1: error: 'third' does not name a type\n    3 | third"
        );
        assert_eq!(
            told("ptxas fatal"),
            "the kernel `rows_0` does not compile: ptxas fatal"
        );
    }
}
