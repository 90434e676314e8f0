// Elements in memory. Kernels compute in f32 whatever is stored.
struct bf16 { unsigned short bits; };

__device__ __forceinline__ float widened(unsigned short bits) { return __uint_as_float((unsigned)bits << 16); }

// The nearest bf16, ties to even; NaN of NaN.
__device__ __forceinline__ unsigned short narrowed(float x)
{
#ifdef EMULATED
    const unsigned bits = __float_as_uint(x);
    return x != x ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
#else
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
#endif
}

__device__ __forceinline__ float rounded(float x) { return widened(narrowed(x)); }

__device__ __forceinline__ float load(const float* from) { return *from; }
__device__ __forceinline__ float load(const bf16* from) { return widened(from->bits); }
__device__ __forceinline__ void store(float* to, float x) { *to = x; }
__device__ __forceinline__ void store(bf16* to, float x) { to->bits = narrowed(x); }
