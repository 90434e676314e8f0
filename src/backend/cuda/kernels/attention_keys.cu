// The gradients of 16 keys and values of one unit; lanes are queries of a tile, then numbers of the result.
__device__ __forceinline__ void differentiate_keys(
    const Q* __restrict__ q, const K* __restrict__ k, const V* __restrict__ v, const Out* __restrict__ out,
    const Log_sum* __restrict__ log_sum, const Slope* __restrict__ slope, const Biases& biases, Dropout& dropout,
    K_gradient* __restrict__ k_gradient, V_gradient* __restrict__ v_gradient, unsigned block)
{
    float* const keys = (float*)shared;
    float* const values = keys + ROWS * (WIDTH + 1);
    float* const queries = values + ROWS * (VALUE_WIDTH + 1);
    float* const slopes = queries + TILE * (WIDTH + 1);
    float* const means = slopes + TILE * (VALUE_WIDTH + 1);
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, first = block * ROWS;
    fetch(keys, k, first, ROWS, KEYS, WIDTH, K_ROW, K_COLUMN);
    fetch(values, v, first, ROWS, KEYS, VALUE_WIDTH, V_ROW, V_COLUMN);
    float key_result[EACH][NUMBERS] = {}, value_result[EACH][NUMBERS] = {};

    for (unsigned tile = 0; tile < QUERIES; tile += TILE) {
        __syncthreads();
        fetch(queries, q, tile, TILE, QUERIES, WIDTH, Q_ROW, Q_COLUMN);
        fetch(slopes, slope, tile, TILE, QUERIES, VALUE_WIDTH, SLOPE_ROW, SLOPE_COLUMN);
        __syncthreads();
        for (unsigned row = warp; row < TILE; row += THREADS / 32) {
            float mean = 0.0f;
            // In the order of `change`, as for the gradients of queries.
            if (tile + row < QUERIES)
                for (unsigned i = 0; i < VALUE_WIDTH; i++)
                    mean += slopes[row * (VALUE_WIDTH + 1) + i] * load(out + (tile + row) * OUT_ROW + i * OUT_COLUMN);
            if (lane == 0) means[row] = mean;
        }
        __syncthreads();
        float product[EACH] = {}, change[EACH] = {};
        for (unsigned i = 0; i < WIDTH; i++) {
            const float x = queries[lane * (WIDTH + 1) + i];
            for (unsigned r = 0; r < EACH; r++) product[r] += keys[(warp * EACH + r) * (WIDTH + 1) + i] * x;
        }
        for (unsigned i = 0; i < VALUE_WIDTH; i++) {
            const float x = slopes[lane * (VALUE_WIDTH + 1) + i];
            for (unsigned r = 0; r < EACH; r++) change[r] += values[(warp * EACH + r) * (VALUE_WIDTH + 1) + i] * x;
        }
        const unsigned query = tile + lane;
        const float logarithm = query < QUERIES ? log_sum[query * LOG_SUM_ROW] : 0.0f;
        for (unsigned r = 0; r < EACH; r++) {
            const unsigned key = first + warp * EACH + r;
            const Score score = differentiate(product[r], change[r], logarithm, means[lane], biases, dropout, query, key);
            for (unsigned other = 0; other < TILE; other++) {
                const float weight = __shfl_sync(0xffffffff, score.kept, other);
                const float gradient = __shfl_sync(0xffffffff, score.gradient, other);
                for (unsigned n = 0; n < NUMBERS; n++) {
                    const unsigned column = n * 32 + lane;
                    if (column < VALUE_WIDTH) value_result[r][n] += weight * slopes[other * (VALUE_WIDTH + 1) + column];
                    if (column < WIDTH) key_result[r][n] += gradient * queries[other * (WIDTH + 1) + column];
                }
            }
        }
    }
    for (unsigned r = 0; r < EACH; r++) {
        const unsigned key = first + warp * EACH + r;
        if (key >= KEYS) continue;
        for (unsigned n = 0; n < NUMBERS; n++) {
            const unsigned column = n * 32 + lane;
            if (column < WIDTH) store(k_gradient + key * K_GRADIENT_ROW + column * K_GRADIENT_COLUMN, key_result[r][n] * SCALE);
            if (column < VALUE_WIDTH) store(v_gradient + key * V_GRADIENT_ROW + column * V_GRADIENT_COLUMN, value_result[r][n]);
        }
    }
}
