/* What the compiler may be told beyond C11. Everything here may be empty: the results stay the same to the bit. */
#ifndef SWATH_PORTABLE_H
#define SWATH_PORTABLE_H

/* One function compiled for several x86-64 levels, chosen when it is loaded. Contraction is off, so every level
 * rounds alike. The sanitizers cannot run the resolvers, and other architectures have their vectors at baseline. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__GLIBC__) && !defined(SW_NO_CLONES)
#define SW_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define SW_CLONES
#endif

#if defined(__GNUC__)
#define SW_INLINE static inline __attribute__((always_inline))
/* Into the second level: blocks of rows outgrow the first. */
#define SW_PREFETCH(address) __builtin_prefetch(address, 0, 2)
#else
#define SW_INLINE static inline
#define SW_PREFETCH(address) ((void)(address))
#endif

/* Written for AVX2 by hand where the compiler's vectors were measured to be slower; always beside a portable form with
 * the same result. A function marked SW_FOR_AVX2 is called only where SW_HAS_AVX2. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(SW_NO_AVX2)
#include <immintrin.h>
#define SW_AVX2 1
#define SW_FOR_AVX2 __attribute__((target("avx2")))
#define SW_HAS_AVX2 __builtin_cpu_supports("avx2")
/* The same, with multiplication and addition in one rounding, for results that are proved not to depend on it. */
#define SW_FOR_FMA3 __attribute__((target("avx2,fma")))
#define SW_HAS_FMA3 (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
#endif

/* Two vectors' elements in the order of the numbers that follow, where vectors of fixed size are known. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SW_SHUFFLE __builtin_shufflevector
#endif
#endif

#endif
