extern __shared__ __align__(16) unsigned char shared[];

// Factors lie in shared memory as in memory: by rows, or `A_DOWN` and `B_DOWN` by columns.
constexpr unsigned HIGH = 128, TERMS = 32, STAGES = 4, THREADS = 256;
constexpr unsigned A_LINES = A_DOWN ? TERMS : HIGH, A_LENGTH = A_DOWN ? HIGH : TERMS, A_LINE = A_LENGTH + 8;
constexpr unsigned B_LINES = B_DOWN ? WIDE : TERMS, B_LENGTH = B_DOWN ? TERMS : WIDE, B_LINE = B_LENGTH + 8;
constexpr unsigned STAGE = A_LINES * A_LINE + B_LINES * B_LINE, STEPS = (K + TERMS - 1) / TERMS;
constexpr unsigned TILE_LINE = WIDE + 8;

template <unsigned LINES, unsigned LENGTH>
__device__ __forceinline__ void fetch(
    bf16* to, const bf16* from, unsigned line, unsigned lines, unsigned at, unsigned length, unsigned stride)
{
    #pragma unroll
    for (unsigned i = threadIdx.x; i < LINES * (LENGTH / 8); i += THREADS) {
        const unsigned l = i / (LENGTH / 8), e = i % (LENGTH / 8) * 8;
        const bool inside = line + l < lines && at + e < length;
        copy_eight(to + l * (LENGTH + 8) + e, inside ? from + (line + l) * stride + at + e : from, inside);
    }
}

__device__ __forceinline__ void fetch_step(const bf16* a, const bf16* b, unsigned m, unsigned n, unsigned step)
{
    if (step < STEPS) {
        bf16* const to = (bf16*)shared + step % STAGES * STAGE;
        const unsigned k = step * TERMS;
        if (A_DOWN) fetch<A_LINES, A_LENGTH>(to, a, k, K, m, M, A_STRIDE);
        else fetch<A_LINES, A_LENGTH>(to, a, m, M, k, K, A_STRIDE);
        if (B_DOWN) fetch<B_LINES, B_LENGTH>(to + A_LINES * A_LINE, b, n, N, k, K, B_STRIDE);
        else fetch<B_LINES, B_LENGTH>(to + A_LINES * A_LINE, b, k, K, n, N, B_STRIDE);
    }
    end_copies();
}

// 128 x WIDE sums of a block, into shared memory: eight warps have 64 x WIDE / 4 each, in registers until all terms are added.
__device__ __forceinline__ void multiply(const bf16* __restrict__ a, const bf16* __restrict__ b, unsigned m, unsigned n)
{
    constexpr unsigned ACROSS = WIDE / 4 / 16;
    const unsigned warp = threadIdx.x / 32, down_by = warp / 4 * 64, right_by = warp % 4 * (WIDE / 4);
    float sums[4][ACROSS][2][4] = {};
    #pragma unroll
    for (unsigned step = 0; step < STAGES - 1; step++) fetch_step(a, b, m, n, step);
    for (unsigned step = 0; step < STEPS; step++) {
        await_copies<STAGES - 2>();
        __syncthreads();
        fetch_step(a, b, m, n, step + STAGES - 1);
        const bf16* const rows = (const bf16*)shared + step % STAGES * STAGE;
        const bf16* const columns = rows + A_LINES * A_LINE;
        #pragma unroll
        for (unsigned k = 0; k < TERMS; k += 16) {
            unsigned x[4][4];
            #pragma unroll
            for (unsigned i = 0; i < 4; i++) {
                if (A_DOWN) left_turned(x[i], rows + k * A_LINE + down_by + i * 16, A_LINE);
                else left(x[i], rows + (down_by + i * 16) * A_LINE + k, A_LINE);
            }
            #pragma unroll
            for (unsigned j = 0; j < ACROSS; j++) {
                unsigned y[4];
                if (B_DOWN) matrices(y, over(columns + (right_by + j * 16) * B_LINE + k, B_LINE), false);
                else matrices(y, down(columns + k * B_LINE + right_by + j * 16, B_LINE), true);
                #pragma unroll
                for (unsigned i = 0; i < 4; i++) {
                    mma(sums[i][j][0], x[i], {y[0], y[1]});
                    mma(sums[i][j][1], x[i], {y[2], y[3]});
                }
            }
        }
    }
    await_copies<0>();
    __syncthreads();
    float* const tile = (float*)shared;
    #pragma unroll
    for (unsigned i = 0; i < 4; i++)
        #pragma unroll
        for (unsigned j = 0; j < ACROSS; j++)
            #pragma unroll
            for (unsigned e = 0; e < 4; e++) {
                const unsigned row = down_by + i * 16 + row_of(e % 2 * 2), column = right_by + j * 16 + column_of(e / 2, 0);
                const float* const two = &sums[i][j][e / 2][e % 2 * 2];
                *(float2*)(tile + row * TILE_LINE + column) = make_float2(two[0], two[1]);
            }
    __syncthreads();
}
