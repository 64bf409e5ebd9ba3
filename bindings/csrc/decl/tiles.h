#ifndef SWATH_DECL_TILES_H
#define SWATH_DECL_TILES_H

#include <stdint.h>

#define SW_TILE_SIDE_MAX 4096
#define SW_SCENE_SIDE_MAX 1099511627776 /* coordinates beyond it are refused: sums of them stay in range */

enum { SW_SAMPLE_U8 = 0, SW_SAMPLE_U16 = 1, SW_SAMPLE_I16 = 2, SW_SAMPLE_F32 = 3 };
enum { SW_OUT_F32 = 0, SW_OUT_U8 = 1, SW_OUT_S8 = 2 };

/* How samples of one band become octets without a division, as sw_cutter_prove() found it to give the same for every
 * number that the type has; 0 where it does not. */
typedef struct {
    float inverse;      /* normalised * inverse, for normalised / step */
    float factor, term; /* sample * factor + term in one rounding, for all of it; where the machine has that */
} sw_octet_form;

/* What is the same for every tile of a scene. Never written to after sw_cutter_prove(): threads may share it. */
typedef struct {
    int32_t sample, out; /* SW_SAMPLE_*, SW_OUT_* */
    int32_t side, bands; /* 1..SW_TILE_SIDE_MAX; 1.. */
    const int32_t *band; /* their numbers in the window */
    const float *scale, *offset;
    float low, high;
    double nodata;
    int32_t has_nodata;
    int32_t zero_point; /* for 8 bits: saturate(round_half_even(normalised / step) + zero_point) */
    float step;
    sw_octet_form *form; /* per band */
} sw_cutter;

/* A block of scene rows in memory. Strides are in samples and positive; the block holds every column of its rows. */
typedef struct {
    int64_t rows, cols;
    int64_t row_stride, col_stride, band_stride;
} sw_window;

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

/* Fill cutter->form. Returns the bands whose octets need no division, or SW_E_ARGUMENT. */
int sw_cutter_prove(const sw_cutter *cutter);

/* Cut one tile out of a window, normalise it into planes, measure it.
 *   samples  the window's; of the type that the cutter names, as is `out`
 *   out      bands * side * side: clip(sample * scale + offset, low, high) in float, 0 where not valid; for 8 bits that
 *            number quantised
 *   valid    side * side; 0 where a selected band is not a number or all selected bands are nodata, else 1
 *   row, col of the tile's first pixel in the scene; may lie outside;  first_row  of the window in the scene
 *   each     per band, or NULL: not measured;  stats  for the tile
 * Pixels outside the scene are reflected without repeating the edge and are not counted. Never allocates.
 * Returns SW_OK, SW_E_ARGUMENT or SW_E_WINDOW (nothing is written then but stats->missing_row). */
int sw_cut(const sw_cutter *cutter, const sw_window *window, const void *samples, int64_t first_row,
           int64_t scene_rows, int64_t row, int64_t col, void *out, uint8_t *valid, sw_band_stats *each,
           sw_tile_stats *stats);

#endif
