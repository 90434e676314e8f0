// libnvrtc.so on a CPU: a kernel becomes a shared object by g++ and `kernel.h`, and that is its CUBIN.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <unistd.h>

namespace {

using Status = int;
constexpr Status COMPILATION = 6;

struct Unit {
    std::string source, name, log, object, place;
};

std::string contents(const std::string& path)
{
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// The entry point: the name behind `__global__ void`, with the bounds of its launch between or not.
std::string entry(const std::string& source)
{
    static const std::regex form("__global__\\s+void\\s+(?:__launch_bounds__\\s*\\([^)]*\\)\\s*)?(\\w+)\\s*\\(");
    std::smatch found;
    return std::regex_search(source, found, form) ? found[1].str() : "";
}

} // namespace

#define EXPORT extern "C" Status

EXPORT nvrtcVersion(int* major, int* minor)
{
    const char* told = getenv("EMULATOR_NVRTC");
    *major = told ? atoi(told) : 13, *minor = 0;
    return 0;
}
extern "C" const char* nvrtcGetErrorString(Status status)
{
    return status == COMPILATION ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR_EMULATED";
}
EXPORT nvrtcGetNumSupportedArchs(int* count)
{
    *count = 3;
    return 0;
}
EXPORT nvrtcGetSupportedArchs(int* targets)
{
    targets[0] = 75, targets[1] = 80, targets[2] = 90;
    return 0;
}
EXPORT nvrtcCreateProgram(
    void** unit, const char* source, const char* name, int headers, const char* const* texts, const char* const* includes)
{
    // What is included is put in where it is asked for.
    std::string whole = source;
    for (int i = 0; i < headers; i++) {
        const std::string asked = std::string("#include \"") + includes[i] + "\"";
        for (size_t at; (at = whole.find(asked)) != std::string::npos;) whole.replace(at, asked.size(), texts[i]);
    }
    *unit = new Unit{whole, name ? name : "kernel"};
    return 0;
}
EXPORT nvrtcDestroyProgram(void** unit)
{
    delete (Unit*)*unit;
    *unit = nullptr;
    return 0;
}
EXPORT nvrtcCompileProgram(void* handle, int, const char* const*)
{
    Unit& unit = *(Unit*)handle;
    char folder[] = "/tmp/mimc-nvrtc-XXXXXX";
    if (!mkdtemp(folder)) return COMPILATION;
    const std::string base = std::string(folder) + "/kernel", name = entry(unit.source);
    // A word that is taken for another, so that no kernel compiles.
    const char* word = getenv("EMULATOR_MISREAD");
    const std::string misread = word ? std::string("#define ") + word + " misread\n" : "";
    std::ofstream(base + ".cpp")
        << "#include \"" KERNEL_H "\"\n"
        << "template <class... A> const unsigned* sizes_of(void (*)(A...))\n"
        << "{ static const unsigned sizes[] = {(unsigned)sizeof...(A), (unsigned)sizeof(A)...}; return sizes; }\n"
        << "inline float __frcp_rn(float x) { return 1.0f / x; }\n"
        << "inline float max(float a, float b) { return fmaxf(a, b); }\n"
        << "namespace kernels {\n" << misread << "#line 1 \"" << unit.name << "\"\n" << unit.source << "\n"
        << "LAUNCHER(" << name << ")\n"
        << "extern \"C\" const unsigned* arguments_" << name << "() { return sizes_of(" << name << "); }\n}\n";
    const std::string command = "g++ -std=c++17 -O1 -fno-strict-aliasing -w -fPIC -shared -s " + base + ".cpp -o " + base
        + ".so 2>" + base + ".log";
    const int failed = system(command.c_str());
    unit.log = contents(base + ".log");
    unit.object = contents(base + ".so");
    // What is loaded by its path stays until it was loaded.
    unit.place = base + ".so";
    unlink((base + ".cpp").c_str()), unlink((base + ".log").c_str());
    return failed ? COMPILATION : 0;
}
EXPORT nvrtcGetProgramLogSize(void* unit, size_t* bytes)
{
    *bytes = ((Unit*)unit)->log.size() + 1;
    return 0;
}
EXPORT nvrtcGetProgramLog(void* unit, char* to)
{
    strcpy(to, ((Unit*)unit)->log.c_str());
    return 0;
}
EXPORT nvrtcGetCUBINSize(void* unit, size_t* bytes)
{
    *bytes = ((Unit*)unit)->object.size();
    return 0;
}
EXPORT nvrtcGetCUBIN(void* handle, char* to)
{
    const Unit& unit = *(Unit*)handle;
    memcpy(to, unit.object.data(), unit.object.size());
    unlink(unit.place.c_str());
    rmdir(unit.place.substr(0, unit.place.rfind('/')).c_str());
    return 0;
}
EXPORT nvrtcGetPTXSize(void* unit, size_t* bytes)
{
    *bytes = ((Unit*)unit)->place.size() + 1;
    return 0;
}
EXPORT nvrtcGetPTX(void* unit, char* to)
{
    strcpy(to, ((Unit*)unit)->place.c_str());
    return 0;
}
