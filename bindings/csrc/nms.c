/* Greedy non-maximum suppression through cells. Kept boxes lie in cells by the size of their sides and the place of
 * their corner (x0, y0). An overlap above t bounds the ratio of both sides and the distance of the corners, so that a
 * box need only look into the few cells where a kept box could be that overlaps it so much. The bounds are a little
 * too wide on purpose: rounding must not hide a box; the overlap itself decides. */
#include "decl/nms.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "decl/codes.h"
#include "portable.h"

/* Widths are differences of floats: in double precision their binary exponents go from -149 to 128. A size class is
 * the upper bits of the double: `split` bits of the fraction, or less than the whole exponent. */
#define LOWEST_EXPONENT (-149)
#define EXPONENTS 279
#define SPLIT_MAX 20

typedef struct {
    float x0, y0, x1, y1;
    double area;
    int32_t class_value;
    int32_t next; /* in the chain of its cell, or -1 */
} kept_box;

typedef struct {
    kept_box *kept;
    int32_t *chain; /* the newest box of each cell, or -1 */
    int64_t count;
    uint8_t present[(EXPONENTS * EXPONENTS + 7) / 8]; /* pairs of size classes, if they are whole exponents */
    uint64_t low_x, high_x, low_y, high_y;            /* size classes of the kept boxes */
    uint64_t origin;                                  /* the lowest size class there can be */
    int shift, split, chain_bits;
    double threshold, ratio, inverse; /* ratio: a little below the threshold; inverse: one over it */
    int64_t comparisons, cells; /* looked at so far */
} search;

typedef struct {
    double start, end;     /* of the box along one axis */
    double side, largest;  /* end - start; the largest side that overlaps it enough */
    uint64_t low, high;    /* size classes that such a side can be in, among those of kept boxes */
} extent;

typedef struct {
    int64_t first, last; /* cells */
} reach;

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The exponent of the side of a cell: near the sides of the class, or the share of them that an overlap above the
 * threshold leaves. */
static uint64_t cell_exponent(const search *s, uint64_t size)
{
    return ((size + 1) << s->shift >> 52) - (uint64_t)(s->split > 0 ? s->split : 0);
}

/* One over the side of a cell: a power of two, so multiplying is exact. */
static double cells_a_unit(const search *s, uint64_t size)
{
    return of_bits((2046 - cell_exponent(s, size)) << 52);
}

/* For values that an int64_t holds. */
static int64_t floor_of(double value)
{
    const int64_t whole = (int64_t)value;
    return whole - (value < (double)whole);
}

static uint64_t mixed(uint64_t size_x, uint64_t size_y, int32_t class_value)
{
    const uint64_t value = size_x * 0x9E3779B97F4A7C15u + size_y * 0xC2B2AE3D27D4EB4Fu + (uint32_t)class_value;
    return (value ^ value >> 29) * 0xBF58476D1CE4E5B9u;
}

static int64_t chain_of(const search *s, uint64_t base, int64_t col, int64_t row)
{
    uint64_t value = base + (uint64_t)col * 0x9E3779B97F4A7C15u + (uint64_t)row * 0xD6E8FEB86659FD93u;
    value = (value ^ value >> 32) * 0xBF58476D1CE4E5B9u;
    return (int64_t)(value >> (64 - s->chain_bits));
}

static int suppresses(search *s, const kept_box *one, const kept_box *other)
{
    s->comparisons++;
    if (one->class_value != other->class_value)
        return 0;
    const float x0 = one->x0 > other->x0 ? one->x0 : other->x0, x1 = one->x1 < other->x1 ? one->x1 : other->x1;
    const float y0 = one->y0 > other->y0 ? one->y0 : other->y0, y1 = one->y1 < other->y1 ? one->y1 : other->y1;
    if (x1 <= x0 || y1 <= y0)
        return 0;
    const double shared = ((double)x1 - (double)x0) * ((double)y1 - (double)y0);
    return shared > s->threshold * (one->area + other->area - shared);
}

#define CELLS_MAX 4611686018427387904.0 /* 2^62 */

/* Cells that the corner of a box of size class `size` can be in along one axis, if it overlaps enough. Returns how many
 * there are; infinite if there are too many for numbers. */
static double reach_of(const search *s, const extent *e, uint64_t size, reach *out)
{
    const double t = s->ratio, smallest = of_bits(size << s->shift), largest = of_bits((size + 1) << s->shift);
    const double low = smallest > t * e->side ? smallest : t * e->side;
    const double high = largest < e->largest ? largest : e->largest;
    if (low > high)
        return 0;
    const double slack = 1e-6 * (e->side + high), a_unit = cells_a_unit(s, size);
    const double from = (e->start + t * (e->side > high ? e->side : high) - high - slack) * a_unit;
    const double to = (e->end - t * (e->side > low ? e->side : low) + slack) * a_unit;
    if (!(fabs(from) < CELLS_MAX && fabs(to) < CELLS_MAX))
        return INFINITY;
    out->first = floor_of(from);
    out->last = floor_of(to);
    return out->first <= out->last ? (double)(out->last - out->first) + 1 : 0;
}

static int any_kept_suppresses(search *s, const kept_box *box)
{
    for (int64_t i = 0; i < s->count; i++)
        if (suppresses(s, &s->kept[i], box))
            return 1;
    return 0;
}

static uint64_t clamped(const search *s, double side, uint64_t low, uint64_t high)
{
    const uint64_t size = bits_of(side) >> s->shift;
    return size < low ? low : size > high ? high : size;
}

static extent extent_of(const search *s, float start, float end, uint64_t low, uint64_t high)
{
    extent e = {.start = start, .end = end, .side = (double)end - (double)start};
    e.largest = e.side * s->inverse; /* infinite without a threshold */
    e.low = clamped(s, e.side * s->ratio, low, high);
    e.high = clamped(s, e.largest, low, high);
    return e;
}

static int is_present(const search *s, uint64_t x, uint64_t y)
{
    if (s->split > 0)
        return 1;
    const uint64_t pair = (x - s->origin) * EXPONENTS + (y - s->origin);
    return s->present[pair >> 3] >> (pair & 7) & 1;
}

static int is_suppressed(search *s, const kept_box *box)
{
    if (s->count == 0)
        return 0;
    const extent x = extent_of(s, box->x0, box->x1, s->low_x, s->high_x);
    const extent y = extent_of(s, box->y0, box->y1, s->low_y, s->high_y);
    double cells = 0;
    for (uint64_t size_x = x.low; size_x <= x.high; size_x++) {
        reach cols, rows;
        const double across = reach_of(s, &x, size_x, &cols);
        for (uint64_t size_y = y.low; across > 0 && size_y <= y.high; size_y++) {
            if (!is_present(s, size_x, size_y))
                continue;
            const double down = reach_of(s, &y, size_y, &rows);
            if (down == 0)
                continue;
            cells += across * down;
            if (cells > (double)s->count + 16) /* fewer boxes than cells */
                return any_kept_suppresses(s, box);
            const uint64_t base = mixed(size_x, size_y, box->class_value);
            for (int64_t row = rows.first; row <= rows.last; row++)
                for (int64_t col = cols.first; col <= cols.last; col++) {
                    s->cells++;
                    for (int32_t i = s->chain[chain_of(s, base, col, row)]; i >= 0; i = s->kept[i].next)
                        if (suppresses(s, &s->kept[i], box))
                            return 1;
                }
        }
    }
    return 0;
}

static void add(search *s, const kept_box *box)
{
    const uint64_t cx = bits_of((double)box->x1 - (double)box->x0) >> s->shift;
    const uint64_t cy = bits_of((double)box->y1 - (double)box->y0) >> s->shift;
    const int64_t col = floor_of(box->x0 * cells_a_unit(s, cx)), row = floor_of(box->y0 * cells_a_unit(s, cy));
    const int64_t chain = chain_of(s, mixed(cx, cy, box->class_value), col, row);
    if (s->split <= 0) {
        const uint64_t pair = (cx - s->origin) * EXPONENTS + (cy - s->origin);
        s->present[pair >> 3] |= (uint8_t)(1u << (pair & 7));
    }
    s->low_x = cx < s->low_x || s->count == 0 ? cx : s->low_x, s->high_x = cx > s->high_x ? cx : s->high_x;
    s->low_y = cy < s->low_y || s->count == 0 ? cy : s->low_y, s->high_y = cy > s->high_y ? cy : s->high_y;
    s->kept[s->count] = *box;
    s->kept[s->count].next = s->chain[chain];
    s->chain[chain] = (int32_t)s->count++;
}

/* Falling scores as rising unsigned numbers; -0 and +0 are one score. */
static uint32_t rank_of(float score)
{
    uint32_t bits;
    score += 0.0f;
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? bits : ~bits & 0x7FFFFFFFu;
}

#define DIGIT_BITS 11
#define DIGITS (1 << DIGIT_BITS)

typedef struct {
    uint32_t rank, index;
} ranked;

/* Stable, so that equal scores stay in the order of their indices. */
static ranked *sorted(ranked *from, ranked *to, int64_t count)
{
    uint32_t places[3][DIGITS] = {{0}};
    for (int64_t i = 0; i < count; i++)
        for (int digit = 0; digit < 3; digit++)
            places[digit][from[i].rank >> digit * DIGIT_BITS & (DIGITS - 1)]++;
    for (int digit = 0; digit < 3; digit++) {
        if (places[digit][from[0].rank >> digit * DIGIT_BITS & (DIGITS - 1)] == (uint64_t)count)
            continue; /* all alike */
        uint32_t before = 0;
        for (int i = 0; i < DIGITS; i++) {
            const uint32_t here = places[digit][i];
            places[digit][i] = before;
            before += here;
        }
        for (int64_t i = 0; i < count; i++)
            to[places[digit][from[i].rank >> digit * DIGIT_BITS & (DIGITS - 1)]++] = from[i];
        ranked *swap = from;
        from = to, to = swap;
    }
    return from;
}

static int chain_bits_for(int64_t count)
{
    int bits = 4;
    while ((int64_t)1 << bits < 2 * count)
        bits++;
    return bits;
}

int64_t sw_nms_scratch(int64_t count)
{
    if (count < 0 || count > SW_NMS_BOXES_MAX)
        return SW_E_ARGUMENT;
    return count * (int64_t)(sizeof(kept_box) + 2 * sizeof(ranked))
         + (int64_t)sizeof(int32_t) * ((int64_t)1 << chain_bits_for(count));
}

static void choose_classes(search *s, double threshold)
{
    s->threshold = threshold;
    s->ratio = threshold * (1 - 1e-9);
    /* the sides of boxes that overlap enough differ by a factor of 1 / t at most: about two classes a side */
    s->inverse = s->ratio > 0 ? 1 / s->ratio : INFINITY;
    const double spread = s->inverse * s->inverse - 1;
    s->split = spread >= 1.5 ? -1 : 0;
    while (s->split >= 0 && s->split < SPLIT_MAX && spread < ldexp(0.75, -s->split))
        s->split++;
    s->shift = 52 - s->split;
    s->origin = bits_of(ldexp(1.0, LOWEST_EXPONENT)) >> s->shift;
}

int64_t sw_nms_keep(const float *boxes, const float *scores, const int32_t *classes, int64_t count, double threshold,
                    int64_t *keep, void *scratch, sw_nms_account *account)
{
    if (count < 0 || count > SW_NMS_BOXES_MAX || !(threshold >= 0 && threshold <= 1))
        return SW_E_ARGUMENT;
    *account = (sw_nms_account){0};
    if (count == 0)
        return 0;
    search s = {.kept = scratch, .chain_bits = chain_bits_for(count)};
    ranked *order = (ranked *)(s.kept + count);
    s.chain = (int32_t *)(order + 2 * count);
    for (int64_t i = 0; i < count; i++) {
        const float *b = boxes + 4 * i;
        account->fault = i;
        if (!(fabsf(b[0]) <= FLT_MAX && fabsf(b[1]) <= FLT_MAX && fabsf(b[2]) <= FLT_MAX && fabsf(b[3]) <= FLT_MAX
              && fabsf(scores[i]) <= FLT_MAX))
            return SW_NMS_NOT_FINITE;
        if (b[2] < b[0] || b[3] < b[1])
            return SW_NMS_INVERTED;
        order[i] = (ranked){rank_of(scores[i]), (uint32_t)i};
    }
    account->fault = -1;
    memset(s.chain, 0xFF, sizeof *s.chain << s.chain_bits);
    choose_classes(&s, threshold);
    order = sorted(order, order + count, count);
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++) {
        const uint32_t index = order[i].index;
        if (i + 8 < count)
            SW_PREFETCH(boxes + 4 * (int64_t)order[i + 8].index);
        const float *b = boxes + 4 * (int64_t)index;
        kept_box box = {b[0], b[1], b[2], b[3], 0, classes ? classes[index] : 0, -1};
        box.area = ((double)b[2] - (double)b[0]) * ((double)b[3] - (double)b[1]);
        if (box.area > 0 && threshold < 1) { /* what has no area neither suppresses nor is suppressed */
            if (is_suppressed(&s, &box))
                continue;
            add(&s, &box);
        }
        keep[kept++] = index;
    }
    account->comparisons = s.comparisons;
    account->cells = s.cells;
    return kept;
}
