//! The functions of CUDA's libraries that mimc calls, as C declares them. Each library is a table, filled when it is opened;
//! `tests/cuda/signatures.rs` compares the tables with the headers.
//!
//! Codes stay whole numbers: a newer driver may return one that no list of today knows.

use libloading::Library;
use std::ffi::{c_char, c_int, c_uint, c_void};

/// What a call returns: 0 for success.
pub type Status = c_int;
/// Of a context, a stream, an event, a module, a descriptor.
pub type Handle = *mut c_void;
/// An address in the memory of a device.
pub type Address = u64;

/// Types are named as in the headers where they differ from C's own.
macro_rules! functions {
    ($(#[$doc:meta])* $table:ident: $($name:ident($($argument:ty),* $(,)?) -> $result:ty;)+) => {
        $(#[$doc])*
        #[allow(non_snake_case, reason = "the names are those of the library")]
        pub struct $table {
            $(pub $name: unsafe extern "C" fn($($argument),*) -> $result,)+
            /// The functions live as long as it is open.
            library: Library,
        }

        impl $table {
            /// The names of its functions.
            pub const NAMES: &[&str] = &[$(stringify!($name)),+];

            /// Takes the functions out of a library.
            ///
            /// # Errors
            /// The name of the first that it lacks.
            pub fn of(library: Library) -> Result<Self, &'static str> {
                Ok(Self {
                    $($name: {
                        let name = stringify!($name);
                        // SAFETY: the library's header declares the function of this name so.
                        match unsafe { library.get(name) } {
                            Ok(symbol) => *symbol,
                            Err(_) => return Err(name),
                        }
                    },)+
                    library,
                })
            }

            /// The library itself.
            pub fn library(&self) -> &Library {
                &self.library
            }
        }
    };
}

functions! {
    /// The driver: `libcuda.so.1`.
    Driver:
    cuInit(c_uint) -> Status;
    cuDriverGetVersion(*mut c_int) -> Status;
    cuGetErrorName(Status, *mut *const c_char) -> Status;
    cuGetErrorString(Status, *mut *const c_char) -> Status;
    cuDeviceGetCount(*mut c_int) -> Status;
    cuDeviceGet(*mut c_int, c_int) -> Status;
    cuDeviceGetName(*mut c_char, c_int, c_int) -> Status;
    cuDeviceTotalMem_v2(*mut usize, c_int) -> Status;
    cuDeviceGetAttribute(*mut c_int, c_int, c_int) -> Status;
    cuDevicePrimaryCtxRetain(*mut Handle, c_int) -> Status;
    cuDevicePrimaryCtxRelease_v2(c_int) -> Status;
    cuCtxSetCurrent(Handle) -> Status;
    cuMemGetInfo_v2(*mut usize, *mut usize) -> Status;
    cuMemAlloc_v2(*mut Address, usize) -> Status;
    cuMemFree_v2(Address) -> Status;
    cuMemHostAlloc(*mut *mut c_void, usize, c_uint) -> Status;
    cuMemFreeHost(*mut c_void) -> Status;
    cuMemcpyHtoDAsync_v2(Address, *const c_void, usize, Handle) -> Status;
    cuMemcpyDtoHAsync_v2(*mut c_void, Address, usize, Handle) -> Status;
    cuMemcpyDtoDAsync_v2(Address, Address, usize, Handle) -> Status;
    cuMemsetD8Async(Address, u8, usize, Handle) -> Status;
    cuStreamCreate(*mut Handle, c_uint) -> Status;
    cuStreamDestroy_v2(Handle) -> Status;
    cuStreamSynchronize(Handle) -> Status;
    cuStreamWaitEvent(Handle, Handle, c_uint) -> Status;
    cuStreamBeginCapture_v2(Handle, c_uint) -> Status;
    cuStreamEndCapture(Handle, *mut Handle) -> Status;
    cuEventCreate(*mut Handle, c_uint) -> Status;
    cuEventDestroy_v2(Handle) -> Status;
    cuEventRecord(Handle, Handle) -> Status;
    cuEventSynchronize(Handle) -> Status;
    cuEventElapsedTime(*mut f32, Handle, Handle) -> Status;
    cuGraphInstantiateWithFlags(*mut Handle, Handle, u64) -> Status;
    cuGraphLaunch(Handle, Handle) -> Status;
    cuGraphExecDestroy(Handle) -> Status;
    cuGraphDestroy(Handle) -> Status;
    cuModuleLoadData(*mut Handle, *const c_void) -> Status;
    cuModuleUnload(Handle) -> Status;
    cuModuleGetFunction(*mut Handle, Handle, *const c_char) -> Status;
    cuFuncSetAttribute(Handle, c_int, c_int) -> Status;
    cuLaunchKernel(
        Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle, *mut *mut c_void,
        *mut *mut c_void,
    ) -> Status;
}

functions! {
    /// The compiler of kernels: `libnvrtc.so`.
    Nvrtc:
    nvrtcVersion(*mut c_int, *mut c_int) -> Status;
    nvrtcGetErrorString(Status) -> *const c_char;
    nvrtcGetNumSupportedArchs(*mut c_int) -> Status;
    nvrtcGetSupportedArchs(*mut c_int) -> Status;
    nvrtcCreateProgram(
        *mut Handle, *const c_char, *const c_char, c_int, *const *const c_char,
        *const *const c_char,
    ) -> Status;
    nvrtcCompileProgram(Handle, c_int, *const *const c_char) -> Status;
    nvrtcDestroyProgram(*mut Handle) -> Status;
    nvrtcGetProgramLogSize(Handle, *mut usize) -> Status;
    nvrtcGetProgramLog(Handle, *mut c_char) -> Status;
    nvrtcGetCUBINSize(Handle, *mut usize) -> Status;
    nvrtcGetCUBIN(Handle, *mut c_char) -> Status;
}

functions! {
    /// Matrix products: `libcublasLt.so`.
    Blas:
    cublasLtGetVersion() -> usize;
    cublasLtGetStatusString(Status) -> *const c_char;
    cublasLtCreate(*mut Handle) -> Status;
    cublasLtDestroy(Handle) -> Status;
    cublasLtMatmulDescCreate(*mut Handle, c_uint, c_uint) -> Status;
    cublasLtMatmulDescDestroy(Handle) -> Status;
    cublasLtMatmulDescSetAttribute(Handle, c_uint, *const c_void, usize) -> Status;
    cublasLtMatrixLayoutCreate(*mut Handle, c_uint, u64, u64, i64) -> Status;
    cublasLtMatrixLayoutDestroy(Handle) -> Status;
    cublasLtMatrixLayoutSetAttribute(Handle, c_uint, *const c_void, usize) -> Status;
    cublasLtMatmulPreferenceCreate(*mut Handle) -> Status;
    cublasLtMatmulPreferenceDestroy(Handle) -> Status;
    cublasLtMatmulPreferenceSetAttribute(Handle, c_uint, *const c_void, usize) -> Status;
    cublasLtMatmulAlgoGetHeuristic(
        Handle, Handle, Handle, Handle, Handle, Handle, Handle, c_int, *mut Heuristic, *mut c_int,
    ) -> Status;
    cublasLtMatmul(
        Handle, Handle, *const c_void, *const c_void, Handle, *const c_void, Handle, *const c_void,
        *const c_void, Handle, *mut c_void, Handle, *const Algorithm, *mut c_void, usize, Handle,
    ) -> Status;
}

/// `cublasLtMatmulAlgo_t`: what it holds is the library's own business.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Algorithm([u64; 8]);

/// `cublasLtMatmulHeuristicResult_t`
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Heuristic {
    pub algorithm: Algorithm,
    /// Bytes of workspace that the algorithm needs.
    pub workspace: usize,
    pub state: Status,
    /// How often the device is filled.
    pub waves: f32,
    reserved: [c_int; 4],
}

/// Numbers of the headers' enumerations.
pub mod constants {
    use std::ffi::{c_int, c_uint};

    pub const CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: c_int = 75;
    pub const CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: c_int = 76;
    pub const CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: c_int = 97;
    pub const CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: c_int = 8;
    pub const CU_STREAM_NON_BLOCKING: c_uint = 1;
    pub const CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: c_uint = 1;
    pub const CU_EVENT_DEFAULT: c_uint = 0;
    pub const CU_EVENT_DISABLE_TIMING: c_uint = 2;

    pub const CUDA_ERROR_OUT_OF_MEMORY: c_int = 2;
    pub const CUDA_ERROR_DEVICE_UNAVAILABLE: c_int = 46;
    pub const CUDA_ERROR_ECC_UNCORRECTABLE: c_int = 214;
    pub const CUDA_ERROR_NVLINK_UNCORRECTABLE: c_int = 220;
    pub const CUDA_ERROR_ILLEGAL_ADDRESS: c_int = 700;
    pub const CUDA_ERROR_LAUNCH_TIMEOUT: c_int = 702;
    pub const CUDA_ERROR_CONTEXT_IS_DESTROYED: c_int = 709;
    pub const CUDA_ERROR_HARDWARE_STACK_ERROR: c_int = 714;
    pub const CUDA_ERROR_LAUNCH_FAILED: c_int = 719;
    pub const CUDA_ERROR_UNKNOWN: c_int = 999;

    pub const CUBLAS_COMPUTE_32F: c_uint = 68;
    pub const CUDA_R_32F: c_uint = 0;
    pub const CUDA_R_16BF: c_uint = 14;
    pub const CUBLAS_OP_N: c_uint = 0;
    pub const CUBLAS_OP_T: c_uint = 1;
    pub const CUBLASLT_MATMUL_DESC_TRANSA: c_uint = 3;
    pub const CUBLASLT_MATMUL_DESC_TRANSB: c_uint = 4;
    pub const CUBLASLT_MATMUL_DESC_EPILOGUE: c_uint = 7;
    pub const CUBLASLT_MATMUL_DESC_BIAS_POINTER: c_uint = 8;
    pub const CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE: c_uint = 26;
    pub const CUBLASLT_EPILOGUE_BIAS: c_uint = 4;
    pub const CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: c_uint = 5;
    pub const CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: c_uint = 6;
    pub const CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: c_uint = 1;
    pub const CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: c_uint = 3;
    pub const CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE: c_uint = 2;
    pub const CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: c_uint = 5;
    pub const CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: c_uint = 6;
    pub const CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: c_uint = 7;
    pub const CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: c_uint = 8;
}
