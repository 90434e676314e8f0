extern __shared__ __align__(16) unsigned char shared[];

// A block has 64 x 64 sums, a thread 4 x 4 of them; 16 terms at a time are in shared memory.
extern "C" __global__ void __launch_bounds__(256) KERNEL(
    const A* __restrict__ a, const B* __restrict__ b, C* __restrict__ c)
{
    constexpr unsigned SIDE = 64, TERMS = 16, STRIDE = SIDE + 4;
    float* const rows = (float*)shared;
    float* const columns = rows + TERMS * STRIDE;
    constexpr unsigned DOWN = (M + SIDE - 1) / SIDE, RIGHT = (N + SIDE - 1) / SIDE;
    const unsigned unit = blockIdx.x / (DOWN * RIGHT);
    const unsigned m = blockIdx.x / RIGHT % DOWN * SIDE, n = blockIdx.x % RIGHT * SIDE;
    a += A_at(unit), b += B_at(unit), c += C_at(unit);
    const unsigned down = threadIdx.x / 16 * 4, right = threadIdx.x % 16 * 4;
    float sums[4][4] = {};
    for (unsigned k = 0; k < K; k += TERMS) {
        __syncthreads();
        for (unsigned i = threadIdx.x; i < SIDE * TERMS; i += 256) {
            // Neighbouring threads read what is contiguous.
            const unsigned row = A_COLUMN == 1 ? i / TERMS : i % SIDE, term = A_COLUMN == 1 ? i % TERMS : i / SIDE;
            const bool inside = m + row < M && k + term < K;
            rows[term * STRIDE + row] = inside ? load(a + (m + row) * A_ROW + (k + term) * A_COLUMN) : 0.0f;
        }
        for (unsigned i = threadIdx.x; i < SIDE * TERMS; i += 256) {
            const unsigned column = B_ROW == 1 ? i / TERMS : i % SIDE, term = B_ROW == 1 ? i % TERMS : i / SIDE;
            const bool inside = n + column < N && k + term < K;
            columns[term * STRIDE + column] = inside ? load(b + (k + term) * B_ROW + (n + column) * B_COLUMN) : 0.0f;
        }
        __syncthreads();
        #pragma unroll
        for (unsigned term = 0; term < TERMS; term++) {
            const float4 x = *(const float4*)(rows + term * STRIDE + down);
            const float4 y = *(const float4*)(columns + term * STRIDE + right);
            const float xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
            for (unsigned i = 0; i < 4; i++)
                for (unsigned j = 0; j < 4; j++) sums[i][j] += xs[i] * ys[j];
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned j = 0; j < 4; j++) {
            if (m + down + i >= M || n + right + j >= N) continue;
            C* const to = c + (m + down + i) * C_ROW + (n + right + j) * C_COLUMN;
            store(to, ACCUMULATE ? load(to) + sums[i][j] : sums[i][j]);
        }
    }
}
