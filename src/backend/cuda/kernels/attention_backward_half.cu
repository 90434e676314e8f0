constexpr unsigned TALL = (KEYS + 15) / 16 * 16, ALONG = TALL + 8;

// The gradients of scores, summed over the units of a task: in registers where a block has all queries at once and few keys,
// else in memory.
constexpr bool HELD = TOTALS && QUERIES <= ROWS && TALL <= 64;
struct Totals {
    float own[HELD ? TALL / 16 : 1][8];
};

// A lane's parts of a row of results, eight numbers each.
constexpr unsigned OUTS = (VALUE_WIDTH + 31) / 32;

// All gradients of one unit. Each warp computes weights and gradients of scores of 16 queries anew and leaves them in shared
// memory; then each takes its keys' columns of them, whose sums over all queries stay in registers.
__device__ __forceinline__ void differentiate(
    const Q* __restrict__ q, const K* __restrict__ k, const V* __restrict__ v, const Out* __restrict__ out,
    const Log_sum* __restrict__ log_sum, const Slope* __restrict__ slope, const Biases& biases, Dropout& dropout,
    Q_gradient* __restrict__ q_gradient, K_gradient* __restrict__ k_gradient, V_gradient* __restrict__ v_gradient,
    Totals& totals, float* __restrict__ total, bool fresh)
{
    bf16* const keys = (bf16*)shared;
    bf16* const values = keys + TALL * STRIDE;
    bf16* const queries = values + TALL * STRIDE_V;
    bf16* const slopes = queries + ROWS * STRIDE;
    bf16* const weights = slopes + ROWS * STRIDE_V;
    bf16* const changes = weights + ROWS * ALONG;
    const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;

    __syncthreads();
    fetch<WIDTH, ACROSS>(keys, k, 0, TALL, KEYS, K_ROW);
    fetch<VALUE_WIDTH, ACROSS_V>(values, v, 0, TALL, KEYS, V_ROW);
    float key_result[EACH][ACROSS / 16][2][4] = {}, value_result[EACH][ACROSS_V / 16][2][4] = {};

    for (unsigned block = 0; block < QUERIES; block += ROWS) {
        if (block > 0) __syncthreads();
        fetch<WIDTH, ACROSS>(queries, q, block, ROWS, QUERIES, Q_ROW);
        fetch<VALUE_WIDTH, ACROSS_V>(slopes, slope, block, ROWS, QUERIES, SLOPE_ROW);
        // What a row needs besides comes while those are on their way.
        const unsigned first = block + warp * 16;
        uint4 outs[2][OUTS];
        float logarithm[2] = {};
        #pragma unroll
        for (unsigned r = 0; r < 2; r++) {
            const unsigned query = first + row_of(2 * r);
            if (query >= QUERIES) continue;
            logarithm[r] = log_sum[query * LOG_SUM_ROW];
            #pragma unroll
            for (unsigned n = 0; OUT_IN_EIGHTS && n < OUTS; n++) {
                const unsigned column = n * 32 + lane % 4 * 8;
                if (column < VALUE_WIDTH) outs[r][n] = *(const uint4*)(out + query * OUT_ROW + column);
            }
        }
        arrive();
        {
            const bf16* const own_slopes = slopes + warp * 16 * STRIDE_V;
            unsigned own[ACROSS / 16][4], turned[ACROSS_V / 16][4];
            #pragma unroll
            for (unsigned i = 0; i < ACROSS / 16; i++) left(own[i], queries + warp * 16 * STRIDE + i * 16, STRIDE);
            #pragma unroll
            for (unsigned i = 0; i < ACROSS_V / 16; i++) left(turned[i], own_slopes + i * 16, STRIDE_V);
            // Of results and their gradients; the mean of a row's gradients under its weights, dropout or not.
            float mean[2] = {};
            #pragma unroll
            for (unsigned r = 0; r < 2; r++) {
                const unsigned query = first + row_of(2 * r);
                if (query < QUERIES) {
                    const bf16* const row = own_slopes + row_of(2 * r) * STRIDE_V;
                    if constexpr (OUT_IN_EIGHTS) {
                        #pragma unroll
                        for (unsigned n = 0; n < OUTS; n++) {
                            const unsigned column = n * 32 + lane % 4 * 8;
                            if (column >= VALUE_WIDTH) continue;
                            float x[8], y[8];
                            load(x, row + column);
                            load(y, (const bf16*)&outs[r][n]);
                            for (unsigned i = 0; i < 8; i++) mean[r] += x[i] * y[i];
                        }
                    } else {
                        for (unsigned i = lane % 4; i < VALUE_WIDTH; i += 4)
                            mean[r] += load(row + i) * load(out + query * OUT_ROW + i * OUT_COLUMN);
                    }
                }
                mean[r] = along_row<Sum>(mean[r]);
            }
            float result[ACROSS / 16][2][4] = {};
            #pragma unroll(HELD ? TALL / 16 : 1)
            for (unsigned tile = 0; tile < TALL; tile += 16) {
                float score[2][4] = {}, change[2][4] = {};
                #pragma unroll
                for (unsigned i = 0; i < ACROSS / 16; i++) times_columns(score, own[i], keys + tile * STRIDE + i * 16, STRIDE);
                #pragma unroll
                for (unsigned i = 0; i < ACROSS_V / 16; i++)
                    times_columns(change, turned[i], values + tile * STRIDE_V + i * 16, STRIDE_V);
                #pragma unroll
                for (unsigned i = 0; i < 8; i++) {
                    const unsigned r = i % 4 / 2, query = first + row_of(i % 4), key = tile + column_of(i / 4, i % 4);
                    float& kept = score[i / 4][i % 4];
                    float& gradient = change[i / 4][i % 4];
                    if (query < QUERIES && key < KEYS) {
                        const float weight = expf(kept * SCALE + biases.at(query, key) - logarithm[r]);
                        const float factor = dropout.factor(query, key);
                        kept = weight * factor;
                        gradient = weight * (gradient * factor - mean[r]);
                        if constexpr (HELD) {
                            totals.own[tile / 16][i] += gradient;
                        } else if constexpr (TOTALS) {
                            float* const sum = total + query * KEYS + key;
                            *sum = fresh ? gradient : *sum + gradient;
                        }
                    } else {
                        kept = gradient = 0.0f;
                    }
                }
                unsigned p[4], d[4];
                as_left(p, score);
                as_left(d, change);
                #pragma unroll
                for (unsigned i = 0; i < 4; i++) {
                    const unsigned at = (warp * 16 + row_of(i % 2 * 2)) * ALONG + tile + column_of(i / 2, 0);
                    *(unsigned*)(weights + at) = p[i];
                    *(unsigned*)(changes + at) = d[i];
                }
                #pragma unroll
                for (unsigned n = 0; n < ACROSS / 16; n++) times_rows(result[n], d, keys + tile * STRIDE + n * 16, STRIDE);
            }
            #pragma unroll
            for (unsigned i = 0; i < ACROSS / 2; i++) {
                const unsigned query = first + row_of(i % 4), column = i / 8 * 16 + column_of(i / 4 % 2, i % 4);
                Q_gradient* const to = q_gradient + query * Q_GRADIENT_ROW + column * Q_GRADIENT_COLUMN;
                if (query < QUERIES && column < WIDTH) store(to, result[i / 8][i / 4 % 2][i % 4] * SCALE);
            }
        }
        __syncthreads();
        #pragma unroll
        for (unsigned e = 0; e < EACH; e++) {
            const unsigned tile = (warp * EACH + e) * 16;
            if (tile >= TALL) continue;
            for (unsigned row = 0; row < ROWS; row += 16) {
                unsigned p[4], d[4];
                left_turned(p, weights + row * ALONG + tile, ALONG);
                left_turned(d, changes + row * ALONG + tile, ALONG);
                #pragma unroll
                for (unsigned n = 0; n < ACROSS_V / 16; n++)
                    times_rows(value_result[e][n], p, slopes + row * STRIDE_V + n * 16, STRIDE_V);
                #pragma unroll
                for (unsigned n = 0; n < ACROSS / 16; n++)
                    times_rows(key_result[e][n], d, queries + row * STRIDE + n * 16, STRIDE);
            }
        }
    }
    #pragma unroll
    for (unsigned e = 0; e < EACH; e++) {
        const unsigned tile = (warp * EACH + e) * 16;
        #pragma unroll
        for (unsigned i = 0; i < ACROSS / 2; i++) {
            const unsigned key = tile + row_of(i % 4), column = i / 8 * 16 + column_of(i / 4 % 2, i % 4);
            K_gradient* const to = k_gradient + key * K_GRADIENT_ROW + column * K_GRADIENT_COLUMN;
            if (key < KEYS && column < WIDTH) store(to, key_result[e][i / 8][i / 4 % 2][i % 4] * SCALE);
        }
        #pragma unroll
        for (unsigned i = 0; i < ACROSS_V / 2; i++) {
            const unsigned key = tile + row_of(i % 4), column = i / 8 * 16 + column_of(i / 4 % 2, i % 4);
            V_gradient* const to = v_gradient + key * V_GRADIENT_ROW + column * V_GRADIENT_COLUMN;
            if (key < KEYS && column < VALUE_WIDTH) store(to, value_result[e][i / 8][i / 4 % 2][i % 4]);
        }
    }
}

// What is held goes to memory.
__device__ __forceinline__ void put(const Totals& totals, float* __restrict__ total)
{
    if constexpr (HELD) {
        #pragma unroll
        for (unsigned j = 0; j < TALL / 16; j++)
            #pragma unroll
            for (unsigned i = 0; i < 8; i++) {
                const unsigned query = threadIdx.x / 32 * 16 + row_of(i % 4), key = j * 16 + column_of(i / 4, i % 4);
                if (query < QUERIES && key < KEYS) total[query * KEYS + key] = totals.own[j][i];
            }
    }
}
