/* Tiling, normalisation and statistics in one pass; the four sample types share tile_kernel.h. */
#include "decl/codes.h"
#include "decl/tiles.h"
#include "planes.h"
#include "portable.h"
#include "tile_avx2.h"

#include <math.h>
#include <string.h>

/* Scene coordinates along one axis as a walk that turns round at both ends: 0 1 2 1 0 1 ... */
typedef struct {
    int64_t at, step, length;
} walk;

static walk walk_from(int64_t start, int64_t length)
{
    walk w = {0, 1, length};
    if (length == 1)
        return w;
    int64_t period = 2 * (length - 1), phase = start % period;
    if (phase < 0)
        phase += period;
    w.at = phase < length ? phase : period - phase;
    w.step = phase < length - 1 ? 1 : -1;
    return w;
}

static void walk_on(walk *w)
{
    if (w->length == 1)
        return;
    w->at += w->step;
    if (w->at == w->length - 1)
        w->step = -1;
    else if (w->at == 0)
        w->step = 1;
}

/* Of `side` coordinates from `start`, those inside [0, length): [first, end) counted from `start`. */
static void inside(int64_t start, int64_t side, int64_t length, int64_t *first, int64_t *end)
{
    int64_t low = start < 0 ? -start : 0, high = length - start;
    *first = low < side ? low : side;
    *end = high < 0 ? 0 : (high < side ? high : side);
    if (*end < *first)
        *end = *first;
}

/* One call of sw_cut(). */
typedef struct {
    const sw_cutter *cutter;
    const sw_window *window;
    int64_t first_row, scene_rows, row, col;
    int64_t left, right, top, bottom; /* of the tile, inside the scene */
    void *out;
    uint8_t *valid;
    sw_band_stats *each; /* NULL: not measured */
    sw_tile_stats *stats;
} cut;

static int refuse_cutter(const sw_cutter *cutter)
{
    return cutter->side < 1 || cutter->side > SW_TILE_SIDE_MAX || cutter->bands < 1 || cutter->sample < SW_SAMPLE_U8
           || cutter->sample > SW_SAMPLE_F32 || cutter->out < SW_OUT_F32 || cutter->out > SW_OUT_S8
           || (cutter->out != SW_OUT_F32
               && (!(cutter->step > 0) || cutter->zero_point < -128 || cutter->zero_point > 255));
}

static int refuse(const cut *c)
{
    const int64_t far = SW_SCENE_SIDE_MAX;
    const sw_window *window = c->window;
    if (refuse_cutter(c->cutter) || c->row > far || c->row < -far || c->col > far || c->col < -far || c->scene_rows < 1
        || c->scene_rows > far || window->cols < 1 || window->cols > far || window->rows < 1 || c->first_row < 0
        || window->rows > c->scene_rows || c->first_row > c->scene_rows - window->rows || window->row_stride < 0
        || window->col_stride < 1 || window->band_stride < 0)
        return SW_E_ARGUMENT;
    walk row = walk_from(c->row, c->scene_rows);
    for (int32_t y = 0; y < c->cutter->side; y++, walk_on(&row))
        if (row.at < c->first_row || row.at >= c->first_row + window->rows) {
            c->stats->missing_row = row.at;
            return SW_E_WINDOW;
        }
    return SW_OK;
}

SW_INLINE float normalised(float sample, float scale, float offset, float low, float high)
{
    float v = sample * scale;
    v = v + offset;
    v = v > low ? v : low; /* not a number (infinity times zero) becomes low */
    return v < high ? v : high;
}

/* How one band becomes octets. Rounding goes up with what it rounds, and so does a division: what limits the octet can
 * limit the number of steps, as long as it has a fraction. */
typedef struct {
    float scale, offset, step;
    float least, most;  /* numbers of steps; low and high as such, and no octet is beyond them */
    int32_t zero_point;
    sw_octet_form form;
} octet_rule;

#define ROUNDS_TO_EVEN 12582912.0f /* 1.5 * 2**23: what is added to it has no room for fractions */

/* A number of steps, rounded half to even, as an octet. */
SW_INLINE uint8_t octet_of(float steps, float least, float most, int32_t zero_point)
{
    steps = steps > least ? steps : least; /* not a number (infinity times zero) becomes low */
    steps = steps < most ? steps : most;
    steps = steps + ROUNDS_TO_EVEN;
    steps = steps - ROUNDS_TO_EVEN;
    return (uint8_t)((int32_t)steps + zero_point);
}

static float between(float number, float least, float most)
{
    return number < least ? least : number > most ? most : number;
}

static octet_rule rule_of(const sw_cutter *cutter, int32_t band)
{
    const int32_t zero_point = cutter->zero_point, is_signed = cutter->out == SW_OUT_S8;
    const float least = (float)((is_signed ? INT8_MIN : 0) - zero_point);
    const float most = (float)((is_signed ? INT8_MAX : UINT8_MAX) - zero_point);
    return (octet_rule){cutter->scale[band], cutter->offset[band], cutter->step,
                        between(cutter->low / cutter->step, least, most),
                        between(cutter->high / cutter->step, least, most), zero_point, cutter->form[band]};
}

/* What a pixel gets that is not valid. */
static uint8_t nought_of(const sw_cutter *cutter)
{
    const int32_t is_signed = cutter->out == SW_OUT_S8, least = is_signed ? INT8_MIN : 0;
    const int32_t most = is_signed ? INT8_MAX : UINT8_MAX, number = cutter->zero_point;
    return (uint8_t)(number < least ? least : number > most ? most : number);
}

/* From "all bands nodata" and "a band is not a number" to valid or not, in place; returns how many are valid. */
SW_CLONES static int64_t settle(uint8_t *restrict nodata_then_valid, const uint8_t *restrict is_nan, int64_t count)
{
    int32_t good = 0;
    for (int64_t x = 0; x < count; x++) {
        nodata_then_valid[x] = (nodata_then_valid[x] | is_nan[x]) ^ 1;
        good += nodata_then_valid[x];
    }
    return good;
}

/* The float `away` steps from another one, neither zero nor near infinity. */
static float beside(float number, int32_t away)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    bits += (uint32_t)away;
    memcpy(&number, &bits, sizeof bits);
    return number;
}

/* 0 1 -1 2 -2 ... */
static int32_t alternate(int32_t count)
{
    return count & 1 ? (count + 1) / 2 : -count / 2;
}

enum { BAND_GROUP = 16, GROUP_SAMPLES = BAND_GROUP * 4096, ROWS_AT_ONCE = 8 };

/* Bands whose rows are held together. */
static int32_t group_of(const sw_cutter *cutter)
{
    const int32_t fit = GROUP_SAMPLES / cutter->side;
    return fit < BAND_GROUP ? fit : BAND_GROUP;
}

SW_CLONES static int64_t count_set(const uint8_t *valid, int64_t count)
{
    int32_t set = 0;
    for (int64_t x = 0; x < count; x++)
        set += valid[x];
    return set;
}

SW_CLONES static void blank(float *restrict out, const uint8_t *restrict valid, int64_t count)
{
    for (int64_t x = 0; x < count; x++)
        out[x] = valid[x] ? out[x] : 0.0f;
}

SW_CLONES static void blank_octets(uint8_t *restrict out, const uint8_t *restrict valid, int64_t count, uint8_t nought)
{
    for (int64_t x = 0; x < count; x++)
        out[x] = valid[x] ? out[x] : nought;
}

#ifdef SW_AVX2
/* What follows the first `count` of a row, as a mirror shows it that stands on the last of them. */
SW_CLONES static void reflect(float *row, int64_t count, int64_t side)
{
    for (int64_t x = count; x < side; x++)
        row[x] = row[2 * (count - 1) - x];
}

SW_CLONES static void reflect_octets(uint8_t *row, int64_t count, int64_t side)
{
    for (int64_t x = count; x < side; x++)
        row[x] = row[2 * (count - 1) - x];
}
#endif

#define SAMPLE uint8_t
#define SUM uint32_t /* of ROWS_AT_ONCE rows: 8 * 4096 * 255 fits */
#define NAME(x) x##_u8
#define SAMPLE_MAX UINT8_MAX
#define SAMPLE_MIN 0
#include "tile_kernel.h"

#define SAMPLE uint16_t
#define SUM uint32_t /* 8 * 4096 * 65535 fits */
#define NAME(x) x##_u16
#define SAMPLE_MAX UINT16_MAX
#define SAMPLE_MIN 0
#define SAMPLE_IS_16_BITS 1
#include "tile_kernel.h"

#define SAMPLE int16_t
#define SUM int32_t /* 8 * 4096 * 32768 fits */
#define NAME(x) x##_i16
#define SAMPLE_MAX INT16_MAX
#define SAMPLE_MIN INT16_MIN
#define SAMPLE_IS_16_BITS 1
#include "tile_kernel.h"

#define SAMPLE float
#define SUM double
#define NAME(x) x##_f32
#define SAMPLE_MAX INFINITY
#define SAMPLE_MIN (-INFINITY)
#define SAMPLE_IS_FLOAT 1
#include "tile_kernel.h"

int sw_cut(const sw_cutter *cutter, const sw_window *window, const void *samples, int64_t first_row,
           int64_t scene_rows, int64_t row, int64_t col, void *out, uint8_t *valid, sw_band_stats *each,
           sw_tile_stats *stats)
{
    cut c = {.cutter = cutter, .window = window, .first_row = first_row, .scene_rows = scene_rows, .row = row,
             .col = col, .out = out, .valid = valid, .each = each, .stats = stats};
    const int refused = refuse(&c);
    if (refused)
        return refused;
    inside(col, cutter->side, window->cols, &c.left, &c.right);
    inside(row, cutter->side, scene_rows, &c.top, &c.bottom);
    stats->pixels = (c.right - c.left) * (c.bottom - c.top);
    stats->nodata = 0;
    switch (cutter->sample) {
    case SW_SAMPLE_U8:
        cut_u8(&c, samples);
        break;
    case SW_SAMPLE_U16:
        cut_u16(&c, samples);
        break;
    case SW_SAMPLE_I16:
        cut_i16(&c, samples);
        break;
    default:
        cut_f32(&c, samples);
    }
    return SW_OK;
}

int sw_cutter_prove(const sw_cutter *cutter)
{
    if (refuse_cutter(cutter))
        return SW_E_ARGUMENT;
    int proved = 0;
    for (int32_t b = 0; b < cutter->bands; b++) {
        cutter->form[b] = (sw_octet_form){0, 0, 0};
        if (cutter->out == SW_OUT_F32 || cutter->sample == SW_SAMPLE_F32)
            continue;
        if (cutter->sample == SW_SAMPLE_U8)
            prove_u8(cutter, b);
        else if (cutter->sample == SW_SAMPLE_U16)
            prove_u16(cutter, b);
        else
            prove_i16(cutter, b);
        proved += cutter->form[b].inverse != 0 || cutter->form[b].factor != 0;
    }
    return proved;
}
