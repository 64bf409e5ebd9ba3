#ifndef SWATH_DECL_STITCH_H
#define SWATH_DECL_STITCH_H

#include <stdint.h>

#define SW_CLASSES_MAX 254    /* 255 in a class map means: no answer */
#define SW_CONFIDENCE_ONE 65536
#define SW_STITCH_TILE_MAX 65536

/* Tiles on a grid. A tile without its margin is its core: side tile - 2 * margin, cores `stride` apart. */
typedef struct {
    int64_t width;                         /* scene columns */
    int32_t tile, overlap, margin, classes;
    float threshold;                       /* of the one plane, if classes is 1 */
} sw_grid;

/* Which tile, and how much of it is scene. */
typedef struct {
    int64_t tile_col, tile_cols;
    int64_t rows;    /* core rows that lie in the scene, 1..core side */
    int32_t first_row, last_row; /* nothing above, nothing below to blend with */
} sw_place;

/* Weights of the right or lower tile along a seam: `seam` floats, (2 * at + 1) / (2 * seam). */
void sw_stitch_ramp(float *ramp, int64_t seam);

/* Blend a tile with what its left and upper neighbours left in the seams, write the class of every pixel that is now
 * final, and leave the right and lower seam for the next ones. The blend is left + weight * (right - left), so where
 * neighbours agree their number stays as it is, to the bit.
 *   scores   classes * tile * tile
 *   ramp     overlap' weights, as sw_stitch_ramp makes them
 *   right    classes * core * overlap'   overlap' = overlap - 2 * margin; the seam to the next tile
 *   below    classes * overlap' * width  the seam to the next tile row
 *   labels   the class map; its first row is the first core row of this tile row, rows `label_stride` apart
 *   confidence  gains the sum over final pixels of |p - 0.5| * 2, or best minus second best, in 1/65536
 * Returns SW_OK or SW_E_ARGUMENT. */
int sw_stitch_put(const float *scores, const sw_grid *grid, const sw_place *place, const float *ramp, float *right,
                  float *below, uint8_t *labels, int64_t label_stride, int64_t *confidence);

#endif
