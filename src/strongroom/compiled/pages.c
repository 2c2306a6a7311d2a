/*
 * Two loops over whole pages of PostgreSQL, 8192 bytes each. Both let go of the interpreter.
 *
 * page_sums: what pd_checksum is made of, before the block's number comes in.
 *   Source: PostgreSQL src/include/storage/checksum_impl.h, pg_checksum_block.
 * ghash: the hash in a GCM tag that authenticates one page and encrypts nothing.
 *   Source: NIST SP 800-38D, 6.4. It is computed as POLYVAL, whose bits lie as carry-less
 *   multiplication wants them: RFC 8452, appendix A says how the two are related.
 */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "pages are read as little-endian words"
#endif

#define PAGE 8192

/* One function for each generation of processors, chosen when the module is loaded. */
#if defined(__x86_64__) && defined(__GLIBC__)
#define FOR_EACH_PROCESSOR \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif

typedef uint32_t lanes __attribute__((vector_size(128)));

static const lanes FIRST = {
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
};
static const uint32_t PRIME = 16777619;
static const uint32_t ABOVE_CHECKSUM = 0xFFFF0000; /* of the third word, whose lower half it is */

#define MIX(sums, words)                                  \
    do {                                                  \
        lanes mixed = (sums) ^ (words);                   \
        (sums) = (mixed * PRIME) ^ (mixed >> 17);         \
    } while (0)

FOR_EACH_PROCESSOR
static void
sum_pages(const unsigned char *page, size_t count, uint32_t *out)
{
    const lanes zeros = {0};

    for (size_t number = 0; number < count; number++, page += PAGE) {
        lanes sums = FIRST, words;
        uint32_t folded = 0;

        memcpy(&words, page, sizeof words);
        words[2] &= ABOVE_CHECKSUM;
        MIX(sums, words);
        for (size_t at = sizeof words; at < PAGE; at += sizeof words) {
            memcpy(&words, page + at, sizeof words);
            MIX(sums, words);
        }
        MIX(sums, zeros);
        MIX(sums, zeros);
        for (int lane = 0; lane < 32; lane++)
            folded ^= sums[lane];
        out[number] = folded;
    }
}

typedef void (*ghash_loop)(const unsigned char *subkey, const unsigned char *page, size_t count,
                           unsigned char *out);

#if defined(__x86_64__)
#include <immintrin.h>

#define STRETCH 32 /* blocks that are multiplied before their sum is reduced */
#define NARROW __attribute__((target("pclmul,sse4.1")))
#define WIDE __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,vpclmulqdq,pclmul,sse4.1")))

/* x^127 + x^126 + x^121 + 1: what x^128 is in POLYVAL's field. */
#define FIELD _mm_set_epi64x((long long)0xC200000000000000, 1)
#define SWAP _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)

NARROW static inline __m128i
halves_added(__m128i block)
{
    return _mm_xor_si128(block, _mm_shuffle_epi32(block, 0x4E));
}

/* A product of 256 bits in three parts, as Karatsuba's, divided by x^128 and reduced. */
NARROW static inline __m128i
reduced(__m128i low, __m128i middle, __m128i high)
{
    middle = _mm_xor_si128(middle, _mm_xor_si128(low, high));
    low = _mm_xor_si128(low, _mm_slli_si128(middle, 8));
    high = _mm_xor_si128(high, _mm_srli_si128(middle, 8));
    for (int half = 0; half < 2; half++) {
        __m128i carried = _mm_clmulepi64_si128(low, FIELD, 0x10);
        low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4E), carried);
    }
    return _mm_xor_si128(low, high);
}

NARROW static __m128i
product(__m128i a, __m128i b)
{
    __m128i low = _mm_clmulepi64_si128(a, b, 0x00);
    __m128i high = _mm_clmulepi64_si128(a, b, 0x11);
    __m128i middle = _mm_clmulepi64_si128(halves_added(a), halves_added(b), 0x00);

    return reduced(low, middle, high);
}

/* The subkey to the powers STRETCH, STRETCH - 1 .. 1: what each block of a stretch comes to. */
NARROW static void
powers_of(const unsigned char *subkey, __m128i powers[STRETCH])
{
    __m128i key = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)subkey), SWAP);
    __m128i carry = _mm_srai_epi32(_mm_shuffle_epi32(key, 0xFF), 31);
    __m128i doubled = _mm_or_si128(_mm_slli_epi64(key, 1),
                                   _mm_slli_si128(_mm_srli_epi64(key, 63), 8));

    powers[STRETCH - 1] = _mm_xor_si128(doubled, _mm_and_si128(carry, FIELD));
    for (int power = STRETCH - 2; power >= 0; power--)
        powers[power] = product(powers[power + 1], powers[STRETCH - 1]);
}

/* The last block states how many bits were authenticated, and that none were encrypted. */
NARROW static inline void
end_page(__m128i hash, __m128i subkey, unsigned char *out)
{
    hash = product(_mm_xor_si128(hash, _mm_set_epi64x(PAGE * 8, 0)), subkey);
    _mm_storeu_si128((__m128i *)out, _mm_shuffle_epi8(hash, SWAP));
}

NARROW static void
ghash_narrow(const unsigned char *subkey, const unsigned char *page, size_t count,
             unsigned char *out)
{
    __m128i powers[STRETCH];

    powers_of(subkey, powers);
    for (size_t number = 0; number < count; number++, page += PAGE) {
        __m128i hash = _mm_setzero_si128();
        for (size_t at = 0; at < PAGE; at += 16 * STRETCH) {
            __m128i low = _mm_setzero_si128(), middle = low, high = low;
            for (int number_in = 0; number_in < STRETCH; number_in++) {
                const __m128i *place = (const __m128i *)(page + at) + number_in;
                __m128i block = _mm_shuffle_epi8(_mm_loadu_si128(place), SWAP);
                __m128i power = powers[number_in];
                if (number_in == 0)
                    block = _mm_xor_si128(block, hash);
                low = _mm_xor_si128(low, _mm_clmulepi64_si128(block, power, 0x00));
                high = _mm_xor_si128(high, _mm_clmulepi64_si128(block, power, 0x11));
                middle = _mm_xor_si128(middle, _mm_clmulepi64_si128(halves_added(block),
                                                                    halves_added(power), 0x00));
            }
            hash = reduced(low, middle, high);
        }
        end_page(hash, powers[STRETCH - 1], out + 16 * number);
    }
}

WIDE static inline __m128i
blocks_added(__m512i four)
{
    __m256i two = _mm256_xor_si256(_mm512_castsi512_si256(four),
                                   _mm512_extracti64x4_epi64(four, 1));
    return _mm_xor_si128(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
}

WIDE static void
ghash_wide(const unsigned char *subkey, const unsigned char *page, size_t count,
           unsigned char *out)
{
    const __m512i swap = _mm512_broadcast_i32x4(SWAP);
    __m128i powers[STRETCH];
    __m512i fours[STRETCH / 4], fours_added[STRETCH / 4];

    powers_of(subkey, powers);
    for (int four = 0; four < STRETCH / 4; four++) {
        fours[four] = _mm512_loadu_si512(powers + 4 * four);
        fours_added[four] = _mm512_xor_si512(fours[four], _mm512_shuffle_epi32(fours[four], 0x4E));
    }
    for (size_t number = 0; number < count; number++, page += PAGE) {
        __m128i hash = _mm_setzero_si128();
        for (size_t at = 0; at < PAGE; at += 16 * STRETCH) {
            __m512i low = _mm512_setzero_si512(), middle = low, high = low;
            for (int four = 0; four < STRETCH / 4; four++) {
                __m512i blocks = _mm512_loadu_si512(page + at + 64 * four);
                __m512i added;
                blocks = _mm512_shuffle_epi8(blocks, swap);
                if (four == 0)
                    blocks = _mm512_xor_si512(blocks, _mm512_zextsi128_si512(hash));
                added = _mm512_xor_si512(blocks, _mm512_shuffle_epi32(blocks, 0x4E));
                low = _mm512_xor_si512(low, _mm512_clmulepi64_epi128(blocks, fours[four], 0x00));
                high = _mm512_xor_si512(high, _mm512_clmulepi64_epi128(blocks, fours[four], 0x11));
                middle = _mm512_xor_si512(
                    middle, _mm512_clmulepi64_epi128(added, fours_added[four], 0x00));
            }
            hash = reduced(blocks_added(low), blocks_added(middle), blocks_added(high));
        }
        end_page(hash, powers[STRETCH - 1], out + 16 * number);
    }
}

static ghash_loop
narrow_here(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1") ? ghash_narrow
                                                                               : NULL;
}

static ghash_loop
best_here(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return ghash_wide;
    return narrow_here();
}
#else
static ghash_loop
narrow_here(void)
{
    return NULL;
}

static ghash_loop
best_here(void)
{
    return NULL;
}
#endif

/* Room for the answer, `size` bytes for each page; NULL when there are no whole pages. */
static PyObject *
room_for(const Py_buffer *pages, Py_ssize_t size)
{
    if (pages->len % PAGE == 0)
        return PyBytes_FromStringAndSize(NULL, pages->len / PAGE * size);
    PyErr_Format(PyExc_ValueError, "%zd bytes are no whole pages of %d", pages->len, PAGE);
    return NULL;
}

static PyObject *
page_sums(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer pages;
    PyObject *found;

    if (!PyArg_ParseTuple(args, "y*:page_sums", &pages))
        return NULL;
    found = room_for(&pages, sizeof(uint32_t));
    if (found != NULL) {
        uint32_t *out = (uint32_t *)PyBytes_AsString(found);
        Py_BEGIN_ALLOW_THREADS
        sum_pages(pages.buf, pages.len / PAGE, out);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&pages);
    return found;
}

static PyObject *
hashed(PyObject *args, ghash_loop loop)
{
    Py_buffer pages;
    const char *subkey;
    Py_ssize_t length;
    PyObject *found = NULL;

    if (!PyArg_ParseTuple(args, "y#y*:ghash", &subkey, &length, &pages))
        return NULL;
    if (length != 16)
        PyErr_Format(PyExc_ValueError, "a subkey has 16 bytes, not %zd", length);
    else
        found = room_for(&pages, 16);
    if (found != NULL) {
        unsigned char *out = (unsigned char *)PyBytes_AsString(found);
        Py_BEGIN_ALLOW_THREADS
        loop((const unsigned char *)subkey, pages.buf, pages.len / PAGE, out);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&pages);
    return found;
}

static PyObject *
ghash(PyObject *Py_UNUSED(module), PyObject *args)
{
    return hashed(args, best_here());
}

static PyObject *
ghash_of_older(PyObject *Py_UNUSED(module), PyObject *args)
{
    return hashed(args, narrow_here());
}

static PyMethodDef ALWAYS[] = {
    {"page_sums", page_sums, METH_VARARGS, "page_sums(pages) -> 4 bytes a page, little-endian"},
    {NULL, NULL, 0, NULL},
};
static PyMethodDef WHERE_IT_CAN[] = {
    {"ghash", ghash, METH_VARARGS, "ghash(subkey, pages) -> 16 bytes a page"},
    {"ghash_of_older", ghash_of_older, METH_VARARGS, "the same as older processors compute it"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef DEFINITION = {
    PyModuleDef_HEAD_INIT, "_pages", "Loops over whole pages (strongroom.compiled).", 0, ALWAYS,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__pages(void)
{
    PyObject *module = PyModule_Create(&DEFINITION);

    if (module != NULL && narrow_here() != NULL && PyModule_AddFunctions(module, WHERE_IT_CAN) < 0)
        Py_CLEAR(module);
    return module;
}
