// Runs kernels of CUDA C on one thread of a CPU: each thread of a block is a fibre, blocks come one after another.
//
// It finds what a GPU might hide: shared memory is full of NaN at first; threads run in rising order in even blocks and in
// falling order in odd ones, so that a missing barrier changes results; what is copied beside the threads comes as late as it
// may; a barrier or a shuffle that not all its threads reach, or that they reach in different places, ends the program.
//
// Entry points take pointers alone. A translation unit is this header, then for each kernel
//
//     namespace some_name { <source of the kernel> LAUNCHER(<name of its entry point>) }
//
// which defines `emulate_<name>(arguments, grid, block, shared)`, with `arguments` as cuLaunchKernel has them: each the
// address of a pointer. Options: -std=c++17 -fno-strict-aliasing -w. At most 1024 threads in a block, along x. Not for
// several threads at once: the state of a block is that of the process.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define EMULATED
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
// Dynamic shared memory is an array that LAUNCHER defines.
#define __shared__

struct float2 { float x, y; };
struct __align__(16) float4 { float x, y, z, w; };
struct uint2 { unsigned x, y; };
struct __align__(16) uint4 { unsigned x, y, z, w; };
struct uint3 { unsigned x, y, z; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

namespace emulator {

constexpr unsigned MOST_THREADS = 1024, WARP = 32;
constexpr size_t STACK = 64 << 10;
constexpr unsigned MOST_SHARED = 227 << 10;

enum State { RUNS, AT_BARRIER, AT_WARP, DONE };

struct Fibre {
    void* stack_pointer;
    char* stack;
    uint3 index;
    State state;
    // Where it waits, and what it shows to its warp meanwhile.
    int site;
    uint64_t shown[3];
};

// Eight numbers on their way to shared memory, zeros from nowhere; and how many groups their thread had ended before.
struct Copy {
    void* to;
    const void* from;
    unsigned group;
};
constexpr unsigned MOST_COPIES = 64;
struct Copies {
    Copy list[MOST_COPIES];
    unsigned count, groups;
};

inline Fibre fibres[MOST_THREADS];
inline Copies copies[MOST_THREADS];
inline Fibre* current;
inline void* scheduler;
inline unsigned threads;
inline uint3 block_index, block_size, grid_size;
inline void (*body)(void*);
inline void* body_argument;

[[noreturn]] inline void fault(const char* what)
{
    fprintf(stderr, "emulated kernel: %s, in block %u, %u, %u\n", what, block_index.x, block_index.y, block_index.z);
    abort();
}

#if defined(__x86_64__)
extern "C" void emulator_switch(void** save, void* to);
asm(R"(
.text
.weak emulator_switch
.type emulator_switch, @function
emulator_switch:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
)");
inline void leave(Fibre* fibre) { emulator_switch(&fibre->stack_pointer, scheduler); }
inline void enter(Fibre* fibre) { emulator_switch(&scheduler, fibre->stack_pointer); }
inline void prepare(Fibre* fibre, void (*start)())
{
    // Registers, the place to return to, and no caller.
    void** top = (void**)(fibre->stack + STACK);
    *--top = nullptr;
    *--top = (void*)start;
    for (int i = 0; i < 6; i++) *--top = nullptr;
    fibre->stack_pointer = top;
}
#else
inline ucontext_t contexts[MOST_THREADS], scheduler_context;
inline void leave(Fibre* fibre) { swapcontext(&contexts[fibre - fibres], &scheduler_context); }
inline void enter(Fibre* fibre) { swapcontext(&scheduler_context, &contexts[fibre - fibres]); }
inline void prepare(Fibre* fibre, void (*start)())
{
    ucontext_t* context = &contexts[fibre - fibres];
    getcontext(context);
    context->uc_stack.ss_sp = fibre->stack;
    context->uc_stack.ss_size = STACK;
    context->uc_link = nullptr;
    makecontext(context, start, 0);
}
#endif

inline void wait(State state, int site)
{
    Fibre* fibre = current;
    fibre->state = state;
    fibre->site = site;
    leave(fibre);
}

inline void start()
{
    body(body_argument);
    wait(DONE, 0);
    __builtin_trap();
}

inline void resume(unsigned at)
{
    current = &fibres[at];
    enter(current);
}

// Runs a warp until none of its threads waits for another of it.
inline void run_warp(unsigned first, unsigned end, bool falling)
{
    for (;;) {
        for (unsigned i = first; i < end; i++) {
            const unsigned at = falling ? end - 1 - (i - first) : i;
            if (fibres[at].state == RUNS) resume(at);
        }
        unsigned waiting = 0, site = 0;
        for (unsigned i = first; i < end; i++)
            if (fibres[i].state == AT_WARP) waiting++, site = fibres[i].site;
        if (waiting == 0) return;
        for (unsigned i = first; i < end; i++)
            if (fibres[i].state != AT_WARP || fibres[i].site != (int)site) fault("a warp's threads do not all reach a shuffle");
        for (unsigned i = first; i < end; i++) fibres[i].state = RUNS;
    }
}

inline void run_block()
{
    const bool falling = block_index.x % 2 == 1;
    for (unsigned i = 0; i < threads; i++) {
        fibres[i].state = RUNS;
        fibres[i].index = {i, 0, 0};
        copies[i].count = copies[i].groups = 0;
        prepare(&fibres[i], start);
    }
    for (;;) {
        const unsigned warps = (threads + WARP - 1) / WARP;
        for (unsigned w = 0; w < warps; w++) {
            const unsigned first = (falling ? warps - 1 - w : w) * WARP;
            run_warp(first, first + WARP < threads ? first + WARP : threads, falling);
        }
        unsigned done = 0, site = 0;
        for (unsigned i = 0; i < threads; i++)
            if (fibres[i].state == DONE) done++;
            else site = fibres[i].site;
        if (done == threads) {
            for (unsigned i = 0; i < threads; i++)
                if (copies[i].count > 0) fault("a copy is on its way when its thread ends");
            return;
        }
        if (done > 0) fault("a block's threads do not all reach a barrier");
        for (unsigned i = 0; i < threads; i++)
            if (fibres[i].site != (int)site) fault("a block's threads wait at different barriers");
        for (unsigned i = 0; i < threads; i++) fibres[i].state = RUNS;
    }
}

inline void launch(void (*of)(void*), void* argument, const unsigned* grid, unsigned block, unsigned char* shared, unsigned bytes)
{
    if (block == 0 || block > MOST_THREADS) fault("a block has 1 to 1024 threads");
    if (bytes > MOST_SHARED) fault("a block has at most 227 KiB of shared memory");
    static char* stacks;
    if (!stacks) {
        stacks = (char*)aligned_alloc(64, STACK * MOST_THREADS);
        for (unsigned i = 0; i < MOST_THREADS; i++) fibres[i].stack = stacks + STACK * i;
    }
    threads = block, body = of, body_argument = argument;
    block_size = {block, 1, 1}, grid_size = {grid[0], grid[1], grid[2]};
    for (block_index.z = 0; block_index.z < grid[2]; block_index.z++)
        for (block_index.y = 0; block_index.y < grid[1]; block_index.y++)
            for (block_index.x = 0; block_index.x < grid[0]; block_index.x++) {
                memset(shared, 0xff, bytes);
                run_block();
            }
}

inline unsigned position() { return current - fibres; }
inline Fibre& lane(unsigned number) { return fibres[position() / WARP * WARP + number % WARP]; }

// Shows a value to the warp and takes that of another lane.
template <class T> T exchange(T value, unsigned from, int site)
{
    static_assert(sizeof(T) <= sizeof(current->shown));
    memcpy(current->shown, &value, sizeof(T));
    wait(AT_WARP, site);
    T taken;
    memcpy(&taken, lane(from).shown, sizeof(T));
    wait(AT_WARP, site);
    return taken;
}

inline unsigned ballot(bool vote, int site)
{
    current->shown[0] = vote;
    wait(AT_WARP, site);
    unsigned votes = 0;
    for (unsigned i = 0; i < WARP; i++) votes |= (unsigned)lane(i).shown[0] << i;
    wait(AT_WARP, site);
    return votes;
}

template <class... A, size_t... I> void call(void (*entry)(A...), void** arguments, std::index_sequence<I...>)
{
    entry(*(A*)arguments[I]...);
}

template <class... A> void launch(
    void (*entry)(A...), void** arguments, const unsigned* grid, unsigned block, unsigned char* shared, unsigned bytes)
{
    struct Call { void (*entry)(A...); void** arguments; } whole = {entry, arguments};
    launch(
        [](void* argument) {
            Call* whole = (Call*)argument;
            call(whole->entry, whole->arguments, std::index_sequence_for<A...>{});
        },
        &whole, grid, block, shared, bytes);
}

inline float widened(unsigned short bits)
{
    const uint32_t wide = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &wide, 4);
    return x;
}

} // namespace emulator

#define LAUNCHER(name) \
    __align__(128) unsigned char shared[emulator::MOST_SHARED]; \
    extern "C" void emulate_##name(void** arguments, const unsigned* grid, unsigned block, unsigned bytes) \
    { \
        emulator::launch(name, arguments, grid, block, shared, bytes); \
    }

#define threadIdx (emulator::current->index)
#define blockIdx (emulator::block_index)
#define blockDim (emulator::block_size)
#define gridDim (emulator::grid_size)
#define __syncthreads() emulator::wait(emulator::AT_BARRIER, __LINE__)
#define __syncwarp(...) emulator::wait(emulator::AT_WARP, __LINE__)
#define __shfl_xor_sync(mask, value, apart) emulator::exchange(value, emulator::position() ^ (apart), __LINE__)
#define __shfl_sync(mask, value, from) emulator::exchange(value, from, __LINE__)
#define __ballot_sync(mask, vote) emulator::ballot(vote, __LINE__)
#define __trap() emulator::fault("trapped")

inline float __uint_as_float(unsigned bits) { float x; memcpy(&x, &bits, 4); return x; }
inline unsigned __float_as_uint(float x) { unsigned bits; memcpy(&bits, &x, 4); return bits; }
inline float __int_as_float(int bits) { return __uint_as_float((unsigned)bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }

// What `kernels/matrix.cu` says in PTX.

// d += a·b on a warp: a 16 x 16 by rows, b 16 x 8 by columns, in bf16; d 16 x 8.
inline void mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2])
{
    using namespace emulator;
    const unsigned own = position() % WARP, group = own / 4, pair = own % 4;
    uint64_t shown[3] = {a[0] | (uint64_t)a[1] << 32, a[2] | (uint64_t)a[3] << 32, b[0] | (uint64_t)b[1] << 32};
    memcpy(current->shown, shown, sizeof shown);
    wait(AT_WARP, -1);
    const auto half = [](uint64_t two, unsigned which, unsigned column) {
        return widened((unsigned short)(two >> (32 * which + 16 * (column % 2))));
    };
    for (unsigned i = 0; i < 4; i++) {
        const unsigned row = group + 8 * (i / 2), column = 2 * pair + i % 2;
        float sum = 0.0f;
        for (unsigned k = 0; k < 16; k++) {
            const unsigned which = row / 8 + 2 * (k / 8);
            const float x = half(lane(row % 8 * 4 + k % 8 / 2).shown[which / 2], which % 2, k);
            const float y = half(lane(column * 4 + k % 8 / 2).shown[2], k / 8, k);
            sum += x * y;
        }
        d[i] += sum;
    }
    wait(AT_WARP, -1);
}

// Four 8 x 8 matrices of bf16 from shared memory; lane l brings the address of row l % 8 of matrix l / 8.
inline void matrices(unsigned (&to)[4], const void* row, bool transposed)
{
    using namespace emulator;
    const unsigned own = position() % WARP, site = transposed ? -3 : -2;
    const uint64_t address = (uint64_t)row;
    if (address % 16 != 0) fault("a row of a matrix is not aligned");
    memcpy(current->shown, &address, 8);
    wait(AT_WARP, site);
    for (unsigned i = 0; i < 4; i++) {
        unsigned short two[2];
        for (unsigned j = 0; j < 2; j++) {
            const unsigned at = own / 4, along = own % 4 * 2 + j;
            const unsigned short* from = (const unsigned short*)lane(i * 8 + (transposed ? along : at)).shown[0];
            two[j] = from[transposed ? at : along];
        }
        to[i] = two[0] | (unsigned)two[1] << 16;
    }
    wait(AT_WARP, site);
}

// A copy is done no sooner than it is awaited, and there are no numbers where it goes until then.
inline void copy_eight(void* to, const void* from, bool inside)
{
    using namespace emulator;
    if ((uint64_t)to % 16 != 0 || (inside && (uint64_t)from % 16 != 0)) fault("eight numbers are not aligned");
    Copies& own = copies[position()];
    if (own.count == MOST_COPIES) fault("too many copies are on their way");
    memset(to, 0xff, 16);
    own.list[own.count++] = {to, inside ? from : nullptr, own.groups};
}
inline void end_copies() { emulator::copies[emulator::position()].groups++; }
template <int N> inline void await_copies()
{
    emulator::Copies& own = emulator::copies[emulator::position()];
    unsigned left = 0;
    for (unsigned i = 0; i < own.count; i++) {
        const emulator::Copy copy = own.list[i];
        if (copy.group + N >= own.groups) own.list[left++] = copy;
        else if (copy.from) memcpy(copy.to, copy.from, 16);
        else memset(copy.to, 0, 16);
    }
    own.count = left;
}
