extern __shared__ __align__(16) unsigned char shared[];

// A block has 16 queries of one unit, a warp four of them; lanes are keys of a tile, then numbers of the result. Maxima and
// sums run along with the tiles.
__device__ __forceinline__ void attend(
    const Q* __restrict__ q, const K* __restrict__ k, const V* __restrict__ v, const Biases& biases, Dropout& dropout,
    Out* __restrict__ out, float* __restrict__ log_sum, unsigned block)
{
    float* const queries = (float*)shared;
    float* const keys = queries + ROWS * WIDTH;
    float* const values = keys + TILE * (WIDTH + 1);
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const unsigned first = block * ROWS;
    for (unsigned i = threadIdx.x; i < ROWS * WIDTH; i += THREADS) {
        const unsigned row = first + i / WIDTH;
        queries[i] = row < QUERIES ? load(q + row * Q_ROW + i % WIDTH * Q_COLUMN) : 0.0f;
    }
    float maximum[EACH], sum[EACH], result[EACH][NUMBERS] = {};
    for (unsigned r = 0; r < EACH; r++) maximum[r] = Max::start(), sum[r] = 0.0f;

    for (unsigned tile = 0; tile < KEYS; tile += TILE) {
        __syncthreads();
        for (unsigned i = threadIdx.x; i < TILE * WIDTH; i += THREADS) {
            const unsigned key = tile + i / WIDTH;
            keys[i / WIDTH * (WIDTH + 1) + i % WIDTH] = key < KEYS ? load(k + key * K_ROW + i % WIDTH * K_COLUMN) : 0.0f;
        }
        for (unsigned i = threadIdx.x; i < TILE * VALUE_WIDTH; i += THREADS) {
            const unsigned key = tile + i / VALUE_WIDTH;
            values[i] = key < KEYS ? load(v + key * V_ROW + i % VALUE_WIDTH * V_COLUMN) : 0.0f;
        }
        __syncthreads();
        float score[EACH] = {};
        for (unsigned i = 0; i < WIDTH; i++) {
            const float x = keys[lane * (WIDTH + 1) + i];
            for (unsigned r = 0; r < EACH; r++) score[r] += queries[(warp * EACH + r) * WIDTH + i] * x;
        }
        for (unsigned r = 0; r < EACH; r++) {
            const unsigned query = first + warp * EACH + r, key = tile + lane;
            const bool inside = query < QUERIES && key < KEYS;
            const float x = inside ? score[r] * SCALE + biases.at(query, key) : Max::start();
            const float highest = fmaxf(maximum[r], across<Max, 32>(x, nullptr));
            // Where all scores so far are minus infinity, differences would be no numbers.
            const float base = highest == Max::start() ? 0.0f : highest;
            const float weight = expf(x - base), shrink = expf(maximum[r] - base);
            maximum[r] = highest;
            sum[r] = sum[r] * shrink + across<Sum, 32>(weight, nullptr);
            const float kept = inside ? weight * dropout.factor(query, key) : 0.0f;
            for (unsigned n = 0; n < NUMBERS; n++) result[r][n] *= shrink;
            for (unsigned other = 0; other < TILE; other++) {
                const float w = __shfl_sync(0xffffffff, kept, other);
                for (unsigned n = 0; n < NUMBERS; n++)
                    if (n * 32 + lane < VALUE_WIDTH) result[r][n] += w * values[other * VALUE_WIDTH + n * 32 + lane];
            }
        }
    }
    for (unsigned r = 0; r < EACH; r++) {
        const unsigned query = first + warp * EACH + r;
        if (query >= QUERIES) continue;
        for (unsigned n = 0; n < NUMBERS; n++) {
            const unsigned column = n * 32 + lane;
            if (column < VALUE_WIDTH) store(out + query * OUT_ROW + column * OUT_COLUMN, result[r][n] / sum[r]);
        }
        if (lane == 0) log_sum[query * LOG_SUM_ROW] = maximum[r] + logf(sum[r]);
    }
}
