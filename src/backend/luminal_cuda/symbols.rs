//! The C functions that luminal's CUDA crates are linked against, defined here: each jumps to where the library that was
//! opened at run time has it. So the crates need no toolkit to be built and no driver to start.
//!
//! Until a library is open, and where nobody asks for it, a function returns an error.

use crate::backend::cuda::{
    functions::{Handle, Status},
    library::Libraries,
    search::Search,
};
use libloading::Library;
use std::{
    ffi::{CStr, c_char, c_int, c_void},
    path::PathBuf,
    ptr, slice,
    sync::{
        OnceLock,
        atomic::{AtomicPtr, Ordering},
    },
};

/// What a function is until its library is open: an error to whoever calls it.
extern "C" fn absent() -> Status {
    const NOT_THERE: Status = 3;
    NOT_THERE
}

macro_rules! functions {
    ($list:ident: $($name:ident)+) => {
        #[allow(non_upper_case_globals, reason = "the names are those of the library")]
        mod $list {
            use super::*;

            mod at {
                use super::*;
                $(pub static $name: AtomicPtr<c_void> = AtomicPtr::new(absent as *mut c_void);)+
            }

            $(
                /// # Safety
                /// As the library's header says.
                #[unsafe(naked)]
                #[unsafe(no_mangle)]
                unsafe extern "C" fn $name() {
                    #[cfg(target_arch = "x86_64")]
                    core::arch::naked_asm!("jmp qword ptr [rip + {at}]", at = sym at::$name);
                    #[cfg(target_arch = "aarch64")]
                    core::arch::naked_asm!(
                        "adrp x16, {at}",
                        "ldr x16, [x16, :lo12:{at}]",
                        "br x16",
                        at = sym at::$name
                    );
                }
            )+

            /// Takes every function out of an open library, or says which it lacks.
            #[allow(dead_code, reason = "what nobody calls is left as it is")]
            pub fn fill(library: &Library) -> Result<(), &'static str> {
                $({
                    let name = stringify!($name);
                    // SAFETY: what is found under the name is the function that the crates were written against; it is only
                    // called.
                    let found = unsafe { library.get::<unsafe extern "C" fn()>(name) };
                    let found = found.map_err(|_| name)?;
                    at::$name.store(*found as *mut c_void, Ordering::Release);
                })+
                Ok(())
            }
        }
    };
}

functions! { driver:
    cuCtxGetCurrent cuCtxSetCurrent cuCtxSynchronize cuDestroyExternalMemory cuDeviceGet
    cuDeviceGetAttribute cuDeviceGetCount cuDeviceGetName cuDevicePrimaryCtxRelease_v2
    cuDevicePrimaryCtxRetain cuDeviceTotalMem_v2 cuEventCreate cuEventDestroy_v2
    cuEventElapsedTime cuEventRecord cuExternalMemoryGetMappedBuffer cuFuncSetAttribute
    cuGetErrorName cuGetErrorString cuImportExternalMemory cuInit cuLaunchCooperativeKernel
    cuLaunchKernel cuMemAllocAsync cuMemAlloc_v2 cuMemFreeAsync cuMemFree_v2 cuMemGetInfo_v2
    cuMemcpyDtoDAsync_v2 cuMemcpyDtoD_v2 cuMemcpyDtoHAsync_v2 cuMemcpyDtoH_v2
    cuMemcpyHtoDAsync_v2 cuMemcpyHtoD_v2 cuMemsetD8Async cuMemsetD8_v2 cuModuleGetFunction
    cuModuleLoad cuModuleLoadData cuModuleUnload cuOccupancyAvailableDynamicSMemPerBlock
    cuOccupancyMaxActiveBlocksPerMultiprocessor
    cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags cuOccupancyMaxActiveClusters
    cuOccupancyMaxPotentialBlockSize cuOccupancyMaxPotentialBlockSizeWithFlags
    cuOccupancyMaxPotentialClusterSize cuProfilerStart cuProfilerStop cuStreamCreate
    cuStreamDestroy_v2 cuStreamSynchronize cuStreamWaitEvent
}

functions! { nvrtc:
    nvrtcCompileProgram nvrtcDestroyProgram nvrtcGetPTXSize nvrtcGetProgramLog
    nvrtcGetProgramLogSize
}

functions! { blas:
    cublasCreate_v2 cublasDestroy_v2 cublasDgemmStridedBatched cublasDgemm_v2 cublasDgemv_v2
    cublasGemmEx cublasGemmStridedBatchedEx cublasHgemm cublasHgemmStridedBatched
    cublasSetStream_v2 cublasSgemmStridedBatched cublasSgemm_v2 cublasSgemv_v2
}

// Linked against and never called: no random number is drawn on the device.
functions! { curand:
    curandCreateGenerator curandDestroyGenerator curandGenerate curandGenerateLogNormal
    curandGenerateLogNormalDouble curandGenerateNormal curandGenerateNormalDouble
    curandGeneratePoisson curandGenerateUniform curandGenerateUniformDouble
    curandSetGeneratorOffset curandSetPseudoRandomGeneratorSeed curandSetStream
}

type Create = unsafe extern "C" fn(
    *mut Handle,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> Status;

static CREATE: OnceLock<Create> = OnceLock::new();

/// Every kernel includes `cuda_fp16.h`, from a toolkit that need not be there, and none in f32 uses what it declares: it is
/// handed an empty one.
///
/// # Safety
/// As NVRTC's header says.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvrtcCreateProgram(
    unit: *mut Handle,
    source: *const c_char,
    name: *const c_char,
    _: c_int,
    _: *const *const c_char,
    _: *const *const c_char,
) -> Status {
    let Some(create) = CREATE.get() else {
        return absent();
    };
    let (text, header) = (c"".as_ptr(), c"cuda_fp16.h".as_ptr());
    // SAFETY: by the caller; the header and its name are constants.
    unsafe {
        create(
            unit,
            source,
            name,
            1,
            ptr::from_ref(&text),
            ptr::from_ref(&header),
        )
    }
}

type Text = unsafe extern "C" fn(Handle, *mut c_char) -> Status;

static TEXT: OnceLock<Text> = OnceLock::new();

/// PTX says of which version it is, and a driver refuses what is newer than itself. These kernels say nothing that was not in
/// the version of CUDA 11, which every driver takes.
///
/// # Safety
/// As NVRTC's header says.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvrtcGetPTX(unit: Handle, to: *mut c_char) -> Status {
    let Some(text) = TEXT.get() else {
        return absent();
    };
    // SAFETY: by the caller.
    let status = unsafe { text(unit, to) };
    if status == 0 {
        // SAFETY: it has written a text that ends in a zero, and nobody else has it yet.
        let written = unsafe { CStr::from_ptr(to) }.to_bytes().len();
        // SAFETY: as above.
        date(unsafe { slice::from_raw_parts_mut(to.cast(), written) });
    }
    status
}

/// Exchanges the version for one as long.
fn date(ptx: &mut [u8]) {
    const LINE: &[u8] = b"\n.version ";
    let found = ptx.windows(LINE.len()).position(|part| part == LINE);
    let version = found.and_then(|at| ptx.get_mut(at + LINE.len()..at + LINE.len() + 3));
    if let Some(version @ [_, b'.', _]) = version {
        version.copy_from_slice(b"7.0");
    }
}

const BLAS: &str = "libcublas.so";

/// Opens what is needed, once in a process.
///
/// # Errors
/// What is in the way, in a sentence.
pub fn open() -> Result<(), String> {
    static OPENED: OnceLock<Result<(), String>> = OnceLock::new();
    OPENED.get_or_init(|| fill(Libraries::here())).clone()
}

fn fill(libraries: &Libraries) -> Result<(), String> {
    let absent = |missing: &crate::backend::cuda::library::Missing| missing.to_string();
    let of_driver = libraries.driver.as_ref().map_err(absent)?;
    let of_nvrtc = libraries.nvrtc.as_ref().map_err(absent)?;
    let lacks = |path: &PathBuf, name| format!("{} lacks the function {name}", path.display());
    driver::fill(of_driver.functions.library()).map_err(|name| lacks(&of_driver.path, name))?;
    nvrtc::fill(of_nvrtc.functions.library()).map_err(|name| lacks(&of_nvrtc.path, name))?;
    let _ = CREATE.set(of_nvrtc.functions.nvrtcCreateProgram);
    // SAFETY: the header declares it so.
    let text = unsafe { of_nvrtc.functions.library().get::<Text>("nvrtcGetPTX") };
    let text = text.map_err(|_| lacks(&of_nvrtc.path, "nvrtcGetPTX"))?;
    let _ = TEXT.set(*text);

    let majors = (of_nvrtc.version.major..=of_driver.version.major).rev();
    let names = majors.map(|major| format!("{BLAS}.{major}"));
    let names: Vec<String> = names.chain([BLAS.to_owned()]).collect();
    for path in Search::here().candidates(&names) {
        // SAFETY: NVIDIA's libraries do nothing when they are opened but set themselves up.
        if let Ok(library) = unsafe { Library::new(&path) } {
            blas::fill(&library).map_err(|name| lacks(&path, name))?;
            // The functions are called to the end of the process.
            std::mem::forget(library);
            return Ok(());
        }
    }
    Err(format!("{BLAS} was not found"))
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn ptx_is_dated_back_and_nothing_else_of_it_changes() {
        let dated = |ptx: &str| {
            let mut bytes = ptx.as_bytes().to_vec();
            date(&mut bytes);
            String::from_utf8(bytes).expect("it was text")
        };
        let ptx = "// made by NVRTC\n\n.version 9.2\n.target sm_75\n.address_size 64\n";
        assert_eq!(dated(ptx), ptx.replace("9.2", "7.0"));
        assert_eq!(dated("/tmp/kernel.so"), "/tmp/kernel.so");
        assert_eq!(dated("\n.version 9"), "\n.version 9");
    }
}
