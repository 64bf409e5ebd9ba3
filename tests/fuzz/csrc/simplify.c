/* sw_simplify_rings: every ring that stays is made of vertices of the one that came, in their order, begins at its least
 * vertex and has none twice in a row. Input: tolerance, size of the places, rings of so many vertices each. */
#include "decl/simplify.h"

#include "decl/codes.h"
#include "harness.h"

enum { RINGS = 8, LONGEST = 96 };

static int is_before(const int32_t *a, const int32_t *b)
{
    return a[1] < b[1] || (a[1] == b[1] && a[0] < b[0]);
}

/* Whether `made` goes round `given` once, from somewhere, in its direction. */
static int goes_round(const int32_t *made, int32_t made_count, const int32_t *given, int32_t count)
{
    for (int32_t start = 0; start < count; start++) {
        int32_t found = 0;
        for (int32_t i = 0; i < count && found < made_count; i++)
            found += equal(given + 2 * ((start + i) % count), made + 2 * found, 2 * sizeof *made);
        if (found == made_count)
            return 1;
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input from = {data, size};
    const unsigned about = (unsigned)take(&from, 1);
    const int32_t tolerance = about % 16 == 15 ? (int32_t)(uint32_t)take(&from, 4) : (int32_t)(about % 16);
    const int32_t rings = (int32_t)(take(&from, 1) % (RINGS + 1));
    int32_t counts[RINGS], all = 0, longest = 0;
    uint8_t *keep = exactly((size_t)rings);
    for (int32_t r = 0; r < rings; r++) {
        const unsigned told = (unsigned)take(&from, 1);
        counts[r] = (int32_t)(told % (LONGEST + 1)), keep[r] = told >> 7;
        all += counts[r], longest = counts[r] > longest ? counts[r] : longest;
    }
    int32_t *vertex = exactly(2 * (size_t)all * sizeof *vertex), *out = exactly(2 * (size_t)all * sizeof *out);
    int32_t *count = copy_of(counts, (size_t)rings * sizeof *count), *left = exactly((size_t)rings * sizeof *left);
    uint8_t *scratch = exactly((size_t)longest);
    int in_range = tolerance >= 0 && tolerance <= SW_SIMPLIFY_TOLERANCE_MAX;
    for (int32_t i = 0; i < 2 * all; i++) {
        vertex[i] = about & 128 ? (int32_t)(uint32_t)take(&from, 4) >> (about >> 4 & 7) : (int32_t)take(&from, 1) % 32;
        in_range &= vertex[i] >= -SW_SIMPLIFY_PLACE_MAX && vertex[i] <= SW_SIMPLIFY_PLACE_MAX;
    }
    const int64_t made = sw_simplify_rings(vertex, count, rings, tolerance, keep, out, left, scratch);
    REQUIRE(in_range ? made >= 0 && made <= all : made == SW_E_ARGUMENT);
    if (made >= 0) {
        int64_t sum = 0;
        const int32_t *given = vertex, *ring = out;
        for (int32_t r = 0; r < rings; given += 2 * (int64_t)counts[r], ring += 2 * (int64_t)left[r], r++) {
            REQUIRE(left[r] == 0 || (left[r] >= 3 && left[r] <= counts[r]));
            sum += left[r];
            for (int32_t i = 0; i < left[r]; i++) {
                REQUIRE(!equal(ring + 2 * i, ring + 2 * ((i + 1) % left[r]), 2 * sizeof *ring));
                REQUIRE(!is_before(ring + 2 * i, ring));
            }
            REQUIRE(left[r] == 0 || goes_round(ring, left[r], given, counts[r]));
        }
        REQUIRE(sum == made);
    }
    free(scratch);
    free(left);
    free(count);
    free(out);
    free(vertex);
    free(keep);
    return 0;
}
