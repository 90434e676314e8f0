// libcublas.so on a CPU, as far as luminal's crates call it: products of f32 by plain loops, column by column.
#include "driver.h"

#include <cstdint>
#include <cstdlib>

namespace {

using Status = int;

void multiply(
    bool turned_a, bool turned_b, int m, int n, int k, float alpha, const float* a, int stride_a, const float* b, int stride_b,
    float beta, float* c, int stride_c)
{
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < m; i++) {
            float sum = 0;
            for (int64_t l = 0; l < k; l++)
                sum += a[turned_a ? l + i * stride_a : i + l * stride_a] * b[turned_b ? j + l * stride_b : l + j * stride_b];
            float& to = c[i + j * stride_c];
            to = alpha * sum + (beta == 0 ? 0 : beta * to);
        }
}

} // namespace

#define EXPORT extern "C" Status
#define UNCALLED(name) \
    EXPORT name() { abort(); }

EXPORT cublasCreate_v2(void** handle)
{
    static int only;
    *handle = &only;
    return 0;
}
EXPORT cublasDestroy_v2(void*) { return 0; }
EXPORT cublasSetStream_v2(void*, void*) { return 0; }
EXPORT cublasSgemmStridedBatched(
    void*, int turned_a, int turned_b, int m, int n, int k, const float* alpha, const float* a, int stride_a, long long apart_a,
    const float* b, int stride_b, long long apart_b, const float* beta, float* c, int stride_c, long long apart_c, int count)
{
    std::function<void()> work = [=, alpha = *alpha, beta = *beta] {
        for (int each = 0; each < count; each++)
            multiply(
                turned_a, turned_b, m, n, k, alpha, a + each * apart_a, stride_a, b + each * apart_b, stride_b, beta,
                c + each * apart_c, stride_c);
    };
    emulator_enqueue(nullptr, &work);
    return 0;
}
EXPORT cublasSgemm_v2(
    void* handle, int turned_a, int turned_b, int m, int n, int k, const float* alpha, const float* a, int stride_a,
    const float* b, int stride_b, const float* beta, float* c, int stride_c)
{
    return cublasSgemmStridedBatched(
        handle, turned_a, turned_b, m, n, k, alpha, a, stride_a, 0, b, stride_b, 0, beta, c, stride_c, 0, 1);
}
UNCALLED(cublasDgemmStridedBatched)
UNCALLED(cublasDgemm_v2)
UNCALLED(cublasDgemv_v2)
UNCALLED(cublasGemmEx)
UNCALLED(cublasGemmStridedBatchedEx)
UNCALLED(cublasHgemm)
UNCALLED(cublasHgemmStridedBatched)
UNCALLED(cublasSgemv_v2)
