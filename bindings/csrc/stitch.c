/* Overlapping tiles of scores to one class map, with memory for the seams alone. */
#include "decl/codes.h"
#include "decl/stitch.h"
#include "portable.h"

#include <math.h>
#include <string.h>

/* Weight of the right or lower tile at place `at` of a seam `length` wide. */
SW_INLINE float ramp(int64_t at, int64_t length)
{
    return (float)(2 * at + 1) / (float)(2 * length);
}

SW_INLINE float blended(float before, float after, float weight)
{
    float step = after - before;
    step = step * weight;
    return before + step;
}

SW_INLINE int32_t in_units(float confidence)
{
    confidence = confidence > 0.0f ? confidence : 0.0f; /* not a number becomes 0 */
    confidence = confidence < 1.0f ? confidence : 1.0f;
    return (int32_t)(confidence * (float)SW_CONFIDENCE_ONE + 0.5f);
}

enum {
    SPAN = 128,       /* columns whose best scores stay in the first-level cache */
    SUM_SPAN = 16384, /* columns whose units fit 32 bits in sum */
    TILE_MAX = 1 << 24
};

SW_CLONES static int64_t label_one(const float *p, int64_t count, float threshold, uint8_t *labels)
{
    int32_t sum = 0; /* a sum of integers is the same in any order */
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
    int32_t sum = 0;
    for (int64_t x = 0; x < count; x++) {
        labels[x] = (uint8_t)winner[x];
        sum += in_units(best[x] - second[x]);
    }
    return sum;
}

/* The largest score of each column wins, the lowest plane among equals; what is not a number never wins. */
static int64_t label_most(const float *p, int64_t plane, int32_t classes, int64_t count, uint8_t *labels)
{
    float best[SPAN], second[SPAN];
    int32_t winner[SPAN];
    int64_t sum = 0;
    for (int64_t x = 0; x < count; x += SPAN) {
        const int64_t here = count - x < SPAN ? count - x : SPAN;
        for (int64_t i = 0; i < here; i++)
            best[i] = second[i] = -INFINITY, winner[i] = 0;
        for (int32_t k = 0; k < classes; k++)
            challenge(p + k * plane + x, here, k, best, second, winner);
        sum += close_span(best, second, winner, here, labels + x);
    }
    return sum;
}

#ifdef SW_AVX2
/* label_most() of whole 32s of columns, best and second best in registers; `classes` is a constant where that pays.
 * _mm256_max_ps(a, b) is a > b ? a : b, _mm256_min_ps(a, b) is a < b ? a : b: what is not a number fares as there. */
SW_FOR_AVX2 SW_INLINE __m256i label_eight(const float *p, int64_t plane, int32_t classes, __m256i *sum)
{
    const __m256 none = _mm256_set1_ps(-INFINITY);
    __m256 best = _mm256_max_ps(_mm256_loadu_ps(p), none), second = none, label = _mm256_setzero_ps();
    for (int32_t k = 1; k < classes; k++) {
        const __m256 v = _mm256_loadu_ps(p + k * plane), wins = _mm256_cmp_ps(v, best, _CMP_GT_OQ);
        second = _mm256_max_ps(_mm256_min_ps(best, v), second);
        label = _mm256_blendv_ps(label, _mm256_castsi256_ps(_mm256_set1_epi32(k)), wins);
        best = _mm256_max_ps(v, best);
    }
    __m256 units = _mm256_max_ps(_mm256_sub_ps(best, second), _mm256_setzero_ps());
    units = _mm256_min_ps(units, _mm256_set1_ps(1.0f));
    units = _mm256_add_ps(_mm256_mul_ps(units, _mm256_set1_ps((float)SW_CONFIDENCE_ONE)), _mm256_set1_ps(0.5f));
    *sum = _mm256_add_epi32(*sum, _mm256_cvttps_epi32(units));
    return _mm256_castps_si256(label);
}

SW_FOR_AVX2 SW_INLINE int64_t label_32s(const float *p, int64_t plane, int32_t classes, int64_t count, uint8_t *labels)
{
    __m256i sum = _mm256_setzero_si256();
    for (int64_t x = 0; x + 32 <= count; x += 32) {
        __m256i label[4];
        for (int i = 0; i < 4; i++)
            label[i] = label_eight(p + x + 8 * i, plane, classes, &sum);
        const __m256i low = _mm256_packs_epi32(label[0], label[1]), high = _mm256_packs_epi32(label[2], label[3]);
        const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        const __m256i all = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
        _mm256_storeu_si256((__m256i *)(void *)(labels + x), all);
    }
    int32_t each[8];
    int64_t total = 0;
    memcpy(each, &sum, sizeof each);
    for (int i = 0; i < 8; i++)
        total += each[i];
    return total;
}

SW_FOR_AVX2 static int64_t label_most_avx2(const float *p, int64_t plane, int32_t classes, int64_t count,
                                           uint8_t *labels)
{
    const int64_t whole = count - count % 32;
    int64_t sum = classes == 2   ? label_32s(p, plane, 2, whole, labels)
                  : classes == 3 ? label_32s(p, plane, 3, whole, labels)
                  : classes == 4 ? label_32s(p, plane, 4, whole, labels)
                                 : label_32s(p, plane, classes, whole, labels);
    return sum + label_most(p + whole, plane, classes, count - whole, labels + whole);
}
#endif

/* Classes of `count` columns whose planes lie `plane` apart; returns the sum of their confidence. */
static int64_t label_row(const float *p, int64_t plane, int32_t classes, float threshold, int64_t count,
                         uint8_t *labels)
{
    int64_t sum = 0;
    for (int64_t x = 0; x < count; x += SUM_SPAN) {
        const int64_t here = count - x < SUM_SPAN ? count - x : SUM_SPAN;
        if (classes == 1)
            sum += label_one(p + x, here, threshold, labels + x);
#ifdef SW_AVX2
        else if (SW_HAS_AVX2)
            sum += label_most_avx2(p + x, plane, classes, here, labels + x);
#endif
        else
            sum += label_most(p + x, plane, classes, here, labels + x);
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

int sw_stitch_put(const float *scores, const sw_grid *grid, const sw_place *place, float *right, float *below,
                  float *scratch, uint8_t *labels, int64_t label_stride, int64_t *confidence)
{
    const int64_t tile = grid->tile, margin = grid->margin, classes = grid->classes, width = grid->width;
    const int64_t seam = (int64_t)grid->overlap - 2 * margin, core = tile - 2 * margin, stride = core - seam;
    if (tile < 1 || tile > TILE_MAX || margin < 0 || seam < 0 || stride < 1 || seam > stride || classes < 1
        || classes > SW_CLASSES_MAX || width < 1 || place->tile_col < 0 || place->tile_col >= place->tile_cols
        || place->rows < 1
        || place->rows > core || (place->tile_cols - 1) * stride >= width
        || (!place->last_row && place->rows != core))
        return SW_E_ARGUMENT;
    const int last_col = place->tile_col == place->tile_cols - 1;
    const int64_t col = place->tile_col * stride;
    const int64_t count = last_col ? width - col : stride; /* columns that are complete after this tile */
    if (count > core || (!last_col && col + core > width))
        return SW_E_ARGUMENT;
    const int64_t blended_cols = place->tile_col > 0 ? (seam < count ? seam : count) : 0, plane = tile * tile;
    float weight[SPAN]; /* of the columns of a seam from `weighed` */
    int64_t sum = 0, weighed = -1;
    for (int64_t y = 0; y < place->rows; y++) {
        const float *from = scores + (margin + y) * tile + margin;
        const int final = place->last_row || y < stride, down = !place->first_row && y < seam;
        float *kept = final ? NULL : below + (y - stride) * width + col; /* goes to the lower neighbour */
        uint8_t *label = final ? labels + y * label_stride + col : NULL;
        const int64_t touched = down ? count : blended_cols;
        for (int64_t k = 0; k < classes; k++) {
            const float *row = from + k * plane;
            float *to = final ? scratch + k * tile : kept + k * seam * width;
            for (int64_t x = 0, here; x < blended_cols; x += here) { /* the columns of a seam to the left */
                here = blended_cols - x < SPAN ? blended_cols - x : SPAN;
                if (x != weighed) {
                    for (int64_t i = 0; i < here; i++)
                        weight[i] = ramp(x + i, seam);
                    weighed = x;
                }
                blend_across(right + (k * core + y) * seam + x, row + x, here, weight, to + x);
            }
            if (down) {
                const float *above = below + (k * seam + y) * width + col;
                blend_down(above, to, blended_cols, ramp(y, seam), to);
                blend_down(above + blended_cols, row + blended_cols, count - blended_cols, ramp(y, seam),
                           to + blended_cols);
            }
        }
        if (final)
            sum += label_row(scratch, tile, grid->classes, grid->threshold, touched, label)
                   + label_row(from + touched, plane, grid->classes, grid->threshold, count - touched, label + touched);
        else
            for (int64_t k = 0; k < classes; k++)
                memcpy(kept + k * seam * width + touched, from + k * plane + touched,
                       (size_t)(count - touched) * sizeof *from);
        if (!last_col && seam > 0)
            for (int64_t k = 0; k < classes; k++)
                memcpy(right + (k * core + y) * seam, from + k * plane + stride, (size_t)seam * sizeof *from);
    }
    *confidence += sum;
    return SW_OK;
}
