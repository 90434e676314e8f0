// libcuda.so.1 on a CPU. Memory of the device is memory of the host; kernels are what `nvrtc.cpp` compiles.
//
// Work that is put into a stream waits there until someone waits for it: a stream, an event, or another stream's wait for an
// event. Whoever reads too early, or writes over what is still to be read, computes something else than on the CPU.
//
//     EMULATOR_MEMORY=BYTES      that the device has, 8 GiB unless told
//     EMULATOR_DRIVER=12040      the version, 13000 unless told
//     EMULATOR_CAPABILITY=75     90 unless told
//     EMULATOR_DEVICES=0         1 unless told
//     EMULATOR_LOST_AFTER=N      kernels, behind which every call fails as when a device is lost
//     EMULATOR_LOG=FILE          one line for each of: module, graph, upload BYTES
#include "driver.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using Status = int;
using Address = unsigned long long;
using Work = std::function<void()>;

constexpr Status INVALID = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, NOT_FOUND = 500, CAPTURE_UNSUPPORTED = 900, LOST = 719;

long long told(const char* name, long long otherwise)
{
    const char* value = getenv(name);
    return value ? atoll(value) : otherwise;
}

struct Event;

struct Stream {
    std::deque<Work> waiting;
    // While it is recorded.
    std::vector<Work>* recorded = nullptr;
    void drain()
    {
        while (!waiting.empty()) {
            Work work = std::move(waiting.front());
            waiting.pop_front();
            work();
        }
    }
};

struct Mark {
    Stream* stream;
    bool passed = false;
    double at = 0;
};

struct Event {
    std::shared_ptr<Mark> last;
};

struct Graph {
    std::vector<Work> work;
};

struct Module {
    void* library;
};

// As `nvrtc.cpp` compiles it: what runs a kernel, and how many arguments it takes, of how many bytes each.
struct Function {
    void (*run)(void** arguments, const unsigned* grid, unsigned block, unsigned shared);
    const unsigned* (*arguments)();
};

std::recursive_mutex lock;
std::map<Address, size_t> allocations;
size_t taken = 0;
long long launched = 0;
bool lost = false;
Stream null_stream;
std::vector<Stream*> streams;

Stream* stream_of(void* handle) { return handle ? (Stream*)handle : &null_stream; }

void log(const char* line)
{
    if (const char* path = getenv("EMULATOR_LOG"))
        if (FILE* file = fopen(path, "a")) {
            fprintf(file, "%s\n", line);
            fclose(file);
        }
}

void pass(const std::shared_ptr<Mark>& mark)
{
    while (mark && !mark->passed && !mark->stream->waiting.empty()) {
        Work work = std::move(mark->stream->waiting.front());
        mark->stream->waiting.pop_front();
        work();
    }
}

void put(void* stream, Work work)
{
    Stream* to = stream_of(stream);
    if (to->recorded) to->recorded->push_back(std::move(work));
    else to->waiting.push_back(std::move(work));
}

// Bytes that lie inside one allocation.
bool inside(Address at, size_t bytes)
{
    auto next = allocations.upper_bound(at);
    if (next == allocations.begin()) return false;
    auto [start, length] = *--next;
    return at + bytes <= start + length;
}

} // namespace

#define ENTER                                       \
    std::lock_guard<std::recursive_mutex> guard(lock); \
    if (lost) return LOST;
#define EXPORT extern "C" Status

extern "C" void emulator_enqueue(void* stream, Work* work)
{
    std::lock_guard<std::recursive_mutex> guard(lock);
    put(stream, *work);
}

EXPORT cuInit(unsigned) { return told("EMULATOR_DEVICES", 1) > 0 ? 0 : NO_DEVICE; }
EXPORT cuDriverGetVersion(int* version)
{
    *version = told("EMULATOR_DRIVER", 13000);
    return 0;
}
EXPORT cuGetErrorName(Status status, const char** name)
{
    *name = status == LOST ? "CUDA_ERROR_LAUNCH_FAILED"
        : status == NO_DEVICE ? "CUDA_ERROR_NO_DEVICE"
        : status == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_EMULATED";
    return 0;
}
EXPORT cuGetErrorString(Status status, const char** text)
{
    *text = status == LOST ? "unspecified launch failure"
        : status == NO_DEVICE ? "no CUDA-capable device is detected"
        : status == OUT_OF_MEMORY ? "out of memory" : "an emulated error";
    return 0;
}
EXPORT cuDeviceGetCount(int* count)
{
    *count = told("EMULATOR_DEVICES", 1);
    return 0;
}
EXPORT cuDeviceGet(int* device, int ordinal)
{
    *device = ordinal;
    return 0;
}
EXPORT cuDeviceGetName(char* name, int length, int)
{
    snprintf(name, length, "Emulated GPU");
    return 0;
}
EXPORT cuDeviceTotalMem_v2(size_t* bytes, int)
{
    *bytes = told("EMULATOR_MEMORY", 8ll << 30);
    return 0;
}
EXPORT cuDeviceGetAttribute(int* value, int which, int)
{
    const int capability = told("EMULATOR_CAPABILITY", 90);
    switch (which) {
    case 1: *value = 1024; return 0;
    case 75: *value = capability / 10; return 0;
    case 76: *value = capability % 10; return 0;
    case 97: *value = 227 << 10; return 0;
    default: *value = 0; return 0;
    }
}
EXPORT cuDevicePrimaryCtxRetain(void** context, int)
{
    ENTER
    *context = &lock;
    return 0;
}
EXPORT cuDevicePrimaryCtxRelease_v2(int) { return 0; }
EXPORT cuCtxSetCurrent(void*)
{
    ENTER
    return 0;
}
EXPORT cuMemGetInfo_v2(size_t* free, size_t* whole)
{
    ENTER
    *whole = told("EMULATOR_MEMORY", 8ll << 30);
    *free = *whole - taken;
    return 0;
}
EXPORT cuMemAlloc_v2(Address* address, size_t bytes)
{
    ENTER
    if (taken + bytes > (size_t)told("EMULATOR_MEMORY", 8ll << 30)) return OUT_OF_MEMORY;
    void* memory = aligned_alloc(512, (bytes + 511) / 512 * 512);
    if (!memory) return OUT_OF_MEMORY;
    memset(memory, 0xff, bytes);
    *address = (Address)memory;
    allocations[*address] = bytes;
    taken += bytes;
    return 0;
}
EXPORT cuMemFree_v2(Address address)
{
    ENTER
    // It waits for all work, as the driver's does.
    null_stream.drain();
    for (Stream* stream : streams) stream->drain();
    auto found = allocations.find(address);
    if (found == allocations.end()) return INVALID;
    taken -= found->second;
    allocations.erase(found);
    free((void*)address);
    return 0;
}
EXPORT cuMemHostAlloc(void** memory, size_t bytes, unsigned)
{
    ENTER
    *memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    return *memory ? 0 : OUT_OF_MEMORY;
}
EXPORT cuMemFreeHost(void* memory)
{
    ENTER
    free(memory);
    return 0;
}
EXPORT cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t bytes, void* stream)
{
    ENTER
    if (!inside(to, bytes)) return INVALID;
    log(("upload " + std::to_string(bytes)).c_str());
    put(stream, [=] { memcpy((void*)to, from, bytes); });
    return 0;
}
EXPORT cuMemcpyDtoHAsync_v2(void* to, Address from, size_t bytes, void* stream)
{
    ENTER
    if (!inside(from, bytes)) return INVALID;
    put(stream, [=] { memcpy(to, (void*)from, bytes); });
    return 0;
}
EXPORT cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, void* stream)
{
    ENTER
    if (!inside(to, bytes) || !inside(from, bytes)) return INVALID;
    put(stream, [=] { memcpy((void*)to, (void*)from, bytes); });
    return 0;
}
EXPORT cuMemsetD8Async(Address at, unsigned char value, size_t bytes, void* stream)
{
    ENTER
    if (!inside(at, bytes)) return INVALID;
    put(stream, [=] { memset((void*)at, value, bytes); });
    return 0;
}
// What luminal's crates call besides; all of it on the stream of no name.
EXPORT cuMemAllocAsync(Address* address, size_t bytes, void*) { return cuMemAlloc_v2(address, bytes); }
EXPORT cuMemFreeAsync(Address address, void* stream)
{
    ENTER
    put(stream, [=] { cuMemFree_v2(address); });
    return 0;
}
EXPORT cuMemcpyHtoD_v2(Address to, const void* from, size_t bytes)
{
    ENTER
    const Status put = cuMemcpyHtoDAsync_v2(to, from, bytes, nullptr);
    null_stream.drain();
    return put;
}
EXPORT cuMemcpyDtoH_v2(void* to, Address from, size_t bytes)
{
    ENTER
    const Status put = cuMemcpyDtoHAsync_v2(to, from, bytes, nullptr);
    null_stream.drain();
    return put;
}
EXPORT cuMemcpyDtoD_v2(Address to, Address from, size_t bytes)
{
    ENTER
    const Status put = cuMemcpyDtoDAsync_v2(to, from, bytes, nullptr);
    null_stream.drain();
    return put;
}
EXPORT cuMemsetD8_v2(Address at, unsigned char value, size_t bytes)
{
    ENTER
    const Status put = cuMemsetD8Async(at, value, bytes, nullptr);
    null_stream.drain();
    return put;
}
EXPORT cuCtxGetCurrent(void** context)
{
    ENTER
    *context = &lock;
    return 0;
}
EXPORT cuCtxSynchronize()
{
    ENTER
    null_stream.drain();
    return lost ? LOST : 0;
}

// And what they are linked against, and nobody calls.
#define UNCALLED(name) \
    EXPORT name() { abort(); }
UNCALLED(cuDestroyExternalMemory)
UNCALLED(cuExternalMemoryGetMappedBuffer)
UNCALLED(cuImportExternalMemory)
UNCALLED(cuLaunchCooperativeKernel)
UNCALLED(cuModuleLoad)
UNCALLED(cuOccupancyAvailableDynamicSMemPerBlock)
UNCALLED(cuOccupancyMaxActiveBlocksPerMultiprocessor)
UNCALLED(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags)
UNCALLED(cuOccupancyMaxActiveClusters)
UNCALLED(cuOccupancyMaxPotentialBlockSize)
UNCALLED(cuOccupancyMaxPotentialBlockSizeWithFlags)
UNCALLED(cuOccupancyMaxPotentialClusterSize)
UNCALLED(cuProfilerStart)
UNCALLED(cuProfilerStop)

EXPORT cuStreamCreate(void** stream, unsigned)
{
    ENTER
    *stream = streams.emplace_back(new Stream);
    return 0;
}
EXPORT cuStreamDestroy_v2(void* stream)
{
    ENTER
    stream_of(stream)->drain();
    return 0;
}
EXPORT cuStreamSynchronize(void* stream)
{
    ENTER
    if (stream_of(stream)->recorded) return CAPTURE_UNSUPPORTED;
    stream_of(stream)->drain();
    return lost ? LOST : 0;
}
EXPORT cuStreamWaitEvent(void* stream, void* event, unsigned)
{
    ENTER
    std::shared_ptr<Mark> mark = ((Event*)event)->last;
    if (mark) put(stream, [=] { pass(mark); });
    return 0;
}
EXPORT cuStreamBeginCapture_v2(void* stream, unsigned)
{
    ENTER
    stream_of(stream)->recorded = new std::vector<Work>;
    return 0;
}
EXPORT cuStreamEndCapture(void* stream, void** graph)
{
    ENTER
    Graph* made = new Graph{std::move(*stream_of(stream)->recorded)};
    delete stream_of(stream)->recorded;
    stream_of(stream)->recorded = nullptr;
    *graph = made;
    return 0;
}
EXPORT cuEventCreate(void** event, unsigned)
{
    ENTER
    *event = new Event;
    return 0;
}
EXPORT cuEventDestroy_v2(void* event)
{
    ENTER
    delete (Event*)event;
    return 0;
}
EXPORT cuEventRecord(void* event, void* stream)
{
    ENTER
    static double clock = 0;
    auto mark = std::make_shared<Mark>(Mark{stream_of(stream)});
    ((Event*)event)->last = mark;
    put(stream, [=] {
        mark->passed = true;
        mark->at = clock += 0.25;
    });
    return 0;
}
EXPORT cuEventSynchronize(void* event)
{
    ENTER
    pass(((Event*)event)->last);
    return lost ? LOST : 0;
}
EXPORT cuEventQuery(void* event) { return cuEventSynchronize(event); }
EXPORT cuEventElapsedTime(float* milliseconds, void* start, void* end)
{
    ENTER
    auto first = ((Event*)start)->last, second = ((Event*)end)->last;
    if (!first || !second || !first->passed || !second->passed) return INVALID;
    *milliseconds = second->at - first->at;
    return 0;
}
EXPORT cuGraphInstantiateWithFlags(void** ready, void* graph, unsigned long long)
{
    ENTER
    *ready = new Graph(*(Graph*)graph);
    log("graph");
    return 0;
}
EXPORT cuGraphLaunch(void* ready, void* stream)
{
    ENTER
    for (const Work& work : ((Graph*)ready)->work) put(stream, work);
    return 0;
}
EXPORT cuGraphExecDestroy(void* ready)
{
    ENTER
    delete (Graph*)ready;
    return 0;
}
EXPORT cuGraphDestroy(void* graph)
{
    ENTER
    delete (Graph*)graph;
    return 0;
}
EXPORT cuModuleLoadData(void** module, const void* data)
{
    ENTER
    const char* bytes = (const char*)data;
    std::string path;
    if (memcmp(bytes, "\177ELF", 4) == 0) {
        // The section headers end the file.
        uint64_t start;
        uint16_t size, count;
        memcpy(&start, bytes + 0x28, 8), memcpy(&size, bytes + 0x3a, 2), memcpy(&count, bytes + 0x3c, 2);
        char name[] = "/tmp/mimc-emulator-XXXXXX";
        const int file = mkstemp(name);
        const size_t length = start + size * count;
        if (file < 0 || write(file, bytes, length) != (ssize_t)length) return INVALID;
        close(file);
        path = name;
    } else {
        path = bytes;
    }
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    unlink(path.c_str());
    if (!library) return INVALID;
    *module = new Module{library};
    log("module");
    return 0;
}
EXPORT cuModuleUnload(void* module)
{
    ENTER
    delete (Module*)module;
    return 0;
}
EXPORT cuModuleGetFunction(void** function, void* module, const char* name)
{
    ENTER
    void* library = ((Module*)module)->library;
    const auto find = [&](const char* what) { return dlsym(library, (what + std::string(name)).c_str()); };
    Function found;
    *(void**)&found.run = find("emulate_");
    *(void**)&found.arguments = find("arguments_");
    if (!found.run || !found.arguments) return NOT_FOUND;
    *function = new Function(found);
    return 0;
}
EXPORT cuFuncSetAttribute(void*, int which, int value)
{
    ENTER
    return which == 8 && value > 227 << 10 ? INVALID : 0;
}
EXPORT cuLaunchKernel(
    void* function, unsigned x, unsigned y, unsigned z, unsigned block, unsigned, unsigned, unsigned shared, void* stream,
    void** arguments, void**)
{
    ENTER
    if (!x || !y || !z || y > 65535 || z > 65535 || !block || block > 1024) return INVALID;
    const Function kernel = *(Function*)function;
    const unsigned* sizes = kernel.arguments();
    std::vector<uint64_t> values(sizes[0]);
    for (unsigned i = 0; i < sizes[0]; i++) memcpy(&values[i], arguments[i], sizes[1 + i]);
    put(stream, [=]() mutable {
        if (lost) return;
        const long long limit = told("EMULATOR_LOST_AFTER", -1);
        if (limit >= 0 && launched >= limit) {
            lost = true;
            return;
        }
        launched++;
        std::vector<void*> places;
        for (uint64_t& value : values) places.push_back(&value);
        const unsigned grid[3] = {x, y, z};
        kernel.run(places.data(), grid, block, shared);
    });
    return 0;
}
