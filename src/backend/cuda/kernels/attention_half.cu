// A warp has 16 queries of one unit; keys and values come in tiles through shared memory. Scores are in registers alone: as sums
// of one product, then as the first factor of the next.
__device__ __forceinline__ void attend(
    const Q* __restrict__ q, const K* __restrict__ k, const V* __restrict__ v, const Biases& biases, Dropout& dropout,
    Out* __restrict__ out, float* __restrict__ log_sum, unsigned block)
{
    bf16* const keys = (bf16*)shared;
    bf16* const values = keys + TILE * STRIDE;
    bf16* const all = values + TILE * STRIDE_V;
    const unsigned warp = threadIdx.x / 32, first = block * ROWS + warp * 16;

    // Everything that comes first is on its way at once.
    fetch<WIDTH, ACROSS>(all, q, block * ROWS, ROWS, QUERIES, Q_ROW);
    fetch<WIDTH, ACROSS>(keys, k, 0, TILE, KEYS, K_ROW);
    fetch<VALUE_WIDTH, ACROSS_V>(values, v, 0, TILE, KEYS, V_ROW);
    arrive();
    float maximum[2] = {Max::start(), Max::start()}, sum[2] = {};
    float result[ACROSS_V / 16][2][4] = {};

    for (unsigned tile = 0; tile < KEYS; tile += TILE) {
        if (tile > 0) {
            __syncthreads();
            fetch<WIDTH, ACROSS>(keys, k, tile, TILE, KEYS, K_ROW);
            fetch<VALUE_WIDTH, ACROSS_V>(values, v, tile, TILE, KEYS, V_ROW);
            arrive();
        }
        float score[TILE / 16][2][4] = {};
        float highest[2] = {maximum[0], maximum[1]};
        // Of the queries, registers hold what is multiplied: all of them for a whole tile would be too many.
        #pragma unroll
        for (unsigned i = 0; i < ACROSS / 16; i++) {
            unsigned queries[4];
            left(queries, all + warp * 16 * STRIDE + i * 16, STRIDE);
            #pragma unroll
            for (unsigned j = 0; j < TILE / 16; j++)
                times_columns(score[j], queries, keys + j * 16 * STRIDE + i * 16, STRIDE);
        }
        #pragma unroll
        for (unsigned j = 0; j < TILE / 16; j++) {
            #pragma unroll
            for (unsigned i = 0; i < 8; i++) {
                const unsigned query = first + row_of(i % 4), key = tile + j * 16 + column_of(i / 4, i % 4);
                float& x = score[j][i / 4][i % 4];
                x = query < QUERIES && key < KEYS ? x * SCALE + biases.at(query, key) : Max::start();
                highest[i % 4 / 2] = fmaxf(highest[i % 4 / 2], x);
            }
        }
        float base[2], shrink[2];
        #pragma unroll
        for (unsigned r = 0; r < 2; r++) {
            highest[r] = along_row<Max>(highest[r]);
            // Where all scores so far are minus infinity, differences would be no numbers.
            base[r] = highest[r] == Max::start() ? 0.0f : highest[r];
            shrink[r] = expf(maximum[r] - base[r]);
            maximum[r] = highest[r];
            sum[r] *= shrink[r];
        }
        #pragma unroll
        for (unsigned n = 0; n < ACROSS_V / 16; n++)
            #pragma unroll
            for (unsigned i = 0; i < 8; i++) result[n][i / 4][i % 4] *= shrink[i % 4 / 2];
        #pragma unroll
        for (unsigned j = 0; j < TILE / 16; j++) {
            #pragma unroll
            for (unsigned i = 0; i < 8; i++) {
                const unsigned query = first + row_of(i % 4), key = tile + j * 16 + column_of(i / 4, i % 4);
                float& x = score[j][i / 4][i % 4];
                x = expf(x - base[i % 4 / 2]);
                sum[i % 4 / 2] += x;
                if (DROPS) x *= query < QUERIES && key < KEYS ? dropout.factor(query, key) : 0.0f;
            }
            unsigned weights[4];
            as_left(weights, score[j]);
            #pragma unroll
            for (unsigned n = 0; n < ACROSS_V / 16; n++)
                times_rows(result[n], weights, values + j * 16 * STRIDE_V + n * 16, STRIDE_V);
        }
    }
    #pragma unroll
    for (unsigned r = 0; r < 2; r++) {
        sum[r] = along_row<Sum>(sum[r]);
        const unsigned query = first + row_of(2 * r);
        if (query >= QUERIES) continue;
        #pragma unroll
        for (unsigned n = 0; n < ACROSS_V / 8; n++) {
            const unsigned column = n / 2 * 16 + column_of(n % 2, 0);
            const float two[2] = {result[n / 2][n % 2][2 * r] / sum[r], result[n / 2][n % 2][2 * r + 1] / sum[r]};
            if (column < VALUE_WIDTH) store(out + query * OUT_ROW + column, two);
        }
        if (threadIdx.x % 4 == 0) log_sum[query * LOG_SUM_ROW] = maximum[r] + logf(sum[r]);
    }
}
