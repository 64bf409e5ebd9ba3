/* The commonest tile by hand: four interleaved 16-bit bands, all of them wanted, rows of whole eights inside the scene.
 * A pixel is two pairs of samples; even and odd pairs part by one shuffle, and a pair by a mask and a shift, so that
 * the widening that the conversion needs anyway is the deinterleaving. Minimum and maximum are taken of the samples
 * as they lie: lane i belongs to band i modulo 4. Sums are of integers, so all is equal to the general form to the
 * bit. */
#ifndef SWATH_FOUR_BANDS_H
#define SWATH_FOUR_BANDS_H

#include "portable.h"

#include <stdint.h>
#include <string.h>

#ifdef SW_AVX2

typedef struct {
    uint16_t minimum[16], maximum[16];
    uint64_t total[4], saturated[4];
} four_stats;

static void four_begin(four_stats *s)
{
    memset(s, 0, sizeof *s);
    memset(s->minimum, 0xff, sizeof s->minimum);
}

SW_FOR_AVX2 SW_INLINE void four_store(__m256i v, __m256 scale, __m256 offset, __m256 low, __m256 high, float *to)
{
    __m256 f = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(v), scale), offset);
    f = _mm256_max_ps(f, low); /* f > low ? f : low, as normalised() has it */
    _mm256_storeu_ps(to, _mm256_min_ps(f, high));
}

/* One row; `out` its place in plane 0, planes `plane` apart. Returns 0, and leaves the statistics as they were, when a
 * pixel is nodata in all bands: the general form has to look at this row then. */
SW_FOR_AVX2 static int four_row(const uint16_t *row, int64_t count, int64_t ahead, int any_nodata, uint16_t nodata,
                                const float *scale, const float *offset, float low, float high, float *out,
                                int64_t plane, four_stats *stats)
{
    const __m256i bottom = _mm256_set1_epi32(0xffff);
    const __m256i missing = _mm256_set1_epi16((int16_t)nodata);
    const __m256 floor = _mm256_set1_ps(low), ceiling = _mm256_set1_ps(high);
    const __m256 scale0 = _mm256_set1_ps(scale[0]), scale1 = _mm256_set1_ps(scale[1]);
    const __m256 scale2 = _mm256_set1_ps(scale[2]), scale3 = _mm256_set1_ps(scale[3]);
    const __m256 offset0 = _mm256_set1_ps(offset[0]), offset1 = _mm256_set1_ps(offset[1]);
    const __m256 offset2 = _mm256_set1_ps(offset[2]), offset3 = _mm256_set1_ps(offset[3]);
    __m256i minimum = _mm256_set1_epi16(-1), maximum = _mm256_setzero_si256(), found = maximum;
    __m256i sum0 = maximum, sum1 = maximum, sum2 = maximum, sum3 = maximum;
    for (int64_t x = 0; x < count; x += 8) {
        const uint16_t *p = row + 4 * x;
        SW_PREFETCH(p + ahead);
        __m128i part[4];
        memcpy(part, p, sizeof part);
        const __m256i a = _mm256_inserti128_si256(_mm256_castsi128_si256(part[0]), part[2], 1);
        const __m256i b = _mm256_inserti128_si256(_mm256_castsi128_si256(part[1]), part[3], 1);
        minimum = _mm256_min_epu16(minimum, _mm256_min_epu16(a, b));
        maximum = _mm256_max_epu16(maximum, _mm256_max_epu16(a, b));
        found = _mm256_or_si256(found, _mm256_or_si256(_mm256_cmpeq_epi64(a, missing), _mm256_cmpeq_epi64(b, missing)));
        const __m256 fa = _mm256_castsi256_ps(a), fb = _mm256_castsi256_ps(b);
        const __m256i even = _mm256_castps_si256(_mm256_shuffle_ps(fa, fb, 0x88));
        const __m256i odd = _mm256_castps_si256(_mm256_shuffle_ps(fa, fb, 0xdd));
        const __m256i v0 = _mm256_and_si256(even, bottom), v1 = _mm256_srli_epi32(even, 16);
        const __m256i v2 = _mm256_and_si256(odd, bottom), v3 = _mm256_srli_epi32(odd, 16);
        sum0 = _mm256_add_epi32(sum0, v0), sum1 = _mm256_add_epi32(sum1, v1);
        sum2 = _mm256_add_epi32(sum2, v2), sum3 = _mm256_add_epi32(sum3, v3);
        four_store(v0, scale0, offset0, floor, ceiling, out + x);
        four_store(v1, scale1, offset1, floor, ceiling, out + plane + x);
        four_store(v2, scale2, offset2, floor, ceiling, out + 2 * plane + x);
        four_store(v3, scale3, offset3, floor, ceiling, out + 3 * plane + x);
    }
    if (any_nodata && !_mm256_testz_si256(found, found))
        return 0;
    const __m256i sums[4] = {sum0, sum1, sum2, sum3};
    for (int b = 0; b < 4; b++) {
        uint32_t each[8];
        memcpy(each, &sums[b], sizeof each);
        for (int i = 0; i < 8; i++)
            stats->total[b] += each[i];
    }
    __m256i before;
    memcpy(&before, stats->minimum, sizeof before);
    before = _mm256_min_epu16(before, minimum);
    memcpy(stats->minimum, &before, sizeof before);
    memcpy(&before, stats->maximum, sizeof before);
    before = _mm256_max_epu16(before, maximum);
    memcpy(stats->maximum, &before, sizeof before);
    const __m256i full = _mm256_cmpeq_epi16(maximum, _mm256_set1_epi16(-1));
    if (!_mm256_testz_si256(full, full))
        for (int64_t i = 0; i < 4 * count; i++)
            stats->saturated[i & 3] += row[i] == UINT16_MAX;
    return 1;
}

#endif
#endif
