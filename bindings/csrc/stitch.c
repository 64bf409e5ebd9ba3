/* Overlapping tiles of scores to one class map, with memory for the seams alone. */
#include "decl/codes.h"
#include "decl/stitch.h"
#include "decide.h"
#include "portable.h"

#include <string.h>

#ifdef SW_AVX2
SW_FOR_AVX2 static void keep_avx2(const float *from, int64_t plane, int32_t classes, int64_t count, float *to,
                                  int64_t to_plane)
{
    for (int32_t k = 0; k < classes; k++) {
        const float *p = from + k * plane;
        float *q = to + k * to_plane;
        int64_t x = 0;
        for (; x + 8 <= count; x += 8)
            _mm256_storeu_ps(q + x, _mm256_loadu_ps(p + x));
        for (; x < count; x++)
            q[x] = p[x];
    }
}
#endif

/* Scores for a neighbour, as they are: rows of a seam are short, a call for each would cost as much as the copy. */
static void keep(const float *from, int64_t plane, int32_t classes, int64_t count, float *to, int64_t to_plane)
{
#ifdef SW_AVX2
    if (SW_HAS_AVX2) {
        keep_avx2(from, plane, classes, count, to, to_plane);
        return;
    }
#endif
    for (int32_t k = 0; k < classes; k++)
        memcpy(to + k * to_plane, from + k * plane, (size_t)count * sizeof *from);
}

void sw_stitch_ramp(float *ramp, int64_t seam)
{
    for (int64_t at = 0; at < seam; at++)
        ramp[at] = (float)(2 * at + 1) / (float)(2 * seam);
}

int sw_stitch_put(const float *scores, const sw_grid *grid, const sw_place *place, const float *ramp, float *right,
                  float *below, uint8_t *labels, int64_t label_stride, int64_t *confidence)
{
    const int64_t tile = grid->tile, margin = grid->margin, width = grid->width;
    const int64_t seam = (int64_t)grid->overlap - 2 * margin, core = tile - 2 * margin, stride = core - seam;
    const int32_t classes = grid->classes;
    if (tile < 1 || tile > SW_STITCH_TILE_MAX || margin < 0 || seam < 0 || stride < 1 || seam > stride || classes < 1
        || classes > SW_CLASSES_MAX || width < 1 || place->tile_col < 0 || place->tile_col >= place->tile_cols
        || place->rows < 1 || place->rows > core || (place->tile_cols - 1) * stride >= width
        || (!place->last_row && place->rows != core))
        return SW_E_ARGUMENT;
    const int last_col = place->tile_col == place->tile_cols - 1;
    const int64_t col = place->tile_col * stride;
    const int64_t count = last_col ? width - col : stride; /* columns that are complete after this tile */
    if (count > core || (!last_col && col + core > width))
        return SW_E_ARGUMENT;
    const int64_t across = place->tile_col > 0 ? (seam < count ? seam : count) : 0; /* columns of a seam to the left */
    sw_columns row = {.plane = tile * tile, .left_plane = core * seam, .above_plane = seam * width, .across = across,
                      .count = count, .ramp = ramp, .classes = classes, .threshold = grid->threshold};
    int64_t sum = 0;
    for (int64_t y = 0; y < place->rows; y++) {
        const float *from = scores + (margin + y) * tile + margin, *left = right + y * seam;
        if (place->last_row || y < stride) { /* final */
            row.scores = from, row.left = left;
            row.above = !place->first_row && y < seam ? below + y * width + col : NULL;
            row.down = row.above ? ramp[y] : 0.0f;
            sum += decide_row(&row, labels + y * label_stride + col);
        } else { /* goes to the lower neighbour */
            float *kept = below + (y - stride) * width + col;
            for (int32_t k = 0; k < classes && across > 0; k++)
                blend_across(left + k * row.left_plane, from + k * row.plane, across, ramp,
                             kept + k * row.above_plane);
            keep(from + across, row.plane, classes, count - across, kept + across, row.above_plane);
        }
        if (!last_col && seam > 0)
            keep(from + stride, row.plane, classes, seam, right + y * seam, row.left_plane);
    }
    *confidence += sum;
    return SW_OK;
}
