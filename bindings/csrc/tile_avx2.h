/* Rows of interleaved samples of two octets, inside the scene and without a pixel that is not valid, by hand for AVX2:
 * half the time of the portable loops. Two neighbouring bands stay together, as one 32-bit pair, while they are
 * transposed; parting them by a mask and a shift is the widening that the conversion needs anyway. Minimum and maximum
 * are taken of the pairs as they are. Sums are of integers, floats round as in the portable form, octets are proved to
 * be those of the division (sw_cutter_prove): all is equal to the portable form to the bit.
 *
 * `summed`, `bounded`, `is_signed` and `octets` are constants where a row is called from: a copy without branches for
 * each. */
#ifndef SWATH_TILE_AVX2_H
#define SWATH_TILE_AVX2_H

#include "decl/tiles.h"
#include "portable.h"

#include <stdint.h>
#include <string.h>

#ifdef SW_AVX2

enum {
    AVX2_STEP = 32,   /* pixels: tiles of other sides take the portable form */
    AVX2_CHUNK = 64,  /* pixels that are transposed at once. 512 are slower: all planes, at equal addresses modulo the
                         first level, then drive each other out before their lines are full */
    AVX2_GROUPS = 16, /* of eight bands */
    AVX2_BANDS = 8 * AVX2_GROUPS,
    AVX2_STREAMED = 8 << 20, /* octets: what is larger does not stay in the caches, and its lines would be fetched
                                only to be overwritten; what is smaller would be dearer to read back */
};

/* So that what a loop fills stays in registers. */
#ifdef __clang__
#define AVX2_UNROLL _Pragma("unroll")
#else
#define AVX2_UNROLL _Pragma("GCC unroll 4")
#endif

/* A band as it lies in memory, and what becomes of it. */
typedef struct {
    int32_t plane; /* of the output; -1: nobody wants it */
    float factor, term; /* float output: scale and offset; octets: what is rounded is sample * factor + term */
} avx2_lane;

/* A pair of lanes: eight partial sums of either, the least and the most of both as they alternate. */
typedef struct {
    __m256i sum[2], least, most;
} avx2_measure;

/* Of a tile; lane 8 * g + i is memory band start[g] + i. */
typedef struct {
    int64_t side;         /* of the tile: what lies between two rows of a plane */
    int32_t groups, over; /* over: lanes that a group reads beyond the last pixel's last selected band */
    int32_t start[AVX2_GROUPS];
    avx2_lane lane[AVX2_BANDS];
    avx2_measure row[AVX2_BANDS / 2], rows[AVX2_BANDS / 2]; /* this row's; of all rows, sums of the last few only */
    uint64_t total[AVX2_BANDS];                             /* of the rows before those; two's complement */
    int64_t saturated[AVX2_BANDS];
    int32_t unsummed; /* rows in the sums of `rows` */
    int32_t is_four;  /* the bands are all that a pixel has, and four */
    int32_t first;    /* pair that somebody wants: bounded even where nothing is measured, for nodata's sake */
    int32_t streamed; /* the tile is written past the caches */
    float low, high;
    int8_t low_octet, high_octet; /* what low and high become, before `flip` */
    uint8_t flip;                  /* of octets: packed as signed, whatever they are */
} avx2_plan;

/* The samples of a pair as 32-bit numbers. */
SW_FOR_FMA3 SW_INLINE __m256i avx2_part(__m256i pair, const int second, const int is_signed)
{
    if (is_signed)
        return _mm256_srai_epi32(second ? pair : _mm256_slli_epi32(pair, 16), 16);
    return second ? _mm256_srli_epi32(pair, 16) : _mm256_and_si256(pair, _mm256_set1_epi32(0xffff));
}

SW_FOR_FMA3 SW_INLINE __m256i avx2_least(__m256i a, __m256i b, const int is_signed)
{
    return is_signed ? _mm256_min_epi16(a, b) : _mm256_min_epu16(a, b);
}

SW_FOR_FMA3 SW_INLINE __m256i avx2_most(__m256i a, __m256i b, const int is_signed)
{
    return is_signed ? _mm256_max_epi16(a, b) : _mm256_max_epu16(a, b);
}

/* normalised() of eight numbers, at `out`. */
SW_FOR_FMA3 SW_INLINE void avx2_floats(__m256i sample, __m256 scale, __m256 offset, __m256 low, __m256 high,
                                       const int streamed, float *out)
{
    __m256 v = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sample), scale), offset);
    v = _mm256_max_ps(v, low); /* v > low ? v : low, as normalised() has it */
    v = _mm256_min_ps(v, high);
    if (streamed)
        _mm256_stream_ps(out, v);
    else
        _mm256_storeu_ps(out, v);
}

/* Rounded half to even; saturated by the packing that follows. */
SW_FOR_FMA3 SW_INLINE __m256i avx2_rounded(__m256i sample, __m256 factor, __m256 term)
{
    return _mm256_cvtps_epi32(_mm256_fmadd_ps(_mm256_cvtepi32_ps(sample), factor, term));
}

typedef struct {
    __m256 low, high;
    __m256i low_octet, high_octet, flip;
} avx2_limits;

SW_FOR_FMA3 SW_INLINE avx2_limits avx2_limits_of(const avx2_plan *plan)
{
    return (avx2_limits){_mm256_set1_ps(plan->low), _mm256_set1_ps(plan->high), _mm256_set1_epi8(plan->low_octet),
                         _mm256_set1_epi8(plan->high_octet), _mm256_set1_epi8((int8_t)plan->flip)};
}

/* Four times eight numbers of one band as octets. */
SW_FOR_FMA3 SW_INLINE __m256i avx2_packed(const __m256i *number, const avx2_limits *limits)
{
    const __m256i low = _mm256_packs_epi32(number[0], number[1]), high = _mm256_packs_epi32(number[2], number[3]);
    __m256i octets = _mm256_packs_epi16(low, high);
    octets = _mm256_max_epi8(_mm256_min_epi8(octets, limits->high_octet), limits->low_octet);
    octets = _mm256_xor_si256(octets, limits->flip);
    return _mm256_permutevar8x32_epi32(octets, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* What the normalisation's limits become, as octets that are packed as signed ones whatever they are. */
static void avx2_octet_range(avx2_plan *plan, int is_unsigned, uint8_t low, uint8_t high)
{
    plan->flip = is_unsigned ? 0x80 : 0;
    plan->low_octet = (int8_t)(low ^ plan->flip), plan->high_octet = (int8_t)(high ^ plan->flip);
}

/* Octets of samples of one band that lie side by side, as many as there are whole steps. */
SW_FOR_FMA3 SW_INLINE int64_t avx2_octets(const uint16_t *row, int64_t count, float factor, float term,
                                          const avx2_plan *plan, const int is_signed, uint8_t *out)
{
    const __m256 factors = _mm256_set1_ps(factor), terms = _mm256_set1_ps(term);
    const avx2_limits limits = avx2_limits_of(plan);
    int64_t x = 0;
    for (; x + AVX2_STEP <= count; x += AVX2_STEP) {
        __m256i number[4];
        for (int i = 0; i < 4; i++) {
            const __m128i eight = _mm_loadu_si128((const __m128i *)(row + x + 8 * i));
            number[i] = is_signed ? _mm256_cvtepi16_epi32(eight) : _mm256_cvtepu16_epi32(eight);
            number[i] = avx2_rounded(number[i], factors, terms);
        }
        _mm256_storeu_si256((__m256i *)(out + x), avx2_packed(number, &limits));
    }
    return x;
}

/* Eight lanes of `count` pixels (whole eights) to pairs: pair k of pixel x at to[k * AVX2_CHUNK + x]. */
SW_FOR_FMA3 SW_INLINE void avx2_spread(const uint16_t *samples, int64_t stride, int64_t count, uint32_t *to)
{
    for (int64_t x = 0; x < count; x += 8, samples += 8 * stride) {
        __m256i two[4]; /* pixels i and i + 4 */
        for (int i = 0; i < 4; i++)
            two[i] = _mm256_inserti128_si256(
                _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(samples + i * stride))),
                _mm_loadu_si128((const __m128i *)(samples + (i + 4) * stride)), 1);
        const __m256i a = _mm256_unpacklo_epi32(two[0], two[1]), b = _mm256_unpackhi_epi32(two[0], two[1]);
        const __m256i c = _mm256_unpacklo_epi32(two[2], two[3]), d = _mm256_unpackhi_epi32(two[2], two[3]);
        _mm256_store_si256((__m256i *)(to + x), _mm256_unpacklo_epi64(a, c));
        _mm256_store_si256((__m256i *)(to + AVX2_CHUNK + x), _mm256_unpackhi_epi64(a, c));
        _mm256_store_si256((__m256i *)(to + 2 * AVX2_CHUNK + x), _mm256_unpacklo_epi64(b, d));
        _mm256_store_si256((__m256i *)(to + 3 * AVX2_CHUNK + x), _mm256_unpackhi_epi64(b, d));
    }
}

/* One band out of `blocks` pairs, eight pixels each. */
SW_FOR_FMA3 SW_INLINE __m256i avx2_band(const __m256i *pair, const int blocks, const int second, __m256i sum,
                                        __m256 factor, __m256 term, const avx2_limits *limits, void *to,
                                        const int summed, const int is_signed, const int octets, const int streamed)
{
    __m256i number[4];
    AVX2_UNROLL
    for (int i = 0; i < blocks; i++) {
        const __m256i sample = avx2_part(pair[i], second, is_signed);
        if (summed)
            sum = _mm256_add_epi32(sum, sample);
        if (octets)
            number[i] = avx2_rounded(sample, factor, term);
        else
            avx2_floats(sample, factor, term, limits->low, limits->high, streamed, (float *)to + 8 * i);
    }
    if (octets)
        _mm256_storeu_si256((__m256i *)to, avx2_packed(number, limits));
    return sum;
}

/* `count` pixels of a pair to two planes, of floats or octets. */
SW_FOR_FMA3 SW_INLINE void avx2_pair(const uint32_t *pairs, int64_t count, const avx2_limits *limits,
                                     const avx2_lane *lane, uint8_t *to0, uint8_t *to1, avx2_measure *measure,
                                     const int summed, const int bounded, const int is_signed, const int octets,
                                     const int streamed)
{
    const int blocks = octets ? 4 : 2;
    const int64_t item = octets ? 1 : sizeof(float);
    const __m256 factor0 = _mm256_set1_ps(lane[0].factor), term0 = _mm256_set1_ps(lane[0].term);
    const __m256 factor1 = _mm256_set1_ps(lane[1].factor), term1 = _mm256_set1_ps(lane[1].term);
    __m256i sum0 = measure->sum[0], sum1 = measure->sum[1], least = measure->least, most = measure->most;
    for (int64_t x = 0; x < count; x += 8 * blocks) {
        __m256i pair[4];
        AVX2_UNROLL
        for (int i = 0; i < blocks; i++) {
            pair[i] = _mm256_load_si256((const __m256i *)(pairs + x + 8 * i));
            if (bounded)
                least = avx2_least(least, pair[i], is_signed), most = avx2_most(most, pair[i], is_signed);
        }
        sum0 = avx2_band(pair, blocks, 0, sum0, factor0, term0, limits, to0 + x * item, summed, is_signed, octets,
                         streamed);
        sum1 = avx2_band(pair, blocks, 1, sum1, factor1, term1, limits, to1 + x * item, summed, is_signed, octets,
                         streamed);
    }
    if (bounded)
        *measure = (avx2_measure){{sum0, sum1}, least, most};
}

/* `width` pixels of a row (whole steps); `row` their first sample of band 0; `out` where they begin in the first plane.
 * summed, bounded: whether every band is, not only the first one's bounds. */
SW_FOR_FMA3 SW_INLINE void avx2_lanes_row(avx2_plan *plan, const uint16_t *row, int64_t stride, int64_t width,
                                          int64_t ahead, uint8_t *out, const int summed, const int bounded,
                                          const int is_signed, const int octets, const int streamed)
{
    const int64_t item = octets ? 1 : sizeof(float), area = plan->side * plan->side;
    const int64_t line = 64 / (int64_t)sizeof *row;
    const int dense = stride <= 16 * plan->groups; /* else most of what would be asked for is never read */
    const avx2_limits limits = avx2_limits_of(plan);
    uint32_t pairs[4 * AVX2_CHUNK] __attribute__((aligned(64)));
    float dump[AVX2_CHUNK] __attribute__((aligned(64)));
    for (int64_t x = 0, count; x < width; x += count) {
        count = width - x < AVX2_CHUNK ? width - x : AVX2_CHUNK;
        const uint16_t *samples = row + x * stride;
        for (int64_t i = 0; dense && i < count * stride; i += line)
            SW_PREFETCH(samples + i + ahead);
        for (int32_t g = 0; g < plan->groups; g++) {
            const uint16_t *first = samples + plan->start[g];
            const int64_t last = plan->over > 0 && x + count == width ? 8 : 0;
            avx2_spread(first, stride, count - last, pairs);
            if (last > 0) { /* what lies behind the last pixel is not ours to read */
                uint16_t eight[8][8] = {{0}};
                for (int i = 0; i < 8; i++)
                    memcpy(eight[i], first + (count - 8 + i) * stride, (size_t)(8 - plan->over) * sizeof *first);
                avx2_spread(eight[0], 8, 8, pairs + count - 8);
            }
            for (int k = 0; k < 4; k++) {
                const avx2_lane *lane = plan->lane + 8 * g + 2 * k;
                if (lane[0].plane < 0 && lane[1].plane < 0)
                    continue;
                uint8_t *to[2];
                for (int b = 0; b < 2; b++)
                    to[b] = lane[b].plane < 0 ? (uint8_t *)dump : out + (lane[b].plane * area + x) * item;
                const uint32_t *from = pairs + k * AVX2_CHUNK;
                avx2_measure *measure = plan->row + 4 * g + k;
                if (summed || bounded)
                    avx2_pair(from, count, &limits, lane, to[0], to[1], measure, summed, 1, is_signed, octets,
                              streamed);
                else if (4 * g + k == plan->first)
                    avx2_pair(from, count, &limits, lane, to[0], to[1], measure, 0, 1, is_signed, octets,
                              streamed);
                else
                    avx2_pair(from, count, &limits, lane, to[0], to[1], measure, 0, 0, is_signed, octets,
                              streamed);
            }
        }
    }
}

/* The same for pixels of four samples, which need no memory between transposition and conversion. */
SW_FOR_FMA3 SW_INLINE void avx2_four_row(avx2_plan *plan, const uint16_t *row, int64_t width, int64_t ahead,
                                         uint8_t *out, const int summed, const int bounded, const int is_signed,
                                         const int octets)
{
    const int blocks = octets ? 4 : 2; /* at least half a line of octets, a line of floats */
    const int64_t item = octets ? 1 : sizeof(float), area = plan->side * plan->side * item;
    const avx2_limits limits = avx2_limits_of(plan);
    const avx2_lane *lane = plan->lane;
    const __m256 factor0 = _mm256_set1_ps(lane[0].factor), term0 = _mm256_set1_ps(lane[0].term);
    const __m256 factor1 = _mm256_set1_ps(lane[1].factor), term1 = _mm256_set1_ps(lane[1].term);
    const __m256 factor2 = _mm256_set1_ps(lane[2].factor), term2 = _mm256_set1_ps(lane[2].term);
    const __m256 factor3 = _mm256_set1_ps(lane[3].factor), term3 = _mm256_set1_ps(lane[3].term);
    uint8_t *const to0 = out + lane[0].plane * area, *const to1 = out + lane[1].plane * area;
    uint8_t *const to2 = out + lane[2].plane * area, *const to3 = out + lane[3].plane * area;
    __m256i least0 = plan->row[0].least, most0 = plan->row[0].most;
    __m256i least1 = plan->row[1].least, most1 = plan->row[1].most;
    __m256i sum0 = plan->row[0].sum[0], sum1 = plan->row[0].sum[1];
    __m256i sum2 = plan->row[1].sum[0], sum3 = plan->row[1].sum[1];
    for (int64_t x = 0; x < width; x += 8 * blocks) {
        __m256i first[4], second[4]; /* pairs */
        AVX2_UNROLL
        for (int i = 0; i < blocks; i++) {
            const __m128i *p = (const __m128i *)(row + 4 * (x + 8 * i));
            SW_PREFETCH((const uint16_t *)p + ahead);
            const __m256 a = _mm256_castsi256_ps(
                _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(p)), _mm_loadu_si128(p + 2), 1));
            const __m256 b = _mm256_castsi256_ps(
                _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(p + 1)), _mm_loadu_si128(p + 3), 1));
            first[i] = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88));
            second[i] = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd));
            least0 = avx2_least(least0, first[i], is_signed), most0 = avx2_most(most0, first[i], is_signed);
            if (bounded)
                least1 = avx2_least(least1, second[i], is_signed), most1 = avx2_most(most1, second[i], is_signed);
        }
        const int64_t at = x * item;
        sum0 = avx2_band(first, blocks, 0, sum0, factor0, term0, &limits, to0 + at, summed, is_signed, octets, 0);
        sum1 = avx2_band(first, blocks, 1, sum1, factor1, term1, &limits, to1 + at, summed, is_signed, octets, 0);
        sum2 = avx2_band(second, blocks, 0, sum2, factor2, term2, &limits, to2 + at, summed, is_signed, octets, 0);
        sum3 = avx2_band(second, blocks, 1, sum3, factor3, term3, &limits, to3 + at, summed, is_signed, octets, 0);
    }
    plan->row[0] = (avx2_measure){{sum0, sum1}, least0, most0};
    plan->row[1] = (avx2_measure){{sum2, sum3}, least1, most1};
}

/* Before the first row: nothing measured. */
SW_FOR_FMA3 static avx2_measure avx2_nothing(int is_signed)
{
    const __m256i none = _mm256_setzero_si256();
    return (avx2_measure){{none, none},
                          _mm256_set1_epi16(is_signed ? INT16_MAX : -1),
                          _mm256_set1_epi16(is_signed ? INT16_MIN : 0)};
}

/* Whether some wanted band of this row is above or below `nodata` everywhere: then no pixel lacks data. */
SW_FOR_FMA3 static int avx2_is_clear(const avx2_plan *plan, uint16_t nodata, int measured, int is_signed)
{
    const __m256i missing = _mm256_set1_epi16((int16_t)nodata);
    for (int32_t p = plan->first; p < (measured ? 4 * plan->groups : plan->first + 1); p++) {
        const avx2_measure *m = plan->row + p;
        const __m256i not_above = _mm256_cmpeq_epi16(avx2_least(m->least, missing, is_signed), m->least);
        const __m256i not_below = _mm256_cmpeq_epi16(avx2_most(m->most, missing, is_signed), m->most);
        const uint32_t low = (uint32_t)_mm256_movemask_epi8(not_above);
        const uint32_t high = (uint32_t)_mm256_movemask_epi8(not_below);
        for (int b = 0; b < 2; b++) {
            const uint32_t lanes = b ? 0xccccccccu : 0x33333333u;
            if (plan->lane[2 * p + b].plane >= 0 && (!(low & lanes) || !(high & lanes)))
                return 1;
        }
    }
    return 0;
}

/* Close the sums before they can run over. */
SW_FOR_FMA3 static void avx2_sum(avx2_plan *plan, int is_signed)
{
    for (int32_t l = 0; l < 8 * plan->groups; l++) {
        uint32_t part[8];
        _mm256_storeu_si256((__m256i *)part, plan->rows[l / 2].sum[l & 1]);
        for (int i = 0; i < 8; i++)
            plan->total[l] += is_signed ? (uint64_t)(int64_t)(int32_t)part[i] : part[i];
        plan->rows[l / 2].sum[l & 1] = _mm256_setzero_si256();
    }
    plan->unsummed = 0;
}

/* The row of `width` pixels that was measured last counts; `summed` of them are in its sums. */
SW_FOR_FMA3 static void avx2_keep(avx2_plan *plan, const uint16_t *row, int64_t stride, int64_t width, int64_t summed,
                                  int is_signed)
{
    enum { ROWS_THAT_FIT = 64 }; /* of SW_TILE_SIDE_MAX / 8 samples each, in 32 bits */
    const uint16_t full = is_signed ? INT16_MAX : UINT16_MAX;
    for (int32_t p = 0; p < 4 * plan->groups; p++) {
        const avx2_measure *m = plan->row + p;
        avx2_measure *all = plan->rows + p;
        all->sum[0] = _mm256_add_epi32(all->sum[0], m->sum[0]);
        all->sum[1] = _mm256_add_epi32(all->sum[1], m->sum[1]);
        all->least = avx2_least(all->least, m->least, is_signed);
        all->most = avx2_most(all->most, m->most, is_signed);
        if (_mm256_movemask_epi8(_mm256_cmpeq_epi16(m->most, _mm256_set1_epi16((int16_t)full))))
            for (int b = 0; b < 2; b++)
                if (plan->lane[2 * p + b].plane >= 0)
                    for (int64_t x = 0; x < width; x++)
                        plan->saturated[2 * p + b] += row[x * stride + plan->start[p / 4] + 2 * (p % 4) + b] == full;
    }
    for (int32_t l = 0; summed < width && l < 8 * plan->groups; l++)
        for (int64_t x = summed; plan->lane[l].plane >= 0 && x < width; x++) {
            const uint16_t sample = row[x * stride + plan->start[l / 8] + l % 8];
            plan->total[l] += is_signed ? (uint64_t)(int64_t)(int16_t)sample : sample;
        }
    if (++plan->unsummed == ROWS_THAT_FIT)
        avx2_sum(plan, is_signed);
}

/* Add what was kept to the statistics of the tile. */
static void avx2_report(avx2_plan *plan, int is_signed, sw_band_stats *each)
{
    avx2_sum(plan, is_signed);
    for (int32_t l = 0; l < 8 * plan->groups; l++) {
        if (plan->lane[l].plane < 0)
            continue;
        sw_band_stats *band = each + plan->lane[l].plane;
        uint16_t least[16], most[16];
        memcpy(least, &plan->rows[l / 2].least, sizeof least);
        memcpy(most, &plan->rows[l / 2].most, sizeof most);
        for (int i = l & 1; i < 16; i += 2) {
            const double low = is_signed ? (int16_t)least[i] : least[i], high = is_signed ? (int16_t)most[i] : most[i];
            if (low <= high) { /* else there was no such row */
                band->minimum = low < band->minimum ? low : band->minimum;
                band->maximum = high > band->maximum ? high : band->maximum;
            }
        }
        band->total += is_signed ? (double)(int64_t)plan->total[l] : (double)plan->total[l];
        band->saturated += plan->saturated[l];
    }
}

/* Where each band lies, and what becomes of it; 0 where this cutter or window is not for these rows. */
SW_FOR_FMA3 static int avx2_prepare(avx2_plan *plan, const sw_cutter *cutter, const sw_window *window, int is_signed)
{
    if (window->band_stride != 1 || window->col_stride < 2 || cutter->side % AVX2_STEP || cutter->bands > AVX2_BANDS)
        return 0;
    const int octets = cutter->out != SW_OUT_F32;
    uint8_t placed[AVX2_BANDS] = {0};
    plan->groups = plan->over = plan->unsummed = 0;
    for (int32_t done = 0; done < cutter->bands; plan->groups++) { /* from the last band down */
        int32_t last = -1;
        for (int32_t b = 0; b < cutter->bands; b++)
            if (!placed[b] && cutter->band[b] > last)
                last = cutter->band[b];
        if (plan->groups == AVX2_GROUPS)
            return 0;
        const int32_t start = last < 7 ? 0 : last - 7;
        avx2_lane *lane = plan->lane + 8 * plan->groups;
        plan->start[plan->groups] = start;
        if (plan->groups == 0)
            plan->over = start + 7 - last;
        for (int i = 0; i < 8; i++)
            lane[i] = (avx2_lane){-1, 0, 0};
        for (int32_t b = 0; b < cutter->bands; b++) {
            const int32_t i = cutter->band[b] - start;
            if (placed[b] || i < 0)
                continue;
            const sw_octet_form *form = cutter->form + b;
            if (lane[i].plane >= 0 || (octets && form->factor == 0))
                return 0; /* twice the same band, or one that has to be divided */
            lane[i] = octets ? (avx2_lane){b, form->factor, form->term}
                             : (avx2_lane){b, cutter->scale[b], cutter->offset[b]};
            placed[b] = 1;
            done++;
        }
    }
    plan->side = cutter->side;
    plan->is_four = window->col_stride == 4 && cutter->bands == 4;
    plan->first = 0;
    while (plan->lane[2 * plan->first].plane < 0 && plan->lane[2 * plan->first + 1].plane < 0)
        plan->first++;
    plan->low = cutter->low, plan->high = cutter->high;
    for (int32_t p = 0; p < 4 * plan->groups; p++)
        plan->rows[p] = avx2_nothing(is_signed);
    memset(plan->total, 0, 8 * (size_t)plan->groups * sizeof *plan->total);
    memset(plan->saturated, 0, 8 * (size_t)plan->groups * sizeof *plan->saturated);
    return 1;
}

#endif
#endif
