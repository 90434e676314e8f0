extern __shared__ __align__(16) unsigned char shared[];

// Rows in shared memory begin so far apart that eight of them fall on different banks.
constexpr unsigned ACROSS = (WIDTH + 15) / 16 * 16, ACROSS_V = (VALUE_WIDTH + 15) / 16 * 16;
constexpr unsigned STRIDE = ACROSS + 8, STRIDE_V = ACROSS_V + 8;

// Rows of a matrix into shared memory, eight numbers at a time; zeros behind its last row and column.
template <unsigned COLUMNS, unsigned PADDED>
__device__ __forceinline__ void fetch(bf16* to, const bf16* from, unsigned first, unsigned rows, unsigned count, unsigned row)
{
    for (unsigned i = threadIdx.x; i < rows * (PADDED / 8); i += THREADS) {
        const unsigned at = i / (PADDED / 8), column = i % (PADDED / 8) * 8;
        uint4 eight = make_uint4(0, 0, 0, 0);
        if (first + at < count && column < COLUMNS) eight = *(const uint4*)(from + (first + at) * row + column);
        *(uint4*)(to + at * (PADDED + 8) + column) = eight;
    }
}

// A lane's address for a 16 x 16 block whose four matrices come down first, or across first.
__device__ __forceinline__ const bf16* down(const bf16* block, unsigned stride)
{
    const unsigned lane = threadIdx.x % 32;
    return block + (lane / 8 % 2 * 8 + lane % 8) * stride + lane / 16 * 8;
}
__device__ __forceinline__ const bf16* over(const bf16* block, unsigned stride)
{
    const unsigned lane = threadIdx.x % 32;
    return block + (lane / 16 * 8 + lane % 8) * stride + lane / 8 % 2 * 8;
}

// The first factor of a product from rows of shared memory, and from a block whose transpose is meant.
__device__ __forceinline__ void left(unsigned (&a)[4], const bf16* block, unsigned stride) { matrices(a, down(block, stride), false); }
__device__ __forceinline__ void left_turned(unsigned (&a)[4], const bf16* block, unsigned stride) { matrices(a, over(block, stride), true); }

// Sixteen columns of the second factor are added to: from rows that are its columns, and from rows that are its rows.
__device__ __forceinline__ void times_columns(float (&d)[2][4], const unsigned (&a)[4], const bf16* block, unsigned stride)
{
    unsigned b[4];
    matrices(b, over(block, stride), false);
    mma(d[0], a, {b[0], b[1]});
    mma(d[1], a, {b[2], b[3]});
}
__device__ __forceinline__ void times_rows(float (&d)[2][4], const unsigned (&a)[4], const bf16* block, unsigned stride)
{
    unsigned b[4];
    matrices(b, down(block, stride), true);
    mma(d[0], a, {b[0], b[1]});
    mma(d[1], a, {b[2], b[3]});
}

// Sums of 16 x 16 as the first factor of the next product.
__device__ __forceinline__ void as_left(unsigned (&a)[4], const float (&d)[2][4])
{
    a[0] = pair(d[0][0], d[0][1]), a[1] = pair(d[0][2], d[0][3]);
    a[2] = pair(d[1][0], d[1][1]), a[3] = pair(d[1][2], d[1][3]);
}

// A lane holds, of 16 x 16 sums, rows `lane / 4` and 8 below, and columns from `lane % 4 * 2` on, two and two.
__device__ __forceinline__ unsigned row_of(unsigned i) { return threadIdx.x % 32 / 4 + i / 2 * 8; }
__device__ __forceinline__ unsigned column_of(unsigned half, unsigned i) { return half * 8 + threadIdx.x % 4 * 2 + i % 2; }

// Over the four lanes that share a row.
template <class R> __device__ __forceinline__ float along_row(float x)
{
    x = R::of(x, __shfl_xor_sync(0xffffffff, x, 1));
    return R::of(x, __shfl_xor_sync(0xffffffff, x, 2));
}
