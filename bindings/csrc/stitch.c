/* Overlapping tiles of scores to one class map, with memory for the seams alone. */
#include "decl/codes.h"
#include "decl/stitch.h"
#include "portable.h"

#include <math.h>
#include <string.h>

/* Weight of the right or lower tile at place `at` of a seam `length` wide. */
SW_INLINE float ramp(int64_t at, int64_t length)
{
    return (float)(2 * at + 1) / (float)(2 * length);
}

SW_INLINE float blended(float before, float after, float weight)
{
    float step = after - before;
    step = step * weight;
    return before + step;
}

SW_INLINE int32_t in_units(float confidence)
{
    confidence = confidence > 0.0f ? confidence : 0.0f; /* not a number becomes 0 */
    confidence = confidence < 1.0f ? confidence : 1.0f;
    return (int32_t)(confidence * (float)SW_CONFIDENCE_ONE + 0.5f);
}

SW_CLONES static int64_t label_one(const float *p, int64_t count, float threshold, uint8_t *labels)
{
    int64_t sum = 0; /* a sum of integers is the same in any order */
    for (int64_t x = 0; x < count; x++) {
        labels[x] = p[x] >= threshold;
        sum += in_units(fabsf(p[x] - 0.5f) * 2.0f);
    }
    return sum;
}

SW_CLONES static void challenge(const float *p, int64_t count, uint8_t plane, float *best, float *second,
                                uint8_t *labels)
{
    for (int64_t x = 0; x < count; x++) {
        float v = p[x], b = best[x], s = second[x];
        int wins = v > b;
        second[x] = wins ? b : (v > s ? v : s);
        best[x] = wins ? v : b;
        labels[x] = wins ? plane : labels[x];
    }
}

SW_CLONES static int64_t distance(const float *best, const float *second, int64_t count)
{
    int64_t sum = 0;
    for (int64_t x = 0; x < count; x++)
        sum += in_units(best[x] - second[x]);
    return sum;
}

SW_CLONES static void blend_row(float *row, const float *before, int64_t count, float weight)
{
    for (int64_t x = 0; x < count; x++)
        row[x] = blended(before[x], row[x], weight);
}

int sw_stitch_put(const float *scores, const sw_grid *grid, const sw_place *place, float *right, float *below,
                  float *scratch, uint8_t *labels, int64_t label_stride, int64_t *confidence)
{
    const int64_t tile = grid->tile, margin = grid->margin, classes = grid->classes, width = grid->width;
    const int64_t seam = (int64_t)grid->overlap - 2 * margin, core = tile - 2 * margin, stride = core - seam;
    if (tile < 1 || margin < 0 || seam < 0 || stride < 1 || seam > stride || classes < 1 || classes > SW_CLASSES_MAX
        || width < 1 || place->tile_col < 0 || place->tile_col >= place->tile_cols || place->rows < 1
        || place->rows > core || (place->tile_cols - 1) * stride >= width
        || (!place->last_row && place->rows != core))
        return SW_E_ARGUMENT;
    const int last_col = place->tile_col == place->tile_cols - 1;
    const int64_t col = place->tile_col * stride;
    const int64_t count = last_col ? width - col : stride; /* columns that are complete after this tile */
    if (count > core || (!last_col && col + core > width))
        return SW_E_ARGUMENT;
    float *row = scratch, *best = scratch + tile, *second = best + tile;
    int64_t sum = 0;
    for (int64_t y = 0; y < place->rows; y++) {
        const int final = place->last_row || y < stride;
        uint8_t *label = labels + y * label_stride + col; /* only touched where final */
        if (final && classes > 1) {
            memset(label, 0, (size_t)count);
            for (int64_t x = 0; x < count; x++)
                best[x] = second[x] = -INFINITY;
        }
        for (int64_t plane = 0; plane < classes; plane++) {
            const float *from = scores + (plane * tile + margin + y) * tile + margin;
            float *aside = right + (plane * core + y) * seam;
            memcpy(row, from, (size_t)count * sizeof *row);
            if (place->tile_col > 0)
                for (int64_t x = 0; x < seam && x < count; x++)
                    row[x] = blended(aside[x], from[x], ramp(x, seam));
            if (!last_col && seam > 0)
                memcpy(aside, from + stride, (size_t)seam * sizeof *aside);
            if (!place->first_row && y < seam)
                blend_row(row, below + (plane * seam + y) * width + col, count, ramp(y, seam));
            if (!final)
                memcpy(below + (plane * seam + y - stride) * width + col, row, (size_t)count * sizeof *row);
            else if (classes == 1)
                sum += label_one(row, count, grid->threshold, label);
            else
                challenge(row, count, (uint8_t)plane, best, second, label);
        }
        if (final && classes > 1)
            sum += distance(best, second, count);
    }
    *confidence += sum;
    return SW_OK;
}
