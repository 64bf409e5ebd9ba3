/* Interleaved 16-bit samples to planes: 8 x 8 transpositions where the compiler has vectors of fixed size, which it
 * turns into the unpack or zip instructions of the machine; elsewhere single loads. Moves bits only. */
#ifndef SWATH_PLANES_H
#define SWATH_PLANES_H

#include "portable.h"

#include <stdint.h>
#include <string.h>

enum { SW_LANES = 8 };

/* Samples of `count` pixels, `stride` apart. */
SW_INLINE void strided_16(const uint16_t *samples, int64_t stride, int64_t count, uint16_t *to)
{
    for (int64_t x = 0; x < count; x++)
        to[x] = samples[x * stride];
}

#ifdef SW_SHUFFLE
typedef uint16_t sw_lanes __attribute__((vector_size(16)));
#define SW_LOW(a, b) SW_SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define SW_HIGH(a, b) SW_SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15)

/* Eight pixels' first `lanes` (4 or 8) samples. Seen as one number of the bits pixel:lane, interleaving register i with
 * register i + half rotates those bits by one; after three turns they are lane:pixel. */
SW_INLINE void transpose_16(const uint16_t *samples, int64_t stride, int lanes, uint16_t *const *to, int64_t x)
{
    sw_lanes p[8], q[8];
    if (stride == 4 && lanes == 4) { /* two pixels a vector, and nothing beyond the last */
        for (int i = 0; i < 4; i++)
            memcpy(&p[i], samples + 8 * i, sizeof p[i]);
        for (int i = 0; i < 2; i++)
            q[2 * i] = SW_LOW(p[i], p[i + 2]), q[2 * i + 1] = SW_HIGH(p[i], p[i + 2]);
    } else
        for (int i = 0; i < 8; i++)
            memcpy(&p[i], samples + i * stride, sizeof p[i]);
    if (lanes == 4) {
        if (stride != 4)
            for (int i = 0; i < 4; i++)
                q[i] = SW_LOW(p[i], p[i + 4]);
        for (int i = 0; i < 2; i++)
            p[2 * i] = SW_LOW(q[i], q[i + 2]), p[2 * i + 1] = SW_HIGH(q[i], q[i + 2]);
        for (int i = 0; i < 2; i++)
            q[2 * i] = SW_LOW(p[i], p[i + 2]), q[2 * i + 1] = SW_HIGH(p[i], p[i + 2]);
    } else {
        for (int i = 0; i < 4; i++)
            q[2 * i] = SW_LOW(p[i], p[i + 4]), q[2 * i + 1] = SW_HIGH(p[i], p[i + 4]);
        for (int i = 0; i < 4; i++)
            p[2 * i] = SW_LOW(q[i], q[i + 4]), p[2 * i + 1] = SW_HIGH(q[i], q[i + 4]);
        for (int i = 0; i < 4; i++)
            q[2 * i] = SW_LOW(p[i], p[i + 4]), q[2 * i + 1] = SW_HIGH(p[i], p[i + 4]);
    }
    for (int i = 0; i < lanes; i++)
        memcpy(to[i] + x, &q[i], sizeof q[i]);
}
#endif

/* Up to `lanes` (4 or 8) samples that follow each other in each of `count` pixels, each to a row of its own. Nothing
 * beyond the last pixel's sample `last` is read. `ahead`: how far on the samples lie that are needed next. */
SW_INLINE void spread_any(const uint16_t *samples, int64_t stride, int64_t count, int lanes, int last, int64_t ahead,
                          uint16_t *const *to)
{
    int64_t x = 0;
#ifdef SW_SHUFFLE
    const int64_t end = (count - 1) * stride + last; /* may be read */
    const int64_t line = 64 / sizeof *samples;
    const int reach = stride == 4 && lanes == 4 ? 3 : 7;
    int64_t fetched = 0;
    for (; x + 8 <= count && (x + 7) * stride + reach <= end; x += 8) {
        for (; fetched < (x + 8) * stride; fetched += line)
            SW_PREFETCH(samples + fetched + ahead);
        transpose_16(samples + x * stride, stride, lanes, to, x);
    }
#endif
    for (int i = 0; i <= last; i++)
        strided_16(samples + x * stride + i, stride, count - x, to[i] + x);
}

SW_CLONES static void spread_16(const uint16_t *samples, int64_t stride, int64_t count, int last, int64_t ahead,
                                uint16_t *const *to)
{
    if (stride == 4)
        spread_any(samples, 4, count, 4, last, ahead, to);
    else if (last < 4)
        spread_any(samples, stride, count, 4, last, ahead, to);
    else
        spread_any(samples, stride, count, 8, last, ahead, to);
}

#endif
