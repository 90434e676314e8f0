extern __shared__ __align__(16) unsigned char shared[];

// A block owns a row and a few columns of the result. Each of its warps looks through a range of the indices, in order; the
// warps' sums are added in theirs.
extern "C" __global__ void __launch_bounds__(256) KERNEL(
    const Source* __restrict__ source, const float* __restrict__ index, Out* __restrict__ out)
{
    constexpr unsigned WARPS = 8, RANGE = ((COUNT + 31) / 32 + WARPS - 1) / WARPS * 32;
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const unsigned row = blockIdx.x, column = blockIdx.y * 32 + lane;
    float sum = 0.0f;
    for (unsigned first = warp * RANGE; first < (warp + 1) * RANGE && first < COUNT; first += 32) {
        const unsigned to = first + lane < COUNT ? (unsigned)index[first + lane] : row + ROWS;
        // To go on would lose what belongs to nobody.
        if (first + lane < COUNT && to >= ROWS) __trap();
        const bool mine = to == row;
        for (unsigned found = __ballot_sync(0xffffffff, mine); found != 0; found &= found - 1) {
            const unsigned from = first + __ffs(found) - 1;
            if (column < WIDTH) sum += load(source + from * WIDTH + column);
        }
    }
    float* const sums = (float*)shared;
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (warp == 0 && column < WIDTH) {
        Out* const to = out + row * WIDTH + column;
        float total = ACCUMULATE ? load(to) : 0.0f;
        for (unsigned w = 0; w < WARPS; w++) total += sums[w * 32 + lane];
        store(to, total);
    }
}
