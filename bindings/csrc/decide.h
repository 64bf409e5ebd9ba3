/* The class of blended columns: blend and decision in one pass over the scores, in registers where there are enough.
 * Every form gives the same bits: a blend is left + weight * (right - left), rounded after each step. */
#ifndef SWATH_DECIDE_H
#define SWATH_DECIDE_H

#include "decl/stitch.h"
#include "portable.h"

#include <math.h>
#include <string.h>

/* Final columns of one row, and what their neighbours left for them; places are of the first column. */
typedef struct {
    const float *scores, *left, *above; /* above: NULL where there is nothing to blend with */
    int64_t plane, left_plane, above_plane;
    int64_t across, count; /* columns to blend with `left`, and all of them */
    const float *ramp;     /* weight of the scores against `left`, a column each */
    float down;            /* weight of the scores against `above` */
    int32_t classes;
    float threshold; /* of the one plane, if classes is 1 */
} sw_columns;

SW_INLINE float blended(float before, float after, float weight)
{
    float step = after - before;
    step = step * weight;
    return before + step;
}

/* A confidence in 1/65536, half to even: between 128 and 256 that is what a float has behind the point. Numbers are
 * taken as they lie there, UNITS_ZERO too many; not a number becomes 0. */
#define UNITS_SHIFT 128.0f
#define UNITS_ZERO 0x43000000u

SW_INLINE uint32_t in_units(float confidence)
{
    uint32_t units;
    confidence = confidence > 0.0f ? confidence : 0.0f;
    confidence = confidence < 1.0f ? confidence : 1.0f;
    confidence = confidence + UNITS_SHIFT;
    memcpy(&units, &confidence, sizeof units);
    return units - UNITS_ZERO;
}

enum { SPAN = 128 }; /* columns whose best scores stay in the first-level cache; their units fit 32 bits in sum */

SW_CLONES static int64_t label_one(const float *p, int64_t count, float threshold, uint8_t *labels)
{
    uint32_t sum = 0; /* a sum of integers is the same in any order */
    for (int64_t x = 0; x < count; x++) {
        labels[x] = p[x] >= threshold;
        sum += in_units(fabsf(p[x] - 0.5f) * 2.0f);
    }
    return sum;
}

SW_CLONES static void challenge(const float *restrict p, int64_t count, int32_t plane, float *restrict best,
                                float *restrict second, int32_t *restrict labels)
{
    for (int64_t x = 0; x < count; x++) {
        const float v = p[x], b = best[x], s = second[x], lesser = b < v ? b : v;
        second[x] = lesser > s ? lesser : s;
        labels[x] = v > b ? plane : labels[x];
        best[x] = v > b ? v : b;
    }
}

SW_CLONES static int64_t close_span(const float *restrict best, const float *restrict second,
                                    const int32_t *restrict winner, int64_t count, uint8_t *restrict labels)
{
    uint32_t sum = 0;
    for (int64_t x = 0; x < count; x++) {
        labels[x] = (uint8_t)winner[x];
        sum += in_units(best[x] - second[x]);
    }
    return sum;
}

SW_CLONES static void blend_across(const float *restrict before, const float *restrict after, int64_t count,
                                   const float *restrict weight, float *restrict to)
{
    for (int64_t x = 0; x < count; x++)
        to[x] = blended(before[x], after[x], weight[x]);
}

SW_CLONES static void blend_down(const float *before, const float *after, int64_t count, float weight, float *to)
{
    for (int64_t x = 0; x < count; x++)
        to[x] = blended(before[x], after[x], weight);
}

/* The blended scores of plane `k`, columns [x, x + count), count <= SPAN: where they are, or in `room`. */
SW_INLINE const float *of_plane(const sw_columns *c, int32_t k, int64_t x, int64_t count, int across, float *room)
{
    const float *p = c->scores + k * c->plane + x;
    if (across) {
        blend_across(c->left + k * c->left_plane + x, p, count, c->ramp + x, room);
        p = room;
    }
    if (c->above) {
        blend_down(c->above + k * c->above_plane + x, p, count, c->down, room);
        p = room;
    }
    return p;
}

/* Columns [x, end), all of them or none blended with `left`. The largest score wins, the lowest plane among equals;
 * what is not a number never wins. Returns the sum of the confidence. */
static int64_t decide_span(const sw_columns *c, int64_t x, int64_t end, int across, uint8_t *labels)
{
    float best[SPAN], second[SPAN], room[SPAN];
    int32_t winner[SPAN];
    int64_t sum = 0;
    for (; x < end; x += SPAN) {
        const int64_t here = end - x < SPAN ? end - x : SPAN;
        if (c->classes == 1) {
            sum += label_one(of_plane(c, 0, x, here, across, room), here, c->threshold, labels + x);
            continue;
        }
        for (int64_t i = 0; i < here; i++)
            best[i] = second[i] = -INFINITY, winner[i] = 0;
        for (int32_t k = 0; k < c->classes; k++)
            challenge(of_plane(c, k, x, here, across, room), here, k, best, second, winner);
        sum += close_span(best, second, winner, here, labels + x);
    }
    return sum;
}

#ifdef SW_AVX2
/* decide_span() of whole 8s of columns in registers; what is a constant where it is called costs nothing.
 * _mm256_max_ps(a, b) is a > b ? a : b, _mm256_min_ps(a, b) is a < b ? a : b: what is not a number fares as there. */
typedef struct {
    __m256 low, high; /* few classes: their signs are the two bits of the class */
    __m256i label;    /* many classes */
    __m256 gap;       /* best minus second best; not yet in 0 ... 1 */
    __m256 any;       /* few classes: the bits of all scores together */
} sw_eight;

SW_FOR_AVX2 SW_INLINE __m256 eight_blended(__m256 before, __m256 after, __m256 weight)
{
    return _mm256_add_ps(before, _mm256_mul_ps(_mm256_sub_ps(after, before), weight));
}

SW_FOR_AVX2 SW_INLINE __m256 eight_scores(const sw_columns *c, int32_t k, int64_t x, int across, int down)
{
    __m256 v = _mm256_loadu_ps(c->scores + k * c->plane + x);
    if (across)
        v = eight_blended(_mm256_loadu_ps(c->left + k * c->left_plane + x), v, _mm256_loadu_ps(c->ramp + x));
    if (down)
        v = eight_blended(_mm256_loadu_ps(c->above + k * c->above_plane + x), v, _mm256_set1_ps(c->down));
    return v;
}

SW_FOR_AVX2 SW_INLINE __m256 magnitude(__m256 v)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}

/* Any number of classes, any scores. */
SW_FOR_AVX2 SW_INLINE sw_eight eight_of_any(const sw_columns *c, int32_t classes, int64_t x, int across, int down)
{
    const __m256 none = _mm256_set1_ps(-INFINITY);
    __m256 label = _mm256_setzero_ps(), second = none, best = eight_scores(c, 0, x, across, down);
    sw_eight eight = {.low = label, .high = label, .any = label};
    if (classes == 1) {
        const __m256 yes = _mm256_cmp_ps(best, _mm256_set1_ps(c->threshold), _CMP_GE_OQ);
        eight.label = _mm256_srli_epi32(_mm256_castps_si256(yes), 31);
        eight.gap = _mm256_mul_ps(magnitude(_mm256_sub_ps(best, _mm256_set1_ps(0.5f))), _mm256_set1_ps(2.0f));
        return eight;
    }
    best = _mm256_max_ps(best, none);
    for (int32_t k = 1; k < classes; k++) {
        const __m256 v = eight_scores(c, k, x, across, down), wins = _mm256_cmp_ps(v, best, _CMP_GT_OQ);
        second = _mm256_max_ps(_mm256_min_ps(best, v), second);
        label = _mm256_blendv_ps(label, _mm256_castsi256_ps(_mm256_set1_epi32(k)), wins);
        best = _mm256_max_ps(v, best);
    }
    eight.label = _mm256_castps_si256(label);
    eight.gap = _mm256_sub_ps(best, second);
    return eight;
}

/* 2 to 4 classes of scores that are neither negative, nor -0, nor 2 or more, nor not a number. The sign of a difference
 * says which of two is larger (none is -0: equal ones are +0 apart), and since rounding keeps order, the smaller of two
 * differences from the best is the difference from the larger: the bits are those of best minus second best. */
SW_FOR_AVX2 SW_INLINE sw_eight eight_of_few(const sw_columns *c, int32_t classes, int64_t x, int across, int down)
{
    sw_eight eight = {.label = _mm256_setzero_si256()};
    const __m256 p = eight_scores(c, 0, x, across, down), q = eight_scores(c, 1, x, across, down);
    const __m256 first = _mm256_sub_ps(p, q);
    eight.any = _mm256_or_ps(p, q);
    if (classes == 2) {
        eight.low = first, eight.high = _mm256_setzero_ps();
        eight.gap = magnitude(first);
        return eight;
    }
    __m256 best = eight_scores(c, 2, x, across, down), last = _mm256_set1_ps(INFINITY);
    eight.any = _mm256_or_ps(eight.any, best);
    if (classes == 4) {
        const __m256 r = eight_scores(c, 3, x, across, down);
        eight.any = _mm256_or_ps(eight.any, r);
        last = _mm256_sub_ps(best, r);
        best = _mm256_max_ps(r, best);
    }
    eight.high = _mm256_sub_ps(_mm256_max_ps(q, p), best);
    eight.low = _mm256_blendv_ps(first, last, eight.high);
    eight.gap = _mm256_min_ps(magnitude(eight.low), magnitude(eight.high));
    return eight;
}

SW_FOR_AVX2 SW_INLINE __m256i add_units(__m256i sum, __m256 gap)
{
    gap = _mm256_min_ps(_mm256_max_ps(gap, _mm256_setzero_ps()), _mm256_set1_ps(1.0f));
    return _mm256_add_epi32(sum, _mm256_castps_si256(_mm256_add_ps(gap, _mm256_set1_ps(UNITS_SHIFT))));
}

/* A gap of few classes is a number, and not negative. */
SW_FOR_AVX2 SW_INLINE __m256i add_sure_units(__m256i sum, __m256 gap)
{
    gap = _mm256_min_ps(gap, _mm256_set1_ps(1.0f));
    return _mm256_add_epi32(sum, _mm256_castps_si256(_mm256_add_ps(gap, _mm256_set1_ps(UNITS_SHIFT))));
}

SW_FOR_AVX2 SW_INLINE __m256i octets_of(__m256i a, __m256i b, __m256i c, __m256i d) /* saturated: signs stay */
{
    const __m256i four = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    return _mm256_permutevar8x32_epi32(four, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

SW_FOR_AVX2 SW_INLINE __m256i labels_of_few(const sw_eight *e, int32_t classes)
{
    __m256i low = octets_of(_mm256_castps_si256(e[0].low), _mm256_castps_si256(e[1].low),
                            _mm256_castps_si256(e[2].low), _mm256_castps_si256(e[3].low));
    low = _mm256_and_si256(_mm256_srli_epi16(low, 7), _mm256_set1_epi8(1));
    if (classes == 2)
        return low;
    __m256i high = octets_of(_mm256_castps_si256(e[0].high), _mm256_castps_si256(e[1].high),
                             _mm256_castps_si256(e[2].high), _mm256_castps_si256(e[3].high));
    return _mm256_or_si256(low, _mm256_and_si256(_mm256_srli_epi16(high, 6), _mm256_set1_epi8(2)));
}

/* Columns [x, end), as many of them as make whole 8s; returns `sum` with their units. */
SW_FOR_AVX2 SW_INLINE __m256i decide_eights(const sw_columns *c, int32_t classes, int64_t x, int64_t end, int across,
                                            int down, uint8_t *labels, __m256i sum)
{
    for (; x + 32 <= end; x += 32) {
        sw_eight e[4];
        if (classes >= 2 && classes <= 4) {
            __m256 any = _mm256_setzero_ps();
            for (int i = 0; i < 4; i++) {
                e[i] = eight_of_few(c, classes, x + 8 * i, across, down);
                any = _mm256_or_ps(any, e[i].any);
            }
            if (_mm256_testz_si256(_mm256_castps_si256(any), _mm256_set1_epi32((int32_t)0xC0000000u))) {
                for (int i = 0; i < 4; i++)
                    sum = add_sure_units(sum, e[i].gap);
                _mm256_storeu_si256((__m256i *)(void *)(labels + x), labels_of_few(e, classes));
                continue;
            }
        }
        for (int i = 0; i < 4; i++) {
            e[i] = eight_of_any(c, classes, x + 8 * i, across, down);
            sum = add_units(sum, e[i].gap);
        }
        const __m256i low = _mm256_packs_epi32(e[0].label, e[1].label);
        const __m256i all = _mm256_packus_epi16(low, _mm256_packs_epi32(e[2].label, e[3].label));
        const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        _mm256_storeu_si256((__m256i *)(void *)(labels + x), _mm256_permutevar8x32_epi32(all, order));
    }
    for (; x + 8 <= end; x += 8) {
        const sw_eight e = eight_of_any(c, classes, x, across, down);
        sum = add_units(sum, e.gap);
        const __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(e.label), _mm256_extracti128_si256(e.label, 1));
        _mm_storel_epi64((__m128i *)(void *)(labels + x), _mm_packus_epi16(half, half));
    }
    return sum;
}

SW_FOR_AVX2 SW_INLINE int64_t decide_avx2(const sw_columns *columns, int32_t classes, int down, uint8_t *labels)
{
    const sw_columns c = *columns; /* a copy: stores to labels cannot change it */
    const int64_t spare = c.across % 8, first = c.across - spare, end = c.count - (c.count - c.across) % 8;
    __m256i sum = decide_eights(&c, classes, 0, first, 1, down, labels, _mm256_setzero_si256());
    sum = decide_eights(&c, classes, c.across, end, 0, down, labels, sum);
    sum = _mm256_sub_epi32(sum, _mm256_set1_epi32((int32_t)((uint32_t)((first + end - c.across) / 8) * UNITS_ZERO)));
    sum = _mm256_add_epi64(_mm256_srli_epi64(sum, 32), _mm256_and_si256(sum, _mm256_set1_epi64x(0xFFFFFFFF)));
    const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    int64_t total = _mm_cvtsi128_si64(half) + _mm_extract_epi64(half, 1);
    if (spare > 0)
        total += decide_span(&c, first, c.across, 1, labels);
    if (end < c.count)
        total += decide_span(&c, end, c.count, 0, labels);
    return total;
}

SW_FOR_AVX2 static int64_t decide_row_avx2(const sw_columns *c, uint8_t *labels)
{
    switch (c->classes * 2 + (c->above != NULL)) {
    case 4: return decide_avx2(c, 2, 0, labels);
    case 5: return decide_avx2(c, 2, 1, labels);
    case 6: return decide_avx2(c, 3, 0, labels);
    case 7: return decide_avx2(c, 3, 1, labels);
    case 8: return decide_avx2(c, 4, 0, labels);
    case 9: return decide_avx2(c, 4, 1, labels);
    default: return c->above ? decide_avx2(c, c->classes, 1, labels) : decide_avx2(c, c->classes, 0, labels);
    }
}
#endif

/* The classes of one row; returns the sum of their confidence. */
static int64_t decide_row(const sw_columns *c, uint8_t *labels)
{
#ifdef SW_AVX2
    if (SW_HAS_AVX2)
        return decide_row_avx2(c, labels);
#endif
    return decide_span(c, 0, c->across, 1, labels) + decide_span(c, c->across, c->count, 0, labels);
}

#endif
