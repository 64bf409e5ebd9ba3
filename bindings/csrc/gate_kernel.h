/* The gate for one type of samples. Before it is included: SAMPLE, its SAMPLE_MIN and SAMPLE_MAX, NAME(x), WIDE (exact
 * sums of PIECE samples and of the bands of a pixel for integers, double for floats), and for floats SAMPLE_IS_FLOAT.
 * No include guard on purpose. */

#include "nodata_kernel.h"

SW_INLINE void NAME(gather)(const SAMPLE *from, const sw_gate *gate, int32_t band, int64_t count, SAMPLE *restrict row)
{
    from += gate->band[band] * gate->band_stride;
    for (int64_t x = 0; x < count; x++)
        row[x] = from[x * gate->col_stride];
}

/* Neighbouring bands of interleaved pixels, pixel by pixel: `bands` is a constant where this is called. */
SW_INLINE void NAME(gather_pixels)(const SAMPLE *from, int64_t stride, int32_t bands, int64_t count,
                                   SAMPLE (*restrict rows)[PIECE])
{
    SAMPLE pixel[4 * PIECE];
    for (int64_t x = 0; x < count; x++)
        memcpy(pixel + x * bands, from + x * stride, (size_t)bands * sizeof *from);
    for (int32_t b = 0; b < bands; b++)
        for (int64_t x = 0; x < count; x++)
            rows[b][x] = pixel[x * bands + b];
}

#ifdef SAMPLE_IS_FLOAT
#define VALID(x) (!bad || !bad[x])
/* Eight numbers side by side, then the one of them in a fixed order: quick, and the same on every machine. */
SW_INLINE void NAME(measure)(const SAMPLE *restrict row, const uint8_t *restrict bad, int64_t count, double *minimum,
                             double *maximum, double *total)
{
    enum { LANES = 8 };
    SAMPLE low[LANES], high[LANES];
    WIDE sum[LANES];
    for (int i = 0; i < LANES; i++)
        low[i] = SAMPLE_MAX, high[i] = SAMPLE_MIN, sum[i] = 0;
    int64_t x = 0;
    for (; x + LANES <= count; x += LANES)
        for (int i = 0; i < LANES; i++) {
            const SAMPLE v = row[x + i];
            const int ok = VALID(x + i);
            low[i] = ok && v < low[i] ? v : low[i];
            high[i] = ok && v > high[i] ? v : high[i];
            sum[i] += ok ? (WIDE)v : (WIDE)0;
        }
    for (int i = 0; x < count; x++, i++) {
        low[i] = VALID(x) && row[x] < low[i] ? row[x] : low[i];
        high[i] = VALID(x) && row[x] > high[i] ? row[x] : high[i];
        sum[i] += VALID(x) ? (WIDE)row[x] : (WIDE)0;
    }
    for (int i = 0; i < LANES; i++) {
        *minimum = low[i] < *minimum ? low[i] : *minimum;
        *maximum = high[i] > *maximum ? high[i] : *maximum;
        *total += sum[i];
    }
}
#undef VALID
#else
SW_INLINE void NAME(measure)(const SAMPLE *restrict row, const uint8_t *restrict bad, int64_t count, double *minimum,
                             double *maximum, double *total)
{
    SAMPLE low = SAMPLE_MAX, high = SAMPLE_MIN;
    WIDE sum = 0;
    if (bad)
        for (int64_t x = 0; x < count; x++) {
            const SAMPLE v = row[x];
            low = !bad[x] && v < low ? v : low;
            high = !bad[x] && v > high ? v : high;
            sum += bad[x] ? 0 : v;
        }
    else
        for (int64_t x = 0; x < count; x++) {
            const SAMPLE v = row[x];
            low = v < low ? v : low;
            high = v > high ? v : high;
            sum += v;
        }
    if (low <= high) { /* else no pixel is valid */
        *minimum = low < *minimum ? low : *minimum;
        *maximum = high > *maximum ? high : *maximum;
        *total += sum;
    }
}
#endif

/* `count` <= PIECE pixels of a row. */
SW_CLONES static void NAME(piece)(const SAMPLE *from, const sw_gate *gate, int64_t count, int64_t ahead, int any_nodata,
                                  SAMPLE nodata, double limit, double *minimum, double *maximum, double *total,
                                  sw_gate_counts *counts)
{
    SAMPLE rows[GROUP][PIECE];
    uint8_t is_nodata[PIECE], bad[PIECE];
    WIDE sum[PIECE];
    int64_t some = 0;
    const int32_t bands = gate->bands;
    const int side_by_side = gate->band_stride == 1 && (bands == 3 || bands == 4) && gate->band[1] == gate->band[0] + 1
                             && gate->band[2] == gate->band[0] + 2 && gate->band[bands - 1] == gate->band[0] + bands - 1;
    for (int64_t x = 0; x < count; x++) {
        SW_PREFETCH(from + ahead + x * gate->col_stride);
        is_nodata[x] = (uint8_t)any_nodata, bad[x] = 0, sum[x] = 0;
    }
    if (side_by_side && bands == 4)
        NAME(gather_pixels)(from + gate->band[0], gate->col_stride, 4, count, rows);
    else if (side_by_side)
        NAME(gather_pixels)(from + gate->band[0], gate->col_stride, 3, count, rows);
    for (int32_t b = 0; b < bands; b++) {
        SAMPLE *const row = rows[b % GROUP];
        if (!side_by_side)
            NAME(gather)(from, gate, b, count, row);
        if (any_nodata)
            for (int64_t x = 0; x < count; x++)
                is_nodata[x] &= row[x] == nodata;
#ifdef SAMPLE_IS_FLOAT
        for (int64_t x = 0; x < count; x++)
            bad[x] |= row[x] != row[x];
#endif
        if (gate->has_bright)
            for (int64_t x = 0; x < count; x++)
                sum[x] += row[x];
    }
    for (int64_t x = 0; x < count; x++) {
        bad[x] |= is_nodata[x];
        some += bad[x];
    }
    counts->nodata += some;
    if (gate->has_bright)
        for (int64_t x = 0; x < count; x++)
            counts->bright += !bad[x] & ((double)sum[x] >= limit);
    for (int32_t b = 0; b < bands; b++) {
        if (bands > GROUP)
            NAME(gather)(from, gate, b, count, rows[b % GROUP]);
        NAME(measure)(rows[b % GROUP], some > 0 ? bad : NULL, count, minimum + b, maximum + b, total + b);
    }
}

static void NAME(look)(const SAMPLE *samples, const sw_gate *gate, double *minimum, double *maximum, double *total,
                       sw_gate_counts *counts)
{
    SAMPLE nodata;
    const int any_nodata = NAME(has_nodata)(gate->has_nodata, gate->nodata, &nodata);
    for (int64_t y = 0; y < gate->rows; y++)
        for (int64_t x = 0, count; x < gate->cols; x += count) {
            count = gate->cols - x < PIECE ? gate->cols - x : PIECE;
            NAME(piece)(samples + y * gate->row_stride + x * gate->col_stride, gate, count,
                        y + 1 < gate->rows ? gate->row_stride : 0, any_nodata, nodata, gate->bright * gate->bands,
                        minimum, maximum, total, counts);
        }
}

#undef SAMPLE
#undef NAME
#undef WIDE
#undef SAMPLE_MAX
#undef SAMPLE_MIN
#undef SAMPLE_IS_FLOAT
