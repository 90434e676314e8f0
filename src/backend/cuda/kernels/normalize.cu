extern __shared__ __align__(16) unsigned char shared[];

// Levels of red, green and blue, side by side, as what the network reads, a plane for each. `known` tells what each level is.
extern "C" __global__ void __launch_bounds__(256) KERNEL(
    const unsigned char* __restrict__ pixels, const float* __restrict__ known, float* __restrict__ planes)
{
    float* const levels = (float*)shared;
    for (unsigned i = threadIdx.x; i < 3 * 256; i += 256) levels[i] = known[i];
    __syncthreads();
    const unsigned first = (blockIdx.x * 256 + threadIdx.x) * EACH;
    if (first >= IMAGES * AREA) return;
    unsigned char own[3 * EACH];
    if constexpr (EACH % 4 == 0) {
        #pragma unroll
        for (unsigned i = 0; i < 3 * EACH / 4; i++) {
            const unsigned four = ((const unsigned*)(pixels + first * 3))[i];
            #pragma unroll
            for (unsigned b = 0; b < 4; b++) own[i * 4 + b] = four >> b * 8 & 255;
        }
    } else {
        for (unsigned i = 0; i < 3 * EACH; i++) own[i] = pixels[first * 3 + i];
    }
    float* const image = planes + first / AREA * 3 * AREA + first % AREA;
    #pragma unroll
    for (unsigned c = 0; c < 3; c++) {
        float plane[EACH];
        #pragma unroll
        for (unsigned i = 0; i < EACH; i++) plane[i] = levels[c * 256 + own[i * 3 + c]];
        if constexpr (EACH % 4 == 0) store(image + c * AREA, plane);
        else
            for (unsigned i = 0; i < EACH; i++) image[c * AREA + i] = plane[i];
    }
}
