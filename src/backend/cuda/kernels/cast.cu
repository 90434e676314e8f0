struct Piece { unsigned buffer, start, count; };

// `offsets`: where the copy of each weight begins, in units of 256 bytes.
extern "C" __global__ void __launch_bounds__(256) KERNEL(
    const float* const* __restrict__ weights, const Piece* __restrict__ pieces, const unsigned* __restrict__ offsets,
    unsigned char* __restrict__ copies)
{
    const Piece piece = pieces[blockIdx.x];
    const float* const from = weights[piece.buffer] + piece.start;
    bf16* const to = (bf16*)(copies + (unsigned long long)offsets[piece.buffer] * 256) + piece.start;
    const unsigned whole = piece.count / 8 * 8;
    for (unsigned i = threadIdx.x * 8; i < whole; i += 256 * 8) {
        float x[8];
        load(x, from + i);
        store(to + i, x);
    }
    const unsigned last = whole + threadIdx.x;
    if (last < piece.count) store(to + last, from[last]);
}
