/* What a number and a vector are in this build.
 *
 * The only C in cyconv, and with simd.pxd the only text that knows the dtype and the instruction set.  Every
 * kernel source is compiled once per (dtype, ISA); the dtype comes from -DREAL_BITS=32|64, the ISA from -march.
 * `vec` is a GCC/Clang vector: `a + x * b` is ordinary arithmetic on it, a scalar operand broadcasts by itself,
 * and the compiler contracts it to FMA where the ISA has one.  Other compilers get a vector of one lane, and so does
 * everyone with -DCYCONV_SCALAR.
 */
#ifndef CYCONV_SIMD_H
#define CYCONV_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#if defined(__AVX2__) || defined(__SSE2__)
#include <immintrin.h>
#endif

#if REAL_BITS == 32
typedef float real;
typedef int32_t lane;
#else
typedef double real;
typedef int64_t lane;
#endif

#if defined(__GNUC__) && !defined(CYCONV_SCALAR)
#define VECTORS
#endif
#if !defined(VECTORS)
#define VBYTES (REAL_BITS / 8)
#elif defined(__AVX512F__)
#define VBYTES 64
#elif defined(__AVX2__)
#define VBYTES 32
#else
#define VBYTES 16
#endif

enum { VL = VBYTES / (int)sizeof(real) };
#define LOWEST ((real)-INFINITY)

/* The register tile: MR rows of NV vectors, all accumulators in registers.  Measured as a share of the FMA limit:
 * AVX-512 6 x 4 (24 of 32 registers) 80 to 92 %, as the clock goes; AVX2 6 x 2 (12 of 16) 95 %.  Narrow panels use
 * tiles of 2*MR rows: six chains of additions do not cover the latency of an FMA (4 cycles, two a cycle). */
#if defined(__AVX512F__) || defined(__aarch64__)
enum { MR = 6, NV = 4 };
#else
enum { MR = 6, NV = 2 };
#endif
enum { NR = NV * VL };

/* The reduction is cut into chunks of KC.  A panel chunk of KC x NR is 64 KiB with AVX-512 and 16 KiB elsewhere: there it
 * stays in the first-level cache while a block of pixels passes over it, here it comes from the second, line after line,
 * which is no slower.  Chunks of 128, 32 KiB, were slower by 1.8 % and in the weight gradient by 2 to 10 %: sums wait
 * in memory between chunks. */
enum { KC = 256 };

#if defined(VECTORS)

typedef real vec __attribute__((vector_size(VBYTES), aligned(REAL_BITS / 8), may_alias));
typedef lane lvec __attribute__((vector_size(VBYTES), aligned(REAL_BITS / 8), may_alias));
#define VLOAD(p) (*(const vec *)(p))
#define VSTORE(p, v) (*(vec *)(p) = (v))
#define VZERO ((vec){0})
#define VFILL(s) ((vec){0} + (real)(s))
#define LFILL(s) ((lvec){0} + (lane)(s))
#define LLOAD(p) (*(const lvec *)(p))
#define LSTORE(p, v) (*(lvec *)(p) = (v))
#if defined(__AVX512F__)
/* Left to itself GCC turns every mask register into a vector before it combines two of them. */
#if REAL_BITS == 32
typedef __mmask16 mask;
#define VCOMPARE(a, b, how) _mm512_cmp_ps_mask((__m512)(a), (__m512)(b), how)
#define LCOMPARE(a, b, how) _mm512_cmp_epi32_mask((__m512i)(a), (__m512i)(b), how)
#define VSELECT(m, a, b) ((vec)_mm512_mask_blend_ps((mask)(m), (__m512)(b), (__m512)(a)))
#define LSELECT(m, a, b) ((lvec)_mm512_mask_blend_epi32((mask)(m), (__m512i)(b), (__m512i)(a)))
#else
typedef __mmask8 mask;
#define VCOMPARE(a, b, how) _mm512_cmp_pd_mask((__m512d)(a), (__m512d)(b), how)
#define LCOMPARE(a, b, how) _mm512_cmp_epi64_mask((__m512i)(a), (__m512i)(b), how)
#define VSELECT(m, a, b) ((vec)_mm512_mask_blend_pd((mask)(m), (__m512d)(b), (__m512d)(a)))
#define LSELECT(m, a, b) ((lvec)_mm512_mask_blend_epi64((mask)(m), (__m512i)(b), (__m512i)(a)))
#endif
#define VGREATER(a, b) VCOMPARE(a, b, _CMP_GT_OQ)
#define VEXCEEDS(a, b) VCOMPARE(a, b, _CMP_NLE_UQ)
#define VEQUAL(a, b) VCOMPARE(a, b, _CMP_EQ_OQ)
#define VUNEQUAL(a, b) VCOMPARE(a, b, _CMP_NEQ_UQ)
#define LEQUAL(a, b) LCOMPARE(a, b, _MM_CMPINT_EQ)
#else
typedef lane mask __attribute__((vector_size(VBYTES)));
#define VGREATER(a, b) ((mask)((a) > (b)))
#define VEXCEEDS(a, b) (~(mask)((a) <= (b))) /* or either is NaN */
#define VEQUAL(a, b) ((mask)((a) == (b)))
#define VUNEQUAL(a, b) ((mask)((a) != (b)))
#define LEQUAL(a, b) ((mask)((a) == (b)))
#define VSELECT(m, a, b) ((vec)(((m) & (mask)(a)) | (~(m) & (mask)(b))))
#define LSELECT(m, a, b) ((lvec)(((m) & (mask)(a)) | (~(m) & (mask)(b))))
#endif
/* a > b ? a : b, which GCC does not see in a comparison and a selection. */
#if defined(__AVX512F__) && REAL_BITS == 32
#define VMAX(a, b) ((vec)_mm512_max_ps((__m512)(a), (__m512)(b)))
#elif defined(__AVX512F__)
#define VMAX(a, b) ((vec)_mm512_max_pd((__m512d)(a), (__m512d)(b)))
#elif defined(__AVX2__) && REAL_BITS == 32
#define VMAX(a, b) ((vec)_mm256_max_ps((__m256)(a), (__m256)(b)))
#elif defined(__AVX2__)
#define VMAX(a, b) ((vec)_mm256_max_pd((__m256d)(a), (__m256d)(b)))
#elif defined(__SSE2__) && REAL_BITS == 32
#define VMAX(a, b) ((vec)_mm_max_ps((__m128)(a), (__m128)(b)))
#elif defined(__SSE2__)
#define VMAX(a, b) ((vec)_mm_max_pd((__m128d)(a), (__m128d)(b)))
#else
#define VMAX(a, b) VSELECT(VGREATER(a, b), a, b)
#endif
#define OPAQUE(p) __asm__("" : "+r"(p)) /* the compiler forgets how p was computed */
/* v is in a register here: GCC would read an operand from memory again for every use, and loads are what is short. */
#if defined(__x86_64__)
#define HOLD(v) __asm__("" : "+v"(v))
#elif defined(__aarch64__)
#define HOLD(v) __asm__("" : "+w"(v))
#else
#define HOLD(v) ((void)(v))
#endif
/* Write an aligned vector past the caches; DRAIN before anyone else reads it. */
#if defined(__AVX512F__) && REAL_BITS == 32
#define VSTREAM(p, v) _mm512_stream_ps(p, (__m512)(v))
#elif defined(__AVX512F__)
#define VSTREAM(p, v) _mm512_stream_pd(p, (__m512d)(v))
#elif defined(__AVX2__) && REAL_BITS == 32
#define VSTREAM(p, v) _mm256_stream_ps(p, (__m256)(v))
#elif defined(__AVX2__)
#define VSTREAM(p, v) _mm256_stream_pd(p, (__m256d)(v))
#elif defined(__SSE2__) && REAL_BITS == 32
#define VSTREAM(p, v) _mm_stream_ps(p, (__m128)(v))
#elif defined(__SSE2__)
#define VSTREAM(p, v) _mm_stream_pd(p, (__m128d)(v))
#else
#define VSTREAM(p, v) VSTORE(p, v)
#endif
#if defined(__SSE2__)
#define DRAIN() _mm_sfence()
#else
#define DRAIN() ((void)0)
#endif
#define PREFETCH(p) __builtin_prefetch(p)        /* have its line in the first-level cache: it is read in a moment */
#define WILL_READ(p) __builtin_prefetch(p, 0, 2) /* in the second-level cache: that takes longer */
#define WILL_WRITE(p) __builtin_prefetch(p, 1, 2)
#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (lvec){__VA_ARGS__})
#endif
#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

#else

typedef real vec;
typedef lane lvec;
typedef lane mask;
#define VLOAD(p) (*(p))
#define VSTORE(p, v) (*(p) = (v))
#define VZERO ((real)0)
#define VFILL(s) ((real)(s))
#define LFILL(s) ((lane)(s))
#define LLOAD(p) (*(p))
#define LSTORE(p, v) (*(p) = (v))
#define VGREATER(a, b) (-(lane)((a) > (b)))
#define VEXCEEDS(a, b) (-(lane)!((a) <= (b)))
#define VEQUAL(a, b) (-(lane)((a) == (b)))
#define VUNEQUAL(a, b) (-(lane)((a) != (b)))
#define LEQUAL(a, b) (-(lane)((a) == (b)))
#define VSELECT(m, a, b) ((m) ? (a) : (b))
#define LSELECT(m, a, b) ((m) ? (a) : (b))
#define VMAX(a, b) ((a) > (b) ? (a) : (b))
#define OPAQUE(p) ((void)(p))
#define VSTREAM(p, v) VSTORE(p, v)
#define DRAIN() ((void)0)
#define PREFETCH(p) ((void)(p))
#define HOLD(v) ((void)(v))
#define WILL_READ(p) ((void)(p))
#define WILL_WRITE(p) ((void)(p))
#define COMPILER "scalar build"

#endif

/* The first n <= VL lanes, zeros after them: what is left of a row of channels.  Memory past them is never touched;
 * masked instructions, because a memcpy of variable length is a call. */
#if defined(VECTORS) && defined(__AVX2__)
enum { MASKED = 1 };
#else
enum { MASKED = 0 };
#endif
#if defined(__AVX512F__) && REAL_BITS == 32
static inline vec load_lanes(const real *p, int n) {
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
static inline void store_lanes(real *p, vec v, int n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
}
#elif defined(__AVX512F__)
static inline vec load_lanes(const real *p, int n) {
    return (vec)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
}
static inline void store_lanes(real *p, vec v, int n) {
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
}
#elif defined(__AVX2__)
static inline __m256i first_lanes(int n) {
    static const lane ones_then_zeros[2 * VL] = {[0 ... VL - 1] = -1};
    return _mm256_loadu_si256((const __m256i *)(ones_then_zeros + VL - n));
}
#if REAL_BITS == 32
static inline vec load_lanes(const real *p, int n) { return (vec)_mm256_maskload_ps(p, first_lanes(n)); }
static inline void store_lanes(real *p, vec v, int n) { _mm256_maskstore_ps(p, first_lanes(n), (__m256)v); }
#else
static inline vec load_lanes(const real *p, int n) { return (vec)_mm256_maskload_pd(p, first_lanes(n)); }
static inline void store_lanes(real *p, vec v, int n) { _mm256_maskstore_pd(p, first_lanes(n), (__m256d)v); }
#endif
#else
/* Called: where `lanes` is inlined GCC keeps the sums of a tile in memory too, 1.2 to 1.5 times as long on x86-64. */
#if defined(VECTORS)
#define RARE static __attribute__((noinline))
#else
#define RARE static inline
#endif
RARE vec load_lanes(const real *p, int n) {
    real lanes[VL] = {0};
    for (int i = 0; i < n; i++) lanes[i] = p[i];
    return VLOAD(lanes);
}
RARE void store_lanes(real *p, vec v, int n) {
    real lanes[VL];
    VSTORE(lanes, v);
    for (int i = 0; i < n; i++) p[i] = lanes[i];
}
#endif

/* All lanes, or the first n if fewer are left. */
static inline vec load_upto(const real *p, ptrdiff_t n) { return n >= VL ? VLOAD(p) : load_lanes(p, (int)n); }
static inline void store_upto(real *p, vec v, ptrdiff_t n) {
    if (n >= VL) VSTORE(p, v);
    else store_lanes(p, v, (int)n);
}

/* Each round interleaves the first half of `count` rows with the second, lane by lane, which turns the digits of the
 * number (row, lane) by one place.  After log2(count) rounds what had been in the same lane of all rows lies side by
 * side; after log2(VL) rounds what was side by side lies in the same lane. */
#if defined(VECTORS)
static inline __attribute__((always_inline)) void interleave(vec *rows, int count, int rounds) {
    vec turned[VL];
    for (int round = 0; round < rounds && count > 1; round++) {
        for (int i = 0; i < count / 2; i++) {
            vec a = rows[i], b = rows[i + count / 2];
#if VBYTES * 8 / REAL_BITS == 16
            turned[2 * i] = SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            turned[2 * i + 1] = SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif VBYTES * 8 / REAL_BITS == 8
            turned[2 * i] = SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
            turned[2 * i + 1] = SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#elif VBYTES * 8 / REAL_BITS == 4
            turned[2 * i] = SHUFFLE(a, b, 0, 4, 1, 5);
            turned[2 * i + 1] = SHUFFLE(a, b, 2, 6, 3, 7);
#else
            turned[2 * i] = SHUFFLE(a, b, 0, 2);
            turned[2 * i + 1] = SHUFFLE(a, b, 1, 3);
#endif
        }
        for (int i = 0; i < count; i++) rows[i] = turned[i];
    }
}
#else
static inline void interleave(vec *rows, int count, int rounds) { (void)rows, (void)count, (void)rounds; }
#endif

/* The sum of the lanes of rows[i] in lane i, of VL vectors: each round adds up what interleave would put in two. */
#if defined(VECTORS)
static inline __attribute__((always_inline)) vec add_lanes(vec *rows) {
    vec pair[2];
    for (int half = VL / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) {
            pair[0] = rows[i], pair[1] = rows[i + half];
            interleave(pair, 2, 1);
            rows[i] = pair[0] + pair[1];
        }
    return rows[0];
}
#else
static inline vec add_lanes(vec *rows) { return rows[0]; }
#endif

/* v[order[i]] in lane i. */
#if defined(VECTORS) && defined(__AVX512F__) && REAL_BITS == 32
static inline vec permute(vec v, lvec order) { return (vec)_mm512_permutexvar_ps((__m512i)order, (__m512)v); }
#elif defined(VECTORS) && defined(__AVX512F__)
static inline vec permute(vec v, lvec order) { return (vec)_mm512_permutexvar_pd((__m512i)order, (__m512d)v); }
#elif defined(VECTORS) && defined(__AVX2__) && REAL_BITS == 32
static inline vec permute(vec v, lvec order) { return (vec)_mm256_permutevar8x32_ps((__m256)v, (__m256i)order); }
#else
static inline vec permute(vec v, lvec order) {
    real lanes[VL], found[VL];
    lane places[VL];
    VSTORE(lanes, v);
    LSTORE(places, order);
    for (int i = 0; i < VL; i++) found[i] = lanes[places[i]];
    return VLOAD(found);
}
#endif

enum { ROUNDS = VL == 16 ? 4 : VL == 8 ? 3 : VL == 4 ? 2 : VL == 2 ? 1 : 0 }; /* log2(VL) */

/* rows[i][j] = rows[j][i] of VL vectors. */
static inline __attribute__((always_inline)) void transpose(vec *rows) { interleave(rows, VL, ROUNDS); }

#if defined(__AVX512F__)
#define ISA "v4"
#elif defined(__AVX2__)
#define ISA "v3"
#elif defined(__x86_64__) || defined(_M_X64)
#define ISA "baseline"
#else
#define ISA "native"
#endif

#ifdef _OPENMP
#define OPENMP 1
#else
#define OPENMP 0
#endif

#endif
