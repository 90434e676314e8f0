// libcublasLt.so on a CPU: products by plain loops, column by column as the library counts.
#include "driver.h"

#include <cstdint>
#include <cstring>
#include <vector>

namespace {

using Status = int;
constexpr Status INVALID = 7, NOT_SUPPORTED = 15;
constexpr unsigned F32 = 0, BF16 = 14;

struct Operation {
    unsigned compute, scale;
    int turned[2] = {0, 0};
};

struct Layout {
    unsigned type;
    uint64_t rows, columns;
    int64_t stride;
    int32_t count = 1;
    int64_t apart = 0;
};

struct Preference {
    uint64_t workspace = 0;
    uint32_t alignment[4] = {256, 256, 256, 256};
};

float load(const void* from, unsigned type, int64_t at)
{
    if (type == F32) return ((const float*)from)[at];
    const uint32_t bits = (uint32_t)((const uint16_t*)from)[at] << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

void store(void* to, unsigned type, int64_t at, float x)
{
    if (type == F32) {
        ((float*)to)[at] = x;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &x, 4);
    ((uint16_t*)to)[at] = x != x ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

// Whether the layouts are those of d = op(a)·op(b).
bool fit(const Operation& operation, const Layout& a, const Layout& b, const Layout& d)
{
    const uint64_t inner_a = operation.turned[0] ? a.rows : a.columns, inner_b = operation.turned[1] ? b.columns : b.rows;
    const uint64_t rows = operation.turned[0] ? a.columns : a.rows, columns = operation.turned[1] ? b.rows : b.columns;
    const auto wide = [](const Layout& l) { return l.stride >= (int64_t)l.rows; };
    return inner_a == inner_b && rows == d.rows && columns == d.columns && wide(a) && wide(b) && wide(d) && a.count == d.count
        && b.count == d.count;
}

bool known(const Operation& operation, const Layout& a, const Layout& b, const Layout& d)
{
    const bool types = a.type == b.type && (a.type == F32 ? d.type == F32 : a.type == BF16 && (d.type == F32 || d.type == BF16));
    return types && operation.compute == 68 && operation.scale == F32;
}

void multiply(Operation operation, Layout a, Layout b, Layout d, float alpha, float beta, const void* x, const void* y, void* z)
{
    const uint64_t inner = operation.turned[0] ? a.rows : a.columns;
    for (int64_t each = 0; each < d.count; each++) {
        // Row by row of op(a), so that the inner loop reads both in order.
        std::vector<float> left(d.rows * inner), right(d.columns * inner);
        for (uint64_t k = 0; k < inner; k++) {
            for (uint64_t i = 0; i < d.rows; i++)
                left[i * inner + k] = load(x, a.type, each * a.apart + (operation.turned[0] ? k + i * a.stride : i + k * a.stride));
            for (uint64_t j = 0; j < d.columns; j++)
                right[j * inner + k] = load(y, b.type, each * b.apart + (operation.turned[1] ? j + k * b.stride : k + j * b.stride));
        }
        for (uint64_t j = 0; j < d.columns; j++)
            for (uint64_t i = 0; i < d.rows; i++) {
                float sums[8] = {};
                uint64_t k = 0;
                for (; k + 8 <= inner; k += 8)
                    for (int l = 0; l < 8; l++) sums[l] += left[i * inner + k + l] * right[j * inner + k + l];
                for (; k < inner; k++) sums[0] += left[i * inner + k] * right[j * inner + k];
                float sum = 0;
                for (float part : sums) sum += part;
                const int64_t at = each * d.apart + i + j * d.stride;
                store(z, d.type, at, alpha * sum + (beta == 0 ? 0 : beta * load(z, d.type, at)));
            }
    }
}

template <class T> Status set(T& field, const void* from, size_t bytes)
{
    if (bytes != sizeof(T)) return INVALID;
    memcpy(&field, from, bytes);
    return 0;
}

} // namespace

#define EXPORT extern "C" Status

extern "C" size_t cublasLtGetVersion() { return 130000; }
extern "C" const char* cublasLtGetStatusString(Status) { return "an emulated error"; }
EXPORT cublasLtCreate(void** handle)
{
    static int only;
    *handle = &only;
    return 0;
}
EXPORT cublasLtDestroy(void*) { return 0; }
EXPORT cublasLtMatmulDescCreate(void** operation, unsigned compute, unsigned scale)
{
    *operation = new Operation{compute, scale};
    return 0;
}
EXPORT cublasLtMatmulDescDestroy(void* operation)
{
    delete (Operation*)operation;
    return 0;
}
EXPORT cublasLtMatmulDescSetAttribute(void* operation, unsigned which, const void* from, size_t bytes)
{
    return which == 3 || which == 4 ? set(((Operation*)operation)->turned[which - 3], from, bytes) : INVALID;
}
EXPORT cublasLtMatrixLayoutCreate(void** layout, unsigned type, uint64_t rows, uint64_t columns, int64_t stride)
{
    *layout = new Layout{type, rows, columns, stride};
    return 0;
}
EXPORT cublasLtMatrixLayoutDestroy(void* layout)
{
    delete (Layout*)layout;
    return 0;
}
EXPORT cublasLtMatrixLayoutSetAttribute(void* layout, unsigned which, const void* from, size_t bytes)
{
    switch (which) {
    case 5: return set(((Layout*)layout)->count, from, bytes);
    case 6: return set(((Layout*)layout)->apart, from, bytes);
    default: return INVALID;
    }
}
EXPORT cublasLtMatmulPreferenceCreate(void** preference)
{
    *preference = new Preference;
    return 0;
}
EXPORT cublasLtMatmulPreferenceDestroy(void* preference)
{
    delete (Preference*)preference;
    return 0;
}
EXPORT cublasLtMatmulPreferenceSetAttribute(void* preference, unsigned which, const void* from, size_t bytes)
{
    Preference& of = *(Preference*)preference;
    if (which == 1) return set(of.workspace, from, bytes);
    return which >= 5 && which <= 8 ? set(of.alignment[which - 5], from, bytes) : INVALID;
}

struct Heuristic {
    uint32_t alignment[4];
    uint64_t unused[6];
    size_t workspace;
    Status state;
    float waves;
    int reserved[4];
};

EXPORT cublasLtMatmulAlgoGetHeuristic(
    void*, void* operation, void* a, void* b, void* c, void* d, void* preference, int wanted, Heuristic* results, int* found)
{
    const Layout &x = *(Layout*)a, &y = *(Layout*)b, &z = *(Layout*)d;
    if (!fit(*(Operation*)operation, x, y, z) || c != d) return INVALID;
    *found = 0;
    if (wanted < 1 || !known(*(Operation*)operation, x, y, z)) return NOT_SUPPORTED;
    results[0] = {};
    memcpy(results[0].alignment, ((Preference*)preference)->alignment, sizeof results[0].alignment);
    *found = 1;
    return 0;
}
EXPORT cublasLtMatmul(
    void*, void* operation, const float* alpha, const void* x, void* a, const void* y, void* b, const float* beta, const void* c,
    void*, void* z, void* d, const Heuristic* algorithm, void*, size_t, void* stream)
{
    const Layout &of_x = *(Layout*)a, &of_y = *(Layout*)b, &of_z = *(Layout*)d;
    const auto aligned = [&](const void* at, int side) { return (uint64_t)at % algorithm->alignment[side] == 0; };
    if (c != z || !fit(*(Operation*)operation, of_x, of_y, of_z)) return INVALID;
    if (!aligned(x, 0) || !aligned(y, 1) || !aligned(z, 3)) return INVALID;
    std::function<void()> work = [=, operation = *(Operation*)operation, alpha = *alpha, beta = *beta] {
        multiply(operation, of_x, of_y, of_z, alpha, beta, x, y, z);
    };
    emulator_enqueue(stream, &work);
    return 0;
}
