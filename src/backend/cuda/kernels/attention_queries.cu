// The gradients of 16 queries of one unit, and of their scores; lanes are keys of a tile, then numbers of the result.
__device__ __forceinline__ void differentiate_queries(
    const Q* __restrict__ q, const K* __restrict__ k, const V* __restrict__ v, const Out* __restrict__ out,
    const Log_sum* __restrict__ log_sum, const Slope* __restrict__ slope, const Biases& biases, Dropout& dropout,
    Q_gradient* __restrict__ q_gradient, float* __restrict__ total, bool fresh, unsigned block)
{
    float* const queries = (float*)shared;
    float* const slopes = queries + ROWS * (WIDTH + 1);
    float* const keys = slopes + ROWS * (VALUE_WIDTH + 1);
    float* const values = keys + TILE * (WIDTH + 1);
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, first = block * ROWS;
    __syncthreads();
    fetch(queries, q, first, ROWS, QUERIES, WIDTH, Q_ROW, Q_COLUMN);
    fetch(slopes, slope, first, ROWS, QUERIES, VALUE_WIDTH, SLOPE_ROW, SLOPE_COLUMN);
    __syncthreads();
    float mean[EACH] = {}, result[EACH][NUMBERS] = {};
    for (unsigned r = 0; r < EACH; r++) {
        const unsigned row = warp * EACH + r;
        // In the order of `change`: of a single key both are one sum, and the gradient of its score is zero.
        if (first + row < QUERIES)
            for (unsigned i = 0; i < VALUE_WIDTH; i++)
                mean[r] += slopes[row * (VALUE_WIDTH + 1) + i] * load(out + (first + row) * OUT_ROW + i * OUT_COLUMN);
    }
    for (unsigned tile = 0; tile < KEYS; tile += TILE) {
        __syncthreads();
        fetch(keys, k, tile, TILE, KEYS, WIDTH, K_ROW, K_COLUMN);
        fetch(values, v, tile, TILE, KEYS, VALUE_WIDTH, V_ROW, V_COLUMN);
        __syncthreads();
        float product[EACH] = {}, change[EACH] = {};
        for (unsigned i = 0; i < WIDTH; i++) {
            const float x = keys[lane * (WIDTH + 1) + i];
            for (unsigned r = 0; r < EACH; r++) product[r] += queries[(warp * EACH + r) * (WIDTH + 1) + i] * x;
        }
        for (unsigned i = 0; i < VALUE_WIDTH; i++) {
            const float x = values[lane * (VALUE_WIDTH + 1) + i];
            for (unsigned r = 0; r < EACH; r++) change[r] += slopes[(warp * EACH + r) * (VALUE_WIDTH + 1) + i] * x;
        }
        for (unsigned r = 0; r < EACH; r++) {
            const unsigned query = first + warp * EACH + r, key = tile + lane;
            const bool inside = query < QUERIES && key < KEYS;
            const float logarithm = query < QUERIES ? log_sum[query * LOG_SUM_ROW] : 0.0f;
            const Score score = differentiate(product[r], change[r], logarithm, mean[r], biases, dropout, query, key);
            if (TOTALS && inside) {
                float* const sum = total + query * KEYS + key;
                *sum = fresh ? score.gradient : *sum + score.gradient;
            }
            for (unsigned other = 0; other < TILE; other++) {
                const float x = __shfl_sync(0xffffffff, score.gradient, other);
                for (unsigned n = 0; n < NUMBERS; n++)
                    if (n * 32 + lane < WIDTH) result[r][n] += x * keys[other * (WIDTH + 1) + n * 32 + lane];
            }
        }
    }
    for (unsigned r = 0; r < EACH; r++) {
        const unsigned query = first + warp * EACH + r;
        if (query >= QUERIES) continue;
        for (unsigned n = 0; n < NUMBERS; n++) {
            const unsigned column = n * 32 + lane;
            if (column < WIDTH) store(q_gradient + query * Q_GRADIENT_ROW + column * Q_GRADIENT_COLUMN, result[r][n] * SCALE);
        }
    }
}
