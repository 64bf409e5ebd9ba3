/* The tile kernel for one sample type; tiles.c includes it once per type with
 * SAMPLE, SUM (holds the sum of a block of rows exactly, or double), NAME(x), SAMPLE_MAX, SAMPLE_MIN, for float
 * SAMPLE_IS_FLOAT, and for two octets SAMPLE_IS_16_BITS.
 * No include guard on purpose.
 *
 * A row of one band is first made contiguous, reflected ends and all (`fetch`); everything else runs on such rows, a
 * few at a time inside the scene, and so needs no variants for strides. */

#include "nodata_kernel.h"

#if defined(SAMPLE_IS_16_BITS) && defined(SW_AVX2)
#define AVX2_ROWS 1
#endif

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

#ifdef AVX2_ROWS
SW_FOR_FMA3 static int64_t NAME(avx2_octets)(const SAMPLE *row, int64_t count, float factor, float term,
                                             const avx2_plan *plan, uint8_t *out)
{
    return avx2_octets((const uint16_t *)row, count, factor, term, plan, SAMPLE_MIN < 0, out);
}

/* The octets that low and high become. */
static void NAME(avx2_limits)(avx2_plan *plan, const sw_cutter *cutter, const octet_rule *rule)
{
    avx2_octet_range(plan, cutter->out == SW_OUT_U8,
                     octet_of(rule->least, rule->least, rule->most, rule->zero_point),
                     octet_of(rule->most, rule->least, rule->most, rule->zero_point));
}

/* A copy of the row for each way to go through it. */
SW_FOR_FMA3 static void NAME(avx2_row)(avx2_plan *plan, const SAMPLE *samples, int64_t stride, int64_t width,
                                       int64_t ahead, uint8_t *out, int measured, int octets)
{
    enum { IS_SIGNED = SAMPLE_MIN < 0 };
    const uint16_t *row = (const uint16_t *)samples;
    if (plan->is_four) {
        if (octets && measured)
            avx2_four_row(plan, row, width, ahead, out, 1, 1, IS_SIGNED, 1);
        else if (octets)
            avx2_four_row(plan, row, width, ahead, out, 0, 0, IS_SIGNED, 1);
        else if (measured)
            avx2_four_row(plan, row, width, ahead, out, 1, 1, IS_SIGNED, 0);
        else
            avx2_four_row(plan, row, width, ahead, out, 0, 0, IS_SIGNED, 0);
    } else if (octets && measured)
        avx2_lanes_row(plan, row, stride, width, ahead, out, 1, 1, IS_SIGNED, 1, 0);
    else if (octets)
        avx2_lanes_row(plan, row, stride, width, ahead, out, 0, 0, IS_SIGNED, 1, 0);
    else if (measured && plan->streamed)
        avx2_lanes_row(plan, row, stride, width, ahead, out, 1, 1, IS_SIGNED, 0, 1);
    else if (measured)
        avx2_lanes_row(plan, row, stride, width, ahead, out, 1, 1, IS_SIGNED, 0, 0);
    else if (plan->streamed)
        avx2_lanes_row(plan, row, stride, width, ahead, out, 0, 0, IS_SIGNED, 0, 1);
    else
        avx2_lanes_row(plan, row, stride, width, ahead, out, 0, 0, IS_SIGNED, 0, 0);
}

/* The last step of a row that is no whole number of them, over again from where it fits: its sums are left to
 * avx2_keep(). */
SW_FOR_FMA3 static void NAME(avx2_rest)(avx2_plan *plan, const SAMPLE *samples, int64_t stride, uint8_t *out, int octets)
{
    enum { IS_SIGNED = SAMPLE_MIN < 0 };
    const uint16_t *row = (const uint16_t *)samples;
    if (plan->is_four && octets)
        avx2_four_row(plan, row, AVX2_STEP, 0, out, 0, 1, IS_SIGNED, 1);
    else if (plan->is_four)
        avx2_four_row(plan, row, AVX2_STEP, 0, out, 0, 1, IS_SIGNED, 0);
    else if (octets)
        avx2_lanes_row(plan, row, stride, AVX2_STEP, 0, out, 0, 1, IS_SIGNED, 1, 0);
    else
        avx2_lanes_row(plan, row, stride, AVX2_STEP, 0, out, 0, 1, IS_SIGNED, 0, 0);
}
#endif

SW_CLONES static void NAME(divide)(const SAMPLE *restrict row, int64_t count, octet_rule rule, uint8_t *restrict out)
{
    const float scale = rule.scale, offset = rule.offset, step = rule.step, least = rule.least, most = rule.most;
    const int32_t zero_point = rule.zero_point;
    for (int64_t x = 0; x < count; x++) {
        float v = (float)row[x] * scale;
        v = v + offset;
        out[x] = octet_of(v / step, least, most, zero_point);
    }
}

#ifndef SAMPLE_IS_FLOAT
/* divide() for all numbers that the type has, if the rule's inverse is one that was proved for them. */
SW_CLONES static void NAME(multiply)(const SAMPLE *restrict row, int64_t count, octet_rule rule, uint8_t *restrict out)
{
    const float scale = rule.scale, offset = rule.offset, inverse = rule.form.inverse;
    const float least = rule.least, most = rule.most;
    const int32_t zero_point = rule.zero_point;
    for (int64_t x = 0; x < count; x++) {
        float v = (float)row[x] * scale;
        v = v + offset;
        out[x] = octet_of(v * inverse, least, most, zero_point);
    }
}

/* Look for the forms of one band that give, for every number there is, the octet that the division gives. */
static void NAME(prove)(const sw_cutter *cutter, int32_t band)
{
    enum { NUMBERS = SAMPLE_MAX - SAMPLE_MIN + 1, AT_ONCE = 256 };
    SAMPLE number[NUMBERS];
    uint8_t divided[NUMBERS], found[AT_ONCE];
    octet_rule rule = rule_of(cutter, band);
    for (int32_t i = 0; i < NUMBERS; i++)
        number[i] = (SAMPLE)(SAMPLE_MIN + i);
    NAME(divide)(number, NUMBERS, rule, divided);
    /* beside the obvious numbers there may be some that meet ties where the obvious ones miss them */
    for (int32_t tried = 0, from; tried < 9; tried++) {
        rule.form.inverse = beside(1.0f / rule.step, alternate(tried));
        for (from = 0; from < NUMBERS; from += AT_ONCE) {
            NAME(multiply)(number + from, AT_ONCE, rule, found);
            if (memcmp(divided + from, found, AT_ONCE) != 0)
                break;
        }
        if (from == NUMBERS) {
            cutter->form[band].inverse = rule.form.inverse;
            break;
        }
    }
#ifdef AVX2_ROWS
    if (SW_HAS_FMA3) {
        avx2_plan plan;
        NAME(avx2_limits)(&plan, cutter, &rule);
        const float factor = (float)((double)rule.scale / (double)rule.step);
        const float term = (float)((double)rule.offset / (double)rule.step + rule.zero_point - plan.flip);
        for (int32_t tried = 0, from; tried < 7 * 17 && isnormal(factor); tried++) {
            const float here = beside(factor, alternate(tried / 17));
            const float there = term + (float)alternate(tried % 17) / 262144;
            for (from = 0; from < NUMBERS; from += AT_ONCE) {
                NAME(avx2_octets)(number + from, AT_ONCE, here, there, &plan, found);
                if (memcmp(divided + from, found, AT_ONCE) != 0)
                    break;
            }
            if (from == NUMBERS) {
                cutter->form[band].factor = here, cutter->form[band].term = there;
                break;
            }
        }
    }
#endif
}
#endif

/* Samples of one band to output, from sample `first` of its plane on; not valid ones as well. */
static void NAME(answer)(const cut *c, const SAMPLE *row, int64_t count, int32_t band, int64_t first)
{
    const sw_cutter *cutter = c->cutter;
    first += (int64_t)band * cutter->side * cutter->side;
    if (cutter->out == SW_OUT_F32) {
        NAME(convert)(row, count, cutter->scale[band], cutter->offset[band], cutter->low, cutter->high,
                      (float *)c->out + first);
        return;
    }
    const octet_rule rule = rule_of(cutter, band);
    uint8_t *out = (uint8_t *)c->out + first;
#ifdef AVX2_ROWS
    if (rule.form.factor != 0) {
        avx2_plan plan;
        NAME(avx2_limits)(&plan, cutter, &rule);
        const int64_t done = NAME(avx2_octets)(row, count, rule.form.factor, rule.form.term, &plan, out);
        row += done, out += done, count -= done;
    }
#endif
#ifndef SAMPLE_IS_FLOAT
    if (rule.form.inverse != 0) {
        NAME(multiply)(row, count, rule, out);
        return;
    }
#endif
    NAME(divide)(row, count, rule, out);
}

#ifndef SAMPLE_IS_FLOAT
/* Few rows reach the highest value, so that its samples are counted in a second pass over those alone. */
SW_INLINE NAME(row_stats) NAME(with_saturated)(const SAMPLE *row, int64_t count, SAMPLE minimum, SAMPLE maximum,
                                               SUM total)
{
    NAME(row_stats) s = {minimum, maximum, 0, total};
    if (maximum == SAMPLE_MAX)
        for (int64_t x = 0; x < count; x++)
            s.saturated += row[x] == SAMPLE_MAX;
    return s;
}

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
    return NAME(with_saturated)(row, count, minimum, maximum, total);
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
    return NAME(with_saturated)(row, count, minimum, maximum, total);
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

#ifdef AVX2_ROWS
/* The row that scene row `at` becomes, unless a pixel of it may lack data: then 0, and nothing of it counts. */
SW_FOR_FMA3 static int NAME(avx2_cut)(const cut *c, avx2_plan *plan, const SAMPLE *samples, int64_t at, int64_t y,
                                      int any_nodata, SAMPLE nodata)
{
    const sw_window *window = c->window;
    const int64_t side = c->cutter->side, stride = window->col_stride, on = 2; /* rows on, what to ask for already */
    const int64_t width = c->right, whole = width / AVX2_STEP * AVX2_STEP;     /* what follows is reflected */
    const int64_t ahead = y + on < side && at + on < c->first_row + window->rows ? on * window->row_stride : 0;
    const SAMPLE *row = samples + (at - c->first_row) * window->row_stride + stride * c->col;
    const int octets = c->cutter->out != SW_OUT_F32, measured = c->each != NULL;
    const int64_t item = octets ? 1 : (int64_t)sizeof(float);
    uint8_t *out = (uint8_t *)c->out + y * side * item;
    for (int32_t p = 0; p < 4 * plan->groups; p++)
        plan->row[p] = avx2_nothing(SAMPLE_MIN < 0);
    NAME(avx2_row)(plan, row, stride, whole, ahead, out, measured, octets);
    if (whole < width) {
        const int64_t x = width - AVX2_STEP;
        NAME(avx2_rest)(plan, row + x * stride, stride, out + x * item, octets);
    }
    if (any_nodata && !avx2_is_clear(plan, (uint16_t)nodata, measured, SAMPLE_MIN < 0))
        return 0;
    if (measured)
        avx2_keep(plan, (const uint16_t *)row, stride, width, whole, SAMPLE_MIN < 0);
    for (int32_t b = 0; width < side && b < c->cutter->bands; b++)
        if (octets)
            reflect_octets(out + b * side * side, width, side);
        else
            reflect((float *)c->out + (b * side + y) * side, width, side);
    memset(c->valid + y * side, 1, (size_t)side);
    return 1;
}
#endif

static void NAME(cut)(const cut *c, const SAMPLE *samples)
{
    const sw_cutter *cutter = c->cutter;
    const sw_window *window = c->window;
    const int64_t side = cutter->side, left = c->left, right = c->right;
    const int32_t *band = cutter->band;
    uint8_t *valid = c->valid;
    SAMPLE nodata;
    const uint8_t any_nodata = (uint8_t)NAME(has_nodata)(cutter->has_nodata, cutter->nodata, &nodata);
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
#ifdef AVX2_ROWS
    avx2_plan plan;
    /* past the right edge as far as what is reflected is in the tile */
    const int fits = left == 0 && right >= AVX2_STEP && side - right < right;
    const int quick = fits && SW_HAS_FMA3 && avx2_prepare(&plan, cutter, window, SAMPLE_MIN < 0);
    if (quick) {
        const octet_rule rule = rule_of(cutter, 0);
        NAME(avx2_limits)(&plan, cutter, &rule);
        const int64_t octets = cutter->bands * side * side * (int64_t)sizeof(float);
        plan.streamed = octets > AVX2_STREAMED && right == side && (uintptr_t)c->out % 64 == 0;
    }
    int64_t slow_until = 0; /* a row that lacks data is seldom alone */
#endif
    walk at = walk_from(c->row, c->scene_rows);
    for (int64_t y = 0, height; y < side; y += height) {
        const int counted = y >= c->top && y < c->bottom && right > left;
#ifdef AVX2_ROWS
        if (quick && counted && y >= slow_until) {
            if (NAME(avx2_cut)(c, &plan, samples, at.at, y, any_nodata, nodata)) {
                height = 1;
                walk_on(&at);
                continue;
            }
            slow_until = y + block;
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
                float *to = (float *)c->out + (b * side + y) * side;
                NAME(add)(c->each + b, NAME(convert_and_measure)(row, side * height, cutter->scale[b], cutter->offset[b],
                                                                 cutter->low, cutter->high, to));
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
                    blank_octets((uint8_t *)c->out + there, valid + first, side, nought_of(cutter));
                if (measured)
                    NAME(add)(c->each + b, NAME(measure_valid)(row + left, right - left, valid + first + left));
            }
        }
    }
#ifdef AVX2_ROWS
    if (quick && plan.streamed)
        _mm_sfence(); /* who is told that the tile is there shall see it */
    if (quick && c->each)
        avx2_report(&plan, SAMPLE_MIN < 0, c->each);
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
#undef AVX2_ROWS
