/* The tile kernel for one sample type; tiles.c includes it once per type with
 * SAMPLE, SUM (holds a row's sum exactly, or double), NAME(x), SAMPLE_MAX, SAMPLE_MIN, and for float SAMPLE_IS_FLOAT.
 * No include guard on purpose.
 *
 * A row of one band is first made contiguous, reflected ends and all (`fetch`); everything else runs on such rows, which
 * stay in the first-level cache, and so needs no variants for strides. */

typedef struct {
    SAMPLE minimum, maximum;
    uint32_t saturated;
    SUM total;
} NAME(row_stats);

/* A stride that the compiler knows becomes shuffles instead of single loads. */
SW_CLONES static void NAME(gather)(const SAMPLE *samples, int64_t stride, int64_t count, SAMPLE *row)
{
    if (stride == 3)
        for (int64_t x = 0; x < count; x++)
            row[x] = samples[3 * x];
    else if (stride == 4)
        for (int64_t x = 0; x < count; x++)
            row[x] = samples[4 * x];
    else
        for (int64_t x = 0; x < count; x++)
            row[x] = samples[x * stride];
}

/* One row of the tile, [left, right) of it inside the scene; `line` is the scene row's first sample of the band. */
static const SAMPLE *NAME(fetch)(const SAMPLE *line, const sw_window *window, const sw_tile *tile, int64_t left,
                                 int64_t right, SAMPLE *row)
{
    const int64_t side = tile->side, stride = window->col_stride;
    if (stride == 1 && left == 0 && right == side)
        return line + tile->col;
    if (right > left)
        NAME(gather)(line + (tile->col + left) * stride, stride, right - left, row + left);
    walk col = walk_from(tile->col, window->scene_cols);
    for (int64_t x = 0; x < left; x++, walk_on(&col))
        row[x] = line[col.at * stride];
    col = walk_from(tile->col + right, window->scene_cols);
    for (int64_t x = right; x < side; x++, walk_on(&col))
        row[x] = line[col.at * stride];
    return row;
}

SW_CLONES static void NAME(judge)(const SAMPLE *row, int64_t count, uint8_t any_nodata, SAMPLE nodata,
                                  uint8_t *restrict is_nodata, uint8_t *restrict is_nan)
{
    for (int64_t x = 0; x < count; x++)
        is_nodata[x] &= (uint8_t)(any_nodata & (row[x] == nodata));
#ifdef SAMPLE_IS_FLOAT
    for (int64_t x = 0; x < count; x++)
        is_nan[x] |= (uint8_t)(row[x] != row[x]);
#else
    (void)is_nan;
#endif
}

SW_CLONES static void NAME(convert)(const SAMPLE *restrict row, int64_t count, float scale, float offset, float low,
                                    float high, float *restrict out)
{
    for (int64_t x = 0; x < count; x++)
        out[x] = normalised((float)row[x], scale, offset, low, high);
}

#ifndef SAMPLE_IS_FLOAT
SW_CLONES static NAME(row_stats) NAME(measure)(const SAMPLE *row, int64_t count)
{
    NAME(row_stats) s = {SAMPLE_MAX, SAMPLE_MIN, 0, 0};
    for (int64_t x = 0; x < count; x++) {
        s.minimum = row[x] < s.minimum ? row[x] : s.minimum;
        s.maximum = row[x] > s.maximum ? row[x] : s.maximum;
        s.total += row[x];
    }
    if (s.maximum == SAMPLE_MAX)
        for (int64_t x = 0; x < count; x++)
            s.saturated += row[x] == SAMPLE_MAX;
    return s;
}

SW_CLONES static NAME(row_stats) NAME(measure_valid)(const SAMPLE *row, int64_t count, const uint8_t *valid)
{
    NAME(row_stats) s = {SAMPLE_MAX, SAMPLE_MIN, 0, 0};
    for (int64_t x = 0; x < count; x++) {
        SAMPLE low = valid[x] ? row[x] : SAMPLE_MAX, high = valid[x] ? row[x] : SAMPLE_MIN;
        s.minimum = low < s.minimum ? low : s.minimum;
        s.maximum = high > s.maximum ? high : s.maximum;
        s.total += valid[x] ? (SUM)row[x] : (SUM)0;
        s.saturated += valid[x] & (row[x] == SAMPLE_MAX);
    }
    return s;
}
#else
/* Eight sums, then their sum in a fixed order: quick, and the same on every machine. */
SW_CLONES static NAME(row_stats) NAME(measure_valid)(const SAMPLE *row, int64_t count, const uint8_t *valid)
{
    enum { LANES = 8 };
    NAME(row_stats) s = {SAMPLE_MAX, SAMPLE_MIN, 0, 0};
    SAMPLE low[LANES], high[LANES];
    SUM total[LANES];
    for (int i = 0; i < LANES; i++)
        low[i] = SAMPLE_MAX, high[i] = SAMPLE_MIN, total[i] = 0;
    int64_t x = 0;
    for (; x + LANES <= count; x += LANES)
        for (int i = 0; i < LANES; i++) {
            SAMPLE v = row[x + i];
            int ok = valid[x + i];
            low[i] = ok && v < low[i] ? v : low[i];
            high[i] = ok && v > high[i] ? v : high[i];
            total[i] += ok ? (SUM)v : (SUM)0;
        }
    for (; x < count; x++) {
        int i = (int)(x % LANES);
        low[i] = valid[x] && row[x] < low[i] ? row[x] : low[i];
        high[i] = valid[x] && row[x] > high[i] ? row[x] : high[i];
        total[i] += valid[x] ? (SUM)row[x] : (SUM)0;
    }
    for (int i = 0; i < LANES; i++) {
        s.minimum = low[i] < s.minimum ? low[i] : s.minimum;
        s.maximum = high[i] > s.maximum ? high[i] : s.maximum;
        s.total += total[i];
    }
    return s;
}
#endif

int NAME(sw_tile)(const SAMPLE *samples, const sw_window *window, const sw_tile *tile, const int32_t *band,
                  const float *scale, const float *offset, float *out, uint8_t *valid, sw_band_stats *each,
                  sw_tile_stats *stats)
{
    int refused = refuse(window, tile, stats);
    if (refused)
        return refused;
    const int64_t side = tile->side;
    SAMPLE nodata = 0;
    uint8_t any_nodata = 0;
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
#ifdef SAMPLE_IS_FLOAT
    const int may_be_invalid = 1;
#else
    const int may_be_invalid = any_nodata;
#endif
    int64_t left, right, top, bottom;
    inside(tile->col, side, window->scene_cols, &left, &right);
    inside(tile->row, side, window->scene_rows, &top, &bottom);
    stats->pixels = (right - left) * (bottom - top);
    stats->nodata = 0;
    for (int32_t b = 0; b < tile->bands; b++)
        each[b] = (sw_band_stats){INFINITY, -INFINITY, 0, 0};
    SAMPLE scratch[SW_TILE_SIDE_MAX];
    walk at = walk_from(tile->row, window->scene_rows);
    for (int64_t y = 0; y < side; y++, walk_on(&at)) {
        const SAMPLE *line = samples + (at.at - window->first_row) * window->row_stride;
        uint8_t *ok = valid + y * side;
        const int counted = y >= top && y < bottom && right > left;
        int all_valid = 1;
        memset(ok, 1, (size_t)side);
        if (may_be_invalid) {
            uint8_t is_nan[SW_TILE_SIDE_MAX], *is_nodata = ok;
            memset(is_nan, 0, (size_t)side);
            for (int32_t b = 0; b < tile->bands; b++) {
                NAME(judge)(NAME(fetch)(line + band[b] * window->band_stride, window, tile, left, right, scratch), side,
                            any_nodata, nodata, is_nodata, is_nan);
#ifndef SAMPLE_IS_FLOAT
                if (count_set(is_nodata, side) == 0)
                    break; /* as a rule after the first band: no pixel can be nodata any more */
#endif
            }
            const int64_t good = settle(ok, is_nan, side);
            all_valid = good == side;
            if (counted && !all_valid)
                stats->nodata += right - left - count_set(ok + left, right - left);
        }
        for (int32_t b = 0; b < tile->bands; b++) {
            const SAMPLE *row =
                NAME(fetch)(line + band[b] * window->band_stride, window, tile, left, right, scratch);
            float *to = out + (b * side + y) * side;
            NAME(convert)(row, side, scale[b], offset[b], tile->low, tile->high, to);
            if (!all_valid)
                blank(to, ok, side);
            if (!counted)
                continue;
#ifdef SAMPLE_IS_FLOAT
            const NAME(row_stats) here = NAME(measure_valid)(row + left, right - left, ok + left);
#else
            const NAME(row_stats) here = all_valid ? NAME(measure)(row + left, right - left)
                                                   : NAME(measure_valid)(row + left, right - left, ok + left);
#endif
            if (here.minimum <= here.maximum) { /* else no pixel was valid */
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

#undef SAMPLE
#undef SUM
#undef NAME
#undef SAMPLE_MAX
#undef SAMPLE_MIN
#undef SAMPLE_IS_FLOAT
