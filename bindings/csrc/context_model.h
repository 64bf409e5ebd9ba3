/* The model of the context code of class maps: what encoder and decoder know of the next pixel (docs/context-code.md).
 * Whole numbers only, so that every machine and compiler makes the same octets. */
#ifndef SWATH_CONTEXT_MODEL_H
#define SWATH_CONTEXT_MODEL_H

#include <stdint.h>
#include <string.h>

#include "decl/context.h"
#include "portable.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* A counter: the probability of a 1 in the upper 22 bits, in the lower 10 how often it was asked, at most SEEN_MOST. */
#define SEEN_BITS 10
#define SEEN_MOST 127
#define CHANCE_ONE (1u << 22)
#define CHANCE_LEAST 16 /* of 65536: no decision costs more than 12 bits, none is impossible */

#define ALL_ALIKE 8191 /* the pattern of a neighbourhood of one class */
#define CORE_BITS 9
#define CORE ((1u << CORE_BITS) - 1) /* the nearest nine of the pattern */
#define CANDIDATES 3
#define NEAR 8 /* neighbours whose classes are candidates, nearest first */

/* Octets that may be read beside a line: eight at a time, from up to three behind its last pixel on. */
#define LINE_MARGIN 16

typedef struct {
    uint32_t alike[ALL_ALIKE + 1];        /* not the class of the left pixel? by the neighbours that have it */
    uint32_t classed[64 << CORE_BITS];    /* the same by fewer of them, and the classes at the left and above */
    uint32_t broken[SW_CONTEXT_RUN_BITS + 1]; /* does a stretch end early? by its length */
    uint32_t next[CANDIDATES << 7];       /* not this candidate? */
    uint32_t unusual;                     /* not the class that was last beside this one? */
    uint32_t value[256];                  /* a class by its bits */
    uint8_t beside[256];                  /* the class last seen where this one ended */
} context_model;

typedef struct {
    context_model model;
    int64_t row; /* rows of the strip so far */
    uint64_t low;
    size_t written;
    uint32_t range;
    int32_t width;
    int32_t full; /* the output was too small */
} context_state;

/* 2^17 / (2 n + 3): how far the n-th answer moves a counter, in 65536ths. */
static const uint16_t RATE[SEEN_MOST + 1] = {
    43690, 26214, 18724, 14563, 11915, 10082, 8738, 7710, 6898, 6241, 5698, 5242, 4854, 4519, 4228, 3971,
    3744, 3542, 3360, 3196, 3048, 2912, 2788, 2674, 2570, 2473, 2383, 2299, 2221, 2148, 2080, 2016,
    1956, 1899, 1846, 1795, 1747, 1702, 1659, 1618, 1579, 1542, 1506, 1472, 1440, 1409, 1379, 1351,
    1323, 1297, 1272, 1248, 1224, 1202, 1180, 1159, 1139, 1120, 1101, 1083, 1065, 1048, 1032, 1016,
    1000, 985, 970, 956, 942, 929, 916, 903, 891, 879, 868, 856, 845, 834, 824, 814,
    804, 794, 784, 775, 766, 757, 748, 740, 732, 724, 716, 708, 700, 693, 686, 679,
    672, 665, 658, 652, 645, 639, 633, 627, 621, 615, 609, 604, 598, 593, 587, 582,
    577, 572, 567, 562, 557, 553, 548, 543, 539, 534, 530, 526, 522, 518, 514, 510};

/* Where `alike` and `classed` begin, in 4096ths, by the nine nearest neighbours (CORE_BITS of the pattern): measured on
 * class maps of water, cloud and land cover and on synthetic ones. It saves each strip from learning it anew. */
static const uint16_t PRIOR[1 << CORE_BITS] = {
    2166, 2404, 2502, 1584, 689, 1106, 654, 343, 670, 1112, 1025, 986, 223, 502, 174, 172,
    955, 1962, 1807, 1369, 620, 886, 408, 417, 202, 632, 863, 636, 90, 193, 126, 186,
    2701, 2485, 2508, 2279, 1014, 1009, 406, 458, 1791, 2615, 1296, 856, 586, 1399, 305, 167,
    1743, 1644, 2216, 1858, 638, 1957, 479, 394, 1083, 564, 836, 740, 238, 294, 225, 187,
    3306, 2852, 3819, 2745, 1526, 1590, 1378, 1202, 1562, 1761, 2169, 887, 373, 471, 209, 470,
    1557, 532, 2594, 1545, 945, 1065, 1070, 1133, 1428, 1759, 1556, 628, 175, 172, 98, 272,
    2525, 2711, 3651, 2867, 1015, 1234, 1046, 1109, 854, 2000, 2423, 1719, 442, 847, 127, 184,
    1400, 1482, 2545, 2316, 712, 313, 710, 801, 1180, 677, 1590, 995, 393, 434, 188, 208,
    2067, 2461, 2179, 2586, 2214, 1574, 1537, 1508, 894, 933, 1769, 997, 284, 964, 387, 516,
    1919, 2534, 1904, 1610, 1455, 1290, 542, 610, 537, 976, 963, 1044, 39, 192, 124, 204,
    2589, 2827, 3045, 2388, 1789, 1358, 1669, 952, 222, 1884, 2528, 1830, 1030, 380, 466, 501,
    2883, 3103, 2313, 2296, 1974, 2202, 1333, 268, 1196, 1253, 1740, 1878, 235, 288, 352, 284,
    2495, 2565, 3227, 2387, 1215, 956, 1390, 1253, 1635, 2867, 2366, 1720, 244, 324, 213, 480,
    2015, 1651, 3014, 1988, 1287, 1993, 1349, 1647, 1100, 1698, 1544, 1434, 62, 354, 58, 231,
    2119, 2444, 2791, 2743, 1338, 1459, 1212, 1751, 1115, 2396, 1566, 1918, 710, 1038, 247, 640,
    2086, 1496, 2423, 2261, 1177, 1964, 1121, 1170, 1051, 1484, 1633, 1631, 228, 463, 61, 104,
    1737, 2665, 1667, 1490, 567, 743, 424, 189, 723, 896, 577, 720, 203, 348, 135, 75,
    755, 1426, 1078, 951, 317, 323, 356, 187, 200, 509, 508, 423, 65, 122, 78, 42,
    2533, 3063, 3218, 2720, 1147, 920, 656, 259, 723, 1307, 796, 1158, 779, 924, 225, 85,
    1741, 2133, 2121, 1863, 1031, 1135, 460, 294, 526, 1125, 913, 899, 313, 215, 188, 61,
    2586, 2543, 3288, 2453, 1313, 1122, 1450, 1048, 1711, 1288, 2346, 1724, 336, 227, 175, 170,
    1768, 1749, 2398, 1076, 1279, 462, 847, 557, 1176, 1238, 1780, 781, 194, 168, 147, 101,
    2071, 2693, 3465, 3462, 1312, 1406, 1261, 938, 1004, 1256, 1424, 1384, 522, 794, 220, 68,
    1449, 1786, 2742, 2415, 1088, 707, 762, 639, 964, 1294, 1249, 1198, 501, 432, 214, 62,
    2118, 2358, 1830, 1744, 1939, 964, 2270, 891, 1078, 1466, 1441, 1061, 598, 384, 992, 372,
    1939, 2434, 1895, 1593, 1249, 767, 770, 417, 650, 1033, 864, 967, 62, 180, 50, 80,
    1347, 2740, 2072, 2287, 1869, 1476, 1716, 881, 2020, 1260, 2099, 1701, 881, 89, 233, 337,
    2214, 2565, 2173, 2060, 123, 589, 749, 554, 1152, 1165, 1323, 1317, 312, 375, 167, 94,
    2060, 2586, 2590, 2207, 1442, 1462, 2483, 1485, 1781, 1594, 1574, 1662, 471, 726, 392, 366,
    1963, 2457, 2172, 1552, 1216, 1041, 1479, 838, 1438, 1788, 968, 1314, 173, 360, 51, 73,
    1292, 2530, 2554, 2969, 1492, 1628, 1334, 1643, 1611, 1962, 1525, 1930, 866, 863, 320, 268,
    1689, 2207, 2248, 2432, 1250, 1059, 1106, 712, 1300, 1353, 1429, 959, 410, 223, 73, 60};

SW_INLINE uint32_t counter(uint32_t chance_of_4096, uint32_t seen)
{
    return chance_of_4096 << (10 + SEEN_BITS) | seen;
}

SW_INLINE void learn(uint32_t *counter, int bit)
{
    const uint32_t seen = *counter & ((1u << SEEN_BITS) - 1), chance = *counter >> SEEN_BITS;
    const uint64_t way = bit ? CHANCE_ONE - 1 - chance : chance;
    const uint32_t step = (uint32_t)(way * RATE[seen] >> 16);
    *counter = (bit ? chance + step : chance - step) << SEEN_BITS | (seen + (seen < SEEN_MOST));
}

SW_INLINE uint32_t bounded_chance(uint32_t of_65536)
{
    if (of_65536 < CHANCE_LEAST)
        return CHANCE_LEAST;
    return of_65536 > 65536 - CHANCE_LEAST ? 65536 - CHANCE_LEAST : of_65536;
}

/* Probability of a 1 in 65536ths: of one counter, and the mean of two. */
SW_INLINE uint32_t chance(uint32_t counter)
{
    return bounded_chance(counter >> (SEEN_BITS + 6));
}

SW_INLINE uint32_t mean_chance(uint32_t one, uint32_t other)
{
    return bounded_chance(((one >> SEEN_BITS) + (other >> SEEN_BITS)) >> 7);
}

static inline void model_begin(context_model *model)
{
    for (uint32_t pattern = 0; pattern <= ALL_ALIKE; pattern++)
        model->alike[pattern] = counter(PRIOR[pattern & CORE], 4);
    for (uint32_t core = 0; core <= CORE; core++)
        for (uint32_t classes = 0; classes < 64; classes++)
            model->classed[core << 6 | classes] = counter(PRIOR[core], 4);
    for (uint32_t length = 0; length <= SW_CONTEXT_RUN_BITS; length++)
        model->broken[length] = counter(length < 8 ? 4u << length : 1024, 1);
    for (uint32_t i = 0; i < CANDIDATES << 7; i++)
        model->next[i] = counter(256, 1);
    model->unusual = counter(512, 0);
    for (uint32_t i = 0; i < 256; i++)
        model->value[i] = counter(2048, 0);
    memset(model->beside, 1, sizeof model->beside);
    model->beside[1] = 0;
}

/* Eight octets as a number, the first one lowest. */
SW_INLINE uint64_t eight(const uint8_t *octets)
{
    uint64_t word;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(&word, octets, sizeof word);
#else
    word = 0;
    for (int i = 0; i < 8; i++)
        word |= (uint64_t)octets[i] << 8 * i;
#endif
    return word;
}

SW_INLINE uint64_t eight_times(uint8_t value)
{
    return 0x0101010101010101u * value;
}

/* How many of the lowest octets of a word that is not zero are. */
SW_INLINE int32_t zero_octets(uint64_t word)
{
#if defined(__GNUC__)
    return __builtin_ctzll(word) >> 3;
#else
    int32_t count = 0;
    for (; !(word & 0xFF); word >>= 8)
        count++;
    return count;
#endif
}

/* Bit i: whether octet i of the eight at `one` is `value`; bits 8 to 15 the same of `two`. */
SW_INLINE uint32_t equal_octets(const uint8_t *one, const uint8_t *two, uint8_t value)
{
#if defined(__SSE2__)
    const __m128i both =
        _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)one), _mm_loadl_epi64((const __m128i *)two));
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(both, _mm_set1_epi8((char)value)));
#else
    const uint64_t low7 = 0x7F7F7F7F7F7F7F7Fu;
    uint64_t word = eight(one) ^ eight_times(value), other = eight(two) ^ eight_times(value);
    word = ~(((word & low7) + low7) | word | low7);
    other = ~(((other & low7) + low7) | other | low7);
    word = (word >> 7) * 0x0102040810204080u >> 56; /* the eight highest bits, side by side */
    other = (other >> 7) * 0x0102040810204080u >> 56;
    return (uint32_t)(other << 8 | word);
#endif
}

/* Thirteen bits: which neighbours have the class `left`. one, two: the rows above, at this column; rows_above: how many
 * of them there are, at most 2; a neighbour above the strip counts as having it. Bits 0 to 4: the row above from two to
 * the left to two to the right; 5 to 7: the row over that, one to the left to one to the right; 8: two to the left; 9:
 * the row above, three to the right; 10, 11: the row over that, two to the left and to the right; 12: three to the left. */
SW_INLINE uint32_t neighbour_pattern(const uint8_t *one, const uint8_t *two, uint8_t left, uint8_t left2, uint8_t left3,
                                     int rows_above)
{
    uint32_t above = rows_above > 0 ? equal_octets(one - 3, two - 3, left) : 0xFFFF;
    if (rows_above < 2)
        above |= 0xFF00;
    return (above >> 1 & 31) | (above >> 10 & 7) << 5 | (uint32_t)(left2 == left) << 8 | (above >> 6 & 1) << 9
           | (above >> 9 & 1) << 10 | (above >> 13 & 1) << 11 | (uint32_t)(left3 == left) << 12;
}

typedef struct {
    uint8_t value[CANDIDATES];
    uint16_t counter[CANDIDATES]; /* into context_model.next */
    int count;
} candidates;

/* The classes other than `left` among the eight nearest neighbours, nearest first. */
static inline void find_candidates(candidates *found, const uint8_t *one, const uint8_t *two, uint8_t left,
                                   uint8_t left2, int rows_above)
{
    uint8_t near[NEAR];
    memset(near, left, sizeof near);
    near[3] = left2;
    if (rows_above > 0)
        near[0] = one[0], near[1] = one[-1], near[2] = one[1], near[5] = one[2], near[6] = one[-2];
    if (rows_above > 1)
        near[4] = two[0], near[7] = two[-1];
    found->count = 0;
    for (int i = 0; i < NEAR && found->count < CANDIDATES; i++) {
        int fresh = near[i] != left;
        for (int j = 0; j < found->count; j++)
            fresh &= near[i] != found->value[j];
        if (fresh)
            found->value[found->count++] = near[i];
    }
    for (int rank = 0; rank < found->count; rank++) {
        unsigned index = (unsigned)rank;
        for (int i = 0; i < 6; i++)
            index = index << 1 | (near[i] == found->value[rank]);
        found->counter[rank] = (uint16_t)(index << 1 | (rank + 1 < found->count));
    }
}

/* From `at`, which has left neighbours of class `left` and nothing else around: how many pixels are sure to have the
 * same neighbourhood as long as they are of that class themselves. */
SW_INLINE int32_t flat_stretch(const uint8_t *one, const uint8_t *two, int32_t at, int32_t width, uint8_t left,
                               int rows_above)
{
    const int32_t most = width - at < SW_CONTEXT_RUN ? width - at : SW_CONTEXT_RUN;
    const uint64_t wanted = eight_times(left);
    one += at + 4, two += at + 3;
    for (int32_t sure = 1; sure < most; sure += 8) {
        const uint64_t other = (eight(one + sure - 1) ^ wanted) | (rows_above > 1 ? eight(two + sure - 1) ^ wanted : 0);
        if (other) {
            sure += zero_octets(other);
            return sure < most ? sure : most;
        }
    }
    return most;
}

/* How many of the pixels at `pixels`, at most `most`, are of class `value`. May read LINE_MARGIN octets more. */
SW_INLINE int32_t same_until(const uint8_t *pixels, int32_t most, uint8_t value)
{
    for (int32_t same = 0; same < most; same += 8) {
        const uint64_t other = eight(pixels + same) ^ eight_times(value);
        if (other) {
            same += zero_octets(other);
            return same < most ? same : most;
        }
    }
    return most;
}

SW_INLINE unsigned length_class(int32_t length)
{
#if defined(__GNUC__)
    return 31u - (unsigned)__builtin_clz((unsigned)length);
#else
    unsigned found = 0;
    while (length >> (found + 1))
        found++;
    return found;
#endif
}

/* The line buffers stand behind the state: three of them, used in turn. */
SW_INLINE uint8_t *context_line(context_state *state, int64_t row)
{
    const size_t pitch = (size_t)state->width + 2 * LINE_MARGIN;
    return (uint8_t *)(state + 1) + (size_t)(row % 3) * pitch + LINE_MARGIN;
}

static inline void fill_margins(uint8_t *line, int32_t width)
{
    memset(line - LINE_MARGIN, line[0], LINE_MARGIN);
    memset(line + width, line[width - 1], LINE_MARGIN);
}

#endif
