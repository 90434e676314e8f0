struct Piece { unsigned buffer, start, count; };

extern __shared__ __align__(16) unsigned char shared[];

extern "C" __global__ void __launch_bounds__(256) KERNEL(
    const float* const* __restrict__ sources, const Piece* __restrict__ pieces, double* __restrict__ sums)
{
    const Piece piece = pieces[blockIdx.x];
    const float* const from = sources[piece.buffer] + piece.start;
    float sum = 0.0f;
    const unsigned whole = piece.count / 4 * 4;
    for (unsigned i = threadIdx.x * 4; i < whole; i += 256 * 4) {
        float x[4];
        load(x, from + i);
        sum += x[0] * x[0] + x[1] * x[1] + (x[2] * x[2] + x[3] * x[3]);
    }
    const unsigned last = whole + threadIdx.x;
    if (last < piece.count) sum += from[last] * from[last];
    sum = across<Sum, 256>(sum, (float*)shared);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}
