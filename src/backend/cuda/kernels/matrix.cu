// Products of matrices of bf16 on a warp's tensor cores.
#ifndef EMULATED
// d += a·b: a 16 x 16 by rows, b 16 x 8 by columns; d 16 x 8 in f32.
__device__ __forceinline__ void mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four 8 x 8 matrices from shared memory; lane l brings the address of row l % 8 of matrix l / 8.
__device__ __forceinline__ void matrices(unsigned (&to)[4], const void* row, bool transposed)
{
    const unsigned at = (unsigned)__cvta_generic_to_shared(row);
    if (transposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
            : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(at) : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
            : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(at) : "memory");
}

// Eight numbers from memory to shared memory, on their way until awaited; zeros where there are none.
__device__ __forceinline__ void copy_eight(void* to, const void* from, bool inside)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
        :: "r"((unsigned)__cvta_generic_to_shared(to)), "l"(from), "r"(inside ? 16 : 0) : "memory");
}

// Copies up to here are one group; all but the last `N` groups are awaited.
__device__ __forceinline__ void end_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> __device__ __forceinline__ void await_copies() { asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory"); }
#endif

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
__device__ __forceinline__ void left(unsigned (&a)[4], const bf16* block, unsigned stride)
{
    matrices(a, down(block, stride), false);
}
__device__ __forceinline__ void left_turned(unsigned (&a)[4], const bf16* block, unsigned stride)
{
    matrices(a, over(block, stride), true);
}

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
