/* Regions found row by row against flooding. Input: how many rows a call takes, what is free in `closed`, the map. */
#include "decl/regions.h"

#include "decl/codes.h"
#include "map_of.h"

static void add_pixel(sw_region *to, int64_t row, int64_t col)
{
    if (to->area == 0)
        *to = (sw_region){0, row, col, row, col, 0, 0};
    to->area++;
    to->first_row = row < to->first_row ? row : to->first_row;
    to->first_col = col < to->first_col ? col : to->first_col;
    to->last_row = row > to->last_row ? row : to->last_row;
    to->last_col = col > to->last_col ? col : to->last_col;
    to->sum_row += row;
    to->sum_col += col;
}

static int by_all(const void *one, const void *other)
{
    return memcmp(one, other, sizeof(sw_region)); /* any order that both sides share */
}

static void require_refusal(sw_scan scan, const uint8_t *labels, int64_t rows, int64_t stride, int64_t capacity)
{
    int64_t taken = 0;
    REQUIRE(sw_regions_feed(&scan, labels, rows, stride, NULL, capacity, &taken) == SW_E_ARGUMENT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input from = {data, size};
    const int64_t step = 1 + (int64_t)take(&from, 1), spare = (int64_t)take(&from, 1);
    const map im = map_of(&from, 1);
    const size_t width = (size_t)im.cols, all = (size_t)(im.rows * im.cols), runs = (width + 1) / 2;
    sw_run *one = exactly(runs * sizeof *one), *two = exactly(runs * sizeof *two);
    sw_scan scan = {.width = (int32_t)im.cols, .value = 1, .above = one, .here = two};
    scan.table = exactly((width + 1) * sizeof *scan.table);
    scan.parent = exactly((width + 1) * sizeof *scan.parent);
    scan.renamed = exactly((width + 1) * sizeof *scan.renamed);
    const int64_t capacity = im.cols + 1 + spare;
    sw_region *closed = exactly((size_t)capacity * sizeof *closed), *found = exactly((all + 1) * sizeof *found);
    size_t count = 0;
    for (int64_t row = 0, taken = 0; row < im.rows; row += taken) {
        const int64_t asked = step < im.rows - row ? step : im.rows - row;
        const int64_t got =
            sw_regions_feed(&scan, im.pixels + row * im.stride, asked, im.stride, closed, capacity, &taken);
        REQUIRE(got >= 0 && got <= capacity && taken >= 1 && taken <= asked && count + (size_t)got <= all);
        memcpy(found + count, closed, (size_t)got * sizeof *closed);
        count += (size_t)got;
    }
    const int64_t got = sw_regions_finish(&scan, closed, capacity);
    REQUIRE(got >= 0 && got <= capacity && count + (size_t)got <= all);
    memcpy(found + count, closed, (size_t)got * sizeof *closed);
    count += (size_t)got;

    int32_t *part = exactly(all * sizeof *part), *waiting = exactly(all * sizeof *waiting);
    const int64_t parts = flood(&im, 1, 8, part, waiting);
    sw_region *expected = exactly((size_t)parts * sizeof *expected);
    memset(expected, 0, (size_t)parts * sizeof *expected);
    for (size_t i = 0; i < all; i++)
        if (part[i] >= 0)
            add_pixel(&expected[part[i]], (int64_t)i / im.cols, (int64_t)i % im.cols);
    REQUIRE(count == (size_t)parts);
    qsort(found, count, sizeof *found, by_all);
    qsort(expected, count, sizeof *expected, by_all);
    REQUIRE(equal(found, expected, count * sizeof *found));

    require_refusal(scan, im.pixels, 1, im.stride, im.cols);
    require_refusal(scan, im.pixels, -1, im.stride, capacity);
    require_refusal(scan, im.pixels, 1, -im.stride, capacity);
    free(expected);
    free(waiting);
    free(part);
    free(found);
    free(closed);
    free(scan.renamed);
    free(scan.parent);
    free(scan.table);
    free(two);
    free(one);
    free(im.pixels);
    return 0;
}
