#ifndef SWATH_DECL_TILES_H
#define SWATH_DECL_TILES_H

#include <stdint.h>

#define SW_TILE_SIDE_MAX 4096
#define SW_SCENE_SIDE_MAX 1099511627776 /* coordinates beyond it are refused: sums of them stay in range */

/* A block of scene rows in memory. Strides are in samples and positive; the block holds every column of its rows. */
typedef struct {
    int64_t first_row, rows;         /* scene rows [first_row, first_row + rows) */
    int64_t scene_rows, scene_cols;
    int64_t row_stride, col_stride, band_stride;
} sw_window;

/* Which tile, and how its samples become model input. */
typedef struct {
    int64_t row, col; /* scene coordinates of its first pixel; may lie outside: the scene is reflected there */
    int32_t side;     /* 1..SW_TILE_SIDE_MAX */
    int32_t bands;
    int32_t has_nodata;
    float low, high;
    double nodata;
} sw_tile;

/* One band of the tile, over valid pixels inside the scene; all zero if there is none. */
typedef struct {
    double minimum, maximum, total;
    int64_t saturated; /* at the largest number of the integer type */
} sw_band_stats;

typedef struct {
    int64_t pixels;      /* inside the scene */
    int64_t nodata;      /* of those, not valid */
    int64_t missing_row; /* with SW_E_WINDOW: the first scene row that the window lacks */
} sw_tile_stats;

/* Cut one tile out of a window, normalise it into planar f32, measure it.
 *   band     tile->bands band numbers; scale, offset per band
 *   out      bands * side * side; out = clip(sample * scale + offset, low, high) in float, 0 where not valid
 *   valid    side * side; 0 where a selected band is not a number or all selected bands are nodata, else 1
 *   each     per band;  stats  for the tile
 * Pixels outside the scene are reflected without repeating the edge and are not counted. Never allocates.
 * Returns SW_OK, SW_E_ARGUMENT or SW_E_WINDOW (nothing is written then but stats->missing_row). */
int sw_tile_u8(const uint8_t *samples, const sw_window *window, const sw_tile *tile, const int32_t *band,
               const float *scale, const float *offset, float *out, uint8_t *valid, sw_band_stats *each,
               sw_tile_stats *stats);
int sw_tile_u16(const uint16_t *samples, const sw_window *window, const sw_tile *tile, const int32_t *band,
                const float *scale, const float *offset, float *out, uint8_t *valid, sw_band_stats *each,
                sw_tile_stats *stats);
int sw_tile_i16(const int16_t *samples, const sw_window *window, const sw_tile *tile, const int32_t *band,
                const float *scale, const float *offset, float *out, uint8_t *valid, sw_band_stats *each,
                sw_tile_stats *stats);
int sw_tile_f32(const float *samples, const sw_window *window, const sw_tile *tile, const int32_t *band,
                const float *scale, const float *offset, float *out, uint8_t *valid, sw_band_stats *each,
                sw_tile_stats *stats);

#endif
