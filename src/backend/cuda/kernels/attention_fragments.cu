extern __shared__ __align__(16) unsigned char shared[];

// Rows in shared memory begin so far apart that eight of them fall on different banks.
constexpr unsigned ACROSS = (WIDTH + 15) / 16 * 16, ACROSS_V = (VALUE_WIDTH + 15) / 16 * 16;
constexpr unsigned STRIDE = ACROSS + 8, STRIDE_V = ACROSS_V + 8;

// Rows of a matrix on their way into shared memory, eight numbers at a time; zeros behind its last row and column.
template <unsigned COLUMNS, unsigned PADDED>
__device__ __forceinline__ void fetch(bf16* to, const bf16* from, unsigned first, unsigned rows, unsigned count, unsigned row)
{
    for (unsigned i = threadIdx.x; i < rows * (PADDED / 8); i += THREADS) {
        const unsigned at = i / (PADDED / 8), column = i % (PADDED / 8) * 8;
        const bool inside = first + at < count && column < COLUMNS;
        copy_eight(to + at * (PADDED + 8) + column, inside ? from + (first + at) * row + column : from, inside);
    }
}

// All that is on its way is there, for all threads.
__device__ __forceinline__ void arrive()
{
    end_copies();
    await_copies<0>();
    __syncthreads();
}

// Over the four lanes that share a row.
template <class R> __device__ __forceinline__ float along_row(float x)
{
    x = R::of(x, __shfl_xor_sync(0xffffffff, x, 1));
    return R::of(x, __shfl_xor_sync(0xffffffff, x, 2));
}
