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
#else
#define SW_INLINE static inline
#endif

#endif
