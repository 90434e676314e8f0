// libcublasLt.so on a CPU: products by plain loops, column by column as the library counts. What the documentation of the library
// does not have is refused, and what may be rounded is.
#include "driver.h"

#include <cstdint>
#include <cstring>
#include <vector>

namespace {

using Status = int;
constexpr Status INVALID = 7, NOT_SUPPORTED = 15;
constexpr unsigned F32 = 0, BF16 = 14;

constexpr uint32_t PLAIN = 1, BIAS = 4;

struct Operation {
    unsigned compute, scale;
    int turned[2] = {0, 0};
    uint32_t epilogue = PLAIN;
    const void* bias = nullptr;
    // That of the result, unless it is told.
    int32_t bias_type = -1;
};

struct Layout {
    unsigned type;
    uint64_t rows, columns;
    int64_t stride;
    int32_t count = 1;
    int64_t apart = 0;
};

// How parts of a sum that are computed side by side may be added up: as the result, in place or not, or as they were computed.
constexpr uint32_t IN_PLACE = 1, COMPUTED = 2, WRITTEN = 4;

struct Preference {
    uint64_t workspace = 0;
    uint32_t reduction = IN_PLACE | COMPUTED | WRITTEN;
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

// Whether the layouts are those of d = op(a)·op(b) + c.
bool fit(const Operation& operation, const Layout& a, const Layout& b, const Layout& c, const Layout& d)
{
    const uint64_t inner_a = operation.turned[0] ? a.rows : a.columns, inner_b = operation.turned[1] ? b.columns : b.rows;
    const uint64_t rows = operation.turned[0] ? a.columns : a.rows, columns = operation.turned[1] ? b.rows : b.columns;
    const auto wide = [](const Layout& l) { return l.stride >= (int64_t)l.rows; };
    const bool alike = c.type == d.type && c.rows == d.rows && c.columns == d.columns && c.count == d.count;
    return inner_a == inner_b && rows == d.rows && columns == d.columns && wide(a) && wide(b) && (wide(c) || c.stride == 0) && wide(d)
        && a.count == d.count && b.count == d.count && alike;
}

// Factors, result and bias in the table under `cublasLtMatmul`, of those that compute in f32.
constexpr unsigned TABLE[][3] = {{BF16, BF16, BF16}, {BF16, F32, F32}, {F32, F32, F32}};

bool known(const Operation& operation, const Layout& a, const Layout& b, const Layout& d)
{
    const unsigned bias = operation.bias_type < 0 ? d.type : operation.bias_type;
    bool found = false;
    for (const auto& [factor, result, of_bias] : TABLE)
        found |= a.type == factor && b.type == factor && d.type == result && (operation.epilogue == PLAIN || bias == of_bias);
    const bool aligned = operation.bias && (uint64_t)operation.bias % 16 == 0;
    const bool epilogue = operation.epilogue == PLAIN || (operation.epilogue == BIAS && aligned);
    return found && epilogue && operation.compute == 68 && operation.scale == F32;
}

float rounded(float x, unsigned type)
{
    float to;
    store(&to, type, 0, x);
    return load(&to, type, 0);
}

void multiply(
    Operation operation, Layout a, Layout b, Layout c, Layout d, float alpha, float beta, const void* x, const void* y, const void* added,
    void* z, bool in_parts)
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
                for (float part : sums) sum += in_parts ? rounded(part, d.type) : part;
                sum *= alpha;
                if (beta != 0) sum += beta * load(added, c.type, each * c.apart + i + j * c.stride);
                if (operation.epilogue == BIAS) sum += load(operation.bias, operation.bias_type < 0 ? d.type : operation.bias_type, i);
                store(z, d.type, each * d.apart + i + j * d.stride, sum);
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
    Operation& of = *(Operation*)operation;
    switch (which) {
    case 3:
    case 4: return set(of.turned[which - 3], from, bytes);
    case 7: return set(of.epilogue, from, bytes);
    case 8: return set(of.bias, from, bytes);
    case 26: return set(of.bias_type, from, bytes);
    default: return INVALID;
    }
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
    if (which == 3) return set(of.reduction, from, bytes);
    return which >= 5 && which <= 8 ? set(of.alignment[which - 5], from, bytes) : INVALID;
}

struct Heuristic {
    uint32_t alignment[4];
    uint32_t in_parts;
    uint32_t unused[11];
    size_t workspace;
    Status state;
    float waves;
    int reserved[4];
};

EXPORT cublasLtMatmulAlgoGetHeuristic(
    void*, void* operation, void* a, void* b, void* c, void* d, void* preference, int wanted, Heuristic* results, int* found)
{
    const Layout &x = *(Layout*)a, &y = *(Layout*)b, &added = *(Layout*)c, &z = *(Layout*)d;
    const Preference& of = *(Preference*)preference;
    if (!fit(*(Operation*)operation, x, y, added, z)) return INVALID;
    *found = 0;
    if (wanted < 1 || !known(*(Operation*)operation, x, y, z)) return NOT_SUPPORTED;
    results[0] = {};
    memcpy(results[0].alignment, of.alignment, sizeof results[0].alignment);
    results[0].in_parts = of.reduction & (IN_PLACE | WRITTEN);
    *found = 1;
    return 0;
}
EXPORT cublasLtMatmul(
    void*, void* operation, const float* alpha, const void* x, void* a, const void* y, void* b, const float* beta, const void* added,
    void* c, void* z, void* d, const Heuristic* algorithm, void*, size_t, void* stream)
{
    const Layout &of_x = *(Layout*)a, &of_y = *(Layout*)b, &of_added = *(Layout*)c, &of_z = *(Layout*)d;
    const auto aligned = [&](const void* at, int side) { return (uint64_t)at % algorithm->alignment[side] == 0; };
    if (!fit(*(Operation*)operation, of_x, of_y, of_added, of_z) || (added == z && c != d)) return INVALID;
    if (!known(*(Operation*)operation, of_x, of_y, of_z)) return NOT_SUPPORTED;
    if (!aligned(x, 0) || !aligned(y, 1) || !aligned(added, 2) || !aligned(z, 3)) return INVALID;
    std::function<void()> work = [=, operation = *(Operation*)operation, alpha = *alpha, beta = *beta, in_parts = algorithm->in_parts] {
        multiply(operation, of_x, of_y, of_added, of_z, alpha, beta, x, y, added, z, in_parts);
    };
    emulator_enqueue(stream, &work);
    return 0;
}
