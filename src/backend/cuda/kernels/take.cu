extern "C" __global__ void __launch_bounds__(256) KERNEL(
    const Piece* __restrict__ table, const float* __restrict__ index, Piece* __restrict__ out)
{
    const unsigned at = blockIdx.x * 256 + threadIdx.x;
    if (at >= COUNT * PIECES) return;
    const unsigned row = (unsigned)index[at / PIECES];
    // To go on would read foreign memory.
    if (row >= ROWS) __trap();
    out[at] = table[row * PIECES + at % PIECES];
}
