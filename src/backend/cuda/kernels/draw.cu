// Random numbers as functions of a key and a position, to the bits of `src/random.rs`.
__device__ __forceinline__ unsigned long long mix64(unsigned long long x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

__device__ __forceinline__ unsigned mix32(unsigned x)
{
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

// A stream, with the words that key one block of 2^32 positions at hand.
struct Stream {
    unsigned long long key;
    unsigned block, low, high;

    __device__ __forceinline__ Stream(unsigned long long key, unsigned long long position) : key(key) { enter(position >> 32); }

    __device__ __forceinline__ void enter(unsigned to)
    {
        const unsigned long long word = mix64(key ^ to * 0xd1b54a32d192ed03ull);
        block = to, low = (unsigned)word, high = (unsigned)(word >> 32);
    }

    // 24 random bits.
    __device__ __forceinline__ unsigned bits(unsigned long long position)
    {
        if (position >> 32 != block) enter(position >> 32);
        return mix32(mix32((unsigned)position * 0x9e3779b1u ^ low) + high) >> 8;
    }

    // Uniform in [0, 1).
    __device__ __forceinline__ float uniform(unsigned long long position) { return bits(position) * 0x1p-24f; }
};
