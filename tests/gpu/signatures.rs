//! The functions, numbers and structures that mimc declares are those of NVIDIA's headers, as cudarc's bindings were
//! generated from them.

use cudarc::{cublaslt::sys as theirs_lt, driver::sys as theirs, nvrtc::sys as theirs_rtc};
use mimc::backend::cuda::functions::{
    Algorithm, Blas, Driver, Heuristic, Nvrtc, constants as ours,
};

/// Bytes of each argument and of the result: what a caller and a library must agree on.
trait Signature {
    fn bytes() -> Vec<usize>;
}

macro_rules! signatures {
    ($($argument:ident)*) => {
        impl<R, $($argument),*> Signature for unsafe extern "C" fn($($argument),*) -> R {
            fn bytes() -> Vec<usize> {
                vec![$(size_of::<$argument>(),)* size_of::<R>()]
            }
        }
        impl<R, $($argument),*> Signature for unsafe fn($($argument),*) -> R {
            fn bytes() -> Vec<usize> {
                vec![$(size_of::<$argument>(),)* size_of::<R>()]
            }
        }
    };
}

signatures!();
signatures!(A);
signatures!(A B);
signatures!(A B C);
signatures!(A B C D);
signatures!(A B C D E);
signatures!(A B C D E F);
signatures!(A B C D E F G H I J);
signatures!(A B C D E F G H I J K);
signatures!(A B C D E F G H I J K L M N O P);

fn declared<T, F: Signature>(_: fn(&T) -> F) -> Vec<usize> {
    F::bytes()
}

fn bound<F: Signature>(_: F) -> Vec<usize> {
    F::bytes()
}

/// Each function of a table beside the binding of the same name, or of the one it is an alias of.
macro_rules! same {
    ($table:ty, $bindings:ident: $($name:ident $(= $alias:ident)? ($($argument:tt)*);)+) => {
        let names = [$((
            stringify!($name),
            declared(|table: &$table| table.$name),
            same!(@bound $bindings $name $($alias)? ($($argument)*)),
        )),+];
        for (name, declared, bound) in &names {
            assert_eq!(declared, bound, "{name}");
        }
        assert_eq!(names.map(|(name, ..)| name), <$table>::NAMES);
    };
    (@bound $bindings:ident $name:ident ($($argument:tt)*)) => {
        bound($bindings::$name as unsafe fn($($argument)*) -> _)
    };
    (@bound $bindings:ident $name:ident $alias:ident ($($argument:tt)*)) => {
        bound($bindings::$alias as unsafe fn($($argument)*) -> _)
    };
}

#[test]
fn functions_take_what_the_headers_say() {
    same! { Driver, theirs:
        cuInit(_);
        cuDriverGetVersion(_);
        cuGetErrorName(_, _);
        cuGetErrorString(_, _);
        cuDeviceGetCount(_);
        cuDeviceGet(_, _);
        cuDeviceGetName(_, _, _);
        cuDeviceTotalMem_v2(_, _);
        cuDeviceGetAttribute(_, _, _);
        cuDevicePrimaryCtxRetain(_, _);
        cuDevicePrimaryCtxRelease_v2(_);
        cuCtxSetCurrent(_);
        cuMemGetInfo_v2(_, _);
        cuMemAlloc_v2(_, _);
        cuMemFree_v2(_);
        cuMemHostAlloc(_, _, _);
        cuMemFreeHost(_);
        cuMemcpyHtoDAsync_v2(_, _, _, _);
        cuMemcpyDtoHAsync_v2(_, _, _, _);
        cuMemcpyDtoDAsync_v2(_, _, _, _);
        cuMemsetD8Async(_, _, _, _);
        cuStreamCreate(_, _);
        cuStreamDestroy_v2(_);
        cuStreamSynchronize(_);
        cuStreamWaitEvent(_, _, _);
        cuStreamBeginCapture_v2(_, _);
        cuStreamEndCapture(_, _);
        cuEventCreate(_, _);
        cuEventDestroy_v2(_);
        cuEventRecord(_, _);
        cuEventSynchronize(_);
        cuEventElapsedTime = cuEventElapsedTime_v2(_, _, _);
        cuGraphInstantiateWithFlags(_, _, _);
        cuGraphLaunch(_, _);
        cuGraphExecDestroy(_);
        cuGraphDestroy(_);
        cuModuleLoadData(_, _);
        cuModuleUnload(_);
        cuModuleGetFunction(_, _, _);
        cuFuncSetAttribute(_, _, _);
        cuLaunchKernel(_, _, _, _, _, _, _, _, _, _, _);
    }
    same! { Nvrtc, theirs_rtc:
        nvrtcVersion(_, _);
        nvrtcGetErrorString(_);
        nvrtcGetNumSupportedArchs(_);
        nvrtcGetSupportedArchs(_);
        nvrtcCreateProgram(_, _, _, _, _, _);
        nvrtcCompileProgram(_, _, _);
        nvrtcDestroyProgram(_);
        nvrtcGetProgramLogSize(_, _);
        nvrtcGetProgramLog(_, _);
        nvrtcGetCUBINSize(_, _);
        nvrtcGetCUBIN(_, _);
    }
    same! { Blas, theirs_lt:
        cublasLtGetVersion();
        cublasLtGetStatusString(_);
        cublasLtCreate(_);
        cublasLtDestroy(_);
        cublasLtMatmulDescCreate(_, _, _);
        cublasLtMatmulDescDestroy(_);
        cublasLtMatmulDescSetAttribute(_, _, _, _);
        cublasLtMatrixLayoutCreate(_, _, _, _, _);
        cublasLtMatrixLayoutDestroy(_);
        cublasLtMatrixLayoutSetAttribute(_, _, _, _);
        cublasLtMatmulPreferenceCreate(_);
        cublasLtMatmulPreferenceDestroy(_);
        cublasLtMatmulPreferenceSetAttribute(_, _, _, _);
        cublasLtMatmulAlgoGetHeuristic(_, _, _, _, _, _, _, _, _, _);
        cublasLtMatmul(_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _);
    }
}

#[test]
fn structures_are_as_long_as_in_the_headers() {
    assert_eq!(
        size_of::<Heuristic>(),
        size_of::<theirs_lt::cublasLtMatmulHeuristicResult_t>()
    );
    assert_eq!(
        size_of::<Algorithm>(),
        size_of::<theirs_lt::cublasLtMatmulAlgo_t>()
    );
    let offset = std::mem::offset_of!(theirs_lt::cublasLtMatmulHeuristicResult_t, state);
    assert_eq!(std::mem::offset_of!(Heuristic, state), offset);
}

#[test]
fn numbers_are_those_of_the_headers() {
    macro_rules! equal {
        ($($bindings:ident::$list:ident: $($name:ident)+;)+) => {
            $($(assert_eq!(ours::$name as i64, $bindings::$list::$name as i64, stringify!($name));)+)+
        };
    }
    equal! {
        theirs::CUdevice_attribute:
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR
            CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
        theirs::CUfunction_attribute: CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        theirs::CUstream_flags: CU_STREAM_NON_BLOCKING;
        theirs::CUstreamCaptureMode: CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        theirs::CUevent_flags: CU_EVENT_DEFAULT CU_EVENT_DISABLE_TIMING;
        theirs::CUresult:
            CUDA_ERROR_OUT_OF_MEMORY CUDA_ERROR_DEVICE_UNAVAILABLE
            CUDA_ERROR_ECC_UNCORRECTABLE CUDA_ERROR_NVLINK_UNCORRECTABLE CUDA_ERROR_ILLEGAL_ADDRESS
            CUDA_ERROR_LAUNCH_TIMEOUT CUDA_ERROR_CONTEXT_IS_DESTROYED
            CUDA_ERROR_HARDWARE_STACK_ERROR CUDA_ERROR_LAUNCH_FAILED CUDA_ERROR_UNKNOWN;
        theirs_lt::cublasComputeType_t: CUBLAS_COMPUTE_32F;
        theirs_lt::cudaDataType_t: CUDA_R_32F CUDA_R_16BF;
        theirs_lt::cublasLtMatmulDescAttributes_t:
            CUBLASLT_MATMUL_DESC_TRANSA CUBLASLT_MATMUL_DESC_TRANSB CUBLASLT_MATMUL_DESC_EPILOGUE
            CUBLASLT_MATMUL_DESC_BIAS_POINTER CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE;
        theirs_lt::cublasLtEpilogue_t: CUBLASLT_EPILOGUE_BIAS;
        theirs_lt::cublasLtReductionScheme_t: CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
        theirs_lt::cublasLtMatrixLayoutAttribute_t:
            CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET;
        theirs_lt::cublasLtMatmulPreferenceAttributes_t:
            CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES
            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES;
    }
    // The operations of cublasLt are those of cuBLAS: none and transposed.
    assert_eq!((ours::CUBLAS_OP_N, ours::CUBLAS_OP_T), (0, 1));
}
