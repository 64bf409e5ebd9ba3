/* Tiling, normalisation and statistics in one pass; the four sample types share tile_kernel.h. */
#include "decl/codes.h"
#include "decl/tiles.h"
#include "four_bands.h"
#include "planes.h"
#include "portable.h"

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

static int refuse(const sw_window *window, const sw_tile *tile, sw_tile_stats *stats)
{
    const int64_t far = SW_SCENE_SIDE_MAX;
    if (tile->side < 1 || tile->side > SW_TILE_SIDE_MAX || tile->bands < 1 || tile->row > far || tile->row < -far
        || tile->col > far || tile->col < -far || window->scene_rows < 1 || window->scene_rows > far
        || window->scene_cols < 1 || window->scene_cols > far || window->rows < 1 || window->first_row < 0
        || window->rows > window->scene_rows || window->first_row > window->scene_rows - window->rows
        || window->row_stride < 0 || window->col_stride < 1 || window->band_stride < 0)
        return SW_E_ARGUMENT;
    walk row = walk_from(tile->row, window->scene_rows);
    for (int32_t y = 0; y < tile->side; y++, walk_on(&row))
        if (row.at < window->first_row || row.at >= window->first_row + window->rows) {
            stats->missing_row = row.at;
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

enum { BAND_GROUP = 16, GROUP_SAMPLES = BAND_GROUP * 4096, ROWS_AT_ONCE = 8 };

/* Bands whose rows are held together. */
static int32_t group_of(const sw_tile *tile)
{
    const int32_t fit = GROUP_SAMPLES / tile->side;
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

#define SAMPLE uint8_t
#define SUM uint32_t /* of ROWS_AT_ONCE rows: 8 * 4096 * 255 fits */
#define NAME(x) x##_u8
#define SAMPLE_MAX UINT8_MAX
#define SAMPLE_MIN 0
#include "tile_kernel.h"

#define SAMPLE uint16_t
#define SUM uint32_t /* 8 * 4096 * 65535 fits */
#define NAME(x) x##_u16
#ifdef SW_AVX2
#define FOUR_BANDS 1
#endif
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
