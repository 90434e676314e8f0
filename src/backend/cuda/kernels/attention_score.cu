extern __shared__ __align__(16) unsigned char shared[];

// A tile of a matrix, zeros behind its last row; rows begin so far apart that a column falls on all banks.
template <class T>
__device__ __forceinline__ void fetch(
    float* tile, const T* from, unsigned first, unsigned rows, unsigned count, unsigned columns, unsigned row, unsigned column)
{
    for (unsigned i = threadIdx.x; i < rows * columns; i += THREADS) {
        const unsigned at = first + i / columns;
        tile[i / columns * (columns + 1) + i % columns] = at < count ? load(from + at * row + i % columns * column) : 0.0f;
    }
}

// A weight, computed anew from its score; what dropout makes of it; and the gradient of the score.
struct Score { float weight, kept, gradient; };

__device__ __forceinline__ Score differentiate(
    float product, float slope, float log_sum, float mean, const Biases& biases, Dropout& dropout, unsigned query, unsigned key)
{
    if (query >= QUERIES || key >= KEYS) return {0.0f, 0.0f, 0.0f};
    const float weight = expf(product * SCALE + biases.at(query, key) - log_sum);
    const float factor = dropout.factor(query, key);
    return {weight, weight * factor, weight * (slope * factor - mean)};
}
