struct Piece { unsigned buffer, start, count; };

// The numbers of one step, rounded where PyTorch rounds them.
struct Rates { float clip, root_correction, shrink, step; };

__device__ __forceinline__ void update(const Rates& rates, float& weight, float& gradient, float& first, float& second)
{
    const float g = gradient * rates.clip;
    first = fmaf(LERP, g - first, first);
    second = second * KEEP + RENEW * g * g;
    weight = weight * rates.shrink + rates.step * first / (sqrtf(second) / rates.root_correction + EPS);
    gradient = 0.0f;
}

extern "C" __global__ void __launch_bounds__(256) KERNEL(
    float* const* __restrict__ state, const float* __restrict__ decays, const Piece* __restrict__ pieces,
    const float* __restrict__ lr, const float* __restrict__ correction1, const float* __restrict__ correction2,
    const float* __restrict__ clip)
{
    const Piece piece = pieces[blockIdx.x];
    float* const weights = state[piece.buffer * 4] + piece.start;
    float* const gradients = state[piece.buffer * 4 + 1] + piece.start;
    float* const firsts = state[piece.buffer * 4 + 2] + piece.start;
    float* const seconds = state[piece.buffer * 4 + 3] + piece.start;
    const double rate = *lr;
    const Rates rates = {
        *clip,
        (float)sqrt((double)*correction2),
        (float)(1.0 - rate * (double)decays[piece.buffer]),
        -(float)(rate / (double)*correction1),
    };
    const unsigned whole = piece.count / 4 * 4;
    for (unsigned i = threadIdx.x * 4; i < whole; i += 256 * 4) {
        float weight[4], gradient[4], first[4], second[4];
        load(weight, weights + i);
        load(gradient, gradients + i);
        load(first, firsts + i);
        load(second, seconds + i);
        for (int v = 0; v < 4; v++) update(rates, weight[v], gradient[v], first[v], second[v]);
        store(weights + i, weight);
        store(gradients + i, gradient);
        store(firsts + i, first);
        store(seconds + i, second);
    }
    const unsigned last = whole + threadIdx.x;
    if (last < piece.count) update(rates, weights[last], gradients[last], firsts[last], seconds[last]);
}
