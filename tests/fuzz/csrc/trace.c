/* Runs, parts and outlines against flooding and filling. Input: class, corners and rings a call has room for, the map. */
#include "decl/trace.h"

#include "decl/codes.h"
#include "map_of.h"

static void require_runs(const map *im, uint8_t value, const int32_t *part, int64_t parts)
{
    const int64_t runs = sw_runs_count(im->pixels, im->rows, im->cols, im->stride, value);
    REQUIRE(runs >= parts && runs <= im->rows * ((im->cols + 1) / 2));
    const size_t room = (size_t)runs * sizeof(int32_t);
    int32_t *row = exactly(room), *first = exactly(room), *end = exactly(room), *its = exactly(room);
    int32_t *parent = exactly(room);
    int64_t pixels = 0, expected = 0;
    REQUIRE(sw_runs_label(im->pixels, im->rows, im->cols, im->stride, value, runs, row, first, end, its, parent)
            == parts);
    for (int64_t i = 0; i < runs; i++) {
        REQUIRE(row[i] >= 0 && row[i] < im->rows && first[i] >= 0 && first[i] < end[i] && end[i] <= im->cols);
        pixels += end[i] - first[i];
        for (int32_t col = first[i]; col < end[i]; col++)
            REQUIRE(part[row[i] * im->cols + col] == its[i]);
    }
    for (int64_t i = 0; i < im->rows * im->cols; i++)
        expected += part[i] >= 0;
    REQUIRE(pixels == expected);
    if (runs > 0)
        REQUIRE(sw_runs_label(im->pixels, im->rows, im->cols, im->stride, value, runs - 1, row, first, end, its, parent)
                == SW_E_SPACE);
    free(parent);
    free(its);
    free(end);
    free(first);
    free(row);
}

/* Every vertical piece of a ring turns the pixels to its right: what all rings turn an odd number of times is inside.
 * turned: where that begins, cols + 1 a row. */
static void turn(const map *im, uint8_t *turned, const int32_t *points, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++) {
        const int64_t next = i + 1 < to ? i + 1 : from, x = points[2 * i];
        const int32_t y0 = points[2 * i + 1], y1 = points[2 * next + 1];
        REQUIRE(x >= 0 && x <= im->cols && y0 >= 0 && y0 <= im->rows);
        REQUIRE((x == points[2 * next]) != (y0 == y1)); /* along the edges, and somewhere */
        if (x == points[2 * next])
            for (int32_t y = y0 < y1 ? y0 : y1; y < (y0 < y1 ? y1 : y0); y++)
                turned[y * (im->cols + 1) + x] ^= 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input from = {data, size};
    const uint8_t value = (uint8_t)take(&from, 1) & 3;
    int64_t corners = (int64_t)take(&from, 1);
    const int64_t ring_room = 1 + (int64_t)take(&from, 1) % 16;
    const map im = map_of(&from, 1);
    const size_t all = (size_t)(im.rows * im.cols);
    int32_t *part = exactly(all * sizeof *part), *waiting = exactly(all * sizeof *waiting);
    require_runs(&im, value, part, flood(&im, value, 4, part, waiting));

    uint8_t *visited = exactly((all + 7) / 8), *turned = exactly(all + (size_t)im.rows);
    memset(visited, 0, (all + 7) / 8);
    memset(turned, 0, all + (size_t)im.rows);
    sw_rings rings = {.point_capacity = corners, .ring_capacity = ring_room};
    rings.points = exactly(2 * (size_t)corners * sizeof *rings.points);
    rings.ring_end = exactly((size_t)ring_room * sizeof *rings.ring_end);
    rings.ring_start = exactly((size_t)ring_room * sizeof *rings.ring_start);
    rings.ring_pinched = exactly((size_t)ring_room);
    while (rings.cursor < (int64_t)all) {
        const int64_t before = rings.cursor;
        REQUIRE(sw_trace_rings(im.pixels, im.rows, im.cols, im.stride, value, visited, &rings) == SW_OK);
        REQUIRE(rings.ring_count >= 0 && rings.ring_count <= ring_room && rings.cursor >= before);
        if (rings.ring_count == 0 && rings.cursor < (int64_t)all) {
            REQUIRE(rings.point_count > corners && rings.point_count <= 4 * (int64_t)all + 4);
            corners = rings.point_capacity = rings.point_count;
            free(rings.points);
            rings.points = exactly(2 * (size_t)corners * sizeof *rings.points);
            continue;
        }
        for (int64_t ring = 0, start = 0; ring < rings.ring_count; start = rings.ring_end[ring++]) {
            REQUIRE(rings.ring_end[ring] >= start + 4 && rings.ring_end[ring] <= corners);
            REQUIRE(rings.ring_start[ring] >= 0 && rings.ring_start[ring] < (int64_t)all);
            REQUIRE(part[rings.ring_start[ring]] >= 0 && rings.ring_pinched[ring] <= 1);
            turn(&im, turned, rings.points, start, rings.ring_end[ring]);
        }
    }
    for (int64_t row = 0; row < im.rows; row++) {
        uint8_t inside = 0;
        for (int64_t col = 0; col < im.cols; col++) {
            inside ^= turned[row * (im.cols + 1) + col];
            REQUIRE(inside == (part[row * im.cols + col] >= 0));
        }
    }
    free(rings.ring_pinched);
    free(rings.ring_start);
    free(rings.ring_end);
    free(rings.points);
    free(turned);
    free(visited);
    free(waiting);
    free(part);
    free(im.pixels);
    return 0;
}
