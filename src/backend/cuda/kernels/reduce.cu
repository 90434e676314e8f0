// Sums and maxima over a row's threads, by pairs: an order that depends on their number alone. No NaN survives a maximum.
struct Sum {
    static __device__ __forceinline__ float start() { return 0.0f; }
    static __device__ __forceinline__ float of(float a, float b) { return a + b; }
};
struct Max {
    static __device__ __forceinline__ float start() { return __int_as_float(0xff800000); }
    static __device__ __forceinline__ float of(float a, float b) { return fmaxf(a, b); }
};

template <class R, int THREADS> __device__ __forceinline__ float across(float x, float* partial)
{
    for (int apart = (THREADS < 32 ? THREADS : 32) / 2; apart > 0; apart /= 2)
        x = R::of(x, __shfl_xor_sync(0xffffffff, x, apart));
    if constexpr (THREADS > 32) {
        if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = x;
        __syncthreads();
        x = threadIdx.x % 32 < THREADS / 32 ? partial[threadIdx.x % 32] : R::start();
        for (int apart = 16; apart > 0; apart /= 2)
            x = R::of(x, __shfl_xor_sync(0xffffffff, x, apart));
    }
    return x;
}
