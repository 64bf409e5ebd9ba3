/* The tile kernel for one sample type; tiles.c includes it once per type with
 * SAMPLE, SUM (holds the sum of a block of rows exactly, or double), NAME(x), SAMPLE_MAX, SAMPLE_MIN, for float
 * SAMPLE_IS_FLOAT, for two octets SAMPLE_IS_16_BITS, and where four_bands.h can be used FOUR_BANDS.
 * No include guard on purpose.
 *
 * A row of one band is first made contiguous, reflected ends and all (`fetch`); everything else runs on such rows, a
 * few at a time inside the scene, and so needs no variants for strides. */

typedef struct {
    SAMPLE minimum, maximum;
    uint32_t saturated;
    SUM total;
} NAME(row_stats);

#ifndef SAMPLE_IS_16_BITS
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
#endif

/* Where the contiguous rows of a group of bands are; in scratch, the rows of a block follow each other. */
typedef struct {
    const SAMPLE *row[BAND_GROUP];
    SAMPLE scratch[GROUP_SAMPLES];
} NAME(rows);

/* Row `at` of a block of `of`, in `count` bands, [left, right) of it inside the scene. `line` is the scene row's first
 * sample of band 0; what is needed next lies `ahead` samples further on. */
static void NAME(fetch)(const cut *c, const SAMPLE *line, const int32_t *band, int32_t count, int64_t ahead, int64_t at,
                        int64_t of, NAME(rows) *rows)
{
    const sw_window *window = c->window;
    const int64_t side = c->cutter->side, stride = window->col_stride, left = c->left, right = c->right;
    if (stride == 1 && left == 0 && right == side) {
        for (int32_t b = 0; b < count; b++) {
            rows->row[b] = line + band[b] * window->band_stride + c->col;
            for (int64_t x = 0; x < side; x += 64 / (int64_t)sizeof *line)
                SW_PREFETCH(rows->row[b] + ahead + x);
        }
        return;
    }
    SAMPLE *to[BAND_GROUP];
    for (int32_t b = 0; b < count; b++) {
        rows->row[b] = rows->scratch + b * of * side;
        to[b] = rows->scratch + (b * of + at) * side;
    }
    if (right > left) {
        const SAMPLE *first = line + (c->col + left) * stride;
#ifdef SAMPLE_IS_16_BITS
        uint16_t *lane[SW_LANES], spare[SW_TILE_SIDE_MAX];
        for (int32_t b = 0, many; b < count; b += many) { /* bands that follow each other, eight at a time */
            for (many = 1; many < SW_LANES && b + many < count && band[b + many] == band[b] + many;)
                many++;
            if (window->band_stride != 1)
                many = 1;
            /* as the last of eight, if they can be: then nothing behind them is read */
            const int32_t skip = many <= 4 || band[b] + many < SW_LANES ? 0 : SW_LANES - many;
            for (int32_t i = 0; i < SW_LANES; i++)
                lane[i] = i >= skip && i < skip + many ? (uint16_t *)to[b + i - skip] + left : spare;
            spread_16((const uint16_t *)first + (band[b] - skip) * window->band_stride, stride, right - left,
                      skip + many - 1, ahead, lane);
        }
#else
        for (int32_t b = 0; b < count; b++)
            NAME(gather)(first + band[b] * window->band_stride, stride, right - left, to[b] + left);
#endif
    }
    if (left > 0 || right < side)
        for (int32_t b = 0; b < count; b++) {
            const SAMPLE *from = line + band[b] * window->band_stride;
            walk col = walk_from(c->col, window->cols);
            for (int64_t x = 0; x < left; x++, walk_on(&col))
                to[b][x] = from[col.at * stride];
            col = walk_from(c->col + right, window->cols);
            for (int64_t x = right; x < side; x++, walk_on(&col))
                to[b][x] = from[col.at * stride];
        }
}

#ifndef SAMPLE_IS_FLOAT
SW_CLONES static int NAME(holds)(const SAMPLE *row, int64_t count, SAMPLE value)
{
    uint8_t found = 0;
    for (int64_t x = 0; x < count; x++)
        found |= row[x] == value;
    return found;
}
#endif

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

SW_CLONES static void NAME(divide)(const SAMPLE *restrict row, int64_t count, float scale, float offset, float low,
                                   float high, octet_rule rule, uint8_t *restrict out)
{
    for (int64_t x = 0; x < count; x++)
        out[x] = octet_of(normalised((float)row[x], scale, offset, low, high) / rule.step, rule.zero_point, rule.least,
                          rule.most);
}

#ifndef SAMPLE_IS_FLOAT
/* divide() for all numbers that the type has, if the rule's inverse is one that was proved for them. */
SW_CLONES static void NAME(multiply)(const SAMPLE *restrict row, int64_t count, float scale, float offset, float low,
                                     float high, octet_rule rule, uint8_t *restrict out)
{
    for (int64_t x = 0; x < count; x++)
        out[x] = octet_of(normalised((float)row[x], scale, offset, low, high) * rule.inverse, rule.zero_point,
                          rule.least, rule.most);
}

static int NAME(proves)(const sw_cutter *cutter, int32_t band, float inverse)
{
    enum { AT_ONCE = 4096 };
    SAMPLE number[AT_ONCE];
    uint8_t divided[AT_ONCE], multiplied[AT_ONCE];
    octet_rule rule = rule_of(cutter, band);
    rule.inverse = inverse;
    const float scale = cutter->scale[band], offset = cutter->offset[band];
    for (int32_t first = SAMPLE_MIN, count; first <= SAMPLE_MAX; first += count) {
        count = SAMPLE_MAX - first < AT_ONCE ? SAMPLE_MAX - first + 1 : AT_ONCE;
        for (int32_t i = 0; i < count; i++)
            number[i] = (SAMPLE)(first + i);
        NAME(divide)(number, count, scale, offset, cutter->low, cutter->high, rule, divided);
        NAME(multiply)(number, count, scale, offset, cutter->low, cutter->high, rule, multiplied);
        if (memcmp(divided, multiplied, (size_t)count) != 0)
            return 0;
    }
    return 1;
}
#endif

/* Samples of one band to output, from sample `first` of its plane on; not valid ones as well. */
static void NAME(answer)(const cut *c, const SAMPLE *row, int64_t count, int32_t band, int64_t first)
{
    const sw_cutter *cutter = c->cutter;
    const float scale = cutter->scale[band], offset = cutter->offset[band], low = cutter->low, high = cutter->high;
    first += (int64_t)band * cutter->side * cutter->side;
    if (cutter->out == SW_OUT_F32) {
        NAME(convert)(row, count, scale, offset, low, high, (float *)c->out + first);
        return;
    }
    const octet_rule rule = rule_of(cutter, band);
#ifndef SAMPLE_IS_FLOAT
    if (rule.inverse != 0) {
        NAME(multiply)(row, count, scale, offset, low, high, rule, (uint8_t *)c->out + first);
        return;
    }
#endif
    NAME(divide)(row, count, scale, offset, low, high, rule, (uint8_t *)c->out + first);
}

#ifndef SAMPLE_IS_FLOAT
/* All pixels valid: both at once, so that every sample is loaded and widened once. */
SW_CLONES static NAME(row_stats) NAME(convert_and_measure)(const SAMPLE *restrict row, int64_t count, float scale,
                                                           float offset, float low, float high, float *restrict out)
{
    SAMPLE minimum = SAMPLE_MAX, maximum = SAMPLE_MIN;
    SUM total = 0;
    for (int64_t x = 0; x < count; x++) {
        SAMPLE v = row[x];
        minimum = v < minimum ? v : minimum;
        maximum = v > maximum ? v : maximum;
        total += v;
        out[x] = normalised((float)v, scale, offset, low, high);
    }
    NAME(row_stats) s = {minimum, maximum, 0, total};
    if (maximum == SAMPLE_MAX)
        for (int64_t x = 0; x < count; x++)
            s.saturated += row[x] == SAMPLE_MAX;
    return s;
}

/* All pixels valid. */
SW_CLONES static NAME(row_stats) NAME(measure)(const SAMPLE *row, int64_t count)
{
    SAMPLE minimum = SAMPLE_MAX, maximum = SAMPLE_MIN;
    SUM total = 0;
    for (int64_t x = 0; x < count; x++) {
        SAMPLE v = row[x];
        minimum = v < minimum ? v : minimum;
        maximum = v > maximum ? v : maximum;
        total += v;
    }
    NAME(row_stats) s = {minimum, maximum, 0, total};
    if (maximum == SAMPLE_MAX)
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

static void NAME(add)(sw_band_stats *each, NAME(row_stats) here)
{
    if (here.minimum <= here.maximum) { /* else no pixel was valid */
        each->minimum = here.minimum < each->minimum ? here.minimum : each->minimum;
        each->maximum = here.maximum > each->maximum ? here.maximum : each->maximum;
    }
    each->total += (double)here.total;
    each->saturated += here.saturated;
}

static void NAME(cut)(const cut *c, const SAMPLE *samples)
{
    const sw_cutter *cutter = c->cutter;
    const sw_window *window = c->window;
    const int64_t side = cutter->side, left = c->left, right = c->right;
    const int32_t *band = cutter->band;
    uint8_t *valid = c->valid;
    SAMPLE nodata = 0;
    uint8_t any_nodata = 0;
    if (cutter->has_nodata) { /* a nodata value that the type cannot hold matches nothing */
#ifdef SAMPLE_IS_FLOAT
        nodata = (float)cutter->nodata, any_nodata = 1;
#else
        if (cutter->nodata >= (double)SAMPLE_MIN && cutter->nodata <= (double)SAMPLE_MAX) {
            nodata = (SAMPLE)cutter->nodata;
            any_nodata = (double)nodata == cutter->nodata;
        }
#endif
    }
    for (int32_t b = 0; c->each && b < cutter->bands; b++)
        c->each[b] = (sw_band_stats){(double)SAMPLE_MAX, (double)SAMPLE_MIN, 0, 0};

    NAME(rows) rows;
    const int32_t group = group_of(cutter), many = cutter->bands < group ? cutter->bands : group;
#ifdef SAMPLE_IS_FLOAT
    const int64_t block = 1;
#else
    /* Rows wholly inside the scene are taken several at a time: longer runs, fewer sums to close. */
    const int64_t fit = GROUP_SAMPLES / (side * many), most = fit < ROWS_AT_ONCE ? fit : ROWS_AT_ONCE;
    const int64_t block = cutter->bands <= group && window->col_stride > 1 && right - left == side ? most : 1;
#endif
#ifdef FOUR_BANDS
    const int four = cutter->bands == 4 && window->col_stride == 4 && window->band_stride == 1 && side % 8 == 0
                     && right - left == side && band[0] == 0 && band[1] == 1 && band[2] == 2 && band[3] == 3
                     && cutter->out == SW_OUT_F32 && SW_HAS_AVX2;
    four_stats quick;
    four_begin(&quick);
#endif
    walk at = walk_from(c->row, c->scene_rows);
    for (int64_t y = 0, height; y < side; y += height) {
        const int counted = y >= c->top && y < c->bottom && right > left;
#ifdef FOUR_BANDS
        if (four && counted) {
            const int wanted = y + 2 < side && at.at + 2 < c->first_row + window->rows;
            const SAMPLE *row = samples + (at.at - c->first_row) * window->row_stride + 4 * c->col;
            if (four_row(row, side, wanted ? 2 * window->row_stride : 0, any_nodata, nodata, cutter->scale,
                         cutter->offset, cutter->low, cutter->high, (float *)c->out + y * side, side * side, &quick)) {
                memset(valid + y * side, 1, (size_t)side);
                height = 1;
                walk_on(&at);
                continue;
            }
        }
#endif
        height = counted && block < c->bottom - y ? block : counted && block > 1 ? c->bottom - y : 1;
        const SAMPLE *line = NULL;
        int64_t ahead = 0;
        for (int64_t r = 0; r < height; r++) {
            line = samples + (at.at - c->first_row) * window->row_stride;
            const int64_t on = block > 1 ? block : 2; /* rows from here to the one to be asked for already */
            const int wanted = y + r + on < side && at.at + on < c->first_row + window->rows;
            ahead = wanted ? on * window->row_stride : 0;
            walk_on(&at);
            NAME(fetch)(c, line, band, many, ahead, r, height, &rows);
        }
        memset(valid + y * side, 1, (size_t)side * (size_t)height);
        int64_t bad = 0; /* pixels that are not valid */
#ifndef SAMPLE_IS_FLOAT
        if (any_nodata && (cutter->bands > group || NAME(holds)(rows.row[0], side * height, nodata)))
#endif
            for (int64_t r = 0; r < height; r++) { /* several only where one fetch holds all bands */
                uint8_t is_nan[SW_TILE_SIDE_MAX], *ok = valid + (y + r) * side, *is_nodata = ok;
                memset(is_nan, 0, (size_t)side);
                for (int32_t b = 0; b < cutter->bands; b++) {
                    if (b > 0 && b % group == 0)
                        NAME(fetch)(c, line, band + b, cutter->bands - b < group ? cutter->bands - b : group, ahead, 0,
                                    1, &rows);
                    NAME(judge)(rows.row[b % group] + r * side, side, any_nodata, nodata, is_nodata, is_nan);
#ifndef SAMPLE_IS_FLOAT
                    if (count_set(is_nodata, side) == 0)
                        break; /* as a rule after the second band: no pixel can be nodata any more */
#endif
                }
                bad += side - settle(ok, is_nan, side);
                if (counted)
                    c->stats->nodata += right - left - count_set(ok + left, right - left);
            }
        for (int32_t b = 0; b < cutter->bands; b++) {
            if (b % group == 0 && cutter->bands > group)
                NAME(fetch)(c, line, band + b, cutter->bands - b < group ? cutter->bands - b : group, ahead, 0, 1,
                            &rows);
            const SAMPLE *row = rows.row[b % group];
            const int measured = counted && c->each;
#ifndef SAMPLE_IS_FLOAT
            if (measured && bad == 0 && cutter->out == SW_OUT_F32 && right - left == side) {
                NAME(add)(c->each + b,
                          NAME(convert_and_measure)(row, side * height, cutter->scale[b], cutter->offset[b],
                                                    cutter->low, cutter->high, (float *)c->out + (b * side + y) * side));
                continue;
            }
            if (measured && bad == 0)
                NAME(add)(c->each + b, NAME(measure)(row + left, side * height - left - (side - right)));
#endif
            NAME(answer)(c, row, side * height, b, y * side);
#ifndef SAMPLE_IS_FLOAT
            if (bad == 0)
                continue;
#endif
            for (int64_t r = 0; r < height; r++, row += side) {
                const int64_t first = (y + r) * side, there = b * side * side + first;
                if (bad > 0 && cutter->out == SW_OUT_F32)
                    blank((float *)c->out + there, valid + first, side);
                else if (bad > 0)
                    blank_octets((uint8_t *)c->out + there, valid + first, side, rule_of(cutter, b).nought);
                if (measured)
                    NAME(add)(c->each + b, NAME(measure_valid)(row + left, right - left, valid + first + left));
            }
        }
    }
#ifdef FOUR_BANDS
    if (four && c->each)
        for (int i = 0; i < 16; i++) {
            const int b = i & 3;
            sw_band_stats *each = c->each + b;
            each->minimum = quick.minimum[i] < each->minimum ? quick.minimum[i] : each->minimum;
            each->maximum = quick.maximum[i] > each->maximum ? quick.maximum[i] : each->maximum;
            if (i < 4) {
                each->total += (double)quick.total[b];
                each->saturated += (int64_t)quick.saturated[b];
            }
        }
#endif
    if (c->each && c->stats->pixels == c->stats->nodata)
        for (int32_t b = 0; b < cutter->bands; b++)
            c->each[b].minimum = c->each[b].maximum = 0;
}

#undef SAMPLE
#undef SUM
#undef NAME
#undef SAMPLE_MAX
#undef SAMPLE_MIN
#undef SAMPLE_IS_FLOAT
#undef SAMPLE_IS_16_BITS
#undef FOUR_BANDS
