// Neighbouring elements at once. The first lies at a multiple of all their bytes, up to sixteen.
__device__ __forceinline__ unsigned pair(float low, float high)
{
#ifdef EMULATED
    return narrowed(low) | (unsigned)narrowed(high) << 16;
#else
    unsigned both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
#endif
}

template <int N> __device__ __forceinline__ void load(float (&x)[N], const float* from)
{
    if constexpr (N % 4 == 0) {
        for (int i = 0; i < N; i += 4) {
            const float4 four = *(const float4*)(from + i);
            x[i] = four.x, x[i + 1] = four.y, x[i + 2] = four.z, x[i + 3] = four.w;
        }
    } else {
        for (int i = 0; i < N; i += 2) {
            const float2 two = *(const float2*)(from + i);
            x[i] = two.x, x[i + 1] = two.y;
        }
    }
}

template <int N> __device__ __forceinline__ void store(float* to, const float (&x)[N])
{
    if constexpr (N % 4 == 0) {
        for (int i = 0; i < N; i += 4) *(float4*)(to + i) = make_float4(x[i], x[i + 1], x[i + 2], x[i + 3]);
    } else {
        for (int i = 0; i < N; i += 2) *(float2*)(to + i) = make_float2(x[i], x[i + 1]);
    }
}

template <int N> __device__ __forceinline__ void load(float (&x)[N], const bf16* from)
{
    alignas(16) unsigned pairs[N / 2];
    if constexpr (N == 8) *(uint4*)pairs = *(const uint4*)from;
    else if constexpr (N == 4) *(uint2*)pairs = *(const uint2*)from;
    else pairs[0] = *(const unsigned*)from;
    for (int i = 0; i < N; i++) x[i] = widened(pairs[i / 2] >> (i % 2 * 16));
}

template <int N> __device__ __forceinline__ void store(bf16* to, const float (&x)[N])
{
    alignas(16) unsigned pairs[N / 2];
    for (int i = 0; i < N; i += 2) pairs[i / 2] = pair(x[i], x[i + 1]);
    if constexpr (N == 8) *(uint4*)to = *(const uint4*)pairs;
    else if constexpr (N == 4) *(uint2*)to = *(const uint2*)pairs;
    else *(unsigned*)to = pairs[0];
}
