extern __shared__ __align__(16) unsigned char shared[];

extern "C" __global__ void __launch_bounds__(256) KERNEL(
    const double* __restrict__ sums, const unsigned* __restrict__ starts, float* const* __restrict__ outs)
{
    double* const partial = (double*)shared;
    double sum = 0.0;
    for (unsigned i = starts[blockIdx.x] + threadIdx.x; i < starts[blockIdx.x + 1]; i += 256) sum += sums[i];
    partial[threadIdx.x] = sum;
    for (unsigned apart = 128; apart > 0; apart /= 2) {
        __syncthreads();
        if (threadIdx.x < apart) partial[threadIdx.x] += partial[threadIdx.x + apart];
    }
    if (threadIdx.x == 0) *outs[blockIdx.x] = (float)partial[0];
}
