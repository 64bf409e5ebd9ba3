/* Where a row of class values changes: what run lengths are made of. */
#ifndef SWATH_CHANGES_H
#define SWATH_CHANGES_H

#include "portable.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    CHANGES_BLOCK = 4096,             /* pixels looked at together */
    CHANGES_ROOM = CHANGES_BLOCK + 16 /* octets at most that many changes, and what is written ahead of them */
};

SW_INLINE uint16_t *changes_one_by_one(const uint8_t *pixels, size_t x, size_t end, uint16_t *to)
{
    for (; x < end; x++) {
        *to = (uint16_t)x;
        to += pixels[x] != (pixels + x)[-1]; /* no branch to guess */
    }
    return to;
}

/* Eight pixels at once where nothing changes. */
static size_t changes_portable(const uint8_t *pixels, size_t count, uint16_t *at)
{
    uint16_t *to = at;
    size_t x = 0;
    for (; x + 8 <= count; x += 8) {
        uint64_t here, before;
        memcpy(&here, pixels + x, sizeof here);
        memcpy(&before, pixels + x - 1, sizeof before);
        if (here != before)
            to = changes_one_by_one(pixels, x, x + 8, to);
    }
    return (size_t)(changes_one_by_one(pixels, x, count, to) - at);
}

#ifdef SW_AVX2
/* Bit i: pixel x + i differs from the one before. */
SW_FOR_AVX2 SW_INLINE uint32_t changes_of_32(const uint8_t *pixels)
{
    const __m256i here = _mm256_loadu_si256((const __m256i *)(const void *)pixels);
    const __m256i before = _mm256_loadu_si256((const __m256i *)(const void *)(pixels - 1));
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(here, before));
}

/* The places of a word's first changes are written before it is known how many there are, and those of none are
 * written over: a branch for each change would be guessed wrongly more often than not. */
__attribute__((target("avx2,bmi,popcnt"))) SW_INLINE uint16_t *changes_of_word(uint64_t bits, size_t x, uint16_t *to)
{
    enum { FIRST = 3, MORE = 4 };
    uint16_t *const next = to + _mm_popcnt_u64(bits);
    for (int i = 0; i < FIRST; i++, bits = _blsr_u64(bits))
        to[i] = (uint16_t)(x + _tzcnt_u64(bits));
    for (to += FIRST; bits; to += MORE)
        for (int i = 0; i < MORE; i++, bits = _blsr_u64(bits))
            to[i] = (uint16_t)(x + _tzcnt_u64(bits));
    return next;
}

__attribute__((target("avx2,bmi,popcnt"))) static size_t changes_avx2(const uint8_t *pixels, size_t count, uint16_t *at)
{
    enum { WORDS = 4 };
    uint16_t *to = at;
    size_t x = 0;
    for (; x + 64 * WORDS <= count; x += 64 * WORDS) {
        uint64_t bits[WORDS], any = 0;
        for (size_t i = 0; i < WORDS; i++) {
            const uint8_t *here = pixels + x + 64 * i;
            bits[i] = changes_of_32(here) | (uint64_t)changes_of_32(here + 32) << 32;
            any |= bits[i];
        }
        if (any == 0)
            continue;
        for (size_t i = 0; i < WORDS; i++)
            to = changes_of_word(bits[i], x + 64 * i, to);
    }
    return (size_t)(changes_one_by_one(pixels, x, count, to) - at);
}
#define SW_HAS_CHANGES_AVX2 (SW_HAS_AVX2 && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt"))
#endif

/* Places x < count <= CHANGES_BLOCK whose pixel differs from the one before, ascending; pixels[-1] is looked at.
 * at: room for CHANGES_ROOM. Returns how many. */
static size_t changes(const uint8_t *pixels, size_t count, uint16_t *at)
{
#ifdef SW_AVX2
    if (SW_HAS_CHANGES_AVX2)
        return changes_avx2(pixels, count, at);
#endif
    return changes_portable(pixels, count, at);
}

#endif
