/* The tile kernel for one sample type; tiles.c includes it once per type with
 * SAMPLE, SUM (holds a row's sum exactly, or double), NAME(x), SAMPLE_MAX, SAMPLE_MIN, and for float SAMPLE_IS_FLOAT.
 * No include guard on purpose. */

typedef struct {
    SAMPLE minimum, maximum;
    uint32_t saturated;
    SUM total;
} NAME(row_stats);

/* valid[x] for columns [first, end) of one row whose samples lie `stride` apart. */
SW_INLINE void NAME(validity)(const SAMPLE *samples, int64_t stride, int64_t count, int32_t any_nodata, SAMPLE nodata,
                              uint8_t *is_nodata, uint8_t *is_nan)
{
    for (int64_t x = 0; x < count; x++) {
        SAMPLE v = samples[x * stride];
        is_nodata[x] &= (uint8_t)(any_nodata && v == nodata);
#ifdef SAMPLE_IS_FLOAT
        is_nan[x] |= (uint8_t)(v != v);
#endif
    }
    (void)is_nan;
}

SW_INLINE void NAME(convert)(const SAMPLE *samples, int64_t stride, int64_t count, float scale, float offset, float low,
                             float high, float *out)
{
    for (int64_t x = 0; x < count; x++)
        out[x] = normalised((float)samples[x * stride], scale, offset, low, high);
}

#ifndef SAMPLE_IS_FLOAT
SW_INLINE void NAME(measure)(const SAMPLE *samples, int64_t stride, int64_t count, NAME(row_stats) * into)
{
    SAMPLE minimum = into->minimum, maximum = into->maximum;
    uint32_t saturated = 0;
    SUM total = 0;
    for (int64_t x = 0; x < count; x++) {
        SAMPLE v = samples[x * stride];
        minimum = v < minimum ? v : minimum;
        maximum = v > maximum ? v : maximum;
        saturated += v == SAMPLE_MAX;
        total += v;
    }
    into->minimum = minimum, into->maximum = maximum, into->saturated += saturated, into->total += total;
}
#endif

SW_INLINE void NAME(measure_valid)(const SAMPLE *samples, int64_t stride, int64_t count, const uint8_t *valid,
                                   NAME(row_stats) * into)
{
    SAMPLE minimum = into->minimum, maximum = into->maximum;
    uint32_t saturated = 0;
    SUM total = 0; /* a double is summed from left to right: the order is part of the result */
    for (int64_t x = 0; x < count; x++) {
        SAMPLE v = samples[x * stride];
        minimum = valid[x] && v < minimum ? v : minimum;
        maximum = valid[x] && v > maximum ? v : maximum;
#ifndef SAMPLE_IS_FLOAT
        saturated += valid[x] && v == SAMPLE_MAX;
#endif
        total += valid[x] ? (SUM)v : (SUM)0;
    }
    into->minimum = minimum, into->maximum = maximum, into->saturated += saturated, into->total += total;
}

/* A stride known to the compiler becomes shuffles instead of single loads. */
#define FOR_STRIDE(stride, call)                                                                                      \
    do {                                                                                                              \
        switch (stride) {                                                                                             \
        case 1: { const int64_t known = 1; call; break; }                                                             \
        case 3: { const int64_t known = 3; call; break; }                                                             \
        case 4: { const int64_t known = 4; call; break; }                                                             \
        default: { const int64_t known = stride; call; break; }                                                       \
        }                                                                                                             \
    } while (0)

SW_CLONES int NAME(sw_tile)(const SAMPLE *samples, const sw_window *window, const sw_tile *tile, const int32_t *band,
                            const float *scale, const float *offset, float *out, uint8_t *valid, sw_band_stats *each,
                            sw_tile_stats *stats)
{
    int refused = refuse(window, tile, stats);
    if (refused)
        return refused;
    const int64_t side = tile->side, stride = window->col_stride;
    const float low = tile->low, high = tile->high;
    SAMPLE nodata = 0;
    int32_t any_nodata = 0;
    if (tile->has_nodata) { /* a nodata value that the type cannot hold matches nothing */
#ifdef SAMPLE_IS_FLOAT
        nodata = (float)tile->nodata, any_nodata = 1;
#else
        if (tile->nodata >= (double)SAMPLE_MIN && tile->nodata <= (double)SAMPLE_MAX) {
            nodata = (SAMPLE)tile->nodata;
            any_nodata = (double)nodata == tile->nodata;
        }
#endif
    }
    int may_be_invalid = any_nodata;
#ifdef SAMPLE_IS_FLOAT
    may_be_invalid = 1;
#endif
    int64_t left, right, top, bottom;
    inside(tile->col, side, window->scene_cols, &left, &right);
    inside(tile->row, side, window->scene_rows, &top, &bottom);
    stats->pixels = (right - left) * (bottom - top);
    stats->nodata = 0;
    for (int32_t b = 0; b < tile->bands; b++) {
        each[b].minimum = INFINITY, each[b].maximum = -INFINITY, each[b].total = 0, each[b].saturated = 0;
    }
    walk row = walk_from(tile->row, window->scene_rows);
    for (int64_t y = 0; y < side; y++, walk_on(&row)) {
        const SAMPLE *line = samples + (row.at - window->first_row) * window->row_stride;
        const SAMPLE *run = right > left ? line + (tile->col + left) * stride : line;
        uint8_t *ok = valid + y * side;
        const int counted = y >= top && y < bottom;
        memset(ok, 1, (size_t)side);
        int all_valid = 1;
        if (may_be_invalid) {
            uint8_t is_nodata[SW_TILE_SIDE_MAX], is_nan[SW_TILE_SIDE_MAX];
            memset(is_nodata, 1, (size_t)side);
            memset(is_nan, 0, (size_t)side);
            for (int32_t b = 0; b < tile->bands; b++) {
                const int64_t plane = band[b] * window->band_stride;
                if (right > left)
                    FOR_STRIDE(stride, NAME(validity)(run + plane, known, right - left, any_nodata, nodata,
                                                      is_nodata + left, is_nan + left));
                walk col = walk_from(tile->col, window->scene_cols);
                for (int64_t x = 0; x < left; x++, walk_on(&col))
                    NAME(validity)(line + plane + col.at * stride, 1, 1, any_nodata, nodata, is_nodata + x, is_nan + x);
                col = walk_from(tile->col + right, window->scene_cols);
                for (int64_t x = right; x < side; x++, walk_on(&col))
                    NAME(validity)(line + plane + col.at * stride, 1, 1, any_nodata, nodata, is_nodata + x, is_nan + x);
            }
            uint32_t good = 0, good_inside = 0;
            for (int64_t x = 0; x < side; x++)
                good += ok[x] = !(is_nodata[x] | is_nan[x]);
            for (int64_t x = left; x < right; x++)
                good_inside += ok[x];
            all_valid = good == (uint32_t)side;
            if (counted)
                stats->nodata += right - left - good_inside;
        }
        for (int32_t b = 0; b < tile->bands; b++) {
            const int64_t plane = band[b] * window->band_stride;
            float *to = out + (b * side + y) * side;
            if (right > left)
                FOR_STRIDE(stride, NAME(convert)(run + plane, known, right - left, scale[b], offset[b], low, high,
                                                 to + left));
            walk col = walk_from(tile->col, window->scene_cols);
            for (int64_t x = 0; x < left; x++, walk_on(&col))
                to[x] = normalised((float)line[plane + col.at * stride], scale[b], offset[b], low, high);
            col = walk_from(tile->col + right, window->scene_cols);
            for (int64_t x = right; x < side; x++, walk_on(&col))
                to[x] = normalised((float)line[plane + col.at * stride], scale[b], offset[b], low, high);
            if (!all_valid)
                for (int64_t x = 0; x < side; x++)
                    to[x] = ok[x] ? to[x] : 0.0f;
            if (!counted || right == left)
                continue;
            NAME(row_stats) here = {SAMPLE_MAX, SAMPLE_MIN, 0, 0};
#ifdef SAMPLE_IS_FLOAT
            FOR_STRIDE(stride, NAME(measure_valid)(run + plane, known, right - left, ok + left, &here));
#else
            if (all_valid)
                FOR_STRIDE(stride, NAME(measure)(run + plane, known, right - left, &here));
            else
                FOR_STRIDE(stride, NAME(measure_valid)(run + plane, known, right - left, ok + left, &here));
#endif
            if (here.minimum <= here.maximum) {
                each[b].minimum = here.minimum < each[b].minimum ? here.minimum : each[b].minimum;
                each[b].maximum = here.maximum > each[b].maximum ? here.maximum : each[b].maximum;
            }
            each[b].total += (double)here.total;
            each[b].saturated += here.saturated;
        }
    }
    if (stats->pixels == stats->nodata)
        for (int32_t b = 0; b < tile->bands; b++)
            each[b].minimum = each[b].maximum = 0;
    return SW_OK;
}

#undef FOR_STRIDE
#undef SAMPLE
#undef SUM
#undef NAME
#undef SAMPLE_MAX
#undef SAMPLE_MIN
#undef SAMPLE_IS_FLOAT
