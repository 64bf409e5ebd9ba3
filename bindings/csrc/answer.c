/* What becomes of a tile's scores beside the class map: are they scores at all, how sure are they, who gets none. */
#include "decl/answer.h"
#include "decl/codes.h"
#include "decl/stitch.h"
#include "portable.h"

#include <math.h>
#include <string.h>

enum {
    SPAN = 128, /* columns whose best scores stay in the first-level cache; their margins fit 32 bits in sum */
    SIDE_MAX = 1 << 15
};

static int refused(const sw_own *own, int64_t open_stride)
{
    return own->side < 1 || own->side > SIDE_MAX || own->first_row < 0 || own->first_col < 0
           || own->first_row > own->end_row || own->first_col > own->end_col || own->end_row > own->side
           || own->end_col > own->side || open_stride < own->end_col - own->first_col;
}

SW_CLONES static void both(uint8_t *restrict open, const uint8_t *restrict valid, int64_t count)
{
    for (int64_t x = 0; x < count; x++)
        open[x] &= valid[x];
}

int sw_answer_close(const uint8_t *valid, const sw_own *own, uint8_t *open, int64_t open_stride)
{
    if (refused(own, open_stride))
        return SW_E_ARGUMENT;
    for (int64_t y = own->first_row; y < own->end_row; y++)
        both(open + (y - own->first_row) * open_stride, valid + y * own->side + own->first_col,
             own->end_col - own->first_col);
    return SW_OK;
}

int sw_holds_only(const uint8_t *octets, int64_t rows, int64_t count, int64_t stride, const uint8_t *fill,
                  int64_t item)
{
    if (rows < 0 || item < 1 || item > 8 || count < 0 || count % item != 0 || stride < count)
        return SW_E_ARGUMENT;
    for (int64_t y = 0; count > 0 && y < rows; y++) { /* a row that equals itself one sample on is one sample repeated */
        const uint8_t *row = octets + y * stride;
        if (memcmp(row, fill, (size_t)item) != 0 || memcmp(row, row + item, (size_t)(count - item)) != 0)
            return 0;
    }
    return 1;
}

SW_CLONES static int32_t outside(const float *p, int32_t count, float low, float high)
{
    int32_t bad = 0;
    for (int32_t x = 0; x < count; x++)
        bad += !((p[x] >= low) & (p[x] <= high)); /* what is not a number fails both */
    return bad;
}

/* Of scores that were checked: 0 ... 3, and clipped as an integer, because gcc makes branches of a clipped float. */
SW_INLINE int32_t in_units(float margin)
{
    const int32_t units = (int32_t)(margin * (float)SW_MARGIN_ONE + 0.5f);
    return units < SW_MARGIN_ONE ? units : SW_MARGIN_ONE;
}

SW_CLONES static int32_t margin_of_one(const float *restrict p, const uint8_t *restrict open, int32_t count)
{
    int32_t sum = 0; /* a sum of integers is the same in any order */
    for (int32_t x = 0; x < count; x++)
        sum += in_units(fabsf(p[x] - 0.5f) * 2.0f) & -(int32_t)open[x];
    return sum;
}

SW_CLONES static void challenge(const float *restrict p, int32_t count, float *restrict best, float *restrict second)
{
    for (int32_t x = 0; x < count; x++) {
        const float v = p[x], b = best[x], s = second[x], lesser = b < v ? b : v;
        second[x] = lesser > s ? lesser : s;
        best[x] = v > b ? v : b;
    }
}

SW_CLONES static int32_t margin_of_best(const float *restrict best, const float *restrict second,
                                        const uint8_t *restrict open, int32_t count)
{
    int32_t sum = 0;
    for (int32_t x = 0; x < count; x++)
        sum += in_units(best[x] - second[x]) & -(int32_t)open[x];
    return sum;
}

SW_CLONES static int32_t count_open(const uint8_t *open, int32_t count)
{
    int32_t sum = 0;
    for (int32_t x = 0; x < count; x++)
        sum += open[x];
    return sum;
}

static int64_t margin_of_row(const float *p, int64_t plane, int32_t classes, const uint8_t *open, int32_t count)
{
    float best[SPAN], second[SPAN];
    int64_t sum = 0;
    for (int32_t x = 0; x < count; x += SPAN) {
        const int32_t here = count - x < SPAN ? count - x : SPAN;
        if (classes == 1) {
            sum += margin_of_one(p + x, open + x, here);
            continue;
        }
        for (int32_t i = 0; i < here; i++)
            best[i] = second[i] = -INFINITY;
        for (int32_t k = 0; k < classes; k++)
            challenge(p + k * plane + x, here, best, second);
        sum += margin_of_best(best, second, open + x, here);
    }
    return sum;
}

int sw_answer_measure(const float *scores, int32_t classes, const sw_own *own, float low, float high,
                      const uint8_t *open, int64_t open_stride, sw_answer *answer)
{
    if (refused(own, open_stride) || classes < 1 || classes > SW_CLASSES_MAX || !(low >= -1.0f && high <= 2.0f))
        return SW_E_ARGUMENT;
    const int64_t side = own->side, plane = side * side;
    const int32_t count = own->end_col - own->first_col;
    memset(answer, 0, sizeof *answer);
    for (int64_t y = 0; y < side; y++) {
        int64_t bad = 0;
        for (int32_t k = 0; k < classes; k++)
            bad += outside(scores + k * plane + y * side, own->side, low, high);
        answer->bad += bad;
        if (y < own->first_row || y >= own->end_row || bad > 0)
            continue;
        const uint8_t *asked = open + (y - own->first_row) * open_stride;
        const int32_t answered = count_open(asked, count);
        answer->pixels += answered;
        if (answered > 0)
            answer->margin += margin_of_row(scores + y * side + own->first_col, plane, classes, asked, count);
    }
    return SW_OK;
}

SW_CLONES static int32_t blank_span(uint8_t *restrict labels, const uint8_t *restrict open, int32_t count, uint8_t none)
{
    int32_t blanked = 0;
    for (int32_t x = 0; x < count; x++) {
        labels[x] = open[x] ? labels[x] : none;
        blanked += !open[x];
    }
    return blanked;
}

int64_t sw_answer_blank(uint8_t *labels, const uint8_t *open, int64_t count, uint8_t none)
{
    int64_t blanked = 0;
    for (int64_t x = 0; x < count; x += SIDE_MAX) {
        const int32_t here = count - x < SIDE_MAX ? (int32_t)(count - x) : SIDE_MAX;
        blanked += blank_span(labels + x, open + x, here, none);
    }
    return blanked;
}
